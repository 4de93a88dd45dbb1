"""The releases of AWS's Deep Learning Containers for PyTorch training on SageMaker, and how long AWS patches
each. Pure.

Source: AWS's repository of these containers, its documents' data on each image (`tags`, `python`, `eop`, the
end of patches), of 2026-08-21. The packages of each are named in the same place.
"""

from __future__ import annotations

import datetime
from typing import NamedTuple


class Release(NamedTuple):
    """A release: its repository and tags, its Python, and the day on which its patches end."""

    repository: str
    cpu: str
    gpu: str
    python: str
    patched_until: str


_NEW, _OLD = "pytorch", "pytorch-training"
_AMZN, _UBUNTU = "amzn2023-sagemaker", "ubuntu22.04-sagemaker"

RELEASES = (
    Release(_NEW, f"2.13.0-cpu-{_AMZN}", f"2.13.0-cu133-{_AMZN}", "3.12", "2027-07-20"),
    Release(_NEW, f"2.12.1-cpu-{_AMZN}", f"2.12.1-cu130-{_AMZN}", "3.12", "2027-07-02"),
    Release(_NEW, f"2.11.0-cpu-{_AMZN}", f"2.11.0-cu130-{_AMZN}", "3.12", "2027-04-30"),
    Release(_OLD, f"2.10.0-cpu-py313-{_UBUNTU}", f"2.10.0-gpu-py313-cu130-{_UBUNTU}", "3.13", "2027-01-21"),
    Release(_OLD, f"2.9.0-cpu-py312-{_UBUNTU}", f"2.9.0-gpu-py312-cu130-{_UBUNTU}", "3.12", "2026-10-15"),
    Release(_OLD, f"2.8.0-cpu-py312-{_UBUNTU}", f"2.8.0-gpu-py312-cu129-{_UBUNTU}", "3.12", "2026-08-06"),
)
"""The newest first."""
DEFAULT = RELEASES[0]
"""What training runs in where a job names no image."""
_NOTICE = datetime.timedelta(days=90)


def expiry(repository: str, tag: str, today: datetime.date) -> str:
    """What to say of an image whose patches end within 90 days, or have ended; "" of any other."""
    for release in RELEASES:
        if release.repository == repository and tag in (release.cpu, release.gpu):
            end = datetime.date.fromisoformat(release.patched_until)
            if today > end:
                return f"AWS has not patched it since {end}"
            if today >= end - _NOTICE:
                return f"AWS patches it until {end}"
    return ""
