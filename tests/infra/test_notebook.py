"""The notebook's lifecycle script: it copies files, brings them back once, stops an idle instance only."""

from __future__ import annotations

import ast
import base64
import json
import os
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from templates import EVERYTHING

from trainyard.core.environments.environment import Environment
from trainyard.infra.notebook import start_script

CONTENT_LIMIT = 16_384
"""Characters of a lifecycle script in base64 (NotebookInstanceLifecycleConfigContent)."""


def part(name: str) -> str:
    """What the lifecycle script writes to `/opt/trainyard/<name>`, for an instance in us-east-1."""
    script = start_script(Environment()).replace("${!", "${")
    script = script.replace("${ModelBucket}", "the-models").replace("${AWS::Region}", "us-east-1")
    beginning = script.split(f"cat >/opt/trainyard/{name} <<'", 1)[1]
    mark, _, rest = beginning.partition("'\n")
    return rest.split(f"\n{mark}\n", 1)[0] + "\n"


class Jupyter:
    """A Jupyter server on loopback, with a certificate of its own, as on an instance."""

    def __init__(self, folder: Path) -> None:
        self.answers: dict[str, Any] = {"/api/sessions": [], "/api/terminals": []}
        answers = self.answers

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                body = json.dumps(answers[self.path]).encode()
                self.send_response(200)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *words: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate(folder))
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


def certificate(folder: Path) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(1).not_valid_before(now - timedelta(days=1))
    signed = builder.not_valid_after(now + timedelta(days=1)).sign(key, hashes.SHA256())
    path = folder / "jupyter.pem"
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(secret + signed.public_bytes(serialization.Encoding.PEM))
    return path


@pytest.fixture
def jupyter(tmp_path: Path) -> Iterator[Jupyter]:
    served = Jupyter(tmp_path)
    yield served
    served.server.shutdown()
    served.server.server_close()


def idle(jupyter: Jupyter, tmp_path: Path, minutes: int, *, up_seconds: float = 1e6) -> str:
    """What the idle check prints, on an instance that is up for so long."""
    (tmp_path / "metadata.json").write_text('{"ResourceName": "the-notebook"}')
    (tmp_path / "uptime").write_text(f"{up_seconds} 0\n")
    text = part("idle.py").replace("localhost:8443", f"localhost:{jupyter.port}")
    text = text.replace("/proc/uptime", str(tmp_path / "uptime"))
    text = text.replace("/opt/ml/metadata/resource-metadata.json", str(tmp_path / "metadata.json"))
    done = subprocess.run(
        [sys.executable, "-c", text, str(minutes)], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def moment(minutes_ago: float) -> str:
    return (datetime.now(UTC) - timedelta(minutes=minutes_ago)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def kernel(state: str, minutes_ago: float) -> dict[str, Any]:
    return {"kernel": {"execution_state": state, "last_activity": moment(minutes_ago)}}


def test_an_instance_without_a_kernel_is_idle_from_its_start(jupyter: Jupyter, tmp_path: Path) -> None:
    assert idle(jupyter, tmp_path, 60) == "the-notebook"
    assert idle(jupyter, tmp_path, 60, up_seconds=3_500) == ""


def test_a_busy_kernel_keeps_the_instance_however_long_it_takes(jupyter: Jupyter, tmp_path: Path) -> None:
    jupyter.answers["/api/sessions"] = [kernel("idle", 600), kernel("busy", 600)]
    assert idle(jupyter, tmp_path, 60) == ""


def test_what_was_active_lately_keeps_the_instance(jupyter: Jupyter, tmp_path: Path) -> None:
    jupyter.answers["/api/sessions"] = [kernel("idle", 59)]
    assert idle(jupyter, tmp_path, 60) == ""
    jupyter.answers["/api/sessions"] = [kernel("idle", 61)]
    assert idle(jupyter, tmp_path, 60) == "the-notebook"
    jupyter.answers["/api/terminals"] = [{"name": "1", "last_activity": moment(2)}]
    assert idle(jupyter, tmp_path, 60) == ""


def keep(tmp_path: Path, *, name: str = "") -> list[str]:
    """Run what the timer runs, with an `aws` that only writes down how it was called; the calls."""
    home, tools, calls = tmp_path / "SageMaker", tmp_path / "bin", tmp_path / "calls"
    for folder in (home, tools):
        folder.mkdir(exist_ok=True)
    calls.write_text("")
    for tool, text in (("aws", f'echo "$@" >>{calls}'), ("chown", ":"), ("python3", f"echo {name}")):
        (tools / tool).write_text(f"#!/bin/sh\n{text}\n")
        (tools / tool).chmod(0o755)
    script = part("keep").replace("/home/ec2-user/SageMaker", str(home))
    variables = {**os.environ, "PATH": f"{tools}:{os.environ['PATH']}"}
    subprocess.run(["/bin/bash", "-c", script], env=variables, check=True)
    return calls.read_text().splitlines()


def test_a_new_instance_brings_back_files_before_it_copies_any(tmp_path: Path) -> None:
    first, second = keep(tmp_path)
    place, home = "s3://the-models/notebooks/", str(tmp_path / "SageMaker")
    assert first.endswith(f"{place} {home}")
    assert f"{home} {place}" in second and "--delete" not in second


def test_an_instance_that_goes_on_only_copies(tmp_path: Path) -> None:
    keep(tmp_path)
    (only,) = keep(tmp_path)
    assert "SageMaker s3://" in only


def test_an_idle_instance_is_copied_and_then_stopped(tmp_path: Path) -> None:
    *_, last = keep(tmp_path, name="the-notebook")
    assert last == "sagemaker stop-notebook-instance --region us-east-1 --notebook-instance-name the-notebook"


def test_the_lifecycle_script_is_a_script_and_fits() -> None:
    for environment in (Environment(), EVERYTHING):
        script = start_script(environment)
        assert len(base64.b64encode(script.encode())) < CONTENT_LIMIT / 2
        checked = subprocess.run(
            ["/bin/bash", "-n"], input=script, text=True, capture_output=True, check=True
        )
        assert checked.stderr == ""
    ast.parse(part("idle.py"), feature_version=(3, 9))
