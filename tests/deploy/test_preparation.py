"""What deploying needs around the stacks, and what stands in the way of a destroy, with answers at hand."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from trainyard.core.environments.environment import Environment
from trainyard.core.errors import AccountRefused, BadInput
from trainyard.deploy.destroy import Demolition
from trainyard.deploy.preparation import (
    SERVICE_LINKED_ROLES,
    close_default_security_group,
    ensure_service_linked_roles,
    retain_training_logs,
)

GROUP = "/aws/sagemaker/TrainingJobs"


def refused(code: str, message: str = "") -> AccountRefused:
    return AccountRefused(message or code, code=code, message=message)


class Session:
    """Answers by operation: a value, an error to raise, or a function of the parameters."""

    def __init__(self, **answers: Any) -> None:
        self.answers, self.calls = answers, []  # type: ignore[var-annotated]

    def call(self, service: str, operation: str, **parameters: Any) -> Any:
        self.calls.append((operation, parameters))
        answer = self.answers.get(operation, {})
        if callable(answer):
            answer = answer(**parameters)
        if isinstance(answer, Exception):
            raise answer
        return answer

    def pages(self, service: str, operation: str, **parameters: Any) -> Iterator[Any]:
        yield self.call(service, operation, **parameters)

    def asked(self, operation: str) -> list[dict[str, Any]]:
        return [parameters for name, parameters in self.calls if name == operation]


def test_roles_that_are_there_are_not_made() -> None:
    session: Any = Session()

    assert ensure_service_linked_roles(session) == []
    assert not session.asked("create_service_linked_role")


def test_roles_that_are_missing_are_made_each_for_its_service() -> None:
    session: Any = Session(get_role=refused("NoSuchEntity"))

    assert ensure_service_linked_roles(session) == list(SERVICE_LINKED_ROLES.values())
    made = [each["AWSServiceName"] for each in session.asked("create_service_linked_role")]
    assert made == list(SERVICE_LINKED_ROLES)


def test_roles_that_may_not_be_looked_at_and_are_there_are_no_problem() -> None:
    taken = "Service role name AWSServiceRoleForBatch has been taken in this account, please try again."
    session: Any = Session(
        get_role=refused("AccessDenied"), create_service_linked_role=refused("InvalidInput", taken)
    )

    assert ensure_service_linked_roles(session) == []


def test_role_that_is_missing_and_may_not_be_made_is_told() -> None:
    session: Any = Session(
        get_role=refused("NoSuchEntity"), create_service_linked_role=refused("AccessDenied", "no")
    )

    with pytest.raises(AccountRefused):
        ensure_service_linked_roles(session)


@pytest.mark.parametrize(
    ("groups", "done"),
    [
        ([], ["create_log_group", "put_retention_policy"]),
        ([{"logGroupName": GROUP}], ["put_retention_policy"]),
        ([{"logGroupName": GROUP, "retentionInDays": 365}], []),
        (
            [{"logGroupName": f"{GROUP}-of-mine", "retentionInDays": 1}],
            ["create_log_group", "put_retention_policy"],
        ),
    ],
)
def test_retention_is_put_only_where_none_is_set(groups: list[Any], done: list[str]) -> None:
    session: Any = Session(describe_log_groups={"logGroups": groups})

    assert retain_training_logs(session, 30) is bool(done)
    assert [name for name, _ in session.calls][1:] == done


def test_log_group_that_somebody_makes_meanwhile_is_no_problem() -> None:
    session: Any = Session(
        describe_log_groups={"logGroups": []}, create_log_group=refused("ResourceAlreadyExistsException")
    )

    assert retain_training_logs(session, 30)


def demolition(session: Session) -> Demolition:
    found = Demolition(session, Environment(), None)  # type: ignore[arg-type]
    found.facts = {"job-queue-arn": "queue", "gpu-job-queue-arn": "gpu-queue"}
    return found


def test_unfinished_batch_jobs_of_every_queue_and_state_refuse_a_destroy() -> None:
    jobs = {("queue", "RUNNING"): "shards", ("gpu-queue", "RUNNABLE"): "waiting"}

    def list_jobs(jobQueue: str, jobStatus: str) -> dict[str, Any]:
        name = jobs.get((jobQueue, jobStatus))
        return {"jobSummaryList": [{"jobName": name}] if name else []}

    session = Session(list_training_jobs={"TrainingJobSummaries": []}, list_jobs=list_jobs)

    with pytest.raises(BadInput, match=r"2 unfinished job\(s\): shards, waiting; nothing was done"):
        demolition(session).refuse_running()


def test_queue_that_is_gone_already_is_no_reason_to_refuse() -> None:
    session = Session(
        list_training_jobs={"TrainingJobSummaries": []},
        list_jobs=refused("ClientException", "Job queue does not exist"),
    )

    demolition(session).refuse_running()


def test_the_security_group_that_a_vpc_is_made_with_is_closed_once() -> None:
    rules = {"IpPermissions": [{"IpProtocol": "-1"}], "IpPermissionsEgress": [{"IpProtocol": "tcp"}]}
    session: Any = Session(describe_security_groups={"SecurityGroups": [{"GroupId": "sg-1", **rules}]})

    assert close_default_security_group(session, "vpc-1")
    [asked] = session.asked("describe_security_groups")
    assert {each["Name"]: each["Values"] for each in asked["Filters"]} == {
        "vpc-id": ["vpc-1"],
        "group-name": ["default"],
    }
    for operation, name in (
        ("revoke_security_group_ingress", "IpPermissions"),
        ("revoke_security_group_egress", "IpPermissionsEgress"),
    ):
        assert session.asked(operation) == [{"GroupId": "sg-1", "IpPermissions": rules[name]}]

    closed = {"GroupId": "sg-1", "IpPermissions": [], "IpPermissionsEgress": []}
    session = Session(describe_security_groups={"SecurityGroups": [closed]})
    assert not close_default_security_group(session, "vpc-1")
    assert len(session.calls) == 1
