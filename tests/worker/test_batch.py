"""An inference run on Batch: plan, shards and commit over S3, each a process that the bootstrap starts."""

from __future__ import annotations

import hashlib
import json
import signal
import subprocess
import zipfile
from pathlib import Path
from typing import Any

import pytest

from .batch_run import HANDLER, BatchRun, zipped
from .faulty import NONE, SLOW_DOWN, Fault, Proxy, Request
from .pythons import python_3_8
from .s3_server import BUCKET

ROWS = "n,text\n" + "".join(f'{n},"row {n}\nof many"\n' for n in range(100))
EXPECTED = "n,text,prediction\n" + "".join(f'{n},"row {n}\nof many",{3 * n}\n' for n in range(100))


@pytest.fixture
def batch(bucket: Any, moto: str, tmp_path: Path) -> BatchRun:
    run = BatchRun(bucket, moto, tmp_path)
    run.put("datasets/d/rows.csv", ROWS)
    return run


def joined(parts: list[bytes]) -> str:
    header = parts[0].split(b"\n", 1)[0] + b"\n"
    return (header + b"".join(part[len(header) :] for part in parts)).decode()


def source(batch: BatchRun, handler: str, **files: str) -> None:
    batch.put("code/sources/1/source.zip", zipped({"predict.py": handler, **files}))


@pytest.mark.parametrize("old", [False, True], ids=["this python", "python 3.8"])
def test_a_run_goes_from_the_input_to_success(batch: BatchRun, old: bool) -> None:
    if old:
        folder = batch.folder.parent / "bin"
        folder.mkdir()
        (folder / "python3").symlink_to(python_3_8())
        batch.environment["PATH"] = f"{folder}:{batch.environment['PATH']}"
    marker = batch.all()
    assert joined(batch.parts()) == EXPECTED
    assert (marker["rows_in"], marker["rows_out"], len(marker["parts"])) == (100, 100, 2)
    assert sorted(batch.names("_run/")) == [
        "plan.json",
        "results/00000.json",
        "results/00001.json",
        "summary.json",
    ]
    assert batch.document("_run/summary.json") == marker
    assert list(batch.folder.iterdir()) == []


def test_an_array_of_one_is_a_plain_job(batch: BatchRun) -> None:
    batch.manifest.update(shards=1, indices=[0])
    batch.all()
    assert joined(batch.parts()) == EXPECTED


def test_a_job_of_the_array_runs_the_shard_that_the_manifest_names(batch: BatchRun) -> None:
    batch.manifest.update(shards=3, indices=[2, 0])
    handler = "import os\ndef predict_fn(batch, model):\n    return [os.environ[NAME] for row in batch]\n"
    source(batch, handler.replace("NAME", "'AWS_BATCH_JOB_ARRAY_INDEX'"))
    batch.done("plan")
    batch.done("shard", 0)
    assert batch.names("_run/") == ["plan.json", "results/00002.json"]
    assert batch.names("part-") == ["00002.csv"]
    assert batch.parts()[0].endswith(b",2\n")


def test_the_handler_finds_its_surroundings(batch: BatchRun) -> None:
    handler = """
import json, os, helper
def model_fn(model_dir):
    return model_dir
def predict_fn(batch, model):
    names = ("MINE", "AWS_REGION", "TRAINYARD_ATTEMPT", "AWS_BATCH_JOB_ATTEMPT", "SM_MODEL_DIR")
    found = {name: os.environ[name] for name in names}
    found["executable"] = os.access("run.sh", os.X_OK)
    print("model", sorted(os.listdir(model)), helper.NAME, found["SM_MODEL_DIR"] == model)
    print(json.dumps({**found, "SM_MODEL_DIR": ""}))
    return [0] * len(batch)
"""
    buffer = batch.folder / "source.zip"
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("predict.py", handler)
        archive.writestr("helper.py", "NAME = 'helped'")
        entry = zipfile.ZipInfo("run.sh")
        entry.external_attr = 0o100755 << 16
        archive.writestr(entry, "true")
    batch.put("code/sources/1/source.zip", buffer.read_bytes())
    own = {
        "AWS_REGION": "mars-1",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
        "AWS_ENDPOINT_URL_S3": "http://x",
    }
    batch.manifest.update(shards=1, indices=[0], environment={**own, "MINE": "yes"})
    batch.done("plan")
    # What the handler's own AWS is does not lead the worker astray.
    lines = batch.done("shard", attempt=3).splitlines()
    assert lines[0] == "model ['factor'] helped True"
    assert json.loads(lines[1]) == {
        "MINE": "yes",
        "AWS_REGION": "mars-1",
        "TRAINYARD_ATTEMPT": "3",
        "AWS_BATCH_JOB_ATTEMPT": "3",
        "SM_MODEL_DIR": "",
        "executable": True,
    }


def test_a_prefix_is_a_model(batch: BatchRun) -> None:
    batch.manifest["model"] = f"s3://{BUCKET}/datasets/model"
    batch.put("datasets/model/factor", "3")
    batch.put("datasets/model/sub/more", "x")
    batch.all()
    assert joined(batch.parts()) == EXPECTED


def test_a_secret_reaches_the_handler_and_nothing_else(batch: BatchRun, moto: str) -> None:
    import botocore.session

    batch.environment.update(AWS_ENDPOINT_URL=moto)
    batch.manifest.update(shards=1, indices=[0], environment={"TOKEN": "secretsmanager:theirs:key"})
    client = botocore.session.Session().create_client(
        "secretsmanager",
        region_name=batch.environment["TRAINYARD_REGION"],
        endpoint_url=moto,
        aws_access_key_id="test",
        aws_secret_access_key="test",
    )
    client.create_secret(Name="theirs", SecretString='{"key": "h1dden"}')
    client.close()
    source(batch, "import os\ndef predict_fn(b, m):\n    return [os.environ['TOKEN'][::-1] for row in b]\n")
    log = batch.done("plan") + batch.done("shard") + batch.done("commit")
    assert batch.parts()[0].endswith(b"nedd1h\n")
    assert "h1dden" not in log
    tells = "    print(os.environ['TOKEN'])\n    exit('x' * 1006 + os.environ['TOKEN'])\n"
    source(batch, f"import os\ndef predict_fn(b, m):\n{tells}")
    batch.bucket.delete_object(Bucket=BUCKET, Key=f"{batch.prefix}/part-00000.csv")
    status, log = batch.run("shard", attempt=2)
    assert (status, "h1d" in log + str(batch.document("_run/failures/shard-00000-2.json"))) == (75, False), (
        log
    )
    batch.manifest["environment"] = {"TOKEN": "secretsmanager:none"}
    batch.bucket.delete_object(Bucket=BUCKET, Key=f"{batch.prefix}/part-00000.csv")
    status, log = batch.run("shard")
    assert status == 1
    assert "infer.environment.TOKEN: the secret none is not there" in log


def wheel(name: str, text: str) -> bytes:
    """A wheel of one module."""
    info = f"{name}-1.0.dist-info"
    files = {
        f"{name}.py": text,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: t\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    files[f"{info}/RECORD"] = "".join(f"{each},,\n" for each in [*files, f"{info}/RECORD"])
    return zipped(files)


def test_requirements_come_from_the_wheels_that_were_sent(batch: BatchRun) -> None:
    handler = "import trainyard_answer\ndef predict_fn(b, m):\n    return [trainyard_answer.N for row in b]\n"
    source(batch, handler, **{"requirements.txt": "trainyard-answer==1.0\n"})
    batch.put(
        "code/sources/1/wheels/trainyard_answer-1.0-py3-none-any.whl", wheel("trainyard_answer", "N = 42")
    )
    wheels = f"s3://{BUCKET}/code/sources/1/wheels/"
    batch.manifest.update(shards=1, indices=[0], requirements=True, wheels=wheels)
    batch.environment["PIP_INDEX_URL"] = "http://127.0.0.1:9/"
    batch.done("plan")
    batch.done("shard")
    assert batch.parts()[0].endswith(b",42\n")
    assert list(batch.folder.iterdir()) == []


def test_a_machine_that_is_lost_costs_nothing_but_time(batch: BatchRun) -> None:
    slow = "import time\ndef predict_fn(b, m):\n    print('predicting')\n    time.sleep(600)\n"
    source(batch, slow)
    batch.done("plan")
    with batch.start("shard", 1) as job:
        assert job.stdout is not None
        for line in job.stdout:
            if "predicting" in line:
                break
        # As the machine goes, so do all its processes.
        subprocess.run(["pkill", "-KILL", "-P", str(job.pid)], check=True)
        job.send_signal(signal.SIGKILL)
        job.wait()
    assert batch.names("_run/") == ["plan.json"]
    source(batch, HANDLER)
    for index in (0, 1):
        batch.done("shard", index, attempt=2)
    batch.done("commit")
    assert joined(batch.parts()) == EXPECTED


def test_an_attempt_that_finds_the_part_written_only_says_so(batch: BatchRun) -> None:
    batch.done("plan")
    batch.done("shard", 0)
    batch.done("shard", 1)
    result = batch.document("_run/results/00001.json")
    batch.bucket.delete_object(Bucket=BUCKET, Key=f"{batch.prefix}/_run/results/00001.json")
    source(batch, "raise SystemExit('not again')")
    batch.done("shard", 1, attempt=2)
    found = batch.document("_run/results/00001.json")
    assert {**found, "columns": None} == {**result, "columns": None}
    batch.done("commit")
    assert joined(batch.parts()) == EXPECTED


def test_two_attempts_of_a_shard_at_once_make_one_part(batch: BatchRun) -> None:
    batch.done("plan")
    jobs = [batch.start("shard", 0, attempt) for attempt in (1, 2, 3)]
    logs = [job.communicate(timeout=60)[0] for job in jobs]
    assert [job.returncode for job in jobs] == [0, 0, 0], logs
    batch.done("shard", 1)
    commits = [batch.start("commit", attempt=attempt) for attempt in (1, 2)]
    logs = [job.communicate(timeout=60)[0] for job in commits]
    assert [job.returncode for job in commits] == [0, 0], logs
    assert joined(batch.parts()) == EXPECTED
    assert batch.document("_run/results/00000.json")["sha256"] == hashlib.sha256(batch.parts()[0]).hexdigest()


@pytest.mark.parametrize(
    "fault", [Fault(SLOW_DOWN), Fault(reset_after=True), Fault(cut_after=40)], ids=["503", "reset", "cut"]
)
def test_a_bad_network_costs_nothing_but_time(batch: BatchRun, proxy: Proxy, fault: Fault) -> None:
    batch.environment["AWS_ENDPOINT_URL_S3"] = proxy.url

    def judge(request: Request) -> Fault:
        return fault if request.number % 3 == 0 else NONE

    proxy.judge = judge
    batch.all()
    assert joined(batch.parts()) == EXPECTED
