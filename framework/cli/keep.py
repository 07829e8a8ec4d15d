"""Commands about backups: made, listed, verified, put back."""

from __future__ import annotations

from typing import Annotated, Optional

import typer

from framework.cli import complete, show
from framework.cli.command import Json, Reference, StoreName, app, command, workspace


@command(app)
def backup(dataset: Reference, as_json: Json = False) -> None:
    """Back up one dataset and check the copy."""
    show.record({"dataset": dataset, "backup": workspace().backup(dataset)}, as_json=as_json)


@command(app, "backup-all")
def backup_all(store: StoreName = None, as_json: Json = False) -> None:
    """Back up every dataset of a store, or of all."""
    made = workspace().backup_all(store)
    show.rows([{"dataset": name, "backup": key} for name, key in made], as_json=as_json, empty="nothing to back up")


@command(app)
def backups(
    dataset: Annotated[
        Optional[str],  # noqa: UP045 - typer
        typer.Argument(help="store:name, store:, or all unless given.", autocompletion=complete.datasets),
    ] = None,
    as_json: Json = False,
) -> None:
    """List finished backups, newest last."""
    records = [
        {
            "backup": record.backup_id,
            "dataset": f"{record.store}:{record.source}",
            "created_at": record.created_at,
            "rows": record.rows,
            "bytes": record.bytes,
        }
        for record in workspace().backups(dataset)
    ]
    show.rows(records, as_json=as_json, empty="no backups", spare=["created_at"])


@command(app)
def verify(
    backup_id: Annotated[Optional[str], typer.Argument(help="A backup; all unless given.")] = None,  # noqa: UP045
    dataset: Annotated[Optional[str], typer.Option(help="Only those of store:name, or of store:.")] = None,  # noqa: UP045
    as_json: Json = False,
) -> None:
    """Check that backups are, byte for byte, what was written."""
    report = workspace().verify(backup_id, dataset)
    rows = [{"backup": done.name, "dataset": done.artifacts["dataset"], "state": "good"} for done in report]
    show.rows(rows, as_json=as_json, empty="no backups")


@command(app)
def restore(
    dataset: Reference,
    backup_id: Annotated[Optional[str], typer.Argument(help="A backup; the newest unless given.")] = None,  # noqa: UP045
    into: Annotated[
        Optional[str],  # noqa: UP045 - typer
        typer.Option(help="Another place for it, store:name; the dataset stays.", autocompletion=complete.datasets),
    ] = None,
    as_json: Json = False,
) -> None:
    """Put a backup in a dataset's place; what is there is backed up first."""
    workspace().restore(dataset, backup_id, into=into)
    told = {"restored": dataset, "from": backup_id or "the newest backup"}
    show.record({**told, "into": into} if into else told, as_json=as_json)
