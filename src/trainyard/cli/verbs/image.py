"""`trainyard image build | push`."""

from __future__ import annotations

import argparse
import os
import shlex

from ...aws.images import pushing, tools
from ...core.environments.environment import DEFAULT
from ...core.errors import BadInput
from ...yard.connection import environment
from ..formatting import on
from ..terminal.table import print_json

_SHOWN = 12


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("folder", metavar="DIR", nargs="?", default=".", help="the folder of the Dockerfile (default: .)")
    if parser.prog.endswith("push"):
        add("--on", metavar="YARD", default=DEFAULT, help=f"whose repository (default: {DEFAULT})")
        parser.set_defaults(do=_push)
    else:
        text = f"what machines it is for (default: {tools.PLATFORM})"
        add("--platform", metavar="OS/CPU", default=tools.PLATFORM, help=text)
        parser.set_defaults(do=_build)
    add("--json", action="store_true", help="print one JSON object, and nothing else on stdout")


def run(args: argparse.Namespace) -> None:
    if not os.path.isdir(args.folder):
        raise BadInput("no such folder", where=args.folder, cure="name that of a Dockerfile")
    args.do(args)


def _build(args: argparse.Namespace) -> None:
    built = tools.build(args.folder, platform=args.platform)
    if args.json:
        print_json({"image": built.name, "id": f"sha256:{built.id}", "tool": built.tool.name})
        return
    print(f"built {built.name} ({built.id[:_SHOWN]}) with {built.tool.name}")
    folder = "" if args.folder == "." else f" {shlex.quote(args.folder)}"
    print(f"next: trainyard image push{folder}{on(DEFAULT)}")


def _push(args: argparse.Namespace) -> None:
    session, deployment = environment(args.on, start=args.folder)
    built = tools.find(args.folder)
    done = pushing.push(session, deployment, built, tools.project_name(args.folder))
    kept = tools.record(args.folder, args.on, done.reference)
    if args.json:
        print_json({"image": done.reference, "tag": done.tag, "new": done.is_new, "environment": args.on})
        return
    print(f"{'pushed' if done.is_new else 'there already'}: {done.tag}; written down in {kept}")
    print("write this under [train] or [infer]:")
    print(f'image = "{done.reference}"')
