"""What S3 answers when it does what was asked, taken apart."""

from __future__ import annotations

import http.client
from typing import Mapping, NamedTuple
from urllib.parse import unquote_plus
from xml.etree import ElementTree

from .errors import ErrorResponse

DIGEST = "x-amz-meta-trainyard-sha256"
"""The header of what we write that tells its SHA-256 (hexadecimal), however many parts it came in."""
_METADATA = "x-amz-meta-"


class ObjectFacts(NamedTuple):
    """What HEAD says of an object. `digest` is the SHA-256 of one that we wrote, else ""."""

    size: int
    etag: str
    digest: str
    metadata: Mapping[str, str]


class Object(NamedTuple):
    """An object as a listing names it, or what keys have in common up to a delimiter, of size -1."""

    key: str
    size: int
    etag: str


def whole(response: http.client.HTTPResponse) -> bytes:
    """The content."""
    return response.read()


def etag(response: http.client.HTTPResponse) -> str:
    """The ETag of what was written."""
    response.read()
    return str(response.headers.get("ETag", ""))


def facts(response: http.client.HTTPResponse) -> ObjectFacts:
    """What HEAD tells."""
    response.read()
    headers = response.headers
    named = {name.lower(): value for name, value in headers.items()}
    metadata = {name[len(_METADATA) :]: value for name, value in named.items() if name.startswith(_METADATA)}
    return ObjectFacts(
        int(headers.get("Content-Length", "0")), headers.get("ETag", ""), named.get(DIGEST, ""), metadata
    )


def upload(response: http.client.HTTPResponse) -> str:
    """The id of an upload that was begun."""
    return _text(_parsed(response), "UploadId")


def completed(response: http.client.HTTPResponse) -> str:
    """The ETag of an upload that was completed."""
    # The answer begins before the work is done, with the status of success, and may yet tell of an error.
    root = _parsed(response)
    if _tag(root) == "Error":
        raise ErrorResponse(500, _text(root, "Code"), _text(root, "Message"))
    return _text(root, "ETag")


def listed(response: http.client.HTTPResponse) -> tuple[list[Object], str]:
    """The objects and common prefixes of a page, in order, and the token of the next page, or ""."""
    root = _parsed(response)
    found = []
    for child in root:
        if _tag(child) == "Contents":
            found.append(Object(_key(child, "Key"), int(_text(child, "Size")), _text(child, "ETag")))
        elif _tag(child) == "CommonPrefixes":
            found.append(Object(_key(child, "Prefix"), -1, ""))
    is_last = _text(root, "IsTruncated") != "true"
    return sorted(found), "" if is_last else _text(root, "NextContinuationToken")


def _parsed(response: http.client.HTTPResponse) -> ElementTree.Element:
    try:
        # S3 sends white space while it is at work, lest the connection be taken for lost.
        return ElementTree.fromstring(response.read().strip())
    except ElementTree.ParseError:
        # A proxy's own page.
        raise http.client.HTTPException("an answer that is no XML") from None


def _tag(element: ElementTree.Element) -> str:
    return str(element.tag).rpartition("}")[2]


def _text(element: ElementTree.Element, name: str) -> str:
    return next((child.text or "" for child in element if _tag(child) == name), "")


def _key(element: ElementTree.Element, name: str) -> str:
    return unquote_plus(_text(element, name))
