"""What a source requires: its `requirements.txt`, and the source itself where that is a package.

The one reader of requirements, for everybody who asks whether there are any, what they name on this machine
and what is to be installed.
"""

from __future__ import annotations

import os
import re
from typing import Iterator, NamedTuple, Sequence

REQUIREMENTS = "requirements.txt"
PACKAGE = ("setup.py", "pyproject.toml")

_OPTION = re.compile(
    r"(?:--(requirement|constraint|editable|find-links)(?:\s*=\s*|\s+)|-([rcef])\s*=?\s*)(.+)", re.DOTALL
)
_BUILD_SYSTEM = re.compile(rb"^\s*\[\s*build-system\s*\]", re.MULTILINE)


class Line(NamedTuple):
    """A logical line: its option (r, c, e, f or "" for a requirement or another option), and its value."""

    option: str
    value: str
    folder: str


def are_needed(source: str) -> bool:
    """Whether the folder requires anything: in its `requirements.txt`, itself or by `-r`, or as a package."""
    return any(line.option in ("", "e", "r") and not line.value.startswith("-") for line in lines(source))


def lines(source: str) -> Iterator[Line]:
    """All that the folder requires, as the logical lines of one list; `.` where it is a package."""
    path = os.path.abspath(os.path.join(source, REQUIREMENTS))
    if os.path.isfile(path):
        yield from _read_file(path, [])
    if is_package(source):
        yield Line("", ".", os.path.dirname(path))


def wanted(source: str) -> list[str]:
    """The arguments with which pip and uv, in the folder, install all that it requires."""
    listed = ["-r", REQUIREMENTS] if os.path.isfile(os.path.join(source, REQUIREMENTS)) else []
    return [*listed, *(["."] if is_package(source) else [])]


def what_of(source: str) -> str:
    """What the folder requires packages by, in the words of an error."""
    names = (REQUIREMENTS, *PACKAGE)
    return next((name for name in names if os.path.isfile(os.path.join(source, name))), "the environment")


def is_package(source: str) -> bool:
    """Whether the folder is a package to be installed: it has a `setup.py`, or a `pyproject.toml` that names
    its build system.

    A `pyproject.toml` without one, as linters and uv's applications have it, makes no package.
    """
    setup, project = (os.path.join(source, name) for name in PACKAGE)
    if os.path.isfile(setup):
        return True
    try:
        with open(project, "rb") as stream:
            return _BUILD_SYSTEM.search(stream.read()) is not None
    except OSError:
        return False


def read_lines(text: bytes, folder: str, above: Sequence[str]) -> Iterator[Line]:
    """Logical lines as pip reads them, those of `-r` files in place of their line, `-c` lines as they are.

    A file that is one of `above`, paths that are being read, is not read again.
    """
    joined = re.sub(r"\\\r?\n", "", text.decode("utf-8-sig", "surrogateescape"))
    for raw in joined.splitlines():
        value = re.sub(r"(^|\s+)#.*$", "", raw).strip()
        if not value:
            continue
        match = _OPTION.fullmatch(value)
        if not match:
            yield Line("", value, folder)
            continue
        line = Line((match[1] or match[2])[0], match[3].strip("\"'"), folder)
        path = os.path.abspath(os.path.join(folder, line.value))
        # What is no file is a URL, or for the tool to complain about.
        if line.option == "r" and (path in above or os.path.isfile(path)):
            yield from _read_file(path, above)
        else:
            yield line


def local_path(line: Line, source: str) -> str:
    """The file or folder of this machine that the line names; "" when it names none."""
    value = re.split(r"\s+;|\s+--", line.value)[0].strip()
    if not line.option:
        if value.startswith("-"):
            return ""
        value = value.partition(" @ ")[2].strip() or value
        if not re.match(r"\.{1,2}(/|\[|$)|/|file:", value) and not re.search(r"\.(whl|zip|tar\.gz)$", value):
            return ""
    value = re.sub(r"^file:(//(localhost)?(?=/))?", "", value)
    value = re.sub(r"\[[^\]/]*\]$", "", value)
    for folder in (line.folder, source):
        path = os.path.abspath(os.path.join(folder, value))
        if value and os.path.exists(path):
            return path
    return ""


def _read_file(path: str, above: Sequence[str]) -> Iterator[Line]:
    if path not in above:
        with open(path, "rb") as stream:
            text = stream.read()
        yield from read_lines(text, os.path.dirname(path), [*above, path])
