"""One step by itself, with plain data: for tests."""

from __future__ import annotations

import inspect
import logging
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from framework.engine.hub import DataHub
from framework.engine.plan import plan_of
from framework.engine.runner import Runner
from framework.errors import OptionError, ParameterError, known_names
from framework.steps.base_plugin import BasePlugin, ClassPlugin
from framework.steps.context import Context, Wiring
from framework.steps.models import takes_any
from framework.steps.plugin import OURS, Plugin


def run_step(step: Callable[..., Any] | type[BasePlugin], /, **given: Any) -> Any:
    """What a step makes of this data: the value of its one output, a mapping of several.

    Parameters
    ----------
    step : function under @plugin, or BasePlugin class
    **given
        Its data, by the name of the data or of the config's field, and its parameters. For a class, what it registers
        is its outputs; where it declares no `Params`, all that is given is data and stands in its config too.

    Raises
    ------
    ParameterError, OptionError
    Exception
        What the step raised.

    Examples
    --------
    >>> states = run_step(compensate, measurements=frame, latency_to_compensate_s=0.3)
    """
    made = getattr(step, OURS, step)
    if isinstance(made, type) and issubclass(made, BasePlugin):
        made = ClassPlugin(made)
    if not isinstance(made, (Plugin, ClassPlugin)):
        raise OptionError(f"{step!r} is no step.", cure="Pass a function under @plugin or a BasePlugin class.")
    made.check()
    params, data = _sorted(made, given) if isinstance(made, Plugin) else _of_class(made, given)
    for name, why in made.faults(params):
        cure = None if why else known_names(name, [*made.known_params(), *made.sources])
        raise ParameterError(f"{name}: {why or 'there is no such parameter'}.", cure=cure, resource=name)
    with tempfile.TemporaryDirectory(prefix="millpond") as folder:
        return _run(made, params, data, Path(folder))


def _of_class(made: ClassPlugin, given: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Parameters, and data by its names."""
    if made.model is None:
        return given, given
    known = made.known_params()
    params = {name: value for name, value in given.items() if name in known}
    return params, {name: value for name, value in given.items() if name not in known}


def _sorted(made: Plugin, given: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Parameters, and data by its names."""
    if made.model is None:
        known = made.known_params()
        for name in given:
            if name not in known:
                raise ParameterError(f"{made.name!r} takes no {name!r}.", cure=known_names(name, known), resource=name)
        return {}, given
    fields = {field: marker.name for field, marker in made.sources.items()}
    data = {fields.get(name, name): value for name, value in given.items() if name in fields or name in fields.values()}
    for field, marker in made.sources.items():
        if marker.name not in data:
            if marker.must_exist:
                raise OptionError(f"{made.name!r} reads {marker.name!r}, which is not given.", cure=f"Pass {field}=.")
            data[marker.name] = None
    rest = {name: value for name, value in given.items() if name not in fields and name not in fields.values()}
    by_name = set(inspect.signature(made.function).parameters) - set(made.known_params())
    if takes_any(made.model):
        return rest, data
    return {n: v for n, v in rest.items() if n not in by_name}, {**data, **{n: rest[n] for n in rest if n in by_name}}


def _run(made: Plugin | ClassPlugin, params: dict[str, Any], data: dict[str, Any], folder: Path) -> Any:
    hub = DataHub(folder)
    for name, value in data.items():
        hub.register(name, value)
    context = Context(hub, logging.getLogger("millpond.step"), folder, folder)
    title = made.name
    step = made.step(Wiring(title, context, params, known=frozenset(data)))
    outputs: dict[str, Any] = {}
    result = Runner().run(plan_of(title, [(step, title)], sources=set(data)), hub)
    result.children[0].raise_if_failed()
    for name in [*step.outputs, *(name for name in hub.names() if name not in data and name not in step.outputs)]:
        outputs[name] = hub.get(name) if name in hub else None
    return next(iter(outputs.values()), None) if len(outputs) <= 1 else outputs
