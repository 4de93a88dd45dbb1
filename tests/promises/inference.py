"""What an inference run does: every row once and in order, in parts that are whole or absent."""

from __future__ import annotations

import csv
import io
import json
import tarfile
import tempfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from conftest import PATIENCE, Project, texts, wait_for_line
from trainyard import BadInput, NotFound, RunFailed, RunHandle, State, Yard

DOUBLE = """
def model_fn(folder):
    with open(folder + "/factor") as file: return int(file.read())
def predict_fn(batch, model):
    return [model * int(row["n"]) for row in batch]
"""
HOLD = """
import os, time
def model_fn(folder):
    index, attempt = os.environ["AWS_BATCH_JOB_ARRAY_INDEX"], os.environ["TRAINYARD_ATTEMPT"]
    print("shard", index, "attempt", attempt, flush=True)
    return index, attempt
def predict_fn(batch, model):
    index, attempt = model
    {what}
    return [int(row["n"]) for row in batch]
"""


def output_of(yard: Yard, run: RunHandle, project: Project) -> Path:
    """The folder of the run's output: where it lies, or where it is copied to from elsewhere."""
    place = str(run.output)
    if "://" not in place:
        return Path(place)
    aside = tempfile.mkdtemp(prefix="pulled-", dir=project.folder.parent)
    return Path(yard.pull(run.id, f"{aside}/output")[0])


def predictions(yard: Yard, run: RunHandle, project: Project) -> list[dict[str, str]]:
    """All rows of the output, part after part."""
    parts = sorted(output_of(yard, run, project).glob("part-*.csv"))
    return [row for part in parts for row in csv.DictReader(io.StringIO(part.read_text(), newline=""))]


class InferencePromises:
    def test_a_model_folder_is_read_with_what_its_links_lead_to(
        self, yard: Yard, project: Project, model: Path, rows: Path
    ) -> None:
        (model / "factor").rename(model.parent / "blob")
        (model / "factor").symlink_to("../blob")
        job = project.inference(DOUBLE, shards=1, retries=0)
        run = yard.infer(job, model=str(model), input=str(rows)).wait(timeout=PATIENCE)
        assert (run.state, run.rows_out) == (State.SUCCEEDED, 200), run.reason

    def test_every_row_is_predicted_once_and_in_order(
        self, yard: Yard, project: Project, model: Path, rows: Path
    ) -> None:
        job = project.inference(DOUBLE, shards=4, batch_size=7)
        run = yard.infer(job, model=str(model), input=str(rows))
        assert run.wait(timeout=PATIENCE).state is State.SUCCEEDED, run.reason
        found = predictions(yard, run, project)
        assert [(row["n"], row["prediction"]) for row in found] == [(f"{n}", f"{2 * n}") for n in range(200)]
        assert found[3]["text"] == "row 3\nof many"
        assert (run.rows_in, run.rows_out, run.reason) == (200, 200, "predicted 200 rows")
        output = output_of(yard, run, project)
        assert len(list(output.glob("part-*.csv"))) == 4
        assert json.loads((output / "_manifest.json").read_text())["run"] == run.id
        counted = json.loads((output / "_SUCCESS").read_text())
        assert (counted["rows_in"], counted["rows_out"], counted["run"]) == (200, 200, run.id)

    def test_a_run_without_an_output_has_one_of_its_own(
        self, yard: Yard, project: Project, model: Path, rows: Path
    ) -> None:
        run = yard.infer(project.inference(DOUBLE), model=str(model), input=str(rows))
        assert run.wait(timeout=PATIENCE).state is State.SUCCEEDED
        assert run.id in str(run.output)
        assert len(predictions(yard, run, project)) == 200

    def test_more_shards_than_rows_give_as_many_parts(
        self, yard: Yard, project: Project, model: Path, tmp_path: Path
    ) -> None:
        (tmp_path / "few.csv").write_text("n\n1\n2\n")
        job = project.inference(DOUBLE, shards=5)
        run = yard.infer(job, model=str(model), input=str(tmp_path / "few.csv")).wait(timeout=PATIENCE)
        parts = sorted(output_of(yard, run, project).glob("part-*.csv"))
        assert len(parts) == 5
        assert all(part.read_text().startswith("n,prediction\n") for part in parts)
        assert [row["prediction"] for row in predictions(yard, run, project)] == ["2", "4"]

    def test_a_shard_that_fails_once_is_tried_again(
        self, yard: Yard, project: Project, model: Path, rows: Path
    ) -> None:
        what = "if (index, attempt) == ('1', '1'): raise RuntimeError('flaky')"
        job = project.inference(HOLD.format(what=what), shards=3)
        run = yard.infer(job, model=str(model), input=str(rows)).wait(timeout=PATIENCE)
        assert (run.state, run.rows_out) == (State.SUCCEEDED, 200)
        states = {(a.task, a.number): str(a.state) for a in run.attempts}
        assert states == {
            ("shard-00000", 1): "succeeded",
            ("shard-00001", 1): "failed",
            ("shard-00001", 2): "succeeded",
            ("shard-00002", 1): "succeeded",
        }
        assert [int(row["prediction"]) for row in predictions(yard, run, project)] == list(range(200))

    def test_a_shard_that_was_killed_is_tried_again(
        self, yard: Yard, project: Project, model: Path, rows: Path
    ) -> None:
        what = "if (index, attempt) == ('0', '1'): os.kill(os.getpid(), 9)"
        run = yard.infer(project.inference(HOLD.format(what=what)), model=str(model), input=str(rows))
        assert run.wait(timeout=PATIENCE).state is State.SUCCEEDED
        first = next(attempt for attempt in run.attempts if attempt.task == "shard-00000")
        assert (first.state, "SIGKILL" in first.reason) == (State.FAILED, True)
        assert [int(row["prediction"]) for row in predictions(yard, run, project)] == list(range(200))

    def test_a_shard_that_leaves_as_if_all_were_well_has_failed(
        self, yard: Yard, project: Project, model: Path, tmp_path: Path
    ) -> None:
        (tmp_path / "bare.csv").write_text("5.1\n4.9\n")
        handler = "import os\ndef predict_fn(batch, model): os._exit(0)\n"
        job = project.inference(handler, shards=1, retries=0)
        run = yard.infer(job, model=str(model), input=str(tmp_path / "bare.csv")).wait(timeout=PATIENCE)
        assert run.state is State.FAILED
        assert run.reason.startswith("shard-00000: the handler ended its process, with exit status 0")
        # What the plan found to be likely not meant is told, whatever became of the run.
        assert [line.rpartition("; ")[2] for line in run.warnings] == [
            "if the file has no header, write header = false in [infer]"
        ]

    def test_a_csv_without_a_header_keeps_its_first_row_and_its_delimiter(
        self, yard: Yard, project: Project, model: Path, tmp_path: Path
    ) -> None:
        (tmp_path / "bare.csv").write_text("5.1;3\n4.9;3\n")
        handler = "def predict_fn(batch, model): return [row['0'] + '!' for row in batch]\n"
        job = project.inference(handler, header=False, delimiter=";")
        run = yard.infer(job, model=str(model), input=str(tmp_path / "bare.csv")).wait(timeout=PATIENCE)
        assert (run.state, run.rows_out) == (State.SUCCEEDED, 2), run.reason
        parts = sorted(output_of(yard, run, project).glob("part-*.csv"))
        assert [part.read_text() for part in parts] == ["5.1;3;5.1!\n", "4.9;3;4.9!\n"]
        assert run.warnings == ()

    def test_values_keep_their_types_through_files_batches_and_shards(
        self, yard: Yard, project: Project, model: Path, tmp_path: Path
    ) -> None:
        big, moment = 2**53 + 1, 1735689600123456789
        for day, ids, kind in ((1, [big, None], "int64"), (2, [7], "int32")):
            (tmp_path / f"in/day={day}").mkdir(parents=True)
            moments = pa.array([moment] * len(ids), pa.timestamp("ns"))
            table = pa.table({"id": pa.array(ids, kind), "when": moments})
            pq.write_table(table, tmp_path / f"in/day={day}/0.parquet")
        handler = (
            "batch_format = 'columns'\ndef predict_fn(batch, model):\n"
            "    boxes = [[0.5] if number == 7 else [] for number in batch['id']]\n"
            "    return {'seen': list(map(repr, batch['id'])), 'boxes': boxes}\n"
        )
        job = project.inference(handler, batch_size=1)
        run = yard.infer(job, model=str(model), input=str(tmp_path / "in")).wait(timeout=PATIENCE)
        assert (run.state, run.rows_out) == (State.SUCCEEDED, 3), run.reason
        parts = [pq.read_table(part) for part in sorted(output_of(yard, run, project).glob("part-*.parquet"))]
        assert [len(part) for part in parts] == [1, 2]
        table = pa.concat_tables(parts)
        assert table["when"].cast("int64").to_pylist() == [moment] * 3
        assert table.drop(["when"]).to_pylist() == [
            {"id": big, "day": 1, "seen": str(big), "boxes": []},
            {"id": None, "day": 1, "seen": "None", "boxes": []},
            {"id": 7, "day": 2, "seen": "7", "boxes": [0.5]},
        ]

    def test_a_shard_that_keeps_failing_fails_the_run_and_is_named(
        self, yard: Yard, project: Project, model: Path, rows: Path
    ) -> None:
        what = "if index == '1': raise RuntimeError('hopeless')"
        job = project.inference(HOLD.format(what=what), shards=3, retries=2)
        run = yard.infer(job, model=str(model), input=str(rows)).wait(timeout=PATIENCE)
        assert run.state is State.FAILED
        assert run.reason.startswith("shard-00001: RuntimeError: hopeless (predict.py:")
        assert sum(attempt.task == "shard-00001" for attempt in run.attempts) == 3
        assert not (output_of(yard, run, project) / "_SUCCESS").exists()
        with pytest.raises(RunFailed) as caught:
            run.check()
        assert caught.value.exit_status == 1

    def test_a_failed_run_resumes_with_its_missing_shards_alone(
        self, yard: Yard, project: Project, model: Path, rows: Path
    ) -> None:
        # The last one: where there are fewer slots than shards, another is done by then.
        what = "if (index, attempt) == ('2', '1'): raise RuntimeError('ill')"
        job = project.inference(HOLD.format(what=what), shards=3, retries=0)
        run = yard.infer(job, model=str(model), input=str(rows))
        assert run.wait(timeout=PATIENCE).state is State.FAILED
        done = {a.task for a in run.attempts if a.state is State.SUCCEEDED}
        script = Path(job.source_dir, "predict.py").read_text()
        project.write("predict.py", script + "# another\n")
        if done:
            with pytest.raises(BadInput, match="predicted by other code"):
                run.resume(with_current_code=True)
        project.write("predict.py", script)
        run.resume(with_current_code=True).wait(timeout=PATIENCE)
        assert (run.state, run.rows_out) == (State.SUCCEEDED, 200)
        assert [int(row["prediction"]) for row in predictions(yard, run, project)] == list(range(200))
        for task in done:
            assert sum(attempt.task == task for attempt in run.attempts) == 1

    def test_a_stopped_run_is_resumed_to_its_end(
        self, yard: Yard, project: Project, model: Path, rows: Path
    ) -> None:
        what = "if index == '1' and attempt == '1': time.sleep(60)"
        run = yard.infer(project.inference(HOLD.format(what=what)), model=str(model), input=str(rows))
        wait_for_line(run, "shard 1 attempt 1")
        run.stop()
        assert run.state is State.STOPPED
        assert run.resume().wait(timeout=PATIENCE).state is State.SUCCEEDED
        assert [int(row["prediction"]) for row in predictions(yard, run, project)] == list(range(200))

    def test_a_bad_row_is_bad_input_and_is_not_tried_again(
        self, yard: Yard, project: Project, model: Path, tmp_path: Path
    ) -> None:
        (tmp_path / "bad.jsonl").write_text('{"n": 1}\n{"n": 2}\n{"n": \n{"n": 4}\n')
        run = yard.infer(project.inference(DOUBLE), model=str(model), input=str(tmp_path / "bad.jsonl"))
        run.wait(timeout=PATIENCE)
        assert run.state is State.FAILED
        assert "bad.jsonl" in run.reason and "3" in run.reason
        assert run.record.seen.bad_input
        assert max((attempt.number for attempt in run.attempts), default=1) == 1
        with pytest.raises(RunFailed) as caught:
            run.check()
        assert caught.value.exit_status == 2

    @pytest.mark.parametrize(
        ("handler", "problem"),
        [
            ("def predict_fn(batch, model): return [1]\n", "1"),
            ("def model_fn(folder): return 1\n", "predict_fn"),
            ("def predict_fn(batch, model) return\n", "predict.py:1"),
            ("def input_fn(body, kind): ...\ndef predict_fn(data, model): return data\n", "input_fn"),
        ],
    )
    def test_a_handler_that_breaks_the_contract_is_bad_input(
        self, yard: Yard, project: Project, model: Path, rows: Path, handler: str, problem: str
    ) -> None:
        run = yard.infer(project.inference(handler), model=str(model), input=str(rows))
        run.wait(timeout=PATIENCE)
        assert run.state is State.FAILED
        assert problem in run.reason and run.record.seen.bad_input
        assert all(attempt.number == 1 for attempt in run.attempts)

    def test_a_trained_model_is_named_by_its_version(self, yard: Yard, project: Project, rows: Path) -> None:
        script = "import os\nopen(os.environ['SM_MODEL_DIR'] + '/factor', 'w').write('3')"
        trained = yard.train(project.training(script)).wait(timeout=PATIENCE)
        run = yard.infer(project.inference(DOUBLE), model="toy@latest", input=str(rows))
        assert run.wait(timeout=PATIENCE).state is State.SUCCEEDED
        assert run.model == trained.model == "toy@1"
        found = [int(row["prediction"]) for row in predictions(yard, run, project)]
        assert found == [3 * n for n in range(200)]
        named = yard.infer(project.inference(DOUBLE), model=yard.model("toy@1"), input=str(rows))
        assert named.wait(timeout=PATIENCE).state is State.SUCCEEDED

    def test_a_model_archive_is_unpacked(
        self, yard: Yard, project: Project, model: Path, rows: Path, tmp_path: Path
    ) -> None:
        archive = tmp_path / "model.tar.gz"
        with tarfile.open(archive, "w:gz") as tar:
            tar.add(model / "factor", "factor")
        run = yard.infer(project.inference(DOUBLE), model=str(archive), input=str(rows))
        assert run.wait(timeout=PATIENCE).state is State.SUCCEEDED, run.reason
        assert predictions(yard, run, project)[1]["prediction"] == "2"

    @pytest.mark.parametrize("kind", ["climbing", "truncated", "garbled", "text"])
    def test_an_archive_that_is_none_or_hostile_is_bad_input(
        self, yard: Yard, project: Project, rows: Path, tmp_path: Path, kind: str
    ) -> None:
        archive = tmp_path / "model.tar.gz"
        write_archive(archive, "../../evil" if kind == "climbing" else "factor")
        content = bytearray(archive.read_bytes())
        if kind == "truncated":
            archive.write_bytes(content[: len(content) // 2])
        elif kind == "garbled":
            content[len(content) // 2 : len(content) // 2 + 40] = b"\xff" * 40
            archive.write_bytes(content)
        elif kind == "text":
            archive.write_text("no archive at all")
        run = yard.infer(project.inference(DOUBLE), model=str(archive), input=str(rows))
        run.wait(timeout=PATIENCE)
        assert run.state is State.FAILED
        assert "model.tar.gz" in run.reason, run.reason
        assert run.record.seen.bad_input
        assert not list(tmp_path.rglob("evil"))
        assert not any("Traceback" in text for text in texts(run))

    def test_an_unknown_model_or_input_is_refused_with_near_names(
        self, yard: Yard, project: Project, model: Path, rows: Path
    ) -> None:
        job = project.inference(DOUBLE)
        yard.push("rows", str(rows))
        with pytest.raises(NotFound, match="MODEL"):
            yard.infer(job, model="absent", input=str(rows))
        with pytest.raises(NotFound, match="absent"):
            yard.infer(job, model="absent@1", input=str(rows))
        with pytest.raises(NotFound, match=r"INPUT: .*rows@latest"):
            yard.infer(job, model=str(model), input="rowz")
        with pytest.raises(NotFound, match=r"INPUT: .*did you mean 'rows'"):
            yard.infer(job, model=str(model), input="rosw@1")
        assert yard.runs() == []

    def test_a_data_set_is_an_input(self, yard: Yard, project: Project, model: Path, rows: Path) -> None:
        yard.push("rows", str(rows))
        run = yard.infer(project.inference(DOUBLE), model=str(model), input="rows@latest")
        assert run.wait(timeout=PATIENCE).state is State.SUCCEEDED
        assert run.rows_out == 200

    def test_the_environment_of_the_job_is_seen_by_the_handler(
        self, yard: Yard, project: Project, model: Path, rows: Path
    ) -> None:
        handler = "import os\ndef predict_fn(batch, model): return [os.environ['FLAVOUR']] * len(batch)\n"
        job = project.inference(handler, environment={"FLAVOUR": "plum"})
        run = yard.infer(job, model=str(model), input=str(rows)).wait(timeout=PATIENCE)
        assert run.state is State.SUCCEEDED, run.reason
        assert {row["prediction"] for row in predictions(yard, run, project)} == {"plum"}


class OutputFolderPromises:
    """What a yard promises of folders that people name for predictions; only this machine's yard has them."""

    def test_the_predictions_lie_in_the_folder_that_was_named(
        self, yard: Yard, project: Project, model: Path, rows: Path, tmp_path: Path
    ) -> None:
        run = yard.infer(
            project.inference(DOUBLE), model=str(model), input=str(rows), output=str(tmp_path / "out")
        )
        assert run.wait(timeout=PATIENCE).state is State.SUCCEEDED, run.reason
        assert run.output == str(tmp_path / "out")
        assert (tmp_path / "out/_SUCCESS").exists()

    def test_an_output_folder_with_something_else_in_it_is_refused(
        self, yard: Yard, project: Project, model: Path, rows: Path, tmp_path: Path
    ) -> None:
        (tmp_path / "out").mkdir()
        (tmp_path / "out/precious").write_text("mine")
        with pytest.raises(BadInput, match="something else in it"):
            yard.infer(
                project.inference(DOUBLE), model=str(model), input=str(rows), output=str(tmp_path / "out")
            )
        assert yard.runs() == []
        assert [path.name for path in (tmp_path / "out").iterdir()] == ["precious"]

    def test_an_output_folder_inside_the_input_is_refused(
        self, yard: Yard, project: Project, model: Path, rows: Path, tmp_path: Path
    ) -> None:
        (tmp_path / "input").mkdir()
        rows.rename(tmp_path / "input/rows.csv")
        (tmp_path / "link").symlink_to(tmp_path / "input")
        for output in ("input", "input/out", "link/out"):
            with pytest.raises(BadInput, match=r"--output: .* lies in INPUT"):
                yard.infer(
                    project.inference(DOUBLE),
                    model=str(model),
                    input=str(tmp_path / "input"),
                    output=str(tmp_path / output),
                )
        assert [path.name for path in (tmp_path / "input").iterdir()] == ["rows.csv"]

    def test_an_output_folder_that_a_failed_run_left_bare_is_free_again(
        self, yard: Yard, project: Project, model: Path, rows: Path, tmp_path: Path
    ) -> None:
        out = tmp_path / "out"
        broken = project.inference("def predict_fn(batch, model): return oops\n", retries=0)
        first = yard.infer(broken, model=str(model), input=str(rows), output=str(out))
        assert first.wait(timeout=PATIENCE).state is State.FAILED
        (out / ".part-00000.csv.tmp-1").write_text("what a killed shard leaves")
        job = project.inference(DOUBLE)
        second = yard.infer(job, model=str(model), input=str(rows), output=str(out))
        assert second.wait(timeout=PATIENCE).state is State.SUCCEEDED, second.reason
        assert not (out / ".part-00000.csv.tmp-1").exists()
        for again in (
            first.resume,
            lambda: yard.infer(job, model=str(model), input=str(rows), output=str(out)),
        ):
            with pytest.raises(BadInput, match=f"something else in it, of the run {second.id}; "):
                again()
        assert json.loads((out / "_manifest.json").read_text()) == {"run": second.id}

    def test_of_two_runs_for_one_output_the_second_is_refused(
        self, yard: Yard, project: Project, model: Path, rows: Path, tmp_path: Path
    ) -> None:
        job = project.inference(DOUBLE)
        first = yard.infer(job, model=str(model), input=str(rows), output=str(tmp_path / "out"))
        with pytest.raises(BadInput, match="out"):
            yard.infer(job, model=str(model), input=str(rows), output=str(tmp_path / "out"))
        assert first.wait(timeout=PATIENCE).state is State.SUCCEEDED
        assert len(yard.runs()) == 1


def write_archive(path: Path, member: str) -> None:
    """A `model.tar.gz` with one member of some size, of that name."""
    import random

    content = random.Random(7).randbytes(20_000)
    with tarfile.open(path, "w:gz") as tar:
        info = tarfile.TarInfo(member)
        info.size = len(content)
        tar.addfile(info, io.BytesIO(content))
