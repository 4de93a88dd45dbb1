"""What signals mean before and while there is a run to stop."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from trainyard.cli.terminal.signals import Detached, TerminalSignals


def send(number: signal.Signals) -> None:
    os.kill(os.getpid(), number)


def test_ctrl_c_before_the_run_has_started_stops_it_once_it_has(capfd: pytest.CaptureFixture[str]) -> None:
    stopped = threading.Event()
    with TerminalSignals() as signals:
        send(signal.SIGINT)
        assert signals.interrupted
        assert "stopping as soon as the run has started" in capfd.readouterr().err
        signals.bind(stopped.set)
    assert stopped.is_set()


def test_the_first_ctrl_c_stops_in_another_thread_and_the_second_raises() -> None:
    stoppers: list[threading.Thread] = []
    with pytest.raises(KeyboardInterrupt), TerminalSignals() as signals:
        signals.bind(lambda: stoppers.append(threading.current_thread()))
        send(signal.SIGINT)
        send(signal.SIGINT)
    assert len(stoppers) == 1
    assert stoppers[0] is not threading.main_thread()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_hangup_and_sigterm_detach(number: signal.Signals) -> None:
    with pytest.raises(Detached) as caught, TerminalSignals():
        send(number)
    assert caught.value.status == 128 + number


def test_afterwards_signals_mean_what_they_meant_before() -> None:
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.getsignal(number) for number in numbers]
    with TerminalSignals():
        assert [signal.getsignal(number) for number in numbers] != before
    assert [signal.getsignal(number) for number in numbers] == before
