"""A job: a file whose `mods:` run in their order, each with its parameters, and `steps:` that say how.

globals:  {base_path: /data}
mods:     {csv_reader: {input_path: customers.csv}, data_cleaner: {null_strategy: drop}}
steps:    {data_cleaner: {retries: 2, timeout: 60}}
"""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from framework.engine.case import Project, as_document
from framework.engine.faults import Faults
from framework.engine.mod_uses import ModUse, ModUses, number_at
from framework.engine.parameters import GLOBALS, PREFIX, Layers, Setting, Value, in_capitals, mapping_at
from framework.engine.uses import of_type
from framework.mods.catalog import Mods
from framework.yaml import Document

KEYS = (
    "job_name",
    "description",
    "globals",
    "mods",
    "steps",
    "lock",
    "timeout",
    "parallel",
    "on_failure",
    "project_name",
)


@dataclass(frozen=True, slots=True)
class Job:
    """A job that has been read, without a fault.

    Attributes
    ----------
    key : str
        By what its runs are found again.
    globals : mapping
        As they are before anything runs.
    uses : tuple of ModUse
        In the order of the file.
    alone : bool
        Whether one run of it goes on at a time.
    """

    name: str
    key: str
    uses: tuple[ModUse, ...]
    globals: Mapping[str, Any]
    layers: Layers
    alone: bool = True
    timeout: float | None = None
    parallel: int = 1
    on_failure: str | None = None
    project: str = ""

    def use(self, name: str) -> ModUse:
        """The use of that name."""
        return next(use for use in self.uses if use.name == name)


@dataclass(slots=True)
class JobReader:
    """Reads jobs with all their faults.

    Parameters
    ----------
    project : Project
    mods : Mods
    settings : sequence of Setting
        Of `--set`, or of the call.
    environ, variables : mapping
        See `Layers`.
    """

    project: Project
    mods: Mods
    settings: Sequence[Setting] = ()
    environ: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    variables: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))

    def read(self, path: Path, faults: Faults, *, names: Collection[str] = ()) -> Job:
        """The job of a file; of its mods those called `names`, all unless given."""
        document = as_document(path, self.project.root, faults)
        return self.of(document, str(path), path.stem, faults, names=names)

    def of(self, document: Document, key: str, name: str, faults: Faults, *, names: Collection[str] = ()) -> Job:
        """The job that a document says."""
        for each in document.value:
            if each not in KEYS:
                faults.unknown(document.where((each,)), f"there is no key {each!r} in a job.", each, KEYS)
        blocks = mapping_at(document, ("mods",), faults)
        if not blocks and not faults.count:
            faults.add(document.where(("mods",)), "a job has no mods.", "Write `mods:` and `NAME: {...}` under it.")
        layers = self._layers(document, list(blocks), faults)
        said = {k: layers.references.resolved(Value(v, document.where((k,)))) for k, v in document.value.items()
                if k not in ("globals", "mods", "steps", "on_failure")}  # fmt: skip
        uses = ModUses(self.mods, document, layers, faults, list(blocks), set(names)).read()
        self._check_layers(document, uses, faults)
        plain = Document({**document.value, **said}, document.name, document.lines)
        alone = of_type(plain.value, "lock", bool, "true or false", plain, faults)
        hook = of_type(plain.value, "on_failure", str, "a command or an address", plain, faults)
        title = of_type(plain.value, "job_name", str, "text", plain, faults)
        parallel = number_at(plain, ("parallel",), faults, 1, least=1, whole=True)
        timeout = number_at(plain, ("timeout",), faults, None)
        shared = {each: layers.references.of_global(each) for each in layers.references.globals}
        project = str(plain.value.get("project_name") or self.project.said("project_name", ""))
        return Job(
            title or name,
            key,
            tuple(uses),
            shared,
            layers,
            alone is not False,
            timeout,
            int(parallel or 1),
            hook,
            project,
        )

    def _layers(self, document: Document, names: Collection[str], faults: Faults) -> Layers:
        return Layers(
            self.project.files,
            document,
            self.settings,
            self.environ,
            self.variables,
            faults,
            table="mod_defaults",
            root=self.project.root,
            mods=names,
        )

    def _check_layers(self, document: Document, uses: Sequence[ModUse], faults: Faults) -> None:
        """What the layers say of mods that there are not, which nobody would miss."""
        blocks = set(mapping_at(document, ("mods",), faults))
        here = {name for use in uses for name in (use.name, use.mod.name)} | blocks
        for file in self.project.files:
            for name in mapping_at(file, ("mod_defaults",), faults):
                if name not in here and name not in self.mods.names():
                    known = {*self.mods.names(), *here}
                    faults.unknown(file.where(("mod_defaults", name)), f"there is no mod {name!r}.", name, known)
        for setting in self.settings:
            if setting.target.startswith(GLOBALS) or any(setting.route(name) for name in here):
                continue
            step = setting.target.rpartition(".")[0]
            faults.unknown(setting.origin, f"the job has no mod {step!r}.", step, here)
        spelled = {in_capitals(name) for name in here}
        for variable in self.environ:
            step, _, param = variable.removeprefix(PREFIX).partition("__")
            if variable.startswith(PREFIX) and not param:
                faults.add(f"environment {variable}", "this is not MILLPOND__<MOD>__<PARAM>.")
            elif variable.startswith(PREFIX) and step not in spelled and step not in self._capitals:
                faults.unknown(f"environment {variable}", f"there is no mod {step}.", step, spelled)

    @property
    def _capitals(self) -> set[str]:
        return {in_capitals(name) for name in self.mods.names()}


__all__ = ["Job", "JobReader"]
