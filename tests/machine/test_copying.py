from __future__ import annotations

import os
import shutil
import socket
import stat
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conftest import make_tree
from trainyard.core.errors import BadInput
from trainyard.core.files.trees import hash_tree, leads_out
from trainyard.machine import copying, mounts
from trainyard.machine.copying import clone_or_copy, copy_tree, mountable
from trainyard.machine.mounts import network_kind

MOUNTINFO = rb"""27 1 254:0 / / rw,relatime - ext4 /dev/vda rw
40 27 0:40 / /home/ann rw shared:1 - nfs4 server:/export rw,vers=4.2
41 40 0:41 / /home/ann/scratch rw - xfs /dev/vdb rw
42 27 0:42 / /mnt/my\040share rw - cifs //server/share rw
43 27 0:43 / /data rw - autofs systemd-1 rw
44 43 0:44 / /data rw - nfs server:/data rw
45 27 0:45 / /remote rw - fuse.sshfs ann@host: rw
46 27 0:46 / /merged rw - fuse.mergerfs a:b rw
47 27 0:47 / /host rw - 9p drvfs rw
48 27 0:48 / /srv rw - virtiofs share rw
49 27 0:49 / /over rw - overlay overlay rw
50 27 0:50 / /home/annex rw - ext4 /dev/vdc rw
"""

MACOS_MOUNT = """/dev/disk3s1s1 on / (apfs, sealed, local, read-only, journaled)
/dev/disk3s5 on /System/Volumes/Data (apfs, local, journaled, nobrowse)
//ann@server/share on /Volumes/My share (smbfs, nodev, nosuid, mounted by ann)
server:/export on /Volumes/nfs (nfs, nodev, nosuid)
ann@host:/home on /Volumes/ssh (macfuse.sshfs, synchronous)
"""


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/var/x", ""),
        ("/home/ann", "nfs4"),
        ("/home/ann/project/.trainyard", "nfs4"),
        ("/home/ann/scratch/x", ""),
        ("/home/annex/x", ""),
        ("/mnt/my share/x", "cifs"),
        ("/data/x", "nfs"),
        ("/remote", "fuse.sshfs"),
        ("/merged/x", ""),
        ("/host/c", ""),
        ("/srv/x", ""),
        ("/over/x", ""),
    ],
)
def test_the_longest_and_latest_mount_tells_the_kind(path: str, kind: str) -> None:
    assert mounts.kind_in(mounts.parse_mountinfo(MOUNTINFO), path) == kind


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/Users/ann", ""),
        ("/Volumes/My share/x", "smbfs"),
        ("/Volumes/nfs", "nfs"),
        ("/Volumes/ssh/x", "macfuse.sshfs"),
    ],
)
def test_the_output_of_mount_on_macos_is_understood(path: str, kind: str) -> None:
    assert mounts.kind_in(mounts.parse_mount_output(MACOS_MOUNT), path) == kind


def test_a_temporary_folder_is_local_and_so_is_what_does_not_exist_in_it(tmp_path: Path) -> None:
    assert network_kind(str(tmp_path)) == ""
    assert network_kind(str(tmp_path / "absent" / "deeper")) == ""


@pytest.mark.parametrize("size", [0, 1, 70_000, 3_000_000])
@pytest.mark.parametrize("in_kernel", [True, False])
def test_a_copy_has_the_same_bytes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int, in_kernel: bool
) -> None:
    if not in_kernel:
        monkeypatch.setattr(copying, "_reflink", lambda *_: False)
        monkeypatch.setattr(copying, "_copy_in_kernel", lambda *_: False)
    (tmp_path / "source").write_bytes(os.urandom(size))
    clone_or_copy(str(tmp_path / "source"), str(tmp_path / "target"))
    assert (tmp_path / "target").read_bytes() == (tmp_path / "source").read_bytes()


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="/proc is Linux's")
def test_a_file_that_the_kernel_makes_up_is_copied_too(tmp_path: Path) -> None:
    clone_or_copy("/proc/version", str(tmp_path / "version"))
    assert (tmp_path / "version").read_bytes() == Path("/proc/version").read_bytes()


@pytest.mark.parametrize(
    ("mode", "copied"), [(0o400, 0o600), (0o600, 0o600), (0o755, 0o755), (0o510, 0o710), (0o4640, 0o640)]
)
def test_a_copy_gives_nobody_more_than_its_original_and_its_owner_can_write_it(
    tmp_path: Path, mode: int, copied: int
) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_text("x")
    source.chmod(mode)
    os.utime(source, (1, 1))
    clone_or_copy(str(source), str(target))
    assert stat.S_IMODE(target.stat().st_mode) == copied
    assert target.stat().st_mtime > 1


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to another group")
def test_a_copy_of_another_group_gives_it_what_everybody_has(tmp_path: Path) -> None:
    (tmp_path / "source/deep").mkdir(parents=True)
    for name, mode in (("source/deep/closed", 0o640), ("source/deep/open", 0o664)):
        (tmp_path / name).write_text("x")
        (tmp_path / name).chmod(mode)
    (tmp_path / "source/deep").chmod(0o750)
    for path in (tmp_path / "source/deep", *(tmp_path / "source/deep").iterdir()):
        os.chown(path, 65534, 65534)
    copy_tree(str(tmp_path / "source"), str(tmp_path / "target"))
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (tmp_path / "target").rglob("*")}
    assert modes == {"deep": 0o700, "closed": 0o600, "open": 0o644}


def test_an_existing_target_is_left_alone_and_a_failed_copy_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, target = tmp_path / "source", tmp_path / "target"
    source.write_text("new")
    target.write_text("old")
    with pytest.raises(FileExistsError):
        clone_or_copy(str(source), str(target))
    assert target.read_text() == "old"

    def fail(*_: object) -> None:
        raise OSError("the disk is full")

    monkeypatch.setattr(copying, "_copy_content", fail)
    with pytest.raises(OSError, match="the disk is full"):
        clone_or_copy(str(source), str(tmp_path / "other"))
    assert not (tmp_path / "other").exists()


def test_a_tree_is_copied_whole_with_links_followed(tmp_path: Path) -> None:
    make_tree(tmp_path / "source")
    assert copy_tree(str(tmp_path / "source"), str(tmp_path / "target")) == (4, 14)
    target = tmp_path / "target"
    assert sorted(str(path.relative_to(target)) for path in target.rglob("*")) == [
        "a",
        "a/b",
        "a/b/two.sh",
        "a/one.txt",
        "empty",
        "folder",
        "folder/two.sh",
        "link.txt",
    ]
    assert not any(path.is_symlink() for path in target.rglob("*"))
    assert os.access(target / "a/b/two.sh", os.X_OK)
    assert hash_tree(str(target)) == hash_tree(str(tmp_path / "source"))


def test_a_read_only_copy_has_no_write_permission_on_its_files_and_can_be_removed(tmp_path: Path) -> None:
    make_tree(tmp_path / "source")
    (tmp_path / "source/a/one.txt").chmod(0o640)
    (tmp_path / "source/a/b").chmod(0o700)
    copy_tree(str(tmp_path / "source"), str(tmp_path / "target"), read_only=True)
    assert (tmp_path / "target/a/one.txt").stat().st_mode & 0o777 == 0o440
    assert (tmp_path / "target/a/b/two.sh").stat().st_mode & 0o777 == 0o555
    assert (tmp_path / "target/a/b").stat().st_mode & 0o777 == 0o700
    (tmp_path / "target/a/one.txt").unlink()


def test_a_single_file_is_copied_as_a_tree_of_one(tmp_path: Path) -> None:
    (tmp_path / "rows.csv").write_text("1,2\n")
    assert copy_tree(str(tmp_path / "rows.csv"), str(tmp_path / "copy.csv")) == (1, 4)
    assert (tmp_path / "copy.csv").read_text() == "1,2\n"


def make_socket(path: Path) -> None:
    # The address of a socket is short: it is made in its own folder.
    with socket.socket(socket.AF_UNIX) as listener:
        old = Path.cwd()
        os.chdir(path.parent)
        try:
            listener.bind(path.name)
        finally:
            os.chdir(old)


@pytest.mark.parametrize("verb", ["copy", "hash"])
@pytest.mark.parametrize(
    ("make", "words"),
    [
        (os.mkfifo, "neither a file nor a folder"),
        (make_socket, "neither a file nor a folder"),
        (lambda path: path.symlink_to("absent"), "leads nowhere"),
        (lambda path: path.symlink_to(path.name), "in circles"),
        (lambda path: path.symlink_to(".."), "back to a folder above"),
    ],
)
def test_what_is_not_a_file_or_folder_is_refused_by_name(
    tmp_path: Path, make: object, words: str, verb: str
) -> None:
    (tmp_path / "source/deep").mkdir(parents=True)
    make(tmp_path / "source/deep/odd")  # type: ignore[operator]
    with pytest.raises(BadInput, match=words) as refused:
        if verb == "copy":
            copy_tree(str(tmp_path / "source"), str(tmp_path / "target"))
        else:
            hash_tree(str(tmp_path / "source"))
    assert str(refused.value).startswith(str(tmp_path / "source/deep/odd"))


STEPS = st.lists(st.sampled_from(["..", ".", "a", "b", "link", "root", "outside"]), min_size=1, max_size=6)


@given(links=st.dictionaries(st.sampled_from(["link", "a/link", "a/b/link"]), STEPS))
def test_what_can_be_mounted_elsewhere_shows_the_same_files_there(links: dict[str, list[str]]) -> None:
    with tempfile.TemporaryDirectory() as name:
        # So deep that no link leads out of the folder, which would be to read all of the machine's.
        root, place = Path(name, *"abcdefghijkl", "here/root"), Path(name, "run/links/train")
        (root / "a/b").mkdir(parents=True)
        (root / "a/b/file").write_text("inner")
        (root.parent / "outside/a").mkdir(parents=True)
        (root.parent / "outside/a/file").write_text("outer")
        for link, steps in links.items():
            (root / link).symlink_to("/".join(steps))
        try:
            meant = hash_tree(str(root))
        except BadInput:
            return  # a link that leads nowhere or in a circle
        place.parent.mkdir(parents=True)
        shown = mountable(str(root), str(place))
        assert (shown == str(place)) == leads_out(str(root))
        if shown == str(root):
            # Mounting it elsewhere is to its links what moving it is.
            shown = str(root.rename(place.parent / "moved"))
        else:
            shutil.rmtree(root.parent)
        assert hash_tree(shown) == meant


def test_a_folder_to_be_mounted_shares_its_files_and_is_made_once(tmp_path: Path) -> None:
    (tmp_path / "blob").write_text("weights")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/file").symlink_to("../blob")
    (tmp_path / "links").mkdir()
    place = str(tmp_path / "links/folder")
    assert mountable(str(tmp_path / "folder"), place) == place
    assert (tmp_path / "links/folder/file").stat().st_ino == (tmp_path / "blob").stat().st_ino
    (tmp_path / "folder/file").unlink()
    assert mountable(str(tmp_path / "folder"), place) == place
    assert [path.name for path in (tmp_path / "links").iterdir()] == ["folder"]
