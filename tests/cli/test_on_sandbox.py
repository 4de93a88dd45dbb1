"""The verbs `--on` a yard that is not this machine: the same output, exit statuses and JSON."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sandbox.conftest import RunningSandbox, sandbox
from trainyard.sandbox import address

from .conftest import Project, Terminal

__all__ = ["sandbox"]

ON = ("--on", "sandbox")
MODEL = """
import os
open(os.environ["SM_MODEL_DIR"] + "/factor", "w").write("3")
print("score=0.5")
"""
INFER = '[infer]\nname = "{0}-inference"\nhandler = "predict.py"\nshards = 2\n'
PREDICT = """
def model_fn(folder): return int(open(folder + "/factor").read())
def predict_fn(batch, model): return [model * int(row["n"]) for row in batch]
"""


@pytest.fixture
def cloud(project: Project, sandbox: RunningSandbox) -> Iterator[Project]:
    """The project, whose commands find the sandbox."""
    environment = project.environment
    project.environment = {**environment, address.VARIABLE: str(sandbox.folder / "home")}
    yield project
    project.environment = environment


def test_a_model_goes_from_training_to_predictions(cloud: Project, tmp_path: Path) -> None:
    cloud.write("predict.py", PREDICT)
    cloud.write("rows.csv", "n\n1\n2\n3\n")
    more = "[train.metrics]\nscore = 'score=([0-9.]+)'\n[train.spot]\nenabled = false\n"
    file = cloud.script("whole", MODEL, more=more + INFER.format("whole"))
    trained = cloud.run("train", file, *ON)
    assert (trained.returncode, trained.stderr) == (0, ""), trained.stderr
    first, line, outcome, *rest = trained.stdout.splitlines()
    run = first.removesuffix(" started")
    assert (line, outcome.split()[0]) == ("score=0.5", "succeeded")
    told = dict(each.split(maxsplit=1) for each in rest)
    assert told["metrics"] == "score=0.5"
    assert re.fullmatch(r"whole@1 in s3://\S+/model\.tar\.gz", told["model"])
    assert told["next"] == f"trainyard infer whole@1 INPUT --on sandbox --file {file}"
    predicted = cloud.run("infer", "whole@1", "rows.csv", "--file", file, *ON, "--json")
    assert predicted.returncode == 0, predicted.stderr
    [found] = [json.loads(line) for line in predicted.stdout.splitlines()]
    assert (found["state"], found["rows_out"], found["model"]) == ("succeeded", 3, "whole@1")
    assert found["output"].startswith("s3://")
    pulled = cloud.run("pull", found["id"], str(tmp_path / "out"), *ON)
    assert pulled.returncode == 0, pulled.stderr
    parts = sorted((tmp_path / "out").glob("part-*.csv"))
    assert "".join(part.read_text().partition("\n")[2] for part in parts) == "1,3\n2,6\n3,9\n"
    assert {run, found["id"]} <= {each["id"] for each in cloud.ask("runs", *ON)}
    assert cloud.ask("models", "whole", *ON)[0]["run"] == run
    shown = cloud.ask("show", run, *ON)[0]
    assert (shown["yard"], shown["metrics"]) == ("sandbox", {"score": 0.5})
    assert shown["billable_seconds"] >= 1
    assert "billed" in cloud.run("show", run, *ON).stdout
    # What is there is not here.
    assert cloud.run("show", run).returncode == 2


def test_the_exit_status_tells_what_became_of_a_run(cloud: Project) -> None:
    failing = cloud.script("failing-there", "raise SystemExit('boom: bad luck')")
    result = cloud.run("train", failing, *ON)
    run = result.stdout.split()[0]
    assert result.returncode == 1
    assert result.stderr == f"trainyard: {run} failed: boom: bad luck (exit status 1)\n"
    assert result.stdout.splitlines()[-1].split()[1:] == [
        "trainyard",
        "resume",
        run,
        "--with-current-code",
        "--on",
        "sandbox",
    ]
    cloud.write("predict.py", PREDICT)
    cloud.write("factor/factor", "3")
    cloud.write("bad.jsonl", '{"n": 1}\n{"n": \n')
    cloud.write("bad.toml", INFER.format("bad"))
    result = cloud.run("infer", "factor", "bad.jsonl", "--file", "bad.toml", *ON)
    assert result.returncode == 2
    assert "bad.jsonl" in result.stderr and result.stderr.count("\n") == 1
    for argv, problem in (
        (("train", failing, "--on", "sandboxx"), "there is no yard 'sandboxx'; did you mean 'sandbox'?"),
        (("show", "no-such-run", *ON), "no run is called 'no-such-run'"),
        (("infer", "factor", "bad.jsonl", "--file", "bad.toml", "--output", "here", *ON), "--output: 'here'"),
    ):
        result = cloud.run(*argv)
        assert (result.returncode, result.stdout) == (2, "")
        assert problem in result.stderr and result.stderr.count("\n") == 1


def test_a_dry_run_prints_the_very_requests(cloud: Project) -> None:
    cloud.write("predict.py", PREDICT)
    cloud.write("rows.csv", "n\n1\n")
    cloud.write("factor/factor", "3")
    file = cloud.script("dry", "print('never')", more=INFER.format("dry"))
    before = cloud.ask("runs", *ON)
    told = cloud.run("train", file, "--dry-run", *ON)
    assert (told.returncode, told.stderr) == (0, "nothing was started\n")
    [(operation, request)] = json.loads(told.stdout).items()
    assert operation == "sagemaker:CreateTrainingJob"
    assert request["TrainingJobName"].startswith("trainyard-sandbox-dry-")
    plan = cloud.ask("infer", "factor", "rows.csv", "--file", file, "--dry-run", *ON)[0]
    operations = [next(iter(each)) for each in plan["requests"]]
    assert operations == ["s3:PutObject", *["batch:SubmitJob"] * 3]
    assert cloud.ask("runs", *ON) == before
    # Here there is no request to tell of.
    assert "requests" not in cloud.ask("train", file, "--dry-run")[0]


def test_a_run_is_left_found_again_stopped_and_resumed(cloud: Project) -> None:
    file = cloud.waiter("left")
    left = cloud.run("train", file, "--detach", *ON)
    assert left.returncode == 0, left.stderr
    run = left.stdout.strip()
    follower = cloud.start("logs", "-f", run, *ON)
    assert follower.stdout is not None
    lines = [follower.stdout.readline().strip() for _ in range(2)]
    assert lines == ["score=0.5", "ready"]
    stopped = cloud.run("stop", run, *ON)
    assert (stopped.returncode, stopped.stdout) == (0, f"{run}: stopped (stopped on request)\n")
    rest, _ = follower.communicate(timeout=30)
    assert (follower.returncode, rest) == (0, "asked to end\n")
    assert cloud.run("stop", run, *ON).stdout.startswith(f"{run} has ended already: stopped")
    cloud.end("left")
    resumed = cloud.run("resume", run, *ON)
    assert resumed.returncode == 0, resumed.stderr
    assert resumed.stdout.splitlines()[1] == "— attempt 2: resumed after it was stopped —"
    assert [each["state"] for each in cloud.ask("show", run, *ON)[0]["attempts"]] == ["stopped", "succeeded"]


def test_an_attached_run_says_that_it_resumes_after_an_interruption(cloud: Project) -> None:
    attached = cloud.start("train", cloud.waiter("reclaimed"), *ON)
    assert attached.stdout is not None
    lines = [attached.stdout.readline().strip() for _ in range(3)]
    run = lines[0].removesuffix(" started")
    assert lines[1:] == ["score=0.5", "ready"]
    interrupted = cloud.run("sandbox", "interrupt", "latest")
    assert interrupted.returncode == 0, interrupted.stderr
    cloud.end("reclaimed")
    rest, errors = attached.communicate(timeout=60)
    assert attached.returncode == 0, errors
    assert "— attempt 2: resumes after an interruption —" in rest.splitlines()
    states = [each["state"] for each in cloud.ask("show", run, *ON)[0]["attempts"]]
    assert states == ["interrupted", "succeeded"]


def test_ctrl_c_stops_the_run_there(cloud: Project, open_terminal: Callable[..., Terminal]) -> None:
    terminal = open_terminal("train", cloud.waiter("interrupted-there"), *ON)
    terminal.wait_for("ready")
    terminal.press_ctrl_c()
    assert terminal.finish() == 130
    assert "stopping interrupted-there-" in terminal.shown
    assert cloud.ask("show", "latest", *ON)[0]["state"] == "stopped"


def test_what_is_sent_is_counted_on_a_terminal_and_nowhere_else(
    cloud: Project, open_terminal: Callable[..., Terminal], tmp_path: Path
) -> None:
    big = tmp_path / "big.bin"
    big.write_bytes(bytes(3 << 20))
    terminal = open_terminal("data", "push", "big", str(big), *ON)
    assert terminal.finish() == 0
    assert re.search(r"of 3\.0 MiB, \d of 1 file", terminal.shown), terminal.shown
    big.write_bytes(b"x" * (3 << 20))
    pushed = cloud.run("data", "push", "big", str(big), *ON)
    assert (pushed.stdout, pushed.stderr) == ("big@2: 1 file, 3.0 MiB\n", "")
