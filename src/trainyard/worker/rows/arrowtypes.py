"""Arrow types that two columns have in common, and columns brought into them.

As `pyarrow.unify_schemas(…, promote_options="permissive")` promotes types, with what `read_table` reads
beside that: dictionaries beside their values, dates beside times, one time zone beside another.
"""

from __future__ import annotations

from typing import Any, Sequence

from ..errors import InputError
from .libraries import pyarrow

_UNITS = ("s", "ms", "us", "ns")
_INTEGER_DIGITS = {8: 3, 16: 5, 32: 10, 64: 20}
"""Decimal digits of integers of so many bits, without a sign; with one, no more."""
_MOST_DIGITS = {False: 38, True: 76}
"""Of decimal128 and of decimal256."""


class Misfit(InputError):
    """A value that has no place in the common type; `index` counts from 0 in its column."""

    def __init__(self, text: str, index: int) -> None:
        super().__init__(text)
        self.index = index


def common(one: Any, other: Any) -> Any:
    """The type that holds the values of both, None where there is none.

    Null gives way to anything, integers and decimals to floats, lists and structs member by member. Whether a
    number has a float that is it is asked of each value, when it is brought into the type.
    """
    types = pyarrow().types
    if one == other or types.is_null(other):
        return one
    if types.is_null(one):
        return other
    if (plain := (_decoded(one), _decoded(other))) != (one, other):
        return common(*plain)
    for promote in (_number, _decimal, _text, _moment, _list, _map, _struct):
        found = promote(one, other)
        if found is not None:
            return found
    return None


def _decoded(kind: Any) -> Any:
    """The type of a dictionary's values, or that in which values of an extension are kept."""
    if is_extension(kind):
        return kind.storage_type
    return kind.value_type if pyarrow().types.is_dictionary(kind) else kind


def is_extension(kind: Any) -> bool:
    """Whether a type is one that is kept in another: UUIDs, tensors."""
    return isinstance(kind, pyarrow().BaseExtensionType)


def _number(one: Any, other: Any) -> Any:
    pa = pyarrow()
    types = pa.types
    floats = [types.is_floating(kind) for kind in (one, other)]
    integers = [types.is_integer(kind) for kind in (one, other)]
    if all(floats):
        return max(one, other, key=lambda kind: kind.bit_width)
    if any(floats) and any(integers):
        return pa.float64()
    if any(floats) and (types.is_decimal(one) or types.is_decimal(other)):
        return pa.float64()
    if not all(integers):
        return None
    signed = [kind for kind in (one, other) if types.is_signed_integer(kind)]
    width = max(one.bit_width, other.bit_width)
    if len(signed) == 1:
        unsigned = other if signed[0] is one else one
        width = max(signed[0].bit_width, min(64, 2 * unsigned.bit_width))
    return getattr(pa, f"{'int' if signed else 'uint'}{width}")()


def _decimal(one: Any, other: Any) -> Any:
    pa = pyarrow()
    kinds = (one, other)
    if not any(map(pa.types.is_decimal, kinds)):
        return None
    digits, scale, is_wide = 0, 0, False
    for kind in kinds:
        if pa.types.is_decimal(kind):
            digits, scale = max(digits, kind.precision - kind.scale), max(scale, kind.scale)
            is_wide = is_wide or kind.bit_width > 128
        elif pa.types.is_integer(kind):
            digits = max(digits, _INTEGER_DIGITS[kind.bit_width])
        else:
            return None
    # What is beyond the widest is asked of each value.
    is_wide = is_wide or digits + scale > _MOST_DIGITS[False]
    return (pa.decimal256 if is_wide else pa.decimal128)(min(digits + scale, _MOST_DIGITS[is_wide]), scale)


def _text(one: Any, other: Any) -> Any:
    pa = pyarrow()
    kinds = [_text_kind(kind) for kind in (one, other)]
    if not all(kinds):
        return None
    is_large = any(large for _, large in kinds)
    if any(name == "binary" for name, _ in kinds):
        return pa.large_binary() if is_large else pa.binary()
    return pa.large_string() if is_large else pa.string()


def _text_kind(kind: Any) -> Any:
    """("string" or "binary", whether it is a large one); () for other types."""
    names = {"large_string": ("string", True), "large_binary": ("binary", True)}
    for name in ("string", "binary"):
        names.update({name: (name, False), f"{name}_view": (name, False)})
    return names.get("binary" if pyarrow().types.is_fixed_size_binary(kind) else str(kind), ())


def _moment(one: Any, other: Any) -> Any:
    pa = pyarrow()
    types = pa.types
    kinds = (one, other)
    if all(map(types.is_date, kinds)):
        return pa.date64()
    if all(map(types.is_duration, kinds)):
        return pa.duration(_finer(*kinds))
    if all(map(types.is_time, kinds)):
        unit = _finer(*kinds)
        return (pa.time64 if unit in ("us", "ns") else pa.time32)(unit)
    moments = [kind for kind in kinds if types.is_timestamp(kind)]
    if len(moments) == 2 and (one.tz is None) == (other.tz is None):
        return pa.timestamp(_finer(*kinds), one.tz)
    if len(moments) == 1 and moments[0].tz is None and any(map(types.is_date, kinds)):
        return moments[0]
    return None


def _finer(one: Any, other: Any) -> str:
    return _UNITS[max(_UNITS.index(one.unit), _UNITS.index(other.unit))]


def is_list(kind: Any) -> bool:
    """Whether a type is one of lists, of any kind."""
    types = pyarrow().types
    return bool(types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind))


def _list(one: Any, other: Any) -> Any:
    pa = pyarrow()
    if not (is_list(one) and is_list(other)):
        return None
    value = common(one.value_type, other.value_type)
    if value is None:
        return None
    sizes = {kind.list_size if pa.types.is_fixed_size_list(kind) else -1 for kind in (one, other)}
    if len(sizes) == 1:
        size = sizes.pop()
        if size >= 0:
            return pa.list_(value, size)
    is_large = pa.types.is_large_list(one) or pa.types.is_large_list(other)
    return pa.large_list(value) if is_large else pa.list_(value)


def _map(one: Any, other: Any) -> Any:
    pa = pyarrow()
    if not (pa.types.is_map(one) and pa.types.is_map(other)):
        return None
    key, item = common(one.key_type, other.key_type), common(one.item_type, other.item_type)
    return None if key is None or item is None else pa.map_(key, item)


def _struct(one: Any, other: Any) -> Any:
    pa = pyarrow()
    if not (pa.types.is_struct(one) and pa.types.is_struct(other)):
        return None
    members = {field.name: field.type for field in one}
    for field in other:
        kind = common(members.get(field.name, pa.null()), field.type)
        if kind is None:
            return None
        members[field.name] = kind
    return pa.struct(list(members.items()))


def difference(one: Any, other: Any) -> str:
    """How two schemas differ in names or types, in words; "" when they do not."""
    if one.names != other.names:
        return f"columns {', '.join(one.names)} and {', '.join(other.names)}"
    for left, right in zip(one, other):
        if left.type != right.type:
            return f"column {left.name!r} is {left.type} and {right.type}"
    return ""


def conform(table: Any, schema: Any) -> Any:
    """`table` with the columns and types of `schema`; a column that it lacks is of nulls.

    Raises Misfit for a value that has no place there.
    """
    pa = pyarrow()
    if table.schema.equals(schema):
        return table
    columns = []
    for field in schema:
        if table.schema.get_field_index(field.name) < 0:
            columns.append(pa.nulls(table.num_rows, field.type))
        else:
            columns.append(cast(table.column(field.name), field))
    return pa.Table.from_arrays(columns, schema=schema)


def cast(column: Any, field: Any) -> Any:
    """`column` with the type of `field`, no value changed. Raises Misfit."""
    if column.type == field.type:
        return column
    try:
        return _exact(column, field.type)
    except (pyarrow().ArrowException, NotImplementedError) as error:
        index = first_misfit(column, lambda part: _exact(part, field.type))
        value = _shown(column.slice(index, 1)) or str(error)
        shown = value if len(value) <= 60 else f"{value[:57]}..."
        types = f"{column.type} here and {field.type} elsewhere"
        raise Misfit(f"column {field.name!r} is {types}, which does not hold {shown}", index) from None


def _exact(column: Any, kind: Any) -> Any:
    """Arrow's own cast rounds a decimal to a float without a word."""
    pa = pyarrow()
    made = column.cast(kind)
    if pa.types.is_decimal(column.type) and pa.types.is_floating(kind) and made.cast(column.type) != column:
        raise pa.ArrowInvalid("a decimal of more digits")
    return made


def _shown(value: Any) -> str:
    """A column of one value as a text; "" for what has none."""
    try:
        return str(value.cast(pyarrow().string())[0].as_py())
    except (pyarrow().ArrowException, NotImplementedError):
        return ""


def first_misfit(values: Any, attempt: Any) -> int:
    """The index of the first value with which `attempt(values[:n])` fails; the last where all pass."""
    low, high = 0, len(values)
    while high - low > 1:
        middle = (low + high) // 2
        try:
            attempt(values[:middle])
        except (pyarrow().ArrowException, NotImplementedError, OverflowError):
            high = middle
        else:
            low = middle
    return low


def leaves(kind: Any) -> list[Any]:
    """The types of the columns of Parquet that a column of this type is made of, in their order."""
    types = pyarrow().types
    if types.is_struct(kind):
        return [leaf for field in kind for leaf in leaves(field.type)]
    if types.is_map(kind):
        return leaves(kind.key_type) + leaves(kind.item_type)
    inner = kind.value_type if hasattr(kind, "value_type") else _decoded(kind)
    return [kind] if inner is kind else leaves(inner)


def unify_schemas(schemas: Sequence[Any], refuse: Any) -> Any:
    """The schema that holds the rows of all: each name in the order of its first place.

    `refuse(index, field, known)` gives the error for a field of a schema that has no type in common with the
    known one, of those before.
    """
    fields: dict[str, Any] = {}
    for index, schema in enumerate(schemas):
        for field in schema:
            known = fields.setdefault(field.name, field)
            if known is field or known.equals(field):
                continue
            kind = common(known.type, field.type)
            if kind is None:
                raise refuse(index, field, known)
            nullable = known.nullable or field.nullable
            fields[field.name] = known.with_type(kind).with_nullable(nullable)
    names = set(fields)
    lacking = {name for schema in schemas for name in names.difference(schema.names)}
    made = [field.with_nullable(True) if name in lacking else field for name, field in fields.items()]
    # What a library noted of one schema may not be true of another.
    is_one = all(schema.equals(schemas[0]) for schema in schemas)
    return pyarrow().schema(made, metadata=schemas[0].metadata if is_one else None)
