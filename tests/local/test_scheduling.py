"""Which task starts when: slots, the queue, and arrays of many shards."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from conftest import PATIENCE, Project, becomes_true, supervisor_pid, texts, wait_for_line
from trainyard import Resources, State, Yard
from trainyard.local.home.home import Home
from trainyard.local.ipc import client
from trainyard.local.supervisor import supervisor
from trainyard.local.tasks.child import Child
from trainyard.local.tasks.follower import Follower
from trainyard.local.tasks.task import Member, Process

NOTE = """
import os, time
with open(os.environ["NOTES"], "a") as notes: notes.write(os.environ["NAME"] + " ")
"""
GATE = """
import os, time
print("up", flush=True)
while not os.path.exists(os.environ["NOTES"] + "/go"): time.sleep(0.01)
"""


@pytest.fixture
def one_slot(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRAINYARD_SLOTS", "1")


@pytest.mark.usefixtures("one_slot")
def test_runs_start_in_the_order_of_their_submission(
    local_yard: Yard, project: Project, tmp_path: Path
) -> None:
    notes = tmp_path / "order"
    runs = [
        local_yard.train(project.training(NOTE, environment={"NOTES": str(notes), "NAME": str(n)}))
        for n in range(5)
    ]
    for run in runs:
        assert run.wait(timeout=PATIENCE).state is State.SUCCEEDED
    assert notes.read_text().split() == ["0", "1", "2", "3", "4"]


@pytest.mark.usefixtures("one_slot")
def test_a_queued_run_is_stopped_at_once_and_never_starts(
    local_yard: Yard, project: Project, tmp_path: Path
) -> None:
    first = local_yard.train(project.training(GATE, environment={"NOTES": str(tmp_path)}))
    wait_for_line(first, "up")
    queued = local_yard.train(project.training("print('never')"))
    assert queued.state is State.QUEUED
    queued.stop()
    assert (queued.state, queued.reason, queued.attempts) == (State.STOPPED, "stopped on request", ())
    assert first.state is State.RUNNING
    (tmp_path / "go").touch()
    first.wait(timeout=PATIENCE)
    assert texts(queued) == []


@pytest.mark.usefixtures("one_slot")
def test_a_training_run_takes_one_slot_whatever_its_hosts(local_yard: Yard, project: Project) -> None:
    job = project.training("print('here')", resources=Resources(instance_count=3))
    run = local_yard.train(job).wait(timeout=PATIENCE)
    assert (run.state, texts(run)) == (State.SUCCEEDED, ["here"] * 3)


def test_no_more_tasks_run_than_there_are_slots(
    local_yard: Yard,
    project: Project,
    model: Path,
    rows: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TRAINYARD_SLOTS", "2")
    handler = """
import os, time
def predict_fn(batch, model):
    folder = os.environ["NOTES"]
    mine = f"{folder}/{os.getpid()}"
    open(mine, "w").close()
    with open(folder + "/../seen", "a") as seen: seen.write(f"{len(os.listdir(folder))}\\n")
    time.sleep(0.05)
    os.unlink(mine)
    return [1] * len(batch)
"""
    (tmp_path / "at-work").mkdir()
    job = project.inference(handler, shards=8, environment={"NOTES": str(tmp_path / "at-work")})
    run = local_yard.infer(job, model=str(model), input=str(rows)).wait(timeout=PATIENCE)
    assert run.state is State.SUCCEEDED, run.reason
    seen = [int(line) for line in (tmp_path / "seen").read_text().split()]
    assert len(seen) == 8 and max(seen) <= 2


def test_an_array_of_many_shards_completes(
    local_yard: Yard, project: Project, model: Path, tmp_path: Path
) -> None:
    (tmp_path / "tiny.csv").write_text("n\n" + "".join(f"{n}\n" for n in range(10)))
    handler = "def predict_fn(batch, model): return [int(row['n']) for row in batch]\n"
    job = project.inference(handler, shards=150)
    run = local_yard.infer(job, model=str(model), input=str(tmp_path / "tiny.csv"))
    assert run.wait(timeout=90).state is State.SUCCEEDED, run.reason
    assert (run.rows_in, run.rows_out, len(run.attempts)) == (10, 10, 150)
    assert len(list(Path(str(run.output)).glob("part-*.csv"))) == 150


def test_a_run_is_seen_to_start_and_to_end_without_polling(local_yard: Yard, project: Project) -> None:
    run = local_yard.train(project.training("")).record
    states = [run.state]  # it may have ended by now
    while not run.state.ended:
        run = local_yard.observe(run, wait=PATIENCE)
        states.append(run.state)
    assert states[-1] is State.SUCCEEDED
    assert len(states) == len(set(states)) or states[0] is State.QUEUED


@pytest.mark.parametrize(("named", "slots"), [("3", 3), ("1", 1)])
def test_slots_are_named_by_a_variable(monkeypatch: pytest.MonkeyPatch, named: str, slots: int) -> None:
    monkeypatch.setenv("TRAINYARD_SLOTS", named)
    assert supervisor.slots() == slots


@pytest.mark.parametrize("named", ["", "0", "-1", "many", "²"])
def test_slots_are_cores_where_nothing_sensible_is_named(monkeypatch: pytest.MonkeyPatch, named: str) -> None:
    monkeypatch.delenv("TRAINYARD_SLOTS", raising=False)
    cores = supervisor.slots()
    monkeypatch.setenv("TRAINYARD_SLOTS", named)
    assert supervisor.slots() == cores >= 1


def test_an_idle_supervisor_leaves_and_the_next_run_starts_another(
    local_yard: Yard, home: Path, project: Project
) -> None:

    assert local_yard.train(project.training("")).wait(timeout=PATIENCE).state is State.SUCCEEDED
    first = supervisor_pid(home)
    # Told to make way, with nothing to run: it leaves as an idle one does.
    line = client.Client(Home(str(home.resolve())))._connect()
    line.say({"do": "drain", "next": []})
    assert line.hear(PATIENCE) == {"ok": True}
    line.close()
    assert becomes_true(lambda: supervisor_pid(home) is None)
    assert local_yard.train(project.training("")).wait(timeout=PATIENCE).state is State.SUCCEEDED
    assert supervisor_pid(home) not in (None, first)


@pytest.fixture
def starting(tmp_path: Path) -> Iterator[tuple[Process, int]]:
    """A process that has not said anything yet, and the end of the pipe into which it speaks."""
    reader, writer = os.pipe()
    log = str(tmp_path / "log")
    member = Member("algo-1", log, lambda: 0)
    yield Process(member, Child(os.getpid(), reader), Follower(log, wants_lines=False)), writer
    os.close(reader)


def test_why_a_program_could_not_start_is_read_to_its_end_in_however_many_pieces_it_comes(
    starting: tuple[Process, int],
) -> None:
    process, writer = starting
    reason = "no such interpreter " * 1000
    content = json.dumps({"reason": reason, "bad_input": True}).encode()
    os.write(writer, content[:9000])
    assert not process.drain()
    os.write(writer, content[9000:])
    os.close(writer)
    assert process.drain()
    assert (process.fault, process.fault_is_input) == (reason, True)


def test_a_pipe_with_nothing_to_say_holds_nobody_up(starting: tuple[Process, int]) -> None:
    process, writer = starting
    assert (process.drain(), process.fault) == (False, "")
    os.close(writer)
    assert (process.drain(), process.fault) == (True, "")
