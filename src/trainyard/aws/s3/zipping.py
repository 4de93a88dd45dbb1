"""What travels to a job as one file: its source, and the worker. The same content makes the same bytes."""

from __future__ import annotations

import functools
import hashlib
import io
import os
import zipfile
from collections.abc import Iterable, Sequence
from typing import IO, NamedTuple

from ... import worker
from ...core.errors import BadInput
from ...core.ports.store import SourceFile
from ...worker.storage.content import source_record

_TIME = (1980, 1, 1, 0, 0, 0)
"""A zip file's earliest: when a file was written is no part of what it is."""
_LEVEL = 6
"""zlib's own default, said so that it stays."""


class Packed(NamedTuple):
    """A zip file and its SHA-256 (hex)."""

    content: bytes
    sha256: str


def write_source(files: Sequence[SourceFile], code: str, target: str) -> None:
    """Make `target` a zip file of the source, with executable bits. `code` is the source's hash.

    Raises `BadInput` for a source that has changed since, and for a name that is no UTF-8; OSError.
    """
    with open(target, "wb") as stream:
        packed = _pack(stream, [(file.name, file.path, file.executable) for file in files])
    if packed != code:
        raise BadInput("the source changed while it was packed", cure="do it again once it stays as it is")


@functools.cache
def worker_archive() -> Packed:
    """The worker as a zip file that Python executes."""
    folder = os.path.dirname(os.path.abspath(worker.__file__))
    paths = sorted(
        os.path.join(parent, name)
        for parent, _, names in os.walk(folder)
        for name in names
        if name.endswith(".py")
    )
    stream = io.BytesIO()
    _pack(stream, [(os.path.relpath(path, folder), path, False) for path in paths])
    content = stream.getvalue()
    return Packed(content, hashlib.sha256(content).hexdigest())


def _pack(stream: IO[bytes], files: Iterable[tuple[str, str, bool]]) -> str:
    """Write a zip file of (name, path, whether executable), and hash what went into it."""
    digest = hashlib.sha256()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, path, executable in files:
            entry = zipfile.ZipInfo(_entry_name(name, path), _TIME)
            entry.create_system = 3  # Unix, wherever it is made: executable bits are kept
            entry.external_attr = (0o100755 if executable else 0o100644) << 16
            with open(path, "rb") as file:
                content = file.read()
            archive.writestr(entry, content, zipfile.ZIP_DEFLATED, _LEVEL)
            digest.update(source_record(name, executable, hashlib.sha256(content).hexdigest()))
    return digest.hexdigest()


def _entry_name(name: str, path: str) -> str:
    try:
        name.encode()
    except UnicodeEncodeError:
        where = os.fsencode(path).decode(errors="replace")
        raise BadInput("its name is no UTF-8", where=where, cure="rename it") from None
    return name
