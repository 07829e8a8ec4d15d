"""Output: JSON if asked for, a table on a terminal, tab-separated lines otherwise."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

Row = Mapping[str, Any]
PROSE = ("what", "why", "ready", "value", "notes", " ")  # columns whose words may be wrapped; names and ids never are
GAP = 2  # characters between two columns
COUNTS = ("rows", "bytes", "rows_in", "rows_out")


def rows(
    data: Sequence[Row], *, as_json: bool, title: str = "", empty: str = "nothing", spare: Sequence[str] = ()
) -> None:
    """Show rows of the same keys.

    Parameters
    ----------
    data : sequence of mapping
    as_json : bool
    title : str
        Above the table on a terminal.
    empty : str
        What a person is told when there are none.
    spare : sequence of str
        Columns that a narrow terminal does without.
    """
    if as_json:
        document([dict(row) for row in data])
    elif not data:
        note(empty)
    elif sys.stdout.isatty():
        _table(data, title, spare)
    else:
        for row in data:
            print("\t".join(plain(value) for value in row.values()))


def record(data: Row, *, as_json: bool) -> None:
    """Show one thing, a line for each of its keys."""
    if as_json:
        document(dict(data))
    elif sys.stdout.isatty():
        from rich.table import Table

        grid = Table.grid(padding=(0, 2))
        for key, value in data.items():
            grid.add_row(literal(key, style="bold"), literal(_counted(key, value)))
        print_fitting(grid)
    else:
        for key, value in data.items():
            print(f"{key}\t{plain(value)}")


def document(data: Any) -> None:
    """JSON on standard output."""
    print(json.dumps(clean(data), allow_nan=False, ensure_ascii=False))


class _Told:
    """Whether notes are."""

    notes = True


def hush(*, notes: bool) -> None:
    """From now on notes are kept back, or told again."""
    _Told.notes = not notes


def note(text: str) -> None:
    """A sentence for a person, beside the output that is for a program."""
    if text and _Told.notes:
        print(text, file=sys.stderr)


def is_for_a_person() -> bool:
    """Whether standard output is a terminal."""
    return sys.stdout.isatty()


@contextmanager
def busy(what: str) -> Iterator[Callable[[str], None]]:
    """On a terminal, show that work goes on; yields what tells how far it is."""
    if not sys.stderr.isatty():
        yield lambda text: None
        return
    from rich.console import Console

    with Console(stderr=True).status(what) as status:
        yield lambda text: status.update(f"{what} {plain(text)}")


def new_table(title: str = "") -> Table:
    """An empty table as all of ours look."""
    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    return Table(
        title=title or None,
        title_justify="left",
        title_style="bold",
        header_style="bold",
        box=SIMPLE_HEAD,
        show_edge=False,
        pad_edge=False,
        padding=(0, GAP - 1, 0, 0),
    )


def print_fitting(table: Table) -> None:
    """Print it; where even its narrowest form is wider than the terminal, the terminal wraps, and nothing is cut."""
    from rich.console import Console

    Console(highlight=False, width=max(_least(table), Console().width)).print(table)


def _least(table: Table) -> int:
    """The narrowest that it can be without a cut, in characters."""
    from rich.console import Console

    console = Console()
    return console.measure(table, options=console.options.update(width=10_000)).minimum


def _table(data: Sequence[Row], title: str, spare: Sequence[str]) -> None:
    from rich.console import Console

    table = _filled(data, title, list(data[0]))
    if spare and _least(table) > Console().width:
        table = _filled(data, title, [key for key in data[0] if key not in spare])
    print_fitting(table)


def _filled(data: Sequence[Row], title: str, keys: Sequence[str]) -> Table:
    table = new_table(title)
    for key in keys:
        numeric = all(isinstance(row[key], (int, float)) and not isinstance(row[key], bool) for row in data)
        if key in PROSE:
            table.add_column(key, overflow="fold", min_width=min(24, max(len(plain(row[key])) for row in data)))
        else:
            longest = max(len(_counted(key, row[key])) for row in data)
            table.add_column(key, justify="right" if numeric else "left", no_wrap=True, min_width=longest)
    for row in data:
        table.add_row(*(literal(_counted(key, row[key])) for key in keys))
    return table


def literal(text: str, style: str = "") -> Text:
    """Text in which nothing is markup."""
    from rich.text import Text

    return Text(text, style=style)


def _counted(key: str, value: Any) -> str:
    if key == "seconds" and isinstance(value, float):
        return f"{value:.2f}"
    return f"{value:,}" if key in COUNTS and isinstance(value, int) else plain(value)


def plain(value: Any) -> str:
    """A value in one line of text: nothing in it moves a cursor or ends the line."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return value.astimezone().strftime("%Y-%m-%d %H:%M:%S") if value.tzinfo else value.isoformat(" ")
    if isinstance(value, (list, tuple)):
        return ", ".join(map(plain, value))
    text = str(value)
    return text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def moment(seconds: float) -> str:
    """A time as a person here reads it."""
    return datetime.fromtimestamp(seconds).strftime("%Y-%m-%d %H:%M:%S")


def clean(value: Any) -> Any:
    """A value as JSON can say it: what is missing, and what is no number, is null."""
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return None
    if isinstance(value, (bool, int, str)):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): clean(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [clean(item) for item in value]
    if isinstance(value, (datetime, date)):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, bytes):
        return value.hex()
    return clean(value.tolist()) if hasattr(value, "tolist") else str(value)  # NumPy's scalars and arrays
