"""What every engine promises, told through `Yard` alone: one suite, which every engine runs.

An engine runs it by subclassing these classes in a test module that has the fixtures `yard` (a `Yard` on
that engine) and `project`. Scripts tell what they see in their logs, since a yard may be on other machines.
"""

from __future__ import annotations

from promises.catalogue import CataloguePromises
from promises.hosts import HostPromises
from promises.inference import InferencePromises, OutputFolderPromises
from promises.interruptions import InterruptionPromises
from promises.logs import LogPromises
from promises.surroundings import SurroundingPromises
from promises.training import TrainingPromises

__all__ = [
    "CataloguePromises",
    "HostPromises",
    "InferencePromises",
    "InterruptionPromises",
    "LogPromises",
    "OutputFolderPromises",
    "SurroundingPromises",
    "TrainingPromises",
]
