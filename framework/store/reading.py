"""How every store is read: whole, in part, bit by bit."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from framework.errors import OptionError
from framework.store.hooks import Hooks

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from framework.schema import FrameSchema, Selection

Where = Sequence[tuple[Any, ...]]


class Reading(Hooks):
    """What a store's tables hold."""

    def get_data(
        self,
        source: str,
        *,
        columns: Sequence[Any] | None = None,
        where: Where | None = None,
        start: Any = None,
        end: Any = None,
    ) -> pd.DataFrame:
        """The frame that was saved: values, dtypes, index, column and row order.

        Parameters
        ----------
        source : str
        columns : list of labels, optional
            Only these, in this order; the index always comes.
        where : list of (column, op, value), optional
            Only rows that meet all of them; `op` is one of == != < <= > >= in, not in, is null, not null, the column a
            label or the name of an index level. A missing value meets only `is null`.
        start, end : timestamp or text, optional
            Only rows from `start` to `end`, both inclusive, by the DatetimeIndex or the option `time_column`.

        Returns
        -------
        pandas.DataFrame
            A RangeIndex counts the rows that are given.

        Raises
        ------
        DatasetNotFoundError, ColumnNotFoundError, OptionError
        """
        return self._frame(self.canonical(source), self._selection(columns, where, start, end))

    def _frame(self, name: str, selection: Selection) -> pd.DataFrame:
        """What `get_data` gives. A store that has a shorter way to the same frame takes it."""
        from framework.schema import decode

        table, schema = self._read(name, selection)
        return decode(*selection.exactly(table, schema, name))

    def iter_data(
        self,
        source: str,
        *,
        chunk_rows: int = 100_000,
        columns: Sequence[Any] | None = None,
        where: Where | None = None,
        start: Any = None,
        end: Any = None,
    ) -> Iterator[pd.DataFrame]:
        """The rows of `get_data` in frames of `chunk_rows`, of one snapshot, in memory that does not grow with them.

        A RangeIndex goes on from frame to frame. A dataset without a row gives one empty frame. Until the last frame is
        taken, or the iterator closed, what it reads from stays open.

        Raises
        ------
        DatasetNotFoundError, ColumnNotFoundError, OptionError
        """
        name, selection = self.canonical(source), self._selection(columns, where, start, end)
        if isinstance(chunk_rows, bool) or not hasattr(chunk_rows, "__index__") or chunk_rows < 1:
            raise OptionError(f"chunk_rows={chunk_rows!r} is no number of rows.", cure="Use 1 or more.")
        opened = ExitStack()  # now, so that what cannot be read is an error of this call, and the moment is this one
        schema, pieces = opened.enter_context(self._scan(name, selection))
        selection.tests(schema, name)
        return self._chunks(opened, schema, pieces, selection, name, int(chunk_rows))

    @staticmethod
    def _chunks(
        opened: ExitStack,
        schema: FrameSchema,
        pieces: Iterable[pa.Table],
        selection: Selection,
        name: str,
        rows: int,
    ) -> Iterator[pd.DataFrame]:
        from framework.schema import frames

        with opened:
            yield from frames(schema, pieces, selection, name, rows=rows)

    @contextmanager
    def _scan(self, name: str, selection: Selection) -> Iterator[tuple[FrameSchema, Iterable[pa.Table]]]:
        """As `_read`, in pieces: their common schema and the pieces. A store that can reads bit by bit."""
        table, schema = self._read(name, selection)
        yield schema, [table]

    def _selection(self, columns: Sequence[Any] | None, where: Where | None, start: Any, end: Any) -> Selection:
        from framework.schema import Selection

        return Selection.asked(columns, where, start=start, end=end, time_column=self.options.time_column)

    def fingerprint(self, name: str) -> str:
        """The hash over what a dataset means, equal for equal frames in whatever store; reads all its rows."""
        from framework.schema import ALL, fingerprint

        return fingerprint(*self._read(self.canonical(name), ALL))
