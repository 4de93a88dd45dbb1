"""What is collected of a job: what the job itself could have read below `/opt/ml`, whatever links it left."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from trainyard.machine.jobfiles import JobFile, collect


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The folder of the machine that is a job's `/opt/ml`, with secrets of the machine around it."""
    root = tmp_path / "ml"
    for folder in (root / "model", root / "output" / "data", tmp_path / "secrets"):
        folder.mkdir(parents=True)
    (root / "output" / "data" / "mine").write_text("mine")
    (tmp_path / "secrets" / "key").write_text("secret")
    return root


def collected(root: Path) -> dict[str, bytes]:
    """The files of its model by their paths, and what they hold."""
    found = collect([JobFile(str(root), "model")])
    contents = {}
    for name, file in found.items():
        with file.open() as opened:
            contents[name] = opened.read()
    return contents


@pytest.mark.parametrize(
    "target", ["/opt/ml/output/data/mine", "../output/data/mine", "/opt/ml/model/b", "b"]
)
def test_a_link_to_a_file_of_the_jobs_is_that_file(root: Path, target: str) -> None:
    (root / "model" / "a").symlink_to(target)
    (root / "model" / "b").symlink_to("../output/../output/data/mine")
    assert collected(root) == {"a": b"mine", "b": b"mine"}


@pytest.mark.parametrize(
    "target",
    [
        "{outside}/key",
        "{outside}",
        "../../secrets/key",
        "../../secrets",
        "/",
        "/opt/ml/../../etc/passwd",
        "/opt/mlx",
    ],
)
def test_a_link_out_of_opt_ml_leads_nowhere(root: Path, target: str) -> None:
    (root / "model" / "own").write_text("own")
    (root / "model" / "link").symlink_to(target.format(outside=root.parent / "secrets"))
    (root / "model" / "chain").symlink_to("link")
    (root / "model" / "through").symlink_to("link/key")
    assert collected(root) == {"own": b"own"}


def test_the_folder_itself_may_be_a_link_too(root: Path) -> None:
    (root / "model").rmdir()
    (root / "model").symlink_to("/opt/ml/output/data")
    assert collected(root) == {"mine": b"mine"}
    (root / "model").unlink()
    (root / "model").symlink_to(root.parent / "secrets")
    assert collected(root) == {}


def test_circles_pipes_and_links_without_end_are_no_files(root: Path) -> None:
    model = root / "model"
    (model / "circle").symlink_to(".")
    (model / "self").symlink_to("self")
    os.mkfifo(model / "pipe")
    (model / "e").mkdir()
    (model / "e" / "own").write_text("own")
    assert collected(root) == {"e/own": b"own"}


def test_a_link_that_takes_the_place_of_a_file_meanwhile_is_not_followed(root: Path) -> None:
    """What was a file when the folder was listed is a link when it is read."""
    (root / "model" / "a").write_text("own")
    [file] = collect([JobFile(str(root), "model")]).values()
    (root / "model" / "a").unlink()
    (root / "model" / "a").symlink_to(root.parent / "secrets" / "key")
    with pytest.raises(OSError):
        file.open()


@pytest.mark.parametrize("mode", [0o000, 0o200])
def test_what_a_script_forbade_is_read_and_nothing_else_is_opened_up(root: Path, mode: int) -> None:
    """SageMaker is root in the container. A link changes no mode of what it leads to."""
    secret = root.parent / "secrets" / "key"
    secret.chmod(0o200)
    (root / "model" / "link").symlink_to(secret)
    own = root / "model" / "own"
    own.write_text("own")
    own.chmod(mode)
    assert collected(root) == {"own": b"own"}
    assert secret.stat().st_mode & 0o777 == 0o200
