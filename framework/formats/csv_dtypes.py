"""What a user says of a foreign CSV's columns: dtypes and how dates are spelled. Nothing is guessed there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol

import pyarrow as pa
import pyarrow.compute as pc

from framework.errors import OptionError
from framework.formats.csv_inference import Guess, natural_field
from framework.schema import Field, encode, fit

if TYPE_CHECKING:
    import pandas as pd
else:
    from framework.lazy import pd

FLOAT = "[-+]?([0-9]*[;]?[0-9]+|[0-9]+[;])([eE][-+]?[0-9]+)?"


class Column(Protocol):
    """What finds out what a column is: told all its cells bit by bit, then asked."""

    def add(self, cells: Any) -> Any: ...
    @property
    def field(self) -> Field: ...
    def convert(self, cells: Any) -> Any: ...


class UnfitCell(Exception):
    """A cell that is not what was said.

    Attributes
    ----------
    place : int
        Among the cells that were given.
    """

    def __init__(self, place: int, text: str | None, column: str, wanted: str) -> None:
        super().__init__(place, text, column, wanted)
        self.place, self.column, self.wanted = place, column, wanted
        self.shown = "an empty cell" if text is None else repr(text)


def columns_of(
    header: list[str], *, dtypes: Mapping[str, str], date_format: str | Mapping[str, str] | None, decimal: str
) -> list[Column]:
    """What finds out each column of the header."""
    formats = date_format if isinstance(date_format, Mapping) else {}
    made: list[Column] = []
    for name in header:
        if name in dtypes:
            made.append(told(name, dtypes[name], decimal))
        elif name in formats:
            made.append(Dated(name, formats[name]))
        elif isinstance(date_format, str):
            made.append(PerhapsDated(name, Guess(name, decimal), date_format))
        else:
            made.append(Guess(name, decimal))
    return made


def told(name: str, dtype: str, decimal: str) -> Column:
    """A column of that dtype; OptionError for one that pandas does not know."""
    try:
        wanted = pd.api.types.pandas_dtype(dtype)
    except TypeError as error:
        raise OptionError(f"dtype={dtype!r} of {name!r} is not a pandas dtype.", resource=name) from error
    if isinstance(wanted, pd.CategoricalDtype):
        return Categories(name)
    text = dtype in ("str", "object", "O")
    empty = pd.DataFrame({name: pd.Series([], dtype=object if text else wanted)})
    return Typed(
        name, dtype, natural_field(name, pa.string(), nulls=False) if text else encode(empty)[1].fields[0], decimal
    )


@dataclass(slots=True)
class Typed:
    """A column of a dtype that was said."""

    name: str
    dtype: str
    field: Field
    decimal: str

    def add(self, cells: Any) -> Any:
        try:
            values = self.convert(cells)
        except pa.ArrowInvalid:
            texts = cells.to_pylist()
            place = next(at for at, text in enumerate(texts) if not self._fits(text))
            raise UnfitCell(place, texts[place], self.name, self.dtype) from None
        if values.null_count and not self.field.nullable:
            raise UnfitCell(values.is_null().index(True).as_py(), None, self.name, self.dtype)
        return values

    def _fits(self, text: str | None) -> bool:
        try:
            self.convert(pa.chunked_array([pa.array([text], type=pa.string())]))
        except pa.ArrowInvalid:
            return False
        return True

    def convert(self, cells: Any) -> Any:
        """Each text as the field has it, strictly: no blanks, no underscores, times as ISO spells them."""
        kind = self.field.kind
        if kind == "boolean":
            return pc.utf8_lower(cells).cast(pa.bool_())
        if kind in ("integer", "float"):
            mark = "[.]" if self.decimal == "." else self.decimal
            spelled = (
                "^-?[0-9]+$" if kind == "integer" else f"^[-+]?([0-9]*{mark}?[0-9]+|[0-9]+{mark})([eE][-+]?[0-9]+)?$"
            )
            if not pc.all(pc.match_substring_regex(cells, spelled), min_count=0).as_py():
                raise pa.ArrowInvalid("no number")
            if kind == "float":
                cells = pc.utf8_ltrim(pc.replace_substring(cells, self.decimal, "."), "+")
        if kind == "instant":
            return cells.cast(pa.timestamp(self.field.arrow_type.unit, self.field.zone)).cast(self.field.arrow_type)
        if self.field.type == "halffloat":
            cells = cells.cast(pa.float32())
        return fit(cells, self.field)


@dataclass(slots=True)
class Categories:
    """A column of dtype category: its texts, in their order."""

    name: str
    found: set[str] = field(default_factory=set)

    def add(self, cells: Any) -> Any:
        self.found |= set(pc.unique(cells).to_pylist()) - {None}
        return cells

    @property
    def field(self) -> Field:
        values = pd.Series(pd.Categorical([], categories=pd.Index(sorted(self.found), dtype=object)))
        return encode(pd.DataFrame({self.name: values}))[1].fields[0]

    def convert(self, cells: Any) -> Any:
        return cells


@dataclass(slots=True)
class Dated:
    """A column of times in a format that was said."""

    name: str
    format: str
    coarse: bool = False  # years that nanoseconds do not reach

    @property
    def field(self) -> Field:
        return natural_field(self.name, self._type, nulls=False)

    @property
    def _type(self) -> pa.DataType:
        zone = "UTC" if "%z" in self.format else None
        return pa.timestamp("us" if self.coarse else "ns", zone)

    def add(self, cells: Any) -> Any:
        times = self._read(cells)
        missed = pc.and_(cells.is_valid(), times.is_null())
        if pc.any(missed).as_py():
            place = missed.index(True).as_py()
            raise UnfitCell(place, cells[place].as_py(), self.name, f"a time of the format {self.format!r}")
        try:
            return times.cast(self._type)
        except pa.ArrowInvalid:
            self.coarse = True
            return times.cast(self._type)

    def convert(self, cells: Any) -> Any:
        return self._read(cells).cast(self._type)

    def _read(self, cells: Any) -> Any:
        """As microseconds, or nanoseconds where pandas gives those; null for what is not in the format."""
        texts = pc.dictionary_encode(cells).combine_chunks()
        found = texts.dictionary.to_pylist()
        times: Any = pd.to_datetime(
            pd.Series(found, dtype=object), format=self.format, errors="coerce", utc="%z" in self.format
        )
        zone = "UTC" if "%z" in self.format else None
        values = pa.Array.from_pandas(times)
        if values.null_count:
            values = pa.array([_by_python(text, self.format) for text in found], pa.timestamp("us", zone))
        indices = texts.indices
        return pa.chunked_array([values.take(indices)])


def _by_python(text: str, spelled: str) -> datetime | None:
    """A time that pandas does not reach, or None."""
    try:
        time = datetime.strptime(text, spelled)
    except ValueError:
        return None
    return time if time.tzinfo is None else time.astimezone(UTC)


@dataclass(slots=True)
class PerhapsDated:
    """A column of times if every cell is in the format that was said for all, else what it is without."""

    name: str
    guess: Guess
    format: str
    dated: Dated = field(init=False)
    fits: bool = True
    seen: bool = False

    def __post_init__(self) -> None:
        self.dated = Dated(self.name, self.format)

    def add(self, cells: Any) -> Any:
        plain = self.guess.add(cells)
        if self.fits and cells.null_count < len(cells):
            self.seen = True
            try:
                return self.dated.add(cells)
            except UnfitCell:
                self.fits = False
        return plain

    @property
    def _chosen(self) -> Column:
        return self.dated if self.fits and self.seen else self.guess

    @property
    def field(self) -> Field:
        return self._chosen.field

    def convert(self, cells: Any) -> Any:
        return self._chosen.convert(cells)
