"""Array jobs of AWS Batch: children, their parent, dependencies between arrays."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from .batch import Batch
from .conftest import RunningSandbox


@pytest.fixture(scope="module")
def batch(sandbox: RunningSandbox) -> Batch:
    return Batch(sandbox)


def test_an_array_runs_a_child_for_each_index_and_succeeds_with_all_of_them(batch: Batch) -> None:
    id = batch.submit(
        "echo $AWS_BATCH_JOB_ID $AWS_BATCH_JOB_ARRAY_INDEX of $AWS_BATCH_JOB_ARRAY_SIZE",
        arrayProperties={"size": 3},
        tags={"whose": "mine"},
    )
    parent = batch.end_of(id)
    assert parent["status"] == "SUCCEEDED"
    assert parent["arrayProperties"]["size"] == 3
    assert parent["arrayProperties"]["statusSummary"] == {
        **dict.fromkeys(("SUBMITTED", "PENDING", "RUNNABLE", "STARTING", "RUNNING", "FAILED"), 0),
        "SUCCEEDED": 3,
    }
    assert parent["attempts"] == []
    children = batch.client.describe_jobs(jobs=[f"{id}:{index}" for index in range(3)])["jobs"]
    assert [child["arrayProperties"] for child in children] == [{"index": index} for index in range(3)]
    assert [child["tags"] for child in children] == [{"whose": "mine"}] * 3
    assert [batch.log(child) for child in children] == [[f"{id}:{n} {n} of 3"] for n in range(3)]


def test_an_array_with_a_failed_child_runs_the_others_and_fails(batch: Batch) -> None:
    id = batch.submit('test "$AWS_BATCH_JOB_ARRAY_INDEX" != 1', arrayProperties={"size": 4})
    parent = batch.end_of(id)
    assert (parent["status"], parent["statusReason"]) == ("FAILED", "Array Child Job failed")
    summary = parent["arrayProperties"]["statusSummary"]
    assert (summary["SUCCEEDED"], summary["FAILED"]) == (3, 1)
    failed = batch.client.list_jobs(arrayJobId=id, jobStatus="FAILED")["jobSummaryList"]
    assert [each["arrayProperties"]["index"] for each in failed] == [1]
    assert failed[0]["container"]["exitCode"] == 1


def test_a_parent_is_pending_while_its_children_run_and_they_are_counted(batch: Batch) -> None:
    id = batch.submit("sleep 30", arrayProperties={"size": 2})
    parent = batch.wait(id, lambda job: job["arrayProperties"]["statusSummary"]["RUNNING"])
    assert parent["status"] == "PENDING"
    batch.client.terminate_job(jobId=id, reason="seen enough")
    batch.end_of(id)


def test_terminating_a_parent_ends_all_children_with_its_reason(batch: Batch) -> None:
    id = batch.submit("sleep 60", arrayProperties={"size": 20})
    batch.wait(id, lambda job: job["arrayProperties"]["statusSummary"]["RUNNING"])
    batch.client.terminate_job(jobId=id, reason="stopped by trainyard")
    parent = batch.end_of(id)
    assert (parent["status"], parent["statusReason"]) == ("FAILED", "stopped by trainyard")
    children = batch.client.list_jobs(arrayJobId=id, jobStatus="FAILED")["jobSummaryList"]
    assert [child["arrayProperties"]["index"] for child in children] == list(range(20))
    assert {child["statusReason"] for child in children} == {"stopped by trainyard"}


def test_one_child_can_be_terminated_alone(batch: Batch) -> None:
    id = batch.submit('test "$AWS_BATCH_JOB_ARRAY_INDEX" = 0 || sleep 60', arrayProperties={"size": 2})
    batch.wait_for(f"{id}:1", "RUNNING")
    batch.client.terminate_job(jobId=f"{id}:1", reason="only this")
    parent = batch.end_of(id)
    assert parent["statusReason"] == "Array Child Job failed"
    assert batch.describe(f"{id}:0")["status"] == "SUCCEEDED"
    assert batch.describe(f"{id}:1")["statusReason"] == "only this"


def test_a_lost_machine_takes_one_child_which_is_tried_again(batch: Batch) -> None:
    strategy = {
        "attempts": 3,
        "evaluateOnExit": [
            {"onStatusReason": "Host EC2*", "action": "RETRY"},
            {"onReason": "*", "action": "EXIT"},
        ],
    }
    command = 'test "$AWS_BATCH_JOB_ARRAY_INDEX$AWS_BATCH_JOB_ATTEMPT" != 11 || sleep 60'
    id = batch.submit(command, arrayProperties={"size": 2}, retryStrategy=strategy)
    batch.wait_for(f"{id}:1", "RUNNING")
    assert batch.sandbox.control("lose", run=f"{id}:1") == {"interrupted": [f"{id}:1"]}
    assert batch.end_of(id)["status"] == "SUCCEEDED"
    assert len(batch.describe(f"{id}:1")["attempts"]) == 2
    assert len(batch.describe(f"{id}:0")["attempts"]) == 1


def test_what_depends_on_an_array_waits_for_all_of_it(batch: Batch) -> None:
    array = batch.submit("sleep 0.1", arrayProperties={"size": 3})
    after = batch.end_of(batch.submit("true", dependsOn=[{"jobId": array}]))
    assert after["status"] == "SUCCEEDED"
    assert batch.describe(array)["stoppedAt"] <= after["startedAt"]


def test_plan_array_and_commit_run_in_this_order(batch: Batch) -> None:
    plan = batch.submit("sleep 0.2")
    array = batch.submit("sleep 0.1", arrayProperties={"size": 2}, dependsOn=[{"jobId": plan}])
    commit = batch.submit("true", dependsOn=[{"jobId": array}])
    assert batch.end_of(commit)["status"] == "SUCCEEDED"
    children = batch.client.describe_jobs(jobs=[f"{array}:0", f"{array}:1"])["jobs"]
    assert all(batch.describe(plan)["stoppedAt"] <= child["startedAt"] for child in children)


def test_a_failed_plan_fails_the_array_before_it_has_children(batch: Batch) -> None:
    plan = batch.submit("sleep 0.3; exit 1")
    array = batch.submit("true", arrayProperties={"size": 2}, dependsOn=[{"jobId": plan}])
    commit = batch.submit("true", dependsOn=[{"jobId": array}])
    assert batch.end_of(commit)["statusReason"] == "Dependent Job failed"
    assert batch.describe(array)["statusReason"] == "Dependent Job failed"
    assert batch.client.describe_jobs(jobs=[f"{array}:0"])["jobs"] == []


def test_sequential_children_run_one_after_the_other(batch: Batch) -> None:
    id = batch.submit("true", arrayProperties={"size": 3}, dependsOn=[{"type": "SEQUENTIAL"}])
    assert batch.end_of(id)["status"] == "SUCCEEDED"
    children = batch.client.describe_jobs(jobs=[f"{id}:{n}" for n in range(3)])["jobs"]
    assert children[0]["stoppedAt"] <= children[1]["startedAt"]
    assert children[1]["stoppedAt"] <= children[2]["startedAt"]


def test_a_sequential_child_that_fails_fails_all_after_it_however_many(batch: Batch) -> None:
    id = batch.submit("exit 1", arrayProperties={"size": 3000}, dependsOn=[{"type": "SEQUENTIAL"}])
    parent = batch.end_of(id)
    assert parent["arrayProperties"]["statusSummary"]["FAILED"] == 3000
    assert batch.describe(f"{id}:0")["statusReason"] == "Essential container in task exited"
    assert batch.describe(f"{id}:2999")["statusReason"] == "Dependent Job failed"


def test_n_to_n_children_wait_for_the_child_of_their_index(batch: Batch) -> None:
    first = batch.submit('test "$AWS_BATCH_JOB_ARRAY_INDEX" != 1', arrayProperties={"size": 3})
    second = batch.submit("true", arrayProperties={"size": 3}, dependsOn=[{"jobId": first, "type": "N_TO_N"}])
    parent = batch.end_of(second)
    assert (parent["status"], parent["statusReason"]) == ("FAILED", "Array Child Job failed")
    children = batch.client.describe_jobs(jobs=[f"{second}:{n}" for n in range(3)])["jobs"]
    assert [child["status"] for child in children] == ["SUCCEEDED", "FAILED", "SUCCEEDED"]
    assert children[1]["statusReason"] == "Dependent Job failed"


def test_a_thousand_tiny_children_take_no_thread_each_and_hold_nobody_up(batch: Batch) -> None:
    id = batch.submit("true", arrayProperties={"size": 1000})
    batch.wait(id, lambda job: job["arrayProperties"]["statusSummary"]["SUCCEEDED"] > 10)
    status = Path(f"/proc/{batch.sandbox.process.pid}/status").read_text()
    [threads] = [int(line.split()[1]) for line in status.splitlines() if line.startswith("Threads:")]
    assert threads < 50
    started = time.monotonic()
    assert batch.end_of(batch.submit("true"))["status"] == "SUCCEEDED"
    assert time.monotonic() - started < 5, "it waited for the whole array"
    batch.client.terminate_job(jobId=id, reason="seen enough")
    batch.end_of(id)


def test_a_job_that_is_named_twice_is_waited_for_once(batch: Batch) -> None:
    before = {"jobId": batch.submit("sleep 0.2")}
    array = batch.submit("echo once", arrayProperties={"size": 2}, dependsOn=[before, before])
    assert batch.end_of(array)["arrayProperties"]["statusSummary"]["SUCCEEDED"] == 2
    assert len(batch.describe(f"{array}:0")["attempts"]) == 1
