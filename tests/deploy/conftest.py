"""An AWS account on loopback, and the command run in a project beside it."""

from __future__ import annotations

import functools
import json
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import botocore.session
import pytest

from .cloudformation import ACCOUNT, REGION, CloudFormation
from .cloudformation_server import Server

PATIENCE = 60.0
DATA, PLATFORM = "trainyard-dev-data", "trainyard-dev"
OURS = {"trainyard:environment": "trainyard-dev"}
STUB = Path(__file__).parent / "stub"


def templates() -> dict[str, dict[str, Any]]:
    """A data stack and a platform stack, as small as they can be with one of everything that matters here."""

    def fact(name: str, value: str) -> dict[str, Any]:
        return {
            "Type": "AWS::SSM::Parameter",
            "Properties": {"Type": "String", "Name": f"/trainyard/dev/{name}", "Value": value},
        }

    data = {
        "DatasetBucket": {"Type": "AWS::S3::Bucket", "DeletionPolicy": "RetainExceptOnCreate"},
        "ModelBucket": {"Type": "AWS::S3::Bucket", "DeletionPolicy": "RetainExceptOnCreate"},
        "Repository": {"Type": "AWS::ECR::Repository", "DeletionPolicy": "RetainExceptOnCreate"},
        "DatasetBucketFact": fact("dataset-bucket", "the-datasets"),
        "ModelBucketFact": fact("model-bucket", "the-models"),
        "RepositoryUriFact": fact("repository-uri", f"{ACCOUNT}.dkr.ecr.{REGION}.amazonaws.com/the-images"),
        "RepositoryNameFact": fact("repository-name", "the-images"),
    }
    platform = {
        "Vpc": {"Type": "AWS::EC2::VPC", "Properties": {"CidrBlock": "10.220.0.0/16"}},
        "Role": {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": {"Statement": []}}},
        "Subnet": {"Type": "AWS::EC2::Subnet", "Properties": {"CidrBlock": "10.220.0.0/24"}},
        "Address": {"Type": "AWS::EC2::EIP", "Properties": {"Domain": "vpc"}},
        "Notebook": {
            "Type": "AWS::SageMaker::NotebookInstance",
            "Properties": {
                "InstanceType": "ml.t3.medium",
                "RoleArn": f"arn:aws:iam::{ACCOUNT}:role/notebook",
            },
        },
        "Topic": {"Type": "AWS::SNS::Topic", "Properties": {"DisplayName": "trainyard"}},
        "DashboardFact": fact("dashboard-name", "trainyard-dev"),
        "QueueFact": fact("job-queue-arn", f"arn:aws:batch:{REGION}:{ACCOUNT}:job-queue/the-queue"),
        "NotebookFact": fact("notebook-name", "trainyard-dev-notebook"),
    }
    return {"data": {"Resources": data}, "platform": {"Resources": platform}}


@functools.cache
def moto_client(service: str, url: str) -> Any:
    return botocore.session.Session().create_client(
        service,
        region_name=REGION,
        endpoint_url=url,
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )


class Account:
    """The account: CloudFormation, and moto for everything else. What others ask about exists there."""

    def __init__(self, cloudformation: CloudFormation, url: str, moto: str) -> None:
        self.cloudformation, self.moto = cloudformation, moto
        self.url = url
        cloudformation.made, cloudformation.unmade = self._made, self._unmade
        cloudformation.read = self._read

    def client(self, service: str) -> Any:
        """A client of moto's."""
        return moto_client(service, self.moto)

    def _read(self, url: str) -> str:
        host, key = url.removeprefix("https://").split("/", 1)
        assert host.endswith(f".s3.{REGION}.amazonaws.com")
        found = self.client("s3").get_object(Bucket=host.partition(".")[0], Key=key)
        text: str = found["Body"].read().decode()
        return text

    def _made(self, name: str, kind: str, body: dict[str, Any]) -> str | None:
        properties = body.get("Properties", {})
        if kind == "AWS::SSM::Parameter" and isinstance(properties["Value"], str):
            self.client("ssm").put_parameter(
                Name=properties["Name"], Value=properties["Value"], Type="String", Overwrite=True
            )
        if kind == "AWS::S3::Bucket":
            bucket = f"{name.lower()}-{uuid.uuid4()}"
            self.client("s3").create_bucket(
                Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": REGION}
            )
            return bucket
        if kind == "AWS::SageMaker::NotebookInstance":
            self.client("sagemaker").create_notebook_instance(
                NotebookInstanceName="trainyard-dev-notebook",
                InstanceType=properties["InstanceType"],
                RoleArn=f"arn:aws:iam::{ACCOUNT}:role/notebook",
            )
            return f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:notebook-instance/trainyard-dev-notebook"
        return None

    def _unmade(self, name: str, kind: str, body: dict[str, Any], physical: str) -> None:
        if kind == "AWS::SSM::Parameter":
            client = self.client("ssm")
            try:
                client.delete_parameter(Name=body["Properties"]["Name"])
            except client.exceptions.ParameterNotFound:
                pass
        if kind == "AWS::SageMaker::NotebookInstance":
            client, known = self.client("sagemaker"), {"NotebookInstanceName": "trainyard-dev-notebook"}
            if not client.list_notebook_instances()["NotebookInstances"]:
                return
            status = client.describe_notebook_instance(**known)["NotebookInstanceStatus"]
            if status != "Stopped":
                raise ValueError(
                    f"Status ({status}) not in ([Stopped, Failed]). Unable to transition to (Deleting)"
                )
            client.delete_notebook_instance(**known)


class Project:
    """A folder with a job file, and the command run in it."""

    def __init__(self, folder: Path, account: Account) -> None:
        self.folder = folder
        self.templates = templates()
        self.environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "PYTHONPATH": str(STUB),
            "TEST_TEMPLATES": str(folder),
            "AWS_ENDPOINT_URL": account.moto,
            "AWS_ENDPOINT_URL_CLOUDFORMATION": account.url,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test-secret",
            "AWS_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
            "TRAINYARD_POLL_SECONDS": "0.01",
        }
        self.write_job_file("")

    def write_job_file(self, environments: str) -> None:
        (self.folder / "train.py").write_text("")
        job = '[train]\nname = "toy"\nentry_script = "train.py"\n'
        (self.folder / "trainyard.toml").write_text(job + environments)

    def command(self, argv: tuple[str, ...]) -> dict[str, Any]:
        for name, template in self.templates.items():
            (self.folder / f"{name}.json").write_text(json.dumps(template))
        return {
            "args": [sys.executable, "-W", "error", "-m", "trainyard", *argv],
            "cwd": self.folder,
            "env": self.environment,
            "stdin": subprocess.DEVNULL,
            "text": True,
        }

    def run(self, *argv: str) -> subprocess.CompletedProcess[str]:
        """The command, run to its end."""
        return subprocess.run(**self.command(argv), capture_output=True, timeout=PATIENCE, check=False)

    def start(self, *argv: str) -> subprocess.Popen[str]:
        """The command, started."""
        return subprocess.Popen(
            **self.command(argv), stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True
        )

    def interrupt(self, process: subprocess.Popen[str], number: int = signal.SIGINT) -> tuple[int, str]:
        """Send the command a signal, and wait for its end: exit status, and all that it said."""
        process.send_signal(number)
        out, err = process.communicate(timeout=PATIENCE)
        return process.returncode, out + err


def progress(text: str) -> list[list[str]]:
    """The words of the progress lines: action, type, resource and so on."""
    lines = [line.split() for line in text.splitlines() if line.startswith("  ")]
    return [words for words in lines if len(words) > 3 and words[1].startswith("AWS::")]


def is_deployed(cloudformation: CloudFormation) -> bool:
    """Whether both stacks stand."""
    standing = ("CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE")
    return cloudformation.status(DATA) in standing and cloudformation.status(PLATFORM) in standing


@pytest.fixture
def account(moto: str) -> Iterator[Account]:
    service = CloudFormation()
    server = Server(service)
    yield Account(service, server.url, moto)
    server.close()


@pytest.fixture
def cloudformation(account: Account) -> CloudFormation:
    return account.cloudformation


@pytest.fixture
def deploying(tmp_path: Path, account: Account) -> Project:
    """A project whose environment `dev` can be deployed to the account."""
    return Project(tmp_path, account)
