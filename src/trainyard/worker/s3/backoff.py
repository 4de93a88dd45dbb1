"""How often, and how long, what failed is tried again."""

from __future__ import annotations

import http.client
import random
import time
from typing import TYPE_CHECKING

from ..errors import ServiceError

if TYPE_CHECKING:
    from .errors import ErrorResponse

ATTEMPTS = 12
"""Failures in a row after which there is no more hope."""
LIMIT = 300.0
"""Seconds without any progress after which there is none either."""
UNIT, LONGEST = 0.1, 20.0
"""Seconds of the first pause, which doubles, and of the longest; each is drawn from zero on (full jitter)."""


class Backoff:
    """The pauses between the tries of one request, which is about `what`."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._failures = 0
        self._until = time.monotonic() + LIMIT

    def progress(self) -> None:
        """Something came: all begins anew."""
        self._failures = 0
        self._until = time.monotonic() + LIMIT

    def after_failure(self, error: Exception) -> None:
        """Wait before the next try. Raises ServiceError when it is not worth it."""
        self._count(
            f"{self._what}: S3 cannot be reached ({_words(error)}); see that the job's network leads there"
        )
        # A connection that broke off with much of what was asked for is made anew at once.
        if self._failures > 1:
            self._pause()

    def after_response(self, error_response: ErrorResponse) -> None:
        """Wait as `after_failure` does."""
        self._count(f"{self._what}: S3 keeps refusing ({error_response}); try again later")
        self._pause()

    def _count(self, reason: str) -> None:
        self._failures += 1
        if self._failures >= ATTEMPTS or time.monotonic() > self._until:
            raise ServiceError(reason) from None

    def _pause(self) -> None:
        time.sleep(random.uniform(0.0, min(LONGEST, UNIT * 2**self._failures)))


def _words(error: Exception) -> str:
    if isinstance(error, http.client.IncompleteRead):
        return "the connection broke off"
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
