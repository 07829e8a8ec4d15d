"""What every command shares: the workspace, how much is told, the words of its options."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional, TypeVar, get_type_hints

import typer

from framework.cli import complete, show

if TYPE_CHECKING:
    from framework.workspace import Workspace

app = typer.Typer(
    name="millpond",
    help="Scrape, calculate, store; replay what ran; trust what you kept.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
config = typer.Typer(help="Settings, and where each comes from.", no_args_is_help=True, rich_markup_mode=None)
runs = typer.Typer(help="What ran, on which data.", no_args_is_help=True, rich_markup_mode=None)
mods = typer.Typer(help="Parts of jobs: what there is.", invoke_without_command=True, rich_markup_mode=None)
db = typer.Typer(help="The embedded PostgreSQL.", no_args_is_help=True, rich_markup_mode=None)

Json = Annotated[bool, typer.Option("--json", help="Answer in JSON.")]
Verbose = Annotated[int, typer.Option("-v", "--verbose", count=True, show_default=False, help="Log more: -v, -vv.")]
Quiet = Annotated[bool, typer.Option("-q", "--quiet", help="Log errors only.")]
Reference = Annotated[str, typer.Argument(help="A dataset, store:name.", autocompletion=complete.datasets)]
Readable = Annotated[
    str,
    typer.Argument(
        help="A dataset, store:name, or the path of a .csv or .parquet file.", autocompletion=complete.datasets
    ),
]
Sources = Annotated[Optional[list[str]], typer.Argument(help="Only these; all unless given.")]  # noqa: UP045 - typer
StoreName = Annotated[
    Optional[str],  # noqa: UP045 - typer
    typer.Argument(help="A store; all unless given.", autocompletion=complete.stores),
]

LEVELS = ("ERROR", "WARNING", "INFO", "DEBUG")
Command = TypeVar("Command", bound=Callable[..., Any])


class _Asked:
    """What stands before the command's name."""

    folder: Path | None = None
    level = LEVELS.index("WARNING")


@app.callback()
def _common(
    workspace: Annotated[
        Optional[Path],  # noqa: UP045 - typer
        typer.Option(help="The folder with millpond.yaml; found from the current one unless given."),
    ] = None,
    verbose: Verbose = 0,
    quiet: Quiet = False,
    version: Annotated[bool, typer.Option("--version", help="Show the version.")] = False,
) -> None:
    if version:
        from framework._version import __version__

        print(f"millpond {__version__}")
        raise typer.Exit
    _Asked.folder, _Asked.level = workspace, LEVELS.index("WARNING")
    _tell(verbose, quiet=quiet)


def _tell(verbose: int, *, quiet: bool) -> None:
    _Asked.level = max(0, min(_Asked.level + verbose - quiet, len(LEVELS) - 1))
    show.hush(notes=LEVELS[_Asked.level] == "ERROR")


def command(group: typer.Typer, name: str | None = None, **settings: Any) -> Callable[[Command], Command]:
    """Add a command to the group; -v and -q may stand after its name as well as before it."""

    def add(function: Command) -> Command:
        @functools.wraps(function)
        def told(*, verbose: int = 0, quiet: bool = False, **given: Any) -> Any:
            _tell(verbose, quiet=quiet)
            return function(**given)

        own = {"verbose": (Verbose, 0), "quiet": (Quiet, False)}
        more = [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, annotation=kind, default=default)
            for name, (kind, default) in own.items()
        ]
        hints = get_type_hints(function, include_extras=True)
        plain = [
            parameter.replace(annotation=hints[name])
            for name, parameter in inspect.signature(function).parameters.items()
        ]
        told.__signature__ = inspect.Signature([*plain, *more])  # type: ignore[attr-defined]
        group.command(name, **settings)(told)
        return function

    return add


def named_folder() -> Path | None:
    """The workspace as the user named it."""
    return _Asked.folder


def workspace(case: str | None = None) -> Workspace:
    """The workspace that the command is about, or that a case lies in, with its log on standard error."""
    from framework.logs import console_logging
    from framework.settings import as_settings
    from framework.workspace import Workspace

    console_logging(LEVELS[_Asked.level])
    inside = case is not None and _Asked.folder is None and (Path(case) / "case.yaml").is_file()
    settings = as_settings(script=Path(str(case)) / "case.yaml") if inside else None
    found = Workspace(_Asked.folder, config=settings)
    sys.path.append(str(found.settings.workspace))  # a service's own scrapers/ and calculators/ add to ours
    return found
