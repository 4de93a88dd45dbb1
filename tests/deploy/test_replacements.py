"""Which properties replace a resource: the tables against the registry's schemas."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cfnlint
import pytest

from trainyard.deploy.changes.replacements import CREATE_ONLY, MAY_REPLACE

from .synthesised import furnished

SCHEMAS = Path(cfnlint.__file__).parent / "data" / "schemas"


def schema(kind: str) -> dict[str, Any]:
    known = json.loads((SCHEMAS / "providers" / "us-east-1.json").read_text())
    found: dict[str, Any] = json.loads((SCHEMAS / "resources" / f"{known[kind]}.json").read_text())
    assert found["typeName"] == kind
    return found


def paths(pointers: list[str] | None) -> list[str]:
    return sorted(pointer.removeprefix("/properties/").replace("/", ".") for pointer in pointers or [])


@pytest.mark.parametrize("kind", CREATE_ONLY)
def test_the_tables_say_what_the_registry_says(kind: str) -> None:
    found = schema(kind)
    assert sorted(CREATE_ONLY[kind]) == paths(found.get("createOnlyProperties"))
    assert sorted(MAY_REPLACE.get(kind, ())) == paths(found.get("conditionalCreateOnlyProperties"))


def test_what_may_replace_is_of_types_that_are_known() -> None:
    assert MAY_REPLACE.keys() <= CREATE_ONLY.keys()


def test_every_type_of_our_templates_is_known() -> None:
    kinds = {each["Type"] for template in furnished() for each in template["Resources"].values()}
    assert kinds <= CREATE_ONLY.keys()
