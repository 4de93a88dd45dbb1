"""The environment's notebook instance: start it, wait for it, get into it, stop it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from ...core.errors import AccountRefused, BadInput, TrainyardError
from ..account.deployment import LEAN, Deployment
from ..account.errors import ignoring
from ..account.session import Session

IN_SERVICE, STOPPED, FAILED = "InService", "Stopped", "Failed"
TIMEOUT = 900.0
"""Seconds that a notebook instance may take to start or to stop; it usually takes three minutes."""
PAUSE = 5.0
"""Seconds between two looks."""


class NotebookInstance:
    """The notebook instance of an environment; `BadInput` where it has none.

    `report` gets its status when that changes.
    """

    def __init__(
        self,
        session: Session,
        deployment: Deployment,
        report: Callable[[str], None] = lambda _: None,
        *,
        pause: float = PAUSE,
        timeout: float = TIMEOUT,
    ) -> None:
        if not deployment.notebook_name:
            cure = f"write `enabled = true` under [environments.{deployment.name}.notebook], and deploy"
            if deployment.network_profile == LEAN:
                cure = 'a lean network can have none: deploy with `network = "private"`'
            raise BadInput(f"the environment {deployment.name!r} has no notebook", cure=cure)
        self.name = deployment.notebook_name
        self._session, self._environment, self._report = session, deployment.name, report
        self._pause, self._timeout = pause, timeout
        self._reported = ""

    def start(self) -> None:
        """Start it where it sleeps, and return when it is in service; `TrainyardError` where it fails."""
        self._bring_to(IN_SERVICE, "start_notebook_instance", (STOPPED, FAILED))

    def stop(self) -> None:
        """Stop it where it runs, and return when it has stopped."""
        self._bring_to(STOPPED, "stop_notebook_instance", (IN_SERVICE,))

    def address(self) -> str:
        """An address that lets whoever opens it within 5 minutes into the notebook, without credentials."""
        answer = self._session.call(
            "sagemaker", "create_presigned_notebook_instance_url", NotebookInstanceName=self.name
        )
        return str(answer["AuthorizedUrl"])

    def _bring_to(self, wanted: str, operation: str, asleep: tuple[str, ...]) -> None:
        deadline = time.monotonic() + self._timeout
        has_asked = False
        while (status := self._status()) != wanted:
            if status in asleep and not has_asked:
                has_asked = self._ask(operation)
            elif status == FAILED and has_asked:
                raise TrainyardError(f"the notebook {self.name} could not be started: {self._why()}")
            elif status == FAILED:
                return  # there is nothing to stop
            if time.monotonic() > deadline:
                raise TrainyardError(f"the notebook {self.name} is still {status} after {self._timeout:g} s")
            time.sleep(self._pause)

    def _ask(self, operation: str) -> bool:
        """Whether it took the request; it does not while it goes from one status to the next."""
        with ignoring("ValidationException"):
            self._session.call("sagemaker", operation, NotebookInstanceName=self.name)
            return True
        return False

    def _status(self) -> str:
        status = str(self._describe()["NotebookInstanceStatus"])
        if status != self._reported:
            self._reported = status
            self._report(status)
        return status

    def _why(self) -> str:
        return " ".join(str(self._describe().get("FailureReason", "AWS does not say why")).split())

    def _describe(self) -> dict[str, Any]:
        try:
            return self._session.call(
                "sagemaker", "describe_notebook_instance", NotebookInstanceName=self.name
            )
        except AccountRefused as error:
            if error.code == "ValidationException" and "RecordNotFound" in error.message.replace(" ", ""):
                cure = f"run `trainyard deploy {self._environment}`"
                raise BadInput(f"there is no notebook {self.name!r} any more", cure=cure) from None
            raise
