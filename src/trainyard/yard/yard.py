"""A yard: a place where jobs run, as people see it. Knows no engine; the command line is a shell over it."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Mapping

from ..core.errors import BadInput, NotFound, RunFailed
from ..core.jobs import paths
from ..core.jobs.job import InferenceJob, Job, TrainingJob
from ..core.jobs.limits import is_dataset_reference, warnings
from ..core.jobs.sources import is_remote
from ..core.ports.engine import CloudEngine, Engine, LogLine, Request, RunQuery
from ..core.ports.ledger import DataSet, Ledger, Model
from ..core.ports.store import Store
from ..core.runs.metrics import SERIES, Extractor, Point, read_series
from ..core.runs.run import Attempt, Channel, Interruption, Run, State
from ..worker.protocol import is_shard
from . import ids, placing, source
from .catalog import Catalog, Pulled

TYPE_CHECKING = False
if TYPE_CHECKING:
    from .leftovers import Leftovers

Interruptions = Iterable[str | float | Interruption]

_LONG_WAIT = 3600.0
LATEST = "latest"


class Yard:
    """Train, infer, follow, stop, resume, and find models and data sets, in one place.

    `trainyard.connect()` makes one. Its methods raise `BadInput` (and `NotFound`, `Unsupported`) for what
    cannot be right, before anything is started.
    """

    def __init__(
        self,
        name: str,
        engine: Engine,
        ledger: Ledger,
        store: Store,
        *,
        home: str = "",
        cloud: CloudEngine | None = None,
    ) -> None:
        self.name, self.home = name, home
        self._cloud = cloud
        self.engine, self.ledger, self._store = engine, ledger, store  # the ports that it stands on
        self._catalog = Catalog(ledger, store, is_remote=cloud is not None)

    @property
    def is_remote(self) -> bool:
        """Whether jobs run elsewhere, and asking after them takes a request."""
        return self._cloud is not None

    def warnings(self, job: Job) -> list[str]:
        """What is allowed of a job and likely not meant, one line each."""
        return warnings(job) + (self._cloud.warnings(job) if self._cloud is not None else [])

    def requests(self, run: Run) -> list[Request]:
        """What would be sent to start a planned run, word for word; nothing is sent or written. Empty where
        the yard is this machine."""
        if self._cloud is None:
            return []
        return self._cloud.requests(placing.placed(run, self._source_of(run).hash, self._store.address))

    def train(self, job: TrainingJob, *, interrupt_at: Interruptions = (), start_from: str = "") -> RunHandle:
        """Start a training run and return at once; `start_from` is a run of whose checkpoints it begins with
        a copy.

        `interrupt_at` rehearses spot interruptions: the n-th is counted in seconds from the start of the
        n-th attempt's script, as `5`, `"5s"`, or `"5s:kill"` for one without SIGTERM.
        """
        return self.launch(self.plan_training(job, interrupt_at=interrupt_at, start_from=start_from))

    def plan_training(
        self, job: TrainingJob, *, interrupt_at: Interruptions = (), start_from: str = ""
    ) -> Run:
        """The run that `train` would start, checked, with nothing started or written."""
        self.engine.check(job)
        paths.check_paths(job)
        return Run(
            id=ids.new(job.name),
            job=paths.from_anywhere(job),
            yard=self.name,
            created=time.time(),
            channels={name: self._channel(name, uri) for name, uri in job.channels.items()},
            interrupt_at=tuple(Interruption.parse(each) for each in interrupt_at),
            starts_from=self._leftovers.with_checkpoints(start_from) if start_from else "",
        )

    def launch(self, run: Run) -> RunHandle:
        """Start a run that `plan_training` or `plan_inference` gave, and return at once."""
        files, code = self._source_of(run)
        run = placing.placed(run, code, self._store.publish)
        run = run.replace(wheels=self._store.keep_code(code, files))
        self.engine.launch(run)
        # What the engine of this machine adds, its folders, is in the ledger; elsewhere reading it costs.
        return RunHandle(self, run) if self.is_remote else self.get(run.id)

    def infer(
        self, job: InferenceJob, *, model: str | Model, input: str, output: str | None = None
    ) -> RunHandle:
        """Start an inference run and return at once.

        `model` is `name@version`, `name@latest`, a model's folder or a `model.tar.gz`; `input` a file, a
        folder or a data set; `output` a new or empty folder, or None for one of the run's own. In an account
        they may be `s3://` addresses, and the output can be nothing else.
        """
        return self.launch(self.plan_inference(job, model=model, input=input, output=output))

    def plan_inference(
        self, job: InferenceJob, *, model: str | Model, input: str, output: str | None = None
    ) -> Run:
        """The run that `infer` would start, checked, with nothing started or written."""
        self.engine.check(job)
        paths.check_paths(job)
        used, read = self._catalog.model_at(model), self._catalog.input_at(input)
        run_id = ids.new(job.name)
        run = Run(
            id=run_id,
            job=paths.from_anywhere(job),
            yard=self.name,
            created=time.time(),
            model_used=used.name,
            model_uri=used.address,
            model_hash=used.hash,
            model_version=used.version,
            input=read.address,
            input_hash=read.hash,
            output=self._output_at(output, run_id),
        )
        if run.output and paths.is_inside(run.output, run.input):
            raise BadInput(
                f"{run.output!r} lies in INPUT, and predictions would be rows of it",
                key="INPUT" if output is None else "--output",
                cure="name a folder outside of it",
            )
        return run

    def get(self, run_id: str) -> RunHandle:
        """The run of that id, of a beginning that only one id has, or for `latest` the newest; `NotFound`
        with near ids."""
        if run_id == LATEST:
            run_id = next((run.id for run in self.engine.runs(RunQuery(limit=1))), LATEST)
        run = self.ledger.run(run_id)
        if run is None:
            run = self.ledger.run(ids.begun(run_id, self.ledger.run_ids()))
            if run is None:
                raise NotFound(f"the run {run_id!r} is gone")
        return RunHandle(self, run)

    def runs(
        self, *, name: str | None = None, kind: str | None = None, limit: int | None = None
    ) -> list[Run]:
        """The runs of this yard, newest first."""
        return list(self.engine.runs(RunQuery(name=name, kind=kind, limit=limit)))

    def observe(self, run: Run, *, wait: float = 0.0) -> Run:
        """The run as it is now; with `wait`, as soon as its state changes or after that many seconds."""
        seen = self.engine.observe([run], wait=wait).get(run.id)
        if seen is None:
            raise NotFound(f"the run {run.id!r} is gone")
        return run.observed(seen)

    def wait(self, run: Run, *, timeout: float | None = None) -> Run:
        """The run once it has ended; `TimeoutError` after `timeout` seconds. Ctrl-C leaves the run alone."""
        deadline = None if timeout is None else time.monotonic() + timeout
        run = self.observe(run)
        while not run.state.ended:
            left = _LONG_WAIT if deadline is None else deadline - time.monotonic()
            if left <= 0:
                raise TimeoutError(f"{run.id} is still {run.state} after {timeout:g} s")
            run = self.observe(run, wait=min(left, _LONG_WAIT))
        return run

    def logs(self, run: Run, *, follow: bool = False) -> Iterator[LogLine]:
        """The run's log, by time; with `follow`, until it has ended."""
        return self.engine.logs(run, follow=follow)

    def series(self, run: Run) -> list[Point]:
        """Every value of every metric so far, as it was kept or else out of the run's log."""
        if not run.is_training:
            return []
        if run.folder:
            return read_series(os.path.join(run.folder, SERIES))
        extractor = Extractor(run.training.metrics)
        return [point for line in self.logs(run) for point in extractor.find(line.text, line.time)]

    def stop(self, run: Run) -> None:
        """Ask the run to stop: SIGTERM, grace, SIGKILL. Returns at once; silent when it has ended."""
        self.engine.stop(run)

    def resume(self, run: Run, *, with_current_code: bool = False) -> RunHandle:
        """Go on with a run that failed or was stopped, from its checkpoint or with its missing shards, with
        the code that it ran before, or with what its source is now."""
        # Known anew: somebody else may have resumed it since, which counts as a launch.
        run = self.get(run.id).record
        if not run.state.ended:
            raise BadInput(f"the run is {run.state}", where=run.id, cure="it goes on without being resumed")
        if run.state is State.SUCCEEDED:
            raise BadInput("the run has succeeded", where=run.id, cure="start a new one with the same job")
        again = run.again()
        if with_current_code:
            files, code = self._source_of(run)
            if code != run.code and any(
                is_shard(each.task) and each.state is State.SUCCEEDED for each in run.attempts
            ):
                cure = "start a new run of all of it with `trainyard infer`"
                raise BadInput("some of its shards were predicted by other code", where=run.id, cure=cure)
            again = again.replace(code=code, wheels=self._store.keep_code(code, files))
        self.engine.launch(again)
        return RunHandle(self, self.observe(again))

    def has_changed(self, run: Run) -> bool | None:
        """Whether the run's source is another now than its code; None where it cannot be read."""
        try:
            return self._source_of(run).hash != run.code
        except BadInput:
            return None

    def models(self, name: str | None = None) -> list[Model]:
        """All versions of all models, or of one."""
        return self.ledger.models(name)

    def model(self, reference: str) -> Model:
        """The version that `name@version` or `name@latest` means."""
        return self._catalog.model(reference)

    def data(self, name: str | None = None) -> list[DataSet]:
        """All versions of all data sets, or of one."""
        return self.ledger.datasets(name)

    def dataset(self, reference: str) -> DataSet:
        """The version that `name@version` or `name@latest` means."""
        return self._catalog.dataset(reference)

    def push(self, name: str, path: str) -> tuple[DataSet, bool]:
        """Make a file or folder the next version of a data set; False where its content is unchanged."""
        return self._catalog.push(name, os.path.abspath(os.path.expanduser(path)))

    def left(self, run: Run) -> list[str]:
        """What the run has left so far: of `model`, `output` and `checkpoints` what `pull` would bring."""
        return self._leftovers.left(run)

    def pull(self, what: str, target: str | None = None) -> Pulled:
        """Copy a model or data set (`name@version`; `models/…` or `data/…` where both have it), all that a
        run left, or a part of that (`RUN/model`, `RUN/output`, `RUN/checkpoints`) to the folder `target`."""
        return self._leftovers.pull(what, target)

    def add_model(self, name: str, what: str) -> tuple[Model, tuple[str, ...]]:
        """Make the next version of a model of what a run left (`RUN`, `RUN/checkpoints`), a folder, a file or
        an archive; it, and a line for each thing of it that could not be kept."""
        return self._leftovers.add_model(name, what)

    @property
    def _leftovers(self) -> Leftovers:
        from .leftovers import Leftovers  # most commands need nothing of it

        return Leftovers(self._catalog, self.ledger, self._store, lambda word: self.get(word).record)

    def _source_of(self, run: Run) -> source.Source:
        inputs = [run.input, *(channel.uri for channel in run.channels.values())]
        places = [self.home, run.output, *(place for place in inputs if not is_remote(place))]
        return source.read(run.job, leave_out=[place for place in places if place])

    def _output_at(self, given: str | None, run_id: str) -> str | None:
        if self._cloud is None:
            return None if given is None else _address_of(given)
        below = self._cloud.predictions
        if given is None:
            return f"{below}{run_id}/"
        if given.startswith(below) and given.rstrip("/") != below.rstrip("/"):
            return given.rstrip("/") + "/"
        raise BadInput(
            f"{given!r}: predictions of the yard {self.name!r} lie below {below}",
            key="--output",
            cure="leave it out, and copy them here with `trainyard pull RUN`",
        )

    def _channel(self, name: str, uri: str) -> Channel:
        if is_dataset_reference(uri):
            found = self._catalog.dataset(uri, key=f"train.channels.{name}")
            return Channel(uri=found.path, dataset=found.ref, hash=found.hash)
        address = _address_of(uri)
        return Channel(uri=address, hash="" if is_remote(address) else self._catalog.recorded_at(address))


class RunHandle:
    """A run that can be asked and told things. Its properties are read anew until the run has ended."""

    def __init__(self, yard: Yard, run: Run) -> None:
        self._yard, self._run = yard, run

    def __repr__(self) -> str:
        return f"<Run {self._run.id} {self._run.state}>"

    @property
    def record(self) -> Run:
        """All that is known of it, as it is now."""
        if not self._run.state.ended:
            self._run = self._yard.observe(self._run)
        return self._run

    @property
    def id(self) -> str:
        return self._run.id

    @property
    def state(self) -> State:
        return self.record.state

    @property
    def reason(self) -> str:
        """Why it is in this state, in words."""
        return self.record.reason

    @property
    def metrics(self) -> Mapping[str, float]:
        """Each metric's last value."""
        return self.record.metrics

    @property
    def model(self) -> str | None:
        """`name@version` of the model it made (training) or predicts with (inference)."""
        return self.record.model

    @property
    def attempts(self) -> tuple[Attempt, ...]:
        return self.record.attempts

    @property
    def warnings(self) -> tuple[str, ...]:
        return self.record.warnings

    @property
    def output(self) -> str | None:
        """The folder of an inference run's predictions."""
        return self.record.output

    @property
    def folder(self) -> str:
        """The folder that holds everything about the run, where the yard is this machine."""
        return self.record.folder

    @property
    def rows_in(self) -> int | None:
        return self.record.seen.rows_in

    @property
    def rows_out(self) -> int | None:
        return self.record.seen.rows_out

    def wait(self, *, timeout: float | None = None) -> RunHandle:
        """Return when the run has ended, whatever became of it; `TimeoutError` after `timeout` seconds.

        Ctrl-C raises KeyboardInterrupt and leaves the run alone.
        """
        self._run = self._yard.wait(self._run, timeout=timeout)
        return self

    def check(self) -> RunHandle:
        """Raise `RunFailed` with the reason unless the run has succeeded."""
        run = self.record
        if run.state in (State.FAILED, State.STOPPED):
            raise RunFailed(run.id, run.reason, bad_input=run.seen.bad_input)
        return self

    def logs(self, *, follow: bool = False) -> Iterator[LogLine]:
        """Its log lines, by time; with `follow`, until it has ended."""
        return self._yard.logs(self._run, follow=follow)

    def series(self) -> list[Point]:
        """Every value of every metric so far: name, step, time (seconds since the epoch), value."""
        return self._yard.series(self._run)

    def stop(self) -> RunHandle:
        """Stop it and return when it has stopped; silent when it has ended already."""
        self._yard.stop(self._run)
        return self.wait()

    def resume(self, *, with_current_code: bool = False) -> RunHandle:
        """Go on with it after a failure or a stop."""
        self._run = self._yard.resume(self._run, with_current_code=with_current_code)._run
        return self


def _address_of(place: str) -> str:
    return place if is_remote(place) else os.path.abspath(os.path.expanduser(place))
