"""Progress bars in a log: each redraw a line, at most one a second, and the last always."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainyard.worker.process.redraws import Redraws

PIECES = st.lists(st.sampled_from([b"a", b"\n", b"\r\n", b"\r", b"50%", b"\xff", b""]), max_size=30)


def passed(pieces: list[tuple[float, bytes]]) -> bytes:
    redraws = Redraws()
    return b"".join(redraws.feed(piece, when) for when, piece in pieces) + redraws.finish()


@given(st.lists(st.sampled_from([b"a", b"\n", b"\r\n", b"\xff", b"more "]), max_size=30))
def test_what_is_not_redrawn_passes_as_it_is(pieces: list[bytes]) -> None:
    assert passed([(0.0, piece) for piece in pieces]) == b"".join(pieces)


@given(PIECES, st.integers(0, 5))
def test_nothing_but_redraws_is_left_out_and_the_last_of_each_line_is_there(
    pieces: list[bytes], pause: int
) -> None:
    content = b"".join(pieces)
    found = passed([(float(n * pause), piece) for n, piece in enumerate(pieces)])
    lasts = [line.rstrip(b"\r").split(b"\r")[-1] for line in content.split(b"\n")]
    assert [line for line in lasts if line] == [each for each in lasts if each and each in found]
    whole = content.replace(b"\r", b"\n").split(b"\n")
    # Half of one only where the other half was long in coming.
    known = {text[:end] for text in whole for end in range(len(text) + 1)} if pause else {*whole, b""}
    assert set(found.replace(b"\r", b"\n").split(b"\n")) <= known


@pytest.mark.parametrize(
    ("bar", "lines"),
    [
        (["\r{}/5"] * 6 + ["\n"], ["0/5", "2/5", "4/5", "5/5"]),
        (["\r{}/5"] * 6, ["0/5", "2/5", "4/5", "5/5"]),
        (["{}/5\r"] * 6 + ["done\n"], ["0/5", "2/5", "4/5", "5/5", "done"]),
        (["Loading:"] + ["\r{}/5"] * 5 + ["\r5/5\nnext\n"], ["Loading:", "2/5", "4/5", "5/5", "next"]),
    ],
)
def test_a_bar_is_a_line_a_second_and_its_last_state(bar: list[str], lines: list[str]) -> None:
    found = passed([(0.5 * n, text.format(n).encode()) for n, text in enumerate(bar)])
    assert found.decode().splitlines() == lines


def test_of_a_flood_of_redraws_the_last_is_there() -> None:
    flood = "".join(f"\r{step}/600" for step in range(601)).encode()
    assert passed([(5.0, flood + b"\n")]) == b"600/600\n"
    assert passed([(5.0, flood[:50]), (5.1, flood[50:] + b"\n")]).endswith(b"\n600/600\n")


def test_a_redraw_that_stands_for_a_second_is_passed_on_although_no_other_comes() -> None:
    redraws = Redraws()
    assert redraws.feed(b"\r1/", 10.0) == b""
    assert redraws.feed(b"9", 10.1) == b""
    assert redraws.due == pytest.approx(10.3)
    assert redraws.tick(10.3) == b"1/9\n"
    assert redraws.feed(b"\r2/9\r", 10.4) == b""
    assert redraws.due == pytest.approx(11.3)
    assert redraws.tick(11.3) == b"2/9\n"
    assert redraws.due == float("inf")
    assert redraws.feed(b"2/9\r", 12.5) == b""
    assert redraws.finish() == b""
