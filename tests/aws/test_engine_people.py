"""Somebody who has the submitter policy, and nothing else, can do all that a yard offers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from conftest import PATIENCE, Project, texts, wait_for_line
from promises.inference import DOUBLE, HOLD, predictions
from promises.training import FOREVER
from sandbox.conftest import RunningSandbox
from trainyard import State, Yard
from trainyard.aws.account import deployment
from trainyard.aws.account.session import Session
from trainyard.yard import connection

SAVE = "import os\nopen(os.environ['SM_MODEL_DIR'] + '/factor', 'w').write('2')\nprint('loss=0.5')\n"


@pytest.fixture
def person(
    sandbox_yard: Yard, sandbox: RunningSandbox, monkeypatch: pytest.MonkeyPatch
) -> Iterator[dict[str, Any]]:
    """The credentials of a role with the submitters' policies, in this process's environment."""
    iam = sandbox.client("iam")
    names = [f"/trainyard/sandbox/submitter{each}-policy-arn" for each in ("", "-data")]
    facts = sandbox.client("ssm").get_parameters(Names=names)["Parameters"]
    trust = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    role = iam.create_role(RoleName="Scientist", AssumeRolePolicyDocument=document)["Role"]["Arn"]
    for fact in facts:
        iam.attach_role_policy(RoleName="Scientist", PolicyArn=fact["Value"])
    keys = sandbox.client("sts").assume_role(RoleArn=role, RoleSessionName="ana")["Credentials"]
    monkeypatch.setenv("AWS_ENDPOINT_URL", sandbox.address["endpoint"])
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", keys["AccessKeyId"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", keys["SecretAccessKey"])
    monkeypatch.setenv("AWS_SESSION_TOKEN", keys["SessionToken"])
    yield keys
    for fact in facts:
        iam.detach_role_policy(RoleName="Scientist", PolicyArn=fact["Value"])
    iam.delete_role(RoleName="Scientist")


@pytest.fixture
def yard(person: dict[str, Any], sandbox: RunningSandbox) -> Yard:
    session = Session(sandbox.address["region"])
    return connection.on_aws(session, deployment.read(session, "sandbox"))


def test_a_submitter_trains_and_predicts(
    yard: Yard, project: Project, rows: Path, tmp_path: Path, sandbox: RunningSandbox
) -> None:
    pushed, _ = yard.push("rows", str(rows))
    job = project.training(
        SAVE, channels={"train": pushed.ref, "more": str(rows)}, metrics={"loss": r"loss=(\S+)"}
    )
    plan = yard.plan_training(job)
    assert yard.requests(plan)
    run = yard.train(job).wait(timeout=PATIENCE)
    assert (run.state, run.model, run.warnings) == (State.SUCCEEDED, "toy@1", run.warnings), run.reason
    # What the registry refused would be warned of.
    assert not [text for text in run.warnings if "registry" in text]
    assert texts(run) == ["loss=0.5"]
    predicted = yard.infer(project.inference(DOUBLE), model="toy@latest", input=pushed.ref)
    assert predicted.wait(timeout=PATIENCE).reason == "predicted 200 rows", predicted.reason
    assert len(predictions(yard, predicted, project)) == 200
    assert yard.pull("toy@1", str(tmp_path / "model"))[1:] == (1, 1, ())
    assert [each.ref for each in yard.data()] == ["rows@1"]
    assert {each.id for each in yard.runs()} == {run.id, predicted.id}


def test_a_submitter_stops_and_resumes(yard: Yard, project: Project, rows: Path, model: Path) -> None:
    training = yard.train(project.training(FOREVER))
    wait_for_line(training, "ready")
    assert training.stop().reason == "stopped on request"
    what = "if attempt == '1': time.sleep(60)"
    inference = yard.infer(project.inference(HOLD.format(what=what)), model=str(model), input=str(rows))
    wait_for_line(inference, "attempt 1")
    assert inference.stop().state is State.STOPPED
    assert inference.resume().wait(timeout=PATIENCE).state is State.SUCCEEDED, inference.reason


def test_a_failure_is_told_to_a_submitter_with_its_reason(
    yard: Yard, project: Project, rows: Path, model: Path
) -> None:
    training = yard.train(project.training("raise ValueError('ill')")).wait(timeout=PATIENCE)
    assert training.reason == "ValueError: ill (exit status 1)"
    job = project.inference(HOLD.format(what="raise ValueError('ill')"), retries=0)
    inference = yard.infer(job, model=str(model), input=str(rows)).wait(timeout=PATIENCE)
    assert inference.reason.startswith("shard-0000") and "ValueError: ill" in inference.reason
