"""The synthesised templates that the tests here read, each made once for all of them."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from trainyard.core.environments.environment import BatchCompute, Environment, Notebook
from trainyard.core.environments.limits import ENDPOINTS, INSTANCE_TYPES, READ_BUCKETS
from trainyard.infra.synthesis import synthesise

CACHE = Path(__file__).parents[2] / ".venv" / "templates"
"""By content, so that what is there is never stale; `make clean` takes it away."""

KEY = "arn:aws:kms:us-east-1:111122223333:key/12345678-1234-1234-1234-123456789012"
EVERYTHING = Environment(
    name="production12",
    prefix="acmevisionteam12",
    zones=3,
    nats=3,
    endpoints=ENDPOINTS,
    flow_logs=True,
    encrypt_traffic=True,
    kms_key=KEY,
    permissions_boundary="arn:aws:iam::111122223333:policy/" + "boundary" * 16,
    policy_name="submitters".ljust(123, "x"),
    policy_path="/teams/machine-learning/",
    allowed_instance_types=tuple(f"ml.p6-b200.{number}xlarge" for number in range(10, 10 + INSTANCE_TYPES)),
    tags={f"key-{number}".ljust(40, "x"): "value".ljust(40, "y") for number in range(40)},
    read_buckets=tuple(f"bucket-{number}-".ljust(63, "x") for number in range(READ_BUCKETS)),
    alarm_email=f"{'team' * 16}@machine-learning.example-company.com"[:100],
    budget_usd=2**31 - 1,
    cidr="192.168.240.0/20",
    batch=BatchCompute(
        max_vcpus=2**31 - 1,
        on_demand_max_vcpus=2**31 - 1,
        gpu_max_vcpus=2**31 - 1,
        volume_size_gb=16_384,
        families=tuple(f"r6idn.{size}xlarge" for size in range(10, 18)),
        gpu_families=tuple(f"g6e.{size}xlarge" for size in range(10, 18)),
        image=f"{'111122223333.dkr.ecr.us-east-1.amazonaws.com/'.ljust(180, 'x')}@sha256:{'0' * 64}",
    ),
    notebook=Notebook(enabled=True, instance_type="ml.g6e.48xlarge", idle_minutes=10_080),
)
"""As large as an environment can be."""

CONFIGURATIONS = {
    "private": Environment(),
    "lean": Environment(network="lean"),
    "existing": Environment(
        vpc="vpc-0123456789abcdef0", subnets=("subnet-0123456789abcdef0", "subnet-0123456789abcdef1")
    ),
    "everything": EVERYTHING,
    "no-notebook": Environment(notebook=Notebook(enabled=False)),
    "on-demand": Environment(batch=BatchCompute(max_vcpus=0)),
    "no-nat": EVERYTHING.replace(name="dev", nats=0, zones=1, notebook=Notebook()),
}
"""One of each kind of environment."""


class Stacks:
    """The two templates of an environment, and their resources together."""

    def __init__(self, data: Mapping[str, Any], platform: Mapping[str, Any]) -> None:
        self.data, self.platform = data, platform
        self.resources: dict[str, Any] = {**data["Resources"], **platform["Resources"]}

    def of_type(self, kind: str) -> dict[str, Any]:
        """The properties of the resources of a type, by logical id."""
        return {
            name: resource.get("Properties", {})
            for name, resource in self.resources.items()
            if resource["Type"] == f"AWS::{kind}"
        }

    def one(self, kind: str) -> dict[str, Any]:
        """The properties of the only resource of a type."""
        (properties,) = self.of_type(kind).values()
        found: dict[str, Any] = properties
        return found

    def statements(self, role: str) -> list[dict[str, Any]]:
        """The statements of a role's own policies, and of the managed ones of the stack that it has."""
        properties = self.resources[role]["Properties"]
        documents = [policy["PolicyDocument"] for policy in properties.get("Policies", [])]
        for attached in properties.get("ManagedPolicyArns", []):
            documents.append(self.resources[attached["Ref"]]["Properties"]["PolicyDocument"])
        return [statement for document in documents for statement in document["Statement"]]

    def actions(self, role: str) -> set[str]:
        """Every action that a role is allowed."""
        return {action for statement in self.statements(role) for action in listed(statement["Action"])}


@cache
def stacks(configuration: str = "private") -> Stacks:
    """The templates of one of `CONFIGURATIONS`."""
    return stacks_of(CONFIGURATIONS[configuration])


def stacks_of(environment: Environment) -> Stacks:
    """The templates of any environment."""
    data, platform = synthesise(environment, cache=str(CACHE))
    return Stacks(data.content, platform.content)


def listed(value: Any) -> list[Any]:
    """A value that may stand alone, as a list."""
    return value if isinstance(value, list) else [value]


def text(value: Any) -> str:
    """A value as JSON, to look for words in."""
    return json.dumps(value)


def walk(value: Any) -> Iterator[Any]:
    """Every value inside a template's JSON."""
    yield value
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for child in children:
        yield from walk(child)
