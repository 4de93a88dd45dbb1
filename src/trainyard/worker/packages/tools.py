"""uv and pip: what they may see of the environment, and what they mean by what they say."""

from __future__ import annotations

import os
import re
import shutil
from typing import Mapping

from ..reasons import one_line

# What would send packages elsewhere than into the environment, or leave out their bytecode.
DROPPED = frozenset(
    """CONDA_PREFIX PIP_NO_COMPILE PIP_PREFIX PIP_PYTHON PIP_ROOT PIP_TARGET PYTHONDONTWRITEBYTECODE
    PYTHONHOME PYTHONPATH PYTHONPYCACHEPREFIX UV_PREFIX UV_PROJECT_ENVIRONMENT UV_PYTHON UV_SYSTEM_PYTHON
    UV_TARGET VIRTUAL_ENV __PYVENV_LAUNCHER__""".split()  # noqa: SIM905
)

_CAUSE = re.compile(r"\s*(╰─▶|Caused by:|cause:)\s*")
_ASIDES = ("hint:", "[notice]", "WARNING:")
_UNREACHABLE = ("NewConnectionError", "ConnectTimeoutError", "NameResolutionError", "Max retries exceeded")


class RequirementsFailed(Exception):
    """What a source requires could not be installed; one line."""


def tool_environ(variables: Mapping[str, str]) -> dict[str, str]:
    """The variables for uv or pip: without those that would lead them elsewhere."""
    kept = {name: text for name, text in variables.items() if name not in DROPPED}
    # A pip configured for --user installs refuses to work in an environment; colours spoil the log.
    return {**kept, "PIP_USER": "0", "PYTHONNOUSERSITE": "1", "PYTHONUNBUFFERED": "1", "NO_COLOR": "1"}


def find_uv(environ: Mapping[str, str]) -> str:
    """The path of uv: on the PATH, else the one that is installed beside us; "" where there is none."""
    found = shutil.which("uv", path=environ.get("PATH", os.defpath))
    if found:
        return found
    try:
        # The extra `env` of the laptop's, or the image's own: it may not be there.
        import uv

        return str(uv.find_uv_bin())
    except (ImportError, FileNotFoundError):
        return ""


def failed(what: str, command: str, status: int, output: bytes) -> RequirementsFailed:
    """Why `what` could not be installed by a tool that ended with a status other than 0."""
    text = output.decode("utf-8", "replace")
    cause = tool_error(text) or f"{os.path.basename(command)} ended with status {status}"
    if "No module named ensurepip" in text or "ensurepip is not" in text:
        cause = "the Python has neither pip nor ensurepip; install pip for it"
    elif any(sign in text for sign in _UNREACHABLE):
        cause += " (the package index cannot be reached from here)"
    return RequirementsFailed(f"{what} could not be installed: {cause}")


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
