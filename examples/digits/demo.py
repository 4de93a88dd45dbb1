"""Trains twice, interrupts once, compares, predicts in shards and kills one: what `make demo` shows.

    python demo.py [FOLDER]         # `demo` where none is named

Every line that begins with `$` is a command as you would type it. Ends with status 1 as soon as something is
not as promised. A second time it goes on with the same folder: versions count up, nothing is deleted.
"""

from __future__ import annotations

import contextlib
import csv
import hashlib
import os
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import trainyard
from trainyard.core.files.trust import make_private

HERE = Path(__file__).resolve().parent
PROJECT_FILES = ("train.py", "predict.py", "trainyard.toml", ".trainyardignore")
ACCURACY = 0.95
SHARD = 2
TASK = f"shard-{SHARD:05}"
WATCH_SECONDS = 0.002


def say(text: str = "") -> None:
    print(text, flush=True)


def demand(kept: bool, promise: str) -> None:
    """End the demo unless what was promised is so."""
    if not kept:
        sys.exit(f"demo: not as promised: {promise}")


def run(*command: str) -> None:
    """Show a command, run it, and end the demo unless it succeeds."""
    say(f"\n$ {shlex.join(command)}")
    status = subprocess.run(command, check=False).returncode
    demand(status == 0, f"{shlex.join(command)} ends with status 0, not {status}")


def prepare(folder: Path) -> None:
    """Put the project and its data into the folder and go there, where it is a new one or the demo's."""
    try:
        make_private(str(folder), "demo")
    except trainyard.BadInput as error:
        sys.exit(f"demo: {error}")
    # Its own home, so that no run of the demo shows up among the runs of anything else.
    (folder / ".trainyard").mkdir(exist_ok=True)
    os.environ.pop("TRAINYARD_HOME", None)
    for name in PROJECT_FILES:
        shutil.copyfile(HERE / name, folder / name)
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    os.chdir(folder)
    subprocess.run([sys.executable, HERE / "make_data.py"], check=True)


def newest(yard: trainyard.Yard, kind: str) -> trainyard.Run:
    return yard.runs(kind=kind, limit=1)[0]


def train_uninterrupted(yard: trainyard.Yard) -> tuple[trainyard.Run, float]:
    """The run, and the seconds that its script took."""
    run("trainyard", "train")
    done = newest(yard, "training")
    demand(done.metrics["accuracy"] >= ACCURACY, f"accuracy {done.metrics['accuracy']} >= {ACCURACY}")
    (attempt,) = done.attempts
    return done, (attempt.finished or 0.0) - (attempt.started or 0.0)


def train_interrupted(yard: trainyard.Yard, seconds: float) -> trainyard.Run:
    """Interrupted after a third of the work, and after another third; the second time without SIGTERM."""
    third = f"{seconds / 3:.1f}s"
    run("trainyard", "train", "--interrupt-at", third, "--interrupt-at", f"{third}:kill")
    done = newest(yard, "training")
    states = [str(attempt.state) for attempt in done.attempts]
    demand(states == ["interrupted", "interrupted", "succeeded"], f"two interruptions, not {states}")
    return done


def fingerprint(folder: Path) -> dict[str, str]:
    """The SHA-256 of each file below a folder, by name."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(f.relative_to(folder)): hashlib.sha256(f.read_bytes()).hexdigest() for f in files}


def compare_models(yard: trainyard.Yard, one: trainyard.Run, other: trainyard.Run) -> None:
    models = [yard.model(done.model or "") for done in (one, other)]
    first, second = (fingerprint(Path(model.path)) for model in models)
    compare_files(f"{models[0].ref} (uninterrupted)", first, f"{models[1].ref} (interrupted twice)", second)
    say(f"Interruptions cost {other.lost_seconds:.2f} s of work.")


def compare_files(name: str, first: dict[str, str], other: str, second: dict[str, str]) -> None:
    """Show the fingerprints of two models' files side by side, and end the demo unless they are the same."""
    say(f"\nThe files of {name} and of {other}:")
    for path in sorted(first | second):
        say(f"  {path:<14} {first.get(path, 'absent')[:16]}  {second.get(path, 'absent')[:16]}")
    demand(bool(first) and first == second, "both models are the same")
    say("The same, byte for byte.")


class ShardKiller(threading.Thread):
    """Waits until a shard of the next inference run has written rows aside and sends its process SIGKILL."""

    def __init__(self, yard: trainyard.Yard) -> None:
        super().__init__(daemon=True)
        self.yard = yard
        self.before = {known.id for known in yard.runs(kind="inference")}
        self.killed = ""

    def run(self) -> None:
        folder = self.wait_for_run()
        while not (size := self.written(folder / "predictions")):
            time.sleep(WATCH_SECONDS)
        pid = int((folder / "attempts" / "1" / f"{TASK}.pid").read_text())
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
            self.killed = f"kill -KILL {pid}   # {TASK}, {size >> 10} KiB into its part"

    def wait_for_run(self) -> Path:
        while True:
            for found in self.yard.runs(kind="inference", limit=1):
                if found.id not in self.before:
                    return Path(found.folder)
            time.sleep(WATCH_SECONDS)

    @staticmethod
    def written(output: Path) -> int:
        """Bytes that the shard's first attempt has written aside."""
        with contextlib.suppress(FileNotFoundError):
            return sum(path.stat().st_size for path in output.glob(f".part-{SHARD:05}.csv.tmp-1-*"))
        return 0


def predict(yard: trainyard.Yard, model: str) -> trainyard.Run:
    """Predict all scans while one shard's process is killed; every scan must come out exactly once."""
    killer = ShardKiller(yard)
    killer.start()
    run("trainyard", "infer", model, "data/scans.csv")
    demand(bool(killer.killed), "a shard was killed on the way")
    done = newest(yard, "inference")
    tries = [attempt for attempt in done.attempts if attempt.task == TASK]
    say(f"\nMeanwhile: {killer.killed}")
    for attempt in tries:
        reason = f": {attempt.reason}" if attempt.reason else ""
        say(f"  {TASK} attempt {attempt.number} {attempt.state}{reason}")
    states = [str(attempt.state) for attempt in tries]
    demand(states == ["failed", "succeeded"], f"the killed shard was tried again, not {states}")
    return done


def count_predictions(output: Path) -> None:
    """Count the predicted rows without trainyard's help."""
    with Path("data/scans.csv").open(newline="") as file:
        ids = [row["id"] for row in csv.DictReader(file)]
    found, right = [], 0
    for part in sorted(output.glob("part-*.csv")):
        with part.open(newline="") as file:
            for row in csv.DictReader(file):
                found.append(row["id"])
                right += row["prediction"] == row["label"]
    demand(found == ids, "every scan is predicted exactly once, in the order of the input")
    demand((output / "_SUCCESS").exists(), "_SUCCESS stands beside the parts")
    demand(right >= ACCURACY * len(ids), f"{right} of {len(ids)} scans read right")
    say(f"{len(found):,} scans, each predicted exactly once; {right / len(ids):.1%} read right.")


def tell_where(start: Path, yard: trainyard.Yard, trained: trainyard.Run, predicted: trainyard.Run) -> None:
    def near(path: str | Path) -> str:
        return str(Path(path).relative_to(start) if Path(path).is_relative_to(start) else path)

    say("\nWhere things lie")
    say(f"  model         {near(yard.model(trained.model or '').path)}")
    say(f"  predictions   {near(predicted.output or '')}")
    say(f"  logs          {near(trained.folder)}/attempts")
    say("What to type next")
    say(f"  source {near(Path(sys.executable).parent / 'activate')}; cd {near(Path.cwd())}")
    say(f"  trainyard show {trained.id}")
    say("  trainyard runs")
    say("  trainyard train -p epochs=50 -p hidden=256")
    say("  trainyard init ../my-project")


def main() -> None:
    began, start = time.monotonic(), Path.cwd()
    prepare(Path(sys.argv[1] if len(sys.argv) > 1 else "demo").resolve())
    yard = trainyard.connect()
    run("trainyard", "data", "push", "digits", "data/train")
    once, seconds = train_uninterrupted(yard)
    twice = train_interrupted(yard, seconds)
    compare_models(yard, once, twice)
    predicted = predict(yard, twice.model or "")
    count_predictions(Path(predicted.output or ""))
    tell_where(start, yard, twice, predicted)
    say(f"\nAll as promised, in {time.monotonic() - began:.0f} s.")


if __name__ == "__main__":
    main()
