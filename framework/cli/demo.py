"""`millpond demo`: run it, and show what it did."""

from __future__ import annotations

import shlex
import shutil
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from framework import registry
from framework.cli import show

if TYPE_CHECKING:
    from framework.workspace import Workspace

HEADINGS = {  # short enough for 80 columns
    "sector": "sector",
    "ticker": "stock",
    "company": "company",
    "grade": "AAA",
    "score": "score",
    "valuation": "val",
    "profitability": "prof",
    "growth": "grow",
    "performance": "perf",
}
COLORS = {"A": "green", "B": "cyan", "C": "yellow", "D": "red", "F": "red", "N": "dim"}


def run_demo(workspace: Workspace, *, live: bool, as_json: bool, folder: Path | None = None) -> None:
    """Run the demo in this workspace and show its report.

    Parameters
    ----------
    workspace : Workspace
    live : bool
        Read the real site.
    as_json : bool
    folder : Path, optional
        The workspace as the user named it; part of the commands that are proposed.
    """
    demo = registry.find("demo", "stocks").load()
    if workspace.settings.database is None:
        workspace.server().binary("postgres")  # before anything is scraped: the pip line, if it lacks
    tell = (lambda stage: None) if as_json else (lambda stage: show.note(f"  {stage} ..."))
    report = demo(workspace.factory, live=live, logger=workspace.logger, tell=tell).run()
    proposed = _proposed(report, folder)
    if as_json:
        show.document({**asdict(report), "next": [command for command, _ in proposed]})
        return
    _show_best(report)
    print()
    show.rows(report.stages, as_json=False, title="What it took")
    _show_places(report, workspace)
    print("\nTry next:")
    for command, why in proposed:
        print(f"\n  # {why}\n  {command}")


def _show_best(report: Any) -> None:
    title = "The best rated stocks of each sector, graded within it"
    if not sys.stdout.isatty():
        print(title)
        show.rows(report.best, as_json=False)
        return
    table = show.new_table(title)
    widths = {key: max(len(HEADINGS[key]), *(len(show.plain(row[key])) for row in report.best)) for key in HEADINGS}
    too_wide = sum(widths.values()) + show.GAP * (len(widths) - 1) - shutil.get_terminal_size().columns
    widths["company"] -= min(max(too_wide, 0), widths["company"] - len("company"))
    for key, heading in HEADINGS.items():
        table.add_column(heading, no_wrap=True, width=widths[key], justify="right" if key == "score" else "left")
    last = None
    for row in report.best:
        cells = [show.literal(show.plain(row[key]), _style(key, row[key])) for key in HEADINGS]
        cells[0] = cells[0] if row["sector"] != last else show.literal("")
        cells[4] = show.literal(f"{row['score']:.2f}")
        last = row["sector"]
        table.add_row(*cells)
    show.print_fitting(table)


def _style(key: str, value: Any) -> str:
    if key == "grade":
        return f"bold {COLORS.get(str(value)[:1], '')}"
    return COLORS.get(str(value)[:1], "") if key in list(HEADINGS)[5:] else ""


def _show_places(report: Any, workspace: Workspace) -> None:
    settings = workspace.settings
    embedded = report.address == "embedded"
    server = f"the embedded PostgreSQL, {settings.own_folder / 'postgres'}" if embedded else report.address
    print()
    print(f"stocks   {report.rows} from {report.site}")
    print(f"rows     postgres:{report.backup_source} and {len(report.tables) - 1} more tables")
    print(f"server   {server}")
    print(f"backup   {report.backup_id} of postgres:{report.backup_source}, verified")
    print(f"vault    {settings.backup_place}")


def _proposed(report: Any, folder: Path | None) -> list[tuple[str, str]]:
    """Three commands to go on with, as they can be pasted, and what each is for."""
    command = command_line() + (f" --workspace {shlex.quote(str(folder))}" if folder is not None else "")
    dataset = f"postgres:{report.backup_source}"
    last = (
        (f"{command} db stop", "stop the server; the data stay")
        if report.address == "embedded"
        else (f"{command} verify --dataset {dataset}", "read every byte of its backups again")
    )
    return [
        (f'{command} head {dataset} -c Ticker -c Sector -c "AAA - overall"', "look at the rows"),
        (f"{command} restore {dataset} {report.backup_id}", "put the backup in the table's place"),
        last,
    ]


def command_line(*, elsewhere: bool = False) -> str:
    """How the user called us, so that the lines can be pasted, here or in another folder."""
    path = Path(sys.argv[0])
    if path.name != "millpond":
        return f"{shlex.quote(sys.executable)} -m framework"
    found = shutil.which("millpond")
    if found and Path(found).resolve() == path.resolve():
        return "millpond"
    if elsewhere:
        return shlex.quote(str(path.absolute()))
    near = path if not path.is_absolute() or not path.is_relative_to(Path.cwd()) else path.relative_to(Path.cwd())
    return shlex.quote(str(near))
