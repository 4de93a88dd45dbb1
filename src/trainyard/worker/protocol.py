"""What laptop and container agree on: names, addresses and statuses that one writes and the other reads.

A run may be launched by one version of trainyard and looked at by the next: what is here changes seldom.
"""

from __future__ import annotations

PLAN, SHARD, COMMIT = VERBS = ("plan", "shard", "commit")
"""The steps of an inference run, as the worker is asked for them; the first and the last name their tasks."""

RETRY_STATUS = 75
"""The exit status of a Batch job that asks for another attempt (EX_TEMPFAIL of sysexits.h)."""

SECRET = "secretsmanager:"
"""How a value of the environment begins that is a secret: `secretsmanager:NAME`."""

OF_SHELL = "env:"
"""How a value of the environment begins that is a variable of the submitter's shell: `env:NAME`. For this
machine alone: the value is handed to the supervisor, and written down nowhere."""

ATTEMPT_VARIABLE = "TRAINYARD_ATTEMPT"
REGION_VARIABLE = "TRAINYARD_REGION"
ENDPOINT_VARIABLE = "TRAINYARD_S3_ENDPOINT"

# Channels of a training job that its script does not see, and what the second one holds.
WORKER_CHANNEL, CODE_CHANNEL = "trainyard-worker", "trainyard-code"
# Of a run that starts from a copy of another's checkpoints, these.
CHECKPOINT_CHANNEL = "trainyard-checkpoints"
SOURCE_FILE, WHEELS = "source.zip", "wheels"
OWN_WHEELS = "source"
"""The folder in that of the wheels where those of a source lie that is a package itself."""

MODEL_SIZE_GB = 30
"""GiB that a model's archive may unpack to, where the job says no other number."""

OUTPUT_MANIFEST = "_manifest.json"
"""The file that makes a folder the output of an inference run, and says of which."""

# Below the prefix of an inference run's state in S3.
STATE_FOLDER = "_run/"
PLAN_FILE, SUMMARY_FILE = "plan.json", "summary.json"
RESULTS, FAILURES = "results/", "failures/"

# The states of an attempt in a host's history. Terminated is one that ended after a SIGTERM from outside: a
# stop, a time-out or an interruption, as the job has it; stopped is what then only the job can be.
RUNNING, SUCCEEDED, FAILED = "running", "succeeded", "failed"
INTERRUPTED, TERMINATED, STOPPED = "interrupted", "terminated", "stopped"

PART = "part-"
_SHARD = "shard-"


def shard_name(index: int) -> str:
    """The task of a shard: `shard-00002`."""
    return f"{_SHARD}{index:05d}"


def is_shard(task: str) -> bool:
    """Whether the task is a shard's."""
    return task.startswith(_SHARD)


def part_name(index: int) -> str:
    """The file of a shard's predictions, without its suffix: `part-00002`."""
    return f"{PART}{index:05d}"


def result_name(index: int) -> str:
    """The file of what a shard has done: `00002.json`."""
    return f"{index:05d}.json"


def index_of(name: str) -> int:
    """The shard in the name of its task, its part or its result, below any folder; -1 where there is none."""
    digits = name.rpartition("/")[2].rpartition("-")[2][:5]
    return int(digits) if digits.isdecimal() else -1


def history_file(host: str) -> str:
    """The file of a host's attempts, in the folder of a training run's histories."""
    return f"{host}.json"


def former_history_file(host: str) -> str:
    """The same in the checkpoint folder, where it lay at first."""
    return f".trainyard-history-{host}.json"


def border(attempt: int, launch: int) -> str:
    """The line of a training job's log with which an attempt begins."""
    return f"[trainyard attempt={attempt} launch={launch}]"


def attempt_at(line: str) -> int | None:
    """The attempt that begins with this line of a log; None where none does."""
    import re  # the worker, which never asks, would wait 10 ms for it

    found = re.fullmatch(r"\[trainyard attempt=(\d+) launch=\d+\]", line.strip())
    return int(found[1]) if found else None
