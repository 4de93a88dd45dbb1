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
    """Make `target`, which must not exist, a file with the content of `source` and its executable bit.

    Shares the blocks where the file system can (FICLONE, clonefile), else copies them. Nothing is left on
    failure. Raises OSError, FileExistsError among them.
    """
    with open(source, "rb", buffering=0) as reader:
        executable = os.fstat(reader.fileno()).st_mode & 0o111
        if sys.platform == "darwin" and _clonefile(source, target, 0o755 if executable else 0o644):
            return
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        descriptor = os.open(target, flags, 0o777 if executable else 0o666)
        try:
            with open(descriptor, "wb", buffering=0) as writer:
                _copy_content(reader, writer)
        except BaseException:
            os.unlink(target)
            raise


def copy_tree(source: str, target: str, *, read_only: bool = False) -> tuple[int, int]:
    """Copy a folder to `target`, made here, or a single file; the number of files and their bytes.

    Symbolic links are followed. `read_only` takes the write permission from the files, not from the
    folders. Raises BadInput for sockets, pipes, devices, broken links and links that go in circles,
    FileExistsError where a file is there already. What was copied before an error stays.
    """
    if os.path.isfile(source):
        return 1, _copy_file(source, target, os.stat(source), read_only)
    os.makedirs(target, exist_ok=True)
    files = total = 0
    for entry in trees.walk(source):
        path = os.path.join(target, entry.relative)
        if stat.S_ISDIR(entry.status.st_mode):
            os.makedirs(path, exist_ok=True)
        else:
            files, total = files + 1, total + _copy_file(entry.path, path, entry.status, read_only)
    return files, total


def _copy_file(source: str, target: str, status: os.stat_result, read_only: bool) -> int:
    clone_or_copy(source, target)
    if read_only:
        os.chmod(target, 0o555 if status.st_mode & 0o111 else 0o444)
    return os.stat(target).st_size


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
