"""The source of a run: which files go along, and the hash that names them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from trainyard import BadInput, TrainingJob
from trainyard.yard import source as yard_source
from trainyard.yard.source import code_hash, source_files

NAMES = st.text(st.sampled_from("abcdef"), min_size=1, max_size=6).map(lambda name: f"{name}.py")
TREES = st.dictionaries(NAMES, st.binary(max_size=40), min_size=1, max_size=8)


def names(folder: Path, *leave_out: Path) -> list[str]:
    return [file.name for file in source_files(str(folder), leave_out=[str(path) for path in leave_out])]


def write(folder: Path, *files: str) -> Path:
    for name in files:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    return folder


def test_files_are_listed_by_name_at_every_depth(tmp_path: Path) -> None:
    write(tmp_path, "z.py", "a/b/c.py", "a.py", "a/z.py")
    (tmp_path / "a.py").chmod(0o755)
    found = source_files(str(tmp_path))
    assert [file.name for file in found] == ["a.py", "a/b/c.py", "a/z.py", "z.py"]
    assert [file.executable for file in found] == [True, False, False, False]
    assert [file.size for file in found] == [4, 8, 6, 4]


def test_what_is_never_code_stays_out(tmp_path: Path) -> None:
    write(
        tmp_path,
        "train.py",
        ".git/config",
        "__pycache__/train.pyc",
        ".venv/bin/python",
        "my-environment/pyvenv.cfg",
        "my-environment/lib/huge.py",
        "conda/conda-meta/history",
        "node_modules/x/index.js",
        ".trainyard/ledger.sqlite",
        "package/__pycache__/x.pyc",
        "package/x.py",
    )
    assert names(tmp_path) == ["package/x.py", "train.py"]


def test_the_ignore_file_speaks_gitignores_language(tmp_path: Path) -> None:
    write(
        tmp_path,
        "train.py",
        "data/a.csv",
        "data/keep.csv",
        "deep/notes.md",
        "notes.md",
        "build/x",
        "src/build/y",
    )
    (tmp_path / ".trainyardignore").write_text("# what is no code\ndata/*\n!data/keep.csv\n*.md\n/build\n")
    assert names(tmp_path) == [".trainyardignore", "data/keep.csv", "src/build/y", "train.py"]


def test_an_ignore_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / ".trainyardignore").write_bytes(b"\xff\xfe\n")
    with pytest.raises(BadInput, match=r"\.trainyardignore: cannot be read"):
        source_files(str(tmp_path))


def test_the_home_the_channels_and_the_output_stay_out(tmp_path: Path) -> None:
    write(tmp_path, "train.py", "data/train.csv", "home/ledger", "rows.csv", "other/rows.csv")
    left_out = (tmp_path / "data", tmp_path / "home", tmp_path / "rows.csv")
    assert names(tmp_path, *left_out) == ["other/rows.csv", "train.py"]


def test_a_channel_that_is_the_source_itself_leaves_nothing_out(tmp_path: Path) -> None:
    write(tmp_path, "train.py", "rows.csv")
    assert names(tmp_path, tmp_path) == ["rows.csv", "train.py"]


def test_links_are_followed_within_the_source(tmp_path: Path) -> None:
    source = write(tmp_path / "source", "train.py", "shared/lib/one.py", "shared/two.py")
    (source / "lib").symlink_to("shared/lib")
    (source / "two.py").symlink_to(source / "shared/two.py")
    (source / "nowhere").symlink_to(tmp_path / "absent")
    (tmp_path / "link").symlink_to(source)
    expected = ["lib/one.py", "shared/lib/one.py", "shared/two.py", "train.py", "two.py"]
    assert names(source) == names(tmp_path / "link") == expected


@pytest.mark.parametrize("way", ["../secret", "/etc/hosts", "inner/up/secret", "folder"])
def test_a_link_that_leads_out_of_the_source_is_refused(tmp_path: Path, way: str) -> None:
    source = write(tmp_path / "source", "train.py", "inner/x.py")
    write(tmp_path, "secret", "source-too/x.py")
    (source / "inner/up").symlink_to(tmp_path)
    (source / ".trainyardignore").write_text("inner/up\n")
    (source / "way").symlink_to("../source-too" if way == "folder" else way)
    with pytest.raises(
        BadInput, match=r"source/way: is a link that leads out of the source folder, to /.*; "
    ):
        source_files(str(source))
    (source / ".trainyardignore").write_text("inner/up\nway\n")
    assert names(source) == [".trainyardignore", "inner/x.py", "train.py"]


def test_a_link_to_a_folder_above_is_refused(tmp_path: Path) -> None:
    write(tmp_path, "source/inner/train.py")
    (tmp_path / "source/inner/up").symlink_to(tmp_path / "source")
    with pytest.raises(BadInput, match="leads back"):
        source_files(str(tmp_path / "source"))
    (tmp_path / "source/.trainyardignore").write_text("up\n")
    assert names(tmp_path / "source") == [".trainyardignore", "inner/train.py"]


def test_sockets_and_pipes_stay_out(tmp_path: Path) -> None:
    write(tmp_path, "train.py")
    os.mkfifo(tmp_path / "pipe")
    assert names(tmp_path) == ["train.py"]


def test_data_in_the_source_is_refused_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, "train.py")
    (tmp_path / "weights.bin").write_bytes(b"x" * 2000)
    monkeypatch.setattr(yard_source, "LARGEST", 1000)
    with pytest.raises(BadInput, match=r"weights\.bin first"):
        source_files(str(tmp_path))


def test_a_folder_that_is_gone_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="cannot be read"):
        source_files(str(tmp_path / "absent"))
    write(tmp_path, "train.py")
    files = source_files(str(tmp_path))
    (tmp_path / "train.py").unlink()
    with pytest.raises(BadInput, match=r"train\.py: cannot be read"):
        code_hash(files)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(one=TREES, other=TREES)
def test_equal_code_has_an_equal_hash_wherever_it_lies(
    tmp_path_factory: pytest.TempPathFactory, one: dict[str, bytes], other: dict[str, bytes]
) -> None:
    hashes = []
    for tree in (one, one, other):
        folder = tmp_path_factory.mktemp("tree")
        for name, content in tree.items():
            (folder / name).write_bytes(content)
        hashes.append(code_hash(source_files(str(folder))))
    assert hashes[0] == hashes[1]
    assert (hashes[0] == hashes[2]) == (one == other)


def test_the_executable_bit_counts_and_times_do_not(tmp_path: Path) -> None:
    write(tmp_path, "run.py")
    before = code_hash(source_files(str(tmp_path)))
    os.utime(tmp_path / "run.py", (1, 1))
    assert code_hash(source_files(str(tmp_path))) == before
    (tmp_path / "run.py").chmod(0o755)
    assert code_hash(source_files(str(tmp_path))) != before


def test_what_trainyard_itself_left_in_a_source_is_no_source(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("pass\n")
    for folder, mark in (("predictions", "_manifest.json"), ("yard", "ledger.sqlite"), ("env", "pyvenv.cfg")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / mark).write_text("")
        (tmp_path / folder / "more.bin").write_text("x")
    assert [file.name for file in source_files(str(tmp_path))] == ["train.py"]


def test_an_ignore_file_of_comments_leaves_nothing_out(tmp_path: Path) -> None:
    (tmp_path / ".trainyardignore").write_text("# *.py\n\n# /data/\n")
    (tmp_path / "train.py").write_text("pass\n")
    assert "train.py" in [file.name for file in source_files(str(tmp_path))]


def test_dependencies_lie_beside_the_files_of_the_source_and_take_no_place_of_theirs(tmp_path: Path) -> None:
    write(tmp_path / "src", "train.py", "lib/own.py")
    write(tmp_path / "elsewhere", "shared/a.py", "shared/__pycache__/a.pyc", "lib/b.py", "one.py", "train.py")
    places = {name: str(tmp_path / "elsewhere" / name) for name in ("shared", "lib", "one.py", "train.py")}
    job = TrainingJob(name="toy", entry_script="train.py", source_dir=str(tmp_path / "src"))
    alone = yard_source.read(job)
    source = yard_source.read(job.replace(dependencies=(places["shared"], places["one.py"])))
    assert [file.name for file in source.files] == ["lib/own.py", "one.py", "shared/a.py", "train.py"]
    assert source.hash != alone.hash
    for taken in ("lib", "train.py"):
        with pytest.raises(
            BadInput, match=rf"train\.dependencies: .*/{taken} would lie where another {taken} "
        ):
            yard_source.read(job.replace(dependencies=(places[taken],)))
