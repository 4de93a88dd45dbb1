"""Which image a job runs in, and what is refused."""

from __future__ import annotations

import datetime

import pytest

from trainyard.aws.images import images, releases
from trainyard.core.environments.regions import DEEP_LEARNING_CONTAINERS
from trainyard.core.errors import Unsupported
from trainyard.core.jobs.instance_types import FAMILIES, has_local_disk, instance_types
from trainyard.core.jobs.job import Resources

from .jobs import DIGEST, training

OWN = f"123456789012.dkr.ecr.eu-central-1.amazonaws.com/team/images:v1@sha256:{DIGEST}"


def default(region: str = "eu-central-1", kind: str = "ml.m5.xlarge") -> str:
    return images.training_image(training(resources=Resources(instance_type=kind)), region)


@pytest.mark.parametrize("region", DEEP_LEARNING_CONTAINERS)
def test_every_region_that_can_be_deployed_to_has_a_default_image(region: str) -> None:
    found = images.ecr_image(default(region))
    assert found is not None
    assert (found.account, found.region) == (DEEP_LEARNING_CONTAINERS[region], region)
    assert (found.repository, found.tag) == (releases.DEFAULT.repository, releases.DEFAULT.cpu)
    assert found.suffix == ("amazonaws.com.cn" if region.startswith("cn-") else "amazonaws.com")


@pytest.mark.parametrize("kind", instance_types())
def test_machines_with_gpus_get_the_image_for_gpus(kind: str) -> None:
    family = kind.split(".")[1]
    if family.startswith(("trn", "p6e", "p2", "p3")):
        with pytest.raises(Unsupported, match="needs an image of its own"):
            default(kind=kind)
        return
    assert ("-cu133-" in default(kind=kind)) is (family[0] in "gp")
    assert ("-cpu-" in default(kind=kind)) is (family[0] not in "gp")


@pytest.mark.parametrize(
    ("day", "said"),
    [
        ("2027-04-20", ""),
        ("2027-04-21", "AWS patches it until 2027-07-20"),
        ("2027-07-20", "AWS patches it until 2027-07-20"),
        ("2027-07-21", "AWS has not patched it since 2027-07-20"),
    ],
)
def test_the_end_of_an_images_patches_is_told_ninety_days_before(day: str, said: str) -> None:
    today = datetime.date.fromisoformat(day)
    newest = releases.RELEASES[0]
    assert releases.expiry(newest.repository, newest.gpu, today) == said
    assert releases.expiry("team/images", newest.gpu, today) == ""


def test_releases_are_newest_first_with_tags_of_their_own() -> None:
    ends = [each.patched_until for each in releases.RELEASES]
    assert ends == sorted(ends, reverse=True)
    tags = [tag for each in releases.RELEASES for tag in (each.cpu, each.gpu)]
    assert len(set(tags)) == len(tags)


def test_a_region_without_containers_needs_an_image() -> None:
    with pytest.raises(Unsupported) as refused:
        default("eu-nowhere-1")
    assert refused.value.key == "train.image"
    assert "trainyard image push" in refused.value.cure


def test_a_jobs_own_image_is_taken_as_it_is() -> None:
    job = training(image=OWN, resources=Resources(instance_type="ml.trn1.2xlarge"))
    assert images.training_image(job, "eu-nowhere-1") == OWN


@pytest.mark.parametrize(
    ("image", "parts"),
    [
        (OWN, ("123456789012", "eu-central-1", "amazonaws.com", "team/images", "v1", f"sha256:{DIGEST}")),
        (
            "123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn/a:b",
            ("123456789012", "cn-north-1", "amazonaws.com.cn", "a", "b", ""),
        ),
        (
            "123456789012.dkr.ecr-fips.us-gov-west-1.amazonaws.com/a",
            ("123456789012", "us-gov-west-1", "amazonaws.com", "a", "", ""),
        ),
        ("public.ecr.aws/docker/library/python:3.12", None),
        ("python:3.12", None),
        ("registry.corp.example:5000/a/b", None),
    ],
)
def test_an_image_of_ecr_is_known_by_its_name(image: str, parts: tuple[str, ...] | None) -> None:
    found = images.ecr_image(image)
    assert (tuple(found) if found else None) == parts


@pytest.mark.parametrize(
    ("image", "registry"),
    [
        ("python", ""),
        ("team/image:1", ""),
        ("registry.corp.example/team/image", "registry.corp.example"),
        ("localhost:5000/image", "localhost:5000"),
        (OWN, "123456789012.dkr.ecr.eu-central-1.amazonaws.com"),
    ],
)
def test_the_registry_is_the_first_part_of_a_name_that_has_one(image: str, registry: str) -> None:
    assert images.registry_of(image) == registry


def test_a_digest_is_what_stands_for_an_image() -> None:
    assert images.digest_of(OWN) == f"sha256:{DIGEST}"
    assert images.short_digest(OWN) == DIGEST[:12]
    assert images.digest_of("python:3.12") == ""
    assert images.short_digest("python:3.12") != images.short_digest("python:3.13")


def test_families_with_disks_of_their_own_are_known_and_those_without_are_not() -> None:
    with_disk = {family for family in FAMILIES if has_local_disk(f"ml.{family}.xlarge")}
    assert {"g4dn", "g5", "p4d", "p4de", "p5", "r5d", "trn1", "p3dn"} <= with_disk
    assert not with_disk & {"m5", "c5", "c5n", "r5", "p2", "p3", "t3", "m7i-flex", "c8i"}
    assert has_local_disk("ml.m6id.large") and has_local_disk("ml.c7gd.large")
