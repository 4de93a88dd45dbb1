"""`trainyard deploy` cut short, or beside another one: nothing is lost, and the next one goes on."""

from __future__ import annotations

import signal
from collections.abc import Callable

import pytest

from .cloudformation import CloudFormation
from .conftest import DATA, PATIENCE, PLATFORM, Project, is_deployed, progress


def test_credentials_that_expire_in_the_middle_lose_nothing(
    deploying: Project, cloudformation: CloudFormation
) -> None:
    hold = cloudformation.hold_at("Subnet")
    process = deploying.start("deploy", "dev", "--yes")
    assert hold.reached.wait(PATIENCE)
    cloudformation.refuse("DescribeStackEvents", "ExpiredToken", "expired", status=403)
    _, err = process.communicate(timeout=PATIENCE)

    assert process.returncode == 1
    assert "it goes on from there" in err
    assert cloudformation.status(PLATFORM) == "CREATE_IN_PROGRESS"
    hold.release()
    result = deploying.run("deploy", "dev", "--yes")
    assert result.returncode == 0, result.stderr
    assert "CREATE_IN_PROGRESS goes on; following it" in result.stdout
    assert cloudformation.status(PLATFORM) == "CREATE_COMPLETE"


def test_ctrl_c_before_anything_began_leaves_nothing(
    deploying: Project, cloudformation: CloudFormation
) -> None:
    interrupt: list[Callable[[], None]] = []
    cloudformation.before("DescribeChangeSet", lambda: [each() for each in interrupt] and None)
    process = deploying.start("deploy", "dev", "--yes")
    interrupt.append(lambda: process.send_signal(signal.SIGINT))
    out, err = process.communicate(timeout=PATIENCE)

    assert process.returncode == 130, err
    assert f"{DATA}: nothing was changed" in out
    assert not cloudformation.change_sets
    assert not cloudformation.named(DATA)
    assert deploying.run("deploy", "dev", "--yes").returncode == 0


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_interrupted_in_the_middle_the_next_one_follows(
    number: signal.Signals, deploying: Project, cloudformation: CloudFormation
) -> None:
    hold = cloudformation.hold_at("Role")
    process = deploying.start("deploy", "dev", "--yes")
    assert hold.reached.wait(PATIENCE)

    status, said = deploying.interrupt(process, number)

    if number == signal.SIGINT:
        assert status == 130
        assert "CloudFormation goes on in AWS without this command; `trainyard deploy dev` follows it" in said
        assert "Traceback" not in said
    hold.release()
    result = deploying.run("deploy", "dev", "--yes")
    assert result.returncode == 0, result.stderr
    assert "following it" in result.stdout
    assert "Role" in [line[2] for line in progress(result.stdout) if line[0] == "create"]
    assert cloudformation.status(PLATFORM) == "CREATE_COMPLETE"


def test_killed_before_its_change_set_was_executed_the_next_one_goes_on(
    deploying: Project, cloudformation: CloudFormation
) -> None:
    kill: list[Callable[[], None]] = []
    cloudformation.before("ExecuteChangeSet", lambda: [each() for each in kill] and None)
    cloudformation.refuse("ExecuteChangeSet", "InternalFailure", "nobody hears this", times=1)
    process = deploying.start("deploy", "dev", "--yes")
    kill.append(process.kill)
    process.communicate(timeout=PATIENCE)
    assert cloudformation.status(DATA) == "REVIEW_IN_PROGRESS"

    result = deploying.run("deploy", "dev", "--yes")

    assert result.returncode == 0, result.stderr
    assert is_deployed(cloudformation)


def test_somebody_elses_deploy_is_followed_and_then_added_to(
    deploying: Project, cloudformation: CloudFormation
) -> None:
    deploying.run("deploy", "dev", "--yes")
    hold = cloudformation.hold_at("Topic")
    deploying.templates["platform"]["Resources"]["Topic"]["Properties"]["DisplayName"] = "theirs"
    first = deploying.start("deploy", "dev", "--yes")
    assert hold.reached.wait(PATIENCE)
    deploying.templates["platform"]["Resources"]["Topic"]["Properties"]["DisplayName"] = "ours"
    second = deploying.start("deploy", "dev", "--yes")
    assert second.stdout
    for line in second.stdout:
        if "UPDATE_IN_PROGRESS goes on; following it" in line:
            break
    hold.release()
    assert first.communicate(timeout=PATIENCE)[1] == ""
    assert second.communicate(timeout=PATIENCE)[1] == ""

    assert (first.returncode, second.returncode) == (0, 0)
    stack = cloudformation.named(PLATFORM)
    assert stack and stack.template["Resources"]["Topic"]["Properties"]["DisplayName"] == "ours"


def test_change_that_comes_in_between_is_tried_again(
    deploying: Project, cloudformation: CloudFormation
) -> None:
    cloudformation.refuse("ExecuteChangeSet", "InvalidChangeSetStatus", "cannot be executed: [OBSOLETE]")

    result = deploying.run("deploy", "dev", "--yes")

    assert result.returncode == 0, result.stderr
    assert is_deployed(cloudformation)


def test_ctrl_c_while_it_is_being_begun_tells_the_truth(
    deploying: Project, cloudformation: CloudFormation
) -> None:
    interrupt: list[Callable[[], None]] = []
    cloudformation.before("ExecuteChangeSet", lambda: [each() for each in interrupt] and None)
    process = deploying.start("deploy", "dev", "--yes")
    interrupt.append(lambda: process.send_signal(signal.SIGINT))
    out, err = process.communicate(timeout=PATIENCE)

    assert process.returncode == 130, err
    begun = cloudformation.status(DATA) == "CREATE_IN_PROGRESS"
    assert ("CloudFormation goes on in AWS" in out) is begun
    assert (f"{DATA}: nothing was changed" in out) is not begun
    assert deploying.run("deploy", "dev", "--yes").returncode == 0
    assert is_deployed(cloudformation)
