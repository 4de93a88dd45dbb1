"""The folders of the container contract."""

from pathlib import Path

import pytest

from trainyard.worker.contract.layout import Layout, link


def test_the_folders_are_those_of_the_sagemaker_container() -> None:
    layout = Layout("/opt/ml")
    assert {name: getattr(layout, name) for name in Layout.__slots__ if name != "channels"} == {
        "root": "/opt/ml",
        "input": "/opt/ml/input",
        "config": "/opt/ml/input/config",
        "input_data": "/opt/ml/input/data",
        "model": "/opt/ml/model",
        "checkpoints": "/opt/ml/checkpoints",
        "output": "/opt/ml/output",
        "output_data": "/opt/ml/output/data",
        "intermediate": "/opt/ml/output/intermediate",
        "failure": "/opt/ml/output/failure",
        "code": "/opt/ml/code",
        "own": "/opt/ml/.trainyard",
    }
    assert layout.channel("train") == "/opt/ml/input/data/train"


def test_checkpoints_and_single_channels_may_live_elsewhere() -> None:
    layout = Layout("/r", checkpoints="/shared/checkpoints", channels={"train": "/data/train"})
    assert layout.checkpoints == "/shared/checkpoints"
    assert layout.channel("train") == "/data/train"
    assert layout.channel("test") == "/r/input/data/test"


def test_links_stand_in_for_mounts(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "rows.csv").write_text("a\n")
    (tmp_path / "table.csv").write_text("b\n")
    (tmp_path / "kept").mkdir()
    root = tmp_path / "root"
    (root / "checkpoints").mkdir(parents=True)  # the empty place of a mount gives way
    layout = Layout(
        str(root),
        checkpoints=str(tmp_path / "kept"),
        channels={"train": str(tmp_path / "data"), "table": str(tmp_path / "table.csv")},
    )
    link(layout)
    link(layout)  # again: the older links are replaced
    seen = Layout(str(root))
    assert Path(seen.channel("train"), "rows.csv").read_text() == "a\n"
    assert Path(seen.channel("table")).read_text() == "b\n"
    Path(seen.checkpoints, "epoch-1").write_text("")
    assert (tmp_path / "kept" / "epoch-1").exists()


def test_a_link_never_replaces_what_has_something_in_it(tmp_path: Path) -> None:
    place = tmp_path / "root" / "input" / "data" / "train"
    place.mkdir(parents=True)
    (place / "mine").write_text("")
    (tmp_path / "data").mkdir()
    with pytest.raises(FileExistsError):
        link(Layout(str(tmp_path / "root"), channels={"train": str(tmp_path / "data")}))
    assert (place / "mine").exists()


def test_what_lies_below_the_root_needs_no_link(tmp_path: Path) -> None:
    layout = Layout(str(tmp_path))
    Path(layout.checkpoints).mkdir()
    link(layout)
    assert not Path(layout.checkpoints).is_symlink()
