"""EventBridge in the sandbox: what happens reaches the topics, queues and listeners that want it."""

from __future__ import annotations

import datetime
import http.server
import json
import threading
import time
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from conftest import becomes_true

from .batch import Batch
from .conftest import RunningSandbox
from .training import Training


class Topic:
    """A topic with a rule that leads to it, and a queue that gets what is published."""

    def __init__(self, sandbox: RunningSandbox) -> None:
        self.name = f"test-{uuid.uuid4().hex[:8]}"
        self.sns, self.sqs, self.events = (sandbox.client(name) for name in ("sns", "sqs", "events"))
        self.arn = self.sns.create_topic(Name=self.name)["TopicArn"]
        self.queue = self.sqs.create_queue(QueueName=self.name)["QueueUrl"]
        queue_arn = self.sqs.get_queue_attributes(QueueUrl=self.queue, AttributeNames=["QueueArn"])
        self.sns.subscribe(TopicArn=self.arn, Protocol="sqs", Endpoint=queue_arn["Attributes"]["QueueArn"])

    def want(self, pattern: dict[str, Any], **target: Any) -> None:
        """A rule of that pattern with the topic for its target."""
        self.events.put_rule(Name=self.name, EventPattern=json.dumps(pattern))
        self.events.put_targets(Rule=self.name, Targets=[{"Id": "topic", "Arn": self.arn, **target}])

    def messages(self, number: int = 1, seconds: float = 15.0) -> list[str]:
        """The messages that came to the queue, as soon as there are so many."""
        found: list[str] = []
        deadline = time.monotonic() + seconds
        while len(found) < number and time.monotonic() < deadline:
            answer = self.sqs.receive_message(QueueUrl=self.queue, MaxNumberOfMessages=10)
            for each in answer.get("Messages", []):
                found.append(json.loads(each["Body"])["Message"])
                self.sqs.delete_message(QueueUrl=self.queue, ReceiptHandle=each["ReceiptHandle"])
            time.sleep(0.02)
        return found


@pytest.fixture
def topic(sandbox: RunningSandbox) -> Topic:
    return Topic(sandbox)


@pytest.fixture(scope="module")
def batch(sandbox: RunningSandbox) -> Batch:
    return Batch(sandbox)


def put(sandbox: RunningSandbox, source: str, detail: dict[str, Any], **more: Any) -> dict[str, Any]:
    """An event of a user."""
    entry = {"Source": source, "DetailType": "Something", "Detail": json.dumps(detail), **more}
    return dict(sandbox.client("events").put_events(Entries=[entry]))


def test_a_job_tells_of_each_status_but_the_first(batch: Batch, topic: Topic) -> None:
    name = f"told-{uuid.uuid4().hex[:8]}"
    topic.want({"source": ["aws.batch"], "detail": {"jobName": [name]}})
    id = batch.submit("echo x", jobName=name, tags={"a": "b"})
    batch.end_of(id)
    events = [json.loads(message) for message in topic.messages(4)]
    assert [event["detail"]["status"] for event in events] == ["RUNNABLE", "STARTING", "RUNNING", "SUCCEEDED"]
    last = events[-1]
    assert last["detail-type"] == "Batch Job State Change"
    assert last["resources"] == [last["detail"]["jobArn"]]
    assert last["account"] == batch.queue_arn.split(":")[4]
    datetime.datetime.strptime(last["time"], "%Y-%m-%dT%H:%M:%SZ")
    assert last["detail"]["jobQueue"] == batch.queue_arn
    assert last["detail"]["container"]["exitCode"] == 0
    assert last["detail"]["tags"] == {"a": "b"}


def test_the_stacks_rule_tells_of_a_failed_job_in_the_words_of_its_template(
    sandbox: RunningSandbox, batch: Batch
) -> None:
    name = f"fails-{uuid.uuid4().hex[:8]}"
    batch.end_of(batch.submit("exit 1", jobName=name))

    def told() -> list[dict[str, Any]]:
        topics = sandbox.control("notifications")["topics"]
        messages = [
            json.loads(m["message"]) for topic in topics for m in topic["messages"] if name in m["message"]
        ]
        return [message for message in messages if message.get("what")]

    assert becomes_true(told)
    [message] = told()
    assert message["environment"] == "trainyard-sandbox"
    assert message["what"] == "a Batch job failed"
    assert message["reason"] == "Essential container in task exited"


def test_the_stacks_rule_tells_of_a_failed_training_job_and_why(
    sandbox: RunningSandbox, training: Training
) -> None:
    name = f"trainyard-sandbox-{uuid.uuid4().hex[:8]}"
    training.create("echo 'he said \"no\"' >/opt/ml/output/failure; exit 1", name=name)

    def told() -> list[dict[str, Any]]:
        topics = sandbox.control("notifications")["topics"]
        return [json.loads(m["message"]) for t in topics for m in t["messages"] if name in m["message"]]

    assert becomes_true(told)
    [message] = told()
    assert message["what"] == "a training job failed"
    assert message["job"] == name
    assert 'he said "no"' in message["reason"]


def test_the_stacks_rule_tells_of_a_training_job_that_ran_out_of_time(
    sandbox: RunningSandbox, training: Training
) -> None:
    name = f"trainyard-sandbox-{uuid.uuid4().hex[:8]}"
    training.create("sleep 60", name=name, StoppingCondition={"MaxRuntimeInSeconds": 1})

    def told() -> list[dict[str, Any]]:
        topics = sandbox.control("notifications")["topics"]
        return [json.loads(m["message"]) for t in topics for m in t["messages"] if name in m["message"]]

    assert becomes_true(told)
    [message] = told()
    assert (message["what"], message["reason"]) == ("a training job ran out of time", "MaxRuntimeExceeded")


def test_a_failure_is_told_of_once_and_not_by_each_child_nor_by_what_waits_for_it(
    sandbox: RunningSandbox, batch: Batch
) -> None:
    name = f"array-{uuid.uuid4().hex[:8]}"
    failed = batch.submit("exit 1", jobName=name, arrayProperties={"size": 5})
    batch.end_of(batch.submit("true", jobName=f"after-{name}", dependsOn=[{"jobId": failed}]))

    def told() -> list[str]:
        topics = sandbox.control("notifications")["topics"]
        return [m["message"] for topic in topics for m in topic["messages"] if name in m["message"]]

    assert becomes_true(told)
    time.sleep(0.2)  # for those that must not come
    assert len(told()) == 1
    assert json.loads(told()[0])["reason"] == "Array Child Job failed"


def test_a_job_that_a_person_stopped_is_no_failure_to_tell_of(sandbox: RunningSandbox, batch: Batch) -> None:
    name = f"stopped-{uuid.uuid4().hex[:8]}"
    id = batch.submit("sleep 60", jobName=name)
    batch.wait_for(id, "RUNNING")
    batch.client.terminate_job(jobId=id, reason="stopped by trainyard stop")
    batch.end_of(id)
    after = f"fails-{uuid.uuid4().hex[:8]}"
    batch.end_of(batch.submit("exit 1", jobName=after))

    def told(word: str) -> bool:
        return any(
            word in m["message"]
            for topic in sandbox.control("notifications")["topics"]
            for m in topic["messages"]
        )

    assert becomes_true(lambda: told(after))
    assert not told(name)


def test_a_blocked_queue_is_told_of(sandbox: RunningSandbox, batch: Batch, topic: Topic) -> None:
    topic.want({"detail-type": ["Batch Job Queue Blocked"]})
    sandbox.control("settings", has_capacity=False)
    try:
        id = batch.submit("true")
        event = json.loads(topic.messages(1)[0])
    finally:
        sandbox.control("settings", has_capacity=True)
    assert event["resources"] == [event["detail"]["jobArn"], batch.queue_arn]
    assert (event["detail"]["jobId"], event["detail"]["status"]) == (id, "RUNNABLE")
    assert event["detail"]["statusReason"].startswith("CAPACITY:INSUFFICIENT_INSTANCE_CAPACITY")
    batch.end_of(id)


def test_an_event_of_a_user_goes_the_same_way(sandbox: RunningSandbox, topic: Topic) -> None:
    source = f"mine.{topic.name}"
    topic.want({"source": [source], "detail": {"n": [{"numeric": [">", 1]}]}})
    put(sandbox, source, {"n": 1})
    answer = put(sandbox, source, {"n": 2}, Resources=["arn:aws:s3:::x"])
    event = json.loads(topic.messages(1)[0])
    assert event["detail"] == {"n": 2}
    assert event["id"] == answer["Entries"][0]["EventId"]
    assert event["resources"] == ["arn:aws:s3:::x"]
    assert "ingestion-time" not in event
    datetime.datetime.strptime(event["time"], "%Y-%m-%dT%H:%M:%SZ")


def test_a_disabled_rule_sends_nothing(sandbox: RunningSandbox, topic: Topic) -> None:
    source = f"mine.{topic.name}"
    topic.want({"source": [source]})
    topic.events.disable_rule(Name=topic.name)
    put(sandbox, source, {"n": 1})
    topic.events.enable_rule(Name=topic.name)
    put(sandbox, source, {"n": 2})
    assert [json.loads(message)["detail"]["n"] for message in topic.messages(1)] == [2]


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ({"InputPath": "$.detail"}, '{"word":"a \\"b\\"\\n","list":[1,2]}'),
        ({"InputPath": "$.detail.list[1]"}, "2"),
        ({"Input": '"constant"'}, '"constant"'),
        (
            {
                "InputTransformer": {
                    "InputPathsMap": {"word": "$.detail.word", "missing": "$.detail.missing"},
                    "InputTemplate": '{"a": <word>, "b": "x<missing>y", "rule": <aws.events.rule-name>}',
                }
            },
            '{"a":"a \\"b\\"\\n","b":"xy","rule":"%s"}',
        ),
        (
            {
                "InputTransformer": {
                    "InputPathsMap": {"list": "$.detail.list", "first": "$.detail.list[0]"},
                    "InputTemplate": '"the list <list> begins with <first>"',
                }
            },
            '"the list [1,2] begins with 1"',
        ),
    ],
)
def test_a_target_gets_what_its_input_says(
    sandbox: RunningSandbox, topic: Topic, target: dict[str, Any], message: str
) -> None:
    source = f"mine.{topic.name}"
    topic.want({"source": [source]}, **target)
    put(sandbox, source, {"word": 'a "b"\n', "list": [1, 2]})
    assert topic.messages(1) == [message.replace("%s", topic.name)]


def test_an_sqs_queue_can_be_the_target_itself(sandbox: RunningSandbox, topic: Topic) -> None:
    source = f"mine.{topic.name}"
    arn = topic.sqs.get_queue_attributes(QueueUrl=topic.queue, AttributeNames=["QueueArn"])["Attributes"]
    topic.events.put_rule(Name=topic.name, EventPattern=json.dumps({"source": [source]}))
    topic.events.put_targets(Rule=topic.name, Targets=[{"Id": "queue", "Arn": arn["QueueArn"]}])
    put(sandbox, source, {"n": 3})
    found: list[dict[str, Any]] = []

    def came() -> bool:
        found.extend(topic.sqs.receive_message(QueueUrl=topic.queue).get("Messages", []))
        return bool(found)

    assert becomes_true(came)
    assert json.loads(found[0]["Body"])["detail"] == {"n": 3}


class Listener(http.server.BaseHTTPRequestHandler):
    """A subscriber over HTTP that keeps what it was sent."""

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.received.append(json.loads(body))  # type: ignore[attr-defined]
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def listener() -> Iterator[http.server.ThreadingHTTPServer]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Listener) as server:
        server.received = []  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def test_a_subscriber_over_http_hears_of_it_and_one_that_is_away_holds_up_nobody(
    sandbox: RunningSandbox, topic: Topic, listener: Any
) -> None:
    source = f"mine.{topic.name}"
    topic.want({"source": [source]})
    topic.sns.subscribe(TopicArn=topic.arn, Protocol="http", Endpoint="http://127.0.0.1:9/nobody")
    endpoint = f"http://127.0.0.1:{listener.server_port}/"
    topic.sns.subscribe(TopicArn=topic.arn, Protocol="http", Endpoint=endpoint)
    put(sandbox, source, {"n": 1})

    def heard() -> list[str]:
        return [each["Message"] for each in listener.received if each.get("Type") == "Notification"]

    assert becomes_true(heard)
    assert json.loads(heard()[0])["detail"] == {"n": 1}
    assert len(topic.messages(1)) == 1


def sum_of(sandbox: RunningSandbox, namespace: str, metric: str, **dimensions: str) -> float:
    """The sum of a metric over the last minutes."""
    now = datetime.datetime.now(datetime.UTC)
    answer = sandbox.client("cloudwatch").get_metric_statistics(
        Namespace=namespace,
        MetricName=metric,
        Dimensions=[{"Name": name, "Value": value} for name, value in dimensions.items()],
        StartTime=now - datetime.timedelta(minutes=10),
        EndTime=now + datetime.timedelta(minutes=1),
        Period=3600,
        Statistics=["Sum"],
    )
    return float(sum(point["Sum"] for point in answer["Datapoints"]))


def test_rules_count_what_they_match_and_what_could_not_be_delivered(
    sandbox: RunningSandbox, topic: Topic
) -> None:
    source = f"mine.{topic.name}"
    topic.want({"source": [source]})
    topic.events.put_targets(Rule=topic.name, Targets=[{"Id": "gone", "Arn": f"{topic.arn}-gone"}])
    for number in range(2):
        put(sandbox, source, {"n": number})
    topic.messages(2)

    def count(metric: str) -> float:
        return sum_of(sandbox, "AWS/Events", metric, RuleName=topic.name)

    assert becomes_true(lambda: count("FailedInvocations") == 2)
    assert count("TriggeredRules") == 2
    assert count("Invocations") == 4


def test_batch_counts_jobs_by_their_queue_and_children_and_not_their_parents(
    sandbox: RunningSandbox, batch: Batch
) -> None:
    def counts() -> dict[str, float]:
        names = (
            "JobsSubmitted",
            "JobsMovedToFailed",
            "JobsMovedToSucceeded",
            "JobsRetried",
            "JobsTerminated",
        )
        return {name: sum_of(sandbox, "AWS/Batch", name, JobQueueName=batch.queue) for name in names}

    assert becomes_true(lambda: counts() == counts())
    time.sleep(1.3)  # what earlier tests have made is put
    before = counts()
    batch.end_of(batch.submit("exit 1", arrayProperties={"size": 3}))
    batch.end_of(batch.submit("exit 1", retryStrategy={"attempts": 2}))
    id = batch.submit("sleep 60")
    batch.wait_for(id, "RUNNING")
    batch.client.terminate_job(jobId=id, reason="enough")
    batch.end_of(id)
    batch.end_of(batch.submit("true"))
    wanted = {
        "JobsSubmitted": 6.0,
        "JobsMovedToFailed": 5.0,
        "JobsMovedToSucceeded": 1.0,
        "JobsRetried": 1.0,
        "JobsTerminated": 1.0,
    }
    assert becomes_true(lambda: {name: value - before[name] for name, value in counts().items()} == wanted)
