"""The guard before a replace: a table is not emptied, nor halved, by mistake."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from framework.attempt import attempt
from framework.errors import DataException
from framework.interfaces import Description

if TYPE_CHECKING:
    from framework.store import Store

PASSING = "temp"  # the store whose tables are made to be replaced


def check_shrink(what: str, before: int, after: int, *, allow: bool) -> None:
    """DataException if that many rows in the place of those before would empty it, or leave less than half.

    Parameters
    ----------
    allow : bool
        That it is meant.
    """
    if allow or before == 0 or (after > 0 and after * 2 >= before):
        return
    would = "empty it" if after == 0 else f"shrink it by {100 * (before - after) // before} %"
    raise DataException(
        f"{what} holds {before} rows, and {after} in their place would {would}; nothing was changed.",
        cure="If that is meant, say allow_shrink: true.",
        resource=what,
    )


def replaced(
    store: Store, name: str, data: Any, rows: int | None, *, what: str, allow: bool, save_id: str | None = None
) -> dict[str, Any]:
    """Replace a table, unless that would empty or more than halve it: what is other in it than before.

    Parameters
    ----------
    rows : int or None
        How many the data has, if that is known.
    what : str
        What it is called to the user.
    allow : bool
        That less than half is meant.
    """
    with store.locked(name):  # what is compared with is what is replaced
        before = attempt(name, lambda: store.describe(name)).value
        if before is not None and rows is not None and store.kind != PASSING:
            check_shrink(what, before.rows, rows, allow=allow)
        store.save_data(data, name, save_id=save_id)
        return changes_between(before, store.describe(name))


def changes_between(before: Description | None, after: Description) -> dict[str, Any]:
    """What is other in a table than before, by what is on record of it."""
    old, new = {} if before is None else before.columns, after.columns
    return {
        "rows_before": 0 if before is None else before.rows,
        "rows_after": after.rows,
        "columns_added": [each for each in new if each not in old],
        "columns_gone": [each for each in old if each not in new],
        "columns_changed": {
            each: f"{old[each]} -> {kind}" for each, kind in new.items() if each in old and old[each] != kind
        },
    }
