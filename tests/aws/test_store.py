"""Data, code and models in the buckets: sent once, whole, and back as they were."""

from __future__ import annotations

import io
import os
import sys
import tarfile
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from trainyard.aws.account.session import Session
from trainyard.aws.s3 import transfers
from trainyard.aws.s3.store import S3Store
from trainyard.core.errors import AccountRefused, BadInput, DiskFull
from trainyard.core.files import trees
from trainyard.yard import source
from worker.faulty import NONE, Proxy, s3_error

from .buckets import WHERE, Buckets, buckets, counted, proxy, session, store

__all__ = ["buckets", "proxy", "session", "store"]
DATA, MODELS = WHERE.dataset_bucket, WHERE.model_bucket


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    root = tmp_path / "data"
    (root / "deep/er").mkdir(parents=True)
    (root / "empty").mkdir()
    (root / "a.csv").write_text("n\n1\n")
    (root / "deep/er/b.csv").write_text("n\n2\n")
    (root / "link.csv").symlink_to("a.csv")
    return root


def anything(_: str) -> None:
    """Nothing was recorded of it."""


def inside(folder: Path) -> list[str]:
    """The names in a folder."""
    return sorted(path.name for path in folder.iterdir())


def archive(buckets: Buckets, key: str, **entries: bytes) -> str:
    """Put a model's archive with these entries; its address."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as tar:
        for name, body in entries.items():
            info = tarfile.TarInfo(name)
            info.size = len(body)
            tar.addfile(info, io.BytesIO(body))
    buckets.put(MODELS, key, content.getvalue())
    return f"s3://{MODELS}/{key}"


def test_a_folder_goes_to_the_place_that_its_content_names(
    store: S3Store, buckets: Buckets, folder: Path
) -> None:
    content = trees.hash_tree(str(folder))
    staged = store.stage(str(folder))
    assert staged.hash == f"sha256:{content.hash}"
    assert (staged.files, staged.bytes) == (3, 12)
    assert staged.address == f"s3://{DATA}/datasets/{content.hash}/"
    prefix = f"datasets/{content.hash}/"
    assert sorted(buckets.keys(DATA)) == [prefix + name for name in ("a.csv", "deep/er/b.csv", "link.csv")]
    store.discard(staged)
    assert len(buckets.keys(DATA)) == 3


def test_what_is_unchanged_takes_one_request_and_sends_nothing(
    store: S3Store, session: Session, folder: Path
) -> None:
    first = store.stage(str(folder))
    counted(session)
    assert store.stage(str(folder)) == first
    assert store.publish(str(folder)).address == first.address
    assert counted(session) == {"s3:ListObjectsV2": 2}


def test_a_published_file_has_an_address_of_its_own(
    store: S3Store, session: Session, buckets: Buckets, folder: Path
) -> None:
    content = trees.hash_tree(str(folder / "a.csv")).hash
    expected = (f"s3://{DATA}/datasets/{content}/a.csv", content)
    assert store.address(str(folder / "a.csv")) == expected
    assert not counted(session)
    assert store.publish(str(folder / "a.csv")) == expected
    assert list(buckets.keys(DATA).values()) == [b"n\n1\n"]


def test_an_address_in_s3_stays_as_it_is(store: S3Store, session: Session) -> None:
    given = "s3://elsewhere/x/"
    assert store.publish(given) == store.address(given) == (given, "")
    assert not counted(session)


def test_an_upload_that_broke_off_goes_on(
    store: S3Store, proxy: Proxy, session: Session, folder: Path
) -> None:
    proxy.judge = lambda each: s3_error(403, "AccessDenied", "no") if "b.csv" in each.target else NONE
    with pytest.raises(AccountRefused):
        store.stage(str(folder))
    proxy.judge = lambda each: NONE
    counted(session)
    store.stage(str(folder))
    assert counted(session)["s3:PutObject"] in (1, 3)


def test_an_empty_folder_is_told_and_nothing_is_asked(
    store: S3Store, session: Session, tmp_path: Path
) -> None:
    (tmp_path / "empty/er").mkdir(parents=True)
    assert store.stage(str(tmp_path / "empty")).files == 0
    assert not counted(session)


@pytest.mark.skipif(sys.platform == "darwin", reason="its file systems take UTF-8 alone")
def test_a_name_that_s3_cannot_take_is_refused_before_anything_is_sent(
    store: S3Store, session: Session, tmp_path: Path
) -> None:
    (tmp_path / "x").mkdir()
    (tmp_path / "x/good").touch()
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/x/\xff.csv")).touch()
    with pytest.raises(BadInput, match=r"its name is no UTF-8.*rename it"):
        store.stage(str(tmp_path / "x"))
    long = tmp_path / "y" / ("d" * 250) / ("e" * 250) / ("f" * 250) / ("g" * 250)
    long.mkdir(parents=True)
    (long / "file").touch()
    with pytest.raises(BadInput, match=r"its path is too long for S3, by .* bytes; shorten it"):
        store.stage(str(tmp_path / "y"))
    assert not counted(session)


def test_what_cannot_be_read_is_a_line(store: S3Store, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: str) -> Any:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(trees, "hash_file", refuse)
    with pytest.raises(BadInput, match=r"a\.csv: permission denied; mind its permissions"):
        store.stage(str(folder))


def test_a_data_set_comes_back_as_it_was(store: S3Store, folder: Path, tmp_path: Path) -> None:
    staged = store.stage(str(folder))
    assert store.fetch(staged.address, str(tmp_path / "there/here"), check=anything) == (3, 12)
    assert trees.hash_tree(str(tmp_path / "there/here")) == trees.hash_tree(str(folder))
    assert inside(tmp_path / "there") == ["here"]


def test_one_object_comes_as_a_folder_that_holds_it(store: S3Store, folder: Path, tmp_path: Path) -> None:
    address = store.publish(str(folder / "a.csv")).address
    assert store.fetch(address, str(tmp_path / "one"), check=anything) == (1, 4)
    assert (tmp_path / "one/a.csv").read_text() == "n\n1\n"


def test_a_data_set_that_was_tampered_with_is_refused(
    store: S3Store, buckets: Buckets, folder: Path, tmp_path: Path
) -> None:
    staged = store.stage(str(folder))
    key = staged.address.removeprefix(f"s3://{DATA}/") + "a.csv"
    buckets.put(DATA, key, b"n\n9\n")
    with pytest.raises(BadInput, match=f"is not what was recorded: .*{staged.hash.removeprefix('sha256:')}"):
        store.fetch(staged.address, str(tmp_path / "there"), check=partial(trees.check, recorded=staged.hash))
    assert not (tmp_path / "there").exists()


def test_a_fetch_that_breaks_leaves_nothing(
    store: S3Store, proxy: Proxy, folder: Path, tmp_path: Path
) -> None:
    staged = store.stage(str(folder))
    proxy.judge = lambda each: s3_error(403, "AccessDenied", "no") if "b.csv" in each.target else NONE
    (tmp_path / "there").mkdir()
    with pytest.raises(AccountRefused):
        store.fetch(staged.address, str(tmp_path / "there/here"), check=anything)
    assert not inside(tmp_path / "there")


def test_a_full_disk_is_told_and_leaves_nothing(
    store: S3Store, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    staged = store.stage(str(folder))

    def fill(*_: Any, **__: Any) -> None:
        raise OSError(28, "No space left on device", "there")

    monkeypatch.setattr(transfers, "_fetch_whole", fill)
    with pytest.raises(DiskFull, match="there: no space left on the device; make room and try again"):
        store.fetch(staged.address, str(tmp_path / "there"), check=anything)
    assert inside(tmp_path) == ["data"]


def test_what_is_gone_is_told(store: S3Store, tmp_path: Path) -> None:
    for address in (f"s3://{DATA}/datasets/x/", f"s3://{MODELS}/models/x/output/model.tar.gz"):
        with pytest.raises(BadInput, match=f"{address}: is gone"):
            store.fetch(address, str(tmp_path / "there"), check=anything)
    assert not inside(tmp_path)


@pytest.mark.parametrize("name", ["../out", "a/../../out", "/abs", "a//b", "./a"])
def test_a_key_never_leaves_the_folder(store: S3Store, name: str, tmp_path: Path, monkeypatch: Any) -> None:
    # Neither moto's server nor a client on the way takes such a key as it is.
    monkeypatch.setattr("trainyard.aws.s3.objects.sizes", lambda *_: [(f"predictions/x/{name}", 1)])
    with pytest.raises(BadInput, match="the object's name is no path within a folder"):
        store.fetch(f"s3://{MODELS}/predictions/x/", str(tmp_path / "there"), check=anything)
    assert not inside(tmp_path)


def test_predictions_come_without_what_their_jobs_wrote_for_each_other(
    store: S3Store, buckets: Buckets, tmp_path: Path
) -> None:
    for name in ("part-00000.csv", "_SUCCESS", "_manifest.json", "_run/plan.json"):
        buckets.put(MODELS, f"predictions/x/{name}", b"1")
    buckets.put(MODELS, "predictions/x/", b"")
    assert store.fetch(f"s3://{MODELS}/predictions/x/", str(tmp_path / "there"), check=anything) == (3, 3)
    assert inside(tmp_path / "there") == ["_SUCCESS", "_manifest.json", "part-00000.csv"]


def test_a_model_is_unpacked(store: S3Store, buckets: Buckets, tmp_path: Path) -> None:
    address = archive(buckets, "models/x/output/model.tar.gz", **{"factor": b"2", "deep/weights": b"345"})
    assert store.fetch(address, str(tmp_path / "model"), check=anything) == (2, 4)
    assert (tmp_path / "model/deep/weights").read_bytes() == b"345"
    assert inside(tmp_path) == ["model"]


@pytest.mark.parametrize("name", ["../out", "/etc/out"])
def test_a_model_that_reaches_outside_is_refused(
    store: S3Store, buckets: Buckets, tmp_path: Path, name: str
) -> None:
    address = archive(buckets, "models/x/output/model.tar.gz", **{name: b"2"})
    with pytest.raises(BadInput, match=r"output/model\.tar\.gz: .*cannot be unpacked"):
        store.fetch(address, str(tmp_path / "model"), check=anything)
    assert not inside(tmp_path)


def test_a_broken_model_is_refused(store: S3Store, buckets: Buckets, tmp_path: Path) -> None:
    buckets.put(MODELS, "models/x/output/model.tar.gz", b"\x1f\x8b no archive")
    with pytest.raises(BadInput, match="cannot be unpacked"):
        store.fetch(f"s3://{MODELS}/models/x/output/model.tar.gz", str(tmp_path / "model"), check=anything)
    assert not inside(tmp_path)


def test_code_is_kept_once(store: S3Store, session: Session, buckets: Buckets, tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("print(1)")
    files = source.source_files(str(tmp_path))
    code = source.code_hash(files)
    store.keep_code(code, files)
    assert list(buckets.keys(MODELS)) == [f"code/sources/{code}/source.zip"]
    assert counted(session) == {"s3:ListObjectsV2": 1, "s3:PutObject": 1}

    store.keep_code(code, files)
    assert not counted(session)
    S3Store(session, WHERE).keep_code(code, files)
    assert counted(session) == {"s3:ListObjectsV2": 1}


def test_code_that_changes_while_it_is_packed_is_refused(
    store: S3Store, buckets: Buckets, tmp_path: Path
) -> None:
    (tmp_path / "train.py").write_text("print(1)")
    files = source.source_files(str(tmp_path))
    code = source.code_hash(files)
    (tmp_path / "train.py").write_text("print(2)")
    with pytest.raises(BadInput, match="the source changed while it was packed"):
        store.keep_code(code, files)
    assert not buckets.keys(MODELS)


def test_the_worker_is_kept_once(store: S3Store, session: Session, buckets: Buckets) -> None:
    address = store.keep_worker()
    assert address == store.worker_address()
    assert [f"s3://{MODELS}/{key}" for key in buckets.keys(MODELS)] == [address]
    assert counted(session) == {"s3:ListObjectsV2": 1, "s3:PutObject": 1}
    S3Store(session, WHERE).keep_worker()
    assert counted(session) == {"s3:ListObjectsV2": 1}


def test_code_is_never_written_over(
    store: S3Store, session: Session, buckets: Buckets, proxy: Proxy, tmp_path: Path
) -> None:
    """Each request that makes an object sets the condition that the bucket's policy wants."""
    (tmp_path / "train.py").write_text("print(1)")
    files = source.source_files(str(tmp_path))
    store.keep_code(source.code_hash(files), files)
    store.keep_worker()
    made = proxy.made("PUT")
    assert len(made) == 2
    assert {each.headers["If-None-Match"] for each in made} == {"*"}


def test_what_somebody_else_has_just_sent_is_taken_where_it_is_the_same(
    session: Session, buckets: Buckets, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "train.py").write_text("print(1)")
    files = source.source_files(str(tmp_path))
    code = source.code_hash(files)
    S3Store(session, WHERE).keep_code(code, files)
    key = f"code/sources/{code}/source.zip"
    other = buckets.get(MODELS, key)[:-1] + b"x"
    # Two people at once: neither sees the other's in the listing.
    monkeypatch.setattr("trainyard.aws.s3.objects.sizes", lambda *_: [])
    S3Store(session, WHERE).keep_code(code, files)
    buckets.put(MODELS, key, other)
    with pytest.raises(BadInput, match=rf"{key}: is there already, and is not what was to be sent"):
        S3Store(session, WHERE).keep_code(code, files)
    assert buckets.get(MODELS, key) == other
