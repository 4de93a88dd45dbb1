"""The port to bytes: a folder here, a prefix in S3 elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple, Protocol

from ..runs.run import Run

MODEL, OUTPUT, CHECKPOINTS = PARTS = ("model", "output", "checkpoints")
"""What a training run can leave; an inference run leaves its output."""


Check = Callable[[str], None]
"""Raises where a folder is not what was recorded."""


def unrecorded(_: str) -> None:
    """The check of what nothing was recorded of."""


class Staged(NamedTuple):
    """Something copied in but not yet in its place: where it lies, its content's hash and its size."""

    address: str
    hash: str
    bytes: int
    files: int


class Copied(NamedTuple):
    """What was copied: how many files, their bytes, and the names of what could not be."""

    files: int
    bytes: int
    lost: tuple[str, ...] = ()


class Part(NamedTuple):
    """Something that a run left. `fetch` copies it to a new folder, where what was copied before an error
    stays; `address` is where a version of a model may find it, "" where it has to be staged first."""

    fetch: Callable[[str], Copied]
    address: str = ""


class Placed(NamedTuple):
    """Where jobs find something, and the hash of what lies there (hex; "" where it is not known)."""

    address: str
    hash: str = ""


class SourceFile(NamedTuple):
    """A file of a source folder: its path within, where it lies, whether it is executable, its size."""

    name: str
    path: str
    executable: bool
    size: int


class Store(Protocol):
    """Where data sets, models and code lie."""

    def stage(self, path: str) -> Staged:
        """Copy the file or folder `path` in, aside; a later edit of `path` cannot reach the copy."""

    def discard(self, staged: Staged) -> None:
        """Forget what was staged; silent when it is gone."""

    def stage_model(self, fill: Callable[[str], Copied], address: str = "") -> tuple[Staged, Copied]:
        """The same of the new folder that `fill` makes, as a model; it stays at `address` if it has one."""

    def fetch(self, address: str, target: str, *, check: Check, version: str = "") -> tuple[int, int]:
        """Copy what lies at `address` to the new folder `target`, whole or not at all: (files, bytes).

        `check` is given the folder before it has its name, and may raise. `version` is that of the object, ""
        for the latest.
        """

    def left(self, run: Run) -> Mapping[str, Part | str]:
        """What the run has left so far, by name; a text says why there is none of that."""

    def keep_code(self, code: str, files: Sequence[SourceFile]) -> str:
        """Keep the source files under the hash `code`, where it is not known; the hash (hex) of the wheels
        that are kept beside them, "" for none."""

    def publish(self, path: str) -> Placed:
        """Where jobs of the yard find the local file or folder `path`, which is brought there where it is not
        there already; a URL stays as it is."""

    def address(self, path: str) -> Placed:
        """What `publish` would return, with nothing brought anywhere."""
