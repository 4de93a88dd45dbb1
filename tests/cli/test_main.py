"""`trainyard` itself: its help, and one line for what is wrong."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from trainyard.cli import main as cli_main
from trainyard.cli.main import VERBS, main
from trainyard.version import __version__

from .conftest import Project


def ends(argv: list[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    """The exit status, stdout and stderr of a command line; argparse's help ends by SystemExit."""
    try:
        status = main(argv)
    except SystemExit as end:
        status = int(end.code or 0)
    return status, *capsys.readouterr()


@pytest.mark.parametrize("word", ["-h", "--help", "help"])
def test_the_help_lists_every_verb(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = ends([word], capsys)
    assert (status, err) == (0, "")
    for name, verb in VERBS.items():
        assert f"  {name} {verb.usage}".rstrip() in out
        assert verb.summary in out


def test_no_verb_at_all_shows_the_help_and_is_bad_input(capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = ends([], capsys)
    assert (status, out) == (2, "")
    assert err.startswith("usage: trainyard VERB")


def test_the_help_imports_neither_argparse_nor_a_verb(environment: dict[str, str]) -> None:
    heavy = {"argparse", "re", "typing", "dataclasses", "json", "trainyard.yard", "rich"}
    script = (
        "from trainyard.cli.main import main; main(['--help']);"
        f"print('HEAVY', sorted({heavy!r} & set(sys.modules)))"
    )
    argv = [
        sys.executable,
        "-I",
        "-S",
        "-c",
        f"import sys; sys.path[:0] = {sys.path!r}; {script}",
    ]
    out = subprocess.run(argv, env=environment, capture_output=True, text=True, check=True).stdout
    assert out.splitlines()[-1] == "HEAVY []"


@pytest.mark.parametrize("word", ["-V", "--version"])
def test_the_version_is_told(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert ends([word], capsys) == (0, f"trainyard {__version__}\n", "")


@pytest.mark.parametrize("name", VERBS)
def test_every_verb_tells_its_options(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = ends([*name.split(), "--help"], capsys)
    assert (status, err) == (0, "")
    assert out.startswith(f"usage: trainyard {name} ")
    assert ("--on YARD" in out) == VERBS[name].in_yard
    assert ("--json" in out) == (name != "init")


@pytest.mark.parametrize(
    ("typed", "meant"),
    [("trian", "train"), ("infr", "infer"), ("log", "logs"), ("--hlep", "--help"), ("models@1", "models")],
)
def test_a_mistyped_word_gets_the_near_one(
    typed: str, meant: str, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, err = ends([typed], capsys)
    assert (status, out) == (2, "")
    assert err.startswith("trainyard: unknown ")
    assert f"did you mean {meant!r}?" in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (["train", "--detatch"], "train: unknown option '--detatch'; did you mean '--detach'?"),
        (["train", "--dry"], "train: unknown option '--dry'; did you mean '--dry-run'?"),
        (["train", "a.toml", "b.toml"], "train: 'b.toml' is one argument too many"),
        (["train", "--spot", "--no-spot"], "train: --no-spot: not allowed with argument --spot"),
        (["show"], "show: the following arguments are required: RUN"),
        (["infer", "m@1", "x", "--shards", "many"], "infer: --shards: 'many' is no number of 0 or more"),
        (["runs", "--limit", "-1"], "runs: --limit: '-1' is no number of 0 or more"),
        (["data", "push", "digits"], "data push: the following arguments are required: PATH"),
        (["pull", "--on"], "pull: --on: expected one argument"),
    ],
)
def test_wrong_arguments_get_one_line(argv: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    status, out, err = ends(argv, capsys)
    assert (status, out) == (2, "")
    assert err.startswith(f"trainyard: {told}")
    verb = " ".join(argv[:2]) if argv[0] == "data" else argv[0]
    assert f"see trainyard {verb} --help" in err
    assert err.count("\n") == 1


@given(st.lists(st.text(min_size=1, max_size=12), min_size=1, max_size=3))
@example(["\n"])
@example(["--"])
@example([""])
@example(["\ud800"])
def test_a_word_that_is_no_verb_never_gives_more_than_a_line(argv: list[str]) -> None:
    if argv[0] in VERBS or argv[0] in ("-h", "-V", "help"):
        return
    lines: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cli_main, "_complain", lambda line, status: (lines.append(line), status)[1])
        assert main(argv) == 2
    assert len(lines) == 1
    assert "\n" not in lines[0]


@pytest.mark.parametrize("name", [name for name, verb in VERBS.items() if verb.in_yard])
def test_another_yard_is_refused_in_words(
    name: str, project: Project, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project.folder)
    project.write(
        "trainyard.toml", '[train]\nname="a"\nentry_script="a.py"\n[infer]\nname="a"\nhandler="a.py"\n'
    )
    project.write("a.py", "")
    words = {
        "infer": ["m@1", "x"],
        "models add": ["m", "a.py"],
        "data push": ["d", "a.py"],
        "pull": ["m@1"],
    }.get(name, [])
    needs_run = VERBS[name].usage == "RUN"
    status, out, err = ends([*name.split(), *words, *(["x"] if needs_run else []), "--on", "lunar"], capsys)
    assert (status, out) == (2, "")
    assert "there is no yard 'lunar'" in err
    assert err.count("\n") == 1


def test_ctrl_c_outside_of_a_run_is_130_without_a_word(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(argv: list[str]) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(cli_main, "_run", interrupted)
    assert ends(["runs"], capsys) == (130, "", "")


@pytest.mark.parametrize(
    ("error", "status", "told"),
    [
        (OSError(28, "No space left on device", "/a/b"), 1, "/a/b: no space left on the device"),
        (PermissionError(13, "Permission denied", "/a/b"), 2, "/a/b: permission denied"),
        (OSError(30, "Read-only file system", "/a/b"), 2, "/a/b: read-only file system"),
    ],
)
def test_a_disk_that_refuses_is_one_line(
    error: OSError,
    status: int,
    told: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def refused(argv: list[str]) -> int:
        raise error

    monkeypatch.setattr(cli_main, "_run", refused)
    found, out, err = ends(["runs"], capsys)
    assert (found, out) == (status, "")
    assert err.startswith(f"trainyard: {told}")
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    "error", [OSError("odd"), FileNotFoundError(2, "No such file", "x"), ValueError("bug")]
)
def test_a_bug_shows_its_traceback(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(argv: list[str]) -> int:
        raise error

    monkeypatch.setattr(cli_main, "_run", broken)
    with pytest.raises(type(error)):
        main(["runs"])


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="/dev/full is Linux's")
def test_a_full_disk_under_stdout_is_one_line_and_status_1(project: Project) -> None:
    with Path("/dev/full").open("w") as full:
        result = subprocess.run(
            [sys.executable, "-m", "trainyard", "--help"],
            env=project.environment,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert (result.returncode, result.stderr.count("\n")) == (1, 1)
    assert "no space left on the device" in result.stderr


def test_a_reader_that_leaves_is_no_error(project: Project) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    process = project.start("--help", stdout=writing)
    os.close(writing)
    assert process.communicate()[1] == ""
    assert process.returncode == 141


def test_closed_streams_are_no_error(project: Project, tmp_path: Path) -> None:
    argv = f"{sys.executable} -m trainyard --help >&- 2>&-"
    subprocess.run(["sh", "-c", argv], env=project.environment, cwd=tmp_path, check=True)
