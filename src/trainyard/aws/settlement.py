"""Settling a run that has ended: its model becomes a version, and what became of it is written down for good.

Whoever sees it first does it; that it is done twice, or by two people at once, changes nothing.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from ..core.files import trees
from ..core.ports.ledger import DataSet, Ledger, Model
from ..core.runs import outcomes
from ..core.runs.run import Observation, Run, State
from ..worker.contract.models import ModelConflict, check_paths
from ..worker.reasons import MODEL_NOT_KEPT
from ..worker.s3.address import S3Address
from .account import names
from .account.deployment import Deployment
from .account.session import Session
from .images import images
from .s3.ledger import S3Ledger
from .sagemaker import history, registry
from .sagemaker.jobs import Sight


class Settler:
    """Settles the runs of an environment."""

    def __init__(self, session: Session, deployment: Deployment, ledger: S3Ledger) -> None:
        self._session, self._deployment, self._ledger = session, deployment, ledger

    def settle(self, run: Run, sight: Sight) -> Observation:
        """What became of a launch that has ended, for good."""
        seen = sight.seen
        if run.is_training:
            if seen.state is State.SUCCEEDED:
                seen = self._with_model(run.observed(seen), sight.histories)
            seen = seen.replace(warnings=_warnings(run.observed(seen), sight.histories))
        self._ledger.settle(run.observed(seen))
        return seen

    def _with_model(self, run: Run, histories: Sequence[history.History]) -> Observation:
        try:
            record = self._model(run, histories)
        except ModelConflict as error:
            return run.seen.replace(state=State.FAILED, reason=MODEL_NOT_KEPT.of(error).reason)
        if record is None:
            return run.seen
        made = self._ledger.add_model(record)
        image = images.training_image(run.training, self._deployment.region)
        trouble = registry.register(self._session, self._deployment, run, made, image)
        warnings = (*run.warnings, trouble) if trouble else run.warnings
        return run.seen.replace(model=made.ref, warnings=warnings)

    def _model(self, run: Run, histories: Sequence[history.History]) -> Model | None:
        """The model that the hosts together made; None where none wrote any. Raises `ModelConflict`."""
        written = [(host.host, host.files) for host in histories if host.files]
        if not written:
            return None
        check_paths(
            [[each.relative for each in files] for _, files in written], [host for host, _ in written]
        )
        content = trees.hash_of(each for _, files in written for each in files)
        key = names.model_key(names.launch_name(self._deployment.prefix, run))
        return Model(
            name=run.name,
            version=0,
            run=run.id,
            path=S3Address(self._deployment.model_bucket, key).uri,
            created=run.seen.finished or time.time(),
            hash=f"sha256:{content.hash}",
            bytes=content.bytes,
            files=content.files,
            code=run.code,
            data={name: channel.dataset or channel.uri for name, channel in run.channels.items()},
            hyperparameters=run.training.hyperparameters,
            metrics=run.metrics,
        )


class SettlingLedger:
    """A ledger that settles what has ended before it tells of models, which runs make as they are settled."""

    def __init__(self, ledger: Ledger, settle_open: Callable[[str | None], None]) -> None:
        self._ledger, self._settle_open = ledger, settle_open

    def run(self, run_id: str) -> Run | None:
        return self._ledger.run(run_id)

    def run_ids(self) -> list[str]:
        return self._ledger.run_ids()

    def add_dataset(self, staged: DataSet, address: str) -> DataSet:
        return self._ledger.add_dataset(staged, address)

    def datasets(self, name: str | None = None) -> list[DataSet]:
        return self._ledger.datasets(name)

    def models(self, name: str | None = None) -> list[Model]:
        self._settle_open(name)
        return self._ledger.models(name)


def _warnings(run: Run, histories: Sequence[history.History]) -> tuple[str, ...]:
    """What a run as a whole is warned of, and what else its hosts warn of."""
    found = [*run.warnings, *outcomes.unreached(run)]
    wrote_none = not history.wrote_checkpoint(histories)
    if run.state is State.SUCCEEDED and run.training.spot.enabled and wrote_none and run.attempts:
        found.append(outcomes.cost_of_no_checkpoint(run.attempts[-1]))
    # Of a run as a whole a host knows less: of its rehearsals, and of the others' checkpoints.
    found += [text for host in histories for text in host.warnings if not outcomes.is_of_run(text)]
    return tuple(dict.fromkeys(found))
