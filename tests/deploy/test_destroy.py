"""`trainyard destroy`, as a person runs it, against an account on loopback."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess

import pytest

from .cloudformation import ACCOUNT, REGION, CloudFormation
from .conftest import DATA, PATIENCE, PLATFORM, Account, Project


@pytest.fixture
def deployed(deploying: Project) -> Project:
    result = deploying.run("deploy", "dev", "--yes")
    assert result.returncode == 0, result.stderr
    return deploying


def test_platform_goes_and_data_stays_and_deploy_goes_on_with_it(
    deployed: Project, cloudformation: CloudFormation
) -> None:
    data = cloudformation.named(DATA)

    result = deployed.run("destroy", "dev", "--yes")

    assert (result.returncode, result.stderr) == (0, "")
    assert cloudformation.status(PLATFORM) == ""
    assert data and data.status == "CREATE_COMPLETE" and data.protected
    for wanted in ("the-datasets", "the-models", "the-images", f"{DATA} stays, since it holds data"):
        assert wanted in result.stdout
    assert deployed.run("deploy", "dev", "--yes").returncode == 0
    assert cloudformation.named(DATA) is data
    assert cloudformation.status(PLATFORM) == "CREATE_COMPLETE"


def test_running_notebook_is_stopped_first(deployed: Project, account: Account) -> None:
    notebooks = account.client("sagemaker").list_notebook_instances()["NotebookInstances"]
    assert [each["NotebookInstanceStatus"] for each in notebooks] == ["InService"]

    result = deployed.run("destroy", "dev", "--yes")

    assert result.returncode == 0, result.stderr
    assert "stopping the notebook trainyard-dev-notebook" in result.stdout
    assert "s3://the-models/notebooks/" in result.stdout
    assert not account.client("sagemaker").list_notebook_instances()["NotebookInstances"]


def test_what_is_not_deployed_is_said_so(deploying: Project, cloudformation: CloudFormation) -> None:
    result = deploying.run("destroy", "dev", "--yes")

    assert (result.returncode, result.stderr) == (0, "")
    assert f"dev is not deployed in account {ACCOUNT}, {REGION}" in result.stdout
    assert "DeleteStack" not in cloudformation.calls


def test_destroyed_twice_tells_what_still_stands(deployed: Project) -> None:
    deployed.run("destroy", "dev", "--yes")

    result = deployed.run("destroy", "dev", "--yes")

    assert result.returncode == 0
    assert "is not deployed" in result.stdout
    assert "the-models" in result.stdout


def test_running_training_jobs_refuse_it(
    deployed: Project, account: Account, cloudformation: CloudFormation
) -> None:
    cloudformation_calls = len(cloudformation.calls)
    _training_job(account, "trainyard-dev-digits-1", "InProgress")
    _training_job(account, "trainyard-dev-digits-2", "Completed")
    _training_job(account, "other-trainyard-dev-3", "InProgress")

    result = deployed.run("destroy", "dev", "--yes")

    assert result.returncode == 2
    assert "dev has 1 unfinished job(s): trainyard-dev-digits-1; nothing was done" in result.stderr
    assert "trainyard stop" in result.stderr
    assert "DeleteStack" not in cloudformation.calls[cloudformation_calls:]


def test_what_still_uses_the_network_is_told_and_it_can_be_repeated(
    deployed: Project, cloudformation: CloudFormation
) -> None:
    cloudformation.fail(
        "AWS::EC2::Subnet",
        "The subnet 'subnet-1' has dependencies and cannot be deleted. (Service: AmazonEC2; Status Code: 400;"
        " Error Code: DependencyViolation; Request ID: 1; Proxy: null)",
        during="DELETE",
    )

    result = deployed.run("destroy", "dev", "--yes")

    assert result.returncode == 1
    assert (
        "could not be deleted (DELETE_FAILED): Subnet (AWS::EC2::Subnet): The subnet 'subnet-1'"
        in result.stderr
    )
    assert "network interface" in result.stderr
    result = deployed.run("destroy", "dev", "--yes")
    assert result.returncode == 0, result.stderr
    assert cloudformation.status(PLATFORM) == ""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_interrupted_the_next_one_follows(
    number: signal.Signals, deployed: Project, cloudformation: CloudFormation
) -> None:
    hold = cloudformation.hold_at("Subnet")
    process = deployed.start("destroy", "dev", "--yes")
    assert hold.reached.wait(PATIENCE)

    status, said = deployed.interrupt(process, number)

    if number == signal.SIGINT:
        assert status == 130
        assert "`trainyard destroy dev` follows it" in said
    hold.release()
    result = deployed.run("destroy", "dev", "--yes")
    assert result.returncode == 0, result.stderr
    assert cloudformation.status(PLATFORM) == ""


def test_deploy_during_a_destroy_waits_and_makes_it_anew(
    deployed: Project, cloudformation: CloudFormation
) -> None:
    hold = cloudformation.hold_at("Subnet")
    process = deployed.start("destroy", "dev", "--yes")
    assert hold.reached.wait(PATIENCE)
    again = deployed.start("deploy", "dev", "--yes")
    assert again.stdout
    for line in again.stdout:
        if "DELETE_IN_PROGRESS goes on; following it" in line:
            break
    hold.release()

    assert process.communicate(timeout=PATIENCE)[1] == ""
    assert again.communicate(timeout=PATIENCE)[1] == ""
    assert cloudformation.status(PLATFORM) == "CREATE_COMPLETE"


@pytest.mark.parametrize(("answer", "gone"), [("dev", True), ("yes", False), ("", False)])
def test_question_wants_the_name(
    answer: str, gone: bool, deployed: Project, cloudformation: CloudFormation
) -> None:
    master, terminal = pty.openpty()
    command = deployed.command(("destroy", "dev"))
    process = subprocess.Popen(
        **{**command, "stdin": terminal}, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    os.write(master, f"{answer}\n".encode())
    out, err = process.communicate(timeout=PATIENCE)
    os.close(master)
    os.close(terminal)

    assert process.returncode == 0, err
    assert "Type dev to take it down" in err
    assert (cloudformation.status(PLATFORM) == "") is gone
    assert gone or "nothing was done" in out


def test_without_a_terminal_and_without_yes_nothing_is_done(
    deployed: Project, cloudformation: CloudFormation
) -> None:
    result = deployed.run("destroy", "dev")

    assert result.returncode == 2
    assert "say --yes" in result.stderr
    assert cloudformation.status(PLATFORM) == "CREATE_COMPLETE"


def test_environment_has_to_be_named(deploying: Project) -> None:
    result = deploying.run("destroy", "--yes")

    assert result.returncode == 2
    assert "ENV" in result.stderr


def test_stack_that_is_not_ours_is_left_alone(deploying: Project, cloudformation: CloudFormation) -> None:
    cloudformation.put(PLATFORM, "CREATE_COMPLETE", {})

    result = deploying.run("destroy", "dev", "--yes")

    assert result.returncode == 2
    assert "that trainyard did not make" in result.stderr
    assert "DeleteStack" not in cloudformation.calls


def test_json_tells_what_stays(deployed: Project) -> None:
    result = deployed.run("destroy", "dev", "--yes", "--json")

    told = json.loads(result.stdout)
    assert told["destroyed"] is True
    assert [(each["name"], each["status"]) for each in told["stacks"]] == [(DATA, "CREATE_COMPLETE")]


def _training_job(account: Account, name: str, status: str) -> None:
    client = account.client("sagemaker")
    client.create_training_job(
        TrainingJobName=name,
        AlgorithmSpecification={"TrainingImage": "image", "TrainingInputMode": "File"},
        RoleArn=f"arn:aws:iam::{ACCOUNT}:role/training",
        OutputDataConfig={"S3OutputPath": "s3://the-models/models"},
        ResourceConfig={"InstanceType": "ml.m5.large", "InstanceCount": 1, "VolumeSizeInGB": 1},
        StoppingCondition={"MaxRuntimeInSeconds": 60},
    )
    # moto's jobs are born Completed.
    from moto.sagemaker.models import sagemaker_backends

    job = sagemaker_backends[ACCOUNT][REGION].training_jobs[name]
    job.training_job_status = status
