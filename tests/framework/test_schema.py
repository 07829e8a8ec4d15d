"""The logical schema: what a frame is, apart from how it is kept."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings

from framework.errors import ColumnNotFoundError, FidelityError, FormatError, OptionError, SchemaError
from framework.schema import FrameSchema, append, decode, encode, fingerprint, natural, only_rows, plain
from framework.testing import assert_same, first_difference
from framework.testing.examples import MAYBE, REFUSED, SAME, UNLABELLED, column, text
from framework.testing.frames import frames
from framework.testing.held import HELD


def print_of(frame: pd.DataFrame) -> str:
    return fingerprint(*encode(frame))


@pytest.mark.parametrize("what", SAME | HELD)
def test_a_frame_is_encoded_and_decoded_to_itself(what: str) -> None:
    """Through Arrow and JSON and back: the same frame, with categories as a dictionary or as plain values."""
    frame = (SAME | HELD)[what]()
    table, schema = encode(frame)
    known = FrameSchema.loads(schema.dumps())
    assert known == schema
    assert_same(frame, decode(table, known))
    assert_same(frame, decode(plain(table, known), known))


@pytest.mark.parametrize("what", REFUSED | UNLABELLED)
def test_what_cannot_come_back_is_refused(what: str) -> None:
    """FidelityError with a cure."""
    with pytest.raises(FidelityError) as caught:
        encode((REFUSED | UNLABELLED)[what]())
    assert caught.value.cure


@settings(max_examples=300, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
@given(frames())
def test_any_frame_is_held_or_refused(frame: pd.DataFrame) -> None:
    """No frame is changed, and its fingerprint does not depend on how it lies in memory."""
    try:
        table, schema = encode(frame)
    except FidelityError:
        return
    assert_same(frame, decode(table, FrameSchema.loads(schema.dumps())))
    chopped = pa.concat_tables([table.slice(0, 1), table.slice(1)]) if table.num_columns else table
    assert fingerprint(chopped, schema) == fingerprint(plain(table, schema), schema) == fingerprint(table, schema)


# --------------------------------------------------------------------------- the fingerprint

DIFFERENT: dict[str, tuple[pd.DataFrame, pd.DataFrame]] = {
    "a value": (column([1, 2]), column([1, 3])),
    "the order of rows": (column([1, 2]), column([2, 1])),
    "the order of columns": (pd.DataFrame({"a": [1], "b": [1]}), pd.DataFrame({"b": [1], "a": [1]})),
    "a label": (pd.DataFrame({"a": [1]}), pd.DataFrame({"b": [1]})),
    "a label's type": (pd.DataFrame({"1": [1]}), pd.DataFrame({1: [1]})),
    "the sign of zero": (column([0.0]), column([-0.0])),
    "None or NaN": (text("a", None), text("a", np.nan)),
    "where None and NaN are": (text(None, np.nan), text(np.nan, None)),
    "missing or empty": (text("a", None), text("a", "")),
    "where a text ends": (text("ab", "c"), text("a", "bc")),
    "an integer or a float": (column([1, 2]), column([1.0, 2.0])),
    "a unit": (column(np.array([1], "M8[s]")), column(np.array([1], "M8[ms]"))),
    "a zone": (
        column(pd.to_datetime(["2024-01-01"], utc=True)),
        column(pd.to_datetime(["2024-01-01"], utc=True).tz_convert("Europe/Paris")),
    ),
    "the categories": (column(pd.Categorical(["a"])), column(pd.Categorical(["a"], categories=["a", "b"]))),
    "their order": (column(pd.Categorical(["a"])), column(pd.Categorical(["a"], ordered=True))),
    "the index": (column([1, 2]), column([1, 2]).set_axis([1, 2], axis=0)),
    "its name": (column([1]).rename_axis("a"), column([1]).rename_axis("b")),
    "the number of rows": (pd.DataFrame(index=pd.RangeIndex(2)), pd.DataFrame(index=pd.RangeIndex(3))),
}


@pytest.mark.parametrize("what", DIFFERENT)
def test_frames_that_differ_have_other_fingerprints(what: str) -> None:
    """Whatever makes a difference to the frame makes one to its fingerprint."""
    left, right = DIFFERENT[what]
    assert first_difference(left, right)
    assert print_of(left) != print_of(right)


def test_a_fingerprint_does_not_depend_on_the_backing_dtype() -> None:
    """Text is text, whether pandas backs it by objects or by a string dtype with the same missing cells."""
    assert print_of(text("a", "b")) == print_of(column(pd.array(["a", "b"], dtype="string")))
    assert print_of(column([1, 2])) == print_of(column(pd.array([1, 2], dtype="Int64")))


def test_a_fingerprint_is_for_ever() -> None:
    """Backups hold fingerprints, so this one never changes, under whatever pandas or Arrow."""
    frame = pd.DataFrame({"n": [1, 2], "x": [0.5, np.nan]}, index=pd.RangeIndex(2))
    frame["t"] = pd.Series(["a", None], dtype=object)
    frame.columns = pd.Index(["n", "x", "t"], dtype=object)
    assert print_of(frame) == FOR_EVER


FOR_EVER = "2:1d47e2a7c7ab0acd503699f558f3a76bd911d58e07c62cc0492bbe5c77418ef4"


# --------------------------------------------------------------------------- the schema's own text


def test_a_schema_of_a_newer_version_is_refused() -> None:
    """A schema that a later version wrote is an error with the line that upgrades."""
    import zlib

    data = {"millpond": 2, "fields": [], "index": {}, "columns": {}}
    data["crc"] = zlib.crc32(json.dumps(data).encode())
    with pytest.raises(SchemaError, match="pip install --upgrade"):
        FrameSchema.loads(json.dumps(data))


def test_a_damaged_schema_is_refused() -> None:
    """Any bit flipped in a schema's text is noticed."""
    whole = encode(SAME["all kinds side by side"]())[1].dumps().encode()
    for at in range(len(whole)):
        bent = bytearray(whole)
        bent[at] ^= 1 << (at % 8)
        with pytest.raises((FormatError, SchemaError)):
            FrameSchema.loads(bytes(bent))
    for rubbish in (b"", b"[]", b"null", b"{}", b'{"millpond": 1}'):
        with pytest.raises(FormatError):
            FrameSchema.loads(rubbish)


def test_columns_are_selected_by_label_and_type() -> None:
    """1, "1" and True are three labels; one that is repeated gives all its columns; twice the same is an error."""
    frame = pd.DataFrame([[1, 2, 3, 4]], columns=pd.Index([1, "1", True, "1"], dtype=object))
    table, schema = encode(frame)

    def pick(*labels: Any) -> list[Any]:
        part = schema.select(labels, "d")
        return decode(table.select(part.names), part).iloc[0].tolist()

    assert [pick(1), pick(np.int64(1)), pick(True), pick("1"), pick("1", 1)] == [[1], [1], [3], [2, 4], [2, 4, 1]]
    with pytest.raises(ColumnNotFoundError):
        pick(1.0)
    with pytest.raises(ColumnNotFoundError):
        pick(["1"])
    with pytest.raises(OptionError, match="twice"):
        pick("1", "1")


# --------------------------------------------------------------------------- append, others


def test_append_keeps_the_old_schema() -> None:
    """Rows are joined under the old dtypes and order; what would change a value is a SchemaError."""
    old, new = encode(column([1, 2], "int16")), encode(column([3]))
    table, schema = append(old, new, "d")
    assert_same(column([1, 2, 3], "int16"), decode(table, schema))
    with pytest.raises(SchemaError, match="'x'"):
        append(old, encode(text("a")), "d")


def test_the_natural_schema_loses_nothing() -> None:
    """A table without a schema becomes the frame that says the same."""
    table = pa.table({"i": pa.array([1, None], pa.uint8()), "t": ["a", None], "b": [True, False]})
    got = decode(table, natural(table, "d"))
    assert [str(kind) for kind in got.dtypes] == ["UInt8", "object", "bool"]
    with pytest.raises(FidelityError, match="'l'"):
        natural(pa.table({"l": [[1]]}), "d")


def test_rows_without_columns_are_counted() -> None:
    """A table with no column has rows all the same."""
    assert only_rows(3).num_rows == 3
    assert only_rows(0).num_columns == 0


# --------------------------------------------------------------------------- assert_same


def test_assert_same_tells_the_first_difference() -> None:
    """It names the column, the row and both values."""
    with pytest.raises(AssertionError, match=r"column 'x', row 1: .*2.*3.*1 of 3"):
        assert_same(column([1, 2, 4]), column([1, 3, 4]))
    with pytest.raises(AssertionError, match="int64 and float64"):
        assert_same(column([1]), column([1.0]))
    with pytest.raises(AssertionError, match="rows: 1 and 2"):
        assert_same(column([1]), column([1, 1]))
    with pytest.raises(AssertionError, match="index"):
        assert_same(column([1]), column([1]).set_axis([0], axis=0))
    with pytest.raises(AssertionError, match="labels"):
        assert_same(column([1]), pd.DataFrame({"y": [1]}))


def test_all_examples_differ_from_each_other() -> None:
    """assert_same tells every example from every other, and knows each again."""
    made = {what: make() for what, make in (SAME | HELD | MAYBE).items()}
    for what, frame in made.items():
        assert first_difference(frame, (SAME | HELD | MAYBE)[what]()) is None, what
        same = [other for other, another in made.items() if first_difference(frame, another) is None]
        assert same == [what]


def test_freq_and_attrs_make_no_difference() -> None:
    """They are pandas' notes, not the data."""
    left = column([1, 2]).set_axis(pd.date_range("2024-01-01", periods=2, freq="D"), axis=0)
    right = column([1, 2]).set_axis(pd.DatetimeIndex(["2024-01-01", "2024-01-02"]).as_unit(left.index.unit), axis=0)
    right.attrs["a"] = 1
    assert_same(left, right)
