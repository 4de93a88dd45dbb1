"""The worker of a training job on SageMaker: one host, from its container's start to its end.

It unpacks the source, installs what that requires, and starts the script as its child, in the contract of
`training`; it passes on the script's output and our SIGTERM, tries again where that was asked for, and writes
down how the attempts ended: in the history in S3, and in `output/failure`, whose text SageMaker gives as the
job's FailureReason.
"""

from __future__ import annotations

import os
import sys
import time
from typing import Any, Callable, Mapping, NamedTuple, Sequence

from ... import packages, protocol, reasons
from ...contract.checkpoints import copy_in, lost_in_s3, newest_checkpoint, remove_former
from ...contract.configuration import TrainingSpec
from ...contract.contract import failure
from ...contract.entry import command
from ...contract.hyperparameters import arguments
from ...contract.lastwords import last_word, lay
from ...contract.layout import Layout
from ...contract.models import ModelRefused
from ...contract.variables import environment
from ...errors import InputError, OutputError, ServiceError
from ...packages.paths import on_path
from ...process import orphans
from ...process.log import Log
from ...process.script import OUTSIDE, Ended, Program, Script, Signals
from ...protocol import CHECKPOINT_CHANNEL, CODE_CHANNEL, FAILED, SUCCEEDED
from ..source import SourceRefused, empty, unpack
from .history import History, read_former, took
from .job import ROOT, ConfigurationError, read_job
from .keeping import Asked, Keeper
from .options import StartOptions, parse

_STOP = 143  # a process ended by SIGTERM, as shells write it


class AttemptEnd(NamedTuple):
    """How an attempt ended. `status` is the worker's own."""

    cause: reasons.Cause
    reason: str = ""
    status: int = 0
    finished: float | None = None


class Unfit(Exception):
    """An attempt ends without its script having run."""

    def __init__(self, outcome: AttemptEnd) -> None:
        super().__init__(outcome.reason)
        self.outcome = outcome


def main(words: Sequence[str]) -> int:
    """Run a host of a training job; the exit status is the script's own, 1 for what is ours."""
    signals, log = Signals(), Log()
    layout = Layout(os.environ.get(ROOT) or "/opt/ml")
    try:
        options = parse(words)
        job = read_job(layout, options.script, os.environ)
    except (InputError, ConfigurationError) as error:
        log.say(str(error))
        _write_failure(layout, str(error))
        return 1
    try:
        return Host(options, job, layout, signals, log).run()
    except OSError as error:
        # Of our own files: the script's are not opened here.
        log.say(f"the worker cannot go on: {error}")
        _write_failure(layout, f"the worker cannot go on: {error}")
        return 1


class Host:
    """One host of the job, and what it knows from one attempt to the next."""

    def __init__(
        self, options: StartOptions, job: TrainingSpec, layout: Layout, signals: Signals, log: Log
    ) -> None:
        self._options, self._job, self._layout = options, job, layout
        self._signals, self._log = signals, log
        name = protocol.history_file(job.current_host)
        self._keeper = Keeper(options.histories, name, lambda: signals.asked)
        self._python = ""
        self._secrets: Mapping[str, str] | None = None

    def run(self) -> int:
        """Attempt after attempt, until one is the last."""
        _name_s3(self._options)
        os.makedirs(self._layout.checkpoints, exist_ok=True)
        self._keeper.begin_reading()
        laid_out = self._tried(self._lay_out)
        try:
            self._history = self._read_history()
        except Asked:
            return _STOP
        except (ServiceError, InputError, OSError) as error:
            reason = f"the history of the attempts cannot be read: {error}"
            self._log.say(reason)
            _write_failure(self._layout, reason)
            return 1
        self._history.recover(self._options.launch, spot=self._options.spot)
        if self._options.retries or self._options.interruptions:
            orphans.adopt()
        while True:
            outcome = self._attempt(laid_out)
            if outcome.cause.state == SUCCEEDED:
                outcome = self._keep_model(outcome)
            self._close(outcome)
            if self._signals.asked or not self._goes_on(outcome):
                return self._leave(outcome)
            laid_out = self._tried(self._lay_out)

    def _read_history(self) -> History:
        folder, host = self._layout.checkpoints, self._job.current_host
        return History(self._keeper, read_former(folder, host), self._log.say)

    def _goes_on(self, outcome: AttemptEnd) -> bool:
        """Whether another attempt follows in this container."""
        # Of several hosts the others could not know that one begins anew.
        retries = self._options.retries if len(self._job.hosts) == 1 else -1
        return reasons.is_tried_again(
            outcome.cause.again, self._history.failures(self._options.launch), retries
        )

    def _attempt(self, laid_out: AttemptEnd | None) -> AttemptEnd:
        """An attempt, where its folders and its source are laid out; else that is how it ends."""
        number = self._history.last_number + 1
        ended = self._tried(lambda: self._begin(number)) or laid_out or self._tried(self._prepare)
        return ended or self._tried(lambda: self._run_script(number)) or AttemptEnd(reasons.DONE)

    def _tried(self, step: Callable[[], AttemptEnd | None]) -> AttemptEnd | None:
        """How the attempt ends by this step; None where it goes on."""
        try:
            return step()
        except Unfit as unfit:
            return unfit.outcome
        except InputError as error:
            return AttemptEnd(*reasons.BAD_INPUT.of(error), status=1)
        except (ServiceError, SourceRefused) as error:
            return AttemptEnd(*reasons.UNMENDABLE.of(error), status=1)
        except OSError as error:
            return AttemptEnd(*reasons.COULD_NOT_START.of(error), status=1)
        except Exception as error:
            return self._fault(error)

    def _begin(self, number: int) -> None:
        self._log.say(protocol.border(number, self._options.launch))
        self._log.forget()
        try:
            self._history.begin(number, self._options.launch, time.time(), self._copy_checkpoints)
        except Asked:
            self._stop_if_asked()
        except (ServiceError, OutputError, OSError) as error:
            ending = reasons.UNMENDABLE.of(f"the history of the attempts cannot be written: {error}")
            raise Unfit(AttemptEnd(*ending, status=1)) from None
        # Only now, where it is kept elsewhere.
        remove_former(self._layout.checkpoints, self._job.hosts)

    def _copy_checkpoints(self) -> None:
        """Begin with those of the run that this one starts from, if it does from one."""
        try:
            copy_in(self._layout.channel(CHECKPOINT_CHANNEL), self._layout.checkpoints, self._stop_if_asked)
        except OSError as error:
            reason = f"the checkpoints of the other run cannot be copied: {error}"
            raise Unfit(AttemptEnd(*reasons.UNMENDABLE.of(reason), status=1)) from None

    def _lay_out(self) -> None:
        """Make the script's folders, and its code."""
        layout = self._layout
        os.makedirs(layout.intermediate, exist_ok=True)
        for folder in (layout.model, layout.output_data):
            # What is there at first belongs to the image or to SageMaker.
            if self._python:
                empty(folder)
            os.makedirs(folder, exist_ok=True)
        _remove(layout.failure)
        lay(layout)
        channel = layout.channel(CODE_CHANNEL)
        unpack(os.path.join(channel, protocol.SOURCE_FILE), layout.code, self._options.code)
        if not os.path.isfile(os.path.join(layout.code, self._options.script)):
            raise InputError(
                f"{self._options.script} is not in the source; "
                "name a file of source_dir as train.entry_script"
            )

    def _prepare(self) -> None:
        """Make the rest ready for the script: its Python, its secrets."""
        if not self._python:
            self._compare()
            self._python = self._install() or sys.executable
        self._stop_if_asked()
        if self._secrets is None:
            self._secrets = _resolve_secrets(self._job.user_environment)
            self._log.hide(self._secrets.values())
        self._stop_if_asked()

    def _compare(self) -> None:
        """Hold what SageMaker brings against what was recorded of it; nothing has been used by then."""
        if self._options.channels or self._options.wheels:
            from . import comparing  # hashing loads OpenSSL, 3 to 8 ms

            comparing.compare(self._options, self._job, self._layout, self._wheels, self._signals)
            self._stop_if_asked()

    @property
    def _wheels(self) -> str:
        """The folder of the wheels that came with the source, if any did."""
        folder = os.path.join(self._layout.channel(CODE_CHANNEL), protocol.WHEELS)
        return os.path.join(folder, self._options.wheels) if self._options.wheels else folder

    def _install(self) -> str:
        """The Python of an environment with what the source requires; "" where it requires nothing."""
        isolated = self._options.isolated
        if not (isolated or packages.may_be_needed(self._layout.code)):
            return ""
        from ...packages import interpreter, layer, requirements, tools  # 10 ms, and most need none

        if not (isolated or requirements.are_needed(self._layout.code)):
            return ""
        # What pip leaves in the source goes with its copy, and what is installed from it stays.
        copy = os.path.join(self._layout.root, "requirements", "source")
        folder = os.path.join(self._layout.root, "requirements", "environment")
        installation = layer.Installation(copy, folder, interpreter.own_facts(), self._wheels, isolated)
        archive = os.path.join(self._layout.channel(CODE_CHANNEL), protocol.SOURCE_FILE)
        unpack(archive, copy, self._options.code)
        try:
            layer.install(installation, self._plain_variables(), self._run_tool)
        except tools.RequirementsFailed as error:
            raise Unfit(AttemptEnd(*reasons.UNMENDABLE.of(error), status=1)) from None
        return installation.python

    def _plain_variables(self) -> dict[str, str]:
        """The container's variables without those that name secrets."""
        return {k: v for k, v in self._job.user_environment.items() if not v.startswith(protocol.SECRET)}

    def _run_tool(
        self, command: Sequence[str], variables: Mapping[str, str], folder: str
    ) -> tuple[int, bytes]:
        self._stop_if_asked()
        self._log.say(f"+ {' '.join(command)}")
        self._log.forget()
        ended = Script(Program(command, variables, folder), self._log, self._signals).wait()
        self._stop_if_asked()
        output = self._log.tail
        self._log.forget()
        return ended.status, output

    def _stop_if_asked(self) -> None:
        if self._signals.asked:
            raise Unfit(AttemptEnd(*reasons.SIGTERM_FROM_OUTSIDE.of(), status=_STOP))

    def _run_script(self, number: int) -> AttemptEnd:
        at = self._options.interruptions
        interruption = at[number - 1] if number <= len(at) else None
        script = Script(self._program(number), self._log, self._signals)
        self._history.script_started(script.started)
        ended = script.wait(self._options.grace, interruption, self._note)
        return self._verdict(ended, interruption)

    def _program(self, number: int) -> Program:
        chosen = {**self._job.user_environment, **(self._secrets or {})}
        if self._python != sys.executable:
            chosen = on_path(self._python, chosen)
        job = self._job._replace(user_environment=chosen)
        try:
            given = arguments(job.hyperparameters)
            line = command(self._python, self._layout.code, self._options.script, given)
            variables = environment(job, self._layout, number)
        except ValueError as error:
            raise InputError(str(error)) from None
        return Program(line, variables, self._layout.code, f"{protocol.ATTEMPT_VARIABLE}={number}")

    def _note(self) -> float:
        """Look for a new checkpoint; the seconds until the next look, so that looking takes a twentieth."""
        begun = time.monotonic()
        self._history.note(newest_checkpoint(self._layout.checkpoints), time.time())
        return max(1.0, 20 * (time.monotonic() - begun))

    def _verdict(self, ended: Ended, interruption: reasons.RehearsedInterruption | None) -> AttemptEnd:
        code = _exit_status(ended.status)
        if ended.cause == OUTSIDE:
            status = _STOP if os.WIFSIGNALED(ended.status) else code
            return AttemptEnd(*reasons.SIGTERM_FROM_OUTSIDE.of(), status, ended.finished)
        if ended.cause and interruption:
            return AttemptEnd(*reasons.rehearsed(interruption), _STOP, ended.finished)
        if not ended.status:
            return AttemptEnd(reasons.DONE, finished=ended.finished)
        if said := failure(self._layout, self._log.redacted):
            return AttemptEnd(*reasons.SAID.of(said), code, ended.finished)
        word = last_word(self._layout, ended.pid, self._options.script)
        word = word._replace(text=self._log.redacted(word.text))
        return AttemptEnd(*reasons.exited(ended.status, self._log.tail, word), code, ended.finished)

    def _keep_model(self, outcome: AttemptEnd) -> AttemptEnd:
        """Write down the files of the model, or why they make none: SageMaker keeps them all the same, where
        the job does not fail."""
        from ...storage import content
        from . import modelfiles  # nothing of these is needed before

        host = self._job.current_host
        try:
            files = modelfiles.model_files(self._layout.model, host, lambda: self._signals.asked)
        except content.Stopped:
            return AttemptEnd(*reasons.SIGTERM_FROM_OUTSIDE.of(), _STOP, outcome.finished)
        except (ModelRefused, OSError) as error:
            self._log.say(f"no version can be made of the model: {error}")
            self._history.model = {"refused": str(error)}
            return outcome
        self._history.model = {"files": files} if files else None
        return outcome

    def _close(self, outcome: AttemptEnd) -> None:
        """Write down how the attempt ended, and in the log too what the script could not say itself."""
        cause, reason = outcome.cause, self._log.redacted(outcome.reason)
        if cause.state == FAILED and cause.again == reasons.NEVER:
            self._log.say(reason)
        checkpoint = newest_checkpoint(self._layout.checkpoints)
        now = outcome.finished or time.time()
        self._history.end(cause.state, reason, now, checkpoint, bad_input=cause.bad_input)
        self._history.warnings = self._warnings(cause.state, checkpoint)
        self._history.save()

    def _warnings(self, state: str, checkpoint: float | None) -> list[str]:
        attempts: dict[int, dict[str, Any]] = {each["number"]: each for each in self._history.attempts}
        found = []
        for number, at in enumerate(self._options.interruptions, 1):
            attempt = attempts.get(number)
            if attempt is None:
                found.append(reasons.unreached(at, number, None))
            elif attempt["reason"] != reasons.rehearsed(at).reason:
                found.append(reasons.unreached(at, number, took(attempt)))
        if state == SUCCEEDED and self._options.spot and checkpoint is None:
            found.append(reasons.cost_of_no_checkpoint(took(self._history.attempts[-1])))
        return found + lost_in_s3(self._layout.checkpoints)

    def _leave(self, outcome: AttemptEnd) -> int:
        self._history.settle()
        if outcome.cause.state == FAILED:
            lead = f"{self._job.current_host}: " if len(self._job.hosts) > 1 else ""
            _write_failure(self._layout, lead + self._log.redacted(outcome.reason))
        elif self._secrets and (said := failure(self._layout, self._log.redacted)):
            # SageMaker reads what the script left there, whatever ended the job.
            _write_failure(self._layout, said)
        return outcome.status

    def _fault(self, error: Exception) -> AttemptEnd:
        import traceback  # 8 ms that only a bug is worth

        self._log.say(traceback.format_exc().rstrip())
        return AttemptEnd(*reasons.FAULT.of(type(error).__name__, error), status=1)


def _name_s3(options: StartOptions) -> None:
    """Have S3 asked where the options say; the script, whose variables are taken down already, sees nothing
    of it."""
    for name, value in (
        (protocol.REGION_VARIABLE, options.region),
        (protocol.ENDPOINT_VARIABLE, options.endpoint),
    ):
        if value:
            os.environ[name] = value


def _resolve_secrets(variables: Mapping[str, str]) -> Mapping[str, str]:
    named = {name: value for name, value in variables.items() if value.startswith(protocol.SECRET)}
    if not named:
        return {}
    from .. import secrets  # HTTP and TLS take 30 ms and more

    return secrets.resolve(named)


def _exit_status(status: int) -> int:
    return 128 + os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)


def _write_failure(layout: Layout, reason: str) -> None:
    if not os.path.isdir(layout.root):
        # Nobody's container, as when somebody tries the worker by hand.
        return
    try:
        os.makedirs(layout.output, exist_ok=True)
        _remove(layout.failure)
        with open(layout.failure, "w", encoding="utf-8", errors="replace") as stream:
            stream.write(reasons.shortened(reason))
    except OSError as error:
        sys.stderr.write(f"the reason could not be written: {error}\n")


def _remove(path: str) -> None:
    try:
        os.unlink(path)
    except FileNotFoundError:
        pass
