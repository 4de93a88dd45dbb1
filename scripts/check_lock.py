"""Is requirements.txt in step with pyproject.toml? Looks at the files only, without a network.

Every dependency that pyproject.toml names is locked at a version it allows, every locked one has hashes, and
no line names a registry's host. The same for the tools of `tests/tools`, whose dependencies stand in a
requirements.in. Prints what is wrong, one a line; exit status 1.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

CURE = "run 'make lock'"


def named(pyproject: Path) -> Iterator[Requirement]:
    """All that pyproject.toml asks for: to run, to build, the extras and the development group."""
    content = tomllib.loads(pyproject.read_text())
    project = content["project"]
    groups = [
        project["dependencies"],
        content["build-system"]["requires"],
        *project.get("optional-dependencies", {}).values(),
        *content.get("dependency-groups", {}).values(),
    ]
    for group in groups:
        for line in group:
            yield Requirement(line)


def locked(requirements: str) -> Iterator[tuple[Requirement, int]]:
    """Each locked requirement with the number of its hashes."""
    for entry in re.split(r"\n(?=\S)", requirements.replace("\\\n", " ")):
        if entry and not entry.startswith(("#", "-")):
            line = entry.split("    #")[0]
            hashes = line.count("--hash=sha256:")
            yield Requirement(line.split("--hash=")[0].strip()), hashes


def named_in(requirements: Path) -> Iterator[Requirement]:
    """All that a tool's requirements.in asks for, one a line."""
    for line in requirements.read_text().splitlines():
        if line and not line.startswith("#"):
            yield Requirement(line)


def faults(folder: Path) -> Iterator[str]:
    """What is wrong with the locks in `folder`, in words."""
    yield from faults_of(folder, "requirements.txt", "pyproject.toml", named(folder / "pyproject.toml"))
    for wanted in sorted(folder.glob("tests/tools/*/requirements.in")):
        name = str(wanted.with_suffix(".txt").relative_to(folder))
        yield from faults_of(folder, name, wanted.name, named_in(wanted))


def faults_of(folder: Path, name: str, source: str, wanted: Iterator[Requirement]) -> Iterator[str]:
    """What is wrong with the lock `name`, against what `source` asks for."""
    text = (folder / name).read_text()
    for number, line in enumerate(text.splitlines(), 1):
        if "://" in line or line.startswith("-"):
            yield f"{name}:{number}: names a place to install from: {line.strip()}"
    versions: dict[str, list[str]] = {}
    for requirement, hashes in locked(text):
        pins = [each.version for each in requirement.specifier if each.operator == "=="]
        if len(pins) != 1 or not hashes:
            yield f"{name}: {requirement.name} has no exact version or no hash; {CURE}"
        versions.setdefault(canonicalize_name(requirement.name), []).extend(pins)
    for requirement in wanted:
        pins = versions.get(canonicalize_name(requirement.name), [])
        if not pins:
            yield f"{name}: {requirement.name} of {source} is missing; {CURE}"
        for pin in pins:
            if not requirement.specifier.contains(pin, prereleases=True):
                yield f"{name}: {requirement.name}=={pin} is not {requirement.specifier}; {CURE}"


def main() -> int:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[1]
    found = list(faults(folder))
    for fault in found:
        print(fault)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
