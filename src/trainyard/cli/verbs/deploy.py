"""`trainyard deploy`."""

from __future__ import annotations

import argparse
import datetime
import time
from typing import Any

from ...aws.account.session import Session
from ...aws.images.releases import DEFAULT as DEFAULT_IMAGE
from ...aws.images.releases import expiry
from ...core.environments.environment import DEFAULT
from ...core.errors import TrainyardError
from ...deploy.deployment import EnvironmentDeployment
from ...deploy.preparation import refuse_unoffered, target_of
from ...infra.synthesis import synthesise
from ..deploying import Narrator, add_options, asked, environment_of, refuse_silence, report
from ..formatting import duration
from ..parser import add_environment


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_environment(parser, DEFAULT)
    add_options(parser)


def run(args: argparse.Namespace) -> None:
    environment = environment_of(args)
    refuse_silence(args)
    session = Session(environment.region)
    # Before the templates, which take ten times as long.
    target = target_of(session, environment)
    environment = environment.replace(region=target.region)
    refuse_unoffered(session, environment)
    narrator = Narrator(as_json=args.json)
    deployment = EnvironmentDeployment(session, target, environment, synthesise(environment), narrator)
    for line in deployment.forecast(narrator.warn):
        narrator.show(line)
    if ending := expiry(DEFAULT_IMAGE.repository, DEFAULT_IMAGE.cpu, datetime.date.today()):
        narrator.show(f"the default image of training ({DEFAULT_IMAGE.cpu}): {ending}; update trainyard")
    question = f"Deploy to account {target.account}, {target.region}? [y/N] "
    if not args.yes and asked(question).lower() not in ("y", "yes"):
        narrator.say("nothing was done")
        return
    head = {"environment": environment.name, "account": target.account, "region": target.region}
    _apply(deployment, narrator, head, as_json=args.json)


def _apply(
    deployment: EnvironmentDeployment, narrator: Narrator, head: dict[str, Any], *, as_json: bool
) -> None:
    began = time.monotonic()
    try:
        applied = deployment.apply()
        facts = deployment.facts()
    except TrainyardError as error:
        if as_json:
            failed = {**head, "deployed": False}
            report(failed, stacks=_stacks(deployment), outputs={}, reason=str(error))
        raise
    narrator.say(f"{head['environment']} is deployed, after {duration(time.monotonic() - began)}")
    for line in deployment.conclusion(facts, applied):
        narrator.say(line)
    if as_json:
        report({**head, "deployed": True}, stacks=_stacks(deployment), outputs=facts)


def _stacks(deployment: EnvironmentDeployment) -> list[dict[str, str]]:
    try:
        return deployment.statuses()
    except TrainyardError:  # why it failed is told already, and this for the same reason
        return []
