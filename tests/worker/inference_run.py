"""An inference run in a folder of its own, its verbs called in this process or as processes of their own."""

from __future__ import annotations

import csv
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

import trainyard.worker
from trainyard.worker.inference import commit, plan, shard

WORKER = str(Path(trainyard.worker.__file__).parent)
CONSTANT = "def predict_fn(batch, model):\n    return [0] * len(batch)\n"


class InferenceRun:
    """The specs and files of one run below `home`."""

    def __init__(
        self, home: Path, handler: str = CONSTANT, *, shards: int = 1, batch_size: int = 256
    ) -> None:
        self.home = home
        self.shards = shards
        self.batch_size = batch_size
        self.csv: dict[str, Any] = {}
        self.input = home / "input"
        self.output = home / "output"
        self.code = home / "code"
        self.report = home / "report.json"
        self.summary = home / "summary.json"
        for folder in (self.input, self.code, home / "model"):
            folder.mkdir(parents=True, exist_ok=True)
        (self.code / "predict.py").write_text(handler, encoding="utf-8")

    def spec(self, verb: str, index: int = 0, attempt: int = 1) -> dict[str, Any]:
        common = {"verb": verb, "plan": str(self.home / "plan.json"), "report": str(self.report)}
        if verb == "plan":
            code = {"code": str(self.code), "handler": "predict.py", "csv": self.csv}
            return {**common, **code, "input": str(self.input), "shards": self.shards}
        if verb == "commit":
            results = [self.result_path(i) for i in range(self.shards)]
            paths = {"output": str(self.output), "results": results, "summary": str(self.summary)}
            return {**common, "run": "digits-1", **paths}
        return {
            **common,
            "index": index,
            "code": str(self.code),
            "handler": "predict.py",
            "model_dir": str(self.home / "model"),
            "batch_size": self.batch_size,
            "output": str(self.output),
            "result": self.result_path(index),
            "progress": str(self.home / "progress"),
            "attempt": attempt,
            "done": str(self.home / "done"),
        }

    def result_path(self, index: int) -> str:
        return str(self.home / f"result-{index}.json")

    def plan(self) -> dict[str, Any]:
        plan.run(self.spec("plan"))
        return json.loads((self.home / "plan.json").read_text())

    def predict(self) -> None:
        """All shards, in this process, which is left as it was found."""
        path, modules = list(sys.path), set(sys.modules)
        try:
            for index in range(self.shards):
                shard.run(self.spec("shard", index))
        finally:
            sys.path[:] = path
            for name in ("predict", "handler_predict"):
                if name not in modules:
                    sys.modules.pop(name, None)

    def commit(self) -> dict[str, Any]:
        commit.run(self.spec("commit"))
        return json.loads((self.output / "_SUCCESS").read_text())

    def run(self) -> dict[str, Any]:
        self.plan()
        self.predict()
        return self.commit()

    def parts(self) -> list[Path]:
        return sorted(path for path in self.output.iterdir() if path.name[0] not in "._")

    def command(self, verb: str, index: int = 0, attempt: int = 1, worker: str = WORKER) -> list[str]:
        spec = self.home / f"spec-{verb}-{index}.json"
        spec.write_text(json.dumps(self.spec(verb, index, attempt)))
        return [sys.executable, worker, verb, str(spec)]

    def execute(self, verb: str, index: int = 0, **options: Any) -> subprocess.CompletedProcess[str]:
        """A verb as the supervisor starts it: the worker by its path, in the source folder."""
        command = self.command(verb, index, **options)
        environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
        return subprocess.run(
            command, cwd=self.code, env=environment, capture_output=True, text=True, timeout=60, check=False
        )

    def failure(self, verb: str) -> dict[str, Any]:
        """The report of a verb that must fail."""
        done = self.execute(verb)
        assert done.returncode == 1, done.stderr
        report: dict[str, Any] = json.loads(self.report.read_text())
        assert "\n" not in report["reason"]
        assert report["class"] in {"input", "error"}
        return report


def written(run: InferenceRun) -> list[dict[str, Any]]:
    """All rows that came out."""
    found: list[dict[str, Any]] = []
    for part in run.parts():
        if part.suffix == ".parquet":
            found += pq.read_table(part).to_pylist()
        elif part.suffix == ".csv":
            found += csv.DictReader(io.StringIO(part.read_text(), newline=""))
        else:
            found += map(json.loads, part.read_text().splitlines())
    return found


def predictions(run: InferenceRun) -> list[Any]:
    run.run()
    return [row["prediction"] for row in written(run)]


def of_parquet(home: Path, handler: str, column: Any, **options: Any) -> InferenceRun:
    run = InferenceRun(home, handler, **options)
    pq.write_table(pa.table({"v": column}), run.input / "t.parquet")
    return run


def of_json(home: Path, handler: str, values: list[Any], **options: Any) -> InferenceRun:
    run = InferenceRun(home, handler, **options)
    rows = [{} if value is ... else {"v": value} for value in values]
    (run.input / "t.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return run


def one_row(run: InferenceRun, form: str) -> None:
    if form == "parquet":
        pq.write_table(pa.table({"v": [1]}), run.input / "t.parquet")
    else:
        (run.input / f"t.{form}").write_text("v\n1\n" if form == "csv" else '{"v": 1}\n')
