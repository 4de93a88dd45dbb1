"""The folder of an inference run's predictions: whose it is, so that nothing of anybody's is overwritten."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager

from ...core.errors import BadInput
from ...core.files.oserrors import no_room
from ...core.runs.run import Run
from ...worker.errors import is_disk_full
from ...worker.protocol import OUTPUT_MANIFEST


@contextmanager
def reserve(run: Run) -> Iterator[None]:
    """Make the output folder the run's own; given back, where it is new, when the block fails.

    Raises `BadInput` for a folder with something else in it.
    """
    if run.output is None:
        yield
        return
    existed = os.path.isdir(run.output)
    is_new = _take(run.output, run.id)
    try:
        yield
    except BaseException:
        if is_new:
            os.unlink(os.path.join(run.output, OUTPUT_MANIFEST))
            if not existed:
                os.rmdir(run.output)
        raise


def _take(folder: str, run_id: str) -> bool:
    """Whether the folder was taken now; False where the run has it already."""
    try:
        os.makedirs(folder, exist_ok=True)
        content = os.listdir(folder)
        if content and not _is_of(folder, run_id):
            raise BadInput(
                "the output folder has something else in it", where=folder, cure="name a new or empty folder"
            )
        if content:
            return False
        # Made only where it is absent: of two runs for one folder, one is refused.
        with open(os.path.join(folder, OUTPUT_MANIFEST), "x", encoding="utf-8") as stream:
            json.dump({"run": run_id}, stream)
            stream.write("\n")
    except FileExistsError:
        raise BadInput(
            "another run is writing there, or it is no folder", where=folder, cure="name another folder"
        ) from None
    except OSError as error:
        if is_disk_full(error):
            raise no_room(folder) from None
        raise BadInput(f"cannot be written: {error.strerror}", where=folder, key="--output") from None
    return True


def _is_of(folder: str, run_id: str) -> bool:
    try:
        with open(os.path.join(folder, OUTPUT_MANIFEST), encoding="utf-8") as stream:
            return bool(json.load(stream).get("run") == run_id)
    except (OSError, ValueError, AttributeError):
        return False
