"""What a training job made, to S3: one archive of all hosts' folders, or the files as they are.

Source: "How Amazon SageMaker Processes Training Output" in the developer guide, and OutputDataConfig.
"""

from __future__ import annotations

import os
import stat
import tarfile
import tempfile
from collections.abc import Iterable

from ...worker.s3.address import S3Address
from .jobfiles import JobFile, is_absent
from .transfers import Transfers, under


def collect(folders: Iterable[JobFile]) -> dict[str, JobFile]:
    """The files and empty folders below the folders by their relative paths; of two at one path, the later
    folder's counts. Links are followed as the job could follow them below `/opt/ml`, but for those that lead
    nowhere or in circles."""
    found: dict[str, JobFile] = {}
    for folder in folders:
        pending = [("", folder, frozenset[tuple[int, int]]())]
        while pending:
            prefix, file, above = pending.pop()
            try:
                descriptor = file.descriptor()
            except OSError as error:
                if not is_absent(error):
                    raise
                continue
            try:
                status = os.fstat(descriptor)
                if not stat.S_ISDIR(status.st_mode):
                    found.update({prefix: file} if prefix else {})
                    continue
                if (status.st_dev, status.st_ino) in above:
                    continue
                names = os.listdir(descriptor)
            finally:
                os.close(descriptor)
            if prefix and not names:
                found[prefix + "/"] = file
            above |= {(status.st_dev, status.st_ino)}
            pending += [(os.path.join(prefix, name), file.at(name), above) for name in names]
    return found


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
