"""What deploying a template over another would do, resource by resource. Pure: no AWS is asked.

CloudFormation's own change sets say the same about properties, but not what holds data, and only to those who
may make one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from textwrap import wrap
from typing import Any

from ...core.record import Record
from .intrinsics import canonical
from .propagation import MAY_BE_REPLACED, REPLACED, STAYS, Propagation, covers, watched
from .replacements import CREATE_ONLY
from .values import ABSENT, differences

CREATE, UPDATE, REPLACE, DELETE = "create", "update", "replace", "delete"

HOLDS_DATA = frozenset(
    {
        "AWS::ECR::Repository",
        "AWS::KMS::Key",
        "AWS::Logs::LogGroup",
        "AWS::S3::Bucket",
        "AWS::SageMaker::NotebookInstance",
    }
)
"""Types that take something along for good when they go: objects, images, logs, a notebook's disk, a key."""

_WIDTH = 100
_TAGGED_ONCE = "AWS::Batch::ComputeEnvironment"
_SECTIONS = {"Parameters": "Parameter", "Outputs": "Output"}
_ORDER = (DELETE, REPLACE, UPDATE, CREATE)
_SIGNS = {CREATE: "+ create  ", UPDATE: "~ update  ", REPLACE: "! REPLACES", DELETE: "- DELETES "}


class Change(Record):
    """What becomes of a resource; or of a parameter, an output or another section of the template.

    `action` is `create`, `update`, `replace` or `delete`. `may_replace`: an update that the service may turn
    into a replacement. `retained`: the resource that goes is left standing outside the stack. `details` are
    lines.
    """

    action: str
    logical_id: str
    type: str
    holds_data: bool = False
    retained: bool = False
    may_replace: bool = False
    details: tuple[str, ...] = ()

    @property
    def is_dangerous(self) -> bool:
        """Whether something that holds data goes, or may go."""
        return self.holds_data and (self.action in (REPLACE, DELETE) or self.may_replace)


def changes(old: Mapping[str, Any] | None, new: Mapping[str, Any]) -> list[Change]:
    """What the new template does to a stack that was made of the old one, the most drastic first.

    [] for equal templates. With None all resources are created.
    """
    before: Mapping[str, Any] = (old or {}).get("Resources", {})
    after: Mapping[str, Any] = new.get("Resources", {})
    following = Propagation(before, after, _changed_defaults(old or {}, new))
    found = [
        change
        for name in sorted({*before, *after})
        if (change := _change(name, before.get(name), after.get(name), following))
    ]
    if old is not None:
        found += _beside_resources(old, new)
    return sorted(found, key=lambda each: (not each.is_dangerous, _ORDER.index(each.action)))


def tag_changes(
    old: Mapping[str, str], new: Mapping[str, str], template: Mapping[str, Any] | None = None
) -> list[str]:
    """What changes in a stack's tags, a line each; with the template also whom that replaces.

    CloudFormation puts stack tags on all resources. A Batch compute environment takes tags only when it is
    made, and is replaced.
    """
    lines = [each.line for each in differences(dict(old), dict(new), "tags")]
    resources = (template or {}).get("Resources", {}) if lines else {}
    once = sorted(name for name, each in resources.items() if each.get("Type") == _TAGGED_ONCE)
    return lines + [f"{name}: REPLACED, since it takes tags only when it is made" for name in once]


def describe(changes: Sequence[Change], *, emphasise: Callable[[str], str] = str) -> list[str]:
    """A line a change and an indented one a detail.

    Where something that holds data goes, the line says so in words, and is as `emphasise` makes it.
    """
    lines = []
    for change in changes:
        line = _line(change)
        lines.append(emphasise(line) if change.is_dangerous else line)
        lines += [f"    {detail}" for detail in change.details]
    return lines


def _line(change: Change) -> str:
    words = [f"{_SIGNS[change.action]} {change.logical_id} ({change.type})"]
    if change.may_replace:
        words.append("MAY BE REPLACED")
    if change.is_dangerous:
        words.append("holds data")
    if change.retained:
        words.append("the old one is left standing" if change.action == REPLACE else "left standing")
    return ", ".join(words)


def _change(
    name: str, old: Mapping[str, Any] | None, new: Mapping[str, Any] | None, following: Propagation
) -> Change | None:
    if new is None or old is None:
        resource: Mapping[str, Any] = old or new or {}
        action = DELETE if new is None else CREATE
        kept = action == DELETE and _keeps(resource, "DeletionPolicy")
        return _made(name, resource, action, retained=kept)
    details = _details(name, old, new, following)
    if not details:
        return None
    fate = following.fate[name]
    return _made(
        name,
        new,
        REPLACE if fate == REPLACED else UPDATE,
        retained=fate == REPLACED and _keeps(new, "UpdateReplacePolicy"),
        may_replace=fate == MAY_BE_REPLACED,
        details=details,
    )


def _made(name: str, resource: Mapping[str, Any], action: str, **more: Any) -> Change:
    kind = str(resource.get("Type", ""))
    return Change(action=action, logical_id=name, type=kind, holds_data=kind in HOLDS_DATA, **more)


def _keeps(resource: Mapping[str, Any], policy: str) -> bool:
    return str(resource.get(policy, "")).startswith("Retain")


def summarise(changes: Sequence[Change]) -> list[str]:
    """What a stack that is not there yet will hold: how many of each type, those with data first."""
    kinds = Counter(each.type.removeprefix("AWS::") for each in changes if each.type.startswith("AWS::"))
    holders = {each.type.removeprefix("AWS::") for each in changes if each.holds_data}
    named = sorted(kinds, key=lambda kind: (kind not in holders, -kinds[kind], kind))
    # A number and its type stay on one line.
    listed = ", ".join(f"{kinds[kind]}\N{NO-BREAK SPACE}{kind}" for kind in named)
    lines = wrap(f"{sum(kinds.values())} resources: {listed}", _WIDTH, subsequent_indent="  ")
    return [line.replace("\N{NO-BREAK SPACE}", " ") for line in lines]


def _details(
    name: str, old: Mapping[str, Any], new: Mapping[str, Any], following: Propagation
) -> tuple[str, ...]:
    own = list(differences(old, new))
    paths = list(watched(new))
    lines = [each.line + _consequence(each.path, paths) for each in own]
    changed = {each.path for each in own}
    for path, causes in sorted(following.causes(name).items()):
        full = f"Properties.{path}"
        if full not in changed:
            lines += [f"{full}: {cause}{_consequence(full, paths)}" for cause in causes]
    if own and new.get("Type") not in CREATE_ONLY:
        lines.append("whether that replaces it is not known here")
    return tuple(lines)


def _consequence(path: str, paths: Sequence[tuple[str, int]]) -> str:
    inner = path.removeprefix("Properties.") if path.startswith("Properties.") else ""
    certainty = max(
        (sure for each, sure in paths if inner and (covers(each, inner) or covers(inner, each))),
        default=STAYS,
    )
    return {STAYS: "", MAY_BE_REPLACED: " (may replace)", REPLACED: " (replaces)"}[certainty]


def _changed_defaults(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    before, after = old.get("Parameters", {}), new.get("Parameters", {})
    return [
        name
        for name, each in after.items()
        if name in before and canonical(before[name].get("Default")) != canonical(each.get("Default"))
    ]


def _beside_resources(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Change]:
    """What differs in the rest of the template."""
    found = []
    for section in sorted(({*old, *new}) - {"Resources"}):
        before, after = old.get(section, ABSENT), new.get(section, ABSENT)
        if section in _SECTIONS:
            for name in sorted({*_mapping(before), *_mapping(after)}):
                pair = _mapping(before).get(name, ABSENT), _mapping(after).get(name, ABSENT)
                found += _plain(name, _SECTIONS[section], *pair)
        else:
            found += _plain(section, "Template", before, after)
    return found


def _mapping(section: Any) -> Mapping[str, Any]:
    return {} if section is ABSENT else section


def _plain(name: str, kind: str, old: Any, new: Any) -> list[Change]:
    lines = tuple(each.line.removeprefix(": ") for each in differences(old, new))
    action = CREATE if old is ABSENT else DELETE if new is ABSENT else UPDATE
    details = lines if action == UPDATE else ()
    return [Change(action=action, logical_id=name, type=kind, details=details)] if lines else []
