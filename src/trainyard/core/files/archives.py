"""Model archives, `model.tar.gz`, as SageMaker packs what a training job leaves in its model folder."""

from __future__ import annotations

from ..errors import BadInput


def unpack(archive: str, target: str, *, where: str = "") -> None:
    """Unpack a `model.tar.gz` to the new folder `target`, whole or not at all.

    Raises `BadInput` for a file that is no such archive or that reaches outside of the folder; it names
    `where` the archive came from.
    """
    # Only models need it. Python's own filter for tar files is there since 3.11.4, and here from the first.
    from ...worker import errors
    from ...worker.storage.archive import unpack as unpack_stream

    name = where or archive
    try:
        with open(archive, "rb") as stream:
            unpack_stream(stream, target, name)
    except errors.InputError as error:
        raise BadInput(str(error).removeprefix(f"{name}: "), where=name) from None
