"""COPY: rows to the server in its own binary format, alone or with the statements before and after in one journey."""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import generators, sql
from psycopg.pq import ExecStatus

from framework.errors import IntegrityError

from .names import listed
from .rows import Part

if TYPE_CHECKING:
    from psycopg import Connection
    from psycopg.pq.abc import PGconn, PGresult

BATCH = 100_000  # rows encoded at a time
COPY = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT BINARY)")
NEXT = sql.SQL("; ")


def copy_in(connection: Connection[Any], target: sql.Composable, parts: Sequence[Part]) -> None:
    """COPY the rows; IntegrityError unless the server reports just as many."""
    if not parts:
        return
    with connection.cursor() as cursor:
        with cursor.copy(_command(target, parts)) as copy:
            for block in _encoded(parts):
                copy.write(block)
        _check(cursor.rowcount, parts)


def copy_among(
    connection: Connection[Any],
    target: sql.Composable,
    parts: Sequence[Part],
    *,
    before: sql.Composable,
    after: Sequence[sql.Composable],
) -> list[tuple[bytes | None, ...]]:
    """COPY few rows, with a statement before it and others after it; the first row that each of those answers."""
    query = NEXT.join((before, _command(target, parts), *after)).as_bytes(connection)
    with connection.lock:
        answers = connection.wait(_journey(connection.pgconn, query, b"".join(_encoded(parts))))
    _, copied, *rest = answers
    _check(copied.command_tuples, parts)
    return [tuple(answer.get_value(0, place) for place in range(answer.nfields)) for answer in rest]


def _journey(server: PGconn, query: bytes, content: bytes) -> Generator[Any, Any, list[PGresult]]:
    """What the server answers to each statement of the query, one of which is a COPY of the content."""
    server.send_query(query)
    answers: list[PGresult] = yield from generators.execute(server)
    if answers[-1].status == ExecStatus.COPY_IN:
        answers.pop()
        yield from generators.copy_to(server, content)
        server.put_copy_end()
        answers += yield from generators.execute(server)
    if answers[-1].status == ExecStatus.FATAL_ERROR:
        raise psycopg.errors.error_from_result(answers[-1])
    return answers


def _command(target: sql.Composable, parts: Sequence[Part]) -> sql.Composed:
    return COPY.format(target, listed([part.name for part in parts]))


def _encoded(parts: Sequence[Part]) -> Iterator[bytes]:
    import pgpq
    import pyarrow as pa

    table = pa.table([part.values for part in parts], names=[part.name for part in parts])
    encoder = pgpq.ArrowToPostgresBinaryEncoder(table.schema)
    waiting = encoder.write_header()
    for batch in table.to_batches(max_chunksize=BATCH):
        yield waiting + encoder.write_batch(batch) if waiting else encoder.write_batch(batch)
        waiting = b""
    yield waiting + encoder.finish()


def _check(taken: int | None, parts: Sequence[Part]) -> None:
    rows = len(parts[0].values)
    if taken != rows:
        raise IntegrityError(f"The server took {taken} rows of {rows}.")
