"""What surrounds a mod while it runs: where its files go, what it kept the last time, the stores."""

from __future__ import annotations

import logging
import os
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from framework.errors import ConfigurationException
from framework.logs import log_context

if TYPE_CHECKING:
    from framework.settings import Settings
    from framework.store import Store

RUNS = "runs"


@dataclass(slots=True)
class ModRun:
    """One call of a mod.

    Attributes
    ----------
    run_id : str
        Of the run that it is a part of.
    mod : str
        What this use of the mod is called.
    folder : Path
        Where its files go unless it is told otherwise; made when something is written.
    root : Path
        The workspace, where relative paths start.
    load_id : str
        The same for the same step of the same run, also when the run is resumed: a sink that has kept it adds nothing.
    cursors : mapping
        Of each source how far it was read, as it was when all that depends on it had been saved.
    moved : dict
        How far it was read now; kept once what depends on it is saved.
    variables : mapping
        The environment and what `.env` adds to it.
    """

    run_id: str
    mod: str
    folder: Path
    root: Path
    logger: logging.Logger
    open_store: Callable[[str], Store] | None = None
    settings: Settings | None = None
    load_id: str = ""
    log_file: str | None = None
    session_id: str | None = None
    cursors: Mapping[str, Any] = field(default_factory=dict)
    moved: dict[str, Any] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))

    def output(self, path: str | os.PathLike[str] | None = None, *, name: str = "output_data.parquet") -> Path:
        """Where a file that it makes goes: `path`, from the workspace's folder on, else `name` in the run's folder."""
        return self.folder / name if path is None else self.at(path)

    def at(self, path: str | os.PathLike[str], base: str | os.PathLike[str] | None = None) -> Path:
        """A path, from `base` on where it is relative, which is itself relative to the workspace."""
        full = Path(self.root, base or "", path).expanduser()
        return Path(os.path.normpath(full))

    def store(self, name: str) -> Store:
        """The store of that name, of the workspace."""
        if self.open_store is None:
            raise ConfigurationException(
                f"The mod {self.mod} asks for the store {name!r}, and runs without a workspace.",
                cure="Run it by run_mod, or by the command.",
            )
        return self.open_store(name)

    def cursor(self, source: str) -> Any:
        """How far that source was read the last time that all of it was saved; None at first."""
        return self.cursors.get(source)

    def move_cursor(self, source: str, value: Any) -> None:
        """Say how far that source has been read now."""
        self.moved[source] = value


_here: ContextVar[ModRun | None] = ContextVar("millpond_mod_run", default=None)


def current_run(mod: str = "mod") -> ModRun:
    """What surrounds the mod that runs; one in the current folder where its `run` was called by hand."""
    found = _here.get()
    if found is not None:
        return found
    run_id = f"{mod}_{uuid.uuid4().hex[:8]}"
    root = Path.cwd()
    return ModRun(run_id, mod, root / RUNS / run_id / mod, root, logging.getLogger(f"millpond.mods.{mod}"))


def is_running() -> ModRun | None:
    """What surrounds the mod that runs, if one does."""
    return _here.get()


@contextmanager
def running(run: ModRun) -> Iterator[ModRun]:
    """While it is open, `current_run` is this."""
    token = _here.set(run)
    try:
        with log_context(mod=run.mod, run_id=run.run_id):
            yield run
    finally:
        _here.reset(token)
