"""Folders of ours: made for their owner alone, marked, and looked at before what is in them is trusted.

Whoever can write to the home, a cache or the sandbox's folder has code run as its owner, and whoever can lead
us elsewhere by a link chooses what we read or remove. So such a folder belongs to the user, nobody else may
write to it, and no link of somebody else's leads there. Only in a folder with our mark is anything removed.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Collection
from contextlib import suppress

from ..errors import BadInput

_OTHERS = 0o077
_MOST_LINKS = 40  # what Linux follows on one path (path_resolution(7))


def require_private(path: str) -> None:
    """Return where the file or folder `path` is the user's own, not writable by the group or by others, and
    not reached through another user's link.

    Raises `BadInput` with the path and the cure, and FileNotFoundError where there is nothing.
    """
    _refuse_writers(path, require_own(path))


def require_own(path: str) -> os.stat_result:
    """What `path` is like, where it is the user's own and not reached through another user's link, whoever
    may write to it. Raises as `require_private` does.
    """
    refuse_foreign_link(path)
    status = os.stat(path)
    if status.st_uid != os.geteuid():
        raise BadInput("belongs to another user", where=path, cure="name one of your own")
    return status


def make_private(path: str, kind: str, *, earlier: Collection[str] = ()) -> None:
    """Make the folder `path`, and those above it, for its owner alone and marked as a `kind` of ours ("home",
    "cache"); an empty one is taken over. Raises as `require_ours` does, and OSError where it cannot be made.
    """
    refuse_foreign_link(path)
    try:
        _make_all(path)
    except FileExistsError:
        if not require_ours(path, kind, earlier=earlier):
            _close(path, os.stat(path))
            # Nobody has put anything there before it was closed.
            require_ours(path, kind, earlier=earlier)
    mark = mark_of(path, kind)
    if not os.path.lexists(mark):
        descriptor = os.open(mark, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with open(descriptor, "w", encoding="ascii") as file:
            file.write(f"A {kind} of trainyard's, which may remove what is in this folder.\n")


def require_ours(path: str, kind: str, *, earlier: Collection[str] = ()) -> bool:
    """Whether the folder `path` is marked as a `kind` of ours, as `make_private` does; False for an empty
    one. Where others could read a marked one, they no longer can. `earlier` are names of which each is a mark
    too: what versions without marks have left.

    Raises `BadInput` for a folder with anything else in it, for one that others may write to, and as
    `require_own` does; OSError where it cannot be read.
    """
    status, names = require_own(path), os.listdir(path)
    if os.path.basename(mark_of(path, kind)) in names or any(name in names for name in earlier):
        _refuse_writers(path, status)
        _close(path, status)
        return True
    if names:
        problem = f"is not empty, and no {kind} that trainyard made"
        raise BadInput(
            problem, where=path, cure="name a new or empty folder; nothing in this one was touched"
        )
    return False


def mark_of(path: str, kind: str) -> str:
    """The file that marks the folder `path` as a `kind` of ours."""
    return os.path.join(path, f".trainyard-{kind}")


def beside(path: str) -> str:
    """Where `path` is written before it is renamed: hidden beside it, under a name that nobody who may write
    there can have given to a link of theirs before."""
    folder, name = os.path.split(path)
    return os.path.join(folder, f".{name}.{os.urandom(8).hex()}.part")


def private(path: str, flags: int) -> int:
    """For `open(opener=…)`: a file that is its owner's alone from the first."""
    return os.open(path, flags, 0o600)


def refuse_foreign_link(path: str) -> None:
    """Raise `BadInput` where another user's link leads to `path`, which need not be there."""
    link = foreign_link(path)
    if link:
        raise BadInput("is another user's link", where=link, cure="name a path that does not lead through it")


def foreign_link(path: str) -> str:
    """The first symbolic link of another user's on the way to `path`; "" where there is none."""
    # Whoever owns the root folder is trusted by everybody: root, under whatever number this process sees it.
    trusted = {os.geteuid(), os.lstat("/").st_uid}
    pending = os.path.join("/" if path.startswith("/") else os.getcwd(), path).split("/")[::-1]
    place, links = "/", 0
    while pending and links <= _MOST_LINKS:
        part = pending.pop()
        if part == os.pardir:
            place = os.path.dirname(place)
        elif part not in ("", os.curdir):
            here = os.path.join(place, part)
            try:
                status = os.lstat(here)
            except OSError:
                return ""  # nothing is there to lead anywhere
            if not stat.S_ISLNK(status.st_mode):
                place = here
                continue
            if status.st_uid not in trusted:
                return here
            links += 1
            target = os.readlink(here)
            pending += target.split("/")[::-1]
            place = "/" if target.startswith("/") else place
    return ""


def _make_all(path: str) -> None:
    # 0700 for those above too, as the XDG base directory specification has it: a umask may let others write.
    above = os.path.dirname(path)
    if above and not os.path.isdir(above):
        with suppress(FileExistsError):
            _make_all(above)
    os.mkdir(path, 0o700)


def _refuse_writers(path: str, status: os.stat_result) -> None:
    is_group_another = status.st_mode & stat.S_IWGRP and not _is_users_own_group(status.st_gid)
    if status.st_mode & stat.S_IWOTH or is_group_another:
        cure = f"see that nothing in it is anybody else's, then `chmod go-w {path}`"
        raise BadInput("can be written by others than you", where=path, cure=cure)


def _is_users_own_group(gid: int) -> bool:
    """Whether it is the group of nobody but the user, as many systems give everybody one, with umask 002."""
    import grp
    import pwd  # for folders alone that an earlier version, or another program, has made

    try:
        user, group = pwd.getpwuid(os.geteuid()), grp.getgrgid(gid)
    except KeyError:
        return False
    return gid == user.pw_gid and group.gr_name == user.pw_name and set(group.gr_mem) <= {user.pw_name}


def _close(path: str, status: os.stat_result) -> None:
    if status.st_mode & _OTHERS:
        os.chmod(path, stat.S_IMODE(status.st_mode) & ~_OTHERS)
