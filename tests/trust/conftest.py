"""What the experiments share: a nursery, places to work in, stores by kind, a seed, counts."""

from __future__ import annotations

import importlib.util
import os
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

HERE = str(Path(__file__).parent)
if HERE not in sys.path:
    sys.path.insert(0, HERE)

from harness.nursery import Nursery  # noqa: E402
from harness.tally import Tally  # noqa: E402
from harness.warm import everything  # noqa: E402

from framework.testing.elsewhere import Recipe  # noqa: E402 - after the path

MEMORY = Path("/dev/shm")
SEED = int(os.environ.get("MILLPOND_TRUST_SEED", "20260101"))


@pytest.fixture(scope="session")
def nursery() -> Iterator[Nursery]:
    """The warm process that forks the children of all experiments."""
    warm = Nursery([everything])
    yield warm
    warm.close()


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Path]:
    """An empty folder in memory where there is one: what dies is the process, so that no disk need be waited for."""
    if not (MEMORY.is_dir() and os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > 2**29):
        yield tmp_path
        return
    folder = Path(tempfile.mkdtemp(prefix="millpond-trust-", dir=MEMORY))
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def seed() -> int:
    """MILLPOND_TRUST_SEED, so that a run can be repeated."""
    return SEED


@pytest.fixture
def tally(request: pytest.FixtureRequest, seed: int) -> Callable[..., Tally]:
    """Makes the counts of one experiment on one store."""

    def begin(experiment: str, store: str) -> Tally:
        test = request.node.nodeid.split("[")[0]
        return Tally(experiment, store, seed=seed, test=test)

    return begin


@pytest.fixture
def recipe(request: pytest.FixtureRequest, place: Path) -> Callable[[str], Recipe]:
    """The recipe of a store by its kind, in a place of its own."""

    def of(kind: str) -> Recipe:
        settings: dict[str, Any] = {}
        if kind == "postgres":
            settings = {
                "DB_URL": request.getfixturevalue("postgres_url"),
                "DB_SCHEMA": request.getfixturevalue("postgres_schema"),
            }
        if kind == "arctic":
            why = arctic_is_missing()
            if why:
                pytest.skip(why)
        return Recipe(kind, str(place), settings, {})

    return of


def arctic_is_missing() -> str | None:
    """Why there is no ArcticDB here; None when there is."""
    if int(pd.__version__.split(".")[0]) >= 3:
        return "ArcticDB has no support for pandas 3"
    if importlib.util.find_spec("arcticdb") is None:
        return "ArcticDB is an extra, and is not installed"
    from framework import registry

    return None if "arctic" in registry.named("store", "saver") else "there is no arctic store in this build"
