"""Backups of all that the stores hold: each is tried, and what failed is told at the end."""

from __future__ import annotations

from functools import partial
from typing import Any

from pydantic import Field

from framework import registry
from framework.attempt import Attempt, attempt
from framework.errors import MissingExtraError, PartialFailure, UnknownNameError, known_names
from framework.mods.base import BaseModParams, ModMetadata
from framework.mods.result import ModResult
from framework.mods.run import ModRun, current_run
from framework.store import Store

METADATA = ModMetadata(
    name="backup_all",
    version="1.0.0",
    description="Backs up every dataset of all stores, or of some",
    author="Millpond",
    tags=["solo", "backup", "store"],
)
EXAMPLE = {"stores": ["csv", "parquet"], "verify": True}
EXAMPLE_FILES: dict[str, str] = {}


class Params(BaseModParams):
    _metadata: ModMetadata = METADATA

    stores: list[str] | None = Field(None, min_length=1, description="only these; all that are in use unless given")
    verify: bool = Field(False, description="read each backup again, whole")


def run(params: Params) -> dict[str, Any]:
    result, here = ModResult(METADATA.name), current_run(METADATA.name)
    made, left_out = 0, []
    for name in _asked(params, here):
        opened = attempt(name, partial(here.store, name))
        store = opened.value
        if store is not None and (params.stores is not None or not _is_unused(store, here)):
            made += _backed_up(name, store, result, verify=params.verify)
        elif store is not None or (params.stores is None and isinstance(opened.error, MissingExtraError)):
            left_out.append(name)
        else:
            result.add_error(f"{name}: {opened.error}")
    here.logger.info("%d backups, %d failed", made, len(result.errors))
    result.add_metric("backups", made)
    result.add_metric("failed", len(result.errors))
    result.add_metric("stores_left_out", left_out)
    return result.error(30) if result.errors else result.success()


def _asked(params: Params, here: ModRun) -> list[str]:
    """The stores to back up: the types, then the configured instances, unless some are named."""
    kept = registry.named("store", "backup")
    if here.settings is not None:
        kept += [name for name, each in here.settings.stores.items() if each.get("type") in kept]
    for name in params.stores or ():
        if name not in kept:
            raise UnknownNameError(
                f"There is no store {name!r} that is backed up.", cure=known_names(name, kept), resource=name
            )
    return params.stores or kept


def _is_unused(store: Store, here: ModRun) -> bool:
    """Whether looking into it would make the first of its files, or start a server that has none."""
    if here.settings is None:
        return False
    own = here.settings.own_folder
    if store.kind == "arctic":
        return here.settings.ARCTIC_URI is None and store.name == store.kind and not (own / "arctic").exists()
    return store.dormant and not (own / "postgres").exists()


def _backed_up(name: str, store: Store, result: ModResult, *, verify: bool) -> int:
    """Back up a store; how many backups were made. What failed is told to the result."""
    vault: Any = store.vault
    done: Attempt[list[tuple[str, str]]] = attempt(name, vault.backup_all)
    if isinstance(done.error, PartialFailure):
        for each in done.error.report:
            if not each:
                result.add_error(f"{name}:{each.name}: {'; '.join(each.errors)}")
        return sum(map(bool, done.error.report))
    if done.error is not None:
        result.add_error(f"{name}: {done.error}")
        return 0
    for source, backup_id in (done.value or ()) if verify else ():
        checked = attempt(backup_id, partial(vault.verify_backup, backup_id))
        if checked.error is not None:
            result.add_error(f"{name}:{source}: {checked.error}")
    return len(done.value or ())
