"""Cases: which there are, what they need and how they are set, and new ones."""

from __future__ import annotations

import logging
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from framework.errors import ConfigurationException, DatasetExistsError, UnknownNameError, known_names
from framework.layers import Names, from_dotenv
from framework.workspace.keeping import Keeping

if TYPE_CHECKING:
    from collections.abc import Iterator

    from framework.engine.case import Project
    from framework.engine.flow import Choice, Flow, Loom
    from framework.engine.plan import Plan
    from framework.logs import Session

TEMPLATES = "templates"
LOGGING = "config/logging.yaml"
Params = Mapping[str, Any] | Iterable[str]


class Cases(Keeping):
    """What a workspace knows of its cases; see `Workspace` for the parameters."""

    @property
    def loom(self) -> Loom:
        """Makes the cases of this workspace ready."""
        from framework.engine.flow import Loom

        return Loom(
            self.settings.workspace, self.store, self.logger or logging.getLogger("millpond.case"), self.variables
        )

    @property
    def variables(self) -> dict[str, str]:
        """The environment, and what `.env` adds to it."""
        _, variables = from_dotenv(self.settings.workspace / ".env", Names((), ()))
        return {**variables, **os.environ}

    @property
    def project(self) -> Project:
        """What the project's own files say."""
        from framework.engine.case import Project

        return Project.read(self.settings.workspace)

    def cases(self) -> list[str]:
        """The names of the cases."""
        return self.project.cases()

    def flow(
        self,
        case: str | os.PathLike[str],
        params: Params = (),
        *,
        choice: Choice | None = None,
        section: str = "pipeline",
    ) -> Flow:
        """The case, checked and ready.

        Raises
        ------
        CaseError
            Holds all that is wrong with it.
        """
        from framework.engine.flow import Choice

        return self.loom.flow(case, settings=as_settings_texts(params), choice=choice or Choice(), section=section)

    def plan(self, case: str | os.PathLike[str], params: Params = ()) -> Plan:
        """The steps of a case and their edges."""
        return self.flow(case, params).plan

    def parameters(self, case: str | os.PathLike[str], params: Params = ()) -> list[dict[str, Any]]:
        """Each parameter of each step of a case, with the place that says it."""
        flow = self.flow(case, params)
        rows = []
        for place, node in enumerate(flow.plan.nodes):
            for name, value in node.step.params.items():
                origin = flow.origins[place].get(name, "default")
                rows.append({"step": node.step.name, "parameter": name, "value": value, "from": origin})
        return rows

    @contextmanager
    def session(
        self,
        stem: str,
        *,
        level: str | int | None = None,
        folder: str | os.PathLike[str] | None = None,
        join: Session | None = None,
    ) -> Iterator[Path]:
        """While a command runs something: its log goes to a file of its own, `logs/<stem>_<time>.log`.

        `config/logging.yaml` says from which level on, or more, as `logging.config.dictConfig` takes it;
        `logging:` of the project where the files lie (`base_path`), the level, and for how long (`retention_days`).

        Parameters
        ----------
        level, folder : optional
            What wins over them.
        join : Session, optional
            Another process's.
        """
        from framework.logs import configure, session_log
        from framework.yaml import read_yaml

        root = self.settings.workspace
        said = self.project.said("logging", {})
        said = said if isinstance(said, dict) else {}
        more = read_yaml(root / LOGGING).value if (root / LOGGING).is_file() else None
        more = {"level": more} if isinstance(more, str) else more
        known = configure(more, LOGGING) if isinstance(more, dict) else said.get("level", "INFO")
        days = said.get("retention_days")
        days = float(days) if isinstance(days, (int, float)) and days > 0 else None
        place = Path(root, os.path.expanduser(folder or said.get("base_path", "logs")))
        with session_log(place, stem, level=known if level is None else level, keep_days=days, join=join) as path:
            yield path

    def reference(self) -> str:
        """Every step, handler, store, scraper and calculator of this workspace, as Markdown."""
        from framework.workspace.reference import reference

        loom = self.loom
        return reference(loom.catalog, loom.handlers(), self.settings.workspace)

    # ------------------------------------------------------------------ new ones

    def templates(self) -> list[str]:
        """The names of the templates of cases."""
        folder = self._templates
        names = {path.name for path in folder.iterdir() if (path / "case.yaml").is_file()} if folder.is_dir() else set()
        files = folder.glob("*.yaml") if folder.is_dir() else ()
        return sorted(names | {path.stem.removesuffix("_case") for path in files})

    @property
    def _templates(self) -> Path:
        return self.settings.workspace / str(self.project.said("templates_root", TEMPLATES))

    def new_case(self, name: str, template: str) -> Path:
        """A case from a template, NAME_case.yaml, NAME.yaml or a folder NAME: its folder.

        Raises
        ------
        DatasetExistsError
            There is a case of that name; nothing is overwritten.
        """
        root, folder = self.project.cases_root, self._templates
        target = Path(os.path.normpath(root / name))
        if not target.is_relative_to(root) or target == root:
            raise ConfigurationException(f"{name!r} is no name of a case.", cure="Use letters, digits, '_' and '-'.")
        if (target / "case.yaml").exists():
            raise DatasetExistsError(f"There is a case {name!r} already.", cure="Choose another name.", resource=name)
        for source in (folder / f"{template}_case.yaml", folder / f"{template}.yaml", folder / template):
            if source.is_dir() and (source / "case.yaml").is_file():
                shutil.copytree(source, target, dirs_exist_ok=True)
                return target
            if source.is_file():
                target.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source, target / "case.yaml")
                return target
        raise UnknownNameError(
            f"There is no template {template!r}.", cure=known_names(template, self.templates()), resource=template
        )


def as_settings_texts(params: Params) -> list[Any]:
    """Parameters of a call, as `--set` takes them."""
    if not isinstance(params, Mapping):
        return list(params)
    found: list[Any] = []
    for name, value in params.items():
        pairs: Sequence[tuple[str, Any]] = (
            [(f"{name}.{key}", each) for key, each in value.items()] if isinstance(value, Mapping) else [(name, value)]
        )
        found += pairs
    return found
