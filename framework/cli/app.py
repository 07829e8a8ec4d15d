"""The commands, in the order in which the help shows them. Each asks the Workspace one thing, and shows the answer."""

from framework.cli import cases, data, jobs, keep, prepare, serve, work
from framework.cli.command import app, config, db, mods, runs

app.add_typer(mods, name="mods")
app.add_typer(runs, name="runs")
app.add_typer(config, name="config")
app.add_typer(db, name="db")

__all__ = ["app", "cases", "data", "jobs", "keep", "prepare", "serve", "work"]
