"""Addresses in S3 that a person named: whether jobs can read there, as far as can be known beforehand."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice

from ...core.environments.facts import DATASETS
from ...core.errors import AccountRefused, BadInput
from ...core.runs.run import Run
from ...worker.protocol import OUTPUT_MANIFEST
from ...worker.s3.address import S3Address
from ..account.deployment import Deployment
from ..account.errors import DENIED
from ..account.session import Session
from . import objects

_NO_BUCKET = frozenset({"NoSuchBucket", "404", "NotFound"})
_REFUSED = DENIED | {"403", "Forbidden"}


def check_run(session: Session, deployment: Deployment, run: Run) -> None:
    """Raise `BadInput` for an address of the run that is no bucket, is in another region, or holds nothing.

    What trainyard itself put into the environment's buckets is there. What the person may not look at is left
    to the job's role, which may read other buckets than a person.
    """
    named = {f"train.channels.{name}": channel.uri for name, channel in run.channels.items()}
    for key, address in ({"MODEL": run.model_uri, "INPUT": run.input} | named).items():
        if address and not _is_ours(address, deployment):
            _check(session, address, key)


def check_output(session: Session, run: Run, is_over: Callable[[str], bool]) -> str:
    """The run that is over and has left its manifest alone in the output that a person named.

    "" where the output is the run's own or empty. Raises `BadInput` where something else lies there.
    """
    bucket, prefix = S3Address.parse(run.output or "")
    manifest = f"{prefix}{OUTPUT_MANIFEST}"
    found = list(islice(objects.keys(session, bucket, prefix), 2))
    known = (objects.read_json(session, bucket, manifest) or {}).get("run") if found else run.id
    if known == run.id:
        return ""
    if found == [manifest] and isinstance(known, str) and is_over(known):
        return known
    cure = "name another, or leave it out"
    whose = f", of the run {known}" if known else ""
    raise BadInput(f"{run.output!r} has something else in it{whose}", key="--output", cure=cure)


def _is_ours(address: str, deployment: Deployment) -> bool:
    bucket, key = S3Address.parse(address)
    return bucket == deployment.dataset_bucket and key.startswith(DATASETS)


def _check(session: Session, address: str, key: str) -> None:
    bucket, prefix = S3Address.parse(address)
    try:
        head = session.call("s3", "head_bucket", Bucket=bucket)
        found = session.call("s3", "list_objects_v2", Bucket=bucket, Prefix=prefix, MaxKeys=1)
    except AccountRefused as error:
        if error.code in _NO_BUCKET:
            raise BadInput(f"there is no bucket {bucket!r}", key=key, cure="mind its name") from None
        if error.code in _REFUSED:
            return
        raise
    region = head.get("BucketRegion") or session.region
    if region != session.region:
        problem = f"{address!r} is in {region}, and jobs run in {session.region}"
        raise BadInput(problem, key=key, cure=f"copy it to a bucket in {session.region}")
    if not found.get("KeyCount"):
        raise BadInput(
            f"{address!r}: there is nothing", key=key, cure="mind its spelling; keys have capitals"
        )
