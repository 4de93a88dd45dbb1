"""A yard as people see it, where a yard of this machine can be looked into from outside."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import trainyard
from conftest import PATIENCE, Project, wait_for_line
from trainyard import BadInput, NotFound, State, Unsupported, Yard
from trainyard.core.errors import DiskFull
from trainyard.local.home import left
from trainyard.yard import source

CHECKPOINT = "import os\nopen(os.environ['TRAINYARD_CHECKPOINT_DIR'] + '/1', 'w').write('1')\n"


def test_planning_starts_and_writes_nothing(
    local_yard: Yard, home: Path, project: Project, rows: Path, model: Path
) -> None:
    job = project.training("", channels={"train": str(rows)})
    planned = local_yard.plan_training(job, interrupt_at=["5s", 7])
    assert planned.state is State.QUEUED
    assert planned.channels["train"].uri == str(rows)
    assert [str(each) for each in planned.interrupt_at] == ["5s", "7s"]
    handler = project.inference("def predict_fn(batch, model): return batch\n")
    planned = local_yard.plan_inference(handler, model=str(model), input=str(rows), output="out")
    assert planned.output == str(Path("out").absolute())
    assert not home.exists()


def test_what_links_would_send_to_an_account_is_told(
    local_yard: Yard, project: Project, tmp_path: Path
) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data/key").symlink_to("/etc/hostname")
    run = local_yard.plan_training(project.training("", channels={"train": str(tmp_path / "data")}))
    (told,) = source.going_along(run)
    assert told.startswith(f"{tmp_path / 'data'}: links lead out of the folder, key to ")


def test_ids_are_names_that_sagemaker_takes_and_all_differ(local_yard: Yard, project: Project) -> None:
    job = project.training("", name="n" * 51)
    ids = {local_yard.plan_training(job).id for _ in range(200)}
    assert len(ids) == 200
    assert all(len(each) <= 63 - len("-999") and each.startswith("n" * 51 + "-") for each in ids)


def test_a_run_knows_its_folder_and_shows_itself(local_yard: Yard, home: Path, project: Project) -> None:
    run = local_yard.train(project.training("")).wait(timeout=PATIENCE)
    assert Path(run.folder) == home.resolve() / "runs" / run.id
    assert repr(run) == f"<Run {run.id} succeeded>"


def test_a_beginning_that_several_runs_have_is_not_enough(local_yard: Yard, project: Project) -> None:
    runs = [local_yard.train(project.training("")) for _ in range(2)]
    with pytest.raises(NotFound, match="2 runs begin with 'toy-'; name one: toy-"):
        local_yard.get("toy-")
    with pytest.raises(NotFound):
        local_yard.get("")
    for run in runs:
        run.wait(timeout=PATIENCE)


def test_what_only_a_cloud_can_do_is_refused_by_field(local_yard: Yard, project: Project) -> None:
    project.write("train.py", "")
    for options, key in (
        ({"channels": {"train": "s3://bucket/prefix"}}, r"train\.channels\.train"),
        ({"environment": {"TOKEN": "secretsmanager:token"}}, r"train\.environment\.TOKEN"),
        ({"resources": trainyard.Resources(instance_count=65)}, r"train\.resources\.instance_count"),
    ):
        with pytest.raises(Unsupported, match=key):
            local_yard.train(project.training(**options))
    assert local_yard.runs() == []


@pytest.mark.parametrize("place", ["MODEL", "INPUT", "--output"])
def test_an_address_in_s3_is_refused_and_no_folder_of_that_name_made(
    local_yard: Yard, project: Project, model: Path, rows: Path, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project.folder)
    job = project.inference("def predict_fn(batch, model): return batch\n")
    given = {"MODEL": str(model), "INPUT": str(rows), "--output": "out"} | {place: "s3://bucket/prefix"}
    with pytest.raises(Unsupported, match=f"{place}: 's3://bucket/prefix': the local yard"):
        local_yard.infer(job, model=given["MODEL"], input=given["INPUT"], output=given["--output"])
    assert [path.name for path in project.folder.iterdir()] == ["predict.py"]
    assert local_yard.runs() == []


def test_a_refused_output_leaves_no_run_behind(
    local_yard: Yard, home: Path, project: Project, model: Path, rows: Path, tmp_path: Path
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/precious").write_text("mine")
    job = project.inference("def predict_fn(batch, model): return batch\n")
    for output in (tmp_path / "out", tmp_path / "out/precious"):
        with pytest.raises(BadInput):
            local_yard.infer(job, model=str(model), input=str(rows), output=str(output))
    assert list((home / "runs").iterdir()) == []
    assert (tmp_path / "out/precious").read_text() == "mine"


def test_the_output_of_a_run_that_could_not_be_submitted_is_given_back(
    local_yard: Yard,
    project: Project,
    model: Path,
    rows: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(*_: object) -> None:
        raise RuntimeError("a bug")

    monkeypatch.setattr(local_yard.ledger, "submit", fail)
    (tmp_path / "empty").mkdir()
    job = project.inference("def predict_fn(batch, model): return batch\n")
    for output in (tmp_path / "new", tmp_path / "empty"):
        with pytest.raises(RuntimeError):
            local_yard.infer(job, model=str(model), input=str(rows), output=str(output))
    assert not (tmp_path / "new").exists()
    assert list((tmp_path / "empty").iterdir()) == []


def test_the_series_of_metrics_has_the_values_of_all_redraws_here(local_yard: Yard, project: Project) -> None:
    job = project.training(
        "for n in range(3): print(f'loss={n}', end='\\r')", metrics={"loss": r"loss=(\d+)"}
    )
    run = local_yard.train(job).wait(timeout=PATIENCE)
    assert [(point.name, point.step, point.value) for point in local_yard.series(run.record)] == [
        ("loss", 0, 0.0),
        ("loss", 1, 1.0),
        ("loss", 2, 2.0),
    ]


def test_watching_returns_when_the_state_changes_or_the_time_is_over(
    local_yard: Yard, project: Project
) -> None:
    run = local_yard.train(project.training("import time\nprint('up', flush=True)\ntime.sleep(60)"))
    wait_for_line(run, "up")
    record = run.record
    assert local_yard.observe(record, wait=0.05).state is State.RUNNING
    local_yard.stop(record)
    assert local_yard.observe(record, wait=PATIENCE).state is State.STOPPED


def test_a_run_of_another_home_is_said_to_be_gone(local_yard: Yard, project: Project, tmp_path: Path) -> None:
    stranger = local_yard.plan_training(project.training(""))
    with pytest.raises(NotFound, match="is gone"):
        local_yard.observe(stranger)


def test_the_output_of_an_inference_run_is_pulled(
    local_yard: Yard, project: Project, model: Path, rows: Path, tmp_path: Path
) -> None:
    job = project.inference("def predict_fn(batch, model): return [1] * len(batch)\n", shards=1)
    run = local_yard.infer(job, model=str(model), input=str(rows)).wait(timeout=PATIENCE)
    folder, *_ = local_yard.pull(run.id, str(tmp_path / "mine"))
    assert (Path(folder) / "part-00000.csv").exists() and (Path(folder) / "_SUCCESS").exists()


def test_the_output_of_an_inference_run_is_pulled_when_it_is_over_and_there(
    local_yard: Yard, project: Project, model: Path, rows: Path, tmp_path: Path
) -> None:
    handler = "import time\ndef predict_fn(batch, model): time.sleep(600)\n"
    run = local_yard.infer(project.inference(handler), model=str(model), input=str(rows))
    with pytest.raises(NotFound, match="no output of the run: the run is"):
        local_yard.pull(run.id, str(tmp_path / "mine"))
    run.stop()
    shutil.rmtree(str(run.output))
    with pytest.raises(NotFound, match="predictions is gone"):
        local_yard.pull(run.id, str(tmp_path / "mine"))


def test_what_a_run_left_is_not_said_to_have_never_been_written_where_its_folder_is_gone(
    local_yard: Yard, project: Project, tmp_path: Path
) -> None:
    run = local_yard.train(project.training(CHECKPOINT)).wait(timeout=PATIENCE)
    shutil.rmtree(run.folder)
    with pytest.raises(NotFound, match=f"checkpoints: {run.folder} is gone"):
        local_yard.pull(run.id, str(tmp_path / "mine"))
    with pytest.raises(NotFound, match=f"no checkpoints of the run: {run.folder} is gone"):
        local_yard.train(project.training(CHECKPOINT), start_from=run.id)


def test_a_copy_of_checkpoints_that_does_not_fit_leaves_nothing(
    local_yard: Yard, home: Path, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = local_yard.train(project.training(CHECKPOINT)).wait(timeout=PATIENCE)

    def fill(_: str, target: str) -> None:
        Path(target).write_text("half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(left, "clone_or_copy", fill)
    with pytest.raises(DiskFull, match="no space left"):
        local_yard.train(project.training(CHECKPOINT), start_from=first.id)
    assert [run.id for run in local_yard.runs()] == [first.id]
    others = [path for path in (home / "runs").iterdir() if path.name != first.id]
    assert all(list(path.iterdir()) == [] for path in others)


@pytest.mark.parametrize("name", ["notes.json", "empty/"])
def test_an_input_with_nothing_to_read_is_refused_with_no_run_made(
    local_yard: Yard, project: Project, model: Path, tmp_path: Path, name: str
) -> None:
    path = tmp_path / name
    if name.endswith("/"):
        path.mkdir()
    else:
        path.write_text("{}")
    job = project.inference("def predict_fn(batch, model): return batch\n")
    with pytest.raises(BadInput, match="INPUT"):
        local_yard.infer(job, model=str(model), input=str(path))
    assert local_yard.runs() == []
