"""What a change of a template widens or narrows in permissions, in words. Pure.

Policies are compared statement by statement, action by action and resource by resource, so that statements
that were only put together otherwise say nothing. Where it can't be told whether a change widens, it is said
to.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from .grants import (
    ALLOW,
    DENY,
    NEGATED,
    Grant,
    attachments,
    boundaries,
    endpoints,
    grants,
    is_narrower,
    trusts,
    words_of,
)

WIDENED, NARROWED = "widened", "narrowed"
_FEW = 2


def changes(old: Mapping[str, Any] | None, new: Mapping[str, Any]) -> list[str]:
    """A line for each permission that is widened or narrowed, what is widened first; [] where nothing is.

    A line begins with `widened: ` or `narrowed: `. With None, a summary: how many permissions each holder
    gets, and which of them are on every resource.
    """
    if old is None:
        return _summary(new)
    gates = endpoints(old) ^ endpoints(new)
    found = [
        *_compared(_without(grants(old), gates), _without(grants(new), gates), _permission),
        *_compared(trusts(old), trusts(new), _trust),
        *_attached(old, new),
        *_bounded(old, new),
    ]
    lines = {f"{direction}: {text}" for direction, text in found}
    return sorted(lines, key=lambda line: (line.startswith(NARROWED), line))


def describe(lines: Sequence[str], *, emphasise: Callable[[str], str] = str) -> list[str]:
    """The lines of `changes`, what is widened as `emphasise` makes it."""
    return [emphasise(line) if line.startswith(WIDENED) else line for line in lines]


def _without(found: set[Grant], gates: set[str]) -> set[Grant]:
    """The grants but those of the endpoints `gates`: a way more or a way less is no permission."""
    return {each for each in found if each.through not in gates}


Sentence = tuple[str, str]
"""`widened` or `narrowed`, and what."""


def _compared(old: set[Grant], new: set[Grant], say: Any) -> list[Sentence]:
    """The sentences between two sets of grants; `say` words a group of like ones."""
    kept = old & new
    come = {each for each in new - kept if not _covered(each, kept)}
    gone = {each for each in old - kept if not _covered(each, kept)}
    pairs = _pairs(gone, come)
    paired = {each for pair in pairs for each in pair}
    come = {each for each in come - paired if not _covered(each, old)}
    gone = {each for each in gone - paired if not _covered(each, new)}
    sentences = [(_direction(each, came=True), each, "") for each in come]
    sentences += [(_direction(each, came=False), each, "") for each in gone]
    sentences += [_conditioned(before, after) for before, after in pairs]
    return [(direction, say(group, direction, note)) for direction, group, note in _grouped(sentences)]


def _covered(grant: Grant, others: Iterable[Grant]) -> bool:
    return any(other is not grant and other.covers(grant) for other in others)


def _pairs(gone: set[Grant], come: set[Grant]) -> list[tuple[Grant, Grant]]:
    """Grants that differ in their condition alone."""
    before: dict[Grant, list[Grant]] = defaultdict(list)
    after: dict[Grant, list[Grant]] = defaultdict(list)
    for found, side in ((gone, before), (come, after)):
        for each in found:
            side[each.unconditioned].append(each)
    return [
        (before[key][0], after[key][0])
        for key in before.keys() & after.keys()
        if len(before[key]) == len(after[key]) == 1
    ]


def _direction(grant: Grant, *, came: bool) -> str:
    return WIDENED if came == (grant.effect == ALLOW) else NARROWED


def _conditioned(before: Grant, after: Grant) -> tuple[str, Grant, str]:
    """A change of condition: its direction, the grant without it, and what happened to it."""
    narrower, wider = (
        is_narrower(after.condition, before.condition),
        is_narrower(before.condition, after.condition),
    )
    if before.effect == DENY:
        narrower, wider = wider, narrower
    direction = NARROWED if narrower and not wider else WIDENED
    if not after.condition:
        note = f"the condition {words_of(before.condition)} was dropped"
    elif not before.condition:
        note = f"now only if {words_of(after.condition)}"
    else:
        note = f"now if {words_of(after.condition)}, no longer if {words_of(before.condition)}"
    return direction, after.unconditioned, note


def _grouped(sentences: Sequence[tuple[str, Grant, str]]) -> list[tuple[str, list[Grant], str]]:
    """Like grants together: first the resources of an action, then the actions with the same resources."""
    resources: dict[Any, set[str]] = defaultdict(set)
    for direction, grant, note in sentences:
        resources[direction, note, grant._replace(resource="")].add(grant.resource)
    groups: dict[Any, list[Grant]] = defaultdict(list)
    for (direction, note, grant), found in resources.items():
        key = direction, note, grant._replace(action=""), tuple(sorted(found))
        groups[key] += [grant._replace(resource=each) for each in found]
    return [(direction, sorted(group), note) for (direction, note, _, _), group in groups.items()]


def _permission(group: Sequence[Grant], direction: str, note: str) -> str:
    first = group[0]
    actions = series(each.action for each in group)
    holder = f"{first.holder} (by {first.through})" if first.through else first.holder
    what = f"{actions} on {series(resource_words(each.resource) for each in group)}"
    if note:
        verb = "may" if first.effect == ALLOW else "must not"
        return f"{holder} {verb} {what}: {note}"
    if first.effect == DENY:
        verb = "is no longer denied" if direction == WIDENED else "is now denied"
    else:
        verb = "may also" if direction == WIDENED else "may no longer"
    return f"{holder} {verb} {what}{_only_if(first)}"


def _trust(group: Sequence[Grant], direction: str, note: str) -> str:
    first = group[0]
    role = series(resource_words(each.resource).strip("${}") for each in group)
    denied = " (denied)" if first.effect == DENY else ""
    actions = {each.action for each in group} - {"sts:AssumeRole"}
    how = f" by {series(actions)}" if actions else ""
    if note:
        return f"{role} may be assumed by {first.holder}{how}{denied}: {note}"
    verb = "may also" if (direction == WIDENED) == (first.effect == ALLOW) else "may no longer"
    return f"{role} {verb} be assumed by {first.holder}{how}{denied}{_only_if(first)}"


def _only_if(grant: Grant) -> str:
    return f", if {words_of(grant.condition)}" if grant.condition else ""


def _attached(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Sentence]:
    before, after = attachments(old), attachments(new)
    come = [
        (WIDENED, f"{holder} may also do what {resource_words(each)} allows")
        for holder, each in after - before
    ]
    gone = [
        (NARROWED, f"{holder} may no longer do what {resource_words(each)} allows")
        for holder, each in before - after
    ]
    return come + gone


def _bounded(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Sentence]:
    before, after = boundaries(old), boundaries(new)
    found = []
    for role in before.keys() & after.keys():
        if before[role] == after[role]:
            continue
        if not before[role]:
            found.append((NARROWED, f"{role} is now bounded by {after[role]}"))
        elif not after[role]:
            found.append((WIDENED, f"{role} is no longer bounded by {before[role]}"))
        else:
            found.append((WIDENED, f"{role} is bounded by {after[role]}, no longer by {before[role]}"))
    return found


def _summary(template: Mapping[str, Any]) -> list[str]:
    """A line a holder, with what it may do on every resource."""
    holders: dict[str, list[Grant]] = defaultdict(list)
    for grant in grants(template):
        if not grant.through and grant.effect == ALLOW:
            holders[grant.holder].append(grant)
    policies = defaultdict(list)
    for holder, policy in sorted(attachments(template)):
        policies[holder].append(resource_words(policy))
        holders.setdefault(holder, [])
    return [_summed(holder, holders[holder], policies[holder]) for holder in sorted(holders)]


def _by_service(actions: Sequence[str]) -> list[str]:
    """Actions, but many of one service as their number."""
    services = defaultdict(list)
    for action in actions:
        services[action.partition(":")[0]].append(action)
    return [
        each
        for service, mine in services.items()
        for each in (mine if len(mine) <= _FEW else [f"{len(mine)} of {service}'s"])
    ]


def _summed(holder: str, found: Sequence[Grant], policies: Sequence[str]) -> str:
    everywhere = sorted({each.action for each in found if each.resource == "*" or _is_negated(each)})
    count = len(found)
    parts = [f"{holder} gets {count} permission{'' if count == 1 else 's'}"]
    if policies:
        parts.append(f"and what {series(policies)} allows")
    if everywhere:
        parts.append(f"on every resource: {', '.join(_by_service(everywhere))}")
    return "; ".join(parts)


def _is_negated(grant: Grant) -> bool:
    return grant.action.startswith(NEGATED) or grant.resource.startswith(NEGATED)


_ARN = re.compile(r"arn:(?:\$\{AWS\0\0Partition\}|[a-z-]+):([a-z0-9-]+):([^:]*):([^:]*):(.*)", re.DOTALL)
_OWN_REGION = ("", "${AWS::Region}")
_OWN_ACCOUNT = ("", "${AWS::AccountId}")


def resource_words(arn: str) -> str:
    """An ARN of S3 as `bucket/prefix`, one of this account and region as `service resource`, others as they
    are."""
    # Pseudo parameters have colons of their own, between which an ARN is not to be split.
    found = _ARN.fullmatch(arn.replace("AWS::", "AWS\0\0"))
    if not found:
        return "everything" if arn == "*" else arn
    service, region, account, resource = (each.replace("AWS\0\0", "AWS::") for each in found.groups())
    if service == "s3":
        return resource
    if region in _OWN_REGION and account in _OWN_ACCOUNT:
        return f"{service} {resource}"
    return arn


def series(words: Iterable[str]) -> str:
    """`a`, `a and b`, `a, b and c`; each once, in order."""
    found = sorted(set(words))
    return " and ".join([", ".join(found[:-1]), found[-1]]) if len(found) > 1 else "".join(found)
