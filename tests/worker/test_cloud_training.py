"""A training job in a container as SageMaker makes it: what the script gets, and what is told of it."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from trainyard.core.files.trees import hash_tree

from .training_container import JOB, WORKER, Container

SAVE = "import os\nopen(os.path.join(os.environ['SM_MODEL_DIR'], 'weights'), 'w').write('w')\n"
FLOOD = """
import sys
sys.stdout = open(1, "w", buffering=1 << 16)
for n in range(300_000): print("line", n)
"""


@pytest.fixture
def container(tmp_path: Path) -> Iterator[Container]:
    with Container(tmp_path / "ml") as made:
        yield made


def told(container: Container, expression: str, *options: str) -> Any:
    """What a script in the container makes of an expression."""
    container.files["train.py"] = f"import json, os, sys\nprint('told', json.dumps({expression}))"
    worker = container.run(*options)
    [line] = [line for line in worker.lines if line.startswith("told ")]
    return json.loads(line[5:])


def test_a_script_that_ends_well_makes_a_job_that_succeeds(container: Container) -> None:
    container.files["train.py"] = "print('hello')\n" + SAVE
    worker = container.run()
    assert (worker.status, container.failure) == (0, "")
    assert worker.content == b"[trainyard attempt=1 launch=1]\nhello\n"
    [attempt] = container.history["attempts"]
    assert (attempt["number"], attempt["launch"], attempt["state"]) == (1, 1, "succeeded")
    assert attempt["started"] <= attempt["finished"] and attempt["lost_seconds"] is None
    assert container.history["warnings"] == []


def test_the_worker_and_the_code_are_no_channels_of_the_script(container: Container) -> None:
    container.channels["train"] = {"TrainingInputMode": "FastFile", "RecordWrapperType": "None"}
    names, config, seen = told(
        container,
        "[os.environ['SM_CHANNELS'], json.loads(os.environ['SM_INPUT_DATA_CONFIG']),"
        " sorted(n for n in os.environ if n.startswith('SM_CHANNEL_'))]",
    )
    assert json.loads(names) == ["train"]
    assert config == {"train": container.channels["train"]}
    assert seen == ["SM_CHANNEL_TRAIN"]


def test_the_variables_of_the_container_reach_the_script_and_ours_do_not(container: Container) -> None:
    container.variables = {
        "GREETING": "good day",
        "MASTER_PORT": "2345",
        "SM_MODEL_DIR": "elsewhere",
        "TRAINING_JOB_ARN": f"arn:aws:sagemaker:eu-west-1:123456789012:training-job/{JOB}",
    }
    names = ["GREETING", "MASTER_PORT", "SM_MODEL_DIR", "TRAINING_JOB_ARN", "TRAINING_JOB_NAME"]
    names += ["TRAINYARD_ML_ROOT", "SAGEMAKER_REGION"]
    found = told(container, f"[os.environ.get(n) for n in {names}]")
    assert found == [
        "good day",
        "2345",
        str(container.model),
        container.variables["TRAINING_JOB_ARN"],
        JOB,
        None,
        "eu-west-1",
    ]


def test_hyperparameters_are_arguments_and_the_script_runs_in_a_copy_of_its_source(
    container: Container,
) -> None:
    container.hyperparameters = {"epochs": "3", "name": '"gr\\u00f6\\u00dfe"', "lr": "1e-05"}
    container.files.update({"deep/data.txt": "in the source", "tool.sh": "#!/bin/sh\necho tool\n"})
    container.executable.add("tool.sh")
    line, text, tool, folder = told(
        container,
        "[sys.argv[1:], open('deep/data.txt').read(), os.popen('./tool.sh').read(), os.getcwd()]",
    )
    assert line == ["--epochs", "3", "--lr", "1e-05", "--name", "größe"]
    assert (text, tool, folder) == ("in the source", "tool\n", str(container.root / "code"))


def test_what_an_image_has_in_the_code_folder_is_gone(container: Container) -> None:
    (container.root / "code").mkdir()
    (container.root / "code/old.py").write_text("")
    assert told(container, "sorted(os.listdir('.'))") == ["train.py"]


def test_several_hosts_are_told_apart(tmp_path: Path) -> None:
    with Container(tmp_path / "ml", host="algo-2", hosts=3) as container:
        names = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "SM_CURRENT_HOST")
        container.files["train.py"] = f"import os, sys\nsys.exit(' '.join(map(os.environ.get, {names})))"
        worker = container.run("--retries", "3")
        assert container.failure == "algo-2: 1 3 algo-1 7777 algo-2 (exit status 1)"
        # A host alone could not begin anew.
        assert (worker.status, len(container.attempts)) == (1, 1)
        assert container.attempts[0][2] == "1 3 algo-1 7777 algo-2 (exit status 1)"
        assert container.history_file.name == "algo-2.json" and container.history_file.exists()


LOGGED = "import logging\ntry: open('absent')\nexcept OSError: logging.exception('no cache; going on')\n"
WARNED = "import atexit, warnings\natexit.register(warnings.warn, '6 leaked semaphores')\n"
LAUNCHER = """
import os, subprocess, sys
class ChildFailedError(Exception): pass
if "LOCAL_RANK" in os.environ: raise RuntimeError("out of memory on rank " + os.environ["LOCAL_RANK"])
subprocess.run([sys.executable, "-c", "raise ValueError('a probe')"])
for rank in "10": subprocess.run([sys.executable, sys.argv[0]], env={**os.environ, "LOCAL_RANK": rank})
"""
FORKED = """
import multiprocessing
class ProcessRaisedException(Exception): pass
def work(): raise RuntimeError("no such shard")
task = multiprocessing.get_context("fork").Process(target=work)
task.start(); task.join()
raise ProcessRaisedException("process 0 failed")
"""
GROUP = """
class BaseExceptionGroup(Exception):
    def __init__(self, *inner): self.exceptions = inner
raise BaseExceptionGroup(ValueError("shard 7"), BaseExceptionGroup(KeyError("x"), OSError()))
"""
ARGPARSE = "import argparse\nargparse.ArgumentParser().parse_args(['--what'])"
WORDLESS = "exit status {}, without a word why; its log may tell more"


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (LOGGED + "print('epoch=3')\nraise SystemExit('diverged\\nat epoch 2')", "diverged at epoch 2"),
        (WARNED + "import sys\nsys.exit('no GPU')", "no GPU"),
        (WARNED + "try: {}['a']\nexcept KeyError: raise ValueError('no a')", "ValueError: no a"),
        (
            "import sys\nsys.excepthook = print\nraise ValueError('told by another')",
            "ValueError: told by another",
        ),
        (GROUP, "ValueError: shard 7; KeyError: 'x'; OSError"),
        (LAUNCHER + "raise ChildFailedError('train.py FAILED')", "RuntimeError: out of memory on rank 1"),
        (LAUNCHER + "sys.exit(1)", "RuntimeError: out of memory on rank 1"),
        (FORKED, "RuntimeError: no such shard"),
        ("raise ValueError('a' * 600 + ' the end')", f"ValueError: {'a' * 318} ... {'a' * 157} the end"),
        ("x = (", "SyntaxError: '(' was never closed (train.py, line 1)"),
    ],
)
def test_the_reason_is_what_ended_the_process_and_nothing_that_it_printed(
    container: Container, script: str, reason: str
) -> None:
    container.files["train.py"] = script
    assert container.run().status == 1
    assert container.failure == f"{reason} (exit status 1)"


@pytest.mark.parametrize(
    ("script", "reason"),
    [
        (LOGGED + "print('epoch=3 loss=0.1')\nraise SystemExit(4)", WORDLESS.format(4)),
        ("import sys\nprint('loss=0.1', file=sys.stderr)\nsys.exit(1)", WORDLESS.format(1)),
        ("import os\nos.write(2, b'bye\\n')\nos._exit(3)", WORDLESS.format(3)),
        (ARGPARSE, "train.py: error: unrecognized arguments: --what (exit status 2)"),
    ],
)
def test_ordinary_output_is_no_reason(container: Container, script: str, reason: str) -> None:
    container.files["train.py"] = script
    container.run()
    assert container.failure == reason


def test_a_sitecustomize_of_the_environment_is_loaded_all_the_same(
    container: Container, tmp_path: Path
) -> None:
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs/sitecustomize.py").write_text("import sys\nsys.greeting = 'good day'\n")
    # Behind ours, as that of an image's Python is.
    container.files["train.py"] = f"""
import os, subprocess, sys
code = "import sys; print(sys.greeting); raise ValueError(sys.greeting)"
paths = os.environ["PYTHONPATH"] + os.pathsep + {str(tmp_path / "theirs")!r}
subprocess.run([sys.executable, "-c", code], env={{**os.environ, "PYTHONPATH": paths}}, check=True)
"""
    worker = container.run()
    assert "good day" in worker.lines
    assert container.failure == "ValueError: good day (exit status 1)"


def test_the_scripts_own_failure_file_wins_in_one_line(container: Container) -> None:
    container.files["train.py"] = (
        "import os, sys\nopen(os.environ['SM_OUTPUT_FAILURE'], 'w').write('stale\\nsince May')\nsys.exit(3)"
    )
    assert (container.run().status, container.failure) == (3, "stale since May")


def test_a_reason_is_no_longer_than_sagemaker_keeps(container: Container) -> None:
    container.files["train.py"] = (
        "import os, sys\ntext = 'what ' + 'ä' * 5000 + ' why'\n"
        "open(os.environ['SM_OUTPUT_FAILURE'], 'w').write(text)\nsys.exit(3)"
    )
    container.run()
    assert len(container.failure) == 1024
    assert container.failure.startswith("what ä") and container.failure.endswith("ä why")


def test_a_signal_is_named_in_the_reason(container: Container) -> None:
    container.files["train.py"] = "import os\nos.kill(os.getpid(), 11)"
    assert (container.run().status, container.failure) == (128 + signal.SIGSEGV, "ended by SIGSEGV")


def test_a_status_without_a_word_is_the_reason(container: Container) -> None:
    container.files["train.py"] = "import os\nos._exit(7)"
    assert (container.run().status, container.failure) == (7, "exit status 7, and nothing in the log")


def test_a_script_that_is_not_in_the_source_is_bad_input(container: Container) -> None:
    worker = container.run("--retries", "3", script="absent.py")
    assert worker.status == 1
    assert container.failure == (
        "absent.py is not in the source; name a file of source_dir as train.entry_script"
    )
    assert [each["bad_input"] for each in container.history["attempts"]] == [True]
    assert worker.lines == [container.failure]


def test_a_source_that_is_no_archive_or_climbs_out_is_refused_in_words(container: Container) -> None:
    container.files["../../outside.py"] = "print('outside')"
    assert container.run().status == 1
    assert "reaches outside of its folder" in container.failure and "'../../outside.py'" in container.failure
    assert not any((folder / "outside.py").exists() for folder in (container.root, container.root.parent))
    del container.files["../../outside.py"]
    container.prepare()
    (container.root / "input/data/trainyard-code/source.zip").write_bytes(b"no archive")
    container.prepare = lambda: None  # type: ignore[method-assign]
    assert container.run("--retries", "3").status == 1
    assert "the source cannot be unpacked" in container.failure
    # It is nothing that the user did.
    assert [each["bad_input"] for each in container.history["attempts"]] == [False, False]


def test_a_container_that_is_none_of_a_training_job_is_told_so(container: Container) -> None:
    container.prepare()
    shutil.rmtree(container.root / "input/config")
    container.prepare = lambda: None  # type: ignore[method-assign]
    assert container.run().status == 1
    assert container.failure.endswith("resourceconfig.json is not there; is this a SageMaker training job?")


def test_where_there_is_no_container_nothing_is_made(tmp_path: Path) -> None:
    variables = {"TRAINYARD_ML_ROOT": str(tmp_path / "absent")}
    done = subprocess.run([sys.executable, WORKER, "train"], env=variables, capture_output=True, check=False)
    assert (done.returncode, done.stdout) == (
        1,
        b"worker train: --script is missing; name the script to run\n",
    )
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("options", [["--retries", "many"], ["--grace", "-1"], ["--what"], ["--launch"]])
def test_options_that_are_none_are_refused(container: Container, options: list[str]) -> None:
    assert container.run(*options).status == 1
    assert container.failure.startswith("worker train: ") and options[0] in container.failure


def test_the_log_is_whole_and_in_order(container: Container) -> None:
    container.files["train.py"] = (
        "import sys\nfor n in range(500):\n print(n)\n sys.stderr.write(f'{n}e\\n')\n"
    )
    assert container.run().lines == [text for n in range(500) for text in (f"{n}", f"{n}e")]


def test_a_flood_goes_through_whole_and_is_no_reason(container: Container) -> None:
    container.files["train.py"] = FLOOD + "sys.stdout.flush()\nsys.exit(1)"
    worker = container.run()
    assert worker.lines == [f"line {n}" for n in range(300_000)]
    assert container.failure == "exit status 1, without a word why; its log may tell more"


def test_bytes_that_are_no_text_go_through_as_they_are(container: Container) -> None:
    some = bytes(range(256)).replace(b"\r", b"\r\n")
    container.files["train.py"] = f"import os\nos.write(1, {some!r} * 100 + b'no newline')"
    container.run("--retries", "0")
    assert container.run().content.endswith(some * 100 + b"no newline")


def test_a_line_appears_as_soon_as_it_is_written(container: Container) -> None:
    container.files["train.py"] = "import os, time\nos.write(1, b'half a line')\ntime.sleep(60)"
    worker = container.start()
    assert worker.read_until("half a line").endswith("half a line")
    worker.signal(signal.SIGTERM)
    worker.wait()


def test_a_log_that_nobody_reads_any_more_ends_no_script(container: Container) -> None:
    container.files["train.py"] = (
        "import time\nprint('first', flush=True)\ntime.sleep(0.3)\nprint('x' * 100000)"
    )
    worker = container.start()
    worker.read_until("first\n")
    assert worker._process.stdout is not None
    worker._process.stdout.close()
    assert worker._process.wait(timeout=30) == 0
    assert container.attempts == [(1, "succeeded", "")]


def test_the_files_of_the_model_are_told_as_the_unpacked_model_has_them(
    container: Container, tmp_path: Path
) -> None:
    container.files["train.py"] = """
import os
os.chdir(os.environ["SM_MODEL_DIR"])
os.makedirs("deep/er")
open("deep/er/b", "w").write("b")
open("a", "w").write("aa")
os.symlink("a", "link")
os.symlink("deep", "folder")
os.chmod("deep", 0); os.chmod(".", 0)
"""
    assert container.run().status == 0
    files = container.history["model"]["files"]
    assert [(name, size) for name, size, _ in files] == [
        ("a", 2),
        ("deep/er/b", 1),
        ("folder/er/b", 1),
        ("link", 2),
    ]
    # The same content hash as of the model where it is pulled to.
    shutil.copytree(container.model, tmp_path / "pulled", symlinks=True)
    content = hash_tree(str(tmp_path / "pulled"))
    assert (content.files, content.bytes) == (4, 6)
    assert {digest for _, _, digest in files} == {
        "961b6dd3ede3cb8ecbaacbd68de040cd78eb2ed5889130cceb4c49268ea4d506",
        "3e23e8160039594a33894f6564e1b1348bbd7a0088d42c4acb73eeaed59c009d",
    }


def test_an_empty_model_folder_makes_no_model(container: Container) -> None:
    assert container.run().status == 0
    assert container.history["model"] is None


@pytest.mark.parametrize(
    ("make", "words"),
    [
        ("os.symlink('/etc/passwd', 'x')", "x is a link to /etc/passwd"),
        ("os.mkfifo('x')", "x is a socket, a pipe or a device"),
        ("os.symlink('gone', 'x')", "x is a link that leads nowhere"),
        ("os.mkdir('d'); os.symlink('../d', 'd/x')", "d/x is a link that leads back"),
        ("os.chdir('..'); os.rmdir('model'); open('model', 'w')", "was replaced by a link or a file"),
    ],
)
def test_what_no_model_can_be_made_of_is_left_to_sagemaker_and_said_in_words(
    container: Container, make: str, words: str
) -> None:
    container.files["train.py"] = f"import os\nos.chdir(os.environ['SM_MODEL_DIR'])\n{make}"
    worker = container.run("--retries", "2")
    # Of a job that fails SageMaker may keep nothing.
    assert worker.status == 0
    assert words in container.history["model"]["refused"]
    refused = container.history["model"]["refused"]
    assert f"no version can be made of the model: {refused}" in "".join(worker.lines)
    assert [state for _, state, _ in container.attempts] == ["succeeded"]


def test_a_checkpoint_folder_that_cannot_be_written_ends_the_worker_in_words(container: Container) -> None:
    container.prepare()
    shutil.rmtree(container.checkpoints)
    container.checkpoints.write_text("")
    container.prepare = lambda: None  # type: ignore[method-assign]
    assert container.run().status == 1
    assert container.failure.startswith("the worker cannot go on: ")


def test_the_script_runs_in_the_python_that_runs_the_worker(container: Container) -> None:
    assert told(container, "[sys.executable, sys.stdin.read()]") == [sys.executable, ""]


def test_checkpoints_of_others_and_our_own_files_are_told_apart(container: Container) -> None:
    assert container.run().status == 0
    assert container.history["attempts"][0]["checkpoint"] is None
    container.files["train.py"] = "import os\nopen(os.environ['TRAINYARD_CHECKPOINT_DIR'] + '/c', 'w')"
    container.run()
    written = (container.checkpoints / "c").stat().st_mtime
    assert container.history["attempts"][1]["checkpoint"] == pytest.approx(written)
