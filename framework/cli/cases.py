"""Commands about cases: run, plan, check, explain them; what ran, and running it again."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Optional

import typer

from framework.cli import show
from framework.cli.command import Json, app, command, runs, workspace
from framework.redact import redact
from framework.results import Outcome, Result

if TYPE_CHECKING:
    from framework.engine.ledger import RunRow, StepRow
    from framework.engine.records import Record

CaseName = Annotated[str, typer.Option("--case", "-c", help="A case: its name, or its folder.")]
Set = Annotated[
    Optional[list[str]],  # noqa: UP045 - typer
    typer.Option("--set", help='A parameter, "STEP.PARAM=VALUE"; can be said several times.'),
]
Names = Annotated[Optional[list[str]], typer.Option("--only", help="Only this step; can be said several times.")]  # noqa: UP045
Start = Annotated[Optional[str], typer.Option("--from", help="From this step on.")]  # noqa: UP045 - typer
End = Annotated[Optional[str], typer.Option("--to", help="Up to and with this step.")]  # noqa: UP045 - typer
RunId = Annotated[str, typer.Argument(help="A run: its id, the beginning of it, or `last`.")]
Keep = Annotated[
    Optional[bool],  # noqa: UP045 - typer
    typer.Option("--keep-inputs/--no-keep-inputs", help="Keep what it reads, so that it can be replayed."),
]
Executor = Annotated[str, typer.Option("--executor", help="Side by side in threads or in processes.")]
Parallel = Annotated[int, typer.Option("--parallel", "-p", min=1, help="Steps side by side.")]


@command(app)
def pipeline(
    case: CaseName = "demo",
    settings: Set = None,
    only: Names = None,
    start: Start = None,
    end: End = None,
    resume: Annotated[bool, typer.Option("--resume", help="What has not changed stands.")] = False,
    keep_inputs: Keep = None,
    keep_going: Annotated[
        bool, typer.Option("--keep-going", help="After a failure, run what does not depend on it.")
    ] = False,
    parallel: Parallel = 1,
    executor: Executor = "threads",
    as_json: Json = False,
) -> None:
    """Run the steps of a case."""
    from framework.engine.flow import Choice

    choice = Choice(tuple(only or ()), start, end)
    _run(
        case,
        settings or [],
        "pipeline",
        choice,
        as_json=as_json,
        resume=resume,
        keep_inputs=keep_inputs,
        keep_going=keep_going,
        parallel=parallel,
        executor=executor,
    )


@command(app)
def plugin(
    name: Annotated[str, typer.Argument(help="A step of the case.")],
    case: CaseName = "demo",
    settings: Set = None,
    as_json: Json = False,
) -> None:
    """Run one step of a case, with all that it has there."""
    from framework.engine.flow import Choice

    _run(case, settings or [], "pipeline", Choice((name,)), as_json=as_json)


@command(app, "generate-data")
def generate_data(case: CaseName = "demo", settings: Set = None, as_json: Json = False) -> None:
    """Run what a case lists under generate_data."""
    from framework.engine.flow import Choice

    _run(case, settings or [], "generate_data", Choice(), as_json=as_json)


def _run(case: str, settings: Sequence[str], section: str, choice: Any, *, as_json: bool, **how: Any) -> None:
    from framework.cli.progress import Steps
    from framework.workspace.flows import How

    found = workspace(case)
    with _apart(as_json):
        steps = 0 if as_json else len(found.flow(case, settings, choice=choice, section=section).plan)
        with Steps(steps) as bars, found.session(Path(case).name) as log_file:
            asked = How(on_start=bars.start, on_done=bars.done, log_file=log_file, **how)
            result = found.run(case, settings, choice=choice, section=section, how=asked)
    result.logs["log_file"] = str(log_file)
    _show(result, as_json=as_json)


@contextmanager
def _apart(as_json: bool) -> Iterator[None]:
    """What steps print goes where words go, so that the answer is JSON alone."""
    with redirect_stdout(sys.stderr) if as_json else nullcontext():
        yield


def _show(result: Result, *, as_json: bool) -> None:
    if as_json:
        from framework.logs import without_secrets

        show.document(without_secrets({"name": result.name, **result.as_dict()}))
    else:
        show.rows([_row(child) for child in result.children], as_json=False, title=result.name)
        for child in result.children:
            for line in (*child.warnings, *child.errors):
                show.note(redact(f"{child.name}: {line}"))
        show.note(
            f"{result.outcome.state.lower()} in {result.execution_time:.2f} s; millpond runs show {result.run_id}"
        )
    if result.exit_code:
        raise typer.Exit(result.exit_code)


def _row(result: Result) -> dict[str, Any]:
    return {
        "step": result.name,
        "outcome": result.outcome.name.lower(),
        "seconds": round(result.execution_time, 3),
        "outputs": ", ".join(f"{ref}" for ref in result.artifacts.values()),
    }


# --------------------------------------------------------------------------- before


@command(app)
def check(case: CaseName = "demo", settings: Set = None, as_json: Json = False) -> None:
    """Find all faults of a case without running it."""
    found = workspace(case)
    with _apart(as_json):
        flow = found.flow(case, settings or [])
        if flow.case.generates:
            found.flow(case, section="generate_data")
    told = {"case": flow.case.name, "steps": len(flow.plan), "faults": 0}
    if as_json:
        show.document(told)
    else:
        show.note(f"{flow.case.name}: no fault in {len(flow.plan)} step{'s' * (len(flow.plan) != 1)}")


@command(app)
def plan(
    case: CaseName = "demo",
    settings: Set = None,
    mermaid: Annotated[bool, typer.Option("--mermaid", help="As a Mermaid flow chart.")] = False,
    as_json: Json = False,
) -> None:
    """Draw the steps of a case and what they wait for."""
    with _apart(as_json):
        drawn = workspace(case).plan(case, settings or [])
    print(drawn.to_json() if as_json else drawn.to_mermaid() if mermaid else drawn.to_text())


@command(app)
def explain(case: CaseName = "demo", settings: Set = None, as_json: Json = False) -> None:
    """Say what each step would do with --resume, and why."""
    with _apart(as_json):
        verdicts = workspace(case).explain(case, settings or [])
    data = [{"step": verdict.step, "would": verdict.what, "why": verdict.why} for verdict in verdicts]
    show.rows(data, as_json=as_json)


@command(app, "new-case")
def new_case(
    name: Annotated[str, typer.Argument(help="The case to make.")],
    template: Annotated[str, typer.Option("--template", "-t", help="What it is copied from.")],
    as_json: Json = False,
) -> None:
    """Make a case from a template."""
    folder = workspace().new_case(name, template)
    if as_json:
        show.document({"case": name, "folder": str(folder)})
    else:
        show.note(f"made {folder}; next: millpond check --case {name}")


@command(app)
def docs(
    fresh: Annotated[bool, typer.Option("--check", help="Write nothing; fail if it is not up to date.")] = False,
    as_json: Json = False,
) -> None:
    """Write REFERENCE.md: every step, handler, store, scraper and calculator."""
    from framework.errors import IntegrityError
    from framework.files import replace_bytes
    from framework.workspace.reference import FILE

    found = workspace()
    path, text = found.settings.workspace / FILE, found.reference().encode()
    same = path.is_file() and path.read_bytes() == text
    if fresh and not same:
        raise IntegrityError(f"{FILE} is not what this workspace has.", cure="Write it anew: millpond docs")
    if not fresh and not same:
        replace_bytes(path, text)
    if as_json:
        show.document({"file": str(path), "changed": not same})
    else:
        show.note(f"{path.name} is up to date" if same else f"wrote {path.name}")


# --------------------------------------------------------------------------- afterwards


@command(runs, "list")
def runs_list(
    case: Annotated[Optional[str], typer.Option("--case", "-c", help="Only of this case.")] = None,  # noqa: UP045
    limit: Annotated[int, typer.Option("--limit", "-n", min=1)] = 20,
    as_json: Json = False,
) -> None:
    """The last runs, newest first."""
    rows = [_run_row(run) for run in workspace().runs(limit=limit, case=case)]
    show.rows(rows, as_json=as_json, empty="nothing has run yet", spare=("user",))


def _run_row(run: RunRow) -> dict[str, Any]:
    return {
        "run": run.run_id,
        "kind": run.kind,
        "name": run.name,
        "state": run.state.lower() + (" (crashed)" if run.reason == "crashed" else ""),
        "started": show.moment(run.started_at),
        "seconds": None if run.seconds is None else round(run.seconds, 2),
        "user": run.user,
    }


@command(runs, "show")
def runs_show(run_id: RunId = "last", as_json: Json = False) -> None:
    """What a run did on which data."""
    run, steps = workspace().ran(run_id)
    more = {"reason": run.reason, "log": run.log_file, "replayable": "kept" in run.plan}
    if "folder" in run.plan:  # where it left files
        more["folder"] = run.plan["folder"]
    if as_json:
        told = {"exit_code": run.exit_code, "ended_at": run.ended_at, "versions": run.versions, "plan": run.plan}
        show.document({**_run_row(run), **more, **told, "steps": [_step(step) for step in steps]})
        return
    show.record({**_run_row(run), **more}, as_json=False)
    show.rows([_step_row(step) for step in steps], as_json=False, title="steps", spare=("code",))
    params = [row for step in steps for row in _param_rows(step)]
    if params:
        show.rows(params, as_json=False, title="parameters")
    show.rows([row for step in steps for row in _data_rows(step)], as_json=False, title="data", empty="no data")


def _step(step: StepRow) -> dict[str, Any]:
    return {
        "step": step.name,
        "state": step.state,
        "outcome": step.outcome,
        "seconds": step.seconds,
        "attempts": step.attempts,
        "memory": step.memory,
        "version": step.version,
        "code": step.code,
        "params": {row["parameter"]: row["value"] for row in _param_rows(step)},
        "origins": {row["parameter"]: row["from"] for row in _param_rows(step)},
        "inputs": [_record(record) for record in step.inputs],
        "outputs": [_record(record) for record in step.outputs],
        "warnings": step.warnings,
        "error": step.error,
        "told": dict(step.metrics),
    }


def _record(record: Record) -> dict[str, Any]:
    told = {"name": record.name, "where": record.ref, "fingerprint": record.fingerprint}
    return {**told, "rows": record.rows, "bytes": record.bytes}


def _param_rows(step: StepRow) -> list[dict[str, Any]]:
    params = json.loads(step.params)
    return [
        {"step": step.name, "parameter": name, "value": value, "from": origin or "default"}
        for name, (value, origin) in params.items()
    ]


def _step_row(step: StepRow) -> dict[str, Any]:
    return {
        "step": step.name,
        "outcome": step.outcome.lower(),
        "seconds": round(step.seconds, 3),
        "peak_mb": None if step.memory is None else round(step.memory / 2**20),
        "version": step.version,
        "code": step.code,
        "why": step.error or "; ".join(step.warnings),
    }


def _data_rows(step: StepRow) -> list[dict[str, Any]]:
    named = [("read", record) for record in step.inputs] + [("made", record) for record in step.outputs]
    return [
        {
            "step": step.name,
            " ": word,
            "data": record.name,
            "where": record.ref,
            "rows": record.rows,
            "fingerprint": _short(record.fingerprint),
        }
        for word, record in named
    ]


def _short(fingerprint: str | None) -> str | None:
    return fingerprint and fingerprint[:16]


@command(runs, "diff")
def runs_diff(one: RunId, other: RunId, as_json: Json = False) -> None:
    """What differs between two runs."""
    found = workspace().diff(one, other)
    if not as_json:
        found = [{**row, "one": _brief(row["one"]), "other": _brief(row["other"])} for row in found]
    show.rows(found, as_json=as_json, empty="nothing differs")


def _brief(value: Any) -> Any:
    return f"{value[:20]}..." if isinstance(value, str) and len(value) > 24 else value


@command(runs, "prune")
def runs_prune(
    keep: Annotated[Optional[int], typer.Option(min=0, help="How many runs stay.")] = None,  # noqa: UP045 - typer
    days: Annotated[Optional[float], typer.Option(min=0, help="And for how many days.")] = None,  # noqa: UP045
    as_json: Json = False,
) -> None:
    """Forget old runs, and what was kept for them alone."""
    gone, files = workspace().prune_runs(keep=keep, days=days)
    if as_json:
        show.document({"runs": gone, "files": files})
    else:
        show.note(f"{gone} runs and {files} kept files are gone")


@command(app)
def replay(run_id: RunId = "last", as_json: Json = False) -> None:
    """Run a run again with exactly what it read and was set to, and compare what it makes."""
    from framework.workspace.flows import How

    found = workspace()
    with found.session("replay") as log_file:
        done = found.replay(run_id, how=How(log_file=log_file))
    rows = [
        {
            "step": each.step,
            "output": each.output,
            "same": each.same,
            "then": _short(each.then),
            "now": _short(each.now),
        }
        for each in done.outputs
    ]
    first = done.first_difference
    if as_json:
        differs = {"step": first.step, "output": first.output} if first else None
        show.document({"run": done.run_id, "same": done.same, "first_difference": differs, "outputs": rows})
    else:
        show.rows(rows, as_json=False)
        for name in done.changed_code:
            show.note(f"the code of {name!r} is not what it was")
        if first is not None:
            show.note(f"the first that differs is {first.output!r} of {first.step!r}; all that it made: {done.folder}")
        else:
            show.note("every output is what it was" if done.same else "; ".join(["it failed", *done.result.errors]))
    if not done.same:
        raise typer.Exit(done.result.exit_code or Outcome.ERROR.exit_code)
