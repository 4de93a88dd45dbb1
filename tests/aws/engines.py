"""docker and podman as small scripts on the PATH: they do nothing, and write down how they were called."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

IMAGE_ID, DIGEST = "ab" * 32, "sha256:" + "ef" * 32

# argv[0] is the name; the settings beside it say what works. Passwords are counted and not kept.
_SCRIPT = """#!{python}
import json, os, sys
here = os.path.dirname(os.path.abspath(sys.argv[0]))
name = os.path.basename(sys.argv[0])
settings = json.load(open(os.path.join(here, name + ".json")))
arguments = sys.argv[1:]
said = sys.stdin.read() if "--password-stdin" in arguments else ""
with open(os.path.join(here, "calls"), "a") as calls:
    call = {{"tool": name, "arguments": arguments, "stdin": said}}
    call["environment"] = {{key: value for key, value in os.environ.items() if key in settings["watched"]}}
    calls.write(json.dumps(call) + "\\n")
verb = arguments[0]
if verb in settings["broken"]:
    print(settings["broken"][verb], file=sys.stderr)
    sys.exit(125)
if verb == "info":
    print(settings["info"])
elif verb == "build":
    print("STEP 1/1: FROM scratch")
    with open(arguments[arguments.index("--iidfile") + 1], "w") as file:
        file.write(settings["prefix"] + settings["id"])
elif verb == "image":
    if not settings["built"]:
        print("Error: no such image", file=sys.stderr)
        sys.exit(1)
    print(settings["digest"] if "{{{{.Digest}}}}" in arguments else settings["prefix"] + settings["id"])
elif verb == "context":
    print("unix:///run/elsewhere/docker.sock")
elif verb == "login":
    folder = os.environ.get("DOCKER_CONFIG") or os.path.dirname(os.environ["REGISTRY_AUTH_FILE"])
    with open(os.path.join(folder, "kept"), "w") as file:
        file.write("a password")
elif verb == "push" and settings["on_push"]:
    os.system(settings["on_push"])
"""


class Engine:
    """A fake of docker or of podman in a folder that is to be the PATH."""

    def __init__(self, folder: Path, name: str, **settings: Any) -> None:
        self.folder, self.name = folder, name
        folder.mkdir(exist_ok=True)
        self._settings: dict[str, Any] = {
            "info": "27.0" if name == "docker" else "amd64",
            "broken": {},
            "built": True,
            "id": IMAGE_ID,
            "digest": DIGEST,
            # docker says which hash it is, podman does not.
            "prefix": "sha256:" if name == "docker" else "",
            "on_push": "",
            "watched": [
                "DOCKER_CONFIG",
                "DOCKER_HOST",
                "REGISTRY_AUTH_FILE",
                "BUILDX_NO_DEFAULT_ATTESTATIONS",
            ],
        }
        program = folder / name
        program.write_text(_SCRIPT.format(python=sys.executable))
        program.chmod(0o755)
        self.set(**settings)

    def set(self, **settings: Any) -> None:
        self._settings |= settings
        (self.folder / f"{self.name}.json").write_text(json.dumps(self._settings))

    def calls(self, verb: str = "") -> list[dict[str, Any]]:
        """How it was called, the first call first; only those of a verb where one is named."""
        path = self.folder / "calls"
        lines = path.read_text().splitlines() if path.exists() else []
        found = [json.loads(line) for line in lines]
        return [
            each for each in found if each["tool"] == self.name and (not verb or each["arguments"][0] == verb)
        ]
