"""The folders of SageMaker's training container, below `/opt/ml` or a stand-in for it.

Source: "How Amazon SageMaker Provides Training Information" and "How Amazon SageMaker Processes
Training Output" in the SageMaker developer guide.
"""

from __future__ import annotations

import os
from typing import Mapping


class Layout:
    """Where everything of one host lies. Pure: building one touches no file.

    `root` stands for `/opt/ml`. Where nothing can be mounted below it, `checkpoints` and single
    `channels` (name -> path) may live elsewhere.

    The same job has two layouts: the *physical* one, where files are written (`prepare`), and the
    one *as seen* by the script (`environment`). They differ when the physical root is mounted on
    `/opt/ml`.
    """

    __slots__ = (
        "channels",
        "checkpoints",
        "code",
        "config",
        "failure",
        "input",
        "input_data",
        "intermediate",
        "model",
        "output",
        "output_data",
        "own",
        "root",
    )

    def __init__(
        self, root: str, checkpoints: str | None = None, channels: Mapping[str, str] | None = None
    ) -> None:
        join = os.path.join
        self.root = root
        self.input = join(root, "input")
        self.config = join(self.input, "config")
        self.input_data = join(self.input, "data")
        self.model = join(root, "model")
        self.checkpoints = join(root, "checkpoints") if checkpoints is None else checkpoints
        self.output = join(root, "output")
        self.output_data = join(self.output, "data")
        self.intermediate = join(self.output, "intermediate")
        self.failure = join(self.output, "failure")
        self.code = join(root, "code")
        # Where processes leave their last words; nothing of SageMaker's.
        self.own = join(root, ".trainyard")
        self.channels = dict(channels or {})

    def __repr__(self) -> str:
        return f"Layout({self.root!r}, checkpoints={self.checkpoints!r}, channels={self.channels!r})"

    def channel(self, name: str) -> str:
        """The folder of the channel `name`; an ordinary path even when the channel is unknown."""
        return self.channels.get(name) or os.path.join(self.input_data, name)


def link(layout: Layout) -> None:
    """Stand-ins for mounts: below the root, symbolic links to what lives elsewhere.

    After it, `Layout(layout.root)` shows every channel and the checkpoints at the places the
    contract names. An empty folder or an older link in the way is replaced; anything else there
    raises FileExistsError.
    """
    seen = Layout(layout.root)
    pairs = [(path, seen.channel(name)) for name, path in layout.channels.items()]
    pairs.append((layout.checkpoints, seen.checkpoints))
    for source, place in pairs:
        if os.path.abspath(source) != os.path.abspath(place):
            _replace_with_link(os.path.abspath(source), place)


def _replace_with_link(source: str, place: str) -> None:
    os.makedirs(os.path.dirname(place), exist_ok=True)
    if os.path.islink(place):
        os.unlink(place)
    elif os.path.isdir(place) and not os.listdir(place):
        os.rmdir(place)
    os.symlink(source, place)
