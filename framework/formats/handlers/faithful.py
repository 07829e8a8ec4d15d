"""Whether a frame that was written as text or into a sheet is read back with the same values.

Wider is fine: int32 as int64, a category as its texts, a time in other units. Missing is missing.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from framework.errors import FidelityError, FormatError
from framework.schema import Field, FrameSchema, encode, plain
from framework.schema.zones import shown

CURE = "Save it as parquet, which keeps everything, or accept the loss with lossy: true."


def check_shape(frame: Any, what: str) -> None:
    """FidelityError for an index or labels that a plain table of columns cannot tell.

    Raises
    ------
    FidelityError
    """
    import pandas as pd

    index, labels = frame.index, list(frame.columns)
    plain_index = isinstance(index, pd.RangeIndex) and (index.start, index.step, index.name) == (0, 1, None)
    if not plain_index and not (len(index) == 0 and isinstance(index, pd.RangeIndex)):
        raise FidelityError(
            f"{what} has no place for the frame's index.",
            cure="Make columns of it with reset_index(), drop it with reset_index(drop=True), save as parquet, "
            "or accept the loss with lossy: true.",
        )
    strange = next((label for label in labels if not isinstance(label, str)), None)
    if strange is not None or frame.columns.nlevels > 1:
        raise FidelityError(f"The column label {strange!r} is not text, and {what} holds no other.", cure=CURE)
    check_unique(labels, what)
    if frame.columns.name is not None:
        raise FidelityError(
            f"{what} has no place for the name {frame.columns.name!r} of the columns themselves.",
            cure="Drop it with rename_axis(columns=None), or accept the loss with lossy: true.",
        )


def check_unique(labels: list[Any], what: str) -> None:
    """FidelityError for a label that is there twice."""
    twice = next((label for label in labels if labels.count(label) > 1), None)
    if twice is not None:
        raise FidelityError(f"Two columns are called {twice!r}, and {what} cannot tell them apart.", cure="Rename one.")


def flattened(frame: Any, what: str) -> Any:
    """The frame as a table of columns with labels of text, whatever is lost; its index as columns in front."""
    import pandas as pd

    index = frame.index
    levels = [] if isinstance(index, pd.RangeIndex) else range(index.nlevels)
    names = [_level_name(index.names[level], level) for level in levels]
    labels = [*names, *(str(label) for label in frame.columns)]
    check_unique(labels, what)
    columns = [index.get_level_values(level).array for level in levels]
    columns += [frame.iloc[:, place].array for place in range(len(frame.columns))]
    made = pd.DataFrame(dict(enumerate(columns)), index=pd.RangeIndex(len(frame)))
    return made.set_axis(pd.Index(labels, dtype=object), axis=1)


def _level_name(name: Any, level: int) -> str:
    if name is not None:
        return str(name)
    return "index" if level == 0 else f"index_{level}"


@contextmanager
def read_back(path: Path, what: str) -> Iterator[None]:
    """While a file just written is read and compared: what is wrong with it is the data, and it is removed."""
    try:
        yield
    except (FidelityError, FormatError) as error:
        path.unlink()  # nobody shall take it for the data
        if isinstance(error, FidelityError):
            raise
        raise FidelityError(f"{what} does not hold this frame: {error.message}", cure=CURE) from error


def check_same_values(frame: Any, back: Any, what: str) -> None:
    """FidelityError that names the first column whose values are not those that were written."""
    check_tables(encode(frame), encode(back), what)


def check_tables(written: tuple[pa.Table, FrameSchema], read: tuple[pa.Table, FrameSchema], what: str) -> None:
    """As `check_same_values`, of tables with their schemas."""
    table, back = plain(*written), plain(*read)
    fields, found = written[1].values, {field.label: field for field in read[1].values}
    if table.num_rows != back.num_rows:
        raise FidelityError(f"{table.num_rows} rows are read back from {what} as {back.num_rows}.", cure=CURE)
    for field in fields:
        other = found.get(field.label)
        if other is None:
            raise FidelityError(f"Column {field.label!r} is not read back from {what}.", cure=CURE)
        why = _difference(table.column(field.name), field, back.column(other.name), other)
        if why is not None:
            raise FidelityError(
                f"Column {field.label!r}: {why} when it is read back from {what}.", cure=CURE, resource=str(field.label)
            )


def _difference(column: Any, field: Field, back: Any, other: Field) -> str | None:
    gone, lost = (pc.is_null(each, nan_is_null=True) for each in (column, back))
    if not gone.equals(lost):
        return "a missing cell and one that is there are not told apart"
    if pc.all(gone, min_count=0).as_py():
        return None
    if field.kind != other.kind or field.zone not in (None, other.zone, "UTC"):
        cell = column.filter(pc.invert(gone))[0].as_py()
        return f"{_shown(field)} such as {cell!r} is {_shown(other)}"
    kept = pc.invert(gone)
    return _first_unequal(column.filter(kept), back.filter(kept))


def _first_unequal(column: Any, back: Any) -> str | None:
    if pa.types.is_floating(column.type):
        one, two = (np.asarray(each.cast(pa.float64())) for each in (column, back))
        unequal = (one != two) | (np.signbit(one) != np.signbit(two))
        places = np.flatnonzero(unequal)
    else:
        if column.type != back.type:
            back, column = _alike(back, column)
        places = np.flatnonzero(np.asarray(pc.not_equal(column, back)))
    if not len(places):
        return None
    cell, changed = column[int(places[0])].as_py(), back[int(places[0])].as_py()
    return f"{cell!r} is {changed!r}"


def _alike(back: Any, column: Any) -> tuple[Any, Any]:
    try:
        return back.cast(column.type), column
    except pa.ArrowInvalid:
        return back, column.cast(back.type)


def _shown(field: Field) -> str:
    return f"a time in {shown(field.zone)}" if field.zone is not None else field.kind
