"""The ledger of an environment: records in its model bucket, written by those who submit, read by everybody.

Every record is written once and never changed, so that nobody has to wait for anybody: of two people who
make a version at once, S3 lets one have it (`If-None-Match`), and the other takes the next. What is read in
bulk is kept in one object besides, `ledger/runs.json`, which can be lost without loss.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Any, NamedTuple, TypeVar

from ...core.environments.facts import LEDGER
from ...core.errors import AccountRefused, BadInput, TrainyardError
from ...core.ports.engine import RunQuery
from ...core.ports.ledger import DataSet, Model
from ...core.runs.run import Run, State
from ...core.runs.serialization import run_from_record, run_to_record
from ...worker.s3.address import S3Address
from ..account import names, parallel
from ..account.deployment import Deployment
from ..account.session import Session, translated
from . import objects

FORMAT = 1
"""Of a record; one that is higher was written by a newer trainyard."""
CACHED = 1_000
"""Runs that `ledger/runs.json` holds, the newest."""

_RUNS, _CACHE = f"{LEDGER}runs/", f"{LEDGER}runs.json"
_VERSIONS = {Model: f"{LEDGER}models/", DataSet: f"{LEDGER}datasets/"}
_ENDING = "-end.json"
_Record = TypeVar("_Record", DataSet, Model)


_ALIKE = 2.0
"""Seconds within which the times of a listing, which are whole ones, do not tell which run was first."""


class Launches(NamedTuple):
    """What a listing tells of a run: its newest launch, whether that has been settled, and when the run was
    first written down."""

    newest: int = 0
    is_settled: bool = False
    begun: float = 0.0


class S3Ledger:
    """The `Ledger` of an environment on AWS. Safe to use from several threads.

    Its methods raise `AccountRefused`, and `TrainyardError` naming a record that cannot be read.
    """

    def __init__(self, session: Session, deployment: Deployment) -> None:
        self._session, self._bucket = session, deployment.model_bucket
        self._known: dict[str, Any] = {}
        self.settle_open: Callable[[str | None], None] = lambda _: None
        """Settles what has ended, of all jobs or of one, before models are looked up: runs make them as they
        are settled. That it is done twice, or by two people at once, changes nothing."""

    def run(self, run_id: str) -> Run | None:
        known = self._launches(f"{_RUNS}{run_id}/").get(run_id)
        return self._run(run_id, known) if known else None

    def run_ids(self) -> list[str]:
        found = self._launches(_RUNS)
        return sorted(found, key=lambda run_id: found[run_id].begun, reverse=True)

    def runs(self, query: RunQuery) -> list[Run]:
        """The runs that match, newest first, as they were last written down: an open one as `queued`.

        Takes a request for each 1,000 records, one for those that were read before, and one for each launch
        that was not.
        """
        found = {
            run_id: known
            for run_id, known in self._launches(_RUNS).items()
            if query.name is None or run_id.rpartition("-")[0] == query.name
        }
        return self._newest(found, query) if found else []

    def open_runs(self, name: str | None = None) -> list[Run]:
        """The runs that have not been settled, of all jobs or of one."""
        found = self._launches(f"{_RUNS}{name}-" if name else _RUNS)
        still = [
            run_id
            for run_id, known in found.items()
            if not known.is_settled and name in (None, run_id.rpartition("-")[0])
        ]
        return [run for run in parallel.each(lambda each: self._run(each, found[each]), still) if run]

    def _newest(self, found: Mapping[str, Launches], query: RunQuery) -> list[Run]:
        """Those that match, newest first; no more are read than it takes."""
        cached, tag = self._cached()
        left = sorted(found, key=lambda run_id: found[run_id].begun, reverse=True)
        runs: list[Run] = []
        fresh: list[Run] = []
        while left and (query.limit is None or len(runs) < query.limit):
            ids, left = _split(left, found, len(left) if query.limit is None else query.limit)
            unread = [each for each in ids if not _is_known(found[each], cached.get(each))]
            read = [run for run in parallel.each(lambda each: self._run(each, found[each]), unread) if run]
            fresh += [run for run in read if run.state.ended]
            runs += [cached[each] for each in set(ids) - set(unread)] + read
            runs = [run for run in runs if query.kind in (None, run.kind)]
        if fresh:
            self._cache({**cached, **{run.id: run for run in fresh}}.values(), tag)
        return _by_time(runs)[: query.limit]

    def submit(self, run: Run) -> bool:
        """Write down a launch before anything of it is started; False where it is written already.

        What earlier launches left stays with it, as what was seen of it so far.
        """
        seen = run.seen.replace(
            state=State.QUEUED, reason="", bad_input=False, warnings=(), model=None, finished=None
        )
        return self._put(names.launch_key(run.id, run.launch), run_to_record(run.observed(seen)))

    def settle(self, run: Run) -> None:
        """Write down what became of a launch, where that is not written yet."""
        self._put(names.ending_key(run.id, run.launch), run_to_record(run))

    def add_dataset(self, staged: DataSet, address: str) -> DataSet:
        # It is known where a request that was tried again had been heard the first time.
        return self._add(staged.replace(path=address), ("created", "hash"))

    def datasets(self, name: str | None = None) -> list[DataSet]:
        return self._versions(DataSet, name)

    def add_model(self, staged: Model, address: str) -> Model:
        return self._add(staged.replace(path=address), ("created", "hash"))

    def settle_model(self, made: Model) -> Model:
        """Make what a launch left at its path the next version of its name; the version there is where it is
        one already."""
        return self._add(made, ("run", "path"))

    def models(self, name: str | None = None) -> list[Model]:
        self.settle_open(name)
        return self._versions(Model, name)

    def _launches(self, prefix: str) -> dict[str, Launches]:
        found: dict[str, Launches] = {}
        for page in self._session.pages("s3", "list_objects_v2", Bucket=self._bucket, Prefix=prefix):
            for each in page.get("Contents", ()):
                run_id, _, name = each["Key"].removeprefix(_RUNS).partition("/")
                launch = name.removesuffix(_ENDING).removesuffix(".json")
                if launch.isdecimal():
                    time = each["LastModified"].timestamp()
                    known = found.get(run_id, Launches(begun=time))
                    known = known._replace(begun=min(known.begun, time))
                    found[run_id] = _with(known, int(launch), name.endswith(_ENDING))
        return found

    def _run(self, run_id: str, known: Launches) -> Run | None:
        key = names.ending_key if known.is_settled else names.launch_key
        found: Run | None = self._read(key(run_id, known.newest), run_from_record)
        return found

    def _cached(self) -> tuple[dict[str, Run], str]:
        """The settled runs that were read before, by id, and the tag of the object that holds them."""
        try:
            answer = self._session.call("s3", "get_object", Bucket=self._bucket, Key=_CACHE)
            with translated("s3:GetObject"), answer["Body"] as body:
                listed = json.loads(body.read())
            if listed["format"] != FORMAT:
                return {}, ""
            return {record["id"]: run_from_record(record) for record in listed["runs"]}, answer["ETag"]
        except (AccountRefused, BadInput, ValueError, KeyError, TypeError):
            return {}, ""  # it is made anew from the records

    def _cache(self, runs: Iterable[Run], tag: str) -> None:
        kept = [run_to_record(run) for run in _by_time(runs)[:CACHED]]
        body = _text({"format": FORMAT, "runs": kept})
        condition = {"IfMatch": tag} if tag else {}
        # Refused where somebody else has just done so, or this one may read only: it is done the next time.
        with suppress(AccountRefused):
            self._session.call("s3", "put_object", Bucket=self._bucket, Key=_CACHE, Body=body, **condition)

    def _versions(self, kind: type[_Record], name: str | None) -> list[_Record]:
        below = _VERSIONS[kind] + (f"{name}/" if name else "")
        keys = [key for key in objects.keys(self._session, self._bucket, below) if key.endswith(".json")]
        read = parallel.each(lambda key: self._version(kind, key), keys)
        return sorted((each for each in read if each), key=lambda each: (each.name, each.version))

    def _version(self, kind: type[_Record], key: str) -> _Record | None:
        """A version's record, which never changes: it is read once."""
        if key not in self._known:
            found = self._read(key, lambda record: _from_record(kind, record))
            if found is None:
                return None
            self._known[key] = found
        known: _Record = self._known[key]
        return known

    def _add(self, record: _Record, same: tuple[str, ...]) -> _Record:
        """Keep it as the next version of its name; a version that is the same in these fields is it."""
        while True:
            known = self._versions(type(record), record.name)
            for each in known:
                if all(getattr(each, name) == getattr(record, name) for name in same):
                    return each
            made = record.replace(version=max((each.version for each in known), default=0) + 1)
            key = f"{_VERSIONS[type(made)]}{made.name}/{made.version}.json"
            if self._put(key, made.as_dict()):
                self._known[key] = made
                return made

    def _put(self, key: str, record: Mapping[str, Any]) -> bool:
        """Write a record that is not there yet; False where it is."""
        body = _text({"format": FORMAT, **record})
        return objects.put_new(self._session, objects.new(self._bucket, key, body))

    def _read(self, key: str, make: Callable[[Mapping[str, Any]], Any]) -> Any:
        """What a record holds; None where it is gone."""
        content = objects.read(self._session, self._bucket, key)
        if content is None:
            return None
        where = S3Address(self._bucket, key).uri
        try:
            record = json.loads(content)
            is_newer = record["format"] > FORMAT
            if not is_newer:
                return make(record)
        except (BadInput, AttributeError, ValueError, KeyError, TypeError) as error:
            cause = f"{type(error).__name__}: {error}"
            cure = "have whoever may delete in that bucket take it away"
            raise TrainyardError(f"{where}: is no record that trainyard wrote ({cause}); {cure}") from None
        raise TrainyardError(f"{where}: was written by a newer trainyard; upgrade this one")


def _with(known: Launches, launch: int, is_ending: bool) -> Launches:
    """What is known of a run with one more of its records."""
    if launch < known.newest:
        return known
    is_settled = is_ending or (known.is_settled and launch == known.newest)
    return known._replace(newest=launch, is_settled=is_settled)


def _is_known(listed: Launches, cached: Run | None) -> bool:
    return cached is not None and listed.is_settled and cached.launch == listed.newest


def _split(ids: list[str], found: Mapping[str, Launches], count: int) -> tuple[list[str], list[str]]:
    """The first `count`, with those that may be as new as the last of them, and the rest."""
    if count >= len(ids):
        return ids, []
    border = found[ids[max(count, 1) - 1]].begun - _ALIKE
    while count < len(ids) and found[ids[count]].begun >= border:
        count += 1
    return ids[:count], ids[count:]


def _by_time(runs: Iterable[Run]) -> list[Run]:
    return sorted(runs, key=lambda run: (run.created, run.id), reverse=True)


def _from_record(kind: type[_Record], record: Mapping[str, Any]) -> _Record:
    return kind(**{name: record[name] for name in kind._fields if name in record})


def _text(record: Mapping[str, Any]) -> bytes:
    return (json.dumps(record, separators=(",", ":")) + "\n").encode()
