"""`trainyard infer`."""

from __future__ import annotations

import argparse

from ...core.errors import BadInput
from ...core.jobs.file import JobFile, load
from ...core.jobs.job import InferenceJob, job_to_json
from ...core.runs.run import Run
from ...yard.yard import Yard
from ..launching import Shown, add_launching, launch
from ..parser import FILE, natural


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("model", metavar="MODEL", help="name@version, name@latest, a model folder or a model.tar.gz")
    add("input", metavar="INPUT", help="a file, a folder or a data set (JSON Lines, CSV or Parquet)")
    add("--file", metavar="FILE", default=FILE, help=f"the job file (default: ./{FILE})")
    add("--output", metavar="PATH", help="a new or empty folder (default: one in the run's own folder)")
    add("--shards", metavar="N", type=natural, help="how many parts to predict on their own")
    add_launching(parser)


def run(args: argparse.Namespace) -> int:
    file = load(args.file)
    job = _job(file, args)

    def plan(yard: Yard) -> Run:
        return yard.plan_inference(job, model=args.model, input=args.input, output=args.output)

    return launch(args, file, job, plan, _shown)


def _job(file: JobFile, args: argparse.Namespace) -> InferenceJob:
    job = file.infer
    if job is None:
        raise BadInput("has no [infer]", where=args.file, cure="write one, or name another with --file")
    try:
        return job if args.shards is None else job.replace(shards=args.shards)
    except BadInput as error:
        raise BadInput(error.problem, key="--shards", cure=error.cure) from None


def _shown(plan: Run) -> Shown:
    return Shown(
        {
            "job": job_to_json(plan.job),
            "model": plan.model_used,
            "model_path": plan.model_uri,
            "input": plan.input,
            "output": plan.output,
        }
    )
