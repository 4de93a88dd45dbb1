"""The example keeps its own promises, by itself: without trainyard, as on SageMaker."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

DIGITS = Path(__file__).parents[1] / "examples" / "digits"
ARGUMENTS = ["--epochs", "20", "--copies", "1", "--hidden", "128"]
PATIENCE = 60.0


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("digits")
    subprocess.run(
        [sys.executable, DIGITS / "make_data.py", "--to", folder / "data", "--scans", "2"], check=True
    )
    return folder


def train(project: Path, model: Path, checkpoints: Path) -> subprocess.Popen[bytes]:
    checkpoints.mkdir(exist_ok=True)
    one_thread = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "VECLIB_MAXIMUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, DIGITS / "train.py", *ARGUMENTS],
        cwd=project,
        env={
            **os.environ,
            **one_thread,
            "SM_MODEL_DIR": str(model),
            "TRAINYARD_CHECKPOINT_DIR": str(checkpoints),
        },
        stdout=subprocess.PIPE,
    )


def hashes(folder: Path) -> dict[str, str]:
    files = (path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_the_data_are_the_same_each_time(project: Path, tmp_path: Path) -> None:
    command = [sys.executable, str(DIGITS / "make_data.py"), "--to", str(tmp_path / "data"), "--scans", "2"]
    subprocess.run(command, check=True)
    again = hashes(tmp_path / "data")
    assert again == hashes(project / "data")
    assert sorted(again) == sorted(
        [*(f"train/digits-{i}.csv" for i in range(4)), "test/digits.csv", "scans.csv"]
    )


def test_a_training_that_is_killed_goes_on_to_the_very_same_model(project: Path, tmp_path: Path) -> None:
    with train(project, tmp_path / "whole", tmp_path / "checkpoints-whole") as whole:
        assert whole.stdout
        printed = whole.stdout.read().decode()
    with train(project, tmp_path / "resumed", tmp_path / "checkpoints") as killed:
        deadline = time.monotonic() + PATIENCE
        while not (tmp_path / "checkpoints" / "checkpoint.npz").exists() and time.monotonic() < deadline:
            time.sleep(0.002)
        killed.send_signal(signal.SIGKILL)
    assert killed.returncode == -signal.SIGKILL
    assert not (tmp_path / "resumed").exists()
    with train(project, tmp_path / "resumed", tmp_path / "checkpoints") as resumed:
        assert resumed.stdout
        assert resumed.stdout.read().decode().startswith("resumed from the checkpoint after epoch ")
    assert (whole.returncode, resumed.returncode) == (0, 0)
    assert hashes(tmp_path / "whole") == hashes(tmp_path / "resumed")
    assert float(printed.rsplit("accuracy=", 1)[1]) >= 0.95


def test_the_demo_leaves_a_folder_that_is_not_its_own_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "train.py").write_text("mine\n")
    command = [sys.executable, str(DIGITS / "demo.py"), str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"demo: {tmp_path}: is not empty, and no demo that trainyard made; ")
    assert [(path.name, path.read_text()) for path in tmp_path.iterdir()] == [("train.py", "mine\n")]
