"""CloudFormation templates, read for drawing: references between resources, and rights of policies."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

Properties = Mapping[str, Any]
Rights = dict[tuple[str, str], str]
"""(bucket or repository, prefix) -> the letters of `RIGHTS` that are allowed, in their order."""

_ACRONYMS = {"Nat": "NAT", "Vpc": "VPC"}
RIGHTS = {
    "R": ("s3:GetObject", "ecr:BatchGetImage"),
    "W": ("s3:PutObject", "ecr:PutImage"),
    "D": ("s3:DeleteObject", "ecr:BatchDeleteImage"),
}


def as_list(value: Any) -> list[Any]:
    """A value that may stand alone, as a list."""
    return value if isinstance(value, list) else [] if value is None else [value]


def references(value: Any) -> list[str]:
    """Every logical id that a value refers to, in order, each once."""
    return list(dict.fromkeys(_references(value)))


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, list):
        for each in value:
            yield from _references(each)
    elif isinstance(value, Mapping):
        for key, each in value.items():
            if key == "Ref":
                yield each
            elif key == "Fn::GetAtt":
                yield each[0] if isinstance(each, list) else each.split(".")[0]
            else:
                yield from _references(each)
    elif isinstance(value, str):
        yield from re.findall(r"\$\{([A-Za-z0-9]+)(?:\.\w+)?\}", value)


def words(logical_id: str, *without: str) -> str:
    """`NetworkPublicSubnet1` as people read it: `Public subnet 1`; a first word in `without` is left out."""
    parts = re.findall(r"[A-Z][a-z]+|[A-Z0-9]+(?![a-z])", logical_id)
    parts = parts[1:] if parts[0] in without and len(parts) > 1 else parts
    return " ".join([_ACRONYMS.get(parts[0], parts[0]), *(part.lower() for part in parts[1:])])


def name(logical_id: str) -> str:
    """A resource as the picture calls it; its frame tells which construct it is of."""
    return words(logical_id, "Storage", "Network", "Inference", "Monitoring")


class Template:
    """A synthesised template by type and by reference."""

    def __init__(self, name: str, content: Mapping[str, Any]) -> None:
        self.name, self.content = name, content
        self.resources: Mapping[str, Any] = content["Resources"]

    def of(self, kind: str) -> dict[str, Properties]:
        """Logical id -> properties of the resources of a type, in the template's order."""
        return {
            name: each.get("Properties", {}) for name, each in self.resources.items() if each["Type"] == kind
        }

    def kind(self, logical_id: str) -> str:
        """A resource's type; "" for a parameter and for a pseudo parameter."""
        return str(self.resources[logical_id]["Type"]) if logical_id in self.resources else ""

    def pick(self, value: Any, kind: str) -> list[str]:
        """The resources of a type that a value refers to."""
        return [each for each in references(value) if self.kind(each) == kind]

    def pointing_at(self, logical_id: str, kind: str) -> list[str]:
        """The resources of a type that refer to a resource."""
        return [name for name, each in self.of(kind).items() if logical_id in references(each)]

    def facts(self) -> dict[str, Any]:
        """SSM parameter's name -> its value."""
        return {each["Name"]: each["Value"] for each in self.of("AWS::SSM::Parameter").values()}

    def documents(self, holder: str) -> list[Properties]:
        """Every policy document that a role or managed policy has: inline, attached, and of its own."""
        properties = self.resources[holder]["Properties"]
        if self.kind(holder) == "AWS::IAM::ManagedPolicy":
            return [properties["PolicyDocument"]]
        found = [each["PolicyDocument"] for each in properties.get("Policies", [])]
        for each in self.of("AWS::IAM::RolePolicy").values():
            found += [each["PolicyDocument"]] if references(each["RoleName"]) == [holder] else []
        for policy in self.attached(holder):
            found += self.documents(policy)
        return found

    def attached(self, role: str) -> list[str]:
        """The managed policies of the template that a role has."""
        arns = self.resources[role]["Properties"].get("ManagedPolicyArns")
        return self.pick(arns, "AWS::IAM::ManagedPolicy")

    def rights(self, holder: str) -> Rights:
        """What a role or managed policy may do with objects and images of the template's parameters.

        What it may do with a whole bucket it may do below each prefix that any policy names.
        """
        found: dict[tuple[str, str], set[str]] = {}
        for place, letters in self._allowed(self.documents(holder)):
            below = [each for each in self._prefixes() if each[0] == place[0]] if not place[1] else []
            for each in below or [place]:
                found.setdefault(each, set()).update(letters)
        return {place: "".join(each for each in RIGHTS if each in got) for place, got in found.items() if got}

    def _prefixes(self) -> list[tuple[str, str]]:
        holders = [*self.of("AWS::IAM::Role"), *self.of("AWS::IAM::ManagedPolicy")]
        documents = [document for holder in holders for document in self.documents(holder)]
        return list(dict.fromkeys(place for place, _ in self._allowed(documents) if place[1]))

    def _allowed(self, documents: Sequence[Mapping[str, Any]]) -> Iterator[tuple[tuple[str, str], set[str]]]:
        for statement in [each for document in documents for each in document["Statement"]]:
            letters = _letters(as_list(statement["Action"]))
            for place in filter(None, map(_place, as_list(statement["Resource"]))):
                yield place, letters


def _letters(patterns: Sequence[str]) -> set[str]:
    return {
        letter
        for letter, actions in RIGHTS.items()
        if any(fnmatchcase(action, pattern) for action in actions for pattern in patterns)
    }


def _place(resource: Any) -> tuple[str, str] | None:
    """Parameter and prefix in an ARN: `…:s3:::${ModelBucket}/models/*`, `…:repository/${Repository}`."""
    text = resource.get("Fn::Sub", "") if isinstance(resource, Mapping) else resource
    if not isinstance(text, str):
        return None
    if found := re.search(r":s3:::\$\{(\w+)\}/(.*)\*$", text):
        return found[1], found[2]
    if found := re.search(r":repository/\$\{(\w+)\}$", text):
        return found[1], ""
    return None
