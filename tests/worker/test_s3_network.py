"""S3 is reached as a machine's environment says: by its proxies, with the certificates it trusts."""

from __future__ import annotations

import datetime
import http.server
import socket
import socketserver
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from trainyard.worker.errors import ServiceError
from trainyard.worker.s3 import credentials
from trainyard.worker.s3.address import S3Address
from trainyard.worker.s3.client import Client

HOST = "the-models.s3.eu-central-1.amazonaws.com"


def certificate(folder: Path) -> tuple[Path, Path]:
    """A certificate for HOST and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "test")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(HOST)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    chain, secret = folder / "chain.pem", folder / "key.pem"
    chain.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    secret.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    return chain, secret


class Account(http.server.BaseHTTPRequestHandler):
    """Something like S3."""

    protocol_version = "HTTP/1.1"
    seen: list[tuple[str, str]]

    def do_GET(self) -> None:
        self.seen.append((self.headers["Host"], self.path))
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"it")

    def log_message(self, *_: Any) -> None:
        pass


class Tunnel(socketserver.StreamRequestHandler):
    """A proxy: by CONNECT to the one server there is, or for http itself."""

    target: tuple[str, int]
    seen: list[tuple[str, str]]

    def handle(self) -> None:
        line = self.rfile.readline().decode().split()
        headers = {}
        while (text := self.rfile.readline().decode().strip()) != "":
            name, _, value = text.partition(": ")
            headers[name.lower()] = value
        self.seen.append((" ".join(line[:2]), headers.get("proxy-authorization", "")))
        if line[0] != "CONNECT":
            self.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nit")
            return
        with socket.create_connection(self.target) as there:
            self.wfile.write(b"HTTP/1.1 200 OK\r\n\r\n")
            back = threading.Thread(target=pump, args=(there, self.request))
            back.start()
            pump(self.request, there)
            back.join()


def pump(source: socket.socket, target: socket.socket) -> None:
    try:
        while block := source.recv(65536):
            target.sendall(block)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        pass


@pytest.fixture
def tls(tmp_path: Path) -> Iterator[Path]:
    """A server for HOST behind a proxy; the path of its certificate."""
    Account.seen, Tunnel.seen = [], []
    chain, key = certificate(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain, key)
    account = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Account)
    account.socket = context.wrap_socket(account.socket, server_side=True)
    Tunnel.target = ("127.0.0.1", account.server_address[1])
    proxy = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Tunnel)
    threads = []
    for server in (account, proxy):
        threads.append(threading.Thread(target=server.serve_forever, args=(0.01,)))
        threads[-1].start()
    Account.proxy = f"http://us%40er:p%3Aw@127.0.0.1:{proxy.server_address[1]}"  # type: ignore[attr-defined]
    yield chain
    for server in (account, proxy):
        server.shutdown()
        server.server_close()
    for thread in threads:
        thread.join()


@pytest.fixture
def machine(tls: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    """The client of a machine whose way out is the proxy."""
    for name in ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI"):
        monkeypatch.delenv(name, raising=False)
    for name in ("https_proxy", "http_proxy", "no_proxy", "NO_PROXY", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("HTTPS_PROXY", Account.proxy)  # type: ignore[attr-defined]
    monkeypatch.setenv("HTTP_PROXY", Account.proxy)  # type: ignore[attr-defined]
    monkeypatch.setenv("AWS_CA_BUNDLE", str(tls))
    client = Client("eu-central-1")
    yield client
    client.close()
    credentials.forget()


def test_a_bucket_is_asked_under_its_own_name_through_the_proxy(machine: Client) -> None:
    for _ in range(3):
        assert machine.get(S3Address("the-models", "a/ü")) == b"it"
    assert Account.seen == [(HOST, "/a/%C3%BC")] * 3
    # user:password as the proxy's address has them, and one connection for all.
    assert Tunnel.seen == [(f"CONNECT {HOST}:443", "Basic dXNAZXI6cDp3")]


def test_a_proxy_without_a_tunnel_is_told_the_whole_address(machine: Client) -> None:
    client = Client("eu-central-1", "http://minio.example:9000")
    assert client.get(S3Address("b", "k")) == b"it"
    assert Tunnel.seen == [("GET http://minio.example:9000/b/k", "Basic dXNAZXI6cDp3")]
    client.close()


def test_no_proxy_leaves_the_proxy_out(machine: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    host, port = Tunnel.target
    client = Client("eu-central-1", f"https://{host}:{port}")
    with pytest.raises(ServiceError, match=r"127.0.0.1:.* its certificate is not trusted"):
        client.get(S3Address("b", "k"))
    assert Tunnel.seen == []
    client.close()


def test_a_certificate_that_is_not_trusted_is_told_at_once(
    machine: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_CA_BUNDLE")
    with pytest.raises(ServiceError, match=r"is not trusted \(self.signed certificate.*\); install CA cert"):
        machine.get(S3Address("the-models", "k"))
    assert len(Tunnel.seen) == 1


def test_a_bundle_that_is_not_there_is_named(machine: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_CA_BUNDLE", "/none.pem")
    with pytest.raises(ServiceError, match=r"/none.pem: no certificates can be read there"):
        machine.get(S3Address("the-models", "k"))
