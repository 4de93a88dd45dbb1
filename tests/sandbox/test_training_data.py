"""How a training job's data come to it, and what it is told where they do not."""

from __future__ import annotations

import json

import pytest

from .training import Training


def test_objects_lie_below_the_channel_by_the_rest_of_their_keys(training: Training) -> None:
    for key in ("lie/train/a.csv", "lie/train/deep/b.csv", "lie/train-too/c.csv", "lie/one.csv"):
        training.put(key, key)
    base = training.at("lie")
    channels = {"slash": f"{base}/train/", "plain": f"{base}/train", "one": f"{base}/one.csv"}
    name = training.create(
        "cd /opt/ml/input/data; find . -type f | sort",
        InputDataConfig=[training.channel(channel, source) for channel, source in channels.items()],
    )
    training.completed(name)
    assert training.log(name) == [
        "./one/one.csv",
        "./plain/a.csv",
        "./plain/deep/b.csv",
        "./plain/train-too/c.csv",
        "./slash/a.csv",
        "./slash/deep/b.csv",
    ]


def test_a_copied_channel_can_be_written_and_a_mounted_one_cannot(training: Training) -> None:
    source = training.put("modes/a.csv", "x")
    name = training.create(
        "cd /opt/ml/input/data; echo y > file/a.csv && echo written; echo y > fast/a.csv || echo refused",
        InputDataConfig=[
            training.channel("file", source),
            training.channel("fast", source, InputMode="FastFile"),
        ],
    )
    training.completed(name)
    assert [line for line in training.log(name) if line in ("written", "refused")] == ["written", "refused"]
    assert training.s3.get_object(Bucket=training.datasets, Key="datasets/modes/a.csv")["Body"].read() == b"x"


def test_shards_are_dealt_by_key_and_replicas_given_to_all(training: Training) -> None:
    for number in range(5):
        training.put(f"deal/{number}")
    base = training.at("deal/")
    name = training.create(
        "echo $(ls /opt/ml/input/data/dealt) of $(ls /opt/ml/input/data/all)",
        hosts=2,
        InputDataConfig=[
            training.channel("dealt", base, dealt="ShardedByS3Key"),
            training.channel("all", base),
        ],
    )
    training.completed(name)
    assert training.log(name) == ["0 2 4 of 0 1 2 3 4", "1 3 of 0 1 2 3 4"]


def test_a_manifest_names_the_objects(training: Training) -> None:
    for key in ("picked/a", "picked/deep/b", "picked/not"):
        training.put(key)
    entries = [{"prefix": training.at("picked/")}, "a", "deep/b"]
    manifest = training.put("manifests/one", json.dumps(entries))
    name = training.create(
        "cd /opt/ml/input/data/some; find . -type f | sort",
        InputDataConfig=[training.channel("some", manifest, kind="ManifestFile")],
    )
    training.completed(name)
    assert training.log(name) == ["./a", "./deep/b"]


def test_a_prefix_with_nothing_below_it_fails_the_job_in_awss_words(training: Training) -> None:
    source = training.at("nothing/here/")
    name = training.create("true", InputDataConfig=[training.channel("train", source)])
    job = training.end_of(name)
    assert job["FailureReason"] == (
        f'ClientError: Data download failed:No S3 objects found under S3 URL "{source}" given in input data '
        "source. Please ensure that the bucket exists in the selected region (us-east-1), that objects exist "
        f'under that S3 prefix, and that the role "{training.role}" has "s3:ListBucket" permissions on '
        f'bucket "{training.datasets}".'
    )


def test_a_bucket_that_the_role_may_not_read_fails_the_job(training: Training) -> None:
    training.s3.create_bucket(Bucket="someone-elses")
    training.s3.put_object(Bucket="someone-elses", Key="a", Body=b"")
    name = training.create("true", InputDataConfig=[training.channel("train", "s3://someone-elses/a")])
    reason = training.end_of(name)["FailureReason"]
    assert reason == "ClientError: Data download failed:AccessDenied (403): Access Denied"


def test_a_bucket_in_another_region_fails_the_job(training: Training) -> None:
    training.s3.create_bucket(
        Bucket="far-away", CreateBucketConfiguration={"LocationConstraint": "eu-west-1"}
    )
    name = training.create("true", InputDataConfig=[training.channel("train", "s3://far-away/a")])
    reason = training.end_of(name)["FailureReason"]
    assert reason == (
        "ClientError: Data download failed:PermanentRedirect (301): The bucket is in this region: eu-west-1. "
        "Please use this region to retry the request"
    )


def test_a_bucket_that_is_not_there_fails_the_job(training: Training) -> None:
    name = training.create("true", InputDataConfig=[training.channel("train", "s3://no-such-bucket/a")])
    assert "NoSuchBucket (404): The specified bucket does not exist" in training.end_of(name)["FailureReason"]


@pytest.mark.parametrize("key", ["climb/../../../up", "climb/a/../../b"])
def test_a_key_that_climbs_out_of_the_channel_fails_the_job(training: Training, key: str) -> None:
    training.put(key)
    source = training.at("climb/")
    name = training.create("true", InputDataConfig=[training.channel("train", source)])
    assert "leads out of the channel's folder" in training.end_of(name)["FailureReason"]
    training.s3.delete_object(Bucket=training.datasets, Key=f"datasets/{key}")


def test_an_output_that_cannot_be_written_fails_the_job(training: Training) -> None:
    name = training.create(
        "echo w > /opt/ml/model/w", OutputDataConfig={"S3OutputPath": f"s3://{training.datasets}/not-here"}
    )
    reason = training.end_of(name)["FailureReason"]
    assert reason == "ClientError: Artifact upload failed:AccessDenied (403): Access Denied"


def test_an_uncompressed_model_is_the_files_as_they_are(training: Training) -> None:
    output = {"S3OutputPath": f"s3://{training.models}/models/", "CompressionType": "NONE"}
    name = training.create("cd /opt/ml/model; mkdir d; echo w > d/w", OutputDataConfig=output)
    job = training.completed(name)
    artifact = f"s3://{training.models}/models/{name}/output/model/"
    assert job["ModelArtifacts"]["S3ModelArtifacts"] == artifact
    assert training.objects(f"models/{name}/output/model/") == {"d/w": b"w\n"}


def test_links_and_forbidden_files_of_a_model_are_packed(training: Training) -> None:
    name = training.create(
        "cd /opt/ml/model; echo w > w; ln -s w link; mkdir e; ln -s .. e/circle; ln -s none broken; chmod 0 w"
    )
    training.completed(name)
    assert training.archive(name, "model") == {"w": b"w\n", "link": b"w\n"}


def test_hosts_models_become_one_archive(training: Training) -> None:
    name = training.create(
        "hostname=$(cut -d'\"' -f4 /opt/ml/input/config/resourceconfig.json)\n"
        "echo $hostname > /opt/ml/model/$hostname",
        hosts=2,
    )
    training.completed(name)
    assert training.archive(name, "model") == {"algo-1": b"algo-1\n", "algo-2": b"algo-2\n"}


def test_a_script_may_do_with_its_credentials_what_its_role_may(training: Training) -> None:
    python = (
        "import boto3\n"
        "s3 = boto3.client('s3')\n"
        f"s3.put_object(Bucket={training.models!r}, Key='checkpoints/by-script', Body=b'x')\n"
        f"print(s3.get_object(Bucket={training.models!r}, Key='checkpoints/by-script')['Body'].read())\n"
        f"try: s3.put_object(Bucket={training.datasets!r}, Key='datasets/a', Body=b'x')\n"
        "except s3.exceptions.ClientError as error: print(error.response['Error']['Code'])\n"
    )
    name = training.create(f"exec python3 -u - << 'END'\n{python}END\n")
    training.completed(name)
    assert training.log(name) == ["b'x'", "AccessDenied"]


def test_a_container_without_a_network_gets_no_credentials(training: Training) -> None:
    name = training.create("env", EnableNetworkIsolation=True)
    training.completed(name)
    assert not [line for line in training.log(name) if line.startswith("AWS_CONTAINER_CREDENTIALS")]
