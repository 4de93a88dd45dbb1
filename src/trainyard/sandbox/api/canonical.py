"""Each request with one reading: which operation it is, and what its parameters are.

moto finds these out by itself, in other places and with other precedence: an `Action` of the query, of a form
or within a JSON text goes before `X-Amz-Target`, a form goes before the query, of two parameters of one name
now the first counts and now the last. What permissions are held against would then not be what is done. So
the request that goes on is written anew from what was read here, and one that can be read in two ways is
refused.
"""

from __future__ import annotations

import json
import re
import urllib.parse
import zlib
from collections.abc import Iterable
from typing import Any
from wsgiref.types import WSGIEnvironment

from moto.core.model import OperationModel, ServiceModel

from . import intake
from .protocols import AwsError

RPC = re.compile(r"/service/[^/]+/operation/(\w+)")
"""The path of Smithy's RPC protocol, with the operation."""
_FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")
Pairs = list[tuple[str, str]]


def settle_path(environ: WSGIEnvironment) -> None:
    """Raise AwsError for a path of which one reader sees more than another does."""
    raw = str(environ.get("RAW_URI", "/")).partition("?")[0]
    if not raw.startswith("/") or raw.startswith("//") or "#" in raw:
        raise AwsError("InvalidURI", "Couldn't parse the specified URI.")


def settle(environ: WSGIEnvironment, model: ServiceModel) -> None:
    """Have the request, which is none to S3, say in one way which operation it is. Raises AwsError."""
    protocols = model.metadata.get("protocols") or [model.metadata.get("protocol", "")]
    pairs = _query(environ)
    body = _decoded(environ)
    if target := str(environ.get("HTTP_X_AMZ_TARGET", "")):
        _settle_target(environ, model, target, pairs)
        _settle_json(environ, body)
    elif RPC.fullmatch(str(environ.get("PATH_INFO", ""))):
        _refuse_unless(not pairs and not _is_form(environ) and not _names_action(body))
    elif {"query", "ec2"} & set(protocols):
        _settle_form(environ, pairs, body)
    else:
        _refuse_unless(not _is_form(environ) and "Action" not in dict(pairs))
        _settle_json(environ, body) if "rest-json" in protocols else _refuse_unless(not _names_action(body))


def settle_members(environ: WSGIEnvironment, model: OperationModel, body: bytes) -> None:
    """Raise AwsError where a parameter of a REST operation is not in the place that is its own: moto takes
    one of the query before one of the body, and that before one of the path.
    """
    members = model.input_shape.members if model.input_shape else {}
    places = {
        shape.serialization.get("name", name): (shape.serialization.get("location", ""), shape.type_name)
        for name, shape in members.items()
    }
    names = [name for name, _ in _query(environ)]
    for name in names:
        place, kind = places.get(name, ("", ""))
        _refuse_unless(place == "querystring" and (kind == "list" or names.count(name) == 1))
    placed = {name for name, (place, _) in places.items() if place}
    _refuse_unless(not placed & set(json.loads(body or b"{}")))


def settle_s3(environ: WSGIEnvironment) -> None:
    """The same as `settle`, of a request to S3, path-style; `PATH_INFO` and the query are written anew."""
    raw = str(environ.get("RAW_URI", "/")).partition("?")[0]
    bucket, slash, key = (urllib.parse.unquote(part) for part in raw[1:].partition("/"))
    _refuse_unless("/" not in bucket, "InvalidURI")
    pairs = urllib.parse.parse_qsl(str(environ.get("QUERY_STRING", "")), keep_blank_values=True)
    query = dict(pairs)
    _refuse_unless(len(query) == len(pairs) and len(_SUBRESOURCES & set(query)) < 2)
    environ["PATH_INFO"] = f"/{bucket}{slash}{key}".encode().decode("latin-1")
    environ["QUERY_STRING"] = urllib.parse.urlencode(pairs, quote_via=urllib.parse.quote)
    quoted = urllib.parse.quote(f"/{bucket}{slash}{key}", safe="/~")
    environ["RAW_URI"] = quoted + (f"?{environ['QUERY_STRING']}" if pairs else "")
    _settle_s3_body(environ, bool(key))
    if source := environ.get("HTTP_X_AMZ_COPY_SOURCE"):
        environ["HTTP_X_AMZ_COPY_SOURCE"] = _copy_source(str(source))
    conditions = [environ[name] for name in ("HTTP_IF_NONE_MATCH", "HTTP_IF_MATCH") if name in environ]
    is_copy = "HTTP_X_AMZ_COPY_SOURCE" in environ and "partNumber" not in query
    if (conditions and is_copy) or (
        environ["REQUEST_METHOD"] in ("PUT", "POST") and environ.get("HTTP_IF_NONE_MATCH", "*") != "*"
    ):
        message = "A header you provided implies functionality that is not implemented"
        raise AwsError("NotImplemented", message, 501)


_SUBRESOURCES = frozenset(
    re.findall(
        r"[\w-]+",
        """
        accelerate acl analytics attributes cors delete encryption inventory legal-hold lifecycle location
        logging metrics notification object-lock ownershipControls policy policyStatus publicAccessBlock
        replication requestPayment restore retention select tagging torrent uploadId uploads versioning
        versions website
        """,
    )
)
"""Words of S3's query that each make another operation of a request."""


def _settle_s3_body(environ: WSGIEnvironment, has_key: bool) -> None:
    if environ["REQUEST_METHOD"] not in ("PUT", "POST"):
        intake.replace(environ, b"")  # moto would look for parameters in it
    elif _is_form(environ):
        if not has_key:
            raise AwsError("NotImplemented", "the sandbox does not emulate uploads by a browser's form", 501)
        environ["CONTENT_TYPE"] = "binary/octet-stream"  # what S3 says of an object that nobody gave a type


def _copy_source(header: str) -> str:
    """`bucket/key?versionId=…`, quoted in one way."""
    path, _, version = header.partition("?")
    name = urllib.parse.quote(urllib.parse.unquote(path).lstrip("/"), safe="/~")
    return f"{name}?{version}" if version else name


def _settle_target(environ: WSGIEnvironment, model: ServiceModel, target: str, pairs: Pairs) -> None:
    prefix, _, operation = target.rpartition(".")
    wanted = model.metadata.get("targetPrefix", prefix)
    _refuse_unless(prefix == wanted and operation.isidentifier())
    _refuse_unless(not pairs and environ.get("PATH_INFO", "/") in ("", "/"))
    environ["QUERY_STRING"] = ""


def _settle_json(environ: WSGIEnvironment, body: bytes) -> None:
    """A JSON object without two members of a name, and without an ampersand: moto looks for a form in it."""
    _refuse_unless(not _is_form(environ))
    if not body:
        return
    try:
        content = json.loads(body, object_pairs_hook=_unique)
    except (ValueError, RecursionError):
        raise AwsError("SerializationException", "the request's body is no JSON") from None
    if not isinstance(content, dict):
        raise AwsError("SerializationException", "the request's body is no JSON object")
    intake.replace(environ, json.dumps(content).replace("&", "\\u0026").encode())


def _unique(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        _refuse_unless(name not in found)
        found[name] = value
    return found


def _settle_form(environ: WSGIEnvironment, pairs: Pairs, body: bytes) -> None:
    """All parameters in one place: the query of a GET, else the body."""
    is_get = environ["REQUEST_METHOD"] == "GET"
    kind = str(environ.get("CONTENT_TYPE", ""))
    _refuse_unless(not body or (not is_get and kind.startswith(_FORMS[0])))
    pairs = pairs + urllib.parse.parse_qsl(body.decode("utf-8", "replace"), keep_blank_values=True)
    values = dict(pairs)
    _refuse_unless(len(values) == len(pairs))
    if "Action" not in values:
        raise AwsError("MissingAction", "The request is missing an action or a required parameter.")
    text = urllib.parse.urlencode(pairs)
    environ["QUERY_STRING"] = text if is_get else ""
    if not is_get:
        environ["CONTENT_TYPE"] = _FORMS[0]
        intake.replace(environ, text.encode())


def _query(environ: WSGIEnvironment) -> Pairs:
    """The query's parameters, but for those of a signature."""
    query = urllib.parse.parse_qsl(str(environ.get("QUERY_STRING", "")), keep_blank_values=True)
    return [(name, value) for name, value in query if not name.lower().startswith("x-amz-")]


def _decoded(environ: WSGIEnvironment) -> bytes:
    """The body, as it was before it was compressed."""
    body: bytes = environ["wsgi.input"].read()
    if str(environ.pop("HTTP_CONTENT_ENCODING", "")).lower() == "gzip":
        unpacking = zlib.decompressobj(wbits=31)
        try:
            body = unpacking.decompress(body, intake.LARGEST)
        except zlib.error:
            raise AwsError("SerializationException", "the request's body is not compressed by gzip") from None
        if unpacking.unconsumed_tail:
            raise AwsError("RequestEntityTooLarge", "the request's body is too long, once unpacked", 413)
    intake.replace(environ, body)
    return body


def _is_form(environ: WSGIEnvironment) -> bool:
    return str(environ.get("CONTENT_TYPE", "")).lower().startswith(_FORMS)


def _names_action(body: bytes) -> bool:
    """Whether moto would find an operation in a body that is no form."""
    return "Action" in urllib.parse.parse_qs(body.decode("latin-1"), keep_blank_values=True)


def _refuse_unless(holds: bool, code: str = "InvalidParameterCombination") -> None:
    if not holds:
        raise AwsError(code, "the request can be read in two ways: say each thing once, where it belongs")
