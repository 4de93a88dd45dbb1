"""Namespaces are tried for real, in processes of their own, as root and as an ordinary user."""

from __future__ import annotations

import errno
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from trainyard.machine import namespace, processes

NOBODY = 65534

# Everything is imported before the user changes: an ordinary user may not read this interpreter's library.
PROGRAM = """
import encodings.idna, errno, json, os, signal, socket, subprocess, sys, time
from trainyard.machine import namespace, processes
from trainyard.machine.namespace import Mount, enter
from trainyard.worker.process import orphans, procfs

def become(uid):
    if uid != os.getuid():
        os.setgroups([]); os.setgid(uid); os.setuid(uid)
        namespace._libc.prctl(4, 1, 0, 0, 0)  # dumpable, as any process that an ordinary user starts

def error_of(call, *arguments, **options):
    try:
        call(*arguments, **options)
    except OSError as error:
        return errno.errorcode[error.errno]
    return ""

def write(path, text="x"):
    with open(path, "w") as file:
        file.write(text)

def read(path):
    with open(path) as file:
        return file.read()

def fake_opt(folder):
    # The whole machine as the job's parent knows it: an /opt with known entries, in a namespace of the test.
    namespace._unshare()
    namespace._mount("none", "/", 1 << 14 | 1 << 18, "private")
    namespace._mount(folder, "/opt", 4096, "fake /opt")

def mount_tmpfs(path, flags=0):
    namespace._mount("tmpfs", path, flags, "tmpfs", "tmpfs", "mode=777")

namespace.load()
job = json.load(sys.stdin)
folder, uid, result = job["folder"], job["uid"], None
os.chdir(folder)
exec(job["body"])
json.dump(result, sys.stdout)
"""

STANDARD = """
mounts = [
    Mount(folder + "/ml", "/opt/ml", False),
    Mount(folder + "/checkpoints", "/opt/ml/checkpoints", False),
    Mount(folder + "/train", "/opt/ml/input/data/train", True),
]
def enter_standard(**options):
    enter(mounts, scratch=folder + "/scratch", **options)
"""

linux_only = pytest.mark.skipif(sys.platform != "linux", reason="namespaces are Linux's")
root_only = pytest.mark.skipif(os.geteuid() != 0, reason="only root can prepare another /opt or another user")


@pytest.fixture(params=["root", "user"])
def uid(request: pytest.FixtureRequest) -> int:
    if sys.platform != "linux":
        pytest.skip("namespaces are Linux's")
    if request.param == "root":
        if os.geteuid() != 0:
            pytest.skip("this is not root")
        return 0
    return os.getuid() or NOBODY


@pytest.fixture
def folder(uid: int) -> Iterator[Path]:
    """An attempt's folder that the job's user owns and can reach."""
    path = Path(tempfile.mkdtemp(prefix="trainyard-test-"))
    for name in ("ml/input/data/train", "checkpoints", "train/sub", "scratch"):
        (path / name).mkdir(parents=True)
    (path / "train" / "rows.csv").write_text("1,2\n")
    path.chmod(0o755)
    if uid != os.getuid():
        for entry in [path, *path.rglob("*")]:
            os.chown(entry, uid, uid)
    yield path
    shutil.rmtree(path)


def start(job: dict[str, Any]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", PROGRAM]
    return subprocess.run(
        command, input=json.dumps(job), capture_output=True, text=True, timeout=60, check=False
    )


def names(path: Path) -> list[str]:
    return sorted(entry.name for entry in path.iterdir())


def execute(body: str, folder: Path, uid: int, *, setup: str = "") -> Any:
    """What `body` leaves in `result`, run by the user `uid` after `setup` was run by this one."""
    steps = f"{setup}\nbecome(uid)\n{STANDARD}\n{body}"
    job = {"folder": str(folder), "uid": uid, "body": steps}
    done = start(job)
    if "Operation not permitted" in done.stderr and namespace_refused(uid):
        pytest.skip(f"this machine refuses namespaces to uid {uid}")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def namespace_refused(uid: int) -> str:
    job = {"folder": "/", "uid": uid, "body": "become(uid)\nresult = namespace.refusal()"}
    done = start(job)
    return str(json.loads(done.stdout))


def test_the_job_reads_and_writes_under_opt_ml_and_the_files_are_in_the_attempts_folder(
    folder: Path, uid: int
) -> None:
    body = """
enter_standard()
write("/opt/ml/model.txt", "weights")
write("/opt/ml/checkpoints/1.ckpt", "state")
result = [read("/opt/ml/input/data/train/rows.csv"), os.getuid(), os.getgid()]
"""
    assert execute(body, folder, uid) == ["1,2\n", uid, uid if uid != os.getuid() else os.getgid()]
    assert (folder / "ml/model.txt").read_text() == "weights"
    assert (folder / "checkpoints/1.ckpt").read_text() == "state"
    assert (folder / "ml/model.txt").stat().st_uid == uid


def test_a_channel_is_read_only_under_opt_ml_and_not_at_its_source(folder: Path, uid: int) -> None:
    body = """
enter_standard()
result = [
    error_of(write, "/opt/ml/input/data/train/rows.csv"),
    error_of(write, "/opt/ml/input/data/train/new.csv"),
    error_of(os.unlink, "/opt/ml/input/data/train/rows.csv"),
    error_of(write, folder + "/train/new.csv"),
]
"""
    assert execute(body, folder, uid) == ["EROFS", "EROFS", "EROFS", ""]
    assert (folder / "train/rows.csv").read_text() == "1,2\n"


SUBMOUNT = """
fake_opt(folder + "/train")
mount_tmpfs(folder + "/train/sub", 2 | 4 | 8)
"""


@root_only
@pytest.mark.parametrize("newer_call", [True, False], ids=["mount_setattr", "remount"])
def test_a_file_system_mounted_inside_a_channel_is_read_only_too(
    folder: Path, uid: int, newer_call: bool
) -> None:
    body = """
enter_standard()
options = [line.split()[5] for line in read("/proc/self/mountinfo").splitlines()
           if line.split()[4] == "/opt/ml/input/data/train/sub"]
result = [
    error_of(write, folder + "/train/sub/x"),
    error_of(write, "/opt/ml/input/data/train/sub/x"),
    error_of(write, "/opt/ml/input/data/train/x"),
    sorted(set(options[0].split(","))),
]
"""
    setup = SUBMOUNT if newer_call else SUBMOUNT + "namespace._SYS_MOUNT_SETATTR = 100000"
    seen = execute(body, folder, uid, setup=setup)
    assert seen[:3] == ["", "EROFS", "EROFS"]
    assert {"ro", "nosuid", "nodev", "noexec"} <= set(seen[3])


OPT = """
os.makedirs(folder + "/machine/tool/bin")
os.makedirs(folder + "/machine/ml")
write(folder + "/machine/ml/theirs")
import shutil
shutil.copy("/bin/sh", folder + "/machine/tool/bin/sh")
write(folder + "/machine/notes with space.txt", "kept")
os.symlink("tool/bin", folder + "/machine/bin")
os.symlink("/nowhere", folder + "/machine/dangling")
fake_opt(folder + "/machine")
"""


@root_only
@pytest.mark.parametrize("newer_call", [True, False], ids=["mount_setattr", "remount"])
def test_what_was_in_opt_stays_readable_and_runs_but_cannot_be_changed(
    folder: Path, uid: int, newer_call: bool
) -> None:
    body = """
enter_standard()
result = {
    "entries": sorted(os.listdir("/opt")),
    "ml": sorted(os.listdir("/opt/ml")),
    "notes": read("/opt/notes with space.txt"),
    "runs": subprocess.run(["/opt/bin/sh", "-c", "echo alive"], capture_output=True, text=True).stdout,
    "dangling": os.readlink("/opt/dangling"),
    "errors": [error_of(write, "/opt/notes with space.txt"), error_of(write, "/opt/tool/new"),
               error_of(os.mkdir, "/opt/new"), error_of(os.unlink, "/opt/bin")],
}
"""
    setup = OPT if newer_call else OPT + "namespace._SYS_MOUNT_SETATTR = 100000"
    seen = execute(body, folder, uid, setup=setup)
    assert seen == {
        "entries": ["bin", "dangling", "ml", "notes with space.txt", "tool"],
        "ml": ["checkpoints", "input"],
        "notes": "kept",
        "runs": "alive\n",
        "dangling": "/nowhere",
        "errors": ["EROFS"] * 4,
    }
    assert names(folder / "machine") == ["bin", "dangling", "ml", "notes with space.txt", "tool"]


@root_only
def test_an_attempt_and_a_channel_that_lie_under_opt_themselves_work(folder: Path, uid: int) -> None:
    setup = "fake_opt(folder); folder = '/opt'; os.chdir(folder)"
    body = """
enter_standard()
write("/opt/ml/out")
result = [read("/opt/ml/input/data/train/rows.csv"), error_of(write, "/opt/ml/input/data/train/x")]
"""
    assert execute(body, folder, uid, setup=setup) == ["1,2\n", "EROFS"]
    assert (folder / "ml/out").read_text() == "x"


def test_a_channel_of_one_file_is_bound_as_a_file(folder: Path, uid: int) -> None:
    body = """
mounts[2] = Mount(folder + "/train/rows.csv", "/opt/ml/input/data/one/rows.csv", True)
enter_standard()
result = [read("/opt/ml/input/data/one/rows.csv"), error_of(write, "/opt/ml/input/data/one/rows.csv"),
          error_of(write, "/opt/ml/input/data/one/else.csv")]
"""
    assert execute(body, folder, uid) == ["1,2\n", "EROFS", ""]


def test_nothing_reaches_the_machines_mounts_or_its_opt(folder: Path, uid: int) -> None:
    mounts, opt = Path("/proc/self/mountinfo").read_text(), names(Path("/opt"))
    seen = execute("enter_standard(hosts=['algo-1'])\nresult = sorted(os.listdir('/opt'))", folder, uid)
    assert seen == sorted({*opt, "ml"})
    assert Path("/proc/self/mountinfo").read_text() == mounts
    assert names(Path("/opt")) == opt
    assert names(folder / "scratch/opt") == []


def test_hosts_resolve_to_loopback_addresses_and_the_machines_own_names_stay(folder: Path, uid: int) -> None:
    machine = Path("/etc/hosts").read_text()
    body = """
enter_standard(hosts=["algo-1", "algo-2", "algo-3"])
result = [read("/etc/hosts")] + [socket.gethostbyname(f"algo-{n}") for n in (1, 2, 3)]
listener = socket.create_server(("algo-3", 0))
socket.create_connection(("algo-3", listener.getsockname()[1]), timeout=5).close()
"""
    text, *addresses = execute(body, folder, uid)
    assert addresses == ["127.0.0.1", "127.0.0.2", "127.0.0.3"]
    assert text.startswith(machine.rstrip("\n"))
    assert Path("/etc/hosts").read_text() == machine
    assert names(folder / "scratch") == ["hosts", "opt"]


def test_a_machine_line_that_names_a_host_of_the_run_gives_way() -> None:
    machine = "127.0.0.1 localhost # algo-1 in a comment\n10.0.0.7 algo-1 algo-1.local\n::1 localhost"
    assert namespace.hosts_text(machine, ["algo-1", "algo-2"]) == (
        "127.0.0.1 localhost # algo-1 in a comment\n::1 localhost\n127.0.0.1 algo-1\n127.0.0.2 algo-2\n"
    )


def test_the_current_folder_and_the_environment_stay(folder: Path, uid: int) -> None:
    body = "enter_standard()\nresult = [os.getcwd(), sorted(os.listdir('.'))]"
    seen = execute(body, folder, uid)
    assert seen == [str(folder), ["checkpoints", "ml", "scratch", "train"]]


def test_an_error_names_the_step_and_the_file(folder: Path, uid: int) -> None:
    body = """
mounts[2] = Mount(folder + "/absent", "/opt/ml/input/data/train", True)
try:
    enter_standard()
except OSError as error:
    result = [errno.errorcode[error.errno], error.strerror]
"""
    assert execute(body, folder, uid) == [
        "ENOENT",
        f"bind {folder}/absent on /opt/ml/input/data/train: No such file or directory",
    ]


def test_fifty_jobs_in_a_row_leak_nothing_and_each_enters_within_milliseconds(folder: Path, uid: int) -> None:
    body = """
before = len(os.listdir("/proc/self/fd")), read("/proc/self/mountinfo")
times = []
for n in range(50):
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        start = time.perf_counter()
        enter_standard(hosts=["algo-1", "algo-2"])
        took = time.perf_counter() - start
        write(f"/opt/ml/{n}")
        os.write(writer, str(took).encode())
        os._exit(0)
    os.close(writer)
    times.append(float(os.read(reader, 100)))
    os.close(reader)
    assert os.waitpid(child, 0)[1] == 0
result = [(len(os.listdir("/proc/self/fd")), read("/proc/self/mountinfo")) == before, sorted(times)[25]]
"""
    clean, median = execute(body, folder, uid)
    assert clean
    assert len([name for name in names(folder / "ml") if name.isdigit()]) == 50
    print(f"enter: {median * 1000:.2f} ms (median of 50)")
    assert median < 0.05


def test_a_confined_job_cannot_bring_back_what_is_hidden(folder: Path, uid: int) -> None:
    """Nor look at it through a process of the same user that still sees it."""
    body = """
os.mkdir("hidden")
write("hidden/secret", "secret")
ways = [
    "ls -A {0}; cat {0}/secret; touch {0}/x",
    "cat /proc/{1}/root{0}/secret /proc/{1}/cwd/hidden/secret",
    "umount {0}; cat {0}/secret",
    "unshare -Urm sh -c 'umount {0}; cat {0}/secret'",
    "nsenter --mount=/proc/{1}/ns/mnt cat {0}/secret",
    "cat /opt/ml/seen",
]
script = "; ".join(ways).format(folder + "/hidden", os.getpid())
reader, writer = os.pipe()
if os.fork() == 0:
    os.dup2(writer, 1)
    mounts.append(Mount(folder + "/hidden/secret", "/opt/ml/seen", True))
    enter_standard(hidden=[folder + "/hidden"])
    namespace.confine()
    os.chdir("/")
    os.execv("/bin/sh", ["sh", "-c", script])
os.close(writer)
result = os.fdopen(reader).read()
"""
    assert execute(body, folder, uid) == "secret", "all but what was mounted"


def test_the_probe_says_nothing_where_namespaces_work_and_leaves_nothing_behind(
    folder: Path, uid: int
) -> None:
    body = """
os.environ["TMPDIR"] = folder + "/scratch"
result = [namespace.refusal(), namespace.refusal(), os.listdir(folder + "/scratch")]
"""
    first, second, left = execute(body, folder, uid)
    assert first == second
    assert first == "" or ("(" in first and "\n" not in first)
    assert left == []


APPARMOR = "/proc/sys/kernel/apparmor_restrict_unprivileged_userns"
DEBIAN = "/proc/sys/kernel/unprivileged_userns_clone"


@pytest.mark.parametrize(
    ("number", "facts", "words"),
    [
        (errno.EACCES, {APPARMOR: "1"}, "sysctl kernel.apparmor_restrict_unprivileged_userns=1"),
        (errno.EPERM, {DEBIAN: "0"}, "sysctl kernel.unprivileged_userns_clone=0"),
        (errno.EPERM, {"/proc/self/status": "Name:\tx\nSeccomp:\t2\n"}, "container's seccomp filter"),
        (errno.EPERM, {}, "this user may not"),
        (errno.ENOSYS, {}, "this kernel has no namespaces"),
        (errno.EINVAL, {}, "could not be made"),
    ],
)
def test_a_refusal_names_what_the_machine_says_about_itself(
    monkeypatch: pytest.MonkeyPatch, number: int, facts: dict[str, str], words: str
) -> None:
    monkeypatch.setattr(namespace, "_read_fact", lambda path: facts.get(path, ""))
    assert words in namespace._explain(OSError(number, os.strerror(number)))


@linux_only
@root_only
def test_a_user_without_any_user_namespace_left_is_refused_in_words(tmp_path: Path) -> None:
    # In a user namespace of its own the limit can be set to zero without touching the machine.
    body = """
uid = os.getuid()
os.setgroups([]); os.setgid(65534); os.setuid(65534)
namespace._libc.prctl(4, 1, 0, 0, 0)
assert namespace._libc.unshare(0x10000000) == 0
write("/proc/self/setgroups", "deny")
write("/proc/self/uid_map", "65534 65534 1")
write("/proc/sys/user/max_user_namespaces", "0")
write("/proc/sys/user/max_mnt_namespaces", "0")
result = namespace.refusal()
"""
    seen = execute(body, tmp_path, 0, setup="os.chdir('/')")
    assert "user.max_user_namespaces=0" in seen
    assert "\n" not in seen


def test_outside_linux_everything_is_refused_in_words_or_does_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(namespace, "_refusal", None)
    monkeypatch.setattr(sys, "platform", "darwin")
    assert "darwin" in namespace.refusal()
    namespace.die_with_parent()


@linux_only
@pytest.mark.parametrize("order", ["before", "after"])
def test_a_job_dies_with_the_process_that_forked_it_even_after_a_namespace_and_exec(
    folder: Path, uid: int, order: str
) -> None:
    body = f"""
reader, writer = os.pipe()
parent = os.fork()
if parent == 0:
    mine = os.getpid()
    if os.fork() == 0:
        if {order!r} == "before":
            namespace.die_with_parent(mine)
        enter_standard()
        if {order!r} == "after":
            namespace.die_with_parent(mine)
        os.set_inheritable(writer, True)
        os.execv("/bin/sh", ["/bin/sh", "-c", f"echo up >&{{writer}}; exec sleep 60"])
    os.close(writer)
    os.read(reader, 1)
    os.kill(os.getpid(), signal.SIGKILL)
os.close(writer)
os.waitpid(parent, 0)
while os.read(reader, 100):
    pass
result = "closed"
"""
    # The pipe's last writer is the job: reading to the end means that it is gone.
    assert execute(body, folder, uid) == "closed"


@linux_only
def test_orphans_are_adopted_and_listed() -> None:
    body = """
orphans.adopt()
reader, writer = os.pipe()
middle = os.fork()
if middle == 0:
    grandchild = os.fork()
    if grandchild == 0:
        signal.pause()
    os.write(writer, str(grandchild).encode())
    os._exit(0)
os.waitpid(middle, 0)
grandchild = int(os.read(reader, 100))
result = [processes.children(os.getpid()) == [grandchild],
          procfs.children(os.getpid()) == [grandchild]]
os.kill(grandchild, signal.SIGKILL)
os.waitpid(grandchild, 0)
result.append(processes.children(os.getpid()))
"""
    job = {"folder": "/", "uid": os.getuid(), "body": body}
    done = start(job)
    assert json.loads(done.stdout) == [True, True, []], done.stderr


def test_orphans_of_a_process_that_is_gone_are_none() -> None:
    assert processes.children(2**22 + 1) == []


@pytest.mark.parametrize("host_count", [1, 255, 300])
def test_every_host_gets_an_address_of_its_own(host_count: int) -> None:
    lines = namespace.hosts_text("", [f"algo-{n}" for n in range(1, host_count + 1)]).split("\n")[1:-1]
    addresses = [line.split()[0] for line in lines]
    assert len(set(addresses)) == len(addresses)
    for address in addresses:
        assert socket.inet_aton(address)[0] == 127
