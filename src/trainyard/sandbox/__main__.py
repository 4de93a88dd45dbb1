"""`python -m trainyard.sandbox --folder DIR [--port N] [--region R] [--slots N]`: be the sandbox."""

from __future__ import annotations

import argparse
import sys

from .server.server import ServerOptions, run


def main() -> int:
    """Be the sandbox; the exit status."""
    parser = argparse.ArgumentParser(prog="python -m trainyard.sandbox", allow_abbrev=False)
    parser.add_argument("--folder", required=True, help="where it keeps its files")
    for name, default in ServerOptions._field_defaults.items():
        hidden = argparse.SUPPRESS if name == "lock" else None
        parser.add_argument(f"--{name}", type=type(default), default=default, help=hidden)
    return run(ServerOptions(**vars(parser.parse_args())))


if __name__ == "__main__":
    sys.exit(main())
