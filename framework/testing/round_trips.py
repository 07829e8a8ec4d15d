"""The frame that was saved comes back, or is refused; it is never changed."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pytest

from framework.errors import DatasetNameError, FidelityError, SchemaError
from framework.schema import encode, fingerprint
from framework.testing.examples import MAYBE, REFUSED, SAME, UNLABELLED
from framework.testing.held import HELD
from framework.testing.naughty import NAUGHTY
from framework.testing.same import assert_same, first_difference
from framework.testing.suite import OTHER, PLAIN, StoreSuite


class RoundTrips(StoreSuite):
    """Fidelity, for every store.

    Attributes
    ----------
    examples : int
        How many frames hypothesis tries.
    most_examples : int
        How many in the slow run.
    """

    examples: ClassVar[int] = 300
    most_examples: ClassVar[int] = 10_000

    @pytest.mark.parametrize("what", SAME | HELD)
    def test_a_frame_comes_back_as_it_was_saved(self, store: Any, what: str) -> None:
        """Values, missing kinds, dtypes, units, zones, index, labels and order survive a save, and the fingerprint."""
        make = (SAME | HELD)[what]
        frame = make()
        assert store.save_data(frame, "d") is True
        mine = store.get_data("d")
        assert_same(make(), mine)
        assert_same(make(), frame)  # the saved frame itself is left alone
        assert store.fingerprint("d") == fingerprint(*encode(make()))
        for place in range(mine.shape[1] if len(mine) else 0):
            turned = mine.iloc[::-1, place].set_axis(mine.index)
            mine.isetitem(place, turned)  # the caller owns it: it can be written to,
        assert_same(frame, store.get_data("d"))  # and does not reach the store

    @pytest.mark.parametrize("what", SAME)
    def test_a_frame_takes_the_place_of_any_other(self, store: Any, what: str) -> None:
        """A replace leaves nothing of the dataset's old columns, index or rows."""
        store.save_data(PLAIN, "d")
        store.save_data(SAME[what](), "d")
        assert_same(SAME[what](), store.get_data("d"))
        store.save_data(OTHER, "d")
        assert_same(OTHER, store.get_data("d"))

    @pytest.mark.parametrize("what", REFUSED)
    def test_what_cannot_be_given_back_is_refused(self, store: Any, what: str) -> None:
        """Values without an exact form raise FidelityError that names the column and the way out."""
        with self.unchanged(store), pytest.raises(FidelityError, match=r"'x'.*lossy=True"):
            store.save_data(REFUSED[what](), "kept")

    @pytest.mark.parametrize("what", REFUSED)
    def test_what_is_refused_can_be_kept_as_text(self, store: Any, what: str) -> None:
        """With lossy=True the same values are kept as the text that Python prints."""
        frame = REFUSED[what]()
        store.save_data(frame, "d", lossy=True)
        texts = [str(cell).encode("utf-8", "replace").decode() for cell in frame["x"] if not _gone(cell)]
        assert [cell for cell in store.get_data("d")["x"] if not _gone(cell)] == texts

    @pytest.mark.parametrize("what", UNLABELLED)
    def test_labels_that_no_store_holds_are_refused(self, store: Any, what: str) -> None:
        """A label that cannot come back raises FidelityError, lossy or not."""
        for lossy in (False, True):
            with self.unchanged(store), pytest.raises(FidelityError, match="label"):
                store.save_data(UNLABELLED[what](), "kept", lossy=lossy)

    def test_only_a_frame_is_saved(self, store: Any) -> None:
        """A list, a Series or None is an error that says to wrap it."""
        for data in ([{"x": 1}], PLAIN["n"], None):
            with self.unchanged(store), pytest.raises(SchemaError, match="DataFrame"):
                store.save_data(data, "kept")

    @pytest.mark.parametrize("what", MAYBE)
    def test_the_rest_is_held_or_refused(self, store: Any, what: str) -> None:
        """What a store is free to refuse comes back the same or raises FidelityError and changes nothing."""
        self._held_or_refused(store, MAYBE[what]())

    def test_any_frame_comes_back_or_is_refused(self, store: Any) -> None:
        """No frame that hypothesis finds is changed on its way through the store."""
        self._tried(store, self.examples)

    @pytest.mark.slow
    @pytest.mark.timeout(7200)
    def test_thousands_of_frames_come_back_or_are_refused(self, store: Any) -> None:
        """No frame out of many more is changed either; each run finds others."""
        self._tried(store, self.most_examples, same_ones=False)

    def _tried(self, store: Any, examples: int, *, same_ones: bool = True) -> None:
        from hypothesis import HealthCheck, Phase, given, settings

        from framework.testing.frames import frames

        @settings(
            max_examples=examples,
            deadline=None,
            derandomize=same_ones,
            database=None,
            phases=(Phase.explicit, Phase.generate, Phase.shrink),
            suppress_health_check=list(HealthCheck),
        )
        @given(frames())
        def holds(frame: pd.DataFrame) -> None:
            self._held_or_refused(store, frame)

        holds()

    def test_held_frames_follow_each_other(self, store: Any) -> None:
        """What is held through the logical schema can be appended to what is of its kind, and stays exact."""
        for place, (what, make) in enumerate(HELD.items()):
            name, frame = f"d{place}", make()
            store.save_data(frame, name)
            store.save_data(make(), name, mode="append")
            both = store.get_data(name)
            for half in (both.iloc[: len(frame)], both.iloc[len(frame) :]):
                if isinstance(frame.index, pd.RangeIndex):
                    half = half.set_axis(frame.index, axis=0)
                assert first_difference(frame, half) is None, what

    def test_naughty_text_is_kept_in_cells(self, store: Any) -> None:
        """Text that breaks programs comes back as a cell, character for character."""
        frame = pd.DataFrame({"n": range(len(NAUGHTY)), "t": pd.Series(list(NAUGHTY), dtype=object)})
        self._held_or_refused(store, frame)
        for word in NAUGHTY:
            self._held_or_refused(store, pd.DataFrame({"t": pd.Series([word, None, ""], dtype=object)}), "one")

    def test_naughty_text_is_kept_in_labels_and_names(self, store: Any) -> None:
        """The same text comes back as a column's label, all at once and one by one, and as an index's name."""
        wide = pd.DataFrame([range(len(NAUGHTY))], columns=pd.Index(list(NAUGHTY), dtype=object))
        self._held_or_refused(store, wide)
        for word in NAUGHTY:
            labels = pd.Index([word, f"{word}2"], dtype=object, name=word)
            frame = pd.DataFrame([[1, 2]], columns=labels, index=pd.Index([3], name=word))
            self._held_or_refused(store, frame, "one")

    def test_naughty_names_are_held_and_listed_or_refused(self, store: Any) -> None:
        """The same text as a dataset's name is that dataset and no other, listed as it is, or a DatasetNameError."""
        store.save_data(PLAIN, "kept")
        held = {}
        for place, word in enumerate(NAUGHTY):
            frame = pd.DataFrame({"n": [place]})
            before = self.raw_state(store) if place % 20 == 0 else None
            try:
                store.save_data(frame, word)
            except DatasetNameError:
                assert before is None or self.raw_state(store) == before
            else:
                held[store.canonical(word)] = frame
        assert set(store.list_sources()) == {"kept", *held}
        for name, frame in held.items():
            assert_same(frame, store.get_data(name))
        assert_same(PLAIN, store.get_data("kept"))

    def _held_or_refused(self, store: Any, frame: pd.DataFrame, name: str = "d") -> None:
        copy = frame.copy()
        try:
            store.save_data(frame, name)
        except FidelityError:
            with self.unchanged(store), pytest.raises(FidelityError):
                store.save_data(frame, "kept")
        else:
            assert_same(copy, store.get_data(name))

    def test_a_change_of_the_saved_frame_does_not_reach_the_store(self, store: Any) -> None:
        """A save takes a copy of what was given."""
        frame = PLAIN.copy()
        store.save_data(frame, "d")
        frame.iloc[0, 0] = 99
        assert_same(PLAIN, store.get_data("d"))

    def test_freq_and_attrs_do_not_matter(self, store: Any) -> None:
        """A frame with a freq and attrs is saved; they are not part of what comes back the same."""
        frame = pd.DataFrame({"x": [1, 2]}, index=pd.date_range("2024-01-01", periods=2, freq="D"))
        frame.attrs["note"] = "mine"
        store.save_data(frame, "d")
        assert_same(frame, store.get_data("d"))

    def test_a_slice_is_saved_as_it_is(self, store: Any) -> None:
        """A view into a larger frame is saved without the rest of it."""
        frame = pd.DataFrame({"x": np.arange(100), "t": pd.Series([f"{n}" for n in range(100)], dtype=object)})
        part = frame.iloc[90:20:-7]
        store.save_data(part, "d")
        assert_same(part, store.get_data("d"))


def _gone(cell: Any) -> bool:
    return cell is None or cell is pd.NA or (isinstance(cell, float) and cell != cell)
