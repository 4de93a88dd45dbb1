"""Libraries of the handler's own environment, imported when a format or a handler asks for them."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from ..errors import InputError


def numpy() -> Any:
    """The module `numpy`. Raises InputError with the cure where it is missing."""
    return _need("numpy", "a batch of columns")


def pyarrow() -> Any:
    """The module `pyarrow`. Raises InputError with the cure where it is missing."""
    return _need("pyarrow", "Parquet and Arrow")


def parquet() -> Any:
    """The module `pyarrow.parquet`. Raises InputError with the cure where it is missing."""
    pyarrow()
    return import_module("pyarrow.parquet")


def _need(name: str, what: str) -> Any:
    try:
        return import_module(name)
    except ImportError as error:
        if isinstance(error, ModuleNotFoundError) and error.name == name:
            detail = "is not installed"
        else:
            detail = f"does not load ({error})"
        cure = f"add {name} to requirements.txt beside the handler"
        raise InputError(f"{what} needs {name}, which {detail}; {cure}") from None
