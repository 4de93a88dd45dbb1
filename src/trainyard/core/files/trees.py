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
from collections.abc import Iterable, Iterator
from typing import NamedTuple, Protocol

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


def hash_file(path: str) -> tuple[str, int]:
    """The sha256 (64 hexadecimal digits) of a file's content and its size in bytes, read as a stream."""
    # Loads OpenSSL, 4 ms, which what only asks for a tree's names need not wait for.
    import hashlib

    with open(path, "rb", buffering=0) as file:
        if os.fstat(file.fileno()).st_size <= _SMALL:
            content = file.readall()
            return hashlib.sha256(content).hexdigest(), len(content)
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
    # Loaded late for the sake of start-up, as in `hash_file`.
    import hashlib

    records, total = [], 0
    for file in files:
        records.append(b"%s\0%d\0%s\n" % (os.fsencode(file.relative), file.size, file.sha256.encode()))
        total += file.size
    return TreeHash(hashlib.sha256(b"".join(sorted(records))).hexdigest(), total, len(records))


def hash_tree(path: str) -> TreeHash:
    """The content hash of a file or folder. Raises as `hash_files` does."""
    return hash_of(hash_files(path))


def source_record(name: str, executable: bool, sha256: str) -> bytes:
    """What a file adds to the hash of a source folder, which knows executable bits: its path within, and the
    sha256 of its content in hexadecimal."""
    return f"{name}\0{int(executable)}\0{sha256}\n".encode("utf-8", "surrogateescape")


def _hashes(files: list[Entry]) -> list[tuple[str, int]]:
    paths = [entry.path for entry in files]
    cores, total = os.cpu_count() or 1, sum(entry.status.st_size for entry in files)
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
