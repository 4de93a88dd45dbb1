"""`python -m trainyard.sandbox --folder DIR [--port N] [--region R] [--slots N]`: be the sandbox."""

from __future__ import annotations

import argparse
import sys

from .server.server import ServerOptions, run


def main() -> int:
    """Be the sandbox; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m trainyard.sandbox", allow_abbrev=False)
    parser.add_argument("--folder", required=True, help="where it keeps its files")
    parser.add_argument("--port", type=int, default=ServerOptions._field_defaults["port"])
    parser.add_argument("--region", default=ServerOptions._field_defaults["region"])
    parser.add_argument("--slots", type=int, default=ServerOptions._field_defaults["slots"])
    parser.add_argument(
        "--lock", type=int, default=ServerOptions._field_defaults["lock"], help=argparse.SUPPRESS
    )
    options = parser.parse_args()
    return run(ServerOptions(options.folder, options.port, options.region, options.slots, options.lock))


if __name__ == "__main__":
    sys.exit(main())
