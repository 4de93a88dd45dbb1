"""What a training run made: its model becomes a version, and the run is warned of what it will have cost."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from ...core.errors import AccountRefused
from ...core.files import trees
from ...core.ports.ledger import Model
from ...core.runs import outcomes
from ...core.runs.metrics import without_value
from ...core.runs.run import Observation, Run, State
from ...worker.contract.models import ModelConflict, ModelRefused, check_paths
from ...worker.s3.address import S3Address
from ..account import names
from ..account.deployment import Deployment
from ..account.errors import ignoring
from ..account.session import Session
from ..images import images
from ..s3 import objects
from ..s3.ledger import S3Ledger
from . import history, requests

_LATE = 300.0
"""Seconds after the end of a job that its hosts' lists of files are waited for: S3 has what was written at
once, but SageMaker carries over what a worker of former days left beside checkpoints."""
_EXISTS = frozenset({"ConflictException", "ResourceInUse"})


class Models:
    """The models of an environment's training runs."""

    def __init__(self, session: Session, deployment: Deployment, ledger: S3Ledger) -> None:
        self._session, self._deployment, self._ledger = session, deployment, ledger

    def settled(self, run: Run, histories: Sequence[history.History]) -> Observation:
        """What became of a run that has ended, with the version of the model that it made."""
        seen = self._with_model(run, histories) if run.state is State.SUCCEEDED else run.seen
        return seen.replace(warnings=_warnings(run.observed(seen), histories))

    def is_late(self, run: Run, histories: Sequence[history.History]) -> bool:
        """Whether there is a model whose files are not written down yet: a run is settled once."""
        if history.is_complete(histories, run.launch) or time.time() - (run.seen.finished or 0) > _LATE:
            return False
        return self._is_there(run)

    def _is_there(self, run: Run) -> bool:
        bucket = self._deployment.model_bucket
        return self._key(run) in objects.keys(self._session, bucket, self._key(run))

    def _key(self, run: Run) -> str:
        return names.model_key(names.launch_name(self._deployment.prefix, run))

    def _with_model(self, run: Run, histories: Sequence[history.History]) -> Observation:
        try:
            record = self._model(run, histories)
        except ModelRefused as error:
            kept = "; SageMaker keeps one of them" if isinstance(error, ModelConflict) else ""
            ending = outcomes.model_not_kept(run, f"{error}{kept}")
            return run.seen.replace(state=ending.state, reason=ending.reason)
        if record is None:
            return run.seen if history.is_complete(histories, run.launch) else self._without_list(run)
        made = self._ledger.settle_model(record)
        image = images.training_image(run.training, self._deployment.region)
        trouble = self._register(run, made, image)
        warnings = (*run.warnings, trouble) if trouble else run.warnings
        return run.seen.replace(model=made.ref, warnings=warnings)

    def _without_list(self, run: Run) -> Observation:
        if not self._is_there(run):
            return run.seen
        place = S3Address(self._deployment.model_bucket, self._key(run)).uri
        cure = f"make a version of it: {outcomes.keeping(run)}"
        warning = f"its model, {place}, is no version: the list of its files never came; {cure}"
        return run.seen.replace(warnings=(*run.warnings, warning))

    def _model(self, run: Run, histories: Sequence[history.History]) -> Model | None:
        """The model that the hosts together made; None where none wrote any. Raises `ModelRefused`."""
        if refused := next((host.refused for host in histories if host.refused), ""):
            raise ModelRefused(refused)
        written = [(host.host, host.files) for host in histories if host.files]
        if not written:
            return None
        files = [{each.relative: each for each in found} for _, found in written]
        check_paths(files, [host for host, _ in written])
        content = trees.hash_of({path: each for found in files for path, each in found.items()}.values())
        return Model(
            name=run.name,
            version=0,
            run=run.id,
            path=S3Address(self._deployment.model_bucket, self._key(run)).uri,
            created=run.seen.finished or time.time(),
            hash=f"sha256:{content.hash}",
            bytes=content.bytes,
            files=content.files,
            code=run.code,
            data={name: channel.dataset or channel.uri for name, channel in run.channels.items()},
            hyperparameters=run.training.hyperparameters,
            metrics=run.metrics,
            object_version=objects.version(self._session, self._deployment.model_bucket, self._key(run)),
        )

    def _register(self, run: Run, model: Model, image: str) -> str:
        """Make the version a package of SageMaker's model registry, once for each launch; what is wrong where
        AWS refuses, else "".

        The version is in trainyard's own ledger already: a registry that refuses costs a warning, no model.
        """
        package = requests.model_package_request(model, self._deployment, image, requests.package_token(run))
        try:
            try:
                self._create("create_model_package", package)
            except AccountRefused:  # most likely there is no such group yet
                group = requests.model_group_request(self._deployment, model.name)
                self._create("create_model_package_group", group)
                self._create("create_model_package", package)
        except AccountRefused as error:
            return f"{model.ref} is not in SageMaker's model registry: {error}"
        return ""

    def _create(self, operation: str, request: dict[str, Any]) -> None:
        with ignoring(*_EXISTS, words="already exist"):
            self._session.call("sagemaker", operation, **request)


def _warnings(run: Run, histories: Sequence[history.History]) -> tuple[str, ...]:
    """What a run as a whole is warned of, and what else its hosts warn of."""
    found = [*run.warnings, *outcomes.unreached(run)]
    if run.state is State.SUCCEEDED:
        found += without_value(run.training.metrics, run.metrics)
    wrote_none = not history.wrote_checkpoint(histories)
    if run.state is State.SUCCEEDED and run.training.spot.enabled and wrote_none and run.attempts:
        found.append(outcomes.cost_of_no_checkpoint(run.attempts[-1]))
    # Of a run as a whole a host knows less: of its rehearsals, and of the others' checkpoints.
    found += [text for host in histories for text in host.warnings if not outcomes.is_of_run(text)]
    return tuple(dict.fromkeys(found))
