"""What Batch does with an attempt that failed: its retry strategy, read as the user guide words it.

"Automated job retries" of the AWS Batch user guide, and `EvaluateOnExit` of its API reference.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, NamedTuple

MOST_ATTEMPTS, MOST_RULES = 10, 5
_LONGEST = 512
_REASON = re.compile(r"[A-Za-z0-9.:\s]*\*?")
_EXIT_CODE = re.compile(r"[0-9]*\*?")
_CONDITIONS = {"onStatusReason": _REASON, "onReason": _REASON, "onExitCode": _EXIT_CODE}
_ACTIONS = ("retry", "exit")


class AttemptEnd(NamedTuple):
    """How an attempt ended. `exit_code` is None when the container never ended by itself: it did not start,
    or its machine was lost."""

    exit_code: int | None = None
    reason: str = ""
    status_reason: str = ""


def is_retried(strategy: Mapping[str, Any], attempt: int, ending: AttemptEnd) -> bool:
    """Whether a job whose attempt of this number (from 1) failed is started again.

    The first rule whose conditions all hold decides; where none does, the job is retried. Never more often
    than `attempts`, which is 1 where nothing is said.
    """
    if attempt >= int(strategy.get("attempts", 1)):
        return False
    for rule in strategy.get("evaluateOnExit") or ():
        if _holds(rule, ending):
            return str(rule["action"]).lower() == "retry"
    return True


def problem(strategy: Mapping[str, Any]) -> str:
    """Why Batch refuses this retry strategy, in its own words where they are known; "" when it does not."""
    attempts, rules = strategy.get("attempts"), strategy.get("evaluateOnExit") or ()
    if attempts is None:
        return "RetryAttempts must be provided with retry strategy"
    if not 1 <= attempts <= MOST_ATTEMPTS:
        return f"RetryAttempts must be between 1 and {MOST_ATTEMPTS}"
    if len(rules) > MOST_RULES:
        return f"Up to {MOST_RULES} evaluateOnExit condition can be specified."
    return next((text for rule in rules if (text := _rule_problem(rule))), "")


def normal(strategy: Mapping[str, Any]) -> dict[str, Any]:
    """The strategy as Batch shows it again: actions in small letters, both members there."""
    rules = [{**rule, "action": str(rule["action"]).lower()} for rule in strategy.get("evaluateOnExit") or ()]
    return {"attempts": int(strategy.get("attempts", 1)), "evaluateOnExit": rules}


def _holds(rule: Mapping[str, Any], ending: AttemptEnd) -> bool:
    # What is not there is empty: Batch's own example ends with onReason "*", "for any reason", though
    # a container that failed by itself has no reason.
    code = "" if ending.exit_code is None else str(ending.exit_code)
    found = {"onStatusReason": ending.status_reason, "onReason": ending.reason, "onExitCode": code}
    return all(matches(rule[name], text) for name, text in found.items() if rule.get(name) is not None)


def matches(pattern: str, text: str) -> bool:
    """Exactly, or with an asterisk at the pattern's end only what stands before it."""
    return text.startswith(pattern[:-1]) if pattern.endswith("*") else text == pattern


def _rule_problem(rule: Mapping[str, Any]) -> str:
    if str(rule.get("action", "")).lower() not in _ACTIONS:
        return f"EvaluateOnExit action must be one of {', '.join(word.upper() for word in _ACTIONS)}"
    for name, allowed in _CONDITIONS.items():
        pattern = rule.get(name)
        if pattern is None:
            continue
        if not allowed.fullmatch(pattern):
            return "Evaluate on exit condition contains restricted characters."
        if len(pattern) > _LONGEST:
            return f"Evaluate on exit condition length must be at most {_LONGEST}"
    return ""
