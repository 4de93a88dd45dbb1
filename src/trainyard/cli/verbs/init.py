"""`trainyard init`."""

from __future__ import annotations

import argparse
import os
import shlex

from ..project import write_project


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "folder", metavar="DIR", nargs="?", default=".", help="a new or empty folder (default: .)"
    )


def run(args: argparse.Namespace) -> None:
    for name in write_project(args.folder):
        print(os.path.normpath(os.path.join(args.folder, name)))
    go = "" if os.path.samefile(args.folder, ".") else f"cd {shlex.quote(args.folder)} && "
    print(f"next: {go}trainyard train")
