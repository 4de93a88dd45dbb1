"""What cfn-lint, cdk-nag and checkov say of the templates: nothing without a reason that is written down.

`findings.toml` holds the reasons, outside the templates, which have no room for them.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import cfnlint.data.schemas.extensions.aws_ec2_instance
import pytest
from cfnlint.api import lint
from cfnlint.config import ManualArgs
from cfnlint.schema.manager import PROVIDER_SCHEMA_MANAGER
from templates import CACHE, CONFIGURATIONS

from trainyard.core.environments.environment import Environment
from trainyard.core.environments.families import ARM, OLDER, X86, at_full_price
from trainyard.core.environments.regions import DEEP_LEARNING_CONTAINERS, WITHOUT_BUDGET, WITHOUT_NOTEBOOK
from trainyard.infra.synthesis import synthesise, use_packaged_node

ROOT = Path(__file__).parents[2]
CHECKOV = ROOT / ".venv" / "checkov" / "bin" / "checkov"
ENTRIES = tomllib.loads((Path(__file__).parent / "findings.toml").read_text(encoding="utf-8"))["finding"]

REGIONS = ("us-east-1", "us-west-2", "eu-west-1", "ap-southeast-2")
WITHOUT_BUDGETS = ("eu-north-1", "af-south-1", "us-gov-west-1")
"""More of the regions to lint for, of environments without a budget."""
BAD_BUCKET = {"Type": "AWS::S3::Bucket", "Properties": {"AccessControl": "PublicReadWrite"}}


class Finding(NamedTuple):
    """That a rule does not hold for a resource; `wildcard` is what cdk-nag tells apart further."""

    rule: str
    resource: str
    wildcard: str = ""


def accepted(tool: str) -> set[Finding]:
    """The findings of a tool that have a reason."""
    return {
        Finding(entry["rule"], resource, wildcard)
        for entry in ENTRIES
        if entry["tool"] == tool
        for resource in entry["resources"]
        for wildcard in entry.get("wildcards", [""])
    }


def lines(findings: set[Finding]) -> str:
    return "\n".join(sorted(" ".join(finding).rstrip() for finding in findings))


def hold(tool: str, found: set[Finding]) -> None:
    """Hold that what was found is what has a reason, no more and no less."""
    reasons = accepted(tool)
    assert not found - reasons, f"{tool} finds, without a reason in findings.toml:\n{lines(found - reasons)}"
    assert not reasons - found, f"{tool} no longer finds what findings.toml has:\n{lines(reasons - found)}"


def test_every_finding_has_a_reason_once() -> None:
    known = {"tool", "rule", "what", "resources", "wildcards", "reason"}
    assert all(set(entry) <= known and entry["tool"] in ("cdk-nag", "checkov") for entry in ENTRIES)
    assert all(len(entry["reason"]) > 40 and entry["reason"].endswith(".") for entry in ENTRIES)
    count = sum(len(entry["resources"]) * len(entry.get("wildcards", [""])) for entry in ENTRIES)
    assert count == len(accepted("cdk-nag") | accepted("checkov"))


def test_a_finding_without_a_reason_fails_and_so_does_a_reason_without_a_finding() -> None:
    first, *others = accepted("checkov")
    hold("checkov", {first, *others})
    with pytest.raises(AssertionError, match="without a reason"):
        hold("checkov", {first, *others, Finding("CKV_AWS_1", first.resource)})
    with pytest.raises(AssertionError, match="no longer finds"):
        hold("checkov", set(others))


@pytest.mark.parametrize("configuration", CONFIGURATIONS)
def test_cfn_lint_has_nothing_to_say(configuration: str) -> None:
    environment = CONFIGURATIONS[configuration]
    regions = REGIONS if environment.budget_usd else REGIONS + WITHOUT_BUDGETS
    assert not [
        f"{template.name}: {match}"
        for template in synthesise(environment, cache=str(CACHE))
        for match in cfn_lint(template.body, regions)
    ]


def cfn_lint(body: str, regions: tuple[str, ...]) -> list[str]:
    """What cfn-lint says, warnings and information included."""
    config = ManualArgs(regions=list(regions), include_checks=["I", "W", "E"])
    return [f"{match.rule.id} {match.path}: {match.message}" for match in lint(body, config=config)]


def test_cfn_lint_would_say_something() -> None:
    resources = {
        "Error": {"Type": "AWS::S3::Bukcet"},
        "Warning": BAD_BUCKET,
        "Hint": {"Type": "AWS::Logs::LogGroup"},
    }
    said = cfn_lint(json.dumps({"Resources": resources}), REGIONS)
    assert {line.split()[0] for line in said} >= {"E3006", "W3045", "I3011"}


def test_every_part_exists_in_every_region_that_has_deep_learning_containers() -> None:
    types = {
        resource["Type"]
        for environment in CONFIGURATIONS.values()
        for template in synthesise(environment, cache=str(CACHE))
        for resource in template.content["Resources"].values()
    }
    for region in DEEP_LEARNING_CONTAINERS:
        known = PROVIDER_SCHEMA_MANAGER.get_resource_types(region)
        missing = {kind.split("::")[1] for kind in types.difference(known)}
        options = {"SageMaker": region in WITHOUT_NOTEBOOK, "Budgets": region in WITHOUT_BUDGET}
        assert missing == {service for service, lacking in options.items() if lacking}, region


def test_every_region_has_the_machines_that_are_chosen_for_it() -> None:
    folder = Path(cfnlint.data.schemas.extensions.aws_ec2_instance.__path__[0])
    offered = json.loads((folder / "instancetype_enum.json").read_text(encoding="utf-8"))
    for region in DEEP_LEARNING_CONTAINERS:
        for bundle in (X86, ARM):
            types = at_full_price((bundle,), older=region in OLDER)
            assert len(types) == 8 and set(types) <= set(offered[region]["enum"]), region


def test_cdk_nag_finds_nothing_without_a_reason(tmp_path: Path) -> None:
    use_packaged_node()
    from trainyard.infra.platform import build

    found: set[Finding] = set()
    for configuration in ("private", "lean", "everything"):
        environment = CONFIGURATIONS[configuration]
        app = build(environment, str(tmp_path / configuration))
        found |= set(cdk_nag(app, tmp_path / configuration, environment))
    hold("cdk-nag", found)


def test_cdk_nag_finds_a_bad_bucket(tmp_path: Path) -> None:
    use_packaged_node()
    from aws_cdk import App, Stack
    from aws_cdk.aws_s3 import CfnBucket

    app = App(outdir=str(tmp_path), analytics_reporting=False)
    CfnBucket(Stack(app, "Bad"), "Bucket", access_control="PublicReadWrite")
    found = {finding.rule for finding in cdk_nag(app, tmp_path, Environment())}
    assert {"AwsSolutions-S1", "AwsSolutions-S10"} <= found


def cdk_nag(app: Any, folder: Path, environment: Environment) -> Iterator[Finding]:
    """What AwsSolutions finds in an app that is to be synthesised into `folder`."""
    from aws_cdk import Validations
    from cdk_nag import AwsSolutionsChecks

    Validations.of(app).add_plugins(AwsSolutionsChecks(app))
    # Findings are an error of the synthesis too; the report has them in a form to read.
    with pytest.raises(RuntimeError, match="ValidationFailed"):
        app.synth()
    reports = json.loads((folder / "validation-report.json").read_text(encoding="utf-8"))["pluginReports"]
    # The CDK may have a report of its own besides.
    (violations,) = (report["violations"] for report in reports if report["pluginName"] == "AwsSolutions")
    for violation in violations:
        rule, _, wildcard = violation["ruleName"].partition("[")
        for construct in violation["violatingConstructs"]:
            resource = "".join(construct["constructPath"].split("/")[1:])
            yield Finding(rule, resource, neutral(wildcard[:-1], environment))


def neutral(wildcard: str, environment: Environment) -> str:
    """A wildcard without what the environment calls itself and its buckets."""
    names = [
        (f"/{environment.stack_name}-", "/<stack>-"),
        (f":{environment.stack_name}-", ":<stack>-"),
        (f":{environment.stack_name}/", ":<stack>/"),
        (f"/trainyard/{environment.name}/", "/trainyard/<environment>/"),
        *((f":::{name}/", ":::<read-bucket>/") for name in environment.read_buckets),
    ]
    for name, mark in names:
        wildcard = wildcard.replace(name, mark)
    return wildcard


def test_checkov_finds_nothing_without_a_reason(tmp_path: Path) -> None:
    assert CHECKOV.exists(), "checkov is not installed: make setup"
    for configuration, environment in CONFIGURATIONS.items():
        for template in synthesise(environment, cache=str(CACHE)):
            write(tmp_path / "templates" / configuration / template.file_name, template.body)
    # One run for all: a bad bucket among them shows that it finds something at all.
    write(
        tmp_path / "templates" / "bad" / "bad.template.json", json.dumps({"Resources": {"Bad": BAD_BUCKET}})
    )
    report = checkov(tmp_path)
    assert report["summary"]["parsing_errors"] == 0
    found = {Finding(check["check_id"], check["resource"].split(".")[1]) for check in report["failed"]}
    bad = {finding for finding in found if finding.resource == "Bad"}
    assert {"CKV_AWS_20", "CKV_AWS_53", "CKV_AWS_57"} <= {finding.rule for finding in bad}
    read = {path.split("/")[1] for path in report["files"]}
    assert read == {*CONFIGURATIONS, "bad"}
    hold("checkov", found - bad)


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def checkov(folder: Path) -> dict[str, Any]:
    """Run checkov on the templates in a folder, without a network; its report in short."""
    variables = {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "CKV_SKIP_PACKAGE_UPDATE_CHECK": "true",
        "HTTPS_PROXY": "http://127.0.0.1:9",
    }
    argv = [CHECKOV, "--directory", "templates", "--framework", "cloudformation", "--output", "json"]
    done = subprocess.run(
        [*argv, "--skip-download", "--compact"],
        cwd=folder,
        env=variables,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stderr or done.stdout
    report = json.loads(done.stdout)
    checks = report["results"]
    every = [*checks["failed_checks"], *checks["passed_checks"]]
    files = {check["file_path"] for check in every}
    return {"summary": report["summary"], "failed": checks["failed_checks"], "files": files}


def table() -> str:
    """The accepted findings as the security document has them."""
    rows = ["| rule | what it finds | where | why that is so |", "|---|---|---|---|"]
    for entry in ENTRIES:
        where = ", ".join(f"`{resource}`" for resource in entry["resources"])
        wildcards = ", ".join(f"`{shown(each)}`" for each in entry.get("wildcards", []))
        where += f": {wildcards}" if wildcards else ""
        rows.append(f"| {entry['rule']} | {entry['what']} | {where} | {entry['reason']} |")
    return "\n".join(rows)


def shown(wildcard: str) -> str:
    """A wildcard without what every ARN begins with."""
    plain = re.sub(r"\$?[<{]AWS::\w+[>}]", "", wildcard.partition("::")[2])
    if "arn:" not in plain:
        return plain
    _, _, service, _, _, resource = plain.split(":", 5)
    return service + " " + resource.partition('"')[0]


def test_the_security_document_has_every_finding_with_its_reason() -> None:
    document = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
    assert table() in document, f"put this into docs/security.md:\n{table()}"
