"""Jobs of AWS Batch that really run: statuses, attempts, logs, ends."""

from __future__ import annotations

import re
import time
from typing import Any

import botocore.exceptions
import pytest

from conftest import becomes_true

from .batch import Batch
from .conftest import RunningSandbox

RETRY_LOST = {
    "attempts": 10,
    "evaluateOnExit": [
        {"onStatusReason": "Host EC2*", "action": "RETRY"},
        {"onReason": "CannotPullContainerError:*", "action": "RETRY"},
        {"onExitCode": "75", "action": "RETRY"},
        {"onReason": "*", "action": "EXIT"},
        {"onExitCode": "*", "action": "EXIT"},
    ],
}


@pytest.fixture(scope="module")
def batch(sandbox: RunningSandbox) -> Batch:
    return Batch(sandbox)


def test_a_job_runs_its_command_and_succeeds(batch: Batch) -> None:
    job = batch.end_of(batch.submit("echo one; echo two >&2; printf three"))
    assert job["status"] == "SUCCEEDED"
    assert job["statusReason"] == "Essential container in task exited"
    assert job["container"]["exitCode"] == 0
    assert batch.log(job) == ["one", "two", "three"]
    assert job["createdAt"] <= job["startedAt"] <= job["stoppedAt"]
    [attempt] = job["attempts"]
    assert attempt["startedAt"] == job["startedAt"]
    assert re.fullmatch(r"inference/default/[0-9a-f]{32}", attempt["container"]["logStreamName"])
    assert attempt["container"]["taskArn"].endswith(attempt["container"]["logStreamName"].rpartition("/")[2])


def test_a_quiet_job_has_a_log_stream_with_nothing_in_it(batch: Batch) -> None:
    assert batch.log(batch.end_of(batch.submit("true"))) == []


def test_a_job_that_fails_says_with_which_exit_code(batch: Batch) -> None:
    job = batch.end_of(batch.submit("exit 3"))
    assert (job["status"], job["container"]["exitCode"]) == ("FAILED", 3)
    assert job["statusReason"] == "Essential container in task exited"
    assert len(job["attempts"]) == 1


def test_a_program_that_is_not_there_fails_as_a_container_does(batch: Batch) -> None:
    job = batch.end_of(batch.submit(["no-such-program"]))
    assert (job["status"], job["statusReason"]) == ("FAILED", "Task failed to start")
    assert job["container"]["reason"].startswith("CannotStartContainerError: ")
    assert 'exec: "no-such-program": executable file not found in' in job["container"]["reason"]
    assert "startedAt" not in job
    assert "logStreamName" not in job["container"]


def test_the_container_has_what_batch_puts_into_it_and_nothing_of_the_servers(batch: Batch) -> None:
    overrides = {"environment": [{"name": "MINE", "value": "a b"}]}
    id = batch.submit("env; echo has=$(ls -A /opt/ml); touch /opt/ml/x", overrides=overrides)
    lines = batch.log(batch.end_of(id))
    found = dict(line.split("=", 1) for line in lines if "=" in line)
    assert found["AWS_BATCH_JOB_ID"] == id
    assert found["AWS_BATCH_JOB_ATTEMPT"] == "1"
    assert found["AWS_BATCH_JQ_NAME"] == batch.queue
    assert found["AWS_BATCH_CE_NAME"]
    assert found["MINE"] == "a b"
    assert found["AWS_ENDPOINT_URL"] == batch.sandbox.address["endpoint"]
    assert found["AWS_CONTAINER_CREDENTIALS_FULL_URI"].startswith(found["AWS_ENDPOINT_URL"])
    assert not found.keys() & {"AWS_ACCESS_KEY_ID", "AWS_BATCH_JOB_ARRAY_INDEX", "AWS_BATCH_JOB_ARRAY_SIZE"}
    assert found["has"] == "", "/opt/ml is an empty folder of the job's own"


def test_what_the_rules_retry_is_tried_again_and_counted(batch: Batch) -> None:
    command = 'echo attempt $AWS_BATCH_JOB_ATTEMPT; test "$AWS_BATCH_JOB_ATTEMPT" = 3 || exit 75'
    job = batch.end_of(batch.submit(command, retryStrategy=RETRY_LOST))
    assert job["status"] == "SUCCEEDED"
    assert [each["container"]["exitCode"] for each in job["attempts"]] == [75, 75, 0]
    assert len({each["container"]["logStreamName"] for each in job["attempts"]}) == 3
    assert [batch.log(job, number) for number in range(3)] == [[f"attempt {n}"] for n in (1, 2, 3)]


def test_without_rules_a_failure_is_tried_as_often_as_attempts_say(batch: Batch) -> None:
    job = batch.end_of(batch.submit("exit 1", retryStrategy={"attempts": 2}))
    assert (job["status"], len(job["attempts"])) == ("FAILED", 2)


def test_a_lost_machine_is_told_and_the_job_tried_again(batch: Batch) -> None:
    command = 'echo up; test "$AWS_BATCH_JOB_ATTEMPT" = 2 || sleep 60'
    id = batch.submit(command, retryStrategy=RETRY_LOST)
    batch.wait_for(id, "RUNNING")
    assert batch.sandbox.control("lose", run=id) == {"interrupted": [id]}
    job = batch.end_of(id)
    assert job["status"] == "SUCCEEDED"
    lost = job["attempts"][0]
    assert re.fullmatch(r"Host EC2 \(instance i-[0-9a-f]{17}\) terminated\.", lost["statusReason"])
    assert "exitCode" not in lost["container"]


def test_an_image_that_is_not_there_is_told_in_dockers_words_and_tried_again(batch: Batch) -> None:
    account = batch.queue_arn.split(":")[4]
    region = batch.sandbox.address["region"]
    made = batch.client.register_job_definition(
        jobDefinitionName="no-image",
        type="container",
        containerProperties={
            "image": f"{account}.dkr.ecr.{region}.amazonaws.com/nowhere@sha256:{'0' * 64}",
            "resourceRequirements": [{"type": "VCPU", "value": "1"}, {"type": "MEMORY", "value": "64"}],
        },
    )
    strategy = {**RETRY_LOST, "attempts": 2}
    job = batch.end_of(batch.submit("true", jobDefinition=made["jobDefinitionArn"], retryStrategy=strategy))
    assert (job["status"], job["statusReason"], len(job["attempts"])) == ("FAILED", "Task failed to start", 2)
    assert job["container"]["reason"].startswith("CannotPullContainerError: ")


def test_any_image_can_be_made_to_miss(batch: Batch) -> None:
    image = batch.client.describe_job_definitions(jobDefinitionName=batch.definition)["jobDefinitions"][0]
    batch.sandbox.control("batch/images", missing=[image["containerProperties"]["image"]])
    try:
        job = batch.end_of(batch.submit("true", retryStrategy={"attempts": 1}))
    finally:
        batch.sandbox.control("batch/images", missing=[])
    assert "CannotPullContainerError" in job["container"]["reason"]
    assert batch.end_of(batch.submit("true"))["status"] == "SUCCEEDED"


def test_a_terminated_job_gets_sigterm_and_keeps_the_reason(batch: Batch) -> None:
    command = "trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.05; done"
    id = batch.submit(command, retryStrategy={"attempts": 5})
    running = batch.wait_for(id, "RUNNING")
    assert becomes_true(lambda: batch.log({**running, "attempts": [{"container": running["container"]}]}))
    batch.client.terminate_job(jobId=id, reason="not wanted any more")
    job = batch.end_of(id)
    assert (job["status"], job["statusReason"]) == ("FAILED", "not wanted any more")
    assert job["isTerminated"]
    assert len(job["attempts"]) == 1
    assert batch.log(job)[-1] == "bye"


def test_a_job_that_waits_is_cancelled_and_never_runs(batch: Batch) -> None:
    first = batch.submit("sleep 60")
    id = batch.submit("true", dependsOn=[{"jobId": first}])
    batch.wait_for(id, "PENDING")
    batch.client.cancel_job(jobId=id, reason="changed my mind")
    assert batch.describe(id)["isCancelled"]
    assert batch.describe(id)["status"] == "PENDING", "it ends when what it waits for has ended"
    batch.client.terminate_job(jobId=first, reason="done with it")
    job = batch.end_of(id)
    assert (job["status"], job["statusReason"]) == ("FAILED", "changed my mind")
    assert job["attempts"] == []


def test_cancelling_does_nothing_to_a_job_that_runs(batch: Batch) -> None:
    id = batch.submit("sleep 1")
    batch.wait_for(id, "RUNNING")
    batch.client.cancel_job(jobId=id, reason="too late")
    assert batch.end_of(id)["status"] == "SUCCEEDED"


def test_ending_a_job_that_is_not_known_is_silent(batch: Batch) -> None:
    batch.client.terminate_job(jobId="00000000-0000-0000-0000-000000000000", reason="gone")
    batch.client.cancel_job(jobId="00000000-0000-0000-0000-000000000000", reason="gone")


def test_an_attempt_that_takes_too_long_is_ended_and_not_tried_again(batch: Batch) -> None:
    # Batch takes no timeout below a minute: the stack's own is shortened where nobody checks it.
    strategy = {"attempts": 3}
    id = batch.submit("sleep 90", timeout={"attemptDurationSeconds": 60}, retryStrategy=strategy)
    assert batch.wait_for(id, "RUNNING")["timeout"] == {"attemptDurationSeconds": 60}
    batch.client.terminate_job(jobId=id, reason="the rest is tested by the scheduler's own tests")
    assert len(batch.end_of(id)["attempts"]) == 1


def test_more_memory_than_asked_for_ends_a_job_as_out_of_memory(batch: Batch) -> None:
    overrides = {"resourceRequirements": [{"type": "MEMORY", "value": "200"}]}
    command = ["python3", "-c", "import time; x = b'1' * (400 << 20); time.sleep(60)"]
    job = batch.end_of(batch.submit(command, overrides=overrides))
    assert (job["status"], job["container"]["exitCode"]) == ("FAILED", 137)
    assert job["container"]["reason"] == "OutOfMemoryError: Container killed due to memory usage"


def test_memory_of_a_child_in_a_session_of_its_own_counts_too(batch: Batch) -> None:
    overrides = {"resourceRequirements": [{"type": "MEMORY", "value": "200"}]}
    child = "import time; x = b'1' * (400 << 20); time.sleep(60)"
    parent = (
        f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}], start_new_session=True)"
    )
    job = batch.end_of(batch.submit(["python3", "-c", parent], overrides=overrides))
    assert job["container"]["reason"].startswith("OutOfMemoryError")


def test_dependencies_run_one_after_the_other(batch: Batch) -> None:
    first = batch.submit("sleep 0.3")
    second = batch.submit("true", dependsOn=[{"jobId": first}])
    third = batch.submit("true", dependsOn=[{"jobId": first}, {"jobId": second}])
    jobs = [batch.end_of(id) for id in (first, second, third)]
    assert [job["status"] for job in jobs] == ["SUCCEEDED"] * 3
    assert jobs[0]["stoppedAt"] <= jobs[1]["startedAt"] <= jobs[1]["stoppedAt"] <= jobs[2]["startedAt"]
    assert jobs[2]["dependsOn"] == [{"jobId": first}, {"jobId": second}]


def test_a_failed_dependency_fails_what_waits_for_it(batch: Batch) -> None:
    first = batch.submit("exit 1")
    second = batch.submit("true", dependsOn=[{"jobId": first}])
    third = batch.submit("true", dependsOn=[{"jobId": second}])
    job = batch.end_of(third)
    assert (job["status"], job["statusReason"]) == ("FAILED", "Dependent Job failed")
    assert batch.describe(second)["statusReason"] == "Dependent Job failed"
    late = batch.end_of(batch.submit("true", dependsOn=[{"jobId": first}]))
    assert late["statusReason"] == "Dependent Job failed"


def test_overrides_that_ecs_refuses_fail_the_job_and_not_the_request(batch: Batch) -> None:
    job = batch.end_of(batch.submit("# " + "x" * 8200))
    assert job["status"] == "FAILED"
    assert job["statusReason"] == "Container Overrides length must be at most 8192"
    assert job["attempts"] == []


def test_parameters_are_put_into_the_command(batch: Batch) -> None:
    made = batch.client.register_job_definition(
        jobDefinitionName="with-parameters",
        type="container",
        parameters={"who": "nobody", "what": "hello"},
        containerProperties={
            "image": "busybox",
            "command": ["echo", "Ref::what", "to Ref::who!"],
            "resourceRequirements": [{"type": "VCPU", "value": "1"}, {"type": "MEMORY", "value": "64"}],
        },
    )
    id = batch.client.submit_job(
        jobName="greets",
        jobQueue=batch.queue,
        jobDefinition=made["jobDefinitionName"],
        parameters={"who": "you"},
    )["jobId"]
    job = batch.end_of(id)
    assert job["parameters"] == {"who": "you", "what": "hello"}
    stream = job["container"]["logStreamName"]
    assert stream.startswith("with-parameters/default/")
    assert batch.lines("/aws/batch/job", stream) == ["hello to you!"]


def test_a_log_group_that_is_not_there_fails_as_dockers_log_driver_does(batch: Batch) -> None:
    options = {"awslogs-group": "nowhere", "awslogs-stream-prefix": "x"}
    made = batch.client.register_job_definition(
        jobDefinitionName="no-group",
        type="container",
        containerProperties={
            "image": "busybox",
            "logConfiguration": {"logDriver": "awslogs", "options": options},
            "resourceRequirements": [{"type": "VCPU", "value": "1"}, {"type": "MEMORY", "value": "64"}],
        },
    )
    job = batch.end_of(batch.submit("true", jobDefinition=made["jobDefinitionArn"]))
    assert "The specified log group does not exist" in job["container"]["reason"]


def test_a_capacity_shortage_keeps_jobs_runnable_and_says_why(batch: Batch) -> None:
    batch.sandbox.control("settings", has_capacity=False)
    try:
        id = batch.submit("true")
        job = batch.wait(id, lambda job: "statusReason" in job)
        assert job["status"] == "RUNNABLE"
        assert job["statusReason"].startswith("CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY")
        snapshot = batch.client.get_job_queue_snapshot(jobQueue=batch.queue)["frontOfQueue"]["jobs"]
        assert [each["jobArn"].rpartition("/")[2] for each in snapshot] == [id]
    finally:
        batch.sandbox.control("settings", has_capacity=True)
    assert batch.end_of(id)["status"] == "SUCCEEDED"


def test_a_slow_start_keeps_jobs_waiting_for_their_machine(batch: Batch) -> None:
    batch.sandbox.control("settings", start_seconds=1)
    try:
        job = batch.end_of(batch.submit("true"))
    finally:
        batch.sandbox.control("settings", start_seconds=0)
    assert job["startedAt"] - job["createdAt"] >= 1000


def test_a_job_larger_than_any_machine_waits_and_says_why(batch: Batch) -> None:
    overrides = {"resourceRequirements": [{"type": "VCPU", "value": "1000"}]}
    id = batch.submit("true", overrides=overrides)
    job = batch.wait(id, lambda job: "statusReason" in job)
    assert job["statusReason"].startswith("MISCONFIGURATION:COMPUTE_ENVIRONMENT_MAX_RESOURCE")
    batch.client.cancel_job(jobId=id, reason="never")
    assert batch.end_of(id)["statusReason"] == "never"


def test_a_request_signed_with_the_jobs_role_is_held_to_it(batch: Batch) -> None:
    command = (
        "import boto3, botocore.exceptions\n"
        "print(boto3.client('sts').get_caller_identity()['Arn'])\n"
        "try: boto3.client('batch').list_jobs(jobQueue='x')\n"
        "except botocore.exceptions.ClientError as error: print(error.response['Error']['Code'])\n"
    )
    lines = batch.log(batch.end_of(batch.submit(["python3", "-c", command])))
    assert ":assumed-role/trainyard-sandbox-InferenceJobRole" in lines[0]
    assert lines[1] == "AccessDeniedException"


def refusal(call: Any, **parameters: Any) -> str:
    """What Batch refuses a call with."""
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        call(**parameters)
    assert caught.value.response["Error"]["Code"] == "ClientException"
    return str(caught.value.response["Error"]["Message"])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"jobQueue": "nowhere"}, "JobQueue nowhere not found."),
        (
            {"jobDefinition": "no-such"},
            "JobDefinition name no-such does not exist or is not in ACTIVE status",
        ),
        ({"jobDefinition": "trainyard-sandbox-inference:99"}, "does not exist or is not in ACTIVE status"),
        ({"jobDefinition": "a:latest"}, "Provided name a:latest is not supported pattern"),
        ({"jobName": "with spaces"}, "Exception : Job name should match valid pattern, RequestId"),
        ({"arrayProperties": {"size": 1}}, "Array size must be between 2 and 10000"),
        ({"arrayProperties": {"size": 10_001}}, "Array size must be between 2 and 10000"),
        ({"dependsOn": [{"jobId": "x"}]}, "Job x does not exist"),
        ({"dependsOn": [{"jobId": "x"}] * 21}, "maximum of 20 jobs"),
        ({"dependsOn": [{"type": "SEQUENTIAL"}]}, "only supported for array jobs"),
        ({"timeout": {"attemptDurationSeconds": 59}}, "at least 60 seconds"),
        ({"retryStrategy": {"attempts": 11}}, "between 1 and 10"),
        (
            {"overrides": {"environment": [{"name": "AWS_BATCH_X", "value": "y"}]}},
            "cannot start with AWS_BATCH",
        ),
        (
            {"overrides": {"environment": [{"name": "A", "value": "y" * 40_000}]}},
            "less than 30 KiB, got 40 KiB",
        ),
        ({"overrides": {"command": ["a", ""]}}, "empty strings"),
        ({"overrides": {"command": ["Ref::who"]}}, "No parameter found for reference who"),
        ({"tags": {str(n): "" for n in range(51)}}, "less than or equal to 50"),
    ],
)
def test_submitting_is_refused_in_batchs_words(batch: Batch, options: dict[str, Any], words: str) -> None:
    assert words in refusal(batch.submit, **options)


def test_a_lowercase_action_is_accepted_as_batch_does(batch: Batch) -> None:
    strategy = {"attempts": 2, "evaluateOnExit": [{"onExitCode": "4", "action": "exit"}]}
    job = batch.end_of(batch.submit("exit 4", retryStrategy=strategy))
    assert len(job["attempts"]) == 1


def test_jobs_of_a_second_are_started_in_fractions_of_it(batch: Batch) -> None:
    started = time.monotonic()
    batch.end_of(batch.submit("true"))
    assert time.monotonic() - started < 5
