"""Inputs, parts and commits on S3 are what they are in folders."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from trainyard.worker.errors import InputError, OutputError

from .faulty import NONE, SLOW_DOWN, Fault, Proxy, Request
from .inference_run import InferenceRun
from .s3_run import S3Run
from .s3_server import BUCKET

ECHO = "def predict_fn(batch, model):\n    return [int(row['n']) + 1 for row in batch]\n"
FEW = "def predict_fn(batch, model):\n    return [{'p': 1.5} for row in batch]\n"


def csv(start: int, stop: int) -> bytes:
    return b"n,text\n" + b"".join(b'%d,"row %d\nof many"\n' % (n, n) for n in range(start, stop))


def jsonl(start: int, stop: int) -> bytes:
    return b"".join(b'{"n": %d, "text": "\xc3\xa4"}\n' % n for n in range(start, stop))


def parquet(start: int, stop: int) -> bytes:
    sink = pa.BufferOutputStream()
    rows = list(range(start, stop))
    pq.write_table(pa.table({"n": rows, "text": [f"row {n}" for n in rows]}), sink, row_group_size=20)
    content: bytes = sink.getvalue().to_pybytes()
    return content


INPUTS: dict[str, dict[str, bytes]] = {
    "csv": {"b.csv": csv(100, 160), "a/x.csv": csv(0, 100), "_no.csv": b"x", "a/.no.csv": b"x", "e.csv": b""},
    "jsonl": {"a.jsonl": jsonl(0, 50), "b.ndjson": jsonl(50, 130)},
    "parquet": {"a.parquet": parquet(0, 50), "b.parquet": parquet(50, 170)},
    "gz": {"a.csv.gz": gzip.compress(csv(0, 50)), "b.csv.gz": gzip.compress(csv(50, 110))},
    "bz2": {"a.jsonl.bz2": bz2.compress(jsonl(0, 50)), "b.jsonl": jsonl(50, 110)},
    "xz": {"a.csv.xz": lzma.compress(csv(0, 50))},
}


@pytest.mark.parametrize("shards", [1, 4])
@pytest.mark.parametrize("kind", INPUTS)
def test_a_run_makes_the_same_parts_as_in_folders(
    bucket: Any, tmp_path: Path, kind: str, shards: int
) -> None:
    there = S3Run(bucket, tmp_path / "there", ECHO, shards=shards)
    here = InferenceRun(tmp_path / "here", ECHO, shards=shards, batch_size=7)
    for name, content in INPUTS[kind].items():
        there.put(name, content)
        (here.input / name).parent.mkdir(exist_ok=True)
        (here.input / name).write_bytes(content)
    ours, theirs = there.run(), here.run()
    assert [part["name"] for part in ours["parts"]] == [part["name"] for part in theirs["parts"]]
    assert (ours["rows_in"], ours["rows_out"]) == (theirs["rows_in"], theirs["rows_out"])
    if kind == "parquet":
        (tmp_path / "part").mkdir()
        for mine, path in zip(there.parts(), here.parts(), strict=True):
            assert pq.read_table(pa.BufferReader(mine)).equals(pq.read_table(path))
    else:
        assert there.parts() == [path.read_bytes() for path in here.parts()]
        assert [part["sha256"] for part in ours["parts"]] == [part["sha256"] for part in theirs["parts"]]


def test_one_object_is_an_input(bucket: Any, tmp_path: Path) -> None:
    run = S3Run(bucket, tmp_path, ECHO)
    run.put("_a.csv", csv(0, 5))
    run.put("_a.csv.other.csv", csv(0, 5))
    run.input += "_a.csv"
    assert run.run()["rows_out"] == 5
    assert run.plan()["files"][0]["name"] == "_a.csv"


def test_a_prefix_needs_no_slash(bucket: Any, tmp_path: Path) -> None:
    run = S3Run(bucket, tmp_path, ECHO)
    run.put("a.csv", csv(0, 5))
    run.put("", b"")
    run.input = run.input.rstrip("/")
    assert [(file["name"], file["size"]) for file in run.plan()["files"]] == [("a.csv", len(csv(0, 5)))]


@pytest.mark.parametrize(
    ("place", "words"),
    [
        (f"s3://{BUCKET}/datasets/none", "there is no such object or prefix; name an input that exists"),
        (f"s3://{BUCKET}/datasets/none/", "there is no such object or prefix; name an input that exists"),
        ("s3://no-such-bucket-here/x/", "there is no such bucket; name one that exists"),
        (f"s3://{BUCKET}/datasets/d/x.txt", "x.txt: not an input file; its name must end in .csv"),
    ],
)
def test_an_input_that_is_none_is_refused_in_one_line(
    bucket: Any, tmp_path: Path, place: str, words: str
) -> None:
    run = S3Run(bucket, tmp_path)
    run.put("x.txt", b"x")
    run.input = place
    with pytest.raises(InputError) as caught:
        run.plan()
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_input_without_files_is_refused(bucket: Any, tmp_path: Path) -> None:
    run = S3Run(bucket, tmp_path)
    run.put("_hidden.csv", b"x")
    with pytest.raises(InputError, match="no input files; put CSV"):
        run.plan()


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet", "gz"])
def test_an_input_that_changes_after_the_plan_fails_its_shards(
    bucket: Any, tmp_path: Path, kind: str
) -> None:
    run = S3Run(bucket, tmp_path, ECHO)
    name, content = next(iter(INPUTS[kind].items()))
    run.put(name, content)
    run.plan()
    run.put(name, content + b" ")
    with pytest.raises(InputError, match=f"{name} changed while the run was going on"):
        run.predict(0)
    assert run.parts() == []


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_an_input_that_changes_during_the_plan_fails_it(
    bucket: Any, proxy: Proxy, tmp_path: Path, kind: str
) -> None:
    run = S3Run(bucket, tmp_path, ECHO)
    name, content = next(iter(INPUTS[kind].items()))
    run.put(name, content)

    def judge(request: Request) -> Fault:
        if request.method == "GET" and request.target.endswith(name):
            run.put(name, content + b" ")
        return NONE

    proxy.judge = judge
    with pytest.raises(InputError, match=f"{name} changed while the run was going on"):
        run.plan()


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv.gz", gzip.compress(csv(0, 500))[:-9]),
        ("a.csv.xz", lzma.compress(csv(0, 500))[:-20]),
        ("a.csv.bz2", b"BZh9not"),
        ("a.parquet", parquet(0, 500)[:-9]),
    ],
)
def test_a_damaged_object_is_named(bucket: Any, tmp_path: Path, name: str, content: bytes) -> None:
    run = S3Run(bucket, tmp_path, ECHO)
    run.put(name, content)
    with pytest.raises(InputError, match=name):
        run.plan()


def test_a_shard_reads_its_own_ranges_and_no_more(bucket: Any, proxy: Proxy, tmp_path: Path) -> None:
    run = S3Run(bucket, tmp_path, "def predict_fn(batch, model):\n    return [1] * len(batch)\n", shards=8)
    content = b"n,text\n" + b"".join(b"%06d,%s\n" % (n, b"x" * 1000) for n in range(6000))
    run.put("a.csv", content)
    plan = run.plan()
    proxy.sent, proxy.requests = 0, []
    run.predict(3)
    (piece,) = plan["shards"][3]["pieces"]
    spans = [each.headers["Range"] for each in proxy.made("GET", "a.csv")]
    assert spans[0].startswith(f"bytes={piece['start']}-")
    assert spans[-1].endswith(f"-{piece['end'] - 1}")
    assert proxy.sent < piece["end"] - piece["start"] + 10_000


def test_a_parquet_shard_reads_its_own_row_groups_and_no_more(
    bucket: Any, proxy: Proxy, tmp_path: Path
) -> None:
    run = S3Run(bucket, tmp_path, ECHO, shards=8)
    sink = pa.BufferOutputStream()
    rows = list(range(160_000))
    table = pa.table({"n": rows, "text": [f"{n:0200d}" for n in rows]})
    pq.write_table(table, sink, row_group_size=10_000, compression="none", use_dictionary=False)
    run.put("a.parquet", sink.getvalue().to_pybytes())
    proxy.sent = 0
    run.plan()
    assert proxy.sent < 200_000
    proxy.sent = 0
    run.predict(3)
    assert proxy.sent < 1.2 * sink.getvalue().size / 8


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_small_objects_are_planned_several_at_a_time(
    bucket: Any, proxy: Proxy, tmp_path: Path, kind: str
) -> None:
    run = S3Run(bucket, tmp_path, ECHO, shards=2)
    for number in range(20):
        content = csv(number, number + 1) if kind == "csv" else parquet(number, number + 1)
        run.put(f"{number:02d}.{kind}", content)
    proxy.judge = lambda request: Fault(delay=0.03)
    assert run.plan()["rows"] == 20
    assert proxy.most > 4
    proxy.judge = lambda request: NONE
    run.predict(0)
    run.predict(1)
    proxy.most, proxy.judge = 0, lambda request: Fault(delay=0.03)
    assert run.commit()["rows_out"] == 20
    assert proxy.most == 2


def test_parts_without_rows_take_the_header_of_the_others(bucket: Any, tmp_path: Path) -> None:
    run = S3Run(bucket, tmp_path, FEW, shards=3)
    run.put("a.csv", b"n\n1\n")
    marker = run.run()
    assert sorted(run.parts()) == [b"n,p\n", b"n,p\n", b"n,p\n1,1.5\n"]
    assert run.commit() == marker


def test_parquet_parts_take_one_schema(bucket: Any, tmp_path: Path) -> None:
    handler = "def predict_fn(batch, model):\n    return [None if r['n'] < 10 else 1.5 for r in batch]\n"
    run = S3Run(bucket, tmp_path, handler, shards=3)
    run.put("a.parquet", parquet(0, 30))
    marker = run.run()
    schemas = {pq.read_schema(pa.BufferReader(part)).field("prediction").type for part in run.parts()}
    assert schemas == {pa.float64()}
    assert run.commit() == marker


def test_a_commit_that_broke_off_while_it_rewrote_a_part_is_run_again(
    bucket: Any, proxy: Proxy, tmp_path: Path
) -> None:
    run = S3Run(bucket, tmp_path, FEW, shards=2)
    run.put("a.csv", b"n\n1\n")
    run.plan()
    run.predict(0)
    run.predict(1)
    proxy.judge = lambda request: (
        Fault((403, "<Error><Code>AccessDenied</Code></Error>"))
        if request.method == "PUT" and "part-" in request.target
        else NONE
    )
    with pytest.raises(OutputError):
        run.commit()
    proxy.judge = lambda request: NONE
    assert run.commit()["rows_out"] == 1
    assert all(part.startswith(b"n,p\n") for part in run.parts())


def delete(run: S3Run, name: str) -> None:
    run.bucket.delete_object(Bucket=BUCKET, Key=f"out/{name}")


def overwrite(run: S3Run, name: str, content: bytes) -> None:
    run.bucket.put_object(Bucket=BUCKET, Key=f"out/{name}", Body=content)


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (lambda run: delete(run, "part-00001.csv"), "shard 1: part-00001.csv is not in the output folder"),
        (lambda run: delete(run, "_run/results/1.json"), "shard 1 left no result; run it again"),
        (lambda run: overwrite(run, "part-00001.csv", b"n,p\n"), "part-00001.csv is not what shard 1 wrote"),
        (lambda run: overwrite(run, "x.csv", b""), "the output folder holds x.csv, which is no part"),
        (lambda run: overwrite(run, "sub/x.csv", b""), "the output folder holds sub, which is no part"),
    ],
)
def test_a_commit_of_anything_but_the_parts_fails(
    bucket: Any, tmp_path: Path, harm: Callable[[S3Run], None], words: str
) -> None:
    run = S3Run(bucket, tmp_path, ECHO, shards=2)
    run.put("a.csv", csv(0, 10))
    run.plan()
    run.predict(0)
    run.predict(1)
    harm(run)
    with pytest.raises(OutputError) as caught:
        run.commit()
    assert words in str(caught.value)
    assert "_SUCCESS" not in run.names()


def test_a_part_that_is_there_already_is_not_predicted_again(bucket: Any, tmp_path: Path) -> None:
    run = S3Run(bucket, tmp_path, ECHO)
    run.put("a.csv", csv(0, 10))
    run.plan()
    run.predict(0)
    result = run.get("_run/results/0.json")
    delete(run, "_run/results/0.json")
    (run.code / "predict.py").write_text("raise SystemExit('not again')")
    run.predict(0)
    mine, first = json.loads(run.get("_run/results/0.json")), json.loads(result)
    assert {**mine, "columns": None} == {**first, "columns": None}
    assert run.commit()["rows_out"] == 10


def test_two_attempts_that_write_different_parts_leave_the_first_one(
    bucket: Any, proxy: Proxy, tmp_path: Path
) -> None:
    handler = "import os\ndef predict_fn(batch, model):\n    return [os.urandom(4).hex() for row in batch]\n"
    run = S3Run(bucket, tmp_path, handler)
    run.put("a.csv", csv(0, 10))
    run.plan()

    # The other attempt is through just before this one sends its part.
    def judge(request: Request) -> Fault:
        if request.method == "PUT" and "part-" in request.target:
            proxy.judge = lambda request: NONE
            run.predict(0)
            first.append(run.parts()[0])
        return NONE

    first: list[bytes] = []
    proxy.judge = judge
    run.predict(0)
    assert run.parts() == first
    assert run.commit()["rows_out"] == 10


def test_a_foreign_object_in_the_place_of_a_part_is_left_alone(bucket: Any, tmp_path: Path) -> None:
    run = S3Run(bucket, tmp_path, ECHO)
    run.put("a.csv", csv(0, 10))
    run.plan()
    overwrite(run, "part-00000.csv", b"precious")
    with pytest.raises(OutputError, match="is there already, and no shard wrote it; move it elsewhere"):
        run.predict(0)
    assert run.parts() == [b"precious"]


def test_the_first_plan_stays(bucket: Any, tmp_path: Path) -> None:
    run = S3Run(bucket, tmp_path, ECHO)
    run.put("a.csv", csv(0, 10))
    first = run.plan()
    run.put("b.csv", csv(10, 20))
    assert run.plan() == first


@pytest.mark.parametrize(
    "fault",
    [Fault(SLOW_DOWN), Fault(reset_before=True), Fault(reset_after=True), Fault(cut_after=50)],
    ids=["503", "reset-before", "reset-after", "cut"],
)
@pytest.mark.parametrize("kind", ["csv", "parquet", "gz"])
def test_a_run_over_a_bad_network_loses_nothing_and_doubles_nothing(
    bucket: Any, proxy: Proxy, tmp_path: Path, kind: str, fault: Fault
) -> None:
    run = S3Run(bucket, tmp_path, ECHO, shards=3)
    for name, content in INPUTS[kind].items():
        run.put(name, content)
    proxy.judge = lambda request: fault if request.number % 2 else NONE
    marker = run.run()
    assert marker["rows_in"] == marker["rows_out"] > 0
    assert len(marker["parts"]) == len(run.parts()) == 3
    if kind == "csv":
        rows = b"".join(part.split(b"\n", 1)[1] for part in run.parts()).decode()
        assert rows == "".join(f'{n},"row {n}\nof many",{n + 1}\n' for n in range(160))
