"""What all of the sandbox share: where it is, its settings, one lock, and moto's memory.

A service that we implement keeps its state in a *part*: a class made with the world, once, when it is
first asked for (`world.part(JobTable)`), ended and forgotten by `reset`.
"""

from __future__ import annotations

import itertools
import logging
import os
import queue
import shutil
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, TypeVar, cast

from moto.backends import get_backend
from moto.core.base_backend import BackendDict
from moto.utilities.utils import get_partition

from ..tasks import containers
from ..tasks.tasks import Tasks
from .clock import Clock

ACCOUNT = "123456789012"
"""The number of moto's account."""

GLOBAL = frozenset({"s3", "iam", "sts"})
"""Services whose memory moto keeps by partition, not by region."""

_log = logging.getLogger(__name__)


class ServiceState(Protocol):
    """A service's state. Made with the world, under its lock."""

    def end(self) -> None:
        """End what runs and return when it has ended; called without the lock, once, before forgetting."""


class JobRoles(Protocol):
    """What a role may do, and credentials that are held to it."""

    def credentials_for(self, role_arn: str) -> str:
        """The path below the endpoint where a job of this role gets its credentials."""

    def allowed(self, role_arn: str, action: str, resource: str) -> bool:
        """Whether the role's policies allow it; a role that is not known may do nothing."""


class Settings:
    """What a user can set while the sandbox runs."""

    def __init__(self) -> None:
        self.has_capacity = True
        """False: jobs wait for machines, as in a capacity shortage."""
        self.start_seconds = 0.0
        """How long machines take to come, in seconds."""
        self.grace_seconds = 120.0
        """Between SIGTERM and SIGKILL when a training job is stopped or interrupted: SageMaker's 120 s."""

    def change(self, name: str, value: object) -> None:
        """Set one by name. Raises ValueError for an unknown name or a value of another type."""
        known = vars(self)
        if name not in known:
            raise ValueError(f"{name}: no such setting; there are {', '.join(sorted(known))}")
        kind = type(known[name])
        if kind is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if type(value) is not kind or (isinstance(value, float) and not 0 <= value < float("inf")):
            raise ValueError(f"{name}: {value!r} is no {'number of seconds' if kind is float else 'boolean'}")
        setattr(self, name, value)


P = TypeVar("P", bound=ServiceState)


def backend_of(service: str, account: str, region: str) -> Any:
    """moto's memory of a service in an account and region."""
    place = get_partition(region) if service in GLOBAL else region
    return get_backend(cast(Any, service))[account][place]


class World:
    """One sandbox. `lock` guards everything that is not a file, moto's memory included; it is reentrant.

    Handlers of operations run under it and therefore never wait: what takes long goes to a thread.
    """

    def __init__(self, *, region: str, endpoint: str, folder: str, mark: str) -> None:
        """`folder` is the sandbox's own; processes of tasks are marked with `mark`."""
        self.region, self.account, self.endpoint = region, ACCOUNT, endpoint
        self.folder, self.mark = folder, mark
        self.settings = Settings()
        self.administrator = ("", "")
        """The access key and secret of whoever started the sandbox."""
        self.slots = os.cpu_count() or 1
        """How many jobs' processes run at once."""
        self.lock = threading.RLock()
        self.clock = Clock()
        self.tasks = Tasks(mark)
        self.put_event: Callable[[str, str, Mapping[str, Any], Sequence[str]], None] | None = None
        """What `emit` hands an event to, on a thread of its own and without the lock."""
        self.roles: JobRoles | None = None
        self.is_ending = False
        self._parts: dict[type[Any], ServiceState] = {}
        self._numbers = itertools.count(1)
        self._outbox: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._postman = threading.Thread(target=self._deliver, name="events", daemon=True)
        self._postman.start()

    @property
    def engines(self) -> list[str]:
        """The container engines that work here: found out on the first asking, in half a second."""
        return containers.engines()

    def part(self, kind: Callable[[World], P]) -> P:
        """The one part of this kind; made on the first asking."""
        with self.lock:
            known = self._parts.get(cast("type[Any]", kind))
            if known is None:
                known = self._parts[cast("type[Any]", kind)] = kind(self)
            return cast(P, known)

    def backend(self, service: str) -> Any:
        """moto's memory of a service, to be used under the lock."""
        return backend_of(service, self.account, self.region)

    def new_folder(self, kind: str, name: str) -> str:
        """A new, empty folder for the files of one job (`training`, its name), which removes it at its end:
        the next start tells by what is left there which jobs were lost."""
        path = os.path.join(self.folder, "work", f"{next(self._numbers)}-{kind}-{name}")
        os.makedirs(path)
        return path

    def arn(self, service: str, resource: str) -> str:
        """The ARN of a resource of this account and region."""
        return f"arn:aws:{service}:{self.region}:{self.account}:{resource}"

    def emit(
        self, source: str, detail_type: str, detail: Mapping[str, Any], resources: Sequence[str] = ()
    ) -> None:
        """Tell EventBridge what happened, in the order of the calls; returns at once."""
        if put := self.put_event:
            self._outbox.put(lambda: put(source, detail_type, detail, resources))

    def post(self, deliver: Callable[[], None]) -> None:
        """Do it on the thread that delivers events, after those that were emitted; returns at once."""
        self._outbox.put(deliver)

    def credentials_for(self, role_arn: str) -> str:
        """The path below the endpoint where a job of this role gets its credentials; "" for none."""
        return self.roles.credentials_for(role_arn) if self.roles else ""

    def allowed(self, role_arn: str, action: str, resource: str) -> bool:
        """Whether the role may do it; nothing is allowed as long as no roles are kept."""
        return self.roles is not None and self.roles.allowed(role_arn, action, resource)

    def reset(self) -> None:
        """End and forget all jobs, settings and everything that moto knows."""
        self._end_parts()
        with self.lock:
            self.settings = Settings()
            BackendDict.reset()

    def end(self) -> None:
        """End all jobs and threads and remove their files; the world is not used any more."""
        self.is_ending = True
        self._end_parts()
        self.tasks.end()
        self.clock.end()
        self._outbox.put(None)
        self._postman.join()

    def _end_parts(self) -> None:
        with self.lock:
            parts = list(self._parts.values())
        for part in parts:
            part.end()
        with self.lock:
            self._parts.clear()
        shutil.rmtree(os.path.join(self.folder, "work"), ignore_errors=True)

    def _deliver(self) -> None:
        while (deliver := self._outbox.get()) is not None:
            try:
                deliver()
            except Exception:
                _log.exception("an event could not be delivered")
