"""moto's gaps that matter to somebody who uses the sandbox, closed one by one: a file each, a test each.

Each is small and says what moto does, what AWS does and where that is written, so that it can go upstream.
What stays open is in `docs/sandbox.md`.
"""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

from . import cloudformation

ALL = tuple(import_module(f"{__name__}.{module.name}") for module in iter_modules(__path__))
"""The extensions. Importing one registers what it adds."""


def install(region: str) -> None:
    """Put all of them into moto, in this process; once is enough, twice does no harm."""
    cloudformation.install(region)
