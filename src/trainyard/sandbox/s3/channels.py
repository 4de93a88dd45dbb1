"""The objects of a channel: which there are, who of the hosts gets them, and where they lie then.

Source: S3DataSource in the SageMaker API, and "Access Training Data" in its developer guide.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from ...worker.s3.address import S3Address
from .transfers import TransferRefused, Transfers, place_of


class ChannelFile(NamedTuple):
    """An object of a channel and its path below the channel's folder."""

    place: S3Address
    path: str


def items_of(
    transfers: Transfers, source: Mapping[str, Any], host: int, hosts: int, *, missing: str
) -> list[ChannelFile]:
    """What one of the hosts (from 0) gets of an S3DataSource.

    Raises TransferRefused, with the text `missing` where nothing is there at all.
    """
    place = place_of(source["S3Uri"])
    if source.get("S3DataType") == "ManifestFile":
        found = list(_listed(transfers, place))
    else:
        found = [ChannelFile(each, _below(place, each)) for each in transfers.list(place)]
        if not found:
            raise TransferRefused("", 404, missing)
    if source.get("S3DataDistributionType") == "ShardedByS3Key":
        found = sorted(each for each in found if not each.path.endswith("/"))[host::hosts]
    return found


def download(transfers: Transfers, items: list[ChannelFile], folder: str) -> Iterator[None]:
    """Copy the objects below `folder`, which is made, one a step. Raises TransferRefused for a key that leads
    out of it."""
    os.makedirs(folder, exist_ok=True)
    for item in items:
        _refuse_climbing(item)
        path = os.path.join(folder, *item.path.split("/"))
        try:
            if item.path.endswith("/") or not item.path:
                os.makedirs(path, exist_ok=True)
            else:
                transfers.download(item.place, path)
        except (FileExistsError, IsADirectoryError, NotADirectoryError):
            message = f"{item.place}: a file and a folder of the channel have the same path"
            raise TransferRefused("InvalidObject", 400, message) from None
        yield


def _listed(transfers: Transfers, manifest: S3Address) -> Iterator[ChannelFile]:
    """The objects that a manifest names: `[{"prefix": "s3://bucket/some/"}, "path", …]`."""
    try:
        entries = json.loads(transfers.read(manifest))
        prefix = place_of(entries[0]["prefix"])
        names = [str(each) for each in entries[1:]]
    except (ValueError, LookupError, TypeError):
        raise TransferRefused("InvalidManifest", 400, f"{manifest} is no manifest") from None
    for name in names:
        yield ChannelFile(S3Address(prefix.bucket, prefix.key + name), name)


def _below(prefix: S3Address, each: S3Address) -> str:
    """The path of an object in the channel's folder."""
    if each.key == prefix.key and not each.key.endswith("/"):
        return each.key.rpartition("/")[2]
    whole = prefix.key.rstrip("/") + "/"
    if prefix.key and each.key.startswith(whole):
        return each.key[len(whole) :]
    return each.key[prefix.key.rfind("/") + 1 :]


def _refuse_climbing(item: ChannelFile) -> None:
    if ".." in item.path.split("/") or item.path.startswith("/"):
        raise TransferRefused("InvalidKey", 400, f"{item.place} leads out of the channel's folder")
