"""DuckDB, for what must not depend on a file's size: sorting, joining, grouping, SQL over artifacts."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from framework.errors import BaseFrameworkException, DataException, FidelityError, OptionError, StorageError
from framework.files import make_folder, storage_errors
from framework.mods.run import ModRun

if TYPE_CHECKING:
    import pyarrow as pa

MEMORY = "1GB"  # beyond which it goes to disk
BATCH = 1 << 16  # rows
REFUSED = "not exact: "  # before what `refusing` says, and before its cure
CURE = " | "
DISK = ("IO Error", "Out of Memory Error")


@contextmanager
def connected(run: ModRun, *, memory: str = MEMORY) -> Iterator[Any]:
    """A DuckDB of its own in memory, which spills to the run's folder and reads no file of its own accord.

    Raises
    ------
    OptionError
        SQL that it does not understand, or that names what is not there.
    StorageError
        The disk is full.
    FidelityError
        It needs the values of a column that it does not hold exactly.
    """
    import duckdb

    with storage_errors(str(run.folder)):
        make_folder(run.folder)
        spill = tempfile.mkdtemp(prefix=".duckdb-", dir=run.folder)
    try:
        connection = duckdb.connect(":memory:", config={"temp_directory": spill, "memory_limit": memory})
        try:
            connection.execute(f"SET threads = {max(os.cpu_count() or 1, 1)}")
            connection.execute("SET enable_progress_bar = false")  # standard output is the user's
            connection.execute("SET TimeZone = 'UTC'")  # and no answer depends on where the machine stands
            yield connection
        finally:
            connection.close()
    except (duckdb.ParserException, duckdb.BinderException, duckdb.CatalogException) as error:
        raise OptionError(f"DuckDB: {_words(error)}.", resource=run.mod) from error
    except duckdb.Error as error:
        raise _named(error) from error
    finally:
        shutil.rmtree(spill, ignore_errors=True)


def _named(error: Exception) -> BaseFrameworkException:
    """What went wrong in a query, by what DuckDB says: of what it streams, Arrow's errors carry the words alone."""
    words = _words(error)
    if REFUSED in words:
        why, _, cure = words.partition(REFUSED)[2].partition(CURE)
        return FidelityError(why, cure=f"{cure}.")
    if words.startswith(DISK):
        return StorageError(f"DuckDB: {words}.", cure="Free some space, or give it less to do.")
    return DataException(f"DuckDB: {words}.")


def _words(error: Exception) -> str:
    return re.sub(r"\s+", " ", str(error)).strip().rstrip(".")


def quoted(name: str) -> str:
    """A name as SQL takes it."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A text as SQL takes it."""
    return "'" + text.replace("'", "''") + "'"


def refusing(column: str, why: str, cure: str) -> str:
    """SQL for a column whose values DuckDB does not hold: FidelityError for a query that needs one, and only then."""
    told = literal(f"{REFUSED}{why}{CURE}{cure}")
    return f"(CASE WHEN {column} IS NULL THEN NULL ELSE CAST(error({told}) AS DOUBLE) END)"


def tables(connection: Any, sql: str, parameters: Any = None) -> tuple[pa.Schema, Iterator[pa.Table]]:
    """What a query answers, in pieces."""
    import pyarrow as pa

    reader = connection.sql(sql, params=parameters).to_arrow_reader(BATCH)

    def pieces() -> Iterator[pa.Table]:
        while True:
            try:
                batch = next(reader, None)
            except (pa.ArrowException, OSError) as error:  # else it were taken for an error of the file written to
                raise _named(error) from error
            if batch is None:
                return
            yield pa.Table.from_batches([batch])

    return reader.schema, pieces()
