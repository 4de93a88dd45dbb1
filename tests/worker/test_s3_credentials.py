"""The role's credentials are fetched where containers find them, and renewed before they expire."""

from __future__ import annotations

import http.server
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from trainyard.worker.errors import ServiceError
from trainyard.worker.s3 import credentials
from trainyard.worker.s3.credentials import Credentials, current


class Role:
    """A server of credentials: number 1, 2, …, each good for so many seconds."""

    def __init__(self) -> None:
        self.lifetime = 3600.0
        self.failures: list[tuple[int, str]] = []
        self.paths: list[str] = []
        self.tokens: list[str] = []
        role = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                role.paths.append(self.path)
                role.tokens.append(self.headers.get("Authorization", ""))
                status, text = role.failures.pop(0) if role.failures else (200, role.answer())
                self.send_response(status)
                self.end_headers()
                self.wfile.write(text.encode())

            def log_message(self, *_: Any) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def answer(self) -> str:
        expires = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + self.lifetime))
        key = f"AKID{len(self.paths)}"
        found = {"AccessKeyId": key, "SecretAccessKey": "s", "Token": "t", "Expiration": expires}
        return json.dumps(found)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def role(monkeypatch: pytest.MonkeyPatch) -> Iterator[Role]:
    found = Role()
    for name in ("RELATIVE_URI", "FULL_URI"):
        monkeypatch.delenv(f"AWS_CONTAINER_CREDENTIALS_{name}", raising=False)
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", f"{found.url}/v2/credentials?x=1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "the-variables-go-last")
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setattr(credentials.time, "sleep", lambda seconds: None)
    credentials.forget()
    yield found
    credentials.forget()
    found.close()


def test_they_are_fetched_once_for_all_threads(role: Role) -> None:
    found: list[str] = []
    threads = [threading.Thread(target=lambda: found.append(current().access_key)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(found) == {"AKID1"}
    assert role.paths == ["/v2/credentials?x=1"]
    assert current().token == "t"


def test_they_are_renewed_minutes_before_they_expire(role: Role, monkeypatch: pytest.MonkeyPatch) -> None:
    current()
    later = time.time() + role.lifetime - credentials.EARLY
    monkeypatch.setattr(credentials.time, "time", lambda: later - 5)
    assert current().access_key == "AKID1"
    monkeypatch.setattr(credentials.time, "time", lambda: later + 5)
    assert current().access_key == "AKID2"


def test_while_the_old_ones_are_good_a_failure_to_renew_them_is_none(
    role: Role, monkeypatch: pytest.MonkeyPatch
) -> None:
    current()
    later = time.time() + role.lifetime - 60
    monkeypatch.setattr(credentials.time, "time", lambda: later)
    role.failures = [(500, "")]
    assert current().access_key == "AKID1"
    assert current().access_key == "AKID1"
    assert len(role.paths) == 2
    monkeypatch.setattr(credentials.time, "time", lambda: later + credentials.PAUSE + 1)
    assert current().access_key == "AKID3"


def test_expired_ones_are_never_used(role: Role, monkeypatch: pytest.MonkeyPatch) -> None:
    current()
    later = time.time() + role.lifetime + 1
    monkeypatch.setattr(credentials.time, "time", lambda: later)
    role.failures = [(500, "")] * credentials.ATTEMPTS
    with pytest.raises(ServiceError, match=r"the role's credentials cannot be had from 127.*\(status 500\)"):
        current()
    assert current().access_key.startswith("AKID")


def test_short_lived_ones_are_not_fetched_for_every_request(role: Role) -> None:
    role.lifetime = 100.0
    assert {current().access_key for _ in range(5)} == {"AKID1"}


@pytest.mark.parametrize("answer", [(500, ""), (429, ""), (200, "not JSON"), (200, "{}"), (200, "[]")])
def test_a_failure_is_tried_again(role: Role, answer: tuple[int, str]) -> None:
    role.failures = [answer] * (credentials.ATTEMPTS - 1)
    assert current().access_key == f"AKID{credentials.ATTEMPTS}"


def test_the_token_is_read_from_its_file_each_time(
    role: Role, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN", "of the variable")
    current()
    path = tmp_path / "token"
    path.write_text("of the file\n")
    monkeypatch.setenv("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", str(path))
    assert credentials.forget()
    current()
    path.write_text("another")
    credentials.forget()
    current()
    assert role.tokens == ["of the variable", "of the file", "another"]


def test_a_relative_address_is_that_of_the_container_agent(
    role: Role, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(credentials, "_CONTAINER", role.url)
    monkeypatch.delenv("AWS_CONTAINER_CREDENTIALS_FULL_URI")
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/v2/credentials/uuid")
    assert current().access_key == "AKID1"
    assert role.paths == ["/v2/credentials/uuid"]


def test_secrets_do_not_travel_in_plain_text(role: Role, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://example.com/credentials")
    with pytest.raises(ServiceError, match=r"names example.com by http; use https, or a loopback address"):
        current()


def test_without_a_role_the_variables_count(role: Role, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_CONTAINER_CREDENTIALS_FULL_URI")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "token")
    assert current() == Credentials("the-variables-go-last", "secret", "token")
    assert not credentials.forget()
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    with pytest.raises(ServiceError, match=r"no AWS credentials: .* are not set; give the job a role"):
        current()
