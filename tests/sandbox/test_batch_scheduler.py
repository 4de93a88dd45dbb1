"""Batch's scheduler in a world of its own: what would take a minute over the API."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from moto.batch.models import ComputeEnvironment, JobQueue

from conftest import becomes_true
from trainyard.sandbox.batch import scheduler
from trainyard.sandbox.batch.jobs import FAILED, RUNNABLE, RUNNING, SUCCEEDED, Job, Spec
from trainyard.sandbox.batch.line import Line
from trainyard.sandbox.batch.scheduler import JobScheduler
from trainyard.sandbox.world.world import World


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    folder, mark = tmp_path / "sandbox", f"test-{tmp_path.name}"
    folder.mkdir()
    made = World(region="us-east-1", endpoint="http://127.0.0.1:9", folder=str(folder), mark=mark)
    yield made
    made.reset()
    made.end()


@pytest.fixture
def queue(world: World) -> Any:
    backend = world.backend("batch")
    machines = ComputeEnvironment.__new__(ComputeEnvironment)
    machines.name, machines.state, machines.compute_resources = "machines", "ENABLED", {"maxvCpus": 8}
    made = JobQueue("waiting", "1", "ENABLED", [machines], [], None, backend)
    backend._job_queues[made.arn] = made
    return made


def spec(queue: Any, command: str, **changes: Any) -> Spec:
    """A job of the shell."""
    container = {"image": "busybox", "environment": []}
    return Spec(
        name="job",
        queue_arn=queue.arn,
        queue_name=queue.name,
        environment_name="machines",
        definition_arn="arn:aws:batch:us-east-1:123456789012:job-definition/d:1",
        command=("/bin/sh", "-c", command),
        container=container,
        memory=1 << 30,
        vcpus=1.0,
        log_group="/aws/batch/job",
        log_prefix="d",
        job_role="",
        retry={"attempts": 1, "evaluateOnExit": []},
        timeout=0,
        refusal="",
        parameters={},
        propagate_tags=False,
        capabilities=("EC2",),
    )._replace(**changes)


def submit(world: World, queue: Any, command: str, **changes: Any) -> Job:
    """A submitted job."""
    with world.lock:
        return world.part(JobScheduler).submit(spec(queue, command, **changes), 0, [], {})


def test_an_attempt_over_its_time_is_ended_and_never_tried_again(world: World, queue: Any) -> None:
    retry = {"attempts": 5, "evaluateOnExit": []}
    job = submit(world, queue, "trap 'exit 0' TERM; while :; do sleep 0.05; done", timeout=1, retry=retry)
    assert becomes_true(lambda: job.has_ended)
    assert (job.status, job.status_reason) == (FAILED, "Job attempt duration exceeded timeout")
    assert len(job.attempts) == 1


def test_sigkill_comes_when_the_grace_is_over(
    world: World, queue: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(scheduler, "GRACE", 0.2)
    up = tmp_path / "up"
    job = submit(world, queue, f"trap '' TERM; touch {up}; while :; do sleep 0.05; done")
    assert becomes_true(up.exists)
    with world.lock:
        world.part(JobScheduler).stop(job, "now", terminate=True)
    assert becomes_true(lambda: job.has_ended)
    assert (job.attempts[0].ending.exit_code, job.status_reason) == (137, "now")


def test_the_grace_is_thirty_seconds() -> None:
    assert scheduler.GRACE == 30.0


def test_a_job_that_is_terminated_before_it_has_a_process_never_runs(world: World, queue: Any) -> None:
    with world.lock:
        jobs = world.part(JobScheduler)
        job = jobs.submit(spec(queue, "sleep 60"), 0, [], {})
        jobs.stop(job, "at once", terminate=True)
    assert becomes_true(lambda: job.has_ended)
    assert (job.status_reason, job.attempts) == ("at once", [])


def test_a_job_that_ends_while_all_machines_are_taken_keeps_its_reason(world: World, queue: Any) -> None:
    world.slots = 1
    submit(world, queue, "sleep 100")
    waiting = submit(world, queue, "true")
    jobs = world.part(JobScheduler)
    assert becomes_true(lambda: waiting.status == RUNNABLE)
    with world.lock:
        jobs.stop(waiting, "not wanted", terminate=True)
    jobs._tick()
    assert (waiting.status, waiting.status_reason) == (FAILED, "not wanted")


def test_jobs_of_a_queue_that_was_deleted_fail(world: World, queue: Any) -> None:
    world.settings.has_capacity = False
    job = submit(world, queue, "true")
    assert becomes_true(lambda: job.status_reason)
    with world.lock:
        del world.backend("batch")._job_queues[queue.arn]
    assert becomes_true(lambda: job.has_ended)
    assert (job.status, job.status_reason) == (FAILED, "JobQueue deleted")


def test_a_disabled_compute_environment_gives_no_machines(world: World, queue: Any) -> None:
    queue.environments[0].state = "DISABLED"
    job = submit(world, queue, "true")
    assert not becomes_true(lambda: job.status == RUNNING, 0.6)
    queue.environments[0].state = "ENABLED"
    assert becomes_true(lambda: job.status == SUCCEEDED)


def test_a_reset_ends_and_forgets_all_jobs(world: World, queue: Any) -> None:
    job = submit(world, queue, "sleep 60")
    assert becomes_true(lambda: job.status == RUNNING)
    world.reset()
    assert world.tasks.running() == []
    assert world.part(JobScheduler).jobs == {}


def waiting(id: str, queue: Any, parent: Job | None = None) -> Job:
    """A job that is RUNNABLE."""
    job = Job(id, spec(queue, "true"), 0.0, parent=parent)
    job.status = "RUNNABLE"
    return job


def test_who_waits_has_turns_whatever_the_length_of_arrays(queue: Any) -> None:
    line, parent = Line(), Job("array", spec(queue, "true"), 0.0, array=3)
    for job in [
        *(waiting(f"array:{n}", queue, parent) for n in range(3)),
        waiting("a", queue),
        waiting("b", queue),
    ]:
        line.add(job)
    taken = [job.id for _ in range(5) if (job := line.take(lambda _: 1))]
    assert taken == ["array:0", "a", "b", "array:1", "array:2"]
    assert line.take(lambda _: 1) is None


def test_a_queue_of_higher_priority_goes_first_and_a_closed_one_not_at_all(queue: Any) -> None:
    line = Line()
    priorities: dict[str, int | None] = {"low": 1, "high": 5, "closed": None}
    for id in priorities:
        line.add(waiting(id, queue))
    taken = [job.id for _ in range(3) if (job := line.take(lambda job: priorities[job.id]))]
    assert taken == ["high", "low"]
    assert [job.id for job in line.waiting()] == ["closed"]


def test_a_start_that_goes_wrong_fails_its_attempt_and_not_the_next_ones(
    world: World, queue: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(kind: str, name: str) -> str:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as full:
        full.setattr(world, "new_folder", refuse)
        job = submit(world, queue, "true")
        assert becomes_true(lambda: job.has_ended)
    assert (job.status, job.status_reason) == (FAILED, "Task failed to start")
    assert job.attempts[0].ending.reason.startswith("CannotStartContainerError: ")
    after = submit(world, queue, "true")
    assert becomes_true(lambda: after.status == SUCCEEDED)


def test_where_no_roles_are_kept_nothing_is_allowed(world: World) -> None:
    assert not world.allowed("arn:aws:iam::123456789012:role/jobs", "s3:GetObject", "arn:aws:s3:::bucket/key")
