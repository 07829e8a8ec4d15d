"""A dataset of any store as an artifact: bit by bit, with the dtypes of the frame that was saved."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from pydantic import Field, field_validator, model_validator

from framework.errors import OptionError, ParameterError
from framework.mods.artifacts import write_tables
from framework.mods.base import BaseModParams, ModMetadata
from framework.mods.result import ModResult
from framework.mods.run import ModRun, current_run
from framework.mods.spill import Spill, as_pieces, selected

if TYPE_CHECKING:
    import pyarrow as pa

    from framework.schema import FrameSchema
    from framework.store import Store

METADATA = ModMetadata(
    name="store_reader",
    version="1.0.0",
    description="Reads a dataset of any store: csv, parquet, postgres, arctic and others",
    author="Millpond",
    tags=["source", "store"],
    artifacts={"makes": ["output_data"]},
)
EXAMPLE = {"dataset": "csv:prices", "columns": ["day", "close"], "where": [["close", ">", 10]]}
EXAMPLE_FILES = {"data/prices.csv": "day,close,volume\n2024-05-01,10.5,7\n2024-05-02,9.75,12\n2024-05-03,11.0,3\n"}


class Params(BaseModParams):
    _metadata: ModMetadata = METADATA

    dataset: str = Field(min_length=1, description="store:name, or a name beside the parameter store")
    store: str | None = Field(None, description="a store's type, or its name in millpond.yaml")
    columns: list[str] | None = Field(None, description="only these, in this order; the index always comes")
    where: list[list[Any]] = Field(
        default_factory=list,
        description="conditions that all rows meet: [[column, op, value]]; op is == != < <= > >=, in, not in, is null "
        "or not null",
    )
    start: str | None = Field(None, description="no row before it, by the DatetimeIndex or the store's time_column")
    end: str | None = Field(None, description="no row after it")
    output_path: str | None = Field(None, description="where the Parquet goes; into the run's folder unless given")

    @field_validator("where")
    @classmethod
    def _can_be_met(cls, where: list[list[Any]]) -> list[list[Any]]:
        from framework.schema import Selection

        try:
            Selection.asked(where=[tuple(each) for each in where])
        except OptionError as error:
            raise ValueError(str(error)) from error
        return where

    @field_validator("start", "end", mode="before")
    @classmethod
    def _as_text(cls, moment: Any) -> Any:
        return moment.isoformat() if hasattr(moment, "isoformat") else moment  # YAML makes dates of them

    @model_validator(mode="after")
    def _names_a_store(self) -> Params:
        store, _, name = self.dataset.partition(":")
        if self.store is None and not (store and name):
            raise ValueError(f"dataset {self.dataset!r} names no store: write it as store:{self.dataset}, or say store")
        return self

    @property
    def place(self) -> tuple[str, str]:
        """The store and the dataset in it."""
        if self.store is not None:
            return self.store, self.dataset.removeprefix(f"{self.store}:")
        store, _, name = self.dataset.partition(":")
        return store, name


def run(params: Params) -> dict[str, Any]:
    result, here = ModResult(METADATA.name), current_run(METADATA.name)
    target = here.output(params.output_path)
    with Spill(here.folder) as spill, _read(params, here, spill) as (schema, pieces):
        rows = write_tables(target, *as_pieces(schema, pieces), schema)
    here.logger.info("read %d rows of %s", rows, ":".join(params.place))
    result.add_metric("rows_processed", rows)
    result.add_metric("rows_output", rows)
    result.add_artifact("output_data", target)
    return result.success()


@contextmanager
def _read(params: Params, here: ModRun, spill: Spill) -> Iterator[tuple[FrameSchema, Iterable[pa.Table]]]:
    """What is asked for, of one snapshot, and the schema of its frame."""
    from framework.schema import Selection, encode
    from framework.store import Store

    of, dataset = params.place
    where = [tuple(each) for each in params.where]
    store = here.store(of)
    if not isinstance(store, Store):  # one that has only what every data source must have
        if params.columns is not None or where or params.start is not None or params.end is not None:
            raise ParameterError(f"The store {of!r} gives only whole datasets.", cure="Leave out all but dataset.")
        table, schema = encode(store.get_data(dataset))
        yield schema, [table]
        return
    time_column = store.options.time_column
    selection = Selection.asked(params.columns, where, start=params.start, end=params.end, time_column=time_column)
    with _scanned(store, store.canonical(dataset), selection) as (schema, pieces):
        yield selected(schema, pieces, selection, dataset, spill)


@contextmanager
def _scanned(store: Store, name: str, selection: Any) -> Iterator[tuple[FrameSchema, Iterable[pa.Table]]]:
    """What `iter_data` reads from: its tables, which still know the schema of the whole, as no single frame does."""
    with store._scan(name, selection) as opened:
        yield opened
