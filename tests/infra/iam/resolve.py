"""Templates as CloudFormation would deploy them: intrinsic functions resolved, resources with names.

What a policy refers to and is not known here raises: a guess would be evaluated as if it were true.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from templates import CACHE

from trainyard.core.environments.environment import Environment
from trainyard.infra.synthesis import synthesise

ACCOUNT, OTHER_ACCOUNT, REGION = "111122223333", "444455556666", "us-east-1"
_SSM_TYPE = "AWS::SSM::Parameter::Value<String>"
_LOWERCASE = ("AWS::S3::Bucket", "AWS::ECR::Repository")
_LONGEST = {"AWS::S3::Bucket": 63, "AWS::IAM::Role": 64}
"""Characters of a name that CloudFormation gives; 128 where nothing is said."""

_REFS = {
    "AWS::Batch::JobQueue": "arn:{partition}:batch:{region}:{account}:job-queue/{name}",
    "AWS::EC2::Subnet": "subnet-01234{unique}",
    "AWS::ECR::Repository": "{name}",
    "AWS::IAM::ManagedPolicy": "arn:{partition}:iam::{account}:policy/{name}",
    "AWS::IAM::Role": "{name}",
    "AWS::Logs::LogGroup": "{name}",
    "AWS::S3::Bucket": "{name}",
    "AWS::SNS::Topic": "arn:{partition}:sns:{region}:{account}:{name}",
    "AWS::SageMaker::NotebookInstance": (
        "arn:{partition}:sagemaker:{region}:{account}:notebook-instance/{name}"
    ),
}
"""What `Ref` gives, by resource type ("Return values" of its page in the CloudFormation user guide)."""
_ATTRIBUTES = {
    ("AWS::EC2::SecurityGroup", "GroupId"): "sg-01234{unique}",
    ("AWS::IAM::Role", "Arn"): "arn:{partition}:iam::{account}:role/{name}",
    ("AWS::Logs::LogGroup", "Arn"): "arn:{partition}:logs:{region}:{account}:log-group:{name}:*",
    ("AWS::S3::Bucket", "Arn"): "arn:{partition}:s3:::{name}",
}
"""What `Fn::GetAtt` gives."""


class Identity(NamedTuple):
    """Who makes requests, and with which policies; `boundary` is the ARN of a permissions boundary."""

    principal: str
    arn: str
    policies: list[Any]
    trust: Any = None
    boundary: str = ""


class Deployed:
    """Both stacks of an environment in an account, with every policy as IAM would get it."""

    def __init__(
        self,
        environment: Environment,
        account: str = ACCOUNT,
        region: str = REGION,
        partition: str = "aws",
    ) -> None:
        self.environment, self.account, self.region, self.partition = environment, account, region, partition
        self._known: dict[str, str] = {}
        data, platform = synthesise(environment, cache=str(CACHE))
        self._stacks = {template.name: template.content for template in (data, platform)}
        self._place = {
            logical: (stack, resource)
            for stack, content in self._stacks.items()
            for logical, resource in content["Resources"].items()
        }
        assert len(self._place) == sum(len(each["Resources"]) for each in self._stacks.values())
        self._facts = {
            self.resolve(properties["Name"], stack): (properties["Value"], stack)
            for stack, properties in self._of_type("AWS::SSM::Parameter")
        }

    def fact(self, name: str) -> str:
        """What the deployment publishes under the name."""
        path = name if name.startswith("/") else self.parameter(name)
        if path not in self._known:
            self._known[path] = self.resolve(*self._facts[path])
        return self._known[path]

    def parameter(self, name: str) -> str:
        """The name of the SSM parameter of a fact."""
        return f"/trainyard/{self.environment.name}/{name}"

    def ref(self, logical: str) -> str:
        """`Ref` of a resource."""
        _, resource = self._place[logical]
        return _REFS[resource["Type"]].format(**self._names(logical))

    def role(self, logical: str) -> Identity:
        """A role, as a session of it makes requests, with all policies that it has inline or attached."""
        stack, resource = self._place[logical]
        properties = self.resolve(resource["Properties"], stack)
        name = self.ref(logical)
        attached = {
            self.ref(each): self._properties(each) for each in self._names_of("AWS::IAM::ManagedPolicy")
        }
        # KeyError: a policy of AWS's own, which is not known here.
        documents = [attached[arn]["PolicyDocument"] for arn in properties.get("ManagedPolicyArns", [])]
        documents += [policy["PolicyDocument"] for policy in properties.get("Policies", [])]
        for each in self._names_of("AWS::IAM::RolePolicy"):
            policy = self._properties(each)
            documents += [policy["PolicyDocument"]] if policy["RoleName"] == name else []
        for policy in attached.values():
            assert not {"Roles", "Users", "Groups"} & set(policy), "attached from the policy's side"
        assert not self._names_of("AWS::IAM::Policy"), "attached from the policy's side"
        return Identity(
            principal=f"arn:aws:sts::{self.account}:assumed-role/{name}/session",
            arn=f"arn:aws:iam::{self.account}:role/{name}",
            policies=documents,
            trust=properties["AssumeRolePolicyDocument"],
            boundary=properties.get("PermissionsBoundary", ""),
        )

    def submitter(self) -> Identity:
        """A person who has the policy for those who submit jobs, and nothing else."""
        arn = f"arn:aws:iam::{self.account}:user/ada"
        theirs = [self.fact("submitter-policy-arn"), self.fact("submitter-data-policy-arn")]
        policies = [
            self._properties(each)["PolicyDocument"]
            for each in self._names_of("AWS::IAM::ManagedPolicy")
            if self.ref(each) in theirs
        ]
        assert len(policies) == len(theirs)
        return Identity(principal=arn, arn=arn, policies=policies)

    def bucket_policy(self, bucket: str) -> Any:
        """The policy of a bucket, by its name."""
        (found,) = (
            properties["PolicyDocument"]
            for each in self._names_of("AWS::S3::BucketPolicy")
            if (properties := self._properties(each))["Bucket"] == bucket
        )
        return found

    def topic_policy(self) -> Any:
        """The policy of the topic that failures are told to."""
        (each,) = self._names_of("AWS::SNS::TopicPolicy")
        properties = self._properties(each)
        assert properties["Topics"] == [self.fact("notification-topic-arn")]
        return properties["PolicyDocument"]

    def endpoint_policy(self, service: str) -> Any:
        """The policy of the VPC endpoint of a service: `s3`, `ecr.dkr`."""
        (found,) = (
            properties["PolicyDocument"]
            for each in self._names_of("AWS::EC2::VPCEndpoint")
            if self._resolved(each, "ServiceName") == f"com.amazonaws.{self.region}.{service}"
            for properties in [{"PolicyDocument": self._resolved(each, "PolicyDocument")}]
        )
        return found

    def role_names(self) -> list[str]:
        """The logical ids of all roles."""
        return self._names_of("AWS::IAM::Role")

    def policy_sizes(self) -> dict[str, int]:
        """The characters of each managed policy, and of all inline policies of a role, as IAM counts them."""
        managed = {
            f"managed {each}": _size(self._properties(each)["PolicyDocument"])
            for each in self._names_of("AWS::IAM::ManagedPolicy")
        }
        inline = {f"inline {each}": 0 for each in self.role_names()}
        for each in self.role_names():
            for policy in self._properties(each).get("Policies", []):
                inline[f"inline {each}"] += _size(policy["PolicyDocument"])
        for each in self._names_of("AWS::IAM::RolePolicy"):
            policy = self._properties(each)
            (role,) = (name for name in self.role_names() if self.ref(name) == policy["RoleName"])
            inline[f"inline {role}"] += _size(policy["PolicyDocument"])
        return {**managed, **inline}

    def resolve(self, value: Any, stack: str) -> Any:
        """A value of a stack's template without intrinsic functions."""
        if isinstance(value, list):
            return [self.resolve(each, stack) for each in value]
        if not isinstance(value, dict):
            return value
        if len(value) == 1:
            ((name, argument),) = value.items()
            if name == "Ref" or name.startswith("Fn::"):
                return self._intrinsic(name, argument, stack)
        return {key: self.resolve(each, stack) for key, each in value.items()}

    def _intrinsic(self, name: str, argument: Any, stack: str) -> Any:
        if name == "Ref":
            return self._ref(argument, stack)
        if name == "Fn::GetAtt":
            return self._attribute(*argument)
        if name == "Fn::Sub":
            return self._substitute(argument, stack)
        values = self.resolve(argument, stack)
        if name == "Fn::Join":
            return values[0].join(values[1])
        if name == "Fn::Split":
            return values[1].split(values[0])
        if name == "Fn::Select":
            return values[1][int(values[0])]
        if name == "Fn::FindInMap":
            return self._stacks[stack]["Mappings"][values[0]][values[1]][values[2]]
        if name == "Fn::Base64":
            return base64.b64encode(values.encode()).decode()
        raise KeyError(f"{name} is not resolved here")

    def _ref(self, name: str, stack: str) -> Any:
        pseudo = {
            "AWS::AccountId": self.account,
            "AWS::Region": self.region,
            "AWS::Partition": self.partition,
            "AWS::URLSuffix": "amazonaws.com",
            "AWS::StackName": stack,
        }
        parameters = self._stacks[stack].get("Parameters", {})
        if name in pseudo:
            return pseudo[name]
        if name in parameters:
            default: str = parameters[name]["Default"]
            if parameters[name]["Type"].startswith("List<"):
                return default.split(",")
            return self.fact(default) if parameters[name]["Type"] == _SSM_TYPE else default
        return self.ref(name)

    def _attribute(self, logical: str, attribute: str) -> str:
        return _ATTRIBUTES[self._place[logical][1]["Type"], attribute].format(**self._names(logical))

    def _substitute(self, argument: Any, stack: str) -> str:
        text, given = argument if isinstance(argument, list) else (argument, {})
        values = {key: self.resolve(value, stack) for key, value in given.items()}

        def one(match: re.Match[str]) -> str:
            name = match[1]
            if name.startswith("!"):
                return f"${{{name[1:]}}}"
            if name in values:
                return str(values[name])
            return self._attribute(*name.split(".", 1)) if "." in name else self._ref(name, stack)

        return re.sub(r"\$\{([^}]+)\}", one, text)

    def _names(self, logical: str) -> Mapping[str, str]:
        stack, resource = self._place[logical]
        unique = hashlib.sha256(f"{self.account} {stack} {logical}".encode()).hexdigest()[:12]
        room = _LONGEST.get(resource["Type"], 128) - len(unique) - 1
        name = f"{f'{stack}-{logical}'[:room]}-{unique.upper()}"
        if resource["Type"] in _LOWERCASE:
            name = name.lower()
        return {
            "partition": self.partition,
            "account": self.account,
            "region": self.region,
            "name": name,
            "unique": unique,
        }

    def _of_type(self, kind: str) -> list[tuple[str, Any]]:
        return [
            (stack, resource["Properties"])
            for stack, resource in self._place.values()
            if resource["Type"] == kind
        ]

    def _names_of(self, kind: str) -> list[str]:
        return [name for name, (_, resource) in self._place.items() if resource["Type"] == kind]

    def _resolved(self, logical: str, key: str) -> Any:
        stack, resource = self._place[logical]
        return self.resolve(resource["Properties"][key], stack)

    def _properties(self, logical: str) -> Any:
        stack, resource = self._place[logical]
        return self.resolve(resource["Properties"], stack)


def _size(document: Any) -> int:
    # White space is not counted ("IAM and STS quotas", IAM user guide).
    return len(re.sub(r"\s", "", json.dumps(document, separators=(",", ":"), ensure_ascii=False)))
