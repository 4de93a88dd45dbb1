"""The same job on AWS, emulated on this machine: the second half of what `make demo` shows.

    python sandbox_demo.py [FOLDER]         # after demo.py in the same folder; `demo` where none is named

Starts a sandbox with the platform's two stacks in it; trains through the SageMaker API and has the spot
machine taken away; predicts through a Batch array; reads the log from CloudWatch Logs; finds the model in its
bucket and in the registry; has a job fail and receives the notification; takes the sandbox down. Ends with
status 1 as soon as something is not as promised.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import boto3
from demo import compare_files, count_predictions, demand, fingerprint, prepare, run, say

import trainyard

YARD = "sandbox"
PATIENCE = 60.0
INTERRUPTED_AFTER = "epoch=8 "


def start_sandbox() -> bool:
    """Start it; False where this machine can have none: it has said why."""
    say("\n$ trainyard sandbox start")
    status = subprocess.run(["trainyard", "sandbox", "start"], check=False).returncode
    if status == 2:
        say("So this half of the demo is left out.")
        return False
    demand(status == 0, f"a sandbox starts, with status 0, not {status}")
    return True


def enter_sandbox() -> None:
    """What `eval "$(trainyard sandbox env)"` does to a shell, done to this process, for boto3."""
    script = 'eval "$(trainyard sandbox env)" && env -0'
    say('\n$ eval "$(trainyard sandbox env)"')
    told = subprocess.run(["sh", "-c", script], check=True, capture_output=True, text=True).stdout
    os.environ.update(line.split("=", 1) for line in told.split("\0") if "=" in line)


def facts() -> dict[str, str]:
    """What the deployment has published, by name."""
    pages = boto3.client("ssm").get_paginator("get_parameters_by_path").paginate(Path=f"/trainyard/{YARD}")
    return {each["Name"].rpartition("/")[2]: each["Value"] for page in pages for each in page["Parameters"]}


def tell_stacks() -> None:
    say("\nCloudFormation says:")
    for stack in boto3.client("cloudformation").describe_stacks()["Stacks"]:
        say(f"  {stack['StackName']:<24} {stack['StackStatus']}")
        demand(stack["StackStatus"] == "CREATE_COMPLETE", f"{stack['StackName']} is deployed")


class Interrupter(threading.Thread):
    """Waits for an epoch of the next training run, then takes its spot machine away."""

    def __init__(self, yard: trainyard.Yard) -> None:
        super().__init__(daemon=True)
        self.yard = yard
        self.told = ""

    def run(self) -> None:
        while not (runs := self.yard.runs(kind="training", limit=1)):
            time.sleep(0.1)
        for line in self.yard.logs(runs[0], follow=True):
            if INTERRUPTED_AFTER in line.text:
                command = ["trainyard", "sandbox", "interrupt", runs[0].id]
                subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
                self.told = " ".join(command)
                return


def train(yard: trainyard.Yard) -> trainyard.Run:
    interrupter = Interrupter(yard)
    interrupter.start()
    run("trainyard", "train", "--on", YARD)
    done = yard.runs(kind="training", limit=1)[0]
    demand(bool(interrupter.told), "the spot machine was taken away on the way")
    states = [str(attempt.state) for attempt in done.attempts]
    demand(states == ["interrupted", "succeeded"], f"one interruption, not {states}")
    say(f"\nMeanwhile: {interrupter.told}")
    return done


def compare_with_local(yard: trainyard.Yard, trained: trainyard.Run) -> None:
    """The model of SageMaker's way and the one of the first half are the same to the byte."""
    local = trainyard.connect()
    here = local.models("digits")[0]
    folder = Path(f"model-of-{trained.id}")
    run("trainyard", "pull", f"models/{trained.model}", str(folder), "--on", YARD)
    compare_files(
        f"{here.ref} (here)", fingerprint(Path(here.path)), f"{trained.model} (there)", fingerprint(folder)
    )


def tell_log(trained: trainyard.Run, prefix: str) -> None:
    """The log as CloudWatch Logs has it, one stream for each time that SageMaker started the job."""
    group = "/aws/sagemaker/TrainingJobs"
    logs = boto3.client("logs")
    found = logs.describe_log_streams(logGroupName=group, logStreamNamePrefix=f"{prefix}{trained.id}/")
    streams = [stream["logStreamName"] for stream in found["logStreams"]]
    pages = logs.get_paginator("filter_log_events").paginate(logGroupName=group, logStreamNames=streams)
    epochs = [
        int(event["message"].split()[0].removeprefix("epoch="))
        for page in pages
        for event in page["events"]
        if event["message"].startswith("epoch=")
    ]
    say(f"\nCloudWatch Logs, {group}:")
    for stream in streams:
        say(f"  {stream}")
    demand(len(streams) == 2, f"one log stream for each start, not {streams}")
    demand(set(epochs) == set(range(1, 26)), f"the log has each epoch: {epochs}")
    say(f"  {len(set(epochs))} epochs in both together")


def tell_registry(trained: trainyard.Run, bucket: str, prefix: str) -> None:
    """The model where SageMaker left it, and in the registry."""
    packages = boto3.client("sagemaker").list_model_packages(ModelPackageGroupName=f"{prefix}digits")
    (package,) = packages["ModelPackageSummaryList"]
    key = f"models/{prefix}{trained.id}/output/model.tar.gz"
    size = boto3.client("s3").head_object(Bucket=bucket, Key=key)["ContentLength"]
    say(f"\nThe model bucket has     s3://{bucket}/{key} ({size >> 10} KiB)")
    say(f"SageMaker's registry has {package['ModelPackageArn'].partition('model-package/')[2]}")


def predict(yard: trainyard.Yard, model: str) -> None:
    run("trainyard", "infer", model, "data/scans.csv", "--on", YARD)
    done = yard.runs(kind="inference", limit=1)[0]
    jobs = boto3.client("batch").list_jobs(
        jobQueue=facts()["job-queue-arn"],
        filters=[{"name": "JOB_NAME", "values": [f"trainyard-{YARD}-{done.id}*"]}],
    )["jobSummaryList"]
    say("\nAWS Batch says:")
    for job in sorted(jobs, key=lambda job: int(job["createdAt"])):
        size = job.get("arrayProperties", {}).get("size")
        array = f", an array of {size}" if size else ""
        say(f"  {job['jobName'].rpartition('-')[2]:<8} {job['status']}{array}")
    folder = Path(f"predictions-of-{done.id}")
    run("trainyard", "pull", done.id, str(folder), "--on", YARD)
    count_predictions(folder)


def subscribe(topic: str) -> str:
    """A queue that gets what the topic tells people; its URL."""
    sqs = boto3.client("sqs")
    url: str = sqs.create_queue(QueueName="mailbox")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    boto3.client("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)
    return url


def fail_and_be_told(topic: str) -> None:
    """A job that fails, and the message that everybody who subscribed to the topic gets."""
    mailbox = subscribe(topic)
    command = ["trainyard", "train", "--on", YARD, "-p", "learning_rate=fast"]
    say(f"\n$ {' '.join(command)}")
    status = subprocess.run(command, check=False).returncode
    demand(status == 1, f"a job that fails ends with status 1, not {status}")
    message = receive(mailbox)
    demand("fast" in message, f"the notification has the reason: {message}")
    say("\nThe notification topic told its subscribers:")
    say(f"  {' '.join(message.split())}")


def receive(mailbox: str) -> str:
    sqs, deadline = boto3.client("sqs"), time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        for message in sqs.receive_message(QueueUrl=mailbox, WaitTimeSeconds=1).get("Messages", []):
            body: dict[str, Any] = json.loads(message["Body"])
            return str(body["Message"])
    sys.exit("demo: not as promised: a failure is told to the subscribers of the topic")


def main() -> None:
    began = time.monotonic()
    prepare(Path(sys.argv[1] if len(sys.argv) > 1 else "demo").resolve())
    say("The same job on AWS, emulated on this machine.")
    if not start_sandbox():
        return
    try:
        enter_sandbox()
        tell_stacks()
        yard, known = trainyard.connect(YARD), facts()
        run("trainyard", "data", "push", "digits", "data/train", "--on", YARD)
        trained = train(yard)
        compare_with_local(yard, trained)
        tell_log(trained, known["job-name-prefix"])
        tell_registry(trained, known["model-bucket"], known["job-name-prefix"])
        predict(yard, trained.model or "")
        fail_and_be_told(known["notification-topic-arn"])
    finally:
        run("trainyard", "sandbox", "stop")
    say(f"\nAll as promised, in {time.monotonic() - began:.0f} s.")


if __name__ == "__main__":
    main()
