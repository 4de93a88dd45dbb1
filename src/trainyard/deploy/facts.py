"""What a deployment has published about itself, and where its pages are in AWS's console."""

from __future__ import annotations

from collections.abc import Mapping

from ..aws.session import Session
from ..parameters import parameter_name
from .preparation import Target

_CONSOLES = {
    "aws": "{region}.console.aws.amazon.com",
    "aws-cn": "{region}.console.amazonaws.cn",
    "aws-us-gov": "{region}.console.amazonaws-us-gov.com",
}


def facts_of(session: Session, environment: str) -> Mapping[str, str]:
    """Every fact of an environment by its name in `parameters`; {} where nothing is deployed."""
    root = parameter_name(environment, "")
    pages = session.pages("ssm", "get_parameters_by_path", Path=root.rstrip("/"))
    return {each["Name"].removeprefix(root): each["Value"] for page in pages for each in page["Parameters"]}


def dashboard_url(target: Target, dashboard: str) -> str:
    """The page of a dashboard."""
    host = _CONSOLES.get(target.partition, _CONSOLES["aws"]).format(region=target.region)
    return f"https://{host}/cloudwatch/home?region={target.region}#dashboards/dashboard/{dashboard}"
