"""Who may do what in an environment and who may not, as an evaluator of IAM judges the synthesised policies.

`MAY` is all that each role, and a person with the submitters' policy, may do in their own environment.
Whatever else `iam/calls.py` names is denied to them; and in any other environment or account, everything is.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from iam.calls import CALLS, OBJECTS
from iam.cases import ABROAD, CASES, HOMES, actor, attempt, deployed
from iam.evaluator import ALLOWED, DENIED, Request, Unavailable, evaluate, locked
from iam.resolve import Deployed
from templates import EVERYTHING

from trainyard.core.environments.environment import Environment
from trainyard.core.environments.limits import SUBNETS

# The first test of a fresh machine installs the evaluator and synthesises what is asked about.
pytestmark = pytest.mark.timeout(300)

SUBMITTER = """
read: a data set, a model, a checkpoint, predictions, code, a ledger record, a notebook's file
read: a stray file beside models, a record of predictions, the ledger's cache
read a version of a model
list the folder of: a data set, a model, a checkpoint, predictions, code, a ledger record, a notebook's file
list the folder of: a record of predictions, the ledger's cache
write: a data set, code, a ledger record, the ledger's cache
send a part of: a data set, code, a ledger record, the ledger's cache
replace: a data set, the ledger's cache
read a stray file beside data sets
list the folder of a stray file beside data sets
list all of the data set bucket
start: a training job, a Batch job in the queue, a Batch job under the environment's tag
start: a Batch job of the latest job definition, a Batch job of a revision of the job definition
describe: a training job, Batch jobs, a model package group
list: training jobs, Batch jobs
search: training jobs, the logs of Batch jobs
tag: a training job, a Batch job that starts
stop: a training job, a Batch job
cancel a Batch job
register a job definition
pass the training role to: SageMaker
pass the batch job role to: Batch, ECS tasks
pass the batch execution role to: Batch, ECS tasks
make: a model package group, a model package
approve a model package
read the log of: a training job, a Batch job
read: a published fact, all published facts, metrics
pull an image
push an image
log in to registries
"""
WITH_NOTEBOOK = """
open a notebook
start a notebook
stop a notebook
"""
MAY = {
    "training role": """
read: a data set, a model, a checkpoint, code
read a stray file beside data sets
list the folder of: a data set, a model, a checkpoint, code
list the folder of a stray file beside data sets
list all of the data set bucket
write: a model, a checkpoint
send a part of: a model, a checkpoint
replace: a model, a checkpoint
delete a checkpoint
write the log of: a training job
write a metric of training jobs
make a network interface
pull an image
log in to registries
read a secret
""",
    "notebook role": SUBMITTER
    + """
write a notebook's file
send a part of: a notebook's file
replace a notebook's file
make a network interface
""",
    "batch job role": """
read: a data set, a model, predictions, a record of predictions, code
list the folder of: a data set, a model, predictions, a record of predictions, code
write: predictions, a record of predictions
send a part of: predictions, a record of predictions
replace predictions
read a stray file beside data sets
list the folder of a stray file beside data sets
list all of the data set bucket
read a version of a model
read a secret
""",
    "batch execution role": """
write the log of: a Batch job
pull an image
log in to registries
""",
    "batch machine role": """
write the log of: a Batch job
join a cluster as a machine
pull an image
log in to registries
""",
    "submitter": SUBMITTER,
}


def calls_in(text: str) -> Iterator[str]:
    """The calls that a text lists: `read: a model, code` is two of them."""
    for line in filter(None, text.splitlines()):
        verb, colon, things = line.partition(": ")
        yield from (f"{verb} {thing}" for thing in things.split(", ")) if colon else [line]


def expected(who: str, call: str, home: str) -> str:
    """What the table says."""
    submits = who in ("notebook role", "submitter") and home == "private"
    may = MAY[who] + (WITH_NOTEBOOK if submits else "")
    return ALLOWED if call in calls_in(may) else DENIED


def profiles(*words: str) -> list[str]:
    """The profiles where there is what the words name: `lean` has no notebook."""
    return [home for home in HOMES if home == "private" or "notebook role" not in " ".join(words)]


def sentence(who: str, call: str) -> str:
    return f"{who} {'may' if expected(who, call, 'private') == ALLOWED else 'may not'} {call}"


def questions() -> dict[str, Request]:
    """Every request that the tests here want judged, by a key."""
    asked = {sentence: case.request() for kind in CASES.values() for sentence, case in kind.items()}
    assert len(asked) == sum(map(len, CASES.values()))
    for who in MAY:
        for call, what in CALLS.items():
            for home in profiles(who, call):
                asked[f"{home}: {who}: {call}"] = attempt(who, call, home)
                if what.action.startswith("s3:") and expected(who, call, home) == ALLOWED:
                    clear = attempt(who, call, home, tls=False)
                    asked[f"{home} in the clear: {who}: {call}"] = clear
            for home in profiles(who):
                for where in ABROAD if not what.shared else ():
                    asked[f"{home} to {where}: {who}: {call}"] = attempt(who, call, home, where)
    return asked


@pytest.fixture(scope="session")
def answers(tmp_path_factory: pytest.TempPathFactory, worker_id: str) -> dict[str, str]:
    """The verdicts on all questions, by key: asked in one process, for all workers of a test run."""
    base = tmp_path_factory.getbasetemp()
    folder = base if worker_id == "master" else base.parent
    kept = folder / "verdicts.json"
    with locked(folder / "verdicts.lock"):
        if not kept.exists():
            kept.write_text(json.dumps(_ask()))
    found: dict[str, Any] = json.loads(kept.read_text())
    if "unavailable" in found:
        pytest.fail(found["unavailable"], pytrace=False)
    return found["verdicts"]


def _ask() -> dict[str, Any]:
    asked = questions()
    try:
        return {"verdicts": dict(zip(asked, evaluate(list(asked.values())), strict=True))}
    except Unavailable as problem:
        return {"unavailable": str(problem)}


@pytest.mark.parametrize(
    ("who", "call"), [pytest.param(who, call, id=sentence(who, call)) for who in MAY for call in CALLS]
)
def test_the_matrix(answers: dict[str, str], who: str, call: str) -> None:
    homes = profiles(who, call)
    found = {home: answers[f"{home}: {who}: {call}"] for home in homes}
    assert found == {home: expected(who, call, home) for home in homes}


@pytest.mark.parametrize("where", ABROAD)
@pytest.mark.parametrize("who", MAY)
def test_nobody_may_do_anything_in(answers: dict[str, str], who: str, where: str) -> None:
    keys = [f"{home} to {where}: {who}: {call}" for home in profiles(who) for call in CALLS]
    found = {key: answers[key] for key in keys if key in answers}
    assert len(found) > 100
    assert {key: verdict for key, verdict in found.items() if verdict != DENIED} == {}


@pytest.mark.parametrize("who", ["training role", "notebook role", "batch job role", "submitter"])
def test_what_is_allowed_in_a_bucket_is_denied_without_tls(answers: dict[str, str], who: str) -> None:
    found = {key: verdict for key, verdict in answers.items() if f" in the clear: {who}: " in key}
    assert len(found) > 8
    assert set(found.values()) == {DENIED}


@pytest.mark.parametrize("case", CASES["ways_around"])
def test_what_is_nearly_allowed_is_denied(answers: dict[str, str], case: str) -> None:
    assert answers[case] == CASES["ways_around"][case].verdict == DENIED


@pytest.mark.parametrize("case", CASES["trusts"])
def test_a_role_is_assumed_by_its_service_for_this_account_alone(answers: dict[str, str], case: str) -> None:
    assert answers[case] == CASES["trusts"][case].verdict


@pytest.mark.parametrize("case", CASES["topic"])
def test_failures_are_told_by_aws_for_this_account_alone(answers: dict[str, str], case: str) -> None:
    assert answers[case] == CASES["topic"][case].verdict


@pytest.mark.parametrize("case", CASES["endpoints"])
def test_what_jobs_need_passes_the_endpoints_and_nothing_else(answers: dict[str, str], case: str) -> None:
    assert answers[case] == CASES["endpoints"][case].verdict


@pytest.mark.parametrize("case", CASES["options"])
def test_an_option_opens_what_it_is_for_alone(answers: dict[str, str], case: str) -> None:
    assert answers[case] == CASES["options"][case].verdict


@pytest.mark.parametrize("case", CASES["boundaries"])
def test_a_permissions_boundary_ends_what_a_role_may(answers: dict[str, str], case: str) -> None:
    assert answers[case] == CASES["boundaries"][case].verdict


@pytest.mark.parametrize("case", CASES["controls"])
def test_the_evaluator_says_yes_and_no_and_takes_no_nonsense(answers: dict[str, str], case: str) -> None:
    verdict = CASES["controls"][case].verdict
    if verdict in (ALLOWED, DENIED):
        assert answers[case] == verdict
    else:
        assert answers[case].startswith("error: ")
        assert verdict in answers[case]


def test_every_cell_is_a_request_that_aws_knows(answers: dict[str, str]) -> None:
    controls = [key for key, case in CASES["controls"].items() if case.verdict not in (ALLOWED, DENIED)]
    errors = {key: answer for key, answer in answers.items() if answer not in (ALLOWED, DENIED)}
    assert sorted(errors) == sorted(controls)


def test_the_table_names_calls_that_there_are() -> None:
    for text in (*MAY.values(), WITH_NOTEBOOK):
        named = list(calls_in(text))
        assert set(named) <= set(CALLS)
        assert len(named) == len(set(named))


@pytest.mark.parametrize("home", HOMES)
def test_the_matrix_is_large_and_denies_most_of_it(home: str) -> None:
    cells = {
        (who, call): expected(who, call, home) for who in MAY for call in CALLS if home in profiles(who, call)
    }
    denied = [cell for cell, verdict in cells.items() if verdict == DENIED]
    assert len(denied) >= 120
    assert len(denied) > len(cells) * 3 // 4
    for thing in OBJECTS:
        assert {f"{verb} {thing}" for verb in ("read", "write", "delete")} <= set(CALLS)


def test_every_role_of_an_environment_is_in_the_matrix() -> None:
    for home in HOMES:
        roles = {actor(who, home).arn for who in MAY if who != "submitter" and home in profiles(who)}
        assert roles == {deployed(home).role(name).arn for name in deployed(home).role_names()}


def test_the_roles_that_are_published_are_those_of_the_matrix() -> None:
    for home in HOMES:
        for fact, who in (
            ("training-role-arn", "training role"),
            ("batch-job-role-arn", "batch job role"),
            ("batch-execution-role-arn", "batch execution role"),
        ):
            assert deployed(home).fact(fact) == actor(who, home).arn


@pytest.mark.parametrize(
    ("region", "partition"),
    [("us-east-1", "aws"), ("ap-southeast-2", "aws"), ("us-gov-west-1", "aws-us-gov")],
)
def test_the_largest_environment_is_within_the_limits_of_policies(region: str, partition: str) -> None:
    """6,144 characters a managed policy, 10,240 all inline policies of a role (IAM user guide, quotas)."""
    subnets = tuple(f"subnet-{number:017x}" for number in range(SUBNETS))
    shapes = ("cidr", "zones", "nats", "endpoints", "flow_logs")
    usual = {name: getattr(Environment(), name) for name in shapes}
    joined = EVERYTHING.replace(vpc="vpc-0123456789abcdef0", subnets=subnets, **usual)
    places = [Deployed(each, region=region, partition=partition) for each in (EVERYTHING, joined)]
    sizes = {
        f"{place.environment.profile} {name}": size
        for place in places
        for name, size in place.policy_sizes().items()
    }
    most = {name: 6_144 if " managed " in name else 10_240 for name in sizes}
    assert {name: size for name, size in sizes.items() if size > most[name]} == {}


def test_every_role_of_an_environment_with_a_boundary_has_it() -> None:
    place = deployed("with options")
    boundary = place.environment.permissions_boundary
    assert {place.role(name).boundary for name in place.role_names()} == {boundary}
