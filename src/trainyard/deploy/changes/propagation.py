"""Which resources a change replaces: by their own properties, and by following what is replaced. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from .intrinsics import ResourceReference, canonical, is_intrinsic, references
from .replacements import CREATE_ONLY, MAY_REPLACE
from .values import canonical_or_absent, value_at

STAYS, MAY_BE_REPLACED, REPLACED = 0, 1, 2
"""What becomes of a resource that is in both templates, in this order."""

_RENEWED = {
    ("AWS::EC2::LaunchTemplate", "LatestVersionNumber"),
    ("AWS::EC2::LaunchTemplate", "DefaultVersionNumber"),
    ("AWS::Batch::JobDefinition", ""),
}
"""Attributes that change with every update in place: versions of a template, revisions of a definition."""


def watched(resource: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    """The property paths that replace a resource, with how certainly."""
    kind = resource.get("Type", "")
    for path in CREATE_ONLY.get(kind, ()):
        yield path, REPLACED
    if not _updated_in_place(resource):
        for path in MAY_REPLACE.get(kind, ()):
            yield path, MAY_BE_REPLACED


def places(value: Any, path: str = "") -> Iterator[tuple[str, ResourceReference]]:
    """Every reference of a resource's properties, with the path that it stands at."""
    if isinstance(value, Mapping) and not is_intrinsic(value):
        for key, each in value.items():
            yield from places(each, f"{path}.{key}" if path else key)
    elif isinstance(value, list):
        for each in value:
            yield from places(each, path)
    else:
        for reference in references(value):
            yield path, reference


class Propagation:
    """What becomes of every resource that is in both templates.

    `fate` is by logical id. A resource that names a replaced one where it can only be set at creation is
    replaced as well; anywhere else it is updated.
    """

    def __init__(
        self, old: Mapping[str, Any], new: Mapping[str, Any], changed_parameters: Iterable[str]
    ) -> None:
        self._new = new
        self._parameters = frozenset(changed_parameters)
        common = [name for name in new if name in old]
        self._touched = {
            name
            for name in common
            if canonical(old[name].get("Properties")) != canonical(new[name].get("Properties"))
        }
        self._places = {name: list(places(new[name].get("Properties", {}))) for name in common}
        self.fate = {name: _own_fate(old[name], new[name]) for name in common}
        while self._spread():
            pass

    def change_of(self, reference: ResourceReference) -> int:
        """How certainly what a reference gives will be another."""
        name = reference.logical_id
        if name in self._parameters:
            return REPLACED
        kind = self._new.get(name, {}).get("Type", "")
        if name in self._touched and (kind, reference.attribute) in _RENEWED:
            return REPLACED
        return self.fate.get(name, STAYS)

    def causes(self, name: str) -> dict[str, list[str]]:
        """Why a resource's properties change though its template doesn't: words by property path."""
        found: dict[str, list[str]] = {}
        for path, reference in self._places.get(name, []):
            if reference.logical_id != name and (words := self._words(reference)):
                texts = found.setdefault(path, [])
                if words not in texts:
                    texts.append(words)
        return found

    def _words(self, reference: ResourceReference) -> str:
        name = reference.logical_id
        if not self.change_of(reference):
            return ""
        if name in self._parameters:
            return f"follows the parameter {name}"
        fate = self.fate.get(name, STAYS)
        if fate == STAYS:
            return f"follows {name}, which gets a new version"
        return f"follows {name}, which {'is' if fate == REPLACED else 'may be'} replaced"

    def _spread(self) -> bool:
        """Once over all resources; whether anything came of it. Nothing is taken back, so that it ends."""
        grown = False
        for name, found in self._places.items():
            paths = list(watched(self._new[name]))
            for path, reference in found:
                change = self.change_of(reference) if reference.logical_id != name else STAYS
                if not change:
                    continue
                certainty = max((sure for each, sure in paths if covers(each, path)), default=STAYS)
                if name not in self._touched or min(change, certainty) > self.fate[name]:
                    self._touched.add(name)
                    self.fate[name] = max(self.fate[name], min(change, certainty))
                    grown = True
        return grown


def covers(watched_path: str, path: str) -> bool:
    """Whether a change at `path` is one at the watched path, or of something inside it."""
    return path == watched_path or path.startswith((f"{watched_path}.", f"{watched_path}["))


def _own_fate(old: Mapping[str, Any], new: Mapping[str, Any]) -> int:
    if old.get("Type") != new.get("Type"):
        return REPLACED
    before, after = old.get("Properties", {}), new.get("Properties", {})
    changed = (
        certainty
        for path, certainty in watched(new)
        if canonical_or_absent(value_at(before, path)) != canonical_or_absent(value_at(after, path))
    )
    return max(changed, default=STAYS)


def _updated_in_place(resource: Mapping[str, Any]) -> bool:
    """Whether a Batch environment asks for updates in place (its `ReplaceComputeEnvironment`)."""
    return str(resource.get("Properties", {}).get("ReplaceComputeEnvironment", True)).lower() == "false"
