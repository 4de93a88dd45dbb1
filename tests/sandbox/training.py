"""What tests of the sandbox's training jobs create and wait for."""

from __future__ import annotations

import contextlib
import io
import tarfile
import time
import uuid
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .conftest import RunningSandbox

PATIENCE = 30.0

TERMINAL = ("Completed", "Failed", "Stopped")
GROUP = "/aws/sagemaker/TrainingJobs"


class Training:
    """SageMaker in a sandbox, with the role and the buckets that the sandbox's stacks made."""

    def __init__(self, sandbox: RunningSandbox) -> None:
        self.sandbox, self.client, self.s3 = sandbox, sandbox.client("sagemaker"), sandbox.client("s3")
        roles = sandbox.client("iam").list_roles()["Roles"]
        self.role = next(role["Arn"] for role in roles if "TrainingRole" in role["RoleName"])
        buckets = [bucket["Name"] for bucket in self.s3.list_buckets()["Buckets"]]
        self.datasets = next(name for name in buckets if "datasetbucket" in name)
        self.models = next(name for name in buckets if "modelbucket" in name)

    def create(self, script: str, **options: Any) -> str:
        """Create a job that runs a script of the shell on each host; its name."""
        name = options.pop("name", f"job-{uuid.uuid4().hex[:8]}")
        if len(script) > 256:
            options["InputDataConfig"] = [self.channel("script", self.put(f"scripts/{name}", script))]
            script = f". /opt/ml/input/data/script/{name}"
        instances = options.pop("hosts", 1)
        algorithm = {
            "TrainingImage": "example.com/none:1",
            "TrainingInputMode": "File",
            "ContainerEntrypoint": ["/bin/sh", "-c", script],
            **options.pop("algorithm", {}),
        }
        request = {
            "TrainingJobName": name,
            "AlgorithmSpecification": {key: value for key, value in algorithm.items() if value is not None},
            "RoleArn": self.role,
            "OutputDataConfig": {"S3OutputPath": f"s3://{self.models}/models"},
            "ResourceConfig": {
                "InstanceType": "ml.m5.large",
                "InstanceCount": instances,
                "VolumeSizeInGB": 1,
            },
            "StoppingCondition": {"MaxRuntimeInSeconds": 600},
        }
        if options.pop("spot", False):
            request["EnableManagedSpotTraining"] = True
            request["StoppingCondition"] = {"MaxRuntimeInSeconds": 600, "MaxWaitTimeInSeconds": 1200}
        self.client.create_training_job(**{**request, **options})
        return str(name)

    def channel(self, name: str, source: str, **options: Any) -> dict[str, Any]:
        """A channel of all objects below `source`, an `s3://` address."""
        return {
            "ChannelName": name,
            "DataSource": {
                "S3DataSource": {
                    "S3DataType": options.pop("kind", "S3Prefix"),
                    "S3Uri": source,
                    "S3DataDistributionType": options.pop("dealt", "FullyReplicated"),
                }
            },
            **options,
        }

    def put(self, key: str, content: str | bytes = "") -> str:
        """Put an object where the role may read; its address."""
        self.s3.put_object(Bucket=self.datasets, Key=f"datasets/{key}", Body=content)
        return self.at(key)

    def at(self, key: str) -> str:
        """The address of a key or prefix where the role may read."""
        return f"s3://{self.datasets}/datasets/{key}"

    def describe(self, name: str) -> dict[str, Any]:
        """A job now."""
        return dict(self.client.describe_training_job(TrainingJobName=name))

    def wait(self, name: str, holds: Callable[[dict[str, Any]], object]) -> dict[str, Any]:
        """A job as soon as it is as wanted."""
        deadline = time.monotonic() + PATIENCE
        while not holds(job := self.describe(name)):
            assert time.monotonic() < deadline, job
            assert job["TrainingJobStatus"] not in TERMINAL, job
            time.sleep(0.02)
        return job

    def end_of(self, name: str) -> dict[str, Any]:
        """A job that has ended."""
        return self.wait(name, lambda job: job["TrainingJobStatus"] in TERMINAL)

    def completed(self, name: str) -> dict[str, Any]:
        """A job that has ended as it should."""
        job = self.end_of(name)
        assert job["TrainingJobStatus"] == "Completed", (
            job["FailureReason"],
            self.log(name),
            self.sandbox.log(),
        )
        return job

    def wait_for_line(self, name: str, text: str) -> None:
        """Wait until a job has written a line."""
        self.wait(name, lambda _: text in self.log(name))

    def streams(self, name: str) -> list[str]:
        """The names of a job's log streams, in order."""
        logs = self.sandbox.client("logs")
        found = logs.describe_log_streams(logGroupName=GROUP, logStreamNamePrefix=f"{name}/")
        return sorted(stream["logStreamName"] for stream in found["logStreams"])

    def log(self, name: str) -> list[str]:
        """All lines of a job, stream after stream."""
        logs = self.sandbox.client("logs")
        lines: list[str] = []
        for stream in self.streams(name):
            token: dict[str, str] = {}
            while True:
                page = logs.get_log_events(
                    logGroupName=GROUP, logStreamName=stream, startFromHead=True, **token
                )
                if not page["events"]:
                    break
                lines += [event["message"] for event in page["events"]]
                token = {"nextToken": page["nextForwardToken"]}
        return lines

    def archive(self, name: str, archive: str) -> dict[str, bytes]:
        """The files in an archive of a job's output, by their paths."""
        key = f"models/{name}/output/{archive}.tar.gz"
        body = self.s3.get_object(Bucket=self.models, Key=key)["Body"].read()
        with tarfile.open(fileobj=io.BytesIO(body)) as tar:
            files = [member for member in tar.getmembers() if member.isfile()]
            return {member.name: tar.extractfile(member).read() for member in files}  # type: ignore[union-attr]

    def objects(self, prefix: str) -> dict[str, bytes]:
        """The objects of the model bucket below a prefix, by the rest of their keys."""
        found = {}
        for each in self.s3.list_objects_v2(Bucket=self.models, Prefix=prefix).get("Contents", []):
            # What a job removes meanwhile is not below it any more.
            with contextlib.suppress(self.s3.exceptions.NoSuchKey):
                body = self.s3.get_object(Bucket=self.models, Key=each["Key"])["Body"]
                found[each["Key"][len(prefix) :]] = body.read()
        return found


def statuses(job: dict[str, Any]) -> list[str]:
    """The secondary statuses that a job has had."""
    return [each["Status"] for each in job["SecondaryStatusTransitions"]]
