"""The embedded engine: runs jobs as processes of this machine, through the supervisor of a home."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..core.errors import BadInput, Unsupported
from ..core.jobs.job import Job, TrainingJob
from ..core.jobs.variables import shell_values
from ..core.ports.engine import LogLine, RunQuery
from ..core.ports.store import CHECKPOINTS
from ..core.runs.run import Observation, Run
from ..machine import interpreters
from ..worker.protocol import OF_SHELL, SECRET
from .home.home import Home
from .home.logs import LocalRunLogs
from .home.output import reserve
from .home.runfolder import RunPaths
from .ipc.client import Client, Watch
from .ledger import rows
from .ledger.ledger import SqliteLedger

MOST_HOSTS = 64
"""Hosts of one training run on one machine: each is a process."""

_ALLOWED = frozenset(
    {"PATH", "HOME", "USER", "LOGNAME", "SHELL", "TMPDIR", "TZ", "LANG", "LANGUAGE", "XDG_CACHE_HOME"}
    | {"LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE"}
)
_ALLOWED_PREFIXES = ("LC_", "CUDA_", "NVIDIA_", "TRAINYARD_")
_PROXIES = frozenset({"http_proxy", "https_proxy", "no_proxy", "all_proxy", "ftp_proxy"})
_FOLLOW = 0.05


class LocalEngine:
    """The `Engine` of the yard `local`."""

    name = rows.YARD

    def __init__(self, home: Home, ledger: SqliteLedger) -> None:
        self._home, self._ledger = home, ledger
        self._client = Client(home)

    def check(self, job: Job) -> None:
        """Refuse what only a cloud can do, and a variable that this shell has not."""
        shell_values(job.environment, job.section, os.environ)
        for name, value in job.environment.items():
            if value.startswith(SECRET):
                raise Unsupported(
                    "the local yard cannot read AWS Secrets Manager",
                    key=f"{job.section}.environment.{name}",
                    cure=f"write {OF_SHELL}NAME for a variable of this shell, or read a file in the script",
                )
        interpreters.chosen(job.python, f"{job.section}.python", os.environ)
        if isinstance(job, TrainingJob):
            self._check_training(job)

    def launch(self, run: Run) -> str:
        """Write the run down and have the supervisor see it; its reference is its id."""
        self._check_addresses(run)
        submission, values = _submission(run)
        self._client.prepare()
        folder = self._home.run(run.id)
        if not run.is_training and run.output is None:
            run = run.replace(output=RunPaths(folder).predictions)
        self._home.create()
        with reserve(run, self._is_over):
            os.makedirs(folder, exist_ok=True)
            self._copy_checkpoints(run)
            _write_spec(run, folder)
            self._ledger.submit(run, submission)
        self._client.wake(run.id, values)
        return run.id

    def observe(self, runs: Sequence[Run], *, wait: float = 0.0) -> Mapping[str, Observation]:
        ids = [run.id for run in runs]
        seen = self._ledger.observe(ids)
        known = {run.id: run.state for run in runs}
        if wait > 0 and all(seen[each].state == known[each] for each in seen):
            waiting = [each for each in seen if not seen[each].state.ended]
            if waiting:
                with Watch(self._client, {each: str(known[each]) for each in waiting}) as watch:
                    watch.wait(wait)
                return self._ledger.observe(ids)
        elif any(not each.state.ended for each in seen.values()):
            # After a reboot the first look at an open run has it go on.
            self._client.start_early()
        return seen

    def runs(self, query: RunQuery) -> Iterator[Run]:
        is_open = False
        for run in self._ledger.runs(query):
            is_open = is_open or not run.state.ended
            yield run
        if is_open:
            self._client.start_early()

    def logs(self, run: Run, *, follow: bool) -> Iterator[LogLine]:
        logs = LocalRunLogs(self._home.run(run.id))
        if not follow:
            yield from logs.lines(at_end=True)
            return
        with Watch(self._client, {run.id: ""}) as watch:
            while not (ended := self._has_ended(run)):
                yield from logs.lines(at_end=ended)
                watch.wait(_FOLLOW)
        yield from logs.lines(at_end=True)

    def stop(self, run: Run) -> None:
        if not self._has_ended(run):
            self._ledger.ask_to_stop(run.id)
            self._client.wake()

    def _copy_checkpoints(self, run: Run) -> None:
        """Have a run that starts from another's checkpoints begin with a copy of them."""
        place = RunPaths(self._home.run(run.id)).checkpoints
        other = self._ledger.run(run.starts_from) if run.starts_from else None
        if other is None or run.launch > 1 or os.path.isdir(place):
            return
        from ..core.files.whole import new_folder
        from .home import left  # for these runs alone

        part = left.of(other)[CHECKPOINTS]
        if isinstance(part, str):
            raise BadInput(f"there are no checkpoints of it: {part}", where=other.id, key="--from")
        with new_folder(place) as aside:
            part.fetch(aside)

    def _is_over(self, run_id: str) -> bool:
        """Whether a run is known, and over."""
        seen = self._ledger.observe([run_id])
        return run_id in seen and seen[run_id].state.ended

    def _has_ended(self, run: Run) -> bool:
        seen = self._ledger.observe([run.id])
        return run.id not in seen or seen[run.id].state.ended

    def _check_training(self, job: TrainingJob) -> None:
        for name, uri in job.channels.items():
            if "://" in uri:
                raise Unsupported(
                    f"{uri!r}: the local yard reads local paths and data sets",
                    key=f"train.channels.{name}",
                    cure="copy the data here, or push them with 'trainyard data push'",
                )
        if job.resources.instance_count > MOST_HOSTS:
            raise Unsupported(
                f"{job.resources.instance_count} hosts are too many for one machine",
                key="train.resources.instance_count",
                cure=f"use at most {MOST_HOSTS} here",
            )

    def _check_addresses(self, run: Run) -> None:
        for key, address in (("MODEL", run.model_uri), ("INPUT", run.input), ("--output", run.output or "")):
            if "://" in address:
                raise Unsupported(
                    f"{address!r}: the local yard reads and writes local paths",
                    key=key,
                    cure="name a file or folder of this machine",
                )
        if run.input:
            _check_input(run.input)


def _check_input(path: str) -> None:
    """Refuse an input that has no files to read, or files of no known format, before there is a run."""
    from ..worker import errors
    from ..worker.rows import inputs  # for inference alone

    try:
        inputs.find(path)
    except errors.InputError as error:
        raise BadInput(str(error), key="INPUT") from None


def allowed(environ: Mapping[str, str]) -> dict[str, str]:
    """The submitter's variables that a script may see: never all of them, as some are secrets."""
    return {
        name: value
        for name, value in environ.items()
        if name in _ALLOWED or name.startswith(_ALLOWED_PREFIXES) or name.lower() in _PROXIES
    }


def _submission(run: Run) -> tuple[dict[str, Any], dict[str, str]]:
    """What is written down of the shell a run is submitted from, and the variables of it that are not."""
    job, variables = run.job, allowed(os.environ)
    kept = {name: _without_user_info(name, value) for name, value in variables.items()}
    proxies = {
        name: value
        for name, value in variables.items()
        if value != kept[name] and name not in job.environment
    }
    python = interpreters.chosen(job.python, f"{job.section}.python", os.environ)
    submission = {"interpreter": python, "variables": kept, "time": time.time()}
    if python == sys.executable:
        submission["proposed"] = interpreters.proposed(python, os.environ)
    if proxies:
        submission["proxies"] = list(proxies)
    return submission, proxies | shell_values(job.environment, job.section, os.environ)


def _without_user_info(name: str, value: str) -> str:
    """A variable as it may be written down: a proxy's address without the name and password in it."""
    if name.lower() not in _PROXIES or "@" not in value:
        return value
    scheme, slashes, rest = value.rpartition("://")
    return scheme + slashes + rest.rpartition("@")[2]


def _write_spec(run: Run, folder: str) -> None:
    path = RunPaths(folder).spec
    with open(path + ".new", "w", encoding="utf-8") as stream:
        json.dump(rows.spec_of(run, {}) | {"id": run.id, "launch": run.launch}, stream, indent=2)
        stream.write("\n")
    os.replace(path + ".new", path)
