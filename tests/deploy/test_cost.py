"""What an environment costs while nothing runs."""

from __future__ import annotations

import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainyard.deploy.cost import prices
from trainyard.deploy.cost.cost import CostItem, idle_cost, lines, total

from . import usual
from .synthesised import stacks


def template(*resources: dict[str, Any], **parameters: Any) -> dict[str, Any]:
    named = {f"R{index}": each for index, each in enumerate(resources)}
    return {
        "Resources": named,
        "Parameters": {name: {"Default": value} for name, value in parameters.items()},
    }


def resource(kind: str, **properties: Any) -> dict[str, Any]:
    return {"Type": kind, "Properties": properties}


def endpoint(**properties: Any) -> dict[str, Any]:
    return resource("AWS::EC2::VPCEndpoint", VpcEndpointType="Interface", **properties)


def usd(*resources: dict[str, Any], **parameters: Any) -> float:
    return total(idle_cost(template(*resources, **parameters)))


def by_name(items: list[CostItem]) -> dict[str, float]:
    return {item.name: round(item.usd, 2) for item in items}


@pytest.mark.parametrize(("network", "expected"), [("private", 98.20), ("lean", 3.30)])
def test_each_network_costs_what_is_promised(network: str, expected: float) -> None:
    assert total(idle_cost(*stacks(network))) == expected


def test_the_private_network_is_the_bill_by_item() -> None:
    items = by_name(idle_cost(*stacks("private")))
    assert items["NAT gateway"] == 36.50
    assert items["4 interface endpoints"] == 58.40
    assert items["notebook ml.t3.medium"] == 0
    assert items["dashboard"] == 3.00
    assert items["3 alarms"] == 0.30


def test_a_usual_app_costs_134_50_while_idle() -> None:
    items = by_name(idle_cost(usual.template()))
    assert items["NAT gateway"] == 36.50
    assert items["4 interface endpoints"] == 58.40
    assert items["notebook ml.t3.medium"] == 36.50
    assert items["dashboard"] + items["alarm"] == 3.10
    assert sum(items.values()) == pytest.approx(usual.FACTS["idle_usd"])


def test_a_nat_gateway_pays_for_its_address_and_not_twice() -> None:
    nat = resource("AWS::EC2::NatGateway", AllocationId={"Fn::GetAtt": ["R1", "AllocationId"]})
    address = resource("AWS::EC2::EIP", Domain="vpc")
    assert usd(nat, address) == 36.50
    assert usd(nat, address, address) == 36.50 + 3.65
    assert usd(resource("AWS::EC2::NatGateway", ConnectivityType="private")) == 32.85


@given(st.integers(0, 6), st.integers(0, 4))
def test_an_interface_endpoint_costs_7_30_a_zone(count: int, zones: int) -> None:
    subnets = [{"Ref": f"Subnet{zone}"} for zone in range(zones)]
    assert usd(*[endpoint(SubnetIds=subnets)] * count) == pytest.approx(7.30 * count * zones)


def test_subnets_given_as_a_parameter_are_counted_by_its_default() -> None:
    assert usd(endpoint(SubnetIds={"Ref": "SubnetIds"}), SubnetIds="subnet-a,subnet-b") == 14.60


def test_a_gateway_endpoint_is_free() -> None:
    assert usd(resource("AWS::EC2::VPCEndpoint", VpcEndpointType="Gateway")) == 0
    assert usd(resource("AWS::EC2::VPCEndpoint")) == 0


def test_a_notebook_costs_nothing_idle_only_if_it_stops_itself() -> None:
    notebook = {"InstanceType": "ml.t3.medium"}
    assert usd(resource("AWS::SageMaker::NotebookInstance", **notebook)) == 36.50
    assert usd(resource("AWS::SageMaker::NotebookInstance", **notebook, LifecycleConfigName="idle")) == 0


def test_a_price_that_is_not_known_is_no_zero() -> None:
    items = idle_cost(template(resource("AWS::SageMaker::NotebookInstance", InstanceType="ml.x9.huge")))
    assert [item.known for item in items] == [False]
    table = lines(items)
    assert table[0].split()[2] == "?"
    assert "known price" in table[-2]


def test_machines_that_are_kept_up_cost_and_those_of_a_first_start_do_not() -> None:
    kept = resource("AWS::Batch::ComputeEnvironment", ComputeResources={"MinvCpus": 2})
    started = resource("AWS::Batch::ComputeEnvironment", ComputeResources={"MinvCpus": 0, "DesiredvCpus": 4})
    assert usd(kept) == pytest.approx(2 * 0.048 * 730, abs=0.01)
    assert usd(started) == 0
    assert "4 vCPUs are started at first" in idle_cost(template(started))[0].note


def test_an_alarm_costs_by_the_metrics_that_it_looks_at() -> None:
    asked = [{"Id": name, "MetricStat": {"Period": 300}} for name in ("a", "b")]
    assert usd(resource("AWS::CloudWatch::Alarm", Period=300)) == 0.10
    assert usd(resource("AWS::CloudWatch::Alarm", Metrics=[*asked, {"Id": "c", "Expression": "a/b"}])) == 0.20
    assert usd(resource("AWS::CloudWatch::Alarm", Period=10)) == 0.30


@pytest.mark.parametrize(
    "kind",
    [
        "AWS::Budgets::Budget",
        "AWS::Events::Rule",
        "AWS::IAM::Role",
        "AWS::Logs::LogGroup",
        "AWS::S3::Bucket",
        "AWS::SNS::Topic",
        "AWS::SSM::Parameter",
    ],
)
def test_what_comes_by_use_costs_nothing_idle(kind: str) -> None:
    assert usd(resource(kind)) == 0


def test_a_key_costs_a_dollar() -> None:
    assert usd(resource("AWS::KMS::Key")) == 1.00


def test_the_table_adds_up_and_says_when_and_where_its_prices_hold() -> None:
    items = idle_cost(*stacks("private"))
    *rows, sums, note = lines(items)
    assert len(rows) == len(items)
    assert "98.20" in sums
    assert note == f"at us-east-1 prices of {prices.AS_OF}, idle; storage and traffic come by use"
    ends = {
        line.index(f"{item.usd:.2f}") + len(f"{item.usd:.2f}") for line, item in zip(rows, items, strict=True)
    }
    assert len(ends) == 1


def test_every_price_has_a_unit_and_aws_s_own_page() -> None:
    found = [each for each in vars(prices).values() if isinstance(each, prices.Price)]
    found += prices.NOTEBOOKS.values()
    assert len(found) > 10
    for price in found:
        assert price.usd > 0
        assert price.unit in (prices.HOUR, prices.MONTH)
        assert price.page.startswith("https://aws.amazon.com/")
        assert not price.known or datetime.date.fromisoformat(price.known)
    assert min(price.known for price in found if price.known) == prices.AS_OF
