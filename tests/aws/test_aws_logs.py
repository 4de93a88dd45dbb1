"""Log lines out of CloudWatch: none missing, none twice, in order, and following ends."""

from __future__ import annotations

import itertools
import math
import threading
import time
import uuid
from collections.abc import Callable
from typing import Any

import pytest

from conftest import PATIENCE, becomes_true
from sandbox.conftest import RunningSandbox
from trainyard.aws.account.session import Session
from trainyard.aws.logs import LOOPBACK, Pace, RunLogs, Stream
from trainyard.core.errors import AccountRefused
from trainyard.core.ports.engine import LogLine


class Group:
    """A log group in the sandbox, and the streams of it that a run is said to have."""

    def __init__(self, sandbox: RunningSandbox) -> None:
        address = sandbox.address
        self.client = sandbox.client("logs")
        self.name = f"/test/{uuid.uuid4().hex}"
        self.session = Session(
            address["region"],
            endpoint=address["endpoint"],
            credentials=(address["access_key"], address["secret_key"]),
        )
        self.client.create_log_group(logGroupName=self.name)
        self.fresh: list[Stream] = []

    def create(self, stream: str) -> None:
        self.client.create_log_stream(logGroupName=self.name, logStreamName=stream)

    def put(self, stream: str, *texts: str, at: float | None = None) -> None:
        when = int((time.time() if at is None else at) * 1000)
        events = [{"timestamp": when, "message": text} for text in texts]
        self.client.put_log_events(logGroupName=self.name, logStreamName=stream, logEvents=events)

    def stream(self, name: str, task: str = "algo-1", attempt: int = 1) -> Stream:
        """Have the run find this stream from now on."""
        found = Stream(self.session, self.name, name, task, attempt)
        self.fresh.append(found)
        return found

    def find(self) -> list[Stream]:
        found, self.fresh = self.fresh, []
        return found


@pytest.fixture
def group(sandbox: RunningSandbox) -> Group:
    return Group(sandbox)


def texts(lines: Any) -> list[str]:
    return [line.text for line in lines]


def test_lines_of_several_tasks_come_by_time_and_those_of_one_in_its_order(group: Group) -> None:
    now = time.time()
    for task in ("algo-1", "algo-2"):
        group.create(task)
        group.stream(task, task)
    for number in range(3):
        group.put("algo-1", f"one {number}", f"one {number} again", at=now + 2 * number)
        group.put("algo-2", f"two {number}", at=now + 2 * number + 1)
    expected = [text for n in range(3) for text in (f"one {n}", f"one {n} again", f"two {n}")]
    assert texts(RunLogs(group, LOOPBACK).lines()) == expected


def test_more_lines_than_one_answer_holds_are_all_given(group: Group) -> None:
    group.create("a")
    for part in range(3):
        group.put("a", *(f"{part} {number}" for number in range(8_000)))
    group.stream("a")
    found = texts(RunLogs(group, LOOPBACK).lines())
    assert found == [f"{part} {number}" for part in range(3) for number in range(8_000)]


def test_the_border_of_an_attempt_is_not_shown_and_counts(group: Group) -> None:
    group.create("a")
    group.put("a", "pulling", "[trainyard attempt=3 launch=2]", "[trainyard attempt=x]", "up")
    group.put("a", "[trainyard attempt=4 launch=2]\n", "again")
    group.stream("a")
    found = [(line.attempt, line.text) for line in RunLogs(group, LOOPBACK).lines()]
    assert found == [(1, "pulling"), (3, "[trainyard attempt=x]"), (3, "up"), (4, "again")]


def test_a_stream_that_batch_named_and_nobody_made_yet_is_waited_for(group: Group) -> None:
    group.stream("late", "shard-00000")
    group.stream("later", "shard-00001")
    has_ended = threading.Event()
    found: list[LogLine] = []
    follower = started(lambda: found.extend(RunLogs(group, LOOPBACK).follow(has_ended.is_set)))
    group.create("late")
    group.put("late", "here")
    assert becomes_true(lambda: texts(found) == ["here"])
    has_ended.set()
    follower.join(PATIENCE)
    assert not follower.is_alive() and texts(found) == ["here"]


def test_following_gives_each_line_once_while_streams_come_and_grow(group: Group) -> None:
    has_ended = threading.Event()
    found: list[LogLine] = []
    follower = started(lambda: found.extend(RunLogs(group, LOOPBACK).follow(has_ended.is_set)))
    for task in ("algo-1", "algo-2", "algo-3"):
        group.create(task)
        group.stream(task, task)
        for number in range(20):
            group.put(task, *(f"{number} {each}" for each in range(7)))
    # The last lines come after the run is seen to have ended, and are read all the same.
    group.put("algo-3", "last")
    has_ended.set()
    follower.join(PATIENCE)
    assert not follower.is_alive()
    expected = [f"{number} {each}" for number in range(20) for each in range(7)]
    for task in ("algo-1", "algo-2", "algo-3"):
        of_task = [line.text for line in found if line.task == task]
        assert of_task == expected + (["last"] if task == "algo-3" else []), task


def test_what_cloudwatch_shows_late_is_still_given(group: Group) -> None:
    group.create("a")
    group.put("a", "early")
    group.stream("a")
    slow = Pace(0.05, 0.1, 1.0)
    lines = RunLogs(group, slow).follow(lambda: True)
    assert next(lines).text == "early"
    group.put("a", "late")
    assert texts(lines) == ["late"]


def test_a_run_that_never_had_a_log_has_none_and_following_ends(group: Group) -> None:
    assert list(RunLogs(group, LOOPBACK).lines()) == []
    states = iter([False, False, True])
    assert list(RunLogs(group, LOOPBACK).follow(lambda: next(states))) == []


def test_times_never_go_back_within_a_task(group: Group) -> None:
    now = time.time()
    group.create("a")
    stream = group.stream("a")
    group.put("a", "one", at=now)
    first = stream.page()
    group.put("a", "two", at=now)
    times = [line.time for line in itertools.chain(first, stream.page())]
    assert times == sorted(times) and len(times) == 2


def test_a_token_that_has_expired_loses_and_doubles_no_line(
    group: Group, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = time.time()
    group.create("a")
    stream = group.stream("a")
    group.put("a", "zero", at=now - 5)
    group.put("a", "one", "two", at=now)
    assert texts(stream.page()) == ["zero", "one", "two"]
    group.put("a", "three", at=now)
    group.put("a", "four", at=now + 1)
    call = group.session.call

    def expired(service: str, name: str, **parameters: Any) -> Any:
        if "nextToken" in parameters:
            raise AccountRefused("The specified nextToken is expired", code="InvalidParameterException")
        return call(service, name, **parameters)

    monkeypatch.setattr(group.session, "call", expired)
    assert texts(stream.page()) == ["three", "four"]
    monkeypatch.undo()
    assert stream.page() == [] and stream.is_drained


def test_streams_that_give_nothing_more_are_asked_no_more_and_no_more_are_asked_than_the_rate(
    group: Group, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [f"shard-{number:05d}" for number in range(40)]
    for name in names:
        group.create(name)
        group.put(name, name)
        group.stream(name, name)
    living, call, asked = group.fresh[0], group.session.call, []

    def counted(service: str, operation: str, **parameters: Any) -> Any:
        asked.append((time.monotonic(), parameters["logStreamName"]))
        return call(service, operation, **parameters)

    monkeypatch.setattr(group.session, "call", counted)
    for stream in group.fresh[1:]:
        stream.ended = -math.inf
    has_ended = threading.Event()
    found: list[LogLine] = []
    logs = RunLogs(group, Pace(0.01, 0.01, 0.0, rate=200.0))
    follower = started(lambda: found.extend(logs.follow(has_ended.is_set)))
    assert becomes_true(lambda: [name for _, name in asked[-5:]] == [living.name] * 5)
    living.ended = time.monotonic()
    has_ended.set()
    follower.join(PATIENCE)
    assert not follower.is_alive() and sorted(texts(found)) == names
    assert all(sum(name == each for _, name in asked) <= 3 for each in names[1:])
    times = sorted(when for when, _ in asked)
    assert all(times[at + 20] - times[at] >= 19 / 200 * 0.5 for at in range(len(times) - 20))


def test_pauses_grow_to_a_limit() -> None:
    pauses = list(itertools.islice(Pace(0.2, 5.0, 0.0).pauses(), 12))
    assert pauses[0] == 0.2 and pauses == sorted(pauses) and pauses[-1] == 5.0


def started(work: Callable[[], object]) -> threading.Thread:
    thread = threading.Thread(target=work)
    thread.start()
    return thread
