"""A secret is in nothing that is passed on, however it is written down and in whatever pieces it comes."""

from __future__ import annotations

import base64
import json
from itertools import pairwise
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from trainyard.worker.redaction import Redactor

SECRETS = st.text(st.characters(codec="utf-8", exclude_categories=("Cs", "Cc")), min_size=5, max_size=40)


@given(SECRETS, st.text(max_size=20), st.lists(st.integers(0, 400), max_size=6))
@example("aaaaa", "aaa", [3, 7])
def test_no_form_of_a_secret_passes_in_any_pieces(secret: str, around: str, cuts: list[int]) -> None:
    raw = secret.encode()
    forms = [
        secret,
        quote(secret),
        quote(secret, safe=""),
        quote_plus(secret),
        json.dumps(secret)[1:-1],
        repr(secret)[1:-1],
        base64.b64encode(raw).decode().rstrip("="),
        base64.urlsafe_b64encode(raw).decode().rstrip("="),
    ]
    text = around.join(["<", *forms, ">"]).encode()
    redactor = Redactor([secret])
    borders = sorted({0, *(min(cut, len(text)) for cut in cuts), len(text)})
    pieces = [text[start:end] for start, end in pairwise(borders)]
    passed = b"".join([*map(redactor.feed, pieces), redactor.flush()])
    assert not [form for form in forms if form.encode() in passed.replace(b"***", b"\0")]
    assert not [form for form in forms if form in Redactor([secret]).text(text.decode()).replace("***", "\0")]


@given(st.binary(max_size=200), st.lists(st.integers(0, 200), max_size=5))
def test_what_is_no_secret_passes_byte_for_byte(content: bytes, cuts: list[int]) -> None:
    redactor = Redactor(["a-secret-of-somebody"])
    borders = sorted({0, *(min(cut, len(content)) for cut in cuts), len(content)})
    pieces = [content[start:end] for start, end in pairwise(borders)]
    assert b"".join([*map(redactor.feed, pieces), redactor.flush()]) == content


@pytest.mark.parametrize("user", ["", "u", "us", "use", "user:"])
def test_a_password_in_the_header_of_a_request_does_not_pass(user: str) -> None:
    header = base64.b64encode(f"{user}hush-hush-hush:more".encode()).decode()
    passed = Redactor(["hush-hush-hush"]).text(f"Authorization: Basic {header}")
    first, last = -(-len(user) * 8 // 6), (len(user) + len("hush-hush-hush")) * 8 // 6
    # The character at its end may be known, as the value's last bits are nobody else's.
    assert passed in [f"Authorization: Basic {header[:first]}***{header[end:]}" for end in (last, last + 1)]


def test_the_parts_of_a_document_and_of_a_key_do_not_pass() -> None:
    document = '{"username": "admin", "password": "very-quiet", "port": 5432}'
    redactor = Redactor([document, "-----KEY\nMIIabcdef\n-----"])
    assert redactor.text("admin:very-quiet@db:5432 MIIabcdef") == "***:***@db:5432 ***"


def test_a_value_too_short_to_be_told_apart_is_left() -> None:
    assert Redactor(["1", "on", ""]).text("1 on 100") == "1 on 100"
