"""Many files to a bucket and back: all of them, whole, whatever the network does meanwhile."""

from __future__ import annotations

import os
import random
import threading
from pathlib import Path

import pytest

from trainyard.aws.account.session import Session
from trainyard.aws.s3 import transfers, wire
from trainyard.core.errors import AccountRefused, BadInput
from trainyard.core.files import trees
from worker.faulty import NONE, SLOW_DOWN, Fault, Proxy, Request, s3_error

from .buckets import Buckets, buckets, counted, proxy, session

__all__ = ["buckets", "proxy", "session"]
BUCKET = "the-models"


@pytest.fixture
def in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files over 1 MiB count as large; S3 takes no part under 5 MiB but the last."""
    monkeypatch.setattr(transfers, "WHOLE", 1 << 20)
    monkeypatch.setattr(transfers, "PART", 5 << 20)
    monkeypatch.setattr(transfers, "SPAN", 2 << 20)


def make(folder: Path, count: int = 40) -> dict[str, bytes]:
    """Small files in a few folders; their content by path."""
    made = {}
    for number in range(count):
        name = f"{number % 3}/{number}.bin"
        made[name] = random.Random(number).randbytes(number * 10)
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(made[name])
    return made


def send(session: Session, folder: Path, there: dict[str, int] | None = None, **options: object) -> int:
    files = trees.hash_files(str(folder))
    return transfers.upload(session, BUCKET, "x/", files, there=there or {}, **options)  # type: ignore[arg-type]


def fetch(session: Session, buckets: Buckets, folder: Path, **options: object) -> dict[str, bytes]:
    """Everything below x/, fetched to the folder; its content by path."""
    items = [
        transfers.Item(key, len(content), str(folder / key.removeprefix("x/")))
        for key, content in buckets.keys(BUCKET, "x/").items()
    ]
    transfers.download(session, BUCKET, items, **options)  # type: ignore[arg-type]
    return contents(folder)


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_files_go_up_and_come_back_each_in_one_request(
    session: Session, buckets: Buckets, tmp_path: Path
) -> None:
    made = make(tmp_path / "here")
    assert send(session, tmp_path / "here") == len(made)
    assert counted(session) == {"s3:PutObject": len(made)}
    assert buckets.keys(BUCKET) == {f"x/{name}": content for name, content in made.items()}

    assert fetch(session, buckets, tmp_path / "there") == made
    assert counted(session) == {"s3:GetObject": len(made)}


def test_s3_is_given_a_checksum_with_every_object(session: Session, buckets: Buckets, tmp_path: Path) -> None:
    make(tmp_path, 3)
    send(session, tmp_path)
    head = buckets.client.head_object(Bucket=BUCKET, Key="x/1/1.bin", ChecksumMode="ENABLED")
    assert head["ChecksumSHA256"]


@pytest.mark.usefixtures("in_parts")
def test_a_large_file_goes_in_parts_and_comes_in_spans(
    session: Session, buckets: Buckets, tmp_path: Path
) -> None:
    content = random.Random(1).randbytes((11 << 20) + 5)
    (tmp_path / "here").mkdir()
    (tmp_path / "here/large").write_bytes(content)
    send(session, tmp_path / "here")
    assert counted(session) == {
        "s3:CreateMultipartUpload": 1,
        "s3:UploadPart": 3,
        "s3:CompleteMultipartUpload": 1,
    }
    assert fetch(session, buckets, tmp_path / "there") == {"large": content}
    assert counted(session) == {"s3:HeadObject": 1, "s3:GetObject": 6}


def test_an_empty_file_and_any_name_are_kept(session: Session, buckets: Buckets, tmp_path: Path) -> None:
    names = ["empty", "a b+c%20&=?#~.txt", "ünï/日本.bin", "'\"*<>|\\", "..hidden", "-x/ y "]
    for name in names:
        (tmp_path / "here" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "here" / name).write_bytes(b"" if name == "empty" else name.encode())
    send(session, tmp_path / "here")
    assert fetch(session, buckets, tmp_path / "there") == contents(tmp_path / "here")
    assert sorted(contents(tmp_path / "there")) == sorted(names)


def test_a_broken_upload_goes_on_with_what_is_missing(
    session: Session, buckets: Buckets, proxy: Proxy, tmp_path: Path
) -> None:
    made = make(tmp_path)
    proxy.judge = lambda request: s3_error(403, "AccessDenied") if request.target.endswith("39.bin") else NONE
    with pytest.raises(AccountRefused):
        send(session, tmp_path)
    there = {key: len(content) for key, content in buckets.keys(BUCKET).items()}
    assert "x/0/39.bin" not in there

    proxy.judge = lambda request: NONE
    assert send(session, tmp_path, there) == len(made) - len(there)
    assert buckets.keys(BUCKET) == {f"x/{name}": content for name, content in made.items()}


def test_progress_is_told_and_ends_at_all(session: Session, buckets: Buckets, tmp_path: Path) -> None:
    made = make(tmp_path / "here")
    total = sum(map(len, made.values()))
    told: list[tuple[int, int, int, int]] = []
    send(session, tmp_path / "here", {"x/1/1.bin": 10}, progress=lambda *each: told.append(each))
    assert told[0] == (10, total, 1, 40)
    assert told == sorted(told) and told[-1] == (total, total, 40, 40)

    told.clear()
    (tmp_path / "here/1/1.bin").unlink()
    buckets.put(BUCKET, "x/1/1.bin", made["1/1.bin"])
    fetch(session, buckets, tmp_path / "there", progress=lambda *each: told.append(each))
    assert told[-1] == (total, total, 40, 40)


class Weather:
    """Faults of every kind, for some of the requests, each only the first time or two."""

    def __init__(self, seed: int) -> None:
        self._random, self._lock = random.Random(seed), threading.Lock()
        self._left: dict[tuple[str, str], list[Fault]] = {}

    def __call__(self, request: Request) -> Fault:
        # A span is known by its end: what goes on where a connection broke asks for the same one.
        key = (request.method, request.target + request.headers.get("Range", "").rpartition("-")[2])
        with self._lock:
            if key not in self._left:
                kinds = [
                    Fault(reset_before=True),
                    Fault(reset_after=True),
                    Fault(SLOW_DOWN),
                    s3_error(500, "InternalError"),
                    Fault(cut_after=3),
                ]
                count = self._random.choice((0, 0, 1, 1, 2))
                self._left[key] = [self._random.choice(kinds) for _ in range(count)]
            return self._left[key].pop() if self._left[key] else NONE


@pytest.mark.usefixtures("in_parts")
@pytest.mark.parametrize("seed", range(3))
def test_nothing_is_lost_or_doubled_in_bad_weather(
    seed: int,
    session: Session,
    buckets: Buckets,
    proxy: Proxy,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(wire, "_CAREFUL", 0.05)
    here = tmp_path / "here"
    make(here)
    (here / "large").write_bytes(random.Random(seed).randbytes(6 << 20))
    proxy.judge = Weather(seed)
    send(session, here)
    assert buckets.keys(BUCKET) == {f"x/{name}": content for name, content in contents(here).items()}

    assert fetch(session, buckets, tmp_path / "there") == contents(here)


def test_what_hangs_on_is_given_up_with_a_line(
    session: Session, proxy: Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make(tmp_path, 1)
    proxy.judge = lambda request: Fault(SLOW_DOWN)
    monkeypatch.setattr("botocore.retries.bucket.TokenBucket.acquire", lambda self, *_: True)
    with pytest.raises(AccountRefused, match="AWS throttles s3:PutObject, after several tries too"):
        send(session, tmp_path)
    # Once past the client, and the client's eight times.
    assert len(proxy.made("PUT")) == 9


def test_a_file_that_changes_after_it_was_hashed_is_not_sent(
    session: Session, buckets: Buckets, tmp_path: Path
) -> None:
    (tmp_path / "rows.csv").write_text("n\n1\n")
    files = trees.hash_files(str(tmp_path))
    (tmp_path / "rows.csv").write_text("n\n2\n")
    with pytest.raises(BadInput, match=r"rows\.csv: changed while it was sent; do it again"):
        transfers.upload(session, BUCKET, "x/", files, there={})
    assert not buckets.keys(BUCKET)


@pytest.mark.usefixtures("in_parts")
def test_a_large_file_that_changes_meanwhile_is_not_kept(
    session: Session, buckets: Buckets, proxy: Proxy, tmp_path: Path
) -> None:
    path = tmp_path / "large"
    path.write_bytes(b"x" * (6 << 20))
    os.utime(path, (1, 1))
    files = trees.hash_files(str(tmp_path))

    def change(request: Request) -> Fault:
        if "partNumber=2" in request.target:
            with path.open("r+b") as stream:
                stream.write(b"y")
        return NONE

    proxy.judge = change
    with pytest.raises(BadInput, match="changed while it was sent"):
        transfers.upload(session, BUCKET, "x/", files, there={})
    assert not buckets.keys(BUCKET)
    assert not buckets.client.list_multipart_uploads(Bucket=BUCKET).get("Uploads")


@pytest.mark.usefixtures("in_parts")
def test_an_object_that_is_replaced_while_it_comes_is_refused(
    session: Session, buckets: Buckets, proxy: Proxy, tmp_path: Path
) -> None:
    buckets.put(BUCKET, "x/large", b"a" * (5 << 20))

    def replace(request: Request) -> Fault:
        if request.headers.get("Range", "").startswith("bytes=0-"):
            buckets.put(BUCKET, "x/large", b"b" * (5 << 20))
            return NONE
        return Fault(delay=0.5) if request.method == "GET" else NONE

    proxy.judge = replace
    item = transfers.Item("x/large", 5 << 20, str(tmp_path / "large"))
    with pytest.raises(BadInput, match="s3://the-models/x/large: was replaced meanwhile"):
        transfers.download(session, BUCKET, [item])


def test_content_that_is_not_what_s3_keeps_a_checksum_of_is_asked_for_again(
    session: Session, buckets: Buckets, proxy: Proxy, tmp_path: Path
) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "here/a").write_bytes(b"right")
    send(session, tmp_path / "here")
    kept = "u2U4z0HD6gq5V9gXtm9t9mN9X5l0Uo0nD0pX9oHk1Zs="
    wrong = (200, "wrong", {"x-amz-checksum-sha256": kept, "ETag": '"1"'})
    gets = ("GET", 1)
    proxy.judge = lambda each: Fault(wrong) if (each.method, len(proxy.made("GET"))) == gets else NONE
    assert fetch(session, buckets, tmp_path / "there") == {"a": b"right"}
