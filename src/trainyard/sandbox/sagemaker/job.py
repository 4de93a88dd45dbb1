"""A training job as the SageMaker API shows it: its request, and what has become of it."""

from __future__ import annotations

import datetime
import math
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

from ..api.protocols import present
from ..s3.transfers import place_of, under
from ..world.world import World

TERMINAL = frozenset({"Completed", "Failed", "Stopped"})
SPOT_PRICE = 0.3
"""What a second of a spot machine costs here, as a share of the price on demand."""
_STATUS = {
    "Stopping": "Stopping",
    "Stopped": "Stopped",
    "MaxRuntimeExceeded": "Stopped",
    "MaxWaitTimeExceeded": "Stopped",
    "Completed": "Completed",
    "Failed": "Failed",
}
_SUMMARY_FIELDS = (
    "TrainingJobName",
    "TrainingJobArn",
    "CreationTime",
    "LastModifiedTime",
    "TrainingEndTime",
    "TrainingJobStatus",
    "SecondaryStatus",
)
_EVENT_FIELDS = (
    *_SUMMARY_FIELDS,
    "TrainingStartTime",
    "SecondaryStatusTransitions",
    "FailureReason",
    "ModelArtifacts",
    "HyperParameters",
    "AlgorithmSpecification",
    "RoleArn",
    "InputDataConfig",
    "OutputDataConfig",
    "ResourceConfig",
    "StoppingCondition",
)


class Transition(NamedTuple):
    """A secondary status: since when, until when (None: still), and what is said of it."""

    status: str
    since: float
    until: float | None
    message: str


class EmulatedTrainingJob:
    """One training job. Everything here is used under the world's lock."""

    def __init__(self, world: World, request: Mapping[str, Any]) -> None:
        self._world = world
        self.request = {name: value for name, value in request.items() if name != "Tags"}
        self.request.setdefault("EnableNetworkIsolation", False)
        self.request.setdefault("EnableInterContainerTrafficEncryption", False)
        self.request.setdefault("EnableManagedSpotTraining", False)
        self.name: str = request["TrainingJobName"]
        self.arn = world.arn("sagemaker", f"training-job/{self.name}")
        self.tags = {each["Key"]: each["Value"] for each in request.get("Tags", ())}
        self.created = self.modified = time.time()
        self.transitions: list[Transition] = []
        self.failure = ""
        self.started: float | None = None
        self.ended: float | None = None
        self.metrics: dict[str, tuple[float, float]] = {}
        """By name: the last value and its time."""
        self._used = 0.0
        self._machines_since: float | None = None

    @property
    def secondary(self) -> str:
        """The secondary status."""
        return self.transitions[-1].status

    @property
    def status(self) -> str:
        """The status, which the secondary one implies."""
        return _STATUS.get(self.secondary, "InProgress")

    @property
    def is_spot(self) -> bool:
        """Whether it asked for spot machines."""
        return bool(self.request["EnableManagedSpotTraining"])

    def enter(self, secondary: str, message: str, failure: str = "") -> None:
        """Go over to another secondary status, and tell EventBridge."""
        now = time.time()
        if self.transitions:
            self.transitions[-1] = self.transitions[-1]._replace(until=now)
        is_end = secondary in _STATUS and _STATUS[secondary] in TERMINAL
        self.transitions.append(Transition(secondary, now, now if is_end else None, message))
        self.modified, self.failure = now, failure
        if is_end:
            self.ended = now if self.started else None
            self.release_machines()
        self._world.emit("aws.sagemaker", "SageMaker Training Job State Change", self.event(), [self.arn])

    def say(self, message: str) -> None:
        """Say something else of the same status."""
        self.transitions[-1] = self.transitions[-1]._replace(message=message)
        self.modified = time.time()

    def take_machines(self) -> None:
        """Machines are there: from now on they cost."""
        self._machines_since = time.time()
        self.started = self.started or self._machines_since

    def release_machines(self) -> None:
        """The machines are gone; silent when there are none."""
        if self._machines_since is not None:
            self._used += time.time() - self._machines_since
            self._machines_since = None

    def used_seconds(self) -> float:
        """How long it has had machines, over all its attempts."""
        now = time.time() - self._machines_since if self._machines_since is not None else 0.0
        return self._used + now

    def describe(self) -> dict[str, Any]:
        """The answer of DescribeTrainingJob."""
        training, billable = self._seconds()
        fields: dict[str, Any] = {
            **self.request,
            "TrainingJobArn": self.arn,
            "TrainingJobStatus": self.status,
            "SecondaryStatus": self.secondary,
            "FailureReason": self.failure or None,
            "CreationTime": when(self.created),
            "LastModifiedTime": when(self.modified),
            "TrainingStartTime": when(self.started),
            "TrainingEndTime": when(self.ended),
            "SecondaryStatusTransitions": [
                present(
                    {
                        "Status": each.status,
                        "StartTime": when(each.since),
                        "EndTime": when(each.until),
                        "StatusMessage": each.message,
                    }
                )
                for each in self.transitions
            ],
            "FinalMetricDataList": [
                {"MetricName": name, "Value": value, "Timestamp": when(at)}
                for name, (value, at) in self.metrics.items()
            ]
            or None,
            "TrainingTimeInSeconds": training,
            "BillableTimeInSeconds": billable,
            "ModelArtifacts": self._artifacts(),
            "ProfilingStatus": "Disabled",
        }
        return present(fields)

    def summary(self) -> dict[str, Any]:
        """Its line in ListTrainingJobs."""
        fields = self.describe()
        return {name: fields[name] for name in _SUMMARY_FIELDS if name in fields}

    def event(self) -> dict[str, Any]:
        """The detail of `SageMaker Training Job State Change`, with times in milliseconds."""
        fields = self.describe()
        detail = {name: _in_millis(fields[name]) for name in _EVENT_FIELDS if name in fields}
        return {**detail, "Tags": dict(self.tags)}

    def _seconds(self) -> tuple[int | None, int | None]:
        if self.started is None:
            return None, None
        training = math.ceil(self.used_seconds())
        return training, max(1, round(training * SPOT_PRICE)) if self.is_spot else training

    def _artifacts(self) -> dict[str, str] | None:
        if self.status not in TERMINAL or self.started is None:
            return None
        output = self.request["OutputDataConfig"]
        place = under(place_of(output["S3OutputPath"]), self.name, "output")
        is_archive = output.get("CompressionType", "GZIP") == "GZIP"
        return {"S3ModelArtifacts": f"{place}/model.tar.gz" if is_archive else f"{place}/model/"}


def _in_millis(value: Any) -> Any:
    """The same with each time in milliseconds, as events have them."""
    if isinstance(value, datetime.datetime):
        return int(value.timestamp() * 1000)
    if isinstance(value, list):
        return [_in_millis(each) for each in value]
    if isinstance(value, Mapping):
        return {name: _in_millis(each) for name, each in value.items()}
    return value


def when(seconds: float | None) -> datetime.datetime | None:
    """Seconds since the epoch as the aware time that answers carry."""
    return None if seconds is None else datetime.datetime.fromtimestamp(seconds, datetime.UTC)
