"""An artifact into a table of a database: added, in the place of all, or of the rows with the same keys."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Literal

from pydantic import ConfigDict, Field, SecretStr, field_validator, model_validator

from framework.errors import KeysError
from framework.mods import duck
from framework.mods.artifacts import check_columns, frame_schema, opened
from framework.mods.base import BaseModParams, InputArtifact, ModMetadata
from framework.mods.guard import check_shrink
from framework.mods.judging import without_nan
from framework.mods.result import ModResult
from framework.mods.run import ModRun, current_run
from framework.redact import register_secret
from framework.registry import missing_extra

if TYPE_CHECKING:
    import pyarrow as pa

    from framework.schema import Field as Column

METADATA = ModMetadata(
    name="database_writer",
    version="1.0.0",
    description="Writes rows to a table of any database that SQLAlchemy knows: append, replace or upsert",
    author="Millpond",
    tags=["sink", "database", "sql", "postgres", "sqlite"],
    artifacts={"consumes": ["input_artifact"]},
)
EXAMPLE = {
    "input_artifact": "customers.parquet",
    "connection_string": "sqlite:///shop.db",
    "table_name": "customers",
    "mode": "upsert",
    "keys": ["id"],
}
BORROWS = {"connection_string": "database_reader"}  # what nothing says of it, where that says it
EXAMPLE_FILES = {"customers.parquet": "id,name\n1,Ada\n2,Ben\n"}
ENOUGH = "256MB"  # of memory for finding keys that repeat, beyond which it goes to disk


class Params(BaseModParams):
    _metadata: ModMetadata = METADATA

    input_artifact: InputArtifact = Field(description="the rows; in a job, those of the mod before unless given")
    table_name: str = Field(
        min_length=1, description="the table, also schema.table; made, of the rows' types, when it is not there"
    )
    connection_string: SecretStr | None = Field(
        None, description="an address as SQLAlchemy has it; that of database_reader, else DB_SERVER, unless given"
    )
    db_schema: str | None = Field(
        None, alias="schema", min_length=1, description="the database's schema; its own, or DB_SCHEMA, unless given"
    )
    mode: Literal["append", "replace", "upsert"] = Field("append", description="what becomes of the rows there")
    keys: list[str] = Field(default_factory=list, description="what upsert tells rows apart by")
    batch_size: int = Field(1000, ge=1, le=1_000_000, description="rows in one statement, where COPY is not to be had")
    allow_shrink: bool = Field(False, description="let replace empty the table, or more than halve it")

    model_config = ConfigDict(populate_by_name=True)

    @field_validator("keys", mode="before")
    @classmethod
    def _one_or_several(cls, keys: Any) -> Any:
        return [keys] if isinstance(keys, str) else keys

    @model_validator(mode="after")
    def _keys_go_with_upsert(self) -> Params:
        if (self.mode == "upsert") != bool(self.keys):
            raise ValueError("upsert needs keys, and only upsert takes them; name the columns: keys: [id]")
        return self


def run(params: Params) -> dict[str, Any]:
    try:
        from .database import server
        from .database.table import Target
    except ModuleNotFoundError as error:
        raise missing_extra("mod 'database_writer'", "sql", error.name) from error
    result, here = ModResult(METADATA.name), current_run(METADATA.name)
    address, schema, name = _where(params, here)
    load_id = here.load_id if params.mode == "append" else ""
    with opened(params.input_artifact) as (arrow, pieces):
        fields = list(frame_schema(params.input_artifact, arrow).fields)
        _check_keys(params, arrow, here)
        engine = server.engine_of(address, here)
        with server.transaction(engine, params.table_name, load_id) as connection:
            target = Target(connection, name, schema)
            target.lock(server.patience(here))
            _write(target, fields, pieces, params, load_id, result)
    told = result.metrics
    here.logger.info("%s: %d rows, %d before, %d now", params.table_name, *map(told.get, COUNTS))
    return result.success()


COUNTS = ("rows_output", "rows_before", "rows_after")


def _where(params: Params, here: ModRun) -> tuple[str, str | None, str]:
    """The database's address, as given or as the workspace's settings say; the schema, and the table there."""
    schema, name = params.db_schema, params.table_name
    if schema is None and "." in name.strip("."):
        schema, _, name = name.rpartition(".")
    if params.connection_string is not None:
        address = params.connection_string.get_secret_value()
    else:
        store: Any = here.store("postgres")
        address, schema = str(store.address()), schema or str(store.namespace)
    register_secret(address)
    return address, schema, name


def _check_keys(params: Params, arrow: pa.Schema, here: ModRun) -> None:
    """KeysError for keys that are null or repeated, before anything is touched."""
    if not params.keys:
        return
    import pyarrow as pa

    check_columns(params.keys, arrow.names, "the artifact")
    there = [without_nan(duck.quoted(key), arrow.field(key).type) for key in params.keys]
    names, nulls = ", ".join(there), " OR ".join(f"{each} IS NULL" for each in there)
    with (
        duck.connected(here, memory=ENOUGH) as connection,
        opened(params.input_artifact, params.keys) as (schema, pieces),
    ):
        batches = (batch for piece in pieces for batch in piece.to_batches())
        connection.register("came", pa.RecordBatchReader.from_batches(schema, batches))
        query = f"SELECT {names}, count(*) FROM came GROUP BY ALL HAVING count(*) > 1 OR {nulls} LIMIT 1"  # noqa: S608
        found = connection.execute(query).fetchone()
    if found:
        cells, times = dict(zip(params.keys, found[:-1], strict=True)), found[-1]
        why = "is null" if None in cells.values() else f"stands in {times} rows"
        raise KeysError(
            f"The key {cells} {why}; {params.table_name} was not touched.",
            cure="Drop such rows before, as deduplicator and validator do, or name other keys.",
            resource=params.table_name,
        )


def _write(
    target: Any, fields: list[Column], pieces: Iterable[pa.Table], params: Params, load_id: str, result: ModResult
) -> None:
    """Do it all in the transaction that is open, and tell it."""
    from .database.kinds import check_case, check_fields

    check_fields(fields, target.shown, longest=target.connection.dialect.max_identifier_length)
    there = target.look()
    names = [each.name for each in fields]
    check_case([*dict.fromkeys([*(target.columns if there else ()), *names])], target.dialect, target.shown)
    before, skipped = target.rows(), target.loaded(load_id)
    if skipped is not None:
        result.add_warning(f"This load is in {target.shown} already, with {skipped} rows: nothing was added.")
        _tell(result, output=0, before=before, after=before, skipped=skipped)
        return
    if there:
        _say_lacking(target, fields, result)
        added = target.widen(fields)
    else:
        target.create(fields, params.keys)
        added = []
    if params.mode == "replace":
        target.empty()
        target.forget()
    come = _sent(target, fields, pieces, params)
    target.record(load_id, come)
    after = target.rows() if params.mode == "upsert" else come if params.mode == "replace" else before + come
    if params.mode == "replace":
        check_shrink(target.shown, before, come, allow=params.allow_shrink)
    _tell(result, output=come, before=before, after=after, added=added, created=not there)


def _sent(target: Any, fields: list[Column], pieces: Iterable[pa.Table], params: Params) -> int:
    if target.dialect == "postgresql":
        from .database import postgres

        return postgres.write(target, fields, pieces, keys=params.keys)
    from .database import rows

    return rows.write(target, fields, pieces, keys=params.keys, batch_size=params.batch_size)


def _say_lacking(target: Any, fields: list[Column], result: ModResult) -> None:
    lacking = sorted(set(target.columns) - {each.name for each in fields})
    if lacking:
        result.add_metric("columns_lacking", lacking)


def _tell(
    result: ModResult,
    *,
    output: int,
    before: int,
    after: int,
    added: list[str] | None = None,
    skipped: int = 0,
    created: bool = False,
) -> None:
    result.add_metric("rows_processed", output + skipped)
    result.add_metric("rows_output", output)
    result.add_metric("rows_before", before)
    result.add_metric("rows_after", after)
    result.add_metric("rows_skipped", skipped)
    result.add_metric("columns_added", added or [])
    result.add_metric("table_created", created)
