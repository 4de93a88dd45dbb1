"""The limits of where a job's program comes from: its folder, its script, what goes along, its Python."""

from __future__ import annotations

import os.path
import re
from typing import Any

from ..checks import check_boolean, check_list, check_text, show
from ..errors import BadInput

PATH_LENGTH = 256
"""Of an entry script or handler: an item of ContainerArguments (TrainingContainerArgument), in one line."""
LOCAL_PATH_LENGTH = 4_096
"""Of a path on this machine: Linux's PATH_MAX."""
DEPENDENCIES = 100
"""trainyard's own: more belong in a folder."""
LINE_BREAKS = "\n\r\u0085\u2028\u2029"


def is_remote(text: str) -> bool:
    """Whether `text` is a URL (`s3://…`) and no path on this machine."""
    return re.match(r"[A-Za-z][A-Za-z0-9+.\-]*://", text) is not None


def check_source(job: Any) -> None:
    """Raise `BadInput` for the first field of a job that cannot say where its program comes from."""
    section = job.section
    _check_path(job.source_dir, f"{section}.source_dir", "write '.' for this folder")
    check_list(job.dependencies, f"{section}.dependencies", DEPENDENCIES, _check_dependency)
    check_script(job.script, job.script_key, only_python=section == "infer")
    check_text(job.python, f"{section}.python", 0, LOCAL_PATH_LENGTH)
    check_boolean(job.isolated, f"{section}.isolated")


def check_script(path: Any, key: str, *, only_python: bool) -> None:
    """Refuse what is no path in `source_dir`; a handler is a module, an entry script may be any program."""
    what = "a .py file" if only_python else "a file"
    check_text(path, key, 1, PATH_LENGTH, cure=f"name {what} in source_dir")
    if os.path.isabs(path) or path.startswith("~"):
        problem = f"{show(path)} is not relative to source_dir"
    elif os.path.normpath(path).split(os.sep)[0] == os.pardir:
        problem = f"{show(path)} is outside of source_dir"
    elif (
        not os.path.basename(path)
        or os.path.basename(path) == ".py"
        or (only_python and not path.endswith(".py"))
    ):
        problem = f"{show(path)} is no {'Python file' if only_python else 'file'}"
    elif any(char in path for char in LINE_BREAKS):
        problem = f"{show(path)} has a line break"
    else:
        return
    raise BadInput(problem, key=key, cure=f"name {what} in source_dir")


def _check_dependency(path: Any, key: str) -> None:
    _check_path(path, key, "name a folder or file to go beside those of source_dir")
    if os.path.basename(os.path.normpath(path)) in ("", ".", ".."):
        cure = "name the folder, which goes beside the files of source_dir under its own name"
        raise BadInput(f"{show(path)} has no name of its own", key=key, cure=cure)


def _check_path(path: Any, key: str, cure: str) -> None:
    check_text(path, key, 1, LOCAL_PATH_LENGTH, cure=cure)
    if is_remote(path):
        raise BadInput(f"{show(path)} is no path on this machine", key=key, cure=cure)
