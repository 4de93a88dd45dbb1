"""Why attempts and runs end: one table of causes, in the same words in every yard."""

from __future__ import annotations

import os
import signal
from typing import Any, Mapping, NamedTuple, Protocol

from . import protocol
from .protocol import FAILED, INTERRUPTED, SUCCEEDED, TERMINATED

AS_INTERRUPTION, BY_RETRIES, NEVER = "as an interruption", "by retries", "never"
"""Whether another attempt follows: in any case, while the job's `retries` allow it, or not at all. What a
service ends itself is not tried again by it, whatever the same cause is where we count."""


class Cause(NamedTuple):
    """A row of the table: the state that the attempt or run gets, whether it is tried again, and the words,
    with places for the facts. `bad_input`: what the job was given is to blame."""

    state: str
    again: str
    words: str
    bad_input: bool = False

    def of(self, *facts: object) -> Ending:
        """The cause with these facts."""
        return Ending(self, self.words.format(*facts))


LAUNCHERS = ("ChildFailedError", "ProcessRaisedException", "ProcessExitedException", "CalledProcessError")
"""What a program raises of which the real failure is in a process that it started."""


class Ending(NamedTuple):
    """Why something ended: the cause, and the words with their facts."""

    cause: Cause
    reason: str = ""


def is_tried_again(again: str, failures: int, retries: int) -> bool:
    """Whether another attempt follows one that ended so; `failures` of the launch have been counted, with
    this one."""
    return again == AS_INTERRUPTION or (again == BY_RETRIES and failures <= retries)


# Well.
DONE = Cause(SUCCEEDED, NEVER, "")
COMPLETED = Cause(SUCCEEDED, NEVER, "completed")
COMPLETED_AFTER = Cause(SUCCEEDED, NEVER, "completed after {} interruption{}")
PREDICTED = Cause(SUCCEEDED, NEVER, "predicted {} row{}")

# By somebody's wish, or with something else.
STOPPED = Cause(protocol.STOPPED, NEVER, "stopped on request")
ENDED_WITH_RUN = Cause(protocol.STOPPED, NEVER, "ended because the run has failed")
# What the job makes of these, the worker cannot know.
SIGTERM_FROM_OUTSIDE = Cause(TERMINATED, NEVER, "interrupted by SIGTERM from outside")
ENDED_WITH_JOB = Cause(TERMINATED, NEVER, "ended with its job")

# By an interruption.
CUT_SHORT = Cause(INTERRUPTED, AS_INTERRUPTION, "interrupted")
REHEARSED = Cause(INTERRUPTED, AS_INTERRUPTION, "interrupted {} after {:g} s, as --interrupt-at {} asked")
RECLAIMED = Cause(INTERRUPTED, AS_INTERRUPTION, "interrupted: the spot machine was taken back")
MACHINE_LOST = Cause(INTERRUPTED, AS_INTERRUPTION, "interrupted: the machine was lost")
HOST_LOST = Cause(INTERRUPTED, AS_INTERRUPTION, "interrupted: the machine was lost: {}")
PULL_FAILED = Cause(INTERRUPTED, AS_INTERRUPTION, "interrupted: the image could not be pulled: {}")
START_FAILED = Cause(INTERRUPTED, AS_INTERRUPTION, "interrupted: the container could not be started: {}")
RESTARTED = Cause(INTERRUPTED, AS_INTERRUPTION, "interrupted: SageMaker itself failed, and starts it again")
SUPERVISOR_LOST = Cause(INTERRUPTED, AS_INTERRUPTION, "the supervisor or the machine went down")
SUPERVISOR_ENDED = Cause(INTERRUPTED, AS_INTERRUPTION, "the supervisor was told to end")

# By a failure of the script's, or of what it ran on.
SAID = Cause(FAILED, BY_RETRIES, "{}")
HANDLER_LEFT = Cause(
    FAILED,
    BY_RETRIES,
    "the handler ended its process, with exit status 0, before the shard was done; mind os._exit and exec",
)
EXITED = Cause(FAILED, BY_RETRIES, "{} (exit status {})")
EXITED_SILENTLY = Cause(FAILED, BY_RETRIES, "exit status {}, and nothing in the log")
EXITED_WORDLESS = Cause(FAILED, BY_RETRIES, "exit status {}, without a word why; its log may tell more")
EXITED_SOMEHOW = Cause(FAILED, BY_RETRIES, "exit status {}")
SIGNALLED = Cause(FAILED, BY_RETRIES, "ended by {}")
KILLED = Cause(
    FAILED, BY_RETRIES, "ended by SIGKILL (from outside; when memory runs out, the system does this)"
)
OUT_OF_MEMORY = Cause(
    FAILED, BY_RETRIES, "out of memory: it used {} MiB, and train.resources.memory_mib allows {}"
)
DISK_FULL = Cause(FAILED, BY_RETRIES, "no space left on the device: {}free some and run again")
TIMED_OUT = Cause(FAILED, BY_RETRIES, "timed out after infer.timeout, {:g} s")
SHARD_FAULT = Cause(FAILED, BY_RETRIES, "a fault of trainyard: {}: {}")

# By a failure that no retry can mend.
UNMENDABLE = Cause(FAILED, NEVER, "{}")
FAULT = SHARD_FAULT._replace(again=NEVER)
COULD_NOT_START = Cause(FAILED, NEVER, "could not be started: {}")
MODEL_NOT_KEPT = Cause(
    FAILED,
    NEVER,
    "the model could not be kept: {}; all of it stays with the run, and `{}` makes a version of it",
)
GIVEN_UP = Cause(FAILED, NEVER, "given up: each of its last {} attempts ended within seconds, as {}")
RAN_TOO_LONG = Cause(FAILED, NEVER, "MaxRuntimeExceeded: it ran longer than train.spot.max_runtime, {} s")
WAITED_TOO_LONG = Cause(FAILED, NEVER, "MaxWaitTimeExceeded: it took longer than train.spot.max_wait, {} s")
CUT_OFF = Cause(FAILED, NEVER, "the command that launched it ended before AWS had all of it; resume it")

# By a service.
SILENT = Cause(FAILED, NEVER, "exit status {}, and no word of the worker's: `trainyard logs` may tell more")
MACHINE_TOO_SMALL = Cause(
    FAILED, NEVER, "out of memory: {} has no more; use a larger train.resources.instance_type"
)
MEMORY_EXCEEDED = Cause(FAILED, NEVER, "out of memory: it used more than infer.resources.memory_mib, {} MiB")
LOST_TOO_OFTEN = Cause(FAILED, NEVER, "the machine was lost too often to go on: {}")
NO_CAPACITY = Cause(
    FAILED,
    NEVER,
    "CapacityError: AWS has no {} free; try later, another train.resources.instance_type{}",
)
SAGEMAKER_FAILED = Cause(
    FAILED, NEVER, "{}; SageMaker itself failed: `trainyard resume` goes on from the checkpoint"
)
FORGOTTEN = Cause(FAILED, NEVER, "AWS Batch has forgotten the run (after 7 days), and it left no _SUCCESS")
UNKNOWN = Cause(FAILED, NEVER, "failed, and {} does not say why")
UNKNOWN_TO_BATCH = Cause(FAILED, NEVER, "Batch has ended the run, and does not say why")
SHELL_FORGOTTEN = Cause(
    FAILED,
    NEVER,
    "{}: its value went with the supervisor that had it, and is written down nowhere; "
    "`trainyard resume` the run from a shell that has it",
)

# By what the job was given.
BAD_INPUT = Cause(FAILED, NEVER, "{}", True)
NO_PYTHON = Cause(
    FAILED, NEVER, "the image has no python3, which the worker needs; name another {}.image", True
)
IMAGE_NOT_PULLED = Cause(FAILED, NEVER, "the image cannot be pulled: {}; mind {}.image", True)
IMAGE_REFUSED = Cause(FAILED, NEVER, "the image cannot be used: {}; mind train.image", True)
OVER_QUOTA = Cause(
    FAILED, NEVER, "the account's quota of {} for {} is {}; ask for more in AWS Service Quotas", True
)
NO_BUCKET = Cause(FAILED, NEVER, "{}: there is no such bucket ({})", True)
OTHER_REGION = Cause(FAILED, NEVER, "{}: it is in another region; copy it to the environment's ({})", True)
ACCESS_DENIED = Cause(
    FAILED,
    NEVER,
    "{}: access denied: name its bucket under `read_buckets` of the environment, and deploy it ({})",
    True,
)
NO_OBJECTS = Cause(FAILED, NEVER, "{}: there is nothing ({})", True)

TAIL = 16_384
"""So many bytes from the end of a log are enough to find a reason in."""
LONGEST = 1024
"""Characters of a reason: FailureReason of DescribeTrainingJob."""
_LONGEST_ERROR = 500
_TRACEBACK = "Traceback (most recent call last)"


class RehearsedInterruption(NamedTuple):
    """A rehearsed interruption: `after` seconds of an attempt's script; `kill` leaves the SIGTERM out."""

    after: float
    kill: bool = False

    def __str__(self) -> str:
        return f"{self.after:g}s" + (":kill" if self.kill else "")


class Rehearsal(Protocol):
    """What a rehearsed interruption is to its words: its text is as `--interrupt-at` takes it."""

    @property
    def after(self) -> float: ...

    @property
    def kill(self) -> bool: ...


class Word(NamedTuple):
    """What a process said of its own end, "" for nothing; `is_launchers`: of one that it had started, and
    whose own word is not known."""

    text: str = ""
    is_launchers: bool = False


NO_WORD = Word()


def one_line(text: str) -> str:
    """The text with every run of white space made one space."""
    return " ".join(text.split())


def shortened(text: str, most: int = LONGEST) -> str:
    """The text in one line, no longer than a reason is kept: cut in the middle, since what it is about stands
    at its beginning and often at its end."""
    line = one_line(text)
    if len(line) <= most:
        return line
    end = (most - 5) // 3
    return f"{line[: most - 5 - end]} ... {line[-end:]}"


def exited(status: int, output: bytes, word: Word = NO_WORD) -> Ending:
    """Why a process with this wait status failed: what it said and its exit status, or its signal.

    `output` is the end of what it wrote, which is asked where its own word is not known: for a traceback at
    its end, and never for ordinary output.
    """
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        if number == signal.SIGKILL:
            return KILLED.of()
        known = number in set(signal.Signals)
        return SIGNALLED.of(signal.Signals(number).name if known else f"signal {number}")
    code = os.WEXITSTATUS(status)
    said = word.text
    if word.is_launchers:
        said = _raised_within(output) or said
    said = said or _last_said(output)
    if said:
        return EXITED.of(shortened(said, _LONGEST_ERROR), code)
    return EXITED_WORDLESS.of(code) if output.strip() else EXITED_SILENTLY.of(code)


def _last_said(output: bytes) -> str:
    """The exception of a traceback that ends a log, or argparse's word; "" for anything else."""
    lines = _spoken(output)
    if lines and lines[-1].partition(" ")[2].startswith("error: "):
        return lines[-1]
    found = _exceptions(lines)
    return lines[-1] if found and found[-1] == len(lines) - 1 else ""


def _raised_within(output: bytes) -> str:
    """The exception of the last traceback in a log that is not a launcher's own."""
    lines = _spoken(output)
    found = [lines[index] for index in _exceptions(lines)]
    inner = [line for line in found if line.partition(":")[0].rpartition(".")[2] not in LAUNCHERS]
    return inner[-1] if inner else ""


def _exceptions(lines: list[str]) -> list[int]:
    """The indices of the lines that name the exception of a traceback."""
    found = []
    for begin in [index for index, line in enumerate(lines) if line.startswith(_TRACEBACK)]:
        after = (n for n in range(begin + 1, len(lines)) if not lines[n].startswith((" ", "\t")))
        found += [next(after, -1)]
    return [index for index in found if index >= 0]


def _spoken(output: bytes) -> list[str]:
    """The lines that say anything, without what torchrun puts before those of a rank."""
    import re  # 10 ms that only what has failed is worth

    lines = output.decode("utf-8", "replace").split("\n")
    return [re.sub(r"^\[\w+\]:? ?", "", line.rstrip("\r")) for line in lines if line.strip()]


def reported(said: Mapping[str, Any]) -> Ending:
    """Why a verb of the worker failed, by the report that it left."""
    return (BAD_INPUT if said.get("class") == "input" else SAID).of(said["reason"])


def completed(interruptions: int) -> Ending:
    """A training run that succeeded after so many interruptions."""
    if not interruptions:
        return COMPLETED.of()
    return COMPLETED_AFTER.of(interruptions, "s" * (interruptions > 1))


def predicted(rows: int) -> Ending:
    """An inference run that succeeded."""
    return PREDICTED.of(rows, "s" * (rows != 1))


def rehearsed(at: Rehearsal) -> Ending:
    """An attempt that was interrupted on purpose."""
    return REHEARSED.of("without SIGTERM" if at.kill else "by SIGTERM", at.after, at)


def unreached(at: Rehearsal, number: int, took: float | None) -> str:
    """The warning for the rehearsal of attempt `number`, which took so many seconds; None: there was none."""
    if took is None:
        return f"--interrupt-at {at} was never reached: there was no attempt {number}"
    return f"--interrupt-at {at} was never reached: attempt {number} ended after {took:.1f} s"


def cost_of_no_checkpoint(took: float) -> str:
    """The warning for a run on spot whose last attempt took so many seconds and wrote no checkpoint."""
    cost = f"{took:.1f}" if took >= 1 else f"{took:.2f}"
    return (
        f"no checkpoint was written: on spot, an interruption would have cost up to {cost} s of work; "
        "write checkpoints to $TRAINYARD_CHECKPOINT_DIR"
    )
