"""Settling runs that have ended before what they made is read.

Whoever sees first that a run has ended settles it; that it is done twice, or by two people at once, changes
nothing.
"""

from __future__ import annotations

from collections.abc import Callable

from ..core.ports.ledger import DataSet, Ledger, Model
from ..core.runs.run import Run


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
