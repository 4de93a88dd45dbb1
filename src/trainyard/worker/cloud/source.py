"""The script's source on a machine of the cloud: unpacked anew for each attempt."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from ..contract.models import open_up
from ..storage.content import altered, source_record

if TYPE_CHECKING:
    import zipfile


class SourceRefused(Exception):
    """The archive of the source is not there or not what was sent; one line."""


def unpack(archive: str, folder: str, recorded: str = "") -> None:
    """Make `folder` hold what the zip file `archive` does, and nothing else; executable bits are kept.

    Raises SourceRefused for a file that is no such archive, that reaches outside of the folder, or whose
    content is not what the hash `recorded` ("" for none) names; OSError.
    """
    # Takes 10 to 20 ms: imported here, once signals are listened to.
    import zipfile

    empty(folder)
    try:
        with zipfile.ZipFile(archive) as source:
            if recorded:
                _check_hash(source, recorded, archive)
            for entry in source.infolist():
                _check(entry.filename, archive)
                path = source.extract(entry, folder)
                if _is_executable(entry):
                    os.chmod(path, os.stat(path).st_mode | 0o111)
    except FileNotFoundError:
        raise SourceRefused(f"the source is not there: {archive}") from None
    except (zipfile.BadZipFile, EOFError, NotImplementedError, RuntimeError, ValueError) as error:
        raise SourceRefused(f"the source cannot be unpacked: {archive}: {error}") from None


def _check_hash(source: zipfile.ZipFile, recorded: str, archive: str) -> None:
    import hashlib  # loads OpenSSL, 3 to 8 ms

    digest = hashlib.sha256()
    for entry in sorted(source.infolist(), key=lambda entry: entry.filename):
        content = hashlib.sha256(source.read(entry)).hexdigest()
        digest.update(source_record(entry.filename, _is_executable(entry), content))
    if digest.hexdigest() != recorded:
        raise SourceRefused(
            f"the source {archive} {altered(digest.hexdigest(), recorded)}; nothing of it ran"
        )


def _is_executable(entry: zipfile.ZipInfo) -> bool:
    return bool((entry.external_attr >> 16) & 0o111) and not entry.is_dir()


def _check(name: str, archive: str) -> None:
    # zipfile would put it elsewhere and say nothing.
    if os.path.isabs(name) or os.pardir in name.split("/"):
        raise SourceRefused(f"the source reaches outside of its folder: {archive}: {name!r}")


def empty(folder: str) -> None:
    """Make the folder, or leave nothing in it: it may be a mount, and stays itself."""
    if os.path.islink(folder) or os.path.isfile(folder):
        os.unlink(folder)
    os.makedirs(folder, exist_ok=True)
    open_up(folder)
    with os.scandir(folder) as entries:
        found = list(entries)
    for entry in found:
        if entry.is_dir(follow_symlinks=False):
            import shutil  # 8 ms that only what an earlier attempt left is worth

            shutil.rmtree(entry.path)
        else:
            os.unlink(entry.path)
