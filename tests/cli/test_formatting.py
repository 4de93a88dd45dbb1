"""How people read times, sizes and names; and the tables they stand in."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainyard.cli import formatting
from trainyard.cli.terminal import table
from trainyard.cli.terminal import text as terminal_text
from trainyard.cli.terminal.table import Column, print_table


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, ""),
        (-1, "0.00 s"),
        (0.042, "0.04 s"),
        (0.96, "1.0 s"),
        (6.24, "6.2 s"),
        (9.97, "10 s"),
        (59.6, "1m 00s"),
        (64, "1m 04s"),
        (3599.7, "1h 00m"),
        (7380, "2h 03m"),
        (86_400 * 3 + 3600 * 4, "3d 04h"),
    ],
)
def test_a_duration_has_two_figures(seconds: float | None, text: str) -> None:
    assert formatting.duration(seconds) == text


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 bytes"),
        (1, "1 byte"),
        (1023, "1,023 bytes"),
        (1024, "1.0 KiB"),
        (1536, "1.5 KiB"),
        (1024**2 - 1, "1.0 MiB"),
        (3 * 1024**3, "3.0 GiB"),
        (5000 * 1024**4, "5000.0 TiB"),
    ],
)
def test_a_size_is_in_powers_of_1024(count: int, text: str) -> None:
    assert formatting.size(count) == text


@pytest.mark.parametrize(("seconds", "text"), [(0.9, "0:00"), (754, "12:34"), (3723, "1:02:03")])
def test_a_clock_shows_hours_only_where_there_are_some(seconds: float, text: str) -> None:
    assert formatting.clock(seconds) == text


@pytest.mark.parametrize(
    ("ago", "text"), [(5, "5s"), (200, "3m"), (7300, "2h"), (4 * 86_400, "4d"), (-9, "0s")]
)
def test_an_age_has_one_unit(ago: float, text: str) -> None:
    assert formatting.age(time.time() - ago) == text


def test_metrics_stand_by_name() -> None:
    assert formatting.metrics({"loss": 0.08, "accuracy": 0.97333333}) == "accuracy=0.973333 loss=0.08"


def test_a_path_below_the_current_folder_is_relative(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/usr")
    assert formatting.place("/usr/bin/env") == "bin/env"
    assert formatting.place("/usrs/bin") == "/usrs/bin"


@given(st.text(), st.integers(0, 40))
def test_a_text_never_takes_more_room_than_it_has(text: str, width: int) -> None:
    shown = terminal_text.fit(terminal_text.clean(text), width)
    assert terminal_text.span(shown) <= width
    assert shown.isprintable()


@given(st.text(alphabet="abc漢é", max_size=12))
def test_a_text_that_fits_is_left_alone(text: str) -> None:
    assert terminal_text.fit(text, terminal_text.span(text)) == text


COLUMNS = (Column("ID", whole=True), Column("WHY"), Column("AGE", whole=True, right=True), Column("PATH"))
CELLS = st.lists(st.tuples(*[st.text(alphabet="ab 漢", max_size=60)] * 4), min_size=1, max_size=5)


@given(CELLS, st.integers(1, 150))
def test_a_table_keeps_to_its_width_and_never_cuts_what_is_whole(
    rows: list[tuple[str, ...]], room: int
) -> None:
    cells = [list(row) for row in rows]
    widths = table.widths_of(COLUMNS, cells, room)
    lines = [table.line_of(COLUMNS, widths, row) for row in cells]
    least = (
        sum(
            max(terminal_text.span(COLUMNS[i].title), *(terminal_text.span(r[i]) for r in rows))
            for i in (0, 2)
        )
        + 2
    )
    assert all(terminal_text.span(line) <= max(room, least) for line in lines)
    for row, line in zip(rows, lines, strict=True):
        assert line.startswith(row[0].rstrip())


def test_elsewhere_than_on_a_terminal_a_table_is_bare_and_tab_separated(
    capsys: pytest.CaptureFixture[str],
) -> None:
    print_table(COLUMNS, [["a-1", "one\ttwo\x1b[2J", "3s", "p" * 300]], nothing="none")
    assert capsys.readouterr().out == f"a-1\tone�two�[2J\t3s\t{'p' * 300}\n"


def test_elsewhere_than_on_a_terminal_an_empty_table_is_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(COLUMNS, [], nothing="none")
    assert capsys.readouterr() == ("", "")
