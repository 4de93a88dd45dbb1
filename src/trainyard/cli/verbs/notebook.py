"""`trainyard notebook`."""

from __future__ import annotations

import argparse
import sys

from ...aws.sagemaker.notebook import IN_SERVICE, STOPPED, NotebookInstance
from ...core.environments.environment import DEFAULT
from ...yard.connection import environment
from ..terminal.table import print_json

_WORDS = {"Pending": "starting", "Stopping": "stopping", IN_SERVICE: "in service", STOPPED: "stopped"}
_OF_THE_TERMINAL = ("www-browser", "links", "elinks", "lynx", "w3m")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--on", metavar="YARD", default=DEFAULT, help=f"whose notebook (default: {DEFAULT})")
    add("--no-browser", action="store_true", help="print the address instead of opening it")
    add("--stop", action="store_true", help="stop it, and wait until it has stopped")
    add("--json", action="store_true", help="print one JSON object, with the address, and open nothing")


def run(args: argparse.Namespace) -> None:
    session, deployment = environment(args.on)
    notebook = NotebookInstance(session, deployment, _print_status)
    notebook.stop() if args.stop else notebook.start()
    address = None if args.stop else notebook.address()
    if args.json:
        status = STOPPED if args.stop else IN_SERVICE
        print_json({"notebook": notebook.name, "status": status, "address": address})
    elif address is None:
        print(f"{notebook.name} has stopped")
    elif args.no_browser or not _opened(address):
        print(address)
    else:
        print(f"{notebook.name} is open in the browser; `trainyard notebook --on {args.on} --stop` stops it")


def _opened(address: str) -> bool:
    import webbrowser  # with an address to open only

    try:
        found = webbrowser.get()
    except webbrowser.Error:
        return False
    # One of the terminal's would take its place, and no notebook works in it.
    return getattr(found, "name", "") not in _OF_THE_TERMINAL and found.open(address)


def _print_status(status: str) -> None:
    if sys.stderr.isatty():
        print(f"the notebook is {_WORDS.get(status, status.lower())}", file=sys.stderr, flush=True)
