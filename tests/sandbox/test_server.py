"""The sandbox's process: its start and end, what it answers itself, and what it leaves behind."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from trainyard.machine import processes

from .conftest import RunningSandbox
from .training import PATIENCE, Training


def refused_start(folder: Path, *options: str) -> str:
    """What a sandbox says that does not start; it has the status of bad input."""
    done = subprocess.run(
        [sys.executable, "-m", "trainyard.sandbox", "--folder", str(folder), *options],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    [line] = done.stderr.splitlines()
    return line


@pytest.fixture
def own(tmp_path: Path) -> Iterator[RunningSandbox]:
    """A sandbox of the test's own."""
    running = RunningSandbox(tmp_path)
    yield running
    if running.process.poll() is None:
        running.end()


def test_a_second_sandbox_in_a_folder_is_refused(sandbox: RunningSandbox) -> None:
    assert "a sandbox runs already at" in refused_start(sandbox.folder / "home")


def test_a_port_that_is_taken_is_refused(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert f"port {port} cannot be had: address already in use" in refused_start(
            tmp_path, "--port", str(port)
        )


def test_it_listens_on_loopback_alone(sandbox: RunningSandbox) -> None:
    port = int(sandbox.address["endpoint"].rpartition(":")[2])
    inode = f"/proc/{sandbox.process.pid}/net"
    rows = [line.split() for line in Path(inode, "tcp").read_text().splitlines()[1:]]
    listening = {row[1] for row in rows if row[3] == "0A" and row[1].endswith(f":{port:04X}")}
    assert listening == {f"0100007F:{port:04X}"}


def test_the_address_is_the_owners_alone(sandbox: RunningSandbox) -> None:
    assert (sandbox.folder / "home" / "address.json").stat().st_mode & 0o777 == 0o600


def test_a_call_without_the_token_is_refused(sandbox: RunningSandbox) -> None:
    request = urllib.request.Request(f"{sandbox.address['endpoint']}/_trainyard/reset", b"{}")
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request, timeout=PATIENCE)
    with refused.value as error:
        assert error.code == 403 and "token" in json.load(error)["error"]


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({"colour": "blue"}, "colour: no such setting; there are grace_seconds, has_capacity, start_seconds"),
        ({"start_seconds": "soon"}, "start_seconds: 'soon' is no number of seconds"),
        ({"start_seconds": -1}, "start_seconds: -1.0 is no number of seconds"),
        ({"has_capacity": 1}, "has_capacity: 1 is no boolean"),
    ],
)
def test_a_setting_that_cannot_be_is_refused(
    sandbox: RunningSandbox, body: dict[str, Any], told: str
) -> None:
    with pytest.raises(AssertionError) as refused:
        sandbox.control("settings", **body)
    assert told in str(refused.value)


def test_what_is_not_emulated_is_an_error_that_names_it(sandbox: RunningSandbox) -> None:
    with pytest.raises(ClientError) as refused:
        sandbox.client("sagemaker").describe_device(DeviceName="a", DeviceFleetName="b")
    error = refused.value.response["Error"]
    assert error["Code"] == "NotImplemented"
    assert error["Message"] == "the sandbox does not emulate sagemaker:DescribeDevice"


def test_another_region_has_no_training_jobs_and_says_which_one_has(sandbox: RunningSandbox) -> None:
    client = boto3.client(
        "sagemaker",
        endpoint_url=sandbox.address["endpoint"],
        region_name="eu-west-1",
        aws_access_key_id=sandbox.address["access_key"],
        aws_secret_access_key=sandbox.address["secret_key"],
        config=Config(retries={"total_max_attempts": 1}),
    )
    with pytest.raises(ClientError, match="the sandbox's region is us-east-1, not eu-west-1"):
        client.list_training_jobs()
    client.close()


def test_clients_that_ask_at_once_are_all_answered(sandbox: RunningSandbox) -> None:
    """Objects come and go, are listed, and logs are written and read, all at the same time."""
    s3, logs = sandbox.client("s3"), sandbox.client("logs")
    s3.create_bucket(Bucket="crowd")
    logs.create_log_group(logGroupName="crowd")
    failures: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for turn in range(15):
                s3.put_object(Bucket="crowd", Key=f"{number}/{turn}", Body=b"x" * 1000)
                s3.list_objects_v2(Bucket="crowd")
                logs.create_log_stream(logGroupName="crowd", logStreamName=f"{number}-{turn}")
                logs.describe_log_streams(logGroupName="crowd")
                s3.delete_object(Bucket="crowd", Key=f"{number}/{turn}")
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures and s3.list_objects_v2(Bucket="crowd")["KeyCount"] == 0


def test_a_reset_ends_all_jobs_and_begins_anew(own: RunningSandbox) -> None:
    training = Training(own)
    name = training.create("trap '' TERM; echo $$; while :; do sleep 0.05; done")
    training.wait(name, lambda _: training.log(name))
    [pid] = training.log(name)
    own.client("s3").create_bucket(Bucket="mine")
    own.control("settings", start_seconds=5)
    started = time.monotonic()
    own.control("reset")
    assert time.monotonic() - started < 10
    assert not processes.start_time(int(pid))
    assert own.client("sagemaker").list_training_jobs()["TrainingJobSummaries"] == []
    assert own.control("settings")["start_seconds"] == 0
    anew = Training(own)
    assert "mine" not in [bucket["Name"] for bucket in own.client("s3").list_buckets()["Buckets"]]
    anew.completed(anew.create("true", name=name))
    assert anew.log(name) == []


def test_a_killed_sandbox_leaves_nothing_running_and_the_next_one_says_what_was_lost(tmp_path: Path) -> None:
    first = RunningSandbox(tmp_path)
    training = Training(first)
    name = training.create(
        "env -i setsid sleep 100 & echo $!; setsid sleep 100 & echo $!; echo $$; wait", hosts=2
    )
    training.wait(name, lambda _: len(training.log(name)) == 6)
    pids = [int(pid) for pid in training.log(name)]
    assert all(processes.start_time(pid) for pid in pids)
    first.process.kill()
    first.process.wait()
    assert processes.wait_until_gone(pids, PATIENCE) == []
    first.end()
    (tmp_path / "home" / "address.json").unlink()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        # A start that is refused in between does not forget it.
        refused_start(tmp_path / "home", "--port", str(taken.getsockname()[1]))
    second = RunningSandbox(tmp_path)
    assert second.address["lost"] == [f"training-{name}"]
    second.end()
    third = RunningSandbox(tmp_path)
    assert third.address["lost"] == []
    third.end()


def test_the_end_leaves_no_job_and_no_file_of_one(own: RunningSandbox) -> None:
    training = Training(own)
    name = training.create("trap '' TERM; echo $$; while :; do sleep 0.05; done")
    training.wait(name, lambda _: training.log(name))
    [pid] = training.log(name)
    started = time.monotonic()
    own.process.send_signal(signal.SIGTERM)
    assert own.process.wait(PATIENCE) == 0
    assert time.monotonic() - started < 10
    assert not processes.start_time(int(pid))
    assert not (own.folder / "home" / "work").exists() and not (own.folder / "home" / "address.json").exists()
    assert own.log() == ""
    own.end()
