"""What is mounted where, and whether it is a network file system."""

from __future__ import annotations

import os
import sys
from typing import NamedTuple

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


class MountPoint(NamedTuple):
    """Where a file system of some kind is mounted, and how."""

    point: str
    kind: str
    options: tuple[str, ...] = ()


def network_kind(path: str) -> str:
    """The kind of network file system (`nfs4`, `cifs`, `fuse.sshfs`, …) that holds `path`; "" when local.

    `path` need not exist yet. Where the system tells nothing about its mounts, it is taken to be local.
    """
    os.path.exists(path)  # an automounter mounts what is asked for
    real = os.path.realpath(path)
    return kind_in(_known_mounts() if sys.platform == "linux" else _read_mount_output(), real)


def mountinfo() -> list[MountPoint]:
    """The mounts that this process sees, in the order they were made (proc(5)). Linux's; raises OSError."""
    with open("/proc/self/mountinfo", "rb") as table:
        return parse_mountinfo(table.read())


def _known_mounts() -> list[MountPoint]:
    try:
        return mountinfo()
    except OSError:
        return []


def parse_mountinfo(table: bytes) -> list[MountPoint]:
    """The mount points of a table such as /proc/self/mountinfo."""
    mounts = []
    for line in table.splitlines():
        mount, _, system = line.partition(b" - ")
        fields = mount.split(b" ")
        options = tuple(fields[5].decode().split(","))
        mounts.append(MountPoint(_unescape(fields[4]), system.split(b" ")[0].decode(), options))
    return mounts


def _unescape(field: bytes) -> str:
    for code, plain in ((b"\\040", b" "), (b"\\011", b"\t"), (b"\\012", b"\n"), (b"\\134", b"\\")):
        field = field.replace(code, plain)
    return os.fsdecode(field)


def _read_mount_output() -> list[MountPoint]:
    # Outside Linux only, and the import is slow.
    import subprocess

    try:
        done = subprocess.run(["/sbin/mount"], capture_output=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return []
    return parse_mount_output(os.fsdecode(done.stdout))


def parse_mount_output(text: str) -> list[MountPoint]:
    """From lines of macOS such as `//me@host/share on /Volumes/share (smbfs, nodev, nosuid)`."""
    mounts = []
    for line in text.splitlines():
        mount, _, options = line.rpartition(" (")
        _, _, point = mount.partition(" on ")
        if point:
            mounts.append(MountPoint(point, options.rstrip(")").split(",")[0].strip()))
    return mounts


def kind_in(mounts: list[MountPoint], real: str) -> str:
    """The network kind of the longest mount point that holds `real`; of several at one point, the last."""
    holder, kind = "", ""
    for point, candidate, _ in mounts:
        inside = point == "/" or real == point or real.startswith(point + "/")
        if inside and len(point) >= len(holder):
            holder, kind = point, candidate
    family, _, name = kind.partition(".")
    if kind in NETWORK_KINDS or (family in ("fuse", "macfuse", "osxfuse") and name in NETWORK_FUSE):
        return kind
    return ""
