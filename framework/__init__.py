"""Millpond: scrape, calculate, store; replay what ran; trust what you kept.

Names are loaded when they are first used, so that `import framework` costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from framework._version import __version__

if TYPE_CHECKING:
    from framework.calculating import Calculator
    from framework.engine import Runner
    from framework.errors import (
        BackupNotFoundError,
        BaseFrameworkException,
        BlockedError,
        ColumnNotFoundError,
        ConfigurationException,
        DataException,
        DatasetExistsError,
        DatasetNameError,
        DatasetNotFoundError,
        FetchError,
        FidelityError,
        FormatError,
        FrameworkException,
        IntegrityError,
        KeysError,
        LockedError,
        MissingExtraError,
        OptionError,
        OutcomeUnknownError,
        PageError,
        ParameterError,
        PartialFailure,
        PluginException,
        SchemaError,
        SettingError,
        StepError,
        StorageError,
        UnavailableError,
        UnknownNameError,
        ValidationException,
    )
    from framework.factory import DataFactory
    from framework.interfaces import (
        BackupRecord,
        Description,
        ICalculator,
        IDataBackup,
        IDataSaver,
        IDataSource,
        IScraper,
    )
    from framework.provider import get_config_logger
    from framework.results import Outcome, Result
    from framework.scraping import Scraper
    from framework.settings import Settings, as_settings
    from framework.steps import Step
    from framework.store import Store
    from framework.vault import Vault
    from framework.workspace import Workspace

_HOMES = {
    "framework.calculating": ("Calculator",),
    "framework.engine": ("Runner",),
    "framework.errors": (
        "BackupNotFoundError",
        "BaseFrameworkException",
        "BlockedError",
        "ColumnNotFoundError",
        "ConfigurationException",
        "DataException",
        "DatasetExistsError",
        "DatasetNameError",
        "DatasetNotFoundError",
        "FetchError",
        "FidelityError",
        "FormatError",
        "FrameworkException",
        "IntegrityError",
        "KeysError",
        "LockedError",
        "MissingExtraError",
        "OptionError",
        "OutcomeUnknownError",
        "PageError",
        "ParameterError",
        "PartialFailure",
        "PluginException",
        "SchemaError",
        "SettingError",
        "StepError",
        "StorageError",
        "UnavailableError",
        "UnknownNameError",
        "ValidationException",
    ),
    "framework.factory": ("DataFactory",),
    "framework.interfaces": (
        "BackupRecord",
        "Description",
        "ICalculator",
        "IDataBackup",
        "IDataSaver",
        "IDataSource",
        "IScraper",
    ),
    "framework.provider": ("get_config_logger",),
    "framework.results": ("Outcome", "Result"),
    "framework.scraping": ("Scraper",),
    "framework.settings": ("Settings", "as_settings"),
    "framework.steps": ("Step",),
    "framework.store": ("Store",),
    "framework.vault": ("Vault",),
    "framework.workspace": ("Workspace",),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "BackupNotFoundError",
    "BackupRecord",
    "BaseFrameworkException",
    "BlockedError",
    "Calculator",
    "ColumnNotFoundError",
    "ConfigurationException",
    "DataException",
    "DataFactory",
    "DatasetExistsError",
    "DatasetNameError",
    "DatasetNotFoundError",
    "Description",
    "FetchError",
    "FidelityError",
    "FormatError",
    "FrameworkException",
    "ICalculator",
    "IDataBackup",
    "IDataSaver",
    "IDataSource",
    "IScraper",
    "IntegrityError",
    "KeysError",
    "LockedError",
    "MissingExtraError",
    "OptionError",
    "Outcome",
    "OutcomeUnknownError",
    "PageError",
    "ParameterError",
    "PartialFailure",
    "PluginException",
    "Result",
    "Runner",
    "SchemaError",
    "Scraper",
    "SettingError",
    "Settings",
    "Step",
    "StepError",
    "StorageError",
    "Store",
    "UnavailableError",
    "UnknownNameError",
    "ValidationException",
    "Vault",
    "Workspace",
    "__version__",
    "as_settings",
    "get_config_logger",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'framework' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOME_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
