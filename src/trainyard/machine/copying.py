"""Facts about file systems, and files copied whole."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import sys
from typing import IO

from trainyard.core.files import trees

_FICLONE = 0x4004_9409  # linux/fs.h
_SMALL = 1 << 20
_CHUNK = 1 << 30


def clone_or_copy(source: str, target: str) -> None:
    """Make `target`, which must not exist, a file with the content of `source`, and with no more permissions
    than it has, but that its owner may read and write it.

    Shares the blocks where the file system can (FICLONE, clonefile), else copies them. Nothing is left on
    failure. Raises OSError, FileExistsError among them.
    """
    with open(source, "rb", buffering=0) as reader:
        status = os.fstat(reader.fileno())
        mode = status.st_mode & 0o777 | 0o600
        if sys.platform == "darwin" and _clonefile(source, target, mode):
            _narrow(target, status)
            return
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        try:
            with open(descriptor, "wb", buffering=0) as writer:
                _narrow(descriptor, status)
                _copy_content(reader, writer)
        except BaseException:
            os.unlink(target)
            raise


def copy_tree(source: str, target: str, *, read_only: bool = False, share: bool = False) -> tuple[int, int]:
    """Copy a folder to `target`, made here, or a single file; the number of files and their bytes.

    Symbolic links are followed. No file or folder gets more permissions than it has, but that its owner may
    read and write it; `read_only` takes the write permission from the files, not from the folders. `share`
    makes hard links where that can be, for a copy that nobody writes to. Raises
    BadInput for sockets, pipes, devices, broken links and links that go in circles, FileExistsError where a
    file is there already. What was copied before an error stays.
    """
    if os.path.isfile(source):
        return 1, _copy_file(source, target, read_only, share)
    os.makedirs(os.path.dirname(target) or os.curdir, exist_ok=True)
    _make_folder(target, os.stat(source))
    files = total = 0
    for entry in trees.walk(source):
        path = os.path.join(target, entry.relative)
        if stat.S_ISDIR(entry.status.st_mode):
            _make_folder(path, entry.status)
        else:
            files, total = files + 1, total + _copy_file(entry.path, path, read_only, share)
    return files, total


def mountable(folder: str, place: str) -> str:
    """The folder as it may be mounted elsewhere: itself, or, where a relative link steps out of it, `place`,
    which becomes a folder of hard links to its files (copies of those on other file systems).

    `place` appears whole or not at all; where it is there already, it is taken. Raises as `copy_tree` does.
    """
    if os.path.isdir(place):
        return place
    if not trees.leads_out(folder):
        return folder
    aside = f"{place}.{os.getpid()}"
    try:
        copy_tree(folder, aside, share=True)
        os.rename(aside, place)
    except BaseException:
        import shutil  # 4 ms that only a failure is worth

        shutil.rmtree(aside, ignore_errors=True)
        # Another host of the run has just made it.
        if not os.path.isdir(place):
            raise
    return place


def _copy_file(source: str, target: str, read_only: bool, share: bool) -> int:
    if share and _link(source, target):
        return os.stat(target).st_size
    clone_or_copy(source, target)
    status = os.stat(target)
    if read_only:
        os.chmod(target, status.st_mode & 0o555)
    return status.st_size


def _link(source: str, target: str) -> bool:
    """Whether `target` could be made another name of the file: not on another file system, nor where the
    system lets nobody link what is another's."""
    try:
        os.link(os.path.realpath(source), target)
    except FileExistsError:
        raise
    except OSError:
        return False
    return True


def _make_folder(path: str, original: os.stat_result) -> None:
    try:
        os.mkdir(path, original.st_mode & 0o777 | 0o700)
    except FileExistsError:
        return
    _narrow(path, original)


def _narrow(copy: int | str, original: os.stat_result) -> None:
    """Where the copy has another group, that may do what everybody may do with the original."""
    status = os.stat(copy)
    if status.st_gid != original.st_gid:
        everybody = original.st_mode & 0o007
        os.chmod(copy, stat.S_IMODE(status.st_mode) & (0o707 | everybody << 3))


def _copy_content(reader: IO[bytes], writer: IO[bytes]) -> None:
    if sys.platform == "linux" and (_reflink(reader, writer) or _copy_in_kernel(reader, writer)):
        return
    # Here only where the kernel cannot copy, and shutil takes long to import.
    from shutil import copyfileobj

    copyfileobj(reader, writer, _SMALL)


def _reflink(reader: IO[bytes], writer: IO[bytes]) -> bool:
    try:
        fcntl.ioctl(writer.fileno(), _FICLONE, reader.fileno())
    except OSError:
        return False
    return True


def _copy_in_kernel(reader: IO[bytes], writer: IO[bytes]) -> bool:
    if sys.platform != "linux":
        return False
    copied = 0
    while True:
        try:
            step = os.copy_file_range(reader.fileno(), writer.fileno(), _CHUNK)
        except OSError as error:
            if copied or error.errno not in (errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP):
                raise
            return False
        if step == 0:
            # Some kernels copy nothing of files that they make up as they are read.
            return copied > 0 or os.fstat(reader.fileno()).st_size == 0
        copied += step


def _clonefile(source: str, target: str, mode: int) -> bool:
    # macOS only, and slow to import.
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    if libc.clonefile(os.fsencode(source), os.fsencode(target), 0) != 0:
        return False
    os.chmod(target, mode)
    return True
