"""Commands about datasets: listed, shown, described, moved, copied, removed."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated, Any, Optional

import typer

from framework.cli import complete, show
from framework.cli.command import Json, Readable, Reference, StoreName, app, command, workspace
from framework.results import Outcome


@command(app)
def stores(as_json: Json = False) -> None:
    """List the stores: what they are and whether they can be had."""
    rows = workspace().stores()
    if not as_json:
        rows = [{**row, "ready": row["why"] or row["ready"]} for row in rows]
        rows = [{key: value for key, value in row.items() if key != "why"} for row in rows]
    show.rows(rows, as_json=as_json)


@command(app, "ls")
def list_datasets(store: StoreName = None, as_json: Json = False) -> None:
    """List datasets, of one store or of all.

    Exit code 10 when a store is down, and so left out.
    """
    down: list[str] = []

    def left_out(name: str, state: str) -> None:
        if state == "down":
            down.append(name)  # why is in the log
        elif state == "stopped":
            show.note(f"{name} is left out, since its server is stopped; this starts it: millpond ls {name}")

    names = workspace().datasets(store, on_left_out=left_out)
    show.rows([{"dataset": name} for name in names], as_json=as_json, empty="no datasets")
    if down:
        show.note(f"left out, since they cannot be used: {', '.join(down)}; millpond health tells why")
        raise typer.Exit(Outcome.WARNING.exit_code)


@command(app)
def head(
    dataset: Readable,
    rows: Annotated[int, typer.Option("-n", "--rows", min=0, help="How many.")] = 10,
    column: Annotated[
        Optional[list[str]],  # noqa: UP045 - typer
        typer.Option("-c", "--column", help="Only this one; can be said several times."),
    ] = None,
    where: Annotated[
        Optional[list[str]],  # noqa: UP045 - typer
        typer.Option("-w", "--where", help="Only rows that meet it: 'price > 5'; can be said several times."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Show the first rows of a dataset.

    A condition is a column, an operator and a value: == != < <= > >=, in and not in with values between commas, is null
    and not null without one.
    """
    frame = workspace().head(dataset, rows, columns=column, where=where or ())
    from framework.cli.frames import show_frame

    show_frame(frame, as_json=as_json)


@command(app)
def describe(
    dataset: Readable,
    fingerprint: Annotated[bool, typer.Option(help="Read all rows for the hash over what they mean.")] = False,
    as_json: Json = False,
) -> None:
    """Tell rows, bytes, columns and when a dataset was saved."""
    described, digest = workspace().describe(dataset, fingerprint=fingerprint)
    told: dict[str, Any] = {**asdict(described), "fingerprint": digest}
    if as_json:
        show.document(told)
        return
    columns = told.pop("columns")
    show.record({key: value for key, value in told.items() if value not in (None, "", ())}, as_json=False)
    rows = [{"column": name, "dtype": dtype} for name, dtype in columns.items()]
    show.rows(rows, as_json=False, title=" ", empty="no columns")


@command(app)
def mv(
    dataset: Reference,
    new: Annotated[str, typer.Argument(help="Its new name in the same store: name or store:name.")],
    as_json: Json = False,
) -> None:
    """Give a dataset another name; its backups keep the old one."""
    show.record({"moved": dataset, "to": workspace().rename(dataset, new)}, as_json=as_json)


@command(app)
def copy(
    source: Annotated[
        str, typer.Argument(help="store:name, the path of a file, or store: for all.", autocompletion=complete.datasets)
    ],
    target: Annotated[
        str, typer.Argument(help="store:name, the path of a file, or store:", autocompletion=complete.datasets)
    ],
    mode: Annotated[Optional[str], typer.Option(help="replace, append or upsert.")] = None,  # noqa: UP045 - typer
    key: Annotated[
        Optional[list[str]],  # noqa: UP045 - typer
        typer.Option("-k", "--key", help="A column that upsert tells rows apart by; can be said several times."),
    ] = None,
    lossy: Annotated[bool, typer.Option("--lossy", help="Keep as text what the target cannot hold.")] = False,
    as_json: Json = False,
) -> None:
    """Copy a dataset to another store or name, from a file, or to one.

    What is replaced or changed is backed up first. Where there is no backup (temp, a file), replacing must be asked for
    with --mode replace.
    """
    copied = workspace().copy(source, target, mode=mode, keys=key or (), lossy=lossy)  # type: ignore[arg-type]
    if as_json:
        show.document([asdict(one) for one in copied])
        return
    rows = [{"source": c.source, "target": c.target, "rows": c.rows, "did": c.did, "backup": c.backup} for c in copied]
    show.rows(rows, as_json=False, empty=f"{source} has no datasets")
    for one in copied:
        if one.lost:
            show.note(f"A CSV does not tell its readers what these were: {', '.join(one.lost)}")


@command(app)
def diff(
    dataset: Readable,
    against: Annotated[
        Optional[str],  # noqa: UP045 - typer
        typer.Argument(help="Another dataset or file, or a backup's id; its newest backup unless given."),
    ] = None,
    key: Annotated[
        Optional[list[str]],  # noqa: UP045 - typer
        typer.Option("-k", "--key", help="A column that tells rows apart; can be said several times."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Tell what differs between a dataset and what it was: columns, rows, cells."""
    found = workspace().changes(dataset, against, keys=key or ())
    told = asdict(found)
    if as_json:
        show.document({"same": found.same, **told})
        return
    examples = told.pop("examples")
    show.record({name: value for name, value in told.items() if value not in (None, [], {})}, as_json=False)
    for row in examples:
        show.rows([row], as_json=False)
    show.note("nothing differs" if found.same else "")


@command(app)
def rm(dataset: Reference, as_json: Json = False) -> None:
    """Delete a dataset; its backups stay."""
    workspace().remove(dataset)
    show.record({"deleted": dataset}, as_json=as_json)
