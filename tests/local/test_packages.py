"""Environments are built for real, offline, from wheels that the tests write."""

from __future__ import annotations

import base64
import fcntl
import hashlib
import io
import os
import shutil
import signal
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from trainyard.core.errors import BadInput
from trainyard.local.tasks import packages
from trainyard.local.tasks.packages import (
    BuildFailed,
    build,
    cached_python,
    environment_key,
)
from trainyard.worker.packages.tools import find_uv, tool_error

UV = find_uv(os.environ)
needs_uv = pytest.mark.skipif(not UV, reason="there is no uv here")

BUILD_PROGRAM = """
import sys
from trainyard.local.tasks.packages import build
print(build(sys.argv[1], sys.executable, 2, isolated=True))
"""


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache/trainyard/environments"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    write_wheel(folder / "wheels", "tinypkg", "1.0", "value = 'one'\n")
    (folder / "requirements.txt").write_text("--no-index\n--find-links ./wheels\ntinypkg==1.0\n")
    return folder


@pytest.fixture
def log(tmp_path: Path) -> Iterator[io.BufferedWriter]:
    with (tmp_path / "log").open("wb") as file:
        yield file


def write_wheel(folder: Path, name: str, version: str, code: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    info = f"{name}-{version}.dist-info"
    files = {
        f"{name}.py": code,
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = [f"{info}/RECORD,,"]
    for path, text in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()
        record.append(f"{path},sha256={digest},{len(text)}")
    wheel = folder / f"{name}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        for path, text in {**files, f"{info}/RECORD": "\n".join(record) + "\n"}.items():
            archive.writestr(path, text)
    return wheel


def read_value(python: str) -> str:
    command = [python, "-c", "import tinypkg; print(tinypkg.value)"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def key_of(source: Path, interpreter: str = sys.executable, *, isolated: bool = False) -> str:
    return environment_key(str(source), packages.facts_of(interpreter), isolated=isolated)


ISOLATED = pytest.mark.parametrize(
    "isolated", [pytest.param(True, marks=needs_uv, id="uv"), pytest.param(False, id="pip")]
)


@ISOLATED
def test_an_environment_is_built_with_bytecode_and_the_next_build_installs_nothing(
    source: Path, log: io.BufferedWriter, cache: Path, monkeypatch: pytest.MonkeyPatch, isolated: bool
) -> None:
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    key = key_of(source, isolated=isolated)
    assert cached_python(key) is None
    python = build(str(source), sys.executable, log, isolated=isolated)
    assert read_value(python) == "one"
    assert cached_python(key) == python and Path(python).is_relative_to(cache / key)
    assert list((cache / key).rglob("__pycache__/tinypkg.*.pyc"))
    said = Path(log.name).read_bytes()
    assert b"tinypkg" in said
    assert build(str(source), sys.executable, log.fileno(), isolated=isolated) == python
    assert Path(log.name).read_bytes() == said


@ISOLATED
def test_a_requirement_that_cannot_be_met_is_one_line_and_leaves_nothing(
    source: Path, log: io.BufferedWriter, cache: Path, isolated: bool
) -> None:
    (source / "requirements.txt").write_text("--no-index\n--find-links ./wheels\nabsentpkg==7.1\n")
    with pytest.raises(BuildFailed) as failed:
        build(str(source), sys.executable, log, isolated=isolated)
    assert "absentpkg" in str(failed.value)
    assert str(failed.value).startswith("requirements.txt could not be installed: ")
    assert "\n" not in str(failed.value)
    assert b"absentpkg" in Path(log.name).read_bytes()
    assert [entry.name for entry in cache.iterdir()] == [f"{key_of(source, isolated=isolated)}.lock"]


def test_a_local_package_is_installed_as_it_is_now_even_where_the_text_says_editable(
    source: Path, log: io.BufferedWriter
) -> None:
    wheel = write_wheel(source / "own", "tinypkg", "2.0", "value = 'two'\n")
    (source / "requirements.txt").write_text(f"./own/{wheel.name}\n")
    assert read_value(build(str(source), sys.executable, log)) == "two"
    write_wheel(source / "own", "tinypkg", "2.0", "value = 'three'\n")
    assert read_value(build(str(source), sys.executable, log)) == "three"


def whole(folder: Path) -> Path:
    """An environment as a build leaves it; its Python."""
    python = folder / "environment/bin/python"
    python.parent.mkdir(parents=True)
    (folder / ".whole").write_text("")
    python.symlink_to(sys.executable)
    return python


def test_an_environment_whose_base_python_is_gone_is_not_whole(source: Path, cache: Path) -> None:
    folder = cache / key_of(source)
    python = whole(folder)
    assert cached_python(key_of(source)) == str(python)
    python.unlink()
    python.symlink_to("/absent/python")
    assert cached_python(key_of(source)) is None


def test_an_environment_in_a_cache_that_others_write_to_does_not_run(
    source: Path, log: io.BufferedWriter, cache: Path
) -> None:
    folder = cache / key_of(source)
    python = whole(folder)
    cache.parent.chmod(0o707)
    with pytest.raises(BadInput, match="the cache can be written by others than you"):
        build(str(source), sys.executable, log)
    cache.parent.chmod(0o700)
    assert build(str(source), sys.executable, log) == str(python)


def gated_uv(tmp_path: Path) -> dict[str, str]:
    """An environment in which `uv` counts its calls and, once it installs, tells and waits at a gate."""
    tools = tmp_path / "tools"
    tools.mkdir()
    os.mkfifo(tools / "ready")
    os.mkfifo(tools / "gate")
    script = tools / "uv"
    script.write_text(
        f'#!/bin/sh\necho "$1" >> {tools}/calls\n'
        f'if [ "$1" = pip ] && [ ! -e {tools}/open ]; then\n'
        f"  echo installing > {tools}/ready\n  read line < {tools}/gate\nfi\n"
        f'exec {UV} "$@"\n'
    )
    script.chmod(0o755)
    return {**os.environ, "PATH": f"{tools}:{os.environ['PATH']}"}


def start_build(source: Path, environ: dict[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", BUILD_PROGRAM, str(source)],
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def finish(process: subprocess.Popen[str]) -> tuple[str, str]:
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    return out.strip(), err


@needs_uv
def test_two_builds_at_the_same_time_make_one_environment(source: Path, tmp_path: Path) -> None:
    environ = gated_uv(tmp_path)
    first = start_build(source, environ)
    assert (tmp_path / "tools/ready").read_text() == "installing\n"
    second = start_build(source, environ)
    assert second.stderr is not None
    assert second.stderr.readline() == "waiting for another run that builds the same environment\n"
    (tmp_path / "tools/gate").write_text("go\n")
    assert finish(first)[0] == finish(second)[0]
    assert (tmp_path / "tools/calls").read_text().split() == ["venv", "pip"]


@needs_uv
def test_a_build_killed_in_the_middle_is_begun_again(source: Path, tmp_path: Path, cache: Path) -> None:
    environ = gated_uv(tmp_path)
    killed = start_build(source, environ)
    assert (tmp_path / "tools/ready").read_text() == "installing\n"
    key = key_of(source, isolated=True)
    (cache / key / "half-built").write_text("")
    os.killpg(killed.pid, signal.SIGKILL)
    killed.communicate()
    assert cached_python(key) is None
    (tmp_path / "tools/open").write_text("")
    python, _ = finish(start_build(source, environ))
    assert read_value(python) == "one"
    assert not (cache / key / "half-built").exists()
    assert (tmp_path / "tools/calls").read_text().split() == ["venv", "pip"] * 2


@needs_uv
def test_a_tool_that_outlives_its_killed_build_keeps_the_lock_until_it_ends(
    source: Path, tmp_path: Path, cache: Path
) -> None:
    environ = gated_uv(tmp_path)
    killed = start_build(source, environ)
    assert (tmp_path / "tools/ready").read_text() == "installing\n"
    killed.kill()
    killed.wait()
    with (cache / f"{key_of(source, isolated=True)}.lock").open("rb") as lock, pytest.raises(BlockingIOError):
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    second = start_build(source, environ)
    (tmp_path / "tools/open").write_text("")
    (tmp_path / "tools/gate").write_text("go\n")
    assert read_value(finish(second)[0]) == "one"
    killed.communicate()


def test_a_cache_that_cannot_be_written_is_one_line(
    source: Path, log: io.BufferedWriter, tmp_path: Path
) -> None:
    (tmp_path / "cache").write_text("a file where the folder should be")
    with pytest.raises(BuildFailed, match=r"could not be built in .*Not a directory"):
        build(str(source), sys.executable, log)


def change(path: Path) -> None:
    path.write_text(path.read_text() + "tqdm\n")


@pytest.mark.parametrize(
    "changed", ["requirements.txt", "more.txt", "deep/limits.txt", "pkg/code.py", "wheels/x.whl"]
)
def test_the_key_follows_the_text_and_what_it_names_on_this_machine(tmp_path: Path, changed: str) -> None:
    for folder in ("deep", "pkg", "wheels"):
        (tmp_path / folder).mkdir()
    (tmp_path / "requirements.txt").write_text("--find-links=wheels\nnumpy\n-e ./pkg\n-r more.txt\n")
    (tmp_path / "more.txt").write_text("scipy\n-c deep/limits.txt\n")
    for name in ("deep/limits.txt", "pkg/code.py", "wheels/x.whl", "train.py"):
        (tmp_path / name).write_text("x\n")
    before = key_of(tmp_path)
    change(tmp_path / "train.py")
    assert key_of(tmp_path) == before
    change(tmp_path / changed)
    assert key_of(tmp_path) != before


def test_the_key_is_the_same_from_another_folder_with_the_same_content(source: Path, tmp_path: Path) -> None:
    shutil.copytree(source, tmp_path / "elsewhere")
    assert key_of(source) == key_of(tmp_path / "elsewhere")
    assert len(key_of(source)) == 24


def test_another_path_of_the_same_interpreter_gives_the_same_key(source: Path, tmp_path: Path) -> None:
    script = tmp_path / "python"
    script.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    script.chmod(0o755)
    assert key_of(source, str(script)) == key_of(source)


def test_an_interpreter_that_cannot_be_started_is_bad_input(source: Path) -> None:
    with pytest.raises(BadInput, match="cannot be started"):
        key_of(source, "/absent/python")


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """The site-packages of an interpreter that has tinypkg 1.0, with a command, and our pip."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(tmp_path / "base")], check=True)
    [packages_of_base] = (tmp_path / "base/lib").glob("python*/site-packages")
    with zipfile.ZipFile(write_wheel(tmp_path / "made", "tinypkg", "1.0", "value = 'one'\n")) as wheel:
        wheel.extractall(packages_of_base)
    (packages_of_base / "tinypkg-1.0.dist-info/entry_points.txt").write_text(
        "[console_scripts]\ntiny = tinycommand:main\n"
    )
    (packages_of_base / "tinycommand.py").write_text(
        "import os, sys, tinypkg\ndef main():\n    print(tinypkg.value, *sys.argv[1:], sys.prefix)\n"
    )
    (packages_of_base / "more").mkdir()
    (packages_of_base / "more/deeper.py").write_text("")
    (packages_of_base / "more.pth").write_text("more\n")
    pip = next(Path(path, "pip") for path in sys.path if Path(path, "pip/__main__.py").is_file())
    (packages_of_base / "pip").symlink_to(pip)
    return packages_of_base


def python_of(base: Path) -> str:
    return str(base.parents[2] / "bin/python")


def content(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc")
    return {str(path): path.read_bytes() for path in files}


def test_requirements_come_on_top_of_what_the_interpreter_has_and_never_into_it(
    source: Path, base: Path, log: io.BufferedWriter
) -> None:
    before = content(base)
    (source / "requirements.txt").write_text("--no-index\ntinypkg\n")
    python = build(str(source), python_of(base), log)
    assert b"already satisfied: tinypkg" in Path(log.name).read_bytes()
    assert (read_value(python), read_value(python_of(base))) == ("one", "one")
    subprocess.run([python, "-c", "import deeper"], check=True)  # which a .pth file of the base names
    write_wheel(source / "wheels", "tinypkg", "0.9", "value = 'older'\n")
    (source / "requirements.txt").write_text("--no-index\n--find-links wheels\ntinypkg<1\n")
    python = build(str(source), python_of(base), log)
    assert (read_value(python), read_value(python_of(base))) == ("older", "one")
    assert content(base) == before
    # A launcher such as torchrun starts what the script sees.
    ran = subprocess.run([Path(python).with_name("tiny"), "-x"], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["older", "-x", str(Path(python).parents[1])]


@needs_uv
def test_an_isolated_environment_sees_nothing_of_what_the_interpreter_has(
    source: Path, base: Path, log: io.BufferedWriter
) -> None:
    (source / "requirements.txt").write_text("")
    python = build(str(source), python_of(base), log, isolated=True)
    tried = subprocess.run([python, "-c", "import tinypkg"], check=False, capture_output=True)
    assert tried.returncode == 1
    assert not Path(python).with_name("tiny").exists()


def test_the_key_follows_version_and_place_of_all_that_the_environment_stands_on(
    source: Path, base: Path
) -> None:
    keys = {key_of(source, python_of(base))}
    isolated = key_of(source, python_of(base), isolated=True)
    info = base / "tinypkg-1.0.dist-info"
    keys.add(key_of(source, python_of(base)))
    assert len(keys) == 1
    info.rename(base / "tinypkg-1.1.dist-info")
    keys.add(key_of(source, python_of(base)))
    (base / "tinypkg-1.1.dist-info").rename(base / "more/tinypkg-1.1.dist-info")
    keys.add(key_of(source, python_of(base)))
    shutil.rmtree(base / "more/tinypkg-1.1.dist-info")
    keys.add(key_of(source, python_of(base)))
    assert len(keys) == 4
    assert key_of(source, python_of(base), isolated=True) == isolated


@pytest.mark.parametrize(
    ("output", "line"),
    [
        (
            "  x No solution found when resolving dependencies:\n"
            "  ╰─▶ Because absent was not found in the package registry and you\n"
            "      require absent, we can conclude that your requirements are unsatisfiable.\n\n"
            "hint: Packages were unavailable\n",
            "Because absent was not found in the package registry and you require absent, we can conclude"
            " that your requirements are unsatisfiable.",
        ),
        ("error: Failed to fetch: `https://h/s/`\n  Caused by: dns error\n", "dns error"),
        (
            "error: No solution found\n  cause: Because absent was not found\n",
            "Because absent was not found",
        ),
        (
            "error: The build backend returned an error\n  cause: Call to `setuptools` failed\n\n"
            "         [stderr]\n         Traceback\n         setup blew up\n\nhint: see above\n",
            "Call to `setuptools` failed: setup blew up",
        ),
        (
            "ERROR: Could not find a version\nERROR: No matching distribution found for absent\n"
            "[notice] A new release of pip is available\n",
            "ERROR: No matching distribution found for absent",
        ),
        ("Collecting x\n\x1b[31merror: bad\x1b[0m\n", "error: bad"),
        ("the disk went away\n", "the disk went away"),
        ("", ""),
    ],
)
def test_the_reason_is_the_tools_own_last_sentence(output: str, line: str) -> None:
    assert tool_error(output) == line
