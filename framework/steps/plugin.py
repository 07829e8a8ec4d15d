"""`@plugin`: a function as a step. It stays the function that it is, and can be called as one."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from logging import Logger
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, get_type_hints, overload

from framework.attempt import attempt
from framework.errors import ParameterError, PluginException
from framework.steps.context import Context, Hub, Wiring
from framework.steps.markers import DataSink, DataSource, markers, parts_of
from framework.steps.models import Unfit, keys_of, masked, takes_any, unfit, words_of
from framework.steps.returned import checked, sorted_out
from framework.steps.step import Made, Step

if TYPE_CHECKING:
    from pydantic import BaseModel

F = TypeVar("F", bound=Callable[..., Any])
OURS = "__millpond_plugin__"
SERVICES = ("config", "logger", "context", "data_hub", "project_root", "case_path")
_BY_NAME = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
_REQUIRED = inspect.Parameter.empty
_MOST = 256  # functions of which it is remembered what they take


@overload
def plugin(name: F, /) -> F: ...
@overload
def plugin(
    name: str | None = None,
    *,
    default_config: type[BaseModel] | None = None,
    version: str = "1",
    tags: Iterable[str] = (),
) -> Callable[[F], F]: ...
def plugin(
    name: Any = None,
    *,
    default_config: type[BaseModel] | None = None,
    version: str = "1",
    tags: Iterable[str] = (),
) -> Any:
    """Make a function a step that cases name.

    Its parameters are given by name: `config`, `logger`, `context`, `data_hub`, `project_root`, `case_path`, any field
    of the config, any data of the case; or by type: the config's model, Logger, DataHub. What it returns goes to the
    sinks that its config declares: the value itself to one, a mapping or a tuple to several.

    Parameters
    ----------
    name : str, optional
        The function's own unless given.
    default_config : pydantic model, optional
        What it can be set to, with the data that it reads and writes.
    version : str
        Change it when the same input gives another output.
    tags : iterable of str
    """
    if inspect.isroutine(name):  # @plugin without parentheses
        return plugin()(name)

    def mark(function: F) -> F:
        spec = Plugin(name or function.__name__, function, default_config, str(version), tuple(tags))
        setattr(function, OURS, spec)
        return function

    return mark


@dataclass(frozen=True, slots=True)
class Plugin:
    """A function that is a step."""

    reads_outputs: ClassVar[bool] = False

    name: str
    function: Callable[..., Any]
    model: type[BaseModel] | None
    version: str
    tags: tuple[str, ...]

    @property
    def sources(self) -> Mapping[str, DataSource]:
        """The fields of its config that are read."""
        return markers(self.model, DataSource) if self.model else {}

    @property
    def sinks(self) -> Mapping[str, DataSink]:
        """The fields of its config that are written."""
        return markers(self.model, DataSink) if self.model else {}

    @property
    def asks(self) -> bool:
        """Whether it may ask the hub for what it does not declare."""
        return bool({"data_hub", "hub", "context"} & {*_services(self).values()})

    @property
    def path(self) -> Path | None:
        """The file that it is written in."""
        return _path(self.function)

    def check(self) -> None:
        """PluginException for a function, or a config, of which no step can be made; says what to do."""
        refuse_waiting(self.function, f"The step {self.name!r}")
        if self.model is not None and not hasattr(self.model, "model_fields"):
            raise PluginException(
                f"The default_config of {self.name!r} is {self.model!r}, which is no pydantic model.",
                cure="Derive its class from pydantic.BaseModel.",
                resource=self.name,
            )
        for parameter in inspect.signature(self.function).parameters.values():
            if parameter.kind is inspect.Parameter.POSITIONAL_ONLY and parameter.default is _REQUIRED:
                raise PluginException(
                    f"The step {self.name!r} takes {parameter.name!r} by its place alone.",
                    cure="What a step is given, it is given by name: take the / out.",
                    resource=self.name,
                )
        for field in self.sinks:
            info = self.model.model_fields[field] if self.model else None
            if info is not None and info.is_required() and not {Any, type(None)} & set(parts_of(info.annotation)):
                raise PluginException(
                    f"The field {field!r} of {self.name!r} is written, and holds nothing before.",
                    cure=f"Declare it as {field}: Optional[Annotated[..., DataSink(...)]] = None.",
                    resource=self.name,
                )

    def faults(self, params: Mapping[str, Any]) -> Unfit:
        """What is wrong with the parameters, each with the name at fault; data and what needs it come later."""
        data = {*self.sources, *self.sinks}
        taken = [(name, "is data, which the case names, not a parameter") for name in params if name in data]
        if self.model is None:
            known = self.known_params()
            return [(name, "") for name in params if name not in known]
        given = {name: value for name, value in params.items() if name not in data}
        blank = {name: None for name in self.sinks if name not in self.sources}
        return taken + [each for each in unfit(self.model, {**blank, **given}, self.sources) if each[0] not in blank]

    def known_params(self) -> list[str]:
        """The names of its parameters."""
        if self.model is None:
            services = _services(self)
            return [name for name, each in _parameters(self).items() if name not in services and each.kind in _BY_NAME]
        data = {*self.sources, *self.sinks}
        return [name for name in self.model.model_fields if name not in data]

    def spellings(self) -> Mapping[str, str]:
        """Other names of its parameters: the aliases of its config."""
        return {key: name for name, key in keys_of(self.model).items() if key != name} if self.model else {}

    def shown(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """The parameters without what is secret."""
        return masked(params, self.model)

    def step(self, wiring: Wiring) -> Step:
        """The step that it is in a case."""
        return _Call.of(self, wiring).step()


def refuse_waiting(function: Callable[..., Any], what: str) -> None:
    """PluginException for a function that is not done when it returns."""
    if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
        raise PluginException(
            f"{what} is an async function, and a step is done when it returns.",
            cure="Write it with `def`, and call what is async inside by asyncio.run(...).",
            resource=what,
        )
    if inspect.isgeneratorfunction(function):
        raise PluginException(
            f"{what} is a generator function, of which nothing has run when it returns.",
            cure="Return the whole: collect what it yields in a list, or return what another function yields.",
            resource=what,
        )


# --------------------------------------------------------------------------- what its parameters stand for


@lru_cache(_MOST)
def _path(function: Callable[..., Any]) -> Path | None:
    found = inspect.getsourcefile(inspect.unwrap(function))
    return Path(found) if found else None


@lru_cache(_MOST)
def _parameters(plugin: Plugin) -> Mapping[str, inspect.Parameter]:
    return inspect.signature(plugin.function).parameters


@lru_cache(_MOST)
def _services(plugin: Plugin) -> Mapping[str, str]:
    """The parameters that stand for a service, by their name or else by their type."""
    found = {}
    for name in _parameters(plugin):
        service = name if name in SERVICES else _by_type(_hint(plugin.function, name), plugin.model)
        if service is not None:
            found[name] = service
    return found


def _hint(function: Callable[..., Any], name: str) -> Any:
    """The type of a parameter; None where its name means nothing at run time, which spoils no other."""
    plain = inspect.unwrap(function)
    annotation = getattr(plain, "__annotations__", {}).get(name)
    if not isinstance(annotation, str):
        return annotation
    alone: Any = SimpleNamespace(__annotations__={name: annotation})
    hints = attempt(name, lambda: get_type_hints(alone, globalns=getattr(plain, "__globals__", {}))).value or {}
    return hints.get(name)


def _by_type(hint: Any, model: type[BaseModel] | None) -> str | None:
    for kind in parts_of(hint):
        if not isinstance(kind, type):
            continue
        if model is not None and hasattr(kind, "model_fields") and issubclass(model, kind):
            return "config"
        if issubclass(kind, Context):
            return "context"
        if issubclass(kind, Logger):
            return "logger"
        if kind is Hub or kind.__name__ == "DataHub":
            return "data_hub"
    return None


@dataclass(frozen=True, slots=True)
class _Call:
    """A plugin as one case uses it: everything that is the same each time it is called."""

    plugin: Plugin
    wiring: Wiring
    services: Mapping[str, str]
    fields: tuple[str, ...]
    given: tuple[str, ...]
    sources: Mapping[str, DataSource]
    sinks: Mapping[str, DataSink]
    keys: Mapping[str, str]
    blank: tuple[str, ...]  # sinks that the model demands, and that hold nothing before

    @classmethod
    def of(cls, plugin: Plugin, wiring: Wiring) -> _Call:
        model, services = plugin.model, _services(plugin)
        known = set(wiring.params) if model is None else set(model.model_fields)
        if model is not None and takes_any(model):
            known |= set(wiring.params)
        fields: list[str] = []
        given: list[str] = []
        for name, parameter in _parameters(plugin).items():
            if name in services or parameter.kind not in _BY_NAME:
                continue
            if name in known:
                fields.append(name)
            elif name in wiring.known or parameter.default is _REQUIRED:
                given.append(name)
        sinks = plugin.sinks
        blank = tuple(name for name in sinks if model is not None and model.model_fields[name].is_required())
        keys = keys_of(model) if model is not None else {}
        return cls(plugin, wiring, services, tuple(fields), tuple(given), plugin.sources, sinks, keys, blank)

    def step(self) -> Step:
        read = [marker.name for marker in self.sources.values()]
        takes = tuple(dict.fromkeys([*read, *self.given]))
        outputs = tuple(dict.fromkeys([*(sink.name for sink in self.sinks.values()), *self.wiring.outputs]))
        return Step(
            name=self.wiring.name,
            call=self,
            version=self.plugin.version,
            params=self.wiring.params,
            inputs=tuple(dict.fromkeys([*takes, *self.wiring.inputs])),
            outputs=outputs,
            takes=takes,
            source=self.plugin.path,
        )

    def __call__(self, **data: Any) -> Made:
        context = self.wiring.context
        staged = {name: folder for name in self.sinks if (folder := context.data_hub.staged(self.sinks[name].name))}
        config = self._config(data, staged)
        context = replace(context, config=config)
        arguments = {name: getattr(context, service, context) for name, service in self.services.items()}
        for name in self.fields:
            arguments[name] = config[name] if isinstance(config, dict) else getattr(config, name)
        for name in self.given:
            arguments[name] = data[name]
        return self._made(self.plugin.function(**arguments), staged)

    def _config(self, data: Mapping[str, Any], staged: Mapping[str, Path]) -> Any:
        model = self.plugin.model
        if model is None:
            return dict(self.wiring.params)
        values = {**dict.fromkeys(self.blank), **self.wiring.params, **staged}
        values |= {field: data[marker.name] for field, marker in self.sources.items()}
        from pydantic import ValidationError

        try:
            return model(**{self.keys.get(name, name): value for name, value in values.items()})
        except ValidationError as error:
            raise _unfit_at_run(self, error) from None

    def _made(self, value: Any, staged: Mapping[str, Path]) -> Made:
        names = tuple(dict.fromkeys([sink.name for sink in self.sinks.values()])) or self.wiring.outputs
        if not names:
            return Made()
        by_field = {field: sink.name for field, sink in self.sinks.items()}
        values = sorted_out(value, names, by_field, self._kind, more=self.wiring.outputs, step=self.wiring.name)
        if not self.sinks:  # what the case calls its outputs it returned, or has registered itself
            return Made(values)
        outputs, warnings = dict(values), []
        for field, sink in self.sinks.items():
            made = values.get(sink.name)
            if made is None and field in staged and any(staged[field].iterdir()):
                made = staged[field]
            if made is None:
                warnings.append(f"{self.wiring.name!r} made nothing for {sink.name!r}, which stays as it was.")
            else:
                checked(made, self._kind(sink.name), sink.name, field=field, step=self.wiring.name)
            outputs[sink.name] = made
        return Made(outputs, warnings)

    def _kind(self, name: str) -> Any:
        """What type the data of a sink is declared to have."""
        model = self.plugin.model
        field = next((field for field, sink in self.sinks.items() if sink.name == name), None)
        return Any if model is None or field is None else model.model_fields[field].annotation


def _unfit_at_run(call: _Call, error: Any) -> ParameterError:
    fault = error.errors(include_url=False, include_input=False)[0]
    names = {key: name for name, key in call.keys.items()}
    first, *rest = fault["loc"] or ("its config",)
    first = names.get(str(first), first)
    field, step = ".".join(map(str, [first, *rest])), call.wiring.name
    if first not in call.sources:
        return ParameterError(f"{step!r}: {field}: {words_of(fault)}.", resource=field)
    name = call.sources[first].name
    return ParameterError(
        f"{step!r}: the data {name!r} is not what the step wants: {words_of(fault)}.",
        cure="Another handler may load it as that, or the step may declare another type for it.",
        resource=name,
    )
