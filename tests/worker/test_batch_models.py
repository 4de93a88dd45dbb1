"""A model's archive is unpacked as it was packed, and nothing of it lands or leads outside of its folder."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import stat
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trainyard.worker.errors import InputError
from trainyard.worker.storage.archive import limit_of, unpack

Member = tuple[str, bytes, bytes | str]
"""Name, type, content or link name."""


def tar(*members: Member, mode: int = 0o644, form: int = tarfile.PAX_FORMAT) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=form) as archive:
        for name, kind, content in members:
            entry = tarfile.TarInfo(name)
            entry.type, entry.mode = kind, mode
            if isinstance(content, str):
                entry.linkname = content
                archive.addfile(entry)
            else:
                entry.size = len(content)
                archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def file(name: str, content: bytes = b"x") -> Member:
    return name, tarfile.REGTYPE, content


def link(name: str, target: str) -> Member:
    return name, tarfile.SYMTYPE, target


def hard(name: str, target: str) -> Member:
    return name, tarfile.LNKTYPE, target


def folder(name: str) -> Member:
    return name, tarfile.DIRTYPE, b""


def unpacked(tmp_path: Path, content: bytes) -> Path:
    target = tmp_path / "model"
    stream = io.BufferedReader(io.BytesIO(content))  # type: ignore[arg-type]
    unpack(stream, str(target), "s3://b/model.tar.gz", limit_of(1))
    return target


def refused(tmp_path: Path, content: bytes) -> str:
    """What is said of an archive that is refused; nothing of it is left, inside or outside."""
    (tmp_path / "outside").mkdir(exist_ok=True)
    with pytest.raises(InputError) as caught:
        unpacked(tmp_path, content)
    assert [path.name for path in tmp_path.iterdir()] == ["outside"]
    assert list((tmp_path / "outside").iterdir()) == []
    text = str(caught.value)
    assert "\n" not in text
    assert text.startswith("s3://b/model.tar.gz: this model cannot be unpacked: ")
    return text


@pytest.mark.parametrize("packer", [bytes, gzip.compress, bz2.compress, lzma.compress])
@pytest.mark.parametrize("form", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_a_model_is_unpacked_whatever_packed_it(
    tmp_path: Path, packer: Callable[[bytes], bytes], form: int
) -> None:
    long = "/".join(["n" * 90, "m" * 90])
    content = tar(
        folder("."),
        file("./weights", b"w" * 100_000),
        file("code/inference.py"),
        file(long),
        folder("empty"),
        link("latest", "code/inference.py"),
        link("code/up", "../weights"),
        hard("again", "weights"),
        file("empty-file", b""),
        form=form,
    )
    model = unpacked(tmp_path, packer(content))
    names = {str(path.relative_to(model)) for path in model.rglob("*")}
    assert names == {
        "weights",
        "code",
        "code/inference.py",
        "n" * 90,
        long,
        "empty",
        "latest",
        "code/up",
        "again",
        "empty-file",
    }
    assert (model / "code/up").read_bytes() == (model / "again").read_bytes() == b"w" * 100_000
    assert (model / "latest").is_symlink()


@pytest.mark.parametrize("form", ["gnu", "pax"])
def test_a_sparse_file_is_refused_since_a_few_bytes_of_it_may_be_any_size(tmp_path: Path, form: str) -> None:
    source = tmp_path / "sparse"
    with source.open("wb") as stream:
        stream.truncate(3 << 30)
    archive = tmp_path / "a.tar"
    options = ("-S", "-H", form, "-C", str(tmp_path), "-cf", str(archive), "sparse")
    assert os.spawnlp(os.P_WAIT, "tar", "tar", *options) == 0
    content = archive.read_bytes()
    source.unlink()
    archive.unlink()
    assert "sparse is a sparse file" in refused(tmp_path, gzip.compress(content))


def test_an_archive_that_would_be_too_large_is_refused_with_the_key_before_it_is_written(
    tmp_path: Path,
) -> None:
    """By what its headers say, so that nothing of it has to be there: an archive of 512 bytes."""
    entry = tarfile.TarInfo("zeros")
    entry.size = (1 << 30) + 1
    with pytest.raises(InputError) as caught:
        unpacked(tmp_path, gzip.compress(entry.tobuf(tarfile.GNU_FORMAT)))
    said = "this model unpacks to more than 1 GiB; raise infer.model_size_gb where that is meant"
    assert str(caught.value) == f"s3://b/model.tar.gz: {said}"
    assert not [*tmp_path.iterdir()]


def test_names_without_content_take_room_too(tmp_path: Path) -> None:
    headers = b"".join(tarfile.TarInfo(f"{number}").tobuf() for number in range((1 << 15) + 1))
    with pytest.raises(InputError, match="unpacks to more than 1 GiB"):
        unpacked(tmp_path, gzip.compress(headers, 1))


def test_headers_without_end_are_refused(tmp_path: Path) -> None:
    """Each of them says that another one follows."""
    long_name = tarfile.TarInfo("x")
    long_name.type, long_name.size = tarfile.GNUTYPE_LONGNAME, 4
    chain = (long_name.tobuf() + b"abc\0".ljust(512, b"\0")) * 5_000
    assert "it is no whole archive" in refused(tmp_path, gzip.compress(chain + tarfile.TarInfo("a").tobuf()))


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME])
def test_a_header_that_would_fill_the_memory_is_refused(tmp_path: Path, kind: bytes) -> None:
    entry = tarfile.TarInfo("header")
    entry.type, entry.size = kind, 8 << 30
    assert "a header of 8589934592 bytes" in refused(tmp_path, gzip.compress(entry.tobuf(tarfile.GNU_FORMAT)))


def test_a_later_member_of_a_name_counts(tmp_path: Path) -> None:
    model = unpacked(
        tmp_path, tar(file("a", b"1"), hard("b", "a"), file("a", b"2"), link("c", "a"), file("c"))
    )
    assert [(model / name).read_bytes() for name in "abc"] == [b"2", b"1", b"x"]
    assert not (model / "c").is_symlink()


def test_nobody_else_may_write_and_nobody_becomes_anybody(tmp_path: Path) -> None:
    model = unpacked(tmp_path, tar(file("run"), mode=0o6777))
    assert stat.S_IMODE((model / "run").stat().st_mode) == 0o755
    (model / "run").chmod(0o600)


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ([file("/etc/passwd")], "/etc/passwd has an absolute name"),
        ([file("../outside/x")], "../outside/x leads out of the model by `..`"),
        ([file("a/../../outside/x")], "a/../../outside/x leads out of the model by `..`"),
        ([file("a/..")], "a/.. leads out of the model by `..`"),
        ([folder("../outside/x")], "leads out of the model by `..`"),
        ([("d", tarfile.CHRTYPE, b"")], "d is a device, a pipe or something else that is no file"),
        ([("d", tarfile.BLKTYPE, b"")], "d is a device"),
        ([("d", tarfile.FIFOTYPE, b"")], "d is a device, a pipe"),
        ([link("a", "/etc/passwd")], "a is a link to /etc/passwd, which is not in the model"),
        ([link("a", "../outside")], "a is a link that leads out of the model"),
        ([link("a", "b/../../outside"), folder("b")], "a is a link that leads out of the model"),
        # Each for itself would stay inside, at the time it is made.
        ([link("a", "b/.."), link("b", ".")], "a is a link that leads out of the model"),
        ([link("a/b", "."), link("x", "a/b/../.."), link("y", "x/outside")], "leads out of the model"),
        ([link("a", "../outside"), file("a/x")], "a/x lies below a, which is no folder"),
        ([link("a", "."), file("a/x")], "a/x lies below a, which is no folder"),
        ([file("a"), file("a/x")], "a/x lies below a, which is no folder"),
        ([folder("a"), file("a")], "it is no whole archive (Is a directory)"),
        ([folder("a"), link("a", "b")], "a is a link and a folder"),
        ([link("a", "b"), folder("a"), link("a", "..")], "a is a link and a folder"),
        ([hard("a", "/etc/passwd")], "/etc/passwd has an absolute name"),
        ([hard("a", "../outside")], "leads out of the model by `..`"),
        ([hard("a", "b"), file("b")], "a is a link to b, which is no file of the model before it"),
        ([link("l", ".."), hard("a", "l")], "a is a link to l, which is no file of the model before it"),
        ([file("/".join(["d" * 200] * 20))], "has a name of more than 1024 bytes"),
        ([link("a", "d/" * 2000 + "..")], "which is not in the model"),
        ([file("n" * 300)], "it is no whole archive (File name too long)"),
        ([file(".")], "is a file"),
        ([file("bad\nname/..")], r"'bad\nname/..' leads out"),
    ],
)
def test_what_is_no_plain_model_is_refused(tmp_path: Path, members: list[Member], words: str) -> None:
    assert words in refused(tmp_path, gzip.compress(tar(*members)))


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"not an archive at all",
        b"PK\x03\x04" + b"x" * 600,
        gzip.compress(tar(file("a", b"x" * 100_000)))[:-1],
        gzip.compress(tar(file("a", os.urandom(100_000))))[:50_000],
        gzip.compress(tar(file("a")))[:-8] + b"12345678",
        gzip.compress(b"not a tar file"),
        tar(file("a", b"x" * 100_000))[:50_000],
        b"BZh9" + b"x" * 100,
        b"\xfd7zXZ\0" + b"x" * 100,
    ],
    ids=lambda content: f"{len(content)} bytes",  # a gzip header has the time in it
)
def test_what_is_no_whole_archive_is_refused(tmp_path: Path, content: bytes) -> None:
    assert "it is no whole archive (" in refused(tmp_path, content)


names = st.lists(st.sampled_from(["a", "b", "c", "..", "."]), min_size=1, max_size=4).map("/".join)
members = st.one_of(
    st.tuples(names, st.just(tarfile.REGTYPE), st.just(b"x")),
    st.tuples(names, st.just(tarfile.DIRTYPE), st.just(b"")),
    st.tuples(names, st.sampled_from([tarfile.SYMTYPE, tarfile.LNKTYPE]), names),
)


@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(members, max_size=8))
def test_no_mixture_of_files_folders_and_links_leads_outside(
    tmp_path_factory: pytest.TempPathFactory, found: list[Member]
) -> None:
    home = tmp_path_factory.mktemp("home")
    try:
        model = unpacked(home, tar(*found))
    except InputError:
        assert list(home.iterdir()) == []
        return
    assert [path.name for path in home.iterdir()] == ["model"]
    root = os.path.realpath(model)
    for folder_, folders, files in os.walk(model):
        for name in [*folders, *files]:
            real = os.path.realpath(Path(folder_) / name)
            assert real == root or real.startswith(f"{root}/")
