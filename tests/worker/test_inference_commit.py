from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from trainyard.worker.errors import InputError, OutputError

from .inference_run import CONSTANT, InferenceRun

SCORES = "def predict_fn(batch, model):\n    return [{'score': int(r['a']), 'b': 1} for r in batch]\n"


def predicted(
    home: Path, handler: str = CONSTANT, *, shards: int = 3, rows: int = 6, **options: Any
) -> InferenceRun:
    run = InferenceRun(home, handler, shards=shards, **options)
    (run.input / "t.csv").write_text("a\n" + "".join(f"{i}\n" for i in range(rows)))
    run.plan()
    run.predict()
    return run


def test_success_tells_rows_and_checksums_of_every_part(tmp_path: Path) -> None:
    run = predicted(tmp_path)
    done = run.commit()
    assert {key: done[key] for key in ("run", "format", "rows_in", "rows_out")} == {
        "run": "digits-1",
        "format": "csv",
        "rows_in": 6,
        "rows_out": 6,
    }
    for part, path in zip(done["parts"], run.parts(), strict=True):
        content = path.read_bytes()
        facts = {"name": path.name, "rows": 2, "bytes": len(content)}
        assert part == {**facts, "sha256": hashlib.sha256(content).hexdigest()}
    assert json.loads(run.summary.read_text()) == done


def test_a_commit_that_is_run_again_does_the_same(tmp_path: Path) -> None:
    run = predicted(tmp_path, SCORES, shards=4, rows=2)
    first = run.commit()
    content = [path.read_bytes() for path in run.parts()]
    assert run.commit() == first
    assert [path.read_bytes() for path in run.parts()] == content


def test_parts_without_rows_take_the_header_of_the_others(tmp_path: Path) -> None:
    run = predicted(tmp_path, SCORES, shards=4, rows=2)
    run.commit()
    assert {path.read_text().splitlines()[0] for path in run.parts()} == {"a,score,b"}


def test_a_run_without_rows_has_the_header_of_its_input_and_prediction(tmp_path: Path) -> None:
    run = predicted(tmp_path, SCORES, shards=2, rows=0)
    assert run.commit()["rows_out"] == 0
    assert [path.read_text() for path in run.parts()] == ["a,prediction\n"] * 2


@pytest.mark.parametrize("index", [0, 2])
def test_a_part_that_was_altered_fails_the_run(tmp_path: Path, index: int) -> None:
    run = predicted(tmp_path)
    part = run.parts()[index]
    part.write_bytes(part.read_bytes().replace(b"0\n", b"9\n"))
    with pytest.raises(OutputError, match=f"part-0000{index}.csv is not what shard {index} wrote"):
        run.commit()
    assert not (run.output / "_SUCCESS").exists()


def test_rows_are_counted_anew_and_not_taken_from_the_shard(tmp_path: Path) -> None:
    run = predicted(tmp_path)
    part = run.parts()[1]
    part.write_bytes(part.read_bytes() + b"7,0\n")
    result = Path(run.result_path(1))
    said = json.loads(result.read_text())
    result.write_text(json.dumps({**said, "sha256": hashlib.sha256(part.read_bytes()).hexdigest()}))
    with pytest.raises(OutputError, match=r"shard 1: part-00001\.csv has 3 rows where the plan has 2"):
        run.commit()


def test_a_missing_part_a_missing_result_and_a_strange_file_fail_the_run(tmp_path: Path) -> None:
    run = predicted(tmp_path / "1")
    run.parts()[1].unlink()
    with pytest.raises(OutputError, match=r"shard 1: part-00001\.csv is not in the output folder"):
        run.commit()
    run = predicted(tmp_path / "2")
    Path(run.result_path(2)).unlink()
    with pytest.raises(OutputError, match="shard 2 left no result"):
        run.commit()
    run = predicted(tmp_path / "3")
    (run.output / "part-00003.csv").write_text("a\n")
    with pytest.raises(
        OutputError, match=r"the output folder holds part-00003\.csv, which is no part of this run"
    ):
        run.commit()


def test_what_attempts_left_aside_is_removed_and_nothing_else(tmp_path: Path) -> None:
    run = predicted(tmp_path)
    for name in (".part-00001.csv.tmp-1", ".keep", "_notes"):
        (run.output / name).write_text("x")
    run.commit()
    others = {path.name for path in run.output.iterdir()} - {path.name for path in run.parts()}
    assert others == {".keep", "_notes", "_SUCCESS"}


def test_shards_whose_results_have_other_names_fail_in_words(tmp_path: Path) -> None:
    handler = "def predict_fn(batch, model):\n    return [{'p' if r['a'] < '4' else 'q': 1} for r in batch]\n"
    run = predicted(tmp_path, handler)
    with pytest.raises(InputError, match="shard 2 has the columns a, q where shard 0 has a, p"):
        run.commit()


def parquet(home: Path, value: str, *, shards: int, rows: int) -> InferenceRun:
    run = InferenceRun(
        home, f"def predict_fn(batch, model):\n    return [{value} for r in batch]\n", shards=shards
    )
    pq.write_table(pa.table({"a": pa.array(range(rows), "int64")}), run.input / "t.parquet")
    run.plan()
    run.predict()
    return run


def test_parquet_parts_of_nulls_and_without_rows_take_the_schema_of_the_others(tmp_path: Path) -> None:
    run = parquet(tmp_path, "{'n': None if r['a'] == 0 else 1.5, 's': 'x'}", shards=5, rows=3)
    first = run.commit()
    tables = [pq.read_table(path) for path in run.parts()]
    assert {str(table.schema) for table in tables} == {"a: int64\nn: double\ns: string"}
    assert [n for table in tables for n in table["n"].to_pylist()] == [None, 1.5, 1.5]
    assert run.commit() == first


def test_a_parquet_commit_cut_short_while_rewriting_can_be_run_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = parquet(tmp_path, "None if r['a'] == 0 else 1.5", shards=2, rows=2)

    def cut_short(temporary: str, path: str) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("trainyard.worker.inference.commit.publish", cut_short)
        with pytest.raises(KeyboardInterrupt):
            run.commit()
    assert run.commit()["rows_out"] == 2
    assert pq.read_table(run.parts()[0])["prediction"].to_pylist() == [None]
    assert not [path for path in run.output.iterdir() if path.name.startswith(".")]


def test_parquet_parts_of_other_types_fail_in_words(tmp_path: Path) -> None:
    run = parquet(tmp_path, "1 if r['a'] == 0 else 'x'", shards=2, rows=2)
    with pytest.raises(InputError, match="shards 1 and 0 differ: column 'prediction' is string and int64"):
        run.commit()


def test_the_verb_reports_altered_parts_as_an_error(tmp_path: Path) -> None:
    run = predicted(tmp_path)
    run.parts()[0].write_text("a,prediction\n")
    report = run.failure("commit")
    assert report["class"] == "error"
    assert report["reason"].startswith("part-00000.csv is not what shard 0 wrote")
    assert report["traceback"] is None
