"""Following an operation: nothing lost, nothing twice, and an end."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainyard.deploy.stacks.events import ResourceProgress, StackFollower
from trainyard.deploy.stacks.stacks import Stack

STACK = "arn:stack"


def described(
    number: int, resource: str, status: str, token: str = "ours", reason: str = ""
) -> dict[str, Any]:
    whole = resource == "stack"
    return {
        "EventId": f"{token}-{number}",
        "StackId": STACK,
        "PhysicalResourceId": STACK if whole else resource,
        "LogicalResourceId": resource,
        "ResourceType": "AWS::CloudFormation::Stack" if whole else "AWS::EC2::VPC",
        "ResourceStatus": status,
        "ResourceStatusReason": reason,
        "ClientRequestToken": token,
        "Timestamp": float(number),
    }


class Stacks:
    """CloudFormation, telling what each look in turn is to see; the last one again and again."""

    def __init__(self, looks: list[list[dict[str, Any]]], status: str = "CREATE_COMPLETE") -> None:
        self._looks, self._status = looks, status
        self.pauses = 0

    def events(self, stack_id: str) -> list[dict[str, Any]]:
        return self._looks.pop(0) if len(self._looks) > 1 else self._looks[0]

    def find(self, stack_id: str) -> Stack:
        return Stack(name="stack", id=STACK, status=self._status)

    def pause(self) -> None:
        self.pauses += 1
        assert self.pauses < 200


def follow(stacks: Any, token: str = "ours") -> tuple[str, list[ResourceProgress]]:
    told: list[ResourceProgress] = []
    ending = StackFollower(stacks, STACK, told.append, token).to_end()
    return ending.status, told


OLD = [described(0, "stack", "CREATE_IN_PROGRESS", "old"), described(1, "stack", "CREATE_COMPLETE", "old")]
NAMES = [f"r{number}" for number in range(8)]


def operation() -> list[dict[str, Any]]:
    numbers = iter(range(10, 100))
    return [
        described(next(numbers), "stack", "UPDATE_IN_PROGRESS"),
        *(described(next(numbers), name, "UPDATE_IN_PROGRESS") for name in NAMES),
        *(described(next(numbers), name, "UPDATE_COMPLETE") for name in NAMES),
        described(next(numbers), "stack", "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS"),
        described(next(numbers), "stack", "UPDATE_COMPLETE"),
    ]


@settings(max_examples=100)
@given(st.data())
def test_each_resource_is_told_once_however_the_events_turn_up(data: st.DataObject) -> None:
    whole = operation()
    arrives = [data.draw(st.integers(0, 6)) for _ in whole]
    arrives[-1] = 7
    looks = [
        OLD + [event for event, turn in zip(whole, arrives, strict=True) if turn <= look] for look in range(8)
    ]

    status, told = follow(Stacks(looks))

    assert status == "UPDATE_COMPLETE"
    assert sorted(progress.resource for progress in told) == NAMES


def test_events_of_other_operations_are_not_told() -> None:
    others = [
        described(5, "theirs", "UPDATE_COMPLETE", "theirs"),
        described(6, "stack", "UPDATE_COMPLETE", "theirs"),
    ]

    _, told = follow(Stacks([OLD + others, OLD + others + operation()], "UPDATE_COMPLETE"))

    assert [progress.resource for progress in told] == NAMES


def test_somebody_elses_operation_is_told_from_its_beginning() -> None:
    running = OLD + operation()[:5]

    status, told = follow(Stacks([running, running, OLD + operation()], "UPDATE_IN_PROGRESS"), token="")

    assert status == "UPDATE_COMPLETE"
    assert [progress.resource for progress in told] == NAMES


def test_somebody_elses_operation_that_has_just_ended_is_no_reason_to_wait() -> None:
    stacks = Stacks([OLD], "CREATE_COMPLETE")

    assert follow(stacks, token="") == ("CREATE_COMPLETE", [])
    assert stacks.pauses == 0


def test_operation_without_events_comes_to_an_end() -> None:
    assert follow(Stacks([OLD], "UPDATE_COMPLETE")) == ("UPDATE_COMPLETE", [])


def test_duration_is_that_of_the_resource() -> None:
    events = [
        described(10, "stack", "CREATE_IN_PROGRESS"),
        described(12, "r", "CREATE_IN_PROGRESS"),
        described(13, "r", "CREATE_IN_PROGRESS"),
        described(20, "r", "CREATE_COMPLETE"),
        described(21, "stack", "CREATE_COMPLETE"),
    ]

    _, told = follow(Stacks([events]))

    assert [progress.seconds for progress in told] == [8.0]


@pytest.mark.parametrize(
    ("status", "reason", "action"),
    [
        ("CREATE_COMPLETE", "", "create"),
        ("DELETE_COMPLETE", "", "delete"),
        ("DELETE_SKIPPED", "", "keep"),
        ("CREATE_FAILED", "no", "failed"),
        ("CREATE_FAILED", "Resource creation cancelled", "cancel"),
        ("UPDATE_FAILED", "Resource update cancelled", "cancel"),
    ],
)
def test_what_is_told_of_a_resource(status: str, reason: str, action: str) -> None:
    events = [described(11, "r", status, reason=reason), described(21, "stack", "CREATE_COMPLETE")]

    _, told = follow(Stacks([events]))

    assert [progress.action for progress in told] == [action]
