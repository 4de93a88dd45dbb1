"""Inference runs as Batch jobs: what became of a launch, from Batch's answers and from what lies in S3."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from ...core.runs import outcomes, outputs
from ...core.runs.run import Attempt, Observation, Run, State
from ...worker import protocol, reasons
from ..account import names, parallel
from ..account.deployment import Deployment
from ..account.session import Session
from ..s3 import objects
from . import states
from .jobs import BatchJobs, Jobs
from .requests import last_numbers

_WATCHED = 100
"""Shards whose attempts are told while the run is under way, at the most; of more, at its end."""


class FailedAttempt(NamedTuple):
    """What a worker wrote down of a failed attempt, by Batch's number, which counts from 1 in each launch."""

    task: str
    launch: int
    attempt: int
    reason: str
    bad_input: bool
    finished: float


class InferenceRuns:
    """What becomes of the inference runs of an environment."""

    def __init__(self, session: Session, deployment: Deployment, batch: BatchJobs) -> None:
        self._session, self._deployment, self._batch = session, deployment, batch
        self._plans: dict[str, tuple[int, tuple[str, ...]]] = {}
        self._failed: dict[str, list[FailedAttempt]] = {}

    def sight(self, run: Run, jobs: Jobs, prior: Observation) -> Observation:
        """What became of a launch whose jobs are these; `prior` is what earlier launches left."""
        steps = {step: states.batch_verdict(run.inference, job) for step, job in jobs.items()}
        has_ended = all(verdict.state.ended for verdict in steps.values())
        shards = jobs.get(names.SHARDS)
        is_watched = shards is not None and (has_ended or _size(shards) <= _WATCHED)
        children = self.children(shards) if shards is not None and is_watched else []
        has_failures = any(_has_failures(job) for job in (*jobs.values(), *children))
        failed = self.failures(run) if has_failures else []
        attempts = (*prior.attempts, *self._attempts(run, children, failed, prior.attempts))
        rows, warnings = self._planned(run, jobs)
        seen = prior.replace(
            attempts=attempts,
            started=prior.started or min((each.started for each in attempts if each.started), default=None),
            rows_in=rows,
            warnings=warnings,
            shards_done=_done(shards) + len(_succeeded_tasks(prior.attempts)),
        )
        if not has_ended:
            verdict = states.inference_verdict(run.inference, *(jobs.get(step) for step in names.STEPS))
            # What fails takes down what waits for it: it ends when all of it has.
            state = State.RUNNING if verdict.state.ended else verdict.state
            return seen.replace(state=state, reason="" if verdict.state.ended else verdict.reason)
        finished = max((job.get("stoppedAt", 0) for job in jobs.values()), default=0) / 1000
        return self._ended(run, jobs, failed, seen.replace(finished=finished or None))

    def forgotten(self, run: Run, prior: Observation) -> Observation:
        """What became of a launch that Batch no longer knows, by what lies in S3."""
        summary = self._summary(run)
        if summary is None:
            return prior.replace(state=State.FAILED, reason=reasons.FORGOTTEN.words)
        return _succeeded(prior, summary)

    def children(self, shards: Mapping[str, Any]) -> list[Mapping[str, Any]]:
        """The jobs of an array by their index, or the job itself where it is none."""
        if "arrayProperties" not in shards or not shards["arrayProperties"].get("size"):
            return [shards]
        size = shards["arrayProperties"]["size"]
        details = self._batch.details(f"{shards['jobId']}:{index}" for index in range(size))
        return [details[child] for index in range(size) if (child := f"{shards['jobId']}:{index}") in details]

    def indices(self, run: Run) -> Sequence[int]:
        """The shard of each job of a launch's array, by its index."""
        if run.launch == 1:
            return range(run.inference.shards)
        manifest = self._read(names.manifest_key(run)) or {}
        found: Sequence[int] = manifest.get("indices", ())
        return found

    def failures(self, run: Run) -> list[FailedAttempt]:
        """The failed attempts of a launch, as the workers wrote them down, the first first."""
        prefix = names.state_prefix(run.id) + protocol.FAILURES
        keys = list(objects.keys(self._session, self._deployment.model_bucket, prefix))
        # They never change once they are written.
        fresh = [key for key in keys if key not in self._failed]
        read = parallel.each(lambda key: list(self._failure(key)), fresh)
        self._failed.update(zip(fresh, read, strict=True))
        found = [each for key in keys for each in self._failed[key]]
        return sorted((each for each in found if each.launch == run.launch), key=lambda each: each.finished)

    def _failure(self, key: str) -> Iterator[FailedAttempt]:
        document = self._read(key)
        task, _, number = key.rpartition("/")[2].removesuffix(".json").rpartition("-")
        if document is not None and number.isdecimal():
            yield FailedAttempt(
                task,
                int(document.get("launch", 0)),
                int(document.get("attempt", 0)),
                str(document.get("reason", "")),
                bool(document.get("bad_input")),
                float(document.get("finished") or 0.0),
            )

    def _attempts(
        self,
        run: Run,
        children: Sequence[Mapping[str, Any]],
        failed: list[FailedAttempt],
        prior: Sequence[Attempt],
    ) -> Iterator[Attempt]:
        said: dict[str, dict[int, str]] = {}
        for each in failed:
            said.setdefault(each.task, {})[each.attempt] = each.reason
        last = last_numbers(prior)
        for index, job in zip(self.indices(run) if children else (), children, strict=False):
            task = protocol.shard_name(index)
            yield from states.batch_attempts(
                run.inference, job, task, said=said.get(task), first=last.get(task, 0) + 1
            )

    def _ended(self, run: Run, jobs: Jobs, failed: list[FailedAttempt], seen: Observation) -> Observation:
        verdict = states.inference_verdict(run.inference, *(jobs.get(step) for step in names.STEPS))
        commit = jobs.get(names.COMMIT)
        if commit is not None and commit["status"] == "SUCCEEDED":
            return _succeeded(seen, self._summary(run) or {})
        if verdict.state is State.STOPPED:
            return seen.replace(state=State.STOPPED, reason=reasons.STOPPED.words)
        if commit is None and verdict.state is not State.FAILED:
            return seen.replace(state=State.FAILED, reason=reasons.CUT_OFF.words)
        if culprit := _culprit(failed, seen.attempts):
            return seen.replace(
                state=State.FAILED, reason=_named(culprit.task, culprit.reason), bad_input=culprit.bad_input
            )
        ended = [attempt for attempt in seen.attempts if attempt.state is State.FAILED]
        if ended:
            first = min(ended, key=lambda attempt: attempt.finished or 0.0)
            return seen.replace(state=State.FAILED, reason=_named(first.task, first.reason))
        return seen.replace(state=State.FAILED, reason=verdict.reason, bad_input=verdict.bad_input)

    def _planned(self, run: Run, jobs: Jobs) -> tuple[int | None, tuple[str, ...]]:
        """The rows of the input and what the plan warns of, once there is one."""
        plan = jobs.get(names.PLAN)
        if plan is not None and plan["status"] != "SUCCEEDED":
            return None, ()
        if run.id not in self._plans:
            document = self._read(names.state_prefix(run.id) + protocol.PLAN_FILE)
            if document is None:
                return None, ()
            self._plans[run.id] = document["rows"], tuple(document.get("warnings", ()))
        return self._plans[run.id]

    def _summary(self, run: Run) -> dict[str, Any] | None:
        return self._read(names.state_prefix(run.id) + protocol.SUMMARY_FILE)

    def _read(self, key: str) -> dict[str, Any] | None:
        return objects.read_json(self._session, self._deployment.model_bucket, key)


def _succeeded(seen: Observation, summary: Mapping[str, Any]) -> Observation:
    rows_in, rows_out = summary.get("rows_in", seen.rows_in), summary.get("rows_out", seen.rows_in)
    reason = outcomes.predicted(rows_out or 0).reason
    return seen.replace(
        state=State.SUCCEEDED,
        reason=reason,
        rows_in=rows_in,
        rows_out=rows_out,
        output_hash=outputs.committed_hash(summary),
    )


def _named(task: str, reason: str) -> str:
    """The reason of a run: of which shard, where it is one's."""
    return f"{task}: {reason}" if protocol.is_shard(task) else reason


def _has_failures(job: Mapping[str, Any]) -> bool:
    """Whether an attempt at the job has ended otherwise than well."""
    ended_well = job["status"] == "SUCCEEDED"
    return job["status"] == "FAILED" or len(job.get("attempts", ())) > int(ended_well)


def _culprit(failed: list[FailedAttempt], attempts: Sequence[Attempt]) -> FailedAttempt | None:
    """What the first task that failed for good wrote down at last."""
    done = _succeeded_tasks(attempts)
    last = {each.task: each for each in failed if each.task not in done}
    return min(last.values(), key=lambda each: each.finished, default=None)


def _succeeded_tasks(attempts: Sequence[Attempt]) -> set[str]:
    return {attempt.task for attempt in attempts if attempt.state is State.SUCCEEDED}


def _summary_of(shards: Mapping[str, Any]) -> Mapping[str, int]:
    found: Mapping[str, int] = shards.get("arrayProperties", {}).get("statusSummary", {})
    return found


def _done(shards: Mapping[str, Any] | None) -> int:
    if shards is None:
        return 0
    if shards.get("arrayProperties", {}).get("size"):
        return int(_summary_of(shards).get("SUCCEEDED", 0))
    return int(shards["status"] == "SUCCEEDED")


def _size(shards: Mapping[str, Any]) -> int:
    return int(shards.get("arrayProperties", {}).get("size") or 1)
