"""List prices of AWS in us-east-1 (N. Virginia), in USD, of what costs something while nothing runs.

`page` is AWS's own, which has the last word; `known` is the date of the copy or quotation of it that the
figure was read from, "" where that bore none. Free tiers and discounts are left out.
"""

from __future__ import annotations

from typing import NamedTuple

HOUR, MONTH = "hour", "month"
HOURS = 730
"""Of a month, as AWS's own calculator counts."""

_VPC = "https://aws.amazon.com/vpc/pricing/"
_PRIVATELINK = "https://aws.amazon.com/privatelink/pricing/"
_SAGEMAKER = "https://aws.amazon.com/sagemaker/ai/pricing/"
_CLOUDWATCH = "https://aws.amazon.com/cloudwatch/pricing/"
_KMS = "https://aws.amazon.com/kms/pricing/"
_EC2 = "https://aws.amazon.com/ec2/pricing/on-demand/"


class Price(NamedTuple):
    """USD for one of a thing, each `unit`."""

    usd: float
    unit: str
    page: str
    known: str

    @property
    def monthly(self) -> float:
        """USD a month of 730 hours."""
        return self.usd * HOURS if self.unit == HOUR else self.usd


NAT_GATEWAY = Price(0.045, HOUR, _VPC, "2026-09-20")
PUBLIC_ADDRESS = Price(0.005, HOUR, _VPC, "2026-02-24")
INTERFACE_ENDPOINT = Price(0.01, HOUR, _PRIVATELINK, "2026-05-01")
"""In one zone."""
DASHBOARD = Price(3.00, MONTH, _CLOUDWATCH, "2026-06-13")
ALARM_METRIC = Price(0.10, MONTH, _CLOUDWATCH, "")
"""One metric of an alarm that looks once a minute at the most."""
FAST_ALARM_METRIC = Price(0.30, MONTH, _CLOUDWATCH, "")
COMPOSITE_ALARM = Price(0.50, MONTH, _CLOUDWATCH, "")
KEY = Price(1.00, MONTH, _KMS, "2026-03-14")
VCPU = Price(0.048, HOUR, _EC2, "")
"""Of an m5 on demand: what a machine comes to depends on its family, and on spot it is less."""

NOTEBOOKS = {
    "ml.t3.medium": Price(0.05, HOUR, _SAGEMAKER, ""),
    "ml.t3.large": Price(0.10, HOUR, _SAGEMAKER, ""),
    "ml.t3.xlarge": Price(0.20, HOUR, _SAGEMAKER, ""),
    "ml.t3.2xlarge": Price(0.399, HOUR, _SAGEMAKER, ""),
    "ml.m5.xlarge": Price(0.23, HOUR, _SAGEMAKER, ""),
    "ml.m5.2xlarge": Price(0.461, HOUR, _SAGEMAKER, ""),
    "ml.c5.xlarge": Price(0.204, HOUR, _SAGEMAKER, ""),
    "ml.c5.2xlarge": Price(0.408, HOUR, _SAGEMAKER, ""),
    "ml.g4dn.xlarge": Price(0.7364, HOUR, _SAGEMAKER, ""),
    "ml.p3.2xlarge": Price(3.825, HOUR, _SAGEMAKER, ""),
}
"""By instance type; others are not known here."""

AS_OF = "2026-02-24"
"""The oldest date above."""
