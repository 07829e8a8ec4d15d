"""Copying datasets: from store to store, from a file, to a file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from framework.errors import DatasetExistsError, OptionError
from framework.store import Store
from framework.workspace.files import File
from framework.workspace.places import Place

if TYPE_CHECKING:
    import pandas as pd

    from framework.interfaces import Mode


@dataclass(frozen=True, slots=True)
class Copied:
    """What one copy did.

    Attributes
    ----------
    source, target : str
    rows : int
        How many were copied.
    did : {"new", "replaced", "appended", "upserted"}
    backup : str or None
        The id of the backup of what was replaced or changed.
    lost : list of str
        What a CSV does not tell its readers: `column: dtype` each.
    """

    source: str
    target: str
    rows: int
    did: Literal["new", "replaced", "appended", "upserted"]
    backup: str | None = None
    lost: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Way:
    """How to save: `mode` None replaces, but nothing that has no backup."""

    mode: Mode | None = None
    keys: tuple[str, ...] = ()
    lossy: bool = False

    def __post_init__(self) -> None:
        if self.mode not in (None, "replace", "append", "upsert"):
            raise OptionError(f"{self.mode!r} is not a way to save.", cure="Known: replace, append, upsert.")
        if self.keys and self.mode != "upsert":
            raise OptionError("--key goes with --mode upsert.")


def shown(place: Place) -> str:
    """A place as it is written on the command line."""
    return place.name if isinstance(place, File) else f"{place[0].name}:{place[1]}"


def copy_one(source: Place, target: Place, way: Way) -> Copied:
    """Copy one dataset.

    What it replaces is backed up first; where the target is never backed up, that must be asked for by the mode.

    Raises
    ------
    DatasetExistsError
        It would be lost.
    OptionError
        Both are the same.
    """
    if _one(source) == _one(target):
        raise OptionError(f"{shown(source)} is copied onto itself.", cure="Name another target.")
    frame: pd.DataFrame = source.get_data() if isinstance(source, File) else source[0].get_data(source[1])
    if isinstance(target, File):
        return _to_file(frame, shown(source), target, way)
    return _to_store(frame, shown(source), target, way)


def _one(place: Place) -> tuple[Any, ...]:
    return (place.path.resolve(),) if isinstance(place, File) else (place[0].identity, place[0].canonical(place[1]))


def _to_store(frame: pd.DataFrame, source: str, target: tuple[Store, str], way: Way) -> Copied:
    store, name = target[0], target[0].canonical(target[1])
    mode: Mode = way.mode or "replace"
    options: dict[str, Any] = {"mode": mode, "keys": list(way.keys) or None, "lossy": way.lossy}
    there, kept = store.exists(name), None
    if there and mode != "append" and store.vault is not None:
        store.save_with_backup(frame, name, **options)
        kept = store.vault.list_backups(name)[-1].backup_id  # type: ignore[attr-defined]
    else:
        if there:
            _check_asked_for(shown((store, name)), way)
        store.save_data(frame, name, **options)
    did: Any = {"replace": "replaced", "append": "appended", "upsert": "upserted"}[mode] if there else "new"
    return Copied(source, shown((store, name)), len(frame), did, kept)


def _to_file(frame: pd.DataFrame, source: str, target: File, way: Way) -> Copied:
    if way.mode not in (None, "replace"):
        raise OptionError(f"A file is replaced, not {way.mode}ed.", cure="Copy to a store: csv:NAME, parquet:NAME.")
    there = target.exists()
    if there:
        _check_asked_for(target.name, way)
    lost = target.save(frame, lossy=way.lossy)
    return Copied(source, target.name, len(frame), "replaced" if there else "new", None, tuple(lost))


def _check_asked_for(target: str, way: Way) -> None:
    if way.mode is None:
        raise DatasetExistsError(
            f"{target} is there already, and is never backed up.",
            cure="Say --mode replace to lose what is there, or name another target.",
            resource=target,
        )
