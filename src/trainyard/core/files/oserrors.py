"""What the operating system refuses, in one line with the cure."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from ...worker.errors import is_disk_full
from ..errors import BadInput, DiskFull, TrainyardError

_DENIED = (errno.EACCES, errno.EPERM, errno.EROFS)


def is_refusal(error: OSError) -> bool:
    """Whether it is for want of room or of permission: what a user can mend."""
    return is_disk_full(error) or error.errno in _DENIED


def no_room(where: str, cure: str = "make room and try again") -> DiskFull:
    """The error for a full disk, or for all that the user may have of it; `where` is a path on it."""
    return DiskFull(": ".join(part for part in (where, f"no space left on the device; {cure}") if part))


def refusal(error: OSError, path: str = "") -> TrainyardError:
    """`DiskFull` or `BadInput`; `path` is where it happened when the error does not say."""
    where = str(error.filename or path)
    if is_disk_full(error):
        return no_room(where)
    cure = "mind its permissions" if error.errno in _DENIED else ""
    return BadInput((error.strerror or str(error)).lower(), where=where, cure=cure)


@contextmanager
def in_words(path: str) -> Iterator[None]:
    """Raise `refusal` for an `OSError` of the block, at `path` when it does not say where."""
    try:
        yield
    except OSError as error:
        raise refusal(error, path) from None
