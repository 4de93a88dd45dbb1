"""An inference run on S3 whose jobs are started as AWS Batch would: a command, and an environment."""

from __future__ import annotations

import hashlib
import io
import json
import os
import shutil
import subprocess
import sys
import tarfile
import zipapp
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import trainyard.worker
from trainyard.worker.cloud.batch.bootstrap import BOOTSTRAP

from .s3_server import BUCKET, variables

HANDLER = """
def model_fn(model_dir):
    with open(model_dir + "/factor") as stream:
        return int(stream.read())

def predict_fn(batch, model):
    return [int(row["n"]) * model for row in batch]
"""
PATIENCE = 60.0


def worker_archive(folder: Path) -> bytes:
    """The worker as it travels."""
    copy, archive = folder / "worker", folder / "worker.pyz"
    shutil.copytree(
        Path(trainyard.worker.__file__).parent, copy, ignore=shutil.ignore_patterns("__pycache__")
    )
    zipapp.create_archive(copy, archive)
    shutil.rmtree(copy)
    return archive.read_bytes()


def zipped(files: Mapping[str, str]) -> bytes:
    """A zip file of these files."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return buffer.getvalue()


def packed(files: Mapping[str, str]) -> bytes:
    """A tar.gz of these files, as SageMaker packs a model."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(text.encode())
            archive.addfile(member, io.BytesIO(text.encode()))
    return buffer.getvalue()


class BatchRun:
    """One run. `bucket` is a client of S3, `endpoint` where its jobs find S3."""

    def __init__(
        self, bucket: Any, endpoint: str, folder: Path, handler: str = HANDLER, **manifest: Any
    ) -> None:
        self.bucket = bucket
        self.folder = folder / "scratch"
        self.folder.mkdir()
        self.environment = {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "TMPDIR": str(self.folder),
            **variables(endpoint),
        }
        self.prefix = "predictions/digits-1"
        here = f"s3://{BUCKET}"
        self.manifest = {
            "run": "digits-1",
            "launch": 1,
            "region": self.environment["TRAINYARD_REGION"],
            "code": f"{here}/code/sources/1/source.zip",
            "wheels": None,
            "model": f"{here}/models/m/output/model.tar.gz",
            "input": f"{here}/datasets/d/",
            "output": f"{here}/{self.prefix}/",
            "state": f"{here}/{self.prefix}/_run/",
            "handler": "predict.py",
            "batch_size": 16,
            "shards": 2,
            "indices": [0, 1],
            "retries": 2,
            "environment": {},
            "requirements": False,
            "recorded": {},
            **manifest,
        }
        worker = worker_archive(folder)
        self.worker_hash = hashlib.sha256(worker).hexdigest()
        self.put("code/workers/1/worker.pyz", worker)
        self.put("code/sources/1/source.zip", zipped({"predict.py": handler}))
        self.put("models/m/output/model.tar.gz", packed({"factor": "3"}))

    def put(self, key: str, content: bytes | str) -> None:
        data = content.encode() if isinstance(content, str) else content
        self.bucket.put_object(Bucket=BUCKET, Key=key, Body=data)

    def get(self, key: str) -> bytes:
        content: bytes = self.bucket.get_object(Bucket=BUCKET, Key=f"{self.prefix}/{key}")["Body"].read()
        return content

    def document(self, key: str) -> Any:
        return json.loads(self.get(key))

    def names(self, below: str = "") -> list[str]:
        prefix = f"{self.prefix}/{below}"
        pages = self.bucket.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
        return [each["Key"][len(prefix) :] for page in pages for each in page.get("Contents", [])]

    def parts(self) -> list[bytes]:
        return [self.get(name) for name in self.names() if name[0] not in "._"]

    def start(
        self, verb: str, index: int = 0, attempt: int = 1, python: str = "python3", **more: str
    ) -> subprocess.Popen[str]:
        """A job on its way."""
        text = json.dumps(self.manifest)
        hashes = self.worker_hash, hashlib.sha256(text.encode()).hexdigest()
        self.put("code/runs/1.json", text)
        worker, manifest = (f"s3://{BUCKET}/code/{name}" for name in ("workers/1/worker.pyz", "runs/1.json"))
        own = {"AWS_BATCH_JOB_ATTEMPT": str(attempt), **more}
        if verb == "shard" and len(self.manifest["indices"]) > 1:
            own["AWS_BATCH_JOB_ARRAY_INDEX"] = str(index)
        return subprocess.Popen(
            [python, "-c", BOOTSTRAP, worker, manifest, verb, *hashes],
            env={**self.environment, **own},
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, verb: str, index: int = 0, attempt: int = 1, **options: Any) -> tuple[int, str]:
        """A job to its end: exit status, log."""
        with self.start(verb, index, attempt, **options) as job:
            log, _ = job.communicate(timeout=PATIENCE)
        return job.returncode, log

    def done(self, verb: str, index: int = 0, attempt: int = 1, **options: Any) -> str:
        """A job that succeeds: its log."""
        status, log = self.run(verb, index, attempt, **options)
        assert status == 0, log
        return log

    def all(self) -> dict[str, Any]:
        """The whole run; `_SUCCESS`."""
        self.done("plan")
        for index in range(len(self.manifest["indices"])):
            self.done("shard", index)
        self.done("commit")
        found: dict[str, Any] = self.document("_SUCCESS")
        return found
