"""What the suite's other processes do to a store; each says through a pipe how far it is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from framework.factory import DataFactory
from framework.settings import as_settings

if TYPE_CHECKING:
    from framework.store import Store

PRELOAD = ("pyarrow.csv", "pyarrow.parquet", "framework.folder", "framework.formats.csv", "framework.schema")


@dataclass(frozen=True)
class Recipe:
    """What another process needs to make the same store."""

    kind: str
    place: str
    settings: dict[str, Any]
    options: dict[str, Any]


def make(recipe: Recipe) -> Store:
    """The store of a recipe."""
    settings = as_settings(workspace=Path(recipe.place), **recipe.settings)
    return DataFactory(settings).create_store(recipe.kind, role="saver", **recipe.options)


def whole(value: int) -> pd.DataFrame:
    """A frame in whose every row the value stands, of a length that goes with it: few rows, or many."""
    rows = 5 + value if value % 3 == 0 else 200 + (137 * value) % 3000
    return pd.DataFrame({"value": [value] * rows, "text": pd.Series([f"save {value}"] * rows, dtype=object)})


def value_of(frame: pd.DataFrame) -> int:
    """The value of a frame that `whole` made; AssertionError for one that is of two saves or none."""
    value = int(frame["value"].iloc[0])
    wanted = whole(value)
    mixed = len(frame) != len(wanted) or not frame.equals(wanted)
    assert not mixed, f"{len(frame)} rows of the saves {sorted(set(frame['value']))}"
    return value


def replace_for_ever(pipe: Any, recipe: Recipe, name: str, first: int) -> None:
    """Save one value after the other, and tell each once it is committed, until killed."""
    store = make(recipe)
    value = first
    while True:
        store.save_data(whole(value), name)
        pipe.send(value)
        value += 1


def append_rows(pipe: Any, recipe: Recipe, name: str, who: int, times: int) -> None:
    """Append two rows many times, once told to begin; tell at the end."""
    store = make(recipe)
    pipe.send("ready")
    pipe.recv()
    for time in range(times):
        store.save_data(pd.DataFrame({"who": [who] * 2, "when": [2 * time, 2 * time + 1]}), name, mode="append")
    pipe.send("done")


def hold(pipe: Any, recipe: Recipe, name: str) -> None:
    """Hold the writer's lock of a dataset until told to let go."""
    with make(recipe).locked(name):
        pipe.send("held")
        pipe.recv()
    pipe.send("free")


def read(pipe: Any, recipe: Recipe, name: str) -> None:
    """Read a dataset and tell its rows."""
    pipe.send(make(recipe).get_data(name).to_dict("list"))
