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
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from ...core.environments.facts import CODE
from ...core.errors import BadInput
from ...core.files import trees
from ...core.files.caches import private_cache
from ...core.ports.store import SourceFile
from ...worker import protocol
from ...worker.packages import requirements
from ...worker.packages.tools import tool_error
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
    if deployment.network_profile != LEAN:
        return False
    with _laid_out(files) as source:
        return requirements.are_needed(source)


def send(
    session: Session,
    bucket: str,
    prefix: str,
    files: Sequence[SourceFile],
    there: Mapping[str, int],
    progress: transfers.Progress | None,
) -> str:
    """Have all wheels that the source requires lie in a folder below `prefix`, whose keys and sizes are
    `there`, that is named by their hash (hex); the hash.

    Raises `BadInput` naming the requirement that has no wheel, or what else pip says.
    """
    folder = _collected(files)
    content = os.path.basename(folder)
    house, place = f"{_WHEELHOUSES}{content}/", f"{prefix}{content}/"
    found = (each for each in trees.walk(folder) if not os.path.isdir(each.path))
    sizes = {each.relative: each.status.st_size for each in found}
    missing = [name for name, size in sizes.items() if there.get(place + name) != size]
    if not missing:
        return content
    kept = dict(objects.sizes(session, bucket, house))
    transfers.upload(session, bucket, house, trees.hash_files(folder), there=kept, progress=progress)

    def copy(name: str) -> None:
        transfers.copy(session, bucket, house + name, place + name, sizes[name])

    parallel.each(copy, missing)
    return content


def _collected(files: Sequence[SourceFile]) -> str:
    """A folder of this machine's with the wheels that a source asks for, by the name of their hash: it is the
    user's alone, and they are not read again."""
    with _laid_out(files) as source:
        asked = _asked(files, is_package=requirements.is_package(source))
        folder = private_cache("wheels", asked)
        if os.path.isdir(folder):
            return os.path.join(folder, *os.listdir(folder))
        os.makedirs(os.path.dirname(folder), exist_ok=True)
        aside = tempfile.mkdtemp(dir=os.path.dirname(folder))
        try:
            wheels = os.path.join(aside, "wheels")
            os.mkdir(wheels)
            _download(source, _where(files), wheels)
            os.rename(wheels, os.path.join(aside, trees.hash_tree(wheels).hash))
            os.rename(aside, folder)
        except OSError:
            if not os.path.isdir(folder):  # another command has just collected the same
                raise
        finally:
            shutil.rmtree(aside, ignore_errors=True)
        return os.path.join(folder, *os.listdir(folder))


def _asked(files: Sequence[SourceFile], *, is_package: bool) -> str:
    """What decides on the wheels, hashed: the lists of requirements, and all of a package."""
    digest = hashlib.sha256("\0".join(["by hash", DEFAULT.python, *PLATFORMS]).encode())
    for file in files:
        if is_package or file.name.endswith(".txt"):
            content, _ = trees.hash_file(file.path)
            digest.update(f"{file.name}\0{content}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()


@contextmanager
def _laid_out(files: Sequence[SourceFile]) -> Iterator[str]:
    """A folder of links that shows the source as its jobs see it."""
    with tempfile.TemporaryDirectory() as folder:
        for file in files:
            path = os.path.join(folder, file.name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            os.symlink(os.path.abspath(file.path), path)
        yield folder


def _where(files: Sequence[SourceFile]) -> str:
    """The file of the user's that an error about requirements is about."""
    by_name = {file.name: file.path for file in files}
    names = (requirements.REQUIREMENTS, *requirements.PACKAGE)
    return next(by_name[name] for name in names if name in by_name)


def _download(source: str, where: str, folder: str) -> None:
    wanted = requirements.wanted(source)
    if requirements.is_package(source):
        own = _built(source, where, os.path.join(folder, protocol.OWN_WHEELS))
        wanted = [own if word == "." else word for word in wanted]
    options = ["--only-binary", ":all:", "--python-version", DEFAULT.python]
    options += [word for platform in PLATFORMS for word in ("--platform", platform)]
    _run_pip(source, where, ["download", *options, "--dest", folder, *wanted])


def _built(source: str, where: str, folder: str) -> str:
    """The wheel of a source that is a package itself: jobs that reach no index cannot build it."""
    _run_pip(source, where, ["wheel", "--no-deps", "--wheel-dir", folder, "."])
    [name] = os.listdir(folder)
    if not name.endswith("-none-any.whl"):
        cure = "its jobs reach no package index and cannot build it: require what is compiled"
        raise BadInput(f"makes {name}, which is for this machine alone", where=where, cure=cure)
    return os.path.join(folder, name)


def _run_pip(source: str, where: str, words: Sequence[str]) -> None:
    verb, *rest = words
    quiet = ["--quiet", "--disable-pip-version-check", "--no-input"]
    done = subprocess.run(
        [sys.executable, "-m", "pip", verb, *quiet, *rest],
        cwd=source,
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
        raise BadInput(f"{found['name'].strip()} has no wheel for Linux", where=where, cure=cure)
    raise BadInput(f"its wheels could not be collected: {tool_error(done.stderr)}", where=where, cure=cure)
