"""Metrics are found in lines of text, in a bounded time whatever the pattern."""

from __future__ import annotations

import signal
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainyard.core.runs.metrics import Extractor, Point, without_value
from trainyard.local.supervisor.recorder import Recorder

NUMBERS = st.floats(allow_nan=False)


@given(values=st.lists(NUMBERS, max_size=30))
def test_every_value_is_a_point_with_its_step(values: list[float]) -> None:
    extractor = Extractor({"loss": r"loss=(\S+)"})
    lines = [f"epoch {n} loss={value!r} ok" for n, value in enumerate(values)]
    assert extractor.find_all(lines, 5.0) == [
        Point("loss", step, 5.0, value) for step, value in enumerate(values)
    ]


def test_several_values_and_several_metrics_come_in_the_order_of_the_lines() -> None:
    extractor = Extractor({"loss": r"loss=(\d+)", "rate": r"rate=(\d+)"})
    found = extractor.find_all(["rate=9 loss=1 loss=2", "nothing", "loss=3"], 0.0)
    assert [(point.name, point.step, point.value) for point in found] == [
        ("loss", 0, 1.0),
        ("loss", 1, 2.0),
        ("rate", 0, 9.0),
        ("loss", 2, 3.0),
    ]


def test_nan_is_a_value_that_was_seen() -> None:
    found = Extractor({"loss": r"loss=(\S*)"}).find_all(["loss=0.5", "loss=nan", "loss=NaN"], 0.0)
    assert [repr(point.value) for point in found] == ["0.5", "nan", "nan"]


@pytest.mark.parametrize("text", ["text", "1,5", ""])
def test_what_is_no_number_is_passed_over_and_told_where_none_comes(text: str) -> None:
    extractor = Extractor({"loss": r"loss=(\S*)"})
    assert extractor.find_all([f"loss={text}"], 0.0) == []
    [warning] = without_value(["loss"], {}, extractor.troubles)
    assert warning.endswith(f"captured {text!r}, which is no number")
    assert extractor.find_all(["loss=1", f"loss={text}"], 0.0) == [Point("loss", 0, 0.0, 1.0)]
    assert without_value(["loss"], {"loss": 1.0}, extractor.troubles) == []


def test_a_group_that_matched_nothing_is_passed_over() -> None:
    assert Extractor({"loss": r"loss(?:=(\d+))?"}).find_all(["loss", "loss=2"], 0.0) == [
        Point("loss", 0, 0.0, 2.0)
    ]


def test_one_line_is_searched_without_a_clock() -> None:
    assert list(Extractor({"loss": r"loss=(\d+)"}).find("loss=4", 1.0)) == [Point("loss", 0, 1.0, 4.0)]


def test_a_pattern_that_never_ends_is_given_up_and_the_others_are_kept() -> None:
    extractor = Extractor({"bad": r"((?:a+)+)b", "loss": r"loss=(\d+)"})
    started = time.monotonic()
    found = extractor.find_all(["loss=1", "a" * 60 + " loss=2", "loss=3"], 0.0)
    assert time.monotonic() - started < 10
    assert [point.value for point in found] == [1.0, 2.0, 3.0]
    assert list(extractor.troubles) == ["bad"]
    assert [point.step for point in extractor.find_all(["loss=4", "a" * 60], 0.0)] == [3]


def test_a_pattern_that_is_slow_on_each_of_many_lines_is_given_up_too() -> None:
    extractor = Extractor({"slow": r"((?:a+)+)b"})
    started = time.monotonic()
    assert extractor.find_all(["a" * 22] * 500, 0.0) == []
    assert time.monotonic() - started < 10
    assert list(extractor.troubles) == ["slow"]


def test_the_alarm_of_the_program_is_given_back() -> None:
    def mine(*_: object) -> None:
        raise AssertionError("nobody rang")

    previous = signal.signal(signal.SIGALRM, mine)
    try:
        Extractor({"loss": r"(\d)"}).find_all(["1"], 0.0)
        assert signal.getsignal(signal.SIGALRM) is mine
        assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)
    finally:
        signal.signal(signal.SIGALRM, previous)


def test_without_metrics_nothing_is_done() -> None:
    assert Extractor({}).find_all(["loss=1"], 0.0) == []


def test_the_series_goes_on_counting_in_a_recorder_of_a_later_supervisor(tmp_path: Path) -> None:
    path, definitions = tmp_path / "metrics.csv", {"loss": r"loss=([0-9.]+)"}
    first = Recorder(str(path), definitions)
    assert first.take(["loss=2", "loss=1"], 10.0, 1, "algo-1") == {"loss": 1.0}
    later = Recorder(str(path), definitions)
    assert later.take(["loss=0.5"], 11.25, 2, "algo-1") == {"loss": 0.5}
    assert later.take(["nothing"], 12.0, 2, "algo-1") == {}
    assert path.read_text().splitlines() == [
        "time,attempt,task,name,step,value",
        "10.000,1,algo-1,loss,0,2.0",
        "10.000,1,algo-1,loss,1,1.0",
        "11.250,2,algo-1,loss,2,0.5",
    ]
