"""The arctic store on LMDB files, by the suite that every store passes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pandas as pd
import pytest

from framework.testing import StoreConformance, UpsertConformance
from framework.testing.suite import Rows

if int(pd.__version__.partition(".")[0]) > 2:
    pytest.skip("ArcticDB does not support pandas 3", allow_module_level=True)
pytest.importorskip("arcticdb", reason="the extra arctic is not installed")

from implementations.storage.arctic_store import sharing
from implementations.storage.arctic_store.handles import opened
from implementations.storage.arctic_store.places import symbol_of


class Arctic:
    """The raw side: the library itself, by the one handle that a process may have."""

    kind = "arctic"

    @contextmanager
    def raw(self, store: Any, *, make: bool = False) -> Iterator[Any]:
        with opened(store.place, store.library, self, make=make) as library:
            yield library
        store.close()

    def raw_read(self, store: Any, name: str) -> Rows:
        with self.raw(store) as library:
            frame = library.read(symbol_of(name)).data
        rows = frame.astype(object).where(frame.notna(), None)
        return [tuple(row) for row in rows.itertuples(index=False, name=None)]

    def raw_write(self, store: Any, name: str, rows: list[dict[str, Any]]) -> None:
        frame = pd.DataFrame(rows)
        for label, cell in rows[0].items():
            if isinstance(cell, str):
                frame[label] = pd.Series([row[label] for row in rows], dtype=object)
        with self.raw(store, make=True) as library:
            library.write(symbol_of(name), frame)

    def raw_state(self, store: Any) -> dict[str, Any]:
        """Each symbol with its versions, and the rows and metadata of the newest; what is in the making."""
        state: dict[str, Any] = {"in the making": sharing.unsettled(store._locks)}
        with self.raw(store) as library:
            for symbol in library.list_symbols() if library is not None else ():
                item = library.read(symbol)
                frame = item.data
                versions = sorted(each.version for each in library.list_versions(symbol))
                told = [frame.index.tolist(), frame.columns.tolist(), frame.dtypes.tolist(), frame.to_numpy().tolist()]
                state[symbol] = (versions, repr(told), item.metadata)
        return state


class TestArcticStore(Arctic, StoreConformance, UpsertConformance):
    pass
