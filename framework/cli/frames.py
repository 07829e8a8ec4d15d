"""A frame as a program reads it, and on a terminal: as many columns as fit, and the names of those that do not."""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from framework.cli import show

if TYPE_CHECKING:
    import pandas as pd

WIDEST = 32  # characters of a cell on a terminal


def show_frame(frame: pd.DataFrame, *, as_json: bool) -> None:
    """Print the frame: as JSON records, as a table on a terminal, or whole as tab-separated lines."""
    told = _with_index(frame)
    if as_json:
        show.document(
            [dict(zip(told.columns, row, strict=True)) for row in told.astype(object).itertuples(index=False)]
        )
    elif sys.stdout.isatty():
        _print_table(told)
    else:
        print(told.to_csv(sep="\t", index=False), end="")


def _with_index(frame: pd.DataFrame) -> pd.DataFrame:
    """The index as columns, unless it only counts; every column under a name of its own."""
    import pandas as pd

    counts = isinstance(frame.index, pd.RangeIndex) and frame.index.name is None
    levels = [] if counts else [frame.index.get_level_values(level) for level in range(frame.index.nlevels)]
    names = [str(level.name) if level.name is not None else "index" for level in levels]
    told = frame.reset_index(drop=True).copy()
    for place, level in enumerate(levels):
        told.insert(place, names[place], pd.Series(level), allow_duplicates=True)
    told.columns = pd.Index(_unique([*names, *map(_label, frame.columns)]), dtype=object)
    return told


def _label(label: Any) -> str:
    return ".".join(map(str, label)) if isinstance(label, tuple) else str(label)


def _unique(names: Sequence[str]) -> list[str]:
    seen: list[str] = []
    for name in names:
        count, other = 1, name
        while other in seen:
            count += 1
            other = f"{name} ({count})"
        seen.append(other)
    return seen


def _print_table(frame: pd.DataFrame) -> None:
    columns = {str(name): _cells(frame.iloc[:, place]) for place, name in enumerate(frame.columns)}
    shown = _fitting({show.plain(name): cells for name, cells in columns.items()})
    table = show.new_table()
    for place, name in enumerate(shown):
        numeric = frame.dtypes.iloc[place].kind in "iuf"
        table.add_column(name, justify="right" if numeric else "left", no_wrap=True)
    for cells in zip(*shown.values(), strict=True):
        table.add_row(*map(show.literal, cells))
    show.print_fitting(table)
    left_out = list(columns)[len(shown) :]
    if left_out:
        names = ", ".join(map(show.plain, left_out[:8])) + (" ..." if len(left_out) > 8 else "")
        print(textwrap.fill(f"and {len(left_out)} more columns (-c NAME shows one): {names}", _width()))


def _cells(column: pd.Series[Any]) -> list[str]:
    """The column's texts as pandas would show them, each in one line and not too long."""
    if column.empty:
        return []
    texts = [show.plain(text.strip()) for text in column.to_string(index=False, header=False, name=False).split("\n")]
    return [text if len(text) <= WIDEST else f"{text[: WIDEST - 1]}…" for text in texts]


def _fitting(columns: dict[str, list[str]]) -> dict[str, list[str]]:
    """The first columns that fit side by side; at least one."""
    from rich.cells import cell_len

    shown: dict[str, list[str]] = {}
    room = _width()
    for name, cells in columns.items():
        room -= max(map(cell_len, [name, *cells])) + show.GAP
        if shown and room < -show.GAP:
            break
        shown[name] = cells
    return shown


def _width() -> int:
    return shutil.get_terminal_size().columns
