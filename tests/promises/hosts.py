"""What several hosts of one training run can rely on: they find each other, fail together, make one model."""

from __future__ import annotations

import json
from pathlib import Path

from conftest import PATIENCE, Project, texts
from trainyard import Resources, State, Yard

MEETING = """
import json, os, socket, time
rank, size = int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])
address = (os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]))
facts = {"rank": rank, "size": size, "host": os.environ["SM_CURRENT_HOST"]}
facts["hosts"] = json.loads(os.environ["SM_HOSTS"])
if rank == 0:
    server = socket.create_server(address)
    seen = []
    for _ in range(size - 1):
        line, _ = server.accept()
        seen.append(line.makefile().readline().strip())
        line.close()
    facts["seen"] = sorted(seen)
else:
    deadline = time.monotonic() + 20
    while True:
        try:
            line = socket.create_connection(address, timeout=5)
            break
        except OSError:
            if time.monotonic() > deadline: raise
            time.sleep(0.05)
    line.sendall((facts["host"] + "\\n").encode())
    line.close()
print(json.dumps(facts))
"""
WRITE = """
import os
host = os.environ["SM_CURRENT_HOST"]
for name, content in {files}.items():
    path = os.path.join(os.environ["SM_MODEL_DIR"], "shards", eval(name))
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as file: file.write(eval(content))
"""
ONE_FAILS = """
import os, sys, time
if os.environ["SM_CURRENT_HOST"] == "algo-2":
    time.sleep(0.2)
    sys.exit("the second one gave up")
time.sleep(60)
"""


def hosts(count: int) -> Resources:
    return Resources(instance_count=count)


class HostPromises:
    def test_hosts_meet_at_the_address_of_the_first(self, yard: Yard, project: Project) -> None:
        run = yard.train(project.training(MEETING, resources=hosts(3))).wait(timeout=PATIENCE)
        assert run.state is State.SUCCEEDED, run.reason
        facts = sorted((json.loads(text) for text in texts(run)), key=lambda fact: int(fact["rank"]))
        assert [fact["host"] for fact in facts] == ["algo-1", "algo-2", "algo-3"]
        assert [fact["rank"] for fact in facts] == [0, 1, 2]
        assert {fact["size"] for fact in facts} == {3}
        assert all(fact["hosts"] == ["algo-1", "algo-2", "algo-3"] for fact in facts)
        assert facts[0]["seen"] == ["algo-2", "algo-3"]

    def test_several_hosts_are_one_attempt(self, yard: Yard, project: Project) -> None:
        run = yard.train(project.training("print('here')", resources=hosts(2))).wait(timeout=PATIENCE)
        assert len(run.attempts) == 1
        assert sorted(line.task for line in run.logs()) == ["algo-1", "algo-2"]

    def test_one_that_fails_stops_the_others_and_gives_the_reason(self, yard: Yard, project: Project) -> None:
        run = yard.train(project.training(ONE_FAILS, resources=hosts(3))).wait(timeout=PATIENCE)
        assert run.state is State.FAILED
        assert run.reason == "algo-2: the second one gave up (exit status 1)"

    def test_the_models_of_the_hosts_are_merged_and_the_same_bytes_are_one_file(
        self, yard: Yard, project: Project
    ) -> None:
        script = WRITE.format(files={"host": "host", "'same'": "'of all'"})
        run = yard.train(project.training(script, resources=hosts(3))).wait(timeout=PATIENCE)
        assert run.state is State.SUCCEEDED, run.reason
        model = yard.model(str(run.model))
        assert (model.files, model.bytes) == (4, 3 * len("algo-1") + len("of all"))

    def test_a_file_that_two_hosts_wrote_differently_makes_no_version_and_is_not_lost(
        self, yard: Yard, project: Project, tmp_path: Path
    ) -> None:
        script = WRITE.format(files={"host": "host", "'same'": "host"})
        run = yard.train(project.training(script, resources=hosts(2)))
        run.wait(timeout=PATIENCE)
        assert run.state is State.FAILED
        assert "algo-1 and algo-2 wrote shards/same differently" in run.reason
        assert f"trainyard models add toy {run.id}" in run.reason
        assert (run.model, yard.models()) == (None, [])
        made, _ = yard.add_model("toy", run.id)
        folder = Path(yard.pull(made.ref, str(tmp_path / "model"))[0])
        found = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
        assert {"shards/algo-1", "shards/algo-2", "shards/same"} <= found
        # Of two files of one name SageMaker's archive holds one, as the reason says.
        assert ("algo-2/shards/same" in found) != ("SageMaker keeps one of them" in run.reason)

    def test_an_interruption_takes_all_hosts(self, yard: Yard, project: Project) -> None:
        script = """
import os, time
print("up", flush=True)
if os.environ["TRAINYARD_ATTEMPT"] == "1": time.sleep(60)
"""
        run = yard.train(project.training(script, resources=hosts(2)), interrupt_at=["0.3s"])
        run.wait(timeout=PATIENCE)
        assert [str(attempt.state) for attempt in run.attempts] == ["interrupted", "succeeded"]
        assert sorted((line.attempt, line.task) for line in run.logs() if line.text == "up") == [
            (1, "algo-1"),
            (1, "algo-2"),
            (2, "algo-1"),
            (2, "algo-2"),
        ]
