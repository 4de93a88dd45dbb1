"""Facts about file systems, and files copied whole."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import sys
from typing import IO

from trainyard import trees

# What several machines can have mounted at once: SQLite's WAL needs memory shared by all its readers.
# What a virtual machine shares with its own host (9p, virtiofs, vboxsf) is coherent within the machine or
# refuses shared memory with an error, and counts as local.
NETWORK_KINDS = frozenset(
    [
        "acfs",
        "afpfs",
        "afs",
        "auristorfs",
        "beegfs",
        "ceph",
        "cifs",
        "coda",
        "curlftpfs",
        "davfs",
        "fhgfs",
        "glusterfs",
        "gpfs",
        "lustre",
        "mfs",
        "moosefs",
        "ncpfs",
        "nfs",
        "nfs4",
        "ocfs2",
        "orangefs",
        "panfs",
        "pvfs2",
        "smb2",
        "smb3",
        "smbfs",
        "wekafs",
        "webdav",
    ]
)
NETWORK_FUSE = frozenset(
    [
        "s3fs",
        "ceph",
        "curlftpfs",
        "davfs",
        "gcsfuse",
        "glusterfs",
        "goofys",
        "juicefs",
        "mfs",
        "moosefs",
        "rclone",
        "seaweedfs",
        "sshfs",
        "blobfuse",
        "blobfuse2",
        "cvmfs2",
        "lizardfs",
        "mountpoint-s3",
        "smbnetfs",
    ]
)

_FICLONE = 0x4004_9409  # linux/fs.h
_SMALL = 1 << 20
_CHUNK = 1 << 30


def network_kind(path: str) -> str:
    """The kind of network file system (`nfs4`, `cifs`, `fuse.sshfs`, …) that holds `path`; "" when local.

    `path` need not exist yet. Where the system tells nothing about its mounts, it is taken to be local.
    """
    os.path.exists(path)  # an automounter mounts what is asked for
    real = os.path.realpath(path)
    return _kind_in(_read_mountinfo() if sys.platform == "linux" else _read_mount_output(), real)


def is_mount_border(path: str) -> bool:
    """Whether another file system, or another part of one, is mounted at `path`, symbolic links resolved.

    False for what does not exist. On Linux from the table of mounts: bind mounts count, and btrfs
    subvolumes, where `os.path.ismount` errs, do not.
    """
    real = os.path.realpath(path)
    if sys.platform == "linux":
        mounts = _read_mountinfo()
        if mounts:
            return any(point == real for point, _ in mounts)
    return os.path.ismount(real)


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


def fsync_folder(path: str) -> None:
    """Have the folder's entries, a rename among them, outlive a power loss."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


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


def _read_mountinfo() -> list[tuple[str, str]]:
    """Mount points and kinds of file systems, in the order they were mounted (proc(5))."""
    try:
        with open("/proc/self/mountinfo", "rb") as table:
            return _parse_mountinfo(table.read())
    except OSError:
        return []


def _parse_mountinfo(table: bytes) -> list[tuple[str, str]]:
    mounts = []
    for line in table.splitlines():
        mount, _, system = line.partition(b" - ")
        mounts.append((_unescape(mount.split(b" ")[4]), system.split(b" ")[0].decode()))
    return mounts


def _unescape(field: bytes) -> str:
    for code, plain in ((b"\\040", b" "), (b"\\011", b"\t"), (b"\\012", b"\n"), (b"\\134", b"\\")):
        field = field.replace(code, plain)
    return os.fsdecode(field)


def _read_mount_output() -> list[tuple[str, str]]:
    # Outside Linux only, and the import is slow.
    import subprocess

    try:
        done = subprocess.run(["/sbin/mount"], capture_output=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return []
    return _parse_mount_output(os.fsdecode(done.stdout))


def _parse_mount_output(text: str) -> list[tuple[str, str]]:
    """From lines of macOS such as `//me@host/share on /Volumes/share (smbfs, nodev, nosuid)`."""
    mounts = []
    for line in text.splitlines():
        mount, _, options = line.rpartition(" (")
        _, _, point = mount.partition(" on ")
        if point:
            mounts.append((point, options.rstrip(")").split(",")[0].strip()))
    return mounts


def _kind_in(mounts: list[tuple[str, str]], real: str) -> str:
    """The network kind of the longest mount point that holds `real`; of several at one point, the last."""
    holder, kind = "", ""
    for point, candidate in mounts:
        inside = point == "/" or real == point or real.startswith(point + "/")
        if inside and len(point) >= len(holder):
            holder, kind = point, candidate
    family, _, name = kind.partition(".")
    if kind in NETWORK_KINDS or (family in ("fuse", "macfuse", "osxfuse") and name in NETWORK_FUSE):
        return kind
    return ""
