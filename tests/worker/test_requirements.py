"""Whether a source has requirements: one answer, on this machine and in the cloud."""

from __future__ import annotations

from pathlib import Path

import pytest

from trainyard.worker.packages.requirements import are_needed


@pytest.mark.parametrize(
    ("text", "needed"),
    [
        ("", False),
        ("\n  \n# numpy\n", False),
        ("--index-url https://host/simple\n-c limits.txt\n", False),
        ("numpy\n", True),
        ("  numpy>=1 # why\n", True),
        ("# first\n-e .\n", True),
        ("-r empty.txt\n", False),
        ("-r full.txt\n", True),
        ("--requirement=full.txt\n", True),
        ("-r absent.txt\n", True),
        ("-r requirements.txt\n", False),
        ("\ufeff# only a comment\n", False),
    ],
)
def test_only_requirements_need_an_environment(tmp_path: Path, text: str, needed: bool) -> None:
    (tmp_path / "requirements.txt").write_text(text)
    (tmp_path / "empty.txt").write_text("# nothing\n")
    (tmp_path / "full.txt").write_text("numpy\n")
    assert are_needed(str(tmp_path)) is needed


def test_a_source_without_requirements_needs_no_environment(tmp_path: Path) -> None:
    assert are_needed(str(tmp_path)) is False
