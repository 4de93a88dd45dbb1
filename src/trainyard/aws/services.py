"""What runs the jobs of one kind: SageMaker those of training, Batch those of inference.

The engine chooses between them once, by a job's `kind`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol

from ..core.errors import AccountRefused
from ..core.ports.engine import Request
from ..core.runs.run import Observation, Run
from ..worker.reasons import Ending
from .logs import Streams


class Launch(NamedTuple):
    """A launch that is ready to be sent: its job's name, the requests, and what sends them; it is given
    whether the launch is a new one."""

    reference: str
    requests: list[Request]
    send: Callable[[bool], None]


class Sight(NamedTuple):
    """What was seen of a launch, and what its hosts wrote down; not `is_whole` where jobs of it are missing
    that may still be on their way."""

    seen: Observation
    histories: tuple[Any, ...] = ()
    is_whole: bool = True


class Service(Protocol):
    """The jobs of one kind in an environment. `Any` as a job is one of its kind."""

    def check(self, job: Any) -> None:
        """Raise `Unsupported` for the first key that the environment cannot honour."""

    def warnings(self, job: Any) -> list[str]:
        """What is allowed and likely not meant, a line each."""

    def prepare(self, run: Run, worker: str, *, is_dry: bool) -> Launch:
        """Everything that a launch sends, the worker at the address `worker`; with `is_dry` nothing is sent
        by now."""

    def look(
        self, runs: Sequence[Run], prior: Callable[[Run], Observation]
    ) -> Iterator[tuple[Run, Sight | None]]:
        """What each launch looks like, in the order in which they are to be settled; None where AWS does not
        know it. `prior` gives what earlier launches left."""

    def unknown(self, run: Run, prior: Observation, age: float) -> Observation:
        """What became of a launch that AWS does not know, so many seconds after it was written down."""

    def streams(self, run: Run, seldom: float) -> Streams:
        """The run's log streams, looked for every `seldom` seconds."""

    def stop(self, run: Run, person: Callable[[], str]) -> bool:
        """Ask a launch to end, in the name of a person; False where there is none."""

    def refused(self, run: Run, error: AccountRefused) -> Ending | None:
        """End what AWS may have taken of a launch that it refused; its ending where the job is to blame."""

    def settled(self, run: Run, sight: Sight) -> Observation:
        """What became of a launch for good, with what it made."""
