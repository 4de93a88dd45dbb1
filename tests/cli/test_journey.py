"""From `init` to `pull`, as a person does it."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from .conftest import Project

RUN = [
    "id",
    "kind",
    "name",
    "yard",
    "state",
    "reason",
    "metrics",
    "model",
    "attempts",
    "created",
    "started",
    "finished",
]
ATTEMPT = ["number", "task", "state", "reason", "started", "finished", "lost_seconds"]
MODEL = ["name", "version", "run", "metrics", "path", "created"]
DATA = ["name", "version", "hash", "bytes", "files", "created"]


@pytest.fixture(scope="module")
def churn(project: Project) -> Project:
    """A project as `init` writes it, with one trained model."""
    made = project.run("init", "churn")
    assert made.returncode == 0, made.stderr
    inside = Project(
        project.folder / "churn", project.environment | {"TRAINYARD_HOME": str(home_of(project))}
    )
    trained = inside.run("train")
    assert trained.returncode == 0, trained.stderr
    return inside


def home_of(project: Project) -> Path:
    return project.folder / ".trainyard"


def test_init_names_the_files_and_what_to_type_next(project: Project) -> None:
    result = project.run("init", "a folder")
    *files, following = result.stdout.splitlines()
    assert following == "next: cd 'a folder' && trainyard train"
    assert all((project.folder / name).is_file() for name in files)
    again = project.run("init", "a folder")
    assert (again.returncode, again.stdout, again.stderr.count("\n")) == (2, "", 1)


def test_train_ends_with_the_metrics_the_model_and_the_next_command(churn: Project) -> None:
    result = churn.run("train", "-p", "epochs=3")
    first, *log = result.stdout.splitlines()
    run = churn.latest()
    assert first == f"{run['id']} started"
    assert [line.split()[0] for line in log[:3]] == ["epoch=1", "epoch=2", "epoch=3"]
    assert log[3].startswith("succeeded after ")
    told = dict(line.split(maxsplit=1) for line in log[4:])
    assert told["metrics"] == f"accuracy={run['metrics']['accuracy']:.6g} loss={run['metrics']['loss']:.6g}"
    assert told["model"].startswith(f"{run['model']} in ")
    assert Path(told["model"].split(" in ")[1], "model.json").is_file()
    assert Path(told["logs"]).is_dir()
    assert told["next"] == f"trainyard infer {run['model']} INPUT"
    assert result.returncode == 0


def test_train_json_is_one_object_with_the_promised_keys(churn: Project) -> None:
    (run,) = churn.ask("train", "-p", "epochs=2", "--no-spot")
    assert list(run) == RUN
    assert (run["state"], run["kind"], run["name"], run["yard"]) == (
        "succeeded",
        "training",
        "churn",
        "local",
    )
    assert list(run["attempts"][0]) == ATTEMPT
    assert set(run["metrics"]) == {"accuracy", "loss"}
    assert run["created"] <= run["started"] <= run["finished"]
    assert run["created"].endswith("Z")


def test_infer_ends_with_the_rows_and_the_output(churn: Project) -> None:
    result = churn.run("infer", "churn@latest", "data/test.csv", "--output", "out", "--shards", "3")
    assert result.returncode == 0, result.stderr
    told = dict(line.split(maxsplit=1) for line in result.stdout.splitlines()[2:])
    assert told["rows"] == "120 in, 120 out"
    assert told["output"] == "out"
    parts = sorted((churn.folder / "out").glob("part-*.csv"))
    assert len(parts) == 3
    rows = [row for part in parts for row in csv.DictReader(part.read_text().splitlines())]
    asked = list(csv.DictReader((churn.folder / "data" / "test.csv").read_text().splitlines()))
    assert [row["customer"] for row in rows] == [row["customer"] for row in asked]


def test_infer_json_has_the_rows_too(churn: Project) -> None:
    (run,) = churn.ask("infer", "churn@1", "data/test.csv")
    assert list(run) == [*RUN, "output", "rows_in", "rows_out"]
    assert (run["model"], run["rows_in"], run["rows_out"]) == ("churn@1", 120, 120)
    assert Path(run["output"], "_SUCCESS").is_file()


def test_show_tells_everything_a_person_asks(churn: Project) -> None:
    (run,) = churn.ask("train", "-p", "epochs=2")
    lines = churn.run("show", run["id"]).stdout.splitlines()
    told = {line[:17].strip(): line[17:] for line in lines if line[:1] != " "}
    assert told["run"] == run["id"]
    assert told["state"] == "succeeded"
    assert told["model"].startswith(run["model"])
    assert told["channel"] == "train = data/train"
    assert told["hyperparameters"] == "epochs=2 learning_rate=0.05"
    assert told["resources"] == "1 x ml.m5.xlarge, 30 GB"
    assert Path(told["folder"]).is_dir()
    assert len(told["code"].removeprefix("sha256:")) == 64
    assert lines[-1].split()[:3] == ["1", "train", "succeeded"]
    assert churn.ask("show", run["id"]) == [run]


def test_a_run_can_be_named_by_its_beginning(churn: Project) -> None:
    run = churn.latest()
    assert churn.ask("show", run["id"][:-1])[0]["id"] == run["id"]


def test_logs_are_the_script_s_lines(churn: Project) -> None:
    (run,) = churn.ask("train", "-p", "epochs=2")
    lines = churn.run("logs", run["id"]).stdout.splitlines()
    assert [line.split()[0] for line in lines] == ["epoch=1", "epoch=2"]
    assert churn.run("logs", "-f", run["id"]).stdout.splitlines() == lines
    objects = churn.ask("logs", run["id"])
    assert [each["text"] for each in objects] == lines
    assert all(list(each) == ["time", "task", "attempt", "text"] for each in objects)
    assert all(run["started"] <= each["time"] <= run["finished"] for each in objects)


def test_runs_are_newest_first_and_can_be_limited(churn: Project) -> None:
    ids = [run["id"] for run in churn.ask("runs", "--limit", "0")]
    (run,) = churn.ask("train", "-p", "epochs=1")
    assert [each["id"] for each in churn.ask("runs", "--limit", "0")] == [run["id"], *ids]
    assert [each["id"] for each in churn.ask("runs", "--limit", "1", "--name", "churn")] == [run["id"]]
    assert churn.ask("runs", "--name", "nobody") == []
    first = churn.run("runs").stdout.splitlines()[0].split("\t")
    assert first[:4] == [run["id"], "training", "succeeded", run["reason"]]


def test_models_are_listed_with_their_runs(churn: Project) -> None:
    (run,) = churn.ask("train", "-p", "epochs=1")
    model = churn.ask("models", "churn")[-1]
    assert list(model) == MODEL
    assert (f"{model['name']}@{model['version']}", model["run"]) == (run["model"], run["id"])
    assert model["metrics"] == run["metrics"]
    last = churn.run("models").stdout.splitlines()[-1].split("\t")
    assert last[:2] == [run["model"], run["id"]]


@pytest.mark.parametrize("verb", [["data", "push"], ["models", "add"]])
def test_a_push_tells_what_links_take_along(churn: Project, verb: list[str]) -> None:
    folder = churn.folder / f"linked-{verb[0]}"
    folder.mkdir()
    (folder / "rows.csv").symlink_to("../data/test.csv")
    pushed = churn.run(*verb, "linked", folder.name)
    assert pushed.stderr.startswith(f"warning: {folder.name}: links lead out of the folder, rows.csv to ")
    assert pushed.stdout.startswith("linked@1: 1 file, ")


def test_a_data_set_is_pushed_once_listed_and_trained_on(churn: Project) -> None:
    pushed = churn.run("data", "push", "customers", "data/train").stdout
    assert pushed.startswith("customers@1: 1 file, ")
    assert churn.run("data", "push", "customers", "data/train").stdout.endswith(
        "(unchanged: no new version)\n"
    )
    (dataset,) = churn.ask("data", "customers")
    assert list(dataset) == DATA
    assert churn.run("data", "customers").stdout.startswith("customers@1\t1\t")
    text = (churn.folder / "trainyard.toml").read_text().replace('"data/train"', '"customers@latest"')
    churn.write("other.toml", text)
    (run,) = churn.ask("train", "other.toml", "-p", "epochs=1")
    assert "train = customers@1" in churn.run("show", run["id"]).stdout


def test_pull_copies_models_and_output(churn: Project) -> None:
    told = churn.run("pull", "churn@1", "--on", "local", "copied")
    assert told.stdout.startswith("copied: 1 file, ")
    stored = Path(churn.ask("models")[0]["path"], "model.json").read_bytes()
    assert (churn.folder / "copied" / "model.json").read_bytes() == stored
    churn.ask("infer", "churn@1", "data/test.csv")
    (pulled,) = churn.ask("pull", "latest", "predictions")
    assert list(pulled) == ["what", "folder", "files", "bytes", "missing"]
    assert (pulled["what"], pulled["files"]) == (
        "latest",
        len(list((churn.folder / "predictions").iterdir())),
    )
    again = churn.run("pull", "churn@1", "copied")
    assert (again.returncode, again.stdout, again.stderr.count("\n")) == (2, "", 1)


def test_a_dry_run_tells_the_command_and_writes_nothing(project: Project) -> None:
    project.script("dry", "print(1)", more='[train.hyperparameters]\nn = 3\nrate = 0.5\nname = "a b"\n')
    alone = Project(project.folder / "alone", project.environment)
    for name in ("dry.py", "dry.toml"):
        alone.write(name, (project.folder / name).read_text())
    environment = {**project.environment, "TRAINYARD_HOME": str(alone.folder / "home")}
    alone = Project(alone.folder, environment)
    result = alone.run("train", "dry.toml", "--dry-run", "-p", "n=4", "--interrupt-at", "2s:kill")
    assert result.returncode == 0, result.stderr
    assert "python dry.py -n 4 --name 'a b' --rate 0.5" in result.stdout
    (plan,) = alone.ask("train", "dry.toml", "--dry-run", "--interrupt-at", "2s:kill")
    assert list(plan) == ["job", "channels", "command", "interrupt_at", "from"]
    assert plan["job"]["hyperparameters"] == {"n": 3, "rate": 0.5, "name": "a b"}
    assert plan["interrupt_at"] == ["2s:kill"]
    assert sorted(path.name for path in alone.folder.iterdir()) == ["dry.py", "dry.toml"]


def test_a_dry_run_of_inference_names_the_model_and_the_input(churn: Project) -> None:
    before = churn.ask("runs", "--limit", "0")
    (plan,) = churn.ask("infer", "churn@1", "data/test.csv", "--dry-run", "--shards", "7")
    assert (plan["model"], plan["job"]["shards"]) == ("churn@1", 7)
    assert plan["input"] == str(churn.folder / "data" / "test.csv")
    assert churn.run("infer", "churn@1", "data/test.csv", "--dry-run").stdout.endswith(
        "nothing was started\n"
    )
    assert churn.ask("runs", "--limit", "0") == before


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (["train", "nowhere.toml"], "nowhere.toml: no such job file"),
        (["train", "-p", "epochs"], "-p: 'epochs' is no hyperparameter"),
        (["train", "--interrupt-at", "soon"], "--interrupt-at: 'soon' is not a time"),
        (["infer", "chrun@1", "data/test.csv"], "did you mean 'churn'?"),
        (["infer", "churn@1", "data/tset.csv"], "INPUT: no such file"),
        (["infer", "churn@1", "data/test.csv", "--shards", "0"], "--shards: "),
        (["infer", "churn@1", "data/test.csv", "--file", "x.toml"], "x.toml: no such job file"),
        (["infer", "churn@1", "data/test.csv", "--output", "data"], "data"),
        (["show", "churn-none"], "no run is called 'churn-none'"),
        (["logs", "nothing"], "no run is called 'nothing'"),
        (["stop", "nothing"], "no run is called 'nothing'"),
        (["resume", "nothing"], "no run is called 'nothing'"),
        (["models", "chrun"], "no model is called 'chrun'; did you mean 'churn'?"),
        (["data", "psuh"], "no data set is called 'psuh'; did you mean 'push'?"),
        (["data", "push", "a_b", "data"], "'a_b' is no name for a data set"),
        (["data", "push", "ab", "nowhere"], "no such file or folder"),
        (["pull", "churn@99"], "'churn@99'"),
    ],
)
def test_bad_input_is_one_line_status_2_and_no_run(churn: Project, argv: list[str], told: str) -> None:
    runs = Path(churn.environment["TRAINYARD_HOME"], "runs")
    before = sorted(runs.iterdir())
    for extra in ([], ["--json"]):
        result = churn.run(*argv, *extra)
        assert (result.returncode, result.stdout) == (2, "")
        assert result.stderr.startswith("trainyard: ")
        assert told in result.stderr
        assert result.stderr.count("\n") == 1
    assert sorted(runs.iterdir()) == before


def test_a_job_file_s_error_names_the_file_and_the_line(project: Project) -> None:
    name = project.script("channel", "print(1)", more='[train.channels]\nrows = "no-rows"\n')
    result = project.run("train", name)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith("trainyard: channel.toml:5: train.channels.rows: no such file or folder")
    lonely = project.run("infer", "m@1", "x", "--file", name)
    assert lonely.stderr.startswith("trainyard: channel.toml: has no [infer]")


@pytest.mark.parametrize(
    ("argv", "table"),
    [(["train", "account.toml"], "[train]"), (["infer", "m@1", "x", "--file", "account.toml"], "[infer]")],
)
def test_a_job_file_with_environments_alone_has_nothing_to_run(
    project: Project, argv: list[str], table: str
) -> None:
    (project.folder / "account.toml").write_text("[environments.prod]\nzones = 3\n")
    result = project.run(*argv)
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith(f"trainyard: account.toml: has no {table}; ")
    assert result.stderr.count("\n") == 1


def test_an_empty_yard_lists_nothing(tmp_path: Path, environment: dict[str, str]) -> None:
    empty = Project(tmp_path, environment)
    for verb in ("runs", "models", "data"):
        result = empty.run(verb)
        assert (result.returncode, result.stdout, result.stderr) == (0, "", "")
    result = empty.run("show", "latest")
    assert (result.returncode, result.stderr.count("\n")) == (2, 1)
    assert not list(tmp_path.iterdir())


def test_a_handler_with_a_bad_row_gives_status_2_and_one_line(churn: Project) -> None:
    churn.write("ragged.csv", "a,b\n1,2\n1,2,3\n")
    result = churn.run("infer", "churn@1", "ragged.csv")
    assert result.returncode == 2
    assert "ragged.csv" in result.stderr
    assert "3" in result.stderr
    assert result.stderr.count("\n") == 1
    again = churn.run("infer", "churn@1", "ragged.csv", "--json")
    assert (again.returncode, json.loads(again.stdout)["state"]) == (2, "failed")
