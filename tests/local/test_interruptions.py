"""What ends tasks of the local engine from outside: signals of others, limits of memory and time."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from conftest import PATIENCE, Project, becomes_true, supervisor_pid, wait_for_line
from trainyard import Resources, RunHandle, State, Yard
from trainyard.core.runs.outcomes import Outcome
from trainyard.local.home.home import Home
from trainyard.local.ledger.journal import Journal
from trainyard.local.ledger.ledger import SqliteLedger
from trainyard.local.runs.inference import SHARD_GRACE, InferenceWork
from trainyard.local.supervisor.timers import Timers
from trainyard.local.tasks.task import Task, TaskPlan

SLEEP = "import time\nprint('ready', flush=True)\ntime.sleep(60)"
SLOW = """
import os, time
def predict_fn(batch, model):
    if os.environ["AWS_BATCH_JOB_ARRAY_INDEX"] == "1" and os.environ["AWS_BATCH_JOB_ATTEMPT"] == "1":
        print("holding", flush=True)
        time.sleep(60)
    return [int(row["n"]) for row in batch]
"""


def pid_in(run: RunHandle, file: str) -> int:
    """The pid in a file of the run's folder, as soon as it is there."""
    path = Path(run.folder) / file
    assert becomes_true(lambda: path.exists() and path.read_text().endswith("\n"))
    return int(path.read_text())


def test_a_shard_whose_process_is_killed_is_tried_again(
    local_yard: Yard, project: Project, rows: Path, model: Path
) -> None:
    run = local_yard.infer(project.inference(SLOW, shards=3), model=str(model), input=str(rows))
    wait_for_line(run, "holding")
    os.kill(pid_in(run, "attempts/1/shard-00001.pid"), signal.SIGKILL)
    assert run.wait(timeout=PATIENCE).state is State.SUCCEEDED
    assert (run.rows_in, run.rows_out) == (200, 200)
    states = [(a.number, str(a.state)) for a in run.attempts if a.task == "shard-00001"]
    assert states == [(1, "failed"), (2, "succeeded")]
    parts = sorted(path.name for path in Path(str(run.output)).iterdir() if path.name[0] not in "._")
    assert parts == ["part-00000.csv", "part-00001.csv", "part-00002.csv"]


def test_a_training_script_that_is_killed_from_outside_has_failed(local_yard: Yard, project: Project) -> None:
    run = local_yard.train(project.training(SLEEP))
    wait_for_line(run, "ready")
    os.kill(pid_in(run, "attempts/1/algo-1.pid"), signal.SIGKILL)
    assert run.wait(timeout=PATIENCE).state is State.FAILED
    assert "SIGKILL" in run.reason


def test_more_memory_than_allowed_fails_the_run_in_words(local_yard: Yard, project: Project) -> None:
    script = "import time\nblock = bytearray(200 << 20)\ntime.sleep(60)"
    job = project.training(script, resources=Resources(memory_mib=64))
    run = local_yard.train(job).wait(timeout=PATIENCE)
    assert run.state is State.FAILED
    assert "out of memory" in run.reason and "memory_mib allows 64" in run.reason


def test_a_shard_has_a_time_and_is_tried_again_after_it(
    local_yard: Yard, home: Path, project: Project, rows: Path, model: Path
) -> None:
    # A timeout of AWS Batch is a minute at least, so that the plan is asked and not the clock.
    job = project.inference(SLOW, shards=1, timeout=60, retries=1)
    run = local_yard.plan_inference(job, model=str(model), input=str(rows), output=str(home / "out"))
    where = Home(os.path.realpath(home))
    where.create()
    Path(where.run(run.id)).mkdir()
    ledger = SqliteLedger(where)
    ledger.submit(run, {"interpreter": "python", "variables": {}, "time": 0.0})
    journal = Journal(where)
    try:
        work = InferenceWork(journal.open_runs()[0], where, journal)
        plan = work._plan_shard(work._pending.popleft())
        assert (plan.timeout, plan.late.state, plan.grace) == (60.0, State.FAILED, SHARD_GRACE)
        assert "infer.timeout" in plan.late.reason
        work.task_ended(plan, plan.late)
        assert (list(work._pending), work.ending) == ([0], None)
        work.task_ended(plan, plan.late)
        assert work.ending is not None and work.ending.reason.startswith("shard-00000: timed out")
    finally:
        journal.close()
        ledger.close()


def test_only_the_first_cause_of_an_end_counts() -> None:
    task = Task(TaskPlan("run", "train", 1, ()), [], "mark")
    stopped = Outcome(State.STOPPED, "stopped on request")
    assert task.end(stopped)
    assert not task.end(Outcome(State.FAILED, "late"), kill=True)
    assert task.outcome() == stopped


def test_timers_run_what_is_due_in_order_and_nothing_else() -> None:
    timers = Timers()
    done: list[str] = []
    assert timers.wait() is None
    timers.after(3600, lambda: done.append("later"))
    timers.after(0.001, lambda: done.append("second"))
    timers.after(0, lambda: done.append("first"))
    while len(done) < 2:
        time.sleep(timers.wait() or 0)
        timers.run_due()
    assert done == ["first", "second"]
    left = timers.wait()
    assert left is not None and 3500 < left <= 3600


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_signals_of_a_terminal_do_not_reach_a_run(
    local_yard: Yard, home: Path, project: Project, number: signal.Signals
) -> None:
    run = local_yard.train(project.training(SLEEP))
    wait_for_line(run, "ready")
    pid = supervisor_pid(home)
    assert pid and os.getpgid(pid) != os.getpgid(0) and os.getsid(pid) != os.getsid(0)
    os.kill(pid, number)
    with pytest.raises(TimeoutError):
        run.wait(timeout=0.2)
    assert run.state is State.RUNNING
    run.stop()
