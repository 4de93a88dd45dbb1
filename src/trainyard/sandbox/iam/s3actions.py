"""Which of S3's permissions a request needs: its API operations and its actions are two lists of names.

"Required permissions for Amazon S3 API operations", S3 user guide. Requests are path-style: every client is
told an IP address for an endpoint.
"""

from __future__ import annotations

import urllib.parse
from collections.abc import Iterator, Mapping
from typing import Any

Action = tuple[str, str, Mapping[str, str | None]]
"""An action, the resource that it is on, and the condition keys that are known."""

_OF_OBJECT = {
    "acl": ("ObjectAcl", "Get Put"),
    "tagging": ("ObjectTagging", "Get Put Delete"),
    "legal-hold": ("ObjectLegalHold", "Get Put"),
    "retention": ("ObjectRetention", "Get Put"),
    "attributes": ("ObjectAttributes", "Get"),
    "torrent": ("ObjectTorrent", "Get"),
}
_OF_BUCKET = {
    "accelerate": ("AccelerateConfiguration", "Get Put"),
    "acl": ("BucketAcl", "Get Put"),
    "cors": ("BucketCORS", "Get Put Put"),
    "encryption": ("EncryptionConfiguration", "Get Put Put"),
    "lifecycle": ("LifecycleConfiguration", "Get Put Put"),
    "location": ("BucketLocation", "Get"),
    "logging": ("BucketLogging", "Get Put"),
    "notification": ("BucketNotification", "Get Put"),
    "object-lock": ("BucketObjectLockConfiguration", "Get Put"),
    "ownershipControls": ("BucketOwnershipControls", "Get Put Put"),
    "policy": ("BucketPolicy", "Get Put Delete"),
    "policyStatus": ("BucketPolicyStatus", "Get"),
    "publicAccessBlock": ("BucketPublicAccessBlock", "Get Put Put"),
    "replication": ("ReplicationConfiguration", "Get Put Put"),
    "requestPayment": ("BucketRequestPayment", "Get Put"),
    "tagging": ("BucketTagging", "Get Put Put"),
    "uploads": ("BucketMultipartUploads", "List"),
    "versioning": ("BucketVersioning", "Get Put"),
    "versions": ("BucketVersions", "List"),
    "website": ("BucketWebsite", "Get Put Delete"),
}
"""By the word of the query: what its actions are called after, and the verbs of reading, writing and deleting
it, as far as there are such."""
_METHODS = {"GET": 0, "HEAD": 0, "PUT": 1, "POST": 1, "DELETE": 2}


def place(environ: Mapping[str, Any]) -> tuple[str, str]:
    """The bucket and key that a request is about; either may be empty."""
    path = str(environ.get("PATH_INFO", "")).encode("latin-1").decode("utf-8", "replace")
    bucket, _, key = path.removeprefix("/").partition("/")
    return bucket, key


def actions(environ: Mapping[str, Any]) -> list[Action]:
    """What a request to S3 needs to be allowed."""
    bucket, key = place(environ)
    method = str(environ.get("REQUEST_METHOD", "GET"))
    if not bucket:
        return [("s3:ListAllMyBuckets", "*", {})]
    if not key:
        return [_on_bucket(method, bucket, query(environ))]
    return list(_on_object(method, bucket, key, query(environ), environ))


def query(environ: Mapping[str, Any]) -> dict[str, str]:
    """The parameters of a request's query."""
    return dict(urllib.parse.parse_qsl(str(environ.get("QUERY_STRING", "")), keep_blank_values=True))


def _on_bucket(method: str, bucket: str, query: Mapping[str, str]) -> Action:
    resource = f"arn:aws:s3:::{bucket}"
    if method == "POST" and "delete" in query:
        # Every key of the list would be asked about; all of them are here, or none.
        return "s3:DeleteObject", f"{resource}/*", {}
    listing = {f"s3:{name}": query.get(name) for name in ("prefix", "delimiter", "max-keys")}
    if name := _on_part(_OF_BUCKET, method, query):
        return f"s3:{name}", resource, listing if name.startswith("List") else {}
    plain = {"PUT": "CreateBucket", "DELETE": "DeleteBucket", "POST": "PutObject"}
    if method in plain:
        return f"s3:{plain[method]}", resource, {}
    return "s3:ListBucket", resource, listing


def _on_part(parts: Mapping[str, tuple[str, str]], method: str, query: Mapping[str, str]) -> str:
    """The action on a part of a bucket or an object that the query names; "" where it names none."""
    for word, (noun, verbs) in parts.items():
        known = dict(enumerate(verbs.split()))
        if word in query and (verb := known.get(_METHODS.get(method, 0))):
            return verb + noun
    return ""


def _on_object(
    method: str, bucket: str, key: str, query: Mapping[str, str], environ: Mapping[str, Any]
) -> Iterator[Action]:
    resource = f"arn:aws:s3:::{bucket}/{key}"
    action = _object_action(method, query)
    yield f"s3:{action}", resource, _creation(query, environ) if action == "PutObject" else {}
    if source := environ.get("HTTP_X_AMZ_COPY_SOURCE"):
        copied, _, version = str(source).partition("?")
        action = "GetObjectVersion" if version else "GetObject"
        yield f"s3:{action}", f"arn:aws:s3:::{urllib.parse.unquote(copied)}", {}


def _creation(query: Mapping[str, str], environ: Mapping[str, Any]) -> Mapping[str, str | None]:
    """What conditions know of a write: most requests of an upload in parts make no object yet."""
    return {
        "s3:objectcreationoperation": str(not {"uploads", "partNumber"} & set(query)).lower(),
        "s3:if-none-match": environ.get("HTTP_IF_NONE_MATCH"),
        "s3:if-match": environ.get("HTTP_IF_MATCH"),
    }


def _object_action(method: str, query: Mapping[str, str]) -> str:
    if name := _on_part(_OF_OBJECT, method, query):
        return name
    versioned = "Version" if query.get("versionId") else ""
    if method in ("GET", "HEAD"):
        return "ListMultipartUploadParts" if "uploadId" in query else f"GetObject{versioned}"
    if method == "DELETE":
        return "AbortMultipartUpload" if "uploadId" in query else f"DeleteObject{versioned}"
    if "restore" in query:
        return "RestoreObject"
    return "GetObject" if "select" in query else "PutObject"
