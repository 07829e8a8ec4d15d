"""Output: JSON if asked for, a table on a terminal, plain lines otherwise."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any

Row = Mapping[str, Any]


def rows(data: Sequence[Row], *, as_json: bool, title: str = "", empty: str = "nothing") -> None:
    """Show rows of the same keys."""
    if as_json:
        document([dict(row) for row in data])
    elif not data:
        print(empty, file=sys.stderr)
    elif sys.stdout.isatty():
        _table(data, title)
    else:
        for row in data:
            print("\t".join(_plain(value) for value in row.values()))


def record(data: Row, *, as_json: bool, title: str = "") -> None:
    """Show one thing, a line for each of its keys."""
    if as_json:
        document(dict(data))
    else:
        rows([{"": key, " ": value} for key, value in data.items()], as_json=False, title=title)


def document(data: Any) -> None:
    """JSON on standard output."""
    print(json.dumps(data, default=_jsonable, allow_nan=False, ensure_ascii=False))


def note(text: str) -> None:
    """A sentence for a person, beside the output that is for a program."""
    print(text, file=sys.stderr)


def _table(data: Sequence[Row], title: str) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title or None, title_justify="left", title_style="bold", header_style="bold", show_edge=False)
    for key in data[0]:
        numeric = all(isinstance(row[key], (int, float)) for row in data)
        table.add_column(str(key), justify="right" if numeric else "left", overflow="fold")
    for row in data:
        table.add_row(*(Text(_plain(value)) for value in row.values()))
    Console().print(table)


def _plain(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.astimezone().strftime("%Y-%m-%d %H:%M:%S") if value.tzinfo else value.isoformat(" ")
    text = str(value)
    return text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def _jsonable(value: Any) -> Any:
    if isinstance(value, (datetime, date)):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, bytes):
        return value.hex()
    if hasattr(value, "item"):
        return clean(value.item())
    return str(value)


def clean(value: Any) -> Any:
    """A cell as JSON can say it: what is missing, and what is no number, is null."""
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return None
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
