"""Text on a terminal: made harmless, measured, cut, styled."""

from __future__ import annotations

import os


def clean(text: str) -> str:
    """The text on one line, with every character that could move a terminal's cursor made visible."""
    return (
        text
        if text.isprintable()
        else "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
    )


def span(text: str) -> int:
    """How many columns of a terminal the text takes."""
    if text.isascii():
        return len(text)
    from unicodedata import combining, east_asian_width  # ASCII, which most text is, does without

    return sum(0 if combining(c) else 2 if east_asian_width(c) in "WF" else 1 for c in text)


def fit(text: str, width: int) -> str:
    """The text cut to so many columns of a terminal, with an ellipsis where something is missing."""
    if span(text) <= width:
        return text
    while text and span(text) >= width:
        text = text[: min(len(text) - 1, max(0, width))]
    return f"{text}…" if width > 0 else ""


def bold(text: str) -> str:
    """The text in bold on a terminal that is allowed colour."""
    return _styled(text, "1")


def dim(text: str) -> str:
    """The text dimmed on a terminal that is allowed colour."""
    return _styled(text, "2")


def red(text: str) -> str:
    """The text in red on a terminal that is allowed colour."""
    return _styled(text, "31")


def _styled(text: str, code: str) -> str:
    # https://no-color.org: set and not empty.
    if os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb":
        return text
    return f"\x1b[{code}m{text}\x1b[0m"
