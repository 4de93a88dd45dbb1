"""Which task starts when, and what happens to it until it has ended. One thread, no waiting."""

from __future__ import annotations

import os
import selectors
import signal
import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

from ...core.jobs.job import TrainingJob
from ...core.runs import outcomes
from ...core.runs.outcomes import Outcome
from ...core.runs.run import State
from ...machine import processes
from ...worker import reasons
from ...worker.process import orphans
from ..home.home import Home
from ..ledger.journal import Journal
from ..runs import endings
from ..runs.inference import InferenceWork
from ..runs.training import TrainingWork
from ..runs.work import Work, home_mark
from ..tasks.child import fork
from ..tasks.follower import Follower
from ..tasks.task import Process, Task, TaskPlan
from . import reserve
from .recorder import Recorder
from .timers import Timers

_FOLLOW = 0.1
_MEMORY = 0.25
_LAST_TIMEOUT = 5.0
_HANDING_OVER = 5.0
"""Seconds between a run's being written down and its variables of a shell: more than any command takes."""


class Scheduler:
    """All open runs of a home and the tasks that run now."""

    def __init__(
        self, home: Home, journal: Journal, selector: selectors.BaseSelector, timers: Timers, slots: int
    ) -> None:
        self._home, self._journal = home, journal
        self._selector, self._timers = selector, timers
        self._slots = slots
        self._works: dict[str, Work] = {}
        self._tasks: dict[tuple[str, str], Task] = {}
        self._by_pid: dict[int, tuple[Task, Process]] = {}
        self._recorders: dict[str, Recorder] = {}
        self._announced: dict[str, str] = {}
        self._values: dict[str, Mapping[str, str]] = {}
        self._is_following = False
        self.is_draining = False

    def has_nothing_to_do(self) -> bool:
        """Whether no runs are open; when draining, whether no tasks run."""
        return not self._tasks and (self.is_draining or not self._works)

    def load(self) -> None:
        """Take in what commands have written to the ledger: new runs, wishes to stop."""
        for run, stop in self._journal.open_ids():
            if run not in self._works:
                self._take_up(run)
            elif stop:
                self._works[run].wants_stop = True

    def hand_over(self, run: str, values: Mapping[str, str]) -> None:
        """Keep a run's variables of the submitter's shell until it has ended."""
        self._values[run] = values
        if run in self._works:
            self._works[run].values = values

    def turn(self) -> list[tuple[str, str]]:
        """Start and end what is due and make it durable; the runs whose states have changed."""
        for work in sorted(self._works.values(), key=lambda work: work.order):
            if not (work.running or work.wants_stop or work.ending) and len(self._tasks) >= self._slots:
                # Thousands may be waiting behind those that run.
                continue
            with self._guarding(work.run.id, work):
                self._advance(work)
        changed = [
            (run, str(work.run.state))
            for run, work in self._works.items()
            if self._announced.get(run) != str(work.run.state)
        ]
        self._announced.update(changed)
        for run, work in list(self._works.items()):
            if work.run.state.ended:
                for known in (self._works, self._announced, self._recorders, self._values):
                    known.pop(run, None)
        self._journal.commit()
        return changed

    def reap(self) -> None:
        """Take in the ends of processes."""
        for pid, status in orphans.ended():
            if pid in self._by_pid:
                self._process_ended(*self._by_pid.pop(pid), status)

    def state_of(self, run: str) -> str | None:
        """The state of an open run."""
        return str(self._works[run].run.state) if run in self._works else None

    def interrupt_all(self) -> None:
        """Have every task end as interrupted: the supervisor itself was told to go."""
        self.is_draining = True
        for task in self._tasks.values():
            self._end(task, outcomes.of(reasons.SUPERVISOR_ENDED))

    def kill_all(self) -> None:
        """SIGKILL everything at once: the home is gone. One made anew at its place is another's."""
        for task in self._tasks.values():
            task.signal(signal.SIGKILL)
        for run in {task.plan.run for task in self._tasks.values()}:
            processes.end_all([], f"{home_mark(self._home)}/{run}/", _LAST_TIMEOUT)

    def fail_all(self, reason: str) -> None:
        """SIGKILL everything and write every run that has begun down as failed: there is no room to go on."""
        self.kill_all()
        # Only now: what filled the disk would have filled this too.
        reserve.release(self._home)
        self._journal.fail_running(reason)

    def _take_up(self, run: str) -> None:
        with self._guarding(run):
            row = self._journal.run(run)
            work = self._works[run] = _work_of(row, self._home, self._journal)
            work.values = self._values.get(run, {})
            if work.lacking:
                self._timers.after(_HANDING_OVER, lambda: self._give_up_waiting(run))

    def _give_up_waiting(self, run: str) -> None:
        work = self._works.get(run)
        if work is not None and work.lacking and not work.ending:
            work.give_up_waiting()

    @contextmanager
    def _guarding(self, run: str, work: Work | None = None) -> Iterator[None]:
        """A bug that one run brings out ends that run, and not the supervisor with everybody else's."""
        try:
            yield
        except sqlite3.Error:
            raise
        except Exception as error:
            import traceback  # 8 ms that only a bug is worth

            traceback.print_exc()
            outcome = outcomes.of(reasons.FAULT, type(error).__name__, error)
            if work is not None and work.ending is None:
                work.fail(outcome)
            else:
                self._journal.set_run(run, state="failed", reason=outcome.reason, finished=time.time())
                self._works.pop(run, None)

    def _advance(self, work: Work) -> None:
        if work.wants_stop or work.ending:
            tasks = [self._tasks[work.run.id, name] for name in work.running]
            for task in tasks:
                self._end(task, endings.STOPPED if work.wants_stop else endings.ENDED_WITH_RUN)
            if not tasks:
                endings.finish(work)
            return
        if work.lacking:
            return
        while not self.is_draining and len(self._tasks) < self._slots and (ready := work.ready()):
            self._start(work, ready[0])

    def _start(self, work: Work, name: str) -> None:
        plan = None
        try:
            plan = work.begin(name)
            if plan.is_attempt:
                self._write_attempt(work, plan, state=str(State.STARTING))
            self._fork(work, plan)
        except OSError as error:
            work.running.discard(name)
            work.fail(outcomes.of(reasons.COULD_NOT_START, f"{error.strerror}: {error.filename}"))
            if plan and plan.is_attempt:
                self._write_attempt(work, plan, state=str(State.FAILED), reason=str(error))

    def _fork(self, work: Work, plan: TaskPlan) -> None:
        members: list[Process] = []
        for member in plan.members:
            try:
                child = fork(member.body, member.log)
            except OSError:
                for process in members:
                    processes.signal_one(process.pid)
                    os.close(process.pipe)
                raise
            process = Process(member, child, Follower(member.log, wants_lines=plan.wants_lines))
            members.append(process)
            self._journal.add_process(plan.run, plan.task, plan.number, member.name, process.identity)
        task = Task(plan, members, work.mark(plan.task, plan.number))
        self._tasks[task.key] = task
        for process in members:
            self._by_pid[process.pid] = (task, process)
            self._selector.register(process.pipe, selectors.EVENT_READ, partial(self._hear, task, process))
        # A child that starts must be in the ledger, should the supervisor die with the next instruction.
        self._journal.commit()
        self._keep_following()
        if plan.memory_mib:
            self._timers.after(_MEMORY, lambda: self._watch_memory(task))

    def _hear(self, task: Task, process: Process) -> None:
        """Read a process's pipe. Once the process has ended no more is to come, even where a child that it
        left behind still holds the pipe open."""
        has_ended = process.status is not None
        if process.has_started or not (process.drain() or has_ended):
            return
        self._selector.unregister(process.pipe)
        os.close(process.pipe)
        process.has_started = True
        if not process.fault and all(each.has_started for each in task.members):
            self._task_started(task)

    def _task_started(self, task: Task) -> None:
        plan, work = task.plan, self._works[task.plan.run]
        task.started = time.time()
        if plan.is_attempt:
            self._write_attempt(work, plan, state=str(State.RUNNING), started=task.started)
        work.task_started(plan, task.started)
        if plan.interruption:
            at = plan.interruption
            outcome = outcomes.outcome(reasons.rehearsed(at))
            self._timers.after(at.after, lambda: self._end(task, outcome, kill=at.kill))
        if plan.timeout:
            self._timers.after(plan.timeout, lambda: self._end(task, plan.late))

    def _end(self, task: Task, outcome: Outcome | None, *, kill: bool = False) -> None:
        if self._tasks.get(task.key) is task and task.end(outcome, kill=kill) and not kill:
            self._timers.after(task.plan.grace, lambda: task.signal(signal.SIGKILL))

    def _process_ended(self, task: Task, process: Process, status: int) -> None:
        process.status = status
        self._hear(task, process)
        if (status or process.fault) and not task.is_ending and task.first_failed is None:
            task.first_failed = process
            if task.alive:
                self._end(task, None)
        self._follow(task, process, at_end=True)
        if not task.alive:
            self._task_ended(task)

    def _task_ended(self, task: Task) -> None:
        work = self._works[task.plan.run]
        self._end_leftovers(task)
        del self._tasks[task.key]
        plan = task.plan
        keys = [(plan.run, plan.task, plan.number, process.member.name) for process in task.members]
        self._journal.forget_processes(keys)
        outcome = task.outcome()
        if plan.is_attempt:
            columns = endings.attempt_columns(task, outcome, work)
            self._write_attempt(work, plan, **columns)
        with self._guarding(plan.run, work):
            work.end(plan, outcome)

    def _end_leftovers(self, task: Task) -> None:
        """End what the task left running, in its process groups or out of them."""
        for process in task.members:
            processes.signal_group(process.pid, signal.SIGKILL)
        while self._end_orphans(task):
            pass

    def _end_orphans(self, task: Task) -> bool:
        """End the children that we adopted from the task; whether there were any, whose own children are
        ours now."""
        found = False
        groups = {process.pid for process in task.members}
        for pid in processes.children(os.getpid()):
            if pid in self._by_pid:
                continue
            # One that is just dying of the signal to its group has no environment to look into any more.
            is_ours = os.getpgid(pid) in groups or processes.is_marked(pid, task.mark)
            if is_ours or not processes.start_time(pid):
                processes.signal_one(pid)
                os.waitpid(pid, 0)
                found = True
        return found

    def _write_attempt(self, work: Work, plan: TaskPlan, **columns: Any) -> None:
        self._journal.set_attempt(plan.run, plan.task, plan.number, work.launch, **columns)

    def _keep_following(self) -> None:
        if not self._is_following:
            self._is_following = True
            self._timers.after(_FOLLOW, self._follow_all)

    def _follow_all(self) -> None:
        for task in self._tasks.values():
            for process in task.alive:
                self._follow(task, process)
        self._is_following = False
        if self._tasks:
            self._keep_following()

    def _follow(self, task: Task, process: Process, *, at_end: bool = False) -> None:
        while True:
            now = time.time()
            lines = process.follower.read(now, at_end=at_end)
            if lines:
                self._record(task, process, lines, now)
            if not (at_end and process.follower.behind):
                return

    def _record(self, task: Task, process: Process, lines: list[str], now: float) -> None:
        work, plan = self._works[task.plan.run], task.plan
        recorder = self._recorders.get(plan.run)
        if recorder is None:
            recorder = self._recorders[plan.run] = Recorder(work.paths.metrics, work.run.training.metrics)
        found = recorder.take(lines, now, plan.number, process.member.name)
        if found:
            work.set_metrics(found)
        work.troubles = recorder.troubles

    def _watch_memory(self, task: Task) -> None:
        if self._tasks.get(task.key) is not task:
            return
        limit = task.plan.memory_mib
        used = sum(processes.memory_of_group(process.pid) for process in task.alive) >> 20
        if used > limit:
            self._end(task, outcomes.of(reasons.OUT_OF_MEMORY, used, limit), kill=True)
        self._timers.after(_MEMORY, lambda: self._watch_memory(task))


def _work_of(row: sqlite3.Row, home: Home, journal: Journal) -> Work:
    if row["kind"] == TrainingJob.kind:
        return TrainingWork(row, home, journal)
    return InferenceWork(row, home, journal)
