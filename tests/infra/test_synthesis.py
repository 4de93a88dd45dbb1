"""Synthesis: small templates, the same bytes each time, without AWS; and a cache that is never stale."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from templates import CACHE, CONFIGURATIONS, EVERYTHING

from trainyard.core.environments.environment import Environment, environment_to_json
from trainyard.infra import synthesis
from trainyard.infra.synthesis import LARGE_TEMPLATE_BYTES, TEMPLATE_BYTES, synthesise

everywhere = pytest.mark.parametrize("configuration", CONFIGURATIONS)
TRAINYARD = [sys.executable, "-m", "trainyard"]


def variables(tmp_path: Path) -> dict[str, str]:
    """No credentials, no region, no network that answers, and a cache of its own."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    nowhere = {"HTTPS_PROXY": "http://127.0.0.1:9", "AWS_EC2_METADATA_DISABLED": "true"}
    return {**kept, **nowhere, "XDG_CACHE_HOME": str(tmp_path / "cache")}


def project(tmp_path: Path, text: str = "[environments.dev]\n") -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "trainyard.toml").write_text(text)
    return folder


def run(argv: list[str], folder: Path, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*TRAINYARD, *argv], cwd=folder, env=variables(tmp_path), capture_output=True, text=True, check=False
    )


@everywhere
def test_each_template_is_as_small_as_cloudformation_takes_it_and_needs_no_asset(configuration: str) -> None:
    data, platform = synthesise(CONFIGURATIONS[configuration], cache=str(CACHE))
    assert len(data.body.encode()) < TEMPLATE_BYTES == 51_200
    assert len(platform.body.encode()) < LARGE_TEMPLATE_BYTES
    for template in (data, platform):
        assert "AssetParameters" not in template.body and "cdk-hnb659fds" not in template.body
        assert "BootstrapVersion" not in template.body


@everywhere
def test_templates_name_no_account_and_no_region(configuration: str) -> None:
    environment = CONFIGURATIONS[configuration]
    for template in synthesise(environment, cache=str(CACHE)):
        # A key and an image are somewhere, whatever the template is.
        named = template.body.replace(environment.kms_key or "-", "")
        named = named.replace(environment.batch.image or "-", "")
        assert "us-east-1" not in named.partition('"Resources"')[2]
        assert not template.content.get("Outputs")


def test_resources_are_called_after_their_place(tmp_path: Path) -> None:
    _, platform = synthesise(Environment(), cache=str(CACHE))
    assert {"NetworkVpc", "TrainingRole", "InferenceQueue", "MonitoringTopic"} <= platform.content[
        "Resources"
    ].keys()


def test_synth_needs_no_account_and_writes_the_same_bytes_from_the_cdk_and_from_the_cache(
    tmp_path: Path,
) -> None:
    folder = project(tmp_path)
    first = run(["synth", "dev", "--output", "one"], folder, tmp_path)
    assert (first.returncode, first.stderr) == (0, "")
    second = run(["synth", "--output", "two"], folder, tmp_path)
    (cached,) = (tmp_path / "cache" / "trainyard" / "templates").iterdir()
    assert len(list(cached.iterdir())) == 2
    assert second.stdout == first.stdout.replace("one/", "two/")
    for name in ("trainyard-dev-data.template.json", "trainyard-dev.template.json"):
        assert (folder / "one" / name).read_bytes() == (folder / "two" / name).read_bytes()
    again = synthesise(Environment(), cache=str(tmp_path / "other"))
    assert again[1].body == (folder / "one" / "trainyard-dev.template.json").read_text()


def test_json_tells_each_template_in_one_line(tmp_path: Path) -> None:
    done = run(["synth", "dev", "--json"], project(tmp_path), tmp_path)
    told = [json.loads(line) for line in done.stdout.splitlines()]
    assert [each["stack"] for each in told] == ["trainyard-dev-data", "trainyard-dev"]
    assert all(set(each) == {"stack", "path", "resources", "bytes"} for each in told)


@pytest.mark.parametrize(
    ("text", "argv", "said"),
    [
        ("[environments.dev]\nzones = 9\n", ["dev"], "trainyard.toml:2: environments.dev.zones: 9"),
        ("[environments.dev]\nnetwrk = 'lean'\n", ["dev"], "did you mean 'network'?"),
        ("[environments.dev]\n", ["prod"], "prod"),
        ("[environments.dev]\n", ["dev", "--output", "trainyard.toml"], "trainyard.toml: is no folder"),
        ("[environments", ["dev"], "is no TOML"),
    ],
)
def test_bad_input_is_one_line_with_status_2_and_nothing_is_written(
    tmp_path: Path, text: str, argv: list[str], said: str
) -> None:
    folder = project(tmp_path, text)
    done = run(["synth", *argv], folder, tmp_path)
    assert done.returncode == 2
    assert said in done.stderr and len(done.stderr.splitlines()) == 1
    assert [path.name for path in folder.iterdir()] == ["trainyard.toml"]


def test_every_setting_of_an_environment_is_in_the_key_of_the_cache() -> None:
    base = Environment()
    keys = {synthesis.cache_key(base)}
    changed = [
        base.replace(zones=1, nats=1),
        base.replace(tags={"team": "vision"}),
        base.replace(notebook=base.notebook.replace(idle_minutes=30)),
        base.replace(batch=base.batch.replace(max_vcpus=8)),
        base.replace(retention=base.retention.replace(log_days=7)),
    ]
    keys |= {synthesis.cache_key(each) for each in changed}
    assert len(keys) == 6
    assert environment_to_json(base) == environment_to_json(Environment())


def test_a_cache_that_cannot_be_written_is_no_reason_to_fail(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    found = synthesise(Environment(), cache=str(tmp_path / "file" / "cache"))
    assert found[0].name == "trainyard-dev-data"


def test_a_half_written_entry_of_the_cache_is_made_anew(tmp_path: Path) -> None:
    whole = synthesise(Environment(), cache=str(tmp_path))
    (entry,) = tmp_path.iterdir()
    for spoil in (Path.unlink, lambda path: path.write_text(whole[1].body[:20_000])):
        spoil(entry / "trainyard-dev.template.json")
        assert synthesise(Environment(), cache=str(tmp_path)) == whole
        assert (entry / "trainyard-dev.template.json").read_text() == whole[1].body


def test_the_cdks_own_validator_finds_nothing(tmp_path: Path) -> None:
    (tmp_path / "trainyard.toml").write_text("[environments.dev]\n")
    done = subprocess.run(
        [sys.executable, "-m", "trainyard.infra"],
        cwd=tmp_path,
        env={**os.environ, "CDK_OUTDIR": str(tmp_path / "out"), "CDK_VALIDATION": "true"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    manifest = json.loads((tmp_path / "out" / "manifest.json").read_text())
    data = manifest["artifacts"]["trainyard-dev-data"]["properties"]
    assert data["terminationProtection"] is True
    assert data["tags"] == {"trainyard:environment": "trainyard-dev"}


def test_the_cdk_app_takes_the_environment_from_the_context(tmp_path: Path) -> None:
    (tmp_path / "trainyard.toml").write_text("[environments.prod]\nnetwork = 'lean'\n")
    done = subprocess.run(
        [sys.executable, "-m", "trainyard.infra"],
        cwd=tmp_path,
        env={
            **os.environ,
            "CDK_OUTDIR": str(tmp_path / "out"),
            "CDK_CONTEXT_JSON": json.dumps({"environment": "prod"}),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    expected = synthesise(Environment(name="prod", network="lean"), cache=str(CACHE))
    for template in expected:
        assert (tmp_path / "out" / template.file_name).read_text() == template.body


def test_the_cdk_app_tells_bad_input_in_one_line(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "trainyard.infra"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr.startswith("trainyard: trainyard.toml: no such job file")


def test_the_largest_environment_is_the_largest() -> None:
    sizes = {name: len(synthesise(each, cache=str(CACHE))[1].body) for name, each in CONFIGURATIONS.items()}
    assert max(sizes, key=lambda name: sizes[name]) == "everything"
    assert EVERYTHING.name == "production12"
