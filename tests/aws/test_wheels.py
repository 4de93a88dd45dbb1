"""Wheels for networks without an index: collected once, beside each source that needs them."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path
from typing import Any

import pytest

from trainyard.aws.account.session import Session
from trainyard.aws.s3.store import S3Store
from trainyard.core.errors import BadInput
from trainyard.yard import source

from .buckets import WHERE, Buckets, buckets, counted, proxy, session

__all__ = ["buckets", "proxy", "session"]
MODELS = WHERE.model_bucket
LEAN = WHERE.replace(network_profile="lean")


class Pip:
    """A stand-in of `pip download`, as there is no index on loopback."""

    def __init__(self) -> None:
        self.called: list[list[str]] = []
        self.refusal = ""

    def __call__(self, command: list[str], **_: Any) -> subprocess.CompletedProcess[str]:
        self.called.append(command)
        if self.refusal:
            return subprocess.CompletedProcess(command, 1, "", self.refusal)
        folder = Path(command[command.index("--dest") + 1])
        (folder / "tiny-1.0-py3-none-any.whl").write_bytes(b"a wheel")
        return subprocess.CompletedProcess(command, 0, "", "")


def wheels_hash() -> str:
    record = b"tiny-1.0-py3-none-any.whl\0%d\0%s\n" % (7, hashlib.sha256(b"a wheel").hexdigest().encode())
    return hashlib.sha256(record).hexdigest()


@pytest.fixture
def pip(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Pip:
    found = Pip()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("trainyard.aws.s3.wheels.subprocess.run", found)
    return found


def keep(store: S3Store, folder: Path, script: str, requirements: str = "tiny\n") -> str:
    folder.mkdir(exist_ok=True)
    (folder / "train.py").write_text(script)
    (folder / "requirements.txt").write_text(requirements)
    files = source.source_files(str(folder))
    code = source.code_hash(files)
    store.keep_code(code, files)
    return f"code/sources/{code}/"


def test_wheels_lie_beside_every_source_and_are_collected_and_sent_once(
    session: Session, buckets: Buckets, tmp_path: Path, pip: Pip
) -> None:
    store = S3Store(session, LEAN)
    first = keep(store, tmp_path / "source", "print(1)")
    assert counted(session)["s3:PutObject"] == 2
    second = keep(store, tmp_path / "source", "print(2)")
    copied = ("CreateMultipartUpload", "UploadPartCopy", "CompleteMultipartUpload")
    asked = {"s3:ListObjectsV2": 2, "s3:PutObject": 1, **{f"s3:{verb}": 1 for verb in copied}}
    assert counted(session) == asked
    assert len(pip.called) == 1
    for prefix in (first, second):
        assert sorted(buckets.keys(MODELS, prefix)) == [
            f"{prefix}source.zip",
            f"{prefix}wheels/{wheels_hash()}/tiny-1.0-py3-none-any.whl",
        ]
    keep(S3Store(session, LEAN), tmp_path / "source", "print(2)")
    assert counted(session) == {"s3:ListObjectsV2": 1}
    command = pip.called[0]
    assert "--only-binary" in command and command[command.index("--python-version") + 1].startswith("3.")


def test_other_requirements_are_collected_anew(
    session: Session, buckets: Buckets, tmp_path: Path, pip: Pip
) -> None:
    store = S3Store(session, LEAN)
    keep(store, tmp_path / "source", "print(1)")
    keep(store, tmp_path / "source", "print(1)", "tiny==1.0\n")
    assert len(pip.called) == 2


@pytest.mark.parametrize(("where", "requirements"), [(WHERE, "tiny\n"), (LEAN, "# none\n")])
def test_no_wheels_where_an_index_is_reached_or_nothing_is_required(
    session: Session, buckets: Buckets, tmp_path: Path, pip: Pip, where: Any, requirements: str
) -> None:
    prefix = keep(S3Store(session, where), tmp_path / "source", "print(1)", requirements)
    assert list(buckets.keys(MODELS)) == [f"{prefix}source.zip"]
    assert not pip.called


def test_a_source_that_came_before_the_network_was_lean_gets_its_wheels(
    session: Session, buckets: Buckets, tmp_path: Path, pip: Pip
) -> None:
    prefix = keep(S3Store(session, WHERE), tmp_path / "source", "print(1)")
    keep(S3Store(session, LEAN), tmp_path / "source", "print(1)")
    assert f"{prefix}wheels/{wheels_hash()}/tiny-1.0-py3-none-any.whl" in buckets.keys(MODELS)


@pytest.mark.parametrize(
    ("said", "words"),
    [
        (
            "ERROR: Could not find a version that satisfies the requirement slow==2 (from versions: none)\n"
            "ERROR: No matching distribution found for slow==2\n",
            "requirements.txt: slow==2 has no wheel for Linux; its jobs reach no package index",
        ),
        (
            "ERROR: Invalid requirement: '!'\n",
            "its wheels could not be collected: ERROR: Invalid requirement",
        ),
    ],
)
def test_what_has_no_wheel_is_named_and_nothing_is_kept(
    session: Session, buckets: Buckets, tmp_path: Path, pip: Pip, said: str, words: str
) -> None:
    pip.refusal = said
    with pytest.raises(BadInput, match=words) as refused:
        keep(S3Store(session, LEAN), tmp_path / "source", "print(1)")
    assert "\n" not in str(refused.value)
    assert not buckets.keys(MODELS)
    assert not list((tmp_path / "cache/trainyard/wheels").iterdir())
