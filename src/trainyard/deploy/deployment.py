"""Deploying an environment: what would be done, and doing it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from ..aws.account.session import Session
from ..core.environments.environment import Environment
from ..infra.synthesis import StackTemplate
from .comparison import compare
from .cost import cost
from .preparation import (
    Target,
    close_default_security_group,
    dashboard_url,
    ensure_service_linked_roles,
    facts_of,
    retain_training_logs,
)
from .stacks.application import CREATED, Application, Applied
from .stacks.events import Reporter
from .stacks.stacks import Stacks


class EnvironmentDeployment:
    """An environment, its two templates, and the account that they go to."""

    def __init__(
        self,
        session: Session,
        target: Target,
        environment: Environment,
        templates: Sequence[StackTemplate],
        reporter: Reporter,
    ) -> None:
        self._session, self._target, self._environment = session, target, environment
        self._templates, self._reporter = templates, reporter
        self._stacks = Stacks(session)

    def forecast(self, emphasise: Callable[[str], str] = str) -> list[str]:
        """What a person wants to know before saying yes: the idle cost, the changes, who may do more or less.

        What may lose data, or allows more, is as `emphasise` makes it. Raises `BadInput` where a stack of
        that name is not ours.
        """
        found = [compare(self._stacks, self._environment, template) for template in self._templates]
        lines = cost.lines(cost.idle_cost(*(each.new for each in found)))
        return [
            "idle cost:",
            *(f"  {line}" for line in lines),
            *(line for each in found for line in each.lines(emphasise)),
        ]

    def apply(self) -> list[Applied]:
        """Deploy: first what holds data, then what stands on it.

        Safe to call again, whatever became of an earlier call.
        """
        if made := ensure_service_linked_roles(self._session):
            self._reporter.say(f"made for the account: {', '.join(made)}")
        application = Application(self._session, self._stacks, self._environment, self._reporter)
        applied = []
        for template in self._templates:
            done = application.apply(template)
            self._reporter.say(f"{done.stack}: {done.outcome}")
            if template.name == self._environment.data_stack_name:
                self._protect(template.name)
            applied.append(done)
        vpc = self.facts().get("vpc-id", "")
        if vpc and not self._environment.vpc and close_default_security_group(self._session, vpc):
            self._reporter.say(f"{vpc}: its default security group lets nothing in or out")
        days = self._environment.retention.log_days
        if retain_training_logs(self._session, days):
            self._reporter.say(f"logs of training jobs in this account and region now go after {days} days")
        return applied

    def facts(self) -> Mapping[str, str]:
        """What the deployment has published, by name."""
        return facts_of(self._session, self._environment.name)

    def statuses(self) -> list[dict[str, str]]:
        """Both stacks as they stand, for a program."""
        found = [(template.name, self._stacks.find(template.name)) for template in self._templates]
        return [
            {
                "name": name,
                "id": stack.id if stack else "",
                "status": stack.status if stack else "DELETE_COMPLETE",
            }
            for name, stack in found
        ]

    def conclusion(self, facts: Mapping[str, str], applied: Sequence[Applied]) -> list[str]:
        """What to say at the end: where things are, and what to type next."""
        environment = self._environment
        parts = {
            "data sets": _bucket(facts.get("dataset-bucket")),
            "models": _bucket(facts.get("model-bucket")),
            "images": facts.get("repository-uri", ""),
            "notebook": facts.get("notebook-name", ""),
            "dashboard": dashboard_url(self._target, facts["dashboard-name"])
            if "dashboard-name" in facts
            else "",
            "people": facts.get("submitter-policy-arn", ""),
            "": facts.get("submitter-data-policy-arn", ""),
            "next": f"trainyard train --on {environment.name}",
        }
        lines = [f"  {title:<10} {text}" for title, text in parts.items() if text]
        if environment.alarm_email and any(done.outcome == CREATED for done in applied):
            lines.append(
                f"AWS has sent {environment.alarm_email} a mail: no alarm arrives before its link is clicked."
            )
        if vcpus := environment.batch.on_demand_max_vcpus:
            lines.append(
                f"When spot is full, Batch goes on on demand, at full price, with up to {vcpus} vCPUs"
                " or one machine more (batch.on_demand_max_vcpus = 0 switches that off)."
            )
        return lines

    def _protect(self, name: str) -> None:
        stack = self._stacks.find(name)
        if stack is not None and not stack.protected:
            self._stacks.protect(stack)


def _bucket(name: str | None) -> str:
    return f"s3://{name}" if name else ""
