"""A training job's life, on a thread of its own: machines, data, scripts, artifacts, end.

Source: "Managed Spot Training Lifecycle" and StopTrainingJob in SageMaker's documentation.
"""

from __future__ import annotations

import logging
import os
import queue
import shutil
import threading
import time
from typing import NamedTuple

from ...core.errors import BadInput
from ...machine.jobfiles import JobFile, collect
from ..s3.artifacts import upload, upload_files
from ..s3.checkpoints import Checkpoints
from ..s3.transfers import TransferRefused, Transfers, place_of, under
from ..tasks.spec import TaskEnd
from ..world.world import World
from .attempt import TrainingAttempt
from .host import HostTask, machines_of
from .job import TERMINAL, EmulatedTrainingJob

_TICK = 1.0
_PEERS_GRACE = 5.0
"""Seconds between SIGTERM and SIGKILL for the other hosts when one has failed."""
_INSUFFICIENT = "Insufficient capacity error from EC2 while launching instances, retrying!"
_MESSAGES = {
    "Stopped": "Training job stopped",
    "MaxRuntimeExceeded": "Training job runtime exceeded MaxRuntimeInSeconds provided",
    "MaxWaitTimeExceeded": "Training job wait time exceeded MaxWaitTimeInSeconds provided",
}
_log = logging.getLogger(__name__)


class _Stopped(Exception):
    """The job is to end before its scripts do; `secondary` is the status then."""

    def __init__(self, secondary: str) -> None:
        super().__init__(secondary)
        self.secondary = secondary


class _Interrupted(Exception):
    """The machines are gone."""


class _Failed(Exception):
    """The job has failed, for this reason."""


class _Abandoned(Exception):
    """The sandbox ends."""


class _Message(NamedTuple):
    """What came in: `stop`, `interrupt`, `kill` (an interruption without SIGTERM), `abandon` or `ended`."""

    what: str
    host: str = ""
    outcome: TaskEnd | None = None


class TrainingRun:
    """Sees one job to its end. Its methods may be called from any thread."""

    def __init__(self, world: World, job: EmulatedTrainingJob) -> None:
        self._world, self._job, self._request = world, job, job.request
        self._transfers = Transfers(world, self._request["RoleArn"])
        self._machines = machines_of(self._request["ResourceConfig"])
        self._messages: queue.SimpleQueue[_Message] = queue.SimpleQueue()
        self._folder = world.new_folder("training", job.name)
        self._number = 0
        self._secondary_at_end = "Stopped"
        self._thread = threading.Thread(target=self._run, name=job.name, daemon=True)
        job.enter("Starting", "Starting the training job")

    def start(self) -> None:
        """Begin; returns at once."""
        self._thread.start()

    def stop(self) -> None:
        """Stop the job; silent when it ends anyway. Under the world's lock."""
        if self._job.status == "InProgress":
            self._job.enter("Stopping", "Stopping the training job")
            self._messages.put(_Message("stop"))

    def interrupt(self, *, kill: bool) -> None:
        """Take its spot machines away, with or without a SIGTERM before. Raises BadInput where it has none.
        Under the world's lock."""
        if not self._job.is_spot:
            raise BadInput("the job is not on spot machines: nothing interrupts it", where=self._job.name)
        if self._job.secondary not in ("Downloading", "Training"):
            state = self._job.secondary
            raise BadInput(f"the job is {state}: it has no machines to lose", where=self._job.name)
        self._messages.put(_Message("kill" if kill else "interrupt"))

    def abandon(self) -> None:
        """End its processes and its thread, without another word to anybody; returns at once."""
        self._messages.put(_Message("abandon"))

    def join(self) -> None:
        """Wait until its thread has ended."""
        self._thread.join()

    def _run(self) -> None:
        try:
            self._live()
        except _Abandoned:
            pass
        except _Stopped as stopped:
            self._end(stopped.secondary, _MESSAGES[stopped.secondary])
        except _Failed as failed:
            self._end("Failed", "Training job failed", str(failed))
        except Exception:
            _log.exception("%s failed", self._job.name)
            reason = "InternalServerError: We encountered an internal error. Please try again."
            self._end("Failed", "Training job failed", reason)
        finally:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _live(self) -> None:
        while True:
            self._wait_for_machines()
            try:
                self._attempt()
            except _Interrupted:
                with self._world.lock:
                    if self._job.status == "Stopping":
                        raise _Stopped(self._secondary_at_end) from None
                    self._job.enter("Interrupted", "Training job interrupted: spot instances were reclaimed")
                    self._job.release_machines()
                    self._job.enter("Starting", "Starting the training job")
                continue
            self._end("Completed", "Training job completed")
            return

    def _wait_for_machines(self) -> None:
        since = time.monotonic()
        while not self._world.settings.has_capacity or (
            time.monotonic() - since < self._world.settings.start_seconds
        ):
            if not self._world.settings.has_capacity:
                self._say(_INSUFFICIENT)
                since = time.monotonic()
            self._check_idle(0.05)
        self._check_idle(0.0)
        self._say("Preparing the instances for training")

    def _check_idle(self, seconds: float = 0.0) -> None:
        """Wait for what comes while no script runs, and raise what comes of it."""
        message = self._next(seconds)
        if message is None:
            if secondary := self._exceeded():
                raise self._stopping(secondary)
        elif message.what == "stop":
            raise self._stopping("Stopped")
        elif message.what in ("interrupt", "kill"):
            raise _Interrupted

    def _stopping(self, secondary: str) -> _Stopped:
        with self._world.lock:
            if self._job.status == "InProgress":
                self._job.enter("Stopping", "Stopping the training job")
        return _Stopped(secondary)

    def _next(self, seconds: float) -> _Message | None:
        try:
            message = self._messages.get(timeout=seconds) if seconds else self._messages.get_nowait()
        except queue.Empty:
            return None
        if message.what == "abandon":
            raise _Abandoned
        return message

    def _exceeded(self) -> str:
        """The secondary status of a job that has had its time; "" for one that still has some."""
        condition = self._request.get("StoppingCondition", {})
        longest = condition.get("MaxRuntimeInSeconds", 86_400)
        with self._world.lock:
            if self._job.used_seconds() > longest:
                return "MaxRuntimeExceeded"
        wait = condition.get("MaxWaitTimeInSeconds")
        return "MaxWaitTimeExceeded" if wait and time.time() - self._job.created > wait else ""

    def _attempt(self) -> None:
        self._number += 1
        folder = os.path.join(self._folder, str(self._number))
        hosts = [HostTask(os.path.join(folder, each.host), each, self._request) for each in self._machines]
        with self._world.lock:
            self._job.take_machines()
            self._job.enter("Downloading", "Downloading input data")
        checkpoints = self._fetch(hosts)
        attempt = TrainingAttempt(self._world, self._job, hosts, self._number, self._hand_in)
        try:
            if refusal := attempt.start(self._machines):
                raise _Failed(refusal)
            with self._world.lock:
                if self._job.status == "InProgress":
                    self._job.enter("Training", "Training image download completed. Training in progress.")
            failed = self._follow(attempt, checkpoints)
        finally:
            attempt.finish()
        self._sync(checkpoints)
        if attempt.ended_by in ("interrupt", "kill"):
            raise _Interrupted
        self._hand_over(hosts, attempt.ended_by, failed)
        shutil.rmtree(folder, ignore_errors=True)

    def _hand_in(self, host: str, outcome: TaskEnd) -> None:
        self._messages.put(_Message("ended", host, outcome))

    def _fetch(self, hosts: list[HostTask]) -> list[Checkpoints]:
        """Everything that the hosts begin with."""
        checkpoints = []
        try:
            for host in hosts:
                host.prepare(self._request, self._machines)
                host.download(
                    self._transfers, self._world.region, self._request, self._machines, self._check_idle
                )
                if config := self._request.get("CheckpointConfig"):
                    place = place_of(config["S3Uri"])
                    kept = Checkpoints(self._transfers, place, host.left(host.checkpoints))
                    kept.restore(self._check_idle)
                    checkpoints.append(kept)
        except (TransferRefused, OSError) as error:
            raise _Failed(f"ClientError: Data download failed:{error}") from None
        self._say("Downloading the training image")
        return checkpoints

    def _follow(self, attempt: TrainingAttempt, checkpoints: list[Checkpoints]) -> str:
        """See the scripts to their end; the reason of a failure, "" for none."""
        failed = ""
        synced = time.monotonic()
        while attempt.running:
            message = self._next(_TICK / 4)
            if message is not None and message.what == "ended":
                assert message.outcome
                reason = attempt.ended(message.host, message.outcome)
                if reason and not attempt.ended_by and not failed:
                    failed = reason
                    attempt.terminate(_PEERS_GRACE)
            elif message is not None:
                self._end_attempt(attempt, message.what)
            elif not attempt.ended_by and (secondary := self._exceeded()):
                self._secondary_at_end = secondary
                self._stopping(secondary)
                self._end_attempt(attempt, "stop")
            if time.monotonic() - synced > _TICK:
                self._sync(checkpoints)
                synced = time.monotonic()
        return failed

    def _end_attempt(self, attempt: TrainingAttempt, what: str) -> None:
        if attempt.ended_by == "stop":
            return
        attempt.ended_by = what
        if what == "kill":
            attempt.kill()
        else:
            attempt.terminate(self._world.settings.grace_seconds)

    def _sync(self, checkpoints: list[Checkpoints]) -> None:
        for each in checkpoints:
            try:
                each.sync()
            except (TransferRefused, OSError) as error:
                raise _Failed(f"ClientError: Checkpoint upload failed:{error}") from None

    def _hand_over(self, hosts: list[HostTask], ended_by: str, failed: str) -> None:
        """Upload what was made, and raise what came of the job. Only of one that completes or is stopped does
        DescribeTrainingJob's documentation promise the model."""
        models = {} if failed else collect(host.left(host.model) for host in hosts)
        data = collect(host.left(host.output_data) for host in hosts)
        if models or data:
            with self._world.lock:
                if self._job.status == "InProgress":
                    self._job.enter("Uploading", "Uploading generated training model")
            try:
                self._upload(models, "model")
                self._upload(data, "output")
            except (TransferRefused, OSError) as error:
                failed = failed or f"ClientError: Artifact upload failed:{error}"
        if failed:
            raise _Failed(failed)
        if ended_by or self._job.status == "Stopping":
            raise _Stopped(self._secondary_at_end)

    def _upload(self, found: dict[str, JobFile], name: str) -> None:
        output = self._request["OutputDataConfig"]
        place = under(place_of(output["S3OutputPath"]), self._job.name, "output")
        if not found:
            return
        if output.get("CompressionType", "GZIP") == "NONE":
            upload_files(self._transfers, found, under(place, "model" if name == "model" else "data"))
        else:
            upload(self._transfers, found, under(place, f"{name}.tar.gz"), self._folder)

    def _say(self, message: str) -> None:
        with self._world.lock:
            if self._job.status == "InProgress" and self._job.transitions[-1].message != message:
                self._job.say(message)

    def _end(self, secondary: str, message: str, failure: str = "") -> None:
        with self._world.lock:
            if self._job.status not in TERMINAL:
                self._job.enter(secondary, message, failure[:1024])
