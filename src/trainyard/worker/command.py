"""`worker VERB SPEC.json`: runs a verb of an inference run, and reports what goes wrong.

`worker train OPTIONS` runs a host of a training job on SageMaker, `worker batch VERB MANIFEST` a job of an
inference run on Batch.
"""

from __future__ import annotations

import sys
from importlib import import_module
from typing import Any, Callable, Sequence

from .protocol import VERBS


def main(arguments: Sequence[str]) -> int:
    """Run a verb on the JSON document it names.

    0 when done; 1 otherwise, with the reason at the spec's `report`. `train` and `batch` have
    options and statuses of their own.
    """
    # Each verb imports what is its own: what the others need takes time at every start.
    if arguments[:1] == ["train"]:
        return int(import_module(".cloud.training.host", __package__).main(arguments[1:]))
    if arguments[:1] == ["batch"]:
        return int(import_module(".cloud.batch.task", __package__).main(arguments[1:]))
    if len(arguments) != 2 or arguments[0] not in VERBS:
        sys.stderr.write(f"usage: worker {'|'.join(VERBS)} SPEC.json\n")
        return 1
    from .failure import failure
    from .storage.files import read_json

    spec: dict[str, Any] = {}
    try:
        spec = read_json(arguments[1])
        import_module(f".inference.{arguments[0]}", __package__).run(spec)
        sys.stdout.flush()
    # A handler may raise anything, SystemExit too, and the run must have a reason for all of it.
    except BaseException as error:
        _report(failure(error, spec.get("code", ""), _redacted(spec.get("secrets", ()))), spec.get("report"))
        return 1
    finally:
        _close()
    return 0


def _redacted(names: Sequence[str]) -> Callable[[str], str]:
    """What takes the values of these variables out of a text."""
    if not names:
        return str
    import os

    from .redaction import Redactor

    return Redactor(os.environ[name] for name in names if name in os.environ).text


def _close() -> None:
    # Where nothing lay on S3 there is nothing to close, nor a module for it.
    places = sys.modules.get(f"{__package__}.storage.places")
    if places is not None:
        places.close()


def _report(report: dict[str, Any], path: str | None) -> None:
    from .failure import announce
    from .storage.files import write_json

    announce(report)
    if path is None:
        return
    try:
        write_json(path, report)
    except OSError as error:
        sys.stderr.write(f"the report could not be written: {error}\n")
