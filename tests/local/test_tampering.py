"""What was changed after it was recorded is not used, and is told in a line with both hashes."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from conftest import PATIENCE, Project
from trainyard import BadInput, RunHandle, State, Yard
from trainyard.core.files import trees
from trainyard.local.home import contents
from trainyard.local.home.home import Home, checked

SAVE = """
import os
with open(os.environ["SM_MODEL_DIR"] + "/weights", "w") as file: file.write("w" * (3 << 20))
"""
READ = """
import os
print(open(os.environ["SM_CHANNEL_TRAIN"] + "/rows.csv").read())
"""


def overwritten(path: Path, content: str) -> None:
    """What an attacker does: the same size, and the times set back."""
    before = path.stat()
    path.chmod(0o600)
    with path.open("r+") as file:
        file.write(content)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))


def test_a_model_that_was_replaced_predicts_and_is_copied_no_more(
    local_yard: Yard, project: Project, tmp_path: Path, rows: Path
) -> None:
    local_yard.train(project.training(SAVE)).wait(timeout=PATIENCE)
    model = local_yard.model("toy@1")
    job = project.inference("def predict_fn(batch, model): return [1] * len(batch)\n", shards=1)
    used = local_yard.infer(job, model="toy@1", input=str(rows)).wait(timeout=PATIENCE)
    assert used.state is State.SUCCEEDED, used.reason
    overwritten(Path(model.path, "weights"), "x")
    found = trees.hash_tree(model.path).hash
    words = f"its hash is {found}, and {model.hash.removeprefix('sha256:')} was recorded"
    # By its path it is the same version.
    for name in ("toy@1", model.path):
        run = local_yard.infer(job, model=name, input=str(rows)).wait(timeout=PATIENCE)
        assert (run.state, run.record.seen.bad_input, run.rows_out) == (State.FAILED, True, None)
        assert run.reason.startswith(f"{model.path}: is not what was recorded: {words}")
    with pytest.raises(BadInput, match=words):
        local_yard.pull("toy@1", str(tmp_path / "there"))
    assert not (tmp_path / "there").exists()


def test_a_data_set_that_was_changed_or_added_to_is_read_by_no_attempt(
    local_yard: Yard, home: Path, project: Project, model: Path, rows: Path, tmp_path: Path
) -> None:
    dataset, _ = local_yard.push("rows", str(rows))
    job = project.training(READ, channels={"train": "rows@1"})
    assert local_yard.train(job).wait(timeout=PATIENCE).state is State.SUCCEEDED
    extra = Path(dataset.path, "more.csv")
    extra.write_text(Path(dataset.path, "rows.csv").read_text())
    trained = local_yard.train(job).wait(timeout=PATIENCE)
    handler = project.inference("def predict_fn(batch, model): return [1] * len(batch)\n")
    predicted = local_yard.infer(handler, model=str(model), input="rows@1").wait(timeout=PATIENCE)
    for run in (trained, predicted):
        assert run.state is State.FAILED
        assert dataset.hash.removeprefix("sha256:") in run.reason and run.record.seen.bad_input
        assert trees.hash_tree(dataset.path).hash in run.reason
    extra.unlink()
    assert trained.resume().wait(timeout=PATIENCE).state is State.SUCCEEDED
    shutil.rmtree(dataset.path)
    gone = local_yard.train(job).wait(timeout=PATIENCE)
    assert (gone.reason, gone.record.seen.bad_input) == (f"{dataset.path}: is gone", True)


@pytest.mark.parametrize("change", ["a row of a part", "another part", "the marker"])
def test_predictions_that_were_changed_are_not_copied(
    local_yard: Yard, project: Project, model: Path, rows: Path, tmp_path: Path, change: str
) -> None:
    job = project.inference("def predict_fn(batch, model): return [1] * len(batch)\n", shards=1)
    output = tmp_path / "open to others"
    run = local_yard.infer(job, model=str(model), input=str(rows), output=str(output)).wait(timeout=PATIENCE)
    assert local_yard.pull(run.id, str(tmp_path / "whole"))[1] == 3
    part = output / "part-00000.csv"
    changes: dict[str, Callable[[], object]] = {
        "a row of a part": lambda: overwritten(part, part.read_text().replace("1\n", "2\n")),
        "another part": lambda: (output / "part-00001.csv").write_text(part.read_text()),
        "the marker": lambda: (output / "_SUCCESS").write_text('{"parts": []}'),
    }
    changes[change]()
    with pytest.raises(BadInput, match="was recorded; nothing of it was copied"):
        local_yard.pull(run.id, str(tmp_path / "there"))
    assert not (tmp_path / "there").exists()


class TestNotes:
    """Large files are spared in a home that is the owner's alone, and only there."""

    @pytest.fixture
    def kept(self, local_yard: Yard, home: Path, project: Project) -> tuple[Home, str, str]:
        run: RunHandle = local_yard.train(project.training(SAVE)).wait(timeout=PATIENCE)
        model = local_yard.model(str(run.model))
        weights = Path(model.path, "weights")
        os.utime(weights, ns=(0, 0))
        return checked(str(home)), model.path, model.hash

    @pytest.fixture
    def read(self, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        """The files that were read for their hash."""
        found: list[str] = []
        hash_file = trees.hash_file
        monkeypatch.setattr(trees, "hash_file", lambda path: (found.append(path), hash_file(path))[1])
        return found

    def test_a_large_file_that_is_what_it_was_is_not_read_again(
        self, kept: tuple[Home, str, str], read: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(contents, "_SETTLED", -PATIENCE)
        for _ in range(3):
            contents.check(*kept)
        assert len(read) == 1
        # Who can write to the home could have noted anything.
        Path(kept[0].path).chmod(0o777)
        contents.check(*kept)
        Path(kept[0].path).chmod(0o700)
        assert len(read) == 2
        contents.check(*kept)
        overwritten(Path(kept[1], "weights"), "x")
        with pytest.raises(BadInput, match="is not what was recorded"):
            contents.check(*kept)
        assert len(read) == 3

    def test_a_file_that_has_just_changed_is_read_again(
        self, kept: tuple[Home, str, str], read: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Its next change could have the same time."""
        monkeypatch.setattr(contents, "_SETTLED", PATIENCE)
        contents.check(*kept)
        contents.check(*kept)
        assert len(read) == 2
