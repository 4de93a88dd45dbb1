"""The two stacks of an environment, in one screen: what holds data, and what can be thrown away."""

from __future__ import annotations

from collections.abc import Mapping

from aws_cdk import App, CfnElement, CfnMapping, CfnParameter, LegacyStackSynthesizer, Stack
from aws_cdk import aws_ssm as ssm
from constructs import Construct

from ..core.environments.environment import Environment, stack_tags
from ..core.environments.facts import PARAMETERS, job_name_prefix, parameter_name
from ..core.environments.limits import tags_text
from ..core.environments.regions import DEEP_LEARNING_CONTAINERS
from ..version import __version__
from .inference import Inference
from .key import key_of, take_key
from .monitoring import Monitoring
from .network import Network
from .notebook import NotebookInstance
from .roles import Roles
from .statements import DATASET_BUCKET, MODEL_BUCKET, REGISTRIES, REPOSITORY
from .storage import Storage
from .submitters import Submitters
from .training import Training


class ReadableStack(Stack):
    """A stack without bootstrap, whose resources are called after their place in it: `NetworkVpc`."""

    def __init__(self, app: App, environment: Environment, name: str, what: str, *, protect: bool) -> None:
        # Legacy: it needs no bootstrapped account, and a template without assets needs no other.
        super().__init__(
            app,
            name,
            stack_name=name,
            description=f"trainyard {environment.name}: {what}",
            synthesizer=LegacyStackSynthesizer(),
            tags=stack_tags(environment),
            termination_protection=protect,
            analytics_reporting=False,
        )

    def finish(self, environment: Environment, facts: Mapping[str, str]) -> None:
        """Publish the stack's facts as SSM parameters, where the people's side looks for them, and call every
        resource after its place in the stack, once it has all of them.

        Raises KeyError for a fact that `facts.py` lacks.
        """
        if unknown := facts.keys() - PARAMETERS.keys():
            raise KeyError(*unknown)
        place = Construct(self, "Fact")
        for fact, value in facts.items():
            title = "".join(part.capitalize() for part in fact.split("-"))
            name = parameter_name(environment.name, fact)
            ssm.CfnParameter(place, title, name=name, type="String", value=value)
        # Once for each, and not by overriding how the CDK allocates names: it asks for every reference.
        for child in self.node.find_all():
            if isinstance(child, CfnElement):
                child.override_logical_id("".join(child.node.path.split("/")[1:]))


class DataStack(ReadableStack):
    """Buckets and images: under termination protection, and retained even without it."""

    def __init__(self, app: App, environment: Environment) -> None:
        super().__init__(app, environment, environment.data_stack_name, "what holds data", protect=True)
        storage = Storage(self, environment)
        facts = {
            "dataset-bucket": storage.dataset_bucket.ref,
            "model-bucket": storage.model_bucket.ref,
            "repository-name": storage.repository.ref,
            "repository-uri": storage.repository.attr_repository_uri,
        }
        self.finish(environment, facts)


class PlatformStack(ReadableStack):
    """All that can be thrown away: network, roles, notebook, Batch, monitoring."""

    def __init__(self, app: App, environment: Environment, data: DataStack) -> None:
        super().__init__(app, environment, environment.stack_name, "the platform", protect=False)
        self.add_stack_dependency(data)
        self._take_facts(environment)
        take_key(self, environment)
        roles = Roles(self, environment)
        network = Network(self, environment, roles)
        training = Training(self, environment, network, roles)
        inference = Inference(self, environment, network, roles)
        submitters = Submitters(self, environment, network, training, inference)
        monitoring = Monitoring(self, environment, inference)
        facts = {
            "version": __version__,
            "network-profile": environment.profile,
            "job-name-prefix": job_name_prefix(environment.prefix, environment.name),
            "training-role-arn": training.role.attr_arn,
            "batch-job-role-arn": inference.job_role.attr_arn,
            "batch-execution-role-arn": inference.execution_role.attr_arn,
            "submitter-policy-arn": submitters.policy_arn,
            "submitter-data-policy-arn": submitters.data_policy_arn,
            "vpc-id": network.vpc_id,
            "subnet-ids": network.job_subnet_list,
            "security-group-ids": training.security_group_id,
            "encrypt-traffic": str(environment.encrypt_traffic).lower(),
            "job-queue-arn": inference.queue.ref,
            "job-definition-arn": inference.job_definition.ref,
            "job-definition-name": inference.job_definition_name,
            "batch-log-group": inference.log_group.ref,
            "notification-topic-arn": monitoring.topic_arn,
            "dashboard-name": monitoring.dashboard_name,
        }
        if environment.tags:
            facts["tags"] = tags_text(environment.tags)
        if key := key_of(environment):
            facts["kms-key-arn"] = key
        if inference.gpu_queue:
            facts["gpu-job-queue-arn"] = inference.gpu_queue.ref
        if environment.has_notebook:
            notebook = NotebookInstance(self, environment, network, submitters, roles)
            facts["notebook-name"] = notebook.name
        self.finish(environment, facts)

    def _take_facts(self, environment: Environment) -> None:
        """What the data stack published, as parameters that CloudFormation looks up in SSM itself."""
        for name, fact in (
            (DATASET_BUCKET, "dataset-bucket"),
            (MODEL_BUCKET, "model-bucket"),
            (REPOSITORY, "repository-name"),
        ):
            CfnParameter(
                self,
                name,
                type="AWS::SSM::Parameter::Value<String>",
                default=parameter_name(environment.name, fact),
            )
        mapping = {region: {"id": account} for region, account in DEEP_LEARNING_CONTAINERS.items()}
        CfnMapping(self, REGISTRIES, mapping=mapping, lazy=False)


def build(environment: Environment, outdir: str | None = None) -> App:
    """The CDK app of an environment, not yet synthesised; its templates come into `outdir`."""
    # Not for the CDK CLI to change: a template has to stay below the size that CloudFormation takes inline.
    context = {"@aws-cdk/core:suppressTemplateIndentation": True, "aws:cdk:enable-path-metadata": False}
    app = App(outdir=outdir, post_cli_context=context, analytics_reporting=False, tree_metadata=False)
    data = DataStack(app, environment)
    PlatformStack(app, environment, data)
    return app
