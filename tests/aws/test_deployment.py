"""What an environment says of itself, read back; and one line where it says too little or something else."""

from __future__ import annotations

import pytest

from trainyard import version
from trainyard.aws.account.deployment import PARAMETERS_AT_A_TIME, Deployment, deployment_of, read
from trainyard.aws.account.session import Session
from trainyard.core.environments.facts import DATA_PARAMETERS, OPTIONAL_PARAMETERS, PLATFORM_PARAMETERS
from trainyard.core.errors import BadInput, NotFound

from .emulated import REGION, Account
from .jobs import FACTS, KEY


def refusal(facts: dict[str, str], name: str = "dev") -> str:
    with pytest.raises(BadInput) as refused:
        deployment_of(name, REGION, facts)
    assert refused.value.exit_status == 2
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_a_deployment_is_read_as_it_was_published(account: Account) -> None:
    optional = {"kms-key-arn": KEY, "gpu-job-queue-arn": "gpu", "notebook-name": "notebook-1"}
    account.publish({**FACTS, **optional, "encrypt-traffic": "true"})
    found = read(Session(), "dev")
    assert found == Deployment(
        name="dev",
        stack="trainyard-dev",
        prefix="trainyard-dev-",
        region=REGION,
        account="123456789012",
        version="0.1.0",
        network_profile="private",
        dataset_bucket=FACTS["dataset-bucket"],
        model_bucket=FACTS["model-bucket"],
        repository_uri=FACTS["repository-uri"],
        kms_key_arn=KEY,
        training_role_arn=FACTS["training-role-arn"],
        subnet_ids=("subnet-0123456789abcdef0", "subnet-0123456789abcdef1"),
        security_group_ids=("sg-0123456789abcdef0",),
        encrypt_traffic=True,
        job_queue_arn=FACTS["job-queue-arn"],
        gpu_job_queue_arn="gpu",
        job_definition_arn=FACTS["job-definition-arn"],
        batch_job_role_arn=FACTS["batch-job-role-arn"],
        batch_execution_role_arn=FACTS["batch-execution-role-arn"],
        batch_log_group=FACTS["batch-log-group"],
        notebook_name="notebook-1",
    )
    assert found.partition == "aws"


def test_what_an_environment_has_not_is_empty(account: Account) -> None:
    account.publish(FACTS)
    found = read(Session(), "dev")
    assert (found.kms_key_arn, found.gpu_job_queue_arn, found.notebook_name) == ("", "", "")
    assert found.encrypt_traffic is False


def test_two_requests_are_enough(account: Account) -> None:
    account.publish(FACTS)
    session = Session()
    read(session, "dev")
    assert dict(session.counted) == {"ssm:GetParameters": 2}
    assert PARAMETERS_AT_A_TIME == 10


def test_all_that_is_asked_for_is_published_by_a_deployment() -> None:
    from trainyard.aws.account import deployment

    assert deployment.REQUIRED.keys() <= DATA_PARAMETERS.keys() | PLATFORM_PARAMETERS.keys()
    assert deployment.OPTIONAL.keys() == OPTIONAL_PARAMETERS.keys()


def test_an_environment_that_is_not_deployed_is_told_with_account_and_region(account: Account) -> None:
    account.publish(FACTS, "other")
    with pytest.raises(NotFound) as refused:
        read(Session(), "dev")
    assert str(refused.value) == (
        "the environment 'dev' is not deployed in account 123456789012, region eu-central-1; "
        "run `trainyard deploy dev`, or mind AWS_PROFILE, AWS_REGION and `region`"
    )


def test_an_environment_of_another_account_is_refused(account: Account) -> None:
    account.publish(FACTS)
    assert read(Session(), "dev", account="123456789012").account == "123456789012"
    with pytest.raises(BadInput, match="is of account 999999999999, and these credentials are of 1234567890"):
        read(Session(), "dev", account="999999999999")


def test_an_environment_deployed_by_half_is_told_with_what_it_lacks() -> None:
    data = {name: FACTS[name] for name in DATA_PARAMETERS}
    assert refusal(data) == (
        "the environment 'dev' is deployed by half: it lacks the platform; run `trainyard deploy dev`"
    )
    less = {name: value for name, value in FACTS.items() if name not in ("job-queue-arn", "subnet-ids")}
    assert "it lacks subnet-ids, job-queue-arn; run" in refusal(less)
    few = {name: FACTS[name] for name in ("version", "model-bucket")}
    assert "it lacks dataset-bucket, repository-uri, network-profile and 10 more facts; run" in refusal(few)


def test_a_sandbox_that_lost_its_facts_is_started_again() -> None:
    assert refusal({}, "sandbox").endswith("run `trainyard sandbox stop`, then `trainyard sandbox start`")


@pytest.mark.parametrize(
    ("deployed", "here", "told"),
    [
        ("0.1.7", "0.1.0", ""),
        ("0.1.0", "0.1.7", ""),
        ("0.1.0.dev3", "0.1.1", ""),
        ("0.2.0", "0.1.9", "update this one: `pip install --upgrade trainyard`"),
        ("1.0.0", "0.9.0", "update this one: `pip install --upgrade trainyard`"),
        ("0.9.0", "0.10.0", "update the environment: run `trainyard deploy dev`"),
        ("nonsense", "0.1.0", "update the environment: run `trainyard deploy dev`"),
    ],
)
def test_another_version_says_which_side_to_update_and_a_patch_is_none(
    deployed: str, here: str, told: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("trainyard.aws.account.deployment.__version__", here)
    facts = {**FACTS, "version": deployed}
    if not told:
        assert deployment_of("dev", REGION, facts).version == deployed
        return
    line = refusal(facts)
    assert line.startswith(
        f"the environment 'dev' was deployed by trainyard {deployed}, and this is {here}; "
    )
    assert line.endswith(told)


def test_an_older_version_is_told_before_the_facts_that_it_lacks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("trainyard.aws.account.deployment.__version__", "0.5.0")
    assert "was deployed by trainyard 0.1.0" in refusal({"version": "0.1.0", "model-bucket": "b"})


def test_this_version_reads_what_it_deploys() -> None:
    assert deployment_of("dev", REGION, {**FACTS, "version": version.__version__})
