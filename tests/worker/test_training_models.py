"""The hosts' model folders become one model, whole or not at all."""

import errno
import os
import socket
import tempfile
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainyard.worker.contract.contract import ModelConflict, ModelRefused, merge_models


def folder(root: Path, files: dict[str, str], *, empty: tuple[str, ...] = ()) -> Path:
    root.mkdir(parents=True)
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    for name in empty:
        (root / name).mkdir(parents=True)
    return root


def contents(root: Path) -> dict[str, str]:
    return {str(p.relative_to(root)): p.read_text() for p in root.rglob("*") if p.is_file()}


def names(root: Path) -> list[str]:
    return sorted(path.name for path in root.iterdir())


def merge(sources: Sequence[Path], target: Path, hosts: Sequence[str] = ()) -> int:
    return merge_models([str(source) for source in sources], str(target), hosts)


def one_line(error: pytest.ExceptionInfo[BaseException]) -> str:
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.fixture
def across_file_systems(monkeypatch: pytest.MonkeyPatch) -> None:
    """Renames between different folders fail as they do between file systems."""
    rename = os.rename

    def refuse(source: str, place: str) -> None:
        if Path(source).parent != Path(place).parent:
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV), source, None, place)
        rename(source, place)

    monkeypatch.setattr(os, "rename", refuse)


def test_one_hosts_model_is_renamed_as_it_is(tmp_path: Path) -> None:
    source = folder(tmp_path / "a", {"weights": "w", "tokens/vocabulary": "v"}, empty=("logs",))
    inode = source.stat().st_ino
    assert merge([source], tmp_path / "models" / "model") == 2
    assert contents(tmp_path / "models" / "model") == {"weights": "w", "tokens/vocabulary": "v"}
    assert (tmp_path / "models" / "model").stat().st_ino == inode
    assert not source.exists()


def test_hosts_models_become_one(tmp_path: Path) -> None:
    sources = [
        folder(tmp_path / "1", {"part/1": "one", "config": "c"}),
        folder(tmp_path / "2", {"part/2": "two"}, empty=("part/logs",)),
        folder(tmp_path / "3", {}),
    ]
    assert merge(sources, tmp_path / "model") == 3
    assert contents(tmp_path / "model") == {"part/1": "one", "config": "c", "part/2": "two"}
    assert (tmp_path / "model" / "part" / "logs").is_dir()
    assert names(tmp_path) == ["1", "2", "3", "model"]


def test_the_model_of_the_one_host_that_wrote_is_renamed(tmp_path: Path) -> None:
    sources = [folder(tmp_path / "1", {"weights": "w"}), folder(tmp_path / "2", {}, empty=("logs",))]
    inode = sources[0].stat().st_ino
    assert merge(sources, tmp_path / "model") == 1
    assert (tmp_path / "model").stat().st_ino == inode


def test_empty_folders_make_no_model(tmp_path: Path) -> None:
    sources = [folder(tmp_path / "1", {}, empty=("a/b",)), tmp_path / "never made"]
    assert merge(sources, tmp_path / "model") == 0
    assert not (tmp_path / "model").exists()


@pytest.mark.parametrize(
    ("first", "second", "path"),
    [
        ({"a/weights": "1"}, {"a/weights": "2"}, "a/weights"),
        ({"a/weights": "1"}, {"a/weights": "11"}, "a/weights"),
        ({"a": "1"}, {"a/b": "2"}, "a"),
        ({"a/b": "1"}, {"a": "2"}, "a"),
    ],
)
def test_different_bytes_of_two_hosts_under_one_name_are_a_conflict_and_nothing_moves(
    tmp_path: Path, first: dict[str, str], second: dict[str, str], path: str
) -> None:
    sources = [folder(tmp_path / "1", {"only": "x", **first}), folder(tmp_path / "2", second)]
    with pytest.raises(ModelConflict) as conflict:
        merge(sources, tmp_path / "model", hosts=("algo-3", "algo-7"))
    message = one_line(conflict)
    assert "algo-3" in message
    assert "algo-7" in message
    assert f" {path} differently;" in message
    assert contents(sources[0]) == {"only": "x", **first}
    assert contents(sources[1]) == second
    assert names(tmp_path) == ["1", "2"]


def test_links_inside_the_model_are_kept(tmp_path: Path) -> None:
    sources = [folder(tmp_path / "1", {"step/7": "w"}), folder(tmp_path / "2", {"other": "o"})]
    (sources[0] / "best").symlink_to("step/7")
    assert merge(sources, tmp_path / "model") == 3
    assert str((tmp_path / "model" / "best").readlink()) == "step/7"
    assert (tmp_path / "model" / "best").read_text() == "w"


@pytest.mark.parametrize("destination", ["/etc/hosts", "../outside", "step/../../outside"])
def test_links_out_of_the_model_are_refused(tmp_path: Path, destination: str) -> None:
    source = folder(tmp_path / "1", {"step/7": "w"})
    (tmp_path / "outside").write_text("")
    (source / "best").symlink_to(destination)
    with pytest.raises(ModelRefused) as refusal:
        merge([source], tmp_path / "model")
    assert f"model of algo-1: best is a link to {destination}" in one_line(refusal)
    assert source.exists()
    assert not (tmp_path / "model").exists()


def test_the_same_bytes_of_several_hosts_are_one_file(tmp_path: Path) -> None:
    sources = [folder(tmp_path / str(host), {"a/weights": "w", f"part-{host}": ""}) for host in (1, 2, 3)]
    for source in sources:
        (source / "latest").symlink_to("a/weights")
    assert merge(sources, tmp_path / "model") == 5
    assert contents(tmp_path / "model")["a/weights"] == "w"
    assert str((tmp_path / "model" / "latest").readlink()) == "a/weights"


def test_a_link_that_leaves_by_way_of_another_link_is_refused(tmp_path: Path) -> None:
    source = folder(tmp_path / "1", {"a/b/weights": "w"})
    (source / "here").symlink_to("a/b")
    (source / "best").symlink_to("here/../../../outside")
    with pytest.raises(ModelRefused, match="best is a link"):
        merge([source], tmp_path / "model")


def test_an_absolute_link_that_stays_inside_becomes_relative(tmp_path: Path) -> None:
    source = folder(tmp_path / "1", {"step/7": "w"})
    (source / "step" / "best").symlink_to("/opt/ml/model/step/7")
    (source / "latest").symlink_to(source / "step" / "best")
    merge([source], tmp_path / "model")
    links = [str((tmp_path / "model" / name).readlink()) for name in ("step/best", "latest")]
    assert links == ["7", "step/best"]
    assert (tmp_path / "model" / "latest").read_text() == "w"


@pytest.mark.parametrize(
    ("destination", "why"), [("gone", "leads nowhere"), (".", "leads back"), ("best", "leads nowhere")]
)
def test_links_that_lead_nowhere_or_in_circles_are_refused(
    tmp_path: Path, destination: str, why: str
) -> None:
    source = folder(tmp_path / "1", {"weights": "w"})
    (source / "best").symlink_to(destination)
    with pytest.raises(ModelRefused, match=f"best is a link that {why}"):
        merge([source], tmp_path / "model")


def test_pipes_and_sockets_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = folder(tmp_path / "1", {"weights": "w"})
    os.mkfifo(source / "pipe")
    with pytest.raises(ModelRefused, match="pipe is a socket, a pipe or a device"):
        merge([source], tmp_path / "model")
    (source / "pipe").unlink()
    monkeypatch.chdir(source)  # a socket's path is short
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("sock")
        with pytest.raises(ModelRefused, match="sock is a socket"):
            merge([source], tmp_path / "model")


def test_a_model_folder_that_became_a_link_is_refused(tmp_path: Path) -> None:
    real = folder(tmp_path / "real", {"weights": "w"})
    (tmp_path / "1").symlink_to(real)
    with pytest.raises(ModelRefused, match="write into the folder instead"):
        merge([tmp_path / "1"], tmp_path / "model")


def test_a_message_is_one_line_whatever_the_file_is_called(tmp_path: Path) -> None:
    sources = [folder(tmp_path / str(host), {"two\nlines": str(host)}) for host in (1, 2)]
    with pytest.raises(ModelConflict) as conflict:
        merge(sources, tmp_path / "model")
    assert "wrote 'two\\nlines' differently" in one_line(conflict)


def test_every_model_folder_has_its_host(tmp_path: Path) -> None:
    sources = [folder(tmp_path / str(host), {f"part-{host}": ""}) for host in (1, 2)]
    with pytest.raises(ValueError, match="1 names for 2 model folders"):
        merge(sources, tmp_path / "model", hosts=["algo-1"])
    assert names(sources[1]) == ["part-2"]


def test_a_model_never_replaces_another(tmp_path: Path) -> None:
    source = folder(tmp_path / "1", {"weights": "new"})
    target = folder(tmp_path / "model", {"weights": "old"})
    with pytest.raises(FileExistsError):
        merge([source], target)
    assert contents(target) == {"weights": "old"}
    assert contents(source) == {"weights": "new"}


def test_what_an_earlier_merge_left_is_not_mixed_in(tmp_path: Path) -> None:
    sources = [folder(tmp_path / str(host), {f"part-{host}": ""}) for host in (1, 2)]
    left = folder(tmp_path / "model.merging", {"part-1": "older"})
    with pytest.raises(FileExistsError):
        merge(sources, tmp_path / "model")
    assert contents(left) == {"part-1": "older"}
    assert [names(source) for source in sources] == [["part-1"], ["part-2"]]


def test_empty_folders_are_in_nobodys_way(tmp_path: Path) -> None:
    sources = [folder(tmp_path / "1", {"a": "file"}), folder(tmp_path / "2", {}, empty=("a",))]
    assert merge(sources, tmp_path / "model") == 1
    assert contents(tmp_path / "model") == {"a": "file"}


def test_an_empty_target_is_filled(tmp_path: Path) -> None:
    source = folder(tmp_path / "1", {"weights": "w"})
    assert merge([source], folder(tmp_path / "model", {})) == 1
    assert contents(tmp_path / "model") == {"weights": "w"}


@pytest.mark.usefixtures("across_file_systems")
def test_between_file_systems_a_model_is_copied_and_the_source_removed(tmp_path: Path) -> None:
    source = folder(tmp_path / "1" / "model", {"weights": "w", "a/b": "c"})
    (source / "weights").chmod(0o750)
    (source / "best").symlink_to("a/b")
    assert merge([source], tmp_path / "model") == 3
    assert contents(tmp_path / "model") == {"weights": "w", "a/b": "c", "best": "c"}
    assert str((tmp_path / "model" / "best").readlink()) == "a/b"
    assert (tmp_path / "model" / "weights").stat().st_mode & 0o777 == 0o750
    assert names(tmp_path) == ["1", "model"]
    assert not source.exists()


@pytest.mark.usefixtures("across_file_systems")
def test_between_file_systems_hosts_models_become_one(tmp_path: Path) -> None:
    sources = [folder(tmp_path / "1" / "m", {"a/1": "1"}), folder(tmp_path / "2" / "m", {"a/2": "2"})]
    (sources[0] / "best").symlink_to("a/1")
    assert merge(sources, tmp_path / "model") == 3
    assert contents(tmp_path / "model") == {"a/1": "1", "a/2": "2", "best": "1"}
    assert (tmp_path / "model" / "best").is_symlink()


def test_a_real_other_file_system_is_no_obstacle(tmp_path: Path) -> None:
    memory = Path("/dev/shm")
    if not os.access(memory, os.W_OK) or memory.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("no second file system to write to on this machine")
    with tempfile.TemporaryDirectory(dir=memory) as other:
        sources = [folder(Path(other, "1"), {"a/1": "1"}), folder(tmp_path / "2", {"a/2": "2"})]
        assert merge(sources, tmp_path / "model") == 2
        assert contents(tmp_path / "model") == {"a/1": "1", "a/2": "2"}
        assert merge([folder(Path(other, "3"), {"b/3": "3"})], tmp_path / "whole") == 1
        assert contents(tmp_path / "whole") == {"b/3": "3"}
        assert names(Path(other)) == ["1"]
        assert contents(Path(other)) == {}


NAMES = st.sampled_from(["a", "b", "a/c", "a/d", "b/c/d", "e"])


@given(st.lists(st.sets(NAMES), min_size=1, max_size=3))
def test_every_file_arrives_once_or_nothing_moves(
    tmp_path_factory: pytest.TempPathFactory, hosts: list[set[str]]
) -> None:
    root = tmp_path_factory.mktemp("merge")
    # One host cannot itself have a file where it has a folder.
    hosts = [{n for n in own if not any(o.startswith(n + "/") for o in own)} for own in hosts]
    sources = [folder(root / str(i), {n: f"{i} {n}" for n in own}) for i, own in enumerate(hosts)]
    before = [contents(source) for source in sources]
    every = [name for own in hosts for name in own]
    clash = len(set(every)) < len(every) or any(o.startswith(n + "/") for n in every for o in every)
    if clash:
        with pytest.raises(ModelConflict):
            merge(sources, root / "model")
        assert [contents(source) for source in sources] == before
    else:
        assert merge(sources, root / "model") == len(every)
        assert contents(root / "model") == {name: text for one in before for name, text in one.items()}
