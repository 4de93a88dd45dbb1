"""The environment's notebook: started, waited for, opened, stopped."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from trainyard.aws.account.deployment import read
from trainyard.aws.account.session import Session
from trainyard.aws.sagemaker import notebook
from trainyard.aws.sagemaker.notebook import NotebookInstance
from trainyard.core.errors import AccountRefused, BadInput, TrainyardError

from .emulated import Account
from .jobs import deployment

NAME = "trainyard-dev-notebook"
ADDRESS = "https://trainyard-dev-notebook.notebook.eu-central-1.sagemaker.aws?authToken=abc"


class Instance:
    """SageMaker as far as one notebook instance goes: what it does next is written down in `then`."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, status: str) -> None:
        self.status, self.asked = status, list[str]()
        self.then: list[str] = []
        self.reason, self.refuses = "", 0
        monkeypatch.setattr(Session, "call", self._call)

    def _call(self, service: str, operation: str, **parameters: Any) -> dict[str, Any]:
        assert (service, parameters) == ("sagemaker", {"NotebookInstanceName": NAME})
        if operation == "describe_notebook_instance":
            answer = {"NotebookInstanceStatus": self.status, "FailureReason": self.reason}
            if self.then:
                self.status = self.then.pop(0)
            return answer
        self.asked.append(operation)
        if operation == "create_presigned_notebook_instance_url":
            return {"AuthorizedUrl": ADDRESS}
        if self.refuses:
            self.refuses -= 1
            raise AccountRefused("Status (Updating) not in ([Stopped])", code="ValidationException")
        self.status = "Pending" if operation.startswith("start") else "Stopping"
        return {}


def instance(told: list[str] | None = None, **options: Any) -> NotebookInstance:
    """The notebook as a session that asks no `Session` of its own sees it."""
    session = object.__new__(Session)
    tell = (told if told is not None else []).append
    return NotebookInstance(
        session, deployment(notebook_name=NAME), tell, **{"pause": 0.0, "timeout": 5.0, **options}
    )


@pytest.mark.parametrize(
    ("status", "then", "asked"),
    [
        ("InService", [], []),
        ("Stopped", ["Pending", "Pending", "InService"], ["start_notebook_instance"]),
        ("Failed", ["Pending", "InService"], ["start_notebook_instance"]),
        ("Pending", ["Pending", "InService"], []),
        ("Stopping", ["Stopping", "Stopped", "Stopped", "Pending", "InService"], ["start_notebook_instance"]),
    ],
)
def test_a_notebook_is_started_whatever_it_does(
    status: str, then: list[str], asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = Instance(monkeypatch, status)
    found.then = then
    told: list[str] = []
    instance(told).start()
    assert found.asked == asked
    assert told[-1] == "InService"
    assert len(told) == len(set(told)) or status == "Stopping"


@pytest.mark.parametrize(
    ("status", "then", "asked"),
    [
        ("Stopped", [], []),
        ("Failed", [], []),
        ("InService", ["InService", "Stopping", "Stopped"], ["stop_notebook_instance"]),
        ("Pending", ["InService", "InService", "Stopped"], ["stop_notebook_instance"]),
        ("Stopping", ["Stopped"], []),
    ],
)
def test_a_notebook_is_stopped_whatever_it_does(
    status: str, then: list[str], asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = Instance(monkeypatch, status)
    found.then = then
    instance().stop()
    assert found.asked == asked


def test_a_request_that_comes_between_two_statuses_is_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    found = Instance(monkeypatch, "Stopped")
    found.refuses, found.then = 1, ["Stopped", "Stopped", "InService"]
    instance().start()
    assert found.asked == ["start_notebook_instance"] * 2


def test_a_notebook_that_cannot_start_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    found = Instance(monkeypatch, "Stopped")
    found.then, found.reason = ["Pending", "Failed", "Failed"], "no capacity\nfor ml.t3.medium"
    with pytest.raises(TrainyardError) as failed:
        instance().start()
    assert str(failed.value) == (f"the notebook {NAME} could not be started: no capacity for ml.t3.medium")
    assert failed.value.exit_status == 1


def test_waiting_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    Instance(monkeypatch, "Pending")
    with pytest.raises(TrainyardError, match=r"is still Pending after 0\.05 s"):
        instance(timeout=0.05, pause=0.01).start()


@pytest.mark.parametrize(
    ("profile", "cure"),
    [("private", "write `enabled = true` under [environments.dev.notebook], and deploy"), ("lean", "a lean")],
)
def test_an_environment_without_a_notebook_is_one_line(profile: str, cure: str) -> None:
    with pytest.raises(BadInput) as refused:
        NotebookInstance(object.__new__(Session), deployment(network_profile=profile))
    assert str(refused.value).startswith("the environment 'dev' has no notebook; ")
    assert refused.value.cure.startswith(cure)


def emulated(account: Account, status: str = "Stopped") -> Any:
    """A notebook instance in the emulated account, in service or stopped."""
    sagemaker = account.client("sagemaker")
    role = "arn:aws:iam::123456789012:role/Notebook"
    sagemaker.create_notebook_instance(NotebookInstanceName=NAME, InstanceType="ml.t3.medium", RoleArn=role)
    if status == "Stopped":
        sagemaker.stop_notebook_instance(NotebookInstanceName=NAME)
    account.deploy(notebook_name=NAME)
    return sagemaker


def status_of(sagemaker: Any) -> str:
    answer = sagemaker.describe_notebook_instance(NotebookInstanceName=NAME)
    return str(answer["NotebookInstanceStatus"])


def test_sagemaker_takes_what_is_asked_of_it(account: Account) -> None:
    sagemaker = emulated(account)
    session = Session()
    found = NotebookInstance(session, read(session, "dev"), pause=0.01)
    found.start()
    assert status_of(sagemaker) == "InService"
    found.stop()
    assert status_of(sagemaker) == "Stopped"


def test_a_notebook_that_is_gone_is_told_with_the_cure(account: Account) -> None:
    account.deploy(notebook_name=NAME)
    session = Session()
    with pytest.raises(BadInput) as refused:
        NotebookInstance(session, read(session, "dev")).start()
    assert str(refused.value) == f"there is no notebook '{NAME}' any more; run `trainyard deploy dev`"


@pytest.fixture
def browser(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A browser that writes down what it is given; the file."""
    seen, program = tmp_path / "seen", tmp_path / "browser"
    program.write_text(f'#!/bin/sh\necho "$1" > {seen}\n')
    program.chmod(0o755)
    monkeypatch.setenv("BROWSER", str(program))
    monkeypatch.setattr("webbrowser._tryorder", None)
    monkeypatch.setattr("webbrowser._browsers", {})
    return seen


def command(account: Account, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, *argv: str) -> int:
    from trainyard.cli.main import main

    (tmp_path / "trainyard.toml").write_text('[environments.dev]\nregion = "eu-central-1"\n')
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(NotebookInstance, "address", lambda _: ADDRESS)
    monkeypatch.setattr(notebook, "PAUSE", 0.01)
    monkeypatch.setattr(sys.stderr, "reconfigure", lambda **_: None, raising=False)
    return main(["notebook", *argv])


def test_the_verb_opens_the_notebook_in_the_browser(
    account: Account,
    browser: Path,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    sagemaker = emulated(account, "InService")
    assert command(account, monkeypatch, tmp_path, "--on", "dev") == 0
    assert browser.read_text().strip() == ADDRESS
    assert ADDRESS not in capsys.readouterr().out
    assert status_of(sagemaker) == "InService"


def test_the_verb_prints_the_address_where_it_is_asked_to_and_where_there_is_no_browser(
    account: Account,
    browser: Path,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    emulated(account, "InService")
    assert command(account, monkeypatch, tmp_path, "--no-browser") == 0
    assert capsys.readouterr().out.strip() == ADDRESS
    monkeypatch.delenv("BROWSER")
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("webbrowser._tryorder", None)
    assert command(account, monkeypatch, tmp_path) == 0
    assert capsys.readouterr().out.strip() == ADDRESS
    assert command(account, monkeypatch, tmp_path, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    assert told == {"notebook": NAME, "status": "InService", "address": ADDRESS}
    assert not browser.exists()


def test_the_verb_stops_the_notebook_and_waits(
    account: Account, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    sagemaker = emulated(account, "InService")
    assert command(account, monkeypatch, tmp_path, "--stop") == 0
    assert capsys.readouterr().out.strip() == f"{NAME} has stopped"
    assert status_of(sagemaker) == "Stopped"
    assert command(account, monkeypatch, tmp_path, "--stop", "--json") == 0
    assert json.loads(capsys.readouterr().out)["status"] == "Stopped"
