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
    from .connection import connect as connect
    from .environment import BatchCompute as BatchCompute
    from .environment import Environment as Environment
    from .environment import Notebook as Notebook
    from .environment import Retention as Retention
    from .errors import BadInput as BadInput
    from .errors import NotFound as NotFound
    from .errors import RunFailed as RunFailed
    from .errors import TrainyardError as TrainyardError
    from .errors import Unsupported as Unsupported
    from .job import InferenceJob as InferenceJob
    from .job import Resources as Resources
    from .job import ShardResources as ShardResources
    from .job import Spot as Spot
    from .job import TrainingJob as TrainingJob
    from .jobfile import load as load
    from .jobfile import load_environment as load_environment
    from .ledger import DataSet as DataSet
    from .ledger import Model as Model
    from .run import Attempt as Attempt
    from .run import Interruption as Interruption
    from .run import Run as Run
    from .run import State as State
    from .yard import RunHandle as RunHandle
    from .yard import Yard as Yard

_HOMES = {
    "connection": ("connect",),
    "environment": ("BatchCompute", "Environment", "Notebook", "Retention"),
    "errors": ("BadInput", "NotFound", "RunFailed", "TrainyardError", "Unsupported"),
    "job": ("InferenceJob", "Resources", "ShardResources", "Spot", "TrainingJob"),
    "jobfile": ("load", "load_environment"),
    "ledger": ("DataSet", "Model"),
    "run": ("Attempt", "Interruption", "Run", "State"),
    "yard": ("RunHandle", "Yard"),
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
