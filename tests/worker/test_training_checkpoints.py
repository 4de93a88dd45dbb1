"""The checkpoint folder: how fresh the script's files are, and that there is nothing else."""

import os
from pathlib import Path

from trainyard.worker.contract.checkpoints import newest_checkpoint, remove_former


def aged(path: Path, seconds: float) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("")
    os.utime(path, (seconds, seconds))


def test_what_we_wrote_there_in_former_days_goes_and_all_else_stays(tmp_path: Path) -> None:
    for name in ("attempt-algo-1", "attempt-algo-2", "history-algo-1.json", "attempt-algo-9", "notes"):
        (tmp_path / f".trainyard-{name}").write_text("1")
    remove_former(str(tmp_path), ["algo-1", "algo-2"])
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        ".trainyard-attempt-algo-9",
        ".trainyard-notes",
    ]


def test_the_newest_checkpoint_is_the_newest_file_at_any_depth(tmp_path: Path) -> None:
    aged(tmp_path / "old", 1000)
    aged(tmp_path / "step" / "7" / "weights", 3000.5)
    aged(tmp_path / "step" / "6" / "weights", 2000)
    assert newest_checkpoint(str(tmp_path)) == 3000.5


def test_folders_are_no_checkpoints(tmp_path: Path) -> None:
    (tmp_path / "step" / "empty").mkdir(parents=True)
    assert newest_checkpoint(str(tmp_path)) is None


def test_what_sagemaker_notes_beside_the_checkpoints_is_none(tmp_path: Path) -> None:
    aged(tmp_path / "epoch-1.pt", 1000)
    aged(tmp_path / "epoch-1.pt.sagemaker-uploaded", 2000)
    aged(tmp_path / "step" / "state.sagemaker-uploading", 3000)
    assert newest_checkpoint(str(tmp_path)) == 1000


def test_links_are_not_followed(tmp_path: Path) -> None:
    aged(tmp_path / "elsewhere" / "newer", 9000)
    aged(tmp_path / "kept" / "state", 1000)
    folder = tmp_path / "kept" / "folder"
    folder.symlink_to(tmp_path / "elsewhere")
    os.utime(folder, (2000, 2000), follow_symlinks=False)
    assert newest_checkpoint(str(tmp_path / "kept")) == 2000


def test_a_folder_that_is_not_there_has_no_checkpoint(tmp_path: Path) -> None:
    assert newest_checkpoint(str(tmp_path / "none")) is None
