"""The engine of an account beyond the contract: what is sent, how often, and what a broken launch leaves."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import trainyard
from conftest import PATIENCE, Project, becomes_true, texts, wait_for_line
from promises.inference import DOUBLE, HOLD
from promises.training import FOREVER
from sandbox.conftest import RunningSandbox
from trainyard import BadInput, State, Yard
from trainyard.aws import engine as aws_engine
from trainyard.aws.account import names
from trainyard.aws.account.session import Session
from trainyard.aws.batch import service as batch_service
from trainyard.aws.batch.jobs import BatchJobs
from trainyard.aws.s3.ledger import S3Ledger
from trainyard.aws.sagemaker import jobs as training_jobs
from trainyard.core.errors import AccountRefused
from trainyard.core.ports.engine import RunQuery
from trainyard.core.runs.run import Observation, Run
from trainyard.yard import ids

from .conftest import Reached, reach

SAVE = "import os\nopen(os.environ['SM_MODEL_DIR'] + '/weights', 'w').write('w')\nprint('loss=0.5')\n"


class Broken(Exception):
    """The command died."""


@pytest.fixture
def yard(sandbox_yard: Yard) -> Yard:
    return sandbox_yard


def break_at(
    session: Session, monkeypatch: pytest.MonkeyPatch, operation: str, *, after: bool, nth: int = 1
) -> None:
    """Have the command die at the n-th call of `operation`: before it is sent, or after it was
    heard.
    """
    verb = "call_once" if operation == "submit_job" else "call"
    call, count = getattr(session, verb), 0

    def broken(service: str, name: str, **parameters: Any) -> Any:
        nonlocal count
        count += name == operation
        if name == operation and count == nth:
            if after:
                call(service, name, **parameters)
            raise Broken
        return call(service, name, **parameters)

    monkeypatch.setattr(session, verb, broken)


def calls(session: Session, do: Callable[[], object]) -> int:
    """How many requests it takes."""
    counted = session.counted
    before = counted.total()
    do()
    return int(counted.total() - before)


def batch_names(sandbox: RunningSandbox, run_id: str) -> list[str]:
    batch = sandbox.client("batch")
    queue = next(each for each in batch.describe_job_queues()["jobQueues"])["jobQueueArn"]
    found = batch.list_jobs(jobQueue=queue, filters=[{"name": "JOB_NAME", "values": [f"*{run_id}*"]}])
    if not found["jobSummaryList"]:
        name = f"trainyard-sandbox-{run_id}-*"
        found = batch.list_jobs(jobQueue=queue, filters=[{"name": "JOB_NAME", "values": [name]}])
    return sorted(
        each["jobName"].removeprefix(f"trainyard-sandbox-{run_id}-") for each in found["jobSummaryList"]
    )


def test_submitting_what_is_known_takes_few_requests(yard: Yard, project: Project, tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("x\n1\n")
    job = project.training("print('here')", channels={"train": str(tmp_path / "rows.csv")})
    yard.train(job).wait(timeout=PATIENCE)
    anew = reach()
    # The two that read the environment's facts were sent by connect().
    assert calls(anew.session, lambda: anew.yard.train(job)) + 2 <= 8


def test_listing_a_hundred_settled_runs_takes_three_requests(
    yard: Yard, reached: Reached, project: Project
) -> None:
    plan = yard.plan_training(project.training(""))
    ledger = S3Ledger(reached.session, reached.deployment)
    ended = Observation(state=State.SUCCEEDED, reason="completed", metrics={"loss": 0.5})
    for number in range(100):
        run = plan.replace(id=f"toy-{number:07d}", created=plan.created + number)
        ledger.submit(run)
        ledger.settle(run.observed(ended))
    assert [run.id for run in yard.runs(limit=2)] == ["toy-0000099", "toy-0000098"]
    assert len(yard.runs()) == 100
    anew = reach()
    assert calls(anew.session, anew.yard.runs) <= 3
    assert len(anew.yard.runs()) == 100
    assert anew.yard.runs()[0].metrics == {"loss": 0.5}


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_a_training_launch_that_died_and_is_repeated_makes_one_job(
    reached: Reached, yard: Yard, project: Project, monkeypatch: pytest.MonkeyPatch, after: bool
) -> None:
    with monkeypatch.context() as patch:
        break_at(reached.session, patch, "create_training_job", after=after)
        with pytest.raises(Broken):
            yard.train(project.training("print('once')"))
    [run] = yard.runs()
    yard.engine.launch(run)
    yard.engine.launch(run)
    assert yard.wait(run, timeout=PATIENCE).state is State.SUCCEEDED
    assert texts(yard.get(run.id)) == ["once"]


@pytest.mark.parametrize(("after", "nth"), [(False, 1), (True, 1), (True, 2), (False, 3), (True, 3)])
def test_an_inference_launch_that_died_and_is_repeated_submits_what_is_missing(
    reached: Reached,
    yard: Yard,
    project: Project,
    model: Path,
    rows: Path,
    sandbox: RunningSandbox,
    monkeypatch: pytest.MonkeyPatch,
    after: bool,
    nth: int,
) -> None:
    with monkeypatch.context() as patch:
        break_at(reached.session, patch, "submit_job", after=after, nth=nth)
        with pytest.raises(Broken):
            yard.infer(project.inference(DOUBLE, shards=2), model=str(model), input=str(rows))
    # Another command, which knows nothing of the ids.
    anew = trainyard.connect("sandbox")
    [run] = anew.runs()
    assert not run.state.ended
    anew.engine.launch(run)
    assert anew.wait(run, timeout=PATIENCE).reason == "predicted 200 rows"
    assert batch_names(sandbox, run.id) == ["1-commit", "1-plan", "1-shards"]


def test_a_launch_that_never_reached_aws_ends_as_cut_off_and_is_resumed(
    reached: Reached, yard: Yard, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        break_at(reached.session, patch, "create_training_job", after=False)
        with pytest.raises(Broken):
            yard.train(project.training("print('here')"))
    [run] = yard.runs()
    assert run.state is State.QUEUED
    monkeypatch.setattr(aws_engine, "_SOON", -1.0)
    ended = yard.observe(run)
    assert ended.state is State.FAILED and "ended before AWS had all of it" in ended.reason
    again = yard.resume(ended).wait(timeout=PATIENCE)
    assert (again.state, texts(again)) == (State.SUCCEEDED, ["here"])


def test_a_run_that_never_reached_aws_is_stopped(
    reached: Reached, yard: Yard, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        break_at(reached.session, patch, "create_training_job", after=False)
        with pytest.raises(Broken):
            yard.train(project.training(""))
    [run] = yard.runs()
    yard.stop(run)
    assert yard.get(run.id).state is State.STOPPED
    assert yard.get(run.id).reason == "stopped on request"


def test_a_run_that_waits_for_machines_is_stopped(
    yard: Yard, project: Project, sandbox: RunningSandbox
) -> None:
    sandbox.control("settings", has_capacity=False)
    try:
        run = yard.train(project.training(FOREVER))
        assert becomes_true(lambda: run.state in (State.QUEUED, State.STARTING))
        assert run.stop().state is State.STOPPED
        assert (run.attempts, run.reason) == ((), "stopped on request")
    finally:
        sandbox.control("settings", has_capacity=True)


def test_what_aws_refuses_is_told_and_the_run_has_failed(
    reached: Reached, yard: Yard, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = reached.session
    call = session.call

    def refused(service: str, name: str, **parameters: Any) -> Any:
        if name == "create_training_job":
            told = "The account-level service limit 'ml.m5.xlarge for spot training job usage' is 0 Instances"
            raise AccountRefused(told, code="ResourceLimitExceeded", message=told)
        return call(service, name, **parameters)

    monkeypatch.setattr(session, "call", refused)
    with pytest.raises(BadInput, match=r"quota of ml\.m5\.xlarge for spot training is 0"):
        yard.train(project.training(""))
    [run] = yard.runs()
    assert run.state is State.FAILED and "quota" in run.reason


def test_batch_forgets_and_the_run_is_judged_by_what_it_left(
    yard: Yard, project: Project, model: Path, rows: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = yard.infer(project.inference(DOUBLE), model=str(model), input=str(rows)).wait(timeout=PATIENCE)
    assert good.state is State.SUCCEEDED
    bad = yard.infer(
        project.inference(HOLD.format(what="raise RuntimeError('ill')"), retries=0),
        model=str(model),
        input=str(rows),
    )
    assert bad.wait(timeout=PATIENCE).state is State.FAILED
    monkeypatch.setattr(BatchJobs, "describe", lambda _, runs: {run.id: {} for run in runs})
    monkeypatch.setattr(aws_engine, "_SOON", -1.0)
    monkeypatch.setattr(batch_service, "_REMEMBERED", -1.0)
    seen = trainyard.connect("sandbox").engine.observe(
        [run.record.observed(Observation(state=State.RUNNING)) for run in (good, bad)]
    )
    assert (seen[good.id].state, seen[good.id].rows_out) == (State.SUCCEEDED, 200)
    assert seen[bad.id].state is State.FAILED and "has forgotten" in seen[bad.id].reason


def test_two_people_who_see_a_run_end_make_one_version(
    yard: Yard, project: Project, sandbox: RunningSandbox
) -> None:
    run = yard.train(project.training(SAVE)).record
    yards = [trainyard.connect("sandbox") for _ in range(4)]
    seen: list[Run] = []
    threads = [
        threading.Thread(target=lambda one=one: seen.append(one.wait(run, timeout=PATIENCE))) for one in yards
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {one.model for one in seen} == {"toy@1"}
    assert [version.ref for version in yard.models()] == ["toy@1"]
    group = sandbox.client("sagemaker").list_model_packages(ModelPackageGroupName="trainyard-sandbox-toy")
    descriptions = [each.get("ModelPackageDescription", "") for each in group["ModelPackageSummaryList"]]
    assert sum(run.id in text for text in descriptions) == 1


def test_a_run_that_nobody_followed_makes_its_model_when_models_are_asked_for(
    yard: Yard, project: Project
) -> None:
    run = yard.train(project.training(SAVE)).record
    colleague = trainyard.connect("sandbox")
    assert becomes_true(colleague.models)
    assert [(each.ref, each.run) for each in colleague.models()] == [("toy@1", run.id)]
    assert colleague.runs()[0].model == "toy@1"


def test_a_version_is_in_the_registry_with_where_it_lies(
    yard: Yard, project: Project, sandbox: RunningSandbox
) -> None:
    job = project.training(SAVE, name="registered", metrics={"loss": r"loss=(\S+)"})
    run = yard.train(job).wait(timeout=PATIENCE)
    client = sandbox.client("sagemaker")
    group = client.list_model_packages(ModelPackageGroupName="trainyard-sandbox-registered")
    [summary] = group["ModelPackageSummaryList"]
    package = client.describe_model_package(ModelPackageName=summary["ModelPackageArn"])
    [container] = package["InferenceSpecification"]["Containers"]
    assert container["ModelDataUrl"] == yard.model("registered@1").path
    assert "/pytorch:" in container["Image"]
    facts = package["CustomerMetadataProperties"]
    assert (facts["trainyard:run"], facts["trainyard:metric:loss"]) == (run.id, "0.5")


def test_colleagues_see_follow_and_stop_each_others_runs(yard: Yard, project: Project) -> None:
    run = yard.train(project.training(FOREVER))
    colleague = trainyard.connect("sandbox")
    [theirs] = colleague.runs()
    assert theirs.id == run.id
    assert wait_for_line(colleague.get(run.id), "ready")
    assert colleague.get(run.id[:-2]).stop().state is State.STOPPED
    assert run.wait(timeout=PATIENCE).reason == "stopped on request"


def test_a_plan_tells_the_very_request_and_sends_nothing(
    reached: Reached, yard: Yard, project: Project, tmp_path: Path, sandbox: RunningSandbox
) -> None:
    data = tmp_path / "never-sent.csv"
    data.write_text(f"{tmp_path}\n")
    job = project.training(f"# {tmp_path}", channels={"train": str(data)}, hyperparameters={"a": 1})
    plan = yard.plan_training(job)
    before = sandbox.client("s3").list_buckets()["Buckets"]
    counted = reached.session.counted
    writes = counted["s3:PutObject"]
    [(operation, parameters)] = yard.requests(plan)
    assert operation == "sagemaker:CreateTrainingJob"
    assert counted["s3:PutObject"] == writes and counted["sagemaker:CreateTrainingJob"] == 0
    assert (yard.runs(), sandbox.client("s3").list_buckets()["Buckets"]) == ([], before)
    run = yard.launch(plan)
    sent = sandbox.client("sagemaker").describe_training_job(TrainingJobName=parameters["TrainingJobName"])
    for key in (
        "HyperParameters",
        "InputDataConfig",
        "OutputDataConfig",
        "CheckpointConfig",
        "ResourceConfig",
    ):
        assert sent[key] == parameters[key], key
    assert run.wait(timeout=PATIENCE).state is State.SUCCEEDED


def test_the_plan_of_an_inference_run_is_three_jobs_that_wait_for_each_other(
    yard: Yard, project: Project, model: Path, rows: Path
) -> None:
    plan = yard.plan_inference(project.inference(DOUBLE, shards=3), model=str(model), input=str(rows))
    requests = yard.requests(plan)
    assert [each.operation for each in requests] == ["s3:PutObject", *["batch:SubmitJob"] * 3]
    waits = [each.parameters.get("dependsOn") for each in requests[1:]]
    assert waits == [None, [{"jobId": "<the id of plan>"}], [{"jobId": "<the id of shards>"}]]
    assert requests[2].parameters["arrayProperties"] == {"size": 3}
    assert yard.runs() == []


@pytest.mark.parametrize("mode", ["File", "FastFile"])
def test_a_channel_may_lie_in_s3(
    reached: Reached, yard: Yard, project: Project, sandbox: RunningSandbox, mode: str
) -> None:
    bucket = reached.deployment.dataset_bucket
    sandbox.client("s3").put_object(Bucket=bucket, Key="datasets/mine/a.csv", Body=b"x\n1\n")
    script = "import os\nprint(open(os.environ['SM_CHANNEL_TRAIN'] + '/a.csv').read().split())"
    job = project.training(script, channels={"train": f"s3://{bucket}/datasets/mine/"}, input_mode=mode)
    run = yard.train(job).wait(timeout=PATIENCE)
    assert (run.state, texts(run)) == (State.SUCCEEDED, ["['x', '1']"]), run.reason


def test_an_address_that_cannot_be_read_is_refused_before_there_is_a_run(
    reached: Reached, yard: Yard, project: Project, sandbox: RunningSandbox, model: Path
) -> None:
    s3 = sandbox.client("s3")
    elsewhere = {"LocationConstraint": "eu-west-1"}
    s3.create_bucket(Bucket="trainyard-elsewhere", CreateBucketConfiguration=elsewhere)
    s3.put_object(Bucket="trainyard-elsewhere", Key="data/a", Body=b"a")
    for address, problem in (
        ("s3://trainyard-no-such-bucket/data/", "there is no bucket 'trainyard-no-such-bucket'"),
        ("s3://trainyard-elsewhere/data/", "is in eu-west-1, and jobs run in us-east-1"),
        (f"s3://{reached.deployment.model_bucket}/nothing/", "there is nothing"),
    ):
        with pytest.raises(BadInput, match=problem):
            yard.train(project.training("", channels={"train": address}))
        with pytest.raises(BadInput, match=problem):
            yard.infer(project.inference(DOUBLE), model=str(model), input=address)
    assert yard.runs() == []


def test_an_output_is_a_place_of_its_own_below_the_predictions(
    reached: Reached, yard: Yard, project: Project, model: Path, rows: Path, tmp_path: Path
) -> None:
    job = project.inference(DOUBLE)
    with pytest.raises(BadInput, match=r"--output: .*lie below s3://.*predictions/; leave it out"):
        yard.infer(job, model=str(model), input=str(rows), output=str(tmp_path / "out"))
    named = f"s3://{reached.deployment.model_bucket}/predictions/mine"
    run = yard.infer(job, model=str(model), input=str(rows), output=named).wait(timeout=PATIENCE)
    assert (run.state, run.output) == (State.SUCCEEDED, f"{named}/"), run.reason
    assert len(list(Path(yard.pull(run.id, str(tmp_path / "pulled"))[0]).glob("part-*.csv"))) == 2
    with pytest.raises(BadInput, match="has something else in it"):
        yard.infer(job, model=str(model), input=str(rows), output=named)
    with pytest.raises(BadInput, match="lies in INPUT"):
        yard.infer(job, model=str(model), input=f"{named}/", output=f"{named}/again")


def test_an_output_in_which_a_failed_run_left_nothing_is_free_again(
    reached: Reached, yard: Yard, project: Project, model: Path, rows: Path, tmp_path: Path
) -> None:
    named = f"s3://{reached.deployment.model_bucket}/predictions/again/"
    (tmp_path / "bad.csv").write_text("n\n1,2\n")
    job = project.inference(DOUBLE)
    failed = yard.infer(job, model=str(model), input=str(tmp_path / "bad.csv"), output=named)
    assert failed.wait(timeout=PATIENCE).state is State.FAILED
    run = yard.infer(job, model=str(model), input=str(rows), output=named).wait(timeout=PATIENCE)
    assert (run.state, run.rows_out) == (State.SUCCEEDED, 200), run.reason
    with pytest.raises(BadInput, match=f"something else in it, of the run {run.id}; "):
        failed.resume()


def test_a_spot_interruption_is_an_attempt_that_was_lost(
    yard: Yard, project: Project, sandbox: RunningSandbox
) -> None:
    script = """
import os, time
path = os.path.join(os.environ["TRAINYARD_CHECKPOINT_DIR"], "c")
print("attempt", os.environ["TRAINYARD_ATTEMPT"], flush=True)
if not os.path.exists(path):
    open(path, "w").close()
    print("kept", flush=True)
    time.sleep(60)
"""
    run = yard.train(project.training(script))
    wait_for_line(run, "kept")
    sandbox.control("lose", run=run.id)
    assert run.wait(timeout=PATIENCE).state is State.SUCCEEDED
    assert run.reason == "completed after 1 interruption"
    first, second = run.attempts
    assert (first.state, second.state) == (State.INTERRUPTED, State.SUCCEEDED)
    assert "the spot machine was taken back" in first.reason
    assert [line.text for line in run.logs()] == ["attempt 1", "kept", "attempt 2"]
    assert [line.attempt for line in run.logs()] == [1, 1, 2]


def test_a_machine_of_a_shard_that_is_lost_costs_no_retry(
    yard: Yard, project: Project, sandbox: RunningSandbox, model: Path, rows: Path
) -> None:
    what = "if (index, attempt) == ('0', '1'): time.sleep(60)"
    job = project.inference(HOLD.format(what=what), retries=0)
    run = yard.infer(job, model=str(model), input=str(rows))
    wait_for_line(run, "shard 0 attempt 1")
    sandbox.control("lose", run=run.id)
    assert run.wait(timeout=PATIENCE).state is State.SUCCEEDED, run.reason
    of_first = [each.state for each in run.attempts if each.task == "shard-00000"]
    assert of_first == [State.INTERRUPTED, State.SUCCEEDED]


def test_billed_seconds_are_told(yard: Yard, project: Project) -> None:
    run = yard.train(project.training("import time\ntime.sleep(0.1)")).wait(timeout=PATIENCE).record
    assert run.seen.billable_seconds and run.seen.training_seconds
    told = run.to_json()
    assert told["billable_seconds"] == run.seen.billable_seconds


def test_the_newest_runs_of_many_are_observed_in_bulk(
    reached: Reached, yard: Yard, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    started = [yard.train(project.training(FOREVER)) for _ in range(3)]
    for run in started:
        wait_for_line(run, "ready")
    monkeypatch.setattr(training_jobs, "_IN_BULK", 2)
    counted = reached.session.counted
    before = counted["sagemaker:DescribeTrainingJob"]
    found = {run.id: run.state for run in reached.yard.engine.runs(RunQuery())}
    assert found == {run.id: State.RUNNING for run in started}
    assert counted["sagemaker:ListTrainingJobs"] == 1
    assert counted["sagemaker:DescribeTrainingJob"] == before


def test_a_job_of_sagemaker_is_named_after_its_run(
    yard: Yard, project: Project, sandbox: RunningSandbox
) -> None:
    run = yard.train(project.training("raise SystemExit(1)")).wait(timeout=PATIENCE)
    run.resume().wait(timeout=PATIENCE)
    client = sandbox.client("sagemaker")
    for launch in (1, 2):
        name = names.launch_name("trainyard-sandbox-", run.record.replace(launch=launch))
        job = client.describe_training_job(TrainingJobName=name)
        assert job["TrainingJobStatus"] == "Failed"


def test_models_of_runs_that_nobody_followed_count_in_the_order_of_their_ends(
    yard: Yard, project: Project, sandbox: RunningSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, names = sandbox.client("sagemaker"), iter(("toy-zzzzzzz", "toy-aaaaaaa"))
    monkeypatch.setattr(ids, "new", lambda _: next(names))
    for _ in range(2):
        job = {"TrainingJobName": f"trainyard-sandbox-{yard.train(project.training(SAVE)).id}"}
        assert becomes_true(lambda job=job: "TrainingEndTime" in client.describe_training_job(**job))
    assert [(each.version, each.run) for each in yard.models()] == [(1, "toy-zzzzzzz"), (2, "toy-aaaaaaa")]


def test_a_model_whose_list_of_files_comes_late_is_waited_for_and_said_to_be_there(
    reached: Reached, project: Project, sandbox: RunningSandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    call, is_late = reached.session.call, True

    def late(service: str, name: str, **parameters: Any) -> Any:
        if is_late and name == "get_object" and "/.attempts/" in parameters["Key"]:
            raise AccountRefused("no such key", code="NoSuchKey")
        return call(service, name, **parameters)

    monkeypatch.setattr(reached.session, "call", late)
    runs = [reached.yard.train(project.training(SAVE, name="late")) for _ in range(2)]
    client = sandbox.client("sagemaker")
    for run in runs:
        job = {"TrainingJobName": names.launch_name("trainyard-sandbox-", run.record)}
        assert becomes_true(lambda job=job: "TrainingEndTime" in client.describe_training_job(**job))
        assert reached.yard.get(run.id).state is State.RUNNING
    is_late = False
    assert runs[0].wait(timeout=PATIENCE).model == "late@1"
    is_late = True
    monkeypatch.setattr("trainyard.aws.sagemaker.models._LATE", 0.0)
    ended = runs[1].wait(timeout=PATIENCE)
    assert (ended.state, ended.model) == (State.SUCCEEDED, None)
    assert any(
        f"trainyard models add late {ended.id} --on {reached.yard.name}" in text for text in ended.warnings
    )
    monkeypatch.undo()
    made, _ = reached.yard.add_model("late", ended.id)
    assert made.ref == "late@2"


def test_a_launch_that_somebody_else_repeats_in_vain_goes_on(
    yard: Yard, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = yard.train(project.training(FOREVER))
    other = reach()
    session = other.session
    call = session.call

    def refused(service: str, name: str, **parameters: Any) -> Any:
        if name == "describe_training_job":
            raise AccountRefused("no", code="AccessDeniedException")
        return call(service, name, **parameters)

    monkeypatch.setattr(session, "call", refused)
    with pytest.raises(AccountRefused):
        other.yard.engine.launch(run.record)
    assert wait_for_line(run, "ready")
    assert yard.get(run.id).state is State.RUNNING
    run.stop()


@pytest.mark.parametrize("kind", ["training", "inference"])
def test_a_secret_reaches_the_script_and_nothing_else(
    yard: Yard, project: Project, sandbox: RunningSandbox, model: Path, rows: Path, kind: str
) -> None:
    name, value = f"trainyard-sandbox/token-{kind}", f"a-secret-for-{kind}"
    sandbox.client("secretsmanager").create_secret(Name=name, SecretString=value)
    told = {"TOKEN": f"secretsmanager:{name}"}
    if kind == "training":
        script = "import os, hashlib\nprint(hashlib.sha256(os.environ['TOKEN'].encode()).hexdigest())"
        run = yard.train(project.training(script, environment=told)).wait(timeout=PATIENCE)
        digest = hashlib.sha256(value.encode()).hexdigest()
        assert (run.state, texts(run)) == (State.SUCCEEDED, [digest]), run.reason
    else:
        handler = "import os\ndef predict_fn(batch, model): return [len(os.environ['TOKEN'])] * len(batch)\n"
        job = project.inference(handler, environment=told)
        run = yard.infer(job, model=str(model), input=str(rows)).wait(timeout=PATIENCE)
        assert run.state is State.SUCCEEDED, run.reason
    s3, found = sandbox.client("s3"), []
    for bucket in s3.list_buckets()["Buckets"]:
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket["Name"]):
            for each in page.get("Contents", ()):
                if run.id in each["Key"]:
                    found.append(s3.get_object(Bucket=bucket["Name"], Key=each["Key"])["Body"].read())
    assert found and not any(value.encode() in content for content in found)
    assert not any(value in line.text for line in run.logs())
