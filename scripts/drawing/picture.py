"""A picture in SVG: boxes, frames, lines of text and arrows. The same calls give the same bytes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

TEXT, MUTED, LINE, PAPER = "#1f2933", "#5b6774", "#8794a3", "#ffffff"
_FONT = "system-ui, -apple-system, 'Segoe UI', Helvetica, Arial, 'DejaVu Sans', sans-serif"
_HEAD = 7

Point = tuple[float, float]


def _n(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")


class Picture:
    """What was drawn so far. `about` of a shape are the logical ids of the resources that it shows."""

    def __init__(self, width: float, title: str, description: str) -> None:
        self.width = width
        self._title, self._description = title, description
        self._shapes: list[str] = []

    def box(
        self,
        x: float,
        y: float,
        width: float,
        height: float,
        *,
        about: Iterable[str] = (),
        fill: str = PAPER,
        stroke: str = LINE,
        dash: str = "",
        radius: float = 5,
        under: int | None = None,
    ) -> None:
        """A rectangle; `dash` as SVG's stroke-dasharray, `under` a place from `reserve`."""
        shown = f' data-resource="{escape(" ".join(about))}"' if about else ""
        dashed = f' stroke-dasharray="{dash}"' if dash else ""
        shape = (
            f'<rect x="{_n(x)}" y="{_n(y)}" width="{_n(width)}" height="{_n(height)}" rx="{_n(radius)}"'
            f' fill="{fill}" stroke="{stroke}"{dashed}{shown}/>'
        )
        place = self.reserve() if under is None else under
        self._shapes[place] = shape

    def reserve(self) -> int:
        """A place below what is drawn later: for a frame whose height only its content tells."""
        self._shapes.append("")
        return len(self._shapes) - 1

    def text(
        self,
        x: float,
        y: float,
        words: str,
        *,
        size: float = 12,
        colour: str = TEXT,
        bold: bool = False,
        anchor: str = "start",
    ) -> None:
        """One line; `y` is its baseline."""
        weight = ' font-weight="600"' if bold else ""
        at = f' text-anchor="{anchor}"' if anchor != "start" else ""
        self._shapes.append(
            f'<text x="{_n(x)}" y="{_n(y)}" font-size="{_n(size)}" fill="{colour}"{weight}{at}>'
            f"{escape(words)}</text>"
        )

    def card(
        self,
        x: float,
        y: float,
        width: float,
        height: float,
        lines: Sequence[str],
        *,
        about: Iterable[str] = (),
        fill: str = PAPER,
        stroke: str = LINE,
    ) -> None:
        """A box with a title and smaller lines below it, in its vertical middle."""
        self.box(x, y, width, height, about=about, fill=fill, stroke=stroke)
        top = y + height / 2 - (len(lines) - 1) * 7 + 4
        for index, line in enumerate(lines):
            size, colour = (11, MUTED) if index else (12, TEXT)
            self.text(x + 9, top + index * 14, line, size=size, colour=colour, bold=not index)

    def arrow(self, points: Sequence[Point], *, label: str = "", at: Point | None = None) -> None:
        """A line through the points with a head at its end; the label's middle is `at`."""
        path = " ".join(f"{'L' if index else 'M'}{_n(x)} {_n(y)}" for index, (x, y) in enumerate(points))
        self._shapes.append(f'<path d="{path}" fill="none" stroke="{MUTED}" stroke-width="1.3"/>')
        (from_x, from_y), (x, y) = points[-2:]
        across = _HEAD if x > from_x else -_HEAD if x < from_x else 0
        down = _HEAD if y > from_y else -_HEAD if y < from_y else 0
        wide, high = (0.0, _HEAD / 2) if across else (_HEAD / 2, 0.0)
        corners = ((x, y), (x - across + wide, y - down + high), (x - across - wide, y - down - high))
        head = " ".join(f"{_n(each)},{_n(other)}" for each, other in corners)
        self._shapes.append(f'<polygon points="{head}" fill="{MUTED}"/>')
        if label and at:
            self.text(*at, label, size=11, colour=MUTED, anchor="middle")

    def svg(self, height: float) -> str:
        """The whole picture, on paper of its own: as legible on a dark page as on a light one."""
        size = f'width="{_n(self.width)}" height="{_n(height)}"'
        return "\n".join(
            [
                f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_n(self.width)} {_n(height)}" {size}'
                f' font-family="{_FONT}" role="img">',
                f"<title>{escape(self._title)}</title>",
                f"<desc>{escape(self._description)}</desc>",
                f'<rect x="0.5" y="0.5" width="{_n(self.width - 1)}" height="{_n(height - 1)}" rx="8"'
                f' fill="{PAPER}" stroke="#d0d7de"/>',
                *self._shapes,
                "</svg>\n",
            ]
        )
