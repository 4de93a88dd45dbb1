"""The picture of the account is of the templates as they are: the committed one too."""

from __future__ import annotations

import copy
import re
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any
from xml.etree import ElementTree

import pytest

from trainyard.core.environments.environment import Environment
from trainyard.infra.synthesis import synthesise

ROOT = Path(__file__).parents[2]
PICTURES = {"private": "account.svg", "lean": "account-lean.svg"}


@pytest.fixture
def drawing(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(ROOT / "scripts" / "drawing"))
    return import_module("draw_account")


def contents_of(profile: str) -> tuple[dict[str, Any], dict[str, Any]]:
    data, platform = synthesise(Environment(network=profile))
    return data.content, platform.content


@pytest.fixture(scope="module")
def contents() -> tuple[dict[str, Any], dict[str, Any]]:
    return contents_of("private")


def committed(profile: str) -> str:
    return (ROOT / "docs" / PICTURES[profile]).read_text(encoding="utf-8")


def drawn(drawing: ModuleType, data: Any, platform: Any) -> str:
    templates = drawing.Template("trainyard-dev-data", data), drawing.Template("trainyard-dev", platform)
    return str(drawing.Drawing(*templates, "a test").svg())


def texts(picture: str) -> list[str]:
    return [
        each.text or "" for each in ElementTree.fromstring(picture).iter("{http://www.w3.org/2000/svg}text")
    ]


def test_the_committed_pictures_are_drawn_from_todays_templates(tmp_path: Path) -> None:
    subprocess.run([sys.executable, ROOT / "scripts" / "drawing" / "draw_account.py", tmp_path], check=True)
    for name in PICTURES.values():
        assert (tmp_path / name).read_bytes() == (ROOT / "docs" / name).read_bytes(), "make drawing"


@pytest.mark.parametrize("profile", PICTURES)
def test_every_resource_of_both_templates_is_in_the_picture(drawing: ModuleType, profile: str) -> None:
    every = {each for content in contents_of(profile) for each in content["Resources"]}
    assert drawing.shown(committed(profile)) == every
    assert f"All {len(every)} resources" in committed(profile)


def test_a_resource_without_a_place_in_the_picture_is_an_error(drawing: ModuleType, contents: Any) -> None:
    data, platform = copy.deepcopy(contents)
    platform["Resources"]["Stray"] = {"Type": "AWS::SQS::Queue", "Properties": {}}
    with pytest.raises(LookupError, match=r"Stray \(AWS::SQS::Queue\)"):
        drawn(drawing, data, platform)


def test_what_a_role_may_do_is_read_off_its_policies(drawing: ModuleType, contents: Any) -> None:
    data, platform = copy.deepcopy(contents)
    template = drawing.Template("trainyard-dev", platform)
    rights = template.rights("TrainingRole")
    assert rights[("ModelBucket", "checkpoints/")] == "RWD"
    assert rights[("ModelBucket", "models/")] == "RW"
    assert ("ModelBucket", "predictions/") not in rights
    assert template.rights("NotebookRole")[("Repository", "")] == "RW", "by the policy that it has"
    before = drawn(drawing, data, platform)
    policies = platform["Resources"]["TrainingRole"]["Properties"]["Policies"][0]["PolicyDocument"]
    policies["Statement"].append(
        {
            "Effect": "Allow",
            "Action": "s3:*",
            "Resource": {"Fn::Sub": "arn:${AWS::Partition}:s3:::${ModelBucket}/models/*"},
        }
    )
    assert texts(drawn(drawing, data, platform)).count("D") == texts(before).count("D") + 1


def test_the_picture_follows_the_templates(drawing: ModuleType, contents: Any) -> None:
    data, platform = copy.deepcopy(contents)
    machines = platform["Resources"]["InferenceSpotMachines"]["Properties"]["ComputeResources"]
    machines["MaxvCpus"] = 4711
    platform["Resources"]["NetworkPrivateSubnet1"]["Properties"]["CidrBlock"] = "192.168.7.0/24"
    del platform["Resources"]["NetworkEcrDkrEndpoint"]
    told = texts(drawn(drawing, data, platform))
    assert any("0 to 4711 vCPUs" in each for each in told)
    assert "zone 1, 192.168.7.0/24" in told
    assert "Endpoint of ecr.api" in told and "Endpoint of ecr.dkr" not in told


@pytest.mark.parametrize("profile", PICTURES)
def test_no_text_leaves_the_paper(drawing: ModuleType, profile: str) -> None:
    for each in ElementTree.fromstring(committed(profile)).iter("{http://www.w3.org/2000/svg}text"):
        # More than a letter is wide, on average.
        width = len(each.text or "") * float(each.attrib["font-size"]) * 0.53
        shift = {"end": width, "middle": width / 2}.get(each.attrib.get("text-anchor", ""), 0)
        left = float(each.attrib["x"]) - shift
        assert left > 0 and left + width < drawing.WIDTH, each.text
    assert not re.findall(r"\b(?:nan|None|Fn::)", committed(profile))
