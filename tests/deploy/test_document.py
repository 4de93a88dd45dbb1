"""docs/deploy.md says what the code says."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from trainyard.core.environments.environment import Environment
from trainyard.core.environments.file import load_environment
from trainyard.deploy.cost import cost
from trainyard.infra.synthesis import synthesise

from . import usual

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def document() -> str:
    return (ROOT / "docs" / "deploy.md").read_text(encoding="utf-8")


def templates(profile: str) -> list[dict[str, Any]]:
    if profile == "usual":
        return [usual.template()]
    return [each.content for each in synthesise(Environment(network=profile))]


def rows(document: str) -> list[list[str]]:
    """The cells of the table of costs, without its heading."""
    chapter = document.split("\n## What it costs while idle\n", 1)[1].split("\n## ", 1)[0]
    lines = [line for line in chapter.splitlines() if line.startswith("|")]
    return [[cell.strip(" *`") for cell in line.strip("|").split("|")] for line in (lines[0], *lines[2:])]


@pytest.mark.parametrize("profile", ["usual", "private", "lean"])
def test_the_table_of_costs_is_computed_from_the_templates(document: str, profile: str) -> None:
    heading, *table = rows(document)
    column = heading.index(profile)
    items = cost.idle_cost(*templates(profile))
    left = [item for item in items if item.usd]
    for name, *cells in table:
        mine = [item for item in items if name.lower() in item.name.lower()] if name != "total" else items
        assert float(cells[column - 1]) == pytest.approx(sum(item.usd for item in mine)), name
        left = [item for item in left if item not in mine or name == "total"]
    assert not left


def test_the_table_of_costs_names_keys_that_there_are(document: str) -> None:
    cells = " ".join(row[-1] for row in rows(document))
    fields = {*Environment._fields, *(f"notebook.{each}" for each in type(Environment().notebook)._fields)}
    named = re.findall(r"`?([a-z_.]+) = ", cells)
    assert named and set(named) <= fields


def test_the_readme_has_the_same_totals() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    private, lean = (cost.total(cost.idle_cost(*templates(each))) for each in ("private", "lean"))
    assert f"{private:.2f} USD a month, or {lean:.2f} with" in readme.replace("\n", " ")


@pytest.mark.parametrize("name", ["deploy-policy.json", "deploy-policy-services.json"])
def test_every_statement_of_the_policies_is_explained(document: str, name: str) -> None:
    content = json.loads((ROOT / "docs" / name).read_text(encoding="utf-8"))
    assert f"]({name})" in document
    assert not [each["Sid"] for each in content["Statement"] if f"`{each['Sid']}`" not in document]


def test_json_in_the_document_can_be_read(document: str) -> None:
    found = re.findall(r"```json\n(.*?)```", document, re.DOTALL)
    assert found and all(each["Effect"] == "Allow" for text in found for each in json.loads(text))


def test_environments_in_the_document_are_right(document: str, tmp_path: Path) -> None:
    found = re.findall(r"```toml\n(.*?)```", document, re.DOTALL)
    assert found
    for text in found:
        job_file = tmp_path / "trainyard.toml"
        job_file.write_text(text, encoding="utf-8")
        assert load_environment(job_file, "dev").name == "dev"


def test_the_first_synthesis_prints_what_the_document_says(document: str) -> None:
    for each in synthesise(Environment()):
        told = re.search(
            rf"^cdk.out/{each.file_name}  (\d+) resources, ([\d,]+) bytes$", document, re.MULTILINE
        )
        assert told and int(told[1]) == len(each.content["Resources"])
        # To a tenth: not every change of a policy is a change of this document.
        assert int(told[2].replace(",", "")) == pytest.approx(len(each.body.encode()), rel=0.1)
