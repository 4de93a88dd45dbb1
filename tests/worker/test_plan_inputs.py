from __future__ import annotations

import csv
import gzip
import os
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from trainyard.worker.errors import InputError
from trainyard.worker.inference import plan

from .inference_run import InferenceRun


def write(folder: Path, **files: str | bytes) -> Path:
    for name, content in files.items():
        path = folder / name.replace("__", ".")
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


BAD_CSV = {
    "more fields": ("a,b\n1,2\n1,2,3\n", "t.csv line 3: 3 fields where the header has 2"),
    "fewer fields": ("a,b\n\n1\n", "t.csv line 3: 1 field where the header has 2"),
    "over lines": ('a,b\n1,2\n"x\ny"\n', "t.csv lines 3 to 4: 1 field where the header has 2"),
    "open quote": ('a,b\n1,2\n3,"4\n5,6\n7,8\n', "t.csv line 3: a quote is opened and never closed"),
    "open quote, no last newline": ('a,b\n1,"2\n3', "t.csv line 2: a quote is opened and never closed"),
    "open quote in the last line": ('a,b\n1,"2', "t.csv line 2: a quote is opened and never closed"),
    "open quote in the header": ('a,"b\n1,2\n', "t.csv line 1: a quote is opened and never closed"),
    "same names": ("a,b,a\n1,2,3\n", "t.csv line 1: two columns are named 'a'"),
    "no name": ("a,,c\n1,2,3\n", "t.csv line 1: column 2 has no name"),
    "not UTF-8": (b"a\n1\n\xff\n", "t.csv line 3: not UTF-8"),
    "old Mac line ends": ("a,b\n1,2\r3,4\n", "t.csv line 2: new-line character seen in unquoted field"),
    "no header": ("", "t.csv: no header"),
    "blank": ("\n\n", "t.csv: no header"),
}


@pytest.mark.parametrize(("content", "reason"), BAD_CSV.values(), ids=BAD_CSV)
def test_a_bad_csv_is_refused_with_file_and_line(tmp_path: Path, content: str | bytes, reason: str) -> None:
    with pytest.raises(InputError) as caught:
        plan.make(str(write(tmp_path, t__csv=content)), 2)
    assert str(caught.value).startswith(reason)
    assert "\n" not in str(caught.value)


@pytest.fixture
def _short_fields() -> Iterator[None]:
    before = csv.field_size_limit(1000)
    yield
    csv.field_size_limit(before)


@pytest.mark.usefixtures("_short_fields")
def test_a_field_without_end_is_refused_before_it_fills_the_memory(tmp_path: Path) -> None:
    content = "a\n1\n" + '"' + "x\n" * 1000 + '"\n'
    with pytest.raises(InputError, match="line 3: a field of more than 64 MiB begins here"):
        plan.make(str(write(tmp_path, t__csv=content)), 1)


def test_a_bom_crlf_blank_lines_and_a_lone_quote_shift_no_row(tmp_path: Path) -> None:
    content = b'\xef\xbb\xbfa,b\r\n\r\n1,5" pipe\r\n\r\n2,"x\r\ny"\r\n3,z'
    made = plan.make(str(write(tmp_path, t__csv=content)), 3)
    assert made["shape"]["columns"] == ["a", "b"]
    assert [shard["rows"] for shard in made["shards"]] == [1, 1, 1]
    # Blank lines belong to the row behind them; a last line needs no end.
    lines = [piece["line"] for shard in made["shards"] for piece in shard["pieces"]]
    assert lines == [2, 4, 7]


def test_files_come_in_the_order_of_their_paths_and_hidden_ones_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "_tmp").mkdir()
    write(tmp_path, c__csv="a\n1\n", a__csv="a\n1\n2\n", _SUCCESS="{}", _x__txt="", __part__csv="")
    write(tmp_path / "b", z__csv="a\n3\n")
    write(tmp_path / "_tmp", z__csv="other\n3\n")
    made = plan.make(str(tmp_path), 1)
    assert [(file["name"], file["rows"]) for file in made["files"]] == [
        ("a.csv", 2),
        ("b/z.csv", 1),
        ("c.csv", 1),
    ]


def test_a_folder_that_holds_a_link_to_itself_is_read_once(tmp_path: Path) -> None:
    write(tmp_path, a__csv="a\n1\n")
    (tmp_path / "again").symlink_to(tmp_path)
    assert plan.make(str(tmp_path), 1)["rows"] == 1


def test_a_compressed_file_belongs_to_one_shard_whole(tmp_path: Path) -> None:
    text = "a\n" + "".join(f"{i}\n" for i in range(10))
    write(tmp_path, a__csv__gz=gzip.compress(text.encode()), b__csv__gz=gzip.compress(text.encode()))
    made = plan.make(str(tmp_path), 4)
    assert made["compression"] == "gz"
    assert [shard["rows"] for shard in made["shards"]].count(10) == 2
    assert made["rows"] == 20


def test_files_without_rows_are_no_rows(tmp_path: Path) -> None:
    write(tmp_path, a__csv="", b__csv="a\n", c__csv="a\n1\n", d__csv="")
    made = plan.make(str(tmp_path), 3)
    assert made["rows"] == 1
    assert len(made["shards"]) == 3


REFUSED_FOLDERS = {
    "nothing": ({}, "no input files"),
    "mixed": ({"a__csv": "a\n1\n", "b__jsonl": "{}\n"}, "b.jsonl is jsonl but a.csv is csv"),
    "unknown": ({"notes__txt": "x"}, "notes.txt: not an input file"),
    "compressed Parquet": ({"a__parquet__gz": b"x"}, "a.parquet.gz: not an input file"),
    "other columns": ({"a__csv": "a\n1\n", "b__csv": "b\n1\n"}, "b.csv has the columns b where a.csv has a"),
    "damaged gzip": ({"a__csv__gz": gzip.compress(b"a\n" * 50)[:-9]}, "a.csv.gz: cannot be read"),
    "no gzip": ({"a__csv__gz": b"a\n1\n"}, "a.csv.gz: cannot be read"),
    "no Parquet": ({"a__parquet": b"a\n1\n"}, "a.parquet: not a readable Parquet file"),
    "no xz": ({"a__jsonl__xz": b"{}"}, "a.jsonl.xz: cannot be read"),
}


@pytest.mark.parametrize(("files", "reason"), REFUSED_FOLDERS.values(), ids=REFUSED_FOLDERS)
def test_an_input_that_is_no_table_is_refused_in_words(
    tmp_path: Path, files: dict[str, str | bytes], reason: str
) -> None:
    with pytest.raises(InputError) as caught:
        plan.make(str(write(tmp_path, **files)), 2)
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_input_that_does_not_exist_or_is_no_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no such file or folder"):
        plan.make(str(tmp_path / "absent.csv"), 1)
    os.mkfifo(tmp_path / "pipe.csv")
    with pytest.raises(InputError, match=r"pipe\.csv: not a regular file"):
        plan.make(str(tmp_path), 1)


def test_parquet_files_whose_types_have_none_in_common_are_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": [1]}), tmp_path / "a.parquet")
    pq.write_table(pa.table({"a": ["x"]}), tmp_path / "b.parquet")
    with pytest.raises(InputError, match=r"b\.parquet: column 'a' is string, and int64 in files before it"):
        plan.make(str(tmp_path), 1)


def test_parquet_is_cut_at_equal_shares_across_files_and_row_groups(tmp_path: Path) -> None:
    pq.write_table(pa.table({"a": list(range(10))}), tmp_path / "a.parquet", row_group_size=3)
    pq.write_table(pa.table({"a": [1, 2]}), tmp_path / "b.parquet")
    made = plan.make(str(tmp_path), 5)
    assert [shard["rows"] for shard in made["shards"]] == [2, 2, 3, 2, 3]


def test_the_verb_reports_bad_input_in_one_line(tmp_path: Path) -> None:
    run = InferenceRun(tmp_path)
    write(run.input, t__csv="a,b\n1\n")
    report = run.failure("plan")
    assert report["class"] == "input"
    assert report["reason"].startswith("t.csv line 2: 1 field where the header has 2")
    assert report["traceback"] is None
    assert not (tmp_path / "plan.json").exists()
