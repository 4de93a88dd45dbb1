"""`python benchmarks/original.py`: writes the TypeScript app's templates into tests/infra/original anew."""

from __future__ import annotations

import json
import re
import sys
from typing import Any

import peers
import synthesis
from setting import REPOSITORY, prepared
from timing import CommandFailed

FOLDER = REPOSITORY / "tests" / "infra" / "original"
_FILE = re.compile(r"(?:TapStack)?(\w+?)Stack(?:[0-9A-F]{8}\.nested)?\.template\.json")


def main() -> int:
    """Synthesise the app and keep its templates; 1 where that cannot be done, after saying why."""
    with prepared(runs=1, quick=True, peers=(peers.TYPESCRIPT,), say=_say) as setting:
        app = peers.typescript_app(setting)
        if not app:
            return 1
        made = setting.folder / "original"
        # Without the note on who made them, which names the version of Node.
        argv = ["npx", "cdk", "synth", "--quiet", "--no-version-reporting", "--output", made]
        try:
            setting.run(*argv, folder=app, variables=synthesis.typescript_variables(setting))
        except CommandFailed as failure:
            _say(f"the TypeScript app could not be synthesised: {failure}")
            return 1
        FOLDER.mkdir(parents=True, exist_ok=True)
        for path in sorted(made.glob("*.template.json")):
            target = FOLDER / f"{stack_of(path.name)}.template.json"
            target.write_text(rendered(json.loads(path.read_text())))
            print(target.relative_to(REPOSITORY))
    return 0


def stack_of(file_name: str) -> str:
    """The short name of the stack whose template CDK wrote into this file: tap, networking, storage, …"""
    match = _FILE.fullmatch(file_name)
    if not match:
        raise ValueError(f"{file_name} is no template of the app")
    return match[1].lower()


def rendered(template: dict[str, Any]) -> str:
    """A template as it is kept: sorted, so that a difference is one of content."""
    return json.dumps(template, indent=1, sort_keys=True) + "\n"


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
