"""Our own stores in a run's folder, as a service makes them."""

from __future__ import annotations

from typing import Any

from rows import Place


def store(kind: str, place: Place, **options: Any) -> Any:
    """The store of that type, in a workspace of its own under the run's folder."""
    from framework.factory import DataFactory
    from framework.settings import as_settings

    if kind == "postgres":
        options = {"url": place.url, **options}
    return DataFactory(as_settings(None, workspace=place.scratch("workspace"))).create_store(kind, **options)


def warmed(kind: str, place: Place, **options: Any) -> Any:
    """The same, after a save and a load of few rows, which import what is imported late."""
    from data import frame_of

    made = store(kind, place, **options)
    made.save_data(frame_of(place.folder, "prices").head(10), "warm")
    made.get_data("warm")
    return made


def saved(kind: str, place: Place, name: str, frame: Any) -> Any:
    """A store in which that dataset is; it is saved by the first who needs it."""
    made = warmed(kind, place)
    if not made.exists(name) or made.describe(name).rows != len(frame):
        made.save_data(frame, name)
    return made
