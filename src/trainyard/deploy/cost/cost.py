"""What an environment costs a month while nothing runs, computed from its templates. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from ..changes.intrinsics import is_intrinsic, references
from .prices import (
    ALARM_METRIC,
    AS_OF,
    COMPOSITE_ALARM,
    DASHBOARD,
    FAST_ALARM_METRIC,
    INTERFACE_ENDPOINT,
    KEY,
    NAT_GATEWAY,
    NOTEBOOKS,
    PUBLIC_ADDRESS,
    VCPU,
    Price,
)

_DEFAULT_NOTEBOOK = "ml.t2.medium"
_FAST = 60
"""Seconds below which the period of an alarm makes it a high-resolution one."""


class CostItem(NamedTuple):
    """A line of the bill: `usd` a month. Where `known` is false there is no price here, and `usd` is 0."""

    name: str
    usd: float
    note: str = ""
    known: bool = True


class _Found(NamedTuple):
    """The resources of all templates, by type, and the parameters' defaults."""

    resources: Mapping[str, Sequence[Mapping[str, Any]]]
    parameters: Mapping[str, Any]

    def of(self, kind: str) -> Sequence[Mapping[str, Any]]:
        """The properties of all resources of a type."""
        return self.resources.get(kind, ())


def idle_cost(*templates: Mapping[str, Any]) -> list[CostItem]:
    """What the stacks of the templates cost a month of 730 hours, USD in us-east-1, while no job runs.

    Templates of nested stacks are given beside their parent's. Data stored, logs and traffic come by use and
    are not in it; what costs nothing is left out, but for what people ask about.
    """
    found = _found(templates)
    return [
        *_nat_gateways(found),
        *_addresses(found),
        *_endpoints(found),
        *_notebooks(found),
        *_machines(found),
        *_priced(found, "CloudWatch::Dashboard", "dashboard", DASHBOARD, "an account's first three are free"),
        *_alarms(found),
        *_priced(found, "KMS::Key", "KMS key", KEY, "requests are extra"),
        *_data(found),
    ]


def total(items: Sequence[CostItem]) -> float:
    """The sum, USD a month, to the cent."""
    return round(sum(item.usd for item in items), 2)


def lines(items: Sequence[CostItem]) -> list[str]:
    """An aligned table, its total, and what is counted."""
    sums = "total" if all(item.known for item in items) else "total of what has a known price"
    rows = [(item.name, f"{item.usd:,.2f}" if item.known else "?", item.note) for item in items]
    rows.append((sums, f"{total(items):,.2f}", "USD a month"))
    name, usd = (max(len(row[column]) for row in rows) for column in (0, 1))
    table = [f"{row[0]:<{name}}  {row[1]:>{usd}}  {row[2]}".rstrip() for row in rows]
    return [*table, f"at us-east-1 prices of {AS_OF}, idle; storage and traffic come by use"]


def _found(templates: Sequence[Mapping[str, Any]]) -> _Found:
    resources: dict[str, list[Mapping[str, Any]]] = {}
    parameters: dict[str, Any] = {}
    for template in templates:
        for each in template.get("Resources", {}).values():
            resources.setdefault(each["Type"], []).append(each.get("Properties", {}))
        for name, each in template.get("Parameters", {}).items():
            parameters[name] = each.get("Default")
    return _Found(resources, parameters)


def _nat_gateways(found: _Found) -> Iterator[CostItem]:
    gateways = found.of("AWS::EC2::NatGateway")
    if gateways:
        public = sum(1 for each in gateways if each.get("ConnectivityType", "public") == "public")
        usd = len(gateways) * NAT_GATEWAY.monthly + public * PUBLIC_ADDRESS.monthly
        yield CostItem(
            _counted(len(gateways), "NAT gateway"), usd, "with its public IPv4 address; traffic is extra"
        )


def _addresses(found: _Found) -> Iterator[CostItem]:
    """Elastic addresses that no NAT gateway has."""
    taken = sum(
        1
        for each in found.of("AWS::EC2::NatGateway")
        if any(True for _ in references(each.get("AllocationId")))
    )
    free = len(found.of("AWS::EC2::EIP")) - taken
    if free > 0:
        yield CostItem(
            _counted(free, "public IPv4 address", "public IPv4 addresses"), free * PUBLIC_ADDRESS.monthly
        )


def _endpoints(found: _Found) -> Iterator[CostItem]:
    endpoints = [
        each
        for each in found.of("AWS::EC2::VPCEndpoint")
        if each.get("VpcEndpointType", "Gateway") == "Interface"
    ]
    if endpoints:
        zones = sum(_length(each.get("SubnetIds"), found.parameters) for each in endpoints)
        note = f"{_counted(zones, 'network interface')}, one a zone; traffic is extra"
        name = _counted(len(endpoints), "interface endpoint")
        yield CostItem(name, zones * INTERFACE_ENDPOINT.monthly, note)


def _length(subnets: Any, parameters: Mapping[str, Any]) -> int:
    """How many subnets; a list that only AWS knows counts as one."""
    if isinstance(subnets, list):
        return len(subnets)
    if is_intrinsic(subnets) and isinstance(default := parameters.get(str(subnets.get("Ref"))), str):
        return len(default.split(","))
    return 1


def _notebooks(found: _Found) -> Iterator[CostItem]:
    for each in found.of("AWS::SageMaker::NotebookInstance"):
        kind = str(each.get("InstanceType", _DEFAULT_NOTEBOOK))
        price = NOTEBOOKS.get(kind)
        name = f"notebook {kind}"
        if each.get("LifecycleConfigName"):
            running = f"; {price.usd:.2f} an hour while it runs" if price else ""
            yield CostItem(name, 0.0, f"stops itself when idle{running}")
        elif price:
            yield CostItem(name, price.monthly, "never stops by itself")
        else:
            yield CostItem(name, 0.0, "never stops by itself, and its price is not known here", known=False)


def _machines(found: _Found) -> Iterator[CostItem]:
    environments = [each.get("ComputeResources", {}) for each in found.of("AWS::Batch::ComputeEnvironment")]
    if not environments:
        return
    kept = sum(int(each.get("MinvCpus") or 0) for each in environments)
    at_first = sum(
        max(0, int(each.get("DesiredvCpus") or 0) - int(each.get("MinvCpus") or 0)) for each in environments
    )
    note = f"{kept} vCPUs kept up, as an m5 on demand" if kept else "come with jobs and go with them"
    if at_first:
        note += f"; {at_first} vCPUs are started at first, until Batch finds them idle"
    yield CostItem("Batch machines", kept * VCPU.monthly, note)


def _priced(found: _Found, kind: str, noun: str, price: Price, note: str) -> Iterator[CostItem]:
    count = len(found.of(f"AWS::{kind}"))
    if count:
        yield CostItem(_counted(count, noun), count * price.monthly, note)


def _alarms(found: _Found) -> Iterator[CostItem]:
    alarms, composites = found.of("AWS::CloudWatch::Alarm"), found.of("AWS::CloudWatch::CompositeAlarm")
    count = len(alarms) + len(composites)
    if count:
        usd = sum(map(_alarm, alarms)) + len(composites) * COMPOSITE_ALARM.monthly
        yield CostItem(_counted(count, "alarm"), usd, "an account's first ten are free")


def _alarm(alarm: Mapping[str, Any]) -> float:
    """USD a month, by the metrics that the alarm looks at."""
    asked = [each["MetricStat"] for each in alarm.get("Metrics", []) if "MetricStat" in each]
    periods = [each.get("Period", _FAST) for each in asked] or [alarm.get("Period", _FAST)]
    fast = any(isinstance(period, int) and period < _FAST for period in periods)
    return len(periods) * (FAST_ALARM_METRIC if fast else ALARM_METRIC).monthly


def _data(found: _Found) -> Iterator[CostItem]:
    buckets, repositories = len(found.of("AWS::S3::Bucket")), len(found.of("AWS::ECR::Repository"))
    names = [_counted(buckets, "bucket")] if buckets else []
    names += [_counted(repositories, "image repository", "image repositories")] if repositories else []
    if names:
        yield CostItem(" and ".join(names), 0.0, "by use")


def _counted(count: int, noun: str, plural: str | None = None) -> str:
    return noun if count == 1 else f"{count} {plural or noun + 's'}"
