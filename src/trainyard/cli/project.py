"""What `trainyard init` writes: a small project that runs as it stands, with nothing but Python."""

from __future__ import annotations

import math
import os
import random
from collections.abc import Iterator
from contextlib import suppress

from ..core.errors import BadInput
from ..core.files.oserrors import no_room
from ..core.jobs.limits import NAME_LENGTH, legal_name
from ..worker.errors import is_disk_full

_SOURCES = os.path.join(os.path.dirname(__file__), "templates")
_FILES = {
    "trainyard.toml": "trainyard.toml",
    "cdk.json": "cdk.json",
    "train.py": "train.py",
    "predict.py": "predict.py",
    "Dockerfile": "Dockerfile",
    ".dockerignore": "dockerignore",
    "README.md": "README.md",
    ".gitignore": "gitignore",
    ".trainyardignore": "trainyardignore",
}
_NAME = "my-project"
_INFERENCE = "-inference"
_HEADER = "customer,tenure_months,monthly_fee,support_calls,late_payments,churned"


def write_project(folder: str = ".") -> list[str]:
    """Write a project into `folder`, made where it is missing; return the files, relative to it, in order.

    Its jobs are named after the folder. The same folder name gives the same bytes. Never overwrites: raises
    `BadInput` naming the first file that is there already, or saying why the folder can't be written, and
    `DiskFull`; nothing that it wrote is left behind then.
    """
    folder = os.path.abspath(os.path.expanduser(folder))
    if os.path.lexists(folder) and not os.path.isdir(folder):
        raise BadInput("is a file and no folder", where=folder, cure="name a new folder")
    contents = _contents(legal_name(os.path.basename(folder), "my-model", NAME_LENGTH - len(_INFERENCE)))
    # train.py reads every file of data/train, so that a folder which is there already would be mixed in.
    for name in [*contents, "data/train"]:
        if os.path.lexists(os.path.join(folder, name)):
            raise _taken(folder, name)
    written: list[str] = []
    try:
        for name, text in contents.items():
            _write(folder, name, text, written)
    except BaseException as error:
        _undo(written)
        if isinstance(error, OSError):
            raise _refusal(error, folder) from None
        raise
    return list(contents)


def _contents(name: str) -> dict[str, str]:
    contents = {}
    for target, source in _FILES.items():
        with open(os.path.join(_SOURCES, source), encoding="utf-8") as file:
            contents[target] = file.read().replace(_NAME, name)
    contents["data/train/customers.csv"] = "".join(_customers(range(1, 601)))
    contents["data/test.csv"] = "".join(_customers(range(601, 721)))
    return contents


def _customers(numbers: range) -> Iterator[str]:
    # Made up, with what is known of churn: new, dear and annoyed customers leave.
    yield f"{_HEADER}\n"
    for number in numbers:
        chance = random.Random(number).random
        tenure = 1 + int(72 * chance() ** 1.5)
        fee = 15 + 75 * chance()
        calls = int(-1.4 * math.log(1 - chance()))
        late = int(-0.8 * math.log(1 - chance()))
        leaning = -6.5 - 0.18 * (tenure - 24) + 0.1 * (fee - 45) + 2.8 * calls + 2.5 * late
        churned = int(chance() < 1 / (1 + math.exp(-leaning)))
        yield f"C{number:05d},{tenure},{fee:.2f},{calls},{late},{churned}\n"


def _write(folder: str, name: str, text: str, written: list[str]) -> None:
    path = os.path.join(folder, name)
    _make_folder(os.path.dirname(path), written)
    with open(path, "x", encoding="utf-8", newline="\n") as file:
        written.append(path)
        file.write(text)


def _make_folder(path: str, written: list[str]) -> None:
    if os.path.isdir(path):
        return
    _make_folder(os.path.dirname(path), written)
    os.mkdir(path)
    written.append(path)


def _undo(written: list[str]) -> None:
    for path in reversed(written):
        with suppress(OSError):
            os.rmdir(path) if os.path.isdir(path) else os.unlink(path)


def _taken(folder: str, name: str) -> BadInput:
    cure = "nothing was written; name a new folder: `trainyard init my-project`"
    return BadInput("is there already", where=os.path.join(folder, name), cure=cure)


def _refusal(error: OSError, folder: str) -> Exception:
    if is_disk_full(error):
        return no_room(folder, cure="nothing was written; make room and try again")
    if isinstance(error, FileExistsError) and error.filename:
        return _taken(folder, os.path.relpath(error.filename, folder))
    cure = "name a folder that you can write in"
    return BadInput(f"can't be written: {error.strerror}", where=str(error.filename or folder), cure=cure)
