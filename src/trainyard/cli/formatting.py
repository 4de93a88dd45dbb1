"""How people read times, sizes, numbers and names."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping

_UNITS = ("KiB", "MiB", "GiB", "TiB")


def duration(seconds: float | None) -> str:
    """`0.42 s`, `6.2 s`, `1m 04s`, `2h 03m`, `3d 04h`; nothing for None."""
    if seconds is None:
        return ""
    seconds = max(0.0, seconds)
    if seconds < 9.95:
        return f"{seconds:.1f} s" if seconds >= 0.95 else f"{seconds:.2f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60}m {whole % 60:02d}s"
    if whole < 86_400:
        return f"{whole // 3600}h {whole % 3600 // 60:02d}m"
    return f"{whole // 86_400}d {whole % 86_400 // 3600:02d}h"


def clock(seconds: float) -> str:
    """`0:07`, `12:34`, `1:02:03`: for what goes on."""
    whole = max(0, int(seconds))
    minutes, rest = divmod(whole, 60)
    return f"{minutes}:{rest:02d}" if minutes < 60 else f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"


def age(created: float) -> str:
    """How long ago, in one unit: `5s`, `3m`, `2h`, `4d`."""
    seconds = max(0, int(time.time() - created))
    for size, unit in ((86_400, "d"), (3600, "h"), (60, "m")):
        if seconds >= size:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def moment(seconds: float | None) -> str:
    """A time of day in this machine's time zone; nothing for None."""
    return "" if seconds is None else time.strftime("%Y-%m-%d %H:%M:%S %z", time.localtime(seconds))


def size(count: int) -> str:
    """Bytes, in powers of 1024: `512 bytes`, `1.5 KiB`, `3.2 GiB`."""
    if count < 1024:
        return many(count, "byte")
    exponent = 1
    while count >= 1023.95 * 1024**exponent and exponent < len(_UNITS):
        exponent += 1
    return f"{count / 1024**exponent:.1f} {_UNITS[exponent - 1]}"


def many(count: int, noun: str) -> str:
    """`1 file`, `12,000 files`."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def metrics(values: Mapping[str, float]) -> str:
    """`accuracy=0.9733 loss=0.08`, by name."""
    return " ".join(f"{name}={value:.6g}" for name, value in sorted(values.items()))


def place(path: str) -> str:
    """A path as it is shortest to type: relative where it lies below the current folder."""
    try:
        here = os.getcwd()
    except OSError:
        return path
    return os.path.relpath(path, here) if path.startswith(here + os.sep) else path


def on(yard: str) -> str:
    """What names the yard in a command that is told: ` --on dev`, nothing for this machine."""
    return "" if yard == "local" else f" --on {yard}"


def by_file(name: str) -> str:
    """What names the job file in a command that is told; nothing for the usual one."""
    return f" --file {quoted(name)}" if name else ""


def quoted(word: str) -> str:
    """The word as a shell takes it."""
    import shlex  # for a few commands that are told

    return shlex.quote(word)
