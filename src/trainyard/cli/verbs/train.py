"""`trainyard train`."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence

from ...core.errors import BadInput
from ...core.jobs.file import load, with_hyperparameters
from ...core.jobs.job import TrainingJob, job_to_json
from ...core.ports.engine import Request
from ...core.runs.run import Run
from ...yard.yard import RunHandle
from .. import attached
from ..launching import add_launching, as_json, in_file, named, tell_requests
from ..parser import FILE
from ..terminal.table import print_json
from ..yards import yard_of


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
    add_launching(parser)


def run(args: argparse.Namespace) -> int:
    job = _job(args)
    yard = yard_of(args, start=os.path.expanduser(args.file))
    attached.warn(yard.warnings(job))
    if args.dry_run:
        plan = in_file(args.file, lambda: yard.plan_training(job, interrupt_at=args.interrupt_at))
        return _tell_plan(plan, in_file(args.file, lambda: yard.requests(plan)), args)

    def start() -> RunHandle:
        return in_file(args.file, lambda: yard.train(job, interrupt_at=args.interrupt_at))

    if args.detach:
        return attached.detach(start(), as_json=args.json)
    return attached.attach(yard, start, attached.Style(json=args.json, file=named(args.file)))


def _job(args: argparse.Namespace) -> TrainingJob:
    job = load(args.file).train
    if job is None:
        raise BadInput("has no [train]", where=args.file, cure="write one, or name another job file")
    job = with_hyperparameters(job, args.pairs)
    return job if args.spot is None else job.replace(spot=job.spot.replace(enabled=args.spot))


def _tell_plan(plan: Run, requests: Sequence[Request], args: argparse.Namespace) -> int:
    from ...worker.contract.hyperparameters import arguments, encode_hyperparameter

    job = plan.training
    encoded = {key: encode_hyperparameter(value) for key, value in job.hyperparameters.items()}
    command = ["python", job.entry_script, *arguments(encoded)]
    if args.json:
        channels = {name: {"uri": each.uri, "dataset": each.dataset} for name, each in plan.channels.items()}
        job_json = job_to_json(job)
        rehearsed = [str(each) for each in plan.interrupt_at]
        found = {"job": job_json, "channels": channels, "command": command, "interrupt_at": rehearsed}
        print_json(found | as_json(requests))
        return 0
    if requests:
        return tell_requests(requests)
    from .. import summary

    summary.print_plan(plan, command)
    return 0
