"""How every role of an environment is made: with its permissions boundary, and a policy of its own alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from aws_cdk import CfnParameter, Fn, Stack
from aws_cdk import aws_iam as iam
from constructs import Construct

from ..core.environments.environment import Environment
from .statements import Statement, document, pull_images, read_buckets, trust

_BOUNDARY = "PermissionsBoundary"


class Roles:
    """Makes roles. Names are CloudFormation's, so that a stack needs no CAPABILITY_NAMED_IAM for them and can
    be made again; they begin with the stack's."""

    def __init__(self, stack: Stack, environment: Environment) -> None:
        self._boundary = None
        if environment.permissions_boundary:
            CfnParameter(stack, _BOUNDARY, type="String", default=environment.permissions_boundary)
            self._boundary = Fn.ref(_BOUNDARY)
        images = iam.CfnManagedPolicy(
            stack,
            "PullImagesPolicy",
            policy_document=document(*pull_images()),
        )
        self._pull_images = images.ref
        self._readers: list[str] = []
        if environment.read_buckets:
            # Once, and not in each role: names of buckets are long, and a template is short.
            policy = iam.CfnManagedPolicy(
                stack,
                "ReadBucketsPolicy",
                policy_document=document(*read_buckets(environment.read_buckets)),
            )
            self._readers = [policy.ref]

    def make(
        self,
        scope: Construct,
        name: str,
        service: str,
        statements: Sequence[Statement],
        *,
        own_account: bool = True,
        pulls_images: bool = False,
        reads_buckets: bool = False,
        managed_policies: Sequence[str] = (),
    ) -> iam.CfnRole:
        """A role that `service` assumes (for this account alone with `own_account`), with statements inline.

        With `pulls_images` it may pull images of the environment and of AWS's Deep Learning Containers, with
        `reads_buckets` it may read the further buckets that the environment names.
        """
        attached = list(managed_policies)
        attached += [self._pull_images] if pulls_images else []
        attached += self._readers if reads_buckets else []
        return iam.CfnRole(
            scope,
            name,
            assume_role_policy_document=trust(service, own_account=own_account),
            permissions_boundary=self._boundary,
            managed_policy_arns=attached or None,
            policies=[_policy(statements)] if statements else None,
        )


def _policy(statements: Sequence[Statement]) -> Any:
    return iam.CfnRole.PolicyProperty(policy_name="trainyard", policy_document=document(*statements))
