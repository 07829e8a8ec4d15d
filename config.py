"""This installation's settings: a thin face over `framework.settings`. A service has a config.py of its own.

    from config import get_config_logger

    config, logger = get_config_logger(__name__)

`config.config` and `config.logger` are the same pair, made at first use.
"""

from __future__ import annotations

from typing import Any

from framework.provider import get_config_logger

__all__ = ["config", "get_config_logger", "logger"]  # noqa: F822 (made below)


def __getattr__(name: str) -> Any:
    if name not in ("config", "logger"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    made, logger = get_config_logger("config")
    globals().update(config=made, logger=logger)
    return globals()[name]
