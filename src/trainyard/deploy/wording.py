"""Resources and lists, as short as people read them. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable

_ARN = re.compile(r"arn:(?:\$\{AWS\0\0Partition\}|[a-z-]+):([a-z0-9-]+):([^:]*):([^:]*):(.*)", re.DOTALL)
_OWN_REGION = ("", "${AWS::Region}")
_OWN_ACCOUNT = ("", "${AWS::AccountId}")


def resource_words(arn: str) -> str:
    """An ARN of S3 as `bucket/prefix`, one of this account and region as `service resource`, others as they
    are."""
    found = _ARN.fullmatch(_without_colons(arn))
    if not found:
        return "everything" if arn == "*" else arn
    service, region, account, resource = (_with_colons(each) for each in found.groups())
    if service == "s3":
        return resource
    if region in _OWN_REGION and account in _OWN_ACCOUNT:
        return f"{service} {resource}"
    return arn


def series(words: Iterable[str]) -> str:
    """`a`, `a and b`, `a, b and c`; each once, in order."""
    found = sorted(set(words))
    return " and ".join([", ".join(found[:-1]), found[-1]]) if len(found) > 1 else "".join(found)


def _without_colons(arn: str) -> str:
    # Pseudo parameters have colons of their own, between which an ARN is not to be split.
    return arn.replace("AWS::", "AWS\0\0")


def _with_colons(part: str) -> str:
    return part.replace("AWS\0\0", "AWS::")
