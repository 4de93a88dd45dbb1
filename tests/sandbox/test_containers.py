"""Jobs whose image is on the machine run in a container of it: what the engine is asked, and what comes of
it.
"""

from __future__ import annotations

import itertools
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import RunningSandbox
from .training import Training

ENGINE = f"""#!{sys.executable} -IS
# Stands in for podman: notes what it is asked, and runs a container's command right here.
import json, os, sys
arguments = sys.argv[1:]
with open(os.path.join(os.path.dirname(sys.argv[0]), "asked"), "a") as asked:
    asked.write(json.dumps(arguments) + chr(10))
if arguments[0] == "info":
    print("amd64")
elif arguments[0] == "image":
    sys.exit(arguments[2] != "known:1")
elif arguments[0] == "run":
    place = arguments.index("known:1")
    command = arguments[place + 1:] or ["train"]
    if "--entrypoint" in arguments:
        command.insert(0, arguments[arguments.index("--entrypoint") + 1])
    try:
        os.execvp(command[0], command)
    except OSError:
        print("Error: crun: executable file `" + command[0] + "` not found in $PATH", file=sys.stderr)
        sys.exit(127)
"""


@pytest.fixture
def engine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a container engine that has the image `known:1`."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("podman", "docker"):
        path = folder / name
        path.write_text(ENGINE if name == "podman" else "#!/bin/sh\nexit 1\n")
        path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return folder


@pytest.fixture
def training(engine: Path, tmp_path: Path) -> Iterator[Training]:
    running = RunningSandbox(tmp_path)
    yield Training(running)
    running.end()


def asked(engine: Path, verb: str) -> list[list[str]]:
    """What the engine was asked with this verb."""
    lines = (engine / "asked").read_text().splitlines()
    return [arguments for arguments in map(json.loads, lines) if arguments[0] == verb]


def test_a_job_is_run_in_a_container_of_its_image(training: Training, engine: Path) -> None:
    image = {"TrainingImage": "known:1", "ContainerArguments": ["and more"]}
    name = training.create("echo run by $0; env", algorithm=image, hosts=2, Environment={"SECRET": "hidden"})
    training.completed(name)
    log = training.log(name)
    assert log.count("run by and more") == 2 and "SECRET=hidden" in log
    first = asked(engine, "run")[0]
    assert not [argument for argument in first if "hidden" in argument]
    options = dict(itertools.pairwise(first))
    assert options["--network"] == "host" and options["--pull"] == "never"
    assert options["--volume"].endswith(":/opt/ml:rw") and options["--entrypoint"] == "/bin/sh"
    hosts = [value for option, value in itertools.pairwise(first) if option == "--add-host"]
    assert hosts == ["algo-1:127.0.0.1", "algo-2:127.0.0.2"]
    assert sorted(each[-1] for each in asked(engine, "rm")) == [
        f"trainyard-{training.sandbox.mark}-training-{name}-algo-{number}" for number in (1, 2)
    ]


def test_the_images_own_entry_point_is_run_with_the_word_train(training: Training, engine: Path) -> None:
    algorithm = {"TrainingImage": "known:1", "ContainerEntrypoint": None}
    job = training.end_of(training.create("", algorithm=algorithm))
    assert asked(engine, "run")[0][-2:] == ["known:1", "train"]
    told = "crun: executable file `train` not found in $PATH"
    assert job["FailureReason"] == f"AlgorithmError: {told}, exit code: 127"


def test_an_image_that_is_not_there_is_run_in_a_namespace(training: Training, engine: Path) -> None:
    training.completed(training.create("true", algorithm={"TrainingImage": "unknown:1"}))
    assert not asked(engine, "run")
