"""How Batch refuses."""

from __future__ import annotations

import uuid

from ..api.protocols import AwsError


def client_exception(text: str) -> AwsError:
    """A request that Batch has read and found wanting; what clients see around `text` is Batch's."""
    return AwsError(
        "ClientException", f"Error executing request, Exception : {text}, RequestId: {uuid.uuid4()}"
    )


def not_found(text: str) -> AwsError:
    """A queue or a definition that is not there; of these Batch tells without more."""
    return AwsError("ClientException", text)


def not_emulated(what: str) -> AwsError:
    """Something that AWS can do and the sandbox does not."""
    return AwsError("ClientException", f"the sandbox does not emulate {what}")
