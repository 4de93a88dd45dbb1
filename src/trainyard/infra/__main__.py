"""The CDK app, for the CDK CLI: `python -m trainyard.infra`, with context `environment` (default: dev).

`cdk synth`, `cdk diff` and `cdk deploy` find it through `cdk.json`; it reads `trainyard.toml` in the current
folder, or the job file that the context `job_file` names.
"""

from __future__ import annotations

import json
import os
import sys

from ..core.environments.environment import DEFAULT
from ..core.environments.file import load_environment
from ..core.errors import TrainyardError


def main() -> int:
    """Synthesise into the folder that the CDK CLI names; exit status 2 for bad input, in one line."""
    context = json.loads(os.environ.get("CDK_CONTEXT_JSON", "{}"))
    try:
        environment = load_environment(
            context.get("job_file", "trainyard.toml"), context.get("environment", DEFAULT)
        )
        from .synthesis import (
            use_packaged_node,  # before the CDK, which looks for Node.js when it is imported
        )

        use_packaged_node()
        from .platform import build

        build(environment).synth()
    except TrainyardError as error:
        print(f"trainyard: {error}", file=sys.stderr)
        return error.exit_status
    return 0


if __name__ == "__main__":
    sys.exit(main())
