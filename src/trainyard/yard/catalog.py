"""Data sets and models, versioned: `digits@2`, `digits@latest`. Nothing here is ever deleted."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import NamedTuple, TypeVar

from ..core.errors import BadInput, NotFound, nearest
from ..core.jobs.limits import NAME, NAME_LENGTH, is_dataset_reference
from ..core.jobs.sources import is_remote
from ..core.ports.ledger import DataSet, Ledger, Model
from ..core.ports.store import Store

_Version = TypeVar("_Version", DataSet, Model)


_ARCHIVE = "/model.tar.gz"
"""What SageMaker calls the object of a model."""


class Pulled(NamedTuple):
    """What was copied to `folder`: how many files, their bytes, and a line for each thing that was not."""

    folder: str
    files: int
    bytes: int
    missing: tuple[str, ...] = ()


class Source(NamedTuple):
    """What a run reads: what it is called, where it lies, and what the ledger has of it: the content's hash
    (`sha256:…`) and the version of its object; both "" for what is in no ledger."""

    name: str
    address: str
    hash: str = ""
    version: str = ""


class Catalog:
    """What a yard has to train on and to predict with."""

    def __init__(self, ledger: Ledger, store: Store, *, is_remote: bool = False) -> None:
        self._ledger, self._store, self._is_remote = ledger, store, is_remote

    def push(self, name: str, path: str) -> tuple[DataSet, bool]:
        """Make the file or folder `path` the next version of the data set `name`.

        Returns it and True, or the latest version and False where its content is the same already.
        Raises `BadInput` for a name that AWS would refuse and for a path that is absent or empty.
        """
        check_name(name, "a data set")
        if not os.path.exists(path):
            raise BadInput("no such file or folder", where=path)
        staged = self._store.stage(path)
        try:
            if not staged.files:
                raise BadInput("the folder holds no files", where=path)
            known = self._ledger.datasets(name)
            if known and known[-1].hash == staged.hash:
                return known[-1], False
            record = DataSet(
                name=name,
                version=0,
                hash=staged.hash,
                bytes=staged.bytes,
                files=staged.files,
                created=time.time(),
            )
            return self._ledger.add_dataset(record, staged.address), True
        finally:
            self._store.discard(staged)

    def dataset(self, reference: str, *, key: str = "") -> DataSet:
        """The version that `name@version` or `name@latest` means; `NotFound` with near names."""
        return _pick(reference, self._ledger.datasets, "data set", key)

    def model(self, reference: str, *, key: str = "") -> Model:
        """The version that `name@version` or `name@latest` means; `NotFound` with near names."""
        return _pick(reference, self._ledger.models, "model", key)

    def model_at(self, model: str | Model) -> Source:
        """What a person calls a model: a version, a folder, a `model.tar.gz`."""
        if isinstance(model, str) and is_dataset_reference(model) and not os.path.exists(model):
            model = self.model(model, key="MODEL")
        if isinstance(model, Model):
            return Source(model.ref, model.path, model.hash, model.object_version)
        if is_remote(model):
            versions = self._ledger.models() if self._is_remote and model.endswith(_ARCHIVE) else []
            found = next((each for each in versions if each.path == model), None)
            return Source(model, model, found.hash, found.object_version) if found else Source(model, model)
        path = os.path.abspath(os.path.expanduser(model))
        if os.path.isdir(path) or (os.path.isfile(path) and path.endswith((".tar.gz", ".tgz"))):
            return Source(path, path, self._recorded(path, self._ledger.models))
        known = sorted({version.name for version in self._ledger.models()})
        cure = nearest(model, [f"{name}@latest" for name in known])
        raise NotFound(
            f"{model!r} is no model",
            key="MODEL",
            cure=cure or "name a folder, a model.tar.gz or name@version",
        )

    def input_at(self, given: str) -> Source:
        """What a person calls the input of an inference run: a file, a folder or a data set."""
        if is_dataset_reference(given) and not os.path.exists(given):
            found = self.dataset(given, key="INPUT")
            return Source(found.ref, found.path, found.hash)
        if is_remote(given):
            return Source(given, given)
        path = os.path.abspath(os.path.expanduser(given))
        if not os.path.exists(path):
            known = sorted({version.name for version in self._ledger.datasets()})
            cure = nearest(given, [f"{name}@latest" for name in known])
            raise NotFound(f"no such file, folder or data set: {given}", key="INPUT", cure=cure)
        return Source(path, path, self._recorded(path, self._ledger.datasets))

    def recorded_at(self, path: str) -> str:
        """The hash that the ledger has of the data set which lies at a path of this machine; "" for none."""
        return self._recorded(path, self._ledger.datasets)

    def _recorded(self, path: str, versions: Callable[[str], Sequence[Model | DataSet]]) -> str:
        """By its path a version is no less one than by its name, where versions lie on this machine."""
        real = os.path.realpath(path)
        known = () if self._is_remote else versions(os.path.basename(os.path.dirname(real)))
        return next((each.hash for each in known if os.path.realpath(each.path) == real), "")

    def find(self, what: str) -> Model | DataSet | None:
        """What `name@version` means, or `models/name@version` or `data/name@version` where both kinds have
        the name; None for text of no such form."""
        kind, _, rest = what.partition("/")
        if kind in ("models", "data") and is_dataset_reference(rest):
            return self.model(rest) if kind == "models" else self.dataset(rest)
        if not is_dataset_reference(what):
            return None
        found: list[Model | DataSet] = []
        with suppress(NotFound):
            found.append(self.model(what))
        with suppress(NotFound):
            found.append(self.dataset(what))
        if len(found) == 2:
            raise BadInput(
                f"{what} is both a model and a data set", cure=f"write models/{what} or data/{what}"
            )
        if not found:
            raise NotFound(f"no model or data set {what!r}", cure=self._near(what))
        return found[0]

    def latest(self, what: str) -> str:
        """The cure for a version that is none: the latest ones of that name; "" where there are none."""
        name = what.partition("@")[0]
        named = [found[-1].ref for found in (self._ledger.models(name), self._ledger.datasets(name)) if found]
        return f"the latest is {' or '.join(named)}" if named else ""

    def _near(self, what: str) -> str:
        names = sorted({m.name for m in self._ledger.models()} | {d.name for d in self._ledger.datasets()})
        return self.latest(what) or nearest(what.partition("@")[0], names)


def _pick(reference: str, versions: Callable[[str | None], list[_Version]], kind: str, key: str) -> _Version:
    name, at, version = reference.partition("@")
    if not at or not (version == "latest" or version.isdecimal()):
        raise BadInput(f"{reference!r} is no {kind}", key=key, cure="write name@version or name@latest")
    named = versions(name)
    if not named:
        cure = nearest(name, sorted({found.name for found in versions(None)}))
        raise NotFound(f"no {kind} is called {name!r}", key=key, cure=cure or f"there is no {kind} yet")
    if version == "latest":
        return named[-1]
    for found in named:
        if str(found.version) == version:
            return found
    raise NotFound(f"no {kind} {reference!r}", key=key, cure=f"the latest is {named[-1].ref}")


def check_name(name: str, kind: str) -> None:
    """Raise `BadInput` for a name that AWS would refuse."""
    if len(name) > NAME_LENGTH or re.fullmatch(NAME, name) is None:
        raise BadInput(
            f"{name!r} is no name for {kind}",
            cure=f"use up to {NAME_LENGTH} letters, digits and single hyphens between them",
        )
