"""The machines of AWS Batch: compute environments that scale from zero and are updated in place.

No names, no service role, no desired count: each would block an update ("Updating compute environments",
Batch user guide). A change of the image, the families or the disk replaces machines as they become free.
CloudFormation puts a stack's tags on the compute environment alone: what it starts, and what costs, is tagged
here.
"""

from __future__ import annotations

from collections.abc import Sequence

from aws_cdk import Aws, CfnCondition, CfnTag, Fn, Token
from aws_cdk import aws_batch as batch
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_iam as iam
from constructs import Construct

from ..core.environments.environment import LEAN, Environment, stack_tags
from ..core.environments.families import OLDER, at_full_price
from .network import Network
from .roles import Roles
from .statements import Statement, allow

_AGENT = (
    "ec2:DescribeTags",
    "ecs:CreateCluster",
    "ecs:DeregisterContainerInstance",
    "ecs:DiscoverPollEndpoint",
    "ecs:Poll",
    "ecs:RegisterContainerInstance",
    "ecs:StartTelemetrySession",
    "ecs:SubmitAttachmentStateChanges",
    "ecs:SubmitContainerStateChange",
    "ecs:SubmitTaskStateChange",
    "ecs:TagResource",
    "ecs:UpdateContainerInstancesState",
)
"""What the ECS agent needs ("Amazon ECS container instance IAM role"); the clusters are Batch's."""

SPOT, ON_DEMAND = "SPOT", "EC2"
_STRATEGIES = {SPOT: "SPOT_PRICE_CAPACITY_OPTIMIZED", ON_DEMAND: "BEST_FIT_PROGRESSIVE"}
GENERAL_IMAGE, GPU_IMAGE = "ECS_AL2023", "ECS_AL2023_NVIDIA"
UPDATE_MINUTES = 60
"""How long an update leaves a machine's job to end: the timeout of one."""
_ROOT_DEVICE = "/dev/xvda"


class Machines:
    """Makes the compute environments of a queue, all with one instance role, security group and template."""

    def __init__(
        self,
        scope: Construct,
        environment: Environment,
        network: Network,
        roles: Roles,
        write_log: Statement,
    ) -> None:
        self._scope, self._environment, self._network = scope, environment, network
        role = roles.make(
            scope,
            "InstanceRole",
            "ec2.amazonaws.com",
            [allow(list(_AGENT), "*"), write_log],
            own_account=False,
            pulls_images=True,
        )
        self._profile = iam.CfnInstanceProfile(scope, "InstanceProfile", roles=[role.ref])
        self._group = ec2.CfnSecurityGroup(
            scope,
            "SecurityGroup",
            group_description=f"Batch machines of {environment.stack_name}: nothing comes in",
            vpc_id=network.vpc_id,
        )
        self._template = self._launch_template()

    def general(self) -> list[batch.CfnComputeEnvironment]:
        """Spot, then on demand, as the environment has them."""
        wanted = self._environment.batch
        found = []
        if wanted.max_vcpus:
            found.append(self._compute("Spot", SPOT, wanted.max_vcpus, wanted.families, GENERAL_IMAGE))
        if most := wanted.on_demand_max_vcpus:
            found.append(self._compute("OnDemand", ON_DEMAND, most, self._at_full_price(), GENERAL_IMAGE))
        return found

    def _at_full_price(self) -> list[str]:
        """Of the region's generation, which is known when the stack is made: a template fits every region."""
        families = self._environment.batch.families
        newer, older = at_full_price(families, older=False), at_full_price(families, older=True)
        if newer == older:
            return list(newer)
        regions = [Fn.condition_equals(Aws.REGION, region) for region in OLDER]
        condition = CfnCondition(self._scope, "OlderMachines", expression=Fn.condition_or(*regions))
        return Token.as_list(Fn.condition_if(condition.logical_id, list(older), list(newer)))

    def accelerated(self) -> list[batch.CfnComputeEnvironment]:
        """With GPUs; [] where the environment names no families of them."""
        wanted = self._environment.batch
        if not wanted.gpu_families:
            return []
        kind = SPOT if wanted.gpu_spot else ON_DEMAND
        return [self._compute("Gpu", kind, wanted.gpu_max_vcpus, wanted.gpu_families, GPU_IMAGE)]

    def _compute(
        self, name: str, kind: str, most: int, families: Sequence[str], image: str
    ) -> batch.CfnComputeEnvironment:
        resources = batch.CfnComputeEnvironment.ComputeResourcesProperty(
            type=kind,
            allocation_strategy=_STRATEGIES[kind],
            minv_cpus=0,
            maxv_cpus=most,
            instance_types=list(families),
            instance_role=self._profile.attr_arn,
            ec2_configuration=[batch.CfnComputeEnvironment.Ec2ConfigurationObjectProperty(image_type=image)],
            launch_template=batch.CfnComputeEnvironment.LaunchTemplateSpecificationProperty(
                launch_template_id=self._template.ref, version=self._template.attr_latest_version_number
            ),
            security_group_ids=[self._group.attr_group_id],
            subnets=self._network.machine_subnets,
            tags=stack_tags(self._environment),
            update_to_latest_image_version=True,
        )
        environment = batch.CfnComputeEnvironment(
            self._scope,
            f"{name}Machines",
            type="MANAGED",
            state="ENABLED",
            compute_resources=resources,
            replace_compute_environment=False,
            update_policy=batch.CfnComputeEnvironment.UpdatePolicyProperty(
                job_execution_timeout_minutes=UPDATE_MINUTES, terminate_jobs_on_update=False
            ),
        )
        if self._environment.network == LEAN:
            # Machines that are still ending hold public addresses: the gateway goes after them.
            for route in self._network.ways_out:
                environment.add_resource_dependency(route)
        return environment

    def _launch_template(self) -> ec2.CfnLaunchTemplate:
        disk = ec2.CfnLaunchTemplate.EbsProperty(
            encrypted=True,
            delete_on_termination=True,
            volume_size=self._environment.batch.volume_size_gb,
            volume_type="gp3",
        )
        metadata = ec2.CfnLaunchTemplate.MetadataOptionsProperty(
            http_tokens="required", http_put_response_hop_limit=1
        )
        tags = [CfnTag(key=key, value=value) for key, value in stack_tags(self._environment).items()]
        data = ec2.CfnLaunchTemplate.LaunchTemplateDataProperty(
            tag_specifications=[
                ec2.CfnLaunchTemplate.TagSpecificationProperty(resource_type=kind, tags=tags)
                for kind in ("instance", "volume")
            ],
            block_device_mappings=[
                ec2.CfnLaunchTemplate.BlockDeviceMappingProperty(device_name=_ROOT_DEVICE, ebs=disk)
            ],
            metadata_options=metadata,
        )
        return ec2.CfnLaunchTemplate(self._scope, "LaunchTemplate", launch_template_data=data)
