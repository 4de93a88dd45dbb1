"""The checkpoint folder, which outlives attempts and is the script's alone: how fresh its files are."""

from __future__ import annotations

import os
from typing import Callable, Iterable

from ..protocol import former_history_file

# Empty files by which SageMaker remembers what it has copied to S3, beside each file of the script.
_MARKERS = (".sagemaker-uploading", ".sagemaker-uploaded")
_SHOWN = 3


def remove_former(folder: str, hosts: Iterable[str]) -> None:
    """Remove what we ourselves wrote into the checkpoint folder at first: a counter and a history a host.

    A script takes what it finds there for a checkpoint.
    """
    for host in hosts:
        counter, history = f".trainyard-attempt-{host}", former_history_file(host)
        for name in (counter, f"{counter}.new", history, f"{history}.sagemaker-ignore"):
            try:
                os.unlink(os.path.join(folder, name))
            except FileNotFoundError:
                pass


def newest_checkpoint(folder: str) -> float | None:
    """When the script last wrote a checkpoint: the newest modification time of its files, in
    seconds since the epoch; None when there are none.

    Looks at every depth, follows no symbolic links (a link's own time counts), leaves SageMaker's marks
    out and passes over what vanishes meanwhile.
    """
    newest: float | None = None
    pending = [folder]
    while pending:
        for entry in _entries(pending.pop()):
            if entry.name.endswith(_MARKERS):
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


def lost_in_s3(folder: str) -> list[str]:
    """The warning for checkpoints that do not come back from S3 as they are; none where all do."""
    found = []
    for place, folders, names in os.walk(folder):
        if place != folder and not folders and not names:
            found.append((place, "an empty folder"))
        for path in [os.path.join(place, name) for name in (*folders, *names)]:
            if os.path.islink(path):
                found.append((path, "a link"))
            elif _mode(path) & 0o111 and not os.path.isdir(path):
                found.append((path, "executable"))
    if not found:
        return []
    shown = [
        f"{ascii(os.path.relpath(path, folder))[1:-1]} ({what})" for path, what in sorted(found)[:_SHOWN]
    ]
    more = [f"{len(found) - _SHOWN} more"] if len(found) > _SHOWN else []
    return [f"S3 keeps the content of checkpoints alone, and gives back otherwise: {', '.join(shown + more)}"]


def _mode(path: str) -> int:
    try:
        return os.lstat(path).st_mode
    except OSError:
        return 0


def copy_in(source: str, folder: str, check: Callable[[], object]) -> None:
    """Copy another run's checkpoints, in `source`, into the checkpoint folder; nothing where there are none.
    `check` is called before each file, and may raise."""
    import shutil  # costs 3 ms, for the runs that start from another's alone

    for place, _, names in os.walk(source):
        target = os.path.join(folder, os.path.relpath(place, source))
        os.makedirs(target, exist_ok=True)
        for name in names:
            if not name.endswith(_MARKERS):
                check()
                shutil.copyfile(os.path.join(place, name), os.path.join(target, name))


def _entries(folder: str) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError:
        return []
