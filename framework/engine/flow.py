"""A case made ready: its steps, its hub, its plan, with everything checked that can be before the first step runs."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from framework.engine.case import FILE, Case, Project, Reader, Use
from framework.engine.checks import check_entries, check_names, check_reads, declared, optional, written
from framework.engine.entries import Entry
from framework.engine.faults import Faults
from framework.engine.hub import DataHub, OpenStore
from framework.engine.parameters import Value, read_settings
from framework.engine.plan import Plan, plan_of
from framework.errors import OptionError, UnknownNameError, known_names
from framework.formats.handlers.handler import Handlers, entries_in
from framework.steps import Step
from framework.steps.code import code_version
from framework.steps.context import Context, Wiring
from framework.steps.discovery import Catalog
from framework.steps.models import HIDDEN

__all__ = ["HIDDEN", "Choice", "Flow", "Loom"]


@dataclass(frozen=True, slots=True)
class Choice:
    """Which steps of a case run; all unless said.

    Attributes
    ----------
    only : tuple of str
        These.
    first, last : str, optional
        From this one on, up to and with that one.
    """

    only: tuple[str, ...] = ()
    first: str | None = None
    last: str | None = None

    def of(self, uses: Sequence[Use], case: str) -> list[Use]:
        """Those of the uses; UnknownNameError for a name that none has."""
        for name in (*self.only, self.first, self.last):
            if name is not None and not any(name in (use.name, use.found.name) for use in uses):
                raise UnknownNameError(
                    f"The case {case} has no step {name!r} that is switched on.",
                    cure=known_names(name, [use.name for use in uses]),
                    resource=name,
                )
        if self.only and (self.first or self.last):
            raise OptionError("--only goes without --from and --to.", cure="Take one or the other.")
        if self.only:
            chosen = {place for name in self.only for place in _places(uses, name)}
            return [use for place, use in enumerate(uses) if place in chosen]
        start = _places(uses, self.first)[0] if self.first else 0
        end = _places(uses, self.last)[-1] if self.last else len(uses) - 1
        if end < start:
            raise OptionError(f"{self.last!r} comes before {self.first!r}.", cure="Exchange --from and --to.")
        return list(uses[start : end + 1])


def _places(uses: Sequence[Use], name: str) -> list[int]:
    """Where the use of that name is, and all uses of the step of that name."""
    return [place for place, use in enumerate(uses) if name in (use.name, use.found.name)]


@dataclass(frozen=True, slots=True)
class Flow:
    """A case that can run.

    Attributes
    ----------
    case : Case
    plan : Plan
    hub : DataHub
    uses : tuple of Use
        Of the steps of the plan, in their order.
    codes, origins : mapping of place
        The code version of each step, and where its parameters were said.
    """

    case: Case
    plan: Plan
    hub: DataHub
    uses: tuple[Use, ...]
    codes: Mapping[int, str]
    origins: Mapping[int, Mapping[str, str]]

    def told(self) -> dict[str, Any]:
        """All that the run is, as the ledger keeps it."""
        entries = {name: _entry_told(entry) for name, entry in self.case.entries.items()}
        steps = [
            {
                "name": use.name,
                "plugin": use.found.name,
                "params": dict(node.step.params),
                "inputs": list(use.inputs),
                "outputs": list(use.outputs),
                "retries": use.retries,
                "timeout": use.timeout,
            }
            for use, node in zip(self.uses, self.plan.nodes, strict=True)
        ]
        return {"case": str(self.case.folder), "name": self.case.name, "entries": entries, "steps": steps}


def _entry_told(entry: Entry) -> dict[str, Any]:
    said = {
        "path": None if entry.path is None else entry.ref,
        "store": entry.store,
        "dataset": entry.dataset,
        "handler": entry.handler,
        "handler_args": dict(entry.options),
        "must_exist": entry.must_exist,
        "outside": None if entry.path is None else Path(entry.ref).is_absolute() or None,
    }
    return {name: value for name, value in said.items() if value not in (None, {})}


@dataclass(slots=True)
class Loom:
    """Makes flows of the cases of one project.

    Parameters
    ----------
    root : Path
        The workspace's folder.
    open_store : callable, optional
        Gives the store of a name.
    logger : logging.Logger, optional
    variables : mapping
        The environment and what `.env` adds to it, for `${...}`.
    """

    root: Path
    open_store: OpenStore | None = None
    logger: logging.Logger | None = None
    variables: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    _project: Project | None = None
    _catalog: Catalog | None = None

    @property
    def project(self) -> Project:
        """What the project's own files say."""
        if self._project is None:
            self._project = Project.read(self.root)
        return self._project

    @property
    def catalog(self) -> Catalog:
        """The steps that there are."""
        if self._catalog is None:
            self._catalog = self.project.catalog()
        return self._catalog

    def handlers(self) -> Handlers:
        """The handlers that there are: Millpond's, and those of the workspace."""
        catalog = self.catalog
        entries = [entry for path, module in catalog.files.items() for entry in entries_in(path, module)]
        if entries:
            catalog.make_way(entries[0].module)
        return Handlers(entries)

    def flow(
        self,
        case: str | os.PathLike[str],
        *,
        settings: Iterable[str | tuple[str, Any]] = (),
        choice: Choice = Choice(),
        section: str = "pipeline",
    ) -> Flow:
        """The case, ready to run.

        Parameters
        ----------
        case : str or path
            Its name under `cases_root`, or its folder.
        settings : iterable of str or (str, value)
            `STEP.PARAM=VALUE`.
        choice : Choice
        section : {"pipeline", "generate_data"}

        Raises
        ------
        CaseError
            Holds all the faults that can be found without running it.
        """
        faults = Faults()
        folder = self.project.case_folder(case)
        given = read_settings(settings, faults)
        reader = Reader(self.project, self.catalog, given, variables=self.variables)
        read = reader.read(folder, faults, section=section)
        uses = read.uses if faults.count else choice.of(read.uses, read.name)  # a step at fault is not among them
        flow = self._ready(read, uses, faults)
        faults.check(f"the case {read.name}")
        return flow

    def ready(self, case: Case, uses: Sequence[Use]) -> Flow:
        """The flow of a case that was put together, with these of its steps; CaseError."""
        faults = Faults()
        flow = self._ready(case, uses, faults)
        faults.check(f"the case {case.name}")
        return flow

    def params_of(self, case: str, step: str) -> Mapping[str, Value]:
        """What a step of a case is set to now; nothing where the case or the step is gone."""
        faults = Faults()
        folder = Path(case)
        if not (folder / FILE).is_file():
            return {}
        uses = Reader(self.project, self.catalog, variables=self.variables).read(folder, faults).uses
        return next((use.params for use in uses if use.name == step), {})

    def _ready(self, case: Case, uses: Sequence[Use], faults: Faults) -> Flow:
        case = replace(case, entries=declared(case))
        entries = case.entries
        logger = self.logger or logging.getLogger("millpond.case")
        hub = DataHub(case.folder, logger, handlers=self.handlers(), open_store=self.open_store)
        hub.add_data_sources(entries)
        makers = {name: use.name for use in case.uses for name in written(use)}
        known = frozenset([*entries, *makers])
        pairs = [(self._step(use, known, hub, logger), use) for use in uses]
        check_entries(entries, makers, hub, faults)
        made = {name for step, _ in pairs for name in step.outputs}
        lacking = optional(uses, entries, made)
        for name in lacking:
            hub.register(name, None)
        told = set(check_names(pairs, known | lacking, faults)) | check_reads(pairs, entries, case, hub, faults)
        plan = plan_of(
            case.name,
            [(step, use.where) for step, use in pairs],
            sources={name for name in entries if name not in made} | lacking | told,
            known=known,
            faults=faults,
        )
        sources = {step.source for step, _ in pairs}
        formats = [path for path, module in self.catalog.files.items() if entries_in(path, module)]
        more = "".join(code_version(path, self.root) for path in sorted(formats))  # they load and save for the steps
        versions = {source: code_version(source, self.root, more=more) for source in sources}
        codes = {place: versions[step.source] for place, (step, _) in enumerate(pairs)}
        origins = {place: {n: v.origin for n, v in use.params.items()} for place, use in enumerate(uses)}
        return Flow(case, plan, hub, tuple(uses), codes, origins)

    def _step(self, use: Use, known: frozenset[str], hub: DataHub, logger: logging.Logger) -> Step:
        context = Context(hub, logger.getChild(use.name.replace(".", " ")), self.root, hub.case_path)
        values = {**_made_now(use), **{name: said.value for name, said in use.params.items()}}
        step = use.what.step(Wiring(use.name, context, values, use.inputs, use.outputs, known))
        shown = use.what.shown({**use.defaults, **values})
        return replace(step, params=shown, retries=use.retries, timeout=use.timeout)


def _made_now(use: Use) -> dict[str, Any]:
    """Defaults that are made anew each time: what is recorded is what the step is given."""
    fields = use.what.model.model_fields if use.what.model else {}
    return {
        name: value
        for name, value in use.defaults.items()
        if fields[name].default_factory is not None and fields[name].init is not False
    }
