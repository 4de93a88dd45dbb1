"""docker or podman, whichever works here: an image is built with its project's Dockerfile, and sent off.

What a tool says goes to this process's stderr as it comes. A password reaches it by stdin alone, and what it
keeps of it goes with the push.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from ...core.errors import BadInput, TrainyardError
from ...core.files.whole import written
from ...core.jobs.limits import legal_name

KNOWN = ("docker", "podman")
DOCKERFILE, RECORD = "Dockerfile", ".trainyard-image"
PLATFORM = "linux/amd64"
"""What the machines of the usual families are, whatever this one is."""
_STDERR = 2
_SECONDS_TO_ANSWER = 30
_LONGEST_NAME = 40


class Tool(NamedTuple):
    """A container engine that works here: its name, and where its program is."""

    name: str
    path: str


class Built(NamedTuple):
    """An image on this machine: what it is called here, and its id, 64 hexadecimal digits of its content."""

    tool: Tool
    name: str
    id: str


def tools() -> list[Tool]:
    """The engines that work here, the preferred one first; `BadInput` with the cure where none does."""
    found, problems = [], []
    for name in KNOWN:
        path = shutil.which(name)
        if path is None:
            continue
        refusal = _refusal(Tool(name, path))
        if refusal is None:
            found.append(Tool(name, path))
        else:
            problems.append(f"{name} does not work here: {refusal}")
    if found:
        return found
    if problems:
        raise BadInput("; ".join(problems), cure="start it, or install podman, which needs no daemon")
    raise BadInput("there is neither docker nor podman on the PATH", cure="install one of them")


def build(folder: str, *, platform: str = PLATFORM) -> Built:
    """Build the Dockerfile of a folder, for machines of another architecture too.

    Raises `BadInput` where there is no Dockerfile or no engine, `TrainyardError` where the building fails.
    """
    file = os.path.join(folder, DOCKERFILE)
    if not os.path.isfile(file):
        raise BadInput("no such file", where=file, cure="write one, as `trainyard init` does")
    tool = tools()[0]
    name = local_name(folder)
    options = ["--platform", platform, "--tag", name, "--file", file]
    if tool.name == "podman":
        # ECR and SageMaker take docker's manifests without exception.
        options += ["--format", "docker"]
    with tempfile.TemporaryDirectory(prefix="trainyard-") as aside:
        written = os.path.join(aside, "id")
        # An attestation would make an index of the image, and SageMaker wants a manifest.
        environment = {"BUILDX_NO_DEFAULT_ATTESTATIONS": "1"}
        command = ["build", *options, "--iidfile", written, folder]
        if status := _run(tool, command, environment):
            raise TrainyardError(
                f"{tool.name} could not build {file} (exit status {status}), as it says above"
            )
        with open(written, encoding="utf-8") as stream:
            return Built(tool, name, _plain_id(stream.read()))


def find(folder: str) -> Built:
    """The image that was last built of a folder; `BadInput` where there is none."""
    name = local_name(folder)
    for tool in tools():
        said = _ask(tool, "image", "inspect", "--format", "{{.Id}}", name)
        if said is not None and said.strip():
            return Built(tool, name, _plain_id(said))
    shown = "" if os.path.samefile(folder, ".") else f" {folder}"
    raise BadInput("no image of it was built here", where=folder, cure=f"run `trainyard image build{shown}`")


def local_name(folder: str) -> str:
    """What the image of a folder is called on this machine."""
    return f"localhost/trainyard/{project_name(folder)}:latest"


def project_name(folder: str) -> str:
    """The folder's name, as a repository or a tag may be called."""
    return legal_name(os.path.basename(os.path.realpath(folder)).lower(), "image", _LONGEST_NAME)


def record(folder: str, environment: str, reference: str) -> str:
    """Write down what was pushed to an environment last, beside the Dockerfile; the file's path."""
    path = os.path.join(folder, RECORD)
    known: dict[str, str] = {}
    with contextlib.suppress(OSError, ValueError), open(path, "rb") as stream:
        known = {name: str(value) for name, value in tomllib.load(stream).items()}
    known[environment] = reference
    lines = [f'{name} = "{value}"' for name, value in sorted(known.items())]
    with written(path) as file:
        file.write("\n".join(["# The images that were pushed last, by environment.", *lines, ""]))
    return path


def tag(built: Built, reference: str) -> None:
    """Call the image `reference` too."""
    _must(built.tool, "tag", built.name, reference)


def digest(built: Built) -> str:
    """By which digest the engine knows the image, `sha256:…`; "" for docker, which has none before a push."""
    if built.tool.name != "podman":
        return ""
    return (_ask(built.tool, "image", "inspect", "--format", "{{.Digest}}", built.name) or "").strip()


@contextlib.contextmanager
def logged_in(tool: Tool, registry: str, user: str, password: str) -> Iterator[Mapping[str, str]]:
    """Variables with which the tool may push to a registry, until the end of the block.

    Raises `TrainyardError` where the registry refuses.
    """
    with tempfile.TemporaryDirectory(prefix="trainyard-") as aside:
        if tool.name == "podman":
            environment = {"REGISTRY_AUTH_FILE": os.path.join(aside, "auth.json")}
        else:
            environment = {"DOCKER_CONFIG": aside, **_daemon(tool)}
        command = [tool.path, "login", "--username", user, "--password-stdin", registry]
        done = subprocess.run(
            command,
            input=password,
            text=True,
            capture_output=True,
            env={**os.environ, **environment},
            check=False,
        )
        if done.returncode:
            said = _last_line(done.stderr.replace(password, "…"))
            raise TrainyardError(f"{tool.name} could not log in to {registry}: {said}")
        yield environment


def push(tool: Tool, reference: str, environment: Mapping[str, str]) -> int:
    """Push what is called `reference` here; the tool's exit status."""
    return _run(tool, ["push", reference], environment)


def _daemon(tool: Tool) -> dict[str, str]:
    # Which daemon a context names is in the configuration that DOCKER_CONFIG takes the place of.
    if "DOCKER_HOST" in os.environ:
        return {}
    host = _ask(tool, "context", "inspect", "--format", "{{.Endpoints.docker.Host}}")
    return {"DOCKER_HOST": host.strip()} if host and host.strip() else {}


def _refusal(tool: Tool) -> str | None:
    """Why an engine does not work, in its own words; None for one that does."""
    # docker's client answers without its daemon unless it is asked about the server.
    asked = "{{.ServerVersion}}" if tool.name == "docker" else "{{.Host.Arch}}"
    try:
        done = _quietly(tool, "info", "--format", asked)
    except (OSError, subprocess.TimeoutExpired) as error:
        return _last_line(str(error))
    if done.returncode == 0 and done.stdout.strip():
        return None
    return _last_line(done.stderr) or f"exit status {done.returncode}"


def _ask(tool: Tool, *arguments: str) -> str | None:
    """What the tool prints; None where it fails."""
    try:
        done = _quietly(tool, *arguments)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def _must(tool: Tool, *arguments: str) -> None:
    done = _quietly(tool, *arguments)
    if done.returncode:
        raise TrainyardError(f"{tool.name} {arguments[0]} failed: {_last_line(done.stderr)}")


def _quietly(tool: Tool, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [tool.path, *arguments],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=_SECONDS_TO_ANSWER,
        check=False,
    )


def _run(tool: Tool, arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    # stdout is for what a program reads.
    sys.stderr.flush()
    return subprocess.run(
        [tool.path, *arguments],
        stdin=subprocess.DEVNULL,
        stdout=_STDERR,
        stderr=_STDERR,
        env={**os.environ, **environment},
        check=False,
    ).returncode


def _plain_id(text: str) -> str:
    return text.strip().removeprefix("sha256:")


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""
