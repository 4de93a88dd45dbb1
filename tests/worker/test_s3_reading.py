"""An object is read as a file is, wherever one goes in it, and what comes next is on its way already."""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainyard.worker.errors import Unmet
from trainyard.worker.s3 import reading
from trainyard.worker.s3.address import S3Address
from trainyard.worker.s3.reading import ObjectReader

CONTENT = os.urandom(100_000)
HERE = S3Address("the-models", "key")


class Memory:
    """A client of one object in memory, that notes what it is asked for."""

    def __init__(self, content: bytes = CONTENT) -> None:
        self.content = content
        self.asked: list[tuple[int, int]] = []
        self.lock = threading.Lock()
        self.gate = threading.Event()
        self.gate.set()

    def read(self, where: S3Address, start: int, end: int, etag: str) -> bytearray:
        with self.lock:
            self.asked.append((start, end))
        assert 0 <= start < end <= len(self.content)
        if not self.gate.wait(30) or etag != "etag":
            raise Unmet(str(where))
        return bytearray(self.content[start:end])


@pytest.fixture(autouse=True)
def small_ranges(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(reading, "FIRST", 1_000)
    monkeypatch.setattr(reading, "LARGEST", 4_000)
    yield
    reading.close()


def reader(client: Any, **options: Any) -> ObjectReader:
    return ObjectReader(client, HERE, len(client.content), options.pop("etag", "etag"), **options)


steps = st.lists(
    st.one_of(
        st.tuples(st.just("read"), st.integers(0, 30_000)),
        st.tuples(st.just("seek"), st.integers(0, 110_000)),
        st.tuples(st.just("line"), st.just(0)),
    ),
    max_size=20,
)


@settings(max_examples=150)
@given(steps, st.booleans(), st.one_of(st.none(), st.integers(0, 110_000)), st.sampled_from([16, 5_000]))
def test_it_reads_what_a_file_reads(
    found: list[tuple[str, int]], ahead: bool, end: int | None, buffer: int
) -> None:
    reading.FIRST, reading.LARGEST = 1_000, 4_000
    here = io.BytesIO(CONTENT)
    with io.BufferedReader(reader(Memory(), ahead=ahead, end=end), buffer) as there:
        for action, number in found:
            if action == "read":
                assert there.read(number) == here.read(number)
            elif action == "seek":
                assert there.seek(number) == here.seek(number)
            else:
                assert there.readline() == here.readline()
            assert there.tell() == here.tell()


def test_a_stretch_is_read_in_growing_ranges_and_not_beyond_its_end() -> None:
    client = Memory()
    with reader(client, end=20_000) as stream:
        stream.seek(3_000)
        while stream.tell() < 20_000:
            assert stream.read(500)
    assert sorted(client.asked) == [
        (3_000, 4_000),
        (4_000, 6_000),
        (6_000, 10_000),
        (10_000, 14_000),
        (14_000, 18_000),
        (18_000, 20_000),
    ]


def test_what_comes_next_is_on_its_way_and_no_more_than_a_few_ranges() -> None:
    client = Memory()
    with reader(client) as stream:
        stream.read(1)
        assert len(client.asked) <= reading.AHEAD
        stream.prefetch()
        stream.read(999)
        assert stream.read(1)
        assert len(client.asked) <= reading.AHEAD + 1


def test_without_reading_ahead_only_what_is_asked_for_comes_in_parallel() -> None:
    client = Memory()
    with reader(client, ahead=False) as stream:
        stream.seek(-500, io.SEEK_END)
        assert stream.read(500) == CONTENT[-500:]
        stream.seek(10_000)
        assert stream.read(10) == CONTENT[10_000:10_010]
        assert client.asked == [(99_500, 100_000), (10_000, 10_010)]
        stream.seek(0)
        done, target = 0, memoryview(bytearray(30_000))
        while done < len(target):
            done += stream.readinto(target[done:])
        assert target == CONTENT[:30_000]
        assert sorted(client.asked[2:]) == [(n, min(n + 4_000, 30_000)) for n in range(0, 30_000, 4_000)]


def test_it_is_told_when_the_object_has_become_another() -> None:
    with reader(Memory(), etag="other") as stream, pytest.raises(Unmet):
        stream.read(1)


def test_closing_lets_go_of_what_has_not_begun() -> None:
    client = Memory()
    client.gate.clear()
    streams = [reader(client) for _ in range(10)]
    for stream in streams:
        stream.prefetch()
    others = [threading.Thread(target=stream.read, args=(1,)) for stream in streams[:4]]
    for stream in streams[4:]:
        stream.close()
    for other in others:
        other.start()
    client.gate.set()
    for other in others:
        other.join()
    for stream in streams:
        stream.close()
    reading.close()
    assert len(client.asked) <= 4 * (1 + reading.AHEAD) + 6


def test_nothing_is_before_the_beginning_or_after_the_end() -> None:
    with reader(Memory()) as stream:
        with pytest.raises(ValueError, match="negative position -1"):
            stream.seek(-1)
        assert stream.seek(5, io.SEEK_END) == 100_005
        assert stream.read(1) == b""
