"""Why a script failed, in its own processes' words: see `sitecustomize`."""

from __future__ import annotations

import json
import os
from typing import Any, NamedTuple

from ..reasons import LAUNCHERS, Word
from .layout import Layout

_MODULE = "sitecustomize.py"


class _Left(NamedTuple):
    """A word that a process left."""

    pid: int
    name: str
    text: str
    time: float
    parent: int
    launcher: bool

    @property
    def is_launchers(self) -> bool:
        return self.name.rpartition(".")[2] in LAUNCHERS


def lay(layout: Layout) -> None:
    """Make the folder in which processes leave their last words, with none in it."""
    os.makedirs(layout.own, exist_ok=True)
    forget_words(layout)
    # Of this package, which may be a zip file.
    content = __loader__.get_data(os.path.join(os.path.dirname(__file__), _MODULE))  # type: ignore[name-defined]
    with open(os.path.join(layout.own, _MODULE), "wb") as file:
        file.write(content)


def forget_words(layout: Layout) -> None:
    """Remove the last words of processes: a secret may be among them."""
    try:
        names = os.listdir(layout.own)
    except OSError:
        return
    for name in names:
        if name.endswith(".json"):
            os.unlink(os.path.join(layout.own, name))


def last_word(layout: Layout, pid: int, script: str) -> Word:
    """Why the process `pid`, which ran `script`, failed; an empty word where none was left.

    The process's own word counts; where a launcher speaks or is silent, that of the rank that failed first;
    and of a script that is no Python that of the last program it started.
    """
    words = sorted(_read(layout.own), key=lambda word: word.time)
    own = next((word for word in words if word.pid == pid), None)
    others = [word for word in words if word.pid != pid]
    ranks = [word for word in others if word.launcher and not word.is_launchers]
    if own is not None and not own.is_launchers:
        return Word(own.text)
    if ranks:
        return Word(ranks[0].text)
    if own is not None:
        inner = [word for word in others if not word.is_launchers]
        return Word(inner[-1].text) if inner else Word(own.text, is_launchers=True)
    children = [] if script.endswith(".py") else [word for word in others if word.parent == pid]
    return Word(children[-1].text) if children else Word()


def _read(folder: str) -> list[_Left]:
    found = []
    try:
        names = os.listdir(folder)
    except OSError:
        return []
    for name in names:
        stem, _, kind = name.partition(".")
        if kind == "json" and stem.isdigit():
            try:
                with open(os.path.join(folder, name), encoding="utf-8") as stream:
                    found.append(_word(int(stem), json.load(stream)))
            except (OSError, ValueError, KeyError, TypeError):
                continue
    return found


def _word(pid: int, said: Any) -> _Left:
    name, text = str(said["name"]), str(said["text"])
    return _Left(pid, name, text, float(said["time"]), int(said["parent"]), bool(said["launcher"]))
