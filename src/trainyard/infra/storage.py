"""What holds data, and outlives everything else: buckets and the image repository.

No name is fixed and all is retained, so that nothing here blocks a later deployment; `RetainExceptOnCreate`,
so that a first one that fails leaves nothing.
"""

from __future__ import annotations

import json
from typing import Any

from aws_cdk import CfnDeletionPolicy, CfnResource, Fn
from aws_cdk import aws_ecr as ecr
from aws_cdk import aws_s3 as s3
from constructs import Construct

from ..core.environments.environment import Environment
from ..core.environments.facts import (
    CHECKPOINTS,
    CODE,
    LEDGER,
    MODELS,
    NOTEBOOKS,
    PREDICTIONS,
    WRITTEN_ONCE,
)
from .statements import OWN_ACCOUNT, Statement, allow_service, document, only_tls, written_once

UNFINISHED_UPLOAD_DAYS = 7
ACCESS_LOG_DAYS = 90
SUPERSEDED_CHECKPOINT_DAYS = 7
"""A checkpoint is written over again and again; what it was before helps nobody for longer."""


class Storage(Construct):
    """`dataset_bucket`, `model_bucket` and `repository`, as CDK's level-1 constructs."""

    def __init__(self, scope: Construct, environment: Environment) -> None:
        super().__init__(scope, "Storage")
        self._environment = environment
        days = environment.retention.noncurrent_days
        self._access_logs = self._access_log_bucket()
        self.dataset_bucket = self._bucket("DatasetBucket", [_expire_noncurrent("", days)])
        once = written_once([self._objects("ModelBucket", each) for each in WRITTEN_ONCE])
        self.model_bucket = self._bucket("ModelBucket", self._model_rules(days), once)
        self.repository = repository(self, environment)
        self._retain(self.repository)

    def _bucket(self, name: str, rules: list[Any], *statements: Statement) -> s3.CfnBucket:
        bucket = self._private_bucket(
            name,
            self._environment.kms_key,
            rules,
            logging_configuration=s3.CfnBucket.LoggingConfigurationProperty(
                destination_bucket_name=self._access_logs.ref, log_file_prefix=f"{name}/"
            ),
            versioning_configuration=s3.CfnBucket.VersioningConfigurationProperty(status="Enabled"),
        )
        # S3 refuses a target that its log delivery may not write to yet.
        bucket.add_resource_dependency(self._may_deliver)
        self._protect(name, bucket, *statements)
        return bucket

    def _access_log_bucket(self) -> s3.CfnBucket:
        name = "AccessLogBucket"
        old = s3.CfnBucket.RuleProperty(
            id="expire-access-logs", status="Enabled", expiration_in_days=ACCESS_LOG_DAYS
        )
        # S3 delivers access logs only to buckets with S3-managed keys ("Enabling server access logging").
        bucket = self._private_bucket(name, "", [old])
        deliver = allow_service("logging.s3.amazonaws.com", "s3:PutObject", self._objects(name), OWN_ACCOUNT)
        self._may_deliver = self._protect(name, bucket, deliver)
        return bucket

    def _private_bucket(self, name: str, kms_key: str, rules: list[Any], **more: Any) -> s3.CfnBucket:
        """A bucket that is the account's alone, encrypted, and retained."""
        unfinished = s3.CfnBucket.RuleProperty(
            id="abort-unfinished-uploads",
            status="Enabled",
            abort_incomplete_multipart_upload=s3.CfnBucket.AbortIncompleteMultipartUploadProperty(
                days_after_initiation=UNFINISHED_UPLOAD_DAYS
            ),
        )
        owner = s3.CfnBucket.OwnershipControlsRuleProperty(object_ownership="BucketOwnerEnforced")
        bucket = s3.CfnBucket(
            self,
            name,
            bucket_encryption=_encryption(kms_key),
            lifecycle_configuration=s3.CfnBucket.LifecycleConfigurationProperty(rules=[*rules, unfinished]),
            ownership_controls=s3.CfnBucket.OwnershipControlsProperty(rules=[owner]),
            public_access_block_configuration=s3.CfnBucket.PublicAccessBlockConfigurationProperty(
                block_public_acls=True,
                block_public_policy=True,
                ignore_public_acls=True,
                restrict_public_buckets=True,
            ),
            **more,
        )
        self._retain(bucket)
        return bucket

    def _protect(self, name: str, bucket: s3.CfnBucket, *statements: Statement) -> s3.CfnBucketPolicy:
        secure = only_tls("s3:*", [bucket.attr_arn, self._objects(name)])
        policy = s3.CfnBucketPolicy(
            self, f"{name}Policy", bucket=bucket.ref, policy_document=document(secure, *statements)
        )
        # A retained bucket keeps its protection.
        self._retain(policy)
        return policy

    def _objects(self, name: str, keys: str = "*") -> str:
        return Fn.sub(f"${{{self.node.id}{name}.Arn}}/{keys}")

    def _model_rules(self, days: int) -> list[Any]:
        retention = self._environment.retention
        return [
            s3.CfnBucket.RuleProperty(
                id="archive-superseded-models",
                status="Enabled",
                prefix=MODELS,
                noncurrent_version_transitions=[
                    s3.CfnBucket.NoncurrentVersionTransitionProperty(
                        storage_class="GLACIER", transition_in_days=retention.model_archive_days
                    )
                ],
                noncurrent_version_expiration=_noncurrent(retention.model_days),
            ),
            _expire_noncurrent(CHECKPOINTS, min(days, SUPERSEDED_CHECKPOINT_DAYS)),
            *(_expire_noncurrent(prefix, days) for prefix in (CODE, PREDICTIONS, LEDGER, NOTEBOOKS)),
        ]

    def _retain(self, resource: CfnResource) -> None:
        options = resource.cfn_options
        options.deletion_policy = CfnDeletionPolicy.RETAIN_EXCEPT_ON_CREATE
        options.update_replace_policy = CfnDeletionPolicy.RETAIN


def _encryption(kms_key: str) -> s3.CfnBucket.BucketEncryptionProperty:
    default = s3.CfnBucket.ServerSideEncryptionByDefaultProperty(
        sse_algorithm="aws:kms" if kms_key else "AES256", kms_master_key_id=kms_key or None
    )
    rule = s3.CfnBucket.ServerSideEncryptionRuleProperty(
        server_side_encryption_by_default=default, bucket_key_enabled=True if kms_key else None
    )
    return s3.CfnBucket.BucketEncryptionProperty(server_side_encryption_configuration=[rule])


def _noncurrent(days: int) -> s3.CfnBucket.NoncurrentVersionExpirationProperty:
    return s3.CfnBucket.NoncurrentVersionExpirationProperty(noncurrent_days=days)


def _expire_noncurrent(prefix: str, days: int) -> s3.CfnBucket.RuleProperty:
    return s3.CfnBucket.RuleProperty(
        id=f"expire-superseded-{prefix.rstrip('/') or 'objects'}",
        status="Enabled",
        prefix=prefix or None,
        noncurrent_version_expiration=_noncurrent(days),
    )


KEPT = 50
"""Untagged images that are kept. Tagged ones always are: job definitions name images by digest."""


def repository(scope: Construct, environment: Environment) -> ecr.CfnRepository:
    """The environment's repository, with a name of CloudFormation's."""
    # Create-only: another key makes another repository.
    encryption = ecr.CfnRepository.EncryptionConfigurationProperty(
        encryption_type="KMS" if environment.kms_key else "AES256", kms_key=environment.kms_key or None
    )
    return ecr.CfnRepository(
        scope,
        "Repository",
        encryption_configuration=encryption,
        image_scanning_configuration=ecr.CfnRepository.ImageScanningConfigurationProperty(scan_on_push=True),
        image_tag_mutability="IMMUTABLE",
        lifecycle_policy=ecr.CfnRepository.LifecyclePolicyProperty(lifecycle_policy_text=_image_lifecycle()),
    )


def _image_lifecycle() -> str:
    selection = {"tagStatus": "untagged", "countType": "imageCountMoreThan", "countNumber": KEPT}
    rule = {"rulePriority": 1, "selection": selection, "action": {"type": "expire"}}
    return json.dumps({"rules": [rule]}, separators=(",", ":"))
