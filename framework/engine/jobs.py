"""One run of a job: its mods as the steps of a plan, and what each is given of those before it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from framework.engine.faults import Faults
from framework.engine.job import Job
from framework.engine.mod_uses import ModUse
from framework.engine.plan import Plan, plan_of
from framework.engine.references import Later, Value, later_in
from framework.errors import DatasetNotFoundError, ParameterError
from framework.mods.mod import OUTPUT
from framework.mods.run import ModRun
from framework.results import Outcome, Result
from framework.steps import Made, Step

if TYPE_CHECKING:
    from framework.settings import Settings
    from framework.store import Store

Shared = dict[str, tuple[Any, str]]  # a global, and the mod that said it
CHOSEN = "chosen"
SKIPPED = "skipped"  # the status of a mod that did not run


@dataclass(slots=True)
class JobRun:
    """A job while it runs.

    Parameters
    ----------
    run_id : str
    first : str
        The run that this one resumes, or itself: by it a sink knows what it has kept already.
    folder : Path
        Where the files of its mods go.
    made : mapping
        What mods made that do not run now.
    cursors : callable
        Of a mod, how far it had read each of its sources.
    stands : dict
        Mods that an earlier run has done, and how they ended there.
    chosen : collection of str
        The mods that it is a run of, where it is not one of all.
    """

    job: Job
    run_id: str
    first: str
    folder: Path
    root: Path
    logger: logging.Logger
    open_store: Callable[[str], Store] | None = None
    settings: Settings | None = None
    made: dict[str, dict[str, Any]] = field(default_factory=dict)
    cursors: Callable[[str], Mapping[str, Any]] = field(default=lambda name: {})
    variables: Mapping[str, str] = field(default_factory=dict)
    logs: Mapping[str, Any] = field(default_factory=dict)
    moved: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    stands: dict[str, Outcome] = field(default_factory=dict)
    chosen: Collection[str] = ()
    plan: Plan = field(init=False)
    _handed: dict[str, Shared] = field(default_factory=dict)

    def __post_init__(self) -> None:
        given = {f"{name}.{key}" for name, told in self.made.items() for key in told.get("artifacts", {})}
        steps = [(self._step(use), use.where) for use in self.job.uses]
        self.plan = plan_of(self.job.name, steps, sources=given, loose=True)

    # ------------------------------------------------------------------ its steps

    def _step(self, use: ModUse) -> Step:
        return replace(
            use.step(self.job.uses),
            call=_Call(self, use),
            params=use.mod.shown({key: _told(value.value) for key, value in use.params.items()}),
            when=None if use.when is None else _When(self, use),
        )

    def told(self) -> dict[str, Any]:
        """All that the run is, as the ledger keeps it."""
        steps = [
            {
                "name": use.name,
                "mod": use.mod.name,
                "module": use.mod.module.__name__,
                "params": dict(node.step.params),
                "needs": list(use.needs),
                "when": use.when.text if use.when else None,
            }
            for use, node in zip(self.job.uses, self.plan.nodes, strict=True)
        ]
        about = {"job": self.job.key, "name": self.job.name, "first": self.first, CHOSEN: sorted(self.chosen)}
        return {**about, "steps": steps}

    def origins(self) -> dict[int, dict[str, str]]:
        """Where the parameters of each step were said."""
        return {place: {k: v.origin for k, v in use.params.items()} for place, use in enumerate(self.job.uses)}

    # ------------------------------------------------------------------ while it runs

    def note(self, result: Result) -> None:
        """Remember what a mod did, for those that come after it."""
        outcome = self.stands.get(result.name, result.outcome)
        not_run = outcome in (Outcome.SKIPPED, Outcome.CANCELLED) and result.error is None
        self.made[result.name] = {
            "status": SKIPPED if not_run else outcome.status,
            "exit_code": outcome.exit_code if result.name in self.stands else result.exit_code,
            "artifacts": dict(result.artifacts),
            "metrics": dict(result.metrics),
            "globals": dict(result.globals),
        }

    def values(self, use: ModUse) -> dict[str, Any]:
        """The parameters of a mod, now that those before it have run.

        Raises
        ------
        ParameterError
            What they refer to is not there.
        """
        handed = self._handed_to(use)
        said = dict(use.params)
        if not handed and not any(True for value in said.values() for _ in later_in(value.value)):
            return {name: value.value for name, value in said.items()}
        faults = Faults()
        layers = self.job.layers.at_run(self.made, _said(handed), faults)
        names = list(dict.fromkeys([use.name, use.mod.name]))
        params = layers.of(names, use.mod.known_params(), use.own, spellings=use.mod.spellings())
        for name, value in said.items():
            if name not in params:  # of the mod before it, or borrowed
                params[name] = Value(self._of_before(value.value, use), value.origin)
        if faults.found:
            raise ParameterError("; ".join(str(fault) for fault in faults.found), resource=use.name)
        return {name: value.value for name, value in params.items()}

    def _of_before(self, value: Any, use: ModUse) -> Any:
        if not isinstance(value, Later):
            return value
        there = self.made.get(value.of[0].mod, {}).get("artifacts", {})
        if OUTPUT not in there:
            raise DatasetNotFoundError(
                f"{use.name!r} reads the {OUTPUT} of {value.of[0].mod!r}, which made none.",
                cure=f"Say which artifact it reads: input_artifact: ${{mods.{value.of[0].mod}.artifacts.NAME}}.",
                resource=use.name,
            )
        return there[OUTPUT]

    def needless(self, use: ModUse) -> str | None:
        """Why a mod need not run, as its condition says; None if it is to run."""
        assert use.when is not None
        handed = self._handed_to(use)
        faults = Faults()
        references = self.job.layers.at_run(self.made, _said(handed), faults).references

        def resolve(text: str) -> Any:
            value = references.resolved(Value(text, use.where))
            if faults.found:
                raise ParameterError("; ".join(str(fault) for fault in faults.found), resource=use.name)
            return value

        return None if use.when.met(resolve) else f"{use.when.text} does not hold"

    def _handed_to(self, use: ModUse) -> Shared:
        """The globals that the mods before it hand on.

        Raises
        ------
        ParameterError
            Two of them, of which neither comes before the other, say different things.
        """
        place = next(place for place, node in enumerate(self.plan.nodes) if node.step.name == use.name)
        parents = self._parents(place)
        found: Shared = {}
        for parent in parents:
            for name, (value, maker) in self._handed_by(parent).items():
                if name in found and found[name][0] != value:
                    raise ParameterError(
                        f"{found[name][1]!r} and {maker!r} hand on different values of {name!r} to {use.name!r}.",
                        cure="Let one of them come before the other (needs:), or hand on another name.",
                        resource=name,
                    )
                found[name] = (value, maker)
        return found

    def _parents(self, place: int) -> list[int]:
        """The steps right before it, without those that come before another of them."""
        direct = self.plan.nodes[place].after
        above = {each for before in direct for each in self._above(before)}
        return [before for before in direct if before not in above]

    def below(self, name: str) -> list[str]:
        """The mods that build on one, right away or by others."""
        mine = next((place for place, use in enumerate(self.job.uses) if use.name == name), None)
        return [use.name for place, use in enumerate(self.job.uses) if mine in self._above(place)]

    def _above(self, place: int) -> set[int]:
        found: set[int] = set()
        todo = list(self.plan.nodes[place].after)
        while todo:
            each = todo.pop()
            if each not in found:
                found.add(each)
                todo += self.plan.nodes[each].after
        return found

    def _handed_by(self, place: int) -> Shared:
        name = self.plan.nodes[place].step.name
        if name not in self._handed:
            merged: Shared = {}
            for parent in self._parents(place):
                merged |= self._handed_by(parent)
            own = self.made.get(name, {}).get("globals", {})
            self._handed[name] = {**merged, **{key: (value, name) for key, value in own.items()}}
        return self._handed[name]

    def call(self, use: ModUse) -> Made:
        """Run one mod."""
        values = self.values(use)
        run = ModRun(
            run_id=self.run_id,
            mod=use.name,
            folder=self.folder / use.name,
            root=self.root,
            logger=self.logger.getChild(use.name),
            open_store=self.open_store,
            settings=self.settings,
            load_id=f"{self.first}:{use.name}",
            log_file=self.logs.get("log_file"),
            session_id=self.logs.get("session_id"),
            cursors=self.cursors(use.name),
            variables=self.variables,
        )
        made = use.mod.call(values, run)
        self.moved[use.name] = dict(run.moved)
        return made

    # ------------------------------------------------------------------ cursors

    def settled(self, rows: Mapping[str, Mapping[str, Any]], done: Collection[str]) -> Iterator[tuple[str, str, Any]]:
        """The cursors that may move: of sources of which all that depends on them is done, and a sink among it.

        What did not run because its condition did not hold holds none up.

        Parameters
        ----------
        rows : mapping
            Of each mod how far it has read its sources.
        done : collection of str
            The mods that are done.
        """
        needless = {name for name, told in self.made.items() if told["status"] == SKIPPED and not told["exit_code"]}
        for name in (use.name for use in self.job.uses):
            if name not in rows or name not in done:
                continue
            below = [self.job.use(other) for other in self.below(name)]
            kept = any(use.is_sink and use.name in done for use in below)
            if kept and all(use.name in done or use.name in needless for use in below):
                for source, value in rows[name].items():
                    yield name, source, value


@dataclass(frozen=True, slots=True)
class _Call:
    run: JobRun
    use: ModUse

    def __call__(self) -> Made:
        return self.run.call(self.use)


@dataclass(frozen=True, slots=True)
class _When:
    run: JobRun
    use: ModUse

    def __call__(self) -> str | None:
        return self.run.needless(self.use)


def _said(handed: Shared) -> dict[str, Value]:
    """Globals that mods handed on, as a file would say them: what stands in data refers to nothing."""
    return {name: Value(_literal(value), f"{maker}'s result") for name, (value, maker) in handed.items()}


def _literal(value: Any) -> Any:
    if isinstance(value, str):
        return value.replace("${", "$${")
    if isinstance(value, dict):
        return {key: _literal(each) for key, each in value.items()}
    return [_literal(each) for each in value] if isinstance(value, list) else value


def _told(value: Any) -> Any:
    """A value as it is recorded: what is not known yet as what it refers to."""
    if isinstance(value, Later):
        return "".join(map(str, value.of))
    if isinstance(value, dict):
        return {key: _told(each) for key, each in value.items()}
    return [_told(each) for each in value] if isinstance(value, list) else value
