"""Other rows in a table's place; the table itself stays, with its views, grants, indexes and keys."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa
from psycopg import sql

from framework.errors import FidelityError, SchemaError
from framework.schema import FrameSchema

from .filling import fill, is_direct
from .rows import INTEGERS, ORDINAL, Part, copy_in, declared, held_name, sent_as, to_send
from .table import Column, Table, There

SMALL = 4096  # bytes of rows that one page holds, so that DELETE + COPY keeps their order
MOST_COLUMNS = 1500  # of the server's 1600, some of which dropped columns take
MOST_USED = 1590  # columns that a table may have had in its life, those that are gone too
NUMERIC = ("integer", "decimal")
WIDER = [*INTEGERS], ["real", "double precision"]


def replace_rows(
    place: Table, there: There | None, table: pa.Table, schema: FrameSchema, *, ours: bool
) -> dict[str, str]:
    """Put these rows in the table's place; the types of its columns then.

    Parameters
    ----------
    ours : bool
        Whether the table is one that a store made; else columns that the server can fill stay when the rows lack them.
    """
    parts = [to_send(table.column(field.name), field) for field in schema.fields]
    if len({part.name for part in parts}) != len(parts) or len(parts) > MOST_COLUMNS:
        raise FidelityError(f"{place.name!r} has {len(parts)} columns; PostgreSQL holds {MOST_COLUMNS} of them.")
    if there is None:
        columns = sql.SQL(", ").join(declared(part.name, part.type) for part in parts)
        place.run("CREATE TABLE {} ({})", place.target, columns)
        copy_in(place.connection, place.target, parts)
        return {part.name: part.type for part in parts}
    check_table(place, there)
    if ours:  # a numeric column held integers of 64 bits: other text than decimals is none for it
        kinds = {part.name: field.kind for part, field in zip(parts, schema.fields, strict=True)}
        unfit = [n for n, c in there.own.items() if c.full == "numeric" and kinds.get(n) not in NUMERIC]
    else:
        unfit = []
    return _refill(place, there, parts, ours=ours, unfit=unfit)


def check_table(place: Table, there: There) -> None:
    """SchemaError for a view and the like."""
    if not there.is_table:
        raise SchemaError(f"{place.name!r} is {there.word}.", cure="Save under another name.", resource=place.name)


def given(parts: Sequence[Part], there: There) -> list[Part]:
    """The parts without those that the server makes itself."""
    return [part for part in parts if part.name not in there.columns or not there.columns[part.name].generated]


def _refill(place: Table, there: There, parts: list[Part], *, ours: bool, unfit: Sequence[str]) -> dict[str, str]:
    wanted = {part.name: part for part in parts}
    gone, changes, columns = [], [], dict(there.own)
    for name, column in there.own.items():
        part = wanted.get(name)
        if part is None:
            if ours or not (column.generated or column.filled):
                gone.append(name)
        elif not column.generated and (name in unfit or sent_as(part, column.type) is None):
            if _may_grow(column.type, part.type):
                changes.append(sql.SQL("ALTER COLUMN {} TYPE {}").format(sql.Identifier(name), sql.SQL(part.type)))
                columns[name] = Column(name, part.type, part.type)
            else:
                gone.append(name)
    new = [part for part in parts if part.name not in there.own or part.name in gone]
    changes += [sql.SQL("DROP COLUMN {}").format(sql.Identifier(name)) for name in gone]
    changes += [sql.SQL("ADD COLUMN {}").format(declared(part.name, part.type)) for part in new]
    parts = given(parts, there)
    if not changes and _refilled_small(place, there, parts):
        return there.shape
    place.run("TRUNCATE {}", place.target)
    if new and _used(place) + len(new) > MOST_USED:
        make_anew(place, there)
    if changes:
        place.run("ALTER TABLE {} {}", place.target, sql.SQL(", ").join(changes))
    columns = {name: column for name, column in columns.items() if name not in gone}
    columns |= {part.name: Column(part.name, part.type, part.type) for part in new}
    fill(place, parts, columns)
    return {name: column.full for name, column in columns.items()}


def _may_grow(kind: str, wanted: str) -> bool:
    return any(kind in family and wanted in family for family in WIDER)


def _refilled_small(place: Table, there: There, parts: Sequence[Part]) -> bool:
    """Replace few rows by DELETE + COPY, which costs a tenth of TRUNCATE; False where that would lose their order.

    Where triggers or foreign keys hang on the table, a DELETE might do more than to delete.
    """
    if there.watched or there.kind != "r" or sum(part.values.nbytes for part in parts) > SMALL:
        return False
    if not all(is_direct(part, there.columns[part.name]) and not there.columns[part.name].filled for part in parts):
        return False
    most, target = sql.Literal(16 * SMALL), sql.Literal(place.target.as_string(place.connection))
    emptied = "SELECT {0} <= {1}; DELETE FROM {2} WHERE (SELECT {0}) <= {1}"  # one journey
    size = sql.SQL("pg_relation_size({}::regclass)").format(target)
    if not place.row(emptied, size, most, place.target)[0]:
        return False
    fill(place, parts, there.columns)
    pages = "SELECT count(DISTINCT (ctid::text::point)[0]) FROM {}"
    return ORDINAL in there.columns or place.row(pages, place.target)[0] <= 1  # else TRUNCATE takes them away again


# --------------------------------------------------------------------------- a table anew

HANGING = """
SELECT c.relhastriggers OR c.relrowsecurity OR EXISTS (SELECT FROM pg_attribute WHERE attrelid = c.oid AND attacl IS NOT
  NULL) OR EXISTS (SELECT FROM pg_constraint WHERE conrelid = c.oid AND contype = 'f'), pg_get_userbyid(relowner)
FROM pg_class c WHERE c.oid = {}::regclass"""
GRANTS = """
SELECT CASE grantee WHEN 0 THEN NULL ELSE pg_get_userbyid(grantee) END, privilege_type, is_grantable
FROM pg_class c, aclexplode(c.relacl) WHERE c.oid = {}::regclass"""


def _used(place: Table) -> int:
    target = sql.Literal(place.target.as_string(place.connection))
    return int(place.row("SELECT coalesce(max(attnum), 0) FROM pg_attribute WHERE attrelid = {}::regclass", target)[0])


def make_anew(place: Table, there: There) -> None:
    """Put an empty table of the same columns in the place of the emptied one: columns that are gone count no more.

    It has the indexes, defaults, checks and grants of the first. Where more hangs on that it stays, and SchemaError.
    """
    target = sql.Literal(place.target.as_string(place.connection))
    hanging, owned = place.row(HANGING, target)
    if hanging or there.parted:
        raise SchemaError(
            f"The columns of {place.name!r} have changed so often that PostgreSQL takes no more, and triggers, foreign"
            " keys, policies, partitions or grants on columns hang on it.",
            cure="Save under another name, or delete it first.",
            resource=place.name,
        )
    grants = place.run(GRANTS, target).fetchall()
    anew = sql.Identifier(place.namespace, held_name(f"millpond_anew {place.name}"))
    place.run("CREATE TABLE {} (LIKE {} INCLUDING ALL)", anew, place.target)
    place.run("DROP TABLE {}", place.target)
    place.run("ALTER TABLE {} RENAME TO {}", anew, sql.Identifier(held_name(place.name)))
    place.run("ALTER TABLE {} OWNER TO {}", place.target, sql.Identifier(owned))
    for grantee, privilege, further in grants:
        if grantee != owned:
            whom = sql.SQL("PUBLIC") if grantee is None else sql.Identifier(grantee)
            option = sql.SQL(" WITH GRANT OPTION" if further else "")
            place.run("GRANT {} ON {} TO {}{}", sql.SQL(privilege), place.target, whom, option)
