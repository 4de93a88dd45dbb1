from __future__ import annotations

import io
from itertools import pairwise
from unittest import mock

from hypothesis import given
from hypothesis import strategies as st

from trainyard.worker.rows import csvscan as rows_csv
from trainyard.worker.rows.splits import Candidates, Extent, choose, cut, offer_to


def candidates_of(counts: list[int], limit: int) -> tuple[Candidates, list[Extent]]:
    """Files of ten-byte rows, one a line, behind a header of seven bytes."""
    candidates = Candidates(limit)
    extents = []
    row = 0
    for file, rows in enumerate(counts):
        offer = offer_to(candidates, file, row, divisible=True)
        due = offer(0, 7, 2)
        for done in range(1, rows + 1):
            if done == due:
                due = offer(done, 7 + 10 * done, 2 + done)
        extents.append(Extent(rows, 7, 2, 7 + 10 * rows))
        row += rows
    return candidates, extents


files = st.lists(st.integers(0, 60), min_size=1, max_size=6)


@given(counts=files, shards=st.integers(1, 20), limit=st.integers(2, 40))
def test_every_row_is_in_exactly_one_shard_in_order(counts: list[int], shards: int, limit: int) -> None:
    candidates, extents = candidates_of(counts, limit)
    pieces = cut(extents, choose(candidates, sum(counts), shards))
    rows = [(p["file"], p["row"] + i) for shard in pieces for p in shard for i in range(p["rows"])]
    assert len(pieces) == shards
    assert rows == [(file, row) for file, count in enumerate(counts) for row in range(count)]


@given(counts=files, shards=st.integers(1, 20), limit=st.integers(2, 40))
def test_a_piece_begins_and_ends_where_its_rows_do(counts: list[int], shards: int, limit: int) -> None:
    candidates, extents = candidates_of(counts, limit)
    for piece in (p for shard in cut(extents, choose(candidates, sum(counts), shards)) for p in shard):
        assert piece["start"] == 7 + 10 * piece["row"]
        assert piece["end"] == piece["start"] + 10 * piece["rows"]
        assert piece["line"] == 2 + piece["row"]


@given(counts=files, shards=st.integers(1, 20))
def test_shards_differ_by_one_row_at_most_while_every_border_is_kept(counts: list[int], shards: int) -> None:
    candidates, extents = candidates_of(counts, 1000)
    sizes = [sum(p["rows"] for p in shard) for shard in cut(extents, choose(candidates, sum(counts), shards))]
    assert max(sizes) - min(sizes) <= 1


@given(rows=st.integers(0, 5000), limit=st.integers(2, 100))
def test_marks_stay_few_and_evenly_spread(rows: int, limit: int) -> None:
    candidates, _ = candidates_of([rows], limit)
    assert len(candidates) <= limit
    assert candidates[0].row == 0
    assert all(after - before == candidates.stride for before, after in pairwise(candidates.rows))
    assert rows - candidates.rows[-1] < 2 * candidates.stride


@given(text=st.text(alphabet='ab,"\n\r ', max_size=60))
def test_borders_fall_where_pythons_parser_ends_a_row(text: str) -> None:
    import csv

    data = ("a\n" + text).encode()
    candidates = Candidates()
    try:
        _, extent = rows_csv.scan(io.BytesIO(data), "t.csv", offer_to(candidates, 0, 0, divisible=True))
    except rows_csv.InputError:
        return
    expected = list(filter(None, csv.reader(io.StringIO(data.decode(), newline="\n"))))[1:]
    assert extent.rows == len(expected)
    found = []
    for before, after in pairwise([*(candidates[i].byte for i in range(len(candidates))), len(data)]):
        found += filter(None, csv.reader(io.StringIO(data[before:after].decode(), newline="\n")))
    assert found == expected


@given(
    text=st.text(alphabet='ab,,"\n\n\r\0é', max_size=80),
    header=st.sampled_from(["a", "a,b"]),
    block=st.integers(1, 40),
)
def test_a_plan_is_the_same_whether_the_parser_judges_all_of_a_file_or_only_its_doubtful_blocks(
    text: str, header: str, block: int
) -> None:
    data = f"{header}\n{text}".encode()
    with mock.patch.object(rows_csv, "_BLOCK", block):
        by_blocks = planned(data)
    with mock.patch.object(rows_csv._Counter, "_plain_lines", lambda counter, block: None):
        assert by_blocks == planned(data)


def planned(data: bytes) -> object:
    """What a scan finds: the extent and the candidates, or the error's line."""
    candidates = Candidates(limit=8)
    try:
        _, extent = rows_csv.scan(io.BytesIO(data), "t.csv", offer_to(candidates, 0, 0, divisible=True))
    except rows_csv.InputError as error:
        return str(error)
    return extent, [candidates[index] for index in range(len(candidates))]
