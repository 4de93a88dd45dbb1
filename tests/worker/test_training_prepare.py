"""What `prepare` makes for one host, and what `failure` reads back."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from trainyard.worker.contract.contract import Layout, TrainingSpec, failure, prepare

HOSTS = ("algo-1", "algo-2", "algo-3")


def spec(**changes: Any) -> TrainingSpec:
    return TrainingSpec("digits-a1b2", "train.py", **changes)


def config(layout: Layout, name: str) -> Any:
    return json.loads(Path(layout.config, name).read_text(encoding="utf-8"))


def test_every_folder_of_the_contract_is_made(tmp_path: Path) -> None:
    layout = Layout(str(tmp_path / "ml"))
    prepare(spec(channels=("train", "test")), layout)
    folders = sorted(
        str(path.relative_to(layout.root)) for path in Path(layout.root).rglob("*") if path.is_dir()
    )
    assert folders == [
        ".trainyard",
        "checkpoints",
        "code",
        "input",
        "input/config",
        "input/data",
        "input/data/test",
        "input/data/train",
        "model",
        "output",
        "output/data",
        "output/intermediate",
    ]


def test_a_channel_that_lives_elsewhere_is_not_touched(tmp_path: Path) -> None:
    layout = Layout(str(tmp_path / "ml"), channels={"train": str(tmp_path / "nowhere")})
    prepare(spec(channels=("train",)), layout)
    assert list(Path(layout.input_data).iterdir()) == []
    assert not (tmp_path / "nowhere").exists()


def test_hyperparameters_json_has_the_strings_of_the_request(tmp_path: Path) -> None:
    layout = Layout(str(tmp_path))
    values = {"epochs": "20", "name": '"größe"', "sagemaker_mpi_enabled": "false"}
    prepare(spec(hyperparameters=values), layout)
    assert config(layout, "hyperparameters.json") == values


def test_inputdataconfig_json_describes_every_channel(tmp_path: Path) -> None:
    layout = Layout(str(tmp_path))
    prepare(spec(channels=("train", "eval")), layout)
    channel = {
        "TrainingInputMode": "File",
        "S3DistributionType": "FullyReplicated",
        "RecordWrapperType": "None",
    }
    assert config(layout, "inputdataconfig.json") == {"train": channel, "eval": channel}


def test_inputdataconfig_json_of_a_job_without_channels_is_an_empty_object(tmp_path: Path) -> None:
    layout = Layout(str(tmp_path))
    prepare(spec(), layout)
    assert config(layout, "inputdataconfig.json") == {}


def test_resourceconfig_json_names_all_hosts_and_this_one(tmp_path: Path) -> None:
    layout = Layout(str(tmp_path))
    prepare(
        spec(hosts=HOSTS, current_host="algo-2", instance_type="ml.m5.xlarge", network_interface="lo"), layout
    )
    assert config(layout, "resourceconfig.json") == {
        "current_host": "algo-2",
        "current_instance_type": "ml.m5.xlarge",
        "current_group_name": "homogeneousCluster",
        "hosts": ["algo-1", "algo-2", "algo-3"],
        "instance_groups": [
            {
                "instance_group_name": "homogeneousCluster",
                "instance_type": "ml.m5.xlarge",
                "hosts": ["algo-1", "algo-2", "algo-3"],
            }
        ],
        "network_interface_name": "lo",
    }


def test_hosts_are_sorted_as_text_as_sagemaker_promises(tmp_path: Path) -> None:
    layout = Layout(str(tmp_path))
    prepare(spec(hosts=tuple(f"algo-{n}" for n in range(1, 12))), layout)
    assert config(layout, "resourceconfig.json")["hosts"][:3] == ["algo-1", "algo-10", "algo-11"]


@pytest.mark.parametrize("hosts", [("algo-2",), ("algo-1", "algo-1")])
def test_hosts_that_cannot_be_are_refused_before_anything_is_made(
    tmp_path: Path, hosts: tuple[str, ...]
) -> None:
    with pytest.raises(ValueError, match="algo-") as refusal:
        prepare(spec(hosts=hosts), Layout(str(tmp_path / "ml")))
    assert "\n" not in str(refusal.value)
    assert not (tmp_path / "ml").exists()


def test_the_checkpoint_folder_is_the_scripts_alone(tmp_path: Path) -> None:
    layout = Layout(str(tmp_path))
    prepare(spec(), layout)
    assert list(Path(layout.checkpoints).iterdir()) == []
    Path(layout.checkpoints, "epoch-7").write_text("state")
    prepare(spec(), layout)
    assert Path(layout.checkpoints, "epoch-7").read_text() == "state"


def wrote(tmp_path: Path, content: bytes) -> str:
    layout = Layout(str(tmp_path))
    Path(layout.output).mkdir()
    Path(layout.failure).write_bytes(content)
    return failure(layout)


def test_the_failure_text_is_stripped_and_decoded_whatever_it_is(tmp_path: Path) -> None:
    assert wrote(tmp_path, b"\n  no labels in train/ \xff\n") == "no labels in train/ \ufffd"


def test_a_long_failure_text_keeps_its_beginning_and_its_end(tmp_path: Path) -> None:
    text = wrote(tmp_path, ("what " + "ü" * 5000 + " why").encode())
    assert len(text) == 1024 and text.startswith("what ü") and text.endswith("ü why") and " ... " in text


def test_no_failure_file_is_no_text(tmp_path: Path) -> None:
    assert failure(Layout(str(tmp_path))) == ""


def test_a_failure_that_is_no_file_is_no_text_and_does_not_hang(tmp_path: Path) -> None:
    layout = Layout(str(tmp_path))
    Path(layout.failure).mkdir(parents=True)
    assert failure(layout) == ""
    Path(layout.failure).rmdir()
    os.mkfifo(layout.failure)
    assert failure(layout) == ""
