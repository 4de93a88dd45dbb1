"""A supervisor that was killed, a machine that was started anew: nothing is lost and nothing runs twice."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

import trainyard
from conftest import (
    PATIENCE,
    Project,
    becomes_true,
    signal_quietly,
    supervisor_pid,
    texts,
    wait_for_line,
)
from trainyard import RunHandle, State, Yard
from trainyard.local.home.home import Home
from trainyard.local.runs.work import home_mark
from trainyard.machine import processes

# Holds a lock for as long as it lives, and fails where another attempt still holds it.
HOLD = """
import fcntl, os, sys, time
attempt = int(os.environ["TRAINYARD_ATTEMPT"])
lock = open(os.environ["NOTES"] + "/lock", "a")
fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
with open(os.environ["NOTES"] + "/notes", "a") as notes: notes.write(f"{os.getpid()} {attempt}\\n")
with open(os.environ["TRAINYARD_CHECKPOINT_DIR"] + "/count", "a") as file: file.write("x")
print("ready", attempt, flush=True)
if attempt == 1: time.sleep(60)
"""
# Leaves its process group, its session and its parent, and holds the lock.
STRAY = """
import fcntl, os, sys, time
attempt = int(os.environ["TRAINYARD_ATTEMPT"])
lock = open(os.environ["NOTES"] + "/lock", "a")
fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
reader, writer = os.pipe()
if not os.fork():
    os.setsid()
    if os.fork(): os._exit(0)
    print("stray", os.getpid(), flush=True)
    os.write(writer, b"x")
    while True: time.sleep(1)
os.wait()
os.read(reader, 1)
print("ready", flush=True)
{then}
"""


# A package whose first building hangs.
BACKEND = """
import os, time, zipfile
def build_wheel(folder, *_):
    if not os.path.exists({begun!r}):
        open({begun!r}, "w").close()
        time.sleep(60)
    name = "halfway-1-py3-none-any.whl"
    with zipfile.ZipFile(os.path.join(folder, name), "w") as wheel:
        wheel.writestr("halfway.py", "")
        about = "halfway-1.dist-info/"
        wheel.writestr(about + "METADATA", "Metadata-Version: 2.1\\nName: halfway\\nVersion: 1\\n")
        wheel.writestr(about + "WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr(about + "RECORD", "halfway.py,,\\n" + about + "METADATA,,\\n" + about + "WHEEL,,\\n")
    return name
"""


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    folder = tmp_path / "notes"
    folder.mkdir()
    return folder


@pytest.fixture
def bystander() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"], start_new_session=True)
    yield process
    process.kill()
    process.wait()


def kill_supervisor(home: Path) -> int:
    """SIGKILL the supervisor; its pid, once it is gone."""
    pid = supervisor_pid(home)
    assert pid
    os.kill(pid, signal.SIGKILL)
    assert becomes_true(lambda: not processes.start_time(pid))
    return pid


def pid_of(run: RunHandle, word: str) -> int:
    return int(wait_for_line(run, word).split()[1])


LOOKS: dict[str, Callable[[Yard, RunHandle], object]] = {
    "asking for its state": lambda yard, run: run.state,
    "listing the runs": lambda yard, run: yard.runs(),
    "waiting": lambda yard, run: run.wait(timeout=PATIENCE),
    "following the log": lambda yard, run: list(run.logs(follow=True)),
}


@pytest.mark.parametrize("look", LOOKS)
def test_the_next_look_after_the_supervisor_was_killed_has_the_run_go_on(
    local_yard: Yard, home: Path, project: Project, notes: Path, look: str
) -> None:
    run = local_yard.train(project.training(HOLD, environment={"NOTES": str(notes)}))
    wait_for_line(run, "ready 1")
    killed = kill_supervisor(home)
    LOOKS[look](local_yard, run)
    assert becomes_true(lambda: supervisor_pid(home) not in (None, killed))
    run.wait(timeout=PATIENCE)
    # The lock tells that the first was dead before the second started, which had retries = 0.
    assert (run.state, run.reason) == (State.SUCCEEDED, "completed after 1 interruption")
    assert [str(attempt.state) for attempt in run.attempts] == ["interrupted", "succeeded"]
    assert [line.split()[1] for line in (notes / "notes").read_text().splitlines()] == ["1", "2"]
    lost = run.attempts[0].lost_seconds
    assert lost is not None and lost < PATIENCE


def test_a_run_whose_secret_went_with_its_supervisor_ends_and_is_resumed_from_a_shell_that_has_it(
    local_yard: Yard, home: Path, project: Project, notes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OF_MINE", "s3cr3t-s3cr3t")
    variables = {"TOKEN": "env:OF_MINE", "NOTES": str(notes)}
    run = local_yard.train(project.training(HOLD, environment=variables))
    wait_for_line(run, "ready 1")
    kill_supervisor(home)
    monkeypatch.delenv("OF_MINE")
    assert run.wait(timeout=PATIENCE).state is State.FAILED
    assert run.reason.startswith("train.environment.TOKEN: its value went with the supervisor that had it")
    with pytest.raises(trainyard.BadInput, match="OF_MINE is not set in this shell"):
        run.resume()
    monkeypatch.setenv("OF_MINE", "another")
    assert run.resume().wait(timeout=PATIENCE).state is State.SUCCEEDED
    assert texts(run)[-1] == "ready 2"


def test_another_python_has_it_go_on(local_yard: Yard, home: Path, project: Project, notes: Path) -> None:
    run = local_yard.train(project.training(HOLD, environment={"NOTES": str(notes)}))
    wait_for_line(run, "ready 1")
    kill_supervisor(home)
    code = (
        "import sys, trainyard; trainyard.connect(home=sys.argv[1]).get(sys.argv[2]).wait(timeout=30).check()"
    )
    subprocess.run([sys.executable, "-c", code, str(home), run.id], check=True, timeout=60)
    assert run.state is State.SUCCEEDED


def test_a_stray_process_is_ended_before_the_next_attempt_starts(
    local_yard: Yard, home: Path, project: Project, notes: Path
) -> None:
    script = STRAY.format(then="time.sleep(60 if attempt == 1 else 0)")
    run = local_yard.train(project.training(script, environment={"NOTES": str(notes)}))
    stray = pid_of(run, "stray")
    wait_for_line(run, "ready")
    kill_supervisor(home)
    assert run.wait(timeout=PATIENCE).state is State.SUCCEEDED, run.reason
    assert len(run.attempts) == 2
    assert not processes.start_time(stray)


@pytest.mark.parametrize("then", ["", "raise SystemExit(1)", "os._exit(0)"])
def test_a_stray_process_is_ended_with_its_attempt(
    local_yard: Yard, project: Project, notes: Path, then: str
) -> None:
    job = project.training(STRAY.format(then=then), environment={"NOTES": str(notes)})
    run = local_yard.train(job).wait(timeout=PATIENCE)
    assert run.state.ended
    assert not processes.start_time(pid_of(run, "stray"))


def test_a_stray_process_of_one_run_is_ended_and_another_run_goes_on(
    local_yard: Yard, project: Project, notes: Path, tmp_path: Path
) -> None:
    other = Project(tmp_path / "other").training("import time\nprint('up', flush=True)\ntime.sleep(60)")
    running = local_yard.train(other)
    wait_for_line(running, "up")
    job = project.training(STRAY.format(then=""), environment={"NOTES": str(notes)})
    run = local_yard.train(job).wait(timeout=PATIENCE)
    assert not processes.start_time(pid_of(run, "stray"))
    assert running.state is State.RUNNING
    running.stop()


@pytest.mark.parametrize("column", ["boot", "started"])
def test_a_process_that_only_has_the_same_id_is_left_alone(
    local_yard: Yard,
    home: Path,
    project: Project,
    notes: Path,
    bystander: subprocess.Popen[bytes],
    column: str,
) -> None:
    run = local_yard.train(project.training(HOLD, environment={"NOTES": str(notes)}))
    wait_for_line(run, "ready 1")
    kill_supervisor(home)
    # As after a reboot: the id is somebody else's now.
    facts = {
        "pid": bystander.pid,
        "started": processes.start_time(bystander.pid),
        "boot": processes.boot_id(),
    }
    facts[column] = "another"
    with closing(sqlite3.connect(home / "ledger.sqlite")) as db, db:
        db.execute("UPDATE processes SET pid = :pid, started = :started, boot = :boot", facts)
    db.close()
    assert run.wait(timeout=PATIENCE).state is State.SUCCEEDED
    assert bystander.poll() is None


def test_sigterm_to_the_supervisor_interrupts_and_the_next_look_goes_on(
    local_yard: Yard, home: Path, project: Project
) -> None:
    script = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: (print("asked to end", flush=True), sys.exit(0)))
print("ready", flush=True)
if os.environ["TRAINYARD_ATTEMPT"] == "1": time.sleep(60)
"""
    run = local_yard.train(project.training(script))
    wait_for_line(run, "ready")
    pid = supervisor_pid(home)
    assert pid
    os.kill(pid, signal.SIGTERM)
    assert becomes_true(lambda: not processes.start_time(pid))
    run.wait(timeout=PATIENCE)
    assert [str(attempt.state) for attempt in run.attempts] == ["interrupted", "succeeded"]
    assert texts(run) == ["ready", "asked to end", "ready"]


def test_runs_that_were_waiting_start_after_a_kill(
    local_yard: Yard, home: Path, project: Project, notes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRAINYARD_SLOTS", "1")
    first = local_yard.train(project.training(HOLD, environment={"NOTES": str(notes)}))
    wait_for_line(first, "ready 1")
    second = local_yard.train(project.training("print('second')"))
    assert second.state is State.QUEUED
    kill_supervisor(home)
    assert second.wait(timeout=PATIENCE).state is State.SUCCEEDED
    assert first.wait(timeout=PATIENCE).state is State.SUCCEEDED
    assert [attempt.number for attempt in second.attempts] == [1]


def test_a_wish_to_stop_outlives_the_supervisor(
    local_yard: Yard, home: Path, project: Project, notes: Path
) -> None:
    run = local_yard.train(project.training(HOLD, environment={"NOTES": str(notes)}))
    wait_for_line(run, "ready 1")
    pid = supervisor_pid(home)
    assert pid
    os.kill(pid, signal.SIGSTOP)
    local_yard.ledger.ask_to_stop(run.id)  # type: ignore[attr-defined]
    os.kill(pid, signal.SIGKILL)
    assert becomes_true(lambda: not processes.start_time(pid))
    assert run.wait(timeout=PATIENCE).state is State.STOPPED
    assert len(run.attempts) == 1


@pytest.mark.parametrize("delay", [0.0, 0.02, 0.05, 0.08, 0.11, 0.15])
def test_whenever_the_supervisor_is_killed_there_is_one_whole_model(
    local_yard: Yard, home: Path, project: Project, delay: float
) -> None:
    script = """
import os
for name in ("a", "b"):
    with open(os.path.join(os.environ["SM_MODEL_DIR"], name), "w") as file: file.write("weights " + name)
"""
    run = local_yard.train(project.training(script))
    with pytest.raises(TimeoutError) if delay == 0.0 else _either():
        run.wait(timeout=delay)
    pid = supervisor_pid(home)
    if pid:
        signal_quietly(pid, signal.SIGKILL)
    run.wait(timeout=PATIENCE)
    assert (run.state, run.model) == (State.SUCCEEDED, "toy@1"), run.reason
    [model] = local_yard.models()
    assert sorted(path.name for path in Path(model.path).iterdir()) == ["a", "b"]
    assert (Path(run.folder) / "model").resolve() == Path(model.path).resolve()
    assert (model.files, model.bytes) == (2, 18)


def test_the_home_removed_ends_the_supervisor_and_its_tasks(
    local_yard: Yard, home: Path, project: Project, notes: Path
) -> None:
    script = STRAY.format(then="time.sleep(60)")
    run = local_yard.train(project.training(script, environment={"NOTES": str(notes)}))
    stray = pid_of(run, "stray")
    wait_for_line(run, "ready")
    script_pid = int((Path(run.folder) / "attempts/1/algo-1.pid").read_text())
    pid = supervisor_pid(home)
    assert pid
    shutil.rmtree(home)
    for each in (pid, script_pid, stray):
        assert becomes_true(lambda each=each: not processes.start_time(each), 10)  # type: ignore[misc]
    assert processes.marked(f"{home_mark(Home(os.path.realpath(home)))}/") == []
    # And the place is free for a new one.
    again = trainyard.connect(home=str(home)).train(project.training("")).wait(timeout=PATIENCE)
    assert again.state is State.SUCCEEDED


def test_a_run_whose_folder_was_removed_ends_and_the_others_go_on(
    local_yard: Yard, project: Project, tmp_path: Path
) -> None:
    wait = """
import os, time
print("up", flush=True)
while not os.path.exists(os.environ["NOTES"] + "/go"): time.sleep(0.02)
"""
    removed = local_yard.train(project.training(wait, environment={"NOTES": str(tmp_path)}))
    wait_for_line(removed, "up")
    other = Project(tmp_path / "other").training(wait, environment={"NOTES": str(tmp_path)})
    kept = local_yard.train(other)
    wait_for_line(kept, "up")
    shutil.rmtree(removed.folder)
    (tmp_path / "go").touch()
    assert kept.wait(timeout=PATIENCE).state is State.SUCCEEDED
    assert len(kept.attempts) == 1
    assert removed.wait(timeout=PATIENCE).state.ended


class _either:
    """A block that may run out of time or not."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> bool:
        return kind is not None and issubclass(kind, TimeoutError)


def test_a_home_made_anew_keeps_its_runs_from_the_supervisor_of_the_old_one(
    local_yard: Yard, home: Path, project: Project
) -> None:
    job = project.training("import time\nprint('up', flush=True)\ntime.sleep(60)")
    old = local_yard.train(job)
    script = pid_in_group_of(old, home)
    first = supervisor_pid(home)
    shutil.rmtree(home)
    anew = trainyard.connect(home=str(home))
    run = anew.train(job)
    wait_for_line(run, "up")
    assert supervisor_pid(home) != first
    assert first and becomes_true(lambda: not processes.start_time(first))
    # An orphan that was killed is there until it is reaped; by itself the script would sleep for longer.
    assert becomes_true(lambda: not processes.start_time(script))
    assert run.state is State.RUNNING
    run.stop()
    assert (run.state, len(run.attempts)) == (State.STOPPED, 1)


def pid_in_group_of(run: RunHandle, home: Path) -> int:
    """The process of the run's only host."""
    wait_for_line(run, "up")
    return processes.marked(f"{home_mark(Home(os.path.realpath(home)))}/{run.id}/")[0]


def test_an_environment_whose_building_was_stopped_is_built_by_resume(
    local_yard: Yard, project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    begun = tmp_path / "begun"
    project.write("package/backend.py", BACKEND.format(begun=str(begun)))
    build_system = 'requires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'
    project.write("package/pyproject.toml", f"[build-system]\n{build_system}")
    project.write("requirements.txt", "./package\n")
    run = local_yard.train(project.training("import halfway; print(halfway.__name__)"))
    assert becomes_true(begun.exists)
    run.stop()
    run.resume().wait(timeout=PATIENCE)
    assert (run.state, texts(run)[-1]) == (State.SUCCEEDED, "halfway"), run.reason


def test_a_commit_that_was_ended_half_way_is_done_again(
    local_yard: Yard, home: Path, project: Project, model: Path, rows: Path
) -> None:
    job = project.inference("def predict_fn(batch, model): return [1] * len(batch)\n")
    run = local_yard.infer(job, model=str(model), input=str(rows)).wait(timeout=PATIENCE)
    assert run.state is State.SUCCEEDED
    # As a supervisor leaves it that is killed during the commit: all is there but the end.
    with closing(sqlite3.connect(home / "ledger.sqlite")) as db, db:
        db.execute("UPDATE runs SET state = 'running', finished = NULL WHERE id = ?", (run.id,))
    kill_supervisor(home)
    again = local_yard.get(run.id).wait(timeout=PATIENCE)
    assert (again.state, again.rows_out) == (State.SUCCEEDED, 200), again.reason


def test_a_run_that_takes_its_supervisor_down_again_and_again_is_given_up(
    local_yard: Yard, project: Project
) -> None:
    run = local_yard.train(project.training("import os, signal\nos.kill(os.getppid(), signal.SIGKILL)\n"))
    run.wait(timeout=PATIENCE)
    assert run.state is State.FAILED
    assert "given up: each of its last 20 attempts" in run.reason
    assert len(run.attempts) == 20
    # The home serves on.
    assert local_yard.train(project.training("")).wait(timeout=PATIENCE).state is State.SUCCEEDED
