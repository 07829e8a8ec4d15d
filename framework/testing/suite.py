"""What a store's test says of its store, and what all parts of the suite share."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import pandas as pd
import pytest

from framework.testing import elsewhere
from framework.testing.same import assert_same

if TYPE_CHECKING:
    from framework.store import Store

Rows = list[tuple[Any, ...]]

PLAIN = pd.DataFrame(
    {"n": [3, 1, 2], "x": [0.5, float("nan"), -2.25], "t": pd.Series(["b", "a", None], dtype=object)},
)
PLAIN_ROWS: Rows = [(3, 0.5, "b"), (1, None, "a"), (2, -2.25, None)]
OTHER = pd.DataFrame({"n": [7], "x": [8.5], "t": pd.Series(["new"], dtype=object)})


class StoreSuite:
    """The hooks that a store's test fills in.

    Attributes
    ----------
    kind : str
        The name by which the factory knows the store.
    options : dict
        Options that the store needs in the test.
    """

    kind: ClassVar[str]
    options: ClassVar[dict[str, Any]] = {}

    def settings(self, place: Path) -> dict[str, Any]:
        """Settings under which nothing but `place`, an empty folder, and a server's empty schema are written to."""
        return {}

    def raw_read(self, store: Any, name: str) -> Rows:
        """A dataset's rows in their order, read by the raw library: plain Python cells, None for missing."""
        raise NotImplementedError

    def raw_write(self, store: Any, name: str, rows: list[dict[str, Any]]) -> None:
        """A table that others made, in the place of any that is there."""
        raise NotImplementedError

    def raw_state(self, store: Any) -> Any:
        """All that lies in the store's place but its locks, byte for byte as the raw library sees it."""
        raise NotImplementedError

    # ------------------------------------------------------------------ what the suite makes of them

    def recipe(self, place: Path, **options: Any) -> elsewhere.Recipe:
        """All that another process needs to make the same store."""
        return elsewhere.Recipe(self.kind, str(place), self.settings(place), {**self.options, **options})

    def make_store(self, place: Path, **options: Any) -> Store:
        """The store over `place`; it is closed when the test ends."""
        store = elsewhere.make(self.recipe(place, **options))
        self.__dict__.setdefault("made", []).append(store)
        return store

    @pytest.fixture(autouse=True)
    def _closed(self) -> Iterator[None]:
        yield
        for store in self.__dict__.get("made", ()):
            store.close()

    @pytest.fixture
    def store(self, tmp_path: Path) -> Store:
        return self.make_store(tmp_path)

    @contextmanager
    def unchanged(self, store: Any, name: str = "kept") -> Iterator[None]:
        """Something is kept under `name` before, and all is byte for byte as it was after."""
        if not store.exists(name):
            store.save_data(PLAIN, name)
        before, frame = self.raw_state(store), store.get_data(name)
        yield
        assert self.raw_state(store) == before, "the refused call changed something"
        assert_same(frame, store.get_data(name))

    @contextmanager
    def process(self, work: Callable[..., None], *arguments: Any) -> Iterator[Any]:
        """Another process at work, killed at the end: `(process, our end of its pipe)`."""
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload([elsewhere.__name__, *elsewhere.PRELOAD])
        ours, theirs = context.Pipe()
        process = context.Process(target=work, args=(theirs, *arguments), daemon=True)
        process.start()
        theirs.close()
        try:
            yield process, ours
        finally:
            process.kill()
            process.join()
            ours.close()


def told(pipe: Any, seconds: float = 30.0) -> Any:
    """What the other process says next; an error if it says nothing, or said that it failed."""
    assert pipe.poll(seconds), "the other process said nothing"
    answer = pipe.recv()
    assert not (isinstance(answer, str) and answer.startswith("failed")), answer
    return answer
