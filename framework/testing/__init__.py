"""What every implementation must pass, shipped so that yours can pass it too.

A store's test inherits `StoreConformance` (a folder's `FolderConformance`) and says how its place is read and written
without it. pytest is needed for that, hypothesis for one of its tests; `assert_same` needs neither.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from framework.testing.folders import FolderConformance
    from framework.testing.same import assert_same, first_difference
    from framework.testing.stores import StoreConformance
    from framework.testing.upserts import UpsertConformance

_HOMES = {
    "FolderConformance": "framework.testing.folders",
    "StoreConformance": "framework.testing.stores",
    "UpsertConformance": "framework.testing.upserts",
    "assert_same": "framework.testing.same",
    "first_difference": "framework.testing.same",
}

__all__ = ["FolderConformance", "StoreConformance", "UpsertConformance", "assert_same", "first_difference"]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'framework.testing' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
