"""The facts that a deployment publishes, by name, and the folders of its buckets.

The one table that the account side (which writes it) and the people's side (which reads it) share. A fact is
an SSM parameter `/trainyard/<environment>/<name>` in the environment's account and region.
"""

from __future__ import annotations

ROOT = "/trainyard"
"""The beginning of every parameter's name, whatever prefix an environment's own names have."""

DATA_PARAMETERS = {
    "dataset-bucket": "bucket of data sets",
    "model-bucket": "bucket of code, checkpoints, models, predictions and the ledger",
    "repository-name": "ECR repository of images",
    "repository-uri": "registry and repository to push images to",
}
"""What the stack that holds data publishes."""

PLATFORM_PARAMETERS = {
    "version": "trainyard's version that deployed the environment",
    "network-profile": "private, lean or existing",
    "job-name-prefix": "how the name of every job of the environment begins",
    "training-role-arn": "role of training jobs",
    "batch-job-role-arn": "role of what runs inside a Batch job",
    "batch-execution-role-arn": "role that pulls a Batch job's image and writes its log",
    "submitter-policy-arn": "managed policy for the people who submit jobs: their jobs",
    "submitter-data-policy-arn": "managed policy for the same people: their data, code and images",
    "vpc-id": "VPC that jobs run in",
    "subnet-ids": "subnets of training jobs, comma-separated",
    "security-group-ids": "security groups of training jobs, comma-separated",
    "encrypt-traffic": "whether training jobs must encrypt the traffic between their hosts: true or false",
    "job-queue-arn": "Batch queue of inference jobs",
    "job-definition-arn": "Batch job definition of inference jobs, with its revision",
    "job-definition-name": "name of that job definition",
    "batch-log-group": "log group of Batch jobs",
    "notification-topic-arn": "SNS topic that failures are told to",
    "dashboard-name": "CloudWatch dashboard",
}
"""What the stack that can be thrown away always publishes."""

OPTIONAL_PARAMETERS = {
    "kms-key-arn": "KMS key that everything is encrypted with; only where one is configured",
    "notebook-name": "SageMaker notebook instance; only where there is one",
    "gpu-job-queue-arn": "Batch queue of jobs that need GPUs; only where there are GPU families",
    "tags": "the environment's tags, which each job has too, as a JSON object; only where there are any",
}
"""What it publishes where the environment has such a thing."""

PARAMETERS = {**DATA_PARAMETERS, **PLATFORM_PARAMETERS, **OPTIONAL_PARAMETERS}
"""All of them."""

DATASETS = "datasets/"
"""Data sets, in the data set bucket; all else is in the model bucket."""
CODE = "code/"
"""What was submitted: sources, the worker, wheels; named by content."""
CHECKPOINTS = "checkpoints/"
"""Checkpoints of training runs; the only folder that a training job deletes in."""
MODELS = "models/"
"""Models and other output of training jobs."""
PREDICTIONS = "predictions/"
"""Output of inference jobs; the only folder that they write in."""
LEDGER = "ledger/"
"""Records of runs, models and data sets, written by those who submit."""
NOTEBOOKS = "notebooks/"
"""Copies of the files of notebook instances."""
WRITTEN_ONCE = (
    f"{CODE}*",
    f"{LEDGER}*/*",
    *(f"{PREDICTIONS}*/{name}" for name in ("_SUCCESS", "_run/plan.json")),
)
"""The objects of the model bucket that nobody replaces, `*` being anything: not what SageMaker uploads, which
sets no condition, nor `ledger/runs.json`, which is a cache, nor parts, which the commit gives one schema."""

ENVIRONMENT_TAG = "trainyard:environment"
"""The tag of all that belongs to an environment; its value is the name of the platform's stack."""
TRAINING_LOG_GROUP = "/aws/sagemaker/TrainingJobs"
"""Where SageMaker writes the logs of all training jobs of an account and region, and nowhere else."""
STOP_REASON = "stopped by "
"""How the reason begins with which a person's Batch job is terminated: no failure to notify anybody of."""
DEPENDENT_FAILED = "Dependent Job failed"
"""Batch's reason of a job that never started because one that it waits for has failed: told already."""
TIMEOUTS = ("MaxRuntimeExceeded", "MaxWaitTimeExceeded")
"""SageMaker's secondary statuses of a training job that ran out of time: it is `Stopped`, and not `Failed`
(DescribeTrainingJob, SecondaryStatus)."""


def parameter_name(environment: str, name: str) -> str:
    """The full name of an SSM parameter: `/trainyard/dev/model-bucket`."""
    return f"{ROOT}/{environment}/{name}"


def job_name_prefix(prefix: str, environment: str) -> str:
    """How the name of every SageMaker training job of an environment begins: `trainyard-dev-`.

    The roles' policies and the failure notification go by it.
    """
    return f"{prefix}-{environment}-"
