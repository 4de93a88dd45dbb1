"""The catalogue: what a person calls a model or a data set is found, or refused with near names."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from pathlib import Path

import pytest

import trainyard
from conftest import PATIENCE, Project
from trainyard import BadInput, NotFound, Yard
from trainyard.core.errors import DiskFull
from trainyard.core.files.trees import hash_tree
from trainyard.machine import copying

SAVE = "import os\nopen(os.environ['SM_MODEL_DIR'] + '/factor', 'w').write('3')"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    (folder / "deep").mkdir(parents=True)
    (folder / "a.csv").write_text("n\n1\n")
    (folder / "deep/b.csv").write_text("n\n2\n")
    return folder


def test_a_data_set_knows_its_size_and_content(local_yard: Yard, data: Path) -> None:
    pushed, is_new = local_yard.push("rows", str(data))
    assert is_new
    assert (pushed.ref, pushed.files, pushed.bytes) == ("rows@1", 2, 8)
    assert pushed.hash == f"sha256:{hash_tree(str(data)).hash}"
    assert list(pushed.to_json()) == ["name", "version", "hash", "bytes", "files", "created"]
    assert (Path(pushed.path) / "deep/b.csv").read_text() == "n\n2\n"


def test_what_is_in_the_catalogue_cannot_be_written_by_accident(local_yard: Yard, data: Path) -> None:
    pushed, _ = local_yard.push("rows", str(data))
    assert (Path(pushed.path) / "a.csv").stat().st_mode & 0o222 == 0


def test_equal_content_elsewhere_and_later_is_unchanged(local_yard: Yard, data: Path, tmp_path: Path) -> None:
    local_yard.push("rows", str(data))
    copying.copy_tree(str(data), str(tmp_path / "copy"))
    os.utime(tmp_path / "copy/a.csv", (1, 1))
    again, is_new = local_yard.push("rows", str(tmp_path / "copy"))
    assert (again.ref, is_new) == ("rows@1", False)
    # Only the latest counts: going back to an older content is a new version.
    (data / "a.csv").write_text("n\n7\n")
    assert local_yard.push("rows", str(data))[0].ref == "rows@2"
    assert local_yard.push("rows", str(tmp_path / "copy"))[0].ref == "rows@3"


def test_nothing_is_left_aside(local_yard: Yard, home: Path, data: Path) -> None:
    for _ in range(2):
        local_yard.push("rows", str(data))
    (data / "link").symlink_to("nowhere")
    with pytest.raises(BadInput, match="leads nowhere"):
        local_yard.push("rows", str(data))
    assert list((home / "aside").iterdir()) == []
    assert [version.ref for version in local_yard.data()] == ["rows@1"]


def test_a_disk_that_fills_up_is_said_and_leaves_nothing(
    local_yard: Yard, home: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fill(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device", "somewhere")

    monkeypatch.setattr(copying, "clone_or_copy", fill)
    with pytest.raises(DiskFull, match="no space left"):
        local_yard.push("rows", str(data))
    monkeypatch.undo()
    assert list((home / "aside").iterdir()) == []
    assert local_yard.data() == []


def test_many_pushes_at_once_are_all_whole(local_yard: Yard, tmp_path: Path) -> None:
    def push(number: int) -> None:
        (tmp_path / f"{number}").mkdir()
        (tmp_path / f"{number}/rows.csv").write_text(f"n\n{number}\n")
        local_yard.push("rows", str(tmp_path / f"{number}"))

    threads = [threading.Thread(target=push, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    versions = local_yard.data("rows")
    assert [version.version for version in versions] == [1, 2, 3, 4, 5, 6]
    contents = {(Path(version.path) / "rows.csv").read_text() for version in versions}
    assert contents == {f"n\n{number}\n" for number in range(6)}


@pytest.mark.parametrize("reference", ["rows", "rows@", "rows@-1", "rows@x", "@1", "", "rows@1@2", "rows@ 1"])
def test_what_is_no_reference_is_refused(local_yard: Yard, data: Path, reference: str) -> None:
    local_yard.push("rows", str(data))
    with pytest.raises(BadInput):
        local_yard.dataset(reference)


@pytest.mark.parametrize("version", ["0", "2", "01", "9" * 5000, "٣", "²"])
def test_a_version_that_is_none_is_not_found(local_yard: Yard, data: Path, version: str) -> None:
    local_yard.push("rows", str(data))
    with pytest.raises(BadInput) as caught:
        local_yard.dataset(f"rows@{version}")
    assert len(str(caught.value).splitlines()) == 1


def test_a_path_goes_before_a_reference_for_models_and_inputs(
    local_yard: Yard, project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: Path
) -> None:
    local_yard.train(project.training(SAVE)).wait(timeout=PATIENCE)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "toy@1").mkdir()
    job = project.inference("def predict_fn(batch, model): return batch\n")
    assert local_yard.plan_inference(job, model="toy@1", input=str(rows)).model_uri == str(tmp_path / "toy@1")
    (tmp_path / "toy@1").rmdir()
    planned = local_yard.plan_inference(job, model="toy@1", input=str(rows))
    assert (planned.model_used, planned.model_uri) == ("toy@1", local_yard.model("toy@1").path)


def test_a_file_that_is_no_model_is_refused(local_yard: Yard, project: Project, rows: Path) -> None:
    job = project.inference("def predict_fn(batch, model): return batch\n")
    with pytest.raises(NotFound, match=r"MODEL: .*model\.tar\.gz"):
        local_yard.infer(job, model=str(rows), input=str(rows))


def test_pulled_files_are_ones_own_to_write(local_yard: Yard, data: Path, tmp_path: Path) -> None:
    pushed, _ = local_yard.push("rows", str(data))
    folder, files, size, _ = local_yard.pull("rows@latest", str(tmp_path / "deep/down/mine"))
    assert (files, size) == (2, 8)
    (Path(folder) / "a.csv").write_text("mine now")
    assert (Path(pushed.path) / "a.csv").read_text() == "n\n1\n"


def test_a_pull_names_its_folder_after_what_it_is(
    local_yard: Yard, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    local_yard.push("rows", str(data))
    monkeypatch.chdir(tmp_path)
    assert local_yard.pull("rows@latest")[0] == str(tmp_path / "rows-1")


def test_a_version_that_somebody_removed_is_said_to_be_gone(
    local_yard: Yard, data: Path, tmp_path: Path
) -> None:
    import shutil

    pushed, _ = local_yard.push("rows", str(data))
    shutil.rmtree(pushed.path)
    with pytest.raises(trainyard.BadInput, match="is gone"):
        local_yard.pull("rows@1", str(tmp_path / "mine"))
    assert not (tmp_path / "mine").exists()


def test_a_version_that_cannot_be_pulled_gets_the_latest(
    local_yard: Yard, data: Path, project: Project, tmp_path: Path
) -> None:
    local_yard.push("rows", str(data))
    local_yard.train(project.training("")).wait(timeout=PATIENCE)
    for word in ("rows@7", "rows"):
        with pytest.raises(NotFound, match="the latest is rows@1"):
            local_yard.pull(word, str(tmp_path / "pulled"))


def test_what_no_model_can_be_made_of_is_told_by_what_it_is(
    local_yard: Yard, data: Path, project: Project
) -> None:
    local_yard.push("rows", str(data))
    with pytest.raises(trainyard.BadInput, match=r"'rows@1' is no run, folder or file; .*pull rows@1"):
        local_yard.add_model("mine", "rows@1")
    with pytest.raises(NotFound, match="no such file or folder, and no run is called 'rows'"):
        local_yard.add_model("mine", "rows")
    assert local_yard.models() == []


def test_what_a_killed_push_left_aside_is_removed_later(local_yard: Yard, home: Path, data: Path) -> None:
    local_yard.push("rows", str(data))
    dead = subprocess.Popen(["true"])
    dead.wait()
    for name, age in ((f"{dead.pid}-old", 7200), (f"{dead.pid}-young", 60), (f"{os.getpid()}-alive", 7200)):
        (home / "aside" / name).mkdir()
        (home / "aside" / name / "half.csv").write_text("n")
        os.utime(home / "aside" / name, (time.time() - age,) * 2)
    local_yard.push("more", str(data))
    assert sorted(path.name.split("-")[1] for path in (home / "aside").iterdir()) == ["alive", "young"]
