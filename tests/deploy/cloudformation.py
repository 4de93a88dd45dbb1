"""CloudFormation on loopback: it keeps stacks, makes events a resource at a time, fails as told.

`cloudformation_server` serves it. Nothing in it takes time: an operation goes on by
some events each time that somebody looks at its stack, and waits at a resource where a test holds it.
"""

from __future__ import annotations

import datetime
import json
import threading
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import yaml

ACCOUNT, REGION = "123456789012", "eu-central-1"
_STACK = "AWS::CloudFormation::Stack"
_EPOCH = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
_ABREAST = 3
_PAGE = 25
_RETAINING = ("Retain", "RetainExceptOnCreate")


class Refused(Exception):
    """An error answer."""

    def __init__(self, code: str, message: str, status: int = 400) -> None:
        super().__init__(message)
        self.code, self.message, self.status = code, message, status


class Stack:
    def __init__(self, name: str) -> None:
        self.name = name
        self.id = f"arn:aws:cloudformation:{REGION}:{ACCOUNT}:stack/{name}/{uuid.uuid4()}"
        self.status = "REVIEW_IN_PROGRESS"
        self.template: dict[str, Any] = {"Resources": {}}
        self.tags: dict[str, str] = {}
        self.protected = False
        self.as_yaml = False
        self.events: list[dict[str, Any]] = []
        self.resources: dict[str, dict[str, str]] = {}
        self.operation: Iterator[None] | None = None


class ChangeSet:
    def __init__(self, stack: Stack, name: str, template: dict[str, Any], tags: dict[str, str]) -> None:
        self.stack, self.name, self.template, self.tags = stack, name, template, tags
        self.id = f"arn:aws:cloudformation:{REGION}:{ACCOUNT}:changeSet/{name}/{uuid.uuid4()}"
        self.status, self.execution, self.reason = "CREATE_PENDING", "UNAVAILABLE", ""


class Hold:
    """A place where an operation waits: `reached` is set once it is there, and it goes on after `release`."""

    def __init__(self, resource: str) -> None:
        self.resource = resource
        self.reached, self.released = threading.Event(), threading.Event()

    def release(self) -> None:
        self.released.set()


class CloudFormation:
    """The service. `made` and `unmade` are called for each resource, so that others can know of it; what they
    raise is the reason that the resource fails for. `read` gives the template at an address in S3."""

    def __init__(self) -> None:
        self.stacks: dict[str, Stack] = {}
        self.change_sets: dict[str, ChangeSet] = {}
        self.calls: list[str] = []
        self.made: Callable[[str, str, dict[str, Any]], str | None] = lambda name, kind, body: None
        self.unmade: Callable[[str, str, dict[str, Any], str], None] = lambda name, kind, body, physical: None
        self.read: Callable[[str], str] = lambda url: ""
        self._failures: dict[tuple[str, str], list[str]] = {}
        self._refusals: list[tuple[str, Refused, int]] = []
        self._validation: list[dict[str, str]] = []
        self._holds: list[Hold] = []
        self._hooks: dict[str, Callable[[], None]] = {}
        self._clock = 0
        self._lock = threading.RLock()

    # What a test says

    def fail(self, what: str, reason: str, *, during: str = "CREATE", times: int = 1) -> None:
        """The next resource of that type or logical id fails with the reason."""
        self._failures.setdefault((during, what), []).extend([reason] * times)

    def refuse(self, action: str, code: str, message: str, *, status: int = 400, times: int = 1) -> None:
        """The next calls of the action are refused."""
        self._refusals.append((action, Refused(code, message, status), times))

    def refuse_change_set(self, reason: str, *, resource: str = "", detail: str = "") -> None:
        """The next change set fails early validation."""
        self._validation.append({"reason": reason, "resource": resource, "detail": detail})

    def hold_at(self, resource: str) -> Hold:
        """Operations wait once they have begun with the resource."""
        hold = Hold(resource)
        self._holds.append(hold)
        return hold

    def before(self, action: str, hook: Callable[[], None]) -> None:
        """Call the hook once, before the next call of the action is answered."""
        self._hooks[action] = hook

    def named(self, name: str) -> Stack | None:
        """The stack of that name or id that has not been deleted; by its id, also then."""
        if name in self.stacks:
            return self.stacks[name]
        alive = [
            each for each in self.stacks.values() if each.name == name and each.status != "DELETE_COMPLETE"
        ]
        return alive[0] if alive else None

    def status(self, name: str) -> str:
        found = self.named(name)
        return found.status if found else ""

    def held(self, name: str) -> list[str]:
        """The logical ids of what a stack holds."""
        found = self.named(name)
        return list(found.resources) if found else []

    def put(self, name: str, status: str, tags: dict[str, str], **more: Any) -> Stack:
        """A stack that is simply there."""
        stack = Stack(name)
        stack.status, stack.tags = status, tags
        for key, value in more.items():
            setattr(stack, key, value)
        self.stacks[stack.id] = stack
        self._event(stack, name, _STACK, status, "", "console", stack.id)
        return stack

    # The service

    def answer(self, action: str, query: dict[str, Any]) -> dict[str, Any]:
        hook = self._hooks.pop(action, None)
        if hook:
            hook()
        with self._lock:
            self.calls.append(action)
            self._refuse_as_told(action)
            method = getattr(self, f"_do_{action}", None)
            if method is None:
                raise Refused("InvalidAction", f"Could not find operation {action}")
            result: dict[str, Any] = method(query)
            return result

    def _refuse_as_told(self, action: str) -> None:
        for index, (name, refused, times) in enumerate(self._refusals):
            if name in (action, "*"):
                self._refusals[index] = (name, refused, times - 1)
                if times <= 1:
                    del self._refusals[index]
                raise refused

    def _do_DescribeStacks(self, query: dict[str, Any]) -> dict[str, Any]:
        stack = self._known(query["StackName"])
        self._advance(stack)
        return {
            "Stacks": [
                {
                    "StackName": stack.name,
                    "StackId": stack.id,
                    "StackStatus": stack.status,
                    "CreationTime": _EPOCH.isoformat(),
                    "EnableTerminationProtection": stack.protected,
                    "Tags": [{"Key": key, "Value": value} for key, value in stack.tags.items()],
                }
            ]
        }

    def _do_CreateChangeSet(self, query: dict[str, Any]) -> dict[str, Any]:
        name, create = query["StackName"], query["ChangeSetType"] == "CREATE"
        assert query.get("OnStackFailure", "ROLLBACK") == "ROLLBACK"
        assert "CAPABILITY_IAM" in query["Capabilities"]
        body = query.get("TemplateBody")
        if body is None:
            body = self.read(query["TemplateURL"])
        else:
            assert len(body.encode()) <= 51_200
        stack = self.named(name)
        if create and stack is not None and stack.status != "REVIEW_IN_PROGRESS":
            raise Refused("ValidationError", f"Stack [{name}] already exists and cannot be created again")
        if not create:
            stack = self._known(name)
            if not stack.status.endswith("_COMPLETE") or stack.status == "ROLLBACK_COMPLETE":
                message = f"Stack:{stack.id} is in {stack.status} state and can not be updated."
                raise Refused("ValidationError", message)
        if stack is None:
            stack = Stack(name)
            self.stacks[stack.id] = stack
            self._event(stack, name, _STACK, stack.status, "User Initiated", "", stack.id)
        tags = {each["Key"]: each["Value"] for each in query.get("Tags", [])}
        made = ChangeSet(stack, query["ChangeSetName"], yaml.safe_load(body), tags)
        self.change_sets[made.id] = made
        return {"Id": made.id, "StackId": stack.id}

    def _do_DescribeChangeSet(self, query: dict[str, Any]) -> dict[str, Any]:
        found = self._change_set(query)
        answer = {
            "ChangeSetId": found.id,
            "ChangeSetName": found.name,
            "StackId": found.stack.id,
            "StackName": found.stack.name,
            "Status": found.status,
            "ExecutionStatus": found.execution,
            "StatusReason": found.reason,
        }
        if found.status == "CREATE_PENDING":
            found.status = "CREATE_IN_PROGRESS"
        elif found.status == "CREATE_IN_PROGRESS":
            self._work_out(found)
        return answer

    def _work_out(self, found: ChangeSet) -> None:
        same = found.template == found.stack.template and found.tags == found.stack.tags
        if self._validation and not same:
            found.status, found.reason = "FAILED", self._validation[0]["reason"]
        elif same:
            found.status = "FAILED"
            found.reason = "The submitted information didn't contain changes. Submit different information."
        else:
            found.status, found.execution = "CREATE_COMPLETE", "AVAILABLE"

    def _do_DescribeEvents(self, query: dict[str, Any]) -> dict[str, Any]:
        told = self._validation.pop(0)
        if not told["detail"]:
            return {"OperationEvents": []}
        event = {
            "EventId": str(uuid.uuid4()),
            "EventType": "VALIDATION_ERROR",
            "LogicalResourceId": told["resource"],
            "ResourceType": "AWS::S3::Bucket",
            "ValidationStatus": "FAILED",
            "ValidationStatusReason": told["detail"],
        }
        return {"OperationEvents": [event]}

    def _do_ListChangeSets(self, query: dict[str, Any]) -> dict[str, Any]:
        stack = self._known(query["StackName"])
        sets = [each for each in self.change_sets.values() if each.stack is stack]
        return {"Summaries": [{"ChangeSetId": each.id, "Status": each.status} for each in sets]}

    def _do_DeleteChangeSet(self, query: dict[str, Any]) -> dict[str, Any]:
        del self.change_sets[self._change_set(query).id]
        return {}

    def _do_ExecuteChangeSet(self, query: dict[str, Any]) -> dict[str, Any]:
        found = self._change_set(query)
        if found.execution != "AVAILABLE":
            message = (
                f"ChangeSet [{found.id}] cannot be executed in its current status of [{found.execution}]"
            )
            raise Refused("InvalidChangeSetStatus", message)
        stack, token = found.stack, query.get("ClientRequestToken", "")
        found.execution = "EXECUTE_IN_PROGRESS"
        for other in self.change_sets.values():
            if other.stack is stack and other is not found:
                other.execution = "OBSOLETE"
        create = stack.status == "REVIEW_IN_PROGRESS"
        stack.tags = found.tags
        stack.operation = (self._creating if create else self._updating)(stack, found.template, token)
        next(stack.operation)
        del self.change_sets[found.id]
        return {}

    def _do_DescribeStackEvents(self, query: dict[str, Any]) -> dict[str, Any]:
        stack = self._known(query["StackName"])
        start = int(query.get("NextToken", 0))
        if not start:
            self._advance(stack)
        newest_first = stack.events[::-1]
        answer: dict[str, Any] = {"StackEvents": newest_first[start : start + _PAGE]}
        if start + _PAGE < len(newest_first):
            answer["NextToken"] = start + _PAGE
        return answer

    def _do_ListStackResources(self, query: dict[str, Any]) -> dict[str, Any]:
        stack = self._known(query["StackName"])
        return {
            "StackResourceSummaries": [
                {
                    "LogicalResourceId": name,
                    "PhysicalResourceId": each["physical"],
                    "ResourceType": each["type"],
                    "ResourceStatus": each["status"],
                    "LastUpdatedTimestamp": _EPOCH.isoformat(),
                }
                for name, each in stack.resources.items()
            ]
        }

    def _do_GetTemplate(self, query: dict[str, Any]) -> dict[str, Any]:
        stack = self._known(query["StackName"])
        write = yaml.safe_dump if stack.as_yaml else json.dumps
        return {"TemplateBody": write(stack.template)}

    def _do_UpdateTerminationProtection(self, query: dict[str, Any]) -> dict[str, Any]:
        stack = self._known(query["StackName"])
        stack.protected = query["EnableTerminationProtection"] == "true"
        return {"StackId": stack.id}

    def _do_DeleteStack(self, query: dict[str, Any]) -> dict[str, Any]:
        stack = self._known(query["StackName"])
        if stack.protected:
            message = f"Stack [{stack.name}] cannot be deleted while TerminationProtection is enabled"
            raise Refused("ValidationError", message)
        if stack.status == "REVIEW_IN_PROGRESS":
            stack.status = "DELETE_COMPLETE"
        elif stack.status not in ("DELETE_IN_PROGRESS", "DELETE_COMPLETE"):
            stack.operation = self._deleting(stack, query["ClientRequestToken"])
            next(stack.operation)
        return {}

    def _do_ContinueUpdateRollback(self, query: dict[str, Any]) -> dict[str, Any]:
        stack = self._known(query["StackName"])
        assert stack.status == "UPDATE_ROLLBACK_FAILED"
        stack.operation = self._finishing_rollback(stack, query["ClientRequestToken"])
        next(stack.operation)
        return {}

    def _do_RollbackStack(self, query: dict[str, Any]) -> dict[str, Any]:
        stack = self._known(query["StackName"])
        assert stack.status in ("UPDATE_FAILED", "CREATE_FAILED")
        stack.operation = self._finishing_rollback(stack, query["ClientRequestToken"])
        next(stack.operation)
        return {"StackId": stack.id}

    # Operations, an event at a time

    def _advance(self, stack: Stack) -> None:
        if stack.operation is None:
            return
        for _ in range(2):
            if next(stack.operation, self) is self:
                stack.operation = None
                return

    def _creating(self, stack: Stack, template: dict[str, Any], token: str) -> Iterator[None]:
        stack.template = template
        self._whole(stack, "CREATE_IN_PROGRESS", token, "User Initiated")
        yield
        failed: list[str] = []
        yield from self._working(stack, "CREATE", list(template["Resources"]), template, token, failed)
        if not failed:
            self._whole(stack, "CREATE_COMPLETE", token)
            return
        reason = (
            f"The following resource(s) failed to create: [{', '.join(failed)}]. Rollback requested by user."
        )
        self._whole(stack, "ROLLBACK_IN_PROGRESS", token, reason)
        yield
        left: list[str] = []
        yield from self._removing(stack, template, token, left, rollback=True)
        self._whole(stack, "ROLLBACK_FAILED" if left else "ROLLBACK_COMPLETE", token)

    def _updating(self, stack: Stack, template: dict[str, Any], token: str) -> Iterator[None]:
        old = stack.template
        self._whole(stack, "UPDATE_IN_PROGRESS", token, "User Initiated")
        yield
        new, was = template["Resources"], old["Resources"]
        failed: list[str] = []
        changed = [name for name in new if name in was and new[name] != was[name]]
        yield from self._working(stack, "UPDATE", changed, template, token, failed)
        if not failed:
            added = [name for name in new if name not in was]
            yield from self._working(stack, "CREATE", added, template, token, failed)
        if failed:
            reason = f"The following resource(s) failed to update: [{', '.join(failed)}]."
            self._whole(stack, "UPDATE_ROLLBACK_IN_PROGRESS", token, reason)
            yield
            for name in changed:
                if self._next_failure("ROLLBACK", name, new[name]["Type"]):
                    self._whole(stack, "UPDATE_ROLLBACK_FAILED", token, "could not")
                    return
                self._resource(stack, name, new[name]["Type"], "UPDATE_COMPLETE", token)
                yield
            self._whole(stack, "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS", token)
            yield
            self._whole(stack, "UPDATE_ROLLBACK_COMPLETE", token)
            return
        stack.template = template
        self._whole(stack, "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS", token)
        yield
        for name in [name for name in was if name not in new]:
            self._resource(stack, name, was[name]["Type"], "DELETE_COMPLETE", token)
            yield
        self._whole(stack, "UPDATE_COMPLETE", token)

    def _finishing_rollback(self, stack: Stack, token: str) -> Iterator[None]:
        self._whole(stack, "UPDATE_ROLLBACK_IN_PROGRESS", token, "User Initiated")
        yield
        self._whole(stack, "UPDATE_ROLLBACK_COMPLETE", token)

    def _deleting(self, stack: Stack, token: str) -> Iterator[None]:
        self._whole(stack, "DELETE_IN_PROGRESS", token, "User Initiated")
        yield
        left: list[str] = []
        yield from self._removing(stack, stack.template, token, left, rollback=False)
        if left:
            reason = f"The following resource(s) failed to delete: [{', '.join(left)}]. "
            self._whole(stack, "DELETE_FAILED", token, reason)
        else:
            self._whole(stack, "DELETE_COMPLETE", token)

    def _working(
        self,
        stack: Stack,
        verb: str,
        names: list[str],
        template: dict[str, Any],
        token: str,
        failed: list[str],
    ) -> Iterator[None]:
        for start in range(0, len(names), _ABREAST):
            batch = names[start : start + _ABREAST]
            for name in batch:
                body = template["Resources"][name]
                self._resource(stack, name, body["Type"], f"{verb}_IN_PROGRESS", token)
                yield
                yield from self._held(name)
            for name in batch:
                body = template["Resources"][name]
                reason = "Resource creation cancelled" if failed else self._attempt(stack, verb, name, body)
                if reason:
                    failed.append(name)
                status = f"{verb}_FAILED" if reason else f"{verb}_COMPLETE"
                self._resource(stack, name, body["Type"], status, token, reason)
                yield
            if failed:
                # What was abreast and had not failed yet is cancelled too, as CloudFormation does.
                return

    def _removing(
        self, stack: Stack, template: dict[str, Any], token: str, left: list[str], *, rollback: bool
    ) -> Iterator[None]:
        for name in [*stack.resources][::-1]:
            held = stack.resources[name]
            if held["status"] in ("DELETE_COMPLETE", "DELETE_SKIPPED"):
                continue
            body = template["Resources"].get(name, {"Type": held["type"]})
            self._resource(stack, name, held["type"], "DELETE_IN_PROGRESS", token)
            yield
            yield from self._held(name)
            policy = body.get("DeletionPolicy", "Delete")
            keep = policy == "Retain" or (policy in _RETAINING and not rollback)
            reason = "" if keep else self._undo(name, held, body)
            status = "DELETE_SKIPPED" if keep else "DELETE_FAILED" if reason else "DELETE_COMPLETE"
            if reason:
                left.append(name)
            self._resource(stack, name, held["type"], status, token, reason)
            yield

    def _held(self, name: str) -> Iterator[None]:
        for hold in [each for each in self._holds if each.resource == name]:
            while not hold.released.is_set():
                hold.reached.set()
                yield
            self._holds.remove(hold)

    def _attempt(self, stack: Stack, verb: str, name: str, body: dict[str, Any]) -> str:
        if reason := self._next_failure(verb, name, body["Type"]):
            return reason
        try:
            physical = self.made(name, body["Type"], body)
        except ValueError as error:
            return str(error)
        stack.resources.setdefault(name, {"type": body["Type"], "physical": name.lower(), "status": ""})
        if physical:
            stack.resources[name]["physical"] = physical
        return ""

    def _undo(self, name: str, held: dict[str, str], body: dict[str, Any]) -> str:
        if reason := self._next_failure("DELETE", name, held["type"]):
            return reason
        try:
            self.unmade(name, held["type"], body, held["physical"])
        except ValueError as error:
            return str(error)
        return ""

    def _next_failure(self, verb: str, name: str, kind: str) -> str:
        for what in (name, kind):
            if reasons := self._failures.get((verb, what)):
                return reasons.pop(0)
        return ""

    def _whole(self, stack: Stack, status: str, token: str, reason: str = "") -> None:
        stack.status = status
        self._event(stack, stack.name, _STACK, status, reason, token, stack.id)

    def _resource(
        self, stack: Stack, name: str, kind: str, status: str, token: str, reason: str = ""
    ) -> None:
        held = stack.resources.setdefault(name, {"type": kind, "physical": name.lower(), "status": status})
        held["status"] = status
        self._event(stack, name, kind, status, reason, token, held["physical"])

    def _event(
        self, stack: Stack, name: str, kind: str, status: str, reason: str, token: str, physical: str
    ) -> None:
        self._clock += 1
        event = {
            "EventId": str(uuid.uuid4()),
            "StackId": stack.id,
            "StackName": stack.name,
            "LogicalResourceId": name,
            "PhysicalResourceId": physical,
            "ResourceType": kind,
            "ResourceStatus": status,
            "Timestamp": (_EPOCH + datetime.timedelta(seconds=0.8 * self._clock)).isoformat(),
        }
        stack.events.append(event | ({"ResourceStatusReason": reason} if reason else {}))
        if token:
            event_token = {"ClientRequestToken": token}
            stack.events[-1] |= event_token

    def _known(self, name: str) -> Stack:
        stack = self.named(name)
        if stack is None:
            raise Refused("ValidationError", f"Stack with id {name} does not exist")
        return stack

    def _change_set(self, query: dict[str, Any]) -> ChangeSet:
        # By its ARN, or by its name beside its stack's.
        wanted, stack = query["ChangeSetName"], query.get("StackName")
        for found in self.change_sets.values():
            if found.id == wanted or (found.name == wanted and stack in (found.stack.name, found.stack.id)):
                return found
        raise Refused("ChangeSetNotFound", f"ChangeSet [{wanted}] does not exist", 404)
