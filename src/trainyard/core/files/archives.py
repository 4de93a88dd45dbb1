"""Model archives, `model.tar.gz`, as SageMaker packs what a training job leaves in its model folder."""

from __future__ import annotations

import os

from ..errors import BadInput

_RATIO = 3


def pack(folder: str, archive: str) -> None:
    """Make an archive of all that is in a folder."""
    import tarfile  # for models alone

    def anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo:
        member.uid = member.gid = 0
        member.uname = member.gname = ""
        return member

    with tarfile.open(archive, "x:gz", compresslevel=1) as packed:
        for name in sorted(os.listdir(folder)):
            packed.add(os.path.join(folder, name), name, filter=anonymous)


def unpack(
    archive: str, target: str, *, where: str = "", model_size_gb: int = 0, lost: list[str] | None = None
) -> None:
    """Unpack a `model.tar.gz` to the new folder `target`, whole or not at all.

    `model_size_gb` is the job's; 0 where there is no job: then it may unpack to three times its own size, or
    to what a job allows that does not say. Raises `BadInput` for a file that is no such archive, that
    would be larger or that reaches outside of the folder; it names `where` the archive came from. With
    `lost`, which takes their names, members that reach outside are left out.
    """
    # Only models need it. Python's own filter for tar files is there since 3.11.4, and here from the first.
    from ...worker import errors
    from ...worker.protocol import MODEL_SIZE_GB
    from ...worker.storage.archive import Limit, limit_of
    from ...worker.storage.archive import unpack as unpack_stream

    name = where or archive
    if model_size_gb:
        limit = limit_of(model_size_gb)
    else:
        most = max(MODEL_SIZE_GB, _RATIO * os.path.getsize(archive) >> 30)
        limit = Limit(most, "look at the archive itself before you unpack it")
    try:
        with open(archive, "rb") as stream:
            unpack_stream(stream, target, name, limit, lost)
    except errors.InputError as error:
        raise BadInput(str(error).removeprefix(f"{name}: "), where=name) from None
