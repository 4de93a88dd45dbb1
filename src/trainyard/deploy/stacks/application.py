"""One stack and the template it is to have: settled, changed by a change set, followed to its end.

Every step can be repeated. A command that died anywhere leaves CloudFormation in a status that `plan.STEPS`
knows the next step of, so the next one goes on from there.
"""

from __future__ import annotations

import hashlib
import uuid
from typing import NamedTuple

from ...aws.account.session import Session
from ...aws.images.images import domain
from ...core.environments.environment import Environment, stack_tags
from ...core.environments.facts import ENVIRONMENT_TAG
from ...core.errors import AccountRefused, BadInput, DeploymentFailed
from ...infra.synthesis import StackTemplate
from . import causes
from .events import OperationEnd, Reporter, StackFollower
from .notebooks import notebook_of, stop_notebook
from .stacks import ChangeSet, Stack, Stacks, is_busy
from .steps import SUCCESSES, Step, holds_data, next_step

_ROUNDS = 8
"""So often the way to a stack that can be changed is taken anew; more than that is no way."""

MODEL_BUCKET = "ModelBucket"
"""The end of the logical name of the bucket that a platform's template is put into."""
UNCHANGED, CREATED, UPDATED = "nothing to change", "created", "updated"


class Applied(NamedTuple):
    """What was done to a stack: `UNCHANGED`, `CREATED` or `UPDATED`."""

    stack: str
    outcome: str


def refuse_foreign(stack: Stack | None, environment: Environment) -> None:
    """Raises `BadInput` for a stack of our name that is not this environment's."""
    if stack is None or stack.status == "REVIEW_IN_PROGRESS":  # which holds nothing, and has no tags yet
        return
    if stack.tags.get(ENVIRONMENT_TAG) != environment.stack_name:
        raise BadInput(
            f"there is a stack {stack.name} already that trainyard did not make (it has no tag"
            f" {ENVIRONMENT_TAG} = {environment.stack_name}); it was left alone",
            cure="name the environment otherwise, or set another `prefix`",
        )


class Application:
    """What brings a stack to its template."""

    def __init__(
        self, session: Session, stacks: Stacks, environment: Environment, reporter: Reporter
    ) -> None:
        self._session, self._stacks = session, stacks
        self._environment, self._reporter = environment, reporter

    def apply(self, template: StackTemplate) -> Applied:
        """Create or update the stack, whatever a former command has left of it.

        Raises `DeploymentFailed` with the first real cause once CloudFormation has rolled back, and
        `BadInput` for a stack that is not ours.
        """
        for _ in range(_ROUNDS):
            stack = self.settle(template.name)
            try:
                return self._change(template, stack)
            except AccountRefused as error:
                if not is_busy(error):
                    raise
                self._reporter.say(f"{template.name}: somebody else changes it just now")
        raise DeploymentFailed(f"{template.name}: others keep changing it; try again when they are done")

    def settle(self, name: str) -> Stack | None:
        """The stack once it can be updated, or None once it can be created."""
        for _ in range(_ROUNDS):
            stack = self._stacks.find(name)
            refuse_foreign(stack, self._environment)
            step = next_step(stack.status if stack else None)
            if step is Step.CREATE:
                return None
            assert stack is not None
            if step is Step.UPDATE:
                return stack
            self._take(step, stack)
        raise DeploymentFailed(
            f"{name}: it does not come to rest; see its events in CloudFormation's console"
        )

    def follow(
        self, stack: Stack, what: str, token: str = "", again: str = "trainyard deploy"
    ) -> OperationEnd:
        """Follow an operation on a stack to its end: the one with that token, or the one that goes on.

        `again` is the command that follows it where this one is interrupted.
        """
        following = StackFollower(self._stacks, stack.id, self._reporter.progress, token)
        try:
            with self._reporter.during(f"{what} {stack.name}", following.under_way):
                return following.to_end()
        except KeyboardInterrupt:
            self._tell_it_goes_on(stack.name, again)
            raise

    def delete(self, stack: Stack, again: str = "trainyard deploy") -> OperationEnd:
        """Delete a stack, and follow that to its end; also where that goes on already."""
        token = ""
        if stack.status != "DELETE_IN_PROGRESS":
            stop_notebook(self._session, self._stacks, notebook_of(self._stacks, stack), self._reporter)
            token = new_token()
            self._stacks.delete(stack, token)
        return self.follow(stack, "deleting", token, again)

    def _take(self, step: Step, stack: Stack) -> None:
        say, name = self._reporter.say, stack.name
        if step is Step.FOLLOW:
            say(f"{name}: {stack.status} goes on; following it")
            self.follow(stack, "following")
        elif step is Step.DELETE:
            self._refuse_losing_data(stack)
            say(f"{name}: {stack.status}; what an attempt that failed has left is deleted first")
            ending = self.delete(stack)
            if ending.status not in SUCCESSES:
                raise failure(stack.name, ending, "could not be deleted")
        elif step is Step.CONTINUE_ROLLBACK:
            say(f"{name}: {stack.status}; the rollback is taken up again")
            token = new_token()
            self._stacks.continue_rollback(stack, token)
            self._rolled_back(stack, token)
        elif step is Step.ROLL_BACK:
            say(f"{name}: {stack.status}; it is rolled back first")
            token = new_token()
            self._stacks.roll_back(stack, token)
            self._rolled_back(stack, token)
        else:
            raise DeploymentFailed(
                f"{name} is {stack.status} ({stack.reason or 'no reason given'}); mend it in CloudFormation's"
                " console"
            )

    def _rolled_back(self, stack: Stack, token: str) -> None:
        ending = self.follow(stack, "rolling back", token)
        if ending.status.endswith("_FAILED"):
            raise failure(stack.name, ending, "could not be rolled back")

    def _refuse_losing_data(self, stack: Stack) -> None:
        if stack.name != self._environment.data_stack_name or stack.status == "ROLLBACK_COMPLETE":
            return
        held = [each for each in self._stacks.resources(stack) if holds_data(each.type, each.status)]
        if held:
            named = ", ".join(each.physical or each.logical for each in held)
            raise DeploymentFailed(
                f"{stack.name} is {stack.status} and still holds {named}, which may hold data; delete the"
                " stack in CloudFormation's console, retaining these, or empty and delete them; then deploy"
            )

    def _change(self, template: StackTemplate, stack: Stack | None) -> Applied:
        name, token = template.name, new_token()
        made: ChangeSet | None = None
        there = stack is not None or self._stacks.find(name) is not None
        try:
            tags = stack_tags(self._environment)
            with self._reporter.during(f"preparing {name}", {}):
                given = self._given(template)
                made = self._stacks.prepare(name, given, tags, token=token, create=stack is None)
                made = self._stacks.await_change_set(made)
            if made.empty:
                self._stacks.discard(made)
                return Applied(name, UNCHANGED)
            if made.status != "CREATE_COMPLETE":
                raise self._refused(name, made)
            self._stacks.execute(made, token)
        except KeyboardInterrupt:
            self._withdraw(name, made, was_there=there)
            raise
        changed = stack or Stack(name=name, id=made.stack_id, status="CREATE_IN_PROGRESS")
        ending = self.follow(changed, "updating" if stack else "creating", token)
        if ending.status not in SUCCESSES:
            raise failure(name, ending, "could not be updated" if stack else "could not be created")
        return Applied(name, UPDATED if stack else CREATED)

    def _given(self, template: StackTemplate) -> dict[str, str]:
        """How CloudFormation gets a template: inline what holds data, and the platform's, which may be too
        large for that, from the environment's own bucket. CloudFormation reads it as the caller."""
        data = self._environment.data_stack_name
        if template.name == data:
            return {"TemplateBody": template.body}
        stack = self._stacks.find(data)
        held = self._stacks.resources(stack) if stack else []
        bucket = next(each.physical for each in held if each.logical.endswith(MODEL_BUCKET))
        content = template.body.encode()
        key = f"templates/{hashlib.sha256(content).hexdigest()}.json"
        self._session.call("s3", "put_object", Bucket=bucket, Key=key, Body=content)
        host = f"{bucket}.s3.{self._session.region}.{domain(self._session.region)}"
        return {"TemplateURL": f"https://{host}/{key}"}

    def _refused(self, name: str, made: ChangeSet) -> DeploymentFailed:
        errors = self._stacks.errors_of(made)
        self._stacks.discard(made)
        reason = causes.plain(" ".join(errors) or made.reason or made.status)
        cure = causes.cure_of(reason) or causes.cure_of(made.reason)
        return DeploymentFailed(
            f"{name}: CloudFormation refuses the change: {reason}" + (f"; {cure}" if cure else "")
        )

    def _withdraw(self, name: str, made: ChangeSet | None, *, was_there: bool) -> None:
        """After Ctrl-C: leave nothing behind of a change set, unless CloudFormation has begun with it."""
        if made is not None:
            found = self._stacks.look_at(made)
            if found is None or found.executed:
                self._tell_it_goes_on(name)
                return
            self._stacks.discard(made)
            empty = self._stacks.find(made.stack_id)
            if not was_there and empty is not None and empty.status == "REVIEW_IN_PROGRESS":
                self._stacks.delete(empty, new_token())
        self._reporter.say(f"{name}: nothing was changed")

    def _tell_it_goes_on(self, name: str, again: str = "trainyard deploy") -> None:
        self._reporter.say(
            f"{name}: CloudFormation goes on in AWS without this command;"
            f" `{again} {self._environment.name}` follows it"
        )


def new_token() -> str:
    """A token that no other operation has."""
    return f"trainyard-{uuid.uuid4()}"


def failure(name: str, ending: OperationEnd, what: str) -> DeploymentFailed:
    """How an operation that failed is told: the first real cause and the cure."""
    cause = causes.first_cause(ending.events)
    why = str(cause) if cause else "see its events in CloudFormation's console"
    return DeploymentFailed(f"{name} {what} ({ending.status}): {why}")
