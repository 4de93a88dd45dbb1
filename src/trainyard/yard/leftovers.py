"""What runs left, models and data sets, copied to a folder; and versions that are made of what is there."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from functools import partial

from ..core.errors import BadInput, NotFound
from ..core.files import trees
from ..core.files.whole import new_folder
from ..core.jobs.limits import is_dataset_reference
from ..core.ports.ledger import DataSet, Ledger, Model
from ..core.ports.store import CHECKPOINTS, MODEL, OUTPUT, PARTS, Copied, Part, Store
from ..core.runs import outputs
from ..core.runs.run import Run
from .catalog import Catalog, Pulled, check_name

_ARCHIVES = (".tar.gz", ".tgz", ".tar")


class Leftovers:
    """Finds what is named, and copies it. `find` gives the run of an id, a part of one or `latest`."""

    def __init__(self, catalog: Catalog, ledger: Ledger, store: Store, find: Callable[[str], Run]) -> None:
        self._catalog, self._ledger, self._store, self._find = catalog, ledger, store, find

    def pull(self, what: str, target: str | None) -> Pulled:
        """Copy a version, all that a run left, or a part of it (`RUN/model`) to a new folder."""
        found = self._catalog.find(what)
        if found is not None:
            folder = _new_folder(target or f"{found.name}-{found.version}")
            return Pulled(folder, *self._fetch(found, folder))
        run, part = self._run(what)
        left = self._left(run)
        folder = _new_folder(target or (f"{run.id}-{part}" if part else run.id))
        if run.is_training and not part:
            return _whole(folder, lambda aside: _all(run, left, aside))
        one = _one(run, left, part or OUTPUT)
        return _whole(folder, lambda aside: _told(one.fetch(aside)))

    def add_model(self, name: str, what: str) -> tuple[Model, tuple[str, ...]]:
        """Make the next version of a model of what a run left (`RUN`, `RUN/checkpoints`), a folder, a file or
        an archive; it, and a line for each thing of it that could not be kept."""
        check_name(name, "a model")
        path = os.path.abspath(os.path.expanduser(what))
        run = None
        # A folder that is called as a run is what was pulled of it.
        if os.path.exists(path) and self._ledger.run(what) is None:
            fill, address = _copier(path), ""
        else:
            run, part = self._run_to_add(what)
            found = _one(run, self._left(run), part or MODEL)
            fill, address = found.fetch, found.address
        staged, copied = self._store.stage_model(fill, address)
        try:
            if not staged.files:
                raise BadInput("there are no files", where=what)
            record = Model(
                name=name,
                version=0,
                run=run.id if run else "",
                path="",
                created=time.time(),
                hash=staged.hash,
                bytes=staged.bytes,
                files=staged.files,
            )
            if run is not None and run.is_training:
                record = record.replace(
                    code=run.code,
                    data={name: channel.dataset or channel.uri for name, channel in run.channels.items()},
                    hyperparameters=run.training.hyperparameters,
                    metrics=run.metrics,
                )
            return self._ledger.add_model(record, staged.address), _told(copied)[2]
        finally:
            self._store.discard(staged)

    def left(self, run: Run) -> list[str]:
        """The names of what a run left."""
        return [name for name, part in self._store.left(run).items() if isinstance(part, Part)]

    def with_checkpoints(self, word: str) -> str:
        """The id of a run that has ended and left checkpoints. Raises `BadInput`, and `NotFound`."""
        run = self._find(word)
        if not run.is_training:
            raise BadInput("is a run of inference", where=run.id, key="--from", cure="name a run of training")
        if not run.state.ended:
            cure = "stop it first, or wait for its end"
            raise BadInput(f"is {run.state}, and still writes them", where=run.id, key="--from", cure=cure)
        _one(run, self._store.left(run), CHECKPOINTS)
        return run.id

    def _left(self, run: Run) -> Mapping[str, Part | str]:
        """What the run left; what was recorded of it is held against that when it is copied."""
        left = dict(self._store.left(run))
        model, output = left.get(MODEL), left.get(OUTPUT)
        if run.is_training and run.model and isinstance(model, Part):
            version = self._catalog.model(run.model)
            left[MODEL] = model._replace(fetch=lambda target: Copied(*self._fetch(version, target)))
        if not run.is_training and isinstance(output, Part):
            fetch = output.fetch
            left[OUTPUT] = output._replace(fetch=lambda target: _committed(run, fetch, target))
        return left

    def _fetch(self, found: Model | DataSet, folder: str) -> tuple[int, int]:
        check = partial(trees.check, recorded=found.hash, where=found.path, cure="nothing of it was copied")
        version = found.object_version if isinstance(found, Model) else ""
        return self._store.fetch(found.path, folder, check=check, version=version)

    def _run(self, what: str) -> tuple[Run, str]:
        """The run, and the part of what it left that is meant; "" for all of it."""
        word, part = _parted(what)
        try:
            return self._find(word), part
        except NotFound as error:
            raise NotFound(error.problem, cure=self._catalog.latest(what) or error.cure) from None

    def _run_to_add(self, what: str) -> tuple[Run, str]:
        """The same, where `what` is no path that is there, and no version is meant."""
        word, part = _parted(what)
        if is_dataset_reference(what):
            cure = f"copy it with `trainyard pull {what}`, and add the folder"
            raise BadInput(f"{what!r} is no run, folder or file", cure=cure)
        try:
            return self._find(word), part
        except NotFound as error:
            raise NotFound(f"no such file or folder, and {error.problem}", cure=error.cure) from None


def _parted(what: str) -> tuple[str, str]:
    word, slash, part = what.rpartition("/")
    return (word, part) if slash and part in PARTS else (what, "")


def _committed(run: Run, fetch: Callable[[str], Copied], target: str) -> Copied:
    copied = fetch(target)
    recorded = run.seen.output_hash or outputs.recorded_in(run.folder)
    outputs.check(target, recorded, where=run.output or "")
    return copied


def _new_folder(target: str) -> str:
    folder = os.path.abspath(os.path.expanduser(target))
    if os.path.lexists(folder) and (not os.path.isdir(folder) or os.listdir(folder)):
        raise BadInput("exists and is not an empty folder", where=folder, cure="name another folder")
    return folder


def _one(run: Run, left: Mapping[str, Part | str], name: str) -> Part:
    found = left.get(name, "a run of inference leaves its output")
    if isinstance(found, Part):
        return found
    raise NotFound(f"there is no {name} of the run: {found}", where=run.id)


def _all(run: Run, left: Mapping[str, Part | str], folder: str) -> tuple[int, int, tuple[str, ...]]:
    """Everything, each part in a folder of its name."""
    missing = [f"{name}: {why}" for name, why in left.items() if isinstance(why, str)]
    if len(missing) == len(left):
        raise NotFound(f"there is nothing of the run: {'; '.join(missing)}", where=run.id)
    files = size = 0
    os.makedirs(folder)
    for name, part in left.items():
        if isinstance(part, Part):
            more, more_bytes, lost = _told(part.fetch(os.path.join(folder, name)))
            files, size = files + more, size + more_bytes
            missing += [f"{name}/{line}" for line in lost]
    return files, size, tuple(missing)


def _whole(folder: str, copy: Callable[[str], tuple[int, int, tuple[str, ...]]]) -> Pulled:
    with new_folder(folder) as aside:
        copied = copy(aside)
    return Pulled(folder, *copied)


def _told(copied: Copied) -> tuple[int, int, tuple[str, ...]]:
    return copied.files, copied.bytes, tuple(f"{name}: leads nowhere, or is no file" for name in copied.lost)


def _copier(path: str) -> Callable[[str], Copied]:
    """What copies the folder, the file or the content of the archive to a new folder."""

    def copy(target: str) -> Copied:
        from ..core.files import archives
        from ..machine.copying import copy_tree

        if os.path.isdir(path):
            return Copied(*copy_tree(path, target))
        if path.endswith(_ARCHIVES):
            archives.unpack(path, target)
            return Copied(0, 0)
        os.makedirs(target)
        return Copied(*copy_tree(path, os.path.join(target, os.path.basename(path))))

    return copy
