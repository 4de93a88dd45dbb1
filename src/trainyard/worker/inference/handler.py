"""The user's handler: `predict_fn(batch, model)`, optionally `model_fn(model_dir)` and `batch_format`."""

from __future__ import annotations

import os
import sys
from importlib.util import module_from_spec, spec_from_file_location
from types import FunctionType
from typing import Any, Callable

from ..errors import InputError
from ..failure import describe
from ..rows.batches import Batch, Reader
from ..rows.results import Results, settle

BATCH_FORMATS = ("rows", "columns", "arrow")
_ENDPOINTS_ONLY = ("input_fn", "output_fn", "transform_fn")
"""What SageMaker's inference toolkit calls beside model_fn and predict_fn, or in the place of predict_fn."""
_VARARGS = 0x04
"""The flag of a function's code that it takes `*args` (`inspect.CO_VARARGS`)."""


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
        try:
            view = views[self.batch_format](batch.rows)
        except InputError as error:
            raise InputError(f"{batch.origin}: {error}") from None
        value = self._predict(view, self._model)
        return settle(value, batch.size, self.batch_format, f"(shard {shard}, {batch.origin})")


def load(code: str, handler: str, model_dir: str) -> Handler:
    """Import the handler of the source folder `code` and load its model (no `model_fn`: `model_dir`).

    Raises InputError when it cannot be imported or breaks the contract; other exceptions of its own pass.
    """
    module = _imported(os.path.abspath(code), handler)
    _check_shape(module, handler)
    predict = module.predict_fn
    batch_format = getattr(module, "batch_format", "rows")
    if batch_format not in BATCH_FORMATS:
        raise InputError(
            f'{handler}: batch_format is {batch_format!r}; set it to "rows", "columns" or "arrow"'
        )
    model_fn = getattr(module, "model_fn", None)
    return Handler(predict, model_dir if model_fn is None else model_fn(model_dir), batch_format)


def _check_shape(module: Any, handler: str) -> None:
    """Refuse at once what could be called in no row of any input: SageMaker's endpoints have other functions
    of the same names."""
    others = [name for name in _ENDPOINTS_ONLY if callable(getattr(module, name, None))]
    if others:
        raise InputError(
            f"{handler} has {' and '.join(others)}, which only an endpoint of SageMaker calls; here "
            "predict_fn(batch, model) is given the rows and returns one result for each: do all in it, and "
            f"leave {'them' if len(others) > 1 else 'it'} out"
        )
    if not callable(getattr(module, "predict_fn", None)):
        raise InputError(f"{handler} has no predict_fn(batch, model); define it")
    _check_arguments(module.predict_fn, "predict_fn(batch, model)", 2, handler)
    if getattr(module, "model_fn", None) is not None:
        _check_arguments(module.model_fn, "model_fn(model_dir)", 1, handler)


def _check_arguments(function: Any, called: str, given: int, handler: str) -> None:
    """Refuse a function that cannot be called so. `inspect` would take longer than the shard's own start.

    Of a decorated one the decorator's own arguments count: it may give the others itself.
    """
    if not isinstance(function, FunctionType):
        return
    code = function.__code__
    names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
    takes_any = code.co_flags & _VARARGS
    needed = code.co_argcount - len(function.__defaults__ or ())
    lacking = set(names[code.co_argcount :]) - set(function.__kwdefaults__ or ())
    if needed <= given and (takes_any or given <= code.co_argcount) and not lacking:
        return
    raise InputError(
        f"{handler}: {function.__name__}({', '.join(names)}) is called as {called} here; "
        "take these arguments, and give any other a default"
    )


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
