"""Many files to a bucket and back at once, each whole or not at all.

Small ones go in one request each, past botocore's client (`wire.py`); large ones in parts. What goes up is
held against the hash that it was read with before, so that a file which changes meanwhile is noticed before
it stands under a name that is not its own; S3 holds every request against a checksum.
"""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import closing, suppress
from functools import partial
from io import FileIO
from threading import Event, Lock
from typing import Any, NamedTuple, TypeAlias

from ...core.errors import AccountRefused, BadInput, TrainyardError
from ...core.files.trees import HashedFile
from ...worker.s3.address import S3Address
from ..account.session import Session, translated
from . import objects
from .wire import Wire

Progress: TypeAlias = Callable[[int, int, int, int], None]
"""Is told of bytes done, bytes in all, files done, files in all; by one thread at a time."""

WHOLE = 8 << 20
"""Bytes up to which a file is sent or fetched by one request."""
PART = 16 << 20
"""Bytes of a part of a larger one that is sent; more where there would be too many."""
SPAN = 64 << 20
"""Bytes of a larger one that one request fetches."""
_MOST_PARTS = 10_000
"""Of a multipart upload (Amazon S3 user guide, "Amazon S3 multipart upload limits")."""
_FILES_AT_ONCE, _PARTS_AT_ONCE = 32, 8
"""That are on their way: at most a quarter of a GiB in memory. More threads would only wait for Python."""
_ATTEMPTS = 5
_CHUNK = 1 << 20


class Item(NamedTuple):
    """An object to fetch: its key, its size in bytes, the file that it becomes, and its version, "" for the
    latest."""

    key: str
    size: int
    path: str
    version: str = ""


def upload(
    session: Session,
    bucket: str,
    prefix: str,
    files: Sequence[HashedFile],
    *,
    there: Mapping[str, int],
    progress: Progress | None = None,
) -> int:
    """Send files to the keys `prefix` + their relative paths; how many were sent. `there` are the sizes of
    what is there, by key: what has the same size is not sent again, which is how a broken upload goes on.
    What is not there is not written over either where somebody else has just sent it.

    Raises `BadInput` for a file that has changed since it was hashed, and where somebody else has just sent
    another; `AccountRefused`. What was sent before an error stays.
    """
    missing = [file for file in files if there.get(prefix + file.relative) != file.size]
    if not missing:
        return 0
    total, left = sum(file.size for file in files), sum(file.size for file in missing)
    done = _Progress(progress, total, len(files))
    done.add(total - left, len(files) - len(missing))
    with closing(Wire(session, bucket)) as wire:
        small = [file for file in missing if file.size <= WHOLE]
        new = {file.relative: prefix + file.relative not in there for file in missing}
        send = partial(_send_whole, session, wire, bucket, prefix, done)
        _all(_FILES_AT_ONCE, [partial(send, file, new[file.relative]) for file in small])
    for file in missing:
        if file.size > WHOLE:
            place = {"Bucket": bucket, "Key": prefix + file.relative}
            _send_in_parts(session, place, file, done, new[file.relative])
    return len(missing)


def copy(session: Session, bucket: str, source: str, key: str, size: int) -> None:
    """Copy an object within a bucket to where there is none yet.

    As an upload of one part: where nothing is written over, S3 takes no CopyObject ("Enforce conditional
    writes on Amazon S3 buckets", S3 user guide).
    """
    place = {"Bucket": bucket, "Key": key}
    begun = session.call("s3", "create_multipart_upload", **place)
    place["UploadId"] = begun["UploadId"]
    wanted = {"Bucket": bucket, "Key": source}
    part = session.call("s3", "upload_part_copy", PartNumber=1, CopySource=wanted, **place)
    made = {"Parts": [{"PartNumber": 1, "ETag": part["CopyPartResult"]["ETag"]}]}
    _complete(session, place, made, size, new=True)


def download(
    session: Session, bucket: str, items: Sequence[Item], *, progress: Progress | None = None
) -> None:
    """Fetch objects into files that are not there yet, making the folders that hold them.

    Raises `AccountRefused`, `BadInput` for an object that somebody replaces meanwhile, and OSError for the
    disk's sake. What was fetched before an error stays.
    """
    for folder in sorted({os.path.dirname(item.path) for item in items}):
        os.makedirs(folder, exist_ok=True)
    done = _Progress(progress, sum(item.size for item in items), len(items))
    with closing(Wire(session, bucket)) as wire:
        small = [item for item in items if item.size <= WHOLE]
        _all(_FILES_AT_ONCE, [partial(_fetch_whole, session, bucket, wire, item, done) for item in small])
    for item in items:
        if item.size > WHOLE:
            _fetch_in_spans(session, bucket, item, done)


class _Progress:
    """Tells how far a transfer has come."""

    def __init__(self, progress: Progress | None, total: int, files: int) -> None:
        self._progress, self._lock = progress, Lock()
        self._total, self._files = total, files
        self._bytes = self._count = 0

    def add(self, size: int, files: int) -> None:
        with self._lock:
            self._bytes, self._count = self._bytes + size, self._count + files
            if self._progress:
                self._progress(self._bytes, self._total, self._count, self._files)


def _all(at_once: int, actions: Sequence[Callable[[], None]]) -> None:
    """Do all of them, some at a time; after the first error none is begun, and it is raised."""
    if not actions:
        return
    halted = Event()
    with ThreadPoolExecutor(min(at_once, len(actions))) as pool:
        futures = [pool.submit(_unless, halted, action) for action in actions]
        try:
            done, _ = wait(futures, return_when=FIRST_EXCEPTION)
            for future in done:
                future.result()
        finally:
            halted.set()


def _unless(halted: Event, action: Callable[[], None]) -> None:
    if not halted.is_set():
        action()


def _send_whole(
    session: Session, wire: Wire, bucket: str, prefix: str, done: _Progress, file: HashedFile, new: bool
) -> None:
    with _open(file) as stream:
        content = stream.read(WHOLE + 1)
    if hashlib.sha256(content).hexdigest() != file.sha256:
        raise _changed(file)
    try:
        wire.put(prefix + file.relative, content, new=new)
    except AccountRefused as error:
        if error.code not in objects.TAKEN:
            raise
        _require_same(session, {"Bucket": bucket, "Key": prefix + file.relative}, file.size, file.sha256)
    done.add(file.size, 1)


def _send_in_parts(
    session: Session, place: Mapping[str, str], file: HashedFile, done: _Progress, new: bool
) -> None:
    begun = session.call("s3", "create_multipart_upload", ChecksumAlgorithm="CRC32", **place)
    place = {**place, "UploadId": begun["UploadId"]}
    size = max(PART, -(-file.size // _MOST_PARTS))
    parts: dict[int, dict[str, Any]] = {}

    def send(descriptor: int, number: int) -> None:
        content = os.pread(descriptor, size, (number - 1) * size)
        answer = session.call(
            "s3", "upload_part", PartNumber=number, Body=content, ChecksumAlgorithm="CRC32", **place
        )
        kept: dict[str, Any] = {name: answer[name] for name in ("ETag", "ChecksumCRC32") if name in answer}
        parts[number] = {"PartNumber": number, **kept}
        done.add(len(content), 0)

    try:
        with _open(file) as stream:
            numbers = range(1, -(-file.size // size) + 1)
            _all(_PARTS_AT_ONCE, [partial(send, stream.fileno(), number) for number in numbers])
        if file.is_changed:
            raise _changed(file)
        made = {"Parts": [parts[number] for number in sorted(parts)]}
        _complete(session, place, made, file.size, new=new)
    except BaseException:
        # Where this fails too: the buckets end unfinished uploads by themselves, after some days.
        with suppress(TrainyardError):
            session.call("s3", "abort_multipart_upload", **place)
        raise
    done.add(0, 1)


def _complete(
    session: Session, place: Mapping[str, str], made: Mapping[str, Any], size: int, *, new: bool
) -> None:
    condition = {"IfNoneMatch": "*"} if new else {}
    try:
        session.call("s3", "complete_multipart_upload", MultipartUpload=made, **condition, **place)
    except AccountRefused as error:
        # Tried again, with the first answer lost: the upload is none any more, but an object.
        if error.code not in {"NoSuchUpload", *objects.TAKEN}:
            raise
        _require_same(session, {key: place[key] for key in ("Bucket", "Key")}, size)
        with suppress(TrainyardError):
            session.call("s3", "abort_multipart_upload", **place)


def _require_same(session: Session, place: Mapping[str, str], size: int, sha256: str = "") -> None:
    """Raise `BadInput` where what is there is not what was to be sent, as far as S3 tells."""
    head = session.call("s3", "head_object", ChecksumMode="ENABLED", **place)
    kept = head.get("ChecksumSHA256", "")
    # One that was sent in parts has a checksum of checksums: `…-3`.
    is_same = not sha256 or "-" in kept or base64.b64decode(kept).hex() == sha256
    if head["ContentLength"] != size or not is_same:
        where = S3Address(place["Bucket"], place["Key"]).uri
        cure = "have whoever may delete in that bucket take it away"
        raise BadInput("is there already, and is not what was to be sent", where=where, cure=cure)


def _open(file: HashedFile) -> FileIO:
    try:
        return FileIO(file.path)
    except FileNotFoundError:
        raise _changed(file) from None


def _changed(file: HashedFile) -> BadInput:
    return BadInput("changed while it was sent", where=file.path, cure="do it again once it stays as it is")


def _fetch_whole(session: Session, bucket: str, wire: Wire, item: Item, done: _Progress) -> None:
    content = None if item.version else wire.get(item.key)
    if content is None:
        _fetch_in_spans(session, bucket, item, done)
        return
    if len(content) != item.size:
        raise _replaced(bucket, item)
    with open(item.path, "xb") as stream:
        stream.write(content)
    done.add(item.size, 1)


def _fetch_in_spans(session: Session, bucket: str, item: Item, done: _Progress) -> None:
    """Fetch an object by requests that are all answered with the same version of it."""
    pinned = {"VersionId": item.version} if item.version else {}
    head = session.call("s3", "head_object", Bucket=bucket, Key=item.key, **pinned)
    if head["ContentLength"] != item.size:
        raise _replaced(bucket, item)
    with open(item.path, "xb", buffering=0) as stream:
        place = {"Bucket": bucket, "Key": item.key, "IfMatch": head["ETag"], **pinned}
        fetch = partial(_fetch_span, session, place, stream.fileno(), done)
        starts = range(0, item.size, SPAN)
        try:
            _all(_PARTS_AT_ONCE, [partial(fetch, start, min(start + SPAN, item.size)) for start in starts])
        except AccountRefused as error:
            raise (_replaced(bucket, item) if error.code == "PreconditionFailed" else error) from None
    done.add(0, 1)


def _fetch_span(
    session: Session, place: Mapping[str, str], descriptor: int, done: _Progress, start: int, end: int
) -> None:
    """Fetch the bytes from `start` to before `end`, going on where a connection broke."""
    for attempt in range(1, _ATTEMPTS + 1):
        answer = session.call("s3", "get_object", Range=f"bytes={start}-{end - 1}", **place)
        try:
            with closing(answer["Body"]) as body, translated("s3:GetObject"):
                for chunk in body.iter_chunks(_CHUNK):
                    _write(descriptor, chunk, start)
                    start += len(chunk)
                    done.add(len(chunk), 0)
        except AccountRefused:
            if attempt == _ATTEMPTS:
                raise
        if start == end:
            return
    raise BadInput(
        "is shorter than it was", where=f"s3://{place['Bucket']}/{place['Key']}", cure="do it again"
    )


def _write(descriptor: int, content: bytes, offset: int) -> None:
    view = memoryview(content)
    while view:
        written = os.pwrite(descriptor, view, offset)
        view, offset = view[written:], offset + written


def _replaced(bucket: str, item: Item) -> BadInput:
    return BadInput("was replaced meanwhile", where=f"s3://{bucket}/{item.key}", cure="do it again")
