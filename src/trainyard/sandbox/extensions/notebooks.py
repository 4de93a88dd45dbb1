"""SageMaker's notebooks: what moto's instance made by CloudFormation lacks, and an address to open one at.

moto's has a type and a role, and nothing else of its properties. There is no Jupyter here: an instance has
its states, and the address that is presigned for it says so.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Any

from ..api.control import Call, control
from ..api.dispatch import ApiRequest, operation
from ..api.protocols import AwsError
from ..world.world import World, backend_of
from .cloudformation import Placement, Properties, ending, made

_SHOWN = ("PlatformIdentifier", "InstanceMetadataServiceConfiguration")


@made("AWS::SageMaker::NotebookInstance")
def create(properties: Properties, place: Placement) -> Any:
    """A notebook instance as CreateNotebookInstance would make it, in service."""
    instance = place.backend("sagemaker").create_notebook_instance(
        notebook_instance_name=properties["NotebookInstanceName"],
        instance_type=properties["InstanceType"],
        role_arn=properties["RoleArn"],
        subnet_id=properties.get("SubnetId"),
        security_group_ids=properties.get("SecurityGroupIds"),
        kms_key_id=properties.get("KmsKeyId"),
        tags=properties["Tags"],
        lifecycle_config_name=properties.get("LifecycleConfigName"),
        direct_internet_access=properties.get("DirectInternetAccess", "Enabled"),
        volume_size_in_gb=int(properties.get("VolumeSizeInGB", 5)),
        default_code_repository=properties.get("DefaultCodeRepository"),
        additional_code_repositories=properties.get("AdditionalCodeRepositories"),
        root_access=properties.get("RootAccess", "Enabled"),
    )
    instance.properties = {name: properties[name] for name in _SHOWN if name in properties}
    return instance


@ending("AWS::SageMaker::NotebookInstance")
def delete(instance: Any) -> None:
    """CloudFormation stops an instance before it deletes it."""
    _, _, _, region, account, _ = instance.arn.split(":", 5)
    backend_of("sagemaker", account, region).notebook_instances.pop(instance.notebook_instance_name, None)


@operation("sagemaker", "DescribeNotebookInstance")
def describe(world: World, request: ApiRequest) -> Mapping[str, Any]:
    """moto's answer, with the properties that its instances don't keep."""
    described = request.forwarded()
    instance = _instance(world, described["NotebookInstanceName"])
    return {**described, **getattr(instance, "properties", {})}


@operation("sagemaker", "CreatePresignedNotebookInstanceUrl")
def presign(world: World, request: ApiRequest) -> Mapping[str, Any]:
    """An address for a browser, of an instance that is in service."""
    name = request.parameters["NotebookInstanceName"]
    instance = _instance(world, name)
    if instance is None:
        raise AwsError("ValidationException", "RecordNotFound")
    if instance.status != "InService":
        message = f"Notebook instance {name} is {instance.status}: it has to be InService"
        raise AwsError("ValidationException", message)
    token = secrets.token_urlsafe(16)
    return {"AuthorizedUrl": f"{world.endpoint}/_trainyard/notebook/{name}?authToken={token}"}


@control("notebook", is_open=True)
def open_notebook(world: World, call: Call) -> Mapping[str, Any]:
    """What is to be seen at that address."""
    return {
        "notebook": call.rest,
        "told": "the sandbox emulates the states of a notebook, and no Jupyter in it",
    }


def _instance(world: World, name: str) -> Any:
    return world.backend("sagemaker").notebook_instances.get(name)
