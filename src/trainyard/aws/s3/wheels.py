"""Wheels for a network without internet: collected here, sent with the source, installed there.

Sources change more often than what they require. So a set of wheels is kept on this machine under what was
asked for, and in the model bucket under what it holds; beside a new source it is copied within the bucket.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence

from ...core.environments.facts import CODE
from ...core.errors import BadInput
from ...core.files import trees
from ...core.files.caches import private_cache
from ...core.ports.store import SourceFile
from ...worker.cloud import requirements
from ..account import parallel
from ..account.deployment import LEAN, Deployment
from ..account.session import Session
from ..images.releases import DEFAULT
from . import objects, transfers

PLATFORMS = ("manylinux_2_28_x86_64", "manylinux_2_17_x86_64", "manylinux2014_x86_64")
"""What the images of the Deep Learning Containers, on Ubuntu 22.04, can load."""
_WHEELHOUSES = f"{CODE}wheels/"
_FAILED = re.compile(r"No matching distribution found for (?P<name>.+)")


def are_needed(files: Sequence[SourceFile], deployment: Deployment) -> bool:
    """Whether jobs of that source need wheels: it requires packages, and no package index can be reached."""
    wanted = _requirements(files)
    if deployment.network_profile != LEAN or wanted is None:
        return False
    return requirements.are_needed(os.path.dirname(wanted.path))


def send(
    session: Session,
    bucket: str,
    prefix: str,
    files: Sequence[SourceFile],
    there: Mapping[str, int],
    progress: transfers.Progress | None,
) -> None:
    """Have all wheels that the source requires lie below `prefix`, whose keys and sizes are `there`.

    Raises `BadInput` naming the requirement that has no wheel, or what else pip says.
    """
    if any(key.startswith(prefix) for key in there):
        return
    wanted = _requirements(files)
    assert wanted is not None
    wheels = trees.hash_files(_collected(wanted.path, files))
    house = f"{_WHEELHOUSES}{trees.hash_of(wheels).hash}/"
    kept = dict(objects.sizes(session, bucket, house))
    transfers.upload(session, bucket, house, wheels, there=kept, progress=progress)

    def copy(wheel: trees.HashedFile) -> None:
        transfers.copy(session, bucket, house + wheel.relative, prefix + wheel.relative, wheel.size)

    parallel.each(copy, wheels)


def _requirements(files: Sequence[SourceFile]) -> SourceFile | None:
    return next((file for file in files if file.name == requirements.REQUIREMENTS), None)


def _collected(path: str, files: Sequence[SourceFile]) -> str:
    """A folder of this machine's with the wheels that a `requirements.txt` and the lists it names ask for."""
    digest = hashlib.sha256("\0".join([DEFAULT.python, *PLATFORMS]).encode())
    for file in files:
        if file.name.endswith(".txt"):
            digest.update(
                f"{file.name}\0{trees.hash_file(file.path)[0]}\n".encode("utf-8", "surrogateescape")
            )
    asked = digest.hexdigest()
    folder = private_cache("wheels", asked)
    if os.path.isdir(folder):
        return folder
    os.makedirs(os.path.dirname(folder), exist_ok=True)
    aside = tempfile.mkdtemp(dir=os.path.dirname(folder))
    try:
        _download(path, aside)
        os.rename(aside, folder)
    except OSError:
        if not os.path.isdir(folder):  # another command has just collected the same
            raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return folder


def _download(path: str, folder: str) -> None:
    options = ["--quiet", "--disable-pip-version-check", "--no-input", "--only-binary", ":all:"]
    options += ["--python-version", DEFAULT.python]
    options += [word for platform in PLATFORMS for word in ("--platform", platform)]
    done = subprocess.run(
        [sys.executable, "-m", "pip", "download", *options, "--dest", folder, "--requirement", path],
        cwd=os.path.dirname(path),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    if done.returncode == 0:
        return
    wheels = f"wheels for Python {DEFAULT.python}"
    cure = f"its jobs reach no package index, and what it requires has to have {wheels}"
    found = _FAILED.search(done.stderr)
    if found:
        raise BadInput(f"{found['name'].strip()} has no wheel for Linux", where=path, cure=cure)
    raise BadInput(
        f"its wheels could not be collected: {requirements.tool_error(done.stderr)}", where=path, cure=cure
    )
