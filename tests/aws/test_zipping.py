"""The source and the worker as one file each: the same content makes the same bytes."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from trainyard.aws.s3 import zipping
from trainyard.core.errors import BadInput
from trainyard.worker.cloud import source as cloud_source
from trainyard.yard import source as yard_source


def pack(folder: Path, target: Path) -> bytes:
    files = yard_source.source_files(str(folder))
    zipping.write_source(files, yard_source.code_hash(files), str(target))
    return target.read_bytes()


def test_the_same_source_makes_the_same_bytes_whenever_it_was_written(tmp_path: Path) -> None:
    packed = []
    for name, when in (("one", 1), ("two", 1_700_000_000)):
        (tmp_path / name / "lib").mkdir(parents=True)
        for file in ("train.py", "lib/ünï.py"):
            (tmp_path / name / file).write_text(file)
            os.utime(tmp_path / name / file, (when, when))
        packed.append(pack(tmp_path / name, tmp_path / f"{name}.zip"))
    assert packed[0] == packed[1]


def test_the_worker_unpacks_what_was_packed(tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "lib").mkdir(parents=True)
    (source / "train.py").write_text("print(1)")
    (source / "lib/run.sh").write_text("#!/bin/sh\n")
    (source / "lib/run.sh").chmod(0o755)
    (source / "empty").touch()
    pack(source, tmp_path / "source.zip")
    cloud_source.unpack(str(tmp_path / "source.zip"), str(tmp_path / "code"))
    found = yard_source.source_files(str(tmp_path / "code"))
    assert yard_source.code_hash(found) == yard_source.code_hash(yard_source.source_files(str(source)))
    assert os.access(tmp_path / "code/lib/run.sh", os.X_OK)
    assert not os.access(tmp_path / "code/train.py", os.X_OK)


def test_a_name_that_no_zip_file_can_hold_is_refused(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/source/\xff.py")).touch()
    with pytest.raises(BadInput, match="its name is no UTF-8; rename it"):
        pack(tmp_path / "source", tmp_path / "source.zip")


def test_the_worker_is_the_same_for_everybody_and_runs_by_path(tmp_path: Path) -> None:
    packed = zipping.worker_archive()
    assert packed.sha256 == hashlib.sha256(packed.content).hexdigest()
    assert zipping.worker_archive() is packed
    path = tmp_path / "worker.pyz"
    path.write_bytes(packed.content)
    with zipfile.ZipFile(path) as archive:
        names = archive.namelist()
    assert "__main__.py" in names and names == sorted(names)
    done = subprocess.run(
        [sys.executable, "-I", str(path), "nonsense", "x"], capture_output=True, text=True, check=False
    )
    assert done.returncode and "ModuleNotFoundError" not in done.stderr and "ImportError" not in done.stderr


def test_another_process_packs_the_same_worker() -> None:
    program = (
        "import json; from trainyard.aws.s3.zipping import worker_archive; "
        "print(json.dumps(worker_archive().sha256))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == zipping.worker_archive().sha256
