"""The engine of an account keeps what every engine promises: on the sandbox, whose jobs really run."""

from __future__ import annotations

import pytest

import engine_contract as contract
from trainyard import Yard


@pytest.fixture
def yard(sandbox_yard: Yard) -> Yard:
    return sandbox_yard


class TestTraining(contract.TrainingPromises):
    pass


class TestInterruptions(contract.InterruptionPromises):
    pass


class TestHosts(contract.HostPromises):
    pass


class TestLogs(contract.LogPromises):
    pass


class TestSurroundings(contract.SurroundingPromises):
    pass


class TestCatalogue(contract.CataloguePromises):
    pass


class TestInference(contract.InferencePromises):
    pass
