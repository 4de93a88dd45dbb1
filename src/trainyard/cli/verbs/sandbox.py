"""`trainyard sandbox start | stop | status | env | interrupt | set`."""

from __future__ import annotations

import argparse
import os
import shlex
import signal
import sys
from collections.abc import Mapping
from typing import Any

from ...core.errors import BadInput
from ...sandbox import address as sandbox_address
from ...sandbox.address import Address
from ...yard.connection import SANDBOX, connect
from ...yard.yard import LATEST
from ..formatting import many
from ..parser import natural
from ..terminal.table import print_json
from ..terminal.text import clean

_UNSET = ("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN")
_MOST_LOST = 5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    verb = parser.prog.rpartition(" ")[2]
    parser.set_defaults(do=_VERBS[verb])
    if verb == "start":
        _add_start(parser)
    elif verb == "interrupt":
        parser.add_argument(
            "run", metavar="RUN", help="a run's id, latest, or a job of SageMaker's or Batch's that runs"
        )
        parser.add_argument("--kill", action="store_true", help="without the SIGTERM and the grace before")
    elif verb == "set":
        _add_set(parser)
    parser.add_argument("--json", action="store_true", help="print one JSON object, and nothing else")


def run(args: argparse.Namespace) -> int | None:
    status: int | None = args.do(args)
    return status


def _add_start(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "--port",
        metavar="N",
        type=natural,
        default=0,
        help="the port on 127.0.0.1 (default: any that is free)",
    )
    add(
        "--slots",
        metavar="N",
        type=natural,
        default=0,
        help="how many jobs run at once (default: one a core)",
    )
    add("--region", metavar="REGION", default="us-east-1", help="the region that it is (default: us-east-1)")
    add("--foreground", action="store_true", help="stay, and end the sandbox with this command")


def _add_set(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--shortage", choices=("on", "off"), help="whether there are no machines, so that jobs wait for them")
    add("--slow-start", metavar="TIME", type=_seconds, help="how long machines take to come: 5s, 500ms, 2m")
    add(
        "--grace",
        metavar="TIME",
        type=_seconds,
        help="from SIGTERM to SIGKILL of a training job (SageMaker: 120s)",
    )


def _start(args: argparse.Namespace) -> int | None:
    from ...sandbox import starting  # a light module of a package whose others need the extra

    if args.port > 65_535:
        raise BadInput(
            f"{args.port} is no port", key="--port", cure="use 1 to 65535, or 0 for any that is free"
        )
    options = starting.SandboxOptions(port=args.port, slots=args.slots, region=args.region)
    if not args.foreground:
        _print_address(starting.start(options), as_json=args.json)
        return None
    process, address = starting.serve(options)
    _print_address(address, as_json=args.json)
    sys.stdout.flush()
    return _stay(process)


def _stay(process: Any) -> int:
    """Until the sandbox ends; a signal to this command is one to the sandbox."""
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
        signal.signal(number, lambda *_: process.terminate())
    status: int = process.wait()
    return 0 if status == 0 else 1


def _print_address(address: Address, *, as_json: bool) -> None:
    if as_json:
        print_json({**_shown(address), "lost": list(address.lost)})
        return
    where = f"at {address.endpoint}, region {address.region}"
    print(f"AWS is emulated {where}, with the stacks of trainyard deployed; everything in it goes with it")
    print('use it with --on sandbox, or eval "$(trainyard sandbox env)" and any client of AWS\'s')
    if address.lost:
        shown = ", ".join(name.replace("-", " ", 1) for name in address.lost[:_MOST_LOST])
        more = f" and {len(address.lost) - _MOST_LOST} more" if len(address.lost) > _MOST_LOST else ""
        text = f"the sandbox before this one was killed, and with it {many(len(address.lost), 'job')}"
        print(clean(f"{text}: {shown}{more}"), file=sys.stderr)


def _shown(address: Address) -> dict[str, Any]:
    return {
        "running": True,
        "endpoint": address.endpoint,
        "region": address.region,
        "pid": address.pid,
        "folder": sandbox_address.folder(),
    }


def _stop(args: argparse.Namespace) -> None:
    from ...sandbox import starting  # as above

    stopped = starting.stop()
    if args.json:
        print_json({"stopped": stopped})
    else:
        print("the sandbox has ended, and all that was in it is gone" if stopped else "no sandbox runs")


def _status(args: argparse.Namespace) -> int:
    address = sandbox_address.running(sandbox_address.folder())
    if address is None:
        starting = sandbox_address.is_held(sandbox_address.folder())
        text = "the sandbox is being started" if starting else f"no sandbox runs; {sandbox_address.START}"
        print_json({"running": False}) if args.json else print(text)
        return 1
    found = sandbox_address.ask(address, "status")
    if args.json:
        print_json({**_shown(address), **found})
    else:
        _print_status(address, found)
    return 0


def _print_status(address: Address, found: Mapping[str, Any]) -> None:
    settings = found["settings"]
    print(f"AWS is emulated at {address.endpoint}, region {address.region}; process {address.pid}")
    running = f"{many(found['training_jobs'], 'training job')}, {many(found['batch_jobs'], 'Batch job')}"
    capacity = (
        "there are machines" if settings["has_capacity"] else "there are no machines: a capacity shortage"
    )
    print(f"{running} under way; {capacity}; they come after {settings['start_seconds']:g} s")


def _env(args: argparse.Namespace) -> None:
    variables = _variables(sandbox_address.find())
    if args.json:
        print_json(variables)
        return
    # To be evaluated by a POSIX shell: nothing but quoted words.
    for name, value in variables.items():
        print(f"export {name}={shlex.quote(value)}")
    print(f"unset {' '.join(_UNSET)}")


def _variables(address: Address) -> dict[str, str]:
    return {
        "AWS_ENDPOINT_URL": address.endpoint,
        "AWS_REGION": address.region,
        "AWS_DEFAULT_REGION": address.region,
        "AWS_ACCESS_KEY_ID": address.access_key,
        "AWS_SECRET_ACCESS_KEY": address.secret_key,
        "SAGEMAKER_USER_CONFIG_OVERRIDE": os.path.join(
            sandbox_address.folder(), sandbox_address.CONFIGURATION
        ),
    }


def _interrupt(args: argparse.Namespace) -> None:
    run = connect(SANDBOX).get(LATEST).id if args.run == LATEST else args.run
    found = sandbox_address.ask(sandbox_address.find(), "lose", {"run": run, "kill": args.kill})
    names = found["interrupted"]
    if args.json:
        print_json(found)
    elif len(names) == 1:
        print(clean(f"{names[0]}: the machine is taken away"))
    else:
        print(f"{many(len(names), 'job')}: their machines are taken away")


def _set(args: argparse.Namespace) -> None:
    asked = {
        "has_capacity": None if args.shortage is None else args.shortage == "off",
        "start_seconds": args.slow_start,
        "grace_seconds": args.grace,
    }
    changes = {name: value for name, value in asked.items() if value is not None}
    if not changes:
        raise BadInput("nothing to set", where="sandbox set", cure="say --shortage, --slow-start or --grace")
    settings = sandbox_address.ask(sandbox_address.find(), "settings", changes)
    if args.json:
        print_json(settings)
        return
    capacity = "off" if settings["has_capacity"] else "on"
    times = f"slow start {settings['start_seconds']:g} s, grace {settings['grace_seconds']:g} s"
    print(f"shortage {capacity}, {times}")


def _seconds(text: str) -> float:
    """A time of 0 or more, for `type=`."""
    for unit, factor in (("ms", 0.001), ("s", 1.0), ("m", 60.0), ("", 1.0)):
        number = text.removesuffix(unit) if unit else text
        if unit and number == text:
            continue
        try:
            seconds = float(number) * factor
        except ValueError:
            break
        if 0 <= seconds <= 86_400:
            return seconds
        break
    raise argparse.ArgumentTypeError(f"{text!r} is no time of 0 s to 24 h, such as 5s, 500ms or 2m")


_VERBS = {
    "start": _start,
    "stop": _stop,
    "status": _status,
    "env": _env,
    "interrupt": _interrupt,
    "set": _set,
}
