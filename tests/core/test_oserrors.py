"""What the operating system refuses is one line with the cure."""

from __future__ import annotations

import errno
import os

import pytest

from trainyard.core.errors import BadInput, DiskFull
from trainyard.core.files.oserrors import in_words, is_refusal, no_room


def failing(number: int, filename: str | None = None) -> OSError:
    """The error as the system raises it."""
    return OSError(number, os.strerror(number), filename)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_and_a_full_quota_are_the_same(number: int) -> None:
    error = failing(number, "/data/a")
    with pytest.raises(DiskFull) as caught, in_words("/data"):
        raise error
    assert str(caught.value) == "/data/a: no space left on the device; make room and try again"
    assert is_refusal(error)


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM, errno.EROFS])
def test_what_may_not_be_done_names_the_place_and_the_cure(number: int) -> None:
    error = failing(number)
    with pytest.raises(BadInput) as caught, in_words("/data"):
        raise error
    assert str(caught.value) == f"/data: {os.strerror(number).lower()}; mind its permissions"
    assert is_refusal(error)


def test_what_has_no_cure_of_ours_is_said_without_one() -> None:
    with pytest.raises(BadInput) as caught, in_words("/data"):
        raise failing(errno.ENAMETOOLONG)
    assert str(caught.value) == "/data: file name too long"
    assert not is_refusal(failing(errno.ENAMETOOLONG))


def test_other_errors_pass_as_they_are() -> None:
    with pytest.raises(ZeroDivisionError), in_words("/data"):
        raise ZeroDivisionError


def test_a_cure_may_be_the_callers_and_the_place_unknown() -> None:
    assert str(no_room("", cure="free some")) == "no space left on the device; free some"
