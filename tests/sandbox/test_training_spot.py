"""Spot interruptions and checkpoints."""

from __future__ import annotations

import time

import pytest

from .training import Training, statuses

RESUMES = """
cd /opt/ml
if [ -e checkpoints/step ]; then
    echo "resumed at $(cat checkpoints/step); model $(ls model | wc -l); $(ls checkpoints | tr '\\n' ' ')"
    sleep 1.2; echo w > model/w; exit 0
fi
trap 'echo warned; echo 2 > checkpoints/step; exit 1' TERM
echo old > model/old; echo 1 > checkpoints/gone; echo 1 > checkpoints/step; echo ready
while :; do sleep 0.05; done
"""


def checkpointed(training: Training, script: str, **options: object) -> tuple[str, str]:
    """A spot job with checkpoints; its name and their prefix."""
    prefix = f"checkpoints/{time.time_ns()}/"
    config = {"S3Uri": f"s3://{training.models}/{prefix}"}
    return training.create(script, spot=True, CheckpointConfig=config, **options), prefix


@pytest.mark.parametrize(("kill", "step"), [(False, "2"), (True, "1")], ids=["SIGTERM", "SIGKILL"])
def test_an_interrupted_job_goes_on_from_its_checkpoints(training: Training, kill: bool, step: str) -> None:
    name, prefix = checkpointed(training, RESUMES)
    training.wait_for_line(name, "ready")
    training.sandbox.control("lose", run=name, kill=kill)
    job = training.completed(name)
    first = ["Starting", "Downloading", "Training", "Interrupted"]
    assert statuses(job) == [*first, "Starting", "Downloading", "Training", "Uploading", "Completed"]
    log = training.log(name)
    assert f"resumed at {step}; model 0; gone step " in log and ("warned" in log) is not kill
    assert len(training.streams(name)) == 2
    assert training.archive(name, "model") == {"w": b"w\n"}
    assert training.objects(prefix)["step"].decode() == f"{step}\n"
    assert job["BillableTimeInSeconds"] < job["TrainingTimeInSeconds"]


def test_checkpoints_go_to_s3_while_the_job_runs_and_so_do_deletions(training: Training) -> None:
    name, prefix = checkpointed(
        training,
        "cd /opt/ml/checkpoints; mkdir d; echo 1 > d/a; echo 2 > b; until [ -e go ]; do sleep 0.05; "
        "[ -e rm ] || { sleep 1.5; rm b; touch rm; }; done",
    )
    training.wait(name, lambda _: {"d/a", "b"} <= set(training.objects(prefix)))
    training.wait(name, lambda _: set(training.objects(prefix)) == {"d/a", "rm"})
    training.client.stop_training_job(TrainingJobName=name)
    training.end_of(name)


def test_checkpoints_that_are_there_are_restored_at_the_first_start_too_on_every_host(
    training: Training,
) -> None:
    prefix = f"checkpoints/{time.time_ns()}"
    training.s3.put_object(Bucket=training.models, Key=f"{prefix}/deep/step", Body=b"7\n")
    config = {"S3Uri": f"s3://{training.models}/{prefix}", "LocalPath": "/opt/ml/mine"}
    name = training.create("cat /opt/ml/mine/deep/step", hosts=2, CheckpointConfig=config)
    training.completed(name)
    assert training.log(name) == ["7", "7"]


def test_what_is_not_on_spot_is_not_interrupted(training: Training) -> None:
    name = training.create("sleep 100")
    training.wait(name, lambda job: job["SecondaryStatus"] == "Training")
    with pytest.raises(AssertionError, match="the job is not on spot machines: nothing interrupts it"):
        training.sandbox.control("lose", run=name)
    training.client.stop_training_job(TrainingJobName=name)
    training.end_of(name)


def test_checkpoints_that_may_not_be_written_fail_the_job(training: Training) -> None:
    config = {"S3Uri": f"s3://{training.datasets}/not-for-checkpoints"}
    name = training.create("echo 1 > /opt/ml/checkpoints/a", CheckpointConfig=config)
    assert "AccessDenied (403)" in training.end_of(name)["FailureReason"]
