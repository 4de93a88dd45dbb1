"""The command on a real terminal: the live line, tables, Ctrl-C and a window that closes."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

from conftest import becomes_true

from .conftest import Project, Terminal

ERASE = "\r\x1b[2K"
Open = Callable[..., Terminal]


def test_a_live_line_tells_the_state_and_the_metrics_and_is_gone_at_the_end(
    project: Project, open_terminal: Open
) -> None:
    terminal = open_terminal("train", project.waiter("live"))
    terminal.wait_for(r"\x1b\[2mlive-\w+  running  \d:\d\d  score=0\.5\x1b\[0m")
    project.end("live")
    assert terminal.finish() == 0
    *_, after = drawn = terminal.shown.split(ERASE)
    assert "running" not in after
    # On a slow machine the line is drawn again between the last output and the end.
    assert any(part.startswith("done") for part in drawn)
    assert "succeeded after " in after


def test_a_run_that_ends_at_once_has_no_live_line(project: Project, open_terminal: Open) -> None:
    project.run("train", project.script("warm", "print(1)"))
    terminal = open_terminal("train", "warm.toml")
    assert terminal.finish() == 0
    assert terminal.shown.splitlines()[1] == "1"


def test_a_job_s_output_colours_a_terminal_and_does_nothing_else_to_it(
    project: Project, open_terminal: Open
) -> None:
    evil = r"\x1b]0;title\x07 \x1b]52;c;aGk=\x07 \x1b[2J \x1b[1A \x9b2J \u202e"
    file = project.script("evil", rf"""print("\x1b[31mred\x1b[0m 1\b2%\x1b[K {evil}")""")
    terminal = open_terminal("train", file)
    assert terminal.finish() == 0
    [line] = [line for line in terminal.shown.split("\n") if "red" in line]
    assert line.rstrip("\r") == "\x1b[31mred\x1b[0m 1\b2%\x1b[K " + evil
    for options, is_raw in (((), False), (("--raw",), True)):
        terminal = open_terminal("logs", "latest", *options)
        assert terminal.finish() == 0
        assert ("\x1b]52;c;aGk=\x07" in terminal.shown) is is_raw
    # In a pipe all is as it was printed.
    assert "\x1b]52;c;aGk=\x07" in project.run("logs", "latest").stdout
    name = "\x1b]0;x\x07.toml"
    assert "\x1b" not in project.run("train", name).stderr


def test_the_live_line_keeps_to_the_width_of_the_terminal(project: Project, open_terminal: Open) -> None:
    terminal = open_terminal("train", project.waiter("narrow"), columns=20)
    terminal.wait_for(r"\x1b\[2m.{18}…\x1b\[0m")
    project.end("narrow")
    assert terminal.finish() == 0


def test_no_color_and_a_dumb_terminal_are_respected(project: Project, open_terminal: Open) -> None:
    project.environment["NO_COLOR"] = "1"
    try:
        terminal = open_terminal("train", project.waiter("plain"))
        terminal.wait_for(r"\r\x1b\[2Kplain-\w+  running")
        project.end("plain")
        assert terminal.finish() == 0
        assert "\x1b[2m" not in terminal.shown
        project.environment["TERM"] = "dumb"
        dumb = open_terminal("train", project.waiter("plain"))
        assert dumb.finish() == 0
        assert "\x1b" not in dumb.shown
    finally:
        del project.environment["NO_COLOR"]
        project.environment.pop("TERM", None)


def test_with_json_a_terminal_shows_the_live_line_and_the_object_but_no_log(
    project: Project, open_terminal: Open
) -> None:
    terminal = open_terminal("train", project.waiter("quiet"), "--json")
    terminal.wait_for(r"running  \d:\d\d  score=0\.5")
    project.end("quiet")
    assert terminal.finish() == 0
    assert "ready" not in terminal.shown
    run = json.loads(terminal.shown.split(ERASE)[-1].splitlines()[-1])
    assert (run["state"], run["metrics"]) == ("succeeded", {"score": 0.5})


def test_inference_counts_its_shards(project: Project, open_terminal: Open) -> None:
    handler = """
import os, time
def predict_fn(batch, model):
    while batch[0]["n"] >= "5" and not os.path.exists({0!r}):
        time.sleep(0.01)
    return [1 for _ in batch]
"""
    project.write("count.py", handler.format(str(project.folder / "count.end")))
    project.write("count.toml", '[infer]\nname = "count"\nhandler = "count.py"\nshards = 2\n')
    project.write("count.csv", "n\n" + "".join(f"{n}\n" for n in range(10)))
    project.write("model/weights", "1")
    terminal = open_terminal("infer", "model", "count.csv", "--file", "count.toml")
    terminal.wait_for(r"running  \d:\d\d  shards 1/2")
    project.end("count")
    assert terminal.finish() == 0
    assert "10 in, 10 out" in terminal.shown


def test_ctrl_c_stops_the_run_and_gives_130(project: Project, open_terminal: Open) -> None:
    terminal = open_terminal("train", project.waiter("pressed"))
    terminal.wait_for("ready")
    terminal.press_ctrl_c()
    assert terminal.finish() == 130
    assert re.search(r"stopping pressed-\w+ … \(Ctrl-C again leaves it stopping\)", terminal.shown)
    assert "stopped after " in terminal.shown
    assert project.latest()["state"] == "stopped"


def test_a_second_ctrl_c_gives_the_prompt_back(project: Project, open_terminal: Open) -> None:
    terminal = open_terminal("train", project.waiter("twice", obeys=False, grace=30))
    terminal.wait_for("ready")
    terminal.press_ctrl_c()
    terminal.wait_for("asked to end")
    terminal.wait_for(r"twice-\w+  stopping")
    terminal.press_ctrl_c()
    assert terminal.finish() == 130
    assert "goes on stopping" in terminal.shown
    run = project.latest()
    assert run["state"] == "running"
    project.end("twice")
    assert project.run("stop", run["id"]).returncode == 0


def test_a_window_that_closes_leaves_the_run_alone(project: Project, open_terminal: Open) -> None:
    terminal = open_terminal("train", project.waiter("window"))
    terminal.wait_for(r"running  \d:\d\d")
    assert terminal.hang_up() in (129, 141)
    run = project.latest()
    assert run["state"] == "running"
    project.end("window")
    assert becomes_true(lambda: project.latest()["state"] == "succeeded")


def test_a_table_on_a_terminal_has_a_header_and_fits(project: Project, open_terminal: Open) -> None:
    project.run("train", project.script("wide", f'raise SystemExit("{"because " * 40}")'))
    terminal = open_terminal("runs", "--name", "wide", columns=70)
    assert terminal.finish() == 0
    header, row = terminal.shown.splitlines()
    assert header.startswith("\x1b[1mRUN ")
    assert len(row) <= 70
    assert row.split()[:3] == [project.latest()["id"], "training", "failed"]
    assert "…" in row


def test_an_empty_table_on_a_terminal_says_what_to_type(project: Project, open_terminal: Open) -> None:
    terminal = open_terminal("runs", "--name", "nobody")
    assert terminal.finish() == 0
    assert "trainyard train" in terminal.shown


def test_a_detached_run_on_a_terminal_says_how_to_follow_it(project: Project, open_terminal: Open) -> None:
    terminal = open_terminal("train", project.script("away", "print(1)"), "--detach")
    assert terminal.finish() == 0
    run_id, hint = terminal.shown.splitlines()
    assert hint == f"follow it: trainyard logs -f {run_id}"
    assert project.run("logs", "-f", run_id).stdout == "1\n"
