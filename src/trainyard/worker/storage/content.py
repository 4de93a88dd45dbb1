"""What was recorded of a source, a data set or a model is its content hash, and here it is hashed again.

How the hash of a folder is made is told in `trainyard.core.files.trees`, whose records these are.
"""

from __future__ import annotations

import os
import stat
from typing import Callable, Iterable, Iterator, NamedTuple

from ..errors import InputError

_WORTH_THREADS = 16 << 20
_MOST_THREADS = 8


class Content(NamedTuple):
    """A file of a folder: its path in it, its bytes, its SHA-256 (64 hexadecimal digits)."""

    relative: str
    size: int
    sha256: str


class Unfollowable(Exception):
    """A link in a folder that leads nowhere or in circles: `relative` in the folder, and the problem."""

    def __init__(self, relative: str, problem: str) -> None:
        super().__init__(f"{relative} {problem}")
        self.relative, self.problem = relative, problem


class Stopped(Exception):
    """Hashing was given up, as it was asked to be."""


def never() -> bool:
    """Nothing stops it."""
    return False


def record(relative: str, size: int, sha256: str) -> bytes:
    """What a file adds to the hash of a folder."""
    return b"%s\0%d\0%s\n" % (os.fsencode(relative), size, sha256.encode())


def source_record(name: str, executable: bool, sha256: str) -> bytes:
    """What a file adds to the hash of a source folder, which knows executable bits: its path within, and the
    sha256 of its content in hexadecimal."""
    return f"{name}\0{int(executable)}\0{sha256}\n".encode("utf-8", "surrogateescape")


def hash_of(files: Iterable[Content]) -> str:
    """The hash (64 hexadecimal digits) of a folder with these files."""
    import hashlib  # loads OpenSSL, 3 to 8 ms

    records = sorted(record(file.relative, file.size, file.sha256) for file in files)
    return hashlib.sha256(b"".join(records)).hexdigest()


def contents(folder: str, stopped: Callable[[], bool] = never) -> list[Content]:
    """Every file of the folder, by its path; links are followed. Large ones are read side by side.

    Raises Unfollowable, Stopped where `stopped` says so after a file, OSError.
    """
    found = sorted(_walk(folder))
    paths = [os.path.join(folder, name) for name, _ in found]
    hashed = []
    for (name, _), (size, digest) in zip(found, _fingerprints(paths, sum(size for _, size in found))):
        if stopped():
            raise Stopped
        hashed.append(Content(name, size, digest))
    return hashed


def check(folder: str, recorded: str, name: str, stopped: Callable[[], bool] = never) -> None:
    """Return where the folder has the content that was recorded (`sha256:…`, or the digits alone; "" for
    nothing). Raises InputError with both hashes where it has not, else as `contents` does."""
    if recorded:
        try:
            check_hash(hash_of(contents(folder, stopped)), recorded, name)
        except Unfollowable as error:
            raise InputError(f"{name}: {error}") from None


def check_hash(found: str, recorded: str, name: str) -> None:
    """Raise InputError with both hashes where they differ."""
    wanted = recorded[recorded.rfind(":") + 1 :]
    if found != wanted:
        raise InputError(f"{name} {altered(found, wanted)}; nothing of it was used")


def altered(found: str, recorded: str) -> str:
    """The words for content that is another now."""
    return f"is not what was recorded: its hash is {found}, and {recorded} was recorded"


def _fingerprints(paths: list[str], total: int) -> Iterator[tuple[int, str]]:
    # Loads OpenSSL, 3 to 8 ms: not before the script has ended.
    from .files import fingerprint

    cores = os.cpu_count() or 1
    if cores == 1 or total < _WORTH_THREADS or len(paths) == 1:
        yield from map(fingerprint, paths)
        return
    # sha256 lets other threads run; the import is not worth it for less than what hashing takes.
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(min(cores, _MOST_THREADS)) as pool:
        yield from pool.map(fingerprint, paths)


def _walk(root: str) -> Iterator[tuple[str, int]]:
    """The path and size of every file below the folder, links followed."""
    pending = [("", root, {_identity(os.stat(root))})]
    while pending:
        prefix, folder, above = pending.pop()
        with os.scandir(folder) as entries:
            for entry in entries:
                name = prefix + entry.name
                status = _status(entry, name)
                if not stat.S_ISDIR(status.st_mode):
                    yield name, status.st_size
                elif _identity(status) in above:
                    raise Unfollowable(name, "is a link that leads back to a folder above it; remove it")
                else:
                    pending.append((f"{name}/", entry.path, above | {_identity(status)}))


def _status(entry: os.DirEntry[str], name: str) -> os.stat_result:
    try:
        return entry.stat()
    except OSError:
        if entry.is_symlink():
            raise Unfollowable(name, "is a link that leads nowhere; remove it") from None
        raise


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino
