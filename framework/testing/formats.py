"""The conformance suite of a file format: what it writes it reads, and what is damaged it says."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

import pandas as pd
import pytest

from framework.errors import BaseFrameworkException, FidelityError
from framework.testing.examples import MAYBE, SAME, column, text
from framework.testing.held import HELD
from framework.testing.naughty import NAUGHTY
from framework.testing.same import assert_same
from framework.testing.suite import PLAIN, PLAIN_ROWS, Rows


class FormatConformance:
    """Inherit it in a test class, fill in the hooks, and pytest runs the whole suite.

    Attributes
    ----------
    suffix : str
        Of the files.
    checksummed : bool
        Whether the format itself notices a bit that has changed; else only a file that is too short or no such file.
    examples : int
        How many frames hypothesis tries.

    Examples
    --------
    >>> class TestMyFormat(FormatConformance):
    ...     suffix = ".mine"
    ...
    ...     def write(self, path, frame): ...
    ...     def read(self, path, columns=None): ...
    ...     def raw_write(self, path, rows): ...
    ...     def raw_read(self, path): ...
    """

    suffix: ClassVar[str]
    checksummed: ClassVar[bool] = True
    examples: ClassVar[int] = 200

    # ------------------------------------------------------------------ hooks

    def write(self, path: Path, frame: pd.DataFrame) -> None:
        """Put the frame into a file of the format; FidelityError, and no file, for one that it cannot hold."""
        raise NotImplementedError

    def read(self, path: Path, columns: Sequence[Any] | None = None) -> pd.DataFrame:
        """The frame of a file, whoever wrote it; only those columns, in that order, if any are given."""
        raise NotImplementedError

    def raw_write(self, path: Path, rows: list[dict[str, Any]]) -> None:
        """A file that another program writes."""
        raise NotImplementedError

    def raw_read(self, path: Path) -> Rows:
        """A file's rows as another program reads them: plain Python cells, None for missing."""
        raise NotImplementedError

    # ------------------------------------------------------------------ the suite

    @pytest.fixture
    def path(self, tmp_path: Path) -> Path:
        return tmp_path / f"d{self.suffix}"

    @pytest.mark.parametrize("what", SAME | HELD)
    def test_what_is_written_is_read(self, path: Path, what: str) -> None:
        """Values, missing kinds, dtypes, index, labels and order are in the file; so they are when it is replaced."""
        make = (SAME | HELD)[what]
        self.write(path, make())
        assert_same(make(), self.read(path))
        self.write(path, PLAIN)
        assert_same(PLAIN, self.read(path))

    @pytest.mark.parametrize("what", MAYBE)
    def test_the_rest_is_held_or_refused(self, path: Path, what: str) -> None:
        """What a format is free to refuse comes back the same, or leaves no file and the old one as it was."""
        self._held_or_refused(path, MAYBE[what]())

    def test_any_frame_is_held_or_refused(self, path: Path) -> None:
        """No frame that hypothesis finds is changed in the file."""
        from hypothesis import HealthCheck, Phase, given, settings

        from framework.testing.frames import frames

        @settings(
            max_examples=self.examples,
            deadline=None,
            derandomize=True,
            database=None,
            phases=(Phase.explicit, Phase.generate, Phase.shrink),
            suppress_health_check=list(HealthCheck),
        )
        @given(frames())
        def holds(frame: pd.DataFrame) -> None:
            self._held_or_refused(path, frame)

        holds()

    def test_naughty_text_is_held_or_refused(self, path: Path) -> None:
        """Text that breaks programs is the same in cells and labels."""
        self._held_or_refused(path, text(*NAUGHTY))
        for word in NAUGHTY:
            self._held_or_refused(path, pd.DataFrame({word: text(word, None, "")["x"]}))

    def _held_or_refused(self, path: Path, frame: pd.DataFrame) -> None:
        self.write(path, PLAIN)
        try:
            self.write(path, frame)
        except FidelityError:
            assert_same(PLAIN, self.read(path))
            assert [each.name for each in path.parent.iterdir() if each.suffix == ".tmp"] == []
        else:
            assert_same(frame, self.read(path))

    def test_another_program_reads_it(self, path: Path) -> None:
        """What is written is a file of the format, not one of our own."""
        self.write(path, PLAIN)
        assert self.raw_read(path) == PLAIN_ROWS

    def test_it_reads_what_another_program_wrote(self, path: Path) -> None:
        """A file that knows nothing of us gives its rows in their order."""
        self.raw_write(path, [{"n": 3, "t": "b"}, {"n": 1, "t": None}, {"n": 2, "t": "a"}])
        got = self.read(path)
        assert got["n"].tolist() == [3, 1, 2]
        assert [None if pd.isna(cell) else cell for cell in got["t"]] == ["b", None, "a"]
        assert self.read(path, ["t"]).columns.tolist() == ["t"]

    def test_columns_are_picked(self, path: Path) -> None:
        """Only the columns that are asked for come, in that order, with the index."""
        frame = PLAIN.set_index(pd.Index(["a", "b", "c"], dtype=object, name="key"))
        self.write(path, frame)
        assert_same(frame[["t", "n"]], self.read(path, ["t", "n"]))
        assert_same(frame[[]], self.read(path, []))
        with pytest.raises(BaseFrameworkException, match="nothing"):
            self.read(path, ["nothing"])

    def test_no_row_and_no_column_is_a_file_too(self, path: Path) -> None:
        """Empty frames have their dtypes and their rows."""
        for frame in (PLAIN.iloc[:0], pd.DataFrame(), pd.DataFrame(index=pd.RangeIndex(3)), column([], "Int64")):
            self.write(path, frame)
            assert_same(frame, self.read(path))

    def test_a_file_cut_short_is_an_error(self, path: Path) -> None:
        """A file that ends too early raises one of our errors, unless nothing but the last line's end is gone."""
        self.write(path, PLAIN)
        whole = path.read_bytes()
        for length in range(0, len(whole), max(1, len(whole) // 200)):
            path.write_bytes(whole[:length])
            self._found_out(path)

    def test_rubbish_is_an_error(self, path: Path) -> None:
        """What is no such file raises one of our errors."""
        self.write(path, PLAIN)
        chance = random.Random(11)
        for rubbish in (b"\0" * 100, b"\xff\xfe\xfd" * 50, chance.randbytes(1000), b'"', b"PAR1" * 5):
            path.write_bytes(rubbish)
            with pytest.raises(BaseFrameworkException):
                self.read(path)

    def test_a_bit_that_changed_is_an_error_or_no_matter(self, path: Path) -> None:
        """Any bit flipped in a file is found, or lies where it changes nothing; never is it another frame."""
        self.write(path, PLAIN)
        whole = path.read_bytes()
        chance = random.Random(5)
        for at in sorted(chance.sample(range(len(whole)), min(300, len(whole)))):
            bent = bytearray(whole)
            bent[at] ^= 1 << chance.randrange(8)
            path.write_bytes(bytes(bent))
            self._found_out(path, sure=self.checksummed)

    def _found_out(self, path: Path, *, sure: bool = True) -> None:
        try:
            got = self.read(path)
        except BaseFrameworkException:
            return
        if sure:
            assert_same(PLAIN, got)
