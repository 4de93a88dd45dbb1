"""What a training job made, to S3: one archive of all hosts' folders, or the files as they are.

Source: "How Amazon SageMaker Processes Training Output" in the developer guide, and OutputDataConfig.
"""

from __future__ import annotations

import os
import stat
import tarfile
import tempfile

from ...machine.jobfiles import JobFile
from ...worker.s3.address import S3Address
from .transfers import Transfers, under


def upload(transfers: Transfers, found: dict[str, JobFile], place: S3Address, scratch: str) -> None:
    """All of it as one compressed archive at `place`. Raises TransferRefused and OSError."""
    with tempfile.TemporaryFile(dir=scratch) as aside:
        # SageMaker's role is to hand it on at once: the fastest compression is enough.
        with tarfile.open(fileobj=aside, mode="w:gz", compresslevel=1, dereference=True) as archive:
            for name in sorted(found):
                if name.endswith("/"):
                    archive.addfile(_empty_folder(name, found[name]))
                    continue
                with found[name].open() as file:
                    archive.addfile(archive.gettarinfo(arcname=name, fileobj=file), file)
        aside.seek(0)
        transfers.store(aside, place)


def upload_files(transfers: Transfers, found: dict[str, JobFile], place: S3Address) -> None:
    """All of it as objects below `place`. Raises TransferRefused and OSError."""
    for name in sorted(found):
        if not name.endswith("/"):
            with found[name].open() as file:
                transfers.store(file, under(place, name.replace(os.sep, "/")))


def _empty_folder(name: str, folder: JobFile) -> tarfile.TarInfo:
    descriptor = folder.descriptor()
    try:
        status = os.fstat(descriptor)
    finally:
        os.close(descriptor)
    entry = tarfile.TarInfo(name.rstrip("/"))
    entry.type, entry.mode, entry.mtime = tarfile.DIRTYPE, stat.S_IMODE(status.st_mode), status.st_mtime
    return entry
