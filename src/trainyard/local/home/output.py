"""The folder of an inference run's predictions: whose it is, so that nothing of anybody's is overwritten."""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress

from ...core.errors import BadInput, TrainyardError
from ...core.files.oserrors import no_room
from ...core.runs.run import Run
from ...worker.errors import is_disk_full
from ...worker.protocol import OUTPUT_MANIFEST, PART


@contextmanager
def reserve(run: Run, has_ended: Callable[[str], bool]) -> Iterator[None]:
    """Make the output folder the run's own; given back, where it is new, when the block fails.

    A folder in which a run that has ended left nothing but its manifest is as good as empty. Raises
    `BadInput` for one with something else in it.
    """
    if run.output is None:
        yield
        return
    existed = os.path.isdir(run.output)
    with _alone(run.output):
        is_new = _take(run.output, run.id, has_ended)
        try:
            yield
        except BaseException:
            if is_new:
                os.unlink(os.path.join(run.output, OUTPUT_MANIFEST))
                if not existed:
                    os.rmdir(run.output)
            raise


@contextmanager
def _alone(folder: str) -> Iterator[None]:
    """Hold off others who would take the folder, until the run is written down: then they can see that it has
    not ended."""
    try:
        os.makedirs(folder, exist_ok=True)
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError as error:
        raise _refused(folder, error) from None
    try:
        # A file system that knows no locks has the manifest, which only one of two can make.
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def _refused(folder: str, error: OSError) -> TrainyardError:
    if isinstance(error, FileExistsError):
        problem = "another run is writing there, or it is no folder"
        return BadInput(problem, where=folder, cure="name another folder")
    if is_disk_full(error):
        return no_room(folder)
    return BadInput(f"cannot be written: {error.strerror}", where=folder, key="--output")


def _take(folder: str, run_id: str, has_ended: Callable[[str], bool]) -> bool:
    """Whether the folder was taken now; False where the run has it already."""
    manifest = os.path.join(folder, OUTPUT_MANIFEST)
    try:
        content = os.listdir(folder)
        owner = _run_of(manifest)
        if content and owner == run_id:
            return False
        if content and not (_is_bare(content) and owner and has_ended(owner)):
            whose = f", of the run {owner}" if owner else ""
            problem = f"the output folder has something else in it{whose}"
            raise BadInput(problem, where=folder, cure="name a new or empty folder")
        for name in content:
            os.unlink(os.path.join(folder, name))
        # Made only where it is absent: of two runs for one folder, one is refused.
        with open(manifest, "x", encoding="utf-8") as stream:
            json.dump({"run": run_id}, stream)
            stream.write("\n")
    except OSError as error:
        raise _refused(folder, error) from None
    return True


def _is_bare(content: Sequence[str]) -> bool:
    """Whether there is nothing but the manifest and what a killed shard wrote aside."""
    return all(name == OUTPUT_MANIFEST or name.startswith(f".{PART}") for name in content)


def _run_of(manifest: str) -> str:
    try:
        with open(manifest, encoding="utf-8") as stream:
            return str(json.load(stream).get("run") or "")
    except (OSError, ValueError, AttributeError):
        return ""
