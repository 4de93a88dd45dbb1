"""What is said of a run: its states, its interruptions, its JSON."""

from __future__ import annotations

import json
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trainyard import Attempt, BadInput, InferenceJob, Interruption, Run, State, TrainingJob
from trainyard.core.runs.run import Channel, Observation, rfc3339

TRAIN = TrainingJob(name="toy", entry_script="train.py")
INFER = InferenceJob(name="toy", handler="predict.py")


def test_there_are_these_states_and_no_others() -> None:
    assert [str(state) for state in State] == [
        "queued",
        "starting",
        "running",
        "interrupted",
        "succeeded",
        "failed",
        "stopped",
    ]
    assert {state for state in State if state.ended} == {State.SUCCEEDED, State.FAILED, State.STOPPED}


@pytest.mark.parametrize(
    ("text", "after", "kill"),
    [
        ("5", 5.0, False),
        ("5s", 5.0, False),
        ("5s:kill", 5.0, True),
        ("1.5m", 90.0, False),
        (".5", 0.5, False),
        ("2h:kill", 7200.0, True),
        (" 3s ", 3.0, False),
        (4, 4.0, False),
        (0.25, 0.25, False),
        (Interruption(after=7.0, kill=True), 7.0, True),
    ],
)
def test_a_time_of_interruption_is_understood(
    text: str | float | Interruption, after: float, kill: bool
) -> None:
    assert Interruption.parse(text) == Interruption(after=after, kill=kill)


@pytest.mark.parametrize(
    "text", ["", "s", "5 s", "5d", "-5", "5s:", "5s:kil", "kill", "1e3", "5s\n5s", "nan"]
)
def test_another_text_is_refused_in_a_line(text: str) -> None:
    with pytest.raises(BadInput, match="--interrupt-at") as caught:
        Interruption.parse(text)
    assert len(str(caught.value).splitlines()) == 1


@given(after=st.integers(0, 10_000), kill=st.booleans())
def test_an_interruption_is_read_as_it_is_written(after: int, kill: bool) -> None:
    given = Interruption(after=float(after), kill=kill)
    assert Interruption.parse(str(given)) == given


@given(seconds=st.floats(0, 4e9))
def test_times_are_rfc_3339_in_utc_with_milliseconds(seconds: float) -> None:
    text = rfc3339(seconds)
    assert text is not None and text.endswith("Z") and len(text) == len("2026-01-31T12:00:00.000Z")
    assert abs(datetime.fromisoformat(text).timestamp() - seconds) < 0.0011


def test_no_time_is_null() -> None:
    assert rfc3339(None) is None


def test_the_json_of_a_training_run_has_these_keys() -> None:
    attempt = Attempt(
        number=1, task="train", state=State.INTERRUPTED, started=1.0, finished=3.0, lost_seconds=0.12345
    )
    seen = Observation(state=State.RUNNING, metrics={"loss": 0.5}, attempts=(attempt,), started=1.0)
    run = Run(id="toy-1", job=TRAIN, yard="local", created=0.0, seen=seen)
    found = json.loads(json.dumps(run.to_json()))
    keys = "id kind name yard state reason metrics model attempts created started finished"
    assert " ".join(found) == keys
    assert (found["kind"], found["state"], found["metrics"]) == ("training", "running", {"loss": 0.5})
    assert (found["created"], found["finished"]) == ("1970-01-01T00:00:00.000Z", None)
    assert found["attempts"] == [
        {
            "number": 1,
            "task": "train",
            "state": "interrupted",
            "reason": "",
            "started": "1970-01-01T00:00:01.000Z",
            "finished": "1970-01-01T00:00:03.000Z",
            "lost_seconds": 0.123,
        }
    ]
    assert run.lost_seconds == 0.12345


def test_the_json_of_an_inference_run_has_three_more() -> None:
    seen = Observation(state=State.SUCCEEDED, rows_in=3, rows_out=3)
    run = Run(id="i-1", job=INFER, yard="local", created=0.0, output="/out", model_used="toy@1", seen=seen)
    found = run.to_json()
    assert (found["output"], found["rows_in"], found["rows_out"], found["model"]) == ("/out", 3, 3, "toy@1")


def test_a_run_is_queued_until_somebody_looked() -> None:
    run = Run(id="toy-1", job=TRAIN, yard="local", created=0.0)
    assert (run.state, run.kind, run.name, run.attempts) == (State.QUEUED, "training", "toy", ())
    later = run.observed(Observation(state=State.FAILED, reason="why"))
    assert (later.state, later.reason, later.id, run.state) == (State.FAILED, "why", "toy-1", State.QUEUED)


def test_records_cannot_be_changed_but_made_again() -> None:
    channel = Channel(uri="/data")
    with pytest.raises(AttributeError, match="replace"):
        channel.uri = "/other"  # type: ignore[misc]
    assert channel.replace(dataset="rows@1") == Channel(uri="/data", dataset="rows@1")
    assert channel != Channel(uri="/data", dataset="rows@1")
    assert hash(channel) == hash(Channel(uri="/data"))


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        ({}, "misses the argument 'uri'"),
        ({"dataset": "x"}, "misses the argument 'uri'"),
        ({"ur": "x"}, "unexpected keyword argument 'ur'"),
        ({"uri": "x", "dataste": "y"}, "unexpected keyword argument 'dataste'"),
    ],
)
def test_a_record_refuses_unknown_and_missing_fields(values: dict[str, str], problem: str) -> None:
    with pytest.raises(TypeError, match=problem):
        Channel(**values)


def test_records_share_no_mapping() -> None:
    first, second = Observation(state=State.QUEUED), Observation(state=State.QUEUED)
    assert first.metrics == {} and first.metrics is not second.metrics
