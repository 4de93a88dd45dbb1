"""Secrets taken out of what is passed on: a job's output, and the reasons why it failed.

What a value may look like there: itself, its lines and, where it is JSON, its texts; as Python and JSON quote
it, as URLs do, and as base64, also in the midst of something longer (`user:password` of an HTTP header). What
a script does to a secret beyond that is not seen: other encodings, encryption, pieces.
"""

from __future__ import annotations

import base64
import json
import re
from typing import Any, Iterable, Iterator, Match
from urllib.parse import quote, quote_plus

SHORTEST = 5
"""Characters of a value: shorter ones are left, since they stand in any text."""
SHORTEST_LINE = 8
"""Characters of a line of a longer value, as of a key in PEM."""
MASK = b"***"


class Redactor:
    """Replaces some values, in whole texts and in a stream that comes in pieces."""

    def __init__(self, values: Iterable[str]) -> None:
        found = {form for value in values for form in _forms(value)}
        encoded = sorted({form.encode("utf-8", "surrogateescape") for form in found}, key=len, reverse=True)
        self._forms = [form for form in encoded if len(form) >= SHORTEST]
        self._pattern = re.compile(b"|".join(map(re.escape, self._forms))) if self._forms else None
        self._first = frozenset(form[0] for form in self._forms)
        self._longest = max(map(len, self._forms), default=0)
        self._rest = b""

    def text(self, text: str) -> str:
        """The text without the values."""
        return self.content(text.encode("utf-8", "surrogateescape")).decode("utf-8", "surrogateescape")

    def content(self, content: bytes) -> bytes:
        """The bytes without the values."""
        return self._pattern.sub(MASK, content) if self._pattern else content

    def feed(self, content: bytes) -> bytes:
        """What may be passed on of a stream; the end of a piece that may begin a value waits for the next."""
        content, self._rest = self._rest + content, b""
        end = self._safe_end(content)
        done, parts = 0, []
        for match in self._matches(content):
            if match.start() >= end:
                break
            parts += [content[done : match.start()], MASK]
            done = match.end()
        end = max(end, done)
        self._rest = content[end:]
        return b"".join([*parts, content[done:end]])

    def flush(self) -> bytes:
        """What still waits, now that nothing follows."""
        content, self._rest = self._rest, b""
        return self.content(content)

    def _matches(self, content: bytes) -> Iterator[Match[bytes]]:
        return self._pattern.finditer(content) if self._pattern else iter(())

    def _safe_end(self, content: bytes) -> int:
        """Up to where no value can have begun that is not whole yet."""
        for start in range(max(0, len(content) - self._longest + 1), len(content)):
            if content[start] in self._first:
                tail = content[start:]
                if any(len(form) > len(tail) and form.startswith(tail) for form in self._forms):
                    return start
        return len(content)


def _forms(value: str) -> Iterator[str]:
    plain = {value, value.strip(), " ".join(value.split()), *_texts(value)}
    plain.update(line.strip() for line in value.splitlines() if len(line.strip()) >= SHORTEST_LINE)
    for text in plain:
        if len(text) >= SHORTEST:
            yield from _quoted(text)
            yield from _base64(text.encode("utf-8", "surrogateescape"))


def _texts(value: str) -> Iterator[str]:
    """The texts in a value that is a JSON document, as secrets of databases are."""
    try:
        pending: list[Any] = [json.loads(value)]
    except (ValueError, RecursionError):
        return
    while pending:
        found = pending.pop()
        if isinstance(found, str):
            yield found
        elif isinstance(found, (dict, list)):
            pending += found.values() if isinstance(found, dict) else found


def _quoted(text: str) -> Iterator[str]:
    yield text
    yield repr(text)[1:-1]
    yield json.dumps(text)[1:-1]
    yield json.dumps(text, ensure_ascii=False)[1:-1]
    raw = text.encode("utf-8", "surrogateescape")
    yield repr(raw)[2:-1]
    for quoted in (quote(raw, safe=""), quote(raw), quote_plus(raw)):
        yield quoted
        yield re.sub("%[0-9A-F]{2}", lambda found: found[0].lower(), quoted)


def _base64(raw: bytes) -> Iterator[str]:
    """What of it is the same wherever the value begins in what is encoded; and the whole, with its end."""
    for before in range(3):
        encoded = base64.b64encode(bytes(before) + raw).decode("ascii")
        inner = encoded[-(-before * 8 // 6) : (before + len(raw)) * 8 // 6]
        for form in (inner, encoded.rstrip("="), encoded) if not before else (inner,):
            if len(form) >= SHORTEST:
                yield form
                yield form.replace("+", "-").replace("/", "_")
                yield quote(form, safe="")
