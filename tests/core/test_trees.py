"""What lies beneath a folder, and the hash that names it."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conftest import make_tree
from trainyard.core.files import trees
from trainyard.core.files.trees import hash_file, hash_files, hash_of, hash_tree
from trainyard.machine.copying import copy_tree


@pytest.mark.parametrize("size", [0, 5, 1 << 20, (1 << 20) + 1, 5_000_001])
def test_a_file_is_hashed_and_measured(tmp_path: Path, size: int) -> None:
    content = os.urandom(size)
    (tmp_path / "file").write_bytes(content)
    assert hash_file(str(tmp_path / "file")) == (hashlib.sha256(content).hexdigest(), size)


def test_the_hash_of_a_tree_is_the_documented_one(tmp_path: Path) -> None:
    make_tree(tmp_path / "tree")
    records = b""
    for name, content in (
        (b"a/b/two.sh", b"two!"),
        (b"a/one.txt", b"one"),
        (b"folder/two.sh", b"two!"),
        (b"link.txt", b"one"),
    ):
        size = str(len(content)).encode()
        records += name + b"\0" + size + b"\0" + hashlib.sha256(content).hexdigest().encode() + b"\n"
    assert hash_tree(str(tmp_path / "tree")) == (hashlib.sha256(records).hexdigest(), 14, 4)


def test_a_file_hashes_as_a_folder_that_holds_it_alone(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/rows.csv").write_text("1,2\n")
    assert hash_tree(str(tmp_path / "folder/rows.csv")) == hash_tree(str(tmp_path / "folder"))


def test_many_big_files_hash_as_few_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for n in range(20):
        (tmp_path / f"{n}.bin").write_bytes(os.urandom(300_000 + n))
    alone = hash_tree(str(tmp_path))
    monkeypatch.setattr(trees, "_WORTH_THREADS", 1)
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    assert hash_tree(str(tmp_path)) == alone


def test_links_out_of_a_folder_are_told_and_those_within_are_not(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    (folder / "deep").mkdir(parents=True)
    (tmp_path / "key").write_text("private")
    (folder / "rows.csv").write_text("1,2\n")
    (folder / "deep/within").symlink_to("../rows.csv")
    assert trees.told_of_links_out(str(folder)) == ""
    (folder / "deep/out").symlink_to(tmp_path / "key")
    told = f"{folder}: links lead out of the folder, deep/out to {tmp_path / 'key'}"
    assert trees.told_of_links_out(str(folder)) == f"{told}: what they lead to goes along"
    (folder / "far").symlink_to("deep/out")
    (folder / "whole").symlink_to("..")
    assert trees.told_of_links_out(str(folder)) == f"{told} and 2 more: what they lead to goes along"
    # Who names a link, or what is not there, is told of nothing.
    for named in ("deep/out", "rows.csv", "nothing"):
        assert trees.told_of_links_out(str(folder / named)) == ""


NAMES = st.text(st.characters(exclude_characters="/\0", exclude_categories=("Cs",)), min_size=1, max_size=12)
TREES = st.dictionaries(
    NAMES.filter(lambda name: name not in (".", "..")), st.binary(max_size=40), max_size=6
)


@given(first=TREES, second=TREES)
def test_two_trees_hash_alike_exactly_when_they_hold_the_same(
    first: dict[str, bytes], second: dict[str, bytes]
) -> None:
    hashes = []
    with tempfile.TemporaryDirectory() as folder:
        for number, tree in enumerate((first, second)):
            root = Path(folder) / str(number)
            root.mkdir()
            for name, content in tree.items():
                (root / name).write_bytes(content)
            hashes.append(hash_tree(str(root)).hash)
            copy_tree(str(root), f"{folder}/copy{number}")
            assert hash_tree(f"{folder}/copy{number}").hash == hashes[-1]
    assert (hashes[0] == hashes[1]) == (first == second)


def test_a_file_that_changes_after_it_was_hashed_is_told(tmp_path: Path) -> None:
    for name in ("edited", "replaced", "gone", "same"):
        (tmp_path / name).write_text("before")
        os.utime(tmp_path / name, (1, 1))
    hashed = hash_files(str(tmp_path))

    (tmp_path / "edited").write_text("beyond")
    (tmp_path / "new").write_text("before")
    os.utime(tmp_path / "new", (1, 1))
    (tmp_path / "new").rename(tmp_path / "replaced")
    (tmp_path / "gone").unlink()

    assert {file.relative: file.is_changed for file in hashed} == {
        "edited": True,
        "gone": True,
        "replaced": True,
        "same": False,
    }
    assert hash_of(hashed) == hash_of(reversed(hashed))
