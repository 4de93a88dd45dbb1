"""The table of causes: whatever ends has a state, words, and one answer to whether it is tried again."""

from __future__ import annotations

import ast
import re
import signal
from pathlib import Path

import pytest

import trainyard
from trainyard.core.runs.run import State
from trainyard.worker import protocol, reasons
from trainyard.worker.reasons import AS_INTERRUPTION, BY_RETRIES, NEVER, Cause, is_tried_again

TABLE = {name: cause for name, cause in vars(reasons).items() if isinstance(cause, Cause)}
TRACEBACK = b'Traceback (most recent call last):\n  File "a.py", line 1, in <module>\n    f()\n'
PACKAGE = Path(trainyard.__file__).parent


@pytest.mark.parametrize("name", TABLE)
def test_every_cause_ends_an_attempt_in_a_state_that_is_known(name: str) -> None:
    cause = TABLE[name]
    assert cause.state in {*map(str, State), protocol.TERMINATED}
    assert cause.again in {AS_INTERRUPTION, BY_RETRIES, NEVER}
    assert (cause.again == AS_INTERRUPTION) is (cause.state == protocol.INTERRUPTED)
    assert cause.again != BY_RETRIES or cause.state == protocol.FAILED
    assert not cause.bad_input or (cause.state, cause.again) == (protocol.FAILED, NEVER)


def test_an_attempt_is_tried_again_as_its_cause_says() -> None:
    assert is_tried_again(AS_INTERRUPTION, 9, 0)
    assert is_tried_again(BY_RETRIES, 1, 1)
    assert not is_tried_again(BY_RETRIES, 2, 1)
    assert not is_tried_again(NEVER, 0, 9)


@pytest.mark.parametrize(
    ("status", "output", "reason"),
    [
        (3 << 8, b"one\nboom: bad luck\n", "exit status 3, without a word why; its log may tell more"),
        (1 << 8, TRACEBACK + b"E: {0} {unknown}\n", "E: {0} {unknown} (exit status 1)"),
        (1 << 8, TRACEBACK.replace(b"T", b"[rank1]: T") + b"[rank1]: E: x\n", "E: x (exit status 1)"),
        (
            1 << 8,
            TRACEBACK + b"E: handled\nepoch=3\n",
            "exit status 1, without a word why; its log may tell more",
        ),
        (1 << 8, b"", "exit status 1, and nothing in the log"),
        (
            signal.SIGKILL,
            b"said",
            "ended by SIGKILL (from outside; when memory runs out, the system does this)",
        ),
        (signal.SIGSEGV, b"said", "ended by SIGSEGV"),
    ],
)
def test_an_exit_is_told_in_words_with_what_was_said_as_it_was(
    status: int, output: bytes, reason: str
) -> None:
    assert reasons.exited(status, output).reason == reason


def test_the_words_of_an_ending_stand_in_the_table_alone() -> None:
    parts = {part for cause in TABLE.values() for part in re.split(r"\{[^}]*\}", cause.words)}
    # What is shorter is said of other things too.
    sayings = {each for each in parts if len(each) > 22}
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        # The sandbox speaks as AWS does.
        if path == Path(reasons.__file__) or path.is_relative_to(PACKAGE / "sandbox"):
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        docstrings = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docstrings:
                found += [(path.name, each) for each in sayings if each in node.value]
    assert found == []


def test_every_cause_of_the_table_is_seen_somewhere() -> None:
    source = "\n".join(path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py"))
    assert [name for name in TABLE if len(re.findall(rf"\b{name}\b", source)) < 2] == []
