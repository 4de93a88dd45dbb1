"""Attempts of Batch jobs as processes: started, ended, and made into what Batch tells of their ends."""

from __future__ import annotations

import logging
import os
import queue
import secrets
import shutil
import signal
import threading
import time
import uuid
from collections.abc import Sequence
from typing import Protocol

from ...machine import memory
from ..tasks import containers
from ..tasks.spec import TaskEnd
from ..tasks.tasks import RunningTask
from ..world.cloudwatch import FileStream, Logs, ensure_stream
from ..world.world import World
from .container import (
    LONGEST_REASON,
    cannot_pull,
    cannot_start,
    log_problem,
    place_problem,
    pull_problem,
    task_spec,
)
from .jobs import EXITED, NOT_STARTED, OUT_OF_MEMORY, BatchAttempt, Job
from .retries import AttemptEnd

_TIMEOUT = 20.0
_log = logging.getLogger(__name__)
_KILLED = 128 + signal.SIGKILL


class Listener(Protocol):
    """Who hears what becomes of attempts; called under the world's lock."""

    def began(self, job: Job, attempt: BatchAttempt) -> None:
        """Its program runs."""

    def ended(self, job: Job, attempt: BatchAttempt) -> None:
        """Nothing of it is left, its log is written, and its `ending` says how."""

    def memory_exceeded(self, attempt: BatchAttempt) -> None:
        """Its processes have more memory than it may have."""


class Attempts:
    """Starts attempts, one after the other on a thread of its own, and hears of their ends."""

    def __init__(self, world: World, listener: Listener) -> None:
        self._world, self._listener = world, listener
        self.missing_images: set[str] = set()
        """Images that nobody can pull, for trying out what comes of it."""
        self._logs = world.part(Logs)
        self._live = 0
        self._changed = threading.Condition()
        self._starts: queue.SimpleQueue[tuple[Job, BatchAttempt] | None] = queue.SimpleQueue()
        self._starter = threading.Thread(target=self._run, name="batch", daemon=True)
        self._starter.start()

    def make(self, job: Job) -> BatchAttempt:
        """The next attempt at a job, on a machine of its own."""
        task_id = uuid.uuid4().hex
        stream = f"{job.spec.log_prefix}/default/{task_id}" if job.spec.log_group else ""
        return BatchAttempt(
            number=len(job.attempts) + 1,
            created=time.time(),
            task_id=task_id,
            instance=f"i-{secrets.token_hex(9)[:17]}",
            container_instance=uuid.uuid4().hex,
            stream=stream,
        )

    def launch(self, job: Job, attempt: BatchAttempt) -> None:
        """Start an attempt soon; returns at once."""
        self._starts.put((job, attempt))

    def terminate(self, attempt: BatchAttempt, reason: str, grace: float) -> None:
        """End an attempt: SIGTERM, and SIGKILL after so many seconds. `reason` becomes its status reason."""
        attempt.cause, attempt.grace = reason, grace
        if attempt.task:
            attempt.task.terminate(grace)

    def kill(self, attempt: BatchAttempt, reason: str) -> None:
        """End an attempt at once."""
        attempt.cause, attempt.grace = reason or attempt.cause, 0.0
        if attempt.task:
            attempt.task.kill()

    def watch_memory(self, running: Sequence[Job]) -> None:
        """Tell of attempts that have more memory than they asked for; called without the lock."""
        found = [(job.spec.memory, job.attempts[-1]) for job in running]
        watched = {each.task.pid: (limit, each) for limit, each in found if limit and each.task}
        sizes = memory.resident(watched) if watched else {}
        for pid, (limit, attempt) in watched.items():
            if sizes[pid] > limit and memory.proportional(pid) > limit:
                with self._world.lock:
                    self._listener.memory_exceeded(attempt)

    def end(self, active: Sequence[BatchAttempt]) -> None:
        """End all attempts and the thread; called without the lock, after which nobody listens."""
        self._starts.put(None)
        self._starter.join()
        tasks = [attempt.task for attempt in active if attempt.task]
        for task in tasks:
            task.kill()
        with self._changed:
            self._changed.wait_for(lambda: not self._live, _TIMEOUT)

    def _run(self) -> None:
        while (start := self._starts.get()) is not None:
            job, attempt = start
            try:
                self._start(job, attempt)
            except Exception as error:
                # No room on the disk, say: this attempt fails, and the next one is tried all the same.
                _log.exception("%s could not be started", job.id)
                reason = cannot_start(f"{type(error).__name__}: {error}")
                self._over(job, attempt, AttemptEnd(None, reason, attempt.cause or NOT_STARTED))

    def _start(self, job: Job, attempt: BatchAttempt) -> None:
        image = str(job.spec.container["image"])
        engine = containers.engine_with(self._world.engines, image)
        with self._world.lock:
            problem = self._problem(job, image) or place_problem(image, engine)
            is_over = bool(attempt.cause)
        if problem or is_over:
            self._over(job, attempt, AttemptEnd(None, problem, attempt.cause or NOT_STARTED))
        else:
            self._start_process(job, attempt, engine)

    def _start_process(self, job: Job, attempt: BatchAttempt, engine: str) -> None:
        folder = self._world.new_folder("batch", job.spec.name)
        log = self._follow(job, attempt, os.path.join(folder, "log"))
        with self._world.lock:
            spec = task_spec(job, attempt, self._world, folder, engine)
        with self._changed:
            self._live += 1
        try:
            task = self._world.tasks.start(
                spec,
                lambda _, outcome: self._ended(job, attempt, log, folder, outcome),
                lambda task: self._began(job, attempt, task),
            )
        except OSError as error:
            self._ended(job, attempt, log, folder, TaskEnd(1, str(error)))
            return
        with self._world.lock:
            attempt.task = task
            if attempt.cause:
                # Somebody wanted it to end before it had a process.
                task.terminate(attempt.grace)

    def _follow(self, job: Job, attempt: BatchAttempt, path: str) -> FileStream | None:
        """The stream that the log goes to; None where another driver was asked for."""
        if not attempt.stream:
            return None
        with self._world.lock:
            ensure_stream(self._world, job.spec.log_group, attempt.stream)
        return self._logs.follow(path, job.spec.log_group, attempt.stream)

    def _problem(self, job: Job, image: str) -> str:
        if image in self.missing_images:
            return cannot_pull(f"manifest for {image} not found: manifest unknown: Requested image not found")
        return pull_problem(image, self._world) or log_problem(
            job.spec.log_group, job.spec.container, self._world
        )

    def _began(self, job: Job, attempt: BatchAttempt, task: RunningTask) -> None:
        with self._world.lock:
            attempt.task = task
            self._listener.began(job, attempt)

    def _ended(
        self, job: Job, attempt: BatchAttempt, log: FileStream | None, folder: str, outcome: TaskEnd
    ) -> None:
        try:
            if log:
                self._logs.finish(log)
            shutil.rmtree(folder, ignore_errors=True)
            self._over(job, attempt, _ending(attempt, outcome))
        finally:
            with self._changed:
                self._live -= 1
                self._changed.notify_all()

    def _over(self, job: Job, attempt: BatchAttempt, ending: AttemptEnd) -> None:
        with self._world.lock:
            attempt.ending = ending
            self._listener.ended(job, attempt)


def _ending(attempt: BatchAttempt, outcome: TaskEnd) -> AttemptEnd:
    if attempt.is_out_of_memory:
        return AttemptEnd(_KILLED, OUT_OF_MEMORY, EXITED)
    if attempt.is_lost:
        # Its machine is gone, and nobody heard how the container ended.
        return AttemptEnd(None, "", attempt.cause)
    if attempt.cause:
        return AttemptEnd(outcome.status, "", attempt.cause)
    if not outcome.was_started:
        return AttemptEnd(outcome.status, cannot_start(outcome.reason)[:LONGEST_REASON], NOT_STARTED)
    return AttemptEnd(outcome.status, "", EXITED)
