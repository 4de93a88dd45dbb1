"""Two JSON values of a template -> the lines that tell them apart. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from .intrinsics import canonical, is_intrinsic, render

ABSENT: Any = object()
"""What stands for a value that is not there."""

_DOCUMENTS = ("PolicyDocument", "AssumeRolePolicyDocument", "KeyPolicy")
_NAMES = ("Id", "Key", "PolicyName", "DeviceName", "ParameterKey")
_ROOM = 80


class Difference(NamedTuple):
    """Where two values differ, as a dotted path, and how, in words."""

    path: str
    text: str

    @property
    def line(self) -> str:
        """`Properties.VersioningConfiguration.Status: "Enabled" -> "Suspended"`."""
        return f"{self.path}: {self.text}"


def differences(old: Any, new: Any, path: str = "") -> Iterator[Difference]:
    """At least one difference where the values differ, none where they are equal."""
    if canonical_or_absent(old) == canonical_or_absent(new):
        return
    last = path.rpartition(".")[2].partition("[")[0]
    if last in _DOCUMENTS and ABSENT not in (old, new):
        yield Difference(path, "other statements, see the permissions")
    elif _is_plain_mapping(old) and _is_plain_mapping(new):
        for key in sorted({*old, *new}):
            inner = f"{path}.{key}" if path else key
            yield from differences(old.get(key, ABSENT), new.get(key, ABSENT), inner)
    elif isinstance(old, list) and isinstance(new, list):
        yield from _between_lists(old, new, path)
    else:
        yield Difference(path, _pair(old, new))


def value_at(properties: Any, path: str) -> Any:
    """The value at a dotted path, `ABSENT` where there is none."""
    for key in path.split("."):
        if not _is_plain_mapping(properties) or key not in properties:
            return ABSENT
        properties = properties[key]
    return properties


def canonical_or_absent(value: Any) -> str:
    """As `canonical`, and a text of its own for `ABSENT`."""
    return "absent" if value is ABSENT else canonical(value)


def _is_plain_mapping(value: Any) -> bool:
    return isinstance(value, Mapping) and not is_intrinsic(value)


def _between_lists(old: list[Any], new: list[Any], path: str) -> Iterator[Difference]:
    before, after = _by_name(old), _by_name(new)
    if before is not None and after is not None:
        found = [
            each
            for name in sorted({*before, *after})
            for each in differences(before.get(name, ABSENT), after.get(name, ABSENT), f"{path}[{name}]")
        ]
    else:
        kept = {canonical(each) for each in old} & {canonical(each) for each in new}
        gone = [each for each in old if canonical(each) not in kept]
        come = [each for each in new if canonical(each) not in kept]
        if len(gone) == len(come) == 1:
            found = list(differences(gone[0], come[0], f"{path}[{new.index(come[0])}]"))
        else:
            found = [Difference(path, f"without {_cut(_show(each))}") for each in gone]
            found += [Difference(path, f"with {_cut(_show(each))}") for each in come]
    yield from found or [Difference(path, "in another order, or as often")]


def _by_name(items: list[Any]) -> dict[str, Any] | None:
    """The items by what they are called, where all have a name of their own."""
    for key in _NAMES:
        if items and all(_is_plain_mapping(item) and isinstance(item.get(key), str) for item in items):
            found = {item[key]: item for item in items}
            return found if len(found) == len(items) else None
    return None


def _pair(old: Any, new: Any) -> str:
    before, after = _show(old), _show(new)
    if before == after:  # the same text of different functions, as of Fn::Sub and Fn::Join
        return f"{_cut(before)}, written differently"
    common = 0
    if min(len(before), len(after)) > _ROOM:
        while before[common : common + 1] == after[common : common + 1]:
            common += 1
    start = max(0, common - _ROOM // 4)
    lead = "…" if start else ""
    return f"{lead}{_cut(before[start:])} -> {lead}{_cut(after[start:])}"


def _show(value: Any) -> str:
    if value is ABSENT:
        return "absent"
    return render(value) if is_intrinsic(value) else canonical(_rendered(value))


def _rendered(value: Any) -> Any:
    if is_intrinsic(value):
        return render(value)
    if isinstance(value, Mapping):
        return {key: _rendered(each) for key, each in value.items()}
    return [_rendered(each) for each in value] if isinstance(value, list) else value


def _cut(text: str) -> str:
    printable = "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in text[:_ROOM])
    return printable if len(text) <= _ROOM else printable[: _ROOM - 1] + "…"
