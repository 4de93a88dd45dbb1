"""Every limit at its border and one past it."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainyard.core.errors import BadInput
from trainyard.core.jobs import limits
from trainyard.core.jobs.instance_types import instance_types
from trainyard.core.jobs.job import InferenceJob, Resources, ShardResources, Spot, TrainingJob

INT_MAX = 2**31 - 1


def training(**values: Any) -> TrainingJob:
    return TrainingJob(**{"name": "digits", "entry_script": "train.py", **values})


def inference(**values: Any) -> InferenceJob:
    return InferenceJob(**{"name": "digits", "handler": "predict.py", **values})


def resources(**values: Any) -> TrainingJob:
    return training(resources=Resources(**values))


def spot(**values: Any) -> TrainingJob:
    return training(spot=Spot(**values))


def shard(**values: Any) -> InferenceJob:
    return inference(resources=ShardResources(**values))


def refusal(make: Callable[[], object]) -> BadInput:
    with pytest.raises(BadInput) as refused:
        make()
    assert "\n" not in str(refused.value)
    assert refused.value.exit_status == 2
    return refused.value


@pytest.mark.parametrize(
    ("make", "field", "key", "low", "high"),
    [
        (training, "retries", "train.retries", 0, 30),
        (training, "grace", "train.grace", 0, 120),
        (resources, "instance_count", "train.resources.instance_count", 1, INT_MAX),
        (resources, "volume_size_gb", "train.resources.volume_size_gb", 1, 16_384),
        (resources, "memory_mib", "train.resources.memory_mib", 0, INT_MAX),
        (inference, "shards", "infer.shards", 1, 10_000),
        (inference, "batch_size", "infer.batch_size", 1, INT_MAX),
        (inference, "retries", "infer.retries", 0, 9),
        (inference, "timeout", "infer.timeout", 60, INT_MAX),
        (inference, "model_size_gb", "infer.model_size_gb", 1, 16_384),
        (shard, "vcpus", "infer.resources.vcpus", 1, INT_MAX),
        (shard, "memory_mib", "infer.resources.memory_mib", 4, INT_MAX),
        (shard, "gpus", "infer.resources.gpus", 0, INT_MAX),
    ],
)
def test_a_number_is_taken_at_its_borders_and_refused_one_past(
    make: Callable[..., object], field: str, key: str, low: int, high: int
) -> None:
    make(**{field: low})
    make(**{field: high})
    for wrong in (low - 1, high + 1):
        error = refusal(lambda wrong=wrong: make(**{field: wrong}))  # type: ignore[misc]
        assert error.key == key
        assert str(wrong) in error.problem
        assert error.cure
    for wrong in (True, 1.0, "1", None, [1]):
        error = refusal(lambda wrong=wrong: make(**{field: wrong}))  # type: ignore[misc]
        assert error.key == key
        assert "must be an integer, not " in error.problem


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|", "\x01"])
def test_a_delimiter_that_no_field_is_written_with_is_taken(delimiter: str) -> None:
    assert inference(delimiter=delimiter).csv == {"header": True, "delimiter": delimiter}


@pytest.mark.parametrize("delimiter", ["", ";;", "a", "1", '"', "\n", "\r", " ", "\0", "é", None, 1])
def test_another_delimiter_is_refused_with_the_cure(delimiter: Any) -> None:
    error = refusal(lambda: inference(delimiter=delimiter))
    assert error.key == "infer.delimiter"
    assert "is no delimiter" in error.problem or "must be a string" in error.problem


@pytest.mark.parametrize("mode", ["File", "FastFile"])
def test_an_input_mode_that_gives_a_script_files_is_taken(mode: str) -> None:
    assert training(input_mode=mode).input_mode == mode


@pytest.mark.parametrize("mode", ["Pipe", "file", "", "FastFile\n"])
def test_another_input_mode_is_refused_with_those_there_are(mode: str) -> None:
    error = refusal(lambda: training(input_mode=mode))
    assert error.key == "train.input_mode"
    assert error.cure == 'write "File" or "FastFile"'


@pytest.mark.parametrize("char", ["\n", "\r", "\u0085", "\u2028", "\u2029"])
def test_a_script_whose_path_no_argument_of_sagemaker_can_be_is_refused(char: str) -> None:
    for make, key in ((training, "entry_script"), (inference, "handler")):
        error = refusal(lambda make=make, key=key: make(**{key: f"a{char}b.py"}))  # type: ignore[misc]
        assert error.key.endswith(key)
        assert "has a line break" in error.problem


def test_spot_waits_at_least_as_long_as_it_runs_and_runs_28_days_at_most() -> None:
    days = 28 * 86_400
    spot(max_runtime=days, max_wait=days)
    spot(max_runtime=1, max_wait=1)
    assert refusal(lambda: spot(max_runtime=days + 1, max_wait=days + 1)).key == "train.spot.max_runtime"
    assert refusal(lambda: spot(max_runtime=0)).key == "train.spot.max_runtime"
    assert refusal(lambda: spot(max_runtime=100, max_wait=99)).key == "train.spot.max_wait"
    assert refusal(lambda: spot(max_wait=INT_MAX + 1)).key == "train.spot.max_wait"
    assert refusal(lambda: spot(enabled=1)).key == "train.spot.enabled"


def test_without_spot_the_waiting_time_does_not_bound_the_running_time() -> None:
    assert spot(enabled=False, max_runtime=7 * 86_400).spot.max_wait == 172_800


@pytest.mark.parametrize("name", ["a", "7", "my-model", "a--b", "A" * 51, "a" + "-" * 49 + "b"])
def test_a_name_that_sagemaker_takes_is_taken(name: str) -> None:
    assert training(name=name).name == inference(name=name).name == name


@pytest.mark.parametrize(
    ("name", "suggested"),
    [
        ("my_model", "my-model"),
        ("-a", "a"),
        ("a-", "a"),
        ("a b", "a-b"),
        ("a\n", "a"),
        ("digïts", "dig-ts"),
        ("a" * 52, "a" * 51),
        ("___", "model"),
        ("x" * 50 + "__y", "x" * 50),
    ],
)
def test_a_name_that_sagemaker_refuses_is_refused_with_one_that_it_takes(name: str, suggested: str) -> None:
    for make, key in ((training, "train.name"), (inference, "infer.name")):
        error = refusal(lambda make=make: make(name=name))  # type: ignore[misc]
        assert error.key == key
        assert error.cure == f"try {suggested!r}"
        make(name=suggested)


def test_a_name_is_a_string_with_something_in_it() -> None:
    assert "must be a string, not an integer (3)" in refusal(lambda: training(name=3)).problem
    assert "is empty" in refusal(lambda: training(name="")).problem


def test_a_run_and_its_resumes_fit_into_sagemakers_63_characters() -> None:
    assert len("a" * limits.NAME_LENGTH + "-1234567" + "-999") == 63


@given(st.text(max_size=80))
def test_any_text_has_a_legal_name_near_it(text: str) -> None:
    assert training(name=limits.legal_name(text))


@pytest.mark.parametrize(
    "script", ["train.py", "./train.py", "a/b/train.py", "a/../train.py", "x" * 253 + ".py"]
)
def test_a_script_inside_of_the_source_is_taken(script: str) -> None:
    assert training(entry_script=script).entry_script == inference(handler=script).handler == script


@pytest.mark.parametrize(
    "script",
    [
        "",
        "/train.py",
        "~/train.py",
        "../train.py",
        "a/../../train.py",
        "..",
        ".py",
        "train.py/",
        "x" * 254 + ".py",
        "a\0.py",
        "a\ud800.py",
        3,
        None,
    ],
)
def test_a_script_outside_of_the_source_or_of_another_kind_is_refused(script: Any) -> None:
    assert refusal(lambda: training(entry_script=script)).key == "train.entry_script"
    assert refusal(lambda: inference(handler=script)).key == "infer.handler"


def test_an_entry_script_may_be_any_program_and_a_handler_is_python() -> None:
    assert training(entry_script="scripts/train.sh").script == "scripts/train.sh"
    assert refusal(lambda: inference(handler="predict.sh")).key == "infer.handler"


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("dependencies", "lib"),
        ("dependencies", ["s3://bucket/lib"]),
        ("dependencies", ["lib", ".."]),
        ("dependencies", ["lib"] * 101),
        ("python", 3),
        ("isolated", "yes"),
    ],
)
def test_where_a_program_comes_from_is_held_to_its_form(key: str, value: Any) -> None:
    assert (refusal(lambda: training(**{key: value})).key or "").startswith(f"train.{key}")
    assert (refusal(lambda: inference(**{key: value})).key or "").startswith(f"infer.{key}")


@pytest.mark.parametrize(
    "image",
    [
        "",
        "ubuntu",
        "a/b:1.0",
        "123456789012.dkr.ecr.eu-west-1.amazonaws.com/a-b/c_d:tag",
        "localhost:5000/a",
        "a@sha256:" + "0" * 64,
        "a:1@sha256:" + "f" * 64,
        "x" * 255,
    ],
)
def test_an_image_reference_is_taken(image: str) -> None:
    assert training(image=image).image == inference(image=image).image == image


@pytest.mark.parametrize("image", ["a b", "a ", "A/B", "a::b", "a@sha256:12", "https://a/b", "x" * 256, 3])
def test_what_is_no_image_reference_is_refused(image: Any) -> None:
    assert refusal(lambda: training(image=image)).key == "train.image"
    assert refusal(lambda: inference(image=image)).key == "infer.image"


@pytest.mark.parametrize("folder", ["", "s3://bucket/code", 3, "x" * 4097])
def test_a_source_that_is_no_folder_is_refused(folder: Any) -> None:
    assert refusal(lambda: training(source_dir=folder)).key == "train.source_dir"


def test_there_are_18_channels_at_most() -> None:
    channels = {f"c{n}": "data" for n in range(19)}
    assert "19 channels" in refusal(lambda: training(channels=channels)).problem
    channels.popitem()
    assert len(training(channels=channels).channels) == 18


@pytest.mark.parametrize("name", ["train", "a.b-c_d", "9", "x" * 64, "..."])
def test_a_channel_name_that_sagemaker_takes_is_taken(name: str) -> None:
    training(channels={name: "data"})


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a b", "a/b", "é", "a\n", "x" * 65, "trainyard", "Trainyard-x"]
)
def test_a_channel_name_that_sagemaker_or_the_file_system_refuses_is_refused(name: str) -> None:
    error = refusal(lambda: training(channels={name: "data"}))
    assert error.key.startswith("train.channels")
    assert error.cure


def test_channels_that_are_one_variable_to_the_script_are_refused() -> None:
    assert "SM_CHANNEL_TRAIN" in refusal(lambda: training(channels={"train": "a", "Train": "b"})).problem


@pytest.mark.parametrize(
    "source", ["data", "/data", "~/d", "digits@2", "s3://my-bucket", "s3://my-bucket/a b/c"]
)
def test_a_channel_is_a_path_a_data_set_or_an_s3_prefix(source: str) -> None:
    training(channels={"train": source})


@pytest.mark.parametrize(
    "source",
    [
        "",
        "s3://",
        "s3://B/x",
        "gs://bucket/x",
        "https://a/b",
        "s3://my-bucket/" + "x" * 1010,
        "s3://my-bucket/a\u2028b",
        3,
        "\0",
        {},
    ],
)
def test_a_channel_that_is_nothing_of_these_is_refused(source: Any) -> None:
    assert refusal(lambda: training(channels={"train": source})).key == "train.channels.train"


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("a@1", True),
        ("my-data@latest", True),
        ("a@", False),
        ("a@v1", False),
        ("./a@1", False),
        ("a@1\n", False),
    ],
)
def test_a_data_set_reference_is_a_name_and_a_version(text: str, is_one: bool) -> None:
    assert limits.is_dataset_reference(text) is is_one


def test_there_are_100_hyperparameters_of_256_and_2500_characters_at_most() -> None:
    # SageMaker's SDK sends JSON: a text has two quotes around it, and é is written in six characters.
    fits = {f"h{n}": n for n in range(97)} | {"x" * 256: "x" * 2_498, "e": "é" * 416, "i": 10**2_499}
    assert len(training(hyperparameters=fits).hyperparameters) == 100
    assert refusal(lambda: training(hyperparameters={**fits, "one": 1})).key == "train.hyperparameters"
    for wrong in ({"x" * 257: 1}, {"x": "x" * 2_499}, {"x": "é" * 417}, {"x": 10**2_500}, {"x": 10**9_000}):
        assert refusal(lambda wrong=wrong: training(hyperparameters=wrong)).cure  # type: ignore[misc]


@pytest.mark.parametrize("name", ["", "a b", "a=b", "-a", "a\nb", "\ud800", 3])
def test_a_hyperparameter_that_no_script_can_be_given_is_refused(name: Any) -> None:
    assert refusal(lambda: training(hyperparameters={name: 1})).key.startswith("train.hyperparameters")


@pytest.mark.parametrize(
    "value",
    [None, (1,), [None], {1: 1}, {"a": [math.nan]}, math.nan, math.inf, "a\0", ["a\0"], b"x", ["x" * 2_497]],
)
def test_a_hyperparameter_that_json_cannot_carry_is_refused(value: Any) -> None:
    assert refusal(lambda: training(hyperparameters={"x": value})).key.startswith("train.hyperparameters.x")


@pytest.mark.parametrize(
    "value", ["", "a\nb", "--x", 0, -1, 1e-300, True, "nan", [], [1, ["a"]], {"a": {"b": [1.5]}}]
)
def test_a_hyperparameter_that_json_can_carry_is_taken(value: Any) -> None:
    assert training(hyperparameters={"x": value}).hyperparameters["x"] == value


@pytest.mark.parametrize("value", ["secretsmanager:trainyard-dev/token", "env:TOKEN"])
def test_a_secret_is_no_hyperparameter_since_arguments_are_seen(value: str) -> None:
    error = refusal(lambda: training(hyperparameters={"token": value}))
    assert error.key == "train.hyperparameters.token"
    assert "hyperparameters are arguments" in error.problem and "[train.environment]" in error.cure
    # What only begins like one is the script's own text.
    training(hyperparameters={"token": "env: TOKEN", "other": "env:a,env:b"})


@pytest.mark.parametrize("value", ["env:", "env:A-B", "env:A B"])
def test_a_variable_of_the_shell_has_the_name_of_one(value: str) -> None:
    assert refusal(lambda: training(environment={"V": value})).key == "train.environment.V"
    assert refusal(lambda: inference(environment={"V": value})).cure == "write env:NAME"
    inference(environment={"V": "env:_TOKEN2"})


def test_there_are_100_variables_of_512_characters_at_most() -> None:
    fits = {f"V{n}": "x" for n in range(99)} | {"V" * 512: "x" * 512}
    assert len(training(environment=fits).environment) == 100
    assert refusal(lambda: training(environment={**fits, "W": "x"})).key == "train.environment"
    assert refusal(lambda: training(environment={"V" * 513: "x"})).key == "train.environment"
    assert refusal(lambda: training(environment={"V": "x" * 513})).key == "train.environment.V"


def test_the_variables_of_a_shard_fit_into_a_submission_to_batch() -> None:
    full = {f"V{n}": "x" * 490 for n in range(11)} | {"W": ""}
    left = 8_192 - 2_048 - len(json.dumps([{"name": name, "value": value} for name, value in full.items()]))
    assert 0 < left < 512
    inference(environment=full | {"W": "x" * left})
    assert refusal(lambda: inference(environment=full | {"W": "x" * (left + 1)})).key == "infer.environment"


@pytest.mark.parametrize("name", ["", "1A", "A-B", "A B", "A=B", "Ä", "A\n", 3])
def test_what_is_no_name_of_a_variable_is_refused(name: Any) -> None:
    assert refusal(lambda: training(environment={name: "x"})).key.startswith("train.environment")
    assert refusal(lambda: inference(environment={name: "x"})).key.startswith("infer.environment")


@pytest.mark.parametrize("name", ["SM_HPS", "TRAINYARD_ATTEMPT", "TRAINING_JOB_NAME", "MASTER_ADDR", "RANK"])
def test_a_variable_of_the_training_contract_is_refused(name: str) -> None:
    assert refusal(lambda: training(environment={name: "x"})).key == f"train.environment.{name}"


@pytest.mark.parametrize("name", ["AWS_BATCH_JOB_ID", "TRAINYARD_ATTEMPT"])
def test_a_variable_of_the_inference_contract_is_refused(name: str) -> None:
    assert refusal(lambda: inference(environment={name: "x"})).key == f"infer.environment.{name}"


@pytest.mark.parametrize("value", [1, True, None, "a\0b", "\udc80"])
def test_a_variable_that_is_no_text_is_refused(value: Any) -> None:
    assert refusal(lambda: training(environment={"V": value})).key == "train.environment.V"


def test_there_are_40_metrics_of_255_and_500_characters_at_most() -> None:
    fits = {f"m{n}": "(x)" for n in range(39)} | {"m" * 255: "(x)" + "x" * 497}
    assert len(training(metrics=fits).metrics) == 40
    assert refusal(lambda: training(metrics={**fits, "one": "(x)"})).key == "train.metrics"
    assert refusal(lambda: training(metrics={"m" * 256: "(x)"})).key == "train.metrics"
    assert refusal(lambda: training(metrics={"m": "(x)" + "x" * 498})).key == "train.metrics.m"


@pytest.mark.parametrize(
    "regex", ["", "(", "x", "(a)(b)", "(?P<n>[", "(a)\n", "a{99999999999999}(b)", 3, "[[a](b)(c)"]
)
def test_an_impossible_regex_is_refused(regex: Any) -> None:
    assert refusal(lambda: training(metrics={"loss": regex})).key == "train.metrics.loss"


@pytest.mark.parametrize("regex", ["loss=([0-9.]+)", "(?:a|b)=(.*)", "(?P<n>x)", "[[a](b)"])
def test_a_regex_with_one_group_is_taken(regex: str) -> None:
    training(metrics={"train:loss": regex})


@pytest.mark.parametrize("kind", ["", "m5.xlarge", "ml.m5", "ML.m5.xlarge", "ml.m5.xlarge ", 3])
def test_what_is_no_instance_type_is_refused(kind: Any) -> None:
    assert refusal(lambda: resources(instance_type=kind)).key == "train.resources.instance_type"


def test_an_unknown_instance_type_is_a_warning_with_the_nearest_one() -> None:
    (warning,) = limits.warnings(resources(instance_type="ml.m5.xxlarge"))
    assert "ml.m5." in warning.split("did you mean")[1]
    assert limits.warnings(resources(instance_type="ml.q9.xlarge"))


@pytest.mark.parametrize("kind", instance_types())
def test_a_known_instance_type_is_taken_without_a_warning(kind: str) -> None:
    assert limits.warnings(resources(instance_type=kind)) == []


def test_every_instance_type_of_botocore_is_known_once() -> None:
    assert len(instance_types()) == len(set(instance_types())) == 225


def test_hyperparameters_that_the_script_would_not_see_are_a_warning() -> None:
    lines = limits.warnings(training(hyperparameters={"lr": 1, "LR": 2, "sagemaker_program": "x"}))
    assert [line.split(":")[0] for line in lines] == [
        "train.hyperparameters.LR",
        "train.hyperparameters.sagemaker_program",
    ]
    assert limits.warnings(inference()) == []


@pytest.mark.parametrize(
    "field", ["channels", "hyperparameters", "environment", "metrics", "resources", "spot"]
)
@pytest.mark.parametrize("value", [None, 3, "x", [], ["a"]])
def test_what_is_no_table_is_refused(field: str, value: Any) -> None:
    error = refusal(lambda: training(**{field: value}))
    assert error.key == f"train.{field}"
    assert "must be a" in error.problem


@given(
    st.sampled_from(list(TrainingJob._fields)),
    st.one_of(st.none(), st.integers(), st.floats(), st.text(), st.binary(), st.lists(st.integers()))
    | st.dictionaries(st.text() | st.integers(), st.one_of(st.text(), st.integers(), st.none(), st.floats())),
)
def test_any_value_makes_a_job_or_one_line(field: str, value: Any) -> None:
    try:
        training(**{field: value})
    except BadInput as error:
        assert error.key.startswith(f"train.{field}")
        assert len(str(error).splitlines()) == 1
        assert len(str(error)) < 400
