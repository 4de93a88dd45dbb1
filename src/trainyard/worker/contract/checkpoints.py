"""The checkpoint folder, which outlives attempts: the attempt counter, and how fresh its files are."""

from __future__ import annotations

import os

from ..protocol import OURS

_COUNTER = f"{OURS}attempt-"
# Empty files by which SageMaker remembers what it has copied to S3, beside each file of the script.
_MARKERS = (".sagemaker-uploading", ".sagemaker-uploaded")


def next_attempt(folder: str, host: str) -> int:
    """Counts one more attempt of `host` and returns its number; 1 for the first.

    SageMaker restores the checkpoint folder but tells nobody which attempt it is, so the count is
    kept there, in `.trainyard-attempt-<host>`: one file a host, since hosts share the folder. The
    file is replaced whole. One that cannot be understood counts as none.
    """
    path = os.path.join(folder, _COUNTER + host)
    attempt = _read_count(path) + 1
    aside = path + ".new"
    with open(aside, "w", encoding="ascii") as file:
        file.write(f"{attempt}\n")
    os.replace(aside, path)
    return attempt


def is_ours(name: str) -> bool:
    """Whether `name`, directly in the checkpoint folder, is a file of ours and not of the script."""
    return name.startswith(OURS)


def newest_checkpoint(folder: str) -> float | None:
    """When the script last wrote a checkpoint: the newest modification time of its files, in
    seconds since the epoch; None when there are none.

    Looks at every depth, follows no symbolic links (a link's own time counts), leaves our own files
    and SageMaker's marks out and passes over what vanishes meanwhile.
    """
    newest: float | None = None
    pending = [folder]
    while pending:
        current = pending.pop()
        for entry in _entries(current):
            if (current == folder and is_ours(entry.name)) or entry.name.endswith(_MARKERS):
                continue
            try:
                if entry.is_dir(follow_symlinks=False):
                    pending.append(entry.path)
                    continue
                written = entry.stat(follow_symlinks=False).st_mtime
            except OSError:
                continue
            newest = written if newest is None else max(newest, written)
    return newest


def _entries(folder: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError:
        return []


def _read_count(path: str) -> int:
    try:
        with open(path, "rb") as file:
            return max(0, int(file.read(20)))
    except (OSError, ValueError):
        return 0
