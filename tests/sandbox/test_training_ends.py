"""How training jobs end, and who ends them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from trainyard.machine import processes

from .training import Training, statuses

LIVES_ON = (
    "trap 'echo warned; echo late > /opt/ml/model/late; exit 0' TERM; "
    "echo ready; while :; do sleep 0.05; done"
)
DEAF = "trap 'echo warned' TERM; echo ready; while :; do sleep 0.05; done"


@pytest.fixture
def settings(training: Training) -> Iterator[None]:
    """Whatever a test sets is as it was afterwards."""
    before = training.sandbox.control("settings")
    yield
    training.sandbox.control("settings", **before)


def stop(training: Training, name: str) -> None:
    training.client.stop_training_job(TrainingJobName=name)


def test_a_stopped_job_gets_sigterm_and_its_model_is_uploaded(training: Training) -> None:
    name = training.create(LIVES_ON)
    training.wait_for_line(name, "ready")
    stop(training, name)
    job = training.end_of(name)
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopped", "Stopped")
    assert statuses(job) == ["Starting", "Downloading", "Training", "Stopping", "Stopped"]
    assert training.log(name) == ["ready", "warned"]
    assert training.archive(name, "model") == {"late": b"late\n"}


@pytest.mark.usefixtures("settings")
def test_a_job_that_does_not_heed_sigterm_is_killed_after_the_grace(training: Training) -> None:
    training.sandbox.control("settings", grace_seconds=0.5)
    name = training.create(DEAF)
    training.wait_for_line(name, "ready")
    stop(training, name)
    job = training.end_of(name)
    assert job["TrainingJobStatus"] == "Stopped" and "warned" in training.log(name)


@pytest.mark.usefixtures("settings")
def test_a_job_that_waits_for_machines_can_be_stopped(training: Training) -> None:
    training.sandbox.control("settings", has_capacity=False)
    name = training.create("true")
    training.wait(
        name, lambda job: "Insufficient capacity" in job["SecondaryStatusTransitions"][0]["StatusMessage"]
    )
    stop(training, name)
    job = training.end_of(name)
    assert statuses(job) == ["Starting", "Stopping", "Stopped"]
    assert "TrainingStartTime" not in job and "BillableTimeInSeconds" not in job


@pytest.mark.usefixtures("settings")
def test_a_shortage_that_ends_lets_the_job_run(training: Training) -> None:
    training.sandbox.control("settings", has_capacity=False)
    name = training.create("true")
    training.wait(name, lambda job: "Insufficient" in job["SecondaryStatusTransitions"][0]["StatusMessage"])
    training.sandbox.control("settings", has_capacity=True)
    training.completed(name)


@pytest.mark.usefixtures("settings")
def test_a_spot_job_that_never_gets_machines_ends_when_it_has_waited_long_enough(training: Training) -> None:
    training.sandbox.control("settings", has_capacity=False)
    condition = {"MaxRuntimeInSeconds": 1, "MaxWaitTimeInSeconds": 1}
    name = training.create("true", EnableManagedSpotTraining=True, StoppingCondition=condition)
    job = training.end_of(name)
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopped", "MaxWaitTimeExceeded")
    assert statuses(job) == ["Starting", "Stopping", "MaxWaitTimeExceeded"]


@pytest.mark.usefixtures("settings")
def test_machines_take_as_long_to_come_as_is_set(training: Training) -> None:
    training.sandbox.control("settings", start_seconds=0.7)
    job = training.completed(training.create("true"))
    starting = job["SecondaryStatusTransitions"][0]
    assert (starting["EndTime"] - starting["StartTime"]).total_seconds() >= 0.7


def test_a_job_that_runs_for_too_long_is_stopped_with_its_model(training: Training) -> None:
    name = training.create(LIVES_ON, StoppingCondition={"MaxRuntimeInSeconds": 3})
    job = training.end_of(name)
    assert (job["TrainingJobStatus"], job["SecondaryStatus"]) == ("Stopped", "MaxRuntimeExceeded")
    assert statuses(job)[-2:] == ["Stopping", "MaxRuntimeExceeded"]
    assert training.archive(name, "model") == {"late": b"late\n"}


def test_one_host_that_fails_ends_all(training: Training) -> None:
    name = training.create(
        "case $(cat /opt/ml/input/config/resourceconfig.json) in\n"
        '*\'"current_host": "algo-2"\'*) echo broken > /opt/ml/output/failure; exit 4;; esac; ' + LIVES_ON,
        hosts=3,
    )
    job = training.end_of(name)
    assert job["FailureReason"] == "AlgorithmError: broken, exit code: 4"
    assert len(training.streams(name)) == 3


def test_hosts_reach_each_other_by_name(training: Training) -> None:
    python = (
        "import json, socket, time\n"
        "host = json.load(open('/opt/ml/input/config/resourceconfig.json'))['current_host']\n"
        "if host == 'algo-1':\n"
        "    line = socket.create_server(('algo-1', 29517)); print(line.accept()[0].recv(99).decode())\n"
        "else:\n"
        "    for _ in range(200):\n"
        "        try: line = socket.create_connection(('algo-1', 29517)); break\n"
        "        except OSError: time.sleep(0.05)\n"
        "    line.sendall(b'hello from ' + host.encode())\n"
    )
    name = training.create(f"exec python3 -u - << 'END'\n{python}END\n", hosts=2)
    training.completed(name)
    assert training.log(name) == ["hello from algo-2"]


def test_what_a_script_leaves_behind_ends_with_it(training: Training) -> None:
    name = training.create("(trap '' TERM; sleep 100 > /dev/null 2>&1) & env -i setsid sleep 100 & echo $!")
    training.completed(name)
    assert not processes.start_time(int(training.log(name)[0]))


def test_a_job_that_has_ended_is_not_stopped_again(training: Training) -> None:
    name = training.create("true")
    training.completed(name)
    with pytest.raises(
        training.client.exceptions.ClientError, match="the training job is in status Completed"
    ):
        stop(training, name)


def test_artifacts_of_a_job_that_failed_are_uploaded_too(training: Training) -> None:
    name = training.create("echo half > /opt/ml/output/data/half; exit 1")
    job = training.end_of(name)
    assert statuses(job) == ["Starting", "Downloading", "Training", "Uploading", "Failed"]
    assert training.archive(name, "output") == {"half": b"half\n"}
