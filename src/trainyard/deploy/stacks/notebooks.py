"""The notebook instance of a stack, which CloudFormation cannot delete while it runs."""

from __future__ import annotations

from ...aws.account.session import Session
from ...core.errors import AccountRefused
from .events import Reporter
from .stacks import Stack, Stacks

_TYPE = "AWS::SageMaker::NotebookInstance"
_AT_REST = ("", "Stopped", "Failed", "Deleting")


def notebook_of(stacks: Stacks, stack: Stack) -> str:
    """The name of a stack's notebook instance; empty where it has none.

    The stack is asked, since it knows even where half of a deletion took what the environment had published.
    """
    if stack.status == "REVIEW_IN_PROGRESS":
        return ""
    held = [
        each for each in stacks.resources(stack) if each.type == _TYPE and each.status != "DELETE_COMPLETE"
    ]
    return held[0].physical.rpartition("/")[2] if held else ""


def stop_notebook(session: Session, stacks: Stacks, name: str, reporter: Reporter) -> None:
    """Stop a notebook instance, and wait until it has stopped; silent where it does not run."""
    asked = False
    while (status := _status(session, name)) not in _AT_REST:
        if status == "InService" and not asked:
            reporter.say(f"stopping the notebook {name}")
            session.call("sagemaker", "stop_notebook_instance", NotebookInstanceName=name)
            asked = True
        stacks.pause()


def _status(session: Session, name: str) -> str:
    if not name:
        return ""
    try:
        answer = session.call("sagemaker", "describe_notebook_instance", NotebookInstanceName=name)
    except AccountRefused as error:
        if "RecordNotFound" in error.message:
            return ""
        raise
    return str(answer["NotebookInstanceStatus"])
