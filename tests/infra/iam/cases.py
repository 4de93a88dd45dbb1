"""Single requests that the matrix has no room for: ways around it, trusts, endpoints, keys, boundaries."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any, NamedTuple

from templates import CONFIGURATIONS, KEY

from trainyard.core.environments.environment import Environment

from .calls import CALLS, ROLES, Call, but, within
from .evaluator import ALLOWED, DENIED, Request
from .resolve import ACCOUNT, OTHER_ACCOUNT, Deployed, Identity

HOMES = ("private", "lean")
"""The profiles whose environment `dev` is home."""
ABROAD = (
    "another environment",
    "an environment whose name begins alike",
    "an environment whose prefix begins alike",
    "another account",
)
WITH_OPTIONS = Environment(
    kms_key=KEY,
    encrypt_traffic=True,
    read_buckets=("further-data",),
    permissions_boundary=f"arn:aws:iam::{ACCOUNT}:policy/boundary",
    allowed_instance_types=("ml.m5.*", "ml.g5.xlarge"),
)
ANYONE = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": "*", "Action": "*", "Resource": "*"}],
}
"""What another account may have as its policies, so that a denial is ours."""
_OTHERS = {
    "another environment": Environment(name="prod"),
    "an environment whose name begins alike": Environment(name="dev2"),
    "an environment whose prefix begins alike": Environment(name="x", prefix="trainyards"),
    "with options": WITH_OPTIONS,
}


@cache
def deployed(name: str) -> Deployed:
    """An environment by its profile, by one of `ABROAD`, or one of `CONFIGURATIONS`."""
    if name == "another account":
        return Deployed(Environment(), OTHER_ACCOUNT)
    return Deployed(_OTHERS.get(name) or CONFIGURATIONS[name])


@cache
def actor(words: str, home: str) -> Identity:
    """Who acts: one of `ROLES`, or a submitter, of an environment."""
    return deployed(home).submitter() if words == "submitter" else deployed(home).role(ROLES[words])


def attempt(who: str, call: str | Call, home: str, where: str = "", *, tls: bool = True) -> Request:
    """Somebody of one environment tries a call in it, or in another."""
    identity, place = actor(who, home), deployed(where or home)
    what = CALLS[call] if isinstance(call, str) else call
    resource = _resource(what, place)
    own = {
        "aws:SecureTransport": str(tls).lower(),
        "aws:PrincipalAccount": deployed(home).account,
        "aws:PrincipalArn": identity.arn,
    }
    return Request(
        principal=identity.principal,
        action=what.action,
        resource=resource,
        account=place.account,
        context={**own, **what.context(place)},
        identity=identity.policies,
        resource_policy=_resource_policy(place, what.action, resource),
    )


def _resource_policy(place: Deployed, action: str, resource: str) -> Any:
    if place.account != ACCOUNT:
        return ANYONE
    if action.startswith("s3:"):
        return _bucket_policy(place, resource.split(":::")[1].split("/")[0])
    if action == "sts:AssumeRole":
        return _trusts(place)[resource]
    return place.topic_policy() if action == "sns:Publish" else None


@cache
def _resource(call: Call, place: Deployed) -> str:
    return call.resource(place)


@cache
def _bucket_policy(place: Deployed, bucket: str) -> Any:
    return place.bucket_policy(bucket)


@cache
def _trusts(place: Deployed) -> Mapping[str, Any]:
    return {role.arn: role.trust for role in map(place.role, place.role_names())}


class Case(NamedTuple):
    """A sentence, what is to come of it, and the request it means."""

    sentence: str
    verdict: str
    request: Callable[[], Request]


def _no(
    sentence: str, who: str, action: str, resource: str, context: Mapping[str, str] | None = None
) -> Case:
    """That somebody may not; `resource` begins with the fact of a bucket, or is `service:end of its ARN`."""

    def made(place: Deployed) -> str:
        for bucket in ("dataset-bucket", "model-bucket"):
            if resource.startswith(bucket):
                return f"arn:aws:s3:::{place.fact(bucket)}{resource.removeprefix(bucket)}"
        service, rest = resource.split(":", 1)
        return f"arn:aws:{service}:{place.region}:{place.account}:{rest}"

    call = Call(action, made, lambda _: context or {})
    return Case(sentence, DENIED, lambda: attempt(who, call, "private"))


def ways_around() -> Iterator[Case]:
    """Requests that are nearly allowed."""
    tagging = {"aws:RequestTag/trainyard:environment": "trainyard-dev"}
    get, list_, submitter, training = "s3:GetObject", "s3:ListBucket", "submitter", "training role"
    yield _no("a folder whose name begins like models/", training, get, "model-bucket/models-secret/x")
    yield _no("a file that is called checkpoints", training, "s3:DeleteObject", "model-bucket/checkpoints")
    yield _no("a listing with an empty prefix", submitter, list_, "model-bucket", {"s3:prefix": ""})
    yield _no(
        "a listing with half of a folder's name", submitter, list_, "model-bucket", {"s3:prefix": "model"}
    )
    for words, name in (
        ("a secret of an environment whose name begins alike", "trainyard-devious/token"),
        ("a secret that is called as the environment is", "trainyard-dev"),
    ):
        arn = f"secretsmanager:secret:{name}-a1B2c3"
        yield _no(words, training, "secretsmanager:GetSecretValue", arn)
    job = "sagemaker:training-job/"
    yield _no(
        "a job that is called trainyard-dev", submitter, "sagemaker:StopTrainingJob", f"{job}trainyard-dev"
    )
    yield _no(
        "a job that is called trainyard-devious-1",
        submitter,
        "sagemaker:StopTrainingJob",
        f"{job}trainyard-devious-1",
    )
    yield _no(
        "the log of a job that is called trainyard-devious-1",
        submitter,
        "logs:GetLogEvents",
        "logs:log-group:/aws/sagemaker/TrainingJobs:log-stream:trainyard-devious-1/algo-1-1700000000",
    )
    yield _no(
        "a parameter beside those of the environment",
        submitter,
        "ssm:GetParameter",
        "ssm:parameter/trainyard/devious/version",
    )
    yield _no(
        "the parameters of all environments", submitter, "ssm:GetParametersByPath", "ssm:parameter/trainyard"
    )
    yield _no(
        "another environment's Batch job, tagged as one's own so that it can be stopped",
        submitter,
        "batch:TagResource",
        "batch:job/0123abcd-0123-4567-89ab-0123456789ab",
        {**tagging, "aws:ResourceTag/trainyard:environment": "trainyard-prod"},
    )
    yield _no(
        "a notebook, tagged as one's own so that it can be opened",
        submitter,
        "sagemaker:AddTags",
        "sagemaker:notebook-instance/somebody",
        tagging,
    )
    yield _no(
        "a queue, tagged as the environment's",
        submitter,
        "batch:TagResource",
        "batch:job-queue/Queue-of-prod",
        tagging,
    )


def _assumes(role: str, service: str, verdict: str, account: str = "", why: str = "") -> Case:
    context = {"aws:SourceAccount": account} if account else {}
    sentence = f"{service} assumes the {role}{why}"

    def request() -> Request:
        found = actor(role, "private")
        return Request(service, "sts:AssumeRole", found.arn, ACCOUNT, context, resource_policy=found.trust)

    return Case(sentence, verdict, request)


def trusts() -> Iterator[Case]:
    """Who may assume a role: the service that runs what it is for, on this account's behalf alone."""
    services = {
        "training role": "sagemaker.amazonaws.com",
        "notebook role": "sagemaker.amazonaws.com",
        "batch job role": "ecs-tasks.amazonaws.com",
        "batch execution role": "ecs-tasks.amazonaws.com",
        "batch machine role": "ec2.amazonaws.com",
    }
    for role, own in services.items():
        yield _assumes(role, own, ALLOWED, ACCOUNT)
        for service in sorted({*services.values(), "lambda.amazonaws.com", "batch.amazonaws.com"} - {own}):
            yield _assumes(role, service, DENIED, ACCOUNT)
        # EC2 sends no account, and whether SageMaker sends one for a notebook instance is documented nowhere.
        if role not in ("batch machine role", "notebook role"):
            yield _assumes(role, own, DENIED, OTHER_ACCOUNT, " on behalf of another account")
            yield _assumes(role, own, DENIED, "", " on behalf of nobody knows whom")


def _publishes(sentence: str, verdict: str, principal: str, **context: str) -> Case:
    keys = {f"aws:{key}": value for key, value in context.items()}

    def request() -> Request:
        place = deployed("private")
        topic = place.fact("notification-topic-arn")
        return Request(principal, "sns:Publish", topic, ACCOUNT, keys, resource_policy=place.topic_policy())

    return Case(sentence, verdict, request)


def topic() -> Iterator[Case]:
    """Who may publish what the people are told."""
    alarms, other = "cloudwatch.amazonaws.com", f"arn:aws:iam::{OTHER_ACCOUNT}:user/mallory"
    tls = {"SecureTransport": "true"}
    yield _publishes("EventBridge tells of a failure", ALLOWED, "events.amazonaws.com", **tls)
    yield _publishes("an alarm of this account tells", ALLOWED, alarms, SourceAccount=ACCOUNT, **tls)
    yield _publishes("an alarm of another account tells", DENIED, alarms, SourceAccount=OTHER_ACCOUNT, **tls)
    yield _publishes("another service tells", DENIED, "s3.amazonaws.com", SourceAccount=ACCOUNT, **tls)
    yield _publishes("somebody of another account tells", DENIED, other, **tls)
    yield _publishes("EventBridge tells without TLS", DENIED, "events.amazonaws.com", SecureTransport="false")


def _through(
    sentence: str,
    verdict: str,
    endpoint: str,
    action: str,
    resource: Callable[[Deployed], str],
    account: str = ACCOUNT,
    context: Mapping[str, str] | None = None,
) -> Case:
    """A request through a VPC endpoint by somebody whom everybody allows everything: the endpoint decides."""

    def request() -> Request:
        place = deployed("private")
        everything = {
            "Version": "2012-10-17",
            "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}],
        }
        owner = account if account != "amazon" else "999999999999"
        principal = f"arn:aws:iam::{owner}:user/root-of-all"
        keys = {"aws:SecureTransport": "true", "aws:PrincipalAccount": owner, **(context or {})}
        return Request(
            principal,
            action,
            resource(place),
            owner,
            keys,
            identity=[everything],
            endpoint=[place.endpoint_policy(endpoint)],
        )

    return Case(f"through the endpoint of {endpoint}, {sentence}", verdict, request)


def endpoints() -> Iterator[Case]:
    """What passes the VPC's endpoints."""

    def s3(name: str) -> Callable[[Deployed], str]:
        return lambda _: f"arn:aws:s3:::{name}"

    def own(fact: str, key: str) -> Callable[[Deployed], str]:
        return lambda place: f"arn:aws:s3:::{place.fact(fact)}{key}"

    layers = "prod-us-east-1-starport-layer-bucket/0123-layer"
    packages = "al2023-repos-us-east-1-de612dc2/core/mirror.list"
    yield _through("an image's layer is read", ALLOWED, "s3", "s3:GetObject", s3(layers), "amazon")
    yield _through("a package of Amazon Linux is read", ALLOWED, "s3", "s3:GetObject", s3(packages), "amazon")
    yield _through("an image's layer is overwritten", DENIED, "s3", "s3:PutObject", s3(layers), "amazon")
    yield _through("a foreign bucket is read", DENIED, "s3", "s3:GetObject", s3("foreign/x"), OTHER_ACCOUNT)
    yield _through(
        "data go into a foreign bucket", DENIED, "s3", "s3:PutObject", s3("foreign/x"), OTHER_ACCOUNT
    )
    yield _through(
        "a bucket called like the layers' is read", DENIED, "s3", "s3:GetObject", s3(f"x-{layers}")
    )
    for verb, action in (("read", "GetObject"), ("written", "PutObject"), ("deleted", "DeleteObject")):
        checkpoint = own("model-bucket", "/checkpoints/x")
        yield _through(f"a checkpoint is {verb}", ALLOWED, "s3", f"s3:{action}", checkpoint)
    yield _through("data sets are listed", ALLOWED, "s3", "s3:ListBucket", own("dataset-bucket", ""))
    yield _through(
        "the data set bucket is deleted", DENIED, "s3", "s3:DeleteBucket", own("dataset-bucket", "")
    )

    def repository(account: str, name: str) -> Callable[[Deployed], str]:
        return lambda place: (
            f"arn:aws:ecr:us-east-1:{account}:repository/{name or place.fact('repository-name')}"
        )

    containers, pull, push = "763104351884", "ecr:BatchGetImage", "ecr:PutImage"
    deep_learning = repository(containers, "pytorch-training")
    yield _through("an image of one's own is pulled", ALLOWED, "ecr.dkr", pull, repository(ACCOUNT, ""))
    yield _through("a Deep Learning Container is pulled", ALLOWED, "ecr.dkr", pull, deep_learning, containers)
    yield _through("an image of one's own is pushed", ALLOWED, "ecr.api", push, repository(ACCOUNT, ""))
    foreign = repository(OTHER_ACCOUNT, "loot")
    yield _through("an image goes to a foreign account", DENIED, "ecr.api", push, foreign, OTHER_ACCOUNT)
    stop, job = "sagemaker:StopTrainingJob", "arn:aws:sagemaker:us-east-1:{}:training-job/x"
    for whose, verdict, account in (("this", ALLOWED, ACCOUNT), ("another", DENIED, OTHER_ACCOUNT)):
        words = f"somebody of {whose} account calls"
        yield _through(words, verdict, "sagemaker.api", stop, lambda _, a=account: job.format(a), account)


def options() -> Iterator[Case]:
    """An environment with a key, encrypted traffic and further buckets."""
    home, environment = "with options", WITH_OPTIONS

    def key(action: str, arn: str = environment.kms_key) -> Call:
        return Call(f"kms:{action}", lambda _: arn)

    other = environment.kms_key.replace("1234", "4321")
    for who, actions in (
        ("training role", ("Decrypt", "GenerateDataKey")),
        ("batch job role", ("Decrypt", "GenerateDataKey")),
        ("notebook role", ("Decrypt", "GenerateDataKey")),
        ("submitter", ("Decrypt", "GenerateDataKey")),
    ):
        for action in actions:
            yield _with_key(f"the {who} uses the key: {action}", ALLOWED, who, key(action))
        for action in ("ScheduleKeyDeletion", "DisableKey", "PutKeyPolicy"):
            yield _with_key(f"the {who} ends the key: {action}", DENIED, who, key(action))
        yield _with_key(f"the {who} uses another key", DENIED, who, key("Decrypt", other))
    for who in ("batch execution role", "batch machine role"):
        yield _with_key(f"the {who} uses the key", DENIED, who, key("Decrypt"))
    for who, verdict in (("training role", ALLOWED), ("notebook role", ALLOWED), ("batch job role", DENIED)):
        grant = Call(
            "kms:CreateGrant", lambda _: environment.kms_key, lambda _: {"kms:GrantIsForAWSResource": "true"}
        )
        yield _with_key(f"the {who} gives the key to a volume", verdict, who, grant)
    grant = Call(
        "kms:CreateGrant", lambda _: environment.kms_key, lambda _: {"kms:GrantIsForAWSResource": "false"}
    )
    yield _with_key("the training role gives the key to anybody", DENIED, "training role", grant)

    start = CALLS["start a training job"]
    traffic = "sagemaker:InterContainerTrafficEncryption"
    volume, types = "sagemaker:VolumeKmsKeyArn", "sagemaker:InstanceTypes"
    whole = {traffic: "true", volume: environment.kms_key}
    for words, verdict, context in (
        ("with encrypted traffic and volume", ALLOWED, whole),
        ("with traffic in the clear", DENIED, {**whole, traffic: "false"}),
        ("without a word about traffic", DENIED, {volume: environment.kms_key}),
        ("without a key for its volume", DENIED, {traffic: "true"}),
        ("with disks of its own and no volume", ALLOWED, {traffic: "true", types: ["ml.g5.xlarge"]}),
        ("with disks of only some hosts", DENIED, {traffic: "true", types: ["ml.g5.xlarge", "ml.m5.xlarge"]}),
        ("on a machine that is allowed", ALLOWED, {**whole, types: ["ml.m5.24xlarge"]}),
        ("on a machine that is not allowed", DENIED, {**whole, types: ["ml.p5.48xlarge"]}),
        ("on an allowed machine and another", DENIED, {**whole, types: ["ml.m5.xlarge", "ml.p5.48xlarge"]}),
    ):
        call = Call(start.action, start.resource, lambda d, c=context: {**within(d), **c})
        yield Case(f"a job {words} starts", verdict, lambda d=call: attempt("submitter", d, home))
    unsaid = Call(start.action, start.resource, lambda d: {**but("InstanceTypes")(d), **whole})
    sentence = "a job without a word about its machine starts"
    yield Case(sentence, DENIED, lambda: attempt("submitter", unsaid, home))

    further = environment.read_buckets[0]
    for who, verdict in (
        ("training role", ALLOWED),
        ("batch job role", ALLOWED),
        ("batch machine role", DENIED),
    ):
        yield Case(
            f"the {who} reads a further bucket", verdict, _further(who, "s3:GetObject", f"{further}/x")
        )
    for action, resource in (
        ("PutObject", f"{further}/x"),
        ("DeleteObject", f"{further}/x"),
        ("DeleteBucket", further),
    ):
        sentence = f"the training role changes a further bucket: {action}"
        yield Case(sentence, DENIED, _further("training role", f"s3:{action}", resource))


def _with_key(sentence: str, verdict: str, who: str, call: Call) -> Case:
    # The policy that a key has unless it is given another: the account's own policies decide.
    default = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"AWS": f"arn:aws:iam::{ACCOUNT}:root"},
                "Action": "kms:*",
                "Resource": "*",
            }
        ],
    }
    return Case(
        sentence, verdict, lambda: attempt(who, call, "with options")._replace(resource_policy=default)
    )


def _further(who: str, action: str, resource: str) -> Callable[[], Request]:
    def request() -> Request:
        call = Call(action, lambda _: f"arn:aws:s3:::{resource}")
        found = actor(who, "with options")
        context = {"aws:SecureTransport": "true"}
        return Request(
            found.principal,
            call.action,
            f"arn:aws:s3:::{resource}",
            ACCOUNT,
            context,
            identity=found.policies,
        )

    return request


def boundaries() -> Iterator[Case]:
    """Every role of an environment with a permissions boundary ends at it."""
    reads = {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": ["s3:Get*", "ecr:*", "logs:*"], "Resource": "*"}],
    }
    known = {WITH_OPTIONS.permissions_boundary: reads}
    for who, inside, outside in (
        ("training role", "read a data set", "write a model"),
        ("notebook role", "read a data set", "start a training job"),
        ("batch job role", "read a data set", "write predictions"),
        ("batch execution role", "pull an image", ""),
        ("batch machine role", "pull an image", "join a cluster as a machine"),
    ):
        for call, verdict in ((inside, ALLOWED), (outside, DENIED)):
            if call:
                sentence = f"inside of a boundary to reading, the {who} may {call}"
                yield Case(sentence, verdict, lambda w=who, d=call: _bounded(w, d, known))


def _bounded(who: str, call: str, known: Mapping[str, Any]) -> Request:
    return attempt(who, call, "with options")._replace(boundary=[known[actor(who, "with options").boundary]])


def controls() -> Iterator[Case]:
    """That the evaluator can say yes and no, and does not take nonsense for a no."""
    ada = f"arn:aws:iam::{ACCOUNT}:user/ada"
    policy = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Action": "s3:GetObject",
                "Resource": "arn:aws:s3:::b/*",
                "Condition": {"Bool": {"aws:SecureTransport": "true"}},
            }
        ],
    }

    def ask(
        action: str = "s3:GetObject", resource: str = "arn:aws:s3:::b/x", **changes: Any
    ) -> Callable[[], Request]:
        context = {"aws:SecureTransport": "true"} | changes.pop("context", {})
        found = {"identity": [policy], **changes}
        return lambda: Request(ada, action, resource, ACCOUNT, context, **found)

    yield Case("control: what is allowed", ALLOWED, ask())
    yield Case("control: another action", DENIED, ask("s3:PutObject"))
    yield Case("control: another resource", DENIED, ask(resource="arn:aws:s3:::c/x"))
    yield Case(
        "control: a condition that does not hold", DENIED, ask(context={"aws:SecureTransport": "false"})
    )
    yield Case("control: no policy at all", DENIED, ask(identity=[]))
    yield Case("control: an action that there is not", "invalid.action", ask("s3:ReadObject"))
    yield Case("control: a service that there is not", "invalid.service", ask("s4:GetObject"))
    yield Case(
        "control: an action on what it does not act on", "no.resource.types", ask(resource="arn:aws:sns:::x")
    )
    yield Case("control: a key that the action does not know", "knows no", ask(context={"s3:prefix": "x"}))
    broken = {"Version": "2012-10-17", "Statement": [{"Effect": "Perhaps", "Action": "*", "Resource": "*"}]}
    yield Case("control: a policy that IAM would refuse", "policy.errors", ask(identity=[broken]))


CASES = {
    kind.__name__: {case.sentence: case for case in kind()}
    for kind in (ways_around, trusts, topic, endpoints, options, boundaries, controls)
}
"""All of them, by their kind and their sentences."""
