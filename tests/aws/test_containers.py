"""Images are built and pushed by docker or podman, whichever works, and no password is left anywhere."""

from __future__ import annotations

import os
import tomllib
from pathlib import Path

import pytest

from trainyard.aws.images import tools
from trainyard.core.errors import BadInput, TrainyardError

from .engines import IMAGE_ID, Engine

PASSWORD = "a-password-that-nobody-may-see"


@pytest.fixture
def path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is all of the PATH."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    for name in ("DOCKER_HOST", "DOCKER_CONFIG", "REGISTRY_AUTH_FILE"):
        monkeypatch.delenv(name, raising=False)
    return folder


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "My_Shop"
    folder.mkdir()
    (folder / "Dockerfile").write_text("FROM scratch\n")
    return folder


def test_docker_is_taken_before_podman(path: Path) -> None:
    Engine(path, "podman")
    assert [tool.name for tool in tools.tools()] == ["podman"]
    Engine(path, "docker")
    assert [tool.name for tool in tools.tools()] == ["docker", "podman"]


def test_podman_is_taken_where_dockers_daemon_does_not_answer(path: Path) -> None:
    Engine(
        path, "docker", broken={"info": "Cannot connect to the Docker daemon at unix:///var/run/docker.sock."}
    )
    Engine(path, "podman")
    assert [tool.name for tool in tools.tools()] == ["podman"]


def test_no_engine_at_all_is_one_line(path: Path) -> None:
    with pytest.raises(BadInput) as refused:
        tools.tools()
    assert str(refused.value) == "there is neither docker nor podman on the PATH; install one of them"


def test_engines_that_do_not_work_are_told_with_what_they_say(path: Path) -> None:
    Engine(path, "docker", broken={"info": "Cannot connect to the Docker daemon."})
    Engine(
        path, "podman", broken={"info": "cannot clone: Operation not permitted\nError: no user namespaces"}
    )
    with pytest.raises(BadInput) as refused:
        tools.tools()
    line = str(refused.value)
    assert "docker does not work here: Cannot connect to the Docker daemon." in line
    assert "podman does not work here: Error: no user namespaces" in line
    assert "\n" not in line


@pytest.mark.parametrize("name", ["docker", "podman"])
def test_an_image_is_built_for_the_machines_it_is_to_run_on(name: str, path: Path, project: Path) -> None:
    engine = Engine(path, name)
    built = tools.build(str(project))
    assert (built.tool.name, built.name, built.id) == (name, "localhost/trainyard/my-shop:latest", IMAGE_ID)
    (call,) = engine.calls("build")
    arguments = call["arguments"]
    assert arguments[arguments.index("--platform") + 1] == "linux/amd64"
    assert arguments[arguments.index("--file") + 1] == str(project / "Dockerfile")
    assert arguments[-1] == str(project)
    # What SageMaker can't pull: an index with attestations, which docker makes by itself; OCI's form.
    assert call["environment"]["BUILDX_NO_DEFAULT_ATTESTATIONS"] == "1"
    assert ("--format" in arguments) is (name == "podman")


def test_an_image_for_other_machines_is_built_on_request(path: Path, project: Path) -> None:
    engine = Engine(path, "docker")
    tools.build(str(project), platform="linux/arm64")
    assert "linux/arm64" in engine.calls("build")[0]["arguments"]


def test_what_building_says_goes_to_stderr_and_a_failure_is_one_line(
    path: Path, project: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    engine = Engine(path, "podman")
    tools.build(str(project))
    output = capfd.readouterr()
    assert output.out == ""
    assert "STEP 1/1" in output.err
    engine.set(broken={"build": "no space left"})
    with pytest.raises(TrainyardError) as failed:
        tools.build(str(project))
    assert failed.value.exit_status == 1
    assert "podman could not build" in str(failed.value)
    assert "no space left" in capfd.readouterr().err


def test_a_folder_without_a_dockerfile_is_refused_before_any_engine_is_asked(
    path: Path, tmp_path: Path
) -> None:
    with pytest.raises(BadInput, match="Dockerfile: no such file; write one, as `trainyard init` does"):
        tools.build(str(tmp_path))


@pytest.mark.parametrize("name", ["docker", "podman"])
def test_what_was_built_last_is_found_again(name: str, path: Path, project: Path) -> None:
    engine = Engine(path, name)
    assert tools.find(str(project)).id == IMAGE_ID
    engine.set(built=False)
    with pytest.raises(BadInput) as refused:
        tools.find(str(project))
    assert refused.value.cure == f"run `trainyard image build {project}`"


def test_an_image_is_found_where_it_was_built_though_another_engine_works_too(
    path: Path, project: Path
) -> None:
    Engine(path, "docker", built=False)
    Engine(path, "podman")
    assert tools.find(str(project)).tool.name == "podman"


@pytest.mark.parametrize("name", ["docker", "podman"])
def test_a_password_goes_by_stdin_and_nothing_of_it_is_left(name: str, path: Path) -> None:
    engine = Engine(path, name)
    (tool,) = tools.tools()
    with tools.logged_in(tool, "registry.example", "AWS", PASSWORD) as environment:
        kept = Path(environment.get("DOCKER_CONFIG") or Path(environment["REGISTRY_AUTH_FILE"]).parent)
        assert kept.stat().st_mode & 0o077 == 0
        assert list(kept.iterdir())
        tools.push(tool, "registry.example/image:1", environment)
    assert not kept.exists()
    (login,), (push,) = engine.calls("login"), engine.calls("push")
    assert login["stdin"] == PASSWORD
    assert login["arguments"] == ["login", "--username", "AWS", "--password-stdin", "registry.example"]
    assert push["environment"].get("DOCKER_CONFIG") == environment.get("DOCKER_CONFIG")
    assert not any(PASSWORD in argument for call in engine.calls() for argument in call["arguments"])
    assert PASSWORD not in str(os.environ)


def test_dockers_daemon_stays_the_one_of_its_context(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Engine(path, "docker")
    (tool,) = tools.tools()
    with tools.logged_in(tool, "registry.example", "AWS", PASSWORD) as environment:
        assert environment["DOCKER_HOST"] == "unix:///run/elsewhere/docker.sock"
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    with tools.logged_in(tool, "registry.example", "AWS", PASSWORD) as environment:
        assert "DOCKER_HOST" not in environment


def test_a_login_that_is_refused_is_one_line_without_the_password(path: Path) -> None:
    Engine(path, "docker", broken={"login": f"Error: unauthorized: {PASSWORD} is wrong"})
    (tool,) = tools.tools()
    with (
        pytest.raises(TrainyardError) as refused,
        tools.logged_in(tool, "registry.example", "AWS", PASSWORD),
    ):
        raise AssertionError("logged in")
    assert "docker could not log in to registry.example: Error: unauthorized" in str(refused.value)
    assert PASSWORD not in str(refused.value)


@pytest.mark.parametrize(
    ("folder", "name"),
    [("shop", "shop"), ("My Shop_2", "my-shop-2"), ("日本", "image"), ("x" * 99, "x" * 40)],
)
def test_a_project_is_called_as_a_repository_may_be(folder: str, name: str, tmp_path: Path) -> None:
    assert tools.project_name(str(tmp_path / folder)) == name


def test_what_was_pushed_is_written_down_by_environment(project: Path) -> None:
    folder = str(project)
    for environment, reference in (("dev", "a@sha256:1"), ("prod", "b@sha256:2"), ("dev", "c@sha256:3")):
        written = tools.record(folder, environment, reference)
    assert tomllib.loads(Path(written).read_text()) == {"dev": "c@sha256:3", "prod": "b@sha256:2"}
    (project / ".trainyard-image").write_text("no TOML")
    tools.record(folder, "dev", "d")
    assert tomllib.loads(Path(written).read_text()) == {"dev": "d"}
