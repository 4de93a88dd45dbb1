"""What a training run does: succeeds, fails with a reason, is stopped, is resumed."""

from __future__ import annotations

import os
import signal

import pytest

from conftest import PATIENCE, Project, becomes_true, texts, wait_for_line
from trainyard import BadInput, NotFound, RunFailed, Spot, State, Yard
from trainyard.machine import processes

FOREVER = "import time\nprint('ready', flush=True)\nwhile True: time.sleep(0.05)\n"
DEAF = "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + FOREVER
COUNTER = """
import os, sys
path = os.path.join(os.environ["TRAINYARD_CHECKPOINT_DIR"], "count")
count = int(open(path).read()) if os.path.exists(path) else 0
print("attempt", os.environ["TRAINYARD_ATTEMPT"], "from", count)
with open(path, "w") as file: file.write(str(count + 1))
if count < int(sys.argv[sys.argv.index("--failures") + 1]): sys.exit("not yet")
with open(os.path.join(os.environ["SM_MODEL_DIR"], "model"), "w") as file: file.write(str(count))
"""
EPOCHS = """
import os
path = os.path.join(os.environ["TRAINYARD_CHECKPOINT_DIR"], "deep", "epoch")
os.makedirs(os.path.dirname(path), exist_ok=True)
count = int(open(path).read()) if os.path.exists(path) else 0
print("epoch", count, flush=True)
with open(path + ".new", "w") as file: file.write(str(count + 1))
os.replace(path + ".new", path)
"""


class TrainingPromises:
    def test_a_script_that_ends_well_makes_a_run_that_succeeded(self, yard: Yard, project: Project) -> None:
        run = yard.train(project.training("print('hello')")).wait(timeout=PATIENCE)
        assert (run.state, run.reason) == (State.SUCCEEDED, "completed")
        [attempt] = run.attempts
        assert (attempt.number, attempt.state) == (1, State.SUCCEEDED)
        assert attempt.started is not None and attempt.finished is not None
        assert run.record.created <= attempt.started <= attempt.finished
        assert run.check() is run

    def test_the_exception_that_ended_it_is_the_reason_and_nothing_that_was_printed(
        self, yard: Yard, project: Project
    ) -> None:
        script = """
import atexit, logging, warnings
atexit.register(warnings.warn, "6 leaked semaphores")
try: open("absent")
except OSError: logging.exception("no cache; going on")
print("epoch=3 loss=0.1")
raise ValueError('no such column: age')
"""
        run = yard.train(project.training(script)).wait(timeout=PATIENCE)
        assert run.state is State.FAILED
        assert run.reason == "ValueError: no such column: age (exit status 1)"
        with pytest.raises(RunFailed, match="no such column") as caught:
            run.check()
        assert caught.value.exit_status == 1

    def test_the_failure_file_gives_the_reason(self, yard: Yard, project: Project) -> None:
        script = """
import os, sys
with open(os.environ["SM_OUTPUT_FAILURE"], "w") as file: file.write("the data are stale\\nsince May")
print("noise")
sys.exit(3)
"""
        run = yard.train(project.training(script)).wait(timeout=PATIENCE)
        assert (run.state, run.reason) == (State.FAILED, "the data are stale since May")

    def test_an_exit_status_without_output_is_the_reason(self, yard: Yard, project: Project) -> None:
        run = yard.train(project.training("import os\nos._exit(7)")).wait(timeout=PATIENCE)
        assert run.state is State.FAILED
        assert "exit status 7" in run.reason

    def test_a_signal_is_named_in_the_reason(self, yard: Yard, project: Project) -> None:
        script = "import os\nos.kill(os.getpid(), 11)"
        run = yard.train(project.training(script)).wait(timeout=PATIENCE)
        assert run.state is State.FAILED
        assert "SIGSEGV" in run.reason

    def test_a_failed_run_makes_no_model(self, yard: Yard, project: Project) -> None:
        script = """
import os
open(os.path.join(os.environ["SM_MODEL_DIR"], "half"), "w").close()
raise SystemExit(1)
"""
        run = yard.train(project.training(script)).wait(timeout=PATIENCE)
        assert (run.state, run.model, yard.models()) == (State.FAILED, None, [])

    def test_a_running_run_is_stopped_whatever_its_exit_status(self, yard: Yard, project: Project) -> None:
        script = "import signal, sys\nsignal.signal(signal.SIGTERM, lambda *_: sys.exit(0))\n" + FOREVER
        run = yard.train(project.training(script))
        wait_for_line(run, "ready")
        run.stop()
        assert (run.state, run.reason) == (State.STOPPED, "stopped on request")
        assert [attempt.state for attempt in run.attempts] == [State.STOPPED]

    def test_a_script_that_ignores_sigterm_is_killed_after_the_grace(
        self, yard: Yard, project: Project
    ) -> None:
        run = yard.train(project.training(DEAF, grace=1))
        wait_for_line(run, "ready")
        yard.stop(run.record)
        run.wait(timeout=PATIENCE)
        assert run.state is State.STOPPED
        [attempt] = run.attempts
        assert attempt.started is not None and attempt.finished is not None
        assert attempt.finished - attempt.started >= 1

    def test_stopping_a_run_that_has_ended_is_silent(self, yard: Yard, project: Project) -> None:
        run = yard.train(project.training("")).wait(timeout=PATIENCE)
        assert run.stop().state is State.SUCCEEDED
        assert yard.get(run.id).state is State.SUCCEEDED

    def test_stopping_twice_is_stopping_once(self, yard: Yard, project: Project) -> None:
        run = yard.train(project.training(FOREVER))
        wait_for_line(run, "ready")
        yard.stop(run.record)
        yard.stop(run.record)
        assert run.wait(timeout=PATIENCE).state is State.STOPPED

    def test_a_stopped_run_keeps_its_files_and_catalogues_none(self, yard: Yard, project: Project) -> None:
        script = """
import os
open(os.path.join(os.environ["SM_MODEL_DIR"], "half"), "w").close()
open(os.path.join(os.environ["TRAINYARD_CHECKPOINT_DIR"], "kept"), "w").close()
"""
        run = yard.train(project.training(script + FOREVER))
        wait_for_line(run, "ready")
        run.stop()
        assert (run.model, yard.models()) == (None, [])
        project.write("train.py", "")
        again = yard.get(run.id)
        # What was kept is what a resumed attempt finds; its code is that of the submission.
        again.resume()
        assert wait_for_line(again, "ready")
        again.stop()

    def test_a_failed_run_resumes_from_its_checkpoint_and_goes_on_counting(
        self, yard: Yard, project: Project
    ) -> None:
        job = project.training(COUNTER, hyperparameters={"failures": 1})
        run = yard.train(job).wait(timeout=PATIENCE)
        assert run.state is State.FAILED
        run.resume().wait(timeout=PATIENCE)
        assert (run.state, run.model) == (State.SUCCEEDED, "toy@1")
        assert [line for line in texts(run) if "attempt" in line] == ["attempt 1 from 0", "attempt 2 from 1"]
        assert [attempt.number for attempt in run.attempts] == [1, 2]
        assert run.record.launch == 2

    def test_a_stopped_run_resumes_from_its_checkpoint(self, yard: Yard, project: Project) -> None:
        script = """
import os, time
path = os.path.join(os.environ["TRAINYARD_CHECKPOINT_DIR"], "done")
if os.path.exists(path): raise SystemExit(0)
open(path, "w").close()
"""
        run = yard.train(project.training(script + FOREVER))
        wait_for_line(run, "ready")
        run.stop()
        assert run.resume().wait(timeout=PATIENCE).state is State.SUCCEEDED
        assert [str(attempt.state) for attempt in run.attempts] == ["stopped", "succeeded"]

    def test_a_run_can_be_resumed_again_through_a_handle_of_before(
        self, yard: Yard, project: Project
    ) -> None:
        run = yard.train(project.training(COUNTER, hyperparameters={"failures": 2})).wait(timeout=PATIENCE)
        known_before = yard.get(run.id)
        run.resume().wait(timeout=PATIENCE)
        assert run.state is State.FAILED
        assert known_before.resume().wait(timeout=PATIENCE).state is State.SUCCEEDED

    def test_a_run_that_succeeded_is_not_resumed(self, yard: Yard, project: Project) -> None:
        run = yard.train(project.training("")).wait(timeout=PATIENCE)
        with pytest.raises(BadInput, match="has succeeded") as caught:
            run.resume()
        assert len(str(caught.value).splitlines()) == 1

    def test_a_run_that_runs_is_not_resumed(self, yard: Yard, project: Project) -> None:
        run = yard.train(project.training(FOREVER))
        wait_for_line(run, "ready")
        with pytest.raises(BadInput, match="is running"):
            run.resume()
        run.stop()

    def test_a_failure_is_tried_again_as_often_as_retries_says(self, yard: Yard, project: Project) -> None:
        run = yard.train(project.training(COUNTER, retries=2, hyperparameters={"failures": 2}))
        run.wait(timeout=PATIENCE)
        assert (run.state, run.model) == (State.SUCCEEDED, "toy@1")
        assert [str(attempt.state) for attempt in run.attempts] == ["failed", "failed", "succeeded"]

    def test_retries_that_are_used_up_end_the_run(self, yard: Yard, project: Project) -> None:
        run = yard.train(project.training(COUNTER, retries=1, hyperparameters={"failures": 9}))
        run.wait(timeout=PATIENCE)
        assert (run.state, run.reason) == (State.FAILED, "not yet (exit status 1)")
        assert len(run.attempts) == 2

    def test_a_resume_has_its_retries_anew(self, yard: Yard, project: Project) -> None:
        run = yard.train(project.training(COUNTER, retries=1, hyperparameters={"failures": 3}))
        assert run.wait(timeout=PATIENCE).state is State.FAILED
        assert run.resume().wait(timeout=PATIENCE).state is State.SUCCEEDED
        assert len(run.attempts) == 4

    def test_a_sigkill_from_outside_is_a_failure(self, yard: Yard, project: Project) -> None:
        script = f"import os\nos.kill(os.getpid(), {int(signal.SIGKILL)})"
        run = yard.train(project.training(script, retries=1)).wait(timeout=PATIENCE)
        assert run.state is State.FAILED
        assert "SIGKILL" in run.reason and "outside" in run.reason
        assert [attempt.state for attempt in run.attempts] == [State.FAILED] * 2

    def test_a_run_that_takes_longer_than_max_runtime_fails_and_is_not_retried(
        self, yard: Yard, project: Project
    ) -> None:
        job = project.training(FOREVER, retries=3, spot=Spot(max_runtime=2, max_wait=60))
        run = yard.train(job).wait(timeout=PATIENCE)
        assert run.state is State.FAILED
        assert "max_runtime" in run.reason
        assert len(run.attempts) == 1
        # A resumed run is another job to SageMaker, with a time of its own that its start is part of.
        run.resume().wait(timeout=PATIENCE)
        last = run.attempts[-1]
        assert last.started is not None and last.finished is not None
        assert last.finished - last.started > 0.9

    def test_waiting_with_a_timeout_raises_timeout_error(self, yard: Yard, project: Project) -> None:
        run = yard.train(project.training(FOREVER))
        with pytest.raises(TimeoutError, match="still"):
            run.wait(timeout=0.2)
        assert not run.state.ended
        run.stop()

    def test_ctrl_c_while_waiting_leaves_the_run_alone(self, yard: Yard, project: Project) -> None:
        run = yard.train(project.training(FOREVER))
        wait_for_line(run, "ready")

        def interrupt(*_: object) -> None:
            raise KeyboardInterrupt

        previous = signal.signal(signal.SIGALRM, interrupt)
        signal.setitimer(signal.ITIMER_REAL, 0.2)
        try:
            with pytest.raises(KeyboardInterrupt):
                run.wait(timeout=PATIENCE)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, previous)
        assert run.state is State.RUNNING
        run.stop()

    def test_a_run_is_found_by_its_id_and_by_a_beginning_of_it(self, yard: Yard, project: Project) -> None:
        run = yard.train(project.training("")).wait(timeout=PATIENCE)
        assert yard.get(run.id).id == yard.get(run.id[:-3]).id == yard.get("latest").id == run.id

    def test_an_unknown_run_is_not_found_and_near_ids_are_named(self, yard: Yard, project: Project) -> None:
        with pytest.raises(NotFound, match="no runs yet"):
            yard.get("toy-abc")
        run = yard.train(project.training("")).wait(timeout=PATIENCE)
        with pytest.raises(NotFound, match=run.id):
            yard.get(run.id[:-1] + "9")

    def test_runs_are_listed_newest_first_and_by_name_and_kind(self, yard: Yard, project: Project) -> None:
        first = yard.train(project.training("", name="one"))
        second = yard.train(project.training("", name="two"))
        assert [run.id for run in yard.runs()] == [second.id, first.id]
        assert [run.id for run in yard.runs(name="one")] == [first.id]
        assert [run.id for run in yard.runs(limit=1)] == [second.id]
        assert yard.runs(kind="inference") == []
        for run in (first, second):
            assert run.wait(timeout=PATIENCE).state is State.SUCCEEDED

    def test_launching_the_same_run_twice_starts_it_once(self, yard: Yard, project: Project) -> None:
        run = yard.train(project.training("print('once')"))
        yard.engine.launch(run.record)
        yard.engine.launch(run.record)
        run.wait(timeout=PATIENCE)
        yard.engine.launch(run.record)
        assert len(yard.runs()) == 1
        assert [attempt.number for attempt in run.attempts] == [1]
        assert texts(run) == ["once"]

    def test_a_failure_leaves_nothing_running(self, yard: Yard, project: Project) -> None:
        script = """
import os, subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import time\\nwhile True: time.sleep(1)"])
print(child.pid, os.uname().nodename, flush=True)
raise SystemExit(1)
"""
        run = yard.train(project.training(script)).wait(timeout=PATIENCE)
        pid, host = texts(run)[0].split()
        assert run.state is State.FAILED
        if host == os.uname().nodename:
            # Gone when the run has ended, or dead and about to be reaped.
            assert becomes_true(lambda: not processes.start_time(int(pid)), 2)

    def test_a_resumed_run_runs_the_code_it_ran_before_or_the_current_code(
        self, yard: Yard, project: Project
    ) -> None:
        run = yard.train(project.training(EPOCHS + "raise ValueError('a bug')\n")).wait(timeout=PATIENCE)
        assert (run.state, yard.has_changed(run.record)) == (State.FAILED, False)
        project.write("train.py", EPOCHS + "print('corrected')\n")
        assert yard.has_changed(run.record)
        again = run.resume().wait(timeout=PATIENCE)
        assert "a bug" in again.reason
        last = again.resume(with_current_code=True).wait(timeout=PATIENCE)
        assert (last.state, texts(last)[-2:]) == (State.SUCCEEDED, ["epoch 2", "corrected"]), last.reason
        assert not yard.has_changed(last.record)

    def test_a_run_starts_from_a_copy_of_the_checkpoints_of_another(
        self, yard: Yard, project: Project
    ) -> None:
        job = project.training(EPOCHS + "if count < 3: raise SystemExit('not yet')\n")
        first = yard.train(job).wait(timeout=PATIENCE)
        other = yard.train(job.replace(name="other"), start_from=first.id).wait(timeout=PATIENCE)
        assert (other.record.starts_from, len(other.record.channels)) == (first.id, 0)
        # It goes on from its own, and has left the first one's alone.
        other.resume().wait(timeout=PATIENCE)
        assert texts(other) == ["epoch 1", "not yet", "epoch 2", "not yet"]
        third = yard.train(job, start_from=first.id).wait(timeout=PATIENCE)
        assert texts(third) == ["epoch 1", "not yet"]

    def test_checkpoints_that_are_not_there_or_still_written_are_refused(
        self, yard: Yard, project: Project
    ) -> None:
        bare = yard.train(project.training("")).wait(timeout=PATIENCE)
        with pytest.raises(NotFound, match="no checkpoints of the run: nothing was written"):
            yard.train(project.training(""), start_from=bare.id)
        with pytest.raises(NotFound, match="no run is called"):
            yard.train(project.training(""), start_from="toy-absent")
        running = yard.train(project.training(FOREVER))
        wait_for_line(running, "ready")
        with pytest.raises(BadInput, match="still writes them"):
            yard.train(project.training(""), start_from=running.id)
        running.stop()
        assert len(yard.runs()) == 2
