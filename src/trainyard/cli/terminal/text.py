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


_PASSING = r"\x1b\[[0-9;:]*m|\x1b\[[0-2]?K|[\t\r\b]"
_CONTROLS = r"[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]"


def harmless(text: str) -> str:
    """A line of a job's output as it is written to a terminal.

    Colours, and what moves within the line or erases in it (return, backspace, tab, `ESC [K`), pass: progress
    bars are made of them. Any other control character is made visible (`\\x1b]0;`): those that set the title
    or the clipboard, clear the screen, write over earlier lines or turn the direction of writing.
    """
    if text.isprintable():
        return text
    import re  # for lines with escapes alone

    def shown(found: re.Match[str]) -> str:
        return found[1] or found[2].encode("unicode_escape").decode()

    return re.sub(f"({_PASSING})|({_CONTROLS})", shown, text)


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
