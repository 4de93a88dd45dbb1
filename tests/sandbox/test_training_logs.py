"""Logs and metrics of training jobs, in CloudWatch."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime, timedelta

from .conftest import PATIENCE
from .training import GROUP, Training


def metric(training: Training, name: str, **dimensions: str) -> list[float]:
    """The values of a metric of training jobs, as their maxima in each minute."""
    now = datetime.now(UTC)
    found = training.sandbox.client("cloudwatch").get_metric_statistics(
        Namespace=GROUP,
        MetricName=name,
        Dimensions=[{"Name": key, "Value": value} for key, value in dimensions.items()],
        StartTime=now - timedelta(hours=1),
        EndTime=now + timedelta(minutes=1),
        Period=60,
        Statistics=["Maximum"],
    )
    return [each["Maximum"] for each in found["Datapoints"]]


def test_a_log_stream_has_the_hosts_name_and_the_time(training: Training) -> None:
    before = int(time.time())
    name = training.create("echo out; echo err >&2", hosts=2)
    training.completed(name)
    streams = [re.fullmatch(rf"{name}/(algo-\d)-(\d+)", stream) for stream in training.streams(name)]
    assert [found[1] for found in streams if found] == ["algo-1", "algo-2"]
    assert all(before <= int(found[2]) <= time.time() for found in streams if found)
    assert training.log(name) == ["out", "err"] * 2


def test_lines_are_there_while_the_job_runs(training: Training) -> None:
    name = training.create("for i in 1 2 3; do echo line $i; sleep 0.3; done; sleep 100")
    training.wait_for_line(name, "line 1")
    assert "line 3" not in training.log(name)
    training.wait_for_line(name, "line 3")
    training.client.stop_training_job(TrainingJobName=name)
    training.end_of(name)


def test_a_hundred_thousand_lines_are_complete_and_in_order_when_the_job_has_ended(
    training: Training,
) -> None:
    name = training.create("seq 100000")
    started = time.monotonic()
    training.completed(name)
    assert time.monotonic() - started < 20
    assert training.log(name) == [str(number) for number in range(1, 100_001)]


def test_a_long_line_becomes_events_of_at_most_256_kib(training: Training) -> None:
    name = training.create("head -c 600000 /dev/zero | tr '\\0' x; echo; printf end")
    training.completed(name)
    *pieces, last = training.log(name)
    assert [len(piece) for piece in pieces] == [262_118, 262_118, 75_764] and last == "end"


def test_metrics_of_the_log_are_there_while_the_job_runs_and_at_its_end(training: Training) -> None:
    definitions = [{"Name": "loss", "Regex": "loss=([0-9.]+)"}, {"Name": "none", "Regex": "none=(.*)"}]
    name = training.create(
        "echo loss=3.5; sleep 1.5; echo loss=0.5", algorithm={"MetricDefinitions": definitions}
    )
    training.wait(name, lambda job: [each["Value"] for each in job.get("FinalMetricDataList", [])] == [3.5])
    job = training.completed(name)
    assert [(each["MetricName"], each["Value"]) for each in job["FinalMetricDataList"]] == [("loss", 0.5)]
    assert max(metric(training, "loss", TrainingJobName=name)) == 3.5


def test_a_regular_expression_that_takes_for_ever_holds_nobody_up(training: Training) -> None:
    definitions = [{"Name": "evil", "Regex": "(a+)+b"}, {"Name": "loss", "Regex": "loss=([0-9.]+)"}]
    name = training.create(f"echo {'a' * 60}; echo loss=1", algorithm={"MetricDefinitions": definitions})
    started = time.monotonic()
    training.describe(name)
    assert time.monotonic() - started < 5
    job = training.completed(name)
    assert [each["MetricName"] for each in job["FinalMetricDataList"]] == ["loss"]


def test_what_a_hosts_processes_use_is_measured(training: Training) -> None:
    name = training.create("(timeout 2 sh -c 'while :; do :; done') & wait")
    training.completed(name)
    assert max(metric(training, "CPUUtilization", Host=f"{name}/algo-1")) > 5
    assert max(metric(training, "MemoryUtilization", Host=f"{name}/algo-1")) > 0
    assert 0 < max(metric(training, "DiskUtilization", Host=f"{name}/algo-1")) <= 100


def test_the_log_is_found_by_a_filter(training: Training) -> None:
    name = training.create("echo one; echo two; echo 'three apples'")
    training.completed(name)
    logs = training.sandbox.client("logs")
    deadline = time.monotonic() + PATIENCE
    found = logs.filter_log_events(logGroupName=GROUP, logStreamNamePrefix=f"{name}/", filterPattern="apples")
    assert [event["message"] for event in found["events"]] == ["three apples"] and time.monotonic() < deadline
