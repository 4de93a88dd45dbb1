"""SageMaker's Search for training jobs; for other resources moto's own.

Source: Search, SearchExpression and Filter in the SageMaker API.
"""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from ..api.dispatch import PASS, ApiRequest, Result, operation
from ..api.protocols import AwsError
from ..world.world import World
from .operations import JobTable, paged, tags_of

_PAGE = 50
_RELATIONS: Mapping[str, Callable[[Any, Any], bool]] = {
    "GreaterThan": lambda found, wanted: found > wanted,
    "GreaterThanOrEqualTo": lambda found, wanted: found >= wanted,
    "LessThan": lambda found, wanted: found < wanted,
    "LessThanOrEqualTo": lambda found, wanted: found <= wanted,
}


@operation("sagemaker", "Search")
def search(world: World, request: ApiRequest) -> Result:
    """The training jobs for which an expression holds."""
    wanted = request.parameters
    if wanted["Resource"] != "TrainingJob":
        return PASS
    found = []
    for job in world.part(JobTable).jobs.values():
        record = {**job.describe(), "Tags": tags_of(job)}
        if _holds(wanted.get("SearchExpression", {}), record):
            found.append(record)
    _sort(found, wanted.get("SortBy", "LastModifiedTime"), wanted.get("SortOrder", "Descending"))
    page = paged(found, wanted.get("NextToken"), wanted.get("MaxResults", _PAGE))
    return {
        "Results": [{"TrainingJob": record} for record in page.items],
        "NextToken": page.token,
        "TotalHits": {"Value": len(found), "Relation": "EqualTo"},
    }


def _holds(expression: Mapping[str, Any], record: Mapping[str, Any]) -> bool:
    verdicts = [_fits(each, record) for each in expression.get("Filters", ())]
    verdicts += [_nested(each, record) for each in expression.get("NestedFilters", ())]
    verdicts += [_holds(each, record) for each in expression.get("SubExpressions", ())]
    if not verdicts:
        return True
    return any(verdicts) if expression.get("Operator") == "Or" else all(verdicts)


def _nested(nested: Mapping[str, Any], record: Mapping[str, Any]) -> bool:
    """Whether one entry of a list has all that the filters want."""
    name = nested["NestedPropertyName"]
    filters = [{**each, "Name": each["Name"].removeprefix(f"{name}.")} for each in nested.get("Filters", ())]
    entries = [entry for entry in _values(record, name) if isinstance(entry, Mapping)]
    return any(all(_fits(each, entry) for each in filters) for entry in entries)


def _fits(wanted: Mapping[str, Any], record: Mapping[str, Any]) -> bool:
    operator, found = wanted.get("Operator", "Equals"), list(_values(record, wanted["Name"]))
    if operator in ("Exists", "NotExists"):
        return bool(found) is (operator == "Exists")
    if "Value" not in wanted:
        raise AwsError("ValidationException", f"The operator {operator} needs a Value")
    text = wanted["Value"]
    if operator == "NotEquals":
        return not any(_compare("Equals", each, text) for each in found)
    return any(_compare(operator, each, text) for each in found)


def _compare(operator: str, found: Any, text: str) -> bool:
    if operator == "Contains":
        return text.lower() in str(found).lower()
    if operator == "In":
        return any(_compare("Equals", found, each.strip()) for each in text.split(","))
    try:
        wanted = _like(found, text)
    except ValueError:
        return False
    if operator == "Equals":
        return bool(found == wanted)
    return not isinstance(found, (str, bool)) and bool(_RELATIONS[operator](found, wanted))


def _like(found: Any, text: str) -> Any:
    """The text as a value of the same kind. Raises ValueError."""
    if isinstance(found, bool):
        return text.lower() == "true"
    if isinstance(found, (int, float)):
        return float(text)
    if isinstance(found, datetime.datetime):
        read = datetime.datetime.fromisoformat(text)
        return read if read.tzinfo else read.replace(tzinfo=datetime.UTC)
    return text


def _values(record: Any, name: str) -> Iterator[Any]:
    """All values of a property: `TrainingJobName`, `HyperParameters.lr`, `Tags.team`, `Metrics.loss`,
    `InputDataConfig.ChannelName`."""
    first, _, rest = name.partition(".")
    if isinstance(record, list):
        for entry in record:
            yield from _values(entry, name)
    elif not isinstance(record, Mapping):
        return
    elif first == "Metrics":
        yield from _named(record.get("FinalMetricDataList", ()), rest, "MetricName", "Value")
    elif first == "Tags" and rest:
        yield from _named(record.get("Tags", ()), rest, "Key", "Value")
    # Names of hyperparameters have dots of their own.
    elif name in record:
        value = record[name]
        yield from value if isinstance(value, list) else [value]
    elif rest and first in record:
        yield from _values(record[first], rest)


def _named(entries: Iterable[Mapping[str, Any]], name: str, key: str, value: str) -> Iterator[Any]:
    return (entry[value] for entry in entries if entry[key] == name)


def _sort(records: list[dict[str, Any]], name: str, order: str) -> None:
    """By one property; those that do not have it come last."""
    having = [(next(_values(record, name), None), record) for record in records]
    present = [pair for pair in having if pair[0] is not None]
    kinds = {type(value) for value, _ in present} - {int, float}
    as_text = len(kinds) > 1 or bool(kinds & {dict, list})

    def key(pair: tuple[Any, dict[str, Any]]) -> Any:
        return str(pair[0]) if as_text else pair[0]

    present.sort(key=key, reverse=order == "Descending")
    records[:] = [record for _, record in present] + [record for value, record in having if value is None]
