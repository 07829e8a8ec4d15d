"""Frames written under one pandas and read under another, and back.

The other interpreter is the one that MILLPOND_OTHER_PYTHON names, this one unless it is set: then frames only cross
from one process to another.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from framework.testing import elsewhere
from framework.testing.elsewhere import Recipe, by, keep_all, pass_on

OTHER = os.environ.get("MILLPOND_OTHER_PYTHON", sys.executable)


@pytest.fixture(params=["csv", "parquet"])
def recipe(request: Any, tmp_path: Path) -> Recipe:
    return Recipe(request.param, str(tmp_path), {}, {})


@pytest.mark.timeout(300)
@pytest.mark.parametrize("there_first", [False, True], ids=["there and back", "here and back"])
def test_a_frame_survives_the_way_through_another_pandas(recipe: Recipe, there_first: bool) -> None:
    """What one saved, the other reads and saves, is the same frame again, and has one fingerprint all the way."""
    mine, other = (OTHER, sys.executable) if there_first else (sys.executable, OTHER)
    saved = by(mine, keep_all, recipe)
    passed = by(other, pass_on, recipe)
    assert {what: passed[what] for what in passed if passed[what] != saved[what]} == {}
    assert by(mine, elsewhere.changed, recipe) == {}
