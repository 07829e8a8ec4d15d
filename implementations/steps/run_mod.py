"""`RunMod`: any mod as a step of a case, whose data become its artifacts, and its artifacts data."""

from __future__ import annotations

import json
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from framework.errors import BaseFrameworkException, FidelityError, ParameterError
from framework.files import make_folder, replace_bytes
from framework.mods.base import IS_FILE, paths_of
from framework.mods.catalog import Mods
from framework.mods.mod import Mod
from framework.mods.run import ModRun
from framework.steps.base_plugin import BasePlugin
from framework.steps.context import Hub
from framework.steps.step import Made

PROVIDES = {
    "kind": "plugin",
    "name": "RunMod",
    "object": "RunMod",
    "summary": "A mod as a step: config: {mod: NAME, parameter: value}",
}
WIRED = ("inputs", "outputs", "mod")
NOWHERE = Path("/")  # of a case's own folders no mod is taken: it has steps of its own


class Chosen(BaseModel):
    """Which mod, and its parameters beside it."""

    model_config = ConfigDict(extra="allow", hide_input_in_errors=True)

    mod: str = Field(description="the name of a mod, of Millpond's or of an installed distribution")

    @model_validator(mode="after")
    def _has_good_parameters(self) -> Chosen:
        try:
            mod = Mods(NOWHERE).load(self.mod)
        except BaseFrameworkException as error:
            raise ValueError(str(error)) from None
        params = dict(self.__pydantic_extra__ or {})
        for name in _reads(mod):
            if name in params:  # else a run that is resumed would not know that the file has changed
                raise ValueError(f"{name} of {self.mod} is data: name it under inputs, a file with `handler: bytes`")
        wrong = [f"{name}: {why}" if why else f"no parameter {name!r}" for name, why in mod.faults(params, _reads(mod))]
        if wrong:
            raise ValueError(f"{self.mod}: {'; '.join(wrong)}; known: {', '.join(mod.known_params())}")
        return self


class RunMod(BasePlugin):
    """A mod as a step: `config: {mod: NAME, parameter: value}`.

    The data of its `inputs` are what the mod reads: artifacts first, then files, each in the order of its parameters.
    The names of its `outputs` are given to what it makes, in the order of its METADATA. What that calls `optional` may
    be left out; any other of its outputs that is not made is a warning.
    """

    Params = Chosen

    def run(self, data_hub: Hub) -> Made:
        """Run the mod on files that are gone afterwards; which of its outputs it left out, as it may."""
        root = Path(getattr(data_hub, "case_path", Path.cwd()))
        mod = Mods(NOWHERE).load(self.config["mod"])
        values = {name: value for name, value in self.config.items() if name not in WIRED}
        with tempfile.TemporaryDirectory(prefix="millpond-mod-") as folder:
            run = ModRun(f"{mod.name}_{uuid.uuid4().hex[:8]}", mod.name, Path(folder), root, self.logger)
            values |= self._read(mod, data_hub, Path(folder))
            made = mod.call(values, run)
            for warning in made.warnings:
                self.logger.warning("%s: %s", mod.name, warning)
            artifacts = made.told.artifacts if made.told is not None else {}
            left_out: dict[str, None] = {}
            for name, key in self._made(mod):
                if key in artifacts:
                    data_hub.register(name, _loaded(run.at(artifacts[key])))
                elif key in mod.metadata.artifacts.optional:
                    left_out[name] = None
            return Made(left_out)

    def _read(self, mod: Mod, data_hub: Hub, folder: Path) -> dict[str, str]:
        """The data of its inputs as files, by the parameters that take them."""
        names, free = list(self.config["inputs"]), _reads(mod)
        if len(names) > len(free):
            raise ParameterError(
                f"{mod.name} reads {len(free)} data, and has the inputs {', '.join(names)}.",
                cure=f"It takes {', '.join(free) or 'none'}.",
                resource=mod.name,
            )
        read = folder / "read"
        return {
            param: str(_kept(data_hub.get(name), read / param, name)) for param, name in zip(free, names, strict=False)
        }

    def _made(self, mod: Mod) -> Iterator[tuple[str, str]]:
        names, made = list(self.config["outputs"]), mod.metadata.artifacts.makes
        if len(names) > len(made):
            raise ParameterError(
                f"{mod.name} makes {len(made)} data, and has the outputs {', '.join(names)}.",
                cure=f"It makes {', '.join(made) or 'none'}.",
                resource=mod.name,
            )
        yield from zip(names, made, strict=False)


def _reads(mod: Mod) -> list[str]:
    """The parameters that hold what it reads."""
    return list(dict.fromkeys([*mod.consumes, *paths_of(mod.model, IS_FILE)]))


def _kept(data: Any, folder: Path, name: str) -> Path:
    """Data as a file in a folder of its own: a frame as Parquet, bytes and texts as they are, what is plain as JSON."""
    from framework.lazy import pd
    from framework.mods.artifacts import write_frame

    if isinstance(data, Path):
        return data
    path = folder / name.replace("/", "_")
    if isinstance(data, pd.DataFrame):
        path = path.with_name(f"{path.name}.parquet")
        write_frame(path, data)
    elif isinstance(data, bytes | bytearray | str | dict | list):
        made = json.dumps(data, allow_nan=False) if isinstance(data, dict | list) else data
        make_folder(path.parent)
        replace_bytes(path, made.encode() if isinstance(made, str) else bytes(made))
    else:
        raise FidelityError(
            f"The data {name!r} is a {type(data).__name__}, which is no file that a mod reads.",
            cure="Give it a frame, bytes, text, or what JSON holds.",
        )
    return path


def _loaded(path: Path) -> Any:
    """What a mod made, as data: a frame, what its JSON holds, or its bytes."""
    from framework.mods.artifacts import read_frame

    if path.suffix == ".parquet":
        return read_frame(path)
    return json.loads(path.read_bytes()) if path.suffix == ".json" else path.read_bytes()
