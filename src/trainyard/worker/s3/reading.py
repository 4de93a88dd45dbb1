"""An object of S3 as a file that is read: ranges fetched in parallel, ahead of the reader."""

from __future__ import annotations

import io
import threading
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

from .address import S3Address
from .client import Client

FIRST = 1 << 20
"""Bytes of the first range of a stretch, so that reading begins soon; each next one is twice as large."""
LARGEST = 8 << 20
AHEAD = 6
"""Ranges on their way at a time: up to 48 MiB in memory for each open object."""
_THREADS = 16


class _Range(NamedTuple):
    start: int
    end: int
    content: Future[bytearray]


class _Pool:
    """The threads that fetch, of all readers."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._executor: ThreadPoolExecutor | None = None

    def submit(self, client: Client, where: S3Address, start: int, end: int, etag: str) -> Future[bytearray]:
        with self._lock:
            if self._executor is None:
                self._executor = ThreadPoolExecutor(_THREADS)
            return self._executor.submit(client.read, where, start, end, etag)

    def close(self) -> None:
        with self._lock:
            found, self._executor = self._executor, None
        if found:
            found.shutdown()


_pool = _Pool()


def close() -> None:
    """End the threads; a reader that reads afterwards starts them again."""
    _pool.close()


class ObjectReader(io.RawIOBase):
    """One object, of `size` bytes and that `etag`: reading raises Unmet when it has become another.

    With `ahead`, what follows is fetched before it is asked for, from where reading begins to byte `end`;
    without, only what is asked for is, in parallel where it is large.
    """

    def __init__(
        self,
        client: Client,
        where: S3Address,
        size: int,
        etag: str,
        *,
        end: int | None = None,
        ahead: bool = True,
    ) -> None:
        super().__init__()
        self._client, self._place, self._size, self._etag = client, where, size, etag
        self._end = size if end is None else min(end, size)
        self._ahead = ahead
        self._position = 0
        self._step = FIRST
        self._ranges: deque[_Range] = deque()

    def readable(self) -> bool:
        """Yes."""
        return True

    def seekable(self) -> bool:
        """Yes."""
        return True

    def tell(self) -> int:
        """The position in bytes."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Go to a position; nothing is fetched before it is read from."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        if base + offset < 0:
            raise ValueError(f"negative position {base + offset}")
        self._position = base + offset
        return self._position

    def prefetch(self) -> None:
        """Have the first range fetched before it is asked for."""
        if self._position < self._end and not self._ranges:
            self._fetch(self._position, self._end)

    def readinto(self, buffer: Any) -> int:
        """Read up to as many bytes as the buffer holds; 0 at the end."""
        with memoryview(buffer).cast("B") as target:
            if not len(target) or self._position >= self._size:
                return 0
            found = self._found(len(target))
            content = found.content.result()
            offset = self._position - found.start
            count = min(len(target), found.end - self._position)
            with memoryview(content) as source:
                target[:count] = source[offset : offset + count]
        self._position += count
        return count

    def _found(self, wanted: int) -> _Range:
        """The range in which the position lies, the next ones on their way."""
        while self._ranges and not self._ranges[0].start <= self._position < self._ranges[0].end:
            self._ranges.popleft().content.cancel()
        if not self._ranges:
            self._step = FIRST
        # Up to the end that was told, even where more is asked for: what lies there belongs to another shard.
        is_before_end = self._ahead and self._position < self._end
        goal = self._end if is_before_end else min(self._position + wanted, self._size)
        last = self._ranges[-1].end if self._ranges else self._position
        while last < goal and len(self._ranges) < AHEAD:
            last = self._fetch(last, goal)
        return self._ranges[0]

    def _fetch(self, start: int, goal: int) -> int:
        end = min(start + (self._step if self._ahead else LARGEST), goal)
        content = _pool.submit(self._client, self._place, start, end, self._etag)
        self._ranges.append(_Range(start, end, content))
        self._step = min(LARGEST, 2 * self._step)
        return end

    def close(self) -> None:
        """Let go of what is on its way."""
        while self._ranges:
            self._ranges.popleft().content.cancel()
        super().close()
