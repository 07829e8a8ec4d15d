"""DuckDB, for what must not depend on a file's size: sorting, joining, grouping, SQL over artifacts."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from framework.errors import DataException, OptionError, StorageError
from framework.files import make_folder, storage_errors
from framework.mods.run import ModRun

if TYPE_CHECKING:
    import pyarrow as pa

MEMORY = "1GB"  # beyond which it goes to disk
BATCH = 1 << 16  # rows


@contextmanager
def connected(run: ModRun, *, memory: str = MEMORY) -> Iterator[Any]:
    """A DuckDB of its own in memory, which spills to the run's folder and reads no file of its own accord.

    Raises
    ------
    OptionError
        SQL that it does not understand, or that names what is not there.
    StorageError
        The disk is full.
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
            yield connection
        finally:
            connection.close()
    except (duckdb.ParserException, duckdb.BinderException, duckdb.CatalogException) as error:
        raise OptionError(f"DuckDB: {_words(error)}.", resource=run.mod) from error
    except (duckdb.IOException, duckdb.OutOfMemoryException) as error:
        raise StorageError(f"DuckDB: {_words(error)}.", cure="Free some space, or give it less to do.") from error
    except duckdb.Error as error:
        raise DataException(f"DuckDB: {_words(error)}.", resource=run.mod) from error
    finally:
        shutil.rmtree(spill, ignore_errors=True)


def _words(error: Exception) -> str:
    return re.sub(r"\s+", " ", str(error)).strip().rstrip(".")


def quoted(name: str) -> str:
    """A name as SQL takes it."""
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A text as SQL takes it."""
    return "'" + text.replace("'", "''") + "'"


def source(path: str | Path) -> str:
    """What SQL reads a Parquet artifact by, its rows in their order."""
    return f"read_parquet({literal(str(path))})"


def tables(connection: Any, sql: str, parameters: Any = None) -> tuple[pa.Schema, Iterator[pa.Table]]:
    """What a query answers, in pieces."""
    import pyarrow as pa

    reader = connection.sql(sql, params=parameters).to_arrow_reader(BATCH)
    return reader.schema, (pa.Table.from_batches([batch]) for batch in reader)
