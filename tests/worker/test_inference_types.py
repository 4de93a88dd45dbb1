"""A value is to a handler what it is in the input, of one type in all batches, and comes out as it was."""

from __future__ import annotations

import csv
import io
import itertools
import json
import pickle
import re
import tempfile
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from trainyard.worker.errors import InputError
from trainyard.worker.inference import plan
from trainyard.worker.rows import jsontypes
from trainyard.worker.rows.arrowtypes import common, conform
from trainyard.worker.rows.arrowvalues import Timestamp

from .inference_run import CONSTANT, InferenceRun, of_json, of_parquet, predictions, written

BIG = 2**53 + 1
"""The first integer that no double holds."""

# Each value of the column `v` as Python writes it, behind the type of the array that it stood in.
COLUMNS = (
    "batch_format = 'columns'\ndef predict_fn(batch, model):\n"
    "    column = batch['v']\n    return [f'{column.dtype} {value!r}' for value in column.tolist()]\n"
)
ARROW = (
    "batch_format = 'arrow'\ndef predict_fn(batch, model):\n"
    "    return [f\"{batch['v'].type} {value!r}\" for value in batch['v'].to_pylist()]\n"
)
ROWS = "def predict_fn(batch, model):\n    return [repr(row.get('v')) for row in batch]\n"


INTEGERS = {
    "no nulls": ([BIG, 7, 3], [f"int64 {BIG}", "int64 7", "int64 3"]),
    "a null in one batch": (
        [BIG, 7, None, BIG],
        [f"object {BIG}", "object 7", "object None", f"object {BIG}"],
    ),
}


@pytest.mark.parametrize(("values", "expected"), INTEGERS.values(), ids=INTEGERS)
@pytest.mark.parametrize("write", [of_parquet, of_json])
def test_an_integer_never_goes_through_a_float_and_a_column_has_one_type(
    tmp_path: Path, write: Any, values: list[Any], expected: list[str]
) -> None:
    assert predictions(write(tmp_path, COLUMNS, values, batch_size=2, shards=2)) == expected


@pytest.mark.parametrize(
    "column",
    [
        pa.array([1, 0, None, 1], "int8"),
        pa.array([1, 2**64 - 1, None], "uint64"),
        pa.array([True, False, None]),
        pa.array([1, 0, None, 1]).dictionary_encode(),
    ],
    ids=lambda column: str(column.type).partition("<")[0],
)
def test_whole_numbers_and_truths_with_nulls_are_objects_in_every_batch(tmp_path: Path, column: Any) -> None:
    expected = [f"object {value!r}" for value in column.to_pylist()]
    assert predictions(of_parquet(tmp_path, COLUMNS, column, batch_size=2)) == expected


def test_integers_in_lists_with_nulls_stay_integers(tmp_path: Path) -> None:
    handler = COLUMNS.replace("column.tolist()", "list(column)")
    found = predictions(of_parquet(tmp_path, handler, [[BIG, None], [1]], batch_size=1))
    assert found == [f"object [{BIG}, None]", "object [1]"]


@pytest.mark.parametrize("write", [of_parquet, of_json])
def test_floats_are_float64_with_nan_for_null(tmp_path: Path, write: Any) -> None:
    run = write(tmp_path, COLUMNS, [0.5, 1.5, None], batch_size=1)
    assert predictions(run) == ["float64 0.5", "float64 1.5", "float64 nan"]


def test_a_file_without_statistics_is_taken_to_hold_nulls(tmp_path: Path) -> None:
    run = InferenceRun(tmp_path, COLUMNS)
    pq.write_table(pa.table({"v": [1, 2]}), run.input / "t.parquet", write_statistics=False)
    assert predictions(run) == ["object 1", "object 2"]


JSON_TYPES = {
    "integers beside floats": ([1, 0.5], ["object 1", "object 0.5"], ["double 1.0", "double 0.5"]),
    "a missing key": ([1, ...], ["object 1", "object None"], ["int64 1", "int64 None"]),
    "truths": ([True, False], ["bool True", "bool False"], ["bool True", "bool False"]),
    "texts": (["x", None], ["object 'x'", "object None"], ["string 'x'", "string None"]),
    "nothing": ([None, None], ["object None"] * 2, ["null None"] * 2),
    "truths beside integers": ([True, 1], ["object True", "object 1"], None),
    "texts beside integers": (["x", 1], ["object 'x'", "object 1"], None),
    "what UTF-8 does not hold": (["\ud800"], [r"object '\ud800'"], None),
    "what 64 bits do not hold": ([2**70, 1], [f"object {2**70}", "object 1"], None),
}


@pytest.mark.parametrize(("values", "columns", "arrow"), JSON_TYPES.values(), ids=JSON_TYPES)
def test_jsons_types_are_decided_for_the_whole_input(
    tmp_path: Path, values: list[Any], columns: list[str], arrow: list[str] | None
) -> None:
    assert predictions(of_json(tmp_path / "1", COLUMNS, values, batch_size=1)) == columns
    run = of_json(tmp_path / "2", ARROW, values, batch_size=1)
    if arrow is None:
        with pytest.raises(InputError, match="column 'v' is of no one type of Arrow's"):
            run.run()
    else:
        assert predictions(run) == arrow


def test_types_are_found_where_the_handlers_text_says_nothing_of_columns(tmp_path: Path) -> None:
    run = of_json(
        tmp_path,
        COLUMNS.replace("batch_format = 'columns'", "globals()['batch_' 'format'] = 'columns'"),
        [1, None],
        batch_size=1,
    )
    assert run.plan()["shape"]["types"] is None
    assert predictions(run) == ["object 1", "object None"]


def test_keys_that_are_data_make_no_columns(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jsontypes, "MOST_NAMES", 3)
    run = InferenceRun(tmp_path, COLUMNS)
    (run.input / "t.jsonl").write_text("".join(f'{{"k{n}": 1}}\n' for n in range(9)))
    with pytest.raises(InputError, match='use batch_format = "rows"'):
        run.run()


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_a_long_text_takes_its_own_room_and_not_that_of_all_others(tmp_path: Path, form: str) -> None:
    handler = (
        "batch_format = 'columns'\ndef predict_fn(batch, model):\n"
        "    return [f\"{batch['v'].dtype} {batch['v'].itemsize}\"] * len(batch['v'])\n"
    )
    run = InferenceRun(tmp_path, handler)
    texts = ["x" * 100_000, "y", "z"]
    if form == "parquet":
        pq.write_table(pa.table({"v": texts}), run.input / "t.parquet")
    elif form == "csv":
        (run.input / "t.csv").write_text("v\n" + "\n".join(texts) + "\n")
    else:
        (run.input / "t.jsonl").write_text("".join(json.dumps({"v": text}) + "\n" for text in texts))
    assert predictions(run) == ["object 8"] * 3


FOLDERS = {
    "nulls first": (pa.nulls(1), pa.array(["x"]), "string"),
    "large texts": (pa.array(["x"]), pa.array(["x"], "large_string"), "large_string"),
    "a dictionary": (pa.array(["x"]).dictionary_encode(), pa.array(["x"]), "string"),
    "narrow integers": (pa.array([1], "int32"), pa.array([2**40]), "int64"),
    "integers beside floats": (pa.array([1]), pa.array([1.5]), "double"),
    "moments": (pa.array([1], pa.timestamp("ms")), pa.array([1], pa.timestamp("us")), "timestamp[us]"),
    "UUIDs beside bytes": (pa.array([b"0" * 16], pa.uuid()), pa.array([b"1" * 16]), "binary"),
    "no rows of another type": (pa.array([], "string"), pa.array([1]), "int64"),
    "decimals": (pa.array([Decimal("1.1")]), pa.array([Decimal("22.22")]), "decimal128(4, 2)"),
    "lists": (pa.array([[]], pa.list_(pa.null())), pa.array([[1.5]]), "list<element: double>"),
    "structs": (
        pa.array([{"a": 1}]),
        pa.array([{"a": 0.5, "b": "x"}]),
        "struct<a: double, b: string>",
    ),
}


@pytest.mark.parametrize(("one", "other", "kind"), FOLDERS.values(), ids=FOLDERS)
def test_parquet_files_whose_types_differ_harmlessly_are_one_table(
    tmp_path: Path, one: Any, other: Any, kind: str
) -> None:
    for turn, (first, second) in enumerate(((one, other), (other, one))):
        run = InferenceRun(tmp_path / str(turn), CONSTANT, shards=2)
        for name, column in (("1", first), ("2", second)):
            pq.write_table(pa.table({"v": column}), run.input / f"{name}.parquet")
        run.run()
        tables = [pq.read_table(part) for part in run.parts()]
        assert {str(table.schema.field("v").type) for table in tables} == {kind}
        target = pa.schema([("v", tables[0].schema.field("v").type)])
        read = [conform(pq.read_table(path), target)["v"].to_pylist() for path in sorted(run.input.iterdir())]
        assert [row["v"] for row in written(run)] == [value for values in read for value in values]


MISFITS = {
    "an integer": ([7, 8, BIG], [0.5], "int64", "double", str(BIG)),
    "a decimal": (
        [Decimal("0.1"), None, Decimal("12345678901234567890.1")],
        [0.5],
        "decimal128(21, 1)",
        "double",
        "12345678901234567890.1",
    ),
    "a moment": (
        [datetime(2024, 1, 1), None, datetime(9999, 12, 31)],
        pa.array([1], pa.timestamp("ns")),
        "timestamp[us]",
        "timestamp[ns]",
        "9999-12-31 00:00:00.000000",
    ),
}


@pytest.mark.parametrize(("values", "others", "kind", "other", "shown"), MISFITS.values(), ids=MISFITS)
def test_what_the_type_of_other_files_does_not_hold_is_refused_with_its_row(
    tmp_path: Path, values: Any, others: Any, kind: str, other: str, shown: str
) -> None:
    run = InferenceRun(tmp_path)
    pq.write_table(pa.table({"v": values}), run.input / "1.parquet")
    pq.write_table(pa.table({"v": others}), run.input / "2.parquet")
    run.plan()
    words = f"1.parquet row 3: column 'v' is {kind} here and {other} elsewhere, which does not hold {shown}; "
    with pytest.raises(InputError, match=re.escape(words)):
        run.predict()


def test_moments_of_96_bits_are_what_spark_wrote(tmp_path: Path) -> None:
    run = InferenceRun(tmp_path, ROWS)
    moments = [datetime(1, 1, 1), datetime(2024, 1, 1, microsecond=5), datetime(9999, 12, 31)]
    table = pa.table({"v": moments})
    pq.write_table(table, run.input / "t.parquet", use_deprecated_int96_timestamps=True)
    run.run()
    rows = [(row["v"], row["prediction"]) for row in written(run)]
    assert rows == [(moment, repr(moment)) for moment in moments]


def test_a_column_that_a_file_lacks_is_null_there_and_told(tmp_path: Path) -> None:
    run = InferenceRun(tmp_path, CONSTANT)
    pq.write_table(pa.table({"a": [1]}), run.input / "1.parquet")
    pq.write_table(pa.table({"b": [2], "a": [3]}), run.input / "2.parquet")
    assert run.plan()["warnings"] == ["1.parquet has no column 'b', which other files have: null in its rows"]
    run.predict()
    run.commit()
    assert written(run) == [{"a": 1, "b": None, "prediction": 0}, {"a": 3, "b": 2, "prediction": 0}]


TYPES = [
    *(pa.null(), pa.bool_(), pa.int8(), pa.int64(), pa.uint32(), pa.uint64(), pa.float32(), pa.float64()),
    *(
        pa.string(),
        pa.large_string(),
        pa.binary(),
        pa.binary(2),
        pa.date32(),
        pa.time32("s"),
        pa.time64("ns"),
    ),
    *(
        pa.timestamp("s"),
        pa.timestamp("ns"),
        pa.timestamp("ms", "UTC"),
        pa.duration("us"),
        pa.decimal128(5, 2),
    ),
    *(
        pa.list_(pa.int64()),
        pa.large_list(pa.null()),
        pa.list_(pa.float32(), 2),
        pa.struct([("a", pa.int8())]),
    ),
    *(
        pa.struct([("b", pa.string())]),
        pa.map_(pa.string(), pa.int64()),
        pa.dictionary(pa.int32(), pa.string()),
    ),
]


def test_what_pyarrow_promotes_has_the_type_that_it_has_there() -> None:
    for one, other in itertools.product(TYPES, TYPES):
        schemas = [pa.schema([("a", one)]), pa.schema([("a", other)])]
        try:
            theirs = pa.unify_schemas(schemas, promote_options="permissive").field("a").type
        except pa.ArrowException:
            continue
        ours = common(one, other)
        # Where theirs does not hold all integers, ours is wider.
        wider = pa.types.is_decimal(theirs) or pa.types.is_floating(theirs) or pa.types.is_integer(theirs)
        assert ours == theirs or (wider and ours.bit_width >= theirs.bit_width), (one, other, ours, theirs)


HIVE = {"day": "2024-01-02", "n": "007"}


@pytest.mark.parametrize("form", ["csv", "jsonl", "parquet"])
def test_partitions_in_the_names_of_folders_are_columns(tmp_path: Path, form: str) -> None:
    run = InferenceRun(
        tmp_path, "def predict_fn(batch, model):\n    return [','.join(row) for row in batch]\n", shards=2
    )
    for folder, value in (("day=2024-01-02/n=007", "x"), ("day=__HIVE_DEFAULT_PARTITION__/n=-1/v=9", "y")):
        place = run.input / folder
        place.mkdir(parents=True)
        if form == "parquet":
            pq.write_table(pa.table({"v": [value]}), place / "t.parquet")
        else:
            (place / f"t.{form}").write_text(f"v\n{value}\n" if form == "csv" else f'{{"v": "{value}"}}\n')
    run.run()
    first, second = sorted(written(run), key=lambda row: row["v"])
    null, numbers = ("", ("007", "-1")) if form == "csv" else (None, (7, -1))
    assert first == {"v": "x", "day": "2024-01-02", "n": numbers[0], "prediction": "v,day,n"}
    assert second == {"v": "y", "day": null, "n": numbers[1], "prediction": "v,day,n"}


FINE = 1735689600123456789
"""Nanoseconds: 2025-01-01T00:00:00.123456789Z."""
VALUES = {
    "a moment of nanoseconds": (pa.array([FINE], pa.timestamp("ns")), "2025-01-01T00:00:00.123456789"),
    "one of a zone": (pa.array([FINE], pa.timestamp("ns", "UTC")), "2025-01-01T00:00:00.123456789+00:00"),
    "whole microseconds": (
        pa.array([FINE // 1000 * 1000], pa.timestamp("ns")),
        "2025-01-01T00:00:00.123456000",
    ),
    "a time of nanoseconds": (pa.array([1_000_000_001], pa.time64("ns")), "00:00:01.000000001"),
    "a span of nanoseconds": (pa.array([-1], pa.duration("ns")), (timedelta(microseconds=-1), 999)),
    "a moment": (pa.array([0], pa.timestamp("us")), datetime(1970, 1, 1)),
    "a date": (pa.array([date(2024, 2, 29)]), date(2024, 2, 29)),
    "a time": (pa.array([time(1, 2, 3)]), time(1, 2, 3)),
    "a decimal": (pa.array([Decimal("1.10")]), Decimal("1.10")),
    "a dictionary": (pa.array(["x"]).dictionary_encode(), "x"),
    "a map": (
        pa.array([[("a", FINE)]], pa.map_("string", pa.timestamp("ns"))),
        [("a", "2025-01-01T00:00:00.123456789")],
    ),
    "nested": (
        pa.array([{"l": [FINE, None]}], pa.struct([("l", pa.list_(pa.timestamp("ns")))])),
        {"l": ["2025-01-01T00:00:00.123456789", None]},
    ),
    "bytes": (pa.array([b"\xff"]), b"\xff"),
    "a UUID": (pa.array([b"0" * 16], pa.uuid()), UUID(bytes=b"0" * 16)),
    "a list of them": (
        pa.ListArray.from_arrays([0, 1], pa.array([b"0" * 16], pa.uuid())),
        [UUID(bytes=b"0" * 16)],
    ),
}


@pytest.mark.parametrize(("column", "expected"), VALUES.values(), ids=VALUES)
def test_each_type_has_one_value_in_rows_and_comes_back_out_as_it_was(
    tmp_path: Path, column: Any, expected: Any
) -> None:
    # In a process of its own, where nothing is loaded that turns moments into its own.
    handler = (
        "import pickle\ndef predict_fn(batch, model):\n"
        "    return [pickle.dumps(plain(row['v'])).hex() for row in batch]\n"
        "def plain(value):\n"
        "    if hasattr(value, 'nanosecond'):\n"
        "        same = pickle.loads(pickle.dumps(value))\n"
        "        assert same.nanosecond == value.nanosecond\n"
        "        if hasattr(value, 'isoformat'): return value.isoformat()\n"
        "        return value.__class__.__mro__[2](*value.__reduce__()[1]), value.nanosecond\n"
        "    if isinstance(value, dict): return {k: plain(v) for k, v in value.items()}\n"
        "    if isinstance(value, (list, tuple)): return type(value)(map(plain, value))\n"
        "    return value\n"
    )
    run = of_parquet(tmp_path, handler, column)
    run.run()
    table = pq.read_table(run.parts()[0])
    assert pickle.loads(bytes.fromhex(table["prediction"][0].as_py())) == expected
    assert table["v"].combine_chunks().equals(pq.read_table(run.input / "t.parquet")["v"].combine_chunks())
    assert table.schema.field("v").type == column.type


def test_a_moment_of_nanoseconds_is_a_datetime() -> None:
    moment = Timestamp(2025, 1, 1, 12, tzinfo=UTC)
    moment.nanosecond = 7
    assert isinstance(moment, datetime)
    assert str(moment) == "2025-01-01 12:00:00.000000007+00:00"
    assert moment.isoformat(timespec="minutes") == "2025-01-01T12:00+00:00"
    assert (moment.year, moment + timedelta(days=1)) == (2025, datetime(2025, 1, 2, 12, tzinfo=UTC))


def test_what_python_cannot_say_is_refused_in_rows_with_the_cure(tmp_path: Path) -> None:
    run = of_parquet(tmp_path, ROWS, pa.array([10**12], pa.timestamp("s")))
    run.plan()
    words = r"^t\.parquet row 1: column 'v', timestamp\[ms\], holds what Python cannot say .*= \"arrow\"$"
    with pytest.raises(InputError, match=words):
        run.predict()


@pytest.mark.parametrize("column", [VALUES[name][0] for name in VALUES], ids=list(VALUES))
def test_each_type_is_had_as_columns_too(tmp_path: Path, column: Any) -> None:
    handler = "batch_format = 'columns'\ndef predict_fn(batch, model):\n    return [len(batch['v'])]\n"
    run = of_parquet(tmp_path, handler, column)
    run.run()
    assert pq.read_table(run.parts()[0])["prediction"].to_pylist() == [1]


def test_a_null_among_the_values_of_a_dictionary_stays_one(tmp_path: Path) -> None:
    column = pa.array(["a", None, "a"]).dictionary_encode()
    assert predictions(of_parquet(tmp_path, COLUMNS, column)) == ["object 'a'", "object None", "object 'a'"]


def headless(
    home: Path, text: str, handler: str = CONSTANT, *, delimiter: str = ",", **options: Any
) -> InferenceRun:
    run = InferenceRun(home, handler, **options)
    run.csv = {"header": False, "delimiter": delimiter}
    (run.input / "t.csv").write_bytes(text.encode())
    return run


@settings(deadline=None, max_examples=40)
@given(
    table=st.lists(st.tuples(*[st.text('a";,\t \n\u00e9', max_size=4)] * 2), max_size=12),
    delimiter=st.sampled_from([",", ";", "\t", "|", "\x01"]),
    bom=st.booleans(),
    batch_size=st.integers(1, 5),
    shards=st.integers(1, 4),
)
def test_a_csv_without_a_header_has_as_many_rows_as_lines(
    table: list[tuple[str, str]], delimiter: str, bom: bool, batch_size: int, shards: int
) -> None:
    buffer = io.StringIO(newline="")
    csv.writer(buffer, delimiter=delimiter, quoting=csv.QUOTE_ALL).writerows(table)
    handler = "def predict_fn(batch, model):\n    return [row['0'] + row['1'] for row in batch]\n"
    with tempfile.TemporaryDirectory() as home:
        run = headless(
            Path(home),
            "\ufeff" * bom + buffer.getvalue(),
            handler,
            delimiter=delimiter,
            batch_size=batch_size,
            shards=shards,
        )
        assert run.run()["rows_out"] == len(table)
        found = [
            row
            for part in run.parts()
            for row in csv.reader(io.StringIO(part.read_bytes().decode(), newline=""), delimiter=delimiter)
        ]
        assert found == [[a, b, a + b] for a, b in table]


def test_results_of_other_names_in_another_part_are_refused(tmp_path: Path) -> None:
    handler = "def predict_fn(batch, model):\n    return [{r['0']: 1} for r in batch]\n"
    with pytest.raises(InputError, match="shard 1 has the columns 0, y where shard 0 has 0, x"):
        headless(tmp_path, "x\ny\n", handler, shards=2).run()


DOUBTS = {
    "a row for a header": ("51,3\n4,5\n", "write header = false in [infer]"),
    "a labelled one": ("5.1,3,setosa\n4,5,setosa\n", "write header = false in [infer]"),
    "semicolons": ("a;b\n1;2\n", 'write delimiter = ";" in [infer]'),
    "tabs": ("a\tb\n1\t2\n", 'write delimiter = "\\t" in [infer]'),
}


@pytest.mark.parametrize(("text", "cure"), DOUBTS.values(), ids=DOUBTS)
def test_a_csv_that_is_likely_read_amiss_gets_a_warning(tmp_path: Path, text: str, cure: str) -> None:
    (tmp_path / "t.csv").write_text(text)
    (warning,) = plan.make(str(tmp_path), 1)["warnings"]
    assert warning.startswith("t.csv: ")
    assert warning.endswith(cure)
    (tmp_path / "t.csv").write_text('id,2023,v1.5\n"1;2",3,4\n')
    assert plan.make(str(tmp_path), 1)["warnings"] == []


CURES = {
    "pandas' index": (",a\n0,1\n", "to_csv(..., index=False)"),
    "a row for a header": ("1,1\n2,3\n", "write header = false in [infer]"),
    "a labelled one": ("0.2,0.2,setosa\n1,2,setosa\n", "write header = false in [infer]"),
    "one that lacks a value": ("0.2,,3\n1,2,3\n", "write header = false in [infer]"),
    "commas for points": ("a;b\n1,5;2\n", 'write delimiter = ";" in [infer]'),
}


@pytest.mark.parametrize(("text", "cure"), CURES.values(), ids=CURES)
def test_a_csv_that_cannot_be_read_names_the_cure(tmp_path: Path, text: str, cure: str) -> None:
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(InputError) as caught:
        plan.make(str(tmp_path), 1)
    assert str(caught.value).endswith(cure)


def test_files_without_a_header_have_as_many_fields_as_each_other(tmp_path: Path) -> None:
    run = headless(tmp_path, "1,2,3\n")
    (run.input / "a.csv").write_text("1,2\n")
    with pytest.raises(InputError, match=r"t\.csv has 3 fields in its first row where a.csv has 2; "):
        run.plan()
