"""The errors the worker raises on purpose, and how a full disk is known."""

import errno


def is_disk_full(error: BaseException) -> bool:
    """Whether the disk, or what the user may have of it, is full."""
    return isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)


class InputError(Exception):
    """The user's data or handler breaks the contract, so that a retry cannot help.

    Its text is one line: what is wrong, where, and the cure.
    """


class OutputError(Exception):
    """The parts of a run are not those its shards wrote, or not the rows that were planned.

    One line, as above.
    """


class Taken(OutputError):
    """What was to be new on S3 is there already, and is something else."""


class ServiceError(Exception):
    """AWS, or the way to it, refuses or fails for longer than patience helps; another attempt may do better.

    One line, as above.
    """


class Missing(InputError):
    """There is no such object on S3."""


class Unmet(Exception):
    """The condition of a request to S3 does not hold: the object is another, or there already.

    Its text is the object's address.
    """
