"""The engine of an account: training runs on SageMaker, inference runs on Batch, all else in S3."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from urllib.parse import urlsplit

from ..core.environments.facts import PREDICTIONS
from ..core.errors import AccountRefused, BadInput
from ..core.jobs.job import InferenceJob, Job, TrainingJob
from ..core.ports.engine import LogLine, Request, RunQuery
from ..core.runs.run import Observation, Run, State
from ..worker.reasons import STOPPED
from ..worker.s3.address import S3Address
from . import checks, logs
from .account import errors, names
from .account.deployment import Deployment
from .account.session import Session
from .batch.service import InferenceJobs
from .images.pinning import pinned_image
from .s3 import addresses
from .s3.ledger import S3Ledger
from .s3.store import S3Store
from .sagemaker.jobs import TrainingJobs
from .services import Launch, Service, Sight

_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_SOON = 120.0
"""Seconds after which a launch that AWS does not know will not be known any more."""


class AwsEngine:
    """The `CloudEngine` of an environment in an account. Safe to use from several threads."""

    def __init__(self, session: Session, deployment: Deployment, ledger: S3Ledger, store: S3Store) -> None:
        self.name = deployment.name
        self.predictions = S3Address(deployment.model_bucket, PREDICTIONS).uri
        self._session, self._deployment, self._ledger, self._store = session, deployment, ledger, store
        self._services: dict[str, Service] = {
            TrainingJob.kind: TrainingJobs(session, deployment, ledger),
            InferenceJob.kind: InferenceJobs(session, deployment, self._has_ended),
        }
        self._pace = logs.LOOPBACK if _is_near(session) else logs.AWS
        self._settled: dict[tuple[str, int], Observation] = {}
        self._priors: dict[tuple[str, int], Observation] = {}
        self._caller = ""

    def check(self, job: Job) -> None:
        """Refuse what an environment on AWS cannot do."""
        self._services[job.kind].check(job)
        checks.check_secrets(job, self._deployment)

    def warnings(self, job: Job) -> list[str]:
        """What is allowed of a job and likely not meant on AWS, one line each."""
        return self._services[job.kind].warnings(job)

    def launch(self, run: Run) -> str:
        """Write the run down, then have AWS start it; its reference is the name of its job."""
        self._check_run(run)
        launch = self._prepared(run)
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
        return self._prepared(run, is_dry=True).requests

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
        found = logs.RunLogs(self._services[run.kind].streams(run, pace.seldom), pace)
        return found.follow(self._watch(run, pace.seldom)) if follow else found.lines()

    def stop(self, run: Run) -> None:
        found = self._services[run.kind].stop(run, self._who)
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

    def _prepared(self, run: Run, *, is_dry: bool = False) -> Launch:
        """Everything that a launch sends. Only what is known by its content is sent by now: the worker, and
        the job definition of an image that is new to Batch; with `is_dry` not even that."""
        worker = self._store.worker_address() if is_dry else self._store.keep_worker()
        image = pinned_image(self._session, self._deployment, run.job)
        run = run.replace(job=run.job.replace(image=image))
        return self._services[run.kind].prepare(run, worker, is_dry=is_dry)

    def _look(self, runs: Sequence[Run]) -> dict[str, Observation]:
        found = {run.id: seen for run in runs if (seen := self._known(run)) is not None}
        for kind, service in self._services.items():
            still = [run for run in runs if run.kind == kind and run.id not in found]
            for run, sight in service.look(still, self._prior) if still else ():
                sight = self._unknown(run) if sight is None else self._so_far(run, sight)
                found[run.id] = self._settle(run, sight) if sight.seen.state.ended else sight.seen
        return found

    def _unknown(self, run: Run) -> Sight:
        """What to say of a launch that is written down and that AWS does not know."""
        age, prior = self._age(run), self._prior(run)
        if age < _SOON:
            return Sight(prior.replace(state=State.QUEUED, reason=""))
        return Sight(self._services[run.kind].unknown(run, prior, age))

    def _so_far(self, run: Run, sight: Sight) -> Sight:
        if sight.is_whole or self._age(run) > _SOON:
            return sight
        return Sight(sight.seen.replace(state=State.STARTING))

    def _settle(self, run: Run, sight: Sight) -> Observation:
        seen = self._services[run.kind].settled(run, sight)
        self._ledger.settle(run.observed(seen))
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
        cause = self._services[run.kind].refused(run, error)
        reason = cause.reason if cause else str(error)
        prior = self._prior(run).replace(state=State.FAILED, reason=reason, finished=time.time())
        self._settle(run, Sight(prior))
        if cause is not None:
            raise BadInput(cause.reason, where=run.id) from None

    def _check_run(self, run: Run) -> None:
        """Refuse what can be known to be wrong beforehand."""
        checks.check_run(run)
        addresses.check_run(self._session, self._deployment, run)

    def _has_ended(self, run_id: str) -> bool:
        """Whether a run is known, and over."""
        known = self._ledger.run(run_id)
        return known is not None and self._look([known])[run_id].state.ended

    def _who(self) -> str:
        if not self._caller:
            self._caller = errors.person(self._session.caller().arn)
        return self._caller


def _is_near(session: Session) -> bool:
    endpoint = session.endpoint or os.environ.get("AWS_ENDPOINT_URL", "")
    return urlsplit(endpoint).hostname in _LOOPBACK
