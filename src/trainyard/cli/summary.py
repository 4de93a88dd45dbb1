"""What is told of a run: while it goes on, at its end, and when asked."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator

from ..core.errors import BadInput
from ..core.jobs.job import InferenceJob, TrainingJob
from ..core.jobs.sources import is_remote
from ..core.jobs.variables import shown
from ..core.ports.store import CHECKPOINTS
from ..core.runs import outcomes
from ..core.runs.run import Attempt, Run, State
from ..worker.protocol import is_shard
from ..yard.yard import Yard
from .formatting import by_file, duration, many, metrics, moment, on, place, quoted
from .parser import FILE
from .terminal.text import clean
from .yards import at

_NO_MODEL = "none: nothing was written to the model folder"


def live_line(run: Run, elapsed: float, *, stopping: bool = False) -> str:
    """How a run stands, in one line."""
    from .formatting import clock

    state = "stopping" if stopping and not run.state.ended else str(run.state)
    return "  ".join(part for part in (run.id, state, clock(elapsed), *_progress(run)) if part)


def print_summary(yard: Yard, run: Run, *, file: str = "") -> None:
    """What became of a run that has ended, where everything lies, and what to type next, in the folder where
    `file` named the job file."""
    print(_outcome(run))
    for label, text in _findings(yard, run, file):
        print(f"  {label:9}{clean(text)}", flush=True)


def print_run(yard: Yard, run: Run) -> None:
    """Everything a person asks about a run."""
    _print_facts((*_facts(run), *_asked(run), *_results(yard, run)))
    if run.attempts:
        print("attempts")
        _print_attempts(run.attempts)


def _print_facts(facts: Iterable[tuple[str, str]]) -> None:
    for label, text in facts:
        if text:
            print(f"{label:17}{clean(text)}")


def ran_for(run: Run) -> float | None:
    """Seconds from the first attempt's start to the end, or until now; None before it has started."""
    import time

    if run.seen.started is None:
        return None
    end = run.seen.finished if run.state.ended else time.time()
    return None if end is None else end - run.seen.started


def _progress(run: Run) -> Iterator[str]:
    if not run.is_training:
        shards = _shards_done(run)
        yield f"shards {shards}/{run.inference.shards}"
        if run.seen.rows_done is not None:
            yield many(run.seen.rows_done, "row")
        return
    number = max((attempt.number for attempt in run.attempts), default=1)
    if number > 1:
        yield f"attempt {number}"
    yield metrics(run.metrics)


def _shards_done(run: Run) -> int:
    if run.seen.shards_done is not None:
        return run.seen.shards_done
    done = {each.task for each in run.attempts if each.state is State.SUCCEEDED}
    return sum(map(is_shard, done))


def _outcome(run: Run) -> str:
    took = ran_for(run)
    text = str(run.state) + ("" if took is None else f" after {duration(took)}")
    if run.is_training and len(run.attempts) > 1:
        text += f", {many(len(run.attempts), 'attempt')}"
    return text + (f", {_lost(run)}" if _lost(run) else "")


def _lost(run: Run) -> str:
    interrupted = sum(attempt.state is State.INTERRUPTED for attempt in run.attempts)
    if not interrupted:
        return ""
    return f"{duration(run.lost_seconds)} of work lost to {many(interrupted, 'interruption')}"


def _findings(yard: Yard, run: Run, file: str) -> Iterator[tuple[str, str]]:
    if run.metrics:
        yield "metrics", clean(metrics(run.metrics))
    if not run.is_training:
        yield from _rows(run)
        if run.output and run.state is State.SUCCEEDED:
            yield "output", place(run.output)
    elif run.state is State.SUCCEEDED:
        yield "model", _model(yard, run)
    left = yard.left(run) if run.is_training and run.state is not State.SUCCEEDED else []
    if left:
        yield "left", f"{', '.join(left)}: trainyard pull {run.id}{at(run.yard, file)}"
    if run.folder:
        logs = os.path.join(run.folder, "attempts")
        yield "logs", place(logs if os.path.isdir(logs) else run.folder)
    yield "next", _next(run, file)
    if CHECKPOINTS in left and outcomes.is_of_code(run):
        named = f" {quoted(file)}" if file else ""
        yield "or", f"trainyard train{named} --from {run.id}{on(run.yard)}"


def _rows(run: Run) -> Iterator[tuple[str, str]]:
    if run.seen.rows_in is not None:
        yield "rows", f"{run.seen.rows_in:,} in, {run.seen.rows_out or 0:,} out"


def _next(run: Run, file: str) -> str:
    there = at(run.yard, file)
    if outcomes.has_kept_no_model(run):
        return f"trainyard models add {run.name} {run.id}{there}"
    if run.state is not State.SUCCEEDED and not run.seen.bad_input:
        code = " --with-current-code" if outcomes.is_of_code(run) else ""
        return f"trainyard resume {run.id}{code}{there}"
    if run.is_training and run.model and _can_infer(file):
        return f"trainyard infer {run.model} INPUT{on(run.yard)}{by_file(file)}"
    if run.is_training and run.model:
        return f"trainyard pull models/{run.model}{there}"
    if is_remote(run.output or "") and run.state is State.SUCCEEDED:
        return f"trainyard pull {run.id}{there}"
    return f"trainyard show {run.id}{there}"


def _can_infer(file: str) -> bool:
    """Whether the job file says how to predict."""
    from ..core.jobs.file import load  # for a model alone

    try:
        return load(file or FILE).infer is not None
    except BadInput:
        return False


def _model(yard: Yard, run: Run) -> str:
    if not run.model:
        return _NO_MODEL
    if "@" not in run.model:
        return run.model
    return f"{run.model} in {place(yard.model(run.model).path)}"


def _facts(run: Run) -> Iterator[tuple[str, str]]:
    yield "run", run.id
    yield "kind", run.kind
    yield "state", str(run.state)
    yield "reason", run.reason
    yield "created", moment(run.created)
    yield "started", moment(run.seen.started)
    yield "finished", moment(run.seen.finished)
    yield "duration", duration(ran_for(run))
    yield "interruptions", _lost(run)
    yield "billed", _billed(run)


def _billed(run: Run) -> str:
    """What SageMaker bills, and what spot saves of it: 1 - billable seconds / training seconds."""
    billed, trained = run.seen.billable_seconds, run.seen.training_seconds
    if billed is None or trained is None:
        return ""
    saved = f", {1 - billed / trained:.0%} saved by spot" if billed < trained else ""
    return f"{duration(billed)} of {duration(trained)} of training{saved}"


def _asked(run: Run) -> Iterator[tuple[str, str]]:
    job = run.job
    yield "source", " ".join((job.source_dir, *job.dependencies))
    yield "python", " ".join(filter(None, (job.python, "isolated" if job.isolated else "")))
    yield "code", run.code
    yield "environment", " ".join(shown(job.environment))
    if isinstance(job, InferenceJob):
        yield "handler", job.handler
        yield "input", run.input
        yield "shards", f"{job.shards}, {many(job.batch_size, 'row')} a batch"
        yield "resources", f"{job.resources.vcpus} vCPUs, {job.resources.memory_mib} MiB a shard"
        return
    yield "entry script", job.entry_script
    for name, channel in sorted(run.channels.items()):
        yield "channel", f"{name} = {channel.dataset or place(channel.uri)}"
    yield "hyperparameters", " ".join(f"{key}={value}" for key, value in job.hyperparameters.items())
    yield "resources", _machines(job)
    yield "spot", f"at most {job.spot.max_runtime} s of running" if job.spot.enabled else "no"
    yield "began with", f"the checkpoints of {run.starts_from}" if run.starts_from else ""
    yield "rehearsed", " ".join(str(each) for each in run.interrupt_at)


def _machines(job: TrainingJob) -> str:
    asked = job.resources
    text = f"{asked.instance_count} x {asked.instance_type}, {asked.volume_size_gb} GB"
    return text + (f", at most {asked.memory_mib} MiB of memory" if asked.memory_mib else "")


def _results(yard: Yard, run: Run) -> Iterator[tuple[str, str]]:
    yield "metrics", metrics(run.metrics)
    if not run.is_training or run.state is State.SUCCEEDED:
        yield "model", _model(yard, run)
    yield from _rows(run)
    yield "output", run.output or ""
    yield "folder", run.folder
    for line in run.warnings:
        yield "warning", line


def _print_attempts(attempts: tuple[Attempt, ...]) -> None:
    rows = [_attempt(attempt) for attempt in attempts]
    widths = [max(len(row[index]) for row in rows) for index in range(5)]
    for row in rows:
        cells = [f"{cell:{width}}" for cell, width in zip(row[:5], widths, strict=True)]
        print("  " + "  ".join([*cells, row[5]]).rstrip())


def _attempt(attempt: Attempt) -> list[str]:
    took = ""
    if attempt.started is not None and attempt.finished is not None:
        took = duration(attempt.finished - attempt.started)
    lost = f"lost {duration(attempt.lost_seconds)}" if attempt.lost_seconds else ""
    return [str(attempt.number), attempt.task, str(attempt.state), took, lost, clean(attempt.reason)]


def print_plan(plan: Run, command: list[str] | None = None) -> None:
    """What would run."""
    facts = list(_asked(plan))
    if command:
        import shlex

        facts.append(("command", shlex.join(command)))
    else:
        facts += [("model", plan.model_used or ""), ("output", plan.output or "in the run folder")]
    _print_facts(facts)
    print("nothing was started")
