"""The files of a host's model folder, as they are once `model.tar.gz` is unpacked."""

from __future__ import annotations

import os
import stat
from typing import Any, Callable, Iterator

from ...contract.models import ModelRefused, check_model, open_up

_WORTH_THREADS = 16 << 20
_MOST_THREADS = 8


class HashingStopped(Exception):
    """Hashing was given up, as it was asked to be."""


def model_files(folder: str, host: str, stopped: Callable[[], bool]) -> list[list[Any]]:
    """`[path, bytes, sha256]` of every file of the model, by path; links are followed.

    Paths are relative to the folder. Opens what the script closed to its owner. Raises ModelRefused for
    what a model cannot be made of, HashingStopped where `stopped` says so after a file, OSError.
    """
    if not os.path.lexists(folder):
        return []
    if os.path.isdir(folder):
        open_up(folder)
    check_model(folder, host)
    found = sorted(_walk(folder, host))
    paths = [os.path.join(folder, name) for name, _ in found]
    hashed = []
    for (name, _), (size, digest) in zip(found, _fingerprints(paths, sum(size for _, size in found))):
        if stopped():
            raise HashingStopped
        hashed.append([name, size, digest])
    return hashed


def _fingerprints(paths: list[str], total: int) -> Iterator[tuple[int, str]]:
    # Loads OpenSSL, 3 to 8 ms: not before the script has ended.
    from ...storage.files import fingerprint

    cores = os.cpu_count() or 1
    if cores == 1 or total < _WORTH_THREADS or len(paths) == 1:
        yield from map(fingerprint, paths)
        return
    # sha256 lets other threads run; the import is not worth it for less than what hashing takes.
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(min(cores, _MOST_THREADS)) as pool:
        yield from pool.map(fingerprint, paths)


def _walk(root: str, host: str) -> Iterator[tuple[str, int]]:
    """The path and size of every file below the folder, links followed."""
    pending = [("", root, {_identity(os.stat(root))})]
    while pending:
        prefix, folder, above = pending.pop()
        with os.scandir(folder) as entries:
            for entry in entries:
                name = prefix + entry.name
                status = _status(entry, name, host)
                if not stat.S_ISDIR(status.st_mode):
                    yield name, status.st_size
                elif _identity(status) in above:
                    raise ModelRefused(
                        f"model of {host}: {name} is a link that leads back to a folder above it; remove it"
                    )
                else:
                    pending.append((f"{name}/", entry.path, above | {_identity(status)}))


def _status(entry: os.DirEntry[str], name: str, host: str) -> os.stat_result:
    try:
        return entry.stat()
    except OSError:
        if entry.is_symlink():
            raise ModelRefused(f"model of {host}: {name} is a link that leads nowhere; remove it") from None
        raise


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino
