"""`trainyard sandbox`: starting, using, disturbing and ending a sandbox from a terminal."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from trainyard.core.errors import BadInput
from trainyard.machine import processes
from trainyard.sandbox import address as sandbox_address

from .conftest import RunningSandbox
from .training import PATIENCE, Training

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user")


class Terminal:
    """The command, with a sandbox's folder of its own."""

    def __init__(self, folder: Path, **variables: str) -> None:
        self.folder = folder
        self.variables = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder.parent),
            sandbox_address.VARIABLE: str(folder),
            **variables,
        }

    def arguments(self, *argv: str) -> dict[str, Any]:
        return {
            "args": [sys.executable, "-W", "error", "-m", "trainyard", "sandbox", *argv],
            "env": self.variables,
            "stdin": subprocess.DEVNULL,
            "text": True,
        }

    def run(self, *argv: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(**self.arguments(*argv), capture_output=True, timeout=3 * PATIENCE, check=False)

    def json(self, *argv: str) -> Any:
        """The only object that the command prints, which is done."""
        done = self.run(*argv, "--json")
        assert (done.returncode, done.stderr) == (0, "")
        [line] = done.stdout.splitlines()
        return json.loads(line)

    def refusal(self, *argv: str) -> str:
        """The one line that says why not; status 2."""
        done = self.run(*argv)
        assert (done.returncode, done.stdout) == (2, "")
        [line] = done.stderr.splitlines()
        return line.removeprefix("trainyard: ")


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    with tempfile.TemporaryDirectory(prefix="sandbox-") as folder:
        own = Terminal(Path(folder) / "home")
        yield own
        own.run("stop")


@pytest.fixture
def beside(sandbox: RunningSandbox) -> Terminal:
    """A terminal for the sandbox that all tests share."""
    return Terminal(sandbox.folder / "home")


def wait_until(happens: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not happens():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def answers(endpoint: str) -> bool:
    """Whether anything listens there."""
    host, _, port = endpoint.removeprefix("http://").partition(":")
    try:
        socket.create_connection((host, int(port)), 5).close()
    except ConnectionRefusedError:
        return False
    return True


def test_a_sandbox_is_started_used_and_ended(terminal: Terminal) -> None:
    began = time.monotonic()
    started = terminal.run("start")
    assert time.monotonic() - began < 30
    assert (started.returncode, started.stderr) == (0, "")
    what, how = started.stdout.splitlines()
    assert what.startswith("AWS is emulated at http://127.0.0.1:") and "everything in it goes with it" in what
    assert "--on sandbox" in how and 'eval "$(trainyard sandbox env)"' in how
    assert stat.S_IMODE(terminal.folder.stat().st_mode) == 0o700
    assert stat.S_IMODE((terminal.folder / "address.json").stat().st_mode) == 0o600
    told = terminal.json("status")
    assert told["running"] and told["training_jobs"] == told["batch_jobs"] == 0
    os.kill(told["pid"], 0)
    again = terminal.refusal("start")
    assert again.startswith(f"a sandbox runs already at {told['endpoint']} (process {told['pid']}); use it")
    assert terminal.json("stop") == {"stopped": True}
    assert not terminal.folder.exists()
    assert not answers(told["endpoint"])
    assert terminal.json("stop") == {"stopped": False}


def test_where_none_runs_a_line_says_how_to_start_one(terminal: Terminal) -> None:
    told = "no sandbox runs; start one: `trainyard sandbox start`"
    assert terminal.refusal("env") == told
    assert terminal.refusal("interrupt", "x") == told
    assert terminal.refusal("set", "--shortage", "on") == told
    status = terminal.run("status")
    assert (status.returncode, status.stdout.strip(), status.stderr) == (1, told, "")


def test_a_shell_evaluates_what_env_prints(terminal: Terminal) -> None:
    name = Path(tempfile.mkdtemp(prefix="a folder; with 'quotes' $(x) "))
    terminal.variables[sandbox_address.VARIABLE] = str(name)
    try:
        terminal.json("start")
        script = f'eval "$({sys.executable} -m trainyard sandbox env)" && env -0'
        outside = {**terminal.variables, "AWS_PROFILE": "work", "AWS_SESSION_TOKEN": "old"}
        shell = subprocess.run(
            ["sh", "-c", script], env=outside, capture_output=True, text=True, timeout=PATIENCE, check=True
        )
        found = dict(line.split("=", 1) for line in shell.stdout.split("\0") if line)
        assert "AWS_PROFILE" not in found and "AWS_SESSION_TOKEN" not in found
        assert {key: found[key] for key in terminal.json("env")} == terminal.json("env")
        assert found["SAGEMAKER_USER_CONFIG_OVERRIDE"] == str(name / "sagemaker.yaml")
        assert Path(found["SAGEMAKER_USER_CONFIG_OVERRIDE"]).exists()
        client = boto3.client(
            "sts",
            endpoint_url=found["AWS_ENDPOINT_URL"],
            region_name=found["AWS_REGION"],
            aws_access_key_id=found["AWS_ACCESS_KEY_ID"],
            aws_secret_access_key=found["AWS_SECRET_ACCESS_KEY"],
        )
        assert client.get_caller_identity()["Account"] == "123456789012"
        client.close()
    finally:
        terminal.json("stop")
    assert not name.exists()


def test_a_port_that_is_taken_and_one_that_is_none(terminal: Terminal) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert f"port {port} " in terminal.refusal("start", "--port", str(port))
    assert "70000 is no port" in terminal.refusal("start", "--port", "70000")
    assert not terminal.folder.exists()


def test_two_that_start_at_once_are_one(terminal: Terminal) -> None:
    both = [
        subprocess.Popen(**terminal.arguments("start"), stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        for _ in range(2)
    ]
    told = [process.communicate(timeout=3 * PATIENCE)[1] for process in both]
    assert sorted(process.returncode for process in both) == [0, 2]
    assert "a sandbox runs already, or is just being started" in "".join(told)


def test_one_that_is_being_started_can_be_stopped(terminal: Terminal) -> None:
    with subprocess.Popen(
        **terminal.arguments("start"), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as starting:
        wait_until(lambda: sandbox_address.holder(str(terminal.folder)))
        assert "is being started" in terminal.run("env").stderr
        assert terminal.json("stop") == {"stopped": True}
        _, told = starting.communicate(timeout=PATIENCE)
    assert (starting.returncode, told) == (1, "trainyard: the sandbox was stopped before it was ready\n")
    assert not terminal.folder.exists()


def test_in_the_foreground_it_ends_with_the_command(terminal: Terminal) -> None:
    with subprocess.Popen(
        **terminal.arguments("start", "--foreground"), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as command:
        assert command.stdout
        assert "AWS is emulated" in command.stdout.readline()
        told = terminal.json("status")
        with pytest.raises(subprocess.TimeoutExpired):
            command.wait(0.5)
        command.send_signal(signal.SIGINT)
        assert command.wait(PATIENCE) == 0
    with pytest.raises(ProcessLookupError):
        os.kill(told["pid"], 0)


def test_what_a_killed_sandbox_lost_is_told_at_the_next_start(terminal: Terminal) -> None:
    terminal.json("start", "--region", "eu-west-1")
    address = sandbox_address.running(str(terminal.folder))
    assert address and address.region == "eu-west-1"
    training = _training(address)
    name = training.create("echo up; sleep 600 & sleep 600", name="trainyard-sandbox-digits-1")
    training.wait_for_line(name, "up")
    mark = f"sandbox-{terminal.folder.stat().st_dev:x}-{terminal.folder.stat().st_ino:x}/"
    assert processes.marked(mark)
    os.kill(address.pid, signal.SIGKILL)
    wait_until(lambda: not processes.marked(mark))
    assert terminal.refusal("env").startswith("the sandbox was killed; start one")
    started = terminal.run("start")
    assert started.returncode == 0
    assert started.stderr == (
        "the sandbox before this one was killed, and with it 1 job: training trainyard-sandbox-digits-1\n"
    )
    assert terminal.json("status")["training_jobs"] == 0


def _training(address: sandbox_address.Address) -> Training:
    class Found:
        def client(self, service: str) -> Any:
            return boto3.client(
                service,
                endpoint_url=address.endpoint,
                region_name=address.region,
                aws_access_key_id=address.access_key,
                aws_secret_access_key=address.secret_key,
            )

    return Training(Found())  # type: ignore[arg-type]


def test_a_run_loses_its_machine(beside: Terminal, training: Training) -> None:
    name = training.create("echo up; sleep 600", name="trainyard-sandbox-lost-7f3", spot=True)
    training.wait_for_line(name, "up")
    assert "did you mean 'lost-7f3'" in beside.refusal("interrupt", "lost-7f4")
    done = beside.run("interrupt", "lost-7f3", "--kill")
    assert (done.returncode, done.stdout) == (0, f"{name}: the machine is taken away\n")
    training.wait(name, lambda job: "Interrupted" in [t["Status"] for t in job["SecondaryStatusTransitions"]])
    training.client.stop_training_job(TrainingJobName=name)


def test_a_job_that_is_not_on_spot_machines_keeps_them(beside: Terminal, training: Training) -> None:
    name = training.create("echo up; sleep 600", name="trainyard-sandbox-bought-1")
    training.wait_for_line(name, "up")
    assert "not on spot machines" in beside.refusal("interrupt", name)
    training.client.stop_training_job(TrainingJobName=name)


def test_machines_come_late_or_not_at_all(beside: Terminal, sandbox: RunningSandbox) -> None:
    try:
        done = beside.run("set", "--shortage", "on", "--slow-start", "1.5m", "--grace", "250ms")
        assert done.stdout == "shortage on, slow start 90 s, grace 0.25 s\n"
        assert sandbox.control("settings") == {
            "has_capacity": False,
            "start_seconds": 90,
            "grace_seconds": 0.25,
        }
        assert "a capacity shortage" in beside.run("status").stdout
    finally:
        beside.run("set", "--shortage", "off", "--slow-start", "0", "--grace", "120s")
    assert sandbox.control("settings")["has_capacity"] is True
    assert "nothing to set" in beside.refusal("set")
    for time_ in ("-1s", "x", "25h", "nan"):
        assert "is no time" in beside.refusal("set", f"--slow-start={time_}")


def test_without_the_extra_a_line_says_how_to_install_it(terminal: Terminal, tmp_path: Path) -> None:
    program = (
        "import sys; sys.modules['moto'] = None; from trainyard.cli.main import main; "
        "sys.exit(main(['sandbox', 'start']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=terminal.variables,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr == (
        'trainyard: the sandbox needs moto, which is not installed; pip install "trainyard[sandbox]"\n'
    )


def test_where_jobs_cannot_run_a_line_says_so(tmp_path: Path) -> None:
    program = (
        "import sys; from trainyard.machine import namespace; namespace.refusal = lambda: 'no namespaces'; "
        "from trainyard.sandbox.tasks import containers; containers.engines = lambda: []; "
        "from trainyard.sandbox.server import server; "
        "sys.exit(server.run(server.ServerOptions(sys.argv[1])))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    told = "jobs cannot run here: no namespaces; install podman, or use --on local\n"
    assert (done.returncode, done.stderr) == (2, told)


def test_a_folder_is_another_sandbox(terminal: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(sandbox_address.VARIABLE, str(terminal.folder))
    assert sandbox_address.folder() == str(terminal.folder.resolve())
    monkeypatch.delenv(sandbox_address.VARIABLE)
    monkeypatch.setenv("XDG_CACHE_HOME", str(terminal.folder.parent))
    assert sandbox_address.folder() == str((terminal.folder.parent / "trainyard" / "sandbox").resolve())
    with pytest.raises(BadInput, match="no sandbox runs"):
        sandbox_address.find()


def test_ending_removes_only_what_is_its_own(terminal: Terminal) -> None:
    terminal.folder.mkdir(0o775)
    terminal.json("start")
    assert stat.S_IMODE(terminal.folder.stat().st_mode) == 0o700
    (terminal.folder / "mine.txt").write_text("x")
    terminal.json("stop")
    assert {each.name for each in terminal.folder.iterdir()} == {"mine.txt", ".trainyard-sandbox"}
    terminal.json("start")


def test_a_folder_that_no_sandbox_made_is_refused_and_nothing_in_it_is_touched(terminal: Terminal) -> None:
    (terminal.folder / "work" / "thesis").mkdir(parents=True)
    for name in ("lock", "sagemaker.yaml", "server.log", "work/thesis/chapter.txt"):
        (terminal.folder / name).write_text("mine")
    terminal.folder.chmod(0o750)
    before = contents(terminal.folder)
    for argv in (["start"], ["stop"], ["status"], ["env"], ["interrupt", "x"], ["set", "--shortage", "on"]):
        told = terminal.refusal(*argv)
        assert told.startswith(f"{terminal.folder}: is not empty, and no sandbox that trainyard made; ")
        assert "TRAINYARD_SANDBOX names the sandbox's folder" in told
    assert contents(terminal.folder) == before


def test_what_no_sandbox_holds_is_not_removed(terminal: Terminal) -> None:
    terminal.json("start")
    address = sandbox_address.running(str(terminal.folder))
    assert address
    os.kill(address.pid, signal.SIGKILL)
    wait_until(lambda: not sandbox_address.is_held(str(terminal.folder)))
    (terminal.folder / "work").mkdir(exist_ok=True)
    before = contents(terminal.folder)
    assert terminal.json("stop") == {"stopped": False}
    assert contents(terminal.folder) == before


def contents(folder: Path) -> dict[str, tuple[int, bytes]]:
    """All that is in a folder, with its modes; and the folder's own."""
    found = [folder, *folder.rglob("*")]
    return {
        str(path.relative_to(folder)): (path.stat().st_mode, b"" if path.is_dir() else path.read_bytes())
        for path in found
    }


def victim(folder: Path) -> subprocess.Popen[bytes]:
    """What an attacker leaves in a folder that they hope to have taken for a sandbox's: a lock that is held,
    which names the victim's own process, and an address of theirs."""
    folder.mkdir(exist_ok=True)
    told = dict.fromkeys(("endpoint", "region", "access_key", "secret_key", "token"), "theirs")
    held = (
        "import fcntl, os, sys, time; lock = open(sys.argv[1], 'w'); fcntl.flock(lock, fcntl.LOCK_EX);"
        "print(os.getpid(), file=lock, flush=True); print('up', flush=True); time.sleep(600)"
    )
    process = subprocess.Popen([sys.executable, "-c", held, str(folder / "lock")], stdout=subprocess.PIPE)
    assert process.stdout and process.stdout.readline() == b"up\n"
    (folder / "address.json").write_text(json.dumps({**told, "pid": process.pid}))
    (folder / ".trainyard-sandbox").touch()
    return process


@pytest.mark.parametrize(
    ("attack", "told"),
    [
        ("writable", "can be written by others than you"),
        pytest.param("owned", "belongs to another user", marks=needs_root),
        pytest.param("linked", "is another user's link", marks=needs_root),
    ],
)
def test_a_sandbox_of_somebody_elses_is_neither_used_nor_ended(
    terminal: Terminal, attack: str, told: str
) -> None:
    with victim(terminal.folder) as process:
        try:
            if attack == "writable":
                terminal.folder.chmod(0o707)
            elif attack == "owned":
                os.chown(terminal.folder, 65534, 65534)
            else:
                link = terminal.folder.with_name("link")
                link.symlink_to(terminal.folder)
                os.lchown(link, 65534, 65534)
                terminal.variables[sandbox_address.VARIABLE] = str(link)
            for argv in (["env"], ["stop"], ["status"], ["start"]):
                assert told in terminal.refusal(*argv)
            assert process.poll() is None
        finally:
            process.kill()
            process.stdout.close()  # type: ignore[union-attr]
            terminal.variables[sandbox_address.VARIABLE] = str(terminal.folder.with_name("none"))
