"""`trainyard destroy`."""

from __future__ import annotations

import argparse
from typing import Any

from ...aws.account.session import Session
from ...core.errors import TrainyardError
from ...deploy.destroy import Demolition
from ...deploy.preparation import target_of
from ...deploy.stacks.stacks import Stack
from ..deploying import Narrator, add_options, asked, environment_of, refuse_silence, report
from ..parser import add_environment


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_environment(parser)
    add_options(parser)


def run(args: argparse.Namespace) -> None:
    environment = environment_of(args)
    refuse_silence(args)
    session = Session(environment.region)
    target = target_of(session, environment)
    narrator = Narrator(as_json=args.json)
    demolition = Demolition(session, environment, narrator)
    head = {"environment": environment.name, "account": target.account, "region": target.region}
    stack = demolition.find()
    if stack is None:
        narrator.say(f"{environment.name} is not deployed in account {target.account}, {target.region}")
        for line in demolition.remains():
            narrator.say(line)
        _end(demolition, head, as_json=args.json)
        return
    demolition.refuse_running()
    for line in demolition.forecast():
        narrator.say(line)
    question = f"Type {environment.name} to take it down in account {target.account}, {target.region}: "
    if not args.yes and asked(question) != environment.name:
        narrator.say("nothing was done")
        return
    _carry_out(demolition, stack, head, as_json=args.json)


def _carry_out(demolition: Demolition, stack: Stack, head: dict[str, Any], *, as_json: bool) -> None:
    try:
        demolition.carry_out(stack)
    except TrainyardError as error:
        if as_json:
            report({**head, "destroyed": False}, stacks=[], outputs={}, reason=str(error))
        raise
    _end(demolition, head, as_json=as_json)


def _end(demolition: Demolition, head: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        kept = demolition.data_stack()
        stacks = [{"name": kept.name, "id": kept.id, "status": kept.status}] if kept else []
        report({**head, "destroyed": True}, stacks=stacks, outputs=demolition.facts)
