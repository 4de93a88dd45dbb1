"""Whole files between the disk and S3, in parallel ranges and parts."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import Callable, Iterable, Mapping, Sequence, TypeVar

from ..errors import InputError
from .address import S3Address
from .client import Client
from .responses import Object

CONCURRENCY = 8
"""Transfers at a time, each over a connection of its own."""
PART = 8 << 20
"""Bytes of a range or part, at least; S3 wants 5 MiB of a part and at most 10,000 parts."""
MOST_PARTS = 10_000

_T = TypeVar("_T")
_U = TypeVar("_U")


def each(work: Callable[[_T], _U], items: Iterable[_T], concurrency: int = CONCURRENCY) -> list[_U]:
    """What `work` gives for all items, in their order; several at a time, and none after a failure."""
    with ThreadPoolExecutor(concurrency) as pool:
        futures = [pool.submit(work, item) for item in items]
        try:
            return [future.result() for future in futures]
        finally:
            for future in futures:
                future.cancel()


def download(client: Client, where: S3Address, path: str, size: int, etag: str) -> None:
    """The object as the file `path`. Raises Unmet when it is no longer the one with that `etag`."""
    with open(path, "wb") as stream:
        descriptor = stream.fileno()

        def fetch(start: int) -> None:
            content = client.read(where, start, min(size, start + PART), etag)
            _write(descriptor, content, start)

        _in_parallel(fetch, range(0, size, PART))


def download_prefix(client: Client, where: S3Address, folder: str) -> int:
    """Everything below a prefix, as files of a folder; their number.

    Raises InputError for names that cannot be files below a folder.
    """
    found = [each for each in client.listing(where) if not each.key.endswith("/")]
    # The large ones one after another in parallel ranges, the small ones in parallel.
    large = [item for item in found if item.size > PART]
    small = [item for item in found if item.size <= PART]
    paths = {item.key: _path_below(folder, item.key[len(where.key) :], where) for item in found}
    for parent in {os.path.dirname(path) for path in paths.values()}:
        os.makedirs(parent, exist_ok=True)

    def fetch(item: Object) -> None:
        download(client, S3Address(where.bucket, item.key), paths[item.key], item.size, item.etag)

    each(fetch, small)
    for item in large:
        fetch(item)
    return len(found)


def upload(
    client: Client,
    where: S3Address,
    path: str,
    *,
    size: int,
    digest: str,
    condition: Mapping[str, str],
    metadata: Mapping[str, str],
) -> str:
    """The file `path`, of `size` bytes and SHA-256 `digest`, as an object that appears whole; its ETag.

    Raises Unmet as `Client.put` does. What was sent of an upload that fails is forgotten.
    """
    if size <= 2 * PART:
        with open(path, "rb") as stream:
            return client.put(where, stream.read(), condition=condition, metadata=metadata)
    step = max(PART, -(-size // MOST_PARTS))
    begun = client.begin_upload(where, metadata, digest)
    with open(path, "rb") as stream:
        descriptor = stream.fileno()

        def send(start: int) -> str:
            content = _read(descriptor, start, min(size, start + step))
            return client.put_part(where, begun, start // step + 1, content)

        def write() -> str:
            try:
                return client.complete_upload(where, begun, each(send, range(0, size, step)), condition)
            except BaseException:
                _abort(client, where, begun)
                raise

        return client.settled(where, digest, write)


def _abort(client: Client, where: S3Address, begun: str) -> None:
    try:
        client.abort_upload(where, begun)
    # The bucket's own rule forgets it later; why the upload failed is what is to be told.
    except Exception:
        pass


def _in_parallel(work: Callable[[int], None], items: Sequence[int]) -> None:
    if len(items) > 1:
        each(work, items)
    for item in items[:1] if len(items) == 1 else ():
        work(item)


def _write(descriptor: int, content: bytearray, start: int) -> None:
    with memoryview(content) as left:
        done = 0
        while done < len(left):
            done += os.pwrite(descriptor, left[done:], start + done)


def _read(descriptor: int, start: int, end: int) -> bytes:
    content = os.pread(descriptor, end - start, start)
    while len(content) < end - start:
        more = os.pread(descriptor, end - start - len(content), start + len(content))
        if not more:
            raise OSError("the file became shorter while it was sent")
        content += more
    return content


def _path_below(folder: str, relative: str, where: S3Address) -> str:
    parts = relative.split("/")
    if any(part in ("", ".", "..") or "\0" in part for part in parts):
        raise InputError(f"{where}{relative}: not the name of a file below a folder; rename the object")
    return os.path.join(folder, *parts)
