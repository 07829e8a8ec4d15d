"""Where a service's configuration and logger come from: a provider of its own, or Millpond's settings."""

from __future__ import annotations

import importlib
import logging
import os
from collections.abc import Callable
from typing import Any

from framework.errors import SettingError
from framework.settings import as_settings

COMMON = "common.Helpers.helpers:init_logger"
"""The provider that is used when it can be imported and CONFIG_PROVIDER names no other."""

Provider = Callable[..., tuple[Any, logging.Logger]]


def get_config_logger(name: str, config: Any = None) -> tuple[Any, logging.Logger]:
    """The configuration and the logger of a service.

    The environment variable CONFIG_PROVIDER (`package.module:callable`) says who makes them, else
    `common.Helpers.helpers:init_logger` if there is such a module; it is called with `name=` and `config=`, which is
    the name unless given. With neither, they are `Settings` over `config` and the logger `millpond.<name>`.

    Parameters
    ----------
    name : str
        The service or module.
    config : object, optional
        What the provider expects, or any object with settings as attributes.

    Raises
    ------
    SettingError
        CONFIG_PROVIDER is not `package.module:callable`, or there is no such callable. Errors of the provider's own
        pass as they are.
    """
    provider = _provider()
    if provider is not None:
        made, logger = provider(name=name, config=name if config is None else config)
        return made, logger
    settings = as_settings(None if isinstance(config, str) else config)
    return settings, logging.getLogger(f"millpond.{name}")


def _provider() -> Provider | None:
    named = os.environ.get("CONFIG_PROVIDER", "").strip()
    if not named:
        return _imported(COMMON)
    module, colon, attribute = named.partition(":")
    if not (module and colon and attribute) or module.startswith("."):
        raise SettingError(f"CONFIG_PROVIDER is {named!r}.", cure="Write package.module:callable.")
    provider = _imported(named)
    if provider is None:
        raise SettingError(
            f"CONFIG_PROVIDER (environment) names {named!r}, and there is no such callable.",
            cure="Correct it, put its folder on PYTHONPATH, or unset it to use the defaults.",
            resource="CONFIG_PROVIDER",
        )
    return provider


def _imported(reference: str) -> Provider | None:
    """The callable, or None if its module or itself does not exist; what fails inside the module passes."""
    module, _, attribute = reference.partition(":")
    try:
        found = getattr(importlib.import_module(module), attribute, None)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module}.".startswith(f"{error.name}."):
            raise
        return None
    return found if callable(found) else None
