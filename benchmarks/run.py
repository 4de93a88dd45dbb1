"""`python benchmarks/run.py`: how fast trainyard is, beside the limit and its peers. See README.md."""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import inference
import install
import listing
import many
import peers
import pushing
import start
import synthesis
import training
import transfers
from figures import Amount, Figure
from setting import Setting, prepared
from timing import CommandFailed

SUBJECTS: dict[str, Callable[[Setting], Sequence[Figure | Amount]]] = {
    "start": start.measure,
    "train": training.measure,
    "many": many.measure,
    "list": listing.measure,
    "infer": inference.measure,
    "push": pushing.measure,
    "s3": transfers.measure,
    "synth": synthesis.measure,
    "install": install.measure,
}
_PEERS = {"none": (), "default": peers.DEFAULT, "all": peers.ALL}
_HEADINGS = ["subject", "what", "ours", "limit", "over", "/ limit", "target", "met", "peers"]


def main() -> int:
    """Measure, print the table, write the JSON; 1 where a subject could not be measured."""
    args = _arguments()
    lines = _machine()
    for line in lines:
        _say(line)
    found: list[Figure | Amount] = []
    broken = 0
    with prepared(runs=args.runs, quick=args.quick, peers=_PEERS[args.peers], say=_say) as setting:
        for name in args.only or SUBJECTS:
            _say(f"measuring {name}")
            try:
                found += SUBJECTS[name](setting)
            except CommandFailed as failure:
                _say(f"{name} could not be measured: {failure}")
                broken += 1
    _print_table(found)
    if args.json:
        args.json.write_text(json.dumps(_document(lines, args, found), indent=2) + "\n")
    return 1 if broken else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="How fast trainyard is, beside the limit and its peers.")
    parser.add_argument("--only", action="append", choices=SUBJECTS, help="this subject (repeatable)")
    parser.add_argument("--runs", type=int, help="counted runs of each command (default: 9; long ones half)")
    parser.add_argument("--quick", action="store_true", help="small sizes, one run: does it work?")
    parser.add_argument(
        "--peers",
        choices=_PEERS,
        default="default",
        help="what to compare with, installed on first use (default: all but those of gigabytes)",
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all samples and figures there too")
    args = parser.parse_args()
    args.runs = args.runs or (1 if args.quick else 9)
    return args


def _machine() -> list[str]:
    real = Path(sys.executable).resolve()
    with real.open("rb") as stream:
        is_script = stream.read(2) == b"#!"
    kind = "a shim: it starts slower" if is_script else "a real interpreter, no shim"
    place = "a virtual environment" if sys.prefix != sys.base_prefix else "no virtual environment"
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return [
        f"{platform.python_implementation()} {platform.python_version()} of {place} ({kind})",
        f"{cores} cores, {platform.system()} {platform.machine()}, load {os.getloadavg()[0]:.2f}",
    ]


def _print_table(found: Sequence[Figure | Amount]) -> None:
    table = [_HEADINGS, *(figure.cells() for figure in found)]
    widths = [max(len(row[column]) for row in table) for column in range(len(_HEADINGS))]
    for row in table:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def _document(
    machine: list[str], args: argparse.Namespace, found: Sequence[Figure | Amount]
) -> dict[str, Any]:
    return {
        "machine": machine,
        "runs": args.runs,
        "quick": args.quick,
        "figures": [figure.to_json() for figure in found],
    }


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
