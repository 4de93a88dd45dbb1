"""S3 in CloudFormation: moto's bucket keeps its encryption and nothing else of its properties.

Versioning, lifecycle, public access block, ownership and access logs are what their API calls would make them
("AWS::S3::Bucket", CloudFormation template reference). Bucket policies, which moto does not know there, are
kept but for statements that deny what comes without TLS, as loopback has none; `iam` evaluates them, and not
moto, which reads no conditions.
"""

from __future__ import annotations

import json
from typing import Any

from moto.iam.access_control import PermissionResult
from moto.s3.models import FakeBucket

from .cloudformation import Made, Placement, Properties, after, made


@after("AWS::S3::Bucket")
def configure(bucket: Any, properties: Properties, place: Placement) -> None:
    """Everything of a bucket's properties but its encryption, which it has."""
    backend, name = place.backend("s3"), bucket.name
    if status := properties.get("VersioningConfiguration", {}).get("Status"):
        backend.put_bucket_versioning(name, status)
    if block := properties.get("PublicAccessBlockConfiguration"):
        shown = {key: str(block.get(key, False)).lower() for key in _BLOCKS}
        backend.put_public_access_block(name, shown)
    if lifecycle := properties.get("LifecycleConfiguration"):
        backend.put_bucket_lifecycle_configuration(name, [_rule(rule) for rule in lifecycle["Rules"]])
    if ownership := properties.get("OwnershipControls"):
        backend.put_bucket_ownership_controls(name, ownership["Rules"][0]["ObjectOwnership"])
    if logging := properties.get("LoggingConfiguration"):
        target = logging.get("DestinationBucketName", name)
        status = {"TargetBucket": target, "TargetPrefix": logging.get("LogFilePrefix", "")}
        backend.put_bucket_logging(name, status)


@made("AWS::S3::BucketPolicy")
def put_policy(properties: Properties, place: Placement) -> Made:
    """A bucket's policy, without what would refuse every request that comes without TLS."""
    backend, bucket = place.backend("s3"), properties["Bucket"]
    document = properties["PolicyDocument"]
    statements = [each for each in document["Statement"] if not _is_tls_only(each)]
    if statements:
        backend.put_bucket_policy(bucket, json.dumps({**document, "Statement": statements}).encode())
    return Made(bucket, unmake=lambda: backend.delete_bucket_policy(bucket))


def _no_opinion(self: FakeBucket, action: str, resource: str) -> PermissionResult:
    return PermissionResult.NEUTRAL


FakeBucket.get_permission = _no_opinion  # type: ignore[method-assign]
_BLOCKS = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")


def _is_tls_only(statement: dict[str, Any]) -> bool:
    secure = statement.get("Condition", {}).get("Bool", {}).get("aws:SecureTransport")
    return statement["Effect"] == "Deny" and str(secure).lower() == "false"


def _rule(rule: dict[str, Any]) -> dict[str, Any]:
    """A lifecycle rule of CloudFormation's as the one of S3's API, in moto's reading of its XML."""
    shown: dict[str, Any] = {"ID": rule.get("Id"), "Status": rule["Status"]}
    shown["Filter"] = {"Prefix": rule.get("Prefix", "")}
    if "ExpirationInDays" in rule:
        shown["Expiration"] = {"Days": str(rule["ExpirationInDays"])}
    if expiration := rule.get("NoncurrentVersionExpiration"):
        shown["NoncurrentVersionExpiration"] = {"NoncurrentDays": str(expiration["NoncurrentDays"])}
    if transitions := rule.get("NoncurrentVersionTransitions"):
        shown["NoncurrentVersionTransition"] = [
            {"NoncurrentDays": str(each["TransitionInDays"]), "StorageClass": each["StorageClass"]}
            for each in transitions
        ]
    if unfinished := rule.get("AbortIncompleteMultipartUpload"):
        days = str(unfinished["DaysAfterInitiation"])
        shown["AbortIncompleteMultipartUpload"] = {"DaysAfterInitiation": days}
    return shown
