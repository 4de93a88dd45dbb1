"""An image comes into the environment's repository once, under a tag that is its content's."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from trainyard.aws.account.deployment import Deployment, read
from trainyard.aws.account.session import Session
from trainyard.aws.images import pushing, tools
from trainyard.core.errors import AccountRefused, BadInput, TrainyardError

from .emulated import REGION, Account
from .engines import DIGEST, IMAGE_ID, Engine

TAG = f"shop-{IMAGE_ID[:12]}"


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Engine:
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    return Engine(tmp_path / "bin", "podman")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "Dockerfile").write_text("FROM scratch\n")
    return folder


class Registry:
    """The environment's repository, into which the fake engine pushes."""

    def __init__(self, account: Account, monkeypatch: pytest.MonkeyPatch, name: str = "dev") -> None:
        self.account = account
        account.deploy(name)
        self.deployment: Deployment = read(Session(), name)
        self.arrives, self.status, self.pushes = True, 0, 0
        monkeypatch.setattr(tools, "push", self._push)

    def put(self, tag: str = TAG) -> str:
        """Have the image in the repository; its digest."""
        ecr = self.account.client("ecr")
        name = self.deployment.repository_uri.partition("/")[2]
        manifest = {
            "schemaVersion": 2,
            "mediaType": "application/vnd.docker.distribution.manifest.v2+json",
            "config": {"mediaType": "application/json", "size": 1, "digest": f"sha256:{tag}"},
            "layers": [],
        }
        image = ecr.put_image(repositoryName=name, imageManifest=json.dumps(manifest), imageTag=tag)["image"]
        return str(image["imageId"]["imageDigest"])

    def _push(self, tool: tools.Tool, reference: str, environment: dict[str, str]) -> int:
        assert Path(environment["REGISTRY_AUTH_FILE"]).parent.exists()
        self.pushes += 1
        if self.arrives:
            self.put(reference.rpartition(":")[2])
        return self.status


@pytest.fixture
def registry(account: Account, monkeypatch: pytest.MonkeyPatch) -> Registry:
    return Registry(account, monkeypatch)


def push(registry: Registry, project: Path) -> pushing.Pushed:
    built = tools.find(str(project))
    return pushing.push(Session(), registry.deployment, built, "shop")


def test_an_image_is_pushed_once_and_known_by_digest(
    registry: Registry, engine: Engine, project: Path
) -> None:
    first = push(registry, project)
    uri = registry.deployment.repository_uri
    assert first.is_new
    assert first.tag == TAG
    assert first.reference.startswith(f"{uri}@sha256:")
    (tagged,) = engine.calls("tag")
    assert tagged["arguments"] == ["tag", "localhost/trainyard/shop:latest", f"{uri}:{TAG}"]
    again = push(registry, project)
    assert again == first._replace(is_new=False)
    assert registry.pushes == 1


def test_the_registry_is_logged_in_to_with_ecrs_own_password_by_stdin(
    registry: Registry, engine: Engine, project: Path
) -> None:
    push(registry, project)
    (login,) = engine.calls("login")
    assert login["arguments"][1:4] == ["--username", "AWS", "--password-stdin"]
    assert login["arguments"][4] == registry.deployment.repository_uri.partition("/")[0]
    assert login["stdin"]
    assert not any(login["stdin"] in argument for call in engine.calls() for argument in call["arguments"])


def test_another_content_has_another_tag(registry: Registry, engine: Engine, project: Path) -> None:
    push(registry, project)
    engine.set(id="cd" * 32)
    assert push(registry, project).tag == "shop-" + "cd" * 6
    assert registry.pushes == 2


def test_somebody_elses_push_of_the_same_is_as_good(
    registry: Registry, engine: Engine, project: Path
) -> None:
    # The repository is immutable: the slower of two pushes is refused by it.
    registry.status = 1
    assert push(registry, project).is_new


def test_a_push_that_fails_is_one_line(registry: Registry, engine: Engine, project: Path) -> None:
    registry.arrives, registry.status = False, 1
    with pytest.raises(TrainyardError) as failed:
        push(registry, project)
    assert failed.value.exit_status == 1
    assert f"podman could not push {registry.deployment.repository_uri}:{TAG}" in str(failed.value)


def test_a_repository_that_is_gone_is_told_with_the_cure(
    registry: Registry, account: Account, engine: Engine, project: Path
) -> None:
    account.client("ecr").delete_repository(repositoryName="dev-images", force=True)
    with pytest.raises(BadInput) as refused:
        push(registry, project)
    assert str(refused.value) == ("there is no repository 'dev-images' any more; run `trainyard deploy dev`")
    assert registry.pushes == 0


def test_what_ecr_refuses_otherwise_is_told_as_aws_says_it(
    registry: Registry, engine: Engine, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AccountRefused("role X may not ecr:DescribeImages", code="AccessDeniedException")

    monkeypatch.setattr(Session, "call", refuse)
    with pytest.raises(AccountRefused, match="may not ecr:DescribeImages"):
        push(registry, project)


def test_the_sandbox_is_told_of_an_image_that_stays_here(
    account: Account, engine: Engine, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = Registry(account, monkeypatch, "sandbox")
    done = push(registry, project)
    # By the digest that podman has: a job which names it so finds it on this machine.
    assert done.is_new and done.reference == f"{registry.deployment.repository_uri}@{DIGEST}"
    assert registry.pushes == 0
    assert engine.calls("login") == []
    assert engine.calls("tag")
    assert push(registry, project) == done._replace(is_new=False)


def command(*argv: str) -> int:
    from trainyard.cli.main import main

    return main(list(argv))


def test_the_verbs_build_push_and_say_what_to_write(
    registry: Registry,
    engine: Engine,
    project: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(project)
    (project / "trainyard.toml").write_text(f'[environments.dev]\nregion = "{REGION}"\n')
    monkeypatch.setattr(sys.stderr, "reconfigure", lambda **_: None, raising=False)
    assert command("image", "build", "--json") == 0
    built = json.loads(capsys.readouterr().out)
    assert built == {"image": "localhost/trainyard/shop:latest", "id": f"sha256:{IMAGE_ID}", "tool": "podman"}
    assert command("image", "push", "--on", "dev") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"pushed: {TAG}")
    reference = lines[-1].removeprefix('image = "').removesuffix('"')
    assert reference.startswith(f"{registry.deployment.repository_uri}@sha256:")
    assert f'dev = "{reference}"' in (project / ".trainyard-image").read_text()
    assert command("image", "push", "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told == {"image": reference, "tag": TAG, "new": False, "environment": "dev"}


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (("image", "push", "--on", "local"), "--on: the yard 'local' is this machine, and no environment"),
        (("image", "push", "--on", "staging"), "--on: there is no yard 'staging'"),
        (("image", "build", "nowhere"), "nowhere: no such folder"),
        (("image",), "usage:"),
        (("image", "pull"), "image: unknown verb 'pull'"),
    ],
)
def test_what_cannot_be_is_one_line(
    argv: tuple[str, ...],
    told: str,
    registry: Registry,
    engine: Engine,
    project: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(project)
    (project / "trainyard.toml").write_text("[environments.dev]\n")
    assert command(*argv) == 2
    assert told in capsys.readouterr().err
    assert os.environ["PATH"] == str(engine.folder)
