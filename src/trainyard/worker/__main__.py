"""`python -m trainyard.worker VERB SPEC`, or this folder or a zip file of it executed by path."""

from __future__ import annotations

import os
import sys


def load_by_path() -> None:
    """Make this folder (or zip file) importable as `trainyard_worker`, and nothing in it under its own name.

    Python puts the folder it executes at the head of `sys.path`, where our `plan.py` would hide the user's.
    """
    from importlib.machinery import ModuleSpec
    from importlib.util import module_from_spec

    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [entry for entry in sys.path if os.path.abspath(entry or os.curdir) != here]
    spec = ModuleSpec("trainyard_worker", None, is_package=True)
    spec.submodule_search_locations = [here]
    sys.modules["trainyard_worker"] = module_from_spec(spec)


if __name__ == "__main__":
    if __package__:
        from .command import main
    else:
        load_by_path()
        from importlib import import_module

        main = import_module("trainyard_worker.command").main
    sys.exit(main(sys.argv[1:]))
