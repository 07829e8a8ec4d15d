"""`millpond demo`: run it, and show what it did."""

from __future__ import annotations

import shlex
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from framework import registry
from framework.cli import show

if TYPE_CHECKING:
    from framework.workspace import Workspace


def run_demo(workspace: Workspace, *, live: bool, as_json: bool) -> None:
    """Run the demo in this workspace and show its report."""
    demo = registry.find("demo", "stocks").load()
    if workspace.settings.database is None:
        registry.find("server", "postgres_embedded").load()  # before anything is scraped: the pip line, if it lacks
        workspace.server().binary("postgres")
    tell = (lambda stage: None) if as_json else (lambda stage: show.note(f"  {stage} ..."))
    report = demo(workspace.factory, live=live, logger=workspace.logger, tell=tell).run()
    if as_json:
        show.document({**asdict(report), "next": _next(report)})
        return
    _show(report, workspace)


def _show(report: Any, workspace: Workspace) -> None:
    show.rows(report.best, as_json=False, title="The best rated stocks of each sector")
    print()
    show.rows(report.stages, as_json=False, title="What it took")
    server = "the embedded PostgreSQL" if report.address == "embedded" else report.address
    print()
    print(f"{report.rows} stocks from {report.site}, rated in {len(report.tables)} tables of {server}")
    print(f"data    {workspace.settings.data_folder}")
    print(f"backup  {report.backup_id} of postgres:{report.backup_source}, in {workspace.settings.backup_folder}")
    print("\nTry next:")
    for line in _next(report):
        print(f"  {line}")


def _next(report: Any) -> list[str]:
    command = _command()
    return [
        f"{command} head postgres:{report.backup_source}",
        f"{command} restore postgres:{report.backup_source} {report.backup_id}",
        f"{command} db stop",
    ]


def _command() -> str:
    """How the user called us, so that the lines can be pasted."""
    path = Path(sys.argv[0])
    if path.name != "millpond":
        return f"{shlex.quote(sys.executable)} -m framework"
    import shutil

    found = shutil.which("millpond")
    if found and Path(found).resolve() == path.resolve():
        return "millpond"
    near = path if not path.is_absolute() or not path.is_relative_to(Path.cwd()) else path.relative_to(Path.cwd())
    return shlex.quote(str(near))
