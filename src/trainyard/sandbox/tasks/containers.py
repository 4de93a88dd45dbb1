"""Real containers for jobs, where podman or docker works and the image is on the machine."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
import time
from collections.abc import Sequence

from .spec import TaskSpec

LABEL = "trainyard.sandbox"
_REMEMBERED = 10.0
_answers: dict[str, tuple[float, str]] = {}
_KNOWN = ("podman", "docker")
_NEEDED = (
    "PATH",
    "HOME",
    "XDG_RUNTIME_DIR",
    "DBUS_SESSION_BUS_ADDRESS",
    "DOCKER_HOST",
    "CONTAINER_HOST",
    "CONTAINERS_CONF",
)


def engines() -> list[str]:
    """The container engines that work here, the preferred one first."""
    return [name for name in _KNOWN if _works(name)]


def end_all(engines: list[str], mark: str) -> None:
    """Remove every container of this sandbox, running or not."""
    for engine in engines:
        found = _ask(engine, "ps", "--all", "--quiet", "--filter", f"label={LABEL}={mark}")
        if names := (found or "").split():
            _ask(engine, "rm", "--force", *names)


def engine_with(names: Sequence[str], image: str) -> str:
    """The engine of these that has the image; "" when none has it. Nothing is ever pulled. An answer is good
    for some seconds: asking takes a tenth of one."""
    asked, engine = _answers.get(image, (0.0, ""))
    if not asked or time.monotonic() > asked + _REMEMBERED:
        engine = next((name for name in names if _ask(name, "image", "inspect", image) is not None), "")
        _answers[image] = time.monotonic(), engine
    return engine


def contained(
    spec: TaskSpec, engine: str, image: str, mark: str, entrypoint: Sequence[str], arguments: Sequence[str]
) -> TaskSpec:
    """The same task as a container of the image; without `entrypoint` the image's own is run.

    Variables go by name alone: their values stand in no argument, but for those that the engine itself needs
    of the machine's environment, which a job's must not change.
    """
    name = f"trainyard-{mark}-{spec.name.replace('/', '-')}".replace(":", "-")
    command = [shutil.which(engine) or engine, "run", "--rm", "--name", name, "--network", "host"]
    command += ["--label", f"{LABEL}={mark}", "--pull", "never"]
    for mount in spec.mounts:
        command += ["--volume", f"{mount.source}:{mount.target}:{'ro' if mount.read_only else 'rw'}"]
    for number, host in enumerate(spec.hosts, start=1):
        command += ["--add-host", f"{host}:127.0.{number // 256}.{number % 256}"]
    engines_own = {key: os.environ[key] for key in _NEEDED if key in os.environ}
    for variable, value in spec.environment.items():
        # What the engine needs for itself goes by value: places and addresses, no secrets.
        command += ["--env", f"{variable}={value}" if variable in engines_own else variable]
    if entrypoint:
        # podman takes a list in JSON, docker one program: what follows it are arguments to both.
        command += ["--entrypoint", entrypoint[0]]
    command += [image, *entrypoint[1:], *arguments]
    return spec._replace(
        command=command,
        environment={**spec.environment, **engines_own},
        mounts=(),
        hosts=(),
        hidden=(),
        working_folder="/",
        remove=[command[0], "rm", "--force", "--time", "0", name]
        if engine == "podman"
        else [command[0], "rm", "--force", name],
    )


@functools.cache
def _works(engine: str) -> bool:
    wanted = "{{.Host.Arch}}" if engine == "podman" else "{{.ServerVersion}}"
    return bool((_ask(engine, "info", "--format", wanted) or "").strip())


def _ask(engine: str, *arguments: str) -> str | None:
    """What the engine prints; None where it fails or is not there."""
    command = [engine, *arguments]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=30, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None
