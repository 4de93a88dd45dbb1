"""What was measured: a figure has ours, the limit that no tool can beat, and the peers."""

from __future__ import annotations

import statistics
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from timing import Samples, over, ratio

MILLISECONDS, SECONDS = "ms", "s"


@dataclass(frozen=True)
class Figure:
    """Seconds of one thing done by us, by the limit and by peers, run beside run.

    The targets: `most` is seconds, `most_over` seconds over the limit, `least_faster` how many times faster
    than every peer whose name is in it. `rows` makes the seconds rates.
    """

    subject: str
    what: str
    samples: Samples
    ours: str
    limit: str
    unit: str = MILLISECONDS
    rows: int = 0
    most: float | None = None
    most_over: float | None = None
    least_faster: Mapping[str, float] = field(default_factory=dict)

    @property
    def peers(self) -> list[str]:
        return [name for name in self.samples if name not in (self.ours, self.limit)]

    @property
    def over_limit(self) -> float:
        """Seconds over the limit: the median of the differences run by run."""
        return over(self.samples[self.ours], self.samples[self.limit])

    @property
    def of_limit(self) -> float:
        """Our time by the limit's: the median of the ratios run by run."""
        return ratio(self.samples[self.ours], self.samples[self.limit])

    def faster_than(self, peer: str) -> float:
        """The peer's time by ours."""
        return ratio(self.samples[peer], self.samples[self.ours])

    @property
    def is_met(self) -> bool | None:
        """Whether the targets that could be measured are kept; None where there are none."""
        kept = [] if self.most is None else [statistics.median(self.samples[self.ours]) <= self.most]
        kept += [] if self.most_over is None else [self.over_limit <= self.most_over]
        kept += [
            self.faster_than(peer) >= times
            for peer, times in self.least_faster.items()
            if peer in self.samples
        ]
        return all(kept) if kept else None

    def cells(self) -> list[str]:
        """The figure as a row of the table."""
        return [
            self.subject,
            self.what,
            self._shown(self.ours),
            f"{self._shown(self.limit)} {self.limit}",
            _duration(self.over_limit, self.unit),
            f"{self.of_limit:.2f}x",
            self._target(),
            _verdict(self.is_met),
            "; ".join(
                f"{name} {self._shown(name)} = {self.faster_than(name):.1f}x ours" for name in self.peers
            ),
        ]

    def to_json(self) -> dict[str, Any]:
        return {
            "subject": self.subject,
            "what": self.what,
            "seconds": {name: statistics.median(samples) for name, samples in self.samples.items()},
            "ours": self.ours,
            "limit": self.limit,
            "over_limit": self.over_limit,
            "of_limit": self.of_limit,
            "peers_by_ours": {name: self.faster_than(name) for name in self.peers},
            "rows": self.rows or None,
            "most": self.most,
            "most_over": self.most_over,
            "least_faster": dict(self.least_faster),
            "met": self.is_met,
            "samples": self.samples,
        }

    def _shown(self, name: str) -> str:
        seconds = statistics.median(self.samples[name])
        return f"{self.rows / seconds / 1000:,.0f}k rows/s" if self.rows else _duration(seconds, self.unit)

    def _target(self) -> str:
        targets = [] if self.most is None else [f"<= {_duration(self.most, self.unit)}"]
        targets += [] if self.most_over is None else [f"over <= {_duration(self.most_over, self.unit)}"]
        targets += [f">= {times:g}x {peer}" for peer, times in self.least_faster.items()]
        return ", ".join(targets)


@dataclass(frozen=True)
class Amount:
    """Something counted, with the most that it may be."""

    subject: str
    what: str
    amount: float
    unit: str
    most: float

    @property
    def is_met(self) -> bool:
        return self.amount <= self.most

    def cells(self) -> list[str]:
        """The amount as a row of the table; its ratio is the part of what it may be."""
        amount = f"{self.amount:.4g} {self.unit}"
        part = f"{self.amount / self.most:.2f}x"
        most = f"<= {self.most:g} {self.unit}"
        return [self.subject, self.what, amount, "", "", part, most, _verdict(self.is_met), ""]

    def to_json(self) -> dict[str, Any]:
        return {
            "subject": self.subject,
            "what": self.what,
            "amount": self.amount,
            "unit": self.unit,
            "most": self.most,
            "met": self.is_met,
        }


def _duration(seconds: float, unit: str) -> str:
    return f"{seconds * 1000:.0f} ms" if unit == MILLISECONDS else f"{seconds:.2f} s"


def _verdict(is_met: bool | None) -> str:
    return {True: "yes", False: "NO", None: ""}[is_met]
