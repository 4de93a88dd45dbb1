"""How attempts of a training job on SageMaker end and begin: signals, rehearsals, retries, new machines."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from .training_container import Container, becomes_true, gone

SLEEP = "import time\nprint('ready', flush=True)\ntime.sleep(60)\n"
DEAF = "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + SLEEP
POLITE = """
import os, signal, sys, time
def leave(*_):
    print("asked to end", flush=True)
    sys.exit({status})
signal.signal(signal.SIGTERM, leave)
print("ready", flush=True)
if os.environ["TRAINYARD_ATTEMPT"] == "1" or {always}: time.sleep(60)
"""
FIRST_SLEEPS = "import os, time\nif os.environ['TRAINYARD_ATTEMPT'] == '1': time.sleep(60)\n"
CHECKPOINT = """
import os, time
path = os.path.join(os.environ["TRAINYARD_CHECKPOINT_DIR"], "state")
"""


@pytest.fixture
def container(tmp_path: Path) -> Iterator[Container]:
    with Container(tmp_path / "ml") as made:
        yield made


def test_sigterm_reaches_the_script_and_ends_the_job(container: Container) -> None:
    container.files["train.py"] = POLITE.format(status=5, always=True)
    worker = container.start("--retries", "3")
    worker.read_until("ready\n")
    worker.signal(signal.SIGTERM)
    assert worker.wait() == 5
    assert worker.lines == ["ready", "asked to end"]
    assert container.attempts == [(1, "terminated", "interrupted by SIGTERM from outside")]
    assert (container.failure, container.history["model"]) == ("", None)
    [attempt] = container.history["attempts"]
    assert attempt["lost_seconds"] == pytest.approx(attempt["finished"] - attempt["started"])


def test_a_script_that_dies_of_sigterm_ends_the_worker_as_one(container: Container) -> None:
    container.files["train.py"] = SLEEP
    worker = container.start()
    worker.read_until("ready\n")
    worker.signal(signal.SIGTERM)
    assert worker.wait() == 143


def test_a_script_that_ignores_sigterm_is_killed_after_the_grace(container: Container) -> None:
    container.files["train.py"] = DEAF
    worker = container.start("--grace", "0.5")
    worker.read_until("ready\n")
    begun = time.monotonic()
    worker.signal(signal.SIGTERM)
    worker.signal(signal.SIGTERM)
    assert worker.wait() == 143
    assert 0.5 <= time.monotonic() - begun < 20
    assert container.attempts[0][1] == "terminated"


def test_sigterm_before_the_script_starts_ends_the_job_without_it(container: Container) -> None:
    container.files["train.py"] = "print('ran')"
    container.files["requirements.txt"] = "./package\n"
    # It says when it is built, and takes its time.
    container.files["package/pyproject.toml"] = (
        "[build-system]\nrequires = []\nbuild-backend = 'slow'\nbackend-path = ['.']\n"
    )
    container.files["package/slow.py"] = (
        f"import os, time\nopen({str(container.root / 'begun')!r}, 'w').close()\ntime.sleep(60)\n"
    )
    worker = container.start()
    assert becomes_true((container.root / "begun").exists)
    worker.signal(signal.SIGTERM)
    assert worker.wait() == 143
    assert container.attempts == [(1, "terminated", "interrupted by SIGTERM from outside")]
    assert "ran" not in worker.lines and container.failure == ""


def test_a_rehearsed_interruption_is_followed_by_the_next_attempt(container: Container) -> None:
    container.files["train.py"] = POLITE.format(status=0, always=False)
    worker = container.run("--interrupt-at", "0.5s", "--launch", "2")
    assert worker.status == 0
    assert worker.content.decode().splitlines() == [
        "[trainyard attempt=1 launch=2]",
        "ready",
        "asked to end",
        "[trainyard attempt=2 launch=2]",
        "ready",
    ]
    assert container.attempts == [
        (1, "interrupted", "interrupted by SIGTERM after 0.5 s, as --interrupt-at 0.5s asked"),
        (2, "succeeded", ""),
    ]
    lost = container.history["attempts"][0]["lost_seconds"]
    assert 0.5 <= lost < 10
    assert container.history["warnings"] == []


def test_a_rehearsed_kill_gives_the_script_no_signal(container: Container) -> None:
    container.files["train.py"] = POLITE.format(status=0, always=False)
    worker = container.run("--interrupt-at", "0.5s:kill", "--interrupt-at", "30s")
    assert (worker.status, worker.lines) == (0, ["ready", "ready"])
    reason = "interrupted without SIGTERM after 0.5 s, as --interrupt-at 0.5s:kill asked"
    assert container.attempts == [(1, "interrupted", reason), (2, "succeeded", "")]
    [warning] = container.history["warnings"]
    assert warning.startswith("--interrupt-at 30s was never reached: attempt 2 ended after ")


def test_a_script_that_ignores_a_rehearsed_interruption_is_killed_after_the_grace(
    container: Container,
) -> None:
    deaf = "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
    container.files["train.py"] = deaf + FIRST_SLEEPS
    assert container.run("--interrupt-at", "0.5s", "--grace", "0.3").status == 0
    assert [state for _, state, _ in container.attempts] == ["interrupted", "succeeded"]


def test_an_interruption_that_is_never_reached_is_warned_of(container: Container) -> None:
    assert container.run("--interrupt-at", "60s", "--interrupt-at", "70s:kill").status == 0
    first, second = container.history["warnings"]
    assert first.startswith("--interrupt-at 60s was never reached: attempt 1 ended after ")
    assert second == "--interrupt-at 70s:kill was never reached: there was no attempt 2"


def test_a_stop_during_a_rehearsed_interruption_starts_nothing_more(container: Container) -> None:
    container.files["train.py"] = """
import signal, time
signal.signal(signal.SIGTERM, lambda *_: print("asked", flush=True))
deadline = time.monotonic() + 60
while time.monotonic() < deadline: time.sleep(0.05)
"""
    worker = container.start("--interrupt-at", "0.5s", "--grace", "1")
    worker.read_until("asked\n")
    worker.signal(signal.SIGTERM)
    assert worker.wait() == 143
    assert [state for _, state, _ in container.attempts] == ["interrupted"]


def test_the_work_lost_is_counted_from_the_newest_checkpoint(container: Container) -> None:
    container.files["train.py"] = CHECKPOINT + (
        "if os.path.exists(path): raise SystemExit(0)\n"
        "time.sleep(0.5)\nopen(path, 'w').close()\ntime.sleep(60)\n"
    )
    assert container.run("--interrupt-at", "1.2s:kill").status == 0
    first, second = container.history["attempts"]
    assert 0.05 < first["lost_seconds"] < 0.75
    assert first["started"] < first["checkpoint"] < first["finished"]
    assert second["lost_seconds"] is None


def test_a_spot_job_that_wrote_no_checkpoint_is_warned_of_the_cost(container: Container) -> None:
    container.files["train.py"] = "import time\ntime.sleep(0.3)"
    container.run("--spot")
    [warning] = container.history["warnings"]
    assert warning.startswith("no checkpoint was written: on spot, an interruption would have cost up to 0.")
    container.files["train.py"] = CHECKPOINT + "open(path, 'w').close()"
    container.run("--spot")
    assert container.history["warnings"] == []


def test_a_failed_script_is_tried_again_with_its_checkpoints_and_nothing_else(container: Container) -> None:
    container.files["train.py"] = (
        CHECKPOINT
        + """
import sys
seen = [os.listdir(os.environ[name]) for name in ("SM_MODEL_DIR", "SM_OUTPUT_DATA_DIR")]
print(seen, sorted(os.listdir(".")), os.path.exists(path), os.path.exists(os.environ["SM_OUTPUT_FAILURE"]))
open(path, "w").close()
for name in ("SM_MODEL_DIR", "SM_OUTPUT_DATA_DIR"):
    os.makedirs(os.environ[name] + "/deep", exist_ok=True)
    open(os.environ[name] + "/deep/file", "w").close()
    os.chmod(os.environ[name] + "/deep", 0)
open("left-over", "w").close()
open(os.environ["SM_OUTPUT_FAILURE"], "w").write("try " + os.environ["TRAINYARD_ATTEMPT"])
sys.exit(0 if os.environ["TRAINYARD_ATTEMPT"] == "3" else 9)
"""
    )
    worker = container.run("--retries", "5")
    assert worker.status == 0
    assert [line.endswith(f"['train.py'] {n > 0} False") for n, line in enumerate(worker.lines)] == [True] * 3
    assert all(line.startswith("[[], []]") for line in worker.lines)
    assert container.attempts == [(1, "failed", "try 1"), (2, "failed", "try 2"), (3, "succeeded", "")]
    assert [name for name, _, _ in container.history["model"]["files"]] == ["deep/file"]


def test_retries_are_counted_and_the_last_failure_is_the_reason(container: Container) -> None:
    container.files["train.py"] = "import os, sys\nsys.exit('try ' + os.environ['TRAINYARD_ATTEMPT'])"
    assert container.run("--retries", "2").status == 1
    assert container.failure == "try 3 (exit status 1)"
    assert [number for number, _, _ in container.attempts] == [1, 2, 3]


def test_a_last_line_without_newline_does_not_swallow_the_next_attempts_border(container: Container) -> None:
    container.files["train.py"] = "import sys\nsys.stdout.write('no newline')\nsys.exit(1)"
    worker = container.run("--retries", "1")
    assert worker.content.decode().splitlines() == [
        "[trainyard attempt=1 launch=1]",
        "no newline",
        "[trainyard attempt=2 launch=1]",
        "no newline",
    ]


def test_a_replaced_model_folder_costs_nobody_else_his_files(container: Container, tmp_path: Path) -> None:
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").write_text("")
    container.files["train.py"] = f"""
import os, sys
if os.environ["TRAINYARD_ATTEMPT"] == "2": sys.exit(0)
os.rmdir(os.environ["SM_MODEL_DIR"])
os.symlink({str(precious)!r}, os.environ["SM_MODEL_DIR"])
sys.exit(1)
"""
    assert container.run("--retries", "1").status == 0
    assert (precious / "file").exists() and not container.model.is_symlink()


def test_a_machine_that_is_taken_away_leaves_an_interruption_and_the_next_one_goes_on(
    container: Container,
) -> None:
    container.files["train.py"] = CHECKPOINT + (
        "if os.path.exists(path): raise SystemExit(0)\n"
        "open(path, 'w').close()\nprint('ready', flush=True)\ntime.sleep(60)\n"
    )
    worker = container.start("--spot")
    worker.read_until("ready\n")
    assert becomes_true(lambda: container.history["attempts"][0]["checkpoint"])
    worker.signal(signal.SIGKILL)
    worker.wait()
    assert container.attempts == [(1, "running", "")]
    for pid in container.strays():
        os.kill(pid, signal.SIGKILL)
    container.renew()
    # SageMaker restores files as new ones.
    os.utime(container.checkpoints / "state")
    worker = container.run("--spot")
    assert worker.status == 0
    assert worker.content.startswith(b"[trainyard attempt=2 launch=1]\n")
    assert container.attempts == [
        (1, "interrupted", "interrupted: the spot machine was taken back"),
        (2, "succeeded", ""),
    ]
    first, second = container.history["attempts"]
    assert first["started"] <= first["checkpoint"] <= first["finished"] <= second["started"]
    assert first["lost_seconds"] == pytest.approx(first["finished"] - first["checkpoint"])


def test_a_spot_machine_that_is_taken_back_with_a_warning_is_an_interruption_too(
    container: Container,
) -> None:
    container.files["train.py"] = POLITE.format(status=0, always=False)
    worker = container.start("--spot")
    worker.read_until("ready\n")
    worker.signal(signal.SIGTERM)
    assert worker.wait() == 0
    assert [state for _, state, _ in container.attempts] == ["terminated"]
    container.renew()
    assert container.run("--spot").status == 0
    assert container.attempts[0] == (1, "interrupted", "interrupted: the spot machine was taken back")
    assert [state for _, state, _ in container.attempts] == ["interrupted", "succeeded"]


def test_a_model_that_was_lost_with_its_machine_is_made_again(container: Container) -> None:
    container.files["train.py"] = "import os\nopen(os.environ['SM_MODEL_DIR'] + '/weights', 'w').close()"
    assert container.run().status == 0
    container.renew()
    assert container.run().status == 0
    assert container.attempts == [
        (1, "interrupted", "interrupted: the machine was lost"),
        (2, "succeeded", ""),
    ]
    assert container.history["attempts"][0]["lost_seconds"] > 0


def test_what_a_stop_ended_stays_so_when_the_run_is_resumed(container: Container) -> None:
    container.files["train.py"] = POLITE.format(status=1, always=False)
    worker = container.start()
    worker.read_until("ready\n")
    worker.signal(signal.SIGTERM)
    worker.wait()
    container.renew()
    worker = container.run("--launch", "2")
    assert worker.content.startswith(b"[trainyard attempt=2 launch=2]\n")
    states = [(each["launch"], each["state"]) for each in container.history["attempts"]]
    assert states == [(1, "terminated"), (2, "succeeded")]


def test_failures_of_an_earlier_launch_use_up_no_retries(container: Container) -> None:
    container.files["train.py"] = "import os, sys\nsys.exit(os.environ['TRAINYARD_ATTEMPT'] != '4')"
    assert container.run("--retries", "1").status == 1
    container.renew()
    assert container.run("--retries", "1", "--launch", "2").status == 0
    assert [number for number, _, _ in container.attempts] == [1, 2, 3, 4]


@pytest.mark.parametrize("content", ["", "{", "[]", '{"attempts": [{"number": 1}]}', '{"attempts": 7}'])
def test_a_history_that_cannot_be_understood_counts_as_none(container: Container, content: str) -> None:
    container.history_file.write_text(content)
    assert container.run().status == 0
    assert container.attempts == [(1, "succeeded", "")]


def test_a_script_that_clears_its_checkpoints_does_not_lose_its_history(container: Container) -> None:
    container.files["train.py"] = (
        "import os, shutil\nif os.environ['TRAINYARD_ATTEMPT'] == '1':\n"
        "    shutil.rmtree(os.environ['TRAINYARD_CHECKPOINT_DIR'])\n    raise SystemExit(1)\n"
    )
    assert container.run("--retries", "1").status == 0
    assert not container.checkpoints.exists()
    assert [(number, state) for number, state, _ in container.attempts] == [(1, "failed"), (2, "succeeded")]


LEAVE_BEHIND = """
import os, subprocess, sys
code = "import signal, time; signal.signal(15, signal.SIG_IGN); print(1, flush=True); time.sleep(60)"
left = subprocess.Popen([sys.executable, "-c", code], start_new_session={apart}, stdout=subprocess.PIPE)
left.stdout.readline()
print("left", left.pid, flush=True)
sys.exit(os.environ["TRAINYARD_ATTEMPT"] == "1")
"""


@pytest.mark.parametrize("apart", [False, True])
def test_what_an_attempt_leaves_running_is_ended_before_the_next(container: Container, apart: bool) -> None:
    container.files["train.py"] = LEAVE_BEHIND.format(apart=apart)
    worker = container.run("--retries", "1")
    assert worker.status == 0
    pids = [int(line.split()[1]) for line in worker.lines]
    assert len(pids) == 2 and all(map(gone, pids))


def test_a_process_that_holds_the_output_open_does_not_hold_the_job(container: Container) -> None:
    # It left the group, and has nothing by which we could know it.
    container.files["train.py"] = """
import os, subprocess
left = subprocess.Popen(["sleep", "60"], start_new_session=True, env={})
print("left", left.pid, flush=True)
"""
    worker = container.run()
    assert (worker.status, container.attempts) == (0, [(1, "succeeded", "")])
    [line] = worker.lines
    os.kill(int(line.split()[1]), signal.SIGKILL)


def test_the_history_tells_of_the_attempt_while_it_runs(container: Container) -> None:
    container.files["train.py"] = CHECKPOINT + (
        "print('ready', flush=True)\ntime.sleep(0.2)\nopen(path, 'w').close()\ntime.sleep(60)\n"
    )
    worker = container.start()
    worker.read_until("ready\n")
    assert container.attempts == [(1, "running", "")]
    begun = container.history["attempts"][0]["started"]
    assert becomes_true(lambda: container.history["attempts"][0]["checkpoint"])
    now = container.history["attempts"][0]
    assert begun <= now["started"] < now["checkpoint"] <= now["seen"] <= time.time()
    worker.signal(signal.SIGTERM)
    worker.wait()


def test_as_process_1_of_a_container_it_takes_signals_and_reaps_orphans(container: Container) -> None:
    container.files["train.py"] = """
import os, subprocess, sys, time
for _ in range(20):
    if not os.fork():
        os.setsid()
        if not os.fork(): os.execvpe("true", ["true"], {})
        os._exit(0)
    os.wait()
time.sleep(0.3)
stats = [open(f"/proc/{pid}/stat").read() for pid in os.listdir("/proc") if pid.isdigit()]
print("zombies", sum(stat.rpartition(") ")[2].startswith("Z") for stat in stats), os.getppid(), flush=True)
time.sleep(60)
"""
    container.launcher = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc", *container.launcher]
    if os.geteuid():
        container.launcher[1:1] = ["--user", "--map-root-user"]
    worker = container.start()
    assert "zombies 0 1\n" in worker.read_until("zombies 0 1\n")
    [child] = Path(f"/proc/{worker.pid}/task/{worker.pid}/children").read_text().split()
    os.kill(int(child), signal.SIGTERM)
    assert worker.wait() == 143
    assert [state for _, state, _ in container.attempts] == ["terminated"]


def test_the_history_is_json_that_anybody_reads(container: Container) -> None:
    container.files["train.py"] = "import sys\nsys.exit('grün \\ud83d')"
    container.run()
    document = json.loads(container.history_file.read_text(encoding="ascii"))
    assert sorted(document) == ["attempts", "has_copied", "model", "warnings"]
    assert sorted(document["attempts"][0]) == [
        "bad_input",
        "checkpoint",
        "finished",
        "launch",
        "lost_seconds",
        "number",
        "reason",
        "seen",
        "started",
        "state",
    ]
