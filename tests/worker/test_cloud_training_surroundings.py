"""What a training job on SageMaker finds around it: requirements, secrets, any Python, a zipped worker."""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
import subprocess
import sys
import threading
import zipapp
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import botocore.auth
import pytest
from botocore.awsrequest import AWSRequest
from botocore.credentials import ReadOnlyCredentials

from trainyard.worker.cloud.secrets import Reference, parse
from trainyard.worker.errors import InputError

from .test_training_portability import python38
from .training_container import WORKER, Container

SHOW = "import tinypkg\nprint('value', tinypkg.value)\n"
ARN = "arn:aws:secretsmanager:eu-central-1:123456789012:secret:team/token-AbCdEf"


@pytest.fixture
def container(tmp_path: Path) -> Iterator[Container]:
    with Container(tmp_path / "ml") as made:
        yield made


def write_wheel(folder: Path, name: str, files: dict[str, str]) -> Path:
    """A wheel of version 1.0 with these files."""
    info = f"{name}-1.0.dist-info"
    content = {
        **files,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = [f"{info}/RECORD,,"]
    for path, text in content.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        record.append(f"{path},sha256={digest},{len(text)}")
    folder.mkdir(parents=True, exist_ok=True)
    wheel = folder / f"{name}-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, text in {**content, f"{info}/RECORD": "\n".join(record) + "\n"}.items():
            archive.writestr(path, text)
    return wheel


def base_python() -> str:
    """The interpreter below this one's virtual environment."""
    command = [sys.executable, "-c", "import sys; print(sys._base_executable)"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@pytest.mark.parametrize("python", [sys.executable, base_python()], ids=["environment", "base"])
def test_requirements_come_from_the_wheels_beside_the_source(
    container: Container, tmp_path: Path, python: str
) -> None:
    scripts = {"tinypkg-1.0.dist-info/entry_points.txt": "[console_scripts]\ntiny = tinypkg:main\n"}
    code = "value = 'one'\ndef main(): print('ran')\n"
    container.wheels.append(write_wheel(tmp_path / "made", "tinypkg", {"tinypkg.py": code, **scripts}))
    container.files["requirements.txt"] = "# what we need\ntinypkg==1.0\n"
    container.files["train.py"] = SHOW + (
        "import os, sys\nprint(os.popen('tiny').read().strip(), sys.prefix == os.environ['VIRTUAL_ENV'])\n"
        "import importlib.util as u\nprint('image', bool(u.find_spec('pip')))\n"
        "sys.exit(os.environ['TRAINYARD_ATTEMPT'] == '1')"
    )
    container.launcher[0] = python
    before = subprocess.run([python, "-m", "pip", "list"], capture_output=True, check=True).stdout
    worker = container.run("--retries", "1")
    assert worker.status == 0
    assert [line for line in worker.lines if line.split()[0] in ("value", "ran", "image")] == [
        "value one",
        "ran True",
        "image True",
    ] * 2
    text = worker.content.decode()
    assert text.startswith("[trainyard attempt=1 launch=1]\n+ ")
    assert text.count("Successfully installed tinypkg-1.0") == 1
    assert text.index("Successfully installed") < text.index("value one")
    assert subprocess.run([python, "-m", "pip", "list"], capture_output=True, check=True).stdout == before


def test_an_isolated_job_has_what_it_requires_and_nothing_of_the_image(
    container: Container, tmp_path: Path
) -> None:
    container.wheels.append(write_wheel(tmp_path / "made", "tinypkg", {"tinypkg.py": "value = 1\n"}))
    script = "import importlib.util as u, tinypkg\nprint(tinypkg.value, u.find_spec('pytest'))"
    container.files.update({"requirements.txt": "tinypkg", "train.py": script})
    worker = container.run("--isolated")
    assert (worker.status, worker.lines[-1]) == (0, "1 None"), worker.content.decode()


def test_an_image_without_pip_gets_one_of_its_pythons_own(container: Container, tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    subprocess.run([base_python(), "-m", "venv", "--without-pip", str(bare)], check=True)
    container.launcher[0] = str(bare / "bin/python")
    container.wheels.append(write_wheel(tmp_path / "made", "tinypkg", {"tinypkg.py": "value = 1\n"}))
    container.files.update({"requirements.txt": "tinypkg", "train.py": SHOW})
    worker = container.run()
    assert (worker.status, worker.lines[-1]) == (0, "value 1")


def test_what_is_installed_from_the_source_stays_for_the_next_attempt(container: Container) -> None:
    container.files.update(
        {
            "requirements.txt": "-e ./package\n",
            "package/pyproject.toml": (
                "[build-system]\nrequires = []\nbuild-backend = 'backend'\nbackend-path = ['.']\n"
            ),
            "package/backend.py": EDITABLE,
            "package/inner/tinypkg.py": "value = 'from the source'\n",
            "train.py": SHOW + "import os, sys\nsys.exit(os.environ['TRAINYARD_ATTEMPT'] == '1')",
        }
    )
    worker = container.run("--retries", "1")
    assert worker.status == 0, worker.content.decode()
    assert [line for line in worker.lines if line.startswith("value ")] == ["value from the source"] * 2


EDITABLE = """
import base64, hashlib, os, zipfile
def build_editable(folder, settings=None, metadata=None):
    info = "tinypkg-1.0.dist-info/"
    files = {
        "tinypkg.pth": os.path.abspath("inner") + "\\n",
        info + "METADATA": "Metadata-Version: 2.1\\nName: tinypkg\\nVersion: 1.0\\n",
        info + "WHEEL": "Wheel-Version: 1.0\\nGenerator: test\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n",
    }
    files[info + "RECORD"] = "".join(name + ",,\\n" for name in [*files, info + "RECORD"])
    name = "tinypkg-1.0-py3-none-any.whl"
    with zipfile.ZipFile(os.path.join(folder, name), "w") as wheel:
        for path, text in files.items(): wheel.writestr(path, text)
    return name
def get_requires_for_build_editable(settings=None): return []
def build_wheel(*args): raise SystemExit("not asked for")
"""


def test_a_requirement_that_cannot_be_had_fails_in_one_line_and_is_not_tried_again(
    container: Container, tmp_path: Path
) -> None:
    container.wheels.append(write_wheel(tmp_path / "made", "tinypkg", {"tinypkg.py": ""}))
    container.files.update({"requirements.txt": "tinypkg\nabsent-package\n", "train.py": "print('ran')"})
    worker = container.run("--retries", "3")
    assert worker.status == 1
    assert container.failure == (
        "requirements.txt could not be installed: ERROR: No matching distribution found for absent-package"
    )
    assert [state for _, state, _ in container.attempts] == ["failed"]
    assert "ran" not in worker.lines


def test_an_index_that_cannot_be_reached_is_said_to_be(container: Container) -> None:
    container.variables = {"PIP_INDEX_URL": "http://127.0.0.1:9/simple", "PIP_RETRIES": "1"}
    container.files["requirements.txt"] = "tinypkg\n"
    assert container.run().status == 1
    assert container.failure.endswith("(the package index cannot be reached from here)")


@pytest.mark.parametrize("text", ["", "# nothing\n\n", "--no-index\n", "-r base.txt\n"])
def test_requirements_of_nothing_build_nothing(container: Container, text: str) -> None:
    container.files.update({"requirements.txt": text, "base.txt": "# nothing either\n"})
    container.files["train.py"] = "import sys\nprint(sys.executable)"
    assert container.run().lines == [sys.executable]


class Secrets:
    """Secrets Manager and the container's credentials, on loopback."""

    def __init__(self) -> None:
        self.values: dict[str, dict[str, str]] = {}
        self.denied: set[str] = set()
        self.asked: list[str] = []
        self.faults = 0
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                named = {"AccessKeyId": "AKID", "SecretAccessKey": "shh", "Token": "tok"}
                self._answer(200, {**named, "Expiration": "2099-01-01T00:00:00Z"})

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                assert self.headers["X-Amz-Target"] == "secretsmanager.GetSecretValue"
                service.check(self.headers, body)
                self._answer(*service.answer(json.loads(body)["SecretId"]))

            def _answer(self, status: int, document: dict[str, Any]) -> None:
                content = json.dumps(document).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                """Keep the test's output clean."""

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.address = f"http://127.0.0.1:{self.server.server_port}"
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    def answer(self, name: str) -> tuple[int, dict[str, Any]]:
        self.asked.append(name)
        if self.faults:
            self.faults -= 1
            return 400, {"__type": "ThrottlingException", "message": "Rate exceeded"}
        if name in self.denied:
            return 400, {"__type": "AccessDeniedException", "Message": "not authorized to perform this"}
        if name not in self.values:
            text = "Secrets Manager can't find the specified secret."
            return 400, {"__type": "ResourceNotFoundException", "Message": text}
        return 200, {"Name": name, **self.values[name]}

    def check(self, headers: Any, body: bytes) -> None:
        """That the request is signed as botocore signs it."""
        told = headers["Authorization"]
        region = told.split("/")[2]
        request = AWSRequest("POST", f"{self.address}/", data=body)
        for name in ("Content-Type", "X-Amz-Target"):
            request.headers[name] = headers[name]
        signer = botocore.auth.SigV4Auth(ReadOnlyCredentials("AKID", "shh", "tok"), "secretsmanager", region)
        request.context["timestamp"] = headers["X-Amz-Date"]
        request.headers["X-Amz-Date"] = headers["X-Amz-Date"]
        request.headers["X-Amz-Security-Token"] = headers["X-Amz-Security-Token"]
        request.headers["Host"] = headers["Host"]
        text = signer.string_to_sign(request, signer.canonical_request(request))
        if not told.endswith("Signature=" + signer.signature(text, request)):
            self.denied.add(json.loads(body)["SecretId"])

    def close(self) -> None:
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


@pytest.fixture
def secrets(container: Container) -> Iterator[Secrets]:
    service = Secrets()
    container.variables = {
        "AWS_ENDPOINT_URL_SECRETS_MANAGER": service.address,
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"{service.address}/credentials",
    }
    yield service
    service.close()


def test_secrets_reach_the_script_and_nothing_else(container: Container, secrets: Secrets) -> None:
    secrets.values = {
        "team/token": {"SecretString": "hush-hush"},
        "db": {"SecretString": '{"password": "very-quiet", "port": 5432}'},
        ARN: {"SecretBinary": base64.b64encode(b"of-bytes").decode()},
    }
    secrets.faults = 1
    container.variables.update(
        {
            "TOKEN": "secretsmanager:team/token",
            "PASSWORD": "secretsmanager:db:password",
            "PORT": "secretsmanager:db:port",
            "BINARY": f"secretsmanager:{ARN}",
            "PLAIN": "plain",
        }
    )
    container.files["train.py"] = """
import hashlib, os, sys
values = [os.environ[name] for name in ("TOKEN", "PASSWORD", "PORT", "BINARY", "PLAIN")]
print(hashlib.sha256("|".join(values).encode()).hexdigest())
sys.exit(os.environ["TRAINYARD_ATTEMPT"] == "1")
"""
    worker = container.run("--retries", "1")
    digest = hashlib.sha256(b"hush-hush|very-quiet|5432|of-bytes|plain").hexdigest()
    assert (worker.status, worker.lines) == (0, [digest] * 2), container.failure
    # Each is asked for once, the first time anew after the throttling.
    assert sorted(secrets.asked) == sorted([ARN, "db", "team/token", "team/token"])
    for path in container.root.rglob("*"):
        if path.is_file() and path.suffix != ".zip":
            for value in (b"hush-hush", b"very-quiet", b"of-bytes"):
                assert value not in path.read_bytes(), path


def test_a_script_that_tells_its_secret_tells_it_to_nobody(container: Container, secrets: Secrets) -> None:
    """In the log, in three forms and two pieces; in its last words; and over the border of what is kept."""
    secrets.values = {"team/token": {"SecretString": "hush/hush hush"}}
    container.variables["TOKEN"] = "secretsmanager:team/token"
    container.files["train.py"] = """
import base64, os, sys, time, urllib.parse
secret = os.environ["TOKEN"]
forms = [secret, urllib.parse.quote(secret, safe=""), base64.b64encode(secret.encode()).decode()]
print("loss=0.5", *forms)
os.write(1, secret[:5].encode())
time.sleep(0.05)
os.write(1, secret[5:].encode() + b" in two\\n")
if os.environ["TRAINYARD_ATTEMPT"] == "1":
    sys.exit("cannot log in with " + secret)
with open(os.environ["SM_OUTPUT_DIR"] + "/failure", "w") as stream:
    stream.write(" ".join(forms) + "x" * (1024 - 25) + secret)
sys.exit(3)
"""
    worker = container.run("--retries", "1")
    kept = [*worker.lines, container.failure, container.history_file.read_text()]
    assert (worker.status, worker.lines[:2]) == (3, ["loss=0.5 *** *** ***", "*** in two"]), worker.lines
    assert container.attempts[0][2] == "cannot log in with *** (exit status 1)"
    assert container.failure.startswith("*** *** ***xxx")
    for form in ("hush", base64.b64encode(b"hush/hush hush").decode()[:8]):
        assert not [text for text in kept if form in text]


@pytest.mark.parametrize(
    ("value", "words", "bad_input"),
    [
        ("secretsmanager:absent", "train.environment.TOKEN: the secret absent is not there: ", True),
        ("secretsmanager:", "names no secret; write secretsmanager:NAME", True),
        ("secretsmanager:text:key", "the secret text is no JSON object; leave the key 'key' out", True),
        ("secretsmanager:db:key", "the secret db has no key 'key'", True),
        ("secretsmanager:denied", "let the training role have secretsmanager:GetSecretValue", False),
    ],
)
def test_a_secret_that_cannot_be_had_fails_in_words(
    container: Container, secrets: Secrets, value: str, words: str, bad_input: bool
) -> None:
    secrets.values = {"text": {"SecretString": "hush-hush"}, "db": {"SecretString": '{"password": "quiet"}'}}
    secrets.denied.add("denied")
    container.variables["TOKEN"] = value
    worker = container.run("--retries", "2")
    assert worker.status == 1
    assert words in container.failure and len(container.failure.splitlines()) == 1
    assert [each["bad_input"] for each in container.history["attempts"]] == [bad_input]
    assert "hush" not in worker.content.decode() and "quiet" not in worker.content.decode()


@pytest.mark.parametrize(
    ("text", "reference"),
    [
        ("name", Reference("name")),
        ("team/name:key", Reference("team/name", "key")),
        ("name:a:b", Reference("name", "a:b")),
        (ARN, Reference(ARN)),
        (f"{ARN}:key", Reference(ARN, "key")),
    ],
)
def test_references_are_read(text: str, reference: Reference) -> None:
    assert parse("train.environment.TOKEN", f"secretsmanager:{text}") == reference


@pytest.mark.parametrize("text", ["", ":key", "name:", "arn:aws:secretsmanager", f"{ARN}:"])
def test_references_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"train\.environment\.TOKEN"):
        parse("train.environment.TOKEN", f"secretsmanager:{text}")


def zipped(home: Path) -> str:
    folder = home / "worker"
    shutil.copytree(WORKER, folder, ignore=shutil.ignore_patterns("__pycache__"))
    archive = home / "worker.pyz"
    zipapp.create_archive(folder, archive)
    shutil.rmtree(folder)
    return str(archive)


def walk_the_road(container: Container) -> None:
    """Requirements, an interruption, a failure, a model: in this container's Python."""
    container.files.update(
        {
            # Names of ours, which must not hide the user's nor the other way round.
            "history.py": "NAME = 'mine'\n",
            "script.py": "NAME = 'mine too'\n",
            "train.py": (
                "import os, sys, time, history, script\nprint(history.NAME, script.NAME, flush=True)\n"
                "number = os.environ['TRAINYARD_ATTEMPT']\n"
                "if number == '1': time.sleep(60)\nif number == '2': sys.exit('not yet')\n" + SHOW
            )
            + "open(os.path.join(os.environ['SM_MODEL_DIR'], 'weights'), 'w').write('w')\n",
            "requirements.txt": "tinypkg\n",
        }
    )
    worker = container.run("--interrupt-at", "0.5s:kill", "--retries", "1", "--spot")
    assert worker.status == 0, worker.content.decode()
    assert [state for _, state, _ in container.attempts] == ["interrupted", "failed", "succeeded"]
    assert container.attempts[1][2] == "not yet (exit status 1)"
    assert worker.lines[-1] == "value 1" and worker.lines.count("mine mine too") == 3
    assert [name for name, _, _ in container.history["model"]["files"]] == ["weights"]


def test_a_zip_file_of_the_worker_runs(container: Container, tmp_path: Path) -> None:
    container.launcher = [sys.executable, zipped(tmp_path)]
    container.wheels.append(write_wheel(tmp_path / "made", "tinypkg", {"tinypkg.py": "value = 1\n"}))
    walk_the_road(container)


def test_python_3_8_runs_it(container: Container, secrets: Secrets, tmp_path: Path) -> None:
    container.launcher = [python38(), zipped(tmp_path)]
    container.wheels.append(write_wheel(tmp_path / "made", "tinypkg", {"tinypkg.py": "value = 1\n"}))
    secrets.values = {"token": {"SecretString": "hush-hush"}}
    container.variables["TOKEN"] = "secretsmanager:token"
    walk_the_road(container)


def test_its_start_loads_little(container: Container) -> None:
    container.prepare()
    command = [sys.executable, "-I", "-S", "-X", "importtime", WORKER, "train", "--script", "train.py"]
    command += ["--histories", str(container.histories)]
    done = subprocess.run(command, env=dict(container.environ()), capture_output=True, text=True, check=True)
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    heavy = {"asyncio", "ctypes", "dataclasses", "http.client", "inspect", "logging", "ssl", "subprocess"}
    ours = {f"trainyard_worker.{name}" for name in ("plan", "shard", "commit", "blame", "cloudsecrets", "s3")}
    assert loaded & (heavy | ours | {"argparse", "urllib.request", "tempfile"}) == set()
