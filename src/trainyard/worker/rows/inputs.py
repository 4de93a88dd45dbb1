"""The files of an input: which there are, what is in them, how they are opened."""

from __future__ import annotations

import bz2
import errno
import gzip
import io
import lzma
import os
import stat
import zlib
from contextlib import contextmanager
from typing import IO, Any, Iterator, NamedTuple, Sequence, TypedDict, cast

from ..errors import InputError, Unmet
from ..storage import places

FORMATS = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet"}
COMPRESSIONS = {".gz": "gz", ".bz2": "bz2", ".xz": "xz"}
# Errors that tell of the file itself; others (a failing disk, a lost mount) may pass on a retry.
_LASTING = {None, errno.ENOENT, errno.EACCES, errno.EPERM, errno.EISDIR, errno.ENOTDIR, errno.ELOOP}
_UNREADABLE = (OSError, EOFError, zlib.error, lzma.LZMAError)


class Source(NamedTuple):
    """One input file; `name` is its path below the input, as messages call it.

    `facts` are the size in bytes and the ETag of an object on S3, where a listing has told them.
    """

    path: str
    name: str
    format: str
    compression: str
    facts: tuple[int, str] | None = None


class _Planned(TypedDict):
    path: str
    name: str
    compression: str
    size: int
    mtime_ns: int
    rows: int


class PlannedFile(_Planned, total=False):
    """A file as the plan saw it. `compression` is "", "gz", "bz2" or "xz".

    `etag` stands for the time of an object on S3, and `path` is its address.
    """

    etag: str


def find(root: str) -> list[Source]:
    """The files of the input `root`, a file or a folder (on S3: an object or a prefix), by relative path;
    names in `.` or `_` are left out.

    Raises InputError when there are none, one is of no known format, or their formats differ.
    """
    sources = _objects(root) if places.is_remote(root) else _files(os.path.abspath(root))
    if not sources:
        raise InputError(f"{root}: no input files; put CSV, JSON Lines or Parquet files there")
    for source in sources:
        if source.format != sources[0].format:
            raise InputError(
                f"{source.name} is {source.format} but {sources[0].name} is {sources[0].format}; "
                "give each format a folder of its own"
            )
    return sources


def _files(root: str) -> list[Source]:
    if not os.path.exists(root):
        raise InputError(f"{root}: there is no such file or folder; name an input that exists")
    if not os.path.isdir(root):
        return [_regular(_source(root, os.path.basename(root)))]
    return [_regular(_source(os.path.join(root, name), name)) for name in _names(root)]


def _objects(root: str) -> list[Source]:
    return [
        _source(found.address, found.name)._replace(facts=(found.size, found.etag))
        for found in places.objects(root)
        if found.address == root or not any(part[:1] in ("", ".", "_") for part in found.name.split("/"))
    ]


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
    return Source(path, name, form, compression)


def _regular(source: Source) -> Source:
    try:
        regular = stat.S_ISREG(os.stat(source.path).st_mode)
    except OSError as error:
        raise InputError(f"{source.name}: cannot be read ({error.strerror}); make it readable") from None
    if not regular:
        raise InputError(f"{source.name}: not a regular file; copy its content into one")
    return source


def describe(source: Source) -> PlannedFile:
    """The file as it stands now, its rows still to be counted; an object as it was listed."""
    if source.facts:
        size, etag = source.facts
        return PlannedFile(
            path=source.path,
            name=source.name,
            compression=source.compression,
            size=size,
            mtime_ns=0,
            rows=0,
            etag=etag,
        )
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
    """Raises InputError when the file is, before or after the block, not the one that was planned.

    Of an object on S3, every byte is asked for on the condition that it is still that one.
    """
    if places.is_remote(file["path"]):
        yield
        return
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
    except Unmet:
        raise changed(name) from None
    except _UNREADABLE as error:
        if getattr(error, "errno", None) not in _LASTING:
            raise
        what = getattr(error, "strerror", None) or str(error) or "it ends too early"
        raise InputError(f"{name}: cannot be read ({what}); check the file") from error


def open_planned(file: PlannedFile, end: int | None = None, *, now: bool = False) -> IO[bytes]:
    """The plain bytes of a planned file.

    Of an object on S3 nothing beyond byte `end` is fetched ahead, and its beginning at once with `now`.
    """
    if not places.is_remote(file["path"]):
        return open_plain(file["path"], file["compression"])
    limit = None if file["compression"] else end
    raw = places.open_object(file["path"], file["size"], file["etag"], end=limit, now=now)
    return _plain(raw, file["compression"])


class Streams:
    """The plain bytes of planned files, opened in their order; on S3 the next few are on their way."""

    _AHEAD = 8

    def __init__(self, files: Sequence[PlannedFile]) -> None:
        self._files = files
        self._ahead: dict[int, IO[bytes]] = {}

    def open(self, index: int) -> IO[bytes]:
        """The stream of a file, to be closed by who asked for it."""
        if places.is_remote(self._files[index]["path"]):
            for later in range(index, min(index + self._AHEAD, len(self._files))):
                if later not in self._ahead:
                    self._ahead[later] = open_planned(self._files[later], now=True)
        return self._ahead.pop(index, None) or open_planned(self._files[index])

    def __enter__(self) -> Streams:
        return self

    def __exit__(self, *error: object) -> None:
        for stream in self._ahead.values():
            stream.close()


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


def _plain(raw: IO[bytes], compression: str) -> IO[bytes]:
    """What a compressed stream holds; it is closed with it."""
    if compression == "gz":
        return cast("IO[bytes]", _Gzip(raw, "rb"))
    if compression == "bz2":
        return cast("IO[bytes]", _Bzip2(raw))
    if compression == "xz":
        return cast("IO[bytes]", _Xz(raw))
    return raw


class _Closing(io.IOBase):
    """Closes the stream below, too."""

    _raw: IO[bytes]

    def close(self) -> None:
        try:
            super().close()
        finally:
            self._raw.close()


class _Gzip(_Closing, gzip.GzipFile):
    """A gzip file that carries no name and no time, and closes the file below it."""

    def __init__(self, raw: Any, mode: str) -> None:
        self._raw = raw
        super().__init__(filename="", mode=mode, compresslevel=6, fileobj=raw, mtime=0)


class _Bzip2(_Closing, bz2.BZ2File):
    """A bzip2 file that closes the stream below it."""

    def __init__(self, raw: IO[bytes]) -> None:
        self._raw = raw
        super().__init__(raw)


class _Xz(_Closing, lzma.LZMAFile):
    """An xz file that closes the stream below it."""

    def __init__(self, raw: IO[bytes]) -> None:
        self._raw = raw
        super().__init__(raw)
