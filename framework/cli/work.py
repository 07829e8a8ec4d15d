"""Commands that run something: the demo, scrapers, calculators."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Optional

import typer

from framework.cli import complete, show
from framework.cli.command import Json, Sources, app, command, named_folder, workspace
from framework.results import Outcome

Options = Annotated[
    Optional[list[str]],  # noqa: UP045 - typer
    typer.Option("--set", help="An option of it, NAME=VALUE; can be said several times."),
]


def options_in(texts: Sequence[str]) -> dict[str, Any]:
    """The options that `NAME=VALUE` texts name; a value is read as in a millpond.yaml."""
    options = {}
    for text in texts:
        name, sign, value = text.partition("=")
        if not (sign and name.isidentifier()):
            from framework.errors import OptionError

            raise OptionError(f"--set {text!r} is not NAME=VALUE.", cure="Write --set delay=0.5")
        options[name] = _value(value)
    return options


def _value(text: str) -> Any:
    if text in ("true", "false"):
        return text == "true"
    for kind in (int, float):
        try:
            value = kind(text)
        except ValueError:
            continue
        return value if str(value) == text else text  # 007 is text
    return text


@command(app)
def demo(
    live: Annotated[bool, typer.Option("--live", help="Read the real site, one request a second.")] = False,
    as_json: Json = False,
) -> None:
    """Scrape, rate, store, back up and verify stocks, from a replica on this machine."""
    from framework.cli.demo import run_demo

    run_demo(workspace(), live=live, as_json=as_json, folder=named_folder())


@command(app)
def scrape(
    name: Annotated[str, typer.Argument(help="A scraper.", autocompletion=complete.scrapers)],
    sources: Sources = None,
    to: Annotated[str, typer.Option("--to", help="The store to save to.", autocompletion=complete.stores)] = "temp",
    given: Options = None,
    as_json: Json = False,
) -> None:
    """Let a scraper save what it reads."""
    saved = workspace().scrape(name, to, sources or (), **options_in(given or ()))
    show.rows([{"dataset": dataset, "rows": rows} for dataset, rows in saved.items()], as_json=as_json)


@command(app)
def calc(
    name: Annotated[str, typer.Argument(help="A calculator.", autocompletion=complete.calculators)],
    sources: Sources = None,
    source: Annotated[
        str, typer.Option("--from", help="The store to read from.", autocompletion=complete.stores)
    ] = "temp",
    to: Annotated[
        str, typer.Option("--to", help="The store to save to, with backup.", autocompletion=complete.stores)
    ] = "postgres",
    given: Options = None,
    as_json: Json = False,
) -> None:
    """Let a calculator read, calculate and save with backup.

    Exit code 10 when there is nothing to calculate.
    """
    options = options_in(given or ())
    with show.busy(f"{name} ...") as told:
        results = workspace().calculate(
            name, source, to, sources or (), on_done=lambda done: told(done.name), **options
        )
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
