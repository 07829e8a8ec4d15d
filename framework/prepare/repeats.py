"""Which rows have a key that an earlier row has."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from framework.prepare.checks import SAMPLE, Mask, is_text


def repeated(keys: list[pa.Array], known: Mask) -> Any:
    """The places of rows whose key an earlier row has, ascending; only rows of `known` are looked at.

    Equal keys have equal hashes: where no hash comes twice, no key does, and only rows whose hash does are compared.
    """
    places = np.flatnonzero(known)
    if _ascending(keys, known):
        return places[:0]
    if len(places) > SAMPLE:  # few are compared at once
        hashes = hashes_of(keys)[places]
        ordered = np.sort(hashes)
        twice = np.unique(ordered[1:][ordered[1:] == ordered[:-1]])
        if not len(twice):
            return places[:0]
        places = places[np.isin(hashes, twice)]
    table = pa.table({f"c{place}": _whole(key).take(pa.array(places)) for place, key in enumerate(keys)})
    groups = table.append_column("row", pa.array(places)).group_by(table.column_names)
    return np.setdiff1d(places, groups.aggregate([("row", "min")])["row_min"].to_numpy(), assume_unique=True)


def _ascending(keys: list[pa.Array], known: Mask) -> bool:
    """Whether each key is greater than the one before, as the numbers of a file often are."""
    key = keys[0]
    ordered = is_text(key.type) or pa.types.is_integer(key.type) or pa.types.is_timestamp(key.type)
    if len(keys) > 1 or not ordered or not known.all():
        return False
    if len(key) > SAMPLE and not _ascending([key[:SAMPLE]], known[:SAMPLE]):
        return False
    return bool(pc.all(pc.greater(key[1:], key[:-1]), min_count=0).as_py())


def hashes_of(keys: list[pa.Array]) -> Any:
    """64 bits of each row, the same for the same key."""
    import duckdb

    table = pa.table({f"c{place}": _whole(key) for place, key in enumerate(keys)})
    with duckdb.connect(":memory:") as connection:
        connection.register("keys", table)
        hashed = connection.sql(f"SELECT hash({', '.join(table.column_names)}) AS h FROM keys")  # noqa: S608 - ours
        return hashed.fetchnumpy()["h"]


def _whole(key: pa.Array) -> pa.Array:
    """Categories as what they say, lists and the like as they look."""
    if pa.types.is_dictionary(key.type):
        return key.dictionary_decode()
    return pa.array([str(cell) for cell in key.to_pylist()]) if pa.types.is_nested(key.type) else key
