"""The engine of an account: training runs on SageMaker, inference runs on Batch, all else in S3."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from ..core.environments.facts import PREDICTIONS, STOP_REASON
from ..core.errors import AccountRefused, BadInput
from ..core.jobs.job import Job
from ..core.ports.engine import LogLine, Request, RunQuery
from ..core.runs.run import Observation, Run, State
from ..worker.reasons import CUT_OFF, STOPPED
from ..worker.s3.address import S3Address
from . import checks, logs
from .account import errors, names
from .account.deployment import Deployment
from .account.session import Session
from .batch.jobs import BatchJobs
from .batch.runs import InferenceJobs
from .batch.streams import BatchStreams
from .launching import Launcher
from .s3 import addresses
from .s3.ledger import S3Ledger
from .s3.store import S3Store
from .sagemaker import reasons
from .sagemaker.jobs import Sight, TrainingJobs
from .sagemaker.streams import TrainingStreams
from .settlement import Settler

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_SOON = 120.0
"""Seconds after which a launch that AWS does not know will not be known any more."""
_REMEMBERED = 6.5 * 86_400
"""Seconds for which Batch surely knows a job that has ended; it is 7 days."""


class AwsEngine:
    """The `CloudEngine` of an environment in an account. Safe to use from several threads."""

    def __init__(self, session: Session, deployment: Deployment, ledger: S3Ledger, store: S3Store) -> None:
        self.name = deployment.name
        self.predictions = S3Address(deployment.model_bucket, PREDICTIONS).uri
        self._session, self._deployment, self._ledger = session, deployment, ledger
        self._training = TrainingJobs(session, deployment)
        self._batch = BatchJobs(session, deployment)
        self._inference = InferenceJobs(session, deployment, self._batch)
        self._launcher = Launcher(session, deployment, store, self._training, self._inference, self._batch)
        self._settler = Settler(session, deployment, ledger)
        self._pace = logs.LOOPBACK if _is_near(session) else logs.AWS
        self._settled: dict[tuple[str, int], Observation] = {}
        self._priors: dict[tuple[str, int], Observation] = {}
        self._caller = ""

    def check(self, job: Job) -> None:
        """Refuse what an environment on AWS cannot do."""
        checks.check(job, self._deployment)

    def warnings(self, job: Job) -> list[str]:
        """What is allowed of a job and likely not meant on AWS, one line each."""
        return checks.warnings(job, self._deployment)

    def launch(self, run: Run) -> str:
        """Write the run down, then have AWS start it; its reference is the name of its job."""
        self._check_run(run)
        launch = self._launcher.prepare(run)
        is_new = self._ledger.submit(run)
        self._priors[run.id, run.launch] = run.seen
        if not is_new and self._is_over(run):
            return launch.reference
        try:
            launch.send(is_new)
        except AccountRefused as error:
            # A launch that was written down by somebody else is theirs to give up.
            if is_new:
                self._give_up(run, error)
            raise
        return launch.reference

    def requests(self, run: Run) -> list[Request]:
        """The requests that `launch` would send to start the run, in their order; nothing is sent."""
        self._check_run(run)
        return self._launcher.prepare(run, is_dry=True).requests

    def observe(self, runs: Sequence[Run], *, wait: float = 0.0) -> Mapping[str, Observation]:
        """What became of each run. Whoever sees first that one has ended settles it."""
        deadline = time.monotonic() + wait
        known = {run.id: run.state for run in runs}
        for pause in self._pace.pauses():
            seen = self._look(runs)
            left = deadline - time.monotonic()
            if left <= 0 or any(seen[each].state is not known[each] for each in seen):
                return seen
            if all(each.state.ended for each in seen.values()):
                return seen
            time.sleep(min(pause, left))
        raise AssertionError("pauses have no end")

    def runs(self, query: RunQuery) -> Iterator[Run]:
        found = self._ledger.runs(query)
        seen = self._look([run for run in found if not run.state.ended])
        for run in found:
            yield run.observed(seen.get(run.id, run.seen))

    def settle_open(self, name: str | None = None) -> None:
        """Settle what has ended and nobody has seen yet, of all jobs or of one."""
        self._look(self._ledger.open_runs(name))

    def logs(self, run: Run, *, follow: bool) -> Iterator[LogLine]:
        pace = logs.AWS_LOGS if self._pace is logs.AWS else self._pace
        streams: TrainingStreams | BatchStreams
        if run.is_training:
            streams = TrainingStreams(self._session, self._deployment, run, pace.seldom)
        else:
            streams = BatchStreams(
                self._session, self._deployment, run, self._batch, self._inference, pace.seldom
            )
        found = logs.RunLogs(streams, pace)
        return found.follow(self._watch(run, pace.seldom)) if follow else found.lines()

    def stop(self, run: Run) -> None:
        if run.is_training:
            found = self._training.stop(run)
        else:
            found = self._batch.terminate(run, f"{STOP_REASON}{self._who()}")
        if not found and not self._look([run])[run.id].state.ended:
            # It was written down, and the command that was to send it is gone or was overtaken.
            self._settle(run, Sight(self._prior(run).replace(state=State.STOPPED, reason=STOPPED.words)))

    def _watch(self, run: Run, seldom: float) -> Callable[[], bool]:
        """Whether the run has ended, as it was at most so many seconds ago."""
        due = 0.0

        def has_ended() -> bool:
            nonlocal due
            if time.monotonic() < due:
                return False
            due = time.monotonic() + seldom
            return self._look([run])[run.id].state.ended

        return has_ended

    def _look(self, runs: Sequence[Run]) -> dict[str, Observation]:
        found = {run.id: seen for run in runs if (seen := self._known(run)) is not None}
        still = [run for run in runs if run.id not in found]
        training = [run for run in still if run.is_training]
        answers = self._training.describe_all(training) if training else {}
        # Models count their versions in the order in which runs are settled.
        for run in sorted(training, key=lambda run: _ending(answers.get(run.id))):
            answer = answers.get(run.id)
            prior = self._prior(run)
            sight = self._unsent(run, prior) if answer is None else self._training.sight(run, answer, prior)
            found[run.id] = self._settle(run, sight) if sight.seen.state.ended else sight.seen
        inference = [run for run in still if not run.is_training]
        jobs = self._batch.describe(inference) if inference else {}
        for run in inference:
            sight = self._sight_of_inference(run, jobs[run.id])
            found[run.id] = self._settle(run, sight) if sight.seen.state.ended else sight.seen
        return found

    def _sight_of_inference(self, run: Run, jobs: Mapping[str, Any]) -> Sight:
        prior = self._prior(run)
        if not jobs:
            return self._unsent(run, prior)
        seen = self._inference.sight(run, jobs, prior)
        is_whole = names.COMMIT in jobs or seen.state is not State.FAILED or seen.reason != CUT_OFF.words
        return (
            Sight(seen) if is_whole or self._age(run) > _SOON else Sight(seen.replace(state=State.STARTING))
        )

    def _unsent(self, run: Run, prior: Observation) -> Sight:
        """What to say of a launch that is written down and that AWS does not know."""
        age = self._age(run)
        if age < _SOON:
            return Sight(prior.replace(state=State.QUEUED, reason=""))
        if not run.is_training and age > _REMEMBERED:
            return Sight(self._inference.forgotten(run, prior))
        return Sight(prior.replace(state=State.FAILED, reason=CUT_OFF.words, finished=time.time()))

    def _settle(self, run: Run, sight: Sight) -> Observation:
        seen = self._settler.settle(run, sight)
        self._settled[run.id, run.launch] = seen
        return seen

    def _known(self, run: Run) -> Observation | None:
        return run.seen if run.state.ended else self._settled.get((run.id, run.launch))

    def _prior(self, run: Run) -> Observation:
        """What earlier launches left to this one."""
        nothing = Observation(state=State.QUEUED)
        if run.launch == 1:
            return nothing
        key = (run.id, run.launch)
        if key not in self._priors:
            known = self._ledger.run(run.id)
            is_it = known is not None and known.launch == run.launch and not known.state.ended
            self._priors[key] = known.seen if known is not None and is_it else nothing
        return self._priors[key]

    def _age(self, run: Run) -> float:
        """Seconds since the launch was written down."""
        bucket, key = self._deployment.model_bucket, names.launch_key(run.id, run.launch)
        head = self._session.call("s3", "head_object", Bucket=bucket, Key=key)
        return float(time.time() - head["LastModified"].timestamp())

    def _is_over(self, run: Run) -> bool:
        known = self._ledger.run(run.id)
        return known is not None and (known.launch > run.launch or known.state.ended)

    def _give_up(self, run: Run, error: AccountRefused) -> None:
        """Settle a launch that AWS refused; where it is not known whether it did, leave it to be repeated."""
        if not errors.is_final(error.code):
            return
        cause = None
        if run.is_training:
            cause = reasons.submission_refused(error.code, error.message, run.training)
        else:
            # Of the three jobs some may have been taken.
            self._batch.terminate(run, f"{STOP_REASON}trainyard")
        reason = cause.reason if cause else str(error)
        prior = self._prior(run).replace(state=State.FAILED, reason=reason, finished=time.time())
        self._settle(run, Sight(prior))
        if cause is not None:
            raise BadInput(cause.reason, where=run.id) from None

    def _check_run(self, run: Run) -> None:
        """Refuse what can be known to be wrong beforehand."""
        checks.check_run(run)
        addresses.check_run(self._session, self._deployment, run)
        if run.output and run.output != f"{self.predictions}{run.id}/":
            addresses.check_output(self._session, run)

    def _who(self) -> str:
        if not self._caller:
            self._caller = errors.person(self._session.caller().arn)
        return self._caller


def _ending(answer: Mapping[str, Any] | None) -> float:
    """When a training job ended, in seconds since the epoch; 0 where it has not."""
    moment = (answer or {}).get("TrainingEndTime")
    return float(moment.timestamp()) if moment else 0.0


def _is_near(session: Session) -> bool:
    endpoint = session.endpoint or os.environ.get("AWS_ENDPOINT_URL", "")
    return urlsplit(endpoint).hostname in _LOOPBACK
