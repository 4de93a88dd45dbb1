"""What a job's process sees: `/opt/ml` and `/etc/hosts` of its own, in a Linux mount namespace.

Works for root and, where the machine lets ordinary users have user namespaces, for everybody else, and
never writes to the machine's `/opt`. By itself it guards against accidents, not against malice: root can undo
its mounts, unless it is confined. Nothing here changes pids, the network or the current folder.

Everything is built on a folder of the attempt first and moved over `/opt` last, so that sources under the
machine's own `/opt` are found until the end. Whoever removes an empty mount point (say, `checkpoints` of
an attempt's folder) from outside while the job runs also unmounts what the job sees there: the kernel
does that.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from .mounts import mountinfo

OPT = "/opt"
HOSTS_FILE = "/etc/hosts"

# linux/sched.h, linux/mount.h, linux/fcntl.h, linux/prctl.h
_CLONE_NEWNS, _CLONE_NEWUSER = 0x0002_0000, 0x1000_0000
_MS_RDONLY, _MS_NOSUID, _MS_NODEV, _MS_NOEXEC, _MS_REMOUNT = 1, 2, 4, 8, 32
_MS_NOATIME, _MS_NODIRATIME, _MS_BIND, _MS_MOVE, _MS_REC = 1024, 2048, 4096, 8192, 16384
_MS_SLAVE, _MS_RELATIME = 1 << 19, 1 << 21
_MOUNT_FLAGS = {
    "nosuid": _MS_NOSUID,
    "nodev": _MS_NODEV,
    "noexec": _MS_NOEXEC,
    "noatime": _MS_NOATIME,
    "nodiratime": _MS_NODIRATIME,
    "relatime": _MS_RELATIME,
}
_SYS_MOUNT_SETATTR = 442  # Linux 5.12; the same number on every architecture Python wheels exist for
_MOUNT_ATTR_RDONLY = 1
_AT_FDCWD, _AT_RECURSIVE = -100, 0x8000
_PR_SET_PDEATHSIG, _PR_CAPBSET_DROP = 1, 24

# linux/capability.h: chown, dac_override, fowner, fsetid, kill, setgid, setuid, setpcap, net_bind_service,
# net_raw, sys_chroot, audit_write, setfcap
_KEPT_CAPABILITIES = frozenset({0, 1, 3, 4, 5, 6, 7, 8, 10, 13, 18, 29, 31})
_LAST_CAPABILITY = 63

_libc: Any = None
_refusal: str | None = None


class Mount(NamedTuple):
    """A file or folder of the machine and the absolute path where the job finds it."""

    source: str
    target: str
    read_only: bool


def load() -> None:
    """Load libc now, so that children forked later don't each pay for it (5 to 10 ms)."""
    global _libc
    if _libc is None:
        # ctypes takes 5 to 10 ms to import: only who forks jobs pays for it.
        import ctypes

        _libc = ctypes.CDLL(None, use_errno=True)
        if sys.platform == "linux":
            _libc.mount.argtypes = (
                ctypes.c_char_p,
                ctypes.c_char_p,
                ctypes.c_char_p,
                ctypes.c_ulong,
                ctypes.c_char_p,
            )
            _libc.syscall.restype = ctypes.c_long


def enter(
    mounts: Sequence[Mount], *, hosts: Sequence[str] = (), scratch: str, hidden: Sequence[str] = ()
) -> None:
    """Give this process, a forked child with one thread, a private `/opt/ml` and `/etc/hosts`.

    `mounts` are made in their order; a missing mount point is created where its folder can be written.
    What else is in the machine's `/opt` stays visible, read-only; its own `/opt/ml` does not. The n-th of
    `hosts` resolves to 127.0.0.n. `scratch` is a folder of the attempt, where a mount point `opt` and a
    file `hosts` are left. The folders `hidden` are empty to it, but what lies in them can be a source of
    `mounts`. Raises OSError whose text names the step; the process is then to be given up.
    """
    load()
    _unshare()
    _mount("none", "/", _MS_REC | _MS_SLAVE, "keep mounts from the machine")
    opt = os.path.realpath(OPT)
    stage = os.path.join(scratch, "opt")
    _stage_opt(opt, stage, {mount.target.split("/")[2] for mount in mounts if _is_in_opt(mount)} | {"ml"})
    for mount in mounts:
        _bind_mount(mount, stage)
    if hosts:
        _bind_hosts(hosts, scratch)
    _mount(stage, opt, _MS_MOVE, f"put the job's folders over {OPT}")
    for folder in hidden:
        flags = _MS_NOSUID | _MS_NODEV | _MS_NOEXEC | _MS_RDONLY
        _mount("tmpfs", folder, flags, f"hide {folder}", "tmpfs", "mode=500")


def confine() -> None:
    """Take from the program that this process becomes what root could undo its mounts with, or look with into
    processes that see more: all that container engines withhold from root as well, and devices.

    After `enter`. To anybody but root it means nothing: what they become has none of that.
    """
    for capability in range(_LAST_CAPABILITY + 1):
        if capability not in _KEPT_CAPABILITIES:
            # Numbers that this kernel does not know are refused, and need not be dropped.
            _libc.prctl(_PR_CAPBSET_DROP, capability, 0, 0, 0)


def refusal() -> str:
    """Why jobs of this user cannot have namespaces on this machine, in one line; "" when they can.

    Found out by a dry run of `enter` in a forked child, once a process.
    """
    global _refusal
    if _refusal is None:
        _refusal = _find_refusal()
    return _refusal


def die_with_parent(parent: int = 0) -> None:
    """Have the kernel send SIGKILL to this process when the thread that forked it ends.

    Survives exec, so it is called in the child before it. With the pid of the `parent` that is meant, a
    parent which is already gone ends the process at once. Does nothing outside Linux.
    """
    if sys.platform != "linux":
        return
    load()
    _libc.prctl(_PR_SET_PDEATHSIG, 9, 0, 0, 0)
    if parent and os.getppid() != parent:
        os.kill(os.getpid(), 9)


def _unshare() -> None:
    """A mount namespace; with a user namespace, this user mapped to itself, where that takes one."""
    uid, gid = os.geteuid(), os.getegid()
    if _libc.unshare(_CLONE_NEWNS) == 0:
        return
    _try("have a user and a mount namespace", lambda: _libc.unshare(_CLONE_NEWUSER | _CLONE_NEWNS))
    # The kernel wants setgroups denied before an ordinary user may map a group.
    for name, text in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
        with (
            _step(f"write {name} of the user namespace"),
            open(f"/proc/self/{name}", "w", encoding="utf-8") as mapping,
        ):
            mapping.write(text)


def _stage_opt(opt: str, stage: str, own: Collection[str]) -> None:
    """A tmpfs on `stage` with the entries of `opt` but `ml`, all read-only, and with empty folders of the
    names `own`, where there are none."""
    os.makedirs(stage, exist_ok=True)
    entries = _read_entries(opt)
    _mount("tmpfs", stage, _MS_NOSUID | _MS_NODEV, f"mount a tmpfs on {stage}", "tmpfs", "mode=755")
    for name, is_link, is_folder in entries:
        source, target = os.path.join(opt, name), os.path.join(stage, name)
        if is_link:
            os.symlink(os.readlink(source), target)
        else:
            _make_point(target, is_folder)
            _mount(source, target, _MS_BIND | _MS_REC, f"bind {source} back")
    for name in own:
        if not os.path.lexists(os.path.join(stage, name)):
            os.mkdir(os.path.join(stage, name), 0o755)
    _set_read_only(stage)


def _read_entries(opt: str) -> list[tuple[str, bool, bool]]:
    with _step(f"list {OPT} of this machine"), os.scandir(opt) as entries:
        return [
            (entry.name, entry.is_symlink(), entry.is_dir(follow_symlinks=False))
            for entry in entries
            if entry.name != "ml"
        ]


def _bind_mount(mount: Mount, stage: str) -> None:
    step = f"bind {mount.source} on {mount.target}"
    target = stage + mount.target[len(OPT) :] if _is_in_opt(mount) else mount.target
    with _step(f"{step}: make the mount point"):
        if not os.path.lexists(target):
            _make_point(target, os.path.isdir(mount.source))
    _mount(mount.source, target, _MS_BIND | _MS_REC, step)
    if mount.read_only:
        _set_read_only(target)


def _is_in_opt(mount: Mount) -> bool:
    return mount.target.startswith(OPT + "/")


def _make_point(path: str, is_folder: bool) -> None:
    if is_folder:
        os.makedirs(path, exist_ok=True)
    else:
        os.makedirs(os.path.dirname(path), exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o644))


def _set_read_only(path: str) -> None:
    """Make the mount at `path` and every mount beneath it read-only."""
    attributes = (_MOUNT_ATTR_RDONLY).to_bytes(8, sys.byteorder) + bytes(24)
    done = _libc.syscall(
        _SYS_MOUNT_SETATTR, _AT_FDCWD, os.fsencode(path), _AT_RECURSIVE, attributes, len(attributes)
    )
    if done != 0:
        _remount_read_only(path)


def _remount_read_only(path: str) -> None:
    # Kernels before 5.12, and sandboxes that filter the newer call, take one mount at a time. What a mount
    # forbids must be said again: a user namespace may not lift it.
    root = os.path.realpath(path)
    for seen in mountinfo():
        if seen.point == root or seen.point.startswith(root + "/"):
            flags = _MS_REMOUNT | _MS_BIND | _MS_RDONLY
            flags |= sum(_MOUNT_FLAGS.get(option, 0) for option in seen.options)
            _mount("none", seen.point, flags, f"make {seen.point} read-only")


def _bind_hosts(hosts: Sequence[str], scratch: str) -> None:
    path = os.path.join(scratch, "hosts")
    # Another host of the same attempt may have this very file bound: it is replaced, never written over.
    aside = f"{path}.{os.getpid()}"
    with open(aside, "w", encoding="utf-8", errors="surrogateescape") as file:
        file.write(hosts_text(_read_hosts(), hosts))
    os.replace(aside, path)
    _mount(path, HOSTS_FILE, _MS_BIND, f"bind the hosts' names over {HOSTS_FILE}")


def _read_hosts() -> str:
    with _step(f"read {HOSTS_FILE}"), open(HOSTS_FILE, encoding="utf-8", errors="surrogateescape") as file:
        return file.read()


def hosts_text(machine: str, hosts: Sequence[str]) -> str:
    """The machine's lines, less those that give one of `hosts` another address, then one line a host."""
    names = set(hosts)
    kept = [line for line in machine.splitlines() if not names & set(line.partition("#")[0].split()[1:])]
    own = [f"127.0.{n // 256}.{n % 256} {host}" for n, host in enumerate(hosts, start=1)]
    return "\n".join([*kept, *own]) + "\n"


def _mount(source: str, target: str, flags: int, step: str, kind: str = "", options: str = "") -> None:
    arguments = (os.fsencode(source), os.fsencode(target), kind.encode(), flags, options.encode())
    _try(step, lambda: _libc.mount(*arguments))


def _try(step: str, call: Callable[[], int]) -> None:
    if call() != 0:
        # In sys.modules since `load`: no cost.
        import ctypes

        raise _failed(step, ctypes.get_errno())


@contextmanager
def _step(step: str) -> Iterator[None]:
    """Raise an OSError of the block as one that names the step."""
    try:
        yield
    except OSError as error:
        raise _failed(step, error.errno or 0) from None


def _failed(step: str, number: int) -> OSError:
    return OSError(number, f"{step}: {os.strerror(number)}")


def _find_refusal() -> str:
    if sys.platform != "linux":
        return f"mount namespaces are Linux's, and this is {sys.platform}: use the SM_* variables for paths"
    if not os.path.isdir(OPT):
        return f"this machine has no folder {OPT}: `sudo mkdir {OPT}`, or use the SM_* variables for paths"
    load()
    problem = _dry_run()
    if problem is None:
        return ""
    return f"{_explain(problem)} ({problem.strerror})"


def _dry_run() -> OSError | None:
    """What `enter` raised in a forked child, or None."""
    # tempfile would take longer to import than the dry run itself.
    name = f"trainyard-{os.getpid()}-{os.urandom(6).hex()}"
    scratch = os.path.join(os.environ.get("TMPDIR") or "/tmp", name)
    source = os.path.join(scratch, "ml")
    try:
        os.mkdir(scratch, 0o700)
    except OSError as error:
        return _failed(f"make {scratch}", error.errno or 0)
    os.mkdir(source)
    try:
        return _enter_in_child([Mount(source, f"{OPT}/ml", False)], scratch)
    finally:
        for name in ("hosts", "opt", "ml"):
            path = os.path.join(scratch, name)
            if os.path.isdir(path):
                os.rmdir(path)
            elif os.path.exists(path):
                os.unlink(path)
        os.rmdir(scratch)


def _enter_in_child(mounts: Sequence[Mount], scratch: str) -> OSError | None:
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            enter(mounts, hosts=("algo-1",), scratch=scratch)
            os.write(writer, b"0 ")
        except OSError as error:
            os.write(writer, f"{error.errno} {error.strerror}".encode())
        finally:
            os._exit(0)
    os.close(writer)
    with open(reader, "rb") as stream:
        number, _, text = stream.read().decode().partition(" ")
    os.waitpid(child, 0)
    if number == "0":
        return None
    return OSError(int(number or errno.EIO), text or "the probe ended without a word")


def _explain(problem: OSError) -> str:
    """The likeliest reason why the kernel refused, from what the machine says about itself."""
    if problem.errno == errno.ENOSYS:
        return "this kernel has no namespaces"
    if _read_fact("/proc/sys/user/max_user_namespaces") == "0":
        return "user namespaces are switched off here (sysctl user.max_user_namespaces=0)"
    if problem.errno not in (errno.EPERM, errno.EACCES):
        return "a namespace could not be made"
    if _read_fact("/proc/sys/kernel/unprivileged_userns_clone") == "0":
        return "only root may have namespaces here (sysctl kernel.unprivileged_userns_clone=0)"
    if _read_fact("/proc/sys/kernel/apparmor_restrict_unprivileged_userns") == "1":
        return (
            "AppArmor keeps ordinary users from namespaces here"
            " (sysctl kernel.apparmor_restrict_unprivileged_userns=1)"
        )
    if "\nSeccomp:\t2" in _read_fact("/proc/self/status"):
        return "this container's seccomp filter forbids namespaces (Docker: --cap-add SYS_ADMIN)"
    return "this user may not have namespaces here"


def _read_fact(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read().strip()
    except OSError:
        return ""
