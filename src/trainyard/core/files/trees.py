"""Folders as content: what lies beneath one, and the hash that names it.

**The content hash**, so that others can reproduce it: for every file beneath a folder, at any depth, one
record of its path relative to the folder (bytes, `/` between parts), a NUL byte, its size in decimal, a
NUL byte, the lowercase hexadecimal sha256 of its content, and a newline; the records sorted by bytes; the
sha256 of their concatenation, in lowercase hexadecimal. A single file counts as a folder that holds it
alone, under its own name. Times, modes and empty folders do not count. Symbolic links are followed.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any, NamedTuple, Protocol

from ...worker.storage import content
from ..errors import BadInput

_SMALL = 1 << 20
_WORTH_THREADS = 16 << 20  # bytes in all, in files of a quarter of a mebibyte or more on average


class TreeHash(NamedTuple):
    """What a file or folder holds: the content hash (64 hexadecimal digits), bytes, and number of files."""

    hash: str
    bytes: int
    files: int


class Entry(NamedTuple):
    """A folder or file beneath a root: its path relative to it, its path, and what it was like, links
    followed."""

    relative: str
    path: str
    status: os.stat_result


class Hashed(Protocol):
    """What a file adds to the hash of a tree: its path in it, its bytes, its sha256."""

    @property
    def relative(self) -> str: ...

    @property
    def size(self) -> int: ...

    @property
    def sha256(self) -> str: ...


class HashedFile(NamedTuple):
    """A file and its content: its path relative to the root, its path, its size in bytes, its sha256 (64
    hexadecimal digits), and what it was like just before it was read."""

    relative: str
    path: str
    size: int
    sha256: str
    status: os.stat_result

    @property
    def is_changed(self) -> bool:
        """Whether the file is another now than when it was read, or is gone."""
        try:
            now = os.stat(self.path)
        except OSError:
            return True
        return _state(now) != _state(self.status)


def walk(root: str) -> Iterator[Entry]:
    """Every folder and file beneath `root`, a folder before what it holds.

    Symbolic links are followed. Raises BadInput for sockets, pipes, devices, broken links and links that go
    in circles.
    """
    if os.path.exists(root) and not os.path.isdir(root):
        raise BadInput("neither a file nor a folder", where=root)
    pending = [("", root, {_identity(os.stat(root))})]
    while pending:
        prefix, folder, above = pending.pop()
        with os.scandir(folder) as entries:
            found = sorted(entries, key=lambda entry: entry.name)
        for entry in found:
            status = _status(entry)
            yield Entry(prefix + entry.name, entry.path, status)
            if stat.S_ISDIR(status.st_mode):
                if _identity(status) in above:
                    raise BadInput("a symbolic link leads back to a folder above it", where=entry.path)
                pending.append((f"{prefix}{entry.name}/", entry.path, above | {_identity(status)}))


def is_within(path: str, folder: str) -> bool:
    """Whether one real path is the other or lies beneath it."""
    return path == folder or path.startswith(os.path.join(folder, ""))


def leads_out(root: str) -> bool:
    """Whether a relative link beneath the folder `root` steps out of it, so that it leads elsewhere where the
    folder is mounted in another place.

    Reads each folder once, and only links any closer. Raises BadInput for a link that leads nowhere or in
    circles, as `walk` does.
    """
    found = False
    for entry, depth in _links(root):
        _status(entry)
        found = found or _steps_out(os.readlink(entry.path), depth)
    return found


def told_of_links_out(root: str) -> str:
    """A line about the links beneath the folder `root` by which something from elsewhere is taken for a part
    of it; "" where there are none. Raises OSError for what cannot be read."""
    real = os.path.realpath(root)
    found = [entry for entry, _ in _links(real) if not is_within(os.path.realpath(entry.path), real)]
    if not found:
        return ""
    first = min(found, key=lambda entry: entry.path)
    others = f" and {len(found) - 1:,} more" if len(found) > 1 else ""
    way = f"{os.path.relpath(first.path, real)} to {os.path.realpath(first.path)}{others}"
    return f"{root}: links lead out of the folder, {way}: what they lead to goes along"


def _links(root: str) -> Iterator[tuple[os.DirEntry[str], int]]:
    """Every link beneath the folder `root`, and how many folders below it; what they lead to is not read."""
    pending = [(os.path.realpath(root), 0)] if os.path.isdir(root) else []
    while pending:
        folder, depth = pending.pop()
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.is_symlink():
                    yield entry, depth
                elif entry.is_dir(follow_symlinks=False):
                    pending.append((entry.path, depth + 1))


def _steps_out(destination: str, depth: int) -> bool:
    """Whether a link so many folders below the root steps above it. One that turns back on its way counts,
    since what stands before may be a link itself."""
    if os.path.isabs(destination):
        return False
    steps = [step for step in destination.split("/") if step not in ("", os.curdir)]
    ups = next((index for index, step in enumerate(steps) if step != os.pardir), len(steps))
    return ups > depth or os.pardir in steps[ups:]


def hash_file(path: str) -> tuple[str, int]:
    """The sha256 (64 hexadecimal digits) of a file's content and its size in bytes, read as a stream."""
    with open(path, "rb", buffering=0) as file:
        if os.fstat(file.fileno()).st_size <= _SMALL:
            content, digest = file.readall(), sha256()
            digest.update(content)
            return digest.hexdigest(), len(content)
        import hashlib  # loads OpenSSL, 4 ms

        digest = hashlib.file_digest(file, "sha256")
        return digest.hexdigest(), file.tell()


def hash_files(path: str) -> list[HashedFile]:
    """The file `path`, or every file beneath the folder `path`, with the hash of its content.

    Raises BadInput as `walk` does, and OSError for what cannot be read.
    """
    if os.path.isfile(path):
        files = [Entry(os.path.basename(os.path.abspath(path)), path, os.stat(path))]
    else:
        files = [entry for entry in walk(path) if not stat.S_ISDIR(entry.status.st_mode)]
    return [
        HashedFile(entry.relative, entry.path, size, digest, entry.status)
        for entry, (digest, size) in zip(files, _hashes(files), strict=True)
    ]


def hash_of(files: Iterable[Hashed]) -> TreeHash:
    """The content hash of all these files together, as this module's docstring defines it."""
    records, total = [], 0
    for file in files:
        records.append(content.record(file.relative, file.size, file.sha256))
        total += file.size
    digest = sha256()
    digest.update(b"".join(sorted(records)))
    return TreeHash(digest.hexdigest(), total, len(records))


def hash_tree(path: str) -> TreeHash:
    """The content hash of a file or folder. Raises as `hash_files` does."""
    return hash_of(hash_files(path))


def sha256() -> Any:
    """A SHA-256 to feed, as `hashlib` has it: Python's own where OpenSSL's, which is faster and takes 4 ms to
    load, is not there yet."""
    # As `random` does: 3.12 has it under the first name, 3.11 under the second, some builds under neither.
    for module in ("_sha2", "_sha256"):
        with suppress(ImportError):
            if "hashlib" not in sys.modules:
                return __import__(module).sha256()
    import hashlib

    return hashlib.sha256()


def source_hash(files: Iterable[tuple[str, str, bool]]) -> str:
    """The hash (64 hexadecimal digits) that names a source folder: SHA-256 over the `source_record` of each
    file, given as its name within, its path and whether it is executable, by their names."""
    digest = sha256()
    for name, path, executable in sorted(files):
        digest.update(content.source_record(name, executable, hash_file(path)[0]))
    return str(digest.hexdigest())


def hash_source(folder: str) -> str:
    """The `source_hash` of all that is in a folder. Raises as `walk` does, and OSError."""
    return source_hash(
        (entry.relative, entry.path, bool(entry.status.st_mode & 0o100))
        for entry in walk(folder)
        if not stat.S_ISDIR(entry.status.st_mode)
    )


def check(folder: str, recorded: str, *, where: str = "", cure: str = "") -> None:
    """Return where a folder has the content that was recorded (`sha256:…`; "" for nothing).

    Raises `BadInput` with both hashes where it has not, for what lies at `where`, and as `hash_tree` does.
    """
    if recorded:
        check_hash(hash_tree(folder).hash, recorded, where=where or folder, cure=cure)


def check_hash(found: str, recorded: str, *, where: str, cure: str = "") -> None:
    """Raise `BadInput` with both hashes where they differ."""
    wanted = recorded.removeprefix("sha256:")
    if found != wanted:
        raise BadInput(content.altered(found, wanted), where=where, cure=cure or "nothing of it was used")


def _hashes(files: list[Entry]) -> list[tuple[str, int]]:
    paths = [entry.path for entry in files]
    cores, total = os.cpu_count() or 1, sum(entry.status.st_size for entry in files)
    if total > _SMALL:
        import hashlib  # noqa: F401 - OpenSSL's is worth loading, and `sha256` then takes it
    if cores == 1 or total < _WORTH_THREADS or total < len(files) << 18 or len(files) == 1:
        return [hash_file(path) for path in paths]
    # sha256 lets other threads run; the import is not worth it for less than what hashing takes.
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(min(cores, 8)) as pool:
        return list(pool.map(hash_file, paths))


def _state(status: os.stat_result) -> tuple[int, ...]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _status(entry: os.DirEntry[str]) -> os.stat_result:
    try:
        status = entry.stat()
    except FileNotFoundError:
        raise BadInput("a symbolic link leads nowhere", where=entry.path, cure="remove it") from None
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise BadInput("a symbolic link goes in circles", where=entry.path, cure="remove it") from None
        raise
    if not (stat.S_ISDIR(status.st_mode) or stat.S_ISREG(status.st_mode)):
        raise BadInput("neither a file nor a folder", where=entry.path, cure="remove it")
    return status
