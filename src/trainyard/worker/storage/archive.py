"""A model's archive, unpacked so that nothing of it lands or leads outside of its folder.

Python 3.8 has no filters for tar files, and later ones have had holes: here nothing is written through a
link, since links are made last, and then every one of them is looked at as the system resolves it.
"""

from __future__ import annotations

import bz2
import errno
import gzip
import lzma
import os
import shutil
import tarfile
import zlib
from contextlib import contextmanager
from typing import IO, Any, Iterator, NamedTuple, NoReturn

from ..errors import InputError

_BROKEN = (tarfile.TarError, EOFError, zlib.error, lzma.LZMAError, ValueError, RecursionError)
# Of names that the disk does not take, or that two members of different kinds have.
_NAMES = {errno.EEXIST, errno.EILSEQ, errno.EINVAL, errno.EISDIR, errno.ENAMETOOLONG, errno.ENOTDIR}
_LONGEST = 1024
"""Bytes of a name: far from what the system's own functions give up on, and so cannot be fooled by."""
_BLOCK = 1 << 20
_SMALLEST = 1 << 15
"""Bytes that a member counts for at least: names and inodes take room too, also in memory."""
_EXTENDED = {tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE}
_EXTENDED |= {tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK}

_FIELDS = {*tarfile.PAX_FIELDS}


class Limit(NamedTuple):
    """GiB that an archive may unpack to, and what to do about one that would be more."""

    gib: int
    cure: str


def limit_of(model_size_gb: int) -> Limit:
    """What `[infer] model_size_gb` allows."""
    return Limit(model_size_gb, "raise infer.model_size_gb where that is meant")


def unpack(stream: IO[bytes], folder: str, name: str, limit: Limit, lost: list[str] | None = None) -> None:
    """Unpack the tar file `stream` (plain, gzip, bzip2 or xz), called `name`, into the new `folder`.

    The folder appears whole or not at all. Raises InputError for what is no such archive, is cut short or
    damaged, would be larger than the limit, or has names that lead out of the folder, devices, pipes, sparse
    files, or links to what is not in it; `lost` takes the names of such members, which are left out then.
    """
    aside = f"{folder}.unpacking-{os.urandom(4).hex()}"
    os.makedirs(aside)
    try:
        try:
            with _plain(stream) as plain:
                with tarfile.open(fileobj=plain, mode="r|", tarinfo=_Header) as archive:
                    _Unpacking(aside, name, limit, lost).all(archive)
                # The checksum of what was compressed stands at its end.
                while plain.read(_BLOCK):
                    pass
        except _TooMuch as error:
            raise _refused(name, str(error)) from None
        except _BROKEN as error:
            raise _refused(name, f"it is no whole archive ({error or type(error).__name__})") from None
        except OSError as error:
            if error.errno is not None and error.errno not in _NAMES:
                raise
            raise _refused(name, f"it is no whole archive ({error.strerror or error})") from None
        os.rename(aside, folder)
    except BaseException:
        shutil.rmtree(aside, ignore_errors=True)
        raise


def _plain(stream: IO[bytes]) -> Any:
    head = stream.peek(6)[:6] if hasattr(stream, "peek") else b""
    if head[:2] == b"\x1f\x8b":
        return gzip.GzipFile(fileobj=stream)
    if head[:3] == b"BZh":
        return bz2.BZ2File(stream)
    if head == b"\xfd7zXZ\0":
        return lzma.LZMAFile(stream)
    return stream


class _TooMuch(Exception):
    """A header asks for more than its archive is worth."""


class _Header(tarfile.TarInfo):
    """The header of a member. What goes on in the archive is read into memory whole, and so is short."""

    @classmethod
    def frombuf(cls, buf: Any, encoding: Any, errors: Any) -> Any:
        found = super().frombuf(buf, encoding, errors)
        if found.type in _EXTENDED and found.size > _BLOCK:
            raise _TooMuch(f"it has a header of {found.size} bytes")
        return found

    def _refuse_sparse(self, following: Any, headers: Any = None, *_: Any) -> NoReturn:
        name = self.name if headers is None else headers.get("GNU.sparse.name", following.name)
        raise _TooMuch(f"{_shown(name)} is a sparse file, of which a few bytes may be any size")

    # Where tarfile reads the map of such a file, which is a list as long as the archive wants it to be.
    _proc_sparse = _proc_gnusparse_00 = _proc_gnusparse_01 = _proc_gnusparse_10 = _refuse_sparse


class _Unpacking:
    """One archive on its way into one folder."""

    def __init__(self, folder: str, name: str, limit: Limit, lost: list[str] | None) -> None:
        self._folder = folder
        self._name = name
        self._lost = lost
        self._limit = limit
        self._left = limit.gib << 30
        self._files: dict[str, str] = {}
        self._links: dict[str, str] = {}

    def all(self, archive: Any) -> None:
        """Unpack every member; links last."""
        for member in iter(archive.next, None):
            # What would be kept for others to ask for, and fields for all that tarfile makes nothing of.
            archive.members = []
            archive.pax_headers = {
                field: archive.pax_headers[field] for field in _FIELDS & {*archive.pax_headers}
            }
            self._count(member)
            with self._leaving_out(member.name):
                self._one(archive, member)
        for path, target in list(self._links.items()):
            with self._leaving_out(path):
                self._make_link(path, target)
        left = list(self._links)
        while bad := next((path for path in left if self._problem(path)), ""):
            if self._lost is None:
                self._refuse(bad, self._problem(bad))
            self._lost.append(bad)
            os.unlink(os.path.join(self._folder, bad))
            left.remove(bad)

    def _problem(self, path: str) -> str:
        """What is wrong with a link; one that leads nowhere is, where what is wrong is left out."""
        root, place = os.path.realpath(self._folder), os.path.join(self._folder, path)
        real = os.path.realpath(place)
        if real != root and not real.startswith(os.path.join(root, "")):
            return "is a link that leads out of the model"
        if self._lost is None or not os.path.islink(place):
            return ""
        above = os.path.join(os.path.realpath(os.path.dirname(place)), "")
        is_whole = os.path.exists(place) and not above.startswith(os.path.join(real, ""))
        return "" if is_whole else "is a link that leads nowhere or in circles"

    @contextmanager
    def _leaving_out(self, member: str) -> Iterator[None]:
        """Go on without the member where it is refused and that is wanted."""
        try:
            yield
        except InputError:
            if self._lost is None:
                raise
            self._lost.append(member)

    def _count(self, member: tarfile.TarInfo) -> None:
        self._left -= max(member.size, _SMALLEST)
        if self._left < 0:
            gib = self._limit.gib
            raise InputError(f"{self._name}: this model unpacks to more than {gib} GiB; {self._limit.cure}")

    def _one(self, archive: tarfile.TarFile, member: tarfile.TarInfo) -> None:
        path = self._path(member.name)
        if member.isdir():
            self._forget_file(path)
            os.makedirs(os.path.join(self._folder, path), exist_ok=True)
        elif member.isreg():
            self._write(archive, member, path)
        elif member.issym():
            self._forget_file(path)
            self._links[path] = member.linkname
        elif member.islnk():
            self._copy(self._path(member.linkname), path)
        else:
            self._refuse(path, "is a device, a pipe or something else that is no file")

    def _path(self, name: str) -> str:
        """The path of a member below the folder, checked."""
        parts = [part for part in name.split("/") if part not in ("", ".")]
        if name.startswith("/"):
            self._refuse(name, "has an absolute name")
        if ".." in parts:
            self._refuse(name, "leads out of the model by `..`")
        if len(os.fsencode(name)) > _LONGEST:
            self._refuse(f"{name[:60]}...", f"has a name of more than {_LONGEST} bytes")
        return "/".join(parts)

    def _write(self, archive: tarfile.TarFile, member: tarfile.TarInfo, path: str) -> None:
        place = self._place(path)
        source = archive.extractfile(member)
        assert source is not None
        with open(place, "wb") as target:
            shutil.copyfileobj(source, target, _BLOCK)
        # Nobody else may write, and nobody becomes anybody else.
        os.chmod(place, member.mode & 0o755 | 0o600)
        self._files[path] = place

    def _copy(self, original: str, path: str) -> None:
        """A hard link, to a file that came before it."""
        if original not in self._files:
            self._refuse(path, f"is a link to {original}, which is no file of the model before it")
        if original != path:
            place = self._place(path)
            os.link(self._files[original], place)
            self._files[path] = place

    def _place(self, path: str) -> str:
        """Where a file goes: where nothing is any more."""
        if not path:
            self._refuse(".", "is a file")
        self._forget_file(path)
        place = os.path.join(self._folder, path)
        os.makedirs(os.path.dirname(place), exist_ok=True)
        return place

    def _forget_file(self, path: str) -> None:
        """A later member of the same name takes the place of an earlier one."""
        for above in _with_parents(path):
            if above != path and (above in self._files or above in self._links):
                self._refuse(path, f"lies below {above}, which is no folder")
        self._links.pop(path, None)
        place = self._files.pop(path, None)
        if place is not None:
            os.unlink(place)

    def _make_link(self, path: str, target: str) -> None:
        if target.startswith("/") or len(os.fsencode(target)) > _LONGEST:
            self._refuse(path, f"is a link to {target[:60]}, which is not in the model")
        place = os.path.join(self._folder, path)
        if os.path.lexists(place):
            self._refuse(path, "is a link and a folder")
        os.makedirs(os.path.dirname(place), exist_ok=True)
        os.symlink(target, place)

    def _refuse(self, member: str, what: str) -> NoReturn:
        raise _refused(self._name, f"{_shown(member)} {what}")


def _shown(name: str) -> str:
    return name if name.isprintable() else ascii(name)


def _refused(name: str, what: str) -> InputError:
    return InputError(f"{name}: this model cannot be unpacked: {what}; pack a folder of plain files anew")


def _with_parents(path: str) -> Iterator[str]:
    while path:
        yield path
        path = path.rpartition("/")[0]
