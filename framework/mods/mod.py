"""A mod: a module with METADATA, Params and run; checked once it is loaded, and called through here alone."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from glob import has_magic, iglob
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, ClassVar

from framework.attempt import attempt
from framework.errors import DatasetNotFoundError, ModError, ParameterError, PluginException
from framework.mods.base import IS_ARTIFACT, IS_FILE, IS_MADE, BaseModParams, ModMetadata, paths_of
from framework.mods.run import ModRun, running
from framework.results import Outcome
from framework.steps import Made, Told
from framework.steps.models import Unfit, keys_of, masked, unfit

if TYPE_CHECKING:
    from pydantic import BaseModel

STATUSES = ("success", "warning", "error")
MEMORY = "memory_used_mb"
OUTPUT = "output_data"
Json = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Mod:
    """A module that is a mod.

    Attributes
    ----------
    metadata : ModMetadata
    model : pydantic model
        Its Params.
    """

    module: ModuleType
    metadata: ModMetadata
    model: type[BaseModel]

    sources: ClassVar[Mapping[str, Any]] = {}
    sinks: ClassVar[Mapping[str, Any]] = {}

    @classmethod
    def of(cls, module: ModuleType, where: str) -> Mod:
        """The mod that a module is; PluginException that says all that it lacks."""
        lacking = list(_lacking(module))
        if lacking:
            raise PluginException(
                f"{where} is no mod: {'; '.join(lacking)}.",
                cure="A mod has METADATA = ModMetadata(name=..., version=..., description=...), "
                "class Params(BaseModParams) and def run(params) -> dict; millpond new-mod NAME writes one.",
                resource=where,
            )
        return cls(module, module.METADATA, module.Params)

    @property
    def name(self) -> str:
        return self.metadata.name

    @property
    def path(self) -> Path | None:
        """The file that it is written in."""
        found = getattr(self.module, "__file__", None)
        return Path(found) if found else None

    @property
    def summary(self) -> str:
        return self.metadata.description

    # ------------------------------------------------------------------ its parameters

    def known_params(self) -> list[str]:
        """The names of its parameters."""
        return list(self.model.model_fields)

    def spellings(self) -> Mapping[str, str]:
        """Other names of its parameters."""
        return {key: name for name, key in keys_of(self.model).items() if key != name}

    def shown(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """The parameters without what is secret."""
        return masked(params, self.model)

    def faults(self, params: Mapping[str, Any], later: Collection[str] = ()) -> Unfit:
        """What is wrong with the parameters, each with the name at fault; those of `later` are not known yet."""
        return unfit(self.model, params, tuple(later))

    @property
    def consumes(self) -> list[str]:
        """Its parameters that hold artifacts of other mods."""
        marked = paths_of(self.model, IS_ARTIFACT)
        return list(dict.fromkeys([*self.metadata.artifacts.consumes, *marked]))

    # ------------------------------------------------------------------ calling it

    def prepared(self, values: Mapping[str, Any], run: ModRun) -> BaseModel:
        """Its Params, paths of what it reads made whole and seen to be there.

        Raises
        ------
        ParameterError
            With all that is wrong; or what it makes would lie where it reads, or where it makes something else.
        DatasetNotFoundError
            A file that it reads is not there.
        """
        other = self.spellings()
        values = {other.get(name, name): value for name, value in values.items()}
        wrong = [f"{name}: {why}" if why else f"there is no parameter {name!r}" for name, why in self.faults(values)]
        if wrong:
            raise ParameterError(
                f"{run.mod}: {'; '.join(wrong)}.", cure=f"Known: {', '.join(self.known_params())}.", resource=run.mod
            )
        keys = keys_of(self.model)
        params = self.model(**{keys.get(name, name): value for name, value in values.items()})
        base = getattr(params, "base_path", None)
        whole: dict[str, Any] = {}
        for name in dict.fromkeys([*paths_of(self.model, IS_FILE), *self.consumes]):
            given = getattr(params, name, None)
            if given is not None:
                whole[name] = _each(given, lambda text, base=base: str(run.at(text, base)))
        for path in _texts(whole):
            _check_there(path)
        makes = {name: getattr(params, name, None) for name in paths_of(self.model, IS_MADE)}
        check_apart(run, whole, {name: _each(given, lambda text: str(run.at(text))) for name, given in makes.items()})
        return params.model_copy(update=whole)

    def call(self, values: Mapping[str, Any], run: ModRun) -> Made:
        """Run it: what it told, and its artifacts as data named `<mod>.<artifact>`.

        Raises
        ------
        ModError
            It answered that it failed, or answered what is no result.
        """
        params = self.prepared(values, run)
        _begin_peak()
        with running(run):
            answer = self.module.run(params)
        return self._made(answer, run)

    def _made(self, answer: Any, run: ModRun) -> Made:
        said = _checked(answer, self.name)
        metrics = {**said["metrics"], MEMORY: said["metrics"].get(MEMORY, _peak())}
        artifacts = {name: str(path) for name, path in said["artifacts"].items()}
        there = {name: Path(run.at(path)) for name, path in artifacts.items() if os.path.exists(run.at(path))}
        metrics |= {f"{name}_exists": False for name in artifacts if name not in there}
        described = self._described(there, run) if answer["status"] != "error" else {}
        told = Told(
            _outcome(said["status"], said["exit_code"]).name,
            metrics,
            {**artifacts, **described},
            dict(said["globals"]),
            dict(run.moved),
        )
        made = Made({f"{run.mod}.{name}": path for name, path in there.items()}, list(said["warnings"]), told)
        if said["status"] == "error":
            errors = list(said["errors"]) or [f"{self.name} failed, and does not say why"]
            raise ModError("; ".join(errors), errors, exit_code=said["exit_code"], made=made, resource=run.mod)
        return made

    def _described(self, there: Mapping[str, Path], run: ModRun) -> dict[str, str]:
        """`x.metadata.json` beside each Parquet file, told as the artifact `metadata` of the first."""
        from framework.mods.artifacts import describe

        told: dict[str, str] = {}
        for name, path in there.items():
            if path.suffix == ".parquet" and path.is_file():
                beside = describe(path, mod=self.name, version=self.metadata.version, run_id=run.run_id)
                told.setdefault("metadata" if name == OUTPUT or not told else f"{name}_metadata", str(beside))
        return told


def _lacking(module: ModuleType) -> Iterator[str]:
    """What a module lacks to be a mod."""
    metadata, params, run = (getattr(module, name, None) for name in ("METADATA", "Params", "run"))
    if not isinstance(metadata, ModMetadata):
        yield "it has no METADATA" if metadata is None else "its METADATA is no ModMetadata"
    if not (isinstance(params, type) and issubclass(params, BaseModParams)):
        yield "it has no class Params" if params is None else "its Params is not derived from BaseModParams"
    elif isinstance(metadata, ModMetadata):
        own = params.__private_attributes__.get("_metadata")
        said = own.get_default() if own is not None else None
        if said is not None and said != metadata:
            yield "the _metadata of its Params is not its METADATA"
    if not callable(run):
        yield "it has no function run"


def _checked(answer: Any, name: str) -> dict[str, Any]:
    """The dictionary of a mod, whole; ModError for what is none."""
    kinds = {"metrics": Mapping, "artifacts": Mapping, "globals": Mapping, "warnings": list, "errors": list}
    wrong = None
    if not isinstance(answer, Mapping):
        wrong = f"returned {type(answer).__name__}, not a dictionary"
    elif answer.get("status") not in STATUSES:
        wrong = f"returned the status {answer.get('status')!r}, which is none of {', '.join(STATUSES)}"
    else:
        wrong = next(
            (f"returned {key} that is no {kind.__name__.lower()}" for key, kind in kinds.items()
             if not isinstance(answer.get(key, kind() if kind is list else {}), kind)),
            None,
        )  # fmt: skip
    if wrong is not None:
        words = f"{name} {wrong}."
        raise ModError(f"{words} Build it with ModResult.", [f"{words} Build it with ModResult."], resource=name)
    whole: dict[str, Any] = {"metrics": {}, "artifacts": {}, "globals": {}, "warnings": [], "errors": [], **answer}
    whole |= {key: _plain(whole[key]) for key in ("metrics", "globals")}
    code = whole.get("exit_code")
    by_status = {"success": 0, "warning": 10, "error": 30}[whole["status"]]
    bad = whole["status"] == "error" and code in (20, 30, 40, 50)
    return {**whole, "exit_code": code if bad else by_status}


def _plain(value: Any) -> Any:
    """The value as JSON has it, so that what a run is told and what is read of it later are the same."""
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, (str, bool, int)) or value is None:
        return value
    if isinstance(value, Mapping):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [_plain(each) for each in value]
    if hasattr(value, "isoformat"):
        return value.isoformat()
    one = attempt("value", value.item).value if hasattr(value, "item") else None  # of numpy
    return str(value) if one is None else _plain(one)


def _outcome(status: str, exit_code: int) -> Outcome:
    if status != "error":
        return Outcome.SUCCESS if status == "success" else Outcome.WARNING
    return {40: Outcome.TIMEOUT, 50: Outcome.CANCELLED}.get(exit_code, Outcome.ERROR)


def check_apart(run: ModRun, reads: Mapping[str, Any], makes: Mapping[str, Any]) -> None:
    """ParameterError where a file that is made would take the place of one that is read, or of another that is made.

    Parameters
    ----------
    reads, makes : mapping
        By parameter: a whole path, or several; of what is read, also patterns.
    """
    taken = [(name, path) for name, value in reads.items() for text in _texts(value) for path in _found(text)]
    for name, path in ((name, path) for name, value in makes.items() for path in _texts(value)):
        other = next((other for other, place in taken if _is_same(path, place)), None)
        if other is not None:
            raise ParameterError(
                f"{run.mod}: {name} and {other} are one file, {path}, which would be lost.",
                cure=f"Give {name} a place of its own.",
                resource=run.mod,
            )
        taken.append((name, path))


def _found(text: str) -> Iterator[str]:
    yield text
    if has_magic(text):
        yield from iglob(text)


def _is_same(path: str, other: str) -> bool:
    """Whether they are one file, by whatever name; neither need be there."""
    if os.path.realpath(path) == os.path.realpath(other):
        return True
    with suppress(OSError):
        return os.path.isfile(path) and os.path.samefile(path, other)
    return False


def _each(value: Any, change: Any) -> Any:
    """The value with every text in it changed."""
    if isinstance(value, str):
        return change(value)
    if isinstance(value, Mapping):
        return {key: _each(each, change) for key, each in value.items()}
    return [_each(each, change) for each in value] if isinstance(value, (list, tuple)) else value


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, (Mapping, list)):
        for each in value.values() if isinstance(value, Mapping) else value:
            yield from _texts(each)


def _check_there(path: str) -> None:
    if os.path.exists(path) or (has_magic(path) and next(iglob(path), None) is not None):
        return
    folder = Path(path).parent
    cure = "Correct the path, or base_path." if folder.is_dir() else f"There is no folder {folder} either."
    raise DatasetNotFoundError(f"File not found: {path}", cure=cure, resource=path)


# --------------------------------------------------------------------------- memory


def _begin_peak() -> None:
    """Let the system count the most memory from now on; where it cannot, the process's whole life counts."""
    with suppress(OSError), open("/proc/self/clear_refs", "w") as asked:
        asked.write("5")


def _peak() -> float:
    """The most memory that the process has had since, in MB."""
    with suppress(OSError, StopIteration, ValueError), open("/proc/self/status") as told:
        line = next(line for line in told if line.startswith("VmHWM:"))
        return round(int(line.split()[1]) / 1024, 1)
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (2**20 if sys.platform == "darwin" else 1024), 1)
