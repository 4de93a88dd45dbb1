"""The supervisor's program: `supervisor/__main__.py HOME`."""

import os
import sys

if __name__ == "__main__":
    # Before anything is imported: whoever started us has this first process to wait for.
    if os.fork():
        os._exit(0)
    os.setsid()
    os.chdir("/")
    # Executed by path: the package's own folder must not be where modules are looked for.
    sys.path[0] = os.path.dirname(
        os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    )
    from trainyard.local.supervisor.supervisor import main

    sys.exit(main(sys.argv[1:]))
