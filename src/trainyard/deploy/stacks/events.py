"""The events of one operation on a stack, followed until it ends: none lost, none told twice."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any, NamedTuple, Protocol

from ...core.record import Record
from .stacks import Stacks, is_moving

_STACK = "AWS::CloudFormation::Stack"
_QUIET_LOOKS = 15
"""So many looks without a new event, and the stack itself is asked whether it has ended."""


class Event(Record):
    """What happened to a resource, or to the stack itself; `time` in seconds since 1970."""

    id: str
    token: str
    resource: str
    type: str
    status: str
    reason: str
    time: float
    whole: bool

    @property
    def moving(self) -> bool:
        """Whether another event of the same resource will follow."""
        return is_moving(self.status)

    @property
    def failed(self) -> bool:
        """Whether it did not work."""
        return self.status.endswith("_FAILED")


class ResourceProgress(NamedTuple):
    """A resource that is done: `action` is `create`, `update`, `delete`, `keep` or `failed`."""

    action: str
    type: str
    resource: str
    seconds: float
    reason: str


class OperationEnd(NamedTuple):
    """How an operation ended: the stack's status, and all the operation's events, oldest first."""

    status: str
    events: Sequence[Event]


def event_of(described: Mapping[str, Any]) -> Event:
    """An event as DescribeStackEvents tells it."""
    stamp = described["Timestamp"]
    return Event(
        id=described["EventId"],
        token=described.get("ClientRequestToken", ""),
        resource=described.get("LogicalResourceId", ""),
        type=described.get("ResourceType", ""),
        status=described.get("ResourceStatus", ""),
        reason=described.get("ResourceStatusReason", ""),
        time=stamp.timestamp() if isinstance(stamp, datetime.datetime) else float(stamp),
        whole=described.get("ResourceType") == _STACK
        and described.get("PhysicalResourceId") == described.get("StackId"),
    )


def known_before(events: Sequence[Event]) -> frozenset[str]:
    """The ids of the events that are older than the operation which goes on; `events` are oldest first."""
    last = max((index for index, event in enumerate(events) if event.whole and not event.moving), default=-1)
    return frozenset(event.id for event in events[: last + 1])


def progress_of(event: Event, began: float) -> ResourceProgress | None:
    """What to tell about an event; None for one that only begins something, and for the stack itself."""
    if event.whole or event.moving or not event.status:
        return None
    action = event.status.partition("_")[0].lower()
    if event.status == "DELETE_SKIPPED":
        action = "keep"
    elif event.failed:
        action = "cancel" if is_cascade(event.reason) else "failed"
    return ResourceProgress(action, event.type, event.resource, max(0.0, event.time - began), event.reason)


def is_cascade(reason: str) -> bool:
    """Whether a resource failed only since another one had."""
    return "cancelled" in reason.lower() or reason.startswith("The following resource(s) failed to")


class StackFollower:
    """An operation that is followed: by its token, or, where it is somebody else's, whatever happens from the
    last time on that the stack was at rest. `under_way` maps what is being worked on to when that began."""

    def __init__(
        self, stacks: Stacks, stack_id: str, tell: Callable[[ResourceProgress], None], token: str = ""
    ) -> None:
        self._stacks, self._stack_id, self._tell, self._token = stacks, stack_id, tell, token
        self._events: dict[str, Event] = {}
        self._before: frozenset[str] = frozenset()
        self.under_way: dict[str, float] = {}

    def to_end(self) -> OperationEnd:
        """Tell each resource that is done, until the operation has ended."""
        quiet = 0
        if not self._token:
            self._before = known_before([event_of(each) for each in self._stacks.events(self._stack_id)])
            quiet = _QUIET_LOOKS  # it may have ended between two looks
        while True:
            fresh = self._look()
            for event in fresh:
                self._take(event)
            if ends := [event.status for event in fresh if event.whole and not event.moving]:
                return self._ending(ends[-1])
            quiet = 0 if fresh and self._token else quiet + 1
            if quiet >= _QUIET_LOOKS and (status := self._status_at_rest()):
                return self._ending(status)
            self._stacks.pause()

    def _look(self) -> list[Event]:
        """What is new. All events are read anew each time: one may turn up behind those that are known."""
        found = [event_of(each) for each in self._stacks.events(self._stack_id)]
        fresh = [event for event in found if event.id not in self._events and self._is_ours(event)]
        self._events.update((event.id, event) for event in fresh)
        return fresh

    def _is_ours(self, event: Event) -> bool:
        return event.token == self._token if self._token else event.id not in self._before

    def _take(self, event: Event) -> None:
        if event.moving:
            if not event.whole:
                self.under_way.setdefault(event.resource, event.time)
            return
        began = self.under_way.pop(event.resource, event.time)
        if (progress := progress_of(event, began)) is not None:
            self._tell(progress)

    def _status_at_rest(self) -> str:
        stack = self._stacks.find(self._stack_id)
        status = "DELETE_COMPLETE" if stack is None else stack.status
        return "" if is_moving(status) else status

    def _ending(self, status: str) -> OperationEnd:
        return OperationEnd(status, sorted(self._events.values(), key=lambda event: event.time))


class Reporter(Protocol):
    """Whoever watches."""

    def say(self, line: str) -> None:
        """A line of text."""

    def progress(self, progress: ResourceProgress) -> None:
        """A resource is done."""

    def during(self, what: str, under_way: Mapping[str, float]) -> AbstractContextManager[object]:
        """While entered, `what` goes on, with the resources under way; the mapping changes meanwhile."""
