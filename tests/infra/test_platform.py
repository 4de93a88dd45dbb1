"""What the platform promises, part by part, on the templates: what works, what is safe, what is current.

Each test holds one promise, most of them things that a plain CDK stack of the same system gets wrong.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from templates import CONFIGURATIONS, EVERYTHING, Stacks, listed, stacks, stacks_of, text, walk

from trainyard.core.environments.environment import BatchCompute, Environment, Retention
from trainyard.core.environments.facts import DATA_PARAMETERS, PLATFORM_PARAMETERS
from trainyard.infra.dashboard import BATCH_JOBS, TRAINING
from trainyard.infra.inference import PUBLIC_IMAGE

NETWORK_ACTIONS = {
    f"ec2:{name}"
    for name in (
        "CreateNetworkInterface",
        "CreateNetworkInterfacePermission",
        "DeleteNetworkInterface",
        "DeleteNetworkInterfacePermission",
        "DescribeDhcpOptions",
        "DescribeNetworkInterfaces",
        "DescribeSecurityGroups",
        "DescribeSubnets",
        "DescribeVpcs",
    )
}
DATA_TYPES = {"AWS::S3::Bucket", "AWS::ECR::Repository"}
METRICS = {
    "/aws/sagemaker/TrainingJobs": {
        "CPUUtilization",
        "MemoryUtilization",
        "GPUUtilization",
        "GPUMemoryUtilization",
        "DiskUtilization",
    },
    "AWS/Batch": {
        "JobsSubmitted",
        "JobsMovedToRunning",
        "JobsMovedToSucceeded",
        "JobsMovedToFailed",
        "JobsRetried",
    },
    "AWS/Events": {"TriggeredRules"},
}
"""Metrics as AWS documents them, by namespace."""

everywhere = pytest.mark.parametrize("configuration", CONFIGURATIONS)


@everywhere
def test_batch_on_spot_has_the_type_that_batch_knows(configuration: str) -> None:
    kinds = {
        each["ComputeResources"]["Type"]
        for each in stacks(configuration).of_type("Batch::ComputeEnvironment").values()
    }
    assert kinds and kinds <= {"SPOT", "EC2"}


@everywhere
def test_no_bucket_or_repository_has_a_name_that_a_later_deployment_could_find_taken(
    configuration: str,
) -> None:
    found = stacks(configuration)
    assert not [name for name, each in found.of_type("S3::Bucket").items() if "BucketName" in each]
    assert "RepositoryName" not in found.one("ECR::Repository")


@everywhere
def test_what_holds_data_is_retained_except_by_a_first_deployment_that_fails(configuration: str) -> None:
    found = stacks(configuration)
    holders = {name: each for name, each in found.resources.items() if each["Type"] in DATA_TYPES}
    assert set(holders) <= set(found.data["Resources"]) and len(holders) == 4
    for each in holders.values():
        assert each["DeletionPolicy"] == "RetainExceptOnCreate"
        assert each["UpdateReplacePolicy"] == "Retain"
    policies = {each.get("DeletionPolicy", "Delete") for each in found.platform["Resources"].values()}
    assert policies == {"Delete"}


def test_the_training_role_may_join_a_vpc_and_write_its_log_and_metrics() -> None:
    found = stacks()
    on_all = [each for each in found.statements("TrainingRole") if each["Resource"] == "*"]
    allowed = {action for each in on_all for action in listed(each["Action"])}
    assert allowed >= NETWORK_ACTIONS | {"cloudwatch:PutMetricData"}
    assert "logs:DescribeLogStreams" in found.actions("TrainingRole")
    # SageMaker's SDK simulates the role without conditions on the network, and refuses one that has any.
    assert [each["Action"] for each in on_all if "Condition" in each] == ["cloudwatch:PutMetricData"]


def test_the_training_role_reads_both_buckets_and_deletes_checkpoints_alone() -> None:
    found = stacks()
    places: dict[str, set[str]] = {}
    for statement in found.statements("TrainingRole"):
        for action in listed(statement["Action"]):
            places.setdefault(action, set()).update(map(text, listed(statement["Resource"])))
    reads, writes, deletes = (
        " ".join(places[action]) for action in ("s3:GetObject", "s3:PutObject", "s3:DeleteObject")
    )
    assert "DatasetBucket" in reads and "ModelBucket" in reads
    assert all(f"ModelBucket}}/{folder}/*" in reads for folder in ("code", "models", "checkpoints"))
    assert "DatasetBucket" not in writes and "ModelBucket}/models/*" in writes
    assert len(places["s3:DeleteObject"]) == 1 and "/checkpoints/*" in deletes
    assert places["s3:AbortMultipartUpload"] == places["s3:PutObject"]


@pytest.mark.parametrize("role", ["TrainingRole", "InferenceJobRole", "NotebookRole"])
def test_listing_the_model_bucket_takes_a_prefix(role: str) -> None:
    lists = [each for each in stacks().statements(role) if "s3:ListBucket" in listed(each["Action"])]
    whole = "arn:${AWS::Partition}:s3:::${ModelBucket}"
    models = [each for each in lists if {"Fn::Sub": whole} in listed(each["Resource"])]
    assert models and all(each["Condition"]["StringLike"]["s3:prefix"] for each in models)


def test_what_jobs_need_to_know_is_published_as_parameters_of_one_prefix() -> None:
    found = stacks()
    names = {each["Name"] for each in found.of_type("SSM::Parameter").values()}
    expected = {f"/trainyard/dev/{name}" for name in {**DATA_PARAMETERS, **PLATFORM_PARAMETERS}}
    assert names == expected | {"/trainyard/dev/notebook-name"}
    assert not found.data.get("Outputs") and not found.platform.get("Outputs")


def test_a_failed_training_job_of_this_environment_is_told_with_its_reason() -> None:
    rule = stacks().of_type("Events::Rule")["MonitoringTrainingFailed"]
    pattern = rule["EventPattern"]
    assert pattern["detail-type"] == ["SageMaker Training Job State Change"]
    assert pattern["detail"] == {
        "TrainingJobStatus": ["Failed"],
        "TrainingJobName": [{"prefix": "trainyard-dev-"}],
    }
    transformer = rule["Targets"][0]["InputTransformer"]
    assert transformer["InputPathsMap"]["reason"] == "$.detail.FailureReason"
    # Variables without quotation marks: EventBridge escapes what stands for them, quotes and line breaks too.
    assert transformer["InputTemplate"].endswith(
        '"what":"a training job failed","job":<job>,"reason":<reason>}'
    )


def test_of_a_batch_array_only_the_parent_is_told_and_only_of_this_queue() -> None:
    detail = stacks().of_type("Events::Rule")["MonitoringInferenceFailed"]["EventPattern"]["detail"]
    assert detail["arrayProperties"] == {"index": [{"exists": False}]}
    assert detail["jobQueue"] == [{"Ref": "InferenceQueue"}]
    assert detail["status"] == ["FAILED"]
    # A person's own stop is no failure, and of what waited for a failed one is told already.
    assert {"anything-but": {"prefix": ["stopped by ", "Dependent Job failed"]}} in detail["statusReason"]


def test_a_training_job_that_ran_out_of_time_is_told_of_too() -> None:
    detail = stacks().of_type("Events::Rule")["MonitoringTrainingTimedOut"]["EventPattern"]["detail"]
    assert detail["SecondaryStatus"] == ["MaxRuntimeExceeded", "MaxWaitTimeExceeded"]


@everywhere
def test_every_alarm_can_fire_and_acts(configuration: str) -> None:
    found = stacks(configuration)
    alarms = found.of_type("CloudWatch::Alarm")
    assert len(alarms) == 3 + ("InferenceGpuQueue" in found.of_type("Batch::JobQueue"))
    for alarm in alarms.values():
        assert alarm["MetricName"] in METRICS[alarm["Namespace"]]
        assert alarm["AlarmActions"] == [{"Ref": "MonitoringTopic"}]
        assert len(alarm["Dimensions"]) == 1


def test_the_topic_is_not_under_a_key_that_eventbridge_cannot_use() -> None:
    assert "KmsMasterKeyId" not in stacks().one("SNS::Topic")
    assert stacks("everything").one("SNS::Topic")["KmsMasterKeyId"] == {"Ref": "KmsKey"}
    policy = text(stacks().one("SNS::TopicPolicy"))
    assert "events.amazonaws.com" in policy and "cloudwatch.amazonaws.com" in policy


def dashboard(found: Stacks) -> dict[str, Any]:
    body = found.one("CloudWatch::Dashboard")["DashboardBody"]["Fn::Sub"][0]
    parsed: dict[str, Any] = json.loads(body)
    return parsed


@everywhere
def test_every_widget_reads_a_metric_that_exists(configuration: str) -> None:
    widgets = dashboard(stacks(configuration))["widgets"]
    assert len(widgets) == 8 + ("InferenceGpuQueue" in stacks(configuration).of_type("Batch::JobQueue"))
    searched = [text(each) for each in widgets if "SEARCH" in text(each)]
    assert len(searched) == 6 and all(f"{{{TRAINING}," in each for each in searched)
    expressions = [
        each["expression"] for each in walk(widgets) if isinstance(each, dict) and "expression" in each
    ]
    for name in METRICS[TRAINING]:
        assert [each for each in expressions if f'MetricName="{name}"' in each], name
    assert set(BATCH_JOBS) == METRICS["AWS/Batch"]
    assert "ModelLatency" not in text(widgets) and "TrainingJobsCount" not in text(widgets)


def test_training_hosts_and_gpus_are_searched_by_the_names_of_this_environments_jobs() -> None:
    expressions = [
        each["expression"]
        for each in walk(dashboard(stacks()))
        if isinstance(each, dict) and "expression" in each
    ]
    assert all("trainyard dev" in each for each in expressions)


def test_batch_writes_to_a_log_group_of_the_platforms_own() -> None:
    found = stacks()
    options = found.one("Batch::JobDefinition")["ContainerProperties"]["LogConfiguration"]["Options"]
    assert options["awslogs-group"] == {"Ref": "InferenceLogGroup"}
    assert not [each for each in found.of_type("Logs::LogGroup").values() if "LogGroupName" in each]


@everywhere
def test_the_hosts_of_a_training_job_reach_each_other(configuration: str) -> None:
    rule = stacks(configuration).one("EC2::SecurityGroupIngress")
    assert rule["GroupId"] == rule["SourceSecurityGroupId"]
    assert rule["IpProtocol"] == "-1"


def test_traffic_between_hosts_can_be_made_to_be_encrypted() -> None:
    condition = {"sagemaker:InterContainerTrafficEncryption": "true"}

    def create(found: Stacks) -> list[dict[str, Any]]:
        policy = found.resources["SubmitterPolicy"]["Properties"]["PolicyDocument"]
        return [
            each for each in policy["Statement"] if "sagemaker:CreateTrainingJob" in listed(each["Action"])
        ]

    assert [each["Condition"].get("Bool") for each in create(stacks())] == [None]
    starts = [each for each in create(stacks("everything")) if each["Effect"] == "Allow"]
    assert [each["Condition"]["Bool"] for each in starts] == [condition]


def test_a_batch_job_reads_data_and_models_and_writes_predictions_alone() -> None:
    found = stacks()
    writes = [
        each for each in found.statements("InferenceJobRole") if "s3:PutObject" in listed(each["Action"])
    ]
    assert [text(each["Resource"]) for each in writes] == [
        '{"Fn::Sub": "arn:${AWS::Partition}:s3:::${ModelBucket}/predictions/*"}'
    ]
    assert "s3:DeleteObject" not in found.actions("InferenceJobRole")


def test_people_and_the_notebook_may_submit_to_batch() -> None:
    found = stacks()
    attached = found.resources["NotebookRole"]["Properties"]["ManagedPolicyArns"]
    assert attached == [{"Ref": "SubmitterPolicy"}, {"Ref": "SubmitterDataPolicy"}]
    assert "batch:SubmitJob" in found.actions("NotebookRole")


@everywhere
def test_only_what_was_superseded_is_archived_or_expires(configuration: str) -> None:
    buckets = stacks(configuration).of_type("S3::Bucket")
    for name in ("StorageDatasetBucket", "StorageModelBucket"):
        rules = buckets[name]["LifecycleConfiguration"]["Rules"]
        assert not [rule for rule in rules if "Transitions" in rule or "ExpirationInDays" in rule]
        assert [rule for rule in rules if "NoncurrentVersionExpiration" in rule]


@everywhere
def test_compute_environments_scale_from_zero_and_can_be_updated_in_place(configuration: str) -> None:
    for each in stacks(configuration).of_type("Batch::ComputeEnvironment").values():
        resources = each["ComputeResources"]
        assert "ComputeEnvironmentName" not in each and "ServiceRole" not in each
        assert each["ReplaceComputeEnvironment"] is False
        assert each["UpdatePolicy"] == {"JobExecutionTimeoutMinutes": 60, "TerminateJobsOnUpdate": False}
        assert resources["MinvCpus"] == 0 and "DesiredvCpus" not in resources
        strategy = {"SPOT": "SPOT_PRICE_CAPACITY_OPTIMIZED", "EC2": "BEST_FIT_PROGRESSIVE"}
        assert resources["AllocationStrategy"] == strategy[resources["Type"]]
        assert resources["UpdateToLatestImageVersion"] is True


@everywhere
def test_the_notebook_has_a_policy_of_its_own_and_passes_only_roles_that_jobs_run_under(
    configuration: str,
) -> None:
    found = stacks(configuration)
    assert "AmazonSageMakerFullAccess" not in text(found.resources)
    passes = [
        each
        for each in found.resources["SubmitterPolicy"]["Properties"]["PolicyDocument"]["Statement"]
        if "iam:PassRole" in listed(each["Action"])
    ]
    passed = {each["Fn::GetAtt"][0] for statement in passes for each in listed(statement["Resource"])}
    assert passed == {"TrainingRole", "InferenceJobRole", "InferenceExecutionRole"}
    assert all("iam:PassedToService" in text(each["Condition"]) for each in passes)


@everywhere
def test_no_role_has_all_actions_of_a_service(configuration: str) -> None:
    found = stacks(configuration)
    roles = found.of_type("IAM::Role")
    assert roles
    for role in roles:
        assert not [action for action in found.actions(role) if action.endswith(":*") or action == "*"]


@everywhere
def test_services_assume_roles_for_this_account_alone_where_they_say_for_whom(configuration: str) -> None:
    for name, role in stacks(configuration).of_type("IAM::Role").items():
        (statement,) = role["AssumeRolePolicyDocument"]["Statement"]
        if statement["Principal"]["Service"] == "ec2.amazonaws.com":
            continue  # an instance profile's: EC2 sends no source account
        if name == "NotebookRole":
            continue  # nowhere is it said that SageMaker sends one for notebook instances
        assert statement["Condition"]["StringEquals"]["aws:SourceAccount"] == {"Ref": "AWS::AccountId"}, name


def test_the_notebook_has_no_root_no_direct_internet_imdsv2_and_stops_itself() -> None:
    found = stacks()
    notebook = found.one("SageMaker::NotebookInstance")
    assert notebook["RootAccess"] == "Disabled"
    assert notebook["DirectInternetAccess"] == "Disabled"
    metadata = notebook["InstanceMetadataServiceConfiguration"]
    assert metadata == {"MinimumInstanceMetadataServiceVersion": "2"}
    script = text(found.one("SageMaker::NotebookInstanceLifecycleConfig"))
    assert "stop-notebook-instance" in script and "idle.py 60" in script
    assert stacks("everything").one("SageMaker::NotebookInstance")["KmsKeyId"] == {"Ref": "KmsKey"}


def test_lean_and_who_wants_none_have_no_notebook() -> None:
    for configuration in ("lean", "no-notebook"):
        assert not stacks(configuration).of_type("SageMaker::NotebookInstance")
        assert "notebook-name" not in text(stacks(configuration).of_type("SSM::Parameter"))


def test_lean_has_neither_nat_nor_interface_endpoints() -> None:
    found = stacks("lean")
    assert not found.of_type("EC2::NatGateway") and not found.of_type("EC2::EIP")
    assert [each["VpcEndpointType"] for each in found.of_type("EC2::VPCEndpoint").values()] == ["Gateway"]


def test_lean_trains_in_isolated_subnets_and_predicts_on_machines_that_nothing_reaches() -> None:
    found = stacks("lean")
    routes = found.of_type("EC2::Route")
    assert [each["RouteTableId"] for each in routes.values()] == [{"Ref": "NetworkPublicRoutes"}]
    (subnets,) = [
        each["Value"]
        for each in found.of_type("SSM::Parameter").values()
        if each["Name"].endswith("/subnet-ids")
    ]
    assert "Private" in text(subnets) and "Public" not in text(subnets)
    for each in found.of_type("Batch::ComputeEnvironment").values():
        assert "Public" in text(each["ComputeResources"]["Subnets"])
    group = found.of_type("EC2::SecurityGroup")["InferenceSecurityGroup"]
    assert "SecurityGroupIngress" not in group
    tables = found.of_type("EC2::VPCEndpoint")["NetworkS3Endpoint"]["RouteTableIds"]
    names = ("NetworkPublicRoutes", "NetworkPrivate1Routes", "NetworkPrivate2Routes")
    assert tables == [{"Ref": name} for name in names]


@pytest.mark.parametrize("configuration", ["private", "lean", "everything", "no-nat"])
def test_image_pulls_pass_the_endpoint_of_s3(configuration: str) -> None:
    policy = text(stacks(configuration).of_type("EC2::VPCEndpoint")["NetworkS3Endpoint"]["PolicyDocument"])
    assert "prod-${AWS::Region}-starport-layer-bucket/*" in policy
    assert "al2023-repos-${AWS::Region}-de612dc2/*" in policy
    assert '"Resource": "*"' not in policy


@everywhere
def test_buckets_take_tls_alone_expire_what_is_old_and_log_access(configuration: str) -> None:
    found = stacks(configuration)
    buckets, policies = found.of_type("S3::Bucket"), found.of_type("S3::BucketPolicy")
    assert len(buckets) == len(policies) == 3
    for policy in policies.values():
        deny = policy["PolicyDocument"]["Statement"][0]
        assert deny["Effect"] == "Deny" and deny["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
        assert deny["Action"] == "s3:*" and deny["Principal"] == "*" and len(deny["Resource"]) == 2
    for name, bucket in buckets.items():
        rules = bucket["LifecycleConfiguration"]["Rules"]
        assert [rule for rule in rules if "AbortIncompleteMultipartUpload" in rule]
        if name != "StorageAccessLogBucket":
            assert bucket["LoggingConfiguration"]["DestinationBucketName"] == {
                "Ref": "StorageAccessLogBucket"
            }
            assert bucket["VersioningConfiguration"] == {"Status": "Enabled"}
            # S3 refuses a target that its log delivery may not write to yet.
            assert found.resources[name]["DependsOn"] == ["StorageAccessLogBucketPolicy"]


def test_a_lost_machine_and_a_start_that_failed_are_retried_and_nothing_else() -> None:
    strategy = stacks().one("Batch::JobDefinition")["RetryStrategy"]
    assert strategy["EvaluateOnExit"][:2] == [
        {"Action": "RETRY", "OnStatusReason": "Host EC2*"},
        {"Action": "RETRY", "OnStatusReason": "Task failed to start*"},
    ]
    assert {each["Action"] for each in strategy["EvaluateOnExit"][2:]} == {"EXIT"}
    assert strategy["EvaluateOnExit"][-1] == {"Action": "EXIT", "OnExitCode": "*"}


def test_tags_are_immutable_and_only_untagged_images_expire() -> None:
    repository = stacks().one("ECR::Repository")
    assert repository["ImageTagMutability"] == "IMMUTABLE"
    rules = json.loads(repository["LifecyclePolicy"]["LifecyclePolicyText"])["rules"]
    assert [rule["selection"]["tagStatus"] for rule in rules] == ["untagged"]


def test_the_job_definition_works_before_a_push_and_is_pinned_by_digest_after_it() -> None:
    assert stacks().one("Batch::JobDefinition")["ContainerProperties"]["Image"] == PUBLIC_IMAGE
    assert ":latest" not in text(stacks().resources)
    pinned = f"111122223333.dkr.ecr.us-east-1.amazonaws.com/images@sha256:{'0' * 64}"
    found = stacks_of(Environment(batch=BatchCompute(image=pinned)))
    assert found.one("Batch::JobDefinition")["ContainerProperties"]["Image"] == pinned


def test_a_small_on_demand_environment_stands_second_in_the_queue() -> None:
    found = stacks()
    order = found.one("Batch::JobQueue")["ComputeEnvironmentOrder"]
    assert [(each["Order"], each["ComputeEnvironment"]["Ref"]) for each in order] == [
        (1, "InferenceSpotMachines"),
        (2, "InferenceOnDemandMachines"),
    ]
    machines = found.of_type("Batch::ComputeEnvironment")["InferenceOnDemandMachines"]
    assert machines["ComputeResources"]["MaxvCpus"] == 32


def test_failed_jobs_raise_an_alarm_and_a_blocked_queue_is_told() -> None:
    found = stacks()
    alarm = found.of_type("CloudWatch::Alarm")["MonitoringInferenceAlarm"]
    assert (alarm["Namespace"], alarm["MetricName"]) == ("AWS/Batch", "JobsMovedToFailed")
    assert alarm["Dimensions"][0]["Name"] == "JobQueueName"
    blocked = found.of_type("Events::Rule")["MonitoringQueueBlocked"]["EventPattern"]
    assert blocked["detail-type"] == ["Batch Job Queue Blocked"]
    assert blocked["detail"] == {"jobQueue": [{"Ref": "InferenceQueue"}]}


@everywhere
def test_c_nothing_is_outdated(configuration: str) -> None:
    found = stacks(configuration)
    for each in found.of_type("SageMaker::NotebookInstance").values():
        assert each["PlatformIdentifier"] == "notebook-al2023-v1"
    for each in found.of_type("Batch::ComputeEnvironment").values():
        resources = each["ComputeResources"]
        assert resources["Ec2Configuration"][0]["ImageType"].startswith("ECS_AL2023")
        assert "optimal" not in resources["InstanceTypes"] and "BidPercentage" not in resources
        assert "SpotIamFleetRole" not in resources
    definition = found.one("Batch::JobDefinition")
    assert definition["ResourceRetentionPolicy"] == {"SkipDeregisterOnUpdate": True}
    assert not {"Vcpus", "Memory"} & definition["ContainerProperties"].keys()
    assert not found.of_type("CloudFormation::Stack")


def test_c_gpus_have_a_queue_and_an_image_of_their_own() -> None:
    found = stacks("everything")
    machines = found.of_type("Batch::ComputeEnvironment")["InferenceGpuMachines"]["ComputeResources"]
    assert machines["Ec2Configuration"] == [{"ImageType": "ECS_AL2023_NVIDIA"}]
    order = found.of_type("Batch::JobQueue")["InferenceGpuQueue"]["ComputeEnvironmentOrder"]
    assert order == [{"ComputeEnvironment": {"Ref": "InferenceGpuMachines"}, "Order": 1}]


def test_the_vpc_has_two_zones_one_nat_and_the_documented_subnets() -> None:
    found = stacks()
    assert found.one("EC2::VPC")["CidrBlock"] == "10.220.0.0/16"
    blocks = {name: each["CidrBlock"] for name, each in found.of_type("EC2::Subnet").items()}
    assert blocks == {
        "NetworkPublicSubnet1": "10.220.0.0/24",
        "NetworkPublicSubnet2": "10.220.2.0/24",
        "NetworkPrivateSubnet1": "10.220.1.0/24",
        "NetworkPrivateSubnet2": "10.220.3.0/24",
    }
    zones = {text(each["AvailabilityZone"]) for each in found.of_type("EC2::Subnet").values()}
    assert len(zones) == 2 and len(found.of_type("EC2::NatGateway")) == 1


def test_an_endpoint_for_s3_sagemaker_and_ecr() -> None:
    endpoints = stacks().of_type("EC2::VPCEndpoint").values()
    services = {
        (each["VpcEndpointType"], each["ServiceName"]["Fn::Sub"].split("${AWS::Region}.")[1])
        for each in endpoints
    }
    assert services == {
        ("Gateway", "s3"),
        ("Interface", "sagemaker.api"),
        ("Interface", "sagemaker.runtime"),
        ("Interface", "ecr.api"),
        ("Interface", "ecr.dkr"),
    }


@everywhere
def test_buckets_encrypted_with_public_access_blocked(configuration: str) -> None:
    for bucket in stacks(configuration).of_type("S3::Bucket").values():
        assert bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
        assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
        assert len(bucket["PublicAccessBlockConfiguration"]) == 4


def test_superseded_models_move_to_glacier_as_documented() -> None:
    rules = stacks().of_type("S3::Bucket")["StorageModelBucket"]["LifecycleConfiguration"]["Rules"]
    (models,) = [rule for rule in rules if rule.get("Prefix") == "models/"]
    assert models["NoncurrentVersionTransitions"] == [{"StorageClass": "GLACIER", "TransitionInDays": 180}]


def test_images_are_scanned_on_push_and_the_newest_are_kept() -> None:
    repository = stacks().one("ECR::Repository")
    assert repository["ImageScanningConfiguration"] == {"ScanOnPush": True}
    (rule,) = json.loads(repository["LifecyclePolicy"]["LifecyclePolicyText"])["rules"]
    assert (rule["selection"]["countType"], rule["selection"]["countNumber"]) == ("imageCountMoreThan", 50)


def test_the_notebook_is_small_and_has_the_examples() -> None:
    notebook = stacks().one("SageMaker::NotebookInstance")
    assert notebook["InstanceType"] == "ml.t3.medium"
    assert notebook["DefaultCodeRepository"] == "https://github.com/aws/amazon-sagemaker-examples.git"


def test_batch_scales_from_nothing_to_the_documented_vcpus() -> None:
    found = stacks()
    spot = found.of_type("Batch::ComputeEnvironment")["InferenceSpotMachines"]["ComputeResources"]
    assert (spot["MinvCpus"], spot["MaxvCpus"]) == (0, 256)
    assert found.one("Batch::JobQueue")["Priority"] == 1


def test_a_job_has_the_documented_size_attempts_and_time() -> None:
    definition = stacks().one("Batch::JobDefinition")
    assert definition["ContainerProperties"]["ResourceRequirements"] == [
        {"Type": "VCPU", "Value": "4"},
        {"Type": "MEMORY", "Value": "8192"},
    ]
    assert definition["RetryStrategy"]["Attempts"] == 3
    assert definition["Timeout"] == {"AttemptDurationSeconds": 3600}


def test_logs_are_kept_as_long_as_documented() -> None:
    assert [each["RetentionInDays"] for each in stacks().of_type("Logs::LogGroup").values()] == [30]
    found = stacks_of(Environment(flow_logs=True, retention=Retention(log_days=7)))
    assert [each["RetentionInDays"] for each in found.of_type("Logs::LogGroup").values()] == [7, 7]


@everywhere
def test_an_alarm_at_one_failure_in_five_minutes(configuration: str) -> None:
    for alarm in stacks(configuration).of_type("CloudWatch::Alarm").values():
        assert (alarm["Threshold"], alarm["Period"], alarm["EvaluationPeriods"]) == (1, 300, 1)
        assert (alarm["Statistic"], alarm["TreatMissingData"]) == ("Sum", "notBreaching")


def test_an_existing_vpc_is_taken_by_id_and_nothing_is_made_in_its_place() -> None:
    found = stacks("existing")
    parameters = found.platform["Parameters"]
    assert parameters["VpcId"] == {"Type": "AWS::EC2::VPC::Id", "Default": "vpc-0123456789abcdef0"}
    assert parameters["SubnetIds"]["Type"] == "List<AWS::EC2::Subnet::Id>"
    made = {each["Type"] for each in found.resources.values()}
    assert not made & {
        f"AWS::EC2::{kind}" for kind in ("VPC", "Subnet", "NatGateway", "VPCEndpoint", "Route")
    }


def test_a_permissions_boundary_is_on_every_role() -> None:
    roles = stacks("everything").of_type("IAM::Role").values()
    assert roles and all(role["PermissionsBoundary"] == {"Ref": "PermissionsBoundary"} for role in roles)


def test_a_budget_alerts_by_mail() -> None:
    budget = stacks("everything").one("Budgets::Budget")
    assert budget["Budget"]["BudgetLimit"] == {"Amount": EVERYTHING.budget_usd, "Unit": "USD"}
    kinds = [each["Notification"]["NotificationType"] for each in budget["NotificationsWithSubscribers"]]
    assert kinds == ["ACTUAL", "FORECASTED"]
    assert not stacks().of_type("Budgets::Budget")


@everywhere
def test_no_machine_of_batch_is_too_small_or_open(configuration: str) -> None:
    found = stacks(configuration)
    data = found.one("EC2::LaunchTemplate")["LaunchTemplateData"]
    assert data["MetadataOptions"] == {"HttpTokens": "required", "HttpPutResponseHopLimit": 1}
    disk = data["BlockDeviceMappings"][0]["Ebs"]
    assert disk["Encrypted"] is True
    assert disk["VolumeSize"] == CONFIGURATIONS[configuration].batch.volume_size_gb
    ingress = found.of_type("EC2::SecurityGroup")["InferenceSecurityGroup"].get("SecurityGroupIngress")
    assert ingress is None


@pytest.mark.parametrize(
    ("network", "change"),
    [
        ("private", {"zones": 3}),
        ("private", {"zones": 1}),
        ("private", {"nats": 2}),
        ("private", {"network": "lean"}),
        ("lean", {"zones": 3}),
        ("lean", {"zones": 1}),
    ],
)
def test_a_change_of_the_network_moves_no_subnet_and_no_association(
    network: str, change: dict[str, Any]
) -> None:
    before = stacks_of(Environment(network=network))
    after = stacks_of(Environment(**{"network": network, **change}))
    # CloudFormation makes what is new before it deletes what is old: a block or a subnet can't be had twice.
    for kind, fixed in (
        ("EC2::Subnet", "CidrBlock"),
        ("EC2::SubnetRouteTableAssociation", "SubnetId"),
        ("EC2::SubnetRouteTableAssociation", "RouteTableId"),
    ):
        old, new = before.of_type(kind), after.of_type(kind)
        kept = old.keys() & new.keys()
        assert kept and all(old[name][fixed] == new[name][fixed] for name in kept)
        taken = {text(each[fixed]) for each in old.values()} if fixed != "RouteTableId" else set()
        assert not [name for name in new.keys() - old.keys() if text(new[name][fixed]) in taken]


def test_the_notebook_comes_after_its_way_out_and_public_machines_go_before_theirs() -> None:
    notebook = stacks().resources["NotebookInstance"]
    assert notebook["DependsOn"] == ["NetworkPrivateRoute1", "NetworkPrivateRoute2"]
    lean = stacks("lean")
    for name in lean.of_type("Batch::ComputeEnvironment"):
        assert lean.resources[name]["DependsOn"] == ["NetworkPublicRoute"]
