"""A project that runs as it stands, with nothing but Python."""

from __future__ import annotations

import csv
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from trainyard.cli import project as cli_project
from trainyard.cli.project import write_project
from trainyard.core.environments import file as environments_file
from trainyard.core.environments.environment import DEFAULT, Environment
from trainyard.core.errors import BadInput, DiskFull
from trainyard.core.jobs import file as jobs_file
from trainyard.core.jobs import paths
from trainyard.core.jobs.limits import warnings
from trainyard.yard import source

FILES = [
    "trainyard.toml",
    "cdk.json",
    "train.py",
    "predict.py",
    "Dockerfile",
    ".dockerignore",
    "README.md",
    ".gitignore",
    ".trainyardignore",
    "data/train/customers.csv",
    "data/test.csv",
]


def run(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    # -I -S: no packages at all, as on a machine with nothing but Python.
    return subprocess.run(
        [sys.executable, "-I", "-S", *arguments],
        cwd=folder,
        env={"PATH": os.environ["PATH"], **variables},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("init") / "my_shop"
    assert write_project(str(folder)) == FILES
    return folder


def everything(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_what_is_said_to_be_written_is_what_is_written(project: Path) -> None:
    assert everything(project) >= set(FILES)
    assert {name for name in everything(project) if not name.startswith("model")} == set(FILES)


def test_the_job_file_is_right_and_named_after_the_folder(project: Path) -> None:
    file = jobs_file.load(str(project / "trainyard.toml"))
    assert file.train is not None
    assert file.infer is not None
    assert (file.train.name, file.infer.name) == ("my-shop", "my-shop-inference")
    paths.check_paths(file.train)
    paths.check_paths(file.infer)
    assert warnings(file.train) == []
    assert "my-project" not in "".join((project / name).read_text() for name in FILES)


def test_every_key_is_shown_with_its_default(project: Path, tmp_path: Path) -> None:
    text = (project / "trainyard.toml").read_text()
    (tmp_path / "all.toml").write_text(re.sub(r"^# (\w+ = )", r"\1", text, flags=re.MULTILINE))
    shown = jobs_file.load(str(tmp_path / "all.toml"))
    default = jobs_file.load(str(project / "trainyard.toml"))
    for job, same in ((shown.train, default.train), (shown.infer, default.infer)):
        assert job is not None
        assert same is not None
        kept = {"environment": {}, "source_dir": "", "channels": {}}
        assert {**vars(job), **kept} == {**vars(same), **kept}
        written = set(re.findall(r"^#? ?(\w+) = ", text, re.MULTILINE)) | set(re.findall(r"\.(\w+)\]", text))
        assert set(vars(job)) <= written


def test_every_key_of_the_environment_is_shown_with_its_default(project: Path, tmp_path: Path) -> None:
    assert environments_file.load_environment(str(project / "trainyard.toml")) == Environment()
    text = (project / "trainyard.toml").read_text()
    (tmp_path / "all.toml").write_text(re.sub(r"^# (\w+ = )", r"\1", text, flags=re.MULTILINE))
    shown = environments_file.load_environment(str(tmp_path / "all.toml"))
    # TOML has no word for a default that depends, and tags have none: the example's are the project's own.
    assert shown.notebook.enabled is Environment().has_notebook is True
    assert shown.tags
    assert shown.replace(tags={}, notebook=shown.notebook.replace(enabled=None)) == Environment()


def test_the_cdk_finds_its_app_and_the_environment(project: Path) -> None:
    settings = json.loads((project / "cdk.json").read_text())
    assert settings == {"app": "python -m trainyard.infra", "context": {"environment": "dev"}}
    assert settings["context"]["environment"] == DEFAULT


def test_what_the_cdk_reads_and_writes_is_no_source_of_a_run(project: Path, tmp_path: Path) -> None:
    write_project(str(tmp_path))
    (tmp_path / "cdk.out").mkdir()
    (tmp_path / "cdk.out/manifest.json").write_text("{}")
    assert not [file.name for file in source.source_files(str(tmp_path)) if "cdk" in file.name]


def test_the_script_trains_a_good_model_with_nothing_but_python(project: Path) -> None:
    done = run(project, "train.py")
    assert done.returncode == 0, done.stderr
    train = jobs_file.load(str(project / "trainyard.toml")).train
    assert train is not None
    last = {name: re.findall(regex, done.stdout)[-1] for name, regex in train.metrics.items()}
    assert float(last["accuracy"]) >= 0.85
    assert float(last["loss"]) < 0.35
    assert len(done.stdout.splitlines()) == train.hyperparameters["epochs"]
    assert set(json.loads((project / "model/model.json").read_text())) == {
        "features",
        "means",
        "spreads",
        "weights",
    }


def test_an_interrupted_training_becomes_the_very_same_model(project: Path, tmp_path: Path) -> None:
    folders = {"SM_MODEL_DIR": str(tmp_path / "model"), "TRAINYARD_CHECKPOINT_DIR": str(tmp_path / "kept")}
    (tmp_path / "kept").mkdir()
    data = {"SM_CHANNEL_TRAIN": str(project / "data/train")}
    script = [sys.executable, "-I", "-S", str(project / "train.py"), "--epochs", "3000"]
    environment = {"PATH": os.environ["PATH"], **folders, **data}
    first = subprocess.Popen(script, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True)
    assert first.stdout is not None
    for line in first.stdout:
        # Its checkpoint is written next: the sixth is there, the seventh perhaps.
        if line.startswith("epoch=7 "):
            first.kill()
            break
    first.stdout.close()
    assert first.wait() == -9
    resumed = json.loads((tmp_path / "kept/checkpoint.json").read_text())["epoch"]
    assert resumed >= 6
    end = str(resumed + 5)
    second = run(project, "train.py", "--epochs", end, **folders, **data)
    assert second.stdout.startswith(f"resuming after epoch {resumed}\nepoch={resumed + 1} ")
    whole = run(project, "train.py", "--epochs", end, "--model_dir", str(tmp_path / "whole"), **data)
    assert whole.returncode == 0
    assert (tmp_path / "whole/model.json").read_bytes() == (tmp_path / "model/model.json").read_bytes()


def test_the_handler_predicts_every_row_and_is_mostly_right(project: Path) -> None:
    run(project, "train.py")
    code = (
        "import csv, json, sys; sys.path.insert(0, '.'); import predict;"
        "rows = list(csv.DictReader(open('data/test.csv', newline='')));"
        "print(json.dumps(predict.predict_fn(rows, predict.model_fn('model'))))"
    )
    done = run(project, "-B", "-c", code)
    assert done.returncode == 0, done.stderr
    results = json.loads(done.stdout)
    with (project / "data/test.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(results) == len(rows) == 120
    assert not set(rows[0]) & set(results[0])
    right = sum(
        result["prediction"] == int(row["churned"]) for row, result in zip(rows, results, strict=True)
    )
    assert right / len(rows) >= 0.85


def test_the_same_folder_name_gives_the_same_bytes(project: Path, tmp_path: Path) -> None:
    write_project(str(tmp_path / "my_shop"))
    for name in FILES:
        assert (tmp_path / "my_shop" / name).read_bytes() == (project / name).read_bytes()


def test_the_current_folder_is_the_default(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "notes.txt").write_text("mine")
    write_project()
    assert everything(tmp_path) == {*FILES, "notes.txt"}


@pytest.mark.parametrize("folder", ["___", "x" * 100, "ünï", "a b"])
def test_any_folder_name_gives_jobs_with_legal_names(tmp_path: Path, folder: str) -> None:
    write_project(str(tmp_path / folder))
    assert jobs_file.load(str(tmp_path / folder / "trainyard.toml")).infer is not None


@pytest.mark.parametrize("name", FILES)
def test_nothing_is_overwritten_and_nothing_written_beside(tmp_path: Path, name: str) -> None:
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_text("mine")
    with pytest.raises(BadInput, match="is there already; nothing was written") as refused:
        write_project(str(tmp_path))
    assert refused.value.where in (str(tmp_path / name), str(tmp_path / "data/train"))
    assert everything(tmp_path) == {name}
    assert (tmp_path / name).read_text() == "mine"


def test_other_peoples_training_data_is_not_mixed_with_ours(tmp_path: Path) -> None:
    (tmp_path / "data/train").mkdir(parents=True)
    (tmp_path / "data/train/own.csv").write_text("a\n")
    with pytest.raises(BadInput, match="data/train: is there already"):
        write_project(str(tmp_path))
    assert everything(tmp_path) == {"data/train/own.csv"}


def test_a_file_is_no_folder_for_a_project(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("mine")
    with pytest.raises(BadInput, match="x: is a file and no folder"):
        write_project(str(tmp_path / "x"))
    with pytest.raises(BadInput):
        write_project(str(tmp_path / "x/y"))
    assert (tmp_path / "x").read_text() == "mine"


def test_a_file_where_a_folder_should_be_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("mine")
    with pytest.raises(BadInput, match="data: is there already"):
        write_project(str(tmp_path))
    assert everything(tmp_path) == {"data"}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this machine")
def test_a_full_disk_is_told_and_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def write_full(folder: str, name: str, text: str, written: list[str]) -> None:
        original(folder, name, text, written)
        if name == "predict.py":
            with Path("/dev/full").open("w") as full:
                full.write(text)

    original = cli_project._write
    monkeypatch.setattr(cli_project, "_write", write_full)
    with pytest.raises(DiskFull, match="no space left on the device; nothing was written"):
        write_project(str(tmp_path / "new"))
    assert list(tmp_path.iterdir()) == []
