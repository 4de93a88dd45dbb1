"""One attempt of a job of an inference run on AWS Batch: the plan, a shard, or the commit.

It brings the source, its requirements and the model to the machine, runs the verb as a child, and says in the
run's state why that failed. A failure of the job's own counts against its retries there, since Batch counts
machines that were lost too; the exit status tells Batch whether to try again.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import sys
import tempfile
import time
import traceback
from types import FrameType
from typing import Any, Mapping, NamedTuple, Sequence, cast

from ... import protocol, reasons
from ...errors import InputError, OutputError, ServiceError, Taken
from ...failure import describe
from ...packages import interpreter, layer, requirements
from ...packages.paths import on_path
from ...packages.tools import RequirementsFailed
from ...process.log import Log
from ...process.script import OUTSIDE, Program, Script, Signals
from ...protocol import COMMIT, PLAN, RETRY_STATUS, SHARD, VERBS
from ...reasons import one_line
from ...s3 import client
from ...storage import content, files, places
from ...storage.archive import limit_of
from .. import secrets
from ..source import SourceRefused, unpack
from . import download

STOPPED_STATUS = 143
GRACE = 25.0
"""Seconds between SIGTERM and SIGKILL: Batch's own SIGKILL comes after 30 ("Job timeouts")."""
FOLDER = "TRAINYARD_FOLDER"
"""The variable that names the folder of the bootstrap, with the worker in it; it goes when the job ends."""

_WORKER = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
_KEYS = (
    *("run", "launch", "region", "code", "model", "input", "output", "state", "handler", "batch_size"),
    *("shards", "indices", "retries", "environment", "requirements", "recorded"),
)


class Failure(NamedTuple):
    """How an attempt failed; `is_logged`: the log has the reason already."""

    cause: reasons.Cause
    reason: str
    is_logged: bool = False


class Stopped(BaseException):
    """A SIGTERM came: no failure, whatever else it looks like."""


def main(arguments: Sequence[str]) -> int:
    """Run `VERB MANIFEST HASH`, the last being the manifest's SHA-256: 0 when done, RETRY_STATUS where
    another attempt may do better, else 1.

    143 after a SIGTERM.
    """
    log = Log()
    if len(arguments) != 3 or arguments[0] not in VERBS:
        log.say(f"usage: worker batch {'|'.join(VERBS)} s3://BUCKET/MANIFEST HASH")
        return 1
    folder = os.environ.pop(FOLDER, "") or tempfile.mkdtemp(prefix="trainyard-")
    _leave_on_sigterm(folder)
    try:
        return Task(arguments[0], _manifest(*arguments[1:]), os.environ, folder, log).run()
    except (InputError, ServiceError, OutputError) as error:
        log.say(f"trainyard: {error}")
        return 1 if isinstance(error, InputError) else RETRY_STATUS
    finally:
        places.close()
        shutil.rmtree(folder, ignore_errors=True)


def _manifest(address: str, recorded: str) -> Mapping[str, Any]:
    text = client.client().get(client.address_of(address))
    content.check_hash(hashlib.sha256(text).hexdigest(), recorded, address)
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    lacking = [key for key in _KEYS if key not in found] if isinstance(found, dict) else ["JSON"]
    if lacking:
        raise InputError(f"{address} is no manifest of a run: it has no {lacking[0]}; submit the run again")
    return cast("Mapping[str, Any]", found)


def _leave_on_sigterm(folder: str) -> None:
    """End at once when a SIGTERM comes while things are brought here: there is nothing to be saved."""

    def leave(number: int, frame: FrameType | None) -> None:
        shutil.rmtree(folder, ignore_errors=True)
        os._exit(STOPPED_STATUS)

    signal.signal(signal.SIGTERM, leave)


class Task:
    """One verb of the manifest's run, in this attempt."""

    def __init__(
        self, verb: str, manifest: Mapping[str, Any], variables: Mapping[str, str], folder: str, log: Log
    ) -> None:
        self._verb, self._manifest, self._folder, self._log = verb, manifest, folder, log
        self._variables = variables
        self._state: str = manifest["state"]
        self._attempt = int(variables.get("AWS_BATCH_JOB_ATTEMPT") or "1")
        position = int(variables.get("AWS_BATCH_JOB_ARRAY_INDEX") or "0")
        self._index: int = manifest["indices"][position] if verb == SHARD else 0
        self._name = protocol.shard_name(self._index) if verb == SHARD else verb
        # Batch counts the attempts of a launch; people, and the handler, those of the run.
        self._number = self._attempt + int(manifest.get("tried", {}).get(self._name, 0))
        self._report = os.path.join(folder, "report.json")
        self._done = os.path.join(folder, "done")
        self._signals: Signals | None = None

    def run(self) -> int:
        """The exit status."""
        try:
            outcome = self._tried()
        except Stopped:
            return STOPPED_STATUS
        if outcome is None:
            return 0
        outcome = outcome._replace(reason=self._log.redacted(outcome.reason))
        if not outcome.is_logged:
            self._log.say(outcome.reason)
        return self._counted(outcome)

    def _tried(self) -> Failure | None:
        """How the attempt failed; None where it did not. Raises Stopped."""
        try:
            program = self._prepared()
            places.close()
            return self._ran(program)
        except InputError as error:
            return Failure(*reasons.BAD_INPUT.of(error))
        except SourceRefused as error:
            return Failure(*reasons.UNMENDABLE.of(error))
        except (ServiceError, OutputError, RequirementsFailed) as error:
            return Failure(*reasons.SAID.of(one_line(str(error))))
        except OSError as error:
            return Failure(*reasons.SAID.of(describe(error, "")))
        except Exception as error:
            self._log.say(traceback.format_exc().rstrip())
            cause, reason = reasons.SHARD_FAULT.of(type(error).__name__, error)
            return Failure(cause, one_line(reason))

    def _prepared(self) -> Program:
        """All that the verb needs, brought here."""
        manifest, code = self._manifest, os.path.join(self._folder, "code")
        archive = os.path.join(self._folder, protocol.SOURCE_FILE)
        download.fetch_source(manifest["code"], archive, code, self._recorded("code"))
        chosen: dict[str, str] = dict(manifest["environment"])
        if self._verb == PLAN:
            download.check_model(manifest["model"], self._recorded("model_version"))
            self._take_output()
        if self._verb == SHARD:
            limit = limit_of(int(manifest.get("model_size_gb", protocol.MODEL_SIZE_GB)))
            recorded = {name: self._recorded(name) for name in ("model", "model_object", "model_version")}
            download.fetch_model(manifest["model"], self._model, limit, **recorded)
            named = {name: value for name, value in chosen.items() if value.startswith(protocol.SECRET)}
            os.environ.setdefault("AWS_REGION", manifest["region"])
            known = secrets.resolve(named, "infer")
            self._log.hide(known.values())
            chosen.update(known)
        else:
            chosen = {name: value for name, value in chosen.items() if not value.startswith(protocol.SECRET)}
        python = self._installed(archive, code) or sys.executable
        spec = os.path.join(self._folder, "task.json")
        files.write_json(spec, self._spec(code))
        variables = self._environment(chosen, python)
        return Program(
            [python, _WORKER, self._verb, spec],
            variables,
            code,
            f"{protocol.ATTEMPT_VARIABLE}={self._number}",
        )

    def _recorded(self, name: str) -> str:
        """What was recorded of that name in the manifest; "" for nothing."""
        found: str = self._manifest["recorded"].get(name, "")
        return found

    def _take_output(self) -> None:
        """Make the output the run's own. Raises InputError where it is another's, but for one that is
        known to be over and to have left nothing there."""
        output, own = self._manifest["output"], {"run": self._manifest["run"]}
        address = places.join(output, protocol.OUTPUT_MANIFEST)
        try:
            places.write_json(address, own, new=True)
        except Taken:
            left = self._manifest.get("instead_of")
            if not (left and places.replace_json(address, {"run": left}, own)):
                raise InputError(f"{output}: another run predicts there; name another place") from None

    @property
    def _model(self) -> str:
        return os.path.join(self._folder, "model")

    @property
    def _temporary(self) -> str:
        """For what the verb leaves in temporary files when it is killed."""
        folder = os.path.join(self._folder, "tmp")
        os.makedirs(folder, exist_ok=True)
        return folder

    def _installed(self, archive: str, code: str) -> str:
        """The Python of an environment with what the source requires; "" where it requires nothing."""
        isolated = bool(self._manifest.get("isolated"))
        if not (isolated or (self._manifest["requirements"] and requirements.are_needed(code))):
            return ""
        wheels = os.path.join(self._folder, protocol.WHEELS)
        if self._manifest.get("wheels"):
            download.fetch_prefix(self._manifest["wheels"], wheels)
            content.check(wheels, self._recorded("wheels"), f"the folder {self._manifest['wheels']}")
        # What pip leaves in the source goes with its copy.
        copy = os.path.join(self._folder, "requirements")
        unpack(archive, copy, self._recorded("code"))
        folder = os.path.join(self._folder, "environment")
        installation = layer.Installation(copy, folder, interpreter.own_facts(), wheels, isolated)
        places.close()
        layer.install(installation, self._variables, self._run_tool)
        return installation.python

    def _run_tool(
        self, command: Sequence[str], variables: Mapping[str, str], folder: str
    ) -> tuple[int, bytes]:
        self._log.say(f"+ {' '.join(command)}")
        ended = self._waited(Program(command, variables, folder))
        return ended, self._log.tail

    def _waited(self, program: Program) -> int:
        """The wait status of a program, run to its end. Raises Stopped when a SIGTERM ended it."""
        if self._signals is None:
            self._signals = Signals()
        if self._signals.asked:
            raise Stopped
        self._log.forget()
        ended = Script(program, self._log, self._signals).wait(GRACE)
        if ended.cause == OUTSIDE and ended.status:
            raise Stopped
        return ended.status

    def _ran(self, program: Program) -> Failure | None:
        status = self._waited(program)
        if not status:
            has_left = self._verb == SHARD and not os.path.exists(self._done)
            return Failure(*reasons.HANDLER_LEFT.of()) if has_left else None
        try:
            return Failure(*reasons.reported(files.read_json(self._report)), is_logged=True)
        except (OSError, ValueError):
            return Failure(*reasons.exited(status, self._log.tail))

    def _spec(self, code: str) -> dict[str, Any]:
        manifest = self._manifest
        common = {"verb": self._verb, "plan": self._state_file(protocol.PLAN_FILE), "report": self._report}
        if self._verb == PLAN:
            wanted = {"code": code, "handler": manifest["handler"], "csv": manifest.get("csv", {})}
            wanted["input_hash"] = self._recorded("input")
            return {**common, **wanted, "input": manifest["input"], "shards": manifest["shards"]}
        common["output"] = manifest["output"]
        if self._verb == COMMIT:
            results = [self._result(index) for index in range(manifest["shards"])]
            summary = self._state_file(protocol.SUMMARY_FILE)
            return {**common, "run": manifest["run"], "results": results, "summary": summary}
        return {
            **common,
            "index": self._index,
            "code": code,
            "handler": manifest["handler"],
            "model_dir": self._model,
            "batch_size": manifest["batch_size"],
            "result": self._result(self._index),
            "done": self._done,
            "attempt": self._attempt,
            "secrets": [k for k, v in manifest["environment"].items() if v.startswith(protocol.SECRET)],
        }

    def _environment(self, chosen: Mapping[str, str], python: str) -> dict[str, str]:
        """The variables of the verb: the container's, the run's own, and what is ours."""
        region, endpoint = client.settings(self._variables)
        own = {
            "AWS_REGION": region,
            "AWS_DEFAULT_REGION": region,
            **self._variables,
            "TMPDIR": self._temporary,
            **chosen,
            "AWS_BATCH_JOB_ARRAY_INDEX": str(self._index),
            "AWS_BATCH_JOB_ATTEMPT": str(self._attempt),
            "PYTHONUNBUFFERED": "1",
            "SM_MODEL_DIR": self._model if self._verb == SHARD else "",
            protocol.ATTEMPT_VARIABLE: str(self._number),
            # Before what AWS's own variables say, which the handler's may be.
            protocol.REGION_VARIABLE: region,
            protocol.ENDPOINT_VARIABLE: endpoint,
        }
        return own if python == sys.executable else on_path(python, own)

    def _counted(self, outcome: Failure) -> int:
        """Write a failure down where the others of this launch are; the exit status that follows."""
        launch, cause = self._manifest["launch"], outcome.cause
        said = {"reason": outcome.reason, "bad_input": cause.bad_input, "attempt": self._attempt}
        prefix = self._state_file(f"{protocol.FAILURES}{self._name}-")
        try:
            places.write_json(
                f"{prefix}{self._number}.json", {**said, "launch": launch, "finished": time.time()}
            )
            found = [places.read_json(address) for address in places.below(prefix)]
        except (InputError, OutputError, ServiceError) as error:
            self._log.say(f"trainyard: the failure could not be written down: {error}")
            failures = 0
        else:
            failures = sum(each["launch"] == launch for each in found)
        goes_on = reasons.is_tried_again(cause.again, failures, self._manifest["retries"])
        return RETRY_STATUS if goes_on else 1

    def _result(self, index: int) -> str:
        return self._state_file(protocol.RESULTS + protocol.result_name(index))

    def _state_file(self, name: str) -> str:
        return places.join(self._state, name)
