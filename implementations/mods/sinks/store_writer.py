"""An artifact into a dataset of a store, guarded, with what changed against the one before."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, field_validator, model_validator

from framework.errors import DatasetNotFoundError
from framework.mods.artifacts import read_frame
from framework.mods.base import BaseModParams, InputArtifact, ModMetadata
from framework.mods.guard import PASSING, changes_between, check_shrink
from framework.mods.result import ModResult
from framework.mods.run import current_run

if TYPE_CHECKING:
    from framework.interfaces import Description
    from framework.store import Store

METADATA = ModMetadata(
    name="store_writer",
    version="1.0.0",
    description="Saves rows as a dataset of a store: replace, append or upsert, with a backup before if asked",
    author="Millpond",
    tags=["sink", "store", "backup"],
    artifacts={"consumes": ["input_artifact"]},
)
EXAMPLE = {"input_artifact": "customers.parquet", "dataset": "parquet:customers", "mode": "upsert", "keys": ["id"]}
EXAMPLE_FILES = {"customers.parquet": "id,name\n1,Ada\n2,Ben\n"}


class Params(BaseModParams):
    _metadata: ModMetadata = METADATA

    input_artifact: InputArtifact = Field(description="the rows; in a job, those of the mod before unless given")
    dataset: str = Field(description="store:name, the store one of Millpond's or of millpond.yaml")
    mode: Literal["replace", "append", "upsert"] = Field("replace", description="what becomes of the rows there")
    keys: list[str] = Field(default_factory=list, description="what upsert tells rows apart by")
    backup: bool = Field(False, description="back up what is there before, and save only when that is done")
    allow_shrink: bool = Field(False, description="let replace empty the dataset, or more than halve it")
    lossy: bool = Field(False, description="keep as text what the store cannot hold exactly")

    @field_validator("dataset")
    @classmethod
    def _names_both(cls, dataset: str) -> str:
        store, _, name = dataset.partition(":")
        if not (store and name):
            raise ValueError("write the store and the name, such as postgres:customers")
        return dataset

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
    result, here = ModResult(METADATA.name), current_run(METADATA.name)
    kind, _, given = params.dataset.partition(":")
    store = here.store(kind)
    name = store.canonical(given)
    frame = read_frame(params.input_artifact)
    save = store.save_with_backup if params.backup else store.save_data
    load_id = (here.load_id or None) if params.mode == "append" else None
    with store.locked(name):  # what is compared with is what is replaced
        before = _described(store, name)
        if params.mode == "replace" and store.kind != PASSING and before is not None:
            check_shrink(params.dataset, before.rows, len(frame), allow=params.allow_shrink)
        save(frame, name, mode=params.mode, keys=params.keys or None, lossy=params.lossy, save_id=load_id)
        after = _described(store, name)
    assert after is not None, "it was saved under the lock that is held"
    skipped = load_id is not None and before is not None and before.version == after.version
    if skipped:
        result.add_warning(f"{params.dataset} holds this load already: nothing was added.")
    result.add_metric("rows_processed", len(frame))
    result.add_metric("rows_output", 0 if skipped else len(frame))
    result.add_metric("rows_skipped", len(frame) if skipped else 0)
    result.metrics |= changes_between(before, after)
    return result.success()


def _described(store: Store, name: str) -> Description | None:
    """What is known of what is there; None when nothing is."""
    try:
        found: Description = store.describe(name)
    except DatasetNotFoundError:
        return None
    return found
