"""`requirements.txt` on a machine of the cloud: installed beside the image's own Python, and never into it.

Once a machine: a virtual environment on top of what the image has, filled by pip, from the wheels that came
with the source where there are any, and then from no index. The words for what a tool says are shared with
the local engine, which builds environments of its own.
"""

from __future__ import annotations

import os
import re
import sys
from typing import Callable, Iterator, Mapping, NamedTuple, Sequence

from ..reasons import one_line

REQUIREMENTS = "requirements.txt"
# What would send packages elsewhere than into the environment, or leave out their bytecode.
DROPPED = frozenset(
    """CONDA_PREFIX PIP_NO_COMPILE PIP_PREFIX PIP_PYTHON PIP_ROOT PIP_TARGET PYTHONDONTWRITEBYTECODE
    PYTHONHOME PYTHONPATH PYTHONPYCACHEPREFIX UV_PREFIX UV_PROJECT_ENVIRONMENT UV_PYTHON UV_SYSTEM_PYTHON
    UV_TARGET VIRTUAL_ENV __PYVENV_LAUNCHER__""".split()  # noqa: SIM905
)

_OPTION = re.compile(
    r"(?:--(requirement|constraint|editable|find-links)(?:\s*=\s*|\s+)|-([rcef])\s*=?\s*)(.+)", re.DOTALL
)
_CAUSE = re.compile(r"\s*(╰─▶|Caused by:|cause:)\s*")
_ASIDES = ("hint:", "[notice]", "WARNING:")
_UNREACHABLE = ("NewConnectionError", "ConnectTimeoutError", "NameResolutionError", "Max retries exceeded")

Run = Callable[[Sequence[str], Mapping[str, str], str], "tuple[int, bytes]"]
"""Runs a command with an environment in a folder: its wait status and the end of its output."""


class RequirementsFailed(Exception):
    """`requirements.txt` could not be installed; one line."""


class Installation(NamedTuple):
    """Where things are: the source that has the requirements, its wheels, and the environment to make."""

    source: str
    wheels: str
    folder: str

    @property
    def python(self) -> str:
        return os.path.join(self.folder, "bin", "python")


class Line(NamedTuple):
    """A logical line: its option (r, c, e, f or "" for a requirement or another option), and its value."""

    option: str
    value: str
    folder: str


def are_needed(source: str) -> bool:
    """Whether the folder has a `requirements.txt` that requires anything, itself or by `-r`."""
    path = os.path.abspath(os.path.join(source, REQUIREMENTS))
    if not os.path.isfile(path):
        return False
    lines = _read_file(path, [])
    return any(line.option in ("", "e", "r") and not line.value.startswith("-") for line in lines)


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


def _read_file(path: str, above: Sequence[str]) -> Iterator[Line]:
    if path not in above:
        with open(path, "rb") as stream:
            text = stream.read()
        yield from read_lines(text, os.path.dirname(path), [*above, path])


def install(installation: Installation, variables: Mapping[str, str], run: Run) -> None:
    """Make the environment. `variables` are the container's.

    Raises RequirementsFailed when it cannot be made, and whatever `run` raises.
    """
    environ = tool_environ(variables)
    _execute(_make(installation), environ, installation, run)
    _show_packages(installation)
    pip = ["-m", "pip", "install", "--no-input", "--disable-pip-version-check", "--progress-bar", "off"]
    command = [installation.python, *pip, *_wheels(installation.wheels), "-r", REQUIREMENTS]
    _execute(command, environ, installation, run)


def tool_environ(variables: Mapping[str, str]) -> dict[str, str]:
    """The variables for uv or pip: without those that would lead them elsewhere."""
    kept = {name: text for name, text in variables.items() if name not in DROPPED}
    # A pip configured for --user installs refuses to work in an environment; colours spoil the log.
    return {**kept, "PIP_USER": "0", "PYTHONNOUSERSITE": "1", "PYTHONUNBUFFERED": "1", "NO_COLOR": "1"}


def _make(installation: Installation) -> list[str]:
    # Seen through the environment, the image's own pip installs into it; ensurepip takes seconds.
    from importlib.util import find_spec

    options = ["--clear", *(["--without-pip"] if find_spec("pip") else [])]
    if sys.prefix == sys.base_prefix:
        options.append("--system-site-packages")
    return [sys.executable, "-m", "venv", *options, installation.folder]


def _show_packages(installation: Installation) -> None:
    """Show the image's packages where its Python is a virtual environment: venv looks below that one."""
    if sys.prefix == sys.base_prefix:
        return
    folders = [path for path in sys.path if os.path.basename(path) in ("site-packages", "dist-packages")]
    version = "python{}.{}".format(*sys.version_info[:2])
    path = os.path.join(installation.folder, "lib", version, "site-packages", "image.pth")
    with open(path, "w", encoding="utf-8") as stream:
        stream.writelines(f"import site; site.addsitedir({folder!r})\n" for folder in folders)


def _wheels(folder: str) -> list[str]:
    try:
        found = any(name.endswith(".whl") for name in os.listdir(folder))
    except FileNotFoundError:
        return []
    return ["--no-index", "--find-links", folder] if found else []


def _execute(
    command: Sequence[str], environ: Mapping[str, str], installation: Installation, run: Run
) -> None:
    status, output = run(command, environ, installation.source)
    if status:
        text = output.decode("utf-8", "replace")
        cause = tool_error(text) or f"{os.path.basename(command[0])} ended with status {status}"
        if "No module named ensurepip" in text or "ensurepip is not" in text:
            cause = "the image's Python has neither pip nor ensurepip; add pip to the image"
        elif any(sign in text for sign in _UNREACHABLE):
            cause += " (the package index cannot be reached from here)"
        raise RequirementsFailed(f"{REQUIREMENTS} could not be installed: {cause}")


def tool_error(output: str) -> str:
    """The sentence of uv's or pip's output that says why it failed."""
    plain = re.sub(r"\x1b\[[0-9;]*m", "", output).replace("\r", "\n")
    lines = [line.rstrip() for line in plain.split("\n") if not line.lstrip().startswith(_ASIDES)]
    causes = [n for n, line in enumerate(lines) if _CAUSE.match(line)]
    if causes:
        return _join_cause(lines[causes[-1] :])
    errors = [line for line in lines if re.match(r"\s*error:", line, re.IGNORECASE)]
    said = [line for line in lines if line]
    return one_line((errors or said or [""])[-1])


def _join_cause(lines: list[str]) -> str:
    """A cause that uv wrapped over several lines; with the last line of the build that it quotes, if any."""
    end = lines.index("") if "" in lines else len(lines)
    cause = one_line(_CAUSE.sub("", " ".join(lines[:end])))
    quoted = [line for line in lines[end:] if line] if any("[stderr]" in line for line in lines) else []
    return f"{cause}: {quoted[-1].strip()}" if quoted else cause
