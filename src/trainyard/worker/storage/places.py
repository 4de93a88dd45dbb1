"""Files of a run wherever they lie: paths of this machine, and `s3://` addresses."""

from __future__ import annotations

import json
import os
from contextlib import contextmanager
from typing import IO, TYPE_CHECKING, Any, Callable, Iterable, Iterator, NamedTuple, Sequence, TypeVar, cast

from ..errors import InputError, OutputError, Taken, Unmet
from . import files

if TYPE_CHECKING:
    from ..s3.address import S3Address
    from ..s3.client import Client

_S3 = "s3://"
_BUFFER = 1 << 20
_SMALL_BUFFER = 1 << 16
_DISK = 8 << 30
"""Bytes of copies that are on the disk at a time, at most, but for a single larger one."""
_ROWS = "trainyard-rows"

_T = TypeVar("_T")


class Listed(NamedTuple):
    """A name directly in a folder, with the size in bytes and the ETag where S3 tells them."""

    name: str
    size: int = 0
    etag: str = ""


class Found(NamedTuple):
    """An object: its address, its name below the prefix that was searched, bytes, ETag."""

    address: str
    name: str
    size: int
    etag: str


class Written(NamedTuple):
    """A part as it was written: rows, bytes, SHA-256 (hexadecimal)."""

    rows: int
    bytes: int
    sha256: str


def is_remote(address: str) -> bool:
    """Whether an address is S3's and no path of this machine."""
    return address.startswith(_S3)


def join(folder: str, name: str) -> str:
    """The address of what is called `name` in a folder."""
    return f"{folder.rstrip('/')}/{name}" if is_remote(folder) else os.path.join(folder, name)


def exists(address: str) -> bool:
    """Whether there is an object at an address of S3."""
    client, place = _at(address)
    return client.lists(place)


def read_json(address: str) -> Any:
    """The JSON document at an address. Raises FileNotFoundError, or Missing."""
    if not is_remote(address):
        return files.read_json(address)
    client, place = _at(address)
    return json.loads(client.get(place).decode("utf-8"))


def write_json(address: str, document: object, *, new: bool = False) -> None:
    """Write a JSON document: readers see the old one or the new, never a half.

    With `new`, one that is on S3 already stays. Raises Taken when it differs from this one.
    """
    if not is_remote(address):
        files.write_json(address, document)
        return
    from ..s3 import client as s3_client  # with TLS and HTTP, which runs on this machine need not load

    client, place = _at(address)
    try:
        client.put(place, _json(document), condition=s3_client.NEW if new else {})
    except Unmet:
        raise Taken(f"{address} is there already, and says something else; see what wrote it") from None


def replace_json(address: str, old: object, new: object) -> bool:
    """Write a JSON document on S3 in the place of another; False where that is not what stands there."""
    from ..s3 import client as s3_client  # loaded late for the sake of start-up, as above

    client, place = _at(address)
    facts = client.head(place)
    try:
        if json.loads(client.get(place).decode("utf-8")) != old:
            return False
        client.put(place, _json(new), condition=s3_client.if_match(facts.etag))
    except (Unmet, ValueError):
        return False
    return True


def _json(document: object) -> bytes:
    return (json.dumps(document, allow_nan=False) + "\n").encode("utf-8")


def listed(folder: str) -> list[Listed]:
    """What stands directly in a folder, files and folders."""
    if not is_remote(folder):
        return [Listed(name) for name in os.listdir(folder)]
    client, place = _at(join(folder, ""))
    found = client.listing(place, delimiter="/")
    return [Listed(each.key[len(place.key) :].rstrip("/"), max(0, each.size), each.etag) for each in found]


def objects(address: str, *, version: str = "") -> list[Found]:
    """What there is at an address of S3, an object (of that version) or else a prefix, in the order of the
    names.

    The name of a single object is the last part of its key. Raises InputError where there is nothing.
    """
    client, place = _at(address, version)
    if place.key and not place.key.endswith("/"):
        if version or client.lists(place):
            facts = client.head(place)
            return [Found(address, place.key.rpartition("/")[2], facts.size, facts.etag)]
        place = place._replace(key=f"{place.key}/")
    found = [
        Found(str(place._replace(key=each.key)), each.key[len(place.key) :], each.size, each.etag)
        for each in client.listing(place)
    ]
    if not found:
        raise InputError(f"{address}: there is no such object or prefix; name an input that exists")
    return sorted(found)


def below(prefix: str) -> list[str]:
    """The addresses of all objects whose own begins so, in order."""
    client, place = _at(prefix)
    return [str(place._replace(key=each.key)) for each in client.listing(place)]


def open_object(
    address: str,
    size: int,
    etag: str,
    *,
    version: str = "",
    end: int | None = None,
    ahead: bool = True,
    now: bool = False,
) -> IO[bytes]:
    """An object (of that version) as a buffered file, as `reading.ObjectReader` reads it; with `now` its
    beginning is fetched before it is asked for."""
    import io

    from ..s3.reading import ObjectReader  # loaded late for the sake of start-up, as above

    client, place = _at(address, version)
    reader = ObjectReader(client, place, size, etag, end=end, ahead=ahead)
    if now:
        reader.prefetch()
    return cast("IO[bytes]", io.BufferedReader(reader, _BUFFER if ahead else _SMALL_BUFFER))


@contextmanager
def at_hand(address: str, listed: Listed) -> Iterator[str]:
    """The path of a file on this machine's disk: itself, or a copy of what was `listed`, for the block."""
    if not is_remote(address):
        yield address
        return
    from ..s3.transfers import download  # loaded late for the sake of start-up, as above

    client, place = _at(address)
    with scratch() as folder:
        path = os.path.join(folder, os.path.basename(place.key))
        with _steady(address):
            download(client, place, path, listed.size, listed.etag)
        yield path


def replace(address: str, listed: Listed, path: str, size: int, sha256: str, rows: int) -> None:
    """Put the file `path` in the place of the one that was `listed`; durably, whole or not at all.

    Raises OutputError when another one stands there.
    """
    if not is_remote(address):
        files.publish(path, address)
        return
    from ..s3 import client as s3_client
    from ..s3.transfers import upload  # loaded late for the sake of start-up, as above

    client, place = _at(address)
    condition, metadata = s3_client.if_match(listed.etag), {_ROWS: str(rows)}
    with _steady(address):
        upload(client, place, path, size=size, digest=sha256, condition=condition, metadata=metadata)


def found_part(address: str) -> Written | None:
    """The part that an attempt of the same shard has left on S3; None where there is none.

    Raises OutputError where something else stands there.
    """
    client, place = _at(address)
    if not client.lists(place):
        return None
    facts = client.head(place)
    rows = facts.metadata.get(_ROWS, "")
    if not (facts.digest and rows.isdigit()):
        raise OutputError(f"{address} is there already, and no shard wrote it; move it elsewhere")
    return Written(int(rows), facts.size, facts.digest)


def send_part(address: str, path: str, written: Written) -> Written:
    """Publish a part on S3, whole, where there is none yet: what stands there then, ours or another
    attempt's."""
    from ..s3 import client as s3_client
    from ..s3.transfers import upload  # loaded late for the sake of start-up, as above

    client, place = _at(address)
    rows, size, digest = written
    try:
        upload(
            client,
            place,
            path,
            size=size,
            digest=digest,
            condition=s3_client.NEW,
            metadata={_ROWS: str(rows)},
        )
    except Unmet:
        found = found_part(address)
        if found is None:
            raise OutputError(
                f"{address} could not be written: its upload was taken away; run it again"
            ) from None
        return found
    return written


@contextmanager
def scratch() -> Iterator[str]:
    """A folder for the time of the block."""
    from tempfile import TemporaryDirectory  # loaded late for the sake of start-up, as above

    with TemporaryDirectory(prefix="trainyard-") as folder:
        yield folder


def over(work: Callable[[int], _T], sizes: Sequence[int], address: str) -> Iterable[_T]:
    """What `work` gives for each index of `sizes`, in order; for files on S3 several at a time, as far as
    copies of so many bytes find room on the disk."""
    if not is_remote(address) or len(sizes) < 2:
        return map(work, range(len(sizes)))
    from ..s3.transfers import CONCURRENCY, PART, each  # loaded late for the sake of start-up, as above

    largest = max(1, *sizes)
    # A large one comes in parallel ranges itself: meanwhile another is counted.
    concurrency = CONCURRENCY if largest <= PART else min(2, max(1, _DISK // largest))
    return each(work, range(len(sizes)), concurrency)


def close() -> None:
    """Close the connections to S3, where there are any."""
    import sys

    package = __name__[: -len(".storage.places")]
    for name in ("reading", "client"):
        module = sys.modules.get(f"{package}.s3.{name}")
        if module is not None:
            module.close()


def _at(address: str, version: str = "") -> tuple[Client, S3Address]:
    from ..s3 import client as s3_client  # loaded late for the sake of start-up, as above

    client = s3_client.client()
    return client.pinned(version) if version else client, s3_client.address_of(address)


@contextmanager
def _steady(address: str) -> Iterator[None]:
    try:
        yield
    except Unmet:
        raise OutputError(
            f"{address} was changed by something else; leave the output alone while a run is going on"
        ) from None
