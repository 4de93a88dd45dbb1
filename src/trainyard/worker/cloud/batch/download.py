"""What a Batch job needs on its machine: the source, wheels, the model."""

from __future__ import annotations

import os

from ...errors import InputError, Unmet
from ...rows.inputs import changed
from ...s3 import client, transfers
from ...storage import places
from ...storage.archive import Limit
from ...storage.archive import unpack as untar
from ..source import unpack as unzip

ARCHIVES = (".tar.gz", ".tgz", ".tar", ".tar.bz2", ".tar.xz")


def fetch_source(address: str, archive: str, folder: str) -> None:
    """The source of `address`, kept as the file `archive`, unpacked to `folder`."""
    with open(archive, "wb") as stream:
        stream.write(client.client().get(client.address_of(address)))
    unzip(archive, folder)


def fetch_prefix(address: str, folder: str) -> int:
    """What lies below a prefix, as files of `folder`; how many."""
    os.makedirs(folder, exist_ok=True)
    try:
        return transfers.download_prefix(client.client(), client.address_of(places.join(address, "")), folder)
    except Unmet as error:
        raise changed(str(error)) from None


def fetch_model(address: str, folder: str, limit: Limit) -> None:
    """The model: an archive unpacked to `folder`, at most to its limit, or the files below a prefix.

    Raises InputError where there is none, or none that can be unpacked safely.
    """
    found = check_model(address)
    if found is None:
        fetch_prefix(address, folder)
        return
    try:
        with places.open_object(address, found.size, found.etag) as stream:
            untar(stream, folder, address, limit)
    except Unmet:
        raise changed(address) from None


def check_model(address: str) -> places.Found | None:
    """The archive at an address, None for a prefix with objects. Raises InputError for neither."""
    try:
        found = places.objects(address)
    except InputError as error:
        raise InputError(f"the model {error}") from None
    if found[0].address != address:
        return None
    if not address.lower().endswith(ARCHIVES):
        raise InputError(f"the model {address} is no archive; name a model.tar.gz, or a folder with a slash")
    return found[0]
