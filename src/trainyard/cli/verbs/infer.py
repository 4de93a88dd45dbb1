"""`trainyard infer`."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence

from ...core.errors import BadInput
from ...core.jobs.file import load
from ...core.jobs.job import InferenceJob, job_to_json
from ...core.ports.engine import Request
from ...core.runs.run import Run
from ...yard.yard import RunHandle
from .. import attached
from ..launching import add_launching, as_json, in_file, named, tell_requests
from ..parser import FILE, natural
from ..terminal.table import print_json
from ..yards import yard_of


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("model", metavar="MODEL", help="name@version, name@latest, a model folder or a model.tar.gz")
    add("input", metavar="INPUT", help="a file, a folder or a data set (JSON Lines, CSV or Parquet)")
    add("--file", metavar="FILE", default=FILE, help=f"the job file (default: ./{FILE})")
    add("--output", metavar="PATH", help="a new or empty folder (default: one in the run's own folder)")
    add("--shards", metavar="N", type=natural, help="how many parts to predict on their own")
    add_launching(parser)


def run(args: argparse.Namespace) -> int:
    job = _job(args)
    yard = yard_of(args, start=os.path.expanduser(args.file))
    attached.warn(yard.warnings(job))
    if args.dry_run:
        plan = in_file(
            args.file,
            lambda: yard.plan_inference(job, model=args.model, input=args.input, output=args.output),
        )
        return _tell_plan(plan, in_file(args.file, lambda: yard.requests(plan)), args)

    def start() -> RunHandle:
        return in_file(
            args.file, lambda: yard.infer(job, model=args.model, input=args.input, output=args.output)
        )

    if args.detach:
        return attached.detach(start(), as_json=args.json)
    return attached.attach(yard, start, attached.Style(json=args.json, file=named(args.file)))


def _job(args: argparse.Namespace) -> InferenceJob:
    job = load(args.file).infer
    if job is None:
        raise BadInput("has no [infer]", where=args.file, cure="write one, or name another with --file")
    try:
        return job if args.shards is None else job.replace(shards=args.shards)
    except BadInput as error:
        raise BadInput(error.problem, key="--shards", cure=error.cure) from None


def _tell_plan(plan: Run, requests: Sequence[Request], args: argparse.Namespace) -> int:
    if args.json:
        found = {
            "job": job_to_json(plan.job),
            "model": plan.model_used,
            "model_path": plan.model_uri,
            "input": plan.input,
            "output": plan.output,
        }
        print_json(found | as_json(requests))
        return 0
    if requests:
        return tell_requests(requests)
    from .. import summary

    summary.print_plan(plan)
    return 0
