"""The command of a Batch job fetches the worker with the job's role, or says in one line why it can't."""

from __future__ import annotations

import ast
import calendar
import hashlib
import http.server
import io
import json
import signal
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from trainyard.worker.cloud.batch.bootstrap import BOOTSTRAP
from trainyard.worker.s3 import signing
from trainyard.worker.s3.credentials import Credentials

from .faulty import NONE, SLOW_DOWN, Fault, Proxy, Request, s3_error
from .pythons import python_3_8
from .s3_server import BUCKET, REGION

WORKER = f"s3://{BUCKET}/code/workers/0 1+ü/worker.pyz"
MANIFEST = f"s3://{BUCKET}/code/runs/digits-1.json"
SAYS = "import os, sys\nprint(sys.argv[1:], os.path.dirname(sys.argv[0]) == os.environ['TRAINYARD_FOLDER'])\n"


def packed(script: str) -> bytes:
    """A worker that is this script."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(zipfile.ZipInfo("__main__.py"), script)
    return buffer.getvalue()


WORKER_HASH, WORKER_KEY = hashlib.sha256(packed(SAYS)).hexdigest(), WORKER.split("/", 3)[3]


@pytest.fixture
def environment(bucket: Any, proxy: Proxy, tmp_path: Path) -> dict[str, str]:
    """A job's: its worker says how it was called."""
    bucket.put_object(Bucket=BUCKET, Key=WORKER_KEY, Body=packed(SAYS))
    return {
        "TMPDIR": str(tmp_path),
        "TRAINYARD_REGION": REGION,
        "AWS_ENDPOINT_URL_S3": proxy.url,
        "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "the-secret",
    }


def run(environment: dict[str, str], python: str = sys.executable) -> tuple[int, str, str]:
    command = [python, "-c", BOOTSTRAP, WORKER, MANIFEST, "plan", WORKER_HASH, "abc"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout, done.stderr


class Role(http.server.BaseHTTPRequestHandler):
    """The address of a role's credentials."""

    asked: list[str]

    def do_GET(self) -> None:
        self.asked.append(self.headers.get("Authorization", ""))
        found = {"AccessKeyId": "ASIAROLE", "SecretAccessKey": "s3cret", "Token": "t0ken=="}
        if not self.path.startswith("/role"):
            self.send_error(404)
            return
        self.send_response(200)
        self.end_headers()
        self.wfile.write(json.dumps({**found, "Expiration": "2099-01-01T00:00:00Z"}).encode())

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def role() -> Iterator[str]:
    Role.asked = []
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Role)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_address[1]}/role"
    server.shutdown()
    server.server_close()
    thread.join()


def signature(request: Request, credentials: Credentials) -> str:
    """The one that the request should have."""
    headers = {name.lower(): value for name, value in request.headers.items()}
    moment = time.strptime(headers["x-amz-date"] + "+0000", "%Y%m%dT%H%M%SZ%z")
    signed = signing.sign(
        "GET",
        f"http://{headers['host']}{request.target}",
        {},
        signing.UNSIGNED,
        service="s3",
        region=REGION,
        credentials=credentials,
        now=calendar.timegm(moment),
    )
    return signed["Authorization"]


def test_it_fits_into_a_command_and_is_readable() -> None:
    assert len(BOOTSTRAP) < 4_750
    assert len(json.dumps(BOOTSTRAP)) < 5_200
    assert max(map(len, BOOTSTRAP.splitlines())) <= 110
    ast.parse(BOOTSTRAP, feature_version=(3, 4))


def test_the_worker_is_fetched_and_called(environment: dict[str, str], proxy: Proxy) -> None:
    assert run(environment) == (0, f"['batch', 'plan', '{MANIFEST}', 'abc'] True\n", "")
    (request,) = proxy.made("GET", "worker.pyz")
    assert request.headers["Authorization"] == signature(request, Credentials("AKIDEXAMPLE", "the-secret"))


def test_another_worker_than_was_sent_does_not_start(environment: dict[str, str], bucket: Any) -> None:
    another = packed(SAYS + "print('mine now')\n")
    bucket.put_object(Bucket=BUCKET, Key=WORKER_KEY, Body=another)
    status, output, said = run(environment)
    found = hashlib.sha256(another).hexdigest()
    words = f"is not what was recorded: its hash is {found}, and {WORKER_HASH} was recorded"
    assert (status, output, said) == (1, "", f"trainyard: {WORKER} {words}\n")


def test_python_3_8_does_it_too(environment: dict[str, str]) -> None:
    assert run(environment, python_3_8())[0] == 0


@pytest.mark.parametrize("by", ["variable", "file", ""])
def test_the_role_of_the_container_goes_first(
    environment: dict[str, str], proxy: Proxy, role: str, tmp_path: Path, by: str
) -> None:
    environment["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = role
    environment["HTTP_PROXY"] = environment["http_proxy"] = "http://127.0.0.1:9"
    environment["NO_PROXY"] = proxy.url.split("//")[1]
    if by == "variable":
        environment["AWS_CONTAINER_AUTHORIZATION_TOKEN"] = "let me in"
    if by == "file":
        (tmp_path / "token").write_text("let me in\n")
        environment["AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"] = str(tmp_path / "token")
    assert run(environment)[0] == 0
    assert Role.asked == ["let me in" if by else ""]
    (request,) = proxy.made("GET", "worker.pyz")
    headers = {name.lower(): value for name, value in request.headers.items()}
    assert headers["x-amz-security-token"] == "t0ken=="
    assert headers["authorization"] == signature(request, Credentials("ASIAROLE", "s3cret", "t0ken=="))


@pytest.mark.parametrize("fault", [Fault(SLOW_DOWN), Fault(reset_before=True), Fault(cut_after=9)])
def test_a_fault_on_the_way_is_outlived(environment: dict[str, str], proxy: Proxy, fault: Fault) -> None:
    proxy.judge = lambda request: fault if request.number < 3 else NONE
    assert run(environment)[0] == 0


@pytest.mark.parametrize(
    ("changed", "status", "words"),
    [
        ({"AWS_ACCESS_KEY_ID": ""}, 1, "trainyard: no AWS credentials; give the job definition a job role\n"),
        ({"TRAINYARD_REGION": ""}, 1, "trainyard: TRAINYARD_REGION is not set\n"),
    ],
)
def test_what_is_missing_is_said_in_one_line(
    environment: dict[str, str], changed: dict[str, str], status: int, words: str
) -> None:
    assert run({**environment, **changed}) == (status, "", words)


def test_a_role_that_is_none_is_said_in_one_line(environment: dict[str, str], role: str) -> None:
    environment["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = f"{role[:-5]}/none"
    status, _, said = run(environment)
    assert status == 1
    assert said.startswith("trainyard: the job role's credentials cannot be had (status 404 ")
    assert said.count("\n") == 1


def test_a_worker_that_may_not_be_read_is_said_in_one_line(environment: dict[str, str], proxy: Proxy) -> None:
    proxy.judge = lambda request: s3_error(403, "AccessDenied", "You shall not pass")
    status, _, said = run(environment)
    assert (status, len(proxy.requests)) == (1, 1)
    assert said == (
        f"trainyard: {WORKER} cannot be had (status 403 AccessDenied You shall not pass); "
        "see that the job's role may read it\n"
    )


def test_an_s3_that_is_not_there_has_batch_try_again(environment: dict[str, str], tmp_path: Path) -> None:
    quick = BOOTSTRAP.replace("(0.2, 0.5, 1, 2, 4, 8, 0)", "(0, 0)")
    assert quick != BOOTSTRAP
    environment["AWS_ENDPOINT_URL_S3"] = "http://127.0.0.1:9"
    done = subprocess.run(
        [sys.executable, "-c", quick, WORKER, MANIFEST, "plan", WORKER_HASH, "abc"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 75
    assert "see that the job's network leads there, and that the image has CA certificates\n" in done.stderr
    assert "Connection refused" in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("region", "bucket_name", "host"),
    [
        ("eu-central-1", "b", "b.s3.eu-central-1.amazonaws.com"),
        ("cn-north-1", "b", "b.s3.cn-north-1.amazonaws.com.cn"),
        ("eu-central-1", "b.c", "s3.eu-central-1.amazonaws.com"),
    ],
)
def test_without_an_endpoint_it_asks_aws(
    environment: dict[str, str], proxy: Proxy, region: str, bucket_name: str, host: str
) -> None:
    del environment["AWS_ENDPOINT_URL_S3"]
    environment.update(TRAINYARD_REGION=region, HTTPS_PROXY=proxy.url)
    proxy.judge = lambda request: Fault((403, "no way"))
    quick = BOOTSTRAP.replace("(0.2, 0.5, 1, 2, 4, 8, 0)", "(0,)")
    command = [sys.executable, "-c", quick, f"s3://{bucket_name}/w", MANIFEST, "plan", WORKER_HASH, "abc"]
    done = subprocess.run(command, env=environment, capture_output=True, timeout=60, check=False)
    assert done.returncode == 75
    assert [each.target for each in proxy.made("CONNECT")] == [f"{host}:443"]


def test_sigterm_ends_it(environment: dict[str, str], proxy: Proxy) -> None:
    proxy.judge = lambda request: Fault(hang_after=3)
    command = [sys.executable, "-c", BOOTSTRAP, WORKER, MANIFEST, "plan", WORKER_HASH, "abc"]
    with subprocess.Popen(command, env=environment) as job:
        deadline = time.monotonic() + 30
        while not proxy.requests:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        job.send_signal(signal.SIGTERM)
        assert job.wait(timeout=10) == 143
