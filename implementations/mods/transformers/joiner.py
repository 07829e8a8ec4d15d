"""Two artifacts side by side, by keys: DuckDB finds the pairs of rows, and the left's order is kept."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from framework.errors import ParameterError, ValidationException
from framework.files import storage_errors
from framework.mods import duck
from framework.mods.artifacts import opened, write_tables
from framework.mods.base import BaseModParams, InputArtifact, ModMetadata
from framework.mods.judging import Carrier, Judged, judged
from framework.mods.result import ModResult
from framework.mods.run import ModRun, current_run

METADATA = ModMetadata(
    name="joiner",
    version="1.0.0",
    description="Joins two artifacts by keys",
    author="Millpond",
    tags=["transformer", "join", "keys"],
    artifacts={"consumes": ["left_artifact", "right_artifact"], "makes": ["output_data"]},
)
EXAMPLE = {
    "left_artifact": "orders.parquet",
    "right_artifact": "customers.parquet",
    "left_on": ["customer_id"],
    "right_on": ["id"],
    "how": "left",
    "suffixes": ["", "_customer"],
    "validate": "many_to_one",
}
EXAMPLE_FILES = {
    "orders.parquet": "id,customer_id,amount\n1,7,12.5\n2,8,40.0\n3,,3.25\n",
    "customers.parquet": "id,name\n7,Ada\n8,Ben\n",
}
JOINS = {
    "inner": "JOIN",
    "left": "LEFT JOIN",
    "right": "RIGHT JOIN",
    "outer": "FULL JOIN",
    "semi": "SEMI JOIN",
    "anti": "ANTI JOIN",
}
LEFT_ALONE = ("semi", "anti")
ONE = {"one_to_one": ("left", "right"), "one_to_many": ("left",), "many_to_one": ("right",), "many_to_many": ()}


class Params(BaseModParams):
    _metadata: ModMetadata = METADATA

    left_artifact: InputArtifact = Field(description="the rows whose order is kept: Parquet, or CSV")
    right_artifact: InputArtifact = Field(description="what is joined to them")
    on: str | list[str] | None = Field(None, description="key columns of both; each is one column of the output")
    left_on: str | list[str] | None = Field(None, description="key columns of the left, where their names differ")
    right_on: str | list[str] | None = Field(None, description="key columns of the right, in the same order")
    how: Literal["inner", "left", "right", "outer", "semi", "anti"] = Field(
        "inner",
        description="semi: rows of the left that have a match; anti: those that have none; right and outer: rows of "
        "the right without a match come last. A null key matches nothing",
    )
    suffixes: tuple[str, str] = Field(("", "_right"), description="of columns that both have and are no key")
    unique: Literal["one_to_one", "one_to_many", "many_to_one", "many_to_many"] = Field(
        "many_to_many", alias="validate", description="an error where the keys of a side called one are repeated"
    )
    output_path: str | None = Field(None, description="where the Parquet goes; into the run's folder unless given")

    @model_validator(mode="after")
    def _has_keys(self) -> Params:
        if (self.on is None) == (self.left_on is None and self.right_on is None):
            raise ValueError("say the keys: on, or left_on and right_on")
        if not self.left_keys or len(self.left_keys) != len(self.right_keys):
            raise ValueError("left_on and right_on name as many columns each, at least one")
        return self

    @property
    def left_keys(self) -> list[str]:
        return _listed(self.on if self.on is not None else self.left_on)

    @property
    def right_keys(self) -> list[str]:
        return _listed(self.on if self.on is not None else self.right_on)


def run(params: Params) -> dict[str, Any]:
    result, here = ModResult(METADATA.name), current_run(METADATA.name)
    target = here.output(params.output_path)
    with ExitStack() as stack:
        left = stack.enter_context(judged(here, params.left_artifact))
        right = stack.enter_context(judged(here, params.right_artifact))
        shape = _shaped(params, left, right)
        connection = stack.enter_context(duck.connected(here))
        _check_unique(connection, params, left, right)
        _, pairs = duck.tables(connection, _pairing(params, left, right))
        lefts, pieces = stack.enter_context(opened(left.path))
        carrier = Carrier(lefts, pieces)
        rights = stack.enter_context(_within_reach(here, right.path, list(shape.right))) if shape.right else None
        rows = write_tables(target, shape.schema, (shape.joined(carrier, rights, each) for each in pairs))
        result.add_metric("rows_processed", left.count + right.count)
        result.add_metric("rows_left", left.count)
        result.add_metric("rows_right", right.count)
    result.add_metric("rows_output", rows)
    result.add_artifact("output_data", target)
    return result.success()


def _listed(keys: str | list[str] | None) -> list[str]:
    return [keys] if isinstance(keys, str) else list(keys or ())


# --------------------------------------------------------------------------- which rows


def _pairing(params: Params, left: Judged, right: Judged) -> str:
    """Numbers of the rows that belong together, a null for the side that lacks."""
    lefts, rights = _keyed("l", left, params.left_keys), _keyed("r", right, params.right_keys)
    alike = " AND ".join(f"l.k{place} = r.k{place}" for place in range(len(params.left_keys)))
    found = f"{lefts} {JOINS[params.how]} {rights} ON {alike}"
    other = "NULL::BIGINT" if params.how in LEFT_ALONE else "r.n"
    return f"SELECT l.n, {other} FROM {found} ORDER BY l.n NULLS LAST, {other}"  # noqa: S608 - quoted


def _keyed(name: str, rows: Judged, keys: list[str]) -> str:
    """A side with a row's number and its keys."""
    columns = ", ".join(f"{rows.value(key)} AS k{place}" for place, key in enumerate(keys))
    return f"(SELECT {rows.row} AS n, {columns} FROM {rows.source}) AS {name}"  # noqa: S608 - quoted


def _check_unique(connection: Any, params: Params, left: Judged, right: Judged) -> None:
    """ValidationException where the keys of a side that is to have one row of each are repeated."""
    for side, rows, keys in (("left", left, params.left_keys), ("right", right, params.right_keys)):
        if side not in ONE[params.unique]:
            continue
        there = " AND ".join(f"{rows.value(key)} IS NOT NULL" for key in keys)
        several = f"{rows.key(keys)}, count(*) FROM {rows.source} WHERE {there} GROUP BY ALL HAVING count(*) > 1"
        found = connection.execute(f"SELECT {several} LIMIT 1").fetchall()
        for *values, count in found:
            shown = ", ".join(f"{key}={value!r}" for key, value in zip(keys, values, strict=True))
            raise ValidationException(
                f"{params.unique}: {count} rows of the {side}, {rows.path.name}, have {shown}.",
                cure="Make them one with deduplicator, or allow them by validate.",
                resource=rows.path.name,
            )


# --------------------------------------------------------------------------- what the output is


@dataclass(frozen=True, slots=True)
class _Shape:
    """The columns of the output: those of the left, then those of the right by the name that they get.

    Attributes
    ----------
    shared : mapping
        Key columns of the left that are filled from the right where a row has no left.
    """

    schema: Any
    right: dict[str, str | None]  # column of the right -> of the output; None for one that only fills
    shared: dict[str, str]

    def joined(self, carrier: Carrier, rights: _Reach | None, pairs: Any) -> Any:
        """The rows of these pairs."""
        import pyarrow as pa
        import pyarrow.compute as pc

        lefts, numbers = pairs.column(0).combine_chunks(), pairs.column(1).combine_chunks()
        here = len(lefts) - lefts.null_count  # rows without a left come last
        taken = carrier.take(lefts.slice(0, here).to_numpy(zero_copy_only=False))
        columns = [_lengthened(column, len(lefts)) for column in taken.columns]
        others = {} if rights is None else rights.take(numbers)
        for name, key in self.shared.items():
            place = taken.schema.get_field_index(name)
            kind = self.schema.field(place).type
            columns[place] = columns[place].cast(kind)
            if here < len(lefts):
                columns[place] = pc.if_else(lefts.is_valid(), columns[place], others[key].cast(kind))
        columns += [others[column] for column, name in self.right.items() if name is not None]
        return pa.table(columns, schema=self.schema)


def _lengthened(column: Any, rows: int) -> Any:
    import pyarrow as pa

    if len(column) == rows:
        return column
    return pa.chunked_array([*column.chunks, pa.nulls(rows - len(column), column.type)], column.type)


def _shaped(params: Params, left: Judged, right: Judged) -> _Shape:
    """The output's columns, once it is seen that the keys can be compared and the names differ."""
    import pyarrow as pa

    shared = {}
    for one, other in zip(params.left_keys, params.right_keys, strict=True):
        left.column(one), right.column(other)
        kinds = left.schema.field(one).type, right.schema.field(other).type
        if len({_class_of(kind) for kind in kinds} - {"null"}) > 1:  # a column of nulls goes with any
            raise ParameterError(
                f"{one!r} of the left is {kinds[0]}, and {other!r} of the right is {kinds[1]}.",
                cure="Give both one type in data_cleaner: types.",
                resource=one,
            )
        if one == other:
            shared[one] = other
    if params.how in LEFT_ALONE:
        return _Shape(left.schema, {}, {})
    both = (set(left.names) & set(right.names)) - set(shared)
    fields = [_wider(each, right.schema) if each.name in shared else each for each in left.schema]
    fields = [each.with_name(each.name + params.suffixes[0]) if each.name in both else each for each in fields]
    names: dict[str, str | None] = {}
    for each in right.schema:
        if each.name in shared:
            if params.how in ("right", "outer"):
                names[each.name] = None
            continue
        names[each.name] = each.name + params.suffixes[1] if each.name in both else each.name
        fields.append(each.with_name(names[each.name]))
    _check_names([each.name for each in fields])
    return _Shape(pa.schema([each.with_nullable(True) for each in fields]), names, shared)


def _check_names(names: Sequence[str]) -> None:
    for name in names:
        if names.count(name) > 1:
            raise ParameterError(f"Two columns of the output are called {name!r}.", cure="Give other suffixes.")


def _wider(field: Any, right: Any) -> Any:
    """A key that stands for both sides: of a type that holds the values of both."""
    import pyarrow as pa

    other = right.field(field.name).type
    if pa.types.is_timestamp(field.type) and pa.types.is_timestamp(other):
        units = ("s", "ms", "us", "ns")
        return field.with_type(pa.timestamp(max(field.type.unit, other.unit, key=units.index), field.type.tz))
    plain = [pa.schema([each.with_nullable(True)]) for each in (_decoded(field), _decoded(right.field(field.name)))]
    if field.type == other:
        return field
    kinds = [each.field(0).type for each in plain]
    if pa.types.is_uint64(kinds[0]) != pa.types.is_uint64(kinds[1]) and all(map(_may_be_less, kinds)):
        return field.with_type(pa.decimal128(20, 0))  # no integer type has room for both
    return pa.unify_schemas(plain, promote_options="permissive").field(0)


def _may_be_less(kind: Any) -> bool:
    """Whether it is uint64, or whole numbers below zero too."""
    import pyarrow as pa

    return bool(pa.types.is_uint64(kind) or pa.types.is_signed_integer(kind))


def _decoded(field: Any) -> Any:
    import pyarrow as pa

    return field.with_type(field.type.value_type) if pa.types.is_dictionary(field.type) else field


def _class_of(kind: Any) -> str:
    """Types of one class are compared as what they are."""
    import pyarrow as pa

    if pa.types.is_dictionary(kind):
        return _class_of(kind.value_type)
    if pa.types.is_integer(kind) or pa.types.is_decimal(kind):
        return "exact number"
    if pa.types.is_timestamp(kind):
        return "instant" if kind.tz else "time"
    tests = {
        "float": pa.types.is_floating,
        "text": lambda kind: pa.types.is_string(kind) or pa.types.is_large_string(kind),
        "date": pa.types.is_date,
        "binary": lambda kind: pa.types.is_binary(kind) or pa.types.is_large_binary(kind),
    }
    return next((name for name, test in tests.items() if test(kind)), str(kind))


# --------------------------------------------------------------------------- rows in any order


class _Reach:
    """Rows taken in any order from a file that lies open in memory's reach, not in memory."""

    def __init__(self, file: Any, schema: Any) -> None:
        import numpy as np

        self._file, self._schema = file, schema
        self._batches = [file.get_batch(place) for place in range(file.num_record_batches)]
        self._ends = np.cumsum([batch.num_rows for batch in self._batches], dtype=np.int64)

    def take(self, numbers: Any) -> dict[str, Any]:
        """Columns of the rows of these numbers, null where there is none."""
        import numpy as np
        import pyarrow as pa

        there = numbers.drop_null().to_numpy(zero_copy_only=False)
        order = np.argsort(there, kind="stable")
        wanted = there[order]
        parts, done = [self._file.schema.empty_table()], 0
        while done < len(wanted):
            which = int(np.searchsorted(self._ends, wanted[done], side="right"))
            until = int(np.searchsorted(wanted, self._ends[which]))
            begin = int(self._ends[which]) - self._batches[which].num_rows
            parts.append(pa.Table.from_batches([self._batches[which].take(pa.array(wanted[done:until] - begin))]))
            done = until
        places = np.full(len(numbers), -1, dtype=np.int64)
        valid = np.flatnonzero(numbers.is_valid().to_numpy(zero_copy_only=False))
        places[valid[order]] = np.arange(len(wanted))
        table = pa.concat_tables(parts).combine_chunks().take(pa.array(places, mask=places < 0))
        return {field.name: table.column(field.name).cast(field.type) for field in self._schema}


@contextmanager
def _within_reach(run: ModRun, path: Path, columns: list[str]) -> Iterator[_Reach]:
    """The columns of an artifact, laid out in the run's folder so that any row of them is at hand."""
    import pyarrow as pa

    with storage_errors(str(run.folder)):
        run.folder.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=".joiner-", suffix=".arrow", dir=run.folder)
        os.close(handle)
    try:
        with opened(path, columns) as (schema, pieces), storage_errors(name):
            plain = pa.schema([_decoded(each).with_nullable(True) for each in schema])
            with pa.OSFile(name, "wb") as sink, pa.ipc.new_file(sink, plain) as writer:
                for piece in pieces:
                    writer.write_table(piece.select(schema.names).cast(plain))
        with closing(pa.memory_map(name)) as reach:
            yield _Reach(pa.ipc.open_file(reach), schema)
    finally:
        os.unlink(name)
