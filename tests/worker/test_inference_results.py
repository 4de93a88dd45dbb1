"""Results of a handler: the type, the text and the order in which they come out."""

from __future__ import annotations

import csv
import gzip
import io
from datetime import timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainyard.worker.errors import InputError
from trainyard.worker.rows.floats import narrow, shortest

from .inference_run import InferenceRun, of_parquet, one_row, predictions, written

PROMOTED = {
    "an empty list first": ("[] if n < 4 else [[1.0]]", "list<element: list<element: double>>"),
    "None in a struct first": ("{'a': None if n < 4 else 0.5}", "struct<a: double>"),
    "0 before 0.5": ("0 if n < 4 else 0.5", "double"),
    "another member later": (
        "[{'a': 1}] if n < 4 else [{'b': 'x'}]",
        "list<element: struct<a: int64, b: string>>",
    ),
    "a narrow array first": ("np.int8(1) if n < 4 else np.float64(0.5)", "double"),
}


@pytest.mark.parametrize("shards", [1, 3])
@pytest.mark.parametrize(("value", "kind"), PROMOTED.values(), ids=PROMOTED)
def test_results_take_the_type_that_all_have_in_common(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str, kind: str, shards: int
) -> None:
    monkeypatch.setattr("trainyard.worker.rows.parquetparts.GROUP_ROWS", 3)
    handler = (
        "import numpy as np\ndef predict_fn(batch, model):\n"
        f"    return [{{'p': {value}}} for n in (r['v'] for r in batch)]\n"
    )
    run = of_parquet(tmp_path, handler, list(range(9)), batch_size=2, shards=shards)
    before: list[bytes] = []
    run.plan()
    run.predict()
    before = [part.read_bytes() for part in run.parts()]
    types = [str(pq.read_schema(part).field("p").type) for part in run.parts()]
    run.commit()
    assert {str(pq.read_schema(part).field("p").type) for part in run.parts()} == {kind}
    kept = [part.read_bytes() == content for part, content in zip(run.parts(), before, strict=True)]
    assert kept == [each == kind for each in types]
    assert [bool(row["p"]) for row in written(run)][-1]
    assert [row["v"] for row in written(run)] == list(range(9))


INCOMPATIBLE = {
    "a text": ("1 if n < 5 else 'x'", "row 6: the result 'p' is string here and int64 in earlier rows"),
    "a long integer behind floats": (
        "0.5 if n < 5 else 2**53 + 1",
        "row 6: column 'p' is int64 here and double elsewhere, which does not hold 9007",
    ),
    "one before floats": ("2**53 + 1 if n < 5 else 0.5", "row 6: the result column 'p' is int64"),
    "two in a batch": ("[1, 'x'][n % 2]", "row 2: the results 'p' are of more than one type"),
    "a longer integer": ("1 if n < 5 else 2**63", "row 6: the result 'p' is an integer beyond 64 bits"),
}


@pytest.mark.parametrize(("value", "words"), INCOMPATIBLE.values(), ids=INCOMPATIBLE)
def test_results_without_a_common_type_are_refused_at_their_row(
    tmp_path: Path, value: str, words: str
) -> None:
    handler = (
        f"def predict_fn(batch, model):\n    return [{{'p': {value}}} for n in (r['v'] for r in batch)]\n"
    )
    run = of_parquet(tmp_path, handler, list(range(9)), batch_size=5 if "%" in value else 1)
    run.plan()
    with pytest.raises(InputError, match=f"^t.parquet {words}"):
        run.predict()


RETURNED = {
    "an array": "np.array([0.1, 3e38], 'f4')",
    "scalars": "[np.float32(0.1), np.float32(3e38)]",
    "Arrow's": "pa.array([0.1, 3e38], 'float')",
}


@pytest.mark.parametrize("form", ["csv", "jsonl"])
@pytest.mark.parametrize("value", RETURNED.values(), ids=RETURNED)
def test_float32_is_written_as_the_shortest_text_that_reads_back(
    tmp_path: Path, form: str, value: str
) -> None:
    run = InferenceRun(
        tmp_path, f"import numpy as np, pyarrow as pa\ndef predict_fn(batch, model):\n    return {value}\n"
    )
    (run.input / f"t.{form}").write_text("v\n1\n2\n" if form == "csv" else '{"v": 1}\n{"v": 2}\n')
    run.run()
    assert [str(row["prediction"]) for row in written(run)] == ["0.1", "3e+38"]


@settings(deadline=None)
@given(bits=st.lists(st.integers(0, 2**32 - 1), min_size=1, max_size=20))
def test_every_float32_reads_back_from_as_few_digits_as_can_be(bits: list[int]) -> None:
    values = np.array(bits, "u4").view("f4")
    for source in (values, pa.array(values), list(values)):
        found = (
            [shortest(each, narrow(each)) for each in source]
            if isinstance(source, list)
            else shortest(source, narrow(source))
        )
        assert np.array_equal(np.array(found).astype("f4"), values, equal_nan=True)
        assert all(
            len(repr(one)) <= len(repr(float(str(other)))) for one, other in zip(found, values, strict=True)
        )
    assert shortest(values.reshape(1, -1), "f")[0] == pytest.approx(
        shortest(values, "f"), rel=0, abs=0, nan_ok=True
    )


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("[{'': 1}]", "a result whose name is ''"),
        ("[{' ': 1}]", "a result whose name is ' '"),
        ("[{1: 1, '1': 2}]", "two results named '1'"),
    ],
)
def test_a_name_that_no_column_can_have_is_refused_where_it_arises(
    tmp_path: Path, form: str, value: str, words: str
) -> None:
    run = InferenceRun(tmp_path, f"def predict_fn(batch, model):\n    return {value}\n")
    one_row(run, form)
    run.plan()
    with pytest.raises(InputError, match=rf"predict_fn returned {words} \(shard 0, t\.{form} row 1\)"):
        run.predict()


@pytest.mark.parametrize("form", ["csv", "headless.csv", "csv.gz", "parquet"])
def test_results_have_one_order_in_all_parts(tmp_path: Path, form: str) -> None:
    handler = (
        "def predict_fn(batch, model):\n    values = [next(iter(row.values())) for row in batch]\n"
        "    return [{'p': 1, 'q': v} if v in 'xy' else {'q': v, 'p': 1} for v in values]\n"
    )
    run = InferenceRun(tmp_path, handler, shards=3)
    table, name = "v\n" * ("headless" not in form) + 'x\ny\n"z,""\n"\n', f"t.{form}"
    run.csv = {"header": "headless" not in form}
    if form == "parquet":
        pq.write_table(pa.table({"v": ["x", "y", 'z,"\n']}), run.input / name)
    else:
        (run.input / name).write_bytes(gzip.compress(table.encode()) if "gz" in form else table.encode())
    for _ in range(2):
        run.run()
        if form == "parquet":
            rows = [list(row.values()) for row in written(run)]
        else:
            texts = [part.read_bytes() for part in run.parts()]
            texts = [gzip.decompress(text) if "gz" in form else text for text in texts]
            lines = [row for t in texts for row in csv.reader(io.StringIO(t.decode(), newline=""))]
            rows = [[v, int(p), q] for v, p, q in (row for row in lines if row[0] != "v")]
        assert rows == [["x", 1, "x"], ["y", 1, "y"], ['z,"\n', 1, 'z,"\n']]
        run.commit()


MISSING = {
    "none of NumPy's moments": "np.datetime64('NaT')",
    "none of pandas' moments": "type('NaTType', (), {'isoformat': lambda self: 'NaT'})()",
    "nothing, for pandas": "type('NAType', (), {})()",
    "one in an array": "np.array(['NaT', '2024-01-01'], 'M8[D]')[:1]",
}


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
@pytest.mark.parametrize("value", MISSING.values(), ids=MISSING)
def test_what_is_missing_in_a_result_is_null(tmp_path: Path, form: str, value: str) -> None:
    returned = value if value.endswith("[:1]") else f"[{value}]"
    run = InferenceRun(
        tmp_path, f"import numpy as np\ndef predict_fn(batch, model):\n    return {returned}\n"
    )
    one_row(run, form)
    assert predictions(run) == ["" if form == "csv" else None]


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
@pytest.mark.parametrize("kind", ["complex128", *["longdouble"][: np.finfo("longdouble").bits > 64]])
def test_arrays_that_no_format_holds_are_refused(tmp_path: Path, form: str, kind: str) -> None:
    handler = f"import numpy as np\ndef predict_fn(batch, model):\n    return np.ones(1, '{kind}')\n"
    run = InferenceRun(tmp_path, handler)
    one_row(run, form)
    with pytest.raises(InputError, match=r"which cannot be written|which Parquet has no type for"):
        run.run()


def test_spans_of_days_come_out_of_parquet_as_spans(tmp_path: Path) -> None:
    handler = "import numpy as np\ndef predict_fn(batch, model):\n    return np.array([1, 'NaT'], 'm8[D]')\n"
    assert predictions(of_parquet(tmp_path, handler, [1, 2])) == [timedelta(days=1), None]
