"""Data sets and models, versioned: `digits@2`, `digits@latest`. Nothing here is ever deleted."""

from __future__ import annotations

import os
import re
import time
from typing import TypeVar

from .errors import BadInput, NotFound, nearest
from .ledger import DataSet, Ledger, Model
from .limits import NAME, NAME_LENGTH
from .store import Store

_REFERENCE = re.compile(r"([^@/\\]+)@(\d+|latest)")
_Version = TypeVar("_Version", DataSet, Model)


class Catalog:
    """What a yard has to train on and to predict with."""

    def __init__(self, ledger: Ledger, store: Store) -> None:
        self._ledger, self._store = ledger, store

    def push(self, name: str, path: str) -> tuple[DataSet, bool]:
        """Make the file or folder `path` the next version of the data set `name`.

        Returns it and True, or the latest version and False where its content is the same already.
        Raises `BadInput` for a name that AWS would refuse and for a path that is absent or empty.
        """
        _check_name(name)
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

    def dataset(self, reference: str) -> DataSet:
        """The version that `name@version` or `name@latest` means; `NotFound` with near names."""
        return _pick(reference, self._ledger.datasets(), "data set")

    def model(self, reference: str) -> Model:
        """The version that `name@version` or `name@latest` means; `NotFound` with near names."""
        return _pick(reference, self._ledger.models(), "model")

    def datasets(self, name: str | None = None) -> list[DataSet]:
        """All versions, by name and version."""
        return self._ledger.datasets(name)

    def models(self, name: str | None = None) -> list[Model]:
        """All versions, by name and version."""
        return self._ledger.models(name)


def is_reference(text: str) -> bool:
    """Whether the text has the form `name@version` (a path is told by its slash)."""
    return _REFERENCE.fullmatch(text) is not None


def _pick(reference: str, versions: list[_Version], kind: str) -> _Version:
    match = _REFERENCE.fullmatch(reference)
    if match is None:
        raise BadInput(f"{reference!r} is no {kind}", cure="write name@version or name@latest")
    name, version = match.groups()
    named = [found for found in versions if found.name == name]
    if not named:
        cure = nearest(name, sorted({found.name for found in versions}))
        raise NotFound(f"no {kind} is called {name!r}", cure=cure or f"there is no {kind} yet")
    if version == "latest":
        return named[-1]
    for found in named:
        if found.version == int(version):
            return found
    raise NotFound(f"no {kind} {reference!r}", cure=f"the latest is {named[-1].ref}")


def _check_name(name: str) -> None:
    if len(name) > NAME_LENGTH or re.fullmatch(NAME, name) is None:
        raise BadInput(
            f"{name!r} is no name for a data set",
            cure=f"use up to {NAME_LENGTH} letters, digits and single hyphens between them",
        )
