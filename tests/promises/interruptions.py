"""What an interruption, as of a spot machine, does: the next attempt goes on from the last checkpoint."""

from __future__ import annotations

import pytest

from conftest import PATIENCE, Project, texts, wait_for_line
from trainyard import BadInput, Spot, State, Yard

STEPS = """
import hashlib, os, signal, sys, time
def say(*_):
    print("asked to end", flush=True)
    sys.exit({status})
signal.signal(signal.SIGTERM, say)
folder = os.environ["TRAINYARD_CHECKPOINT_DIR"]
path = os.path.join(folder, "state")
strangers = set(os.listdir(folder)) - {{"state", "state.new"}}
if strangers or (os.environ["TRAINYARD_ATTEMPT"] == "1" and os.listdir(folder)):
    sys.exit(f"not of this script: {{os.listdir(folder)}}")
step, state = 0, b""
if os.path.exists(path):
    step, state = (part.encode() for part in open(path).read().split())
    step = int(step)
print("attempt", os.environ["TRAINYARD_ATTEMPT"], "from step", step, flush=True)
while step < {steps}:
    step += 1
    state = hashlib.sha256(state + str(step).encode()).hexdigest().encode()
    time.sleep(0.05)
    with open(path + ".new", "w") as file: file.write(f"{{step}} {{state.decode()}}")
    os.replace(path + ".new", path)
with open(os.path.join(os.environ["SM_MODEL_DIR"], "model.bin"), "wb") as file: file.write(state * 1000)
"""


def steps(count: int, status: int = 1) -> str:
    return STEPS.format(steps=count, status=status)


class InterruptionPromises:
    def test_an_interrupted_run_goes_on_from_its_checkpoints_and_finds_nothing_else_there(
        self, yard: Yard, project: Project
    ) -> None:
        run = yard.train(project.training(steps(12)), interrupt_at=["0.4s"]).wait(timeout=PATIENCE)
        assert (run.state, run.reason) == (State.SUCCEEDED, "completed after 1 interruption")
        first, second = run.attempts
        assert (first.state, second.state) == (State.INTERRUPTED, State.SUCCEEDED)
        assert "interrupt-at 0.4s" in first.reason
        lines = texts(run)
        assert lines[0] == "attempt 1 from step 0"
        assert lines[1] == "asked to end"
        assert lines[2].startswith("attempt 2 from step ") and int(lines[2].split()[-1]) > 0
        assert run.warnings == ()

    def test_an_interruption_without_sigterm_gives_no_warning_to_the_script(
        self, yard: Yard, project: Project
    ) -> None:
        run = yard.train(project.training(steps(12)), interrupt_at=["0.4s:kill"]).wait(timeout=PATIENCE)
        assert run.state is State.SUCCEEDED
        assert [str(attempt.state) for attempt in run.attempts] == ["interrupted", "succeeded"]
        assert "asked to end" not in texts(run)

    def test_a_run_interrupted_twice_makes_the_very_same_model(self, yard: Yard, project: Project) -> None:
        job = project.training(steps(20))
        plain = yard.train(job)
        twice = yard.train(job, interrupt_at=[0.4, "0.4s:kill"])
        assert plain.wait(timeout=PATIENCE).state is State.SUCCEEDED
        assert twice.wait(timeout=PATIENCE).state is State.SUCCEEDED
        assert len(twice.attempts) == 3
        hashes = {yard.model(str(run.model)).hash for run in (plain, twice)}
        assert len(hashes) == 1 and len(yard.models("toy")) == 2

    def test_the_work_lost_is_counted_from_the_newest_checkpoint(self, yard: Yard, project: Project) -> None:
        script = """
import os, time
path = os.path.join(os.environ["TRAINYARD_CHECKPOINT_DIR"], "c")
if os.path.exists(path): raise SystemExit(0)
time.sleep(0.4)
open(path, "w").close()
time.sleep(60)
"""
        run = yard.train(project.training(script), interrupt_at=["1.0s:kill"]).wait(timeout=PATIENCE)
        assert run.state is State.SUCCEEDED
        lost = run.attempts[0].lost_seconds
        assert lost is not None and 0.05 < lost < 0.75
        assert run.record.lost_seconds == pytest.approx(lost)
        assert run.attempts[1].lost_seconds is None

    def test_without_a_checkpoint_all_the_work_is_lost(self, yard: Yard, project: Project) -> None:
        script = "import os, time\nif os.environ['TRAINYARD_ATTEMPT'] == '1': time.sleep(60)\n"
        run = yard.train(project.training(script), interrupt_at=["0.5s"]).wait(timeout=PATIENCE)
        assert run.state is State.SUCCEEDED
        lost = run.attempts[0].lost_seconds
        assert lost is not None and lost >= 0.5

    def test_an_end_of_any_kind_after_our_sigterm_is_an_interruption(
        self, yard: Yard, project: Project
    ) -> None:
        run = yard.train(project.training(steps(12, status=0)), interrupt_at=["0.3s"]).wait(timeout=PATIENCE)
        assert [str(attempt.state) for attempt in run.attempts] == ["interrupted", "succeeded"]

    def test_an_interruption_uses_no_retry(self, yard: Yard, project: Project) -> None:
        run = yard.train(project.training(steps(8), retries=0), interrupt_at=["0.2s", "0.2s"])
        assert run.wait(timeout=PATIENCE).state is State.SUCCEEDED
        assert len(run.attempts) == 3

    def test_a_script_that_ignores_the_interruption_is_killed_after_the_grace(
        self, yard: Yard, project: Project
    ) -> None:
        script = """
import os, signal, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
if os.environ["TRAINYARD_ATTEMPT"] == "1": time.sleep(60)
"""
        run = yard.train(project.training(script, grace=1), interrupt_at=["0.3s"]).wait(timeout=PATIENCE)
        assert [str(attempt.state) for attempt in run.attempts] == ["interrupted", "succeeded"]

    def test_an_interruption_that_is_never_reached_is_warned_of(self, yard: Yard, project: Project) -> None:
        run = yard.train(project.training(""), interrupt_at=["60s", "70s:kill"]).wait(timeout=PATIENCE)
        assert run.state is State.SUCCEEDED
        warnings = " ".join(run.warnings)
        assert "--interrupt-at 60s was never reached" in warnings
        assert "--interrupt-at 70s:kill was never reached: there was no attempt 2" in warnings

    def test_a_spot_run_that_wrote_no_checkpoint_is_warned_of_the_cost(
        self, yard: Yard, project: Project
    ) -> None:
        run = yard.train(project.training("import time\ntime.sleep(0.2)")).wait(timeout=PATIENCE)
        [warning] = run.warnings
        assert "no checkpoint was written" in warning and "TRAINYARD_CHECKPOINT_DIR" in warning
        cost = float(warning.split("up to ")[1].split()[0])
        assert 0.2 <= cost < 10

    def test_what_s3_would_not_give_back_of_the_checkpoints_is_warned_of(
        self, yard: Yard, project: Project
    ) -> None:
        script = """
import os
os.chdir(os.environ["TRAINYARD_CHECKPOINT_DIR"])
for name in ("7", "run.sh"): open(name, "w").close()
os.chmod("run.sh", 0o755)
os.symlink("7", "latest")
os.makedirs("deep/empty")
"""
        run = yard.train(project.training(script)).wait(timeout=PATIENCE)
        [warning] = run.warnings
        assert warning.startswith("S3 keeps the content of checkpoints alone")
        assert warning.endswith(": deep/empty (an empty folder), latest (a link), run.sh (executable)")

    def test_a_run_that_is_not_on_spot_is_not_warned(self, yard: Yard, project: Project) -> None:
        run = yard.train(project.training("", spot=Spot(enabled=False))).wait(timeout=PATIENCE)
        assert run.warnings == ()

    def test_a_run_that_is_stopped_between_attempts_stays_stopped(self, yard: Yard, project: Project) -> None:
        script = """
import signal, time
signal.signal(signal.SIGTERM, lambda *_: print("asked", flush=True))
print("ready", flush=True)
deadline = time.monotonic() + 60
while time.monotonic() < deadline: time.sleep(0.05)
"""
        run = yard.train(project.training(script, grace=1), interrupt_at=["0.2s"])
        wait_for_line(run, "asked")
        run.stop()
        assert (run.state, len(run.attempts)) == (State.STOPPED, 1)

    @pytest.mark.parametrize("text", ["soon", "5d", "-1s", "5s:kindly", ""])
    def test_a_time_that_is_none_is_refused(self, yard: Yard, project: Project, text: str) -> None:
        with pytest.raises(BadInput, match="--interrupt-at"):
            yard.train(project.training(""), interrupt_at=[text])
        assert yard.runs() == []
