"""The checkpoint folder: the counter, and how fresh the script's files are."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainyard.worker.contract.checkpoints import is_ours, newest_checkpoint, next_attempt


def aged(path: Path, seconds: float) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("")
    os.utime(path, (seconds, seconds))


@pytest.mark.parametrize("content", [b"", b"two", b"\xff\x00", b"-4\n", b"1.5"])
def test_a_counter_that_cannot_be_understood_counts_as_none(tmp_path: Path, content: bytes) -> None:
    (tmp_path / ".trainyard-attempt-algo-1").write_bytes(content)
    assert next_attempt(str(tmp_path), "algo-1") == 1
    assert next_attempt(str(tmp_path), "algo-1") == 2


def test_the_counter_is_one_readable_file_a_host_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    next_attempt(str(tmp_path), "algo-1")
    next_attempt(str(tmp_path), "algo-1")
    assert [path.name for path in tmp_path.iterdir()] == [".trainyard-attempt-algo-1"]
    assert (tmp_path / ".trainyard-attempt-algo-1").read_text() == "2\n"


def test_a_counter_left_half_written_aside_does_no_harm(tmp_path: Path) -> None:
    next_attempt(str(tmp_path), "algo-1")
    (tmp_path / ".trainyard-attempt-algo-1.new").write_text("9")
    assert next_attempt(str(tmp_path), "algo-1") == 2


@given(st.lists(st.sampled_from(["algo-1", "algo-2", "algo-3"]), max_size=12))
def test_hosts_count_alone_in_any_order(tmp_path_factory: pytest.TempPathFactory, order: list[str]) -> None:
    folder = str(tmp_path_factory.mktemp("checkpoints"))
    counts = [next_attempt(folder, host) for host in order]
    assert counts == [order[: place + 1].count(host) for place, host in enumerate(order)]


def test_counters_are_told_from_the_scripts_files(tmp_path: Path) -> None:
    next_attempt(str(tmp_path), "algo-1")
    (tmp_path / "epoch-1.pt").write_text("")
    assert [path.name for path in tmp_path.iterdir() if not is_ours(path.name)] == ["epoch-1.pt"]
    assert is_ours(".trainyard-attempt-algo-1.new")


def test_the_newest_checkpoint_is_the_newest_file_at_any_depth(tmp_path: Path) -> None:
    aged(tmp_path / "old", 1000)
    aged(tmp_path / "step" / "7" / "weights", 3000.5)
    aged(tmp_path / "step" / "6" / "weights", 2000)
    assert newest_checkpoint(str(tmp_path)) == 3000.5


def test_neither_counters_nor_folders_are_checkpoints(tmp_path: Path) -> None:
    next_attempt(str(tmp_path), "algo-1")
    (tmp_path / "step" / "empty").mkdir(parents=True)
    assert newest_checkpoint(str(tmp_path)) is None


def test_what_sagemaker_and_we_note_beside_the_checkpoints_is_none(tmp_path: Path) -> None:
    aged(tmp_path / "epoch-1.pt", 1000)
    aged(tmp_path / "epoch-1.pt.sagemaker-uploaded", 2000)
    aged(tmp_path / "step" / "state.sagemaker-uploading", 3000)
    aged(tmp_path / ".trainyard-history-algo-1.json", 4000)
    assert newest_checkpoint(str(tmp_path)) == 1000


def test_a_file_of_the_script_deeper_down_is_a_checkpoint_whatever_its_name(tmp_path: Path) -> None:
    aged(tmp_path / "step" / ".trainyard-attempt-algo-1", 4000)
    assert newest_checkpoint(str(tmp_path)) == 4000


def test_links_are_not_followed(tmp_path: Path) -> None:
    aged(tmp_path / "elsewhere" / "newer", 9000)
    aged(tmp_path / "kept" / "state", 1000)
    folder = tmp_path / "kept" / "folder"
    folder.symlink_to(tmp_path / "elsewhere")
    os.utime(folder, (2000, 2000), follow_symlinks=False)
    assert newest_checkpoint(str(tmp_path / "kept")) == 2000


def test_a_folder_that_is_not_there_has_no_checkpoint(tmp_path: Path) -> None:
    assert newest_checkpoint(str(tmp_path / "none")) is None
