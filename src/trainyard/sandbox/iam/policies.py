"""Whether policies allow an action on a resource, as IAM evaluates them. Pure.

"Policy evaluation logic" and "IAM JSON policy elements" of the IAM user guide. An explicit deny outweighs
every allow, and what nothing allows is denied. A condition is evaluated where its key is known; where it is
not, an Allow is taken to hold and a Deny not to, since what they go by (tags of resources, the network that
a request comes from) is not emulated.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

Document = Mapping[str, Any]
Context = Mapping[str, str | Sequence[str] | None]
"""Condition keys in lower case, and their values; None for one that is known not to be there. A key that may
have several has a list ("Multivalued context keys", IAM user guide)."""


class Decision(enum.Enum):
    """What policies say; the values are `SimulatePrincipalPolicy`'s."""

    ALLOWED = "allowed"
    NOT_ALLOWED = "implicitDeny"
    DENIED = "explicitDeny"


def evaluate(
    documents: Iterable[Document],
    action: str,
    resource: str | None,
    context: Context,
    *,
    strict: bool = False,
) -> Decision:
    """What the policies of a principal say; `resource` None is one that is not known, and fits every pattern.

    With `strict`, a condition key that is not in the context is not there.
    """
    decision = Decision.NOT_ALLOWED
    for statement in statements(documents):
        if not _covers(statement, action, resource, context):
            continue
        holds = _holds(statement.get("Condition", {}), context, strict)
        if statement.get("Effect") == "Deny":
            if holds:
                return Decision.DENIED
        elif holds is not False:
            decision = Decision.ALLOWED
    return decision


def statements(documents: Iterable[Document]) -> list[Mapping[str, Any]]:
    """All statements of some documents."""
    found: list[Mapping[str, Any]] = []
    for document in documents:
        found += _listed(document.get("Statement", ()))
    return found


def denied_to_all(document: Document) -> Document:
    """A resource's policy with nothing but what it denies to everybody."""
    everybody = ("*", {"AWS": "*"})
    found = [
        each
        for each in statements([document])
        if each.get("Effect") == "Deny" and each.get("Principal") in everybody
    ]
    return {"Statement": found}


def condition_keys(documents: Iterable[Document]) -> set[str]:
    """Every key that the conditions of some documents name."""
    conditions = [statement.get("Condition", {}) for statement in statements(documents)]
    return {key for condition in conditions for keys in condition.values() for key in keys}


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]


def _covers(statement: Mapping[str, Any], action: str, resource: str | None, context: Context) -> bool:
    if "NotAction" in statement:
        if any(_fits(pattern.lower(), action.lower()) for pattern in _listed(statement["NotAction"])):
            return False
    elif not any(_fits(pattern.lower(), action.lower()) for pattern in _listed(statement.get("Action", ()))):
        return False
    if resource is None:
        # A Deny of some resources may mean others.
        return statement.get("Effect") != "Deny" or "*" in _listed(statement.get("Resource", ()))
    if "NotResource" in statement:
        return not any(_names(pattern, resource, context) for pattern in _listed(statement["NotResource"]))
    return any(_names(pattern, resource, context) for pattern in _listed(statement.get("Resource", ())))


def _names(pattern: str, resource: str, context: Context) -> bool:
    filled = _filled(pattern, context)
    return filled is not None and _fits(filled, resource)


def _filled(pattern: str, context: Context) -> str | None:
    """A pattern with its policy variables replaced; None where one of them is not known."""
    if "${" not in pattern:
        return pattern
    known = {"*": "[*]", "?": "[?]", "$": "$"}
    for name in re.findall(r"\$\{([^}]*)\}", pattern):
        value = known.get(name, context.get(name.lower()))
        if not isinstance(value, str):
            return None
        pattern = pattern.replace(f"${{{name}}}", value)
    return pattern


@lru_cache(maxsize=4096)
def _pattern(text: str) -> re.Pattern[str]:
    words = re.split(r"(\[\*\]|\[\?\]|\*|\?)", text)
    special = {"*": ".*", "?": ".", "[*]": r"\*", "[?]": r"\?"}
    return re.compile("".join(special.get(word) or re.escape(word) for word in words), re.DOTALL)


def _fits(pattern: str, text: str) -> bool:
    return pattern == "*" or _pattern(pattern).fullmatch(text) is not None


def _holds(condition: Mapping[str, Any], context: Context, strict: bool) -> bool | None:
    """Whether all of a condition holds; None where that can't be known."""
    verdicts = [
        _compares(operator, key.lower(), [str(value) for value in _listed(values)], context, strict)
        for operator, keys in condition.items()
        for key, values in keys.items()
    ]
    if False in verdicts:
        return False
    return None if None in verdicts else True


def _compares(operator: str, key: str, values: Sequence[str], context: Context, strict: bool) -> bool | None:
    quantifier, _, name = operator.lower().rpartition(":")
    if key not in context and not strict:
        return None
    value = context.get(key)
    found = [value] if isinstance(value, str) else list(value or ())
    if name == "null":
        return (not found) == (values[0].lower() == "true")
    optional, name = name.endswith("ifexists"), name.removesuffix("ifexists")
    negated, compare = _operator(name)
    if compare is None:
        return None
    if not found:
        return optional or negated or quantifier == "forallvalues"
    of_all = all if quantifier == "forallvalues" else any
    return of_all(any(compare(wanted, each) for wanted in values) != negated for each in found)


def _operator(name: str) -> tuple[bool, Callable[[str, str], bool] | None]:
    negated = "not" in name
    return negated, _OPERATORS.get(name.replace("not", ""))


def _number(compare: Callable[[float, float], bool]) -> Callable[[str, str], bool]:
    def judge(wanted: str, found: str) -> bool:
        try:
            return compare(float(found), float(wanted))
        except ValueError:
            return False

    return judge


_OPERATORS: dict[str, Callable[[str, str], bool]] = {
    "stringequals": lambda wanted, found: wanted == found,
    "stringequalsignorecase": lambda wanted, found: wanted.lower() == found.lower(),
    "stringlike": _fits,
    "arnequals": _fits,
    "arnlike": _fits,
    "bool": lambda wanted, found: wanted.lower() == found.lower(),
    "numericequals": _number(lambda found, wanted: found == wanted),
    "numericlessthan": _number(lambda found, wanted: found < wanted),
    "numericlessthanequals": _number(lambda found, wanted: found <= wanted),
    "numericgreaterthan": _number(lambda found, wanted: found > wanted),
    "numericgreaterthanequals": _number(lambda found, wanted: found >= wanted),
}
