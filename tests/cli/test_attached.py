"""A run that is followed: what is printed, how it ends, and what signals do to it."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest

import trainyard
from conftest import becomes_true, end_home
from trainyard import Attempt, InferenceJob, Run, RunHandle, State, TrainingJob, Yard
from trainyard.cli.attached import Style, as_text, attach, with_attempts
from trainyard.core.ports.engine import LogLine
from trainyard.core.runs.run import Observation

from .conftest import Project

CHECKPOINTING = """
import os, time
folder = os.environ["TRAINYARD_CHECKPOINT_DIR"]
attempt = os.environ["TRAINYARD_ATTEMPT"]
print("at work in", attempt, flush=True)
open(os.path.join(folder, "c"), "w").write(attempt)
if int(attempt) < 3:
    time.sleep(60)
"""
NO_PREDICTION = """
def predict_fn(batch, model):
    print("about to fail")
    raise RuntimeError("the model is tired")
"""
MODEL_LESS = '[infer]\nname = "{0}"\nhandler = "{0}.py"\nshards = 1\nretries = 0\n'


def read_until(process: subprocess.Popen[str], word: str) -> list[str]:
    """The lines of stdout up to the one with the word."""
    assert process.stdout is not None
    lines = []
    for line in process.stdout:
        lines.append(line.rstrip("\n"))
        if word in line:
            return lines
    raise AssertionError(f"ended without {word!r}: {lines}")


def finish(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=30)
    return process.returncode, out, err


def state(project: Project, run_id: str) -> str:
    found: str = project.ask("show", run_id)[0]["state"]
    return found


def started(project: Project, *argv: str) -> tuple[subprocess.Popen[str], str]:
    """A followed run of a waiter that is up, and its id."""
    process = project.start("train", *argv)
    first = read_until(process, "ready")[0]
    return process, first.split()[0]


def test_a_failing_script_gives_status_1_its_lines_and_its_reason(project: Project) -> None:
    name = project.script("failing", 'print("one")\nraise SystemExit("boom: bad luck")\n')
    result = project.run("train", name)
    assert result.returncode == 1
    run = project.latest()
    first, *lines = result.stdout.splitlines()
    assert first == f"{run['id']} started"
    assert lines[:2] == ["one", "boom: bad luck"]
    assert lines[2].startswith("failed after ")
    assert lines[-1].split() == ["next", "trainyard", "resume", run["id"], "--with-current-code"]
    assert result.stderr == f"trainyard: {run['id']} failed: {run['reason']}\n"
    assert "boom: bad luck" in run["reason"]


def test_what_is_printed_to_be_typed_next_works_where_it_is_printed(
    tmp_path: Path, environment: dict[str, str]
) -> None:
    alone = Project(tmp_path, environment)
    script = (
        "import os\nopen(os.environ['TRAINYARD_CHECKPOINT_DIR'] + '/c', 'w')\nraise SystemExit('once more')\n"
    )
    alone.write("not here/exits.py", script)
    alone.write("not here/exits.toml", '[train]\nname = "exits"\nentry_script = "exits.py"\n')
    try:
        result = alone.run("train", "not here/exits.toml")
        for attempts in (2, 3):
            following, other = (shlex.split(line) for line in result.stdout.splitlines()[-2:])
            assert following[:3] == ["next", "trainyard", "resume"]
            result = alone.run(*following[2:])
            code, reason = result.stderr.splitlines()
            assert code.startswith("it runs not here as it is now") and reason.endswith("(exit status 1)")
            assert f", {attempts} attempts" in result.stdout
        assert other[:3] == ["or", "trainyard", "train"] and "--from" in other
        assert alone.run(*other[2:]).returncode == 1
        assert [path.name for path in tmp_path.iterdir()] == ["not here"]
        [lost] = alone.ask("show", "latest", "--file", "not here/exits.toml")
        assert lost["state"] == "failed"
        assert "no such job file" in alone.run("show", "latest", "--file", "nowhere.toml").stderr
    finally:
        end_home(tmp_path / "not here/.trainyard")


def test_a_failure_is_one_object_with_json_and_one_line_on_stderr(project: Project) -> None:
    name = project.script("failing-json", 'raise SystemExit("boom")\n')
    result = project.run("train", name, "--json")
    run = json.loads(result.stdout)
    assert (result.returncode, run["state"], run["model"]) == (1, "failed", None)
    assert result.stderr == f"trainyard: {run['id']} failed: {run['reason']}\n"


def test_a_failing_handler_shows_its_last_lines(project: Project) -> None:
    project.write("tired.py", NO_PREDICTION)
    project.write("tired.toml", MODEL_LESS.format("tired"))
    project.write("rows.csv", "a\n1\n2\n")
    project.write("model/weights", "1")
    result = project.run("infer", "model", "rows.csv", "--file", "tired.toml")
    assert result.returncode == 1
    assert "shard-00000 | about to fail\n" in result.stderr
    assert "the model is tired" in result.stderr.splitlines()[-1]
    assert "about to fail" not in result.stdout


def test_no_model_is_said_in_words(project: Project) -> None:
    result = project.run("train", project.script("idle", "print('nothing to do')"))
    assert result.returncode == 0
    assert "none: nothing was written to the model folder" in result.stdout


def test_later_attempts_are_announced_and_counted(project: Project) -> None:
    name = project.script("spotty", CHECKPOINTING)
    result = project.run("train", name, "--interrupt-at", "0.3s", "--interrupt-at", "0.3s:kill")
    lines = result.stdout.splitlines()
    assert lines[1:6] == [
        "at work in 1",
        "— attempt 2: resumes after an interruption —",
        "at work in 2",
        "— attempt 3: resumes after an interruption —",
        "at work in 3",
    ]
    assert ", 3 attempts, " in lines[6]
    assert lines[6].endswith(" of work lost to 2 interruptions")
    run = project.latest()
    shown = project.run("show", run["id"]).stdout
    assert [line.split()[2] for line in shown.split("attempts\n")[1].splitlines()] == [
        "interrupted",
        "interrupted",
        "succeeded",
    ]
    assert result.returncode == 0


def test_a_retry_is_announced_as_one(project: Project) -> None:
    script = 'import os, sys\nprint("hello", flush=True)\nsys.exit(os.environ["TRAINYARD_ATTEMPT"] == "1")\n'
    more = 'retries = 1\n[train.environment]\nLEVEL = "debug"\nHF_TOKEN = "hf_123"\n'
    result = project.run("train", project.script("again", script, more=more))
    assert result.stdout.splitlines()[1:4] == ["hello", "— attempt 2: tries again after a failure —", "hello"]
    assert result.returncode == 0
    shown = project.run("show", "latest").stdout.splitlines()
    assert f"{'environment':17}HF_TOKEN LEVEL=debug" in shown  # a secret by its name alone


@pytest.mark.parametrize(
    ("before", "border"),
    [
        (State.INTERRUPTED, "— attempt 2: resumes after an interruption —"),
        (State.STOPPED, "— attempt 2: resumed after it was stopped —"),
        (State.FAILED, "— attempt 2: tries again after a failure —"),
        (State.RUNNING, "— attempt 2 —"),
        (None, "— attempt 2 —"),
    ],
)
def test_what_made_an_attempt_necessary_is_told_where_it_is_known(before: State | None, border: str) -> None:
    attempts = () if before is None else (Attempt(number=1, task="train", state=before),)
    seen = Observation(state=State.RUNNING, attempts=attempts)
    job = TrainingJob(name="a", entry_script="a.py")
    run = Run(id="a-1", job=job, yard="dev", created=0.0, seen=seen)
    lines = [
        LogLine(0.0, "train", 1, "one"),
        LogLine(1.0, "train", 2, "two"),
        LogLine(1.0, "train", 2, "three"),
    ]
    # Of a yard no more is asked than what became of the run.
    yard = cast("Yard", SimpleNamespace(observe=lambda run: run))
    assert list(with_attempts(yard, run, lines)) == ["one", border, "two", "three"]


def test_an_interruption_that_is_never_reached_is_warned_of(project: Project) -> None:
    result = project.run("train", project.script("quick", "print(1)"), "--interrupt-at", "50s", "--no-spot")
    assert result.returncode == 0
    assert any(line.startswith("warning: ") and "50s" in line for line in result.stderr.splitlines())


def test_the_lines_of_several_hosts_say_whose_they_are(project: Project) -> None:
    more = "[train.resources]\ninstance_count = 2\n"
    script = 'import os\nprint("I am", os.environ["SM_CURRENT_HOST"])\n'
    result = project.run("train", project.script("pair", script, more=more))
    assert sorted(result.stdout.splitlines()[1:3]) == ["algo-1 | I am algo-1", "algo-2 | I am algo-2"]
    logged = project.run("logs", "latest").stdout
    assert sorted(logged.splitlines()) == ["algo-1 | I am algo-1", "algo-2 | I am algo-2"]


def test_bytes_that_are_no_text_do_not_end_the_following(project: Project) -> None:
    script = 'import sys\nsys.stdout.buffer.write(b"\\xff\\x1b[31mred\\n")\nprint("naïve 漢")\n'
    name = project.script("bytes", script)
    environment = {**project.environment, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    result = Project(project.folder, environment).run("train", name)
    assert result.returncode == 0, result.stderr
    assert "\x1b[31mred" in result.stdout
    assert "na\\xefve \\u6f22" in result.stdout


def test_detach_prints_the_id_and_leaves(project: Project) -> None:
    name = project.waiter("detached")
    result = project.run("train", name, "--detach")
    assert (result.returncode, result.stderr) == (0, "")
    run_id = result.stdout.strip()
    assert state(project, run_id) not in ("succeeded", "failed", "stopped")
    project.end("detached")
    assert project.run("logs", "-f", run_id).stdout.splitlines()[-1] == "done"
    assert state(project, run_id) == "succeeded"


def test_detach_with_json_is_one_object(project: Project) -> None:
    (run,) = project.ask("train", project.script("brief", "print(1)"), "--detach")
    assert run["state"] in ("queued", "starting", "running", "succeeded")
    assert project.run("logs", "-f", run["id"]).stdout == "1\n"


def test_ctrl_c_stops_the_run_and_gives_130(project: Project) -> None:
    process, run_id = started(project, project.waiter("stopped"))
    process.send_signal(signal.SIGINT)
    status, out, err = finish(process)
    assert status == 130
    assert "asked to end" in out.splitlines()
    assert err.startswith(f"stopping {run_id} … (Ctrl-C again leaves it stopping)\n")
    assert "stopped after " in out
    assert state(project, run_id) == "stopped"


def test_ctrl_c_with_json_prints_the_stopped_run(project: Project) -> None:
    process = project.start("train", project.waiter("stopped-json"), "--json")
    assert becomes_true(lambda: bool(project.ask("runs", "--name", "stopped-json")))
    run_id = project.ask("runs", "--name", "stopped-json")[0]["id"]
    assert becomes_true(lambda: project.run("logs", run_id).stdout.endswith("ready\n"))
    process.send_signal(signal.SIGINT)
    status, out, _ = finish(process)
    run = json.loads(out)
    assert (status, run["id"], run["state"]) == (130, run_id, "stopped")


def test_a_second_ctrl_c_gives_the_prompt_back_while_the_run_stops(project: Project) -> None:
    process, run_id = started(project, project.waiter("stubborn", obeys=False, grace=30))
    process.send_signal(signal.SIGINT)
    read_until(process, "asked to end")
    process.send_signal(signal.SIGINT)
    status, _, err = finish(process)
    assert status == 130
    assert err.endswith(f"{run_id} goes on stopping\n")
    assert state(project, run_id) == "running"
    project.end("stubborn")
    assert project.run("stop", run_id).returncode == 0
    assert state(project, run_id) == "stopped"


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_a_hangup_or_sigterm_leaves_the_run_alone(
    project: Project, number: signal.Signals, status: int
) -> None:
    name = f"left-{status}"
    process, run_id = started(project, project.waiter(name))
    process.send_signal(number)
    found, _, err = finish(process)
    assert found == status
    assert err == f"{run_id} goes on: trainyard logs -f {run_id}\n"
    assert state(project, run_id) == "running"
    project.end(name)
    assert project.run("logs", "-f", run_id).returncode == 0
    assert state(project, run_id) == "succeeded"


def test_a_hangup_that_the_parent_ignores_is_ignored(project: Project) -> None:
    waiter = project.waiter("nohup")
    ignoring = (
        "import os, signal, sys; signal.signal(signal.SIGHUP, signal.SIG_IGN);"
        "os.execv(sys.argv[1], sys.argv[1:])"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", ignoring, sys.executable, "-m", "trainyard", "train", waiter],
        cwd=project.folder,
        env=project.environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    read_until(process, "ready")
    process.send_signal(signal.SIGHUP)
    project.end("nohup")
    assert finish(process)[0] == 0


def test_a_reader_that_leaves_leaves_the_run_alone(project: Project) -> None:
    process, run_id = started(project, project.waiter("unread"))
    assert process.stdout is not None
    process.stdout.close()
    process.stdout = None
    project.end("unread")
    _, err = process.communicate(timeout=30)
    assert (process.returncode, err) == (141, "")
    assert project.run("logs", "-f", run_id).stdout.endswith("done\n")
    assert state(project, run_id) == "succeeded"


def test_a_run_stopped_by_somebody_else_gives_1(project: Project) -> None:
    process, run_id = started(project, project.waiter("taken"))
    told = project.run("stop", run_id)
    assert told.stdout.startswith(f"{run_id}: stopped (")
    status, _, err = finish(process)
    assert status == 1
    assert err.startswith(f"trainyard: {run_id} stopped: ")
    again = project.run("stop", run_id)
    assert again.stdout.startswith(f"{run_id} has ended already: stopped (")
    assert (told.returncode, again.returncode) == (0, 0)
    assert project.ask("stop", run_id)[0]["state"] == "stopped"


def test_ctrl_c_on_followed_logs_leaves_the_run_alone(project: Project) -> None:
    run_id = project.run("train", project.waiter("watched"), "--detach").stdout.strip()
    process = project.start("logs", "-f", run_id)
    read_until(process, "ready")
    process.send_signal(signal.SIGINT)
    assert finish(process) == (130, "", "")
    assert state(project, run_id) == "running"
    project.end("watched")
    assert project.run("logs", "-f", run_id).stdout.endswith("done\n")


def test_a_run_that_waits_is_said_to_be_queued_once_and_to_have_started_once_it_has(
    project: Project, tmp_path: Path
) -> None:
    home = {"TRAINYARD_HOME": str(tmp_path / "home"), "TRAINYARD_SLOTS": "1"}
    narrow = Project(project.folder, {**project.environment, **home})
    first, _ = started(narrow, narrow.waiter("first"))
    second = narrow.start("train", narrow.script("second", "print('mine')"))
    assert [line.split(maxsplit=1)[1] for line in read_until(second, "queued")] == ["is queued"]
    narrow.end("first")
    assert [line.split()[-1] for line in read_until(second, "mine")] == ["started", "mine"]
    assert (finish(first)[0], finish(second)[0]) == (0, 0)


def test_resume_goes_on_and_shows_the_new_attempt_alone(project: Project) -> None:
    process, run_id = started(project, project.waiter("resumed"))
    process.send_signal(signal.SIGINT)
    finish(process)
    refused = project.run("resume", project.run("train", project.waiter("other"), "--detach").stdout.strip())
    assert (refused.returncode, refused.stderr.count("\n")) == (2, 1)
    project.end("other")
    project.end("resumed")
    result = project.run("resume", run_id)
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[:5] == [
        f"{run_id} started",
        "— attempt 2: resumed after it was stopped —",
        "score=0.5",
        "ready",
        "done",
    ]
    assert state(project, run_id) == "succeeded"
    over = project.run("resume", run_id)
    assert (over.returncode, over.stdout, over.stderr.count("\n")) == (2, "", 1)


def test_a_run_of_a_job_file_elsewhere_names_the_file_in_what_to_type_next(
    project: Project, tmp_path: Path
) -> None:
    script = 'import os\nopen(os.path.join(os.environ["SM_MODEL_DIR"], "m"), "w").write("1")\n'
    project.script("elsewhere", script, more='[infer]\nname = "e"\nhandler = "predict.py"\n')
    environment = {**project.environment, "TRAINYARD_HOME": str(project.folder / ".trainyard")}
    file = os.path.relpath(project.folder / "elsewhere.toml", tmp_path)
    result = Project(tmp_path, environment).run("train", file)
    assert result.stdout.splitlines()[-1].split() == [
        "next",
        *f"trainyard infer elsewhere@1 INPUT --file {file}".split(),
    ]
    # Without an [infer] there is nothing to infer with.
    result = project.run("train", project.script("elsewhere", script))
    assert result.stdout.splitlines()[-1].split()[1:] == ["trainyard", "pull", "models/elsewhere@2"]


def test_a_shard_s_lines_say_which_shard_and_which_try() -> None:
    job = InferenceJob(name="a", handler="a.py")
    assert as_text(LogLine(0.0, "shard-00002", 1, "one"), job) == "shard-00002 | one"
    assert as_text(LogLine(0.0, "shard-00002", 3, "one"), job) == "shard-00002 (3) | one"


def test_sigterm_while_the_run_is_being_started_is_one_line(
    capsys: pytest.CaptureFixture[str], home: Path
) -> None:
    def start() -> RunHandle:
        os.kill(os.getpid(), signal.SIGTERM)
        raise AssertionError("the signal was not heard")

    status = attach(trainyard.connect(home=str(home)), start, Style())
    out, err = capsys.readouterr()
    assert (status, out) == (143, "")
    assert err == "trainyard: SIGTERM came while the run was being started; see trainyard runs\n"
