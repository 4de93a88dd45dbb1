"""The channels that SageMaker brings, held against what was recorded of them."""

from __future__ import annotations

from ...contract.configuration import TrainingSpec
from ...contract.layout import Layout
from ...process.script import Signals
from ...storage import content
from .options import StartOptions


def compare(options: StartOptions, job: TrainingSpec, layout: Layout, wheels: str, signals: Signals) -> None:
    """Return where all is as it was recorded, or a SIGTERM came. Raises InputError with both hashes, OSError.

    What is streamed comes as the script asks for it: reading it all is what that is to spare.
    """
    modes = job.channel_settings
    folders = [
        (layout.channel(name), recorded, f"the channel {name}")
        for name, recorded in options.channels
        if modes.get(name, {}).get("TrainingInputMode", "File") == "File"
    ]
    try:
        for folder, recorded, what in [*folders, (wheels, options.wheels, "the folder of wheels")]:
            content.check(folder, recorded, what, lambda: signals.asked)
    except content.Stopped:
        pass
