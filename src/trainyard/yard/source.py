"""A source folder as the content that a run is made from: which files, and the hash that names them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, NamedTuple

from ..core.errors import BadInput
from ..core.files.trees import is_within, source_hash, told_of_links_out
from ..core.jobs.job import Job
from ..core.jobs.sources import is_remote
from ..core.ports.store import SourceFile
from ..core.runs.run import Run
from ..worker.protocol import OUTPUT_MANIFEST

if TYPE_CHECKING:
    from pathspec import PathSpec

IGNORE_FILE = ".trainyardignore"
_NEVER = frozenset(
    {
        ".git",
        ".hg",
        ".svn",
        "__pycache__",
        ".venv",
        ".mypy_cache",
        ".ruff_cache",
        ".pytest_cache",
        ".DS_Store",
    }
    | {".ipynb_checkpoints", "node_modules", ".trainyard"}
)
LARGEST = 1 << 30
"""Bytes that a source folder may hold: more is data that belongs in a channel."""


class Source(NamedTuple):
    """The files that a run is made from, by name, and the hash of them all."""

    files: list[SourceFile]
    hash: str


def read(job: Job, *, leave_out: Sequence[str] = ()) -> Source:
    """The source of a job: its folder, and its dependencies beside what is in that. Raises `BadInput` as
    `source_files` does, for a script that is left out, and for a dependency of a name that is there already.
    """
    files = source_files(job.source_dir, leave_out=leave_out)
    for path in job.dependencies:
        files = sorted([*files, *_beside(files, path, f"{job.section}.dependencies", leave_out)])
    if sum(file.size for file in files) > LARGEST:
        raise _too_large(job.source_dir, files)
    if os.path.normpath(job.script) not in {file.name for file in files}:
        raise BadInput(
            f"{job.script} is left out of the source that a run is made from",
            key=job.script_key,
            cure=f"look at {IGNORE_FILE} and at the folders of the channels",
        )
    return Source(files, code_hash(files))


def _beside(
    files: Sequence[SourceFile], path: str, key: str, leave_out: Sequence[str]
) -> Iterator[SourceFile]:
    """The files of a dependency, under its own name."""
    top = os.path.basename(os.path.normpath(path))
    if top in {file.name.partition("/")[0] for file in files}:
        problem = f"{path} would lie where another {top} of the source lies"
        raise BadInput(problem, key=key, cure="rename one of them")
    if os.path.isdir(path):
        for file in source_files(path, leave_out=leave_out):
            yield file._replace(name=f"{top}/{file.name}")
    else:
        status = os.stat(path)
        yield SourceFile(top, path, bool(status.st_mode & 0o100), status.st_size)


def source_files(folder: str, *, leave_out: Sequence[str] = ()) -> list[SourceFile]:
    """The files of a source folder, by name: without version control, virtual environments, caches, what
    `.trainyardignore` names (gitignore's syntax) and the folders or files in `leave_out` (absolute paths).
    Symbolic links are followed within the folder.

    Raises `BadInput` for a folder over `LARGEST` bytes, naming the largest file so far, and for a link
    that leads out of the folder or back to a folder above it.
    """
    outside = {os.path.realpath(path) for path in leave_out} - {os.path.realpath(folder)}
    ignored = _ignored(folder)
    files, total = [], 0
    for file in _walk(folder, "", outside, ignored, (os.path.realpath(folder),)):
        files.append(file)
        total += file.size
        if total > LARGEST:
            raise _too_large(folder, files)
    return sorted(files)


def _too_large(folder: str, files: Sequence[SourceFile]) -> BadInput:
    biggest = max(files, key=lambda file: file.size)
    return BadInput(
        f"the source folder holds more than {LARGEST >> 20} MiB",
        where=folder,
        cure=f"name what is no code in {IGNORE_FILE}, {biggest.name} first",
    )


def going_along(run: Run) -> list[str]:
    """A line for each folder of this machine that a run reads and out of which links lead."""
    places = [*(each.uri for each in run.channels.values()), run.model_uri, run.input]
    here = [place for place in places if place and not is_remote(place)]
    return [line for line in map(told_of_links_out, here) if line]


def code_hash(files: Sequence[SourceFile]) -> str:
    """The `source_hash` (`core.files.trees`) of the files of a source folder."""
    try:
        return source_hash((file.name, file.path, file.executable) for file in files)
    except OSError as error:
        raise BadInput(f"cannot be read: {error.strerror}", where=str(error.filename)) from None


def _ignored(folder: str) -> PathSpec[Any] | None:
    path = os.path.join(folder, IGNORE_FILE)
    if not os.path.exists(path):
        return None
    try:
        with open(path, encoding="utf-8") as stream:
            lines = [line for line in stream if line.strip() and not line.startswith("#")]
        if not lines:
            return None
        from pathspec import GitIgnoreSpec  # 25 ms, for those alone who have patterns

        return GitIgnoreSpec.from_lines(lines)
    except (OSError, ValueError) as error:
        raise BadInput(f"cannot be read: {error}", where=path) from None


def _walk(
    folder: str, prefix: str, outside: set[str], ignored: PathSpec[Any] | None, above: tuple[str, ...]
) -> Iterator[SourceFile]:
    try:
        entries = list(os.scandir(folder))
    except OSError as error:
        raise BadInput(f"cannot be read: {error.strerror}", where=folder) from None
    for entry in entries:
        name = prefix + entry.name
        if entry.name in _NEVER or (outside and _place(entry, above) in outside):
            continue
        if entry.is_dir():
            if not _is_no_source(entry.path) and not _matches(ignored, name + "/"):
                _refuse_way_out(entry, above)
                inner = (*above, _real_path(entry, above))
                yield from _walk(entry.path, name + "/", outside, ignored, inner)
        elif entry.is_file() and not _matches(ignored, name):
            _refuse_way_out(entry, above)
            # A file that goes away while the folder is read is none of its files.
            with suppress(FileNotFoundError):
                status = entry.stat()
                yield SourceFile(name, entry.path, bool(status.st_mode & 0o100), status.st_size)


def _place(entry: os.DirEntry[str], above: tuple[str, ...]) -> str:
    """The real path of an entry of the folder whose real path is the last of `above`."""
    return os.path.realpath(entry.path) if entry.is_symlink() else os.path.join(above[-1], entry.name)


def _refuse_way_out(entry: os.DirEntry[str], above: tuple[str, ...]) -> None:
    """A source is what is in its folder: by a link, anything that its submitter may read would go along."""
    if entry.is_symlink() and not is_within(real := os.path.realpath(entry.path), above[0]):
        raise BadInput(
            f"is a link that leads out of the source folder, to {real}",
            where=entry.path,
            cure=f"name that in dependencies and the link in {IGNORE_FILE}, or have source_dir hold both",
        )


def _real_path(entry: os.DirEntry[str], above: tuple[str, ...]) -> str:
    real = _place(entry, above)
    if real in above:
        raise BadInput(
            "a symbolic link leads back to a folder above it",
            where=entry.path,
            cure=f"remove it, or name it in {IGNORE_FILE}",
        )
    return real


def _matches(ignored: PathSpec[Any] | None, name: str) -> bool:
    return ignored is not None and ignored.match_file(name)


def _is_no_source(folder: str) -> bool:
    """Whether it is a virtual or conda environment, the predictions of an earlier run or another home."""
    marks = ("pyvenv.cfg", "conda-meta", OUTPUT_MANIFEST, "ledger.sqlite")
    return any(os.path.exists(os.path.join(folder, mark)) for mark in marks)
