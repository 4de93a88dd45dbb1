"""Every variable a training script sees."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainyard.worker.contract.contract import Layout, TrainingSpec, count_gpus, environment, prepare

ML = Layout("/opt/ml")
CHANNEL = {"TrainingInputMode": "File", "S3DistributionType": "FullyReplicated", "RecordWrapperType": "None"}


def spec(**changes: Any) -> TrainingSpec:
    return TrainingSpec("digits-a1b2", "train.py", **{"num_cpus": 4, "num_gpus": 1, **changes})


def compact(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def expected(host: str, rank: int, hosts: list[str]) -> dict[str, str]:
    """The whole table, for a job with two channels and three hyperparameters."""
    group = {"instance_group_name": "homogeneousCluster", "instance_type": "ml.m5.xlarge", "hosts": hosts}
    resources = {
        "current_host": host,
        "current_instance_type": "ml.m5.xlarge",
        "current_group_name": "homogeneousCluster",
        "hosts": hosts,
        "instance_groups": [group],
        "network_interface_name": "lo",
    }
    values = {"epochs": 20, "optimizer": "adam", "shuffle": True}
    training_env = {
        "additional_framework_parameters": {"sagemaker_mpi_enabled": False},
        "channel_input_dirs": {"train": "/opt/ml/input/data/train", "eval": "/opt/ml/input/data/eval"},
        "current_host": host,
        "current_instance_group": "homogeneousCluster",
        "current_instance_group_hosts": hosts,
        "current_instance_type": "ml.m5.xlarge",
        "distribution_hosts": [],
        "distribution_instance_groups": [],
        "framework_module": None,
        "hosts": hosts,
        "hyperparameters": values,
        "input_config_dir": "/opt/ml/input/config",
        "input_data_config": {"train": CHANNEL, "eval": CHANNEL},
        "input_dir": "/opt/ml/input",
        "instance_groups": ["homogeneousCluster"],
        "instance_groups_dict": {"homogeneousCluster": group},
        "is_hetero": False,
        "is_master": rank == 0,
        "is_modelparallel_enabled": None,
        "is_smddpmprun_installed": False,
        "is_smddprun_installed": False,
        "job_name": "digits-a1b2",
        "log_level": 20,
        "master_hostname": "algo-1",
        "model_dir": "/opt/ml/model",
        "module_dir": "/opt/ml/code",
        "module_name": "train",
        "network_interface_name": "lo",
        "num_cpus": 4,
        "num_gpus": 1,
        "num_neurons": 0,
        "output_data_dir": "/opt/ml/output/data",
        "output_dir": "/opt/ml/output",
        "output_intermediate_dir": "/opt/ml/output/intermediate",
        "resource_config": resources,
        "topology": [],
        "user_entry_point": "train.py",
    }
    return {
        "CURRENT_HOST": host,
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": "7777",
        "PYTHONPATH": "/opt/ml/code:/opt/ml/.trainyard",
        "PYTHONUNBUFFERED": "1",
        "RANK": str(rank),
        "SAGEMAKER_JOB_NAME": "digits-a1b2",
        "SAGEMAKER_REGION": "",
        "SM_CHANNELS": '["eval","train"]',
        "SM_CHANNEL_EVAL": "/opt/ml/input/data/eval",
        "SM_CHANNEL_TRAIN": "/opt/ml/input/data/train",
        "SM_CURRENT_HOST": host,
        "SM_CURRENT_HOST_RANK": str(rank),
        "SM_CURRENT_INSTANCE_GROUP": "homogeneousCluster",
        "SM_CURRENT_INSTANCE_GROUP_HOSTS": compact(hosts),
        "SM_CURRENT_INSTANCE_TYPE": "ml.m5.xlarge",
        "SM_DISTRIBUTION_INSTANCE_GROUPS": "[]",
        "SM_FRAMEWORK_MODULE": "",
        "SM_FRAMEWORK_PARAMS": '{"sagemaker_mpi_enabled":false}',
        "SM_HOSTS": compact(hosts),
        "SM_HOST_COUNT": str(len(hosts)),
        "SM_HPS": '{"epochs":20,"optimizer":"adam","shuffle":true}',
        "SM_HP_EPOCHS": "20",
        "SM_HP_OPTIMIZER": "adam",
        "SM_HP_SHUFFLE": "true",
        "SM_INPUT_CONFIG_DIR": "/opt/ml/input/config",
        "SM_INPUT_DATA_CONFIG": compact({"train": CHANNEL, "eval": CHANNEL}),
        "SM_INPUT_DATA_DIR": "/opt/ml/input/data",
        "SM_INPUT_DIR": "/opt/ml/input",
        "SM_INSTANCE_GROUPS": '["homogeneousCluster"]',
        "SM_INSTANCE_GROUPS_DICT": compact({"homogeneousCluster": group}),
        "SM_IS_HETERO": "false",
        "SM_LOG_LEVEL": "20",
        "SM_MASTER": "algo-1",
        "SM_MASTER_ADDR": "127.0.0.1",
        "SM_MASTER_PORT": "7777",
        "SM_MODEL_DIR": "/opt/ml/model",
        "SM_MODULE_DIR": "/opt/ml/code",
        "SM_MODULE_NAME": "train",
        "SM_NETWORK_INTERFACE_NAME": "lo",
        "SM_NUM_CPUS": "4",
        "SM_NUM_GPUS": "1",
        "SM_NUM_NEURONS": "0",
        "SM_OUTPUT_DATA_DIR": "/opt/ml/output/data",
        "SM_OUTPUT_DIR": "/opt/ml/output",
        "SM_OUTPUT_FAILURE": "/opt/ml/output/failure",
        "SM_OUTPUT_INTERMEDIATE_DIR": "/opt/ml/output/intermediate",
        "SM_RESOURCE_CONFIG": compact(resources),
        "SM_TRAINING_ENV": compact(training_env),
        "SM_USER_ARGS": '["--epochs","20","--optimizer","adam","--shuffle","True"]',
        "SM_USER_ENTRY_POINT": "train.py",
        "TRAINING_JOB_NAME": "digits-a1b2",
        "TRAINYARD_ATTEMPT": "2",
        "TRAINYARD_CHECKPOINT_DIR": "/opt/ml/checkpoints",
        "WORLD_SIZE": str(len(hosts)),
    }


@pytest.mark.parametrize("hosts", [["algo-1"], ["algo-1", "algo-2", "algo-3"]], ids=["one", "three"])
def test_every_host_sees_the_whole_table_and_nothing_else(hosts: list[str]) -> None:
    for rank, host in enumerate(hosts):
        job = spec(
            hosts=tuple(hosts),
            current_host=host,
            hyperparameters={
                "epochs": "20",
                "optimizer": '"adam"',
                "shuffle": "true",
                "sagemaker_mpi_enabled": "false",
            },
            channels=("train", "eval"),
            instance_type="ml.m5.xlarge",
            network_interface="lo",
            master_addr="127.0.0.1",
        )
        assert environment(job, ML, 2) == expected(host, rank, hosts)


def test_the_topology_of_an_ultra_server_is_told_where_sagemaker_tells_it() -> None:
    topology = [{"hostName": "algo-1", "capacityUnitId": "unit-1"}]
    variables = environment(spec(topology=topology), ML, 1)
    assert json.loads(variables["SM_TOPOLOGY"]) == topology
    assert json.loads(variables["SM_TRAINING_ENV"])["topology"] == topology
    assert json.loads(variables["SM_RESOURCE_CONFIG"])["topology"] == topology


def test_the_rank_is_the_place_in_sm_hosts_however_many_there_are() -> None:
    hosts = tuple(f"algo-{number}" for number in range(1, 13))
    for host in hosts:
        variables = environment(spec(hosts=hosts, current_host=host), ML, 1)
        assert json.loads(variables["SM_HOSTS"])[int(variables["RANK"])] == host
        assert variables["MASTER_ADDR"] == "algo-1"


SCRIPT = """
import json, os
env = os.environ
def read(name):
    with open(os.path.join(env["SM_INPUT_CONFIG_DIR"], name)) as file:
        return json.load(file)
values = {key: json.loads(text) for key, text in read("hyperparameters.json").items()}
assert values == json.loads(env["SM_HPS"])
assert read("resourceconfig.json") == json.loads(env["SM_RESOURCE_CONFIG"])
assert read("inputdataconfig.json") == json.loads(env["SM_INPUT_DATA_CONFIG"])
whole = json.loads(env["SM_TRAINING_ENV"])
assert whole["channel_input_dirs"]["train"] == env["SM_CHANNEL_TRAIN"]
for name in ("SM_CHANNEL_TRAIN", "SM_MODEL_DIR", "SM_OUTPUT_DATA_DIR", "TRAINYARD_CHECKPOINT_DIR"):
    assert os.path.isdir(env[name]), name
assert env["TRAINYARD_ATTEMPT"] == "1" and int(env["SM_NUM_CPUS"]) >= 1
"""


def test_a_script_reads_the_files_that_prepare_wrote(tmp_path: Path) -> None:
    layout = Layout(str(tmp_path))
    job = spec(hyperparameters={"a": "1", "b": '"x"'}, channels=("train",), num_cpus=None, num_gpus=None)
    prepare(job, layout)
    script = tmp_path / "code" / "train.py"
    script.write_text(SCRIPT)
    variables = environment(job, layout, 1)
    subprocess.run([sys.executable, str(script)], env=variables, check=True)


def test_odd_hyperparameter_names_are_upper_cased_and_nothing_more() -> None:
    variables = environment(spec(hyperparameters={"learning-rate": "0.1", "model.depth": "3"}), ML, 1)
    assert variables["SM_HP_LEARNING-RATE"] == "0.1"
    assert variables["SM_HP_MODEL.DEPTH"] == "3"


def test_a_hyperparameter_no_variable_can_hold_is_in_sm_hps_alone() -> None:
    variables = environment(spec(hyperparameters={"a=b": "1", "c": "2"}), ML, 1)
    assert [name for name in variables if name.startswith("SM_HP_")] == ["SM_HP_C"]
    assert json.loads(variables["SM_HPS"]) == {"a=b": 1, "c": 2}


NAMES = st.text(min_size=1, max_size=20).filter(lambda name: "\0" not in name)
VALUES = st.one_of(st.text(), st.integers(), st.booleans(), st.none()).filter(lambda v: "\0" not in str(v))


@given(st.dictionaries(NAMES, VALUES, max_size=5))
def test_the_operating_system_takes_every_variable(values: dict[str, Any]) -> None:
    variables = environment(spec(hyperparameters={k: json.dumps(v) for k, v in values.items()}), ML, 1)
    for name, text in variables.items():
        assert name
        assert not {"=", "\0"} & set(name)
        assert b"\0" not in os.fsencode(text)
    own = {key: value for key, value in values.items() if not key.startswith("sagemaker_")}
    assert json.loads(variables["SM_HPS"]) == own


def test_null_is_an_empty_variable_and_an_object_is_json() -> None:
    variables = environment(spec(hyperparameters={"a": "null", "b": '{"y": [1, 2]}'}), ML, 1)
    assert variables["SM_HP_A"] == ""
    assert variables["SM_HP_B"] == '{"y":[1,2]}'


def test_the_users_variables_win_over_defaults_and_lose_to_the_contract() -> None:
    mine = {
        "PYTHONUNBUFFERED": "",
        "MASTER_PORT": "29500",
        "SM_MODEL_DIR": "/elsewhere",
        "TRAINING_JOB_NAME": "mine",
        "GREETING": "hello",
    }
    variables = environment(spec(user_environment=mine), ML, 1)
    assert variables["PYTHONUNBUFFERED"] == ""
    assert variables["MASTER_PORT"] == variables["SM_MASTER_PORT"] == "29500"
    assert variables["SM_MODEL_DIR"] == "/opt/ml/model"
    assert variables["TRAINING_JOB_NAME"] == "digits-a1b2"
    assert variables["GREETING"] == "hello"


def test_the_code_folder_comes_before_the_users_python_path() -> None:
    variables = environment(spec(user_environment={"PYTHONPATH": "/mine"}), ML, 1)
    assert variables["PYTHONPATH"] == os.pathsep.join(["/opt/ml/code", "/mine", "/opt/ml/.trainyard"])


def test_the_arn_is_there_when_the_job_has_one() -> None:
    arn = "arn:aws:sagemaker:eu-west-1:123456789012:training-job/digits"
    assert environment(spec(job_arn=arn), ML, 1)["TRAINING_JOB_ARN"] == arn
    assert "TRAINING_JOB_ARN" not in environment(spec(), ML, 1)


def test_the_region_is_the_users() -> None:
    variables = environment(spec(user_environment={"AWS_REGION": "eu-west-1"}), ML, 1)
    assert variables["SAGEMAKER_REGION"] == "eu-west-1"


def test_checkpoints_and_channels_that_live_elsewhere_are_shown_where_they_are() -> None:
    layout = Layout("/r", checkpoints="/kept", channels={"train": "/data/train"})
    variables = environment(spec(channels=("train",)), layout, 1)
    assert variables["TRAINYARD_CHECKPOINT_DIR"] == "/kept"
    assert variables["SM_CHANNEL_TRAIN"] == "/data/train"


@pytest.mark.parametrize(
    ("entry_script", "module"), [("train.py", "train"), ("src/fit.py", "src/fit"), ("run.sh", "run.sh")]
)
def test_the_module_name_is_the_script_without_its_suffix(entry_script: str, module: str) -> None:
    assert environment(spec()._replace(entry_script=entry_script), ML, 1)["SM_MODULE_NAME"] == module


def test_the_log_level_follows_sagemakers_setting() -> None:
    assert (
        environment(spec(hyperparameters={"sagemaker_container_log_level": "10"}), ML, 1)["SM_LOG_LEVEL"]
        == "10"
    )


@pytest.mark.parametrize(
    ("visible", "count"),
    [
        ("", 0),
        ("-1", 0),
        ("0", 1),
        ("0,1, 2", 3),
        ("0,-1,2", 1),
        ("GPU-8932f937,MIG-1", 2),
        ("none", 0),
        ("1,1", 0),
    ],
)
def test_visible_gpus_are_counted_as_cuda_reads_them(visible: str, count: int) -> None:
    assert count_gpus({"CUDA_VISIBLE_DEVICES": visible}) == count


def test_gpus_are_those_the_driver_lists_when_nothing_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainyard.worker.contract.variables._GPUS", str(tmp_path))
    for slot in ("0000:3b:00.0", "0000:86:00.0"):
        (tmp_path / slot).mkdir()
    assert count_gpus({}) == 2
    monkeypatch.setattr("trainyard.worker.contract.variables._GPUS", str(tmp_path / "none"))
    assert count_gpus({}) == 0


def test_gpus_the_user_hides_are_not_counted() -> None:
    job = spec(num_gpus=None, user_environment={"CUDA_VISIBLE_DEVICES": "0,1"})
    assert environment(job, ML, 1)["SM_NUM_GPUS"] == "2"
