"""What to do with a stack as it is found."""

from __future__ import annotations

import botocore.session
import pytest

from trainyard.deploy.stacks.stacks import is_moving
from trainyard.deploy.stacks.steps import STEPS, SUCCESSES, Step, holds_data, next_step

STATUSES = botocore.session.Session().get_service_model("cloudformation").shape_for("StackStatus").enum


def test_table_knows_every_status_that_cloudformation_has_and_no_other() -> None:
    assert set(STEPS) == set(STATUSES)


@pytest.mark.parametrize("status", STATUSES)
def test_what_is_going_on_is_followed_and_nothing_else_is(status: str) -> None:
    assert (next_step(status) is Step.FOLLOW) is is_moving(status)


@pytest.mark.parametrize("status", STATUSES)
def test_only_what_stands_whole_is_updated(status: str) -> None:
    whole = status.endswith("_COMPLETE") and status not in ("ROLLBACK_COMPLETE", "DELETE_COMPLETE")
    assert (next_step(status) is Step.UPDATE) is whole


@pytest.mark.parametrize("status", STATUSES)
def test_a_stack_that_was_ever_made_whole_is_never_deleted_but_after_a_deletion(status: str) -> None:
    if next_step(status) is Step.DELETE:
        assert status in ("CREATE_FAILED", "ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "DELETE_FAILED")


def test_no_stack_is_created_and_a_status_of_the_future_is_refused() -> None:
    assert next_step(None) is Step.CREATE
    assert next_step("TELEPORT_COMPLETE") is Step.REFUSE


def test_no_rollback_is_a_success() -> None:
    assert not any("ROLLBACK" in status or "FAILED" in status for status in SUCCESSES)


@pytest.mark.parametrize(
    ("kind", "status", "held"),
    [
        ("AWS::S3::Bucket", "CREATE_COMPLETE", True),
        ("AWS::S3::Bucket", "UPDATE_COMPLETE", True),
        ("AWS::ECR::Repository", "CREATE_COMPLETE", True),
        ("AWS::KMS::Key", "CREATE_COMPLETE", True),
        ("AWS::S3::Bucket", "DELETE_COMPLETE", False),
        ("AWS::S3::Bucket", "CREATE_FAILED", False),
        ("AWS::S3::Bucket", "DELETE_FAILED", True),
        ("AWS::SSM::Parameter", "CREATE_COMPLETE", False),
    ],
)
def test_what_holds_data(kind: str, status: str, held: bool) -> None:
    assert holds_data(kind, status) is held
