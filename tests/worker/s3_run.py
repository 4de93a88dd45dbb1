"""An inference run whose files lie on S3, its verbs called in this process."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from trainyard.worker.inference import commit, plan, shard

from .s3_server import BUCKET

CONSTANT = "def predict_fn(batch, model):\n    return [0] * len(batch)\n"


class S3Run:
    """The specs of a run whose input is `datasets/d/`, and whose output is `out/`."""

    def __init__(self, bucket: Any, home: Path, handler: str = CONSTANT, *, shards: int = 1) -> None:
        self.bucket = bucket
        self.shards = shards
        self.input = f"s3://{BUCKET}/datasets/d/"
        self.code = home / "code"
        self.code.mkdir(parents=True)
        (self.code / "predict.py").write_text(handler)

    def put(self, name: str, content: bytes | str) -> None:
        data = content.encode() if isinstance(content, str) else content
        self.bucket.put_object(Bucket=BUCKET, Key=f"datasets/d/{name}", Body=data)

    def get(self, name: str) -> bytes:
        content: bytes = self.bucket.get_object(Bucket=BUCKET, Key=f"out/{name}")["Body"].read()
        return content

    def spec(self, verb: str, index: int = 0) -> dict[str, Any]:
        out = f"s3://{BUCKET}/out/"
        common = {"plan": f"{out}_run/plan.json", "output": out}
        if verb == "plan":
            return {**common, "input": self.input, "shards": self.shards}
        if verb == "commit":
            results = [f"{out}_run/results/{number}.json" for number in range(self.shards)]
            return {**common, "run": "digits-1", "results": results, "summary": f"{out}_run/summary.json"}
        own = {"handler": "predict.py", "code": str(self.code), "model_dir": "", "batch_size": 7}
        own["done"] = str(self.code.parent / f"done-{index}")
        return {**common, **own, "index": index, "result": f"{out}_run/results/{index}.json", "attempt": 1}

    def plan(self) -> dict[str, Any]:
        plan.run(self.spec("plan"))
        found: dict[str, Any] = json.loads(self.get("_run/plan.json"))
        return found

    def predict(self, index: int) -> None:
        """A shard, in this process, which is left as it was found."""
        path, modules = list(sys.path), set(sys.modules)
        try:
            shard.run(self.spec("shard", index))
        finally:
            sys.path[:] = path
            for name in ("predict", "handler_predict"):
                if name not in modules:
                    sys.modules.pop(name, None)

    def commit(self) -> dict[str, Any]:
        commit.run(self.spec("commit"))
        found: dict[str, Any] = json.loads(self.get("_SUCCESS"))
        return found

    def run(self) -> dict[str, Any]:
        self.plan()
        for index in range(self.shards):
            self.predict(index)
        return self.commit()

    def names(self) -> list[str]:
        found = self.bucket.list_objects_v2(Bucket=BUCKET, Prefix="out/").get("Contents", [])
        return [each["Key"][4:] for each in found]

    def parts(self) -> list[bytes]:
        return [self.get(name) for name in self.names() if name[0] not in "._"]
