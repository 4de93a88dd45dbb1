"""trainyard: the same training job on your laptop with nothing but Python, and on spot machines in AWS.

    import trainyard

    yard = trainyard.connect()
    run = yard.train(trainyard.TrainingJob(name="digits", entry_script="train.py"))
    run.wait()
    print(run.metrics, run.model)

Names are imported when they are first used, so that `import trainyard` costs next to nothing (PEP 562).
"""

from __future__ import annotations

from .version import __version__

TYPE_CHECKING = False  # typing.TYPE_CHECKING to type checkers, without the import

if TYPE_CHECKING:
    from .core.environments.environment import BatchCompute, Environment, Notebook, Retention
    from .core.environments.file import load_environment
    from .core.errors import BadInput, NotFound, RunFailed, TrainyardError, Unsupported
    from .core.jobs.file import load
    from .core.jobs.job import InferenceJob, Resources, ShardResources, Spot, TrainingJob
    from .core.ports.ledger import DataSet, Model
    from .core.runs.run import Attempt, Interruption, Run, State
    from .yard.connection import connect
    from .yard.yard import RunHandle, Yard

_HOMES = {
    "core.environments.environment": ("BatchCompute", "Environment", "Notebook", "Retention"),
    "core.environments.file": ("load_environment",),
    "core.errors": ("BadInput", "NotFound", "RunFailed", "TrainyardError", "Unsupported"),
    "core.jobs.file": ("load",),
    "core.jobs.job": ("InferenceJob", "Resources", "ShardResources", "Spot", "TrainingJob"),
    "core.ports.ledger": ("DataSet", "Model"),
    "core.runs.run": ("Attempt", "Interruption", "Run", "State"),
    "yard.connection": ("connect",),
    "yard.yard": ("RunHandle", "Yard"),
}
_MODULES = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "Attempt",
    "BadInput",
    "BatchCompute",
    "DataSet",
    "Environment",
    "InferenceJob",
    "Interruption",
    "Model",
    "NotFound",
    "Notebook",
    "Resources",
    "Retention",
    "Run",
    "RunFailed",
    "RunHandle",
    "ShardResources",
    "Spot",
    "State",
    "TrainingJob",
    "TrainyardError",
    "Unsupported",
    "Yard",
    "__version__",
    "connect",
    "load",
    "load_environment",
]


def __getattr__(name: str) -> object:
    module = _MODULES.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value: object = getattr(import_module(f".{module}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
