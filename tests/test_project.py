"""What the project says of itself is so: documents against the code, the lock, the rules of the house."""

from __future__ import annotations

import argparse
import ast
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

import trainyard
from trainyard.cli.main import VERBS
from trainyard.core.environments import families
from trainyard.core.environments import limits as environments_limits
from trainyard.core.environments.environment import DEFAULT, BatchCompute, Environment, Notebook, Retention
from trainyard.core.jobs.job import InferenceJob, Resources, ShardResources, Spot, TrainingJob

ROOT = Path(__file__).parents[1]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("examples/**/*.md")])
SECTIONS = {
    "train": TrainingJob,
    "train.resources": Resources,
    "train.spot": Spot,
    "infer": InferenceJob,
    "infer.resources": ShardResources,
    "environments.<name>": Environment,
    "environments.<name>.notebook": Notebook,
    "environments.<name>.batch": BatchCompute,
    "environments.<name>.retention": Retention,
}
LONGEST_MODULE = 400


def text_of(path: Path | str) -> str:
    return (ROOT / path).read_text(encoding="utf-8")


def project_files() -> Iterator[Path]:
    """All files of the project that are text and no tool's."""
    skipped = {".git", ".venv", "demo", "build", "dist"}
    for folder, folders, names in os.walk(ROOT):
        folders[:] = [
            name
            for name in folders
            if name not in skipped and (not name.startswith(".") or name == ".ci") and name != "__pycache__"
        ]
        yield from (Path(folder) / name for name in names if not name.endswith((".pyc", ".log")))


def options_of(verb: str) -> list[str]:
    parser = argparse.ArgumentParser(prog=f"trainyard {verb}", add_help=False)
    import_module(f"trainyard.cli.verbs.{VERBS[verb].module}").add_arguments(parser)
    return [option for action in parser._actions for option in action.option_strings]


def keys_of(section: str) -> list[str]:
    """The keys of a table of the job file: an environment's name is its table's."""
    return [key for key in SECTIONS[section]._fields if (section, key) != ("environments.<name>", "name")]


def shown_default(section: str, key: str) -> str:
    """A key's default as the job file's document has it."""
    defaults = SECTIONS[section]._field_defaults
    if key not in defaults:
        return "required"
    default = defaults[key]
    if default is None:
        return "depends"
    # JSON's way of writing these is TOML's.
    return f"`{json.dumps(default)}`"


def test_no_document_is_missing() -> None:
    names = {str(path.relative_to(ROOT)) for path in DOCUMENTS}
    assert {"README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/architecture.md", "docs/cli.md"} <= names


@pytest.mark.parametrize("verb", VERBS)
def test_the_command_line_document_has_every_verb_with_its_arguments(verb: str) -> None:
    assert f"trainyard {verb} {VERBS[verb].usage}".rstrip() in text_of("docs/cli.md")


@pytest.mark.parametrize("verb", VERBS)
def test_the_command_line_document_has_every_option(verb: str) -> None:
    document = text_of("docs/cli.md")
    missing = [option for option in options_of(verb) if not re.search(rf"`{option}\b", document)]
    assert not missing


def test_the_command_line_document_names_no_option_that_is_not_there() -> None:
    known = {option for verb in VERBS for option in options_of(verb)} | {"--help", "--version"}
    named = set(re.findall(r"`(--[a-z][a-z-]*)", text_of("docs/cli.md")))
    assert named and named <= known


@pytest.mark.parametrize("section", SECTIONS)
def test_the_job_file_document_has_every_key_with_its_default(section: str) -> None:
    document = text_of("docs/jobfile.md")
    heading = f"# `[{section}]`"
    assert heading in document
    chapter = document.split(heading, 1)[1].split("\n#", 1)[0]
    for key in keys_of(section):
        if f"`[{section}.{key}]`" in document:
            continue
        row = re.search(rf"^\| `{key}` \| (.+?) \|", chapter, re.MULTILINE)
        assert row, f"{section}.{key} has no row"
        assert row[1] == shown_default(section, key), f"{section}.{key} says {row[1]}"


def test_the_template_of_init_has_every_key() -> None:
    template = text_of("src/trainyard/cli/templates/trainyard.toml")
    plain = re.sub(r"^# (\w+ = )", r"\1", template, flags=re.MULTILINE)
    data = tomllib.loads(plain)
    for section in SECTIONS:
        table = data
        for part in section.replace("<name>", DEFAULT).split("."):
            table = table[part]
        assert set(keys_of(section)) == set(table), section


def test_the_job_file_document_names_every_choice() -> None:
    document = text_of("docs/jobfile.md")
    row = re.search(r"^\| `endpoints` \|.*", document, re.MULTILINE)
    assert row and not [
        each for each in environments_limits.ENDPOINTS if not re.search(f'[`"]{each}[`"]', row[0])
    ]
    assert f"| {', '.join(map(str, environments_limits.LOG_DAYS[:-1]))} or " in document
    assert not [each for each in environments_limits.RESERVED if f"`{each}`" not in document]


def test_the_job_file_document_has_the_limits_of_trainyards_own() -> None:
    document = text_of("docs/jobfile.md").split("## `[environments.<name>]`", 1)[1]
    assert f"Its name has 1 to {environments_limits.NAME_LENGTH}\n" in document
    limits = {
        "prefix": f"up to {environments_limits.PREFIX_LENGTH} ",
        "zones": f"1 to {environments_limits.ZONES} ",
        "read_buckets": f"up to {environments_limits.READ_BUCKETS} ",
        "subnets": f"1 to {environments_limits.SUBNETS} ",
        "families": f"1 to {families.MOST} ",
    }
    for key, limit in limits.items():
        assert re.search(rf"^\| `{key}` \| [^|]+ \| {limit}", document, re.MULTILINE), key
    assert f"at most {environments_limits.TAGS} " in document


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_relative_link_leads_to_a_file(document: Path) -> None:
    links = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", document.read_text(encoding="utf-8"))
    relative = [link for link in links if "://" not in link]
    assert not [link for link in relative if not (document.parent / link).exists()]


def test_every_document_is_in_the_table_of_the_readme() -> None:
    readme = text_of("README.md")
    missing = [path.name for path in (ROOT / "docs").glob("*.md") if f"docs/{path.name})" not in readme]
    assert not missing


def test_every_make_target_that_a_document_names_is_there() -> None:
    targets = set(re.findall(r"^([a-z-]+):", text_of("Makefile"), re.MULTILINE))
    for document in DOCUMENTS:
        written = document.read_text(encoding="utf-8")
        named = set(re.findall(r"(?:`|^)make ([a-z-]+)", written, re.MULTILINE))
        assert named <= targets, document.name
    assert {"setup", "demo", "test", "test-quick", "check", "bench", "lock", "clean"} <= targets


def test_make_help_tells_every_target() -> None:
    shown = subprocess.run(
        ["make", "-s", "help"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    phony = re.search(r"^\.PHONY: (.+)$", text_of("Makefile"), re.MULTILINE)
    assert phony
    assert set(re.findall(r"^make ([\w-]+)", shown, re.MULTILINE)) == set(phony[1].split()) - {"help"}


def test_the_quick_tests_that_make_names_are_there() -> None:
    shown = subprocess.run(
        ["make", "-n", "test-quick"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    named = [word for word in shown.split() if word.startswith("tests/")]
    assert len(named) > 20
    assert not [name for name in named if not (ROOT / name).exists()]


def test_every_test_that_security_names_is_there() -> None:
    tests = [*(ROOT / "tests").rglob("test_*.py"), *(ROOT / "tests/promises").glob("*.py")]
    known = {path.name for path in tests} | {str(path.relative_to(ROOT)) for path in tests}
    known |= {name for path in tests for name in re.findall(r"def (test_\w+)", path.read_text())}
    named = set(re.findall(r"`((?:tests/)?[\w/]*test_\w+(?:\.py)?)`", text_of("docs/security.md")))
    assert len(named) > 20
    assert not named - known


def test_every_module_that_the_architecture_names_is_there() -> None:
    text = text_of("docs/architecture.md")
    package = ROOT / "src" / "trainyard"
    rooms = set(re.findall(r"^([a-z]+)/ ", text, re.MULTILINE))
    assert rooms == {path.parent.name for path in package.glob("*/__init__.py")}
    named = re.findall(rf"`((?:{'|'.join(rooms)})/[\w./]*)`", text)
    assert len(named) > 30
    named += re.findall(rf"`((?:{'|'.join(rooms)})/[\w./]*)`", text_of("docs/decisions.md"))
    assert not [name for name in named if not (package / name).exists() and not (ROOT / name).exists()]


def test_no_file_names_a_machine_or_a_registry() -> None:
    # Written apart, so that this file does not name them either.
    words = [str(ROOT), "/ro" + "ot/", "py" + "pi.org", "pythonho" + "sted", "index" + "-url ="]
    found = []
    for path in project_files():
        content = path.read_bytes()
        found += [f"{path.relative_to(ROOT)}: {word}" for word in words if word.encode() in content]
    assert not found


def test_every_module_fits_a_screen_or_three() -> None:
    long = {
        str(path.relative_to(ROOT)): count
        for path in (ROOT / "src").rglob("*.py")
        if (count := len(path.read_text(encoding="utf-8").splitlines())) > LONGEST_MODULE
    }
    assert not long


def test_every_public_name_of_the_package_is_documented() -> None:
    undocumented = []
    for path in (ROOT / "src").rglob("*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        if tree.body and not ast.get_docstring(tree):
            undocumented.append(str(path.relative_to(ROOT)))
    assert not undocumented


def check_lock(folder: Path) -> tuple[int, str]:
    script = ROOT / "scripts" / "check_lock.py"
    done = subprocess.run(
        [sys.executable, str(script), str(folder)], capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout


def test_the_lock_is_in_step_with_pyproject() -> None:
    assert check_lock(ROOT) == (0, "")


@pytest.mark.parametrize(
    ("pattern", "replacement", "said"),
    [
        (r"^pathspec==.*\n(?:    .*\n)+", "", "pathspec of pyproject.toml is missing"),
        (r"^pathspec==[\d.]+", "pathspec==0.1.0", "pathspec==0.1.0 is not"),
        (r"(^pathspec==[^\n]*)(?:\n    --hash[^\n]*)+", r"\1", "pathspec has no exact version or no hash"),
        (r"\A", "--extra-index https" + "://registry.example/simple\n", "names a place to install from"),
    ],
)
def test_a_lock_that_is_out_of_step_is_told_in_words(
    tmp_path: Path, pattern: str, replacement: str, said: str
) -> None:
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    lock, count = re.subn(pattern, replacement, text_of("requirements.txt"), count=1, flags=re.MULTILINE)
    (tmp_path / "requirements.txt").write_text(lock, encoding="utf-8")
    status, told = check_lock(tmp_path)
    assert (count, status) == (1, 1)
    assert said in told


def test_the_lock_of_a_tool_is_held_too(tmp_path: Path) -> None:
    for name in ("pyproject.toml", "requirements.txt"):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(ROOT / "tests" / "tools", tmp_path / "tests" / "tools")
    assert check_lock(tmp_path) == (0, "")
    (tmp_path / "tests" / "tools" / "checkov" / "requirements.in").write_text("checkov>=9000\n")
    status, told = check_lock(tmp_path)
    assert status == 1 and told.startswith("tests/tools/checkov/requirements.txt: checkov==")


@pytest.mark.parametrize(("version", "accepted"), [("3.10", False), ("3.11", True)])
def test_set_up_takes_no_python_that_is_too_old(tmp_path: Path, version: str, accepted: bool) -> None:
    fake = tmp_path / "python3"
    # A Python of that version as far as `find_python` can ask.
    older = "exit 1" if version < "3.11" else "exit 0"
    fake.write_text(f"#!/bin/sh\n{older}\n")
    fake.chmod(0o755)
    done = subprocess.run(
        ["/bin/sh", str(ROOT / "scripts" / "find_python")],
        env={"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode == 0) is accepted
    assert done.stdout.strip() == (str(fake) if accepted else "")
    assert accepted or "no Python >= 3.11 on the PATH" in done.stderr


@pytest.mark.parametrize("owner", [trainyard.Yard, trainyard.RunHandle], ids=lambda owner: owner.__name__)
def test_the_python_document_has_every_public_member(owner: type) -> None:
    chapter = text_of("docs/python.md").split(f"\n## `{owner.__name__}`", 1)[1].split("\n## ", 1)[0]
    members = [name for name in vars(owner) if not name.startswith("_")]
    assert not [name for name in members if not re.search(rf"\b{name}\b", chapter)]


def test_the_python_document_has_every_public_name() -> None:
    document = text_of("docs/python.md")
    assert not [name for name in trainyard.__all__ if f"{name}" not in document]


def test_the_documents_name_every_variable_that_trainyard_reads() -> None:
    source = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "src").rglob("*.py"))
    named = set(re.findall(r"[\"'](TRAINYARD_[A-Z_]*[A-Z])[\"']", source))
    documents = "".join(path.read_text(encoding="utf-8") for path in ROOT.glob("docs/*.md"))
    assert named and not [name for name in named if name not in documents]
