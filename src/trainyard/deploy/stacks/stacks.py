"""CloudFormation's verbs, as far as two stacks need them. Each asks once; what for is decided elsewhere."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

from ...aws.account.session import Session
from ...core.errors import AccountRefused, BadInput, DeploymentFailed
from ...core.record import NOTHING, Record

"""The tag of a stack that is ours; its value is the environment's `stack_name`."""
CAPABILITIES = ("CAPABILITY_IAM", "CAPABILITY_NAMED_IAM")
POLL_VARIABLE = "TRAINYARD_POLL_SECONDS"
"""Seconds between two looks at what CloudFormation does; 2 unless set."""

_EMPTY = ("didn't contain changes", "No updates are to be performed")
_POLL_SECONDS = 2.0


class Resource(NamedTuple):
    """What a stack holds: its name in the template, type and status, and AWS's own name or ARN of it."""

    logical: str
    type: str
    status: str
    physical: str


class Stack(Record):
    """A stack as CloudFormation describes it. `protected`: it cannot be deleted unless that is undone."""

    name: str
    id: str
    status: str
    reason: str = ""
    protected: bool = False
    tags: Mapping[str, str] = NOTHING
    outputs: Mapping[str, str] = NOTHING

    @property
    def moving(self) -> bool:
        """Whether an operation is going on. A stack that only has a change set is not moving."""
        return is_moving(self.status)


class ChangeSet(Record):
    """A change set that CloudFormation has worked out, or could not; `id` is its ARN."""

    id: str
    stack_id: str
    status: str
    execution: str = ""
    reason: str = ""

    @property
    def empty(self) -> bool:
        """Whether it changes nothing."""
        return self.status == "FAILED" and any(words in self.reason for words in _EMPTY)

    @property
    def executed(self) -> bool:
        """Whether CloudFormation has begun with it."""
        return self.execution.startswith("EXECUTE_")


def is_moving(status: str) -> bool:
    """Whether a status of a stack or change set passes by itself."""
    return status.endswith(("_IN_PROGRESS", "_PENDING")) and status != "REVIEW_IN_PROGRESS"


def poll_seconds() -> float:
    """How long to wait between two looks. Raises `BadInput` where the variable is no number."""
    text = os.environ.get(POLL_VARIABLE, "")
    try:
        seconds = float(text) if text else _POLL_SECONDS
    except ValueError:
        seconds = -1.0
    if not 0 < seconds < float("inf"):
        raise BadInput(f"{text!r} is no number of seconds", where=POLL_VARIABLE, cure="write one such as 2")
    return seconds


class Stacks:
    """The stacks of an account and region."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._poll = poll_seconds()

    def find(self, name: str) -> Stack | None:
        """The stack of that name, or with that ARN even after its deletion; None where there is none."""
        try:
            found = self._call("describe_stacks", StackName=name)["Stacks"][0]
        except AccountRefused as error:
            if is_absent(error):
                return None
            raise
        return Stack(
            name=found["StackName"],
            id=found["StackId"],
            status=found["StackStatus"],
            reason=found.get("StackStatusReason", ""),
            protected=found.get("EnableTerminationProtection", False),
            tags={each["Key"]: each["Value"] for each in found.get("Tags", [])},
            outputs={each["OutputKey"]: each["OutputValue"] for each in found.get("Outputs", [])},
        )

    def template(self, stack: Stack) -> dict[str, Any] | None:
        """The template that the stack was last made of; None where it was never made."""
        if stack.status == "REVIEW_IN_PROGRESS":
            return None
        body = self._call("get_template", StackName=stack.id, TemplateStage="Original")["TemplateBody"]
        return _parsed(stack.name, body) if isinstance(body, str) else dict(body)

    def resources(self, stack: Stack) -> list[Resource]:
        """All that a stack holds or held."""
        pages = self._session.pages("cloudformation", "list_stack_resources", StackName=stack.id)
        return [
            Resource(
                each["LogicalResourceId"],
                each["ResourceType"],
                each["ResourceStatus"],
                each.get("PhysicalResourceId", ""),
            )
            for page in pages
            for each in page["StackResourceSummaries"]
        ]

    def prepare(
        self, name: str, template: Mapping[str, str], tags: Mapping[str, str], *, token: str, create: bool
    ) -> ChangeSet:
        """Have a change set made, and come back at once. A first creation that fails is rolled back.

        `template` is the parameter that gives it: `TemplateBody`, or `TemplateURL` of an object in S3.
        """
        made = self._call(
            "create_change_set",
            StackName=name,
            ChangeSetName=token,
            ChangeSetType="CREATE" if create else "UPDATE",
            ClientToken=token,
            **template,
            Capabilities=list(CAPABILITIES),
            Tags=[{"Key": key, "Value": value} for key, value in sorted(tags.items())],
            OnStackFailure="ROLLBACK",
        )
        return ChangeSet(id=made["Id"], stack_id=made["StackId"], status="CREATE_PENDING")

    def look_at(self, change_set: ChangeSet) -> ChangeSet | None:
        """The change set as it stands now; None where it is gone, as one is that was executed."""
        try:
            found = self._call("describe_change_set", **_named(change_set))
        except AccountRefused as error:
            if is_absent(error) or error.code.startswith("ChangeSetNotFound"):
                return None
            raise
        return change_set.replace(
            status=found["Status"],
            execution=found.get("ExecutionStatus", ""),
            reason=found.get("StatusReason", ""),
        )

    def await_change_set(self, change_set: ChangeSet) -> ChangeSet:
        """The change set once CloudFormation has worked it out, or could not."""
        while True:
            found = self.look_at(change_set)
            if found is None:
                problem = "somebody deleted the change set while it was made; run the same command again"
                raise DeploymentFailed(problem)
            if not is_moving(found.status):
                return found
            self.pause()

    def errors_of(self, change_set: ChangeSet) -> list[str]:
        """What CloudFormation's early validation has against a change set, a line each; [] where unknown."""
        try:
            answer = self._call("describe_events", **_named(change_set), Filters={"FailedEvents": True})
        except (AccountRefused, AttributeError):  # not permitted, not in this region, or an older botocore
            return []
        return [
            f"{each.get('LogicalResourceId', '')} ({each.get('ResourceType', '')}): {reason}"
            for each in answer.get("OperationEvents", [])
            if (reason := each.get("ValidationStatusReason") or each.get("ResourceStatusReason"))
        ]

    def execute(self, change_set: ChangeSet, token: str) -> None:
        """Begin with a change set; its events carry the token."""
        self._call("execute_change_set", **_named(change_set), ClientRequestToken=token)

    def discard(self, change_set: ChangeSet) -> None:
        """Delete a change set that was not executed; silent where it is gone."""
        try:
            self._call("delete_change_set", **_named(change_set))
        except AccountRefused as error:
            if not is_absent(error) and not error.code.startswith("ChangeSetNotFound"):
                raise

    def delete(self, stack: Stack, token: str) -> None:
        """Begin to delete a stack; its events carry the token."""
        self._call("delete_stack", StackName=stack.id, ClientRequestToken=token)

    def continue_rollback(self, stack: Stack, token: str) -> None:
        """Begin to roll back what could not be rolled back."""
        self._call("continue_update_rollback", StackName=stack.id, ClientRequestToken=token)

    def roll_back(self, stack: Stack, token: str) -> None:
        """Begin to roll back an update that failed and was left as it was."""
        self._call("rollback_stack", StackName=stack.id, ClientRequestToken=token)

    def protect(self, stack: Stack) -> None:
        """Have CloudFormation refuse to delete the stack."""
        self._call("update_termination_protection", StackName=stack.id, EnableTerminationProtection=True)

    def events(self, stack_id: str) -> list[dict[str, Any]]:
        """Every event of a stack, the oldest first."""
        pages = self._session.pages("cloudformation", "describe_stack_events", StackName=stack_id)
        return [each for page in pages for each in page["StackEvents"]][::-1]

    def pause(self) -> None:
        """Wait before the next look."""
        time.sleep(self._poll)

    def _call(self, operation: str, **parameters: Any) -> dict[str, Any]:
        return self._session.call("cloudformation", operation, **parameters)


def _named(change_set: ChangeSet) -> dict[str, str]:
    # With its stack: which of the two a permission is checked against is not said by IAM's reference.
    return {"StackName": change_set.stack_id, "ChangeSetName": change_set.id}


def is_absent(error: AccountRefused) -> bool:
    """Whether AWS says that what was asked about is not there."""
    return error.code in ("ValidationError", "ChangeSetNotFound") and "does not exist" in error.message


def is_busy(error: AccountRefused) -> bool:
    """Whether AWS refuses since somebody else's operation on the stack goes on, or came in between."""
    if error.code in ("InvalidChangeSetStatus", "InvalidChangeSetStatusException"):
        return True
    return error.code == "ValidationError" and "_IN_PROGRESS state" in error.message


def _parsed(name: str, body: str) -> dict[str, Any]:
    """A template that is text: JSON, or the YAML in which the CDK's command line sends it."""
    try:
        content: Any = json.loads(body)
    except ValueError:
        import yaml  # for a stack that another tool has deployed, and no other

        try:
            content = yaml.safe_load(body)
        except yaml.YAMLError:
            content = None
    if not isinstance(content, dict):
        cure = "see it in CloudFormation's console, and deploy with `trainyard deploy`"
        raise BadInput("its deployed template can't be read", where=name, cure=cure)
    return content
