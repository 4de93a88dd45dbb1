"""What is promised of models and data sets: versioned, traceable, nothing lost."""

from __future__ import annotations

import os
import tarfile
from pathlib import Path

import pytest

from conftest import PATIENCE, Project, wait_for_line
from trainyard import BadInput, NotFound, State, Yard

SAVE = """
import os
print("accuracy=0.75")
with open(os.path.join(os.environ["SM_MODEL_DIR"], "model.txt"), "w") as file: file.write("weights")
"""
LEAVE = """
import os
os.makedirs(os.path.join(os.environ["SM_OUTPUT_DATA_DIR"], "deep"))
open(os.path.join(os.environ["SM_OUTPUT_DATA_DIR"], "deep/report"), "w").write("good")
open(os.path.join(os.environ["SM_MODEL_DIR"], "model.bin"), "w").write("weights")
open(os.path.join(os.environ["TRAINYARD_CHECKPOINT_DIR"], "state"), "w").write("7")
"""


def contents(folder: Path) -> dict[str, str]:
    """What every file below the folder holds, by its path."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): path.read_text() for path in files}


class CataloguePromises:
    def test_an_empty_model_folder_makes_no_model(self, yard: Yard, project: Project) -> None:
        run = yard.train(project.training("")).wait(timeout=PATIENCE)
        assert (run.state, run.model, yard.models()) == (State.SUCCEEDED, None, [])
        assert run.record.to_json()["model"] is None

    def test_every_success_makes_a_version_even_of_equal_bytes(self, yard: Yard, project: Project) -> None:
        job = project.training(SAVE)
        made = [yard.train(job).wait(timeout=PATIENCE).model for _ in range(3)]
        assert made == ["toy@1", "toy@2", "toy@3"]
        versions = yard.models("toy")
        assert len({version.hash for version in versions}) == 1
        assert yard.model("toy@latest").version == 3

    def test_a_model_that_its_script_closed_is_kept_and_can_be_read(
        self, yard: Yard, project: Project, tmp_path: Path
    ) -> None:
        close = (
            "os.mkdir('deep'); open('deep/b', 'w').write('b')\n"
            "os.chmod('model.txt', 0); os.chmod('deep', 0); os.chmod('.', 0)\n"
        )
        script = SAVE + "os.chdir(os.environ['SM_MODEL_DIR'])\n" + close
        run = yard.train(project.training(script)).wait(timeout=PATIENCE)
        assert (run.state, run.model) == (State.SUCCEEDED, "toy@1"), run.reason
        model = Path(yard.pull("toy@1", str(tmp_path / "model"))[0])
        assert all((model / name).stat().st_mode & 0o700 == 0o700 for name in (".", "deep"))
        assert all((model / name).stat().st_mode & 0o400 for name in ("model.txt", "deep/b"))

    def test_a_model_knows_where_it_came_from(self, yard: Yard, project: Project, tmp_path: Path) -> None:
        (tmp_path / "data.csv").write_text("x\n1\n")
        yard.push("rows", str(tmp_path / "data.csv"))
        job = project.training(
            SAVE,
            channels={"train": "rows@latest"},
            hyperparameters={"epochs": 3},
            metrics={"accuracy": "accuracy=([0-9.]+)"},
        )
        run = yard.train(job).wait(timeout=PATIENCE)
        model = yard.model(str(run.model))
        assert (model.run, model.code) == (run.id, run.record.code)
        assert dict(model.data) == {"train": "rows@1"}
        assert dict(model.hyperparameters) == {"epochs": 3}
        assert dict(model.metrics) == {"accuracy": 0.75}
        assert (model.files, model.bytes) == (1, len("weights"))
        assert model.hash.startswith("sha256:")

    def test_the_code_has_a_hash_of_its_own(self, yard: Yard, project: Project) -> None:
        first = yard.train(project.training(SAVE)).wait(timeout=PATIENCE)
        second = yard.train(project.training(SAVE + "\n# changed\n")).wait(timeout=PATIENCE)
        third = yard.train(project.training(SAVE)).wait(timeout=PATIENCE)
        assert first.record.code == third.record.code != second.record.code

    def test_a_model_is_pulled(self, yard: Yard, project: Project, tmp_path: Path) -> None:
        run = yard.train(project.training(SAVE)).wait(timeout=PATIENCE)
        for what, target in ((str(run.model), "by-name"), (f"{run.id}/model", "by-run")):
            folder, files, size, missing = yard.pull(what, str(tmp_path / target))
            assert (files, size, missing) == (1, len("weights"), ())
            assert (Path(folder) / "model.txt").read_text() == "weights"

    def test_all_that_a_run_left_is_pulled_however_it_ended(
        self, yard: Yard, project: Project, tmp_path: Path
    ) -> None:
        run = yard.train(project.training(LEAVE, retries=0)).wait(timeout=PATIENCE)
        assert run.state is State.SUCCEEDED, run.reason
        pulled = yard.pull(run.id, str(tmp_path / "all"))
        assert (pulled.files, pulled.missing) == (3, ())
        assert contents(tmp_path / "all") == {
            "checkpoints/state": "7",
            "model/model.bin": "weights",
            "output/deep/report": "good",
        }
        assert contents(Path(yard.pull(f"{run.id}/output", str(tmp_path / "one"))[0])) == {
            "deep/report": "good"
        }
        failed = yard.train(project.training(LEAVE + "raise SystemExit(1)\n")).wait(timeout=PATIENCE)
        pulled = yard.pull(failed.id, str(tmp_path / "failed"))
        left = contents(tmp_path / "failed")
        assert (left["checkpoints/state"], left["output/deep/report"]) == ("7", "good")
        # What AWS does not keep is said.
        assert ("model/model.bin" in left) == (not pulled.missing)
        assert not pulled.missing or ("model: " in pulled.missing[0] and "SageMaker" in pulled.missing[0])
        nothing = yard.train(project.training("")).wait(timeout=PATIENCE)
        with pytest.raises(NotFound, match="nothing was written"):
            yard.pull(nothing.id, str(tmp_path / "nothing"))
        with pytest.raises(NotFound, match="no output of the run"):
            yard.pull(f"{nothing.id}/output", str(tmp_path / "nothing"))
        assert not (tmp_path / "nothing").exists()

    def test_what_a_run_saved_as_it_was_ended_is_pulled_and_becomes_a_version(
        self, yard: Yard, project: Project, tmp_path: Path
    ) -> None:
        script = SAVE + "import time\nprint('saved', flush=True)\ntime.sleep(60)\n"
        run = yard.train(project.training(script, metrics={"accuracy": "accuracy=([0-9.]+)"}))
        wait_for_line(run, "saved")
        run.stop()
        pulled = yard.pull(run.id, str(tmp_path / "all"))
        assert contents(tmp_path / "all") == {"model/model.txt": "weights"}
        assert [line.partition(":")[0] for line in pulled.missing] == ["output", "checkpoints"]
        made, missing = yard.add_model("toy", run.id)
        assert (made.ref, made.run, made.code, missing) == ("toy@1", run.id, run.record.code, ())
        assert yard.models() == [made] == [yard.model("toy@latest")]
        assert contents(Path(yard.pull("toy@1", str(tmp_path / "version"))[0])) == {"model.txt": "weights"}
        # The run's own model, once it has made one, is the next version.
        assert yard.train(project.training(SAVE)).wait(timeout=PATIENCE).model == "toy@2"

    @pytest.mark.parametrize("name", ["folder", "weights.bin", "model.tar.gz"])
    def test_a_version_is_made_of_anything(self, yard: Yard, tmp_path: Path, name: str) -> None:
        (tmp_path / "folder").mkdir()
        (tmp_path / "folder/weights.bin").write_text("w")
        (tmp_path / "weights.bin").write_text("w")
        with tarfile.open(tmp_path / "model.tar.gz", "w:gz") as archive:
            archive.add(tmp_path / "folder", ".")
        first, _ = yard.add_model("mine", str(tmp_path / name))
        second, _ = yard.add_model("mine", str(tmp_path / name))
        assert [model.ref for model in yard.models("mine")] == [first.ref, second.ref] == ["mine@1", "mine@2"]
        assert first.hash == second.hash
        assert contents(Path(yard.pull("mine@2", str(tmp_path / "pulled"))[0])) == {"weights.bin": "w"}
        with pytest.raises(BadInput, match="no name for a model"):
            yard.add_model("not a name", str(tmp_path / name))

    def test_a_model_with_a_link_out_of_it_makes_no_version_and_is_not_lost(
        self, yard: Yard, project: Project, tmp_path: Path
    ) -> None:
        script = """
import os
os.chdir(os.environ["SM_MODEL_DIR"])
open("/opt/ml/checkpoints/7", "w").write("the best")
open("weights", "w").write("w")
os.symlink("/opt/ml/model/weights", "same")
os.symlink("/opt/ml/checkpoints/7", "best")
os.symlink("/nowhere/at/all", "lost")
"""
        run = yard.train(project.training(script)).wait(timeout=PATIENCE)
        assert (run.state, run.model, yard.models()) == (State.FAILED, None, [])
        assert "is a link to /" in run.reason and f"trainyard models add toy {run.id}" in run.reason
        made, missing = yard.add_model("toy", run.id)
        assert [line.partition(":")[0] for line in missing] in ([], ["lost"])
        model = contents(Path(yard.pull(made.ref, str(tmp_path / "model"))[0]))
        assert model == {"weights": "w", "same": "w", "best": "the best"}

    def test_a_script_that_was_corrected_makes_the_model_that_could_not_be_kept(
        self, yard: Yard, project: Project
    ) -> None:
        script = SAVE + "os.symlink('/nowhere/at/all', os.environ['SM_MODEL_DIR'] + '/lost')\n"
        run = yard.train(project.training(script)).wait(timeout=PATIENCE)
        assert (run.state, run.model) == (State.FAILED, None)
        before = run.record.code
        project.write("train.py", SAVE)
        again = run.resume(with_current_code=True).wait(timeout=PATIENCE)
        assert (again.state, len(again.attempts)) == (State.SUCCEEDED, 2), again.reason
        assert yard.model(str(again.model)).code == again.record.code != before

    def test_an_absolute_link_that_stays_in_the_model_is_kept(
        self, yard: Yard, project: Project, tmp_path: Path
    ) -> None:
        script = SAVE + "d = os.environ['SM_MODEL_DIR']\nos.symlink(d + '/model.txt', d + '/latest')\n"
        run = yard.train(project.training(script)).wait(timeout=PATIENCE)
        assert (run.state, run.model) == (State.SUCCEEDED, "toy@1"), run.reason
        model = contents(Path(yard.pull("toy@1", str(tmp_path / "model"))[0]))
        assert model == {"model.txt": "weights", "latest": "weights"}

    def test_nothing_is_pulled_over_what_is_there(self, yard: Yard, project: Project, tmp_path: Path) -> None:
        run = yard.train(project.training(SAVE)).wait(timeout=PATIENCE)
        (tmp_path / "mine").mkdir()
        (tmp_path / "mine/file").write_text("mine")
        with pytest.raises(BadInput, match="not an empty folder"):
            yard.pull(str(run.model), str(tmp_path / "mine"))
        assert [path.name for path in (tmp_path / "mine").iterdir()] == ["file"]

    def test_an_unknown_model_is_not_found_and_near_names_are_told(
        self, yard: Yard, project: Project
    ) -> None:
        with pytest.raises(NotFound, match="there is no model yet"):
            yard.model("toy@1")
        yard.train(project.training(SAVE)).wait(timeout=PATIENCE)
        with pytest.raises(NotFound, match="did you mean 'toy'"):
            yard.model("tox@1")
        with pytest.raises(NotFound, match="the latest is toy@1"):
            yard.model("toy@2")
        with pytest.raises(BadInput, match="name@version"):
            yard.model("toy")

    def test_data_that_did_not_change_are_no_new_version(self, yard: Yard, tmp_path: Path) -> None:
        data = tmp_path / "rows.csv"
        data.write_text("x\n1\n")
        first, is_new = yard.push("rows", str(data))
        same, is_new_again = yard.push("rows", str(data))
        assert (is_new, is_new_again, first.ref, same.ref) == (True, False, "rows@1", "rows@1")
        data.write_text("x\n2\n")
        assert yard.push("rows", str(data))[0].ref == "rows@2"
        assert [version.ref for version in yard.data()] == ["rows@1", "rows@2"]

    def test_an_edit_after_the_push_does_not_reach_the_data_set(self, yard: Yard, tmp_path: Path) -> None:
        data = tmp_path / "rows.csv"
        data.write_text("x\n1\n")
        pushed, _ = yard.push("rows", str(data))
        data.write_text("changed")
        folder, *_ = yard.pull(pushed.ref, str(tmp_path / "pulled"))
        assert (Path(folder) / "rows.csv").read_text() == "x\n1\n"

    def test_nobody_else_can_lead_a_pull_elsewhere(self, yard: Yard, tmp_path: Path) -> None:
        """In a folder where others may write, and who guess the names under which files are written aside."""
        (tmp_path / "rows.csv").write_text("x\n1\n")
        (tmp_path / "elsewhere").mkdir()
        (tmp_path / f".pulled.{os.getpid()}.part").symlink_to("elsewhere")
        pushed, _ = yard.push("rows", str(tmp_path / "rows.csv"))
        folder, *_ = yard.pull(pushed.ref, str(tmp_path / "pulled"))
        assert (Path(folder) / "rows.csv").read_text() == "x\n1\n"
        assert not [*(tmp_path / "elsewhere").iterdir()]

    def test_a_name_that_both_have_is_told_apart(self, yard: Yard, project: Project, tmp_path: Path) -> None:
        yard.train(project.training(SAVE)).wait(timeout=PATIENCE)
        (tmp_path / "rows.csv").write_text("x\n1\n")
        yard.push("toy", str(tmp_path / "rows.csv"))
        with pytest.raises(BadInput, match="models/toy@1"):
            yard.pull("toy@1", str(tmp_path / "either"))
        assert Path(yard.pull("data/toy@1", str(tmp_path / "data"))[0], "rows.csv").exists()
        assert Path(yard.pull("models/toy@1", str(tmp_path / "model"))[0], "model.txt").exists()

    @pytest.mark.parametrize("name", ["", "a b", "-x", "x" * 52, "ä"])
    def test_a_name_that_aws_would_refuse_is_refused(self, yard: Yard, tmp_path: Path, name: str) -> None:
        (tmp_path / "rows.csv").write_text("x\n1\n")
        with pytest.raises(BadInput, match="no name"):
            yard.push(name, str(tmp_path / "rows.csv"))
        assert yard.data() == []

    def test_nothing_is_pushed_of_an_absent_or_an_empty_folder(self, yard: Yard, tmp_path: Path) -> None:
        (tmp_path / "empty/inner").mkdir(parents=True)
        for path, problem in (("absent", "no such file"), ("empty", "no files")):
            with pytest.raises(BadInput, match=problem):
                yard.push("rows", str(tmp_path / path))
        assert yard.data() == []
