"""The sandbox's process: one HTTP endpoint on loopback, from its start to its end."""

from __future__ import annotations

import json
import logging
import os
import secrets
import shutil
import signal
import socket
import sys
import threading
import warnings
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import IO, Any, NamedTuple

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server

from ...core.errors import BadInput
from ...core.files.whole import written
from ...machine import namespace, processes
from .. import address as sandbox_address
from ..api.control import Call, Controls, control
from ..api.dispatch import Dispatcher
from ..batch import operations as batch  # noqa: F401  (it registers operations, as do those below)
from ..events import bridge
from ..iam import roles
from ..sagemaker import operations as sagemaker  # noqa: F401
from ..sagemaker import search  # noqa: F401
from ..tasks import containers
from ..world.world import World
from . import interruptions, stacks  # noqa: F401
from .gate import Gate

HOST = "127.0.0.1"

SETUPS: list[Callable[[World], None]] = [bridge.set_up, roles.set_up, stacks.deploy]
"""What is done at the start, and again after a reset, in this order: events, roles, stacks."""

_log = logging.getLogger(__name__)


class ServerOptions(NamedTuple):
    """What the sandbox is started with. `port` 0: any that is free; `slots` 0: as many as cores."""

    folder: str
    port: int = 0
    region: str = "us-east-1"
    slots: int = 0
    lock: int = -1
    """A descriptor of the folder's lock, where whoever started the sandbox holds it already."""


class RequestHandler(MotoRequestHandler):
    """Requests are not logged, and answers not held back for more to come."""

    disable_nagle_algorithm = True

    def log_request(self, *_: Any) -> None:
        """Nothing: AWS's clients have logs of their own."""


def _application(service: Any) -> Any:
    """moto's application for a service. Raises NotImplementedError for a service that moto has not got."""
    if service is None:
        raise NotImplementedError
    return create_backend_app(service)


class Sandbox:
    """A sandbox that listens from the making on. `serve` answers until `end` is called or a signal comes."""

    def __init__(self, options: ServerOptions) -> None:
        """Raises BadInput where another sandbox has the folder or the port, or where jobs cannot run."""
        self.folder = os.path.realpath(options.folder)
        self._lock = os.fdopen(options.lock, "w") if options.lock >= 0 else _lock(self.folder)
        # Found out by a fork, which a process with threads must not make: now, and known from now on.
        if (refusal := namespace.refusal()) and not containers.engines():
            raise BadInput(f"jobs cannot run here: {refusal}", cure="install podman, or use --on local")
        self.mark = f"sandbox-{os.stat(self.folder).st_dev:x}-{os.stat(self.folder).st_ino:x}"
        with _listen(options.port) as listening:
            port = listening.getsockname()[1]
            self._server = make_server(
                HOST,
                port,
                lambda *_: [],
                threaded=True,
                request_handler=RequestHandler,
                fd=listening.fileno(),
            )
        # Once nothing refuses this start: one that failed must not forget what was lost.
        self.lost = _sweep(self.folder, self.mark)
        """The jobs that an earlier sandbox in this folder left behind when it was killed."""
        self.has_failed = False
        endpoint = f"http://{HOST}:{port}"
        self.world = World(region=options.region, endpoint=endpoint, folder=self.folder, mark=self.mark)
        self.world.administrator = roles.new_keys()
        self.world.slots = options.slots or self.world.slots
        self.token = secrets.token_urlsafe(24)
        moto = DomainDispatcherApplication(_application)
        self._server.app = Gate(Controls(self.world, self.token, Dispatcher(self.world, moto)))

    def set_up(self) -> None:
        """Do all of `SETUPS` and write the address."""
        for set_up in SETUPS:
            set_up(self.world)
        if not self.world.is_ending:
            with written(os.path.join(self.folder, sandbox_address.ADDRESS), mode=0o600) as file:
                json.dump(self.address(), file)

    def address(self) -> Mapping[str, object]:
        """What a client needs to know. Administrators' requests are not held to any policy."""
        return {
            "endpoint": self.world.endpoint,
            "region": self.world.region,
            "access_key": self.world.administrator[0],
            "secret_key": self.world.administrator[1],
            "pid": os.getpid(),
            "token": self.token,
            "lost": self.lost,
        }

    def serve(self) -> None:
        """Answer until `end`."""
        try:
            self._server.serve_forever(poll_interval=0.05)
        finally:
            self._close()

    def end(self) -> None:
        """Have `serve` return; from any thread, or a signal's handler."""
        threading.Thread(target=self._server.shutdown, name="end").start()

    def _close(self) -> None:
        self.world.is_ending = True
        with suppress(FileNotFoundError):
            os.unlink(os.path.join(self.folder, sandbox_address.ADDRESS))
        self._server.server_close()
        self.world.end()
        self._lock.close()


def run(options: ServerOptions) -> int:
    """Be the sandbox until SIGTERM or SIGINT; the exit status."""
    # moto's remarks on error codes that botocore's models leave out.
    warnings.filterwarnings("ignore", module="moto")
    logging.basicConfig(stream=sys.stderr, format="%(asctime)s %(name)s %(message)s", level=logging.WARNING)
    try:
        sandbox = Sandbox(options)
    except BadInput as error:
        print(error, file=sys.stderr)
        return error.exit_status
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sandbox.end())
    starter = threading.Thread(target=_set_up_or_end, args=(sandbox,), name="setup")
    starter.start()
    sandbox.serve()
    starter.join()
    return 1 if sandbox.has_failed else 0


def _set_up_or_end(sandbox: Sandbox) -> None:
    try:
        sandbox.set_up()
        # Known before the first job asks.
        containers.engines()
    except Exception:
        _log.exception("the sandbox could not be set up")
        sandbox.has_failed = not sandbox.world.is_ending
        sandbox.end()


@control("reset")
def _reset(world: World, _: Call) -> Mapping[str, Any]:
    """End all jobs, forget everything, and set up anew."""
    world.reset()
    for set_up in SETUPS:
        set_up(world)
    return {}


@control("settings")
def _settings(world: World, call: Call) -> Mapping[str, Any]:
    """The settings, after those of the body are changed."""
    with world.lock:
        for name, value in call.body.items():
            try:
                world.settings.change(name, value)
            except ValueError as error:
                raise BadInput(str(error)) from None
        return dict(vars(world.settings))


def _lock(folder: str) -> IO[str]:
    """Held while the sandbox runs; says which process that is, for who wants to end it before it is ready."""
    file = os.fdopen(sandbox_address.hold(folder), "w", encoding="ascii")
    file.truncate(0)
    print(os.getpid(), file=file, flush=True)
    return file


def _listen(port: int) -> socket.socket:
    try:
        # Not werkzeug's own way: it prints what is wrong, and ends the process.
        return socket.create_server((HOST, port), backlog=1024)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
    except OverflowError:
        reason = "ports are numbers from 0 to 65535"
    raise BadInput(f"port {port} cannot be had: {reason}", key="--port", cure="choose another one")


def _sweep(folder: str, mark: str) -> list[str]:
    """End what an earlier sandbox left behind; the names of its jobs that were lost."""
    processes.end_all([], f"{mark}/", 10.0)
    work = os.path.join(folder, "work")
    left = sorted(os.listdir(work)) if os.path.isdir(work) else []
    if left:
        containers.end_all(containers.engines(), mark)
    shutil.rmtree(work, ignore_errors=True)
    return [name.partition("-")[2] for name in left]
