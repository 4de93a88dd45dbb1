"""`trainyard infer`."""

from __future__ import annotations

import argparse

from .. import jobfile
from ..connection import connect
from ..errors import BadInput
from ..job import InferenceJob, job_to_json
from ..limits import warnings
from ..run import Run
from ..yard import RunHandle
from . import attached
from .parser import FILE, natural
from .table import print_json
from .train import add_launching, folder_of, in_file, named


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
    yard = connect(args.on, start=folder_of(args.file))
    attached.warn(warnings(job))
    if args.dry_run:
        return _tell_plan(
            in_file(
                args.file,
                lambda: yard.plan_inference(job, model=args.model, input=args.input, output=args.output),
            ),
            args,
        )

    def start() -> RunHandle:
        return in_file(
            args.file, lambda: yard.infer(job, model=args.model, input=args.input, output=args.output)
        )

    if args.detach:
        return attached.detach(start(), as_json=args.json)
    return attached.attach(yard, start, attached.Style(json=args.json, file=named(args.file)))


def _job(args: argparse.Namespace) -> InferenceJob:
    job = jobfile.load(args.file).infer
    if job is None:
        raise BadInput("has no [infer]", where=args.file, cure="write one, or name another with --file")
    try:
        return job if args.shards is None else job.replace(shards=args.shards)
    except BadInput as error:
        raise BadInput(error.problem, key="--shards", cure=error.cure) from None


def _tell_plan(plan: Run, args: argparse.Namespace) -> int:
    if args.json:
        print_json(
            {
                "job": job_to_json(plan.job),
                "model": plan.model_used,
                "model_path": plan.model_uri,
                "input": plan.input,
                "output": plan.output,
            }
        )
        return 0
    from . import summary

    summary.print_plan(plan)
    return 0
