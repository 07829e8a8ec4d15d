"""Other rows in a table's place; the table itself stays, with its views, grants, indexes and keys."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pyarrow as pa
from psycopg import sql

from framework.errors import FidelityError, SchemaError
from framework.schema import FrameSchema

from .copying import copy_among, copy_in
from .filling import fill, is_direct
from .names import declared, held_name
from .rows import INTEGERS, Part, sent_as, to_send
from .table import Column, Table, There

SMALL = 4096  # bytes of rows that one page holds, so that DELETE + COPY keeps their order
MOST_COLUMNS = 1500  # of the server's 1600, some of which dropped columns take
MOST_USED = 1590  # columns that a table may have had in its life, those that are gone too
NUMERIC = ("integer", "decimal")
WIDER = [*INTEGERS], ["real", "double precision"]
Noting = Callable[[dict[str, str]], sql.Composed]


def replace_rows(
    place: Table, there: There | None, table: pa.Table, schema: FrameSchema, *, noting: Noting, ours: bool
) -> None:
    """Put these rows in the table's place, and that on record.

    Parameters
    ----------
    noting : callable
        Gives what records the save, told the types of the table's columns then.
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
        place.run(noting({part.name: part.type for part in parts}))
        return
    check_table(place, there)
    if ours:  # a numeric column held integers of 64 bits: other text than decimals is none for it
        kinds = {part.name: field.kind for part, field in zip(parts, schema.fields, strict=True)}
        unfit = [n for n, c in there.own.items() if c.full == "numeric" and kinds.get(n) not in NUMERIC]
    else:
        unfit = []
    _refill(place, there, parts, noting, ours=ours, unfit=unfit)


def check_table(place: Table, there: There) -> None:
    """SchemaError for a view and the like."""
    if not there.is_table:
        raise SchemaError(f"{place.name!r} is {there.word}.", cure="Save under another name.", resource=place.name)


def given(parts: Sequence[Part], there: There) -> list[Part]:
    """The parts without those that the server makes itself."""
    return [part for part in parts if part.name not in there.columns or not there.columns[part.name].generated]


def _refill(place: Table, there: There, parts: list[Part], noting: Noting, *, ours: bool, unfit: Sequence[str]) -> None:
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
    small = not changes and _is_small(there, parts)
    if small and _refilled_small(place, there, parts, noting(there.shape)):
        return
    place.run("TRUNCATE {}", place.target)
    if new and _used(place) + len(new) > MOST_USED:
        make_anew(place, there)
    if changes:
        place.run("ALTER TABLE {} {}", place.target, sql.SQL(", ").join(changes))
    columns = {name: column for name, column in columns.items() if name not in gone}
    columns |= {part.name: Column(part.name, part.type, part.type) for part in new}
    fill(place, parts, columns)
    if not small:
        place.run(noting({name: column.full for name, column in columns.items()}))


def _may_grow(kind: str, wanted: str) -> bool:
    return any(kind in family and wanted in family for family in WIDER)


def _is_small(there: There, parts: Sequence[Part]) -> bool:
    """Whether DELETE + COPY will do, which costs a tenth of TRUNCATE.

    Where triggers or foreign keys hang on the table, a DELETE might do more than to delete.
    """
    if there.watched or there.kind != "r" or not parts or sum(part.values.nbytes for part in parts) > SMALL:
        return False
    return all(is_direct(part, there.columns[part.name]) and not there.columns[part.name].filled for part in parts)


EMPTIED = sql.SQL("DELETE FROM {} WHERE (SELECT pg_relation_size({}::regclass)) <= {}")
THERE = sql.SQL("SELECT count(*), min(ctid), max(ctid) FROM {}")


def _refilled_small(place: Table, there: There, parts: Sequence[Part], note: sql.Composable) -> bool:
    """Replace the rows by DELETE + COPY, with the note, in one journey.

    False, with the note made, where that would lose their order, and where the table's file is too large for it: then
    TRUNCATE takes all of them away again.
    """
    emptied = EMPTIED.format(place.target, place.text, sql.Literal(16 * SMALL))
    sent = [sent_as(part, there.columns[part.name].type) or part for part in parts]
    told, _ = copy_among(place.connection, place.target, sent, before=emptied, after=[THERE.format(place.target), note])
    rows, first, last = (value or b"" for value in told)
    same_page = first.partition(b",")[0] == last.partition(b",")[0]
    return int(rows) == len(parts[0].values) and (there.ordered or same_page)


# --------------------------------------------------------------------------- a table anew

HANGING = """
SELECT c.relhastriggers OR c.relrowsecurity OR EXISTS (SELECT FROM pg_attribute WHERE attrelid = c.oid AND attacl IS NOT
  NULL) OR EXISTS (SELECT FROM pg_constraint WHERE conrelid = c.oid AND contype = 'f'), pg_get_userbyid(relowner)
FROM pg_class c WHERE c.oid = {}::regclass"""
GRANTS = """
SELECT CASE grantee WHEN 0 THEN NULL ELSE pg_get_userbyid(grantee) END, privilege_type, is_grantable
FROM pg_class c, aclexplode(c.relacl) WHERE c.oid = {}::regclass"""


def _used(place: Table) -> int:
    query = "SELECT coalesce(max(attnum), 0) FROM pg_attribute WHERE attrelid = {}::regclass"
    return int(place.row(query, place.text)[0])


def make_anew(place: Table, there: There) -> None:
    """Put an empty table of the same columns in the place of the emptied one: columns that are gone count no more.

    It has the indexes, defaults, checks and grants of the first. Where more hangs on that it stays, and SchemaError.
    """
    hanging, owned = place.row(HANGING, place.text)
    if hanging or there.parted:
        raise SchemaError(
            f"The columns of {place.name!r} have changed so often that PostgreSQL takes no more, and triggers, foreign"
            " keys, policies, partitions or grants on columns hang on it.",
            cure="Save under another name, or delete it first.",
            resource=place.name,
        )
    grants = place.run(GRANTS, place.text).fetchall()
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
