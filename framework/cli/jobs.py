"""Commands about mods, jobs and scripts: run them; see which mods there are, and make new ones."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from framework.cli import show
from framework.cli.command import Json, app, command, mods, named_folder
from framework.results import Result

if TYPE_CHECKING:
    from framework.workspace import Workspace

ParamsFile = Annotated[Optional[Path], typer.Option("--params", help="A YAML file of parameters, or a job.")]  # noqa: UP045
Set = Annotated[
    Optional[list[str]],  # noqa: UP045 - typer
    typer.Option("--set", help="A parameter, PARAM=VALUE; can be said several times."),
]
SetOfMod = Annotated[
    Optional[list[str]],  # noqa: UP045 - typer
    typer.Option("--set", help="A parameter, MOD.PARAM=VALUE, or globals.NAME=VALUE; can be said several times."),
]
Timeout = Annotated[Optional[float], typer.Option("--timeout", min=0.001, help="Seconds; then it ends with 40.")]  # noqa: UP045
LogLevel = Annotated[Optional[str], typer.Option("--log-level", help="DEBUG, INFO, WARNING, ERROR.")]  # noqa: UP045
LogFormat = Annotated[Optional[str], typer.Option("--log-format", help="json, console or auto.")]  # noqa: UP045
JobFile = Annotated[Path, typer.Argument(help="The job's file.")]


@command(app, "run-mod")
def run_mod(
    name: Annotated[str, typer.Argument(help="A mod: its name, or its module.")],
    params: ParamsFile = None,
    settings: Set = None,
    timeout: Timeout = None,
    log_level: LogLevel = None,
    log_format: LogFormat = None,
) -> None:
    """Run one mod."""
    found = _workspace(params)
    job = found.mod_job(name, params, settings or [])
    stem = params.stem if params is not None else job.name
    with _logged(found, stem, job.globals, log_level, log_format):
        result = found.run_mod(job, timeout=timeout)
    _end(result)


@command(app, "run-job")
def run_job(
    job: JobFile,
    names: Annotated[Optional[list[str]], typer.Argument(metavar="[MOD]...", help="Only these of its mods.")] = None,  # noqa: UP045
    settings: SetOfMod = None,
    parallel: Annotated[Optional[int], typer.Option("--parallel", "-p", min=1, help="Mods side by side.")] = None,  # noqa: UP045
    resume: Annotated[bool, typer.Option("--resume", help="Go on where the last run stopped.")] = False,
    fresh: Annotated[bool, typer.Option("--fresh", help="Begin anew, whatever an earlier run left.")] = False,
    timeout: Timeout = None,
    log_level: LogLevel = None,
    log_format: LogFormat = None,
) -> None:
    """Run the mods of a job."""
    from framework.workspace.flows import How

    found = _workspace(job)
    read = found.job(job, settings or [], mods=names or ())
    with _logged(found, job.stem, read.globals, log_level, log_format) as log_file:
        asked: dict[str, Any] = {"resume": resume, "fresh": fresh, "parallel": parallel, "timeout": timeout}
        result = found.run_job(read, mods=names or (), how=How(log_file=log_file), **asked)
    _end(result)


@command(app, "run-script", context_settings={"ignore_unknown_options": True})
def run_script(
    script: Annotated[Path, typer.Argument(help="A Python file.")],
    arguments: Annotated[
        list[str] | None, typer.Argument(help="What the script finds in sys.argv; after -- all of it.")
    ] = None,
    params: ParamsFile = None,
    timeout: Timeout = None,
    log_level: LogLevel = None,
    log_format: LogFormat = None,
) -> None:
    """Run a Python script, which reads its parameters by get_params()."""
    found = _workspace(script)
    values = found.script_params(params)
    with _logged(found, script.stem, values, log_level, log_format):
        result = found.run_script(script, values, arguments or [], timeout=timeout, log_level=log_level)
    _end(result)


def _workspace(beside: Path | None) -> Workspace:
    """The workspace: from the current folder, else from the file's."""
    from framework.settings import as_settings
    from framework.workspace import Workspace

    folder = named_folder()
    script = None if beside is None or folder is not None else beside.expanduser().absolute()
    found = Workspace(folder, config=as_settings(script=script) if script is not None else None)
    sys.path.append(str(found.settings.workspace))
    return found


@contextmanager
def _logged(
    found: Workspace, stem: str, shared: Mapping[str, Any], level: str | None, style: str | None
) -> Iterator[Path]:
    """While it runs: the session's log, and the same lines on standard error."""
    from framework.logs import console_logging

    level = level or shared.get("log_level")
    folder = shared.get("log_path")
    with found.session(stem, level=level and str(level).upper(), folder=folder and str(folder)) as path:
        console_logging(
            (str(level) if level else "INFO").upper(), style=str(style or shared.get("log_format") or "auto")
        )
        yield path


def _end(result: Result) -> None:
    """The result as one line of JSON, the last on standard error, and its exit code."""
    from framework.logs import without_secrets

    with suppress(OSError):  # who reads us had enough; how it ended is told all the same
        sys.stdout.flush()
    print(json.dumps(without_secrets(result.as_dict()), ensure_ascii=False), file=sys.stderr)
    if result.exit_code:
        raise typer.Exit(result.exit_code)


# --------------------------------------------------------------------------- which there are


@mods.callback()
def _mods(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        mods_list(as_json=False)


@command(mods, "list")
def mods_list(as_json: Json = False) -> None:
    """The mods that there are."""
    rows = [
        {
            "mod": each.name,
            "kind": each.kind,
            "version": each.version,
            "what it does": each.summary,
            "module": each.module,
        }
        for each in _workspace(None).mods.found
    ]
    show.rows(rows, as_json=as_json, spare=("module",))


@command(mods, "show")
def mods_show(
    name: Annotated[str, typer.Argument(help="A mod.")],
    into: Annotated[
        Optional[Path],  # noqa: UP045 - typer
        typer.Option("--into", help="Write the example there, with the files that it reads."),
    ] = None,
    as_json: Json = False,
) -> None:
    """What a mod does, what it can be set to, and an example that works."""
    from framework.mods.example import example_of, told, write_example

    mod = _workspace(None).mods.load(name)
    if into is not None:
        made = write_example(mod, into.expanduser().absolute())
        _tell_made(made, f"cd {into} && millpond run-job {made[0].name}", as_json=as_json)
        return
    about = told(mod)
    if as_json:
        show.document({**about, "example": example_of(mod)})
        return
    show.record({key: value for key, value in about.items() if key != "parameters"}, as_json=False)
    show.rows(about["parameters"], as_json=False, title="parameters")
    show.note("An example, for a job or for --params of run-mod:")
    print(example_of(mod), end="")


@command(app, "new-mod")
def new_mod(
    name: Annotated[str, typer.Argument(help="What it is called: letters, digits and '_'.")],
    kind: Annotated[str, typer.Option("--kind", help="sources, transformers, sinks or solos.")] = "transformers",
    as_json: Json = False,
) -> None:
    """Write a mod to begin with, and a test of it."""
    made = _workspace(None).new_mod(name, kind)
    _tell_made(made, f"millpond mods show {name}", as_json=as_json)


@command(app, "new-project")
def new_project(
    folder: Annotated[Path, typer.Argument(help="The folder to make.")],
    as_json: Json = False,
) -> None:
    """Make a project: its defaults, a job that runs, its data."""
    made = _workspace(None).new_project(folder)
    _tell_made(made, f"cd {folder} && millpond run-job jobs/daily-etl/daily_etl.yaml", as_json=as_json)


def _tell_made(made: list[Path], after: str, *, as_json: bool) -> None:
    if as_json:
        show.document({"made": [str(path) for path in made]})
        return
    for path in made:
        show.note(f"made {path}")
    show.note(f"next: {after}")
