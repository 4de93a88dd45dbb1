"""The files of an input: which there are, what is in them, how they are opened."""

from __future__ import annotations

import bz2
import errno
import gzip
import lzma
import os
import stat
import zlib
from contextlib import contextmanager
from typing import IO, Any, Iterator, NamedTuple, TypedDict, cast

from .errors import InputError

FORMATS = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet"}
COMPRESSIONS = {".gz": "gz", ".bz2": "bz2", ".xz": "xz"}
# Errors that tell of the file itself; others (a failing disk, a lost mount) may pass on a retry.
_LASTING = {None, errno.ENOENT, errno.EACCES, errno.EPERM, errno.EISDIR, errno.ENOTDIR, errno.ELOOP}
_UNREADABLE = (OSError, EOFError, zlib.error, lzma.LZMAError)


class Source(NamedTuple):
    """One input file; `name` is its path below the input, as messages call it."""

    path: str
    name: str
    format: str
    compression: str


class PlannedFile(TypedDict):
    """A file as the plan saw it. `compression` is "", "gz", "bz2" or "xz"."""

    path: str
    name: str
    compression: str
    size: int
    mtime_ns: int
    rows: int


def find(root: str) -> list[Source]:
    """The files of the input `root`, a file or a folder, by relative path; names in `.` or `_` are left out.

    Raises InputError when there are none, one is of no known format, or their formats differ.
    """
    root = os.path.abspath(root)
    if not os.path.exists(root):
        raise InputError(f"{root}: there is no such file or folder; name an input that exists")
    if os.path.isdir(root):
        sources = [_source(os.path.join(root, name), name) for name in _names(root)]
    else:
        sources = [_source(root, os.path.basename(root))]
    if not sources:
        raise InputError(f"{root}: no input files; put CSV, JSON Lines or Parquet files there")
    for source in sources:
        if source.format != sources[0].format:
            raise InputError(
                f"{source.name} is {source.format} but {sources[0].name} is {sources[0].format}; "
                "give each format a folder of its own"
            )
    return sources


def _names(root: str) -> list[str]:
    found: list[str] = []
    seen = set()
    for folder, folders, names in os.walk(root, onerror=_refuse, followlinks=True):
        facts = os.stat(folder)
        if (facts.st_dev, facts.st_ino) in seen:
            folders.clear()
            continue
        seen.add((facts.st_dev, facts.st_ino))
        folders[:] = sorted(name for name in folders if name[0] not in "._")
        found += [os.path.relpath(os.path.join(folder, n), root) for n in names if n[0] not in "._"]
    return sorted(found)


def _refuse(error: OSError) -> None:
    raise InputError(f"{error.filename}: cannot be read ({error.strerror}); make it readable")


def _source(path: str, name: str) -> Source:
    stem, suffix = os.path.splitext(name.lower())
    compression = COMPRESSIONS.get(suffix, "")
    if compression:
        suffix = os.path.splitext(stem)[1]
    form = FORMATS.get(suffix, "")
    if not form or (compression and form == "parquet"):
        raise InputError(
            f"{name}: not an input file; its name must end in .csv, .jsonl or .ndjson (with .gz, .bz2 or .xz "
            "when compressed) or .parquet, or begin with _ to be left out"
        )
    try:
        regular = stat.S_ISREG(os.stat(path).st_mode)
    except OSError as error:
        raise InputError(f"{name}: cannot be read ({error.strerror}); make it readable") from None
    if not regular:
        raise InputError(f"{name}: not a regular file; copy its content into one")
    return Source(path, name, form, compression)


def describe(source: Source) -> PlannedFile:
    """The file as it stands now, its rows still to be counted."""
    with readable(source.name):
        facts = os.stat(source.path)
    return PlannedFile(
        path=source.path,
        name=source.name,
        compression=source.compression,
        size=facts.st_size,
        mtime_ns=facts.st_mtime_ns,
        rows=0,
    )


@contextmanager
def unchanged(file: PlannedFile) -> Iterator[None]:
    """Raises InputError when the file is, before or after the block, not the one that was planned."""
    _check(file)
    yield
    _check(file)


def _check(file: PlannedFile) -> None:
    try:
        facts = os.stat(file["path"])
        same = (facts.st_size, facts.st_mtime_ns) == (file["size"], file["mtime_ns"])
    except FileNotFoundError:
        same = False
    if not same:
        raise changed(file["name"])


def changed(name: str) -> InputError:
    """The error for an input that did not stay as it was planned."""
    return InputError(
        f"{name} changed while the run was going on; run it again on files that stay as they are"
    )


@contextmanager
def readable(name: str) -> Iterator[None]:
    """Turns what the block says of an unreadable or damaged file into an InputError that names it."""
    try:
        yield
    except _UNREADABLE as error:
        if getattr(error, "errno", None) not in _LASTING:
            raise
        what = getattr(error, "strerror", None) or str(error) or "it ends too early"
        raise InputError(f"{name}: cannot be read ({what}); check the file") from error


def open_plain(path: str, compression: str, mode: str = "rb") -> IO[bytes]:
    """The plain bytes of a file that may be compressed; `mode` is "rb" or "wb".

    Equal bytes compress equally.
    """
    if compression == "gz":
        raw = open(path, mode)  # noqa: SIM115 - closed with the wrapper
        return cast("IO[bytes]", _Gzip(raw, mode))
    if compression == "bz2":
        return cast("IO[bytes]", bz2.open(path, mode))
    if compression == "xz":
        return cast("IO[bytes]", lzma.open(path, mode))
    return cast("IO[bytes]", open(path, mode))


class _Gzip(gzip.GzipFile):
    """A gzip file that carries no name and no time, and closes the file below it."""

    def __init__(self, raw: Any, mode: str) -> None:
        self._raw = raw
        super().__init__(filename="", mode=mode, compresslevel=6, fileobj=raw, mtime=0)

    def close(self) -> None:
        try:
            super().close()
        finally:
            self._raw.close()
