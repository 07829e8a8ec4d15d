"""`BasePlugin`: a class as a step, which asks the hub for what it reads and registers what it makes."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from framework.errors import ParameterError, PluginException
from framework.steps.context import Hub, Wiring
from framework.steps.markers import DataSink, DataSource
from framework.steps.models import Unfit, keys_of, masked, unfit, words_of
from framework.steps.plugin import refuse_waiting
from framework.steps.step import Made, Step

if TYPE_CHECKING:
    from pydantic import BaseModel


class BasePlugin:
    """A step as a class: override `run`.

    Parameters
    ----------
    config : mapping, optional
        What the case says under `config:`, with its `inputs` and `outputs`.
    logger : logging.Logger, optional

    Attributes
    ----------
    Params : pydantic model, optional
        What it can be set to; anything unless given.
    version : str
        Change it when the same input gives another output.
    """

    Params: ClassVar[type[BaseModel] | None] = None
    version: ClassVar[str] = "1"

    def __init__(self, config: Mapping[str, Any] | None = None, logger: logging.Logger | None = None) -> None:
        self.config = dict(config or {})
        self.logger = logger or logging.getLogger(f"millpond.step.{type(self).__name__}")

    def run(self, data_hub: Hub) -> Any:
        """Do the work: `data_hub.get(name)`, `data_hub.register(name, data)`.

        What it returns is not looked at, unless that is a `Made`: by that it says which of its outputs it leaves out.
        """


class InitialDataReader(BasePlugin):
    """Checks that the data of its `outputs` can be loaded, and never writes them."""

    def run(self, data_hub: Hub) -> None:
        for name in self.config.get("outputs", ()):
            data_hub.get(name)
            self.logger.info("%s can be read", name)


@dataclass(frozen=True, slots=True)
class ClassPlugin:
    """A class that is a step."""

    kind: type[BasePlugin]

    asks: ClassVar[bool] = True  # the hub, for what it does not declare
    sources: ClassVar[Mapping[str, DataSource]] = {}
    sinks: ClassVar[Mapping[str, DataSink]] = {}

    @property
    def name(self) -> str:
        """The class's."""
        return self.kind.__name__

    @property
    def reads_outputs(self) -> bool:
        """Whether what the case calls its outputs is what it reads."""
        return issubclass(self.kind, InitialDataReader)

    @property
    def model(self) -> type[BaseModel] | None:
        """What it can be set to, where it says so."""
        return self.kind.Params

    @property
    def path(self) -> Path | None:
        """The file that it is written in."""
        found = inspect.getsourcefile(self.kind)
        return Path(found) if found else None

    def check(self) -> None:
        """PluginException for a class of which no step can be made; says what to do."""
        refuse_waiting(self.kind.run, f"The method run of {self.name}")
        demanded = [
            name
            for name, each in inspect.signature(self.kind).parameters.items()
            if name not in ("config", "logger") and each.default is each.empty and each.kind < each.VAR_KEYWORD
            if each.kind is not each.VAR_POSITIONAL
        ]
        if demanded:
            raise PluginException(
                f"{self.name} cannot be made without {demanded[0]!r}.",
                cure="Write `def __init__(self, config=None, logger=None)`, and read the rest from self.config.",
                resource=self.name,
            )

    def faults(self, params: Mapping[str, Any]) -> Unfit:
        """What is wrong with the parameters, each with the name at fault."""
        return [] if self.model is None else unfit(self.model, params, ())

    def known_params(self) -> list[str]:
        """The names of its parameters, where it says so."""
        return list(self.model.model_fields) if self.model else []

    def spellings(self) -> Mapping[str, str]:
        """Other names of its parameters: the aliases of its model."""
        return {key: name for name, key in keys_of(self.model).items() if key != name} if self.model else {}

    def shown(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """The parameters without what is secret."""
        return masked(params, self.model)

    def step(self, wiring: Wiring) -> Step:
        """The step that it is in a case; what an InitialDataReader calls its outputs it reads."""
        inputs, outputs = wiring.inputs, wiring.outputs
        if self.reads_outputs:
            inputs, outputs = tuple(dict.fromkeys([*inputs, *outputs])), ()
        known = inspect.signature(self.kind).parameters
        any_name = any(each.kind is each.VAR_KEYWORD for each in known.values())
        return Step(
            name=wiring.name,
            call=_Call(self.kind, wiring, tuple(n for n in ("config", "logger") if n in known or any_name)),
            version=self.kind.version,
            params=wiring.params,
            inputs=inputs,
            outputs=outputs,
            source=self.path,
        )


@dataclass(frozen=True, slots=True)
class _Call:
    kind: type[BasePlugin]
    wiring: Wiring
    given: tuple[str, ...]  # what the class wants to be made with

    def __call__(self) -> Made:
        wiring = self.wiring
        config = {**self._params(), "inputs": list(wiring.inputs), "outputs": list(wiring.outputs)}
        services: dict[str, Any] = {"config": config, "logger": wiring.context.logger}
        made = self.kind(**{name: services[name] for name in self.given}).run(wiring.context.data_hub)
        return made if isinstance(made, Made) else Made()

    def _params(self) -> dict[str, Any]:
        """What it is set to: as its model reads it, with what nothing says, where it has one."""
        model = self.kind.Params
        if model is None:
            return dict(self.wiring.params)
        from pydantic import ValidationError

        keys = keys_of(model)
        try:
            return dict(model(**{keys.get(name, name): value for name, value in self.wiring.params.items()}))
        except ValidationError as error:
            fault = error.errors(include_url=False, include_input=False)[0]
            field = ".".join(map(str, fault["loc"])) or "its config"
            raise ParameterError(f"{self.wiring.name!r}: {field}: {words_of(fault)}.", resource=field) from None
