"""The commit: counts every part anew, gives all parts one header or schema, and writes `_SUCCESS` last."""

from __future__ import annotations

import os
from typing import Any, Sequence, TypedDict

from ..errors import Missing, OutputError
from ..rows import formats
from ..rows.formats import Format
from ..rows.parts import Rewrite
from ..storage import places
from ..storage.files import fingerprint, publish, remove, temporary_name, write_json
from ..storage.places import Listed
from .plan import Plan
from .plan import read as read_plan
from .shard import part_name

MARKER = "_SUCCESS"


class CommittedPart(TypedDict):
    """A part as `_SUCCESS` lists it; `sha256` is hexadecimal."""

    name: str
    rows: int
    bytes: int
    sha256: str


class CountedPart:
    """A part with what its shard said of it and what a new count says."""

    def __init__(
        self, plan: Plan, form: Format, index: int, output: str, result: str, listed: Listed
    ) -> None:
        self.index = index
        self.name = part_name(plan, index)
        self.address = places.join(output, self.name)
        self.result = result
        self.reported: dict[str, Any] = _read_result(index, result)
        self._listed = listed
        with places.at_hand(self.address, listed) as path:
            self.size, self.sha256 = fingerprint(path)
            self._check_bytes()
            self.count = form.count(path, plan["compression"], self.address, plan["shape"])
        self._check_rows(plan["shards"][index]["rows"])
        # A part that was rewritten has the columns of the others by now, whatever its shard wrote.
        if self.count.shape is None and self.sha256 == self.reported["sha256"]:
            self.count = self.count._replace(shape=self.reported["columns"])

    def _check_bytes(self) -> None:
        if self.sha256 not in (self.reported["sha256"], self.reported.get("rewritten")):
            raise OutputError(
                f"{self.name} is not what shard {self.index} wrote ({self.size} bytes, "
                f"{self.reported['bytes']} written); "
                "leave the output folder alone while a run is going on and run it again"
            )

    def _check_rows(self, planned: int) -> None:
        if not self.count.rows == self.reported["rows_out"] == planned:
            raise OutputError(
                f"shard {self.index}: {self.name} has {self.count.rows} rows where the plan has {planned} "
                f"and the shard said {self.reported['rows_out']}"
            )

    def rewrite(self, write: Rewrite) -> None:
        """Replace the part by what `write(old, new)` writes, given the paths of the old one and the new one.

        The shard's result takes note beforehand, so that a commit cut short here can be run again.
        """
        with places.at_hand(self.address, self._listed) as path:
            temporary = temporary_name(path, "commit")
            try:
                write(path, temporary)
            except BaseException:
                remove(temporary)
                raise
            self.size, self.sha256 = fingerprint(temporary)
            self.reported["rewritten"] = self.sha256
            places.write_json(self.result, self.reported)
            places.replace(self.address, self._listed, temporary, self.size, self.sha256, self.count.rows)


def _read_result(index: int, address: str) -> dict[str, Any]:
    try:
        result: dict[str, Any] = places.read_json(address)
    except (FileNotFoundError, Missing):
        raise OutputError(f"shard {index} left no result; run it again") from None
    return result


def run(spec: dict[str, Any]) -> None:
    """Check and commit the parts in `spec["output"]`; may be run again, and then does the same.

    Raises OutputError when parts are missing, strange, altered or not the rows planned, and InputError when
    the shards' results do not make one table.
    """
    plan = read_plan(spec["plan"])
    output, results = spec["output"], spec["results"]
    form = formats.load(plan["format"])
    listed = _check_names(plan, output)

    def part(index: int) -> CountedPart:
        return CountedPart(plan, form, index, output, results[index], listed[index])

    parts = list(places.over(part, [each.size for each in listed], output))
    for index, rewrite in form.unify(
        [part.count for part in parts], plan["compression"], plan["shape"]
    ).items():
        parts[index].rewrite(rewrite)
    document = _document(spec["run"], plan, parts)
    places.write_json(spec["summary"], document)
    _write_marker(places.join(output, MARKER), document)


def _document(run_id: str, plan: Plan, parts: Sequence[CountedPart]) -> dict[str, Any]:
    listed = [CommittedPart(name=p.name, rows=p.count.rows, bytes=p.size, sha256=p.sha256) for p in parts]
    rows = sum(part.count.rows for part in parts)
    return {
        "run": run_id,
        "format": plan["format"],
        "rows_in": plan["rows"],
        "rows_out": rows,
        "parts": listed,
    }


def _write_marker(path: str, document: dict[str, Any]) -> None:
    if places.is_remote(path):
        places.write_json(path, document, new=True)
        return
    temporary = temporary_name(path, "commit")
    write_json(temporary, document)
    publish(temporary, path)


def _check_names(plan: Plan, output: str) -> list[Listed]:
    """The parts, in order; exactly they stand in the folder. What attempts left aside is removed."""
    names, parts = {}, []
    for listed in places.listed(output):
        name = listed.name
        if name.startswith((".part-", "._SUCCESS")) and ".tmp-" in name:
            remove(os.path.join(output, name))
        elif name[:1] not in ("", ".", "_"):
            names[name] = listed
    for index in range(len(plan["shards"])):
        name = part_name(plan, index)
        if name not in names:
            raise OutputError(f"shard {index}: {name} is not in the output folder; run it again")
        parts.append(names.pop(name))
    if names:
        raise OutputError(
            f"the output folder holds {min(names)}, which is no part of this run; move it elsewhere"
        )
    return parts
