"""What a Batch job needs on its machine: the source, wheels, the model."""

from __future__ import annotations

import os

from ...errors import InputError, Unmet
from ...inference import recorded
from ...rows.inputs import changed
from ...s3 import client, transfers
from ...storage import content, places
from ...storage.archive import Limit
from ...storage.archive import unpack as untar
from ..source import unpack as unzip

ARCHIVES = (".tar.gz", ".tgz", ".tar", ".tar.bz2", ".tar.xz")


def fetch_source(address: str, archive: str, folder: str, recorded: str) -> None:
    """The source of `address`, kept as the file `archive`, unpacked to `folder`; raises as `unpack` does."""
    with open(archive, "wb") as stream:
        stream.write(client.client().get(client.address_of(address)))
    unzip(archive, folder, recorded)


def fetch_prefix(address: str, folder: str) -> int:
    """What lies below a prefix, as files of `folder`; how many."""
    os.makedirs(folder, exist_ok=True)
    try:
        return transfers.download_prefix(client.client(), client.address_of(places.join(address, "")), folder)
    except Unmet as error:
        raise changed(str(error)) from None


def fetch_model(
    address: str, folder: str, limit: Limit, *, model: str, model_object: str, model_version: str
) -> None:
    """The model: an archive unpacked to `folder`, at most to its limit, or the files below a prefix.

    Recorded ("" for nothing) were the hash of its content, or else of what lies at the address, and the
    version of its object, which is read. Raises InputError where there is no model, none that can be unpacked
    safely, or another one.
    """
    found = check_model(address, model_version)
    if found is None:
        fetch_prefix(address, folder)
    else:
        recorded.check([found], model_object, f"the model {address}")
        try:
            with places.open_object(address, found.size, found.etag, version=model_version) as stream:
                untar(stream, folder, address, limit)
        except Unmet:
            raise changed(address) from None
    content.check(folder, model or ("" if found else model_object), f"the model {address}")


def check_model(address: str, version: str = "") -> places.Found | None:
    """The archive at an address, None for a prefix with objects. Raises InputError for neither."""
    try:
        found = places.objects(address, version=version)
    except InputError as error:
        raise InputError(f"the model {error}") from None
    if found[0].address != address:
        return None
    if not address.lower().endswith(ARCHIVES):
        raise InputError(f"the model {address} is no archive; name a model.tar.gz, or a folder with a slash")
    return found[0]
