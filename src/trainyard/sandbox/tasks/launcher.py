"""What a task's process does between its start and its program: enter the namespace, then exec.

Run by `tasks` as `python -I -S -c BOOT <folder of the package> <spec>`: a fresh process and not a fork,
because the server has threads. Few imports: every job waits for them. What goes wrong before the program
runs is told in JSON through a socket, after the task's mount namespace; it closes when the program starts.
"""

from __future__ import annotations

import _socket
import errno
import json
import os
import signal
import sys
from typing import Any

from ...machine import namespace, processes
from ...worker.process import procfs

BOOT = (
    "import sys; sys.path.insert(0, sys.argv[1]);"
    "from trainyard.sandbox.tasks import launcher; launcher.main(sys.argv[2], sys.argv[3:])"
)

NOT_FOUND, NOT_EXECUTABLE, NOT_STARTED = 127, 126, 125
"""The exit statuses that container runtimes have for a program that could not be started."""
UNSTARTED = (NOT_STARTED, NOT_EXECUTABLE, NOT_FOUND)


def main(verb: str, arguments: list[str]) -> None:
    """`start SPEC PARENT SOCKET` becomes the task; `guard MARK` waits for the server's death;
    `extract DEFINITIONS` finds metrics."""
    if verb == "guard":
        guard(arguments[0])
    elif verb == "extract":
        # Of no use to the others, who are to start fast.
        from .extract import main as extract

        extract(arguments)
    else:
        start(arguments[0], int(arguments[1]), int(arguments[2]))


def start(path: str, parent: int, reports: int) -> None:
    """Become the program of the spec in the file `path`; end with 125 to 127 where that cannot be done."""
    namespace.die_with_parent(parent)
    os.set_inheritable(reports, False)
    with open(path, encoding="utf-8") as stream:
        spec = json.load(stream)
    try:
        if spec["mounts"]:
            mounts = [namespace.Mount(*each) for each in spec["mounts"]]
            namespace.enter(mounts, hosts=spec["hosts"], scratch=spec["folder"], hidden=spec["hidden"])
            namespace.confine()
            _send_namespace(reports)
        os.chdir(spec["working_folder"])
    except OSError as error:
        _give_up(
            reports, f"{error.strerror}: {error.filename}" if error.filename else str(error), NOT_STARTED
        )
    _exec(spec, reports)


def _send_namespace(reports: int) -> None:
    """Tell the server which namespace is this task's, and wait until its guard knows: from then on nothing
    of the task outlives the server."""
    descriptor = os.open("/proc/self/ns/mnt", os.O_RDONLY | os.O_CLOEXEC)
    # Without its wrapper in Python, which takes as long to import as all the rest.
    line = _socket.socket(fileno=os.dup(reports))
    rights = descriptor.to_bytes(4, sys.byteorder)
    line.sendmsg([b"\0"], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, rights)])
    line.recv(1)
    line.close()
    os.close(descriptor)


def _exec(spec: dict[str, Any], reports: int) -> None:
    program, environment = spec["command"][0], spec["environment"]
    try:
        # Python ignores it, and children inherit what is ignored.
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        os.execvpe(program, spec["command"], environment)
    except OSError as error:
        _give_up(
            reports, _explain(program, error), NOT_FOUND if error.errno == errno.ENOENT else NOT_EXECUTABLE
        )
    except ValueError as error:
        _give_up(reports, f'exec: "{program}": {error}', NOT_EXECUTABLE)


def _explain(program: str, error: OSError) -> str:
    """In the words of runc, which container engines pass on."""
    if error.errno in (errno.ENOENT, errno.ENOTDIR) and "/" not in program:
        return f'exec: "{program}": executable file not found in $PATH'
    reason = (error.strerror or "cannot be executed").lower()
    return f'exec: "{program}": {"stat" if error.errno == errno.ENOENT else "exec"} {program}: {reason}'


def _give_up(reports: int, reason: str, status: int) -> None:
    os.write(reports, json.dumps({"reason": " ".join(reason.split()), "status": status}).encode())
    os._exit(status)


def guard(mark: str) -> None:
    """Wait until stdin closes, as it does when the server dies however it dies, then end all its tasks.

    Lines `+<inode>` and `-<inode>` on stdin name the mount namespaces of running tasks: what lost its mark
    is found by them. Lines `!<program>` name the container engines that run some of the tasks.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    namespaces: set[int] = set()
    engines: set[str] = set()
    for line in sys.stdin:
        if line[0] == "!":
            engines.add(line[1:-1])
        else:
            (namespaces.add if line[0] == "+" else namespaces.discard)(int(line[1:]))
    while orphans := in_namespaces(namespaces):
        for pid in orphans:
            processes.signal_one(pid)
        processes.wait_until_gone(orphans, 1.0)
    processes.end_all([], f"{mark}/", 10.0)
    if engines:
        # Slow to import, and needed only now.
        from .containers import end_all

        end_all(sorted(engines), mark)
    sys.exit(0)


def in_namespaces(wanted: set[int]) -> list[int]:
    """The living processes that are in one of these mount namespaces, given by their inodes."""
    pids = procfs.pids() if wanted else []
    return [pid for pid in pids if namespace_of(pid) in wanted and processes.start_time(pid)]


def namespace_of(pid: int) -> int:
    """The inode of a process's mount namespace; 0 when it is gone or another user's."""
    try:
        return os.stat(f"/proc/{pid}/ns/mnt").st_ino
    except OSError:
        return 0
