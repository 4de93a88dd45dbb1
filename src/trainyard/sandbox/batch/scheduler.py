"""Batch's scheduler: what becomes of jobs from their submission to their end. It starts no process itself."""

from __future__ import annotations

import time
import uuid
from collections import deque
from collections.abc import Collection, Mapping, Sequence

from ..world.world import World
from . import retries
from .attempts import Attempts
from .description import describe
from .jobs import (
    ACTIVE,
    CHILD_FAILED,
    DEPENDENT_FAILED,
    FAILED,
    PENDING,
    RUNNABLE,
    RUNNING,
    STARTING,
    SUBMITTED,
    SUCCEEDED,
    TIMED_OUT,
    BatchAttempt,
    Job,
    Spec,
)
from .line import Line
from .metrics import Metrics
from .queues import MachineLimits

GRACE = 30.0
"""Seconds between SIGTERM and SIGKILL ("Job timeouts", AWS Batch user guide)."""
_TICK = 0.25


class JobScheduler:
    """All jobs of a sandbox. Its methods are called under the world's lock, but for `end` and what says so.

    As many jobs run at once as the machine has cores, whatever vCPUs they ask for.
    """

    def __init__(self, world: World) -> None:
        self._world = world
        self.jobs: dict[str, Job] = {}
        """Everything that was ever submitted, children too, by id, in the order of submission."""
        self._dependents: dict[str, list[Job]] = {}
        self._line = Line()
        self._active: dict[str, Job] = {}
        self._slots = world.slots
        self._metrics = Metrics(world)
        self._machines = MachineLimits(world)
        self._attempts = Attempts(world, self)
        self._ends: deque[tuple[Job, str, str]] = deque()
        self._is_settling = False
        self._has_ended = False
        self._ticks = world.clock.every(_TICK, self._tick)

    def submit(
        self,
        spec: Spec,
        array: int,
        depends_on: Sequence[Mapping[str, str]],
        tags: Mapping[str, str],
    ) -> Job:
        """Take a job in, SUBMITTED. The ids that it depends on have to be known."""
        job = Job(str(uuid.uuid4()), spec, time.time(), array=array)
        job.depends_on, job.tags = list(depends_on), dict(tags)
        self.jobs[job.id] = job
        self._metrics.count("JobsSubmitted", job, array or 1)
        self._world.clock.after(0.0, lambda: self._evaluate(job))
        return job

    def stop(self, job: Job, reason: str, *, terminate: bool) -> None:
        """Cancel a job that has no machine yet; with `terminate` also end what runs. Silent for one that has
        ended. A job that waits for others ends when these have ended ("CancelJob", API reference)."""
        if job.has_ended:
            return
        self._mark(job, reason, terminate)
        for child in job.children:
            if not child.has_ended:
                self._mark(child, reason, terminate)
                self._stop_one(child, reason, terminate)
        if not job.array:
            self._stop_one(job, reason, terminate)

    def interrupt(self, job: Job) -> list[str]:
        """Lose the machines under a job, or under all running children of an array; what ran there, by id."""
        found = [each for each in job.family() if each.attempt and not each.attempt.cause]
        for each in found:
            attempt = each.attempts[-1]
            attempt.is_lost = True
            self._attempts.kill(attempt, f"Host EC2 (instance {attempt.instance}) terminated.")
        return [each.id for each in found]

    def miss_images(self, names: Collection[str]) -> None:
        """Nobody can pull images of these names from now on, and all others again."""
        self._attempts.missing_images = set(names)

    def began(self, job: Job, attempt: BatchAttempt) -> None:
        """The attempt's program runs."""
        if self._has_ended or job.status != STARTING:
            return
        attempt.started = time.time()
        job.started = attempt.started
        self._set(job, RUNNING)
        if job.spec.timeout:
            attempt.timer = self._world.clock.after(job.spec.timeout, lambda: self._time_out(job, attempt))

    def ended(self, job: Job, attempt: BatchAttempt) -> None:
        """Nothing of the attempt is left and its log is written: it is over, and the job perhaps too."""
        if self._has_ended:
            return
        if attempt.timer:
            attempt.timer.cancel()
        attempt.stopped = time.time()
        self._active.pop(job.id, None)
        self._metrics.attempt_ended(job, attempt)
        ending = attempt.ending
        if ending.exit_code == 0 and not attempt.cause:
            self._finish(job, SUCCEEDED, ending.status_reason)
        elif attempt.is_final or not retries.is_retried(job.spec.retry, attempt.number, ending):
            self._finish(job, FAILED, ending.status_reason)
        elif job.reason_to_end is not None:
            self._finish(job, FAILED, job.reason_to_end)
        else:
            self._metrics.count("JobsRetried", job)
            self._make_runnable(job)
        self._pump()

    def memory_exceeded(self, attempt: BatchAttempt) -> None:
        """The processes of the attempt have more memory than it asked for: what the kernel does then."""
        if not attempt.cause:
            attempt.is_out_of_memory = True
            self._attempts.kill(attempt, "")

    def end(self) -> None:
        """End all that runs; called without the lock."""
        with self._world.lock:
            self._has_ended = True
            self._ticks.cancel()
            active = list(self._active.values())
        self._attempts.end([job.attempts[-1] for job in active])

    def _tick(self) -> None:
        with self._world.lock:
            if self._has_ended:
                return
            self._metrics.flush()
            self._pump()
            self._machines.tell_blocked(self._line.waiting())
            running = [job for job in self._active.values() if job.status == RUNNING]
        self._attempts.watch_memory(running)

    def _evaluate(self, job: Job) -> None:
        """The scheduler has a first look at a submitted job."""
        with self._world.lock:
            if self._has_ended or job.has_ended:
                return
            if job.reason_to_end is not None:
                self._finish(job, FAILED, job.reason_to_end)
            else:
                self._await(job, [each["jobId"] for each in job.depends_on if not each.get("type")])
            self._pump()

    def _await(self, job: Job, ids: Sequence[str]) -> None:
        """Have a job wait for others to succeed; it goes on, or fails, at once when they have ended."""
        for id in dict.fromkeys(ids):
            status = self._outcome(id)
            if status == FAILED:
                self._finish(job, FAILED, DEPENDENT_FAILED)
                return
            if status != SUCCEEDED:
                job.waits_for.add(id)
                self._dependents.setdefault(id, []).append(job)
        if not job.waits_for:
            self._go_on(job)
        elif job.status == SUBMITTED:
            self._set(job, PENDING)

    def _outcome(self, id: str) -> str:
        """The status of a job that may be a child that its parent has not spawned."""
        job = self.jobs.get(id) or self.jobs[id.partition(":")[0]]
        return job.status

    def _go_on(self, job: Job) -> None:
        """All that a job waited for has succeeded."""
        if job.reason_to_end is not None:
            self._finish(job, FAILED, job.reason_to_end)
        elif not job.array:
            self._make_runnable(job)
        else:
            self._spawn(job)

    def _spawn(self, parent: Job) -> None:
        if parent.status == SUBMITTED:
            self._set(parent, PENDING)
        children = parent.spawn(time.time())
        self.jobs.update((child.id, child) for child in children)
        kinds = [(each.get("type"), each.get("jobId")) for each in parent.depends_on]
        for index, child in enumerate(children):
            ids = [f"{id}:{index}" for kind, id in kinds if kind == "N_TO_N"]
            if index and ("SEQUENTIAL", None) in kinds:
                ids.append(children[index - 1].id)
            self._await(child, ids)

    def _make_runnable(self, job: Job) -> None:
        self._set(job, RUNNABLE)
        seconds = self._world.settings.start_seconds
        if seconds:
            self._world.clock.after(seconds, lambda: self._queue(job))
        else:
            self._line.add(job)

    def _queue(self, job: Job) -> None:
        """The time that a machine takes to come is over."""
        with self._world.lock:
            if not self._has_ended and job.status == RUNNABLE:
                self._line.add(job)
                self._pump()

    def _pump(self) -> None:
        """Give free slots to those who are next."""
        while len(self._active) < self._slots and (job := self._line.take(self._machines.priority)):
            self._begin(job)

    def _begin(self, job: Job) -> None:
        if self._machines.is_gone(job):
            self._finish(job, FAILED, "JobQueue deleted")
        elif job.spec.refusal:
            self._finish(job, FAILED, job.spec.refusal)
        else:
            self._active[job.id] = job
            attempt = self._attempts.make(job)
            job.attempts.append(attempt)
            self._set(job, STARTING)
            self._attempts.launch(job, attempt)

    def _time_out(self, job: Job, attempt: BatchAttempt) -> None:
        with self._world.lock:
            if job.attempt is attempt and not attempt.cause:
                attempt.is_final = True
                self._attempts.terminate(attempt, TIMED_OUT, GRACE)

    def _mark(self, job: Job, reason: str, terminate: bool) -> None:
        if terminate:
            job.is_terminated = True
        elif job.status not in ACTIVE:
            job.is_cancelled = True
        if terminate or job.status not in ACTIVE:
            job.reason_to_end = reason if job.reason_to_end is None else job.reason_to_end

    def _stop_one(self, job: Job, reason: str, terminate: bool) -> None:
        attempt = job.attempt
        if job.status == RUNNABLE:
            self._finish(job, FAILED, reason)
        elif attempt and terminate and not attempt.cause:
            attempt.is_final = True
            self._attempts.terminate(attempt, reason, GRACE)

    def _set(self, job: Job, status: str, reason: str = "") -> None:
        job.set_status(status, reason, time.time())
        self._metrics.moved(job)
        arn = self._world.arn("batch", f"job/{job.id}")
        self._world.emit("aws.batch", "Batch Job State Change", describe(job, self._world), [arn])

    def _finish(self, job: Job, status: str, reason: str) -> None:
        """Move a job to its end, and then all that this ends or lets go on, one after the other."""
        self._ends.append((job, status, reason))
        if self._is_settling:
            # An array whose children wait for each other would nest as deep as it is long.
            return
        self._is_settling = True
        try:
            while self._ends:
                self._settle(*self._ends.popleft())
        finally:
            self._is_settling = False

    def _settle(self, job: Job, status: str, reason: str) -> None:
        if job.has_ended:
            return
        self._set(job, status, reason)
        self._metrics.ended(job)
        self._tell_dependents(job.id, status)
        if job.array and not job.children:
            for index in range(job.array):
                self._tell_dependents(f"{job.id}:{index}", status)
        if job.parent is not None:
            self._settle_parent(job.parent)

    def _tell_dependents(self, id: str, status: str) -> None:
        for job in self._dependents.pop(id, ()):
            if job.has_ended:
                continue
            job.waits_for.discard(id)
            if status == FAILED:
                wish = job.reason_to_end
                self._finish(job, FAILED, DEPENDENT_FAILED if wish is None else wish)
            elif not job.waits_for:
                self._go_on(job)

    def _settle_parent(self, parent: Job) -> None:
        failed = parent.summary[FAILED]
        if parent.has_ended or failed + parent.summary[SUCCEEDED] < parent.array:
            return
        if not failed:
            self._finish(parent, SUCCEEDED, "")
        else:
            wish = parent.reason_to_end
            self._finish(parent, FAILED, CHILD_FAILED if wish is None else wish)
