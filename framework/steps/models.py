"""Config models: what is wrong with values for them, and what of these must not show."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from functools import lru_cache
from inspect import signature
from typing import TYPE_CHECKING, Any, get_args

from framework.attempt import attempt
from framework.errors import PluginException
from framework.redact import redact, register_secret

if TYPE_CHECKING:
    from pydantic import BaseModel

Unfit = list[tuple[str, str]]
HIDDEN = "***"
SECRET = re.compile(
    r"(^|[_-])(password|passwd|pwd|secret|token|(api|access|account|private|shared)[_-]?key|authorization|cookie|credentials?"
    r"|sig|signature|connection_string|odbc_connect)($|[_-])",
    re.IGNORECASE,
)
HELD_BACK = ("headers", "storage_options", "client_kwargs")  # whose values are shown to nobody, whatever their names
KEY = re.compile(r"(^|[_-])key($|[_-])", re.IGNORECASE)
_MOST = 256  # models whose counterpart without data is remembered


def complete(model: type[BaseModel]) -> type[BaseModel]:
    """The model with all its annotations understood.

    Raises
    ------
    PluginException
        One of them names what cannot be found when the program runs.
    """
    if not model.__pydantic_complete__:
        from pydantic.errors import PydanticUndefinedAnnotation

        try:
            model.model_rebuild()
        except PydanticUndefinedAnnotation as error:
            raise PluginException(
                f"{model.__name__} names {error.name!r}, which is not known when the program runs.",
                cure="Import it plainly, not under `if TYPE_CHECKING:`.",
                resource=model.__name__,
            ) from error
    return model


def keys_of(model: type[BaseModel]) -> dict[str, str]:
    """By which name the model takes each of its fields: an alias, or the field's own name."""
    from pydantic import AliasChoices

    found = {}
    for name, info in model.model_fields.items():
        alias = info.validation_alias
        if isinstance(alias, AliasChoices):
            alias = next((each for each in alias.choices if isinstance(each, str)), None)
        found[name] = alias if isinstance(alias, str) else name
    return found


def takes_any(model: type[BaseModel]) -> bool:
    """Whether it also takes names that it does not declare."""
    return model.model_config.get("extra") == "allow"


# --------------------------------------------------------------------------- what is wrong


def unfit(model: type[BaseModel], params: Mapping[str, Any], sources: Collection[str]) -> Unfit:
    """What the model refuses, each with the name of the parameter; what needs the data is left for the run.

    Parameters
    ----------
    params : mapping
        By the names of fields; those that the model does not have are told apart.
    sources : collection of str
        The fields that hold data, which is not there yet.
    """
    from pydantic import ValidationError

    keys, open_to_any = keys_of(model), takes_any(model)
    unknown = [(name, "") for name in params if name not in keys and not open_to_any]
    values = {keys.get(name, name): value for name, value in params.items() if name in keys or open_to_any}
    alone = _alone(complete(model), frozenset(sources)) if sources else model
    error = attempt(model.__name__, lambda: alone(**values)).error if alone is not None else None
    if not isinstance(error, ValidationError):
        return unknown  # a rule that stumbled over data which is not there
    return unknown + list(_told(error, {key: name for name, key in keys.items()}))


def words_of(fault: Mapping[str, Any]) -> str:
    """What pydantic says is wrong, without its prefix."""
    return redact(str(fault["msg"]).removeprefix("Value error, "))


def _told(error: Any, names: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for fault in error.errors(include_url=False, include_input=False):
        first, *rest = fault["loc"] or ("",)
        yield ".".join(map(str, [names.get(str(first), first), *rest])), words_of(fault)


@lru_cache(_MOST)
def _alone(model: type[BaseModel], sources: frozenset[str]) -> type[BaseModel] | None:
    """The model without its data and without the rules that may look at it; None where a rule changes what is given."""
    rules = model.__pydantic_decorators__.model_validators.values()
    if any(rule.info.mode != "after" for rule in rules):
        return None
    names: dict[str, Any] = {
        "__module__": model.__module__,
        "__qualname__": model.__qualname__,
        "__annotations__": dict.fromkeys(sources, Any),
        "model_post_init": lambda self, context: None,
        **dict.fromkeys(sources),
    }
    kind: Any = type(model)
    alone = kind(model.__name__, (model,), names)
    kept = alone.__pydantic_decorators__
    kept.model_validators.clear()
    for name, rule in list(kept.field_validators.items()):
        needed = 2 if rule.info.mode == "wrap" else 1
        if set(rule.info.fields) & sources or len(signature(rule.func).parameters) > needed:
            del kept.field_validators[name]
    alone.model_rebuild(force=True)
    return alone  # type: ignore[no-any-return]


# --------------------------------------------------------------------------- what must not show


def masked(params: Mapping[str, Any], model: type[BaseModel] | None) -> dict[str, Any]:
    """The parameters as they may be kept and shown; what is hidden is hidden in logs and errors from now on too."""
    kinds = _kinds(model)
    return {name: _masked(name, value, kinds.get(name)) for name, value in params.items()}


def hides(value: Any) -> bool:
    """Whether something in it was masked."""
    if isinstance(value, dict):
        return any(map(hides, value.values()))
    if isinstance(value, (list, tuple)):
        return any(map(hides, value))
    return isinstance(value, str) and HIDDEN in value


def _kinds(model: Any) -> Mapping[str, Any]:
    if model is None:
        return {}
    own = {name: info.annotation for name, info in model.model_fields.items()}
    return {**{key: own[name] for name, key in keys_of(model).items()}, **own}


def _masked(name: str, value: Any, kind: Any) -> Any:
    if value is None or value == "" or isinstance(value, bool):
        return value
    if _is_secret(kind) or hasattr(value, "get_secret_value") or SECRET.search(name):
        for text in _texts(value):
            register_secret(text)
        return HIDDEN
    if name in HELD_BACK and isinstance(value, dict):
        for key, each in _leaves(value):
            if SECRET.search(key) or KEY.search(key):
                for text in _texts(each):
                    register_secret(text)
                    register_secret(text.rpartition(" ")[2])  # `Bearer ...`
        return HIDDEN
    if hasattr(type(value), "model_fields"):
        value = {each: getattr(value, each) for each in type(value).model_fields}
    if isinstance(value, dict):
        kinds = _kinds(_model_in(kind))
        return {key: _masked(str(key), each, kinds.get(key)) for key, each in value.items()}
    if isinstance(value, list):
        inner = next(iter(get_args(kind)), None)
        return [_masked("", each, inner) for each in value]
    return redact(value) if isinstance(value, str) else value


def _leaves(value: dict[Any, Any]) -> Iterator[tuple[str, Any]]:
    for key, each in value.items():
        if isinstance(each, dict):
            yield from _leaves(each)
        else:
            yield str(key), each


def _texts(value: Any) -> Iterator[str]:
    if hasattr(value, "get_secret_value"):
        value = value.get_secret_value()
    if isinstance(value, bytes):
        value = value.decode(errors="replace")
    if isinstance(value, dict):
        for each in value.values():
            yield from _texts(each)
    elif isinstance(value, (list, tuple)):
        for each in value:
            yield from _texts(each)
    elif isinstance(value, (str, int, float)):
        yield str(value)


def _is_secret(kind: Any) -> bool:
    if kind is None:
        return False
    from pydantic import Secret, SecretBytes, SecretStr

    if isinstance(kind, type) and issubclass(kind, (SecretStr, SecretBytes, Secret)):
        return True
    return any(_is_secret(part) for part in get_args(kind)) if not isinstance(kind, type) else False


def _model_in(kind: Any) -> Any:
    """The model that a type is, or has among its parts."""
    if isinstance(kind, type) and hasattr(kind, "model_fields"):
        return kind
    return next((found for part in get_args(kind) if (found := _model_in(part)) is not None), None)
