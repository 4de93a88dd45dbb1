"""Which attempts Batch starts again, by the rules that its user guide states."""

from __future__ import annotations

from typing import Any

import pytest

from trainyard.sandbox.batch.retries import AttemptEnd, is_retried, normal, problem

OURS: dict[str, Any] = {
    "attempts": 10,
    "evaluateOnExit": [
        {"onStatusReason": "Host EC2*", "action": "RETRY"},
        {"onStatusReason": "Task failed to start*", "action": "RETRY"},
        {"onExitCode": "75", "action": "RETRY"},
        {"onReason": "*", "action": "EXIT"},
        {"onExitCode": "*", "action": "EXIT"},
    ],
}
"""What the engine of inference submits with."""

LOST = AttemptEnd(None, "", "Host EC2 (instance i-0123456789abcdef0) terminated.")
NO_IMAGE = AttemptEnd(None, "CannotPullContainerError: manifest unknown", "Task failed to start")
FAILED = AttemptEnd(1, "", "Essential container in task exited")


@pytest.mark.parametrize(
    ("ending", "retried"),
    [
        (LOST, True),
        (NO_IMAGE, True),
        (FAILED._replace(exit_code=75), True),
        (FAILED._replace(exit_code=7), False),
        (FAILED._replace(exit_code=750), False),
        (FAILED, False),
        (AttemptEnd(137, "OutOfMemoryError: Container killed due to memory usage", ""), False),
        (
            AttemptEnd(None, "DockerTimeoutError: Could not transition to created", "Task failed to start"),
            True,
        ),
    ],
)
def test_a_lost_machine_and_what_asks_for_it_are_retried_and_the_scripts_own_failure_is_not(
    ending: AttemptEnd, retried: bool
) -> None:
    assert is_retried(OURS, 1, ending) is retried


def test_never_more_often_than_attempts_whatever_the_rules_say() -> None:
    assert is_retried(OURS, 9, LOST)
    assert not is_retried(OURS, 10, LOST)


def test_without_a_strategy_there_is_one_attempt() -> None:
    assert not is_retried({}, 1, FAILED)


def test_without_rules_every_failure_is_retried() -> None:
    assert is_retried({"attempts": 2}, 1, FAILED)
    assert not is_retried({"attempts": 2}, 2, FAILED)


def test_where_no_rule_holds_the_job_is_retried() -> None:
    strategy = {"attempts": 3, "evaluateOnExit": [{"onExitCode": "2", "action": "EXIT"}]}
    assert is_retried(strategy, 1, FAILED)


def test_the_first_rule_that_holds_decides() -> None:
    rules = [{"onExitCode": "1", "action": "EXIT"}, {"onExitCode": "*", "action": "RETRY"}]
    assert not is_retried({"attempts": 3, "evaluateOnExit": rules}, 1, FAILED)
    assert is_retried({"attempts": 3, "evaluateOnExit": rules[::-1]}, 1, FAILED)


def test_all_conditions_of_a_rule_have_to_hold() -> None:
    rule = {"onExitCode": "1", "onStatusReason": "Host EC2*", "action": "RETRY"}
    strategy = {"attempts": 3, "evaluateOnExit": [rule, {"onExitCode": "*", "action": "EXIT"}]}
    assert not is_retried(strategy, 1, FAILED)
    assert is_retried(strategy, 1, AttemptEnd(1, "", LOST.status_reason))


@pytest.mark.parametrize(
    ("pattern", "matches"),
    [
        ("Essential*", True),
        ("essential*", False),
        ("Essential container in task exited", True),
        ("Essential", False),
    ],
)
def test_a_pattern_is_exact_up_to_an_asterisk_at_its_end(pattern: str, matches: bool) -> None:
    rules = [{"onStatusReason": pattern, "action": "RETRY"}, {"onReason": "*", "action": "EXIT"}]
    assert is_retried({"attempts": 2, "evaluateOnExit": rules}, 1, FAILED) is matches


def test_an_action_may_be_written_in_small_letters() -> None:
    rules = [{"onExitCode": "1", "action": "retry"}, {"onReason": "*", "action": "exit"}]
    assert is_retried({"attempts": 2, "evaluateOnExit": rules}, 1, FAILED)
    assert not is_retried({"attempts": 2, "evaluateOnExit": rules}, 1, FAILED._replace(exit_code=2))


def test_batch_shows_actions_in_small_letters() -> None:
    assert [rule["action"] for rule in normal(OURS)["evaluateOnExit"]] == ["retry"] * 3 + ["exit"] * 2
    assert normal({}) == {"attempts": 1, "evaluateOnExit": []}


@pytest.mark.parametrize(
    ("strategy", "words"),
    [
        ({}, "RetryAttempts must be provided"),
        ({"attempts": 0}, "between 1 and 10"),
        ({"attempts": 11}, "between 1 and 10"),
        ({"attempts": 2, "evaluateOnExit": [{"onReason": "a", "action": "EXIT"}] * 6}, "Up to 5"),
        ({"attempts": 2, "evaluateOnExit": [{"onReason": "*x", "action": "EXIT"}]}, "restricted characters"),
        (
            {"attempts": 2, "evaluateOnExit": [{"onReason": "a(b)", "action": "EXIT"}]},
            "restricted characters",
        ),
        (
            {"attempts": 2, "evaluateOnExit": [{"onExitCode": "7x", "action": "EXIT"}]},
            "restricted characters",
        ),
        ({"attempts": 2, "evaluateOnExit": [{"onReason": "a" * 513, "action": "EXIT"}]}, "at most 512"),
        ({"attempts": 2, "evaluateOnExit": [{"onReason": "a", "action": "STOP"}]}, "one of RETRY, EXIT"),
    ],
)
def test_a_strategy_that_batch_refuses_is_refused_in_its_words(strategy: dict[str, Any], words: str) -> None:
    assert words in problem(strategy)


def test_the_strategy_of_our_jobs_is_accepted() -> None:
    assert problem(OURS) == ""
