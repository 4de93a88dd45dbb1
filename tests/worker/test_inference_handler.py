"""What a handler may be, and what is said of one that fails; each in a process as in a real run."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from .inference_run import InferenceRun

TABLE = "a,b\n" + "".join(f"{i},x\n" for i in range(12))


def planned(home: Path, handler: str, **options: Any) -> InferenceRun:
    run = InferenceRun(home, handler, **options)
    (run.input / "input.csv").write_text(TABLE)
    run.plan()
    return run


PREDICT = "def predict_fn(batch, model):\n    "
INPUT_ERRORS = {
    "no predict_fn": (
        "def predict(batch, model): ...\n",
        "predict.py has no predict_fn(batch, model); define it",
    ),
    "an endpoint's": (
        "def input_fn(body, kind): ...\ndef output_fn(found, kind): ...\n" + PREDICT + "return [1] * 4\n",
        "predict.py has input_fn and output_fn, which only an endpoint of SageMaker calls; here "
        "predict_fn(batch, model) is given the rows",
    ),
    "an endpoint's as a whole": (
        "def transform_fn(model, body, kind, accept): ...\n",
        "predict.py has transform_fn, which only an endpoint of SageMaker calls",
    ),
    "a context": (
        "def predict_fn(data, model, context):\n    return [1] * 4\n",
        "predict.py: predict_fn(data, model, context) is called as predict_fn(batch, model) here; "
        "take these arguments, and give any other a default",
    ),
    "a context of the model's": (
        "def model_fn(model_dir, context): ...\n" + PREDICT + "return [1] * 4\n",
        "predict.py: model_fn(model_dir, context) is called as model_fn(model_dir) here",
    ),
    "model_fn alone": (
        "def model_fn(model_dir): ...\n",
        "predict.py has no predict_fn(batch, model); define it",
    ),
    "too few": (
        PREDICT + "return batch[:3] and [1, 2, 3]\n",
        "predict_fn returned 3 results for 4 rows (shard 0, input.csv rows 1 to 4)",
    ),
    "too many, endless": (
        "import itertools\n" + PREDICT + "return itertools.count()\n",
        "predict_fn returned more than 4 results for 4 rows (shard 0, input.csv rows 1 to 4)",
    ),
    "too few later": (
        PREDICT + "return [1] * (4 if batch[0]['a'] == '0' else 1)\n",
        "predict_fn returned 1 result for 4 rows (shard 0, input.csv rows 5 to 8)",
    ),
    "None": (PREDICT + "pass\n", "predict_fn returned None (shard 0, input.csv rows 1 to 4); return a list"),
    "a text": (PREDICT + "return 'abcd'\n", "predict_fn returned one str (shard 0"),
    "a number": (PREDICT + "return 4\n", "predict_fn returned one int (shard 0"),
    "a dict for a list": (PREDICT + "return {'p': [1] * 4}\n", "predict_fn returned a dict (shard 0"),
    "unequal columns": (
        "batch_format = 'columns'\n" + PREDICT + "return {'p': [1] * 4, 'q': [1] * 5}\n",
        "predict_fn returned 5 results for 4 rows",
    ),
    "some dicts": (PREDICT + "return [{}, 1, 2, 3]\n", "predict_fn returned dicts for some rows only"),
    "other keys": (
        PREDICT + "return [{'p': 1}] * 3 + [{'q': 1}]\n",
        "predict_fn returned p for one row and q for another; return the same keys for every row",
    ),
    "an input's name": (
        PREDICT + "return [{'b': 1}] * 4\n",
        "the result 'b' has the name of an input column",
    ),
    "its own rows": (PREDICT + "return batch\n", "the result 'a' has the name of an input column"),
    "no value": (PREDICT + "return [object()] * 4\n", "predict_fn returned a value of type object"),
    "a surrogate": (PREDICT + "return ['\\ud800'] * 4\n", "a result holds '\\ud800', which UTF-8 cannot"),
    "batch_format": (
        "batch_format = 'pandas'\n" + PREDICT + "return [1]\n",
        "predict.py: batch_format is 'pandas'",
    ),
    "syntax": ("x = 1\ndef predict_fn(:\n    pass\n", "SyntaxError: invalid syntax (predict.py:2)"),
    "a missing module": (
        "\nimport absent_module.part\n",
        "ModuleNotFoundError: No module named 'absent_module' (predict.py:2); add the package that provides "
        "absent_module to requirements.txt beside the handler",
    ),
    "a missing name": ("from os import absent\n", "ImportError: cannot import name 'absent' from 'os'"),
}


@pytest.mark.parametrize(("handler", "reason"), INPUT_ERRORS.values(), ids=INPUT_ERRORS)
def test_a_handler_that_breaks_the_contract_is_an_input_error(
    tmp_path: Path, handler: str, reason: str
) -> None:
    run = planned(tmp_path, handler, batch_size=4)
    report = run.failure("shard")
    assert report["reason"].startswith(reason)
    assert report["class"] == "input"
    assert list(run.output.iterdir()) == []
    assert not Path(run.result_path(0)).exists()


CODE_ERRORS = {
    "predict_fn": (PREDICT + "raise ValueError('odd\\ntext')\n", "ValueError: odd text (predict.py:2)"),
    "a library below": (
        "import json\n" + PREDICT + "json.loads('{')\n",
        "JSONDecodeError: Expecting property name",
    ),
    "model_fn": (
        "def model_fn(folder):\n    return {}['weights']\n" + PREDICT,
        "KeyError: 'weights' (predict.py:2)",
    ),
    "import": ("1 / 0\n", "ZeroDivisionError: division by zero (predict.py:1)"),
    "exit": ("import sys\n" + PREDICT + "sys.exit(3)\n", "SystemExit: 3 (predict.py:3)"),
    "generator": (
        PREDICT + "return (1 / 0 for _ in batch)\n",
        "ZeroDivisionError: division by zero (predict.py:2)",
    ),
}


@pytest.mark.parametrize(("handler", "reason"), CODE_ERRORS.values(), ids=CODE_ERRORS)
def test_an_exception_in_the_users_code_is_an_error_with_its_line(
    tmp_path: Path, handler: str, reason: str
) -> None:
    run = planned(tmp_path, handler if not handler.endswith(PREDICT) else handler + "pass\n")
    done = run.execute("shard")
    report = json.loads(run.report.read_text())
    assert done.returncode == 1
    assert report["class"] == "error"
    assert report["reason"].startswith(reason)
    assert "(predict.py:" in report["reason"]
    # The log has the traceback, and it begins in the user's code.
    assert report["traceback"] in done.stderr
    assert "predict.py" in report["traceback"].splitlines()[1]


def test_a_handler_in_a_subfolder_finds_its_neighbours_and_none_of_ours(tmp_path: Path) -> None:
    names = ("plan", "errors", "shard", "files", "values", "handler")
    run = planned(tmp_path, "")
    folder = run.code / "serving"
    folder.mkdir()
    (run.code / "helpers.py").write_text("MARK = 'root'\n")
    for name in names:
        (folder / f"{name}.py").write_text(f"MARK = {name!r}\n")
    (folder / "predict.py").write_text(
        f"import helpers, {', '.join(names)}\n"
        f"MARKS = ' '.join(module.MARK for module in (helpers, {', '.join(names)}))\n"
        "def predict_fn(batch, model):\n    return [MARKS] * len(batch)\n"
    )
    spec = tmp_path / "spec.json"
    spec.write_text(json.dumps({**run.spec("shard"), "handler": "serving/predict.py"}))
    command = [*run.command("shard")[:3], str(spec)]
    subprocess.run(command, cwd=run.code, check=True, timeout=60)
    assert run.parts()[0].read_text().splitlines()[1] == "0,x,root plan errors shard files values handler"


CALLABLE = {
    "defaults": "def predict_fn(batch, model, context=None, *, top=1):\n    return [1] * len(batch)\n",
    "anything": "def predict_fn(*arguments):\n    return [1] * len(arguments[0])\n",
    "an object": (
        "class Predict:\n    def __call__(self, batch, model):\n        return [1] * len(batch)\n"
        "predict_fn = Predict()\n"
    ),
    "a method": (
        "class Predict:\n    def run(self, batch, model):\n        return [1] * len(batch)\n"
        "predict_fn = Predict().run\n"
    ),
    "one whose decorator gives the rest": (
        "import functools\ndef given(f):\n    @functools.wraps(f)\n    def wrapped(*a): return f(*a, 1)\n"
        "    return wrapped\n@given\ndef predict_fn(batch, model, top):\n    return [top] * len(batch)\n"
    ),
    "a partial": (
        "import functools\ndef run(top, batch, model):\n    return [1] * len(batch)\n"
        "predict_fn = functools.partial(run, 1)\n"
    ),
}


@pytest.mark.parametrize("handler", CALLABLE.values(), ids=CALLABLE)
def test_whatever_takes_a_batch_and_a_model_is_a_handler(tmp_path: Path, handler: str) -> None:
    run = planned(tmp_path, handler)
    run.predict()
    assert run.commit()["rows_out"] == 12


def test_the_model_is_loaded_once_and_is_the_folder_without_model_fn(tmp_path: Path) -> None:
    loads = "loads = []\ndef model_fn(folder):\n    loads.append(folder)\n    return loads\n"
    run = planned(tmp_path / "1", loads + PREDICT + "return [len(model)] * len(batch)\n", batch_size=2)
    assert run.execute("shard").returncode == 0
    assert set(run.parts()[0].read_text().split()[1:]) == {f"{i},x,1" for i in range(12)}
    run = planned(tmp_path / "2", PREDICT + "return [model] * len(batch)\n")
    assert run.execute("shard").returncode == 0
    assert run.parts()[0].read_text().splitlines()[1] == f"0,x,{tmp_path}/2/model"


def test_what_the_handler_prints_is_in_the_log_as_given(tmp_path: Path) -> None:
    run = planned(
        tmp_path, PREDICT + "print('rows', len(batch))\n    return [1] * len(batch)\n", batch_size=5
    )
    assert run.execute("shard").stdout == "rows 5\nrows 5\nrows 2\n"


def test_an_input_that_changes_after_the_plan_is_an_input_error(tmp_path: Path) -> None:
    run = planned(tmp_path, PREDICT + "return [1] * len(batch)\n")
    (run.input / "input.csv").write_text(TABLE + "1,2\n")
    report = run.failure("shard")
    assert report["class"] == "input"
    assert report["reason"].startswith("input.csv changed while the run was going on")


def test_an_input_that_changes_under_the_shard_is_an_input_error(tmp_path: Path) -> None:
    change = f"open({str(tmp_path / 'input' / 'input.csv')!r}, 'a').write('1,2\\n')\n    "
    run = planned(tmp_path, PREDICT + change + "return [1] * len(batch)\n", batch_size=5)
    assert run.failure("shard")["reason"].startswith("input.csv changed while the run was going on")


BAD_JSON = {
    "no JSON": ('{"a": 1}\n\n{"a": }\n', "t.jsonl line 3: not JSON (Expecting value, column 7)"),
    "an array": ('{"a": 1}\n[1]\n', "t.jsonl line 2: a JSON array where an object is needed"),
    "a number": ("1\n", "t.jsonl line 1: a JSON number where an object is needed"),
    "two on a line": ('{"a": 1} {"a": 2}\n', "t.jsonl line 1: not JSON (Extra data, column 10)"),
    "a clash": ('{"prediction": 1}\n', "the result 'prediction' has the name of an input column"),
}


@pytest.mark.parametrize(("content", "reason"), BAD_JSON.values(), ids=BAD_JSON)
def test_a_bad_json_row_is_an_input_error_with_its_line(tmp_path: Path, content: str, reason: str) -> None:
    run = InferenceRun(tmp_path)
    (run.input / "t.jsonl").write_text(content)
    run.plan()
    report = run.failure("shard")
    assert report["reason"].startswith(reason)
    assert report["class"] == "input"


def test_parquet_results_of_another_type_name_their_column(tmp_path: Path) -> None:
    run = InferenceRun(
        tmp_path, PREDICT + "return [1 if batch[0]['a'] == 0 else 'x'] * len(batch)\n", batch_size=1
    )
    pq.write_table(pa.table({"a": [0, 1]}), run.input / "t.parquet")
    run.plan()
    report = run.failure("shard")
    assert report["class"] == "input"
    assert report["reason"].startswith(
        "t.parquet row 2: the result 'prediction' is string here and int64 in earlier rows"
    )
    assert list(run.output.iterdir()) == []


def test_a_missing_pyarrow_names_its_cure(tmp_path: Path) -> None:
    run = InferenceRun(tmp_path)
    pq.write_table(pa.table({"a": [0, 1]}), run.input / "t.parquet")
    bare = [sys.executable, "-S", *run.command("plan")[1:]]
    done = subprocess.run(bare, capture_output=True, text=True, timeout=60, check=False)
    report = json.loads(run.report.read_text())
    assert (done.returncode, report["class"]) == (1, "input")
    assert report["reason"].endswith("is not installed; add pyarrow to requirements.txt beside the handler")


def test_a_shard_that_is_killed_leaves_no_part_and_its_next_attempt_no_trace_of_it(tmp_path: Path) -> None:
    handler = (
        "import os, signal\ndef predict_fn(batch, model):\n"
        "    if batch[0]['a'] == '8' and not os.path.exists('killed'):\n"
        "        open('killed', 'w').close()\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return [1] * len(batch)\n"
    )
    run = planned(tmp_path, handler, batch_size=4)
    assert run.execute("shard").returncode == -signal.SIGKILL
    assert run.parts() == []
    (aside,) = run.output.iterdir()
    assert aside.name.startswith(".part-00000.csv.tmp-1-")
    assert not Path(run.result_path(0)).exists()
    assert run.execute("shard", attempt=2).returncode == 0
    assert [path.name for path in run.output.iterdir()] == ["part-00000.csv"]
    assert run.commit()["rows_out"] == 12


@pytest.mark.skipif(
    not Path("/dev/full").exists(), reason="this system has no /dev/full to stand for a full disk"
)
def test_a_full_disk_is_an_error_in_words(tmp_path: Path) -> None:
    run = planned(tmp_path, PREDICT + "return [1] * len(batch)\n")
    spec = tmp_path / "spec.json"
    spec.write_text(json.dumps({**run.spec("shard"), "progress": "/dev/full"}))
    command = [*run.command("shard")[:3], str(spec)]
    subprocess.run(command, cwd=run.code, timeout=60, check=False)
    report = json.loads(run.report.read_text())
    assert report["class"] == "error"
    assert report["reason"].startswith("no space left on the device")
    assert run.parts() == []
