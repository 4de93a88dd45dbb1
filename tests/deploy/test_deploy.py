"""`trainyard deploy`, as a person runs it, against an account on loopback."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import struct
import subprocess
import termios

import pytest

from .cloudformation import ACCOUNT, REGION, CloudFormation
from .conftest import DATA, OURS, PATIENCE, PLATFORM, Account, Project, is_deployed, progress

LOG_GROUP = "/aws/sagemaker/TrainingJobs"


def test_first_deploy_makes_both_stacks_and_says_what_to_type_next(
    deploying: Project, cloudformation: CloudFormation
) -> None:
    result = deploying.run("deploy", "dev", "--yes")

    assert (result.returncode, result.stderr) == (0, "")
    assert cloudformation.status(DATA) == cloudformation.status(PLATFORM) == "CREATE_COMPLETE"
    for wanted in ("s3://the-datasets", "s3://the-models", "#dashboards/dashboard/trainyard-dev"):
        assert wanted in result.stdout
    assert "next       trainyard train --on dev" in result.stdout
    assert "up to 32 vCPUs" in result.stdout


def test_machines_that_the_region_does_not_have_are_refused_before_anything_is_made(
    deploying: Project, cloudformation: CloudFormation
) -> None:
    for key, item, near in (("families", "m5plural", "m5"), ("gpu_families", "g5.999xlarge", "g5")):
        deploying.write_job_file(f'[environments.dev.batch]\n{key} = ["{item}"]\n')
        result = deploying.run("deploy", "dev", "--yes")
        assert result.returncode == 2
        assert f"environments.dev.batch.{key}: '{item}' is not offered in {REGION}" in result.stderr
        assert near in result.stderr.partition("; ")[2]
        assert not cloudformation.stacks
    deploying.write_job_file('[environments.dev.batch]\nfamilies = ["m5", "r5.2xlarge"]\n')
    assert deploying.run("deploy", "dev", "--yes").returncode == 0


def test_each_resource_is_told_once(deploying: Project, cloudformation: CloudFormation) -> None:
    result = deploying.run("deploy", "--yes")

    told = [line[2] for line in progress(result.stdout) if line[0] == "create"]
    wanted = [name for template in deploying.templates.values() for name in template["Resources"]]
    assert told == wanted


def test_data_stack_is_tagged_and_protected_and_the_platform_stack_is_not(
    deploying: Project, cloudformation: CloudFormation
) -> None:
    deploying.run("deploy", "dev", "--yes")

    data, platform = cloudformation.named(DATA), cloudformation.named(PLATFORM)
    assert data and platform
    assert data.tags == platform.tags == OURS
    assert (data.protected, platform.protected) == (True, False)


def test_repeated_deploy_changes_nothing(deploying: Project, cloudformation: CloudFormation) -> None:
    deploying.run("deploy", "dev", "--yes")
    executed = cloudformation.calls.count("ExecuteChangeSet")

    result = deploying.run("deploy", "dev", "--yes")

    assert (result.returncode, result.stderr) == (0, "")
    assert result.stdout.count("nothing to change\n") == 2
    assert cloudformation.calls.count("ExecuteChangeSet") == executed
    assert not cloudformation.change_sets


def test_update_touches_what_changed(deploying: Project, cloudformation: CloudFormation) -> None:
    deploying.run("deploy", "dev", "--yes")
    deploying.templates["platform"]["Resources"]["Topic"]["Properties"]["DisplayName"] = "other"

    result = deploying.run("deploy", "dev", "--yes")

    assert result.returncode == 0, result.stderr
    assert [line[:3] for line in progress(result.stdout)] == [["update", "AWS::SNS::Topic", "Topic"]]
    assert cloudformation.status(PLATFORM) == "UPDATE_COMPLETE"


def test_json_is_one_object_and_the_rest_is_on_stderr(deploying: Project) -> None:
    result = deploying.run("deploy", "dev", "--yes", "--json")

    told = json.loads(result.stdout)
    assert (told["environment"], told["account"], told["region"]) == ("dev", ACCOUNT, REGION)
    assert [(each["name"], each["status"]) for each in told["stacks"]] == [
        (DATA, "CREATE_COMPLETE"),
        (PLATFORM, "CREATE_COMPLETE"),
    ]
    assert told["outputs"]["model-bucket"] == "the-models"
    assert told["deployed"] is True
    assert "Vpc" in result.stderr


def test_account_guard(deploying: Project, cloudformation: CloudFormation) -> None:
    deploying.write_job_file('[environments.dev]\naccount = "999999999999"\n')

    result = deploying.run("deploy", "dev", "--yes")

    assert result.returncode == 2
    assert "is for account 999999999999" in result.stderr
    assert ACCOUNT in result.stderr
    assert not cloudformation.calls


def test_without_a_terminal_and_without_yes_nothing_is_done(
    deploying: Project, cloudformation: CloudFormation
) -> None:
    result = deploying.run("deploy", "dev")

    assert result.returncode == 2
    assert result.stderr == "trainyard: there is no terminal to ask on; nothing was done; say --yes\n"
    assert not cloudformation.calls


@pytest.mark.parametrize(("answer", "done"), [("y", True), ("n", False), ("", False), ("\x04", False)])
def test_question_names_account_and_region(
    answer: str, done: bool, deploying: Project, cloudformation: CloudFormation
) -> None:
    master, terminal = pty.openpty()
    command = deploying.command(("deploy", "dev"))
    process = subprocess.Popen(
        **{**command, "stdin": terminal}, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    os.write(master, f"{answer}\n".encode() if answer != "\x04" else b"\x04")
    out, err = process.communicate(timeout=PATIENCE)
    os.close(master)
    os.close(terminal)

    assert process.returncode == 0, err
    assert f"Deploy to account {ACCOUNT}, {REGION}? [y/N]" in err
    assert is_deployed(cloudformation) is done
    assert done or "nothing was done" in out


def test_training_logs_get_a_retention_only_where_none_is_set(deploying: Project, account: Account) -> None:
    logs = account.client("logs")
    deploying.run("deploy", "dev", "--yes")
    [group] = logs.describe_log_groups(logGroupNamePrefix=LOG_GROUP)["logGroups"]
    assert group["retentionInDays"] == 30
    logs.put_retention_policy(logGroupName=LOG_GROUP, retentionInDays=365)

    deploying.run("deploy", "dev", "--yes")

    [group] = logs.describe_log_groups(logGroupNamePrefix=LOG_GROUP)["logGroups"]
    assert group["retentionInDays"] == 365


def test_service_linked_roles_are_there_afterwards(deploying: Project, account: Account) -> None:
    result = deploying.run("deploy", "dev", "--yes")

    # moto has names of its own for them.
    names = {role["RoleName"].lower() for role in account.client("iam").list_roles()["Roles"]}
    wanted = {f"awsservicerolefor{service}" for service in ("batch", "ecs", "autoscaling", "spot")}
    assert wanted <= names
    assert "made for the account: AWSServiceRoleForBatch" in result.stdout
    assert deploying.run("deploy", "dev", "--yes").returncode == 0


def test_mail_to_be_confirmed_is_mentioned_once(deploying: Project) -> None:
    deploying.write_job_file('[environments.dev]\nalarm_email = "ops@example.com"\n')

    first, second = deploying.run("deploy", "dev", "--yes"), deploying.run("deploy", "dev", "--yes")

    assert "ops@example.com a mail" in first.stdout
    assert "ops@example.com" not in second.stdout


@pytest.mark.parametrize("text", ["soon", "0", "-1", "nan", "inf"])
def test_poll_interval_has_to_be_a_number(text: str, deploying: Project) -> None:
    deploying.environment["TRAINYARD_POLL_SECONDS"] = text

    result = deploying.run("deploy", "dev", "--yes")

    assert result.returncode == 2
    assert "TRAINYARD_POLL_SECONDS" in result.stderr


def test_real_templates_go_the_whole_way_there_and_back(
    deploying: Project, cloudformation: CloudFormation
) -> None:
    del deploying.environment["TEST_TEMPLATES"]

    result = deploying.run("deploy", "dev", "--yes")

    assert (result.returncode, result.stderr) == (0, "")
    told = [line[2] for line in progress(result.stdout) if line[0] == "create"]
    held = [*cloudformation.held(DATA), *cloudformation.held(PLATFORM)]
    assert sorted(told) == sorted(held)
    assert len(held) > 50
    again = deploying.run("deploy", "dev", "--yes").stdout
    assert again.count("nothing to change\n") == 2, again
    result = deploying.run("destroy", "dev", "--yes")
    assert (result.returncode, result.stderr) == (0, "")
    assert cloudformation.status(DATA) == "CREATE_COMPLETE"
    assert not cloudformation.named(PLATFORM)


def test_terminal_shows_what_is_under_way(deploying: Project, cloudformation: CloudFormation) -> None:
    hold = cloudformation.hold_at("Role")
    master, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    deploying.environment["TERM"] = "xterm"
    command = deploying.command(("deploy", "dev", "--yes"))
    process = subprocess.Popen(**command, stdout=terminal, stderr=terminal)
    os.close(terminal)
    shown = ""
    while "creating trainyard-dev  0:00" not in shown:
        shown += os.read(master, 4096).decode()
    hold.release()
    # The reader has to go on until the end: what writes to a full terminal waits.
    try:
        while more := os.read(master, 4096):
            shown += more.decode()
    except OSError:  # how Linux tells that nobody has the terminal open any more
        pass
    os.close(master)

    assert process.wait(PATIENCE) == 0
    assert "Role, Vpc" in shown
    assert "next       trainyard train --on dev" in shown.rpartition("\x1b[2K")[2]
