"""Every status of SageMaker and Batch has a state, and every end a reason in words."""

from __future__ import annotations

import itertools
import re
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainyard.aws.batch import reasons as batch_reasons
from trainyard.aws.batch.states import BATCH, batch_attempts, batch_verdict, inference_verdict
from trainyard.aws.sagemaker import reasons, states
from trainyard.aws.sagemaker.states import TRAINING, training_attempts, training_verdict
from trainyard.core.jobs.job import InferenceJob, Resources, Spot, TrainingJob
from trainyard.core.runs import outcomes
from trainyard.core.runs.outcomes import Outcome
from trainyard.core.runs.run import State
from trainyard.worker.reasons import KILLED, RECLAIMED, RESTARTED

from .jobs import inference, training
from .model_rules import service

JOB = training(spot=Spot(max_runtime=60, max_wait=90))
SHARDS = inference(timeout=120)


def enum(name: str, shape: str) -> list[str]:
    values: list[str] = service(name).shape_for(shape).enum
    return values


def described(status: str, secondary: str, **more: Any) -> dict[str, Any]:
    return {"TrainingJobStatus": status, "SecondaryStatus": secondary, **more}


def verdict(status: str, secondary: str, job: TrainingJob = JOB, **more: Any) -> Outcome:
    return training_verdict(job, described(status, secondary, **more))


def failure(text: str, job: TrainingJob = JOB) -> Outcome:
    found = verdict("Failed", "Failed", job, FailureReason=text)
    assert found.state is State.FAILED
    assert "\n" not in found.reason
    return found


def test_every_status_of_sagemaker_has_a_state_and_there_is_no_other() -> None:
    statuses = enum("sagemaker", "TrainingJobStatus")
    secondary = enum("sagemaker", "SecondaryStatus")
    assert TRAINING.keys() == set(statuses)
    for status in statuses:
        assert TRAINING[status].keys() == set(secondary)


def test_every_status_of_batch_has_a_state_and_there_is_no_other() -> None:
    assert BATCH.keys() == set(enum("batch", "JobStatus"))


@pytest.mark.parametrize(
    ("status", "secondary"),
    list(itertools.product(enum("sagemaker", "TrainingJobStatus"), enum("sagemaker", "SecondaryStatus"))),
)
def test_a_run_has_ended_when_sagemaker_says_so_and_then_there_is_a_reason(
    status: str, secondary: str
) -> None:
    found = verdict(status, secondary)
    assert found.state.ended is (status not in ("InProgress", "Stopping"))
    if found.state.ended:
        assert found.reason


@pytest.mark.parametrize(
    ("status", "secondary", "state"),
    [
        ("InProgress", "Pending", State.QUEUED),
        ("InProgress", "Starting", State.STARTING),
        ("InProgress", "Downloading", State.STARTING),
        ("InProgress", "Training", State.RUNNING),
        ("InProgress", "Uploading", State.RUNNING),
        ("InProgress", "Interrupted", State.INTERRUPTED),
        ("InProgress", "Restarting", State.INTERRUPTED),
        ("Stopping", "Stopping", State.RUNNING),
        ("Completed", "Completed", State.SUCCEEDED),
        ("Completed", "MaxRuntimeExceeded", State.FAILED),
        ("Failed", "Failed", State.FAILED),
        ("Stopped", "Stopped", State.STOPPED),
        ("Stopped", "MaxRuntimeExceeded", State.FAILED),
        ("Stopped", "MaxWaitTimeExceeded", State.FAILED),
        ("Deleting", "Completed", State.SUCCEEDED),
    ],
)
def test_a_state_is_what_a_person_means_by_it(status: str, secondary: str, state: State) -> None:
    assert verdict(status, secondary).state is state


def test_a_status_that_is_newer_than_this_is_running() -> None:
    assert verdict("InProgress", "Dreaming").state is State.RUNNING
    assert verdict("Dreaming", "Dreaming").state is State.RUNNING
    assert batch_verdict(SHARDS, {"status": "DREAMING"}).state is State.RUNNING


def test_time_limits_are_told_in_the_words_of_the_local_yard() -> None:
    runtime = "MaxRuntimeExceeded: it ran longer than train.spot.max_runtime, 60 s"
    waiting = "MaxWaitTimeExceeded: it took longer than train.spot.max_wait, 90 s"
    assert (
        verdict("Stopped", "MaxRuntimeExceeded").reason == runtime == outcomes.ran_too_long(JOB.spot).reason
    )
    assert (
        verdict("Stopped", "MaxWaitTimeExceeded").reason
        == waiting
        == outcomes.waited_too_long(JOB.spot).reason
    )


def test_a_stop_is_told_as_one_on_request() -> None:
    assert verdict("Stopped", "Stopped")[:3] == (State.STOPPED, "stopped on request", False)


def test_what_a_run_waits_for_is_told_while_it_waits() -> None:
    message = {"Status": "Starting", "StatusMessage": "Launching requested\n ML instances", "StartTime": 1.0}
    found = verdict("InProgress", "Starting", SecondaryStatusTransitions=[message])
    assert found.reason == "Launching requested ML instances"
    assert verdict("InProgress", "Pending").reason == "waiting for machines"
    assert verdict("InProgress", "Interrupted").reason == RECLAIMED.words
    assert verdict("InProgress", "Training").reason == ""
    assert verdict("Stopping", "Stopping").reason == "stopping"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (
            "AlgorithmError: ValueError: no such column: age (exit status 1), exit code: 1",
            "ValueError: no such column: age (exit status 1)",
        ),
        ("AlgorithmError: algo-2: boom (exit status 3), exit code: 3", "algo-2: boom (exit status 3)"),
        ("AlgorithmError: a, exit code: 3, exit code: 1", "a, exit code: 3"),
        ("AlgorithmError: cut off in the midd", "cut off in the midd"),
        ("AlgorithmError: two\n  lines, exit code: 1", "two lines"),
        (
            "AlgorithmError: RuntimeError: CUDA out of memory. (exit status 1), exit code: 1",
            "RuntimeError: CUDA out of memory. (exit status 1)",
        ),
        (
            "AlgorithmError: , exit code: 1",
            "exit status 1, and no word of the worker's: `trainyard logs` may tell more",
        ),
        ("AlgorithmError: , exit code: 137", KILLED.words),
        (
            "AlgorithmError: , exit code: 42",
            "exit status 42, and no word of the worker's: `trainyard logs` may tell more",
        ),
        ("AlgorithmError", "AlgorithmError"),
        ("", "failed, and SageMaker does not say why"),
        ("Something: else", "Something: else"),
    ],
)
def test_a_scripts_own_words_come_without_what_is_put_around_them(text: str, reason: str) -> None:
    assert failure(text)[:3] == (State.FAILED, reason, False)


def test_no_memory_is_told_with_the_machine_that_had_none() -> None:
    text = "AlgorithmError: Please use an instance type with more memory, or reduce the size of training data"
    found = failure(f"{text} processed on an instance., exit code: 137")
    assert found.reason.startswith("out of memory: ml.m5.xlarge has no more; ")
    assert found.bad_input is False


@pytest.mark.parametrize("enabled", [True, False])
def test_no_capacity_is_told_with_what_may_help(enabled: bool) -> None:
    text = "CapacityError: Unable to provision requested ML compute capacity. Please retry with another."
    job = training(resources=Resources(instance_type="ml.p4d.24xlarge"), spot=Spot(enabled=enabled))
    found = failure(text, job)
    assert found.reason.startswith("CapacityError: AWS has no ml.p4d.24xlarge free; try later")
    assert ("--no-spot" in found.reason) is enabled
    assert found.bad_input is False


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (
            "ClientError: Cannot pull algorithm container. Either the image does not exist or its permissions"
            " are incorrect.",
            "the image cannot be pulled: Cannot pull algorithm container",
        ),
        (
            "ClientError: Data download failed:Unable to download object s3://other-bucket/a (AccessDenied:"
            " Access Denied)",
            "s3://other-bucket/a: access denied",
        ),
        (
            "ClientError: Data download failed:s3://no-bucket/a: NoSuchBucket: The bucket does not exist",
            "s3://no-bucket/a: there is no such bucket",
        ),
        (
            "ClientError: Data download failed: s3://far/a: PermanentRedirect (status code: 301)",
            "s3://far/a: it is in another region",
        ),
        (
            'ClientError: No S3 objects found under S3 URL "s3://bucket/none/" given in input data source.',
            "s3://bucket/none/: there is nothing",
        ),
        ("ClientError: something new", "ClientError: something new"),
        (
            'AlgorithmError: exec: "python3": executable file not found in $PATH: unknown, exit code: 127',
            "the image has no python3",
        ),
        ("AlgorithmError: , exit code: 127", "the image has no python3"),
        ("ClientError: exec python3 failed: No such file or directory", "the image has no python3"),
    ],
)
def test_what_the_job_was_given_is_to_blame_where_it_is(text: str, told: str) -> None:
    found = failure(text)
    assert found.reason.startswith(told)
    assert found.bad_input is True


def test_a_failure_of_sagemakers_own_says_how_to_go_on() -> None:
    found = failure("InternalServerError: We encountered an internal error. Please try again.")
    assert found.reason.startswith(
        "InternalServerError: We encountered an internal error. Please try again; "
    )
    assert "trainyard resume" in found.reason
    assert found.bad_input is False


@given(st.text(max_size=1024), st.sampled_from(["", "AlgorithmError: ", "ClientError: ", "CapacityError: "]))
def test_any_text_of_sagemaker_makes_one_line(text: str, kind: str) -> None:
    reason = failure(kind + text).reason
    assert reason and len(reason.splitlines()) == 1


def moment(second: int) -> datetime:
    return datetime.fromtimestamp(second, UTC)


def transitions(*steps: str) -> list[dict[str, Any]]:
    return [
        {"Status": step, "StartTime": moment(at * 10), "StatusMessage": step} for at, step in enumerate(steps)
    ]


INTERRUPTED = transitions(
    "Starting", "Downloading", "Training", "Interrupted", "Starting", "Training", "Uploading", "Completed"
)


def test_attempts_are_counted_by_what_sagemaker_went_through() -> None:
    answer = described("Completed", "Completed", SecondaryStatusTransitions=INTERRUPTED)
    found = training_attempts(answer | {"TrainingEndTime": moment(70)}, first=3)
    assert [(each.number, each.task, each.state) for each in found] == [
        (3, "train", State.INTERRUPTED),
        (4, "train", State.SUCCEEDED),
    ]
    assert [(each.started, each.finished) for each in found] == [(20, 30), (50, 70)]
    assert [each.reason for each in found] == [RECLAIMED.words, ""]
    assert training_verdict(JOB, answer).reason == "completed after 1 interruption"


def test_an_attempt_that_runs_is_open_and_one_that_has_not_begun_is_none() -> None:
    answer = described(
        "InProgress", "Training", SecondaryStatusTransitions=transitions("Starting", "Training")
    )
    (found,) = training_attempts(answer)
    assert (found.state, found.started, found.finished) == (State.RUNNING, 10, None)
    early = described("InProgress", "Starting", SecondaryStatusTransitions=transitions("Starting"))
    assert training_attempts(early) == ()
    assert training_attempts(described("InProgress", "Starting")) == ()


def test_a_job_that_sagemaker_starts_again_itself_was_interrupted() -> None:
    steps = transitions("Starting", "Training", "Starting", "Training")
    found = training_attempts(described("InProgress", "Training", SecondaryStatusTransitions=steps))
    assert [(each.state, each.reason) for each in found] == [
        (State.INTERRUPTED, RESTARTED.words),
        (State.RUNNING, ""),
    ]


def test_the_last_attempt_may_be_given_its_reason() -> None:
    answer = described("Failed", "Failed", SecondaryStatusTransitions=transitions("Training", "Failed"))
    (found,) = training_attempts(answer, reason="boom")
    assert (found.state, found.reason) == (State.FAILED, "boom")


def batch(status: str, **more: Any) -> dict[str, Any]:
    return {"status": status, "timeout": {"attemptDurationSeconds": 120}, **more}


def failed(reason: str = "", code: int | None = 1, status: str = "Essential container in task exited") -> Any:
    container: dict[str, Any] = {"resourceRequirements": [{"type": "MEMORY", "value": "2048"}]}
    if reason:
        container["reason"] = reason
    if code is not None:
        container["exitCode"] = code
    return batch("FAILED", container=container, statusReason=status)


OCI = (
    "CannotStartContainerError: Error response from daemon: OCI runtime create failed: unable to start"
    ' container process: exec: "python3": executable file not found in $PATH: unknown'
)


@pytest.mark.parametrize(
    ("job", "reason", "bad_input"),
    [
        (failed(), "exit status 1, and no word of the worker's: `trainyard logs` may tell more", False),
        (failed(code=137), KILLED.words, False),
        (
            failed(code=127),
            "the image has no python3, which the worker needs; name another infer.image",
            True,
        ),
        (
            failed("OutOfMemoryError: Container killed due to memory usage", 137),
            "out of memory: it used more than infer.resources.memory_mib, 2048 MiB",
            False,
        ),
        (
            failed("CannotPullContainerError: pull access denied for a/b", None, "Task failed to start"),
            "the image cannot be pulled: pull access denied for a/b; mind infer.image",
            True,
        ),
        (
            failed(OCI, None, "Task failed to start"),
            "the image has no python3, which the worker needs; name another infer.image",
            True,
        ),
        (
            failed(code=137, status="Job attempt duration exceeded timeout"),
            "timed out after infer.timeout, 120 s",
            False,
        ),
        (
            failed(code=None, status="Host EC2 (instance i-0abc) terminated."),
            "the machine was lost too often to go on: Host EC2 (instance i-0abc) terminated.",
            False,
        ),
        (failed(code=None, status="Something new"), "Something new", False),
        (batch("FAILED"), "failed, and Batch does not say why", False),
        (
            failed("DockerTimeoutError: could not start", 1),
            "DockerTimeoutError: could not start (exit status 1)",
            False,
        ),
    ],
)
def test_why_a_job_of_batch_failed_is_told_in_words(job: Any, reason: str, bad_input: bool) -> None:
    assert batch_verdict(SHARDS, job)[:3] == (State.FAILED, reason, bad_input)


@pytest.mark.parametrize(
    "more",
    [
        {"statusReason": "stopped by role Scientist"},
        {"isTerminated": True, "statusReason": "enough"},
        {"isCancelled": True, "statusReason": "enough"},
    ],
)
def test_a_job_that_somebody_ended_was_stopped(more: dict[str, Any]) -> None:
    job = batch("FAILED", container={"exitCode": 143}, **more)
    assert batch_verdict(SHARDS, job)[:3] == (State.STOPPED, "stopped on request", False)


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY - All compute environments …", "waiting for capacity: "),
        ("MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE - …", "waits for ever: infer.resources.vcpus "),
        ("MISCONFIGURATION:JOB_RESOURCE_REQUIREMENT - …", "waits for ever: no machine "),
        ("UNDETERMINED", "UNDETERMINED"),
        ("", ""),
    ],
)
def test_what_a_job_of_batch_waits_for_is_told(said: str, told: str) -> None:
    found = batch_verdict(SHARDS, batch("RUNNABLE", statusReason=said))
    assert found.state is State.QUEUED
    assert found.reason.startswith(told)


def test_every_reason_to_wait_that_batch_documents_is_in_words() -> None:
    text = service("batch").shape_for("JobDetail").members["statusReason"].documentation
    documented = re.findall(r"<code>([A-Z]+:[A-Z_0-9]+)</code>", text)
    assert documented
    for each in documented:
        assert batch_reasons.waiting(f"{each} - …")[0].islower()


RUNNING, DONE = batch("RUNNING"), batch("SUCCEEDED")
DEPENDENT = batch("FAILED", statusReason="Dependent Job failed")
ARRAY = batch("PENDING", arrayProperties={"size": 2, "statusSummary": {"RUNNABLE": 1, "RUNNING": 1}})


@pytest.mark.parametrize(
    ("plan", "shards", "commit", "state"),
    [
        (batch("SUBMITTED"), batch("PENDING"), batch("PENDING"), State.QUEUED),
        (batch("STARTING"), batch("PENDING"), batch("PENDING"), State.STARTING),
        (RUNNING, batch("PENDING"), batch("PENDING"), State.RUNNING),
        (DONE, batch("RUNNABLE"), batch("PENDING"), State.RUNNING),
        (DONE, ARRAY, batch("PENDING"), State.RUNNING),
        (DONE, DONE, batch("RUNNABLE"), State.RUNNING),
        (DONE, DONE, DONE, State.SUCCEEDED),
        (None, DONE, DONE, State.SUCCEEDED),
        (None, None, batch("RUNNABLE"), State.QUEUED),
        (None, None, DONE, State.SUCCEEDED),
        (failed(), DEPENDENT, DEPENDENT, State.FAILED),
        (DONE, failed(), DEPENDENT, State.FAILED),
        (DONE, DONE, failed(), State.FAILED),
        (DONE, batch("FAILED", statusReason="stopped by user ana"), DEPENDENT, State.STOPPED),
        (None, None, None, State.FAILED),
        (None, None, DEPENDENT, State.FAILED),
    ],
)
def test_three_jobs_together_are_a_run(plan: Any, shards: Any, commit: Any, state: State) -> None:
    found = inference_verdict(SHARDS, plan, shards, commit)
    assert found.state is state
    if state in (State.FAILED, State.STOPPED):
        assert found.reason and "Dependent" not in found.reason


def test_a_run_is_told_the_reason_of_the_job_that_failed_and_not_of_those_that_waited() -> None:
    found = inference_verdict(SHARDS, failed("boom", 3), DEPENDENT, DEPENDENT)
    assert found.reason == "boom (exit status 3)"


def test_what_the_shards_wait_for_is_told_of_a_run_that_has_begun() -> None:
    waits = batch("RUNNABLE", statusReason="CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY - …")
    found = inference_verdict(SHARDS, DONE, waits, batch("PENDING"))
    assert found.state is State.RUNNING
    assert found.reason.startswith("waiting for capacity")


def attempt(reason: str = "", code: int | None = None, status: str = "", at: int = 1) -> dict[str, Any]:
    container = {"reason": reason, "exitCode": code}
    kept = {key: value for key, value in container.items() if value not in ("", None)}
    return {"container": kept, "statusReason": status, "startedAt": at * 1000, "stoppedAt": at * 1000 + 500}


def test_attempts_of_a_shard_are_told_with_the_workers_own_words() -> None:
    tries = [
        attempt(code=75, at=1),
        attempt(status="Host EC2 (instance i-0abc) terminated.", at=2),
        attempt("CannotPullContainerError: timeout", at=3),
        attempt("DockerTimeoutError: Could not transition to started", status="Task failed to start", at=4),
        attempt(code=75, at=5),
        attempt(code=0, at=6),
    ]
    job = batch("SUCCEEDED", attempts=tries)
    found = batch_attempts(SHARDS, job, "shard-00002", said={1: "ValueError: bad row"}, first=2)
    assert [(each.number, each.state, each.reason) for each in found] == [
        (2, State.FAILED, "ValueError: bad row"),
        (3, State.INTERRUPTED, "interrupted: the machine was lost: Host EC2 (instance i-0abc) terminated."),
        (4, State.INTERRUPTED, "interrupted: the image could not be pulled: timeout"),
        (
            5,
            State.INTERRUPTED,
            "interrupted: the container could not be started:"
            " DockerTimeoutError: Could not transition to started",
        ),
        (6, State.FAILED, "exit status 75"),
        (7, State.SUCCEEDED, ""),
    ]
    assert {each.task for each in found} == {"shard-00002"}
    assert (found[0].started, found[0].finished) == (1.0, 1.5)


def test_the_last_attempt_ends_as_the_job_did() -> None:
    job = failed("OutOfMemoryError: Container killed due to memory usage", 137)
    (found,) = batch_attempts(SHARDS, job | {"attempts": [attempt(code=137)]}, "plan")
    assert found.state is State.FAILED
    assert found.reason.startswith("out of memory")
    stopped = batch("FAILED", statusReason="stopped by user ana", attempts=[attempt(code=143)])
    (found,) = batch_attempts(SHARDS, stopped, "plan")
    assert (found.state, found.reason) == (State.STOPPED, "stopped on request")


def test_an_attempt_that_runs_is_told_after_those_that_ended() -> None:
    job = batch("RUNNING", attempts=[attempt(code=75)], startedAt=9_000)
    first, second = batch_attempts(SHARDS, job, "shard-00000")
    assert first.state is State.FAILED
    assert (second.number, second.state, second.started, second.finished) == (2, State.RUNNING, 9.0, None)
    assert batch_attempts(SHARDS, batch("RUNNABLE"), "plan") == ()


@pytest.mark.parametrize(
    ("code", "message", "told"),
    [
        (
            "ResourceLimitExceeded",
            "The account-level service limit 'ml.p4d.24xlarge for spot training job usage' is 0 Instances,"
            " with current utilization of 0 Instances and a request delta of 1 Instances.",
            "the account's quota of ml.m5.xlarge for spot training is 0; ask for more in AWS Service Quotas",
        ),
        (
            "ValidationException",
            'No S3 objects found under S3 URL "s3://bucket/none" given in input data source.',
            "s3://bucket/none: there is nothing",
        ),
        (
            "ValidationException",
            "Invalid training image. Please provide a valid Amazon Elastic Container Registry path.",
            "the image cannot be used: Invalid training image.",
        ),
    ],
)
def test_what_sagemaker_refuses_for_the_jobs_sake_is_bad_input(code: str, message: str, told: str) -> None:
    found = reasons.submission_refused(code, message, JOB)
    assert found is not None
    assert found.cause.bad_input is True
    assert found.reason.startswith(told)


@pytest.mark.parametrize("code", ["AccessDeniedException", "ThrottlingException", "ValidationException"])
def test_what_sagemaker_refuses_otherwise_is_not_the_jobs_fault(code: str) -> None:
    assert reasons.submission_refused(code, "no", JOB) is None


def test_no_state_is_unknown_to_the_tables() -> None:
    known = {state for table in TRAINING.values() for state in table.values()} | set(BATCH.values())
    assert known == set(State)
    assert isinstance(SHARDS, InferenceJob)
    assert set(states.TIMEOUTS) <= TRAINING["Stopped"].keys()
