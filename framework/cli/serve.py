"""Commands about the place itself: a new workspace, health, settings, the embedded server."""

from __future__ import annotations

import signal
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Optional

import typer

from framework.cli import show
from framework.cli.command import Json, StoreName, app, command, config, db, named_folder, workspace
from framework.results import Outcome


@command(app)
def init(
    folder: Annotated[Optional[Path], typer.Argument(help="Made if missing; the current one unless given.")] = None,  # noqa: UP045
    as_json: Json = False,
) -> None:
    """Make a folder a workspace: a millpond.yaml that explains every setting."""
    from framework.cli.new import make_workspace

    make_workspace(folder or named_folder() or Path(), as_json=as_json)


@command(app)
def health(
    store: StoreName = None,
    probe: Annotated[bool, typer.Option("--probe", help="Exit with 0 or 1, for a container's probe.")] = False,
    as_json: Json = False,
) -> None:
    """Tell which stores can be used: exit 0 all, 10 some, 30 none."""
    rows = workspace().health([store] if store else ())
    show.rows(rows, as_json=as_json)
    states = [row["state"] for row in rows if store or row["state"] != "not installed"]
    if "up" not in states:
        code = Outcome.ERROR.exit_code
    else:
        code = 0 if set(states) == {"up"} else Outcome.WARNING.exit_code
    raise typer.Exit(min(code, 1) if probe else code)


OfCase = Annotated[
    Optional[str],  # noqa: UP045 - typer
    typer.Option("--case", "-c", help="A case: its parameters are shown instead."),
]
Given = Annotated[
    Optional[list[str]],  # noqa: UP045 - typer
    typer.Option("--set", help='A parameter of the case, "STEP.PARAM=VALUE".'),
]


@command(config, "show")
def config_show(case: OfCase = None, given: Given = None, as_json: Json = False) -> None:
    """Show every setting, or every parameter of a case, with the place that says it; secrets as ***."""
    if case is not None:
        show.rows(workspace().parameters(case, given or []), as_json=as_json)
        return
    settings = workspace().settings
    rows = [
        {"setting": name, "value": _number(getattr(settings, name, None)) or shown or None, "from": origin}
        for name, shown, origin in settings.describe()
    ]
    show.rows(rows, as_json=as_json)


def _number(value: Any) -> float | None:
    return value if isinstance(value, (int, float)) else None


@command(db, "url")
def db_url(as_json: Json = False) -> None:
    """Print the embedded server's address; starts it when it does not run."""
    url = workspace().server().url()
    show.document({"url": url}) if as_json else print(url)


@command(db, "status")
def db_status(as_json: Json = False) -> None:
    """Tell whether the embedded server runs, and where its data lies."""
    _show_server(workspace().server(), as_json=as_json)


def _show_server(server: Any, *, as_json: bool) -> None:
    status = server.status()
    started = status["started"]
    status["started"] = None if started is None else datetime.fromtimestamp(started, UTC)
    show.record(status, as_json=as_json)


@command(db, "start")
def db_start(as_json: Json = False) -> None:
    """Start the embedded server."""
    server = workspace().server()
    server.start()
    _show_server(server, as_json=as_json)


@command(db, "stop")
def db_stop(as_json: Json = False) -> None:
    """Stop the embedded server; its data stays."""
    show.record({"stopped": workspace().server().stop()}, as_json=as_json)


@command(db, "dump")
def db_dump(
    file: Annotated[Optional[Path], typer.Argument(help="Where to; standard output unless given.")] = None,  # noqa: UP045
    as_json: Json = False,
) -> None:
    """Write all of the embedded server's database as SQL, whole or not at all."""
    server = workspace().server()
    if file is None:
        sys.stdout.flush()
        server.dump(sys.stdout.buffer)
        return
    server.dump(file)
    show.record({"dumped": str(file), "bytes": file.stat().st_size}, as_json=as_json)


@db.command("psql", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
def db_psql(
    arguments: Annotated[Optional[list[str]], typer.Argument(help="For psql, as in: db psql -- -c 'SELECT 1'")] = None,  # noqa: UP045
    as_json: Annotated[bool, typer.Option("--json", help="Errors in JSON.")] = False,
) -> None:
    """Let psql talk to the embedded server."""
    server = workspace().server()
    server.url()
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGINT, lambda number, frame: None)  # Ctrl-C is psql's: it ends a query, not the session
    if server.psql(arguments or ()):
        raise typer.Exit(Outcome.ERROR.exit_code)
