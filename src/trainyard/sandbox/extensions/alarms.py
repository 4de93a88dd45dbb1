"""CloudWatch in CloudFormation: moto has no model of alarms."""

from __future__ import annotations

from .cloudformation import Made, Placement, Properties, made


@made("AWS::CloudWatch::Alarm")
def put(properties: Properties, place: Placement) -> Made:
    """An alarm over one metric, as PutMetricAlarm would make it."""
    backend = place.backend("cloudwatch")
    name = properties["AlarmName"]
    alarm = backend.put_metric_alarm(
        name=name,
        namespace=properties["Namespace"],
        metric_name=properties["MetricName"],
        comparison_operator=properties["ComparisonOperator"],
        evaluation_periods=int(properties["EvaluationPeriods"]),
        period=int(properties["Period"]),
        threshold=float(properties["Threshold"]),
        statistic=properties["Statistic"],
        description=properties.get("AlarmDescription", ""),
        dimensions=properties.get("Dimensions", []),
        alarm_actions=properties.get("AlarmActions", []),
        ok_actions=properties.get("OKActions", []),
        insufficient_data_actions=properties.get("InsufficientDataActions", []),
        treat_missing_data=properties.get("TreatMissingData"),
        tags=properties["Tags"],
    )
    return Made(name, {"Arn": alarm.alarm_arn}, lambda: backend.delete_alarms([name]))
