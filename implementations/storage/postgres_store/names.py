"""Names as the server holds them: of datasets, columns, and what Millpond keeps beside them."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from psycopg import sql

CATALOG = "millpond_catalog"
ORDINAL = "millpond_row"
LONGEST = 63  # bytes of a PostgreSQL name
RESERVED = {ORDINAL, "ctid", "xmin", "xmax", "cmin", "cmax", "tableoid"}


def is_text(name: str) -> bool:
    """Whether the server takes it as text: no NUL, no half of a character."""
    try:
        return b"\0" not in name.encode()
    except UnicodeEncodeError:
        return False


def held_name(name: str) -> str:
    """The server's name for a dataset: its own, or a shortened one that no other has."""
    return name if len(name.encode()) <= LONGEST else _shortened(name)


def held_column(name: str) -> str:
    """The server's name for a column: its own unless that is too long or the server's."""
    return name if len(name.encode()) <= LONGEST and name not in RESERVED else _shortened(name)


def _shortened(name: str) -> str:
    return f"{name.encode()[:40].decode(errors='ignore')}~{hashlib.sha256(name.encode()).hexdigest()[:16]}"


def listed(columns: Sequence[str]) -> sql.Composable:
    """`"a", "b"`."""
    return sql.SQL(", ").join(map(sql.Identifier, columns))


def declared(column: str, kind: str) -> sql.Composable:
    """`"column" type`, for CREATE and ALTER."""
    return sql.SQL("{} {}").format(sql.Identifier(column), sql.SQL(kind))
