"""What the suite's other processes do to a store; each says through a pipe how far it is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
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


# --------------------------------------------------------------------------- under another pandas


def _frames() -> dict[str, Any]:
    from framework.testing.examples import SAME
    from framework.testing.held import HELD

    return SAME | HELD


def keep_all(recipe: Recipe) -> dict[str, str]:
    """Save every example; the fingerprint of each."""
    store = make(recipe)
    told = {}
    for place, (what, frame) in enumerate(_frames().items()):
        store.save_data(frame(), f"d{place}")
        told[what] = store.fingerprint(f"d{place}")
    return told


def pass_on(recipe: Recipe) -> dict[str, str]:
    """Read every example that another process saved, save what was read under another name; its fingerprint."""
    store = make(recipe)
    told = {}
    for place, what in enumerate(_frames()):
        store.save_data(store.get_data(f"d{place}"), f"back{place}")
        told[what] = store.fingerprint(f"back{place}")
    return told


def changed(recipe: Recipe) -> dict[str, str]:
    """What of each example another process gave back otherwise than it was saved, in words."""
    from framework.testing.same import first_difference

    store = make(recipe)
    told = {}
    for place, (what, frame) in enumerate(_frames().items()):
        difference = first_difference(frame(), store.get_data(f"back{place}"))
        if difference is not None:
            told[what] = difference
    return told


def by(python: str, work: Callable[[Recipe], dict[str, str]], recipe: Recipe) -> dict[str, str]:
    """What `work` answers in a process of that interpreter; AssertionError with what it said if it failed."""
    told = json.dumps(asdict(recipe))
    script = f"import json, sys; from framework.testing import elsewhere as e; r = e.Recipe(**json.loads({told!r}));"
    script += f"print(json.dumps(e.{work.__name__}(r)))"
    paths = os.pathsep.join(path for path in sys.path if Path(path, "framework").is_dir())
    environment = {**os.environ, "PYTHONPATH": paths}
    done = subprocess.run([python, "-c", script], capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    answer: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
    return answer
