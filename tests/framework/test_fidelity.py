"""What no store knows by itself, held through the logical schema."""

from __future__ import annotations

import datetime as dt
import json
import zoneinfo
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from framework.errors import FidelityError
from framework.schema import FrameSchema, append, decode, encode, fingerprint, natural
from framework.schema.cells import DEEPEST, dumps, loads
from framework.schema.fingerprint import fingerprint_of
from framework.schema.zones import name_of, pandas_name, shown, zone_of
from framework.testing import assert_same, first_difference
from framework.testing.held import HELD, column, indexed, labelled, text
from framework.testing.naughty import NAUGHTY


def print_of(frame: pd.DataFrame) -> str:
    return fingerprint(*encode(frame))


def there_and_back(frame: pd.DataFrame) -> pd.DataFrame:
    table, schema = encode(frame)
    return decode(table, FrameSchema.loads(schema.dumps()))


# --------------------------------------------------------------------------- one cell

PLAIN_CELLS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text()
    | st.binary()
    | st.decimals().filter(lambda number: not number.is_snan())
)
TIME_CELLS = st.dates() | st.times() | st.datetimes(timezones=st.none() | st.timezones()) | st.timedeltas()
CELLS = st.recursive(
    PLAIN_CELLS | TIME_CELLS | st.uuids() | st.complex_numbers(),
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text() | st.integers(), inner),
    max_leaves=6,
)


@settings(max_examples=300, deadline=None, derandomize=True, database=None)
@given(CELLS)
def test_any_cell_is_json_and_back(cell: Any) -> None:
    """A Python object of a known type, however nested, is given back with its exact type and value."""
    told = dumps(cell)
    assert told.isascii()
    left, right = text(cell), text(loads(told))
    assert first_difference(left, right) is None


def test_what_is_plain_json_stays_plain_json() -> None:
    """Lists and dictionaries of text and numbers can be read by any program."""
    cell = {"a": [1, 2.5, None, True, "x"], "b": {"c": {}}}
    assert json.loads(dumps(cell)) == cell
    assert json.loads(dumps(Decimal("1.10"))) == {"$decimal": "1.10"}


def test_a_dictionary_that_looks_like_ours_is_not_taken_for_it() -> None:
    """Keys that begin with a dollar sign, or are no text, are kept as what they are."""
    for cell in ({"$decimal": "1"}, {"$": 1}, {1: 2}, {"a": {"$date": "x"}}):
        assert loads(dumps(cell)) == cell


def test_a_list_that_holds_itself_is_refused() -> None:
    """Endless and very deep cells are an error, not an endless loop."""
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(FidelityError, match=f"{DEEPEST} levels"):
        encode(text(endless))
    with pytest.raises(FidelityError, match="digits"):
        encode(text(10**5000, "a"))


def test_an_object_is_never_rebuilt_from_its_class() -> None:
    """What a cell is made of comes from a fixed list; text that names anything else is an error."""
    table, schema = encode(text(1, "a"))
    for rubbish in ('{"$class": "os.system"}', '{"$decimal": "x"}', "{", '{"$date": 5}', '{"$numpy": ["O", 1]}'):
        bent = pa.table({"x": pa.array([rubbish, None])})
        with pytest.raises(FidelityError, match="'x'"):
            decode(bent, schema)
    assert decode(table, schema)["x"].tolist() == [1, "a"]


@pytest.mark.parametrize(
    ("frame", "stored"),
    [
        (text(Decimal("1.10"), None), ["1.10", None]),
        (text(dt.time(1, 2, 3)), ["01:02:03"]),
        (text(1, "1", [1]), ["1", '"1"', "[1]"]),
        (column(pd.period_range("1970-02", periods=1, freq="M")), [1]),
        (column(pd.interval_range(0, 1)), ["[0, 1]"]),
    ],
)
def test_others_can_read_what_is_stored(frame: pd.DataFrame, stored: list[Any]) -> None:
    """In the store it is text or a count that says the same to a person."""
    assert encode(frame)[0].column("x").to_pylist() == stored


# --------------------------------------------------------------------------- columns


def test_text_holds_nothing_but_text() -> None:
    """A subclass of str is no str: what would come back as another type is refused or kept as what it is."""
    assert type(there_and_back(text(np.str_("a"), "b")).iloc[0, 0]) is np.str_
    with pytest.raises(FidelityError, match="Name"):
        encode(text(type("Name", (str,), {})("a"), "b"))


def test_text_that_alternates_with_numbers_is_told_apart() -> None:
    """1, "1", 1.0 and True beside each other are four cells."""
    assert_same(text(1, "1", 1.0, True), there_and_back(text(1, "1", 1.0, True)))


def test_a_column_keeps_its_kind_when_rows_are_appended() -> None:
    """Decimals follow decimals; text does not become decimals, nor decimals text."""
    table, schema = append(encode(text(Decimal("1.1"))), encode(text(None, Decimal("2.20"))), "d")
    assert_same(text(Decimal("1.1"), None, Decimal("2.20")), decode(table, schema))
    for old, new in (("a", Decimal(1)), (Decimal(1), "a"), ("a", b"a"), (dt.time(1), "01:00")):
        with pytest.raises(Exception, match="'x'"):
            append(encode(text(old)), encode(text(new)), "d")


def test_the_dtypes_of_other_programs_are_read() -> None:
    """Decimals and times of a day in an Arrow table without a schema are Python's own, as exact as they were."""
    table = pa.table(
        {
            "d": pa.array([Decimal("1.10"), None], pa.decimal128(9, 2)),
            "e": pa.array([Decimal("0.0000001"), Decimal(0)], pa.decimal256(50, 7)),
            "t": pa.array([dt.time(1, 2, 3, 4), None], pa.time64("us")),
            "s": pa.array([1, 2], pa.time32("s")),
            "c": pa.array([Decimal("1.10"), Decimal("2.20")], pa.decimal128(9, 2)).dictionary_encode(),
        }
    )
    got = decode(table, natural(table, "d"))
    assert got["d"].tolist() == [Decimal("1.10"), None]
    assert [str(cell) for cell in got["e"]] == ["1E-7", "0E-7"]
    assert got["t"].tolist() == [dt.time(1, 2, 3, 4), None]
    assert got["s"].tolist() == [dt.time(0, 0, 1), dt.time(0, 0, 2)]
    assert got["c"].cat.categories.tolist() == [Decimal("1.10"), Decimal("2.20")]
    fine = pa.table({"t": pa.array([1], pa.time64("ns"))})
    with pytest.raises(FidelityError, match="'t'"):
        natural(fine, "d")


# --------------------------------------------------------------------------- zones


@pytest.mark.parametrize(
    "zone",
    [
        dt.UTC,
        dt.timezone(dt.timedelta(hours=5, minutes=30)),
        dt.timezone(-dt.timedelta(hours=1, seconds=7)),
        zoneinfo.ZoneInfo("Europe/Paris"),
        zoneinfo.ZoneInfo("UTC"),
    ],
    ids=str,
)
def test_a_zone_is_found_again_by_its_name(zone: Any) -> None:
    """The name of a zone gives an equal object of the same library."""
    name = name_of(zone)
    assert name is not None
    again = zone_of(name)
    assert (type(again), again, shown(name)) == (type(zone), zone, str(zone))
    assert pandas_name(zone) is not None


def test_a_zone_without_a_name_is_refused() -> None:
    """A zone that a program made up, or a fixed one with a name of its own, could not be found again."""
    made_up = dt.timezone(dt.timedelta(hours=1), "mine")
    assert name_of(made_up) is None
    with pytest.raises(FidelityError, match="zone"):
        encode(text(dt.datetime(2024, 1, 1, tzinfo=made_up)))
    with pytest.raises(ValueError, match="knows no time zone"):
        zone_of("zoneinfo/Nowhere/Land")


# --------------------------------------------------------------------------- the fingerprint

ALIKE: dict[str, tuple[pd.DataFrame, pd.DataFrame]] = {
    "text with NaN": (text("a", np.nan), column(pd.array(["a", None], pd.StringDtype("python", na_value=np.nan)))),
    "text with NA": (text("a", pd.NA), column(pd.array(["a", None], dtype="string"))),
    "Arrow's integers": (
        column(pd.array([1, None], dtype="Int64")),
        column(pd.array([1, None], dtype="int64[pyarrow]")),
    ),
    "Arrow's decimals": (
        text(Decimal("1.10"), pd.NA),
        column(pd.array([Decimal("1.10"), None], dtype=pd.ArrowDtype(pa.decimal128(9, 2)))),
    ),
    "floats of two widths": (column([0.5], "float32"), column([0.5], "float64")),
    "a zone of two libraries": (
        column(pd.to_datetime(["2024-01-01"]).tz_localize("Europe/Paris")),
        column(pd.to_datetime(["2024-01-01"]).tz_localize(zoneinfo.ZoneInfo("Europe/Paris"))),
    ),
}


@pytest.mark.parametrize("what", ALIKE)
def test_what_holds_the_values_does_not_matter(what: str) -> None:
    """The same values have one fingerprint, whatever dtype holds them."""
    left, right = ALIKE[what]
    assert print_of(left) == print_of(right)


OTHERWISE: dict[str, tuple[pd.DataFrame, pd.DataFrame]] = {
    "the digits of a decimal": (text(Decimal("1.10")), text(Decimal("1.1"))),
    "a decimal or its text": (text(Decimal("1.10")), text("1.10")),
    "a number or its text": (text(1, "a"), text("1", "a")),
    "the frequency of a period": (
        column(pd.PeriodIndex.from_ordinals([1], freq="M")),
        column(pd.PeriodIndex.from_ordinals([1], freq="D")),
    ),
    "the closed side of an interval": (column(pd.interval_range(0, 1)), column(pd.interval_range(0, 1, closed="left"))),
    "a list or a tuple": (text([1]), text((1,))),
    "a label's type": (labelled(1.0), labelled(1)),
    "which of two levels lacks a value": (HELD["a level of integers that lacks one"](), indexed(pd.Index([1, 2, 3]))),
}


@pytest.mark.parametrize("what", OTHERWISE)
def test_what_the_values_are_does(what: str) -> None:
    """What assert_same tells apart, the fingerprint does."""
    left, right = OTHERWISE[what]
    assert first_difference(left, right)
    assert print_of(left) != print_of(right)


def test_all_examples_have_fingerprints_of_their_own() -> None:
    """No two of them share one."""
    prints = {what: print_of(make()) for what, make in HELD.items()}
    assert len(set(prints.values())) == len(prints)


def test_a_fingerprint_can_be_taken_piece_by_piece() -> None:
    """However the rows come, one by one or all at once, the fingerprint is the same."""
    cells = [None if n % 5 == 0 else f"row {n}" for n in range(200)]
    frame = pd.DataFrame({"n": range(200), "t": pd.Series(cells, dtype=object), "x": np.arange(200) / 7})
    table, schema = encode(frame)
    for size in (1, 7, 64, 1000):
        pieces = [table.slice(start, size) for start in range(0, 200, size)]
        assert fingerprint_of(pieces, schema) == fingerprint(table, schema)


# --------------------------------------------------------------------------- naughty text


def test_naughty_text_is_worth_its_name() -> None:
    """There are many of them, each once, and no half characters."""
    assert len(NAUGHTY) >= 120
    assert len(set(NAUGHTY)) == len(NAUGHTY)
    assert "".join(NAUGHTY).encode().decode() == "".join(NAUGHTY)


def test_naughty_text_is_held_everywhere() -> None:
    """As cells, labels, names of levels, categories and inside lists."""
    words = list(NAUGHTY)
    frame = pd.DataFrame([[1] * len(words)], columns=pd.Index(words, dtype=object), index=pd.Index([1], name=words[-1]))
    assert_same(frame, there_and_back(frame))
    assert_same(text(*words), there_and_back(text(*words)))
    assert_same(text(words), there_and_back(text(words)))
    assert_same(column(pd.Categorical(words)), there_and_back(column(pd.Categorical(words))))
