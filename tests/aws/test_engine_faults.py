"""A network that loses answers and an AWS that is busy: nothing is lost, and nothing is done twice."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from conftest import PATIENCE, Project, texts
from promises.inference import DOUBLE, predictions
from sandbox.conftest import RunningSandbox
from trainyard import State, Yard
from trainyard.aws.account import deployment
from trainyard.aws.account.session import Session
from trainyard.yard import connection
from worker.faulty import NONE, Fault, Proxy, Request

SAVE = "import os\nopen(os.environ['SM_MODEL_DIR'] + '/w', 'w').write('w')\nprint('one')\nprint('two')\n"
RESET_BEFORE, RESET_AFTER = Fault(reset_before=True), Fault(reset_after=True)
BROKEN = Fault((500, "<Error><Code>InternalError</Code><Message>We encountered an error</Message></Error>"))
THROTTLED = Fault((400, json.dumps({"__type": "ThrottlingException", "message": "Rate exceeded"})))


def operation(request: Request) -> str:
    """What a request asks for, as far as it is not S3's."""
    target = request.headers.get("X-Amz-Target", "")
    return target.rpartition(".")[2] or request.target.partition("?")[0]


@pytest.fixture
def proxy(sandbox: RunningSandbox) -> Iterator[Proxy]:
    found = Proxy(sandbox.address["endpoint"])
    yield found
    found.judge = lambda request: NONE
    found.close()


@pytest.fixture
def yard(sandbox_yard: Yard, proxy: Proxy, sandbox: RunningSandbox) -> Yard:
    """The sandbox's yard, reached through the proxy."""
    address = sandbox.address
    keys = (address["access_key"], address["secret_key"])
    session = Session(address["region"], endpoint=proxy.url, credentials=keys)
    return connection.on_aws(session, deployment.read(session, "sandbox"))


def once_each(fault: Fault) -> Callable[[Request], Fault]:
    """The fault at the first request of every kind: an operation, or an object of S3."""
    seen: Counter[tuple[str, str]] = Counter()

    def judge(request: Request) -> Fault:
        key = (request.method, operation(request))
        seen[key] += 1
        return fault if seen[key] == 1 else NONE

    return judge


FAULTS = {"reset before": RESET_BEFORE, "reset after": RESET_AFTER, "broken": BROKEN}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
def test_a_bad_network_neither_loses_nor_doubles_a_training_run(
    yard: Yard, project: Project, proxy: Proxy, sandbox: RunningSandbox, fault: Fault, tmp_path: Path
) -> None:
    (tmp_path / "rows.csv").write_text("x\n1\n")
    proxy.judge = once_each(fault)
    yard.push("rows", str(tmp_path / "rows.csv"))
    run = yard.train(project.training(SAVE, channels={"train": "rows@1"})).wait(timeout=PATIENCE)
    assert (run.state, run.model) == (State.SUCCEEDED, "toy@1"), run.reason
    assert [line.text for line in run.logs(follow=True)] == ["one", "two"]
    assert [each.ref for each in (*yard.models(), *yard.data())] == ["toy@1", "rows@1"]
    assert [each.id for each in yard.runs()] == [run.id]
    jobs = sandbox.client("sagemaker").list_training_jobs(NameContains=run.id)["TrainingJobSummaries"]
    assert len(jobs) == 1


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
def test_a_bad_network_neither_loses_nor_doubles_the_jobs_of_an_inference_run(
    yard: Yard,
    project: Project,
    proxy: Proxy,
    sandbox: RunningSandbox,
    fault: Fault,
    model: Path,
    rows: Path,
) -> None:
    proxy.judge = once_each(fault)
    run = yard.infer(project.inference(DOUBLE), model=str(model), input=str(rows)).wait(timeout=PATIENCE)
    assert run.reason == "predicted 200 rows", run.reason
    assert len(predictions(yard, run, project)) == 200
    batch = sandbox.client("batch")
    [queue] = batch.describe_job_queues()["jobQueues"]
    filters = [{"name": "JOB_NAME", "values": [f"trainyard-sandbox-{run.id}-*"]}]
    found = batch.list_jobs(jobQueue=queue["jobQueueArn"], filters=filters)["jobSummaryList"]
    steps = sorted(each["jobName"].rpartition("-")[2] for each in found)
    assert steps == ["commit", "plan", "shards"]


def test_what_is_throttled_is_asked_again(yard: Yard, project: Project, proxy: Proxy) -> None:
    seen: Counter[str] = Counter()

    def judge(request: Request) -> Fault:
        name = operation(request)
        seen[name] += 1
        is_throttled = (
            name in ("DescribeTrainingJob", "GetLogEvents", "CreateTrainingJob") and seen[name] <= 2
        )
        return THROTTLED if is_throttled else NONE

    proxy.judge = judge
    run = yard.train(project.training(SAVE))
    assert [line.text for line in run.logs(follow=True)] == ["one", "two"]
    assert run.wait(timeout=PATIENCE).state is State.SUCCEEDED
    assert (texts(run), seen["CreateTrainingJob"]) == (["one", "two"], 3)
