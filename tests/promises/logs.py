"""What is promised of logs and metrics: nothing missing, nothing twice, in order."""

from __future__ import annotations

import time

from conftest import PATIENCE, Project, texts
from trainyard import Resources, State, Yard


class LogPromises:
    def test_the_log_is_complete_and_in_order(self, yard: Yard, project: Project) -> None:
        script = "import sys\nfor n in range(500):\n print(n)\n sys.stderr.write(f'{n}e\\n')\n"
        run = yard.train(project.training(script)).wait(timeout=PATIENCE)
        assert texts(run) == [text for n in range(500) for text in (f"{n}", f"{n}e")]

    def test_following_ends_with_the_run_and_misses_no_line_of_a_flood(
        self, yard: Yard, project: Project
    ) -> None:
        script = """
import sys
sys.stdout = open(1, "w", buffering=1 << 16)
for n in range(100_000): print("line", n)
"""
        run = yard.train(project.training(script))
        assert [line.text for line in run.logs(follow=True)] == [f"line {n}" for n in range(100_000)]
        assert run.state is State.SUCCEEDED

    def test_a_last_line_without_newline_is_given_once(self, yard: Yard, project: Project) -> None:
        run = yard.train(project.training("print('first\\nlast', end='')"))
        assert [line.text for line in run.logs(follow=True)] == ["first", "last"]
        assert texts(run) == ["first", "last"]

    def test_following_gives_lines_while_the_run_runs(self, yard: Yard, project: Project) -> None:
        run = yard.train(project.training("import time\nprint('now', flush=True)\ntime.sleep(60)"))
        line = next(iter(run.logs(follow=True)))
        assert (line.text, line.task, line.attempt) == ("now", "algo-1", 1)
        assert run.state is State.RUNNING
        assert abs(line.time - time.time()) < 20
        run.stop()

    def test_redraws_of_a_progress_bar_are_lines_as_they_come_and_its_last_is_the_metrics_value(
        self, yard: Yard, project: Project
    ) -> None:
        script = """
import sys, time
for step in range(600): sys.stderr.write(f"\\r{step}/600 loss={1 - step / 1000:.3f}")
sys.stderr.write("\\r600/600 loss=0.4\\n")
sys.stderr.write("\\rwaiting 1")
time.sleep(60)
"""
        run = yard.train(project.training(script, metrics={"loss": r"loss=([0-9.]+)"}))
        found = []
        for line in run.logs(follow=True):
            found.append(line.text)
            if line.text == "waiting 1":
                break
        assert "600/600 loss=0.4" in found and len(found) < 30
        run.stop()
        assert run.wait(timeout=PATIENCE).metrics == {"loss": 0.4}

    def test_prints_of_several_processes_do_not_interleave_within_a_line(
        self, yard: Yard, project: Project
    ) -> None:
        script = """
import multiprocessing, sys
def work(rank):
    for step in range(300):
        print("rank", rank, "step", step, "loss", 0.5, file=(sys.stdout, sys.stderr)[step % 2])
ranks = [multiprocessing.Process(target=work, args=(rank,)) for rank in range(3)]
for each in ranks: each.start()
for each in ranks: each.join()
"""
        run = yard.train(project.training(script)).wait(timeout=PATIENCE)
        wanted = [f"rank {rank} step {step} loss 0.5" for rank in range(3) for step in range(300)]
        assert sorted(texts(run)) == sorted(wanted)

    def test_bytes_that_are_no_text_are_shown_replaced(self, yard: Yard, project: Project) -> None:
        script = "import os\nos.write(1, b'caf\\xc3\\xa9 \\xff\\n')"
        run = yard.train(project.training(script)).wait(timeout=PATIENCE)
        assert texts(run) == ["café \ufffd"]

    def test_lines_of_several_tasks_come_by_time(self, yard: Yard, project: Project) -> None:
        script = """
import os, time
rank = int(os.environ["RANK"])
for n in range(4):
    time.sleep(0.3 if n or rank else 0)
    print(rank, n, flush=True)
    time.sleep(0.3)
"""
        run = yard.train(project.training(script, resources=Resources(instance_count=2)))
        run.wait(timeout=PATIENCE)
        lines = list(run.logs())
        assert len(lines) == 8
        assert [line.time for line in lines] == sorted(line.time for line in lines)
        for task in ("algo-1", "algo-2"):
            of_task = [line.text.split()[1] for line in lines if line.task == task]
            assert of_task == ["0", "1", "2", "3"]

    def test_the_logs_of_all_attempts_are_kept(self, yard: Yard, project: Project) -> None:
        script = "import os, sys\nprint('try', os.environ['TRAINYARD_ATTEMPT'])\nsys.exit(1)"
        run = yard.train(project.training(script, retries=2)).wait(timeout=PATIENCE)
        assert [(line.attempt, line.text) for line in run.logs()] == [(n, f"try {n}") for n in (1, 2, 3)]

    def test_a_metric_has_its_last_value(self, yard: Yard, project: Project) -> None:
        script = """
for n in range(5): print(f"epoch={n} loss={1 / (n + 1):.3f} accuracy={n / 10}")
print("rate=fast")
"""
        metrics = {"accuracy": r"accuracy=(\S+)", "loss": r"loss=([0-9.]+)", "rate": r"rate=(\S+)"}
        run = yard.train(project.training(script, metrics=metrics)).wait(timeout=PATIENCE)
        assert run.metrics == {"accuracy": 0.4, "loss": 0.2}
        [warning] = [text for text in run.warnings if "metric" in text]
        assert warning.startswith("the metric 'rate' has no value")

    def test_a_metric_that_became_nan_is_not_said_to_have_its_last_number_here(
        self, yard: Yard, project: Project
    ) -> None:
        script = "print('loss=0.5')\nprint('loss=nan')"
        run = yard.train(project.training(script, metrics={"loss": r"loss=(\S+)"})).wait(timeout=PATIENCE)
        # CloudWatch takes numbers alone.
        assert repr(run.metrics["loss"]) == ("0.5" if yard.is_remote else "nan")
        assert run.record.to_json()["metrics"] == {"loss": 0.5 if yard.is_remote else "nan"}

    def test_metrics_are_seen_while_the_run_runs(self, yard: Yard, project: Project) -> None:
        script = "import time\nprint('loss=0.5', flush=True)\ntime.sleep(60)"
        run = yard.train(project.training(script, metrics={"loss": r"loss=([0-9.]+)"}))
        deadline = time.monotonic() + PATIENCE
        while not run.metrics and time.monotonic() < deadline:
            time.sleep(0.02)
        assert (run.state, run.metrics) == (State.RUNNING, {"loss": 0.5})
        run.stop()

    def test_a_regular_expression_that_backtracks_for_ever_holds_nothing_up(
        self, yard: Yard, project: Project
    ) -> None:
        script = "print('a' * 60 + '!')\nprint('loss=0.5')\n"
        metrics = {"bad": r"((?:a+)+)b", "loss": r"loss=([0-9.]+)"}
        run = yard.train(project.training(script, metrics=metrics)).wait(timeout=PATIENCE)
        assert (run.state, run.metrics) == (State.SUCCEEDED, {"loss": 0.5})
        if not yard.is_remote:  # elsewhere it is not trainyard that looks for them
            assert any("'bad'" in warning for warning in run.warnings)
