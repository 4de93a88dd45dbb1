"""The files of a host's model folder, as they are once `model.tar.gz` is unpacked."""

from __future__ import annotations

import os
from typing import Any, Callable

from ...contract.models import ModelRefused, check_model, open_up
from ...storage import content


def model_files(folder: str, host: str, stopped: Callable[[], bool]) -> list[list[Any]]:
    """`[path, bytes, sha256]` of every file of the model, by path; links are followed.

    Paths are relative to the folder. Opens what the script closed to its owner. Raises ModelRefused for
    what a model cannot be made of, content.Stopped where `stopped` says so after a file, OSError.
    """
    if not os.path.lexists(folder):
        return []
    if os.path.isdir(folder):
        open_up(folder)
    check_model(folder, host)
    try:
        return [list(file) for file in content.contents(folder, stopped)]
    except content.Unfollowable as error:
        raise ModelRefused(f"model of {host}: {error}") from None
