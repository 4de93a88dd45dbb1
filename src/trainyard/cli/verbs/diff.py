"""`trainyard diff`."""

from __future__ import annotations

import argparse
import sys

from ...aws.account.session import Session
from ...core.environments.environment import DEFAULT
from ...core.environments.file import load_environment
from ...deploy.comparison import Comparison, compare
from ...deploy.cost import cost
from ...deploy.preparation import target_of
from ...deploy.stacks.stacks import Stacks
from ...infra.synthesis import synthesise
from ..parser import add_environment
from ..terminal.table import print_json
from ..terminal.text import clean, red


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_environment(parser, DEFAULT)
    parser.add_argument("--json", action="store_true", help="print JSON, one object a line, and nothing else")


def run(args: argparse.Namespace) -> None:
    environment = load_environment(args.file, args.environment)
    session = Session(environment.region)
    environment = environment.replace(region=target_of(session, environment).region)
    stacks = Stacks(session)
    found = [compare(stacks, environment, template) for template in synthesise(environment)]
    before = cost.idle_cost(*(each.old for each in found if each.old is not None))
    after = cost.idle_cost(*(each.new for each in found))
    if args.json:
        _print_json(found, before, after)
    else:
        _print(found, before, after)


def _print(found: list[Comparison], before: list[cost.CostItem], after: list[cost.CostItem]) -> None:
    warn = red if sys.stdout.isatty() else str
    for each in found:
        for line in each.lines(warn, clean):
            print(line)
    print("idle cost:")
    for line in cost.lines(after):
        print(f"  {line}")
    if before != after:
        print(f"idle cost: {cost.total(before):,.2f} -> {cost.total(after):,.2f} USD a month")


def _print_json(found: list[Comparison], before: list[cost.CostItem], after: list[cost.CostItem]) -> None:
    for each in found:
        print_json(
            {
                "stack": each.name,
                "deployed": each.old is not None,
                "changes": [change.as_json() for change in each.changes],
                "tags": each.tags,
                "permissions": each.permissions,
            }
        )
    print_json(
        {
            "idle_cost": {
                "before": cost.total(before),
                "after": cost.total(after),
                "items": [item._asdict() for item in after],
            }
        }
    )
