"""The model registry makes one package a token; the ARN of a log group in a stack covers its streams."""

from __future__ import annotations

import json

from .conftest import RunningSandbox


def test_a_package_that_is_created_again_with_its_token_is_the_same(sandbox: RunningSandbox) -> None:
    client = sandbox.client("sagemaker")
    client.create_model_package_group(ModelPackageGroupName="tokens")
    first, second, other = (
        client.create_model_package(ModelPackageGroupName="tokens", ClientToken=token)["ModelPackageArn"]
        for token in ("a", "a", "b")
    )
    assert first == second != other
    found = client.list_model_packages(ModelPackageGroupName="tokens")["ModelPackageSummaryList"]
    assert {each["ModelPackageArn"] for each in found} == {first, other}


def test_the_arn_of_a_log_group_in_a_stack_covers_its_streams(sandbox: RunningSandbox) -> None:
    template = {
        "Resources": {"Group": {"Type": "AWS::Logs::LogGroup"}},
        "Outputs": {"Arn": {"Value": {"Fn::GetAtt": ["Group", "Arn"]}}},
    }
    client = sandbox.client("cloudformation")
    client.create_stack(StackName="group-arn", TemplateBody=json.dumps(template))
    [output] = client.describe_stacks(StackName="group-arn")["Stacks"][0]["Outputs"]
    assert output["OutputValue"].endswith(":*")
