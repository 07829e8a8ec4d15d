"""What the nursery does before its first fork."""

from __future__ import annotations

from pathlib import Path

from framework.testing.elsewhere import PRELOAD, Recipe
from harness.nursery import imports, scratch
from harness.scenes import Scene, done

FILES = ("csv", "parquet", "temp")


def everything() -> None:
    """Each operation of each file store, once; the other stores' modules, whose handles do not outlive a fork."""
    imports(*PRELOAD, "psycopg", "adbc_driver_postgresql.dbapi", "pgpq", "framework.cli.app", "framework.calculating")
    imports("implementations.storage.postgres_store", "implementations.storage.postgres_embedded")
    for kind in FILES:
        with scratch() as place:
            scene = Scene(Recipe(kind, str(Path(place)), {}, {}))
            for operation in scene.operations:
                scene.prepare(operation, 3)
                done(scene.store, operation, 3)
