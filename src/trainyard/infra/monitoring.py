"""What tells that something is wrong: notifications in words, alarms, a dashboard, a budget."""

from __future__ import annotations

import json
from typing import Any

from aws_cdk import Fn
from aws_cdk import aws_budgets as budgets
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_events as events
from aws_cdk import aws_sns as sns
from constructs import Construct

from ..core.environments.environment import Environment
from ..core.environments.facts import DEPENDENT_FAILED, STOP_REASON, TIMEOUTS, job_name_prefix
from .dashboard import dashboard_body
from .inference import Inference
from .key import key_of
from .statements import OWN_ACCOUNT, allow_service, document, only_tls

PERIOD = 300
"""Seconds: one failure in five minutes raises an alarm."""
_NOT_BREACHING = "notBreaching"


class Monitoring(Construct):
    """`topic_arn` that failures are told to, and `dashboard_name`."""

    def __init__(self, scope: Construct, environment: Environment, inference: Inference) -> None:
        super().__init__(scope, "Monitoring")
        self._environment = environment
        self.topic_arn = self._topic()
        failed, blocked = self._rules(inference)
        self._alarms(inference, failed, blocked)
        self.dashboard_name = self._dashboard(inference, failed, blocked)
        if environment.budget_usd:
            self._budget()

    def _topic(self) -> str:
        # Not under alias/aws/sns: EventBridge can't deliver to a topic encrypted with it.
        topic = sns.CfnTopic(self, "Topic", kms_master_key_id=key_of(self._environment))
        publish = "sns:Publish"
        statements = [
            # No condition: "you can't use Condition blocks in Amazon SNS topic policies for EventBridge".
            allow_service("events.amazonaws.com", publish, topic.ref),
            allow_service("cloudwatch.amazonaws.com", publish, topic.ref, OWN_ACCOUNT),
            only_tls(publish, topic.ref),
        ]
        sns.CfnTopicPolicy(self, "TopicPolicy", topics=[topic.ref], policy_document=document(*statements))
        if self._environment.alarm_email:
            sns.CfnSubscription(
                self,
                "Email",
                topic_arn=topic.ref,
                protocol="email",
                endpoint=self._environment.alarm_email,
            )
        return topic.ref

    def _rules(self, inference: Inference) -> tuple[events.CfnRule, events.CfnRule]:
        """The rules of failed training jobs and of a blocked queue; the one of failed Batch jobs besides."""
        prefix = job_name_prefix(self._environment.prefix, self._environment.name)
        failed = self._rule(
            "TrainingFailed",
            "SageMaker Training Job State Change",
            "aws.sagemaker",
            {"TrainingJobStatus": ["Failed"], "TrainingJobName": [{"prefix": prefix}]},
            {"job": "$.detail.TrainingJobName", "reason": "$.detail.FailureReason"},
            "a training job failed",
        )
        # Such a job is Stopped and gives no reason.
        self._rule(
            "TrainingTimedOut",
            "SageMaker Training Job State Change",
            "aws.sagemaker",
            {"SecondaryStatus": list(TIMEOUTS), "TrainingJobName": [{"prefix": prefix}]},
            {"job": "$.detail.TrainingJobName", "reason": "$.detail.SecondaryStatus"},
            "a training job ran out of time",
        )
        # Children of an array have an index: their parent speaks for all of them.
        no_failures = {"prefix": [STOP_REASON, DEPENDENT_FAILED]}
        self._rule(
            "InferenceFailed",
            "Batch Job State Change",
            "aws.batch",
            {
                "status": ["FAILED"],
                "statusReason": [
                    {"exists": False},
                    {"anything-but": no_failures},
                ],
                "jobQueue": inference.queue_arns,
                "arrayProperties": {"index": [{"exists": False}]},
            },
            {"job": "$.detail.jobName", "id": "$.detail.jobId", "reason": "$.detail.statusReason"},
            "a Batch job failed",
        )
        blocked = self._rule(
            "QueueBlocked",
            "Batch Job Queue Blocked",
            "aws.batch",
            {"jobQueue": inference.queue_arns},
            {"job": "$.detail.jobName", "reason": "$.detail.statusReason"},
            "the Batch queue is blocked by a job that can not start",
        )
        return failed, blocked

    def _rule(
        self, name: str, kind: str, source: str, detail: dict[str, Any], paths: dict[str, str], words: str
    ) -> events.CfnRule:
        # A variable without quotation marks is written as JSON: a reason may hold quotes and line breaks.
        parts = [f'"environment":"{self._environment.stack_name}"', f'"what":"{words}"']
        parts += [f'"{name}":<{name}>' for name in paths]
        template = f"{{{','.join(parts)}}}"
        transformer = events.CfnRule.InputTransformerProperty(input_paths_map=paths, input_template=template)
        target = events.CfnRule.TargetProperty(id="topic", arn=self.topic_arn, input_transformer=transformer)
        return events.CfnRule(
            self,
            name,
            event_pattern={"source": [source], "detail-type": [kind], "detail": detail},
            state="ENABLED",
            targets=[target],
        )

    def _alarms(self, inference: Inference, failed: events.CfnRule, blocked: events.CfnRule) -> None:
        self._alarm("TrainingAlarm", "A training job failed", *_rule_metric(failed))
        self._alarm("QueueAlarm", "The Batch queue is blocked", *_rule_metric(blocked))
        for name, queue in inference.queue_names.items():
            what = f"A Batch job{' of the GPU queue' if name else ''} failed"
            dimension = ("JobQueueName", queue)
            self._alarm(f"{name}InferenceAlarm", what, "AWS/Batch", "JobsMovedToFailed", dimension)

    def _alarm(self, name: str, what: str, namespace: str, metric: str, dimension: tuple[str, str]) -> None:
        cloudwatch.CfnAlarm(
            self,
            name,
            alarm_description=f"{what} in {self._environment.stack_name}",
            namespace=namespace,
            metric_name=metric,
            dimensions=[cloudwatch.CfnAlarm.DimensionProperty(name=dimension[0], value=dimension[1])],
            statistic="Sum",
            period=PERIOD,
            evaluation_periods=1,
            threshold=1,
            comparison_operator="GreaterThanOrEqualToThreshold",
            treat_missing_data=_NOT_BREACHING,
            alarm_actions=[self.topic_arn],
        )

    def _dashboard(self, inference: Inference, failed: events.CfnRule, blocked: events.CfnRule) -> str:
        queues = {f"{name}Queue": queue for name, queue in inference.queue_names.items()}
        rules = {"failed": "${Failed}", "blocked": "${Blocked}"}
        body = dashboard_body(self._environment, queues=[f"${{{name}}}" for name in queues], rules=rules)
        values = {**queues, "Failed": failed.ref, "Blocked": blocked.ref}
        text = json.dumps(body, separators=(",", ":"))
        return cloudwatch.CfnDashboard(self, "Dashboard", dashboard_body=Fn.sub(text, values)).ref

    def _budget(self) -> None:
        # Of the whole account: a budget by tag sees nothing until the tag was activated for cost allocation.
        spend = budgets.CfnBudget.SpendProperty(amount=self._environment.budget_usd, unit="USD")
        address = budgets.CfnBudget.SubscriberProperty(
            subscription_type="EMAIL", address=self._environment.alarm_email
        )
        budgets.CfnBudget(
            self,
            "Budget",
            budget=budgets.CfnBudget.BudgetDataProperty(
                budget_type="COST", time_unit="MONTHLY", budget_limit=spend
            ),
            notifications_with_subscribers=[
                budgets.CfnBudget.NotificationWithSubscribersProperty(
                    notification=budgets.CfnBudget.NotificationProperty(
                        comparison_operator="GREATER_THAN",
                        notification_type=kind,
                        threshold=threshold,
                        threshold_type="PERCENTAGE",
                    ),
                    subscribers=[address],
                )
                for kind, threshold in (("ACTUAL", 80), ("FORECASTED", 100))
            ],
        )


def _rule_metric(rule: events.CfnRule) -> tuple[str, str, tuple[str, str]]:
    return "AWS/Events", "TriggeredRules", ("RuleName", rule.ref)
