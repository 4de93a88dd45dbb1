"""Which attempts at a job Batch follows up with another, in the words of its RetryStrategy."""

from __future__ import annotations

from ...worker.protocol import RETRY_STATUS

NOT_STARTED = "Task failed to start"
"""How Batch's reason begins of an attempt whose container never was: Docker or the agent timed out, the image
did not come (`DockerTimeoutError`, `CannotStartContainerError`, `CannotPullContainerError`, …)."""

_NOT_THE_JOBS_FAULT = (
    # "Host EC2 (instance i-…) terminated." A pattern may not hold a parenthesis.
    ("onStatusReason", "Host EC2*", "RETRY"),
    ("onStatusReason", f"{NOT_STARTED}*", "RETRY"),
)
_WORKERS_WISH = (("onExitCode", str(RETRY_STATUS), "RETRY"),)
# Without a rule that matches, a job is retried.
_ALL_ELSE = (("onReason", "*", "EXIT"), ("onExitCode", "*", "EXIT"))

RULES = _NOT_THE_JOBS_FAULT + _ALL_ELSE
"""Of any job of the definition: a field of `evaluateOnExit`, its pattern, the action. The first that matches
decides; there are 5 at the most."""
WORKER_RULES = _NOT_THE_JOBS_FAULT + _WORKERS_WISH + _ALL_ELSE
"""Of the worker's jobs, which ask for another attempt themselves: it counts their own failures."""

# What another program has done is lost with its machine, and each attempt begins anew and costs as much. The
# worker's next attempt skips the parts that are there, so it gets all that Batch gives. A plan is made anew,
# and it is the first to need the image: one that is not there costs no more starts than these.
ATTEMPTS, WORKER_ATTEMPTS = 3, 10
"""RetryStrategy.attempts at the most, of any job and of a plan, and of the worker's other jobs."""
