"""The hosts' model folders, made into the one model of the run.

On SageMaker every host's `/opt/ml/model` ends in the same `model.tar.gz`; what cannot be there, or
not twice, is refused.
"""

from __future__ import annotations

import errno
import os
from typing import Any, Callable, Mapping, Sequence

SEEN = "/opt/ml/model"
"""Where a script sees its model folder."""
_BLOCK = 1 << 20


class ModelRefused(Exception):
    """The model folder holds what a model cannot be made of; the message is one line with the cure."""


class ModelConflict(ModelRefused):
    """Two hosts wrote different bytes as the same file of the model."""


def merge_models(folders: Sequence[str], target: str, hosts: Sequence[str] = ()) -> int:
    """Moves the hosts' model `folders` into the folder `target`; returns the number of files in it.

    `target` appears whole or not at all, and only when there is at least one file; a folder that is
    missing or has only empty folders in it adds nothing. Where only one host wrote a model, it is
    renamed as it is; what several wrote with the same bytes is one file. Symbolic links that stay inside
    the model are kept, absolute ones made relative. `hosts` are the names for messages, algo-1, algo-2, …
    when left out.

    Everything is checked before anything is moved (but for names that differ only in capitals, where the
    file system cannot tell them apart). Raises ModelConflict when two hosts wrote different bytes as the same
    file; ModelRefused for links that lead out of the model or nowhere, for sockets, pipes and
    devices, and for a model folder that is no folder; FileExistsError when `target` is there and not
    empty; OSError when a move fails, and then what was moved is in `<target>.merging`; ValueError when
    `hosts` are not as many as `folders`.
    """
    names = list(hosts) or [f"algo-{number}" for number in range(1, len(folders) + 1)]
    if len(names) != len(folders):
        raise ValueError(f"hosts: {len(names)} names for {len(folders)} model folders; name every host")
    contents = [_content(folder, name) for folder, name in zip(folders, names)]
    _check_conflicts(contents, names, lambda one, two, path: _are_same(folders[one], folders[two], path))
    written = [index for index, (_, files) in enumerate(contents) if files]
    if not written:
        return 0
    _check_target(target)
    if len(written) == 1:
        _move(folders[written[0]], target)
    else:
        aside = target + ".merging"
        _check_target(aside)
        poured: set[str] = set()
        for index in written:
            _pour(folders[index], contents[index], aside, poured)
            poured.update(contents[index][1])
        os.rename(aside, target)
    return len({path for _, files in contents for path in files})


def open_up(folder: str) -> None:
    """Let the owner read what the script forbade: SageMaker, as root in the container, packs it too."""
    if os.path.islink(folder):
        return
    mode = os.stat(folder).st_mode & 0o7777
    if mode & 0o700 != 0o700:
        os.chmod(folder, mode | 0o700)
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                open_up(entry.path)
            elif entry.is_file(follow_symlinks=False):
                mode = entry.stat().st_mode & 0o7777
                if not mode & 0o400:
                    os.chmod(entry.path, mode | 0o400)


def check_model(folder: str, host: str) -> None:
    """Raises ModelRefused for what `merge_models` would refuse of this one folder, and makes links relative
    as that does."""
    _content(folder, host)


def check_paths(files: Sequence[Mapping[str, Any]], hosts: Sequence[str]) -> None:
    """Raises ModelConflict when two hosts wrote the same file otherwise; `files` are each host's, what tells
    their content by their paths.
    """
    contents = []
    for paths in files:
        folders = {path[:at] for path in paths for at, char in enumerate(path) if char == "/"}
        contents.append((sorted(folders), list(paths)))
    _check_conflicts(contents, hosts, lambda one, two, path: files[one][path] == files[two][path])


def _content(folder: str, host: str) -> tuple[list[str], list[str]]:
    """The relative paths of all folders (parents first) and of all files below `folder`, checked."""
    if os.path.islink(folder) or (os.path.exists(folder) and not os.path.isdir(folder)):
        raise ModelRefused(
            f"model of {host}: {folder} was replaced by a link or a file; write into the folder instead"
        )
    folders: list[str] = []
    files: list[str] = []
    links: list[str] = []
    if not os.path.isdir(folder):
        return folders, files
    pending = [""]
    while pending:
        parent = pending.pop()
        with os.scandir(os.path.join(folder, parent)) as entries:
            for entry in entries:
                path = os.path.join(parent, entry.name)
                if entry.is_dir(follow_symlinks=False):
                    folders.append(path)
                    pending.append(path)
                else:
                    files.append(path)
                    if entry.is_symlink():
                        links.append(path)
                    elif not entry.is_file(follow_symlinks=False):
                        raise ModelRefused(
                            f"model of {host}: {_shown(path)} is a socket, a pipe or a device;"
                            " remove it before the script ends"
                        )
    # One may lead on to another: all are made relative before any is looked at.
    for path in links:
        _make_relative(folder, path)
    for path in links:
        _check_link(folder, path, host)
    return folders, files


def _make_relative(folder: str, path: str) -> None:
    """Where the link is absolute and stays inside of the folder, as the script sees it, write it so that it
    leads there wherever the folder is."""
    place = os.path.join(folder, path)
    destination = os.readlink(place)
    for top in (SEEN, os.path.abspath(folder), os.path.realpath(folder)):
        if destination == top or (destination.startswith(top + "/") and ".." not in destination.split("/")):
            aside = f"{place}.{os.urandom(4).hex()}"
            os.symlink(os.path.relpath(destination, os.path.join(top, os.path.dirname(path))), aside)
            os.replace(aside, place)
            return


def _check_link(folder: str, path: str, host: str) -> None:
    place = os.path.join(folder, path)
    destination = os.readlink(place)
    top, real = os.path.realpath(folder), os.path.realpath(place)
    if os.path.isabs(destination) or not _is_within(real, top):
        raise ModelRefused(
            f"model of {host}: {_shown(path)} is a link to {_shown(destination)}, which is not"
            " there once the model is packed; copy the file, or link to one inside of the model folder"
        )
    if not os.path.exists(place):
        raise ModelRefused(f"model of {host}: {_shown(path)} is a link that leads nowhere; remove it")
    if _is_within(os.path.realpath(os.path.dirname(place)), real):
        raise ModelRefused(
            f"model of {host}: {_shown(path)} is a link that leads back to a folder above it; remove it"
        )


def _is_within(path: str, folder: str) -> bool:
    return path == folder or path.startswith(folder + os.sep)


def _shown(path: str) -> str:
    return path if path.isprintable() else ascii(path)


def _check_conflicts(
    contents: Sequence[tuple[list[str], list[str]]],
    names: Sequence[str],
    is_same: Callable[[int, int, str], bool],
) -> None:
    owners: dict[str, tuple[int, bool]] = {}
    for index, (folders, files) in enumerate(contents):
        if not files:
            continue
        for paths, is_file in ((folders, False), (files, True)):
            for path in paths:
                other, other_is_file = owners.setdefault(path, (index, is_file))
                if other == index or not (is_file or other_is_file):
                    continue
                if not (is_file and other_is_file and is_same(other, index, path)):
                    raise ModelConflict(
                        f"model: {names[other]} and {names[index]} wrote {_shown(path)} differently; let one"
                        " host write it, or put the host's name into the file's"
                    )


def _are_same(one: str, two: str, path: str) -> bool:
    """Whether the file or link at `path` is the same in both folders."""
    places = [os.path.join(folder, path) for folder in (one, two)]
    if all(map(os.path.islink, places)):
        return len(set(map(os.readlink, places))) == 1
    if not all(map(os.path.isfile, places)) or len(set(map(os.path.getsize, places))) > 1:
        return False
    with open(places[0], "rb") as first, open(places[1], "rb") as second:
        while block := first.read(_BLOCK):
            if block != second.read(_BLOCK):
                return False
    return True


def _check_target(target: str) -> None:
    if os.path.lexists(target) and (not os.path.isdir(target) or os.listdir(target)):
        raise FileExistsError(errno.EEXIST, "there is a model already", target)
    os.makedirs(os.path.dirname(os.path.abspath(target)), exist_ok=True)


def _pour(folder: str, content: tuple[list[str], list[str]], aside: str, poured: set[str]) -> None:
    folders, files = content
    os.makedirs(aside, exist_ok=True)
    for path in folders:
        os.makedirs(os.path.join(aside, path), exist_ok=True)
    for path in files:
        place = os.path.join(aside, path)
        if path in poured:
            continue
        # A file system that does not tell capitals apart finds conflicts that no comparison found.
        if os.path.lexists(place):
            raise ModelConflict(f"model: {_shown(path)} of two hosts differs only in capitals; rename one")
        _move(os.path.join(folder, path), place)


def _move(source: str, place: str) -> None:
    """Renames a file or a folder; between file systems, copies it aside, renames that and removes it."""
    try:
        os.rename(source, place)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        _copy_over(source, place)


def _copy_over(source: str, place: str) -> None:
    import shutil  # costs 3 ms of start-up, and is needed between file systems alone

    aside = place + ".copying"
    if os.path.isdir(source) and not os.path.islink(source):
        shutil.rmtree(aside, ignore_errors=True)
        shutil.copytree(source, aside, symlinks=True)
        os.rename(aside, place)
        shutil.rmtree(source)
    else:
        shutil.copy2(source, aside, follow_symlinks=False)
        os.replace(aside, place)
        os.unlink(source)
