"""`trainyard train`."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from .. import jobfile
from ..engine import Request
from ..errors import BadInput
from ..job import TrainingJob, job_to_json
from ..run import Run
from ..yard import RunHandle
from . import attached
from .parser import FILE, add_yard
from .table import print_json
from .yards import yard_of

_Made = TypeVar("_Made")


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


def add_launching(parser: argparse.ArgumentParser) -> None:
    """The options of everything that starts a run."""
    parser.add_argument("--detach", action="store_true", help="print the run's id and leave it to itself")
    parser.add_argument("--dry-run", action="store_true", help="tell what would run, and start nothing")
    add_yard(parser)


def run(args: argparse.Namespace) -> int:
    job = _job(args)
    yard = yard_of(args, start=os.path.expanduser(args.file))
    attached.warn(yard.doubts(job))
    if args.dry_run:
        plan = in_file(args.file, lambda: yard.plan_training(job, interrupt_at=args.interrupt_at))
        return _tell_plan(plan, in_file(args.file, lambda: yard.requests(plan)), args)

    def start() -> RunHandle:
        return in_file(args.file, lambda: yard.train(job, interrupt_at=args.interrupt_at))

    if args.detach:
        return attached.detach(start(), as_json=args.json)
    return attached.attach(yard, start, attached.Style(json=args.json, file=named(args.file)))


def named(file: str) -> str:
    """The job file where it has to be named, nothing for the usual one."""
    return "" if file == FILE else file


def in_file(file: str, make: Callable[[], _Made]) -> _Made:
    """Call `make`; an error about a key of the job names the file and the line."""
    try:
        return make()
    except BadInput as error:
        if not error.where and error.key.startswith(("train.", "infer.")):
            raise jobfile.located(error, file) from None
        raise


def _job(args: argparse.Namespace) -> TrainingJob:
    job = jobfile.load(args.file).train
    if job is None:
        raise BadInput("has no [train]", where=args.file, cure="write one, or name another job file")
    job = jobfile.with_hyperparameters(job, args.pairs)
    return job if args.spot is None else job.replace(spot=job.spot.replace(enabled=args.spot))


def tell_requests(requests: Sequence[Request]) -> int:
    """Print the requests that would start a run, a JSON document each."""
    for request in requests:
        print(json.dumps({request.operation: request.parameters}, indent=2))
    print("nothing was started", file=sys.stderr)
    return 0


def as_json(requests: Sequence[Request]) -> dict[str, list[dict[str, Any]]]:
    """The key `requests` of a plan in an account; nothing for one on this machine."""
    return {"requests": [{each.operation: each.parameters} for each in requests]} if requests else {}


def _tell_plan(plan: Run, requests: Sequence[Request], args: argparse.Namespace) -> int:
    from ..worker.hyperparameters import arguments, encode_hyperparameter

    job = plan.job
    assert isinstance(job, TrainingJob)
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
    from . import summary

    summary.print_plan(plan, command)
    return 0
