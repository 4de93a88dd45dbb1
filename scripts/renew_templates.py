"""Writes the sandbox's templates anew: those of `Environment(name="sandbox")`, as the CDK synthesises them.

They are part of the package, so that the sandbox starts without the CDK. `make templates` runs this; a test
holds the files against a fresh synthesis.
"""

from __future__ import annotations

import sys
from pathlib import Path

from trainyard.core.environments.environment import Environment
from trainyard.infra.synthesis import synthesise

FOLDER = Path(__file__).parents[1] / "src" / "trainyard" / "sandbox" / "templates"


def main() -> int:
    """Write both files."""
    for name, template in zip(("data", "platform"), synthesise(Environment(name="sandbox")), strict=True):
        (FOLDER / f"{name}.json").write_text(template.body + "\n", encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
