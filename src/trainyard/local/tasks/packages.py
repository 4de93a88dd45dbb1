"""A Python environment for a source with a `requirements.txt`: built once, cached by content.

The cache is `environments` in trainyard's cache folder: one folder an environment, named by its key, with a
lock file beside it. A virtual environment cannot be moved, so it is built in place under the lock and holds a
file `.whole` once it is complete; a folder without one is what a killed build left, and is begun again.

uv builds it where there is one (on the PATH, else the extra `env`), else venv and pip, with the user's own
configuration of indexes, proxies and certificates. What the requirements name on this machine is read
relative to the source. A local package is never installed in its editable form, which would tie an
environment of many runs to one run's folder; Git's and other remote ones are left as they are.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol

from trainyard.core.errors import BadInput, TrainyardError
from trainyard.core.files.caches import cache_folder, private_cache
from trainyard.worker.cloud.requirements import REQUIREMENTS, Line, read_lines, tool_environ, tool_error

# hashlib, shutil and subprocess are imported where they are used: most environments are there already.
if TYPE_CHECKING:
    import subprocess

_MARKER = ".whole"
_TAIL = 1 << 16
_FACTS = (
    "import os, sys; print(os.path.realpath(sys.executable), sys.version, sys.implementation.cache_tag,"
    " getattr(sys, 'abiflags', ''), sys.platform, os.uname().machine, sep='\\n')"
)


class BuildFailed(TrainyardError):
    """An environment could not be built; the text is what the tool said last, its output is in the log."""


class Writable(Protocol):
    """An open file with a descriptor."""

    def fileno(self) -> int: ...


def environment_key(requirements: bytes, interpreter: str, source: str = ".") -> str:
    """The name of the environment (24 hexadecimal digits) for this text, interpreter and machine.

    Counted in: the text; the interpreter's real path, version, ABI and platform; the text of files named
    by `-r` and `-c`; the content of what is named on this machine (a wheel, an archive, a package's folder
    with or without `-e`, the files of `--find-links`), relative to the `source` folder. Not counted: what
    an index or a URL has. Raises BadInput where the interpreter cannot be started; it is started only when
    it is not this process's own.
    """
    import hashlib

    digest = hashlib.sha256(b"trainyard environment 1\n")
    for fact in _interpreter_facts(interpreter):
        digest.update(fact.encode("utf-8", "surrogateescape") + b"\0")
    digest.update(requirements + b"\0")
    for line in read_lines(requirements, os.path.abspath(source), []):
        path = _local_path(line, source)
        content = _content_hash(path) if path else ""
        digest.update(f"{line.option} {line.value} {content}\0".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()[:24]


def cached_python(key: str) -> str | None:
    """The path of the Python of the environment `key`; None unless it is whole and its base still there."""
    folder = cache_folder("environments", key)
    python = os.path.join(folder, "bin", "python")
    if os.path.exists(os.path.join(folder, _MARKER)) and os.access(python, os.X_OK):
        return python
    return None


def build(
    source: str, interpreter: str, log: Writable | int, environ: Mapping[str, str] | None = None
) -> str:
    """The path of the Python of the environment for `source`, built now unless it is whole already.

    Runs that want the same one wait for the one that builds it. The tool runs in `source` with `environ`
    (this process's by default), its output goes to `log`. May be killed at any time. Raises BuildFailed,
    or BadInput for an interpreter that cannot be started, and for a cache that is not the user's alone.
    """
    descriptor = log if isinstance(log, int) else log.fileno()
    source = os.path.abspath(source)
    requirements = _read(os.path.join(source, REQUIREMENTS))
    key = environment_key(requirements, interpreter, source)
    folder = cache_folder("environments", key)
    try:
        private_cache()  # before anything of it is run
        python = cached_python(key)
        if python:
            return python
        os.makedirs(os.path.dirname(folder), exist_ok=True)
        with _locked(f"{folder}.lock", descriptor) as lock:
            if not cached_python(key):
                variables = tool_environ(os.environ if environ is None else environ)
                _Build(folder, source, interpreter, descriptor, lock, variables).run()
    except OSError as error:
        raise BuildFailed(
            f"the environment could not be built in {folder}: {error.strerror or error}"
        ) from None
    return os.path.join(folder, "bin", "python")


class _Build(NamedTuple):
    folder: str
    source: str
    interpreter: str
    log: int
    lock: int
    environ: dict[str, str]

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
            marker.write(f"{self.interpreter}\n")
            marker.flush()
            os.fsync(marker.fileno())
        os.rename(aside, os.path.join(self.folder, _MARKER))

    def _install(self) -> None:
        uv = _find_uv(self.environ)
        python = os.path.join(self.folder, "bin", "python")
        if uv:
            # In the cache's folder: a project file of the source is not to choose another interpreter.
            make = [uv, "venv", "--quiet", "--python", self.interpreter, self.folder]
            install = [uv, "pip", "install", "--python", python, "--compile-bytecode"]
        else:
            make = [self.interpreter, "-m", "venv", self.folder]
            install = [python, "-m", "pip", "install", "--no-input", "--disable-pip-version-check"]
        self._execute(make, os.path.dirname(self.folder))
        self._execute([*install, "-r", self._installable()], self.source)

    def _installable(self) -> str:
        """The user's own file; where it has editable local packages, one that says the same without."""
        own = os.path.join(self.source, REQUIREMENTS)
        lines = list(read_lines(_read(own), self.source, [own]))
        if not any(line.option == "e" and _local_path(line, self.source) for line in lines):
            return REQUIREMENTS
        path = os.path.join(self.folder, REQUIREMENTS)
        with open(path, "w", encoding="utf-8", errors="surrogateescape") as file:
            file.writelines(f"{_absolute(line, self.source)}\n" for line in lines)
        return path

    def _execute(self, command: Sequence[str], folder: str) -> None:
        import subprocess

        os.write(self.log, f"+ {' '.join(command)}\n".encode(errors="surrogateescape"))
        # The tool holds the lock too: killed without it, we leave nobody's half-built folder behind.
        tool = subprocess.Popen(
            command,
            cwd=folder,
            env=self.environ,
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
        if tool.wait() != 0:
            cause = (
                tool_error(output.decode(errors="replace")) or f"{command[0]} ended with {tool.returncode}"
            )
            raise BuildFailed(f"{REQUIREMENTS} could not be installed: {cause}")

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


def _find_uv(environ: Mapping[str, str]) -> str:
    import shutil

    found = shutil.which("uv", path=environ.get("PATH", os.defpath))
    if found:
        return found
    try:
        # The extra `env`: it may not be there.
        import uv

        return str(uv.find_uv_bin())
    except (ImportError, FileNotFoundError):
        return ""


def _interpreter_facts(interpreter: str) -> list[str]:
    if interpreter == sys.executable:
        executable, abi = os.path.realpath(sys.executable), getattr(sys, "abiflags", "")
        tag = str(sys.implementation.cache_tag)
        return [executable, *sys.version.split("\n"), tag, abi, sys.platform, os.uname().machine]
    import subprocess

    try:
        done = subprocess.run(
            [interpreter, "-I", "-S", "-c", _FACTS],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=True,
            timeout=60,
        )
    except (OSError, subprocess.SubprocessError):
        raise BadInput("the Python interpreter cannot be started", where=interpreter) from None
    return os.fsdecode(done.stdout).removesuffix("\n").split("\n")


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def _local_path(line: Line, source: str) -> str:
    """The file or folder of this machine that the line names; "" when it names none."""
    value = re.split(r"\s+;|\s+--", line.value)[0].strip()
    if not line.option:
        if value.startswith("-"):
            return ""
        value = value.partition(" @ ")[2].strip() or value
        if not re.match(r"\.{1,2}(/|\[|$)|/|file:", value) and not re.search(r"\.(whl|zip|tar\.gz)$", value):
            return ""
    value = re.sub(r"^file:(//(localhost)?(?=/))?", "", value)
    value = re.sub(r"\[[^\]/]*\]$", "", value)
    for folder in (line.folder, source):
        path = os.path.abspath(os.path.join(folder, value))
        if value and os.path.exists(path):
            return path
    return ""


def _absolute(line: Line, source: str) -> str:
    """The line for a file elsewhere: local names made absolute, editable packages plain ones."""
    path = _local_path(line, source)
    option = {"r": "-r ", "c": "-c ", "f": "--find-links ", "e": "-e "}.get(line.option, "")
    if not path:
        return option + line.value
    if line.option in ("c", "f"):
        return option + path
    extras = re.search(r"\[[^\]/]*\]", line.value)
    rest = re.search(r"\s+(;|--).*$", line.value)
    return path + (extras[0] if extras else "") + (rest[0] if rest else "")


def _content_hash(path: str) -> str:
    # Imported for the rare requirement that names a file.
    from trainyard.core.files.trees import hash_tree

    return hash_tree(path).hash
