"""A job's files below `/opt/ml`, opened as the job could open them.

What a job left may be links, and a link means something else on the machine than it meant to the job: for a
container another file system, and in a namespace the folders that it had no view of. So links are followed to
what lies below `/opt/ml`, one component after the other and without a moment in which one could be exchanged;
what leads elsewhere leads nowhere.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections.abc import Callable, Iterable, Mapping
from typing import IO, NamedTuple

ROOT = "/opt/ml"
_NONE: Mapping[str, str] = {}
_MOST_LINKS = 40  # as Linux has it (path_resolution(7))
_HERE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_ABSENT = (errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENXIO)


def is_absent(error: OSError) -> bool:
    """Whether it says that there is no such file for the job, rather than that it cannot be read."""
    return error.errno in _ABSENT


class JobFile(NamedTuple):
    """A file or folder of a job: the folder of the machine that is its `/opt/ml`, the path below that, and
    the folders that were mounted below it, by their names there."""

    root: str
    path: str
    mounts: Mapping[str, str] = _NONE

    def at(self, name: str) -> JobFile:
        """What is called so in this folder."""
        return self._replace(path=os.path.join(self.path, name))

    def descriptor(self) -> int:
        """A descriptor of the regular file, or folder. Raises OSError where there is none that the job could
        have opened; the owner is let in where the script forbade it, as root is in a container."""
        folders = [os.open(self.root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)]
        try:
            return _walk(self, folders)
        finally:
            for folder in folders:
                os.close(folder)

    def open(self) -> IO[bytes]:
        """The regular file, to be read. Raises OSError, and IsADirectoryError for a folder."""
        descriptor = self.descriptor()
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), self.path)
        return open(descriptor, "rb", buffering=0)


def collect(folders: Iterable[JobFile], lost: Callable[[str], object] = str) -> dict[str, JobFile]:
    """The files and empty folders below the folders by their relative paths; of two at one path, the later
    folder's counts. Links are followed as the job could follow them below `/opt/ml`; `lost` is told of those
    that lead nowhere or in circles, and of sockets, pipes and devices."""
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
                lost(prefix)
                continue
            try:
                status = os.fstat(descriptor)
                if not stat.S_ISDIR(status.st_mode):
                    found.update({prefix: file} if prefix else {})
                    continue
                if (status.st_dev, status.st_ino) in above:
                    lost(prefix)
                    continue
                names = os.listdir(descriptor)
            finally:
                os.close(descriptor)
            if prefix and not names:
                found[prefix + "/"] = file
            above |= {(status.st_dev, status.st_ino)}
            pending += [(os.path.join(prefix, name), file.at(name), above) for name in names]
    return found


def _walk(file: JobFile, folders: list[int]) -> int:
    """A descriptor of the file below the first of the folders, which are those on the way."""
    path, links = file.path, 0
    pending = path.split("/")[::-1]
    while pending:
        part = pending.pop()
        if part == os.pardir:
            if len(folders) == 1:
                raise _error(errno.ENOENT, path)
            os.close(folders.pop())
        elif len(folders) == 1 and part in file.mounts:
            folders.append(os.open(file.mounts[part], os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC))
        elif part not in ("", os.curdir):
            status = os.stat(part, dir_fd=folders[-1], follow_symlinks=False)
            if stat.S_ISLNK(status.st_mode):
                links += 1
                if links > _MOST_LINKS:
                    raise _error(errno.ELOOP, path)
                pending += _target(os.readlink(part, dir_fd=folders[-1]), folders, file).split("/")[::-1]
                continue
            opened = _open(part, status, folders[-1])
            if not stat.S_ISDIR(status.st_mode):
                if not any(each not in ("", os.curdir) for each in pending):
                    return opened
                os.close(opened)
                raise _error(errno.ENOTDIR, path)
            folders.append(opened)
    return os.dup(folders[-1])


def _target(target: str, folders: list[int], file: JobFile) -> str:
    """Where a link goes on, from the last of the folders; back to the first for an absolute one."""
    if not target.startswith("/"):
        return target
    # Where jobs have no namespace of their own, its own paths are the machine's.
    top = next((top for top in (ROOT, file.root) if f"{target}/".startswith(f"{top}/")), None)
    if top is None:
        raise _error(errno.ENOENT, file.path)
    while len(folders) > 1:
        os.close(folders.pop())
    return target[len(top) :]


def _open(name: str, status: os.stat_result, folder: int) -> int:
    is_folder = stat.S_ISDIR(status.st_mode)
    if not (is_folder or stat.S_ISREG(status.st_mode)):
        raise _error(errno.ENXIO, name)  # opening a device or a pipe can do something
    wanted = 0o700 if is_folder else 0o400
    if status.st_mode & wanted != wanted and status.st_uid == os.geteuid():
        # A link that the job has put there meanwhile is not followed; C libraries of before 2020 cannot do
        # that, and leave the file closed.
        with contextlib.suppress(NotImplementedError, ValueError):
            mode = stat.S_IMODE(status.st_mode) | wanted
            os.chmod(name, mode, dir_fd=folder, follow_symlinks=False)
    opened = os.open(name, _HERE | (os.O_DIRECTORY if is_folder else 0), dir_fd=folder)
    if stat.S_IFMT(os.fstat(opened).st_mode) != stat.S_IFMT(status.st_mode):
        os.close(opened)
        raise _error(errno.ENXIO, name)
    return opened


def _error(number: int, path: str) -> OSError:
    return OSError(number, os.strerror(number), path)
