"""Rows in are rows out: once, in order, whatever they hold and however they are cut."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
import json
import lzma
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainyard.worker.rows.inputs import open_plain

from .inference_run import InferenceRun

# The length of the first column's text: a prediction that any row can be checked by.
ROWS = "def predict_fn(batch, model):\n    return [len(row['a']) for row in batch]\n"
COLUMNS = (
    "import numpy as np\nbatch_format = 'columns'\n"
    "def predict_fn(batch, model):\n    return np.array([len(text) for text in batch['a']], dtype=np.int64)\n"
)
ARROW = (
    "import pyarrow.compute as pc\nbatch_format = 'arrow'\n"
    "def predict_fn(batch, model):\n    return pc.utf8_length(batch['a'])\n"
)

# NUL ends texts in NumPy's arrays, and surrogates are not UTF-8.
texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)
tricky = st.one_of(texts, st.sampled_from(['"', '""', "\n", "\r", "\r\n", ",", 'a"b', " ", "\u2028", "ä,\n"]))
tables = st.lists(st.tuples(tricky, tricky), max_size=25)
shapes = {"shards": st.integers(1, 6), "batch_size": st.integers(1, 7)}
handlers = st.sampled_from([ROWS, COLUMNS, ARROW])


def csv_bytes(header: list[str], rows: list[Any], end: str = "\n") -> bytes:
    buffer = io.StringIO(newline="")
    csv.writer(buffer, lineterminator=end, quoting=csv.QUOTE_ALL).writerows([header, *rows])
    return buffer.getvalue().encode()


def read_csv(paths: list[Path]) -> list[list[str]]:
    rows = []
    for path in paths:
        with open_plain(str(path), path.suffix[1:] if path.suffix != ".csv" else "") as stream:
            text = stream.read().decode()
        header, *found = csv.reader(io.StringIO(text, newline=""))
        assert header == ["a", "b", "prediction"]
        rows += found
    return rows


@settings(deadline=None, max_examples=60)
@given(table=tables, handler=handlers, end=st.sampled_from(["\n", "\r\n"]), cut=st.integers(0, 25), **shapes)
def test_csv_rows_come_out_once_and_in_order(
    table: list[tuple[str, str]], handler: str, end: str, cut: int, shards: int, batch_size: int
) -> None:
    with tempfile.TemporaryDirectory() as home:
        run = InferenceRun(Path(home), handler, shards=shards, batch_size=batch_size)
        for name, rows in (("1.csv", table[:cut]), ("2.csv", table[cut:])):
            (run.input / name).write_bytes(csv_bytes(["a", "b"], rows, end))
        done = run.run()
        assert len(run.parts()) == shards
        assert read_csv(run.parts()) == [[a, b, str(len(a))] for a, b in table]
        assert done["rows_in"] == done["rows_out"] == len(table)


keys = st.sampled_from(["b", "c", "ä", ""])
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(texts, inner, max_size=2),
    max_leaves=4,
)
objects = st.lists(
    st.builds(lambda a, rest: {**rest, "a": a}, texts, st.dictionaries(keys, values)), max_size=20
)


@settings(deadline=None, max_examples=60)
@given(rows=objects, handler=st.sampled_from([ROWS, COLUMNS]), ascii_only=st.booleans(), **shapes)
def test_json_rows_come_out_once_and_in_order(
    rows: list[dict[str, Any]], handler: str, ascii_only: bool, shards: int, batch_size: int
) -> None:
    with tempfile.TemporaryDirectory() as home:
        run = InferenceRun(Path(home), handler, shards=shards, batch_size=batch_size)
        lines = "\n\n".join(json.dumps(row, ensure_ascii=ascii_only) for row in rows)
        (run.input / "rows.jsonl").write_text(lines, encoding="utf-8", newline="")
        run.run()
        text = b"".join(path.read_bytes() for path in run.parts()).decode()
        found = [json.loads(line) for line in text.split("\n")[:-1]]
        assert found == [{**row, "prediction": len(row["a"])} for row in rows]


@settings(deadline=None, max_examples=40)
@given(table=tables, handler=handlers, group=st.integers(1, 9), cut=st.integers(0, 25), **shapes)
def test_parquet_rows_come_out_once_and_in_order(
    table: list[tuple[str, str]], handler: str, group: int, cut: int, shards: int, batch_size: int
) -> None:
    with tempfile.TemporaryDirectory() as home:
        run = InferenceRun(Path(home), handler, shards=shards, batch_size=batch_size)
        for name, rows in (("1.parquet", table[:cut]), ("2.parquet", table[cut:])):
            columns = {
                "a": pa.array([r[0] for r in rows], "string"),
                "b": pa.array([r[1] for r in rows], "string"),
            }
            pq.write_table(pa.table(columns), run.input / name, row_group_size=group)
        run.run()
        tables = [pq.read_table(path) for path in run.parts()]
        assert len(tables) == shards
        assert len({table.schema for table in tables}) == 1
        found = pa.concat_tables(tables).to_pylist()
        assert found == [{"a": a, "b": b, "prediction": len(a)} for a, b in table]


@pytest.mark.parametrize(
    ("suffix", "compress"), [("gz", gzip.compress), ("bz2", bz2.compress), ("xz", lzma.compress)]
)
def test_compressed_text_gives_parts_of_the_same_compression(
    tmp_path: Path, suffix: str, compress: Any
) -> None:
    run = InferenceRun(tmp_path, ROWS, shards=2)
    for name in ("1", "2"):
        (run.input / f"{name}.csv.{suffix}").write_bytes(compress(csv_bytes(["a", "b"], [(name, "x")])))
    run.run()
    assert [path.name for path in run.parts()] == [f"part-0000{i}.csv.{suffix}" for i in (0, 1)]
    assert read_csv(run.parts()) == [["1", "x", "1"], ["2", "x", "1"]]


def test_an_output_folder_is_an_input_again(tmp_path: Path) -> None:
    first = InferenceRun(tmp_path / "1", ROWS, shards=3)
    (first.input / "t.csv").write_bytes(csv_bytes(["a", "b"], [("x", "y"), ("zz", "")]))
    first.run()
    second = InferenceRun(
        tmp_path / "2", "def predict_fn(batch, model):\n    return [{'n': 1} for _ in batch]\n"
    )
    second.input = first.output
    second.run()
    assert second.parts()[0].read_text() == "a,b,prediction,n\nx,y,1,1\nzz,,2,1\n"


RETURNS = {
    "a tuple": "(1.5, 2.5)",
    "a generator": "(1.5 + i for i in range(2))",
    "an array": "np.array([1.5, 2.5])",
    "NumPy scalars": "[np.float64(1.5), np.float32(2.5)]",
    "an Arrow array": "pa.array([1.5, 2.5])",
    "an Arrow chunked array": "pa.chunked_array([[1.5], [2.5]])",
    "a range's map": "map(lambda i: i + 1.5, range(2))",
    "dicts": "[{'prediction': 1.5}, {'prediction': 2.5}]",
}


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
@pytest.mark.parametrize("value", RETURNS.values(), ids=RETURNS)
def test_any_sequence_of_results_is_taken(tmp_path: Path, form: str, value: str) -> None:
    handler = f"import numpy as np, pyarrow as pa\ndef predict_fn(batch, model):\n    return {value}\n"
    assert predictions(InferenceRun(tmp_path, handler), form) == [1.5, 2.5]


TABLES = {
    "a dict of arrays": "{'n': np.array([1, 2]), 'p': [0.5, 1.0]}",
    "an Arrow table": "pa.table({'n': [1, 2], 'p': [0.5, 1.0]})",
}


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
@pytest.mark.parametrize("batch_format", ["columns", "arrow"])
@pytest.mark.parametrize("value", TABLES.values(), ids=TABLES)
def test_a_table_of_results_gives_its_own_columns(
    tmp_path: Path, form: str, batch_format: str, value: str
) -> None:
    handler = (
        f"import numpy as np, pyarrow as pa\nbatch_format = {batch_format!r}\n"
        f"def predict_fn(batch, model):\n    return {value}\n"
    )
    rows = results(InferenceRun(tmp_path, handler), form)
    assert [(int(row["n"]), float(row["p"])) for row in rows] == [(1, 0.5), (2, 1.0)]
    assert [list(row) for row in rows] == [["a", "n", "p"]] * 2


def results(run: InferenceRun, form: str) -> list[dict[str, Any]]:
    """The rows that come out for an input of two rows with the column `a`."""
    path = run.input / f"t.{form}"
    if form == "parquet":
        pq.write_table(pa.table({"a": ["x", "y"]}), path)
    else:
        path.write_text("a\nx\ny\n" if form == "csv" else '{"a": "x"}\n{"a": "y"}\n')
    run.run()
    part = run.parts()[0]
    if form == "parquet":
        return list(pq.read_table(part).to_pylist())
    if form == "csv":
        with part.open(newline="") as stream:
            return list(csv.DictReader(stream))
    return [json.loads(line) for line in part.read_text().splitlines()]


def predictions(run: InferenceRun, form: str) -> list[float]:
    return [float(row["prediction"]) for row in results(run, form)]


def test_csv_writes_none_as_empty_truth_in_lower_case_and_structures_as_json(tmp_path: Path) -> None:
    handler = (
        "import numpy as np\ndef predict_fn(batch, model):\n"
        "    rows = [{'t': True, 'n': None, 'l': [1, 'ä'], 'd': {'x': float('nan')}, 'i': np.int8(3)},\n"
        "            {'t': np.bool_(False), 'n': 0, 'l': np.array([[1, 2]]), 'd': {}, 'i': 'text, too'}]\n"
        "    return rows\n"
    )
    first, second = results(InferenceRun(tmp_path, handler), "csv")
    assert first == {"a": "x", "t": "true", "n": "", "l": '[1, "ä"]', "d": '{"x": null}', "i": "3"}
    assert second == {"a": "y", "t": "false", "n": "0", "l": "[[1, 2]]", "d": "{}", "i": "text, too"}


def test_json_is_strict_nan_and_infinity_become_null(tmp_path: Path) -> None:
    run = InferenceRun(tmp_path, "def predict_fn(batch, model):\n    return [[r['x'], 1.0] for r in batch]\n")
    (run.input / "t.jsonl").write_text('{"x": NaN, "s": "NaN"}\n{"x": -Infinity}\n{"x": 1}\n')
    run.run()

    def refuse(constant: str) -> float:
        raise AssertionError(constant)

    lines = run.parts()[0].read_text().splitlines()
    found = [json.loads(line, parse_constant=refuse) for line in lines]
    assert [row["prediction"] for row in found] == [[None, 1.0], [None, 1.0], [1, 1.0]]
    assert found[0]["s"] == "NaN"


def test_json_input_keeps_its_text_whatever_the_handler_does_to_its_rows(
    tmp_path: Path,
) -> None:
    handler = "def predict_fn(batch, model):\n    return [row.pop('x') for row in batch]\n"
    run = InferenceRun(tmp_path, handler)
    (run.input / "t.jsonl").write_text('{"x":1.10,  "big": 12345678901234567890123}\n')
    run.run()
    assert run.parts()[0].read_text() == '{"x":1.10,  "big": 12345678901234567890123, "prediction": 1.1}\n'


def test_json_columns_are_arrays_of_one_type_or_objects(tmp_path: Path) -> None:
    handler = (
        "batch_format = 'columns'\ndef predict_fn(batch, model):\n"
        "    kinds = ','.join(batch[name].dtype.kind for name in sorted(batch))\n"
        "    assert batch['missing'].tolist() == [1, None]\n"
        "    return [kinds] * 2\n"
    )
    run = InferenceRun(tmp_path, handler)
    rows = [
        {"b": True, "f": 1, "i": 1, "l": [1], "missing": 1, "s": "x", "z": 2**70},
        {"b": False, "f": 0.5, "i": 2, "l": [2], "s": "y", "z": 1},
    ]
    (run.input / "t.ndjson").write_text("\n".join(map(json.dumps, rows)))
    run.run()
    assert json.loads(run.parts()[0].read_text().splitlines()[0])["prediction"] == "b,O,i,O,O,O,O"


def test_parquet_types_pass_through_and_a_column_of_nulls_takes_the_first_real_type(tmp_path: Path) -> None:
    handler = (
        "def predict_fn(batch, model):\n    return [r['n'] / 2 if r['n'] > 4 else None for r in batch]\n"
    )
    run = InferenceRun(tmp_path, handler, shards=2, batch_size=2)
    table = pa.table({"n": pa.array(range(8), "int16"), "when": pa.array([0] * 8, pa.timestamp("us", "UTC"))})
    pq.write_table(table, run.input / "t.parquet")
    run.run()
    tables = [pq.read_table(path) for path in run.parts()]
    assert tables[0].schema == tables[1].schema == table.schema.append(pa.field("prediction", pa.float64()))
    assert pa.concat_tables(tables)["prediction"].to_pylist() == [None] * 5 + [2.5, 3.0, 3.5]


def test_parquet_already_written_takes_a_type_that_comes_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainyard.worker.rows.parquetparts.GROUP_ROWS", 3)
    handler = "def predict_fn(batch, model):\n    return [None if row['n'] < 20 else 'x' for row in batch]\n"
    run = InferenceRun(tmp_path, handler, batch_size=2)
    pq.write_table(pa.table({"n": np.arange(23)}), run.input / "t.parquet")
    run.run()
    table = pq.read_table(run.parts()[0])
    assert table["n"].to_pylist() == list(range(23))
    assert table["prediction"].to_pylist() == [None] * 20 + ["x"] * 3
    assert sorted(path.name for path in run.output.iterdir()) == ["_SUCCESS", "part-00000.parquet"]


def test_batches_fill_across_files(tmp_path: Path) -> None:
    handler = "def predict_fn(batch, model):\n    return [len(batch)] * len(batch)\n"
    run = InferenceRun(tmp_path, handler, batch_size=3)
    for index in range(5):
        (run.input / f"{index}.jsonl").write_text('{"a": 1}\n')
    run.run()
    found = [json.loads(line)["prediction"] for line in run.parts()[0].read_text().splitlines()]
    assert found == [3, 3, 3, 2, 2]


def test_progress_ends_at_the_rows_done(tmp_path: Path) -> None:
    run = InferenceRun(tmp_path)
    (run.input / "t.csv").write_text("a\n" + "1\n" * 700)
    run.run()
    assert int((tmp_path / "progress").read_text()) == 700
