"""The user's handler: `predict_fn(batch, model)`, optionally `model_fn(model_dir)` and `batch_format`."""

from __future__ import annotations

import os
import sys
from importlib.util import module_from_spec, spec_from_file_location
from typing import Any, Callable

from ..errors import InputError
from ..failure import describe
from ..rows.batches import Batch, Reader
from ..rows.results import Results, settle

BATCH_FORMATS = ("rows", "columns", "arrow")


class Handler:
    """A loaded handler with its model."""

    def __init__(self, predict: Callable[[Any, Any], Any], model: Any, batch_format: str) -> None:
        self.batch_format = batch_format
        self._predict = predict
        self._model = model

    def predict(self, batch: Batch, reader: Reader, shard: int) -> Results:
        """The results of a batch, one a row.

        Raises InputError when they are not, and what the handler raises.
        """
        views = {"rows": reader.dicts, "columns": reader.columns, "arrow": reader.arrow}
        value = self._predict(views[self.batch_format](batch.rows), self._model)
        return settle(value, batch.size, self.batch_format, f"(shard {shard}, {batch.origin})")


def load(code: str, handler: str, model_dir: str) -> Handler:
    """Import the handler of the source folder `code` and load its model (no `model_fn`: `model_dir`).

    Raises InputError when it cannot be imported or breaks the contract; other exceptions of its own pass.
    """
    module = _imported(os.path.abspath(code), handler)
    predict = getattr(module, "predict_fn", None)
    if not callable(predict):
        raise InputError(f"{handler} has no predict_fn(batch, model); define it")
    batch_format = getattr(module, "batch_format", "rows")
    if batch_format not in BATCH_FORMATS:
        raise InputError(
            f'{handler}: batch_format is {batch_format!r}; set it to "rows", "columns" or "arrow"'
        )
    model_fn = getattr(module, "model_fn", None)
    return Handler(predict, model_dir if model_fn is None else model_fn(model_dir), batch_format)


def _imported(code: str, handler: str) -> Any:
    path = os.path.join(code, handler)
    if not os.path.isfile(path):
        raise InputError(f"the handler {handler} is not in the source folder; put it there or name another")
    for folder in (code, os.path.dirname(path)):
        if folder in sys.path:
            sys.path.remove(folder)
        sys.path.insert(0, folder)
    name = os.path.splitext(os.path.basename(path))[0]
    if name in sys.modules:
        name = f"handler_{name}"
    spec = spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise InputError(f"the handler {handler} is not a Python file; name one that ends in .py")
    module = module_from_spec(spec)
    # Pickle and dataclasses look a class's module up by its name.
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except (SyntaxError, ImportError) as error:
        raise InputError(describe(error, code)) from error
    return module
