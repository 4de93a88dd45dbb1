"""What a job file says, and that everything wrong with one is one line with the place and the cure."""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from trainyard.core.environments.environment import BatchCompute, Environment, Notebook, Retention
from trainyard.core.environments.file import load_environment
from trainyard.core.errors import BadInput, NotFound
from trainyard.core.files.toml import line_of
from trainyard.core.jobs.file import JobFile, load, with_hyperparameters
from trainyard.core.jobs.job import (
    InferenceJob,
    Resources,
    ShardResources,
    Spot,
    TrainingJob,
    job_from_json,
    job_to_json,
)
from trainyard.core.jobs.paths import check_paths
from trainyard.worker.contract.hyperparameters import Typed, arguments, encode_hyperparameter, user_values

TRAIN = '[train]\nname = "digits"\nentry_script = "train.py"\n'
INFER = '[infer]\nname = "digits-inference"\nhandler = "predict.py"\n'

WHOLE = """
[train]
name = "digits"
source_dir = "src"
entry_script = "train.py"
dependencies = ["lib", "../common"]
python = ".venv/bin/python"
isolated = true
image = "registry/repository:tag"
retries = 1
grace = 30
input_mode = "FastFile"
[train.channels]
train = "data/train"
far = "s3://my-bucket/x"
set = "digits@latest"
home = "~/data"
[train.hyperparameters]
epochs = 20
rate = 0.1
fast = true
name = "a"
[train.environment]
A = "b"
[train.metrics]
accuracy = 'accuracy=([0-9.]+)'
[train.resources]
instance_type = "ml.m5.large"
instance_count = 2
volume_size_gb = 31
memory_mib = 512
[train.spot]
enabled = false
max_runtime = 100
max_wait = 200
[infer]
name = "digits-inference"
source_dir = "src"
handler = "predict.py"
dependencies = ["lib"]
python = "python3.12"
isolated = true
image = "x"
shards = 3
batch_size = 16
retries = 1
timeout = 60
header = false
delimiter = "\\t"
model_size_gb = 60
[infer.environment]
C = "d"
[infer.resources]
vcpus = 2
memory_mib = 1024
gpus = 1
[environments.dev]
region = "eu-west-1"
endpoints = ["ecr.api", "ecr.dkr"]
[environments.dev.notebook]
enabled = false
[environments.dev.batch]
families = ["m6i"]
[environments.dev.retention]
log_days = 7
[environments.dev.tags]
team = "a"
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(text: str) -> JobFile:
    Path("trainyard.toml").write_text(text, encoding="utf-8")
    return load()


def refusal(text: str | bytes) -> str:
    Path("trainyard.toml").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(BadInput) as refused:
        load()
    assert refused.value.exit_status == 2
    line = str(refused.value)
    assert "\n" not in line
    assert line.startswith("trainyard.toml")
    return line


def test_every_key_of_a_job_file_reaches_its_job(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/me")
    file = write(WHOLE)
    assert file.path == str(folder / "trainyard.toml")
    assert file.train == TrainingJob(
        name="digits",
        source_dir=str(folder / "src"),
        entry_script="train.py",
        dependencies=(str(folder / "lib"), str(folder.parent / "common")),
        python=str(folder / ".venv/bin/python"),
        isolated=True,
        image="registry/repository:tag",
        retries=1,
        grace=30,
        input_mode="FastFile",
        channels={
            "train": str(folder / "data/train"),
            "far": "s3://my-bucket/x",
            "set": "digits@latest",
            "home": "/home/me/data",
        },
        hyperparameters={"epochs": 20, "rate": 0.1, "fast": True, "name": "a"},
        environment={"A": "b"},
        metrics={"accuracy": "accuracy=([0-9.]+)"},
        resources=Resources(instance_type="ml.m5.large", instance_count=2, volume_size_gb=31, memory_mib=512),
        spot=Spot(enabled=False, max_runtime=100, max_wait=200),
    )
    assert file.infer == InferenceJob(
        name="digits-inference",
        source_dir=str(folder / "src"),
        handler="predict.py",
        dependencies=(str(folder / "lib"),),
        python="python3.12",
        isolated=True,
        image="x",
        shards=3,
        batch_size=16,
        retries=1,
        timeout=60,
        header=False,
        delimiter="\t",
        model_size_gb=60,
        environment={"C": "d"},
        resources=ShardResources(vcpus=2, memory_mib=1024, gpus=1),
    )
    assert file.environments["dev"]["region"] == "eu-west-1"
    assert file.environments["dev"]["tags"] == {"team": "a"}


@pytest.mark.parametrize(("text", "train", "infer"), [(TRAIN, True, False), (INFER, False, True)])
def test_a_file_with_one_job_is_whole_and_has_the_defaults(
    folder: Path, text: str, train: bool, infer: bool
) -> None:
    file = write(text)
    assert (file.train is not None, file.infer is not None) == (train, infer)
    assert file.environments == {}
    job = file.train or file.infer
    assert job is not None
    assert job.source_dir == str(folder)
    made = TrainingJob(name="digits", entry_script="train.py", source_dir=str(folder))
    assert file.train in (None, made)


def test_paths_are_relative_to_the_job_file_wherever_it_is_read_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "project").mkdir()
    (tmp_path / "project/job.toml").write_text(TRAIN + '[train.channels]\na = "../data"\nb = "/b"\n')
    monkeypatch.chdir(tmp_path)
    file = load("project/job.toml")
    assert file.path == str(tmp_path / "project/job.toml")
    assert file.train is not None
    assert file.train.source_dir == str(tmp_path / "project")
    assert file.train.channels == {"a": str(tmp_path / "data"), "b": "/b"}


def test_a_byte_order_mark_and_windows_line_ends_are_taken(folder: Path) -> None:
    assert write("\ufeff" + TRAIN.replace("\n", "\r\n")).train is not None


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", "trainyard.toml: has neither [train] nor [infer] nor [environments.<name>]; "),
        ("[enviroments.dev]\n", "trainyard.toml:1: enviroments: unknown key; did you mean 'environments'?"),
        ("[train\n", "trainyard.toml:1: is no TOML: "),
        ("\n\na = \n", "trainyard.toml:3: is no TOML: "),
        ('a = """', "trainyard.toml: is no TOML: "),
        (TRAIN + "name = 'b'\n", "trainyard.toml:4: is no TOML: "),
        (b"[train]\nname = '\xff'\n", "trainyard.toml:2: is not UTF-8; "),
        ("a = " + "[" * 100_000, "trainyard.toml: is nested too deeply"),
        ("\n" + "a." * 20_000 + "b = 1\n", "trainyard.toml:2: a key has more than 32 parts"),
        ("[train.'a'" + " . a" * 20_000 + "]\n", "trainyard.toml:1: a key has more than 32 parts"),
        ("a = {b = 1, " + "a." * 20_000 + "b = 1}\n", "trainyard.toml:1: a key has more than 32 parts"),
        (f"a = '{'1.' * 20_000}'\n", "trainyard.toml:1: a: unknown key"),
        ("#" * (1 << 20) + "\n", "trainyard.toml: is larger than 1 MiB; "),
        (TRAIN + f"retries = {'9' * 5000}\n", "trainyard.toml: is no TOML: "),
        (TRAIN + "retires = 1\n", "trainyard.toml:4: train.retires: unknown key; did you mean 'retries'?"),
        ("[trian]\n" + TRAIN, "trainyard.toml:1: trian: unknown key; did you mean 'train'?"),
        (
            TRAIN + "[train.spot]\nmax_wiat = 1\n",
            "trainyard.toml:5: train.spot.max_wiat: unknown key; did you mean 'max_wait'?",
        ),
        (
            TRAIN + "resources = { instance_cuont = 1 }\n",
            "trainyard.toml:4: train.resources.instance_cuont: unknown key; did you mean 'instance_count'?",
        ),
        (INFER + "[infer.spot]\n", "trainyard.toml:4: infer.spot: unknown key; "),
        ("train = 3\n", "trainyard.toml:1: train: must be a table, not an integer (3)"),
        ("[[train]]\n", "trainyard.toml:1: train: must be a table, not an array"),
        (TRAIN + "spot = true\n", "trainyard.toml:4: train.spot: must be a table, not a boolean (True)"),
        (
            TRAIN + "retries = '3'\n",
            "trainyard.toml:4: train.retries: must be an integer, not a string ('3')",
        ),
        (TRAIN + "retries = 1.5\n", "trainyard.toml:4: train.retries: must be an integer, not a float (1.5)"),
        (TRAIN + "grace = 2024-01-01\n", "trainyard.toml:4: train.grace: must be an integer, not a date"),
        (TRAIN + "image = ['x']\n", "trainyard.toml:4: train.image: must be a string, not an array"),
        (
            TRAIN + "source_dir = 3\n",
            "trainyard.toml:4: train.source_dir: must be a string, not an integer (3)",
        ),
        (
            TRAIN + "retries = 31\n",
            "trainyard.toml:4: train.retries: 31 is out of bounds; write from 0 to 30",
        ),
        (TRAIN + "[train.channels]\nx = ''\n", "trainyard.toml:5: train.channels.x: is empty; "),
        (
            TRAIN + "channels = 'data'\n",
            "trainyard.toml:4: train.channels: must be a table, not a string ('data')",
        ),
        (TRAIN + "[train.metrics]\n# a\nm = '('\n", "trainyard.toml:6: train.metrics.m: '(' is no regular"),
        (
            TRAIN + "[train.hyperparameters]\nx = [2024-01-01]\n",
            "trainyard.toml:5: train.hyperparameters.x: must be a string, a number, a boolean",
        ),
        ("[train]\nname = 'a'\n", "trainyard.toml:1: train.entry_script: is missing; write it under [train]"),
        ("[infer]\nname = 'a'\n", "trainyard.toml:1: infer.handler: is missing; write it under [infer]"),
        ("[train]\nname = 'a_b'\nentry_script = 'a.py'\n", "trainyard.toml:2: train.name: 'a_b' is no name"),
        (
            TRAIN + "[environments]\ndev = 3\n",
            "trainyard.toml:5: environments.dev: must be a table, not an integer (3)",
        ),
        ("environments = 3\n" + TRAIN, "trainyard.toml:1: environments: must be a table"),
    ],
)
def test_what_is_wrong_is_told_with_its_line_key_and_cure(folder: Path, text: str | bytes, line: str) -> None:
    assert refusal(text).startswith(line)


def test_a_missing_job_file_is_refused_with_the_cure(folder: Path) -> None:
    with pytest.raises(BadInput, match=r"^trainyard\.toml: no such job file; .*trainyard init"):
        load()


def test_a_folder_is_no_job_file(folder: Path) -> None:
    with pytest.raises(BadInput, match=r"^\.: is a folder and no job file; name a file"):
        load(".")


def test_an_unreadable_job_file_is_refused(folder: Path) -> None:
    Path("loop.toml").symlink_to("loop.toml")
    with pytest.raises(BadInput, match=r"^loop\.toml: can't be read: Too many levels"):
        load("loop.toml")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_job_file_without_permission_is_refused(folder: Path) -> None:
    Path("trainyard.toml").write_text(TRAIN)
    Path("trainyard.toml").chmod(0)
    with pytest.raises(BadInput, match="can't be read: Permission denied"):
        load()


SECTIONS = [
    ("", []),
    ("train", TrainingJob._fields),
    ("train.resources", Resources._fields),
    ("train.spot", Spot._fields),
    ("infer", InferenceJob._fields),
    ("infer.resources", ShardResources._fields),
]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.sampled_from(SECTIONS), st.text(max_size=30).filter(lambda key: key.isascii() or key.isprintable()))
def test_an_unknown_key_is_refused_in_one_line_at_any_level(
    folder: Path, section: tuple[str, Any], key: str
) -> None:
    table, known = section
    assume(key not in set(known) | {"train", "infer", "environments"})
    escaped = "".join(char if char.isalnum() else f"\\U{ord(char):08x}" for char in key)
    line = f'"{escaped}" = 1\n'
    text = TRAIN + INFER + (f"[{table}]\n{line}" if "." in table else "")
    if not table:
        text = line + text
    elif "." not in table:
        text = text.replace(f"[{table}]\n", f"[{table}]\n{line}")
    told = refusal(text)
    assert "unknown key" in told
    assert told.isprintable()


names = st.from_regex(r"[a-zA-Z0-9](-{0,2}[a-zA-Z0-9]){0,16}", fullmatch=True)
keys = st.from_regex(r"[a-z][a-z_]{0,8}", fullmatch=True)
words = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=40)
scalars = st.one_of(words, st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False, allow_infinity=False))
trainings = st.builds(
    TrainingJob,
    name=names,
    entry_script=keys.map(lambda word: f"{word}.py"),
    retries=st.integers(0, 30),
    grace=st.integers(0, 120),
    input_mode=st.sampled_from(["File", "FastFile"]),
    channels=st.dictionaries(keys, keys, max_size=18),
    hyperparameters=st.dictionaries(keys, scalars | st.booleans(), max_size=9),
    environment=st.dictionaries(keys.map(lambda word: f"X{word}"), words, max_size=9),
    metrics=st.dictionaries(keys, keys.map(lambda word: f"{word}=(.*)"), max_size=9),
    resources=st.builds(Resources, instance_count=st.integers(1, 99), memory_mib=st.integers(0, 9999)),
    spot=st.builds(Spot, enabled=st.booleans(), max_runtime=st.integers(1, 172_800)),
)
inferences = st.builds(
    InferenceJob,
    name=names,
    handler=keys.map(lambda word: f"{word}.py"),
    shards=st.integers(1, 10_000),
    environment=st.dictionaries(keys.map(lambda word: f"X{word}"), words, max_size=9),
    resources=st.builds(
        ShardResources, vcpus=st.integers(1, 96), memory_mib=st.integers(4, 99_999), gpus=st.integers(0, 8)
    ),
)


def test_arrays_and_tables_are_hyperparameters() -> None:
    read = write(
        f"{TRAIN}[train.hyperparameters]\nsizes = [1, [2.5]]\n[train.hyperparameters.net]\na.b = true"
    ).train
    assert read and read.hyperparameters == {"sizes": [1, [2.5]], "net": {"a": {"b": True}}}
    assert job_from_json(json.loads(json.dumps(job_to_json(read)))) == read


@given(trainings | inferences)
def test_any_job_comes_back_from_json_as_it_was(job: TrainingJob | InferenceJob) -> None:
    assert job_from_json(json.loads(json.dumps(job_to_json(job)))) == job


def to_toml(table: str, job: dict[str, Any]) -> str:
    plain = {key: value for key, value in job.items() if not isinstance(value, dict)}
    lines = [f"[{table}]", *(f"{key} = {to_value(value)}" for key, value in plain.items())]
    for key, value in job.items():
        if isinstance(value, dict):
            lines.append(to_toml(f"{table}.{key}", value))
    return "\n".join(lines) + "\n"


def to_value(value: Any) -> str:
    if isinstance(value, str):
        return '"' + "".join(f"\\U{ord(c):08x}" if not c.isalnum() else c for c in value) + '"'
    return str(value).lower()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(trainings)
def test_any_job_written_as_toml_is_read_as_it_was(folder: Path, job: TrainingJob) -> None:
    data = job_to_json(job)
    del data["kind"]
    read = write(to_toml("train", data)).train
    assert read is not None
    channels = {name: str(folder / source) for name, source in job.channels.items()}
    expected = {**data, "source_dir": str(folder), "channels": channels}
    assert job_to_json(read) == {"kind": "training", **expected}


TYPED = st.one_of(
    st.from_regex(r"[-+]?[0-9]{1,3}(\.[0-9]{1,3})?([eE][-+]?[0-9]{1,3})?", fullmatch=True),
    st.sampled_from(["true", "false", "-", "-x", "-1e-3", "--flag=1", "-5.", "-.5", "1_0", "nan", "[1]"]),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\"'"), max_size=9),
)


def job(**values: Any) -> TrainingJob:
    return TrainingJob(**{"name": "digits", "entry_script": "train.py", **values})


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("20", 20),
        ("-3", -3),
        ("0.1", 0.1),
        ("1e-3", Typed("1e-3")),
        ("-2.5E-04", Typed("-2.5E-04")),
        ("1e-05", 1e-05),
        ("1.10", "1.10"),
        ("123e4", "123e4"),
        ("1e-999", "1e-999"),
        ("+1e-3", "+1e-3"),
        ("+5", "+5"),
        ("-0", "-0"),
        ("nan", "nan"),
        ("0x10", "0x10"),
        ("1_000", "1_000"),
        (" 5", " 5"),
        ("true", Typed("true")),
        ("false", Typed("false")),
        ("True", "True"),
        ('"20"', "20"),
        ("'20'", "20"),
        ('"a # b"', "a # b"),
        ("007", "007"),
        ("adam", "adam"),
        ("", ""),
        ("a=b", "a=b"),
        ("[1]", "[1]"),
        ("{a=1}", "{a=1}"),
        ("2024-01-01", "2024-01-01"),
        ("20 # x", "20 # x"),
        ("1\nx = 2", "1\nx = 2"),
        ('"a" # "', '"a" # "'),
        ("a b", "a b"),
        ("9" * 2_499, int("9" * 2_499)),
    ],
)
def test_a_hyperparameter_of_the_command_line_is_a_number_where_toml_would_write_it_so(
    text: str, value: Any
) -> None:
    made = with_hyperparameters(job(), [f"x={text}"]).hyperparameters["x"]
    assert made == value
    assert type(made) is type(value)


def test_hyperparameters_are_added_and_replaced_and_the_last_wins() -> None:
    made = with_hyperparameters(job(hyperparameters={"a": 1, "b": 2}), ["b=3", "c=4", "c=5"])
    assert made.hyperparameters == {"a": 1, "b": 3, "c": 5}
    plain = job()
    assert with_hyperparameters(plain, []) is plain


@pytest.mark.parametrize("pair", ["epochs", "=3", "", " =1", "a b=1", "x=" + "y" * 2_500])
def test_a_pair_that_is_no_hyperparameter_is_refused(pair: str) -> None:
    with pytest.raises(BadInput, match=r"^-p: "):
        with_hyperparameters(job(), [pair])


@given(TYPED.filter("--".__ne__))  # which argparse takes for its own
def test_a_script_gets_the_text_that_was_typed_and_sm_hps_a_value_that_reads_so(text: str) -> None:
    made = job_from_json(json.loads(json.dumps(job_to_json(with_hyperparameters(job(), [f"x={text}"])))))
    assert isinstance(made, TrainingJob)
    wire = {"x": encode_hyperparameter(made.hyperparameters["x"])}
    parser = argparse.ArgumentParser()
    parser.add_argument("-x")
    assert parser.parse_args(arguments(wire)).x == text
    assert user_values(wire)["x"] in (text, *_read(text))


def _read(text: str) -> list[Any]:
    try:
        return [json.loads(text)]
    except ValueError:
        return []


@given(st.text(max_size=30))
def test_any_text_of_the_command_line_is_a_hyperparameter_or_refused(text: str) -> None:
    try:
        made = with_hyperparameters(job(), [f"x={text}"]).hyperparameters
    except BadInput as error:
        assert str(error).startswith("-p: train.hyperparameters.x: ")
    else:
        assert list(made) == ["x"]


def environment(text: str, name: str = "dev") -> Environment:
    Path("trainyard.toml").write_text(text, encoding="utf-8")
    return load_environment(name=name)


def environment_refusal(text: str, name: str = "dev") -> str:
    with pytest.raises(BadInput) as refused:
        environment(text, name)
    line = str(refused.value)
    assert refused.value.exit_status == 2
    assert line.isprintable()
    return line


def test_every_key_of_an_environment_reaches_it(folder: Path) -> None:
    assert environment(WHOLE) == Environment(
        region="eu-west-1",
        endpoints=("ecr.api", "ecr.dkr"),
        notebook=Notebook(enabled=False),
        batch=BatchCompute(families=("m6i",)),
        retention=Retention(log_days=7),
        tags={"team": "a"},
    )


def test_a_file_with_environments_alone_is_whole_and_has_no_jobs(folder: Path) -> None:
    file = write("[environments.prod]\nzones = 3\n")
    assert (file.train, file.infer) == (None, None)
    assert file.environments == {"prod": {"zones": 3}}
    assert load_environment(name="prod") == Environment(name="prod", zones=3)


@pytest.mark.parametrize("text", ["", TRAIN, "[environments.prod]\n", "[environments.dev]\n"])
def test_dev_is_there_without_a_table(folder: Path, text: str) -> None:
    assert environment(text) == Environment(name="dev")


def test_another_environment_needs_a_table_and_what_there_is_is_told(folder: Path) -> None:
    with pytest.raises(NotFound) as refused:
        environment("[environments.prod]\n[environments.test]\n", "stage")
    assert str(refused.value) == (
        "trainyard.toml: environments.stage: there is no environment 'stage';"
        " write a table [environments.stage], or name one that there is: dev, prod, test"
    )
    assert environment_refusal('[environments."\\u001b\\n"]\n', "\x1b").endswith("that there is: dev")


@pytest.mark.parametrize(
    "text",
    [
        "[train]\n",
        "train = 3\n",
        "[train]\nname = '_'\nnonsense = 1\n[infer]\nshards = 0\n",
        "[environments.prod]\nzoness = 2\n",
        "[environments.prod]\nzones = 20\n",
        "[environments]\nprod = 3\n",
        "[environments.'no name']\n",
    ],
)
def test_what_is_wrong_elsewhere_does_not_stop_an_environment(folder: Path, text: str) -> None:
    assert environment(text) == Environment()


def test_what_is_wrong_with_an_environment_does_not_stop_a_job(folder: Path) -> None:
    assert write(TRAIN + "[environments.dev]\nzones = 20\nnonsense = 1\n").train is not None


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("[environments.dev\n", "trainyard.toml:1: is no TOML: "),
        (
            "[enviroments.dev]\n",
            "trainyard.toml:1: enviroments: unknown key; did you mean 'environments'?",
        ),
        ("environments = 3\n", "trainyard.toml:1: environments: must be a table, not an integer (3)"),
        (
            "[environments]\n\ndev = 3\n",
            "trainyard.toml:3: environments.dev: must be a table, not an integer (3)",
        ),
        ("[[environments.dev]]\n", "trainyard.toml:1: environments.dev: must be a table, not an array"),
        (
            "[environments.dev]\nzoness = 2\n",
            "trainyard.toml:2: environments.dev.zoness: unknown key; did you mean 'zones'?",
        ),
        (
            "[environments.dev]\nname = 'dev'\n",
            "trainyard.toml:2: environments.dev.name: unknown key; leave it out: the table's own name is",
        ),
        (
            "[environments.dev.notebook]\n\nidel_minutes = 2\n",
            "trainyard.toml:3: environments.dev.notebook.idel_minutes: unknown key; did you mean 'idle_min",
        ),
        (
            "[environments.dev]\nnotebook = true\n",
            "trainyard.toml:2: environments.dev.notebook: must be a table, not a boolean (True)",
        ),
        (
            "[environments.dev]\nbatch = { max_vcpus = 2 }\n",
            "trainyard.toml:2: environments.dev.batch.max_vcpus: 2 is too few for a job of 4 vCPUs; write 4",
        ),
        (
            "[environments.dev]\nsubnets = 'subnet-01234567'\n",
            "trainyard.toml:2: environments.dev.subnets: must be an array, not a string ('subnet-01234567')",
        ),
        (
            "[environments.dev]\nendpoints = [\n  'ecr.apis',\n]\n",
            "trainyard.toml:2: environments.dev.endpoints: 'ecr.apis' is no endpoint known here; did",
        ),
        (
            "[environments.dev]\naccount = 123456789012\n",
            "trainyard.toml:2: environments.dev.account: must be a string, not an integer (123456789012)",
        ),
        (
            "[environments.dev]\n[environments.dev.tags]\nteam = ''\n",
            "trainyard.toml:3: environments.dev.tags.team: is empty; give it a value",
        ),
        (
            "[environments.dev.retention]\nlog_days = 31\n",
            "trainyard.toml:2: environments.dev.retention.log_days: 31 is no retention of CloudWatch Logs; ",
        ),
        (
            "[environments.dev]\nregion = 2024-01-01\n",
            "trainyard.toml:2: environments.dev.region: must be a string, not a date",
        ),
    ],
)
def test_what_is_wrong_with_an_environment_is_told_with_its_line(folder: Path, text: str, line: str) -> None:
    assert environment_refusal(text).startswith(line)


@pytest.mark.parametrize("name", ["Prod", "a-b", "1a", "a.b", "a" * 13, "local", "sandbox", "x\n"])
def test_a_table_whose_name_is_no_environments_is_told_with_its_line(folder: Path, name: str) -> None:
    told = environment_refusal(f"[environments.{json.dumps(name)}]\n", name)
    assert told.startswith(f"trainyard.toml:1: environments.{name}: {name!r} is ") or name == "x\n"


def test_no_job_file_is_no_environment(folder: Path) -> None:
    with pytest.raises(BadInput, match=r"^trainyard\.toml: no such job file; .*trainyard init"):
        load_environment()


def test_a_job_is_read_without_what_an_environment_needs(folder: Path) -> None:
    write(WHOLE)
    program = (
        "import sys; from trainyard.core.jobs.file import load; assert load().environments['dev'];"
        "print(*(name for name in sys.modules if name.endswith('.environment') or name == 'ipaddress'))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "\n"


@pytest.fixture
def project(folder: Path) -> Path:
    (folder / "train.py").write_text("")
    (folder / "predict.py").write_text("")
    (folder / "data/deep").mkdir(parents=True)
    (folder / "data/deep/x.csv").write_text("a\n")
    return folder


def path_refusal(**values: Any) -> str:
    with pytest.raises(BadInput) as refused:
        check_paths(job(**values))
    return str(refused.value)


def test_paths_that_are_there_are_taken_and_references_are_left_alone(project: Path) -> None:
    check_paths(
        job(
            channels={
                "a": "data",
                "b": "data/deep/x.csv",
                "c": "digits@9",
                "d": "s3://my-bucket/x",
                "e": str(project),
            }
        )
    )
    check_paths(InferenceJob(name="a", handler="predict.py"))


def test_a_path_that_is_missing_or_of_another_kind_is_refused_by_key(project: Path) -> None:
    assert path_refusal(source_dir="nowhere").startswith("train.source_dir: no such folder: nowhere; ")
    assert path_refusal(source_dir="train.py").startswith("train.source_dir: is a file and no folder")
    assert path_refusal(entry_script="trian.py") == (
        "train.entry_script: no such file: ./trian.py; did you mean 'train.py'?"
    )
    (project / "folder.py").mkdir()
    assert path_refusal(entry_script="folder.py").startswith("train.entry_script: no such file: ")
    with pytest.raises(BadInput, match=r"^infer\.handler: no such file: "):
        check_paths(InferenceJob(name="a", handler="nowhere.py"))


def test_a_channel_that_is_missing_or_empty_is_refused_by_key(project: Path) -> None:
    told = path_refusal(channels={"train": "data/x"})
    assert told.startswith("train.channels.train: no such file or folder: data/x; ")
    (project / "empty/deeper").mkdir(parents=True)
    told = path_refusal(channels={"train": "empty"})
    assert told.startswith("train.channels.train: the folder is empty: empty; ")
    assert path_refusal(channels={"train": "digits@one"}).endswith("a data set is name@version")


def test_a_refusal_that_comes_later_is_located_in_the_job_file(project: Path) -> None:
    write(TRAIN + "[train.channels]\nx = 'nowhere'\n")
    file = load("trainyard.toml")
    Path("trainyard.toml").write_text("# changed since\n")

    def refuse(**error: str) -> None:
        raise BadInput("no such thing", cure="make it", **error)

    def refusal_of(**error: str) -> str:
        with pytest.raises(BadInput) as refused:
            file.calling(lambda: refuse(**error))
        return str(refused.value)

    assert refusal_of(key="train.channels.x") == "trainyard.toml:5: train.channels.x: no such thing; make it"
    assert refusal_of(key="--output") == "--output: no such thing; make it"
    assert refusal_of(key="train.x", where="elsewhere") == "elsewhere: train.x: no such thing; make it"


LINES = '''top = 1
[ "a" . b ] # comment
x = """
y = 1
"""
"q.r" = 2
c.d = [
  "z = 3",
]
[[list]]
e = {f = 1}
'''


@pytest.mark.parametrize(
    ("key", "line"),
    [
        ("top", 1),
        ("a.b", 2),
        ("a.b.x", 3),
        ("a.b.q.r", 6),
        ("a.b.c.d", 7),
        ("a.b.y", 2),
        ("list.e", 11),
        ("list.e.f", 11),
        ("nowhere", 0),
        ("a.b.none", 2),
        ("a", 2),
        ("a.b.c", 7),
    ],
)
def test_the_line_of_a_key_is_found_or_its_tables(key: str, line: int) -> None:
    assert line_of(LINES, key) == line


def test_the_whole_job_file_has_every_key_of_the_jobs() -> None:
    tables = dict(re.findall(r"\[([a-z.]+)\]\n((?:[^\[\n]*=.*\n)*)", WHOLE))
    for table, kind in (("train", TrainingJob), ("infer", InferenceJob), ("train.spot", Spot)):
        written = set(re.findall(r"^(\w+) =", tables[table], re.MULTILINE))
        nested = {name.split(".")[1] for name in tables if name.startswith(f"{table}.")}
        assert written | nested == set(kind._fields)
