"""A shard: its rows, in batches, through the handler into one part that appears whole or not at all."""

from __future__ import annotations

import os
import time
from contextlib import contextmanager, suppress
from typing import Any, Iterator

from .. import protocol
from ..rows import formats
from ..rows.parts import Writer
from ..storage import places
from ..storage.files import fingerprint, publish, remove, remove_temporaries, temporary_name
from ..storage.places import Written
from .handler import load
from .plan import Plan
from .plan import read as read_plan

PROGRESS_INTERVAL = 0.2


def part_name(plan: Plan, index: int) -> str:
    """`part-00000.csv`, with the suffix of the input's compression where it has one."""
    suffix = f".{plan['compression']}" if plan["compression"] else ""
    return f"{protocol.part_name(index)}.{plan['format']}{suffix}"


def run(spec: dict[str, Any]) -> None:
    """Write the part of shard `spec["index"]`, its result, then `spec["done"]`, an empty file.

    Leaves no temporary file behind.
    """
    plan = read_plan(spec["plan"])
    address = places.join(spec["output"], part_name(plan, spec["index"]))
    made = _send if places.is_remote(address) else _publish
    written, columns = made(spec, plan, address)
    planned = plan["shards"][spec["index"]]["rows"]
    result = {"index": spec["index"], "rows_in": planned, "rows_out": written.rows}
    result.update({"bytes": written.bytes, "sha256": written.sha256, "columns": columns})
    places.write_json(spec["result"], result)
    # A handler can end the process as if all were well: only this says that it is.
    with open(spec["done"], "w", encoding="ascii"):
        pass


def _publish(spec: dict[str, Any], plan: Plan, path: str) -> tuple[Written, list[str] | None]:
    """The part in a folder: written beside its place, and renamed."""
    os.makedirs(spec["output"], exist_ok=True)
    remove_temporaries(path)
    temporary = temporary_name(path, str(spec["attempt"]))
    try:
        rows, columns = write_part(spec, plan, temporary)
        size, digest = fingerprint(temporary)
        publish(temporary, path)
    except BaseException:
        remove(temporary)
        remove_temporaries(path)
        raise
    return Written(rows, size, digest), columns


def _send(spec: dict[str, Any], plan: Plan, address: str) -> tuple[Written, list[str] | None]:
    """The part on S3: written on this machine, and sent where no attempt has sent it before."""
    found = places.found_part(address)
    if found is not None:
        return found, None
    with places.scratch() as folder:
        path = os.path.join(folder, part_name(plan, spec["index"]))
        rows, columns = write_part(spec, plan, path)
        written = Written(rows, *fingerprint(path))
        return places.send_part(address, path, written), columns


def write_part(spec: dict[str, Any], plan: Plan, path: str) -> tuple[int, list[str] | None]:
    """Predict the shard's rows into the file `path`; gives their number and the columns (JSON Lines: None).

    A shard without rows does not load the handler.
    """
    shard = plan["shards"][spec["index"]]
    form = formats.load(plan["format"])
    reader = form.reader(plan["shape"])
    writer = form.writer(path, plan["compression"], plan["shape"])
    done = 0
    with Progress(spec.get("progress")) as progress, _discarded_on_failure(writer):
        if shard["rows"]:
            handler = load(spec["code"], spec["handler"], spec["model_dir"])
            for batch in reader.batches(plan["files"], shard["pieces"], spec["batch_size"]):
                writer.write(batch, handler.predict(batch, reader, spec["index"]))
                done += batch.size
                progress.tell(done)
        written = writer.close()
    return done, written


@contextmanager
def _discarded_on_failure(writer: Writer) -> Iterator[None]:
    try:
        yield
    except BaseException:
        # What is left to be written may not find room either; why it failed is what is to be told.
        with suppress(Exception):
            writer.discard()
        raise


class Progress:
    """The number of rows done, in a file of one line rewritten in place; no file when `path` is None."""

    def __init__(self, path: str | None) -> None:
        self._file = None if path is None else os.open(path, os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o644)
        self._written = time.monotonic()
        self._rows = 0

    def tell(self, rows: int) -> None:
        """Note the rows done; writes at most once in PROGRESS_INTERVAL seconds."""
        self._rows = rows
        now = time.monotonic()
        if now - self._written >= PROGRESS_INTERVAL:
            self._written = now
            self._write()

    def _write(self) -> None:
        if self._file is not None:
            os.pwrite(self._file, b"%020d\n" % self._rows, 0)

    def __enter__(self) -> Progress:
        self._write()
        return self

    def __exit__(self, *error: object) -> None:
        self._write()
        if self._file is not None:
            os.close(self._file)
