"""What a training run has left in its folder: its model, what it wrote to `output/data`, its checkpoints."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import partial

from ...core.ports.store import CHECKPOINTS, MODEL, OUTPUT, Copied, Part
from ...core.runs.run import Run
from ...machine.copying import clone_or_copy
from ...machine.jobfiles import JobFile, collect, is_absent
from .runfolder import RunPaths

_PATHS = {MODEL: "model", OUTPUT: "output/data", CHECKPOINTS: "checkpoints"}
_NOTHING = "nothing was written"
_BLOCK = 1 << 20


def of(run: Run) -> dict[str, Part | str]:
    """Each by its name; a text says why there is none. Of its attempts the newest that left any counts."""
    return {name: _newest(run, name) for name in _PATHS}


def _newest(run: Run, name: str) -> Part | str:
    if name != CHECKPOINTS and not run.state.ended:
        return f"the run is {run.state}"
    if not os.path.isdir(run.folder):
        return f"{run.folder} is gone"
    paths = RunPaths(run.folder)
    numbers = os.listdir(paths.attempts) if os.path.isdir(paths.attempts) else []
    for number in sorted((int(each) for each in numbers if each.isdecimal()), reverse=True):
        hosts = _hosts(run, paths, number, name)
        if any(collect([folder]) for folder in hosts.values()):
            return Part(partial(gather, hosts))
    return _NOTHING


def _hosts(run: Run, paths: RunPaths, number: int, name: str) -> dict[str, JobFile]:
    """The folder of each host, in which links are followed as its script could follow them."""
    count = 1 if name == CHECKPOINTS else run.training.resources.instance_count
    mounts = {"checkpoints": paths.checkpoints} if os.path.isdir(paths.checkpoints) else {}
    hosts = [f"algo-{index + 1}" for index in range(count)]
    roots = {host: os.path.join(paths.task(number, host), "ml") for host in hosts}
    return {host: JobFile(root, _PATHS[name], mounts) for host, root in roots.items() if os.path.isdir(root)}


def gather(hosts: Mapping[str, JobFile], target: str) -> Copied:
    """Copy the hosts' folders into one new folder. What a host wrote otherwise than one before it lies below
    the host's name; what cannot be read is told. Raises OSError, and then what was copied stays."""
    lost: list[str] = []
    files = size = 0
    os.makedirs(target)
    for host, folder in hosts.items():
        for name, file in sorted(collect([folder], lost.append).items()):
            try:
                copied = _copy(file, name, target, host)
            except OSError as error:
                if not is_absent(error):
                    raise
                lost.append(name)
                continue
            files, size = files + (copied is not None), size + (copied or 0)
    return Copied(files, size, tuple(sorted(set(lost))))


def _copy(file: JobFile, name: str, target: str, host: str) -> int | None:
    """Copy a file, or make an empty folder; the bytes of a file that was not there."""
    if name.endswith("/"):
        _make(os.path.join(target, name), os.path.join(target, host, name))
        return None
    with file.open() as stream:
        place = os.path.join(target, name)
        if os.path.isfile(place) and _is_same(place, f"/dev/fd/{stream.fileno()}"):
            return None
        aside = os.path.join(target, host, name)
        folder = _make(os.path.dirname(place), os.path.dirname(aside))
        place = os.path.join(folder, os.path.basename(name))
        if os.path.lexists(place):
            place = os.path.join(_make(os.path.dirname(aside)), os.path.basename(name))
        clone_or_copy(f"/dev/fd/{stream.fileno()}", place)
    return os.stat(place).st_size


def _make(folder: str, instead: str = "") -> str:
    """The folder, made; the other one where a file is in the way."""
    try:
        os.makedirs(folder, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        if not instead:
            raise
        return _make(instead)
    return folder


def _is_same(one: str, two: str) -> bool:
    with open(one, "rb") as first, open(two, "rb") as second:
        while block := first.read(_BLOCK):
            if block != second.read(_BLOCK):
                return False
        return not second.read(1)
