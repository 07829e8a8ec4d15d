"""The commands. Each parses, asks the Workspace one thing, and shows the answer."""

from __future__ import annotations

import sys
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from framework.cli import show
from framework.results import Outcome

if TYPE_CHECKING:
    from framework.workspace import Workspace

app = typer.Typer(
    name="millpond",
    help="Scrape, calculate, store; replay what ran; trust what you kept.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
config = typer.Typer(help="Settings, and where each comes from.", no_args_is_help=True, rich_markup_mode=None)
db = typer.Typer(help="The embedded PostgreSQL.", no_args_is_help=True, rich_markup_mode=None)
app.add_typer(config, name="config")
app.add_typer(db, name="db")

Json = Annotated[bool, typer.Option("--json", help="Answer in JSON.")]
Reference = Annotated[str, typer.Argument(help="A dataset, store:name.")]
Readable = Annotated[str, typer.Argument(help="A dataset, store:name, or the path of a .csv or .parquet file.")]
Sources = Annotated[Optional[list[str]], typer.Argument(help="Only these; all unless given.")]  # noqa: UP045 - typer
StoreName = Annotated[Optional[str], typer.Argument(help="A store; all unless given.")]  # noqa: UP045 - typer

_folder: list[Path | None] = [None]


@app.callback()
def _common(
    workspace: Annotated[
        Optional[Path],  # noqa: UP045 - typer
        typer.Option(help="The folder with millpond.yaml; found from the current one unless given."),
    ] = None,
    version: Annotated[bool, typer.Option("--version", help="Show the version.")] = False,
) -> None:
    if version:
        from framework._version import __version__

        print(f"millpond {__version__}")
        raise typer.Exit
    _folder[0] = workspace


def _workspace() -> Workspace:
    from framework.logs import console_logging
    from framework.workspace import Workspace

    console_logging("WARNING")
    workspace = Workspace(_folder[0])
    sys.path.append(str(workspace.settings.workspace))  # a service's own scrapers/ and calculators/ add to ours
    return workspace


# --------------------------------------------------------------------------- data


@app.command()
def stores(as_json: Json = False) -> None:
    """List the stores: what they are and whether they can be had."""
    rows = _workspace().stores()
    if not as_json:
        rows = [{**row, "ready": row["why"] or row["ready"]} for row in rows]
        rows = [{key: value for key, value in row.items() if key != "why"} for row in rows]
    show.rows(rows, as_json=as_json)


@app.command("ls")
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

    names = _workspace().datasets(store, on_left_out=left_out)
    show.rows([{"dataset": name} for name in names], as_json=as_json, empty="no datasets")
    if down:
        show.note(f"left out, since they cannot be used: {', '.join(down)}; millpond health tells why")
        raise typer.Exit(Outcome.WARNING.exit_code)


@app.command()
def head(
    dataset: Readable,
    rows: Annotated[int, typer.Option("-n", "--rows", min=0, help="How many.")] = 10,
    column: Annotated[
        Optional[list[str]],  # noqa: UP045 - typer
        typer.Option("-c", "--column", help="Only this one; can be said several times."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Show the first rows of a dataset."""
    frame = _workspace().head(dataset, rows, columns=column)
    from framework.cli.frames import show_frame

    show_frame(frame, as_json=as_json)


@app.command()
def describe(
    dataset: Readable,
    fingerprint: Annotated[bool, typer.Option(help="Read all rows for the hash over what they mean.")] = False,
    as_json: Json = False,
) -> None:
    """Tell rows, bytes, columns and when a dataset was saved."""
    described, digest = _workspace().describe(dataset, fingerprint=fingerprint)
    told: dict[str, Any] = {**asdict(described), "fingerprint": digest}
    if as_json:
        show.document(told)
        return
    columns = told.pop("columns")
    show.record({key: value for key, value in told.items() if value not in (None, "", ())}, as_json=False)
    rows = [{"column": name, "dtype": dtype} for name, dtype in columns.items()]
    show.rows(rows, as_json=False, title=" ", empty="no columns")


@app.command()
def rm(dataset: Reference, as_json: Json = False) -> None:
    """Delete a dataset; its backups stay."""
    _workspace().remove(dataset)
    show.record({"deleted": dataset}, as_json=as_json)


# --------------------------------------------------------------------------- runs


@app.command()
def demo(
    live: Annotated[bool, typer.Option("--live", help="Read the real site, one request a second.")] = False,
    as_json: Json = False,
) -> None:
    """Scrape, rate, store, back up and verify stocks, from a replica on this machine."""
    from framework.cli.demo import run_demo

    run_demo(_workspace(), live=live, as_json=as_json, folder=_folder[0])


@app.command()
def scrape(
    name: Annotated[str, typer.Argument(help="A scraper.")],
    sources: Sources = None,
    to: Annotated[str, typer.Option("--to", help="The store to save to.")] = "temp",
    as_json: Json = False,
) -> None:
    """Let a scraper save what it reads."""
    saved = _workspace().scrape(name, to, sources or ())
    show.rows([{"dataset": dataset, "rows": rows} for dataset, rows in saved.items()], as_json=as_json)


@app.command()
def calc(
    name: Annotated[str, typer.Argument(help="A calculator.")],
    sources: Sources = None,
    source: Annotated[str, typer.Option("--from", help="The store to read from.")] = "temp",
    to: Annotated[str, typer.Option("--to", help="The store to save to, with backup.")] = "postgres",
    as_json: Json = False,
) -> None:
    """Let a calculator read, calculate and save with backup.

    Exit code 10 when there is nothing to calculate.
    """
    with show.busy(f"{name} ...") as told:
        results = _workspace().calculate(name, source, to, sources or (), on_done=lambda done: told(done.name))
    rows = [
        {
            "source": result.name,
            "rows_in": result.metrics.get("rows_in"),
            "rows_out": result.metrics.get("rows_out"),
            "dataset": ", ".join(f"{to}:{key}" for key, held in result.artifacts.items() if key == held),
            "seconds": round(result.execution_time, 3),
        }
        for result in results
    ]
    show.rows(rows, as_json=as_json, empty="")
    if not rows:
        raise typer.Exit(Outcome.WARNING.exit_code)


# --------------------------------------------------------------------------- backups


@app.command()
def backup(dataset: Reference, as_json: Json = False) -> None:
    """Back up one dataset and check the copy."""
    show.record({"dataset": dataset, "backup": _workspace().backup(dataset)}, as_json=as_json)


@app.command("backup-all")
def backup_all(store: StoreName = None, as_json: Json = False) -> None:
    """Back up every dataset of a store, or of all."""
    made = _workspace().backup_all(store)
    show.rows([{"dataset": name, "backup": key} for name, key in made], as_json=as_json, empty="nothing to back up")


@app.command()
def backups(
    dataset: Annotated[Optional[str], typer.Argument(help="store:name, store:, or all unless given.")] = None,  # noqa: UP045
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
        for record in _workspace().backups(dataset)
    ]
    show.rows(records, as_json=as_json, empty="no backups", spare=["created_at"])


@app.command()
def verify(
    backup_id: Annotated[Optional[str], typer.Argument(help="A backup; all unless given.")] = None,  # noqa: UP045
    dataset: Annotated[Optional[str], typer.Option(help="Only those of store:name, or of store:.")] = None,  # noqa: UP045
    as_json: Json = False,
) -> None:
    """Check that backups are, byte for byte, what was written."""
    report = _workspace().verify(backup_id, dataset)
    rows = [{"backup": done.name, "dataset": done.artifacts["dataset"], "state": "good"} for done in report]
    show.rows(rows, as_json=as_json, empty="no backups")


@app.command()
def restore(
    dataset: Reference,
    backup_id: Annotated[Optional[str], typer.Argument(help="A backup; the newest unless given.")] = None,  # noqa: UP045
    as_json: Json = False,
) -> None:
    """Put a backup in a dataset's place; what is there is backed up first."""
    _workspace().restore(dataset, backup_id)
    show.record({"restored": dataset, "from": backup_id or "the newest backup"}, as_json=as_json)


# --------------------------------------------------------------------------- health, settings, server


@app.command()
def health(
    store: StoreName = None,
    probe: Annotated[bool, typer.Option("--probe", help="Exit with 0 or 1, for a container's probe.")] = False,
    as_json: Json = False,
) -> None:
    """Tell which stores can be used: exit 0 all, 10 some, 30 none."""
    rows = _workspace().health([store] if store else ())
    show.rows(rows, as_json=as_json)
    states = [row["state"] for row in rows if store or row["state"] != "not installed"]
    if "up" not in states:
        code = Outcome.ERROR.exit_code
    else:
        code = 0 if set(states) == {"up"} else Outcome.WARNING.exit_code
    raise typer.Exit(min(code, 1) if probe else code)


@config.command("show")
def config_show(as_json: Json = False) -> None:
    """Show every setting with the place that its value came from; secrets as ***."""
    settings = _workspace().settings
    rows = [
        {"setting": name, "value": _number(getattr(settings, name, None)) or shown or None, "from": origin}
        for name, shown, origin in settings.describe()
    ]
    show.rows(rows, as_json=as_json)


def _number(value: Any) -> float | None:
    return value if isinstance(value, (int, float)) else None


@db.command("url")
def db_url(as_json: Json = False) -> None:
    """Print the embedded server's address; starts it when it does not run."""
    url = _workspace().server().url()
    show.document({"url": url}) if as_json else print(url)


@db.command("status")
def db_status(as_json: Json = False) -> None:
    """Tell whether the embedded server runs, and where its data lies."""
    _show_server(_workspace().server(), as_json=as_json)


def _show_server(server: Any, *, as_json: bool) -> None:
    status = server.status()
    started = status["started"]
    status["started"] = None if started is None else datetime.fromtimestamp(started, UTC)
    show.record(status, as_json=as_json)


@db.command("start")
def db_start(as_json: Json = False) -> None:
    """Start the embedded server."""
    server = _workspace().server()
    server.start()
    _show_server(server, as_json=as_json)


@db.command("stop")
def db_stop(as_json: Json = False) -> None:
    """Stop the embedded server; its data stays."""
    show.record({"stopped": _workspace().server().stop()}, as_json=as_json)
