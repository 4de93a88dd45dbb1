"""Files that appear whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
from typing import Any


def read_json(path: str) -> Any:
    """The JSON document at `path`."""
    with open(path, encoding="utf-8") as stream:
        return json.load(stream)


def write_json(path: str, document: object) -> None:
    """Write `document` to `path`: readers see the old content or the new, never a half."""
    temporary = f"{path}.tmp-{os.urandom(8).hex()}"
    try:
        with open(temporary, "w", encoding="utf-8") as stream:
            json.dump(document, stream, allow_nan=False)
            stream.write("\n")
        publish(temporary, path)
    except BaseException:
        remove(temporary)
        raise


def publish(temporary: str, path: str) -> None:
    """Give the finished file `temporary` its name, durably; both are on one file system."""
    sync(temporary)
    os.replace(temporary, path)
    sync(os.path.dirname(path) or os.curdir)


def sync(path: str) -> None:
    """Flush a file or a folder to the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def remove(path: str) -> None:
    """Remove a file that may be gone already."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass


def temporary_name(path: str, tag: str) -> str:
    """Where the file `path` is written before it is published: beside it, hidden, and under a name that
    nobody who may write there can have given to a link before."""
    folder, name = os.path.split(path)
    return os.path.join(folder, f".{name}.tmp-{tag}-{os.urandom(8).hex()}")


def remove_temporaries(path: str) -> None:
    """Remove what earlier attempts at writing `path` left aside."""
    folder, name = os.path.split(path)
    for entry in os.listdir(folder or os.curdir):
        if entry.startswith(f".{name}.tmp-"):
            remove(os.path.join(folder, entry))


def fingerprint(path: str) -> tuple[int, str]:
    """The length in bytes and the SHA-256 (hex) of a file."""
    digest = hashlib.sha256()
    size = 0
    with open(path, "rb", buffering=0) as stream:
        while True:
            block = stream.read(1 << 20)
            if not block:
                return size, digest.hexdigest()
            digest.update(block)
            size += len(block)
