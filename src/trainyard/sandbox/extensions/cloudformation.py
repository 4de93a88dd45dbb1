"""CloudFormation: what moto leaves out of every resource, and the hooks by which the files beside this add
theirs.

moto passes over a resource type that it does not know with CREATE_COMPLETE, and a policy of its own for names
makes some that their services refuse. CloudFormation refuses a template with a type that there is not, gives
names that fit, and puts a stack's tags on all that it holds ("Resource tag", CloudFormation user guide).
"""

from __future__ import annotations

import random
import string
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeVar, cast

from moto.cloudformation import parsing
from moto.cloudformation.exceptions import ValidationError

from ..world.world import backend_of

_RETAINED = ("Retain", "RetainExceptOnCreate")
_LOWER_CASE = ("AWS::S3::Bucket", "AWS::ECR::Repository")
_UNNAMED = {
    "AWS::CloudWatch::Alarm": "AlarmName",
    "AWS::CloudWatch::Dashboard": "DashboardName",
    "AWS::EC2::LaunchTemplate": "LaunchTemplateName",
    "AWS::IAM::ManagedPolicy": "ManagedPolicyName",
    "AWS::SageMaker::NotebookInstance": "NotebookInstanceName",
    "AWS::SageMaker::NotebookInstanceLifecycleConfig": "NotebookInstanceLifecycleConfigName",
}
"""Properties that name a resource, where moto's model does not say so."""
_TAG_LISTS = frozenset(
    f"AWS::{kind}"
    for kind in (
        "CloudWatch::Alarm",
        "ECR::Repository",
        "Events::Rule",
        "IAM::ManagedPolicy",
        "IAM::Role",
        "Logs::LogGroup",
        "S3::Bucket",
        "SNS::Topic",
        "SageMaker::NotebookInstance",
    )
)
_TAG_MAPS = frozenset(
    f"AWS::{kind}"
    for kind in ("Batch::ComputeEnvironment", "Batch::JobDefinition", "Batch::JobQueue", "SSM::Parameter")
)


class Placement(NamedTuple):
    """Where a resource is made, and the name that it gets where its properties give none."""

    account: str
    region: str
    stack_id: str
    logical_id: str
    name: str

    def backend(self, service: str) -> Any:
        """moto's memory of a service there."""
        return backend_of(service, self.account, self.region)


Properties = dict[str, Any]
_Function = TypeVar("_Function", bound=Callable[..., Any])


class Hooks(dict[str, _Function]):
    """Functions by the type of resource that each is for; it keeps those that it decorates."""

    def __call__(self, kind: str) -> Callable[[_Function], _Function]:
        return lambda function: self.setdefault(kind, function)


made: Hooks[Callable[[Properties, Placement], Any]] = Hooks()
"""The function makes a resource of that type, in the place of moto's model."""
before: Hooks[Callable[[Properties, Placement], None]] = Hooks()
"""The function puts the properties right that moto's model of that type gets."""
after: Hooks[Callable[[Any, Properties, Placement], None]] = Hooks()
"""The function does to what moto's model of that type made whatever it leaves out."""
ending: Hooks[Callable[[Any], None]] = Hooks()
"""The function deletes a resource of that type that another one here made, or takes from one of moto's what
would keep it from being deleted."""
_moto_class: Callable[[str], Any] = parsing.resource_class_from_type


class Made:
    """A resource of a type that moto has no model of, as its CloudFormation looks at it."""

    def __init__(
        self,
        physical_id: str,
        attributes: Mapping[str, str] | None = None,
        unmake: Callable[[], None] = lambda: None,
    ) -> None:
        self.physical_resource_id = physical_id
        self._attributes = dict(attributes or {})
        self._unmake = unmake

    def is_created(self) -> bool:
        return True

    def get_cfn_attribute(self, name: str) -> str:
        return self._attributes[name]

    def delete(self) -> None:
        """Take it back."""
        self._unmake()

    @classmethod
    def has_cfn_attr(cls, name: str) -> bool:
        return True


def install(region: str) -> None:
    """Put the hooks in their places; `region` is what `Fn::GetAZs` of nothing means."""
    parsing.parse_and_create_resource = cast(Any, _create)
    parsing.resource_class_from_type = cast(Any, _class_of)
    parsing.DEFAULT_REGION = region
    parsing.ResourceMap.delete = _delete  # type: ignore[method-assign]
    _refuse_unknown_types()


def _class_of(kind: str) -> Any:
    return Made if kind in made else _moto_class(kind)


def _create(logical_id: str, body: dict[str, Any], resources: Any, account_id: str, region_name: str) -> Any:
    kind = body["Type"]
    condition = body.get("Condition")
    if condition and not resources.lazy_condition_map[condition]:
        return None
    properties = parsing.clean_json(body.get("Properties", {}), resources)
    _tag(kind, properties, resources.tags)
    name = _name(kind, properties, logical_id, resources)
    place = Placement(account_id, region_name, resources.stack_id, logical_id, name)
    if kind in before:
        before[kind](properties, place)
    resource = made[kind](properties, place) if kind in made else _by_moto(kind, body, properties, place)
    if resource is None:
        return None
    resource.cf_resource_type, resource.logical_resource_id = kind, logical_id
    if kind in after:
        after[kind](resource, properties, place)
    return resource


def _by_moto(kind: str, body: dict[str, Any], properties: Properties, place: Placement) -> Any:
    model = _moto_class(kind)
    if model is None:  # a wait condition
        return None
    return model.create_from_cloudformation_json(
        place.name,
        {**body, "Properties": properties},
        place.account,
        place.region,
        LogicalId=place.logical_id,
        StackId=place.stack_id,
        ResourceType=kind,
    )


def _name(kind: str, properties: Properties, logical_id: str, resources: Any) -> str:
    key = _UNNAMED.get(kind) or ("" if kind in made else parsing.resource_name_property_from_type(kind))
    if key and properties.get(key):
        return str(properties[key])
    name: str = parsing.generate_resource_name(kind, resources["AWS::StackName"], logical_id)
    name = name.lower() if kind in _LOWER_CASE else name
    if kind in _UNNAMED:
        properties[_UNNAMED[kind]] = name
    return name


def _tag(kind: str, properties: Properties, tags: Mapping[str, str]) -> None:
    ours = {key: value for key, value in tags.items() if not key.startswith("aws:")}
    if kind in _TAG_LISTS:
        own = {tag["Key"]: tag["Value"] for tag in properties.get("Tags", [])}
        properties["Tags"] = [{"Key": key, "Value": value} for key, value in {**ours, **own}.items()]
    elif kind in _TAG_MAPS:
        properties["Tags"] = {**ours, **properties.get("Tags", {})}


def _delete(self: Any) -> None:
    """moto deletes in any order, and what is retained except on create: that differs from what is retained
    only in a creation that fails. What was made last goes first here, as it may need what was made before."""
    for logical_id in reversed([name for name in self._parsed_resources if name in self._resource_json_map]):
        body, resource = self._resource_json_map[logical_id], self._parsed_resources[logical_id]
        if body.get("DeletionPolicy") in _RETAINED:
            continue
        if body["Type"] in ending:
            ending[body["Type"]](resource)
        if isinstance(resource, Made):
            resource.delete()
        elif body["Type"] not in made:
            self._delete_resource(resource, body)
        del self._parsed_resources[logical_id]


def _refuse_unknown_types() -> None:
    load = parsing.ResourceMap.load
    if getattr(load, "refuses", False):
        return

    def load_known(self: Any) -> None:
        kinds = sorted({body.get("Type", "") for body in self._resource_json_map.values()})
        unknown = [kind for kind in kinds if not _is_known(kind)]
        if unknown:
            message = f"Template format error: Unrecognized resource types: [{', '.join(unknown)}]"
            raise ValidationError(message=f"{message} (the sandbox does not emulate them)")
        load(self)

    load_known.refuses = True  # type: ignore[attr-defined]
    parsing.ResourceMap.load = load_known  # type: ignore[method-assign]


def _is_known(kind: str) -> bool:
    return (
        kind in made
        or kind in parsing.NULL_MODELS
        or kind.startswith("Custom::")
        or kind in parsing.get_model_map()
    )


def suffix() -> str:
    """Twelve characters, as CloudFormation ends a name with."""
    return "".join(random.choices(string.ascii_uppercase + string.digits, k=12))
