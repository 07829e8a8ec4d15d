"""A case: a folder with a case.yaml, which says what data there is and which steps run on it."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from framework.engine.entries import FILE, TABLES, Entry, read_entries
from framework.engine.faults import Faults
from framework.engine.parameters import PREFIX, Layers, Setting, Value, in_capitals, mapping_at
from framework.engine.uses import Use, Uses, are_texts, of_type
from framework.errors import ConfigurationException, StorageError, UnknownNameError, known_names
from framework.steps.discovery import Catalog
from framework.yaml import Document, read_yaml

__all__ = ["FILE", "SECTIONS", "Case", "Project", "Reader", "Use"]

KEYS = (
    "case_name",
    "description",
    *TABLES,
    "pipeline",
    "generate_data",
    "globals",
    "replayable",
    "on_failure",
)
SECTIONS = ("pipeline", "generate_data")


@dataclass(frozen=True, slots=True)
class Case:
    """A case that has been read, without a fault of its own.

    Attributes
    ----------
    folder : Path
    name : str
    entries : mapping
        Its data.
    uses : tuple of Use
        Its steps that are not switched off, in the file's order.
    replayable : bool
        Whether what it reads is kept with each run.
    on_failure : str, optional
        A command, or an address, told of a run that failed.
    generates : bool
        Whether it says how its data can be made up.
    """

    folder: Path
    name: str
    entries: Mapping[str, Entry]
    uses: tuple[Use, ...]
    replayable: bool = False
    on_failure: str | None = None
    generates: bool = False

    @property
    def key(self) -> str:
        """By what its runs are found again."""
        return str(self.folder)


@dataclass(slots=True)
class Project:
    """What all cases of a workspace share.

    Attributes
    ----------
    root : Path
    files : tuple of Document
        config/global.yaml and project_defaults.yaml, those that there are, lowest first.
    """

    root: Path
    files: tuple[Document, ...] = ()

    GLOBAL = "config/global.yaml"
    DEFAULTS = "project_defaults.yaml"
    GLOBAL_KEYS = ("cases_root", "plugin_modules", "plugins", "globals", "logging", "templates_root")
    DEFAULTS_KEYS = (*GLOBAL_KEYS, "project_name", "project_version", "mod_defaults")

    @classmethod
    def read(cls, root: Path) -> Project:
        """The project's own files; CaseError for what is wrong with them."""
        faults, files = Faults(), []
        for name, keys in ((cls.GLOBAL, cls.GLOBAL_KEYS), (cls.DEFAULTS, cls.DEFAULTS_KEYS)):
            if not (root / name).is_file():
                continue
            document = as_document(root / name, root, faults)
            for key in document.value:
                if key not in keys:
                    faults.unknown(document.where((key,)), f"there is no key {key!r} here.", key, keys)
            for key in ("cases_root", "templates_root"):
                if not isinstance(document.value.get(key), (str, type(None))):
                    faults.add(document.where((key,)), f"{key} is not text.", f"{key}: a/folder")
            modules = document.value.get("plugin_modules")
            if modules is not None and not are_texts(modules):
                faults.add(
                    document.where(("plugin_modules",)),
                    "plugin_modules is not a list of names.",
                    "plugin_modules: [my_steps]",
                )
            files.append(document)
        faults.check("the project's configuration")
        return cls(root, tuple(files))

    def said(self, key: str, default: Any) -> Any:
        """What the highest of its files says."""
        return next((d.value[key] for d in reversed(self.files) if d.value.get(key) is not None), default)

    def catalog(self) -> Catalog:
        """The steps that it has; ConfigurationException, with its place, for a module that there is not."""
        try:
            return Catalog(self.root, self.said("plugin_modules", []))
        except ConfigurationException as error:
            where = next(
                (d.where(("plugin_modules",)) for d in reversed(self.files) if d.value.get("plugin_modules")), ""
            )
            raise ConfigurationException(
                f"{where}: {error.message}", cure=error.cure, resource=error.resource
            ) from error

    @property
    def cases_root(self) -> Path:
        return Path(self.root, self.said("cases_root", "cases"))

    def cases(self) -> list[str]:
        """The names of its cases."""
        root = self.cases_root
        return sorted(p.parent.relative_to(root).as_posix() for p in root.rglob(FILE)) if root.is_dir() else []

    def case_folder(self, case: str | os.PathLike[str]) -> Path:
        """The folder of a case, by its name under `cases_root` or its path; UnknownNameError."""
        text = os.fspath(case)
        for folder in (self.cases_root / text, Path(text).expanduser().absolute(), self.root / text):
            if os.path.isfile(folder / FILE):  # False for what can be no path
                return Path(os.path.abspath(folder))
        raise UnknownNameError(
            f"There is no case {text!r}: neither under {shown(self.cases_root, self.root)} nor as a folder with a "
            f"{FILE}.",
            cure=known_names(text, self.cases()),
            resource=text,
        )


@dataclass(slots=True)
class Reader:
    """Reads a case with all its faults.

    Parameters
    ----------
    project : Project
    catalog : Catalog
    settings : sequence of Setting
        Of `--set`.
    environ, variables : mapping
        See `Layers`.
    """

    project: Project
    catalog: Catalog
    settings: Sequence[Setting] = ()
    environ: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    variables: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))

    def read(self, folder: Path, faults: Faults, *, section: str = "pipeline") -> Case:
        """The case in `folder`, as far as it can be read; what is wrong with it is in `faults`."""
        document = as_document(folder / FILE, self.project.root, faults)
        if not document.value and faults.count:
            return Case(folder, folder.name, {}, ())
        for key in document.value:
            if key not in KEYS:
                faults.unknown(document.where((key,)), f"there is no key {key!r} in a case.", key, KEYS)
        layers = Layers(self.project.files, document, self.settings, self.environ, self.variables, faults)
        said = _resolved(document, layers)
        document = Document(said, document.name, document.lines)
        entries = read_entries(document, folder, faults)
        uses = tuple(Uses(self.catalog, document, section, layers, entries, faults).read())
        self._check_layers(uses, document, faults)
        name = of_type(said, "case_name", (str, int, float), "text", document, faults)
        replayable = of_type(said, "replayable", bool, "true or false", document, faults)
        hook = of_type(said, "on_failure", str, "a command or an address", document, faults)
        generates = section != "generate_data" and bool(said.get("generate_data"))
        return Case(folder, str(name or folder.name), entries, uses, bool(replayable), hook, generates)

    def _check_layers(self, uses: Sequence[Use], document: Document, faults: Faults) -> None:
        """What the layers say of steps that there are not, which nobody would miss."""
        titles = {title for section in SECTIONS for title in _titles(document.value.get(section))}
        known = {*self.catalog.names(), *titles, *(use.name for use in uses)}
        for file in self.project.files:
            for name in mapping_at(file, ("plugins",), faults):
                if name not in known:
                    faults.unknown(file.where(("plugins", name)), self._no_step(name), name, known)
        used = {name for use in uses for name in (use.name, use.found.name)}
        for setting in self.settings:
            if not any(setting.route(name) for name in used):
                step = setting.target.rpartition(".")[0]
                if not faults.count or step not in titles:  # else its own fault is told
                    faults.unknown(setting.origin, f"the case has no step {step!r} that is switched on.", step, used)
        spelled = {in_capitals(name) for name in known}
        for variable in self.environ:
            step, _, param = variable.removeprefix(PREFIX).partition("__")
            if not variable.startswith(PREFIX) or (param and step in spelled):
                continue
            if param:
                faults.unknown(f"environment {variable}", f"there is no step {step}.", step, spelled)
            else:
                faults.add(f"environment {variable}", "this is not MILLPOND__<STEP>__<PARAM>.")

    def _no_step(self, name: str) -> str:
        broken = "".join(f" {each.where} cannot be read: {each.why}." for each in self.catalog.unreadable)
        return f"there is no step {name!r}.{broken}"


def as_document(path: Path, root: Path, faults: Faults) -> Document:
    """A YAML file that is a mapping; an empty one, with what is wrong in `faults`, where it is not."""
    name = shown(path, root)
    document = Document({}, name, {})
    with faults.noted(name):
        try:
            read = read_yaml(path)
        except StorageError as error:
            raise ConfigurationException(f"the file cannot be read: {error.message}", cure=error.cure) from error
        document = Document({} if read.value is None else read.value, name, read.lines)
    if isinstance(document.value, dict):
        return document
    faults.add(document.where(), "the file is not a mapping.", "Write lines of `name: value`.")
    return Document({}, name, {})


def _resolved(document: Document, layers: Layers) -> dict[str, Any]:
    """What the document says, with references replaced but in its steps, whose come with their layers."""
    value = dict(document.value)
    for key in value:
        if key in TABLES and isinstance(value[key], dict):
            value[key] = {
                name: layers.references.resolved(Value(said, document.where((key, name))))
                for name, said in value[key].items()
            }
        elif key not in (*SECTIONS, "globals", "on_failure"):  # the shell replaces what a command refers to
            value[key] = layers.references.resolved(Value(value[key], document.where((key,))))
    return value


def _titles(steps: Any) -> Iterator[str]:
    """What steps are called, of those that say it."""
    for said in steps if isinstance(steps, list) else ():
        said = {"plugin": said} if isinstance(said, str) else said
        if isinstance(said, dict):
            yield from (said[key] for key in ("plugin", "name") if isinstance(said.get(key), str))


def shown(path: Path, root: Path) -> str:
    return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)
