"""Files and folders that appear whole or not at all: they are written aside, then renamed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TextIO

from .oserrors import in_words
from .trust import beside


@contextmanager
def written(path: str, mode: int = 0o666) -> Iterator[TextIO]:
    """A text file to write, which takes the place of `path` in the end; `mode` is less the umask."""
    aside = beside(path)
    try:
        with open(aside, "w", encoding="utf-8", opener=lambda at, flags: os.open(at, flags, mode)) as file:
            yield file
        os.replace(aside, path)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(aside)
        raise


@contextmanager
def new_folder(target: str) -> Iterator[str]:
    """The path of a folder to make and fill, which becomes `target` in the end, in the place of an empty one.
    Raises as `removed_on_failure` does."""
    aside = beside(target)
    with removed_on_failure(aside, target):
        os.makedirs(os.path.dirname(target), exist_ok=True)
        yield aside
        if os.path.isdir(target):
            os.rmdir(target)
        os.rename(aside, target)


@contextmanager
def removed_on_failure(aside: str, target: str = "") -> Iterator[None]:
    """Leave nothing half-written at `aside`, and say why in a line, of `target` where that is another path.
    Raises `refusal` for an OSError."""
    try:
        with in_words(target or aside):
            yield
    except BaseException:
        remove(aside)
        raise


def remove(folder: str) -> None:
    """Remove a folder and all in it; silent where it is gone, or cannot be removed."""
    if os.path.lexists(folder):
        import shutil  # 4 ms, for failures

        shutil.rmtree(folder, ignore_errors=True)
