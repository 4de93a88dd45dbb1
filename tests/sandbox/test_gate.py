"""No web page, and nobody without credentials, gets anything from the sandbox."""

from __future__ import annotations

import http.client

import pytest

from trainyard.sandbox.server.gate import refusal

from .conftest import RunningSandbox


def status(sandbox: RunningSandbox, path: str, headers: dict[str, str], method: str = "GET") -> int:
    host = sandbox.address["endpoint"].removeprefix("http://")
    connection = http.client.HTTPConnection(host, timeout=10)
    try:
        connection.request(method, path, headers=headers)
        with connection.getresponse() as answer:
            answer.read()
            return answer.status
    finally:
        connection.close()


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "example.com"},
        {"Host": "127.0.0.1.example.com"},
        {"Host": "s3.amazonaws.com"},
        {"Host": "a-bucket.localhost"},
        {"Origin": "https://example.com"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
@pytest.mark.parametrize("path", ["/", "/_trainyard/settings"])
def test_a_web_page_is_refused_whatever_it_knows(
    sandbox: RunningSandbox, headers: dict[str, str], path: str
) -> None:
    token = {"X-Trainyard-Token": sandbox.address["token"]}
    assert status(sandbox, path, {**token, **headers}) == 403


@pytest.mark.parametrize("host", ["127.0.0.1:80", "localhost", "LOCALHOST:80", "[::1]:80"])
def test_this_machine_by_any_name_is_let_in(host: str) -> None:
    assert refusal({"HTTP_HOST": host, "PATH_INFO": "/"}) == ""


def test_what_asks_the_sandbox_itself_needs_its_token(sandbox: RunningSandbox) -> None:
    assert status(sandbox, "/_trainyard/settings", {}) == 403
    assert status(sandbox, "/_trainyard/settings", {"X-Trainyard-Token": "x"}) == 403
    assert status(sandbox, "/_trainyard/settings", {"X-Trainyard-Token": sandbox.address["token"]}) == 200


@pytest.mark.parametrize("path", ["/moto-api/data.json", "/moto-api/reset", "/latest/meta-data/iam/"])
def test_what_moto_answers_to_anybody_is_closed(sandbox: RunningSandbox, path: str) -> None:
    assert status(sandbox, path, {}, "POST" if path.endswith("reset") else "GET") == 403


def test_preflights_of_browsers_are_refused(sandbox: RunningSandbox) -> None:
    asked = {"Origin": "https://example.com", "Access-Control-Request-Method": "POST"}
    assert status(sandbox, "/", asked, "OPTIONS") == 403
