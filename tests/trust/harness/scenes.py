"""A store in a known state, one operation on it, and what may be found afterwards: what was there or what was to come.

An operation knows the state that it starts from and the one that it ends in, so that a trial needs no more than to do
it in a child, end the child somehow, and look.
"""

from __future__ import annotations

import csv
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from framework.errors import BaseFrameworkException, LockedError
from framework.schema import encode, fingerprint
from framework.settings import as_settings
from framework.testing import elsewhere
from framework.testing.elsewhere import Recipe
from framework.testing.same import first_difference
from framework.vault import Vault

KEPT = 4  # backups of each dataset: few enough that most trials prune
PATIENCE = 5.0
LEFTOVER = re.compile(r"\.tmp$|\.partial(/|$)|\.new$")
NAME, OTHER = "d", "moved"
BESIDE = re.compile(rf"/\.{NAME}\.[^/]*$")

State = dict[str, pd.DataFrame]


def make(recipe: Recipe) -> Any:
    """The store, its vault one that keeps few backups."""
    store = elsewhere.make(recipe)
    if store.vault is not None:
        store.vault = Vault(store, as_settings(store.settings).backup_folder, keep=KEPT)
    return store


def stamped(value: int, rows: int | None = None) -> pd.DataFrame:
    """A frame in whose every row the value stands; its length goes with it, and no text file alone tells its dtypes."""
    count = rows if rows is not None else (5 + value % 7 if value % 3 == 0 else 200 + (137 * value) % 3000)
    return pd.DataFrame(
        {
            "n": range(count),
            "value": [value] * count,
            "text": pd.Series([f"{value:06}" if row % 5 else None for row in range(count)], dtype=object),
            "digits": pd.Series([str(value)] * count, dtype=object),
            "some": pd.array([value if row % 3 else None for row in range(count)], dtype="Int32"),
            "x": [value + row / 7 for row in range(count)],
        }
    )


def added(value: int) -> pd.DataFrame:
    """Rows to append: they go on counting where nobody else does."""
    return stamped(value, 40).assign(n=range(1_000_000, 1_000_040))


def merged(old: pd.DataFrame, value: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows to upsert by `n`, half of them there already, and the frame that follows."""
    there = len(old) // 2
    hits = min(there, 40)
    new = stamped(value, 40).assign(n=[*range(hits), *range(1_000_000, 1_000_040 - hits)])
    return new, pd.concat([new[:hits], old[hits:], new[hits:]], ignore_index=True)  # the first rows, one by one


@dataclass(frozen=True)
class Operation:
    """What a child does, from which state to which.

    Attributes
    ----------
    act : callable
        Does it: `act(store, value)`.
    after : callable
        The state that follows, of the value.
    backed : bool
        Whether the new state may not be there without a backup of the old one.
    copies : bool
        Whether it needs a store with a vault.
    """

    act: Callable[[Any, int], Any]
    after: Callable[[int], State]
    backed: bool = False
    copies: bool = False


def _replace(store: Any, value: int) -> Any:
    return store.save_data(stamped(value + 1), NAME)


def _append(store: Any, value: int) -> Any:
    return store.save_data(added(value + 1), NAME, mode="append")


def _upsert(store: Any, value: int) -> Any:
    return store.save_data(merged(stamped(value), value + 1)[0], NAME, mode="upsert", keys=["n"])


def _save_with_backup(store: Any, value: int) -> Any:
    return store.save_with_backup(stamped(value + 1), NAME)


def _restore(store: Any, value: int) -> Any:
    return store.vault.restore_data(NAME)


def _backup(store: Any, value: int) -> Any:
    return store.vault.backup_data(NAME)[0]


def _delete(store: Any, value: int) -> Any:
    return store.delete_data(NAME)


def _rename(store: Any, value: int) -> Any:
    return store.rename_data(NAME, OTHER)


def _one(value: int) -> State:
    return {NAME: stamped(value + 1)}


OPERATIONS: dict[str, Operation] = {
    "replace": Operation(_replace, _one),
    "append": Operation(
        _append, lambda value: {NAME: pd.concat([stamped(value), added(value + 1)], ignore_index=True)}
    ),
    "upsert": Operation(_upsert, lambda value: {NAME: merged(stamped(value), value + 1)[1]}),
    "save_with_backup": Operation(_save_with_backup, _one, backed=True, copies=True),
    "restore": Operation(_restore, lambda value: {NAME: stamped(value + 2)}, backed=True, copies=True),
    "backup": Operation(_backup, lambda value: {NAME: stamped(value)}, copies=True),
    "delete": Operation(_delete, lambda value: {}),
    "rename": Operation(_rename, lambda value: {OTHER: stamped(value)}),
}


def perform(pipe: Any, recipe: Recipe, operation: str, value: int) -> None:
    """In a child: say "ready", do it once told to, and tell how it went; its handles are open before."""
    store = make(recipe)
    store.get_data(NAME)
    _perform(pipe, store, operation, value)


def perform_anew(pipe: Any, recipe: Recipe, operation: str, value: int) -> None:
    """The same with a store that has opened nothing yet."""
    _perform(pipe, make(recipe), operation, value)


def _perform(pipe: Any, store: Any, operation: str, value: int) -> None:
    pipe.send("ready")
    pipe.recv()
    pipe.send(done(store, operation, value))


def done(store: Any, operation: str, value: int) -> tuple[str, Any]:
    """Do it: `("done", seconds)`, or what it raised, in words."""
    began = time.monotonic()
    try:
        answer = OPERATIONS[operation].act(store, value)
    except BaseFrameworkException as error:
        return "refused", f"{type(error).__name__}: {error}"
    assert answer is True, answer
    return "done", time.monotonic() - began


@dataclass
class Scene:
    """A store in a place of its own, put into the state before an operation again and again."""

    recipe: Recipe
    store: Any = field(init=False)

    def __post_init__(self) -> None:
        self.store = make(self.recipe)

    @property
    def operations(self) -> list[str]:
        """Those that this store has."""
        return [name for name, each in OPERATIONS.items() if not each.copies or self.store.vault is not None]

    def prepare(self, operation: str, value: int) -> None:
        """The state before; by the very save that follows what happened last, which must not be kept waiting."""
        self.store.save_data(stamped(value + 2 if operation == "restore" else value), NAME)
        if self.store.exists(OTHER):
            self.store.delete_data(OTHER)
        if operation == "restore":
            self.store.vault.backup_data(NAME)
            self.store.save_data(stamped(value), NAME)

    def fill_vault(self) -> None:
        """As many backups as are kept, so that the next one prunes."""
        self.prepare("replace", 1)
        while self.store.vault is not None and self.backups() < KEPT:
            self.store.vault.backup_data(NAME)

    def backups(self) -> int:
        return len(self.store.vault.list_backups(NAME)) if self.store.vault is not None else 0

    def found(self, operation: str, value: int, *, backups: int) -> str:
        """`old`, `new`, or what is wrong: a state that is neither, or a backup that is missing or damaged."""
        new = OPERATIONS[operation].after(value)
        fault_old, fault_new = self.unlike({NAME: stamped(value)}), self.unlike(new)
        if fault_old and fault_new:
            return f"torn: not old ({fault_old}), not new ({fault_new})"
        state = "new" if fault_old else "old"
        return self._fault_of_backups(operation, value, state, backups) or state

    def unlike(self, wanted: State) -> str | None:
        """Why what is there, by the store and by the raw library, is not this state; None when it is."""
        there = self.store.list_sources()
        if there != sorted(wanted):
            return f"there are {there}"
        for name, frame in wanted.items():
            try:
                difference = first_difference(frame, self.store.get_data(name))
            except BaseFrameworkException as error:
                return f"{name} cannot be read: {type(error).__name__}: {error}"
            if difference is not None:
                return f"{name}: {difference}"
            raw = raw_numbers(self.store, name)
            if raw is not None and sorted(raw) != sorted(frame["n"]):
                return f"{name}: the raw library reads {len(raw)} other rows"
        return None

    def _fault_of_backups(self, operation: str, value: int, state: str, before: int) -> str | None:
        vault = self.store.vault
        if vault is None:
            return None
        listed = vault.list_backups(NAME)
        if len(listed) < min(before, KEPT):
            return f"lost: {before} backups were there, and {len(listed)} are"
        if vault.damaged():
            return f"torn: a damaged backup is left: {vault.damaged()}"
        for record in listed:
            try:
                vault.verify_backup(record.backup_id)
            except BaseFrameworkException as error:
                return f"torn: a listed backup is not whole: {error}"
        kept = bool(listed) and listed[-1].fingerprint == print_of(stamped(value))
        if OPERATIONS[operation].backed and state == "new" and not kept:
            return "lost: the new data is there, and no backup of the old"
        return None

    def leftovers(self, *, swept_by_save: bool = False) -> list[str]:
        """Temporary files under the place; or only those that a save sweeps, which are beside its own."""
        place = Path(self.recipe.place)
        names = [path.relative_to(place).as_posix() for path in place.rglob("*")]
        left = [name for name in names if LEFTOVER.search(name)]
        return [name for name in left if BESIDE.search(name) and ".partial" not in name] if swept_by_save else left

    def swept(self) -> list[str]:
        """What is left when all has been saved, backed up and deleted once more: it should be nothing."""
        for name in (NAME, OTHER):
            self.store.save_data(stamped(3), name)
            if self.store.vault is not None:
                self.store.vault.backup_data(name)
            self.store.delete_data(name)
        left = self.leftovers()
        place = Path(self.recipe.place)
        left += [path.relative_to(place).as_posix() for path in place.rglob(".millpond/csv/*.json")]
        return left + raw_tables(self.store)


def print_of(frame: pd.DataFrame) -> str:
    """The fingerprint that the frame has in whatever store."""
    return fingerprint(*encode(frame))


def is_locked(error: BaseException) -> bool:
    return isinstance(error, LockedError)


# --------------------------------------------------------------------------- around the store


def raw_numbers(store: Any, name: str) -> list[int] | None:
    """The column `n` as the raw library reads it; None for a store that has none here."""
    if store.kind == "csv":
        with store.path(name).open(newline="", encoding="utf-8") as file:
            return [int(row["n"]) for row in csv.DictReader(file)]
    if store.kind in ("parquet", "temp"):
        import pyarrow.parquet as pq

        column: list[int] = pq.read_table(store.path(name), columns=["n"]).column("n").to_pylist()
        return column
    if store.kind == "postgres":
        return [row[0] for row in _asked(store, 'SELECT n FROM {}."{}"', store.namespace, name)]
    return None


def raw_tables(store: Any) -> list[str]:
    """Tables that are left in a server's schema beside the catalogue, and its records."""
    if store.kind != "postgres":
        return []
    tables = "SELECT tablename FROM pg_tables WHERE schemaname = '{}' AND tablename NOT LIKE 'millpond%'"
    left = [f"table {row[0]}" for row in _asked(store, tables, store.namespace)]
    records = _asked(store, "SELECT dataset FROM {}.millpond_catalog", store.namespace)
    return left + [f"record {row[0]}" for row in records]


def _asked(store: Any, query: str, *names: str) -> list[tuple[Any, ...]]:
    import psycopg

    with psycopg.connect(store.address(), autocommit=True) as connection:
        return connection.execute(query.format(*names)).fetchall()
