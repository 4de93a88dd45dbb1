"""Bytes in the home: data sets, models and code as plain folders, copied in aside and then renamed."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress

from ...core.errors import BadInput
from ...core.files.whole import new_folder, remove, removed_on_failure
from ...core.ports.store import MODEL, OUTPUT, Check, Copied, Part, Placed, SourceFile, Staged, unrecorded
from ...core.runs.run import Run
from .home import Home
from .runfolder import RunPaths

_ABANDONED = 3600.0
"""Seconds after which what a process that is no more has left aside is removed."""


class FolderStore:
    """The `Store` of a local yard. A copy shares blocks with its source where the file system can."""

    def __init__(self, home: Home) -> None:
        self._home = home

    def stage(self, path: str) -> Staged:
        """Copy `path` aside in the home; a file becomes a folder that holds it."""
        from ...machine.copying import copy_tree  # not on the way of every command

        def copy(target: str) -> Copied:
            place = target
            if os.path.isfile(path):
                os.mkdir(target)
                place = os.path.join(target, os.path.basename(path))
            return Copied(*copy_tree(path, place, read_only=True))

        return self.stage_model(copy)[0]

    def stage_model(self, fill: Callable[[str], Copied], address: str = "") -> tuple[Staged, Copied]:
        from ...core.files.trees import hash_tree  # not on the way of every command

        self._home.create()
        self._sweep()
        target = self._aside()
        with removed_on_failure(target):
            copied = fill(target)
            content = hash_tree(target)
        return Staged(target, f"sha256:{content.hash}", content.bytes, content.files), copied

    def discard(self, staged: Staged) -> None:
        remove(staged.address)

    def fetch(self, address: str, target: str, *, check: Check, version: str = "") -> tuple[int, int]:
        from ...machine.copying import copy_tree

        if not os.path.isdir(address):
            raise BadInput("is gone", where=address)
        with new_folder(target) as aside:
            copied = copy_tree(address, aside)
            check(aside)
        return copied

    def left(self, run: Run) -> Mapping[str, Part | str]:
        if not run.is_training:
            output = run.output or ""
            if not run.state.ended:
                return {OUTPUT: f"the run is {run.state}"}
            return {OUTPUT: self._part(output) if os.path.isdir(output) else f"{output} is gone"}
        from . import left  # not on the way of every command

        model = os.path.realpath(RunPaths(run.folder).model)
        published = {MODEL: self._part(model)} if os.path.isdir(model) else {}
        return {**left.of(run), **published}

    def _part(self, address: str) -> Part:
        return Part(lambda target: Copied(*self.fetch(address, target, check=unrecorded)))

    def keep_code(self, code: str, files: Sequence[SourceFile]) -> str:
        place = os.path.join(self._home.code, code)
        if os.path.isdir(place):
            return ""
        self._home.create()
        aside = self._aside()
        with removed_on_failure(aside):
            _copy_source(files, aside)
            _check_is(code, aside)
            try:
                os.rename(aside, place)
            except OSError:
                # Another command has just kept the same code.
                if not os.path.isdir(place):
                    raise
                remove(aside)
        return ""

    def publish(self, path: str) -> Placed:
        """The path itself: jobs are processes of this machine."""
        return Placed(path)

    def address(self, path: str) -> Placed:
        """The path itself."""
        return Placed(path)

    def _sweep(self) -> None:
        """Remove what a killed command left aside."""
        from ...machine import processes  # for pushes alone

        for name in os.listdir(self._home.aside):
            path, pid = os.path.join(self._home.aside, name), name.partition("-")[0]
            # A process of another container is not seen: what is young may be one's.
            with suppress(FileNotFoundError):
                is_old = time.time() - os.stat(path).st_mtime > _ABANDONED
                if is_old and pid.isdecimal() and not processes.start_time(int(pid)):
                    remove(path)

    def _aside(self) -> str:
        return os.path.join(self._home.aside, f"{os.getpid()}-{os.urandom(4).hex()}")


def _copy_source(files: Sequence[SourceFile], folder: str) -> None:
    from ...machine.copying import clone_or_copy

    os.mkdir(folder, 0o700)
    for file in files:
        target = os.path.join(folder, file.name)
        if "/" in file.name:
            os.makedirs(os.path.dirname(target), exist_ok=True)
        clone_or_copy(file.path, target)


def _check_is(code: str, folder: str) -> None:
    from ...core.files.trees import hash_source

    if hash_source(folder) != code:
        raise BadInput("the source changed while it was copied", cure="start the run once it is saved")
