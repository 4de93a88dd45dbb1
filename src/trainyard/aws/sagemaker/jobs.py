"""Training runs as SageMaker training jobs: one job a launch, its attempts told by its hosts."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from ...core.environments.facts import TIMEOUTS
from ...core.errors import AccountRefused
from ...core.jobs.job import TrainingJob
from ...core.ports.engine import Request
from ...core.runs import outcomes
from ...core.runs.run import Observation, Run, State
from ...worker.reasons import CUT_OFF, Ending
from ..account import names, parallel
from ..account.deployment import Deployment
from ..account.errors import ignoring
from ..account.session import Session
from ..images import images
from ..s3 import objects
from ..s3.ledger import S3Ledger
from ..services import Launch, Sight
from . import checks, history, reasons, requests, states
from .models import Models
from .streams import TrainingStreams

_TAKEN = "ResourceInUse"
_ABSENT = frozenset({"ResourceNotFound", "ResourceNotFoundException"})
_IN_BULK = 16
"""Jobs that are described one by one, at the most; more are listed."""


class TrainingJobs:
    """The `Service` of training runs."""

    def __init__(self, session: Session, deployment: Deployment, ledger: S3Ledger) -> None:
        self._session, self._deployment = session, deployment
        self._models = Models(session, deployment, ledger)

    def check(self, job: TrainingJob) -> None:
        checks.check(job, self._deployment)

    def warnings(self, job: TrainingJob) -> list[str]:
        return checks.warnings(job, self._deployment)

    def prepare(self, run: Run, worker: str, *, is_dry: bool) -> Launch:
        image = images.training_image(run.training, self._deployment.region)
        endpoint = self._session.endpoint
        request = requests.training_request(run, self._deployment, worker, image, endpoint)

        def send(is_new: bool) -> None:
            if is_new or self._describe(run) is None:
                with ignoring(_TAKEN):  # one of that name is this one
                    self._session.call("sagemaker", "create_training_job", **request)

        return Launch(self._name(run), [Request("sagemaker:CreateTrainingJob", request)], send)

    def look(
        self, runs: Sequence[Run], prior: Callable[[Run], Observation]
    ) -> Iterator[tuple[Run, Sight | None]]:
        answers = self.describe_all(runs)
        # Models count their versions in the order in which runs are settled.
        for run in sorted(runs, key=lambda run: _ending(answers.get(run.id))):
            answer = answers.get(run.id)
            yield run, None if answer is None else self.sight(run, answer, prior(run))

    def unknown(self, run: Run, prior: Observation, age: float) -> Observation:
        return prior.replace(state=State.FAILED, reason=CUT_OFF.words, finished=time.time())

    def streams(self, run: Run, seldom: float) -> TrainingStreams:
        return TrainingStreams(self._session, self._deployment, run, seldom)

    def refused(self, run: Run, error: AccountRefused) -> Ending | None:
        return reasons.submission_refused(error.code, error.message, run.training)

    def settled(self, run: Run, sight: Sight) -> Observation:
        return self._models.settled(run.observed(sight.seen), sight.histories)

    def _name(self, run: Run) -> str:
        return names.launch_name(self._deployment.prefix, run)

    def stop(self, run: Run, person: Callable[[], str]) -> bool:
        # It is silent where the job ends or has ended.
        try:
            self._session.call("sagemaker", "stop_training_job", TrainingJobName=self._name(run))
        except AccountRefused as error:
            if error.code in _ABSENT or "not found" in error.message:
                return False
            if error.code != "ValidationException":
                raise
        return True

    def _describe(self, run: Run) -> dict[str, Any] | None:
        """DescribeTrainingJob; None where there is no such job."""
        with ignoring(*_ABSENT, words="not found"):  # "Requested resource not found."
            return self._session.call("sagemaker", "describe_training_job", TrainingJobName=self._name(run))
        return None

    def describe_all(self, runs: Sequence[Run]) -> dict[str, dict[str, Any]]:
        """What SageMaker says of the runs' jobs, by run; those it does not know are left out. Of many that
        are under way, no more than their status."""
        if len(runs) > _IN_BULK:
            listed = self._listed(runs)
            ended = [run for run in runs if run.id in listed and _has_ended(listed[run.id])]
            runs = [*ended, *(run for run in runs if run.id not in listed)]
        else:
            listed = {}
        answers = zip(runs, parallel.each(self._describe, runs), strict=True)
        return listed | {run.id: answer for run, answer in answers if answer is not None}

    def sight(self, run: Run, answer: Mapping[str, Any], prior: Observation) -> Sight:
        """What became of a launch, from SageMaker's answer and what the hosts wrote down. `prior` is what
        earlier launches left."""
        verdict = states.training_verdict(run.training, answer)
        began = "TrainingStartTime" in answer
        histories = self.histories(run) if began else ()
        finished = _seconds(answer.get("TrainingEndTime")) or _seconds(answer.get("LastModifiedTime"))
        interruption = states.last_interruption(answer)
        fate = history.Fate(
            verdict.state, verdict.reason, finished if verdict.state.ended else None, interruption
        )
        attempts = history.attempts(histories, run.launch, fate, prior=prior.attempts)
        if len(attempts) == len(prior.attempts):
            first = max((each.number for each in attempts), default=0) + 1
            attempts += states.training_attempts(answer, first=first)
        seen = Observation(
            state=verdict.state,
            reason=verdict.reason,
            bad_input=verdict.bad_input,
            metrics={**prior.metrics, **_metrics(answer)},
            attempts=attempts,
            started=prior.started or min((each.started for each in attempts if each.started), default=None),
            finished=finished if verdict.state.ended else None,
            billable_seconds=_added(prior.billable_seconds, answer.get("BillableTimeInSeconds")),
            training_seconds=_added(prior.training_seconds, answer.get("TrainingTimeInSeconds")),
        )
        seen = _in_words(seen, histories, run.launch)
        if seen.state is State.SUCCEEDED and self._models.is_late(run.observed(seen), histories):
            return Sight(seen.replace(state=State.RUNNING, reason="", finished=None), histories)
        return Sight(seen, histories)

    def histories(self, run: Run) -> tuple[history.History, ...]:
        """What each host has written down so far."""
        hosts = [f"algo-{number + 1}" for number in range(run.training.resources.instance_count)]
        return tuple(parallel.each(lambda host: self._history(run.id, host), hosts))

    def _history(self, run_id: str, host: str) -> history.History:
        bucket = self._deployment.model_bucket
        found = (objects.read(self._session, bucket, key) for key in history.keys(run_id, host))
        return history.parse(host, next(filter(None, found), b""))

    def _listed(self, runs: Sequence[Run]) -> dict[str, dict[str, Any]]:
        wanted = {self._name(run): run.id for run in runs}
        found: dict[str, dict[str, Any]] = {}
        pages = self._session.pages(
            "sagemaker",
            "list_training_jobs",
            NameContains=self._deployment.prefix.rstrip("-"),
            CreationTimeAfter=min(run.created for run in runs) - 60,
            SortBy="CreationTime",
            SortOrder="Descending",
            MaxResults=100,
        )
        for page in pages:
            for each in page["TrainingJobSummaries"]:
                if each["TrainingJobName"] in wanted:
                    found[wanted[each["TrainingJobName"]]] = {"SecondaryStatus": "Training", **each}
            if len(found) == len(wanted):
                break
        return found


def _ending(answer: Mapping[str, Any] | None) -> float:
    """When a training job ended, in seconds since the epoch; 0 where it has not."""
    return _seconds((answer or {}).get("TrainingEndTime")) or 0.0


def _has_ended(summary: Mapping[str, Any]) -> bool:
    return summary["TrainingJobStatus"] not in ("InProgress", "Stopping")


def _in_words(seen: Observation, histories: Sequence[history.History], launch: int) -> Observation:
    """The observation with the reason that the hosts tell, which SageMaker's text has shortened."""
    if seen.state is State.SUCCEEDED:
        return seen.replace(reason=outcomes.completed(seen.attempts).reason)
    reported = history.failure(histories, launch)
    # Where the job was ended for another reason, no host says that it failed.
    if seen.state is State.FAILED and reported is not None and not seen.reason.startswith(TIMEOUTS):
        return seen.replace(reason=reported.reason, bad_input=reported.bad_input)
    return seen


def _metrics(answer: Mapping[str, Any]) -> dict[str, float]:
    found = {each["MetricName"]: each["Value"] for each in answer.get("FinalMetricDataList", ())}
    return {name: value for name, value in found.items() if math.isfinite(value)}


def _added(before: int | None, now: int | None) -> int | None:
    return before if now is None else (before or 0) + now


def _seconds(moment: Any) -> float | None:
    """Seconds since the epoch of what botocore gives for a time."""
    return None if moment is None else float(moment.timestamp())
