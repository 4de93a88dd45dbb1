"""An attacker with a job's credentials, or with none, at the sandbox's port; and one inside a job."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterator
from typing import NamedTuple
from urllib.parse import urlencode

import pytest

from .conftest import RunningSandbox
from .training import Training

FORM = "application/x-www-form-urlencoded"


class Answer(NamedTuple):
    status: int
    text: str


class Attacker:
    """Sends whatever it likes, in the name of a training job's role."""

    def __init__(self, sandbox: RunningSandbox, role: str) -> None:
        self._host = sandbox.address["endpoint"].removeprefix("http://")
        found = sandbox.client("sts").assume_role(RoleArn=role, RoleSessionName="mallory")["Credentials"]
        self.key = found["AccessKeyId"]

    def credential(self, service: str, key: str = "") -> str:
        return f"{key or self.key}/20260101/us-east-1/{service}/aws4_request"

    def signed(self, service: str, key: str = "") -> str:
        return f"AWS4-HMAC-SHA256 Credential={self.credential(service, key)}, SignedHeaders=host, Signature=0"

    def send(
        self, method: str, path: str, *headers: tuple[str, str], body: bytes = b"", length: str | None = None
    ) -> Answer:
        """The answer to exactly this."""
        connection = http.client.HTTPConnection(self._host, timeout=30)
        try:
            connection.putrequest(method, path, skip_accept_encoding=True)
            for name, value in headers:
                connection.putheader(name, value)
            connection.putheader("Content-Length", str(len(body)) if length is None else length)
            connection.endheaders(body or None)
            with connection.getresponse() as answer:
                return Answer(answer.status, answer.read().decode())
        finally:
            connection.close()

    def s3(self, method: str, path: str, *headers: tuple[str, str], body: bytes = b"") -> Answer:
        return self.send(method, path, ("Authorization", self.signed("s3")), *headers, body=body)


@pytest.fixture(scope="module")
def attacker(sandbox: RunningSandbox, training: Training) -> Attacker:
    return Attacker(sandbox, training.role)


@pytest.fixture(scope="module")
def bucket(sandbox: RunningSandbox, training: Training) -> Iterator[str]:
    """The model bucket, with something secret and something that the attacker may write to."""
    training.s3.put_object(Bucket=training.models, Key="notebooks/secret", Body=b"secret")
    training.s3.put_object(Bucket=training.models, Key="models/own", Body=b"own")
    yield training.models


def test_a_request_with_two_credentials_has_none(
    sandbox: RunningSandbox, attacker: Attacker, bucket: str
) -> None:
    secret, admin = f"/{bucket}/notebooks/secret", sandbox.address["access_key"]
    assert attacker.s3("GET", secret).status == 403
    both, credential = [attacker.signed("s3"), attacker.signed("s3", admin)], attacker.credential("s3", admin)
    for first, second in (both, both[::-1]):
        in_one = first.replace("SignedHeaders", f"Credential={credential}, SignedHeaders")
        for headers in (
            [("Authorization", f"{first},{second}")],
            [("Authorization", first), ("Authorization", second)],
            [("Authorization", in_one)],
        ):
            assert attacker.send("GET", secret, *headers).status == 400
    query = urlencode({"X-Amz-Credential": attacker.credential("s3", admin)})
    assert attacker.s3("GET", f"{secret}?{query}").status == 400
    twice = urlencode([("X-Amz-Credential", attacker.credential("s3", key)) for key in (admin, attacker.key)])
    assert attacker.send("GET", f"{secret}?{twice}").status == 400


def test_a_signature_for_a_service_that_needs_no_permission_opens_no_other(
    attacker: Attacker, bucket: str
) -> None:
    query = urlencode({"Action": "GetCallerIdentity", "X-Amz-Credential": attacker.credential("sts")})
    answer = attacker.send("GET", f"/{bucket}/notebooks/secret?{query}")
    assert "secret" not in answer.text


TARGET = ("X-Amz-Target", "SageMaker.ListTrainingJobs")
EVIL = "StopTrainingJob"
JSON = ("Content-Type", "application/x-amz-json-1.1")


@pytest.mark.parametrize(
    ("path", "headers", "body"),
    [
        (f"/?Action={EVIL}", [TARGET, JSON], b"{}"),
        ("/", [TARGET, ("X-Amz-Target", f"SageMaker.{EVIL}"), JSON], b"{}"),
        ("/", [TARGET, ("Content-Type", FORM)], f"Action={EVIL}".encode()),
        ("/", [TARGET, JSON], f"&Action={EVIL}&".encode()),
        ("/", [TARGET, JSON], b'{"MaxResults": 1, "MaxResults": 2}'),
        ("//x/", [TARGET, JSON], b"{}"),
        ("http://127.0.0.1/", [TARGET, JSON], b"{}"),
    ],
)
def test_a_request_that_names_two_operations_is_refused(
    attacker: Attacker, path: str, headers: list[tuple[str, str]], body: bytes
) -> None:
    signed = ("Authorization", attacker.signed("sagemaker"))
    assert attacker.send("POST", path, signed, *headers, body=body).status == 400


def test_an_operation_hidden_in_a_text_is_a_text(sandbox: RunningSandbox, training: Training) -> None:
    """moto looks for a form in every body: with an ampersand in it, the text would name the operation."""
    logs = sandbox.client("logs")
    logs.create_log_group(logGroupName="attacks")
    logs.create_log_stream(logGroupName="attacks", logStreamName="one")
    text = "x&Action=DeleteLogGroup&logGroupName=attacks&y"
    event = {"timestamp": int(time.time() * 1000), "message": text}
    logs.put_log_events(logGroupName="attacks", logStreamName="one", logEvents=[event])
    [found] = logs.get_log_events(logGroupName="attacks", logStreamName="one")["events"]
    assert found["message"] == event["message"]


@pytest.mark.parametrize(
    ("method", "query", "body"),
    [
        ("POST", "", "Action=GetCallerIdentity&Action=AssumeRole"),
        ("POST", "?Action=GetCallerIdentity", "Action=AssumeRole"),
        ("POST", "?RoleArn=theirs", "Action=AssumeRole&RoleArn=mine"),
        ("GET", "?Action=GetCallerIdentity", "Action=AssumeRole"),
    ],
)
def test_a_form_says_each_thing_once(attacker: Attacker, method: str, query: str, body: str) -> None:
    headers = [("Authorization", attacker.signed("sts")), ("Content-Type", FORM)]
    assert attacker.send(method, f"/{query}", *headers, body=body.encode()).status == 400


def test_a_parameter_of_the_path_is_not_said_again_elsewhere(attacker: Attacker) -> None:
    headers = [("Authorization", attacker.signed("batch")), ("Content-Type", "application/json")]
    body = json.dumps({"resourceArn": "another", "tags": {}}).encode()
    assert attacker.send("POST", "/v1/tags/one", *headers, body=body).status == 400
    assert attacker.send("POST", "/v1/tags/one?tags=x", *headers, body=b'{"tags": {}}').status == 400


def test_parts_go_to_the_upload_of_their_own_object(attacker: Attacker, training: Training) -> None:
    begun = training.s3.create_multipart_upload(Bucket=training.models, Key="notebooks/victim")
    place = {"Bucket": training.models, "Key": "notebooks/victim", "UploadId": begun["UploadId"]}
    part = training.s3.upload_part(**place, PartNumber=1, Body=b"victim")
    own, query = f"/{training.models}/models/own", urlencode({"uploadId": begun["UploadId"]})
    assert attacker.s3("PUT", f"{own}?partNumber=1&{query}", body=b"theirs").status == 404
    xml = f"<a><Part><PartNumber>1</PartNumber><ETag>{part['ETag']}</ETag></Part></a>".encode()
    assert attacker.s3("POST", f"{own}?{query}", body=xml).status == 404
    assert attacker.s3("DELETE", f"{own}?{query}").status == 404
    # The id of one's own in the query, another's in what moto takes for a form.
    mine = training.s3.create_multipart_upload(Bucket=training.models, Key="models/own")["UploadId"]
    sent = urlencode({"uploadId": begun["UploadId"], "partNumber": 1}).encode()
    path = f"{own}?{urlencode({'partNumber': 1, 'uploadId': mine})}"
    attacker.s3("PUT", path, ("Content-Type", FORM), body=sent)
    attacker.s3("PUT", f"{path}&{query}", body=b"theirs")
    done = {"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]}
    training.s3.complete_multipart_upload(**place, MultipartUpload=done)
    found = training.s3.get_object(Bucket=training.models, Key="notebooks/victim")["Body"].read()
    assert found == b"victim"


def test_what_a_job_may_not_delete_is_not_named_in_a_body(attacker: Attacker, training: Training) -> None:
    """It may delete a checkpoint, and none of a checkpoint's versions."""
    place = {"Bucket": training.models, "Key": "checkpoints/epoch"}
    version = training.s3.put_object(**place, Body=b"old")["VersionId"]
    path = f"/{training.models}/checkpoints/epoch"
    assert attacker.s3("DELETE", f"{path}?versionId={version}").status == 403
    for body, kind in ((json.dumps({"versionId": version}), "text/plain"), (f"versionId={version}", FORM)):
        attacker.s3("DELETE", path, ("Content-Type", kind), body=body.encode())
    assert training.s3.get_object(**place, VersionId=version)["Body"].read() == b"old"


@pytest.mark.parametrize("path", ["/{bucket}%2Fmodels/x", "/{bucket}/models#/x"])
def test_a_path_that_can_be_read_in_two_ways_is_refused(attacker: Attacker, bucket: str, path: str) -> None:
    assert attacker.s3("PUT", path.format(bucket=bucket), body=b"x").status == 400


def test_a_request_that_is_two_operations_of_s3_is_refused(attacker: Attacker, bucket: str) -> None:
    for query in ("acl&tagging", "uploadId=1&partNumber=1&acl", "versionId=1&versionId=2"):
        assert attacker.s3("PUT", f"/{bucket}/models/own?{query}", body=b"x").status == 400


def test_motos_own_headers_choose_no_account(attacker: Attacker, training: Training) -> None:
    headers = [("Authorization", attacker.signed("sts")), ("X-Moto-Account-Id", "999999999999")]
    answer = attacker.send("GET", "/?Action=GetCallerIdentity&Version=2011-06-15", *headers)
    assert "<Account>123456789012</Account>" in answer.text


@pytest.mark.parametrize("method", ["PUT", "POST"])
def test_strangers_are_refused_before_a_byte_of_theirs_is_read(
    attacker: Attacker, bucket: str, method: str
) -> None:
    """Nothing is sent but headers: an answer comes only from who does not wait for the rest."""
    unknown = attacker.signed("s3", "AKIA" + "A" * 16)
    for headers in ([], [("Authorization", unknown)], [("Authorization", attacker.signed("s3").lower())]):
        answer = attacker.send(method, f"/{bucket}/models/x", *headers, length=str(1_200_000_000))
        assert answer.status == 403


def test_a_body_has_an_end(attacker: Attacker, bucket: str) -> None:
    headers = [("Authorization", attacker.signed("s3"))]
    answer = attacker.send("PUT", f"/{bucket}/models/x", *headers, length=str(2 << 30))
    assert answer.status == 400 and "EntityTooLarge" in answer.text
    headers = [("Authorization", attacker.signed("sagemaker")), TARGET, JSON]
    assert attacker.send("POST", "/", *headers, length=str(1 << 30)).status == 413


@pytest.mark.parametrize("length", ["abc", "-1", "1_0", "0x10", "1.0", "5, 5"])
@pytest.mark.parametrize("path", ["/", "/_trainyard/status", "/_trainyard/credentials/x"])
def test_a_length_that_is_none_is_a_bad_request(attacker: Attacker, path: str, length: str) -> None:
    assert attacker.send("POST", path, length=length).status == 400


def test_a_body_is_as_long_as_one_header_says(attacker: Attacker) -> None:
    headers = [("Authorization", attacker.signed("s3")), ("Transfer-Encoding", "chunked")]
    assert attacker.send("PUT", "/bucket/models/x", *headers, length="5").status == 400


LOOKS = """
find {home} | wc -l
umount {home}
cat {home}/address.json /proc/{server}/cwd{home}/address.json
for pid in 1 {server} $(ps -o pid= --ppid {server}); do cat /proc/$pid/root{home}/address.json; done
unshare -Urm sh -c "umount {home}; cat {home}/address.json"
nsenter --mount=/proc/{server}/ns/mnt cat {home}/address.json
cat /proc/{server}/environ /proc/{server}/mem
echo looked
"""


def test_a_job_in_a_namespace_finds_no_credentials_on_the_disk(
    sandbox: RunningSandbox, training: Training
) -> None:
    script = LOOKS.format(home=sandbox.folder / "home", server=sandbox.process.pid)
    name = training.create(f"exec 2>&1\n{script}")
    training.completed(name)
    log = training.log(name)
    assert log[0] == "1" and log[-1] == "looked"
    assert not [line for line in log if sandbox.address["secret_key"] in line]
    assert not [line for line in log if sandbox.address["token"] in line]


LINKS = """
for folder in model output/data checkpoints; do
    cd /opt/ml/$folder
    ln -s {home}/address.json a; ln -s ../../../../../../etc/passwd b; ln -s {home} c; ln -s / d
    ln -s ../../../address.json e; echo own > own; ln -s /opt/ml/$folder/own link
done
"""


def test_links_that_a_job_leaves_send_nothing_of_the_machines(
    sandbox: RunningSandbox, training: Training
) -> None:
    prefix, home = f"checkpoints/{time.time_ns()}/", sandbox.folder / "home"
    config = {"S3Uri": f"s3://{training.models}/{prefix}"}
    name = training.create(LINKS.format(home=home), CheckpointConfig=config)
    training.completed(name)
    wanted = {"own": b"own\n", "link": b"own\n"}
    assert training.archive(name, "model") == training.archive(name, "output") == wanted
    assert training.objects(prefix) == wanted
    failed = training.end_of(training.create(f"ln -s {home}/address.json /opt/ml/output/failure; exit 1"))
    assert failed["FailureReason"] == "AlgorithmError: , exit code: 1"


def test_a_checkpoint_whose_key_climbs_is_written_nowhere(training: Training) -> None:
    """A job may name its objects as it likes; what is restored lies in the folder of the next attempt."""
    prefix = f"checkpoints/{time.time_ns()}"
    training.s3.put_object(Bucket=training.models, Key=f"{prefix}/../../../climbed", Body=b"x")
    config = {"S3Uri": f"s3://{training.models}/{prefix}"}
    reason = training.end_of(training.create("true", CheckpointConfig=config))["FailureReason"]
    assert "leads out of the channel's folder" in reason
