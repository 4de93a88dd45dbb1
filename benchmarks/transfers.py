"""How long it takes to send files to S3 and to fetch them, beside doing just that, and `aws s3 cp`."""

from __future__ import annotations

import http.client
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import peers
from figures import SECONDS, Figure
from pushing import write_large, write_small
from s3client import BUCKET
from setting import REPOSITORY, Setting
from timing import Command, interleave, nothing

_OURS, _BARE, _CLI = "the store of a yard on AWS", "http.client", "aws s3 cp"
_PROGRAMS = REPOSITORY / "benchmarks"
_KEYS = {"AWS_ACCESS_KEY_ID": "bench", "AWS_SECRET_ACCESS_KEY": "bench", "AWS_REGION": "us-east-1"}


def measure(setting: Setting) -> list[Figure]:
    """Many small files, then one large one: up, each time to an S3 that has none of them, and down again."""
    files, size = setting.size(10_000, 100), setting.size(1_024, 16)
    small, large = setting.folder / "small-objects", setting.folder / "large-object"
    write_small(small, files)
    write_large(large, size)
    with _server() as url:
        return [
            _measure(setting, f"{what} {way}", way, url, source)
            for what, source in ((f"{files:,} files of 1 KiB", small), (f"one file of {size} MiB", large))
            for way in ("up", "down")
        ]


def _measure(setting: Setting, what: str, way: str, url: str, source: Path) -> Figure:
    target = setting.folder / f"fetched-{source.name}"
    cli = peers.python_of("awscli", setting)

    def clear() -> None:
        if way == "up":
            _forget(url)
        shutil.rmtree(target, ignore_errors=True)

    def command(name: str, argv: list[str | Path], prepare: Callable[[], None], is_peer: bool) -> Command:
        variables = setting.variables(**_KEYS)
        return Command(name, argv, setting.folder, variables, prepare, is_peer)

    def program(who: str, way: str) -> list[str | Path]:
        return [setting.python, _PROGRAMS / "s3client.py", who, way, url, source, target]

    if way == "down":
        _forget(url)
        interleave([command(_OURS, program("ours", "up"), nothing, False)], 0, setting.say)
    commands = [
        command(_BARE, program("limit", way), clear, False),
        command(_OURS, program("ours", way), clear, False),
    ]
    if cli:
        here, there = str(source if way == "up" else target), f"s3://{BUCKET}/"
        argv = [cli, "-m", "awscli", "s3", "cp", "--recursive", "--only-show-errors", "--endpoint-url", url]
        argv += [here, f"{there}cli/"] if way == "up" else [there, here]
        commands.append(command(_CLI, argv, clear, True))
    samples = interleave(commands, max(1, setting.runs // 4), setting.say)
    shutil.rmtree(target, ignore_errors=True)
    return Figure("s3", what, samples, _OURS, _BARE, SECONDS, least_faster={_CLI: 1.0})


@contextmanager
def _server() -> Iterator[str]:
    """The address of an S3 in a process of its own."""
    argv = [sys.executable, str(_PROGRAMS / "s3server.py")]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin and process.stdout
        yield process.stdout.readline().strip()
        process.stdin.close()


def _forget(url: str) -> None:
    line = http.client.HTTPConnection(urlsplit(url).netloc)
    line.request("DELETE", "/")
    line.getresponse().read()
    line.close()
