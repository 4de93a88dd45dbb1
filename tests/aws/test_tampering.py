"""What somebody puts into the buckets in the place of something else is not used, and is told in a line with
both hashes; of a model the version is read that was recorded."""

from __future__ import annotations

import hashlib
import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from conftest import PATIENCE, Project
from sandbox.conftest import RunningSandbox
from trainyard import BadInput, RunHandle, State, Yard
from trainyard.aws.account import names
from trainyard.core.files import trees
from trainyard.worker.s3.address import S3Address

from .conftest import Reached, reach

SAVE = "import os\nopen(os.environ['SM_MODEL_DIR'] + '/factor', 'w').write('2')\n"
HANDLER = """
def model_fn(folder): return int(open(folder + "/factor").read())
def predict_fn(batch, factor): return [factor] * len(batch)
"""
WORDS = "is not what was recorded: its hash is {}, and {} was recorded"


@pytest.fixture
def yard(sandbox_yard: Yard) -> Yard:
    return sandbox_yard


def put(sandbox: RunningSandbox, address: str, content: bytes) -> None:
    """Have an object be another one, as who may delete can even where objects are written once."""
    place = dict(zip(("Bucket", "Key"), S3Address.parse(address), strict=True))
    sandbox.client("s3").delete_object(**place)
    sandbox.client("s3").put_object(**place, Body=content, IfNoneMatch="*")


def packed(**files: str) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))
    return buffer.getvalue()


def bare(recorded: str) -> str:
    return recorded.removeprefix("sha256:")


def failed(run: RunHandle) -> str:
    """The reason of a run that fails."""
    assert run.wait(timeout=2 * PATIENCE).state is State.FAILED
    return run.reason


def test_of_a_model_the_version_is_read_that_was_recorded(
    yard: Yard, sandbox: RunningSandbox, project: Project, rows: Path, tmp_path: Path
) -> None:
    yard.train(project.training(SAVE)).wait(timeout=2 * PATIENCE)
    model = yard.model("toy@1")
    assert model.object_version
    put(sandbox, model.path, packed(factor="666"))
    # By its path it is the same version.
    run = yard.infer(project.inference(HANDLER, shards=1), model=model.path, input=str(rows))
    assert run.wait(timeout=2 * PATIENCE).state is State.SUCCEEDED, run.reason
    assert run.record.model_version == model.object_version
    yard.pull("toy@1", str(tmp_path / "model"))
    assert (tmp_path / "model/factor").read_text() == "2"
    # What has no version is held to its hash alone.
    bucket, key = S3Address.parse(model.path)
    sandbox.client("s3").delete_object(Bucket=bucket, Key=key, VersionId=model.object_version)
    reason = failed(yard.infer(project.inference(HANDLER), model="toy@1", input=str(rows)))
    assert model.path in reason

    # And predictions: they are what was committed.
    folder = Path(yard.pull(run.id, str(tmp_path / "predictions")).folder)
    assert "2" in (folder / "part-00000.csv").read_text()
    put(sandbox, f"{run.output}part-00000.csv", b"prediction\n666\n")
    with pytest.raises(BadInput, match=r"its hash is [0-9a-f]{64}, and [0-9a-f]{64} was recorded; nothing"):
        reach().yard.pull(run.id, str(tmp_path / "others"))
    assert not (tmp_path / "others").exists()


def test_a_data_set_that_was_changed_is_neither_trained_on_nor_predicted(
    yard: Yard, sandbox: RunningSandbox, project: Project, model: Path, rows: Path, tmp_path: Path
) -> None:
    dataset, _ = yard.push("rows", str(rows))
    changed = tmp_path / "changed" / "rows.csv"
    changed.parent.mkdir()
    changed.write_text(rows.read_text().replace("1", "7"))
    put(sandbox, f"{dataset.path}rows.csv", changed.read_bytes())
    words = WORDS.format(trees.hash_tree(str(changed)).hash, bare(dataset.hash))
    trained = yard.train(project.training("print('read')\n", channels={"train": "rows@1"}))
    assert failed(trained) == f"the channel train {words}; nothing of it was used"
    assert trained.record.seen.bad_input and "read" not in "".join(line.text for line in trained.logs())
    predicted = yard.infer(project.inference(HANDLER), model=str(model), input="rows@1")
    assert failed(predicted).endswith(f"the input {dataset.path} {words}; nothing of it was used")


def test_another_source_under_the_same_name_does_not_run(
    yard: Yard, reached: Reached, sandbox: RunningSandbox, project: Project, rows: Path, model: Path
) -> None:
    job = project.training("print('mine')\n")
    project.write("predict.py", HANDLER)
    code = yard.train(job).wait(timeout=2 * PATIENCE).record.code
    planted = io.BytesIO()
    with zipfile.ZipFile(planted, "w") as archive:
        archive.writestr("train.py", "print('planted')\n")
        archive.writestr("predict.py", HANDLER)
    source = f"s3://{reached.deployment.model_bucket}/{names.source_prefix(code)}source.zip"
    put(sandbox, source, planted.getvalue())
    trained = yard.train(job)
    predicted = yard.infer(project.inference(), model=str(model), input=str(rows))
    for run in (trained, predicted):
        reason = failed(run)
        assert f"and {code} was recorded; nothing of it ran" in reason
        assert "planted" not in "".join(line.text for line in run.logs())


def test_another_worker_does_not_start(
    yard: Yard, reached: Reached, sandbox: RunningSandbox, project: Project
) -> None:
    reached.yard.train(project.training("print('mine')\n")).wait(timeout=2 * PATIENCE)
    engine = reached.yard.engine
    address = engine._store.keep_worker()  # type: ignore[attr-defined]
    bucket, key = S3Address.parse(address)
    worker = sandbox.client("s3").get_object(Bucket=bucket, Key=key)["Body"].read()
    put(sandbox, address, worker + b"planted")
    try:
        found = hashlib.sha256(worker + b"planted").hexdigest()
        words = f"the hash of the worker is {found}, and {names.worker_digest(address)} was recorded"
        assert words in failed(reach().yard.train(project.training("print('mine')\n")))
    finally:
        put(sandbox, address, worker)
