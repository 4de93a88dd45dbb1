"""`trainyard diff`, as a person runs it, against an account on loopback."""

from __future__ import annotations

import json

from .cloudformation import CloudFormation
from .conftest import Project

DATA, PLATFORM = "trainyard-dev-data", "trainyard-dev"


def test_before_anything_is_deployed_everything_is_to_be_created(deploying: Project) -> None:
    result = deploying.run("diff", "dev")

    assert (result.returncode, result.stderr) == (0, "")
    assert f"{DATA}: to be created" in result.stdout
    assert "7 resources: 2 S3::Bucket, 1 ECR::Repository, 4 SSM::Parameter" in result.stdout
    assert "idle cost: 0.00 ->" in result.stdout


def test_after_a_deployment_there_are_no_differences(deploying: Project) -> None:
    deploying.run("deploy", "--yes")

    result = deploying.run("diff")

    assert (result.returncode, result.stderr) == (0, "")
    assert f"{DATA}: no differences" in result.stdout
    assert f"{PLATFORM}: no differences" in result.stdout
    assert "->" not in result.stdout


def test_what_holds_data_and_is_replaced_is_told_in_words_on_a_pipe(deploying: Project) -> None:
    deploying.run("deploy", "--yes")
    deploying.templates["data"]["Resources"]["ModelBucket"]["Properties"] = {"BucketName": "another"}

    result = deploying.run("diff")

    assert "! REPLACES ModelBucket (AWS::S3::Bucket), holds data" in result.stdout
    assert "\x1b" not in result.stdout


def test_permissions_and_cost_are_told_as_they_change(deploying: Project) -> None:
    deploying.run("deploy", "--yes")
    resources = deploying.templates["platform"]["Resources"]
    policy = {"Statement": {"Effect": "Allow", "Action": "s3:DeleteObject", "Resource": "*"}}
    resources["Role"]["Properties"]["Policies"] = [{"PolicyName": "p", "PolicyDocument": policy}]
    resources["Key"] = {"Type": "AWS::KMS::Key"}

    result = deploying.run("diff")

    assert "widened: Role may also s3:DeleteObject on everything" in result.stdout
    before, after = result.stdout.splitlines()[-1].removeprefix("idle cost: ").split(" USD")[0].split(" -> ")
    assert float(after) - float(before) == 1.0


def test_json_is_an_object_a_stack_and_one_of_the_cost(deploying: Project) -> None:
    result = deploying.run("diff", "--json")

    data, platform, cost = [json.loads(line) for line in result.stdout.splitlines()]
    assert [data["stack"], platform["stack"]] == [DATA, PLATFORM]
    assert data["deployed"] is False
    assert {each["action"] for each in platform["changes"]} == {"create"}
    assert set(cost["idle_cost"]) == {"before", "after", "items"}


def test_tags_of_the_environment_are_compared(deploying: Project) -> None:
    deploying.run("deploy", "--yes")
    deploying.write_job_file('[environments.dev.tags]\nteam = "ml"\n')

    assert 'tags.team: absent -> "ml"' in deploying.run("diff").stdout


def test_nothing_is_changed_by_asking(deploying: Project, cloudformation: CloudFormation) -> None:
    deploying.run("diff")

    assert not cloudformation.stacks


def test_an_environment_that_is_not_there_is_bad_input(deploying: Project) -> None:
    result = deploying.run("diff", "prod")

    assert result.returncode == 2
    assert len(result.stderr.splitlines()) == 1


def test_a_stack_that_the_cdks_command_line_deployed_is_read_and_updated(
    deploying: Project, cloudformation: CloudFormation
) -> None:
    deploying.run("deploy", "--yes")
    for name in (DATA, PLATFORM):
        stack = cloudformation.named(name)
        assert stack
        stack.as_yaml = True  # in which that sends a template, and CloudFormation gives it back

    assert f"{PLATFORM}: no differences" in deploying.run("diff").stdout

    deploying.templates["platform"]["Resources"]["Vpc"]["Properties"]["CidrBlock"] = "10.1.0.0/16"
    updated = deploying.run("deploy", "--yes")
    assert (updated.returncode, updated.stderr) == (0, "")
    assert f"{PLATFORM}: updated" in updated.stdout
