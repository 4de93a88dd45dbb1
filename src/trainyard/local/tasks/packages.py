"""The environment for a source that requires packages: built once, cached by content.

The cache is `environments` in trainyard's cache folder: one folder an environment, named by its key, with a
lock file beside it. A virtual environment cannot be moved, so it is built in place under the lock, and has a
file `.whole` once it is complete; a folder without one is what a killed build left, and is begun again.

What is built, and how, is `worker.packages`' to know, with the user's own configuration of indexes, proxies
and certificates. What the requirements name on this machine is read relative to the source, of which the
environment keeps a copy as long as it holds an editable package.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

from trainyard.core.errors import BadInput, TrainyardError
from trainyard.core.files.caches import cache_folder, private_cache
from trainyard.worker.packages import interpreter, layer, requirements
from trainyard.worker.packages.interpreter import Facts
from trainyard.worker.packages.tools import RequirementsFailed

# hashlib, shutil and subprocess are imported where they are used: most environments are there already.
if TYPE_CHECKING:
    import subprocess

_MARKER = ".whole"
_TAIL = 1 << 16


class BuildFailed(TrainyardError):
    """An environment could not be built; the text is what the tool said last, its output is in the log."""


class Writable(Protocol):
    """An open file with a descriptor."""

    def fileno(self) -> int: ...


def environment_key(source: str, below: Facts, *, isolated: bool = False) -> str:
    """The name of the environment (24 hexadecimal digits) for this source on top of this interpreter.

    Counted in: all that `requirements.txt` says, itself and by `-r`; the text of files named by `-c`; the
    content of what is named on this machine (a wheel, an archive, a package's folder with or without `-e`,
    the files of `--find-links`, the source itself where it is a package); the interpreter's real path,
    version, ABI and platform; name, version and place of every distribution that the environment stands on,
    unless it is `isolated`. Not counted: what an index or a URL has.
    """
    import hashlib

    digest = hashlib.sha256(b"trainyard environment 2\n")
    stands_on = () if isolated else (*below.below, *below.distributions)
    for fact in (*below.identity, "isolated" if isolated else "layer", *stands_on):
        digest.update(fact.encode("utf-8", "surrogateescape") + b"\0")
    for line in requirements.lines(source):
        path = requirements.local_path(line, source)
        content = _content_hash(path) if path else ""
        digest.update(f"{line.option} {line.value} {content}\0".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()[:24]


def cached_python(key: str) -> str | None:
    """The path of the Python of the environment `key`; None unless it is whole and its base still there."""
    folder = cache_folder("environments", key)
    python = _python(folder)
    if os.path.exists(os.path.join(folder, _MARKER)) and os.access(python, os.X_OK):
        return python
    return None


def facts_of(python: str) -> Facts:
    """What that interpreter is and has. Raises BadInput where it cannot be started."""
    import subprocess

    # As a script of a run finds it, which is given no such variable.
    environ = {name: text for name, text in os.environ.items() if not name.startswith("PYTHON")}
    try:
        done = subprocess.run(
            [python, interpreter.__file__],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=True,
            timeout=60,
            env=environ,
        )
        return interpreter.from_json(done.stdout.decode())
    except (OSError, ValueError, subprocess.SubprocessError):
        raise BadInput("the Python interpreter cannot be started", where=python) from None


def build(
    source: str,
    python: str,
    log: Writable | int,
    *,
    isolated: bool = False,
    environ: Mapping[str, str] | None = None,
) -> str:
    """The path of the Python of the environment for `source`, built now unless it is whole already.

    Runs that want the same one wait for the one that builds it. The tools run with `environ` (this process's
    by default) in a copy of `source`, as a package may leave its own build's files beside itself; their
    output goes to `log`. May be killed at any time. Raises BuildFailed, or BadInput for an interpreter that
    cannot be started, and for a cache that is not the user's alone.
    """
    descriptor = log if isinstance(log, int) else log.fileno()
    source = os.path.abspath(source)
    below = facts_of(python)
    key = environment_key(source, below, isolated=isolated)
    folder = cache_folder("environments", key)
    try:
        private_cache()  # before anything of it is run
        found = cached_python(key)
        if found:
            return found
        os.makedirs(os.path.dirname(folder), exist_ok=True)
        with _locked(f"{folder}.lock", descriptor) as lock:
            if not cached_python(key):
                variables = os.environ if environ is None else environ
                _Build(folder, source, below, isolated, descriptor, lock, variables).run()
    except RequirementsFailed as error:
        raise BuildFailed(str(error)) from None
    except OSError as error:
        raise BuildFailed(
            f"the environment could not be built in {folder}: {error.strerror or error}"
        ) from None
    return _python(folder)


def _python(folder: str) -> str:
    return os.path.join(folder, "environment", "bin", "python")


class _Build(NamedTuple):
    folder: str
    source: str
    below: Facts
    isolated: bool
    log: int
    lock: int
    environ: Mapping[str, str]

    def run(self) -> None:
        import shutil

        if os.path.lexists(self.folder):
            shutil.rmtree(self.folder)
        try:
            self._install()
        except BaseException:
            shutil.rmtree(self.folder, ignore_errors=True)
            raise
        _sync(self.folder)
        aside = os.path.join(self.folder, f"{_MARKER}.part")
        with open(aside, "w", encoding="utf-8") as marker:
            marker.write(f"{self.below.python}\n")
            marker.flush()
            os.fsync(marker.fileno())
        os.rename(aside, os.path.join(self.folder, _MARKER))

    def _install(self) -> None:
        import shutil

        from ...machine.copying import copy_tree

        copy = os.path.join(self.folder, "source")
        copy_tree(self.source, copy)
        environment = os.path.join(self.folder, "environment")
        installation = layer.Installation(copy, environment, self.below, isolated=self.isolated)
        layer.install(installation, self.environ, self._execute)
        if not any(line.option == "e" for line in requirements.lines(copy)):
            shutil.rmtree(copy)

    def _execute(self, command: Sequence[str], environ: Mapping[str, str], folder: str) -> tuple[int, bytes]:
        import subprocess

        os.write(self.log, f"+ {' '.join(command)}\n".encode(errors="surrogateescape"))
        # The tool holds the lock too: killed without it, we leave nobody's half-built folder behind.
        tool = subprocess.Popen(
            command,
            cwd=folder,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=(self.lock,),
        )
        try:
            output = self._follow(tool)
        except BaseException:
            tool.kill()
            tool.wait()
            raise
        return tool.wait(), output

    def _follow(self, tool: subprocess.Popen[bytes]) -> bytes:
        """Copy the tool's output to the log as it comes; its end."""
        tail = b""
        assert tool.stdout is not None
        with tool.stdout as output:
            while chunk := os.read(output.fileno(), _TAIL):
                tail = (tail + chunk)[-_TAIL:]
                while chunk:
                    chunk = chunk[os.write(self.log, chunk) :]
        return tail


@contextlib.contextmanager
def _locked(path: str, log: int) -> Iterator[int]:
    """Hold the lock file; its descriptor. The lock goes with the last process that has it open."""
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.write(log, b"waiting for another run that builds the same environment\n")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield lock
    finally:
        os.close(lock)


def _sync(folder: str) -> None:
    """Have everything written so far to the folder's file system outlive a power loss."""
    if sys.platform != "linux":
        os.sync()
        return
    # Only here, and slow to import.
    import ctypes

    descriptor = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
    try:
        ctypes.CDLL(None).syncfs(descriptor)
    finally:
        os.close(descriptor)


def _content_hash(path: str) -> str:
    # Imported for the rare requirement that names a file.
    from trainyard.core.files.trees import hash_tree

    return hash_tree(path).hash
