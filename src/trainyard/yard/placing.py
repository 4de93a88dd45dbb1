"""What a run reads is brought to where its jobs find it, and what is known of that goes into its record."""

from __future__ import annotations

from collections.abc import Callable

from ..core.ports.store import Placed
from ..core.runs.run import Run


def placed(run: Run, code: str, place: Callable[[str], Placed]) -> Run:
    """The run with its code's hash, and with all that it reads where the engine can reach it."""
    placed = {name: place(each.uri) for name, each in run.channels.items()}
    channels = {
        name: each.replace(uri=placed[name].address, hash=each.hash or placed[name].hash)
        for name, each in run.channels.items()
    }
    model, read = (place(each) if each else Placed(each) for each in (run.model_uri, run.input))
    return run.replace(
        code=code,
        channels=channels,
        model_uri=model.address,
        model_object_hash=model.hash,
        input=read.address,
        input_hash=run.input_hash or read.hash,
    )
