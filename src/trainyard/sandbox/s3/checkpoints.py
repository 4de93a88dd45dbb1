"""Checkpoints: what SageMaker restores before a start, and copies to S3 while a job runs.

Source: "Checkpoints in Amazon SageMaker AI" in the developer guide: everything below the local path is
synchronised continuously, what is deleted there is deleted in S3, and every host restores all of it.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import NamedTuple

from ...machine.jobfiles import JobFile, is_absent
from ...worker.s3.address import S3Address
from .channels import ChannelFile, download
from .transfers import Transfers


class _FileState(NamedTuple):
    size: int
    modified: int
    inode: int


class Checkpoints:
    """The checkpoint folder of one host. Raises TransferRefused and OSError."""

    def __init__(self, transfers: Transfers, place: S3Address, folder: JobFile) -> None:
        self._transfers, self._folder = transfers, folder
        self._place = place._replace(key=place.key.rstrip("/") + "/" if place.key else "")
        self._known: dict[str, _FileState] = {}

    def restore(self, check: Callable[[], None]) -> None:
        """Bring everything here; `check` is called between the files and may raise."""
        start = len(self._place.key)
        items = [ChannelFile(each, each.key[start:]) for each in self._transfers.list(self._place)]
        folder = os.path.join(self._folder.root, self._folder.path)
        for _ in download(self._transfers, [each for each in items if each.path], folder):
            check()
        self._known = _look(self._folder)

    def sync(self) -> None:
        """Copy what has changed since the last time, and delete what has gone."""
        now = _look(self._folder)
        for name in sorted(now, key=lambda name: now[name].modified):
            if self._known.get(name) != now[name]:
                try:
                    file = self._folder.at(name).open()
                except OSError as error:
                    if not is_absent(error):
                        raise
                    # Gone, or replaced by a folder, since we looked: the next time tells.
                    continue
                with file:
                    self._transfers.store(file, self._at(name))
                self._known[name] = now[name]
        for name in [name for name in self._known if name not in now]:
            self._transfers.delete(self._at(name))
            del self._known[name]

    def _at(self, name: str) -> S3Address:
        return self._place._replace(key=self._place.key + name.replace(os.sep, "/"))


def _look(folder: JobFile) -> dict[str, _FileState]:
    """All files below the folder as they are now; links to files count as what they lead to for the job."""
    found: dict[str, _FileState] = {}
    pending = [""]
    while pending:
        prefix = pending.pop()
        try:
            descriptor = folder.at(prefix).descriptor()
        except OSError:
            continue
        try:
            with os.scandir(descriptor) as entries:
                for entry in entries:
                    name = os.path.join(prefix, entry.name)
                    if entry.is_dir(follow_symlinks=False):
                        pending.append(name)
                    elif status := _file_at(entry, folder.at(name)):
                        found[name] = _FileState(status.st_size, status.st_mtime_ns, status.st_ino)
        except OSError:
            continue
        finally:
            os.close(descriptor)
    return found


def _file_at(entry: os.DirEntry[str], file: JobFile) -> os.stat_result | None:
    """The status of a regular file, or of the one that a link leads to; None for anything else."""
    try:
        if not entry.is_symlink():
            return entry.stat(follow_symlinks=False) if entry.is_file(follow_symlinks=False) else None
        with file.open() as opened:
            return os.fstat(opened.fileno())
    except OSError:
        return None
