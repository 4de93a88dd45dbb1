"""Files to and from S3, as the platform moves them with a job's role: straight into moto's memory.

What a real S3 would refuse is refused in its words, which SageMaker passes on in failure reasons.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator
from typing import IO, Any
from urllib.parse import urlsplit

from moto.settings import get_s3_default_key_buffer_size

from ...worker.s3.address import S3Address
from ..world.world import World

_CHUNK = 1 << 20


class TransferRefused(Exception):
    """S3 refused: `str()` is `Code (status): message`, or the message alone."""

    def __init__(self, code: str, status: int, message: str) -> None:
        super().__init__(f"{code} ({status}): {message}" if code else message)
        self.code = code


def under(place: S3Address, *parts: str) -> S3Address:
    """What lies below a place, with one slash between the parts."""
    return S3Address(place.bucket, "/".join([*filter(None, [place.key.strip("/")]), *parts]))


def place_of(url: str) -> S3Address:
    """The place that `s3://bucket/key` names, or `https://bucket.s3….amazonaws.com/key`, or the older
    `https://s3….amazonaws.com/bucket/key`."""
    parts = urlsplit(url, allow_fragments=False)
    path = parts.path + (f"?{parts.query}" if parts.query else "")
    if parts.scheme == "s3":
        return S3Address(parts.netloc, path.removeprefix("/"))
    bucket, _, rest = parts.netloc.partition(".s3")
    if rest:
        return S3Address(bucket, path.removeprefix("/"))
    bucket, _, key = path.removeprefix("/").partition("/")
    return S3Address(bucket, key)


class Transfers:
    """S3 with the permissions of a role. All methods raise TransferRefused and OSError."""

    def __init__(self, world: World, role_arn: str) -> None:
        self._world, self._role = world, role_arn

    def list(self, place: S3Address) -> list[S3Address]:
        """The objects whose keys begin with the place's, sorted by key."""
        bucket = self._bucket(place.bucket, "s3:ListBucket", f"arn:aws:s3:::{place.bucket}")
        with self._world.lock:
            found = [
                S3Address(place.bucket, name)
                for name, key in bucket.keys.items()
                if name.startswith(place.key) and hasattr(key, "contentsize")
            ]
        return sorted(found)

    def read(self, place: S3Address) -> bytes:
        """A small object, whole."""
        return b"".join(self._chunks(place))

    def download(self, place: S3Address, path: str) -> None:
        """An object into a file, whose folder is made; the object's time becomes the file's."""
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb", buffering=0) as file:
            for chunk in self._chunks(place):
                file.write(chunk)

    def upload(self, path: str, place: S3Address) -> str:
        """A file to an object; its etag."""
        with open(path, "rb", buffering=0) as file:
            return self.store(file, place)

    def store(self, source: IO[bytes], place: S3Address) -> str:
        """What `source` has left to an object; its etag."""
        bucket = self._bucket(place.bucket, "s3:PutObject", f"arn:aws:s3:::{place}".replace("s3://", ""))
        content = tempfile.SpooledTemporaryFile(get_s3_default_key_buffer_size())  # noqa: SIM115  (moto's)
        digest = hashlib.md5(usedforsecurity=False)
        size = 0
        while chunk := source.read(_CHUNK):
            content.write(chunk)
            digest.update(chunk)
            size += len(chunk)
        with self._world.lock:
            key = self._s3().put_object(bucket.name, place.key, b"")
            key._value_buffer.close()
            key._value_buffer, key.contentsize, key._etag = content, size, digest.hexdigest()
        return digest.hexdigest()

    def delete(self, place: S3Address) -> None:
        """An object; silent when it is not there."""
        bucket = self._bucket(place.bucket, "s3:DeleteObject", f"arn:aws:s3:::{place}".replace("s3://", ""))
        with self._world.lock:
            if place.key in bucket.keys:
                self._s3().delete_object(bucket.name, place.key)

    def _chunks(self, place: S3Address) -> Iterator[bytes]:
        bucket = self._bucket(place.bucket, "s3:GetObject", f"arn:aws:s3:::{place}".replace("s3://", ""))
        with self._world.lock:
            key = bucket.keys.get(place.key)
        if key is None or not hasattr(key, "contentsize"):
            raise TransferRefused("NoSuchKey", 404, "The specified key does not exist.")
        position = 0
        while True:
            with key.lock:
                try:
                    key._value_buffer.seek(position)
                    chunk = key._value_buffer.read(_CHUNK)
                except ValueError:
                    raise TransferRefused("NoSuchKey", 404, "The object was replaced meanwhile.") from None
            if not chunk:
                return
            position += len(chunk)
            yield chunk

    def _s3(self) -> Any:
        return self._world.backend("s3")

    def _bucket(self, name: str, action: str, resource: str) -> Any:
        with self._world.lock:
            bucket = self._s3().buckets.get(name)
            may = self._world.allowed(self._role, action, resource)
        if bucket is None:
            raise TransferRefused("NoSuchBucket", 404, "The specified bucket does not exist")
        if bucket.region_name != self._world.region:
            message = f"The bucket is in this region: {bucket.region_name}."
            message += " Please use this region to retry the request"
            raise TransferRefused("PermanentRedirect", 301, message)
        if not may:
            raise TransferRefused("AccessDenied", 403, "Access Denied")
        return bucket
