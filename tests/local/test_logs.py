"""Log files are read while they grow: every line once, in order, with the time it came."""

from __future__ import annotations

import textwrap
import time
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from conftest import PATIENCE, Project, becomes_true, texts
from trainyard import State, Yard
from trainyard.local.home.logs import LocalRunLogs, TaskLog
from trainyard.local.home.runfolder import times_of
from trainyard.local.tasks.follower import Follower

PIECES = st.lists(st.sampled_from([b"a", b"\n", b"caf\xc3\xa9", b"\xff", b"long " * 9, b"\n\n"]), max_size=25)
FILES = settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])


def lines_of(content: bytes) -> list[str]:
    """What must be read of a log of this content: a last line without newline counts, an empty one not."""
    *lines, rest = content.split(b"\n")
    return [line.decode("utf-8", "replace") for line in ([*lines, rest] if rest else lines)]


@FILES
@given(pieces=PIECES)
def test_a_log_that_grows_gives_each_line_once(tmp_path: Path, pieces: list[bytes]) -> None:
    path = tmp_path / "task.log"
    path.write_bytes(b"")
    log = TaskLog(str(path), "task", 1)
    found = []
    for piece in pieces:
        with path.open("ab") as file:
            file.write(piece)
        found += [line.text for line in log.lines(at_end=False)]
    found += [line.text for line in log.lines(at_end=True)]
    assert found == lines_of(b"".join(pieces))
    assert list(log.lines(at_end=True)) == []


@FILES
@given(pieces=PIECES)
def test_a_follower_gives_each_line_once_and_notes_when_it_came(tmp_path: Path, pieces: list[bytes]) -> None:
    path = tmp_path / "task.log"
    Path(times_of(str(path))).unlink(missing_ok=True)
    path.write_bytes(b"")
    follower = Follower(str(path), wants_lines=True)
    found = []
    for second, piece in enumerate(pieces):
        with path.open("ab") as file:
            file.write(piece)
        found += follower.read(1000.0 + second)
    found += follower.read(2000.0, at_end=True)
    assert found == lines_of(b"".join(pieces))
    times = [line.time for line in TaskLog(str(path), "task", 1).lines(at_end=True)]
    assert times == sorted(times)
    assert all(1000.0 <= when < 2000.0 for when in times)


def test_a_line_has_the_time_at_which_its_end_came(tmp_path: Path) -> None:
    path = tmp_path / "task.log"
    follower = Follower(str(path), wants_lines=False)
    for when, piece in ((1000.0, b"one\ntw"), (1001.0, b"o\n"), (1005.0, b"three\n")):
        with path.open("ab") as file:
            file.write(piece)
        assert follower.read(when) == []
    found = [(line.time, line.text) for line in TaskLog(str(path), "task", 1).lines(at_end=True)]
    assert found == [(1000.0, "one"), (1001.0, "two"), (1005.0, "three")]


def test_what_was_not_noted_yet_has_just_been_written(tmp_path: Path) -> None:
    (tmp_path / "task.log").write_text("now\n")
    [line] = TaskLog(str(tmp_path / "task.log"), "task", 1).lines(at_end=True)
    assert abs(line.time - time.time()) < 5


def test_a_follower_goes_on_where_a_dead_supervisor_left_off(tmp_path: Path) -> None:
    path = tmp_path / "task.log"
    path.write_text("one\n")
    Follower(str(path), wants_lines=False).read(1000.0)
    with path.open("a") as file:
        file.write("two\n")
    assert Follower(str(path), wants_lines=True).read(1001.0) == ["two"]


def test_a_progress_bar_is_many_lines_to_a_metric(tmp_path: Path) -> None:
    path = tmp_path / "task.log"
    path.write_text("loss=1\rloss=2\rloss=3\n")
    assert Follower(str(path), wants_lines=True).read(1.0) == ["loss=1", "loss=2", "loss=3"]


def test_a_flood_is_followed_in_pieces(tmp_path: Path) -> None:
    path = tmp_path / "task.log"
    line = "x" * 99
    path.write_text(f"{line}\n" * 30_000)
    follower = Follower(str(path), wants_lines=True)
    first = follower.read(1.0)
    assert 0 < len(first) < 30_000 and follower.behind
    found = list(first)
    while follower.behind:
        found += follower.read(2.0, at_end=True)
    assert found == [line] * 30_000


def test_the_tasks_of_a_run_are_merged_by_time(tmp_path: Path) -> None:
    for number, task, pieces in (
        (1, "algo-1", [(10.0, "a\n"), (30.0, "c\n")]),
        (1, "algo-2", [(20.0, "b\n"), (40.0, "d\n")]),
        (2, "algo-1", [(50.0, "e\n")]),
    ):
        path = tmp_path / "attempts" / str(number) / f"{task}.log"
        path.parent.mkdir(parents=True, exist_ok=True)
        follower = Follower(str(path), wants_lines=False)
        for when, piece in pieces:
            with path.open("a") as file:
                file.write(piece)
            follower.read(when)
    found = [(line.attempt, line.task, line.text) for line in LocalRunLogs(str(tmp_path)).lines(at_end=True)]
    assert found == [
        (1, "algo-1", "a"),
        (1, "algo-2", "b"),
        (1, "algo-1", "c"),
        (1, "algo-2", "d"),
        (2, "algo-1", "e"),
    ]


def test_a_run_without_logs_has_no_lines(tmp_path: Path) -> None:
    assert list(LocalRunLogs(str(tmp_path / "absent")).lines(at_end=True)) == []


def test_the_series_of_a_metric_is_kept_with_its_steps_over_attempts(
    local_yard: Yard, project: Project
) -> None:
    script = """
import os, sys
for n in range(3): print(f"loss={n}.5")
sys.exit(os.environ["TRAINYARD_ATTEMPT"] == "1")
"""
    job = project.training(script, retries=1, metrics={"loss": r"loss=([0-9.]+)"})
    run = local_yard.train(job).wait(timeout=PATIENCE)
    assert (run.state, run.metrics) == (State.SUCCEEDED, {"loss": 2.5})
    header, *rows = (Path(run.folder) / "metrics.csv").read_text().splitlines()
    assert header == "time,attempt,task,name,step,value"
    assert [row.split(",")[1:] for row in rows] == [
        [str(1 + step // 3), "algo-1", "loss", str(step), f"{step % 3}.5"] for step in range(6)
    ]


def test_a_progress_bar_of_carriage_returns_gives_its_metrics_as_it_goes(
    local_yard: Yard, project: Project
) -> None:
    script = """
        import sys, time
        for step in range(3):
            sys.stdout.write(f"\\rstep {step} loss={step}.5")
        sys.stdout.flush()
        time.sleep(600)
    """
    job = project.training(textwrap.dedent(script), metrics={"loss": r"loss=([0-9.]+)\b"}, grace=0)
    run = local_yard.train(job)
    assert becomes_true(lambda: run.metrics.get("loss") == 1.5, PATIENCE)
    run.stop()


def test_a_line_that_never_ends_is_given_in_pieces_and_loses_nothing(
    local_yard: Yard, project: Project
) -> None:
    script = "import sys\nfor _ in range(300): sys.stdout.write('x' * 10_000)\nprint('end')\n"
    run = local_yard.train(project.training(script)).wait(timeout=30)
    assert "".join(texts(run)) == "x" * 3_000_000 + "end"
