"""Whether the paths that a job names are there, before anything is started."""

from __future__ import annotations

import os
from typing import TypeVar

from ..errors import BadInput, nearest
from ..files.trees import is_within
from .job import InferenceJob, Job, TrainingJob
from .limits import is_dataset_reference
from .sources import is_remote

_Any = TypeVar("_Any", TrainingJob, InferenceJob)


def from_anywhere(job: _Any) -> _Any:
    """The job with paths that mean the same from another folder, from where its run may be resumed."""
    along = tuple(map(os.path.abspath, job.dependencies))
    python = os.path.abspath(os.path.expanduser(job.python)) if os.sep in job.python else job.python
    return job.replace(source_dir=os.path.abspath(job.source_dir), dependencies=along, python=python)


def check_paths(job: Job) -> None:
    """Raise `BadInput` naming the key for a path of the job that isn't there: source, what goes along with
    it, script, local channels.

    Relative paths are relative to the current folder. A channel's folder must have a file in it. Data set
    references and URLs are left to those who can look them up.
    """
    _check_source(job.source_dir, f"{job.section}.source_dir")
    for path in job.dependencies:
        _check_there(path, f"{job.section}.dependencies", "it is relative to the job file")
    _check_script(job.source_dir, job.script, job.script_key)
    if isinstance(job, TrainingJob):
        for name, source in job.channels.items():
            if not is_dataset_reference(source) and not is_remote(source):
                _check_channel(os.path.expanduser(source), f"train.channels.{name}")


def _check_source(folder: str, key: str) -> None:
    if not os.path.exists(folder):
        raise BadInput(f"no such folder: {folder}", key=key, cure="it is relative to the job file")
    if not os.path.isdir(folder):
        raise BadInput(f"is a file and no folder: {folder}", key=key)
    if not os.access(folder, os.R_OK | os.X_OK):
        raise BadInput(f"can't be read: {folder}", key=key, cure="mind its permissions")


def _check_script(folder: str, script: str, key: str) -> None:
    path = os.path.join(folder, script)
    if not os.path.isfile(path):
        there = sorted(os.listdir(folder))
        raise BadInput(
            f"no such file: {path}", key=key, cure=nearest(script, there) or "it is relative to source_dir"
        )
    if not os.access(path, os.R_OK):
        raise BadInput(f"can't be read: {path}", key=key, cure="mind its permissions")


def _check_there(path: str, key: str, cure: str) -> None:
    if not os.path.exists(path):
        raise BadInput(f"no such file or folder: {path}", key=key, cure=cure)
    if not os.access(path, os.R_OK):
        raise BadInput(f"can't be read: {path}", key=key, cure="mind its permissions")


def _check_channel(path: str, key: str) -> None:
    _check_there(path, key, "a path is relative to the job file, a data set is name@version")
    if os.path.isdir(path) and not any(files for _, _, files in os.walk(path)):
        raise BadInput(
            f"the folder is empty: {path}", key=key, cure="put the data there, or leave the channel out"
        )


def is_inside(place: str, folder: str) -> bool:
    """Whether a place is the folder or lies in it: both on this machine, links followed, or both in S3."""
    if is_remote(place) or is_remote(folder):
        return place.startswith(folder.rstrip("/") + "/")
    return is_within(os.path.realpath(place), os.path.realpath(folder))
