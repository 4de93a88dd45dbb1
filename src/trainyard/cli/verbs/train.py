"""`trainyard train`."""

from __future__ import annotations

import argparse

from ...core.errors import BadInput
from ...core.jobs.file import JobFile, load, with_hyperparameters
from ...core.jobs.job import TrainingJob, job_to_json
from ...core.runs.run import Run
from ...yard.yard import Yard
from ..launching import Shown, add_launching, launch
from ..parser import FILE


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("file", metavar="FILE", nargs="?", default=FILE, help=f"the job file (default: ./{FILE})")
    add(
        "-p",
        metavar="K=V",
        action="append",
        default=[],
        dest="pairs",
        help="set a hyperparameter (repeatable)",
    )
    spot = parser.add_mutually_exclusive_group()
    spot.add_argument("--spot", action="store_const", const=True, help="on spot machines")
    spot.add_argument("--no-spot", action="store_const", const=False, dest="spot", help="on others")
    add(
        "--interrupt-at",
        metavar="S[:kill]",
        action="append",
        default=[],
        help="rehearse a spot interruption after so many seconds of an attempt's script, with :kill"
        " without SIGTERM (repeatable: the n-th is the n-th attempt's)",
    )
    add("--from", metavar="RUN", default="", dest="start_from", help="begin with a copy of its checkpoints")
    add_launching(parser)


def run(args: argparse.Namespace) -> int:
    file = load(args.file)
    job = _job(file, args)

    def plan(yard: Yard) -> Run:
        return yard.plan_training(job, interrupt_at=args.interrupt_at, start_from=args.start_from)

    return launch(args, file, job, plan, _shown)


def _job(file: JobFile, args: argparse.Namespace) -> TrainingJob:
    job = file.train
    if job is None:
        raise BadInput("has no [train]", where=args.file, cure="write one, or name another job file")
    job = with_hyperparameters(job, args.pairs)
    return job if args.spot is None else job.replace(spot=job.spot.replace(enabled=args.spot))


def _shown(plan: Run) -> Shown:
    from ...worker.contract.hyperparameters import arguments, encode_hyperparameter

    job = plan.training
    encoded = {key: encode_hyperparameter(value) for key, value in job.hyperparameters.items()}
    program = ["python", job.entry_script] if job.entry_script.endswith(".py") else [f"./{job.entry_script}"]
    command = [*program, *arguments(encoded)]
    channels = {name: {"uri": each.uri, "dataset": each.dataset} for name, each in plan.channels.items()}
    rehearsed = [str(each) for each in plan.interrupt_at]
    document = {"job": job_to_json(job), "channels": channels, "command": command, "interrupt_at": rehearsed}
    return Shown({**document, "from": plan.starts_from or None}, command)
