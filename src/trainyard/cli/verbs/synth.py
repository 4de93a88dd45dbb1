"""`trainyard synth`."""

from __future__ import annotations

import argparse
import os

from ...core.environments.environment import DEFAULT
from ...core.environments.file import load_environment
from ...core.errors import BadInput
from ...core.files.whole import written
from ...infra.synthesis import StackTemplate, synthesise
from ..formatting import many
from ..parser import add_environment
from ..terminal.table import print_json

_OUTPUT = "cdk.out"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_environment(parser, DEFAULT)
    parser.add_argument(
        "--output", metavar="DIR", default=_OUTPUT, help=f"where to write the templates (default: {_OUTPUT})"
    )
    parser.add_argument("--json", action="store_true", help="print JSON, one object a line, and nothing else")


def run(args: argparse.Namespace) -> None:
    templates = synthesise(load_environment(args.file, args.environment))
    folder = os.path.expanduser(args.output)
    _make_folder(folder)
    for template in templates:
        path = os.path.join(folder, template.file_name)
        _write(path, template.body)
        _print(template, path, as_json=args.json)


def _print(template: StackTemplate, path: str, *, as_json: bool) -> None:
    resources, size = len(template.content["Resources"]), len(template.body.encode())
    if as_json:
        print_json({"stack": template.name, "path": path, "resources": resources, "bytes": size})
    else:
        print(f"{path}  {many(resources, 'resource')}, {many(size, 'byte')}")


def _make_folder(folder: str) -> None:
    try:
        os.makedirs(folder, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        cure = "name a folder"
        raise BadInput("is no folder", where="--output", key=folder, cure=cure) from None


def _write(path: str, text: str) -> None:
    if os.path.isdir(path):
        raise BadInput("is a folder", where=path, cure="name another folder with --output")
    with written(path) as file:
        file.write(text)
