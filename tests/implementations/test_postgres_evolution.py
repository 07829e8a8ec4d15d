"""Tables that grow with their data: columns are added and types widened in place; no row is written anew."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import pandas as pd
import pytest

from framework.errors import SchemaError
from framework.store import MOST_SAVE_IDS
from framework.testing import assert_same

TWO = pd.DataFrame({"k": [1, 2], "v": [10, 20]})


def text(*cells: Any) -> Any:
    return pd.Series(cells, dtype=object)


def places(raw: Any, rows: int) -> list[Any]:
    """Where the first rows lie, and which file holds the table: they change when a table is written anew."""
    found = raw.execute("SELECT k, ctid::text, xmin::text FROM d WHERE k <= %s ORDER BY k", [rows]).fetchall()
    return [raw.execute("SELECT pg_relation_filenode('d')").fetchone(), *found]


def types(raw: Any) -> dict[str, str]:
    query = (
        "SELECT attname, format_type(atttypid, NULL) FROM pg_attribute WHERE attrelid = 'd'::regclass AND attnum > 0"
        " AND NOT attisdropped AND attname <> 'millpond_row'"
    )
    return dict(raw.execute(query).fetchall())


# --------------------------------------------------------------------------- in place


@pytest.mark.parametrize("keys", [None, ["k"]])
def test_a_column_is_added_without_writing_the_rows_anew(store: Any, raw: Any, keys: list[str] | None) -> None:
    """The old rows lie where they lay; the new column is null in them."""
    mode = "append" if keys is None else "upsert"
    store.save_data(TWO, "d")
    store.save_data(TWO.assign(k=[3, 4]), "d", mode=mode, keys=keys)  # from now on a column has the order
    before = places(raw, 4)
    store.save_data(pd.DataFrame({"k": [5], "v": [50], "t": text("new")}), "d", mode=mode, keys=keys)
    assert places(raw, 4) == before
    wanted = pd.DataFrame({"k": [1, 2, 3, 4, 5], "v": [10, 20, 10, 20, 50], "t": text(None, None, None, None, "new")})
    assert_same(wanted, store.get_data("d"))
    assert types(raw)["t"] == "text"


def test_columns_that_do_not_come_stay(store: Any, raw: Any) -> None:
    """An append without a column leaves it null; the others lie where they lay."""
    store.save_data(TWO.assign(f=[0.5, 1.5], t=text("a", "b")), "d")
    store.save_data(TWO.assign(k=[3, 4], f=0.5, t=text("c", "d")), "d", mode="append")
    before = places(raw, 4)
    store.save_data(pd.DataFrame({"v": [50], "k": [5]}), "d", mode="append")
    assert places(raw, 4) == before
    got = store.get_data("d")
    assert got["t"].tolist() == ["a", "b", "c", "d", None]
    assert got["f"].tolist()[:4] == [0.5, 1.5, 0.5, 0.5]
    assert np.isnan(got["f"].iloc[4])


WIDER: dict[str, tuple[Any, Any, Any, str]] = {
    "small integers": (np.array([1, -2], "int8"), np.array([2**40]), np.array([1, -2, 2**40]), "bigint"),
    "integers to floats": (np.array([1, -2]), np.array([0.5]), np.array([1.0, -2.0, 0.5]), "double precision"),
    "floats": (np.array([0.5, 1], "f4"), np.array([0.1]), np.array([0.5, 1, 0.1]), "double precision"),
    "unsigned": (
        np.array([1, 2], "uint8"), np.array([2**63], "uint64"), np.array([1, 2, 2**63], "uint64"), "numeric"
    ),
    "finer times": (
        np.array([7, -7], "M8[s]"), np.array([1001], "M8[ns]"), np.array([7 * 10**9, -7 * 10**9, 1001], "M8[ns]"),
        "bigint",
    ),
    "finer times that fit": (
        np.array([7, -7], "M8[s]"), np.array([1001], "M8[us]"), np.array([7 * 10**6, -7 * 10**6, 1001], "M8[us]"),
        "timestamp without time zone",
    ),
    "spans": (np.array([7, -7], "m8[s]"), np.array([1], "m8[us]"), np.array([7 * 10**6, -7 * 10**6, 1], "m8[us]"),
              "bigint"),
    "nothing to numbers": (text(None, None), np.array([1.5]), np.array([np.nan, np.nan, 1.5]), "double precision"),
}  # fmt: skip


@pytest.mark.parametrize("keys", [None, ["k"]])
@pytest.mark.parametrize("what", WIDER)
def test_types_grow_at_the_server(store: Any, raw: Any, what: str, keys: list[str] | None) -> None:
    """The column's type is altered, and each old value is what it was."""
    old, new, both, kind = WIDER[what]
    store.save_data(pd.DataFrame({"k": [1, 2], "x": old}), "d")
    raw.execute("CREATE INDEX ON d (k)")
    grown = pd.DataFrame({"k": [3], "x": new})
    store.save_data(grown, "d", mode="append" if keys is None else "upsert", keys=keys)
    assert_same(pd.DataFrame({"k": [1, 2, 3], "x": both}), store.get_data("d"))
    assert types(raw)["x"] == kind
    assert raw.execute("SELECT count(*) FROM pg_index WHERE indrelid = 'd'::regclass").fetchone() == (1,)


def test_a_missing_kind_of_each_row_is_kept_through_an_upsert(store: Any, raw: Any) -> None:
    """None beside NaN, in columns that were there and in one that is added, in the rows where they were."""
    store.save_data(pd.DataFrame({"k": [1, 2, 3], "t": text(None, np.nan, "c")}), "d")
    new = pd.DataFrame({"k": [3, 1, 4], "t": text(np.nan, "a", None), "u": text(np.nan, None, "u")})
    store.save_data(new, "d", mode="upsert", keys=["k"])
    wanted = pd.DataFrame({"k": [1, 2, 3, 4], "t": text("a", np.nan, np.nan, None), "u": text(None, None, np.nan, "u")})
    assert_same(wanted, store.get_data("d"))


# --------------------------------------------------------------------------- what stands in the way


def test_a_view_in_the_way_of_a_wider_type_is_an_error(store: Any, raw: Any) -> None:
    """A column that a view shows keeps its type: SchemaError, and nothing changes; another column may be added."""
    store.save_data(TWO, "d")
    raw.execute("CREATE VIEW seen AS SELECT v FROM d")
    for mode, keys in (("append", None), ("upsert", ["k"])):
        with pytest.raises(SchemaError, match="view"):
            store.save_data(pd.DataFrame({"k": [3], "v": [0.5]}), "d", mode=mode, keys=keys)
        assert_same(TWO, store.get_data("d"))
        assert store.describe("d").version == 1
    store.save_data(TWO.assign(k=[3, 4], more=0.5), "d", mode="append")
    assert raw.execute("SELECT count(*) FROM seen").fetchone() == (4,)


@pytest.mark.timeout(120)
def test_columns_may_change_without_end(store: Any, raw: Any) -> None:
    """Columns that are gone count towards the server's 1600: a table whose columns change for ever is made anew."""
    store.save_data(TWO, "d")
    raw.execute("CREATE INDEX ON d (k)")
    raw.execute("GRANT SELECT ON d TO PUBLIC")
    for turn in range(32):
        frame = TWO.assign(**{f"c{turn}_{n}": n for n in range(60)})
        store.save_data(frame, "d")
    assert_same(frame, store.get_data("d"))
    assert raw.execute("SELECT count(*) FROM pg_index WHERE indrelid = 'd'::regclass").fetchone() == (1,)
    assert "=r/" in raw.execute("SELECT relacl::text FROM pg_class WHERE oid = 'd'::regclass").fetchone()[0]
    store.save_data(frame.assign(k=[3, 4]), "d", mode="append")
    assert store.get_data("d")["k"].tolist() == [1, 2, 3, 4]


# --------------------------------------------------------------------------- ids of saves


def test_a_catalogue_of_an_earlier_version_is_brought_up(store: Any, raw: Any) -> None:
    """A catalogue without a place for ids gets one with the next save, and loses nothing."""
    store.save_data(TWO, "d")
    store.save_data(TWO, "other")
    raw.execute("ALTER TABLE millpond_catalog DROP COLUMN save_ids, DROP COLUMN made_ids, DROP COLUMN shape")
    assert_same(TWO, store.get_data("d"))
    for _ in range(2):
        store.save_data(TWO.assign(k=[3, 4]), "d", mode="append", save_id="nightly")
    assert store.get_data("d")["k"].tolist() == [1, 2, 3, 4]
    assert (store.describe("d").version, store.describe("other").version) == (2, 1)


def test_a_save_to_a_table_of_others_is_remembered(store: Any, raw: Any, caplog: pytest.LogCaptureFixture) -> None:
    """Tried again it adds nothing; the table stays one of others, which have no time, no version and no warning."""
    raw.execute("CREATE TABLE d (k bigint, v bigint); INSERT INTO d VALUES (1, 10)")
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            store.save_data(TWO.assign(k=[2, 3]), "d", mode="append", save_id="nightly")
        assert store.get_data("d")["k"].tolist() == [1, 2, 3]
        assert (store.describe("d").rows, store.describe("d").version) == (3, None)
    assert not caplog.records
    assert store.list_sources() == ["d"]


def test_the_last_ids_are_on_record(store: Any, raw: Any) -> None:
    """As many as every store keeps; saves that nobody named drive none out, a replace takes them with their rows."""
    none = TWO.iloc[:0]
    store.save_data(TWO, "d", mode="append", save_id="first")
    for _ in range(30):
        store.save_data(none, "d", mode="append")
    store.save_data(TWO, "d", mode="append", save_id="first")
    for turn in range(MOST_SAVE_IDS):
        store.save_data(none, "d", mode="append", save_id=f"turn {turn}")
    store.save_data(TWO, "d", mode="append", save_id="turn 0")
    assert_same(TWO, store.get_data("d"))
    assert raw.execute("SELECT cardinality(save_ids) FROM millpond_catalog").fetchone() == (MOST_SAVE_IDS,)
    assert raw.execute("SELECT cardinality(made_ids) < 20 FROM millpond_catalog").fetchone() == (True,)
    store.save_data(TWO, "d")
    store.save_data(TWO.assign(k=[3, 4]), "d", mode="append", save_id="turn 0")
    assert store.get_data("d")["k"].tolist() == [1, 2, 3, 4]


def test_ids_go_with_their_dataset(store: Any, raw: Any) -> None:
    """A new name keeps them; a dataset that was deleted, or dropped by others, has none."""
    store.save_data(TWO, "d", save_id="one")
    store.rename_data("d", "e")
    store.save_data(TWO, "e", mode="append", save_id="one")
    assert len(store.get_data("e")) == 2
    store.delete_data("e")
    store.save_data(TWO, "e", mode="append", save_id="one")
    assert len(store.get_data("e")) == 2
    raw.execute("DROP TABLE e")
    assert store.save_data(TWO, "e", mode="append", save_id="one")
    assert len(store.get_data("e")) == 2


# --------------------------------------------------------------------------- names


def test_a_long_name_of_a_table_of_others_is_listed_as_it_was_given(store: Any, raw: Any) -> None:
    """A name that is too long for the server comes back whole, there and back."""
    long = "n" * 200
    raw.execute("CREATE TABLE theirs (k bigint); INSERT INTO theirs VALUES (1)")
    store.rename_data("theirs", long)
    assert store.list_sources() == [long]
    assert store.get_data(long)["k"].tolist() == [1]
    store.rename_data(long, "short")
    assert store.list_sources() == ["short"]


def test_a_view_can_be_renamed(store: Any, raw: Any) -> None:
    """And what it shows stays."""
    store.save_data(TWO, "d")
    raw.execute("CREATE VIEW seen AS SELECT k FROM d")
    store.rename_data("seen", "shown")
    store.rename_data("d", "e")
    assert store.list_sources() == ["e", "shown"]
    assert store.get_data("shown")["k"].tolist() == [1, 2]
