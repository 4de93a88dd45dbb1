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
from .transfers import Transfers, under


def collect(folders: Iterable[str]) -> dict[str, str]:
    """The files and empty folders below the folders by their relative paths; of two at one path, the later
    folder's counts. Links are followed, but for those that lead nowhere or in circles."""
    found: dict[str, str] = {}
    for folder in filter(os.path.isdir, folders):
        pending = [("", folder, frozenset[tuple[int, int]]())]
        while pending:
            prefix, path, above = pending.pop()
            status = os.stat(path)
            if not stat.S_ISDIR(status.st_mode):
                if stat.S_ISREG(status.st_mode):
                    found[prefix] = path
                continue
            if (status.st_dev, status.st_ino) in above:
                continue
            _open_up(path, status)
            names = os.listdir(path)
            if prefix and not names:
                found[prefix + "/"] = path
            above |= {(status.st_dev, status.st_ino)}
            each = [(os.path.join(prefix, name), os.path.join(path, name)) for name in names]
            pending += [(name, inner, above) for name, inner in each if os.path.exists(inner)]
    return found


def upload(transfers: Transfers, found: dict[str, str], place: S3Address, scratch: str) -> None:
    """All of it as one compressed archive at `place`. Raises TransferRefused and OSError."""
    with tempfile.TemporaryFile(dir=scratch) as aside:
        # SageMaker's role is to hand it on at once: the fastest compression is enough.
        with tarfile.open(fileobj=aside, mode="w:gz", compresslevel=1, dereference=True) as archive:
            for name in sorted(found):
                _open_up(found[name], os.stat(found[name]))
                archive.add(found[name], name.rstrip("/"), recursive=False)
        aside.seek(0)
        transfers.store(aside, place)


def upload_files(transfers: Transfers, found: dict[str, str], place: S3Address) -> None:
    """All of it as objects below `place`. Raises TransferRefused and OSError."""
    for name in sorted(found):
        if not name.endswith("/"):
            _open_up(found[name], os.stat(found[name]))
            transfers.upload(found[name], under(place, name.replace(os.sep, "/")))


def _open_up(path: str, status: os.stat_result) -> None:
    """Let the owner read what the script forbade: SageMaker is root in the container."""
    wanted = 0o700 if stat.S_ISDIR(status.st_mode) else 0o400
    if status.st_mode & wanted != wanted and status.st_uid == os.geteuid():
        os.chmod(path, stat.S_IMODE(status.st_mode) | wanted)
