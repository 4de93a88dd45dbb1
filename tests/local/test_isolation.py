"""What a script of the local engine sees of the machine and can do to it."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from test_packages import write_wheel

from conftest import PATIENCE, Project, texts
from trainyard import BadInput, Resources, State, TrainingJob, Yard
from trainyard.core.runs.run import Run
from trainyard.local.engine import allowed
from trainyard.local.home.home import Home
from trainyard.local.ledger.journal import Journal
from trainyard.local.ledger.ledger import SqliteLedger
from trainyard.local.runs.training import TrainingWork
from trainyard.machine import namespace

needs_namespaces = pytest.mark.skipif(bool(namespace.refusal()), reason=namespace.refusal() or "none")


@needs_namespaces
def test_channels_cannot_be_written(local_yard: Yard, project: Project, tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "rows.csv").write_text("n\n1\n")
    script = """
import os
folder = os.environ["SM_CHANNEL_TRAIN"]
for attempt in (
    lambda: open(folder + "/rows.csv", "a"),
    lambda: open(folder + "/new", "w"),
    lambda: os.unlink(folder + "/rows.csv"),
):
    try:
        attempt()
        print("done")
    except OSError as error:
        print(error.strerror)
"""
    run = local_yard.train(project.training(script, channels={"train": str(data)})).wait(timeout=PATIENCE)
    assert texts(run) == ["Read-only file system"] * 3
    assert (data / "rows.csv").read_text() == "n\n1\n"


@needs_namespaces
def test_the_paths_of_sagemaker_are_there_literally(
    local_yard: Yard, project: Project, tmp_path: Path
) -> None:
    (tmp_path / "rows.csv").write_text("n\n1\n")
    script = """
import os
print(os.getcwd(), os.listdir("/opt/ml/input/data/train"), os.path.isdir("/opt/ml/checkpoints"))
open("/opt/ml/model/weights", "w").write("w")
open("/opt/ml/checkpoints/c", "w").write("c")
"""
    job = project.training(script, channels={"train": str(tmp_path / "rows.csv")})
    run = local_yard.train(job).wait(timeout=PATIENCE)
    assert texts(run) == ["/opt/ml/code ['rows.csv'] True"]
    assert (Path(local_yard.model("toy@1").path) / "weights").read_text() == "w"
    assert (Path(run.folder) / "checkpoints/c").read_text() == "c"
    assert not Path("/opt/ml/model/weights").exists()


@needs_namespaces
def test_hosts_find_each_other_by_name(local_yard: Yard, project: Project) -> None:
    script = "import socket\nprint([socket.gethostbyname(f'algo-{n}') for n in (1, 2)])"
    job = project.training(script, resources=Resources(instance_count=2))
    run = local_yard.train(job).wait(timeout=PATIENCE)
    assert texts(run) == ["['127.0.0.1', '127.0.0.2']"] * 2


@needs_namespaces
def test_a_handler_cannot_write_the_model(
    local_yard: Yard, project: Project, model: Path, rows: Path
) -> None:
    handler = """
import os
def model_fn(folder):
    try: open(folder + "/more", "w")
    except OSError as error: return error.strerror
def predict_fn(batch, model): return [model] * len(batch)
"""
    run = local_yard.infer(project.inference(handler, shards=1), model=str(model), input=str(rows))
    assert run.wait(timeout=PATIENCE).state is State.SUCCEEDED, run.reason
    assert "Read-only file system" in (Path(str(run.output)) / "part-00000.csv").read_text()
    assert [path.name for path in model.iterdir()] == ["factor"]


def test_only_allowed_variables_are_handed_on_and_kept(
    local_yard: Yard, home: Path, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_PASSWORD", "s3cr3t-s3cr3t")
    monkeypatch.setenv("https_proxy", "http://ann:s3cr3t-s3cr3t@proxy:1")
    monkeypatch.setenv("HTTP_PROXY", "ann:s3cr3t-s3cr3t@proxy:2")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    script = """
import os
password = "-".join(["s3cr3t"] * 2)
print(sorted((name, value.replace(password, "PASSWORD")) for name, value in os.environ.items()))
"""
    run = local_yard.train(project.training(script)).wait(timeout=PATIENCE)
    [text] = texts(run)
    assert "('https_proxy', 'http://ann:PASSWORD@proxy:1')" in text
    assert "('HTTP_PROXY', 'ann:PASSWORD@proxy:2')" in text and "('CUDA_VISIBLE_DEVICES', '0')" in text
    assert "DATABASE" not in text
    # A proxy's password is the job's to use, and nowhere in the home.
    for path in home.rglob("*"):
        assert not (path.is_file() and b"s3cr3t-s3cr3t" in path.read_bytes()), path


def test_a_variable_of_the_shell_reaches_the_job_and_no_record_even_where_it_tells_it(
    local_yard: Yard, home: Path, project: Project, model: Path, rows: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over a retry, too; in the ledger, in the run's files, in its reason: the log alone is the script's."""
    monkeypatch.setenv("OF_MINE", "s3cr3t/s3cr3t")
    script = """
import os
if os.environ["TRAINYARD_ATTEMPT"] == "2": open(os.environ["SM_OUTPUT_DIR"] + "/failure", "w").write(
    "x" * 1016 + os.environ["TOKEN"])
raise SystemExit("cannot log in with " + os.environ["TOKEN"])
"""
    handler = """
import os
def predict_fn(batch, model): raise ValueError("x" * 1000 + os.environ["TOKEN"])
"""
    variables = {"TOKEN": "env:OF_MINE"}
    trained = local_yard.train(project.training(script, environment=variables, retries=1))
    job = project.inference(handler, environment=variables, shards=1, retries=0)
    predicted = local_yard.infer(job, model=str(model), input=str(rows))
    reasons = [run.wait(timeout=PATIENCE).attempts[0].reason for run in (trained, predicted)]
    assert reasons[0] == "cannot log in with *** (exit status 1)"
    assert trained.reason == "x" * 1016 + "***"
    assert reasons[1].startswith("ValueError: xxx") and "s3" not in reasons[1]
    for path in home.rglob("*"):
        told = path.is_file() and path.suffix != ".log" and path.name != "failure"
        assert not (told and b"s3cr3t" in path.read_bytes()), path


def test_a_variable_that_the_shell_has_not_is_refused_before_there_is_a_run(
    local_yard: Yard, home: Path, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OF_MINE", raising=False)
    with pytest.raises(BadInput) as caught:
        local_yard.train(project.training("", environment={"TOKEN": "env:OF_MINE"}))
    words = "train.environment.TOKEN: OF_MINE is not set in this shell; export OF_MINE, and do it again"
    assert str(caught.value) == words
    assert not home.exists() or not list(home.iterdir())


def test_a_proxys_password_that_is_forgotten_is_told_and_the_run_goes_on(home: Path) -> None:
    found = Home(str(home))
    job = TrainingJob(name="toy", entry_script="train.py", source_dir=str(home))
    submission = {
        "interpreter": sys.executable,
        "variables": {"https_proxy": "http://proxy:1"},
        "proxies": ["https_proxy"],
        "time": 1.0,
    }
    SqliteLedger(found).submit(Run(id="toy-1", job=job, yard="local", created=1.0), submission)
    with closing(Journal(found)) as journal:
        work = TrainingWork(journal.run("toy-1"), found, journal)
        assert work.lacking == "https_proxy"
        work.give_up_waiting()
        assert (work.lacking, work.ending) == ("", None)
        assert work.environment == {"https_proxy": "http://proxy:1"}
        [warning] = work.warnings
        assert warning.startswith("https_proxy is without its user and password: ")


def test_a_proxy_of_the_jobs_own_is_the_jobs(
    local_yard: Yard, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("https_proxy", "http://ann:s3cr3t@proxy:1")
    job = project.training(
        "import os\nprint(os.environ['https_proxy'])", environment={"https_proxy": "http://own:1"}
    )
    assert texts(local_yard.train(job).wait(timeout=PATIENCE)) == ["http://own:1"]


@pytest.mark.parametrize(
    ("name", "is_allowed"),
    [
        ("PATH", True),
        ("HOME", True),
        ("LC_ALL", True),
        ("NVIDIA_VISIBLE_DEVICES", True),
        ("HTTP_PROXY", True),
        ("no_proxy", True),
        ("TRAINYARD_SLOTS", True),
        ("AWS_SECRET_ACCESS_KEY", False),
        ("PYTHONPATH", False),
        ("LD_PRELOAD", False),
        ("GITHUB_TOKEN", False),
        ("PATH_TO_SECRETS", False),
    ],
)
def test_the_list_of_allowed_variables(name: str, is_allowed: bool) -> None:
    assert (name in allowed({name: "value"})) is is_allowed


def test_the_script_runs_in_the_python_of_the_submitter(local_yard: Yard, project: Project) -> None:
    script = "import sys\nprint(sys.executable)\nimport trainyard, os\nprint(os.getpid() != 1)"
    run = local_yard.train(project.training(script)).wait(timeout=PATIENCE)
    assert texts(run) == [sys.executable, "True"], run.reason


def test_another_python_runs_the_job_where_the_file_or_the_shell_names_one(
    local_yard: Yard, project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mine, other = (tmp_path / name for name in ("mine", "other"))
    for folder in (mine, other):
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    script = "import shutil, sys\nprint(sys.prefix, shutil.which('python'))\nimport absent_module"
    monkeypatch.setenv("VIRTUAL_ENV", str(mine))
    monkeypatch.delenv("TRAINYARD_PYTHON", raising=False)
    failed = local_yard.train(project.training(script)).wait(timeout=PATIENCE)
    cure = f'it ran in {sys.executable}: for the active environment write python = "{mine}/bin/python"'
    assert cure in failed.reason
    job = project.training(script, python=str(mine / "bin/python"))
    run = local_yard.train(job).wait(timeout=PATIENCE)
    assert texts(run)[0] == f"{mine} {mine}/bin/python"
    assert run.reason.startswith("ModuleNotFoundError") and "active" not in run.reason
    monkeypatch.setenv("TRAINYARD_PYTHON", str(other / "bin/python"))
    run = local_yard.train(job).wait(timeout=PATIENCE)
    assert texts(run)[0] == f"{other} {other}/bin/python"


def test_an_interpreter_that_is_gone_is_said_in_a_line(
    local_yard: Yard, project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert local_yard.train(project.training("")).wait(timeout=PATIENCE).state is State.SUCCEEDED
    monkeypatch.setattr(sys, "executable", str(tmp_path / "gone/python"))
    run = local_yard.train(project.training(""))
    monkeypatch.undo()
    run.wait(timeout=PATIENCE)
    assert run.state is State.FAILED
    assert run.reason == f"{tmp_path}/gone/python: the run's interpreter is gone"


class TestRequirements:
    @pytest.fixture(autouse=True)
    def cache(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def require(self, project: Project, requirement: str) -> None:
        write_wheel(project.folder / "wheels", "tinypkg", "1.0", "value = 'from the wheel'\n")
        project.write("requirements.txt", f"--no-index\n--find-links ./wheels\n{requirement}\n")

    def test_a_script_has_the_packages_it_requires_and_isolated_no_others(
        self, local_yard: Yard, project: Project
    ) -> None:
        self.require(project, "tinypkg==1.0")
        script = """
import importlib.util, sys, tinypkg
print(tinypkg.value, sys.prefix != sys.base_prefix, importlib.util.find_spec("pathspec") is None)
"""
        for isolated in (False, True):
            run = local_yard.train(project.training(script, isolated=isolated)).wait(timeout=60)
            assert run.state is State.SUCCEEDED, run.reason
            [text] = [line.text for line in run.logs() if line.task == "algo-1"]
            assert text == f"from the wheel True {isolated}"
            assert [attempt.task for attempt in run.attempts] == ["train"]

    def test_a_handler_has_the_packages_it_requires(
        self, local_yard: Yard, project: Project, model: Path, rows: Path
    ) -> None:
        self.require(project, "tinypkg==1.0")
        handler = "import tinypkg\ndef predict_fn(batch, model): return [tinypkg.value] * len(batch)\n"
        run = local_yard.infer(project.inference(handler), model=str(model), input=str(rows)).wait(timeout=60)
        assert run.state is State.SUCCEEDED, run.reason
        assert "from the wheel" in (Path(str(run.output)) / "part-00001.csv").read_text()

    def test_what_cannot_be_installed_fails_the_run_in_one_line(
        self, local_yard: Yard, project: Project
    ) -> None:
        self.require(project, "absentpkg==7.1")
        run = local_yard.train(project.training("print('never')")).wait(timeout=60)
        assert run.state is State.FAILED
        assert "requirements.txt could not be installed" in run.reason and "absentpkg" in run.reason
        assert "\n" not in run.reason and "Traceback" not in " ".join(texts(run))
        assert run.attempts == ()

    def test_a_run_is_stopped_while_its_environment_is_built(
        self, local_yard: Yard, project: Project
    ) -> None:
        hang = "import time\nprint('building', flush=True)\ntime.sleep(60)\n"
        project.write("package/setup.py", hang)
        project.write("requirements.txt", "--no-index\n./package\n")
        run = local_yard.train(project.training(""))
        assert run.stop().state is State.STOPPED


def test_everything_of_a_run_is_in_files_that_a_person_can_read(
    local_yard: Yard, home: Path, project: Project
) -> None:
    job = project.training("print('hello')", hyperparameters={"epochs": 3})
    run = local_yard.train(job).wait(timeout=PATIENCE)
    folder = Path(run.folder)
    spec: dict[str, Any] = json.loads((folder / "run.json").read_text())
    assert (spec["id"], spec["job"]["hyperparameters"], spec["code"]) == (
        run.id,
        {"epochs": 3},
        run.record.code,
    )
    assert (folder / "attempts/1/algo-1.log").read_text() == "hello\n"
    events = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    states = [event["state"] for event in events if "attempt" not in event]
    assert states[-1] == "succeeded" and "running" in states
    assert [path.name for path in (home / "code" / run.record.code).iterdir()] == ["train.py"]
