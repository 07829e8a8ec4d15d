"""What every implementation must pass, shipped so that yours can pass it too.

A store's test inherits `StoreConformance` (a folder's `FolderConformance`) and says how its place is read and written
without it; a file format's inherits `FormatConformance`, a handler's
`HandlerConformance`. pytest is needed for that, hypothesis for some of the tests
and for the strategy `frames()`; `assert_same` needs neither.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from framework.testing.folders import FolderConformance
    from framework.testing.formats import FormatConformance
    from framework.testing.frames import frames
    from framework.testing.handlers import HandlerConformance
    from framework.testing.same import assert_same, first_difference
    from framework.testing.stores import StoreConformance
    from framework.testing.upserts import UpsertConformance

_HOMES = {
    "FolderConformance": "framework.testing.folders",
    "FormatConformance": "framework.testing.formats",
    "HandlerConformance": "framework.testing.handlers",
    "StoreConformance": "framework.testing.stores",
    "UpsertConformance": "framework.testing.upserts",
    "assert_same": "framework.testing.same",
    "first_difference": "framework.testing.same",
    "frames": "framework.testing.frames",
}

__all__ = [
    "FolderConformance",
    "FormatConformance",
    "HandlerConformance",
    "StoreConformance",
    "UpsertConformance",
    "assert_same",
    "first_difference",
    "frames",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'framework.testing' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)
