"""What to do with a stack as it is found, by its status. Pure: a table over every status there is."""

from __future__ import annotations

from enum import Enum


class Step(Enum):
    """The next step towards a stack that can be created or updated."""

    CREATE = "create"
    """There is no stack, or one of a name only: a change set of type CREATE."""
    UPDATE = "update"
    """The stack stands: a change set of type UPDATE."""
    FOLLOW = "follow"
    """An operation goes on; when it has ended, look again."""
    DELETE = "delete"
    """A first creation came to nothing, or a deletion did: delete what is left of it, then create."""
    CONTINUE_ROLLBACK = "continue the rollback"
    """An update failed and so did its rollback."""
    ROLL_BACK = "roll back"
    """An update failed and was left as it was, by somebody who switched the rollback off."""
    REFUSE = "refuse"
    """Only a person can tell."""


STEPS = {
    "REVIEW_IN_PROGRESS": Step.CREATE,
    "CREATE_IN_PROGRESS": Step.FOLLOW,
    "CREATE_FAILED": Step.DELETE,
    "CREATE_COMPLETE": Step.UPDATE,
    "ROLLBACK_IN_PROGRESS": Step.FOLLOW,
    "ROLLBACK_FAILED": Step.DELETE,
    "ROLLBACK_COMPLETE": Step.DELETE,
    "DELETE_IN_PROGRESS": Step.FOLLOW,
    "DELETE_FAILED": Step.DELETE,
    "DELETE_COMPLETE": Step.CREATE,
    "UPDATE_IN_PROGRESS": Step.FOLLOW,
    "UPDATE_COMPLETE_CLEANUP_IN_PROGRESS": Step.FOLLOW,
    "UPDATE_COMPLETE": Step.UPDATE,
    "UPDATE_FAILED": Step.ROLL_BACK,
    "UPDATE_ROLLBACK_IN_PROGRESS": Step.FOLLOW,
    "UPDATE_ROLLBACK_FAILED": Step.CONTINUE_ROLLBACK,
    "UPDATE_ROLLBACK_COMPLETE_CLEANUP_IN_PROGRESS": Step.FOLLOW,
    "UPDATE_ROLLBACK_COMPLETE": Step.UPDATE,
    "IMPORT_IN_PROGRESS": Step.FOLLOW,
    "IMPORT_COMPLETE": Step.UPDATE,
    "IMPORT_ROLLBACK_IN_PROGRESS": Step.FOLLOW,
    "IMPORT_ROLLBACK_FAILED": Step.REFUSE,
    "IMPORT_ROLLBACK_COMPLETE": Step.UPDATE,
}
"""By StackStatus. ("Stack status codes" and "Continue rolling back an update", CloudFormation user guide.)"""

SUCCESSES = frozenset({"CREATE_COMPLETE", "UPDATE_COMPLETE", "DELETE_COMPLETE", "IMPORT_COMPLETE"})
"""How an operation ends that did what was asked."""

HOLDS_DATA = frozenset({"AWS::S3::Bucket", "AWS::ECR::Repository", "AWS::KMS::Key"})
"""Types of resources without which something would be lost for good."""


def next_step(status: str | None) -> Step:
    """What to do with a stack of that status, None for no stack. A status that is unknown is refused."""
    return Step.CREATE if status is None else STEPS.get(status, Step.REFUSE)


def holds_data(resource_type: str, status: str) -> bool:
    """Whether a resource of a stack that is to be deleted may hold data: such a type, and there."""
    gone = ("DELETE_COMPLETE", "DELETE_SKIPPED", "CREATE_FAILED", "CREATE_IN_PROGRESS")
    return resource_type in HOLDS_DATA and status not in gone
