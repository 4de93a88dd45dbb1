"""Loaded by the command under test, before it: its templates are small ones that the test has written."""

from __future__ import annotations

import os
from pathlib import Path

from trainyard.core.environments.environment import Environment
from trainyard.infra import synthesis


def synthesise(environment: Environment, *, cache: str | None = None) -> tuple[synthesis.StackTemplate, ...]:
    """The templates in the test's folder, of the names that the environment's stacks have."""
    folder = Path(os.environ["TEST_TEMPLATES"])
    names = {"data": environment.data_stack_name, "platform": environment.stack_name}
    return tuple(
        synthesis.StackTemplate(name, (folder / f"{part}.json").read_text()) for part, name in names.items()
    )


if "TEST_TEMPLATES" in os.environ:
    synthesis.synthesise = synthesise
