"""An address in S3, made and taken apart in one place, for both sides and the sandbox."""

from __future__ import annotations

from typing import NamedTuple

SCHEME = "s3://"


def own_endpoint(region: str) -> str:
    """AWS's own address of S3 in a region."""
    domain = "amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com"
    return f"https://s3.{region}.{domain}"


class S3Address(NamedTuple):
    """An object; or, where the key is empty or ends in `/`, all that lies below it."""

    bucket: str
    key: str = ""

    @property
    def uri(self) -> str:
        """`s3://bucket/key`."""
        return f"{SCHEME}{self.bucket}/{self.key}"

    def __str__(self) -> str:
        return self.uri

    @staticmethod
    def is_one(text: str) -> bool:
        """Whether it is an address in S3 and no path of this machine."""
        return text.startswith(SCHEME)

    @classmethod
    def parse(cls, uri: str) -> S3Address:
        """The address that `uri` writes down; the key may be empty."""
        bucket, _, key = uri[len(SCHEME) if cls.is_one(uri) else 0 :].partition("/")
        return cls(bucket, key)
