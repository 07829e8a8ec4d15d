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
    from framework.engine.alone import run_step
    from framework.engine.flow import Choice
    from framework.engine.hub import DataHub
    from framework.errors import (
        BackupNotFoundError,
        BaseFrameworkException,
        BlockedError,
        CaseError,
        ColumnNotFoundError,
        CompatibilityException,
        ConfigurationException,
        DataException,
        DataQualityError,
        DatasetExistsError,
        DatasetNameError,
        DatasetNotFoundError,
        FetchError,
        FidelityError,
        FormatError,
        FrameworkException,
        IngestionException,
        IntegrityError,
        KeysError,
        LockedError,
        MissingExtraError,
        ModError,
        OptionError,
        OutcomeUnknownError,
        PageError,
        ParameterError,
        PartialFailure,
        PluginException,
        ProcessingException,
        SchemaError,
        SettingError,
        StepError,
        StepTimeoutError,
        StorageError,
        UnavailableError,
        UnknownNameError,
        ValidationException,
    )
    from framework.factory import DataFactory
    from framework.formats.handlers.handler import DataHandler, handler
    from framework.interfaces import (
        BackupRecord,
        Description,
        ICalculator,
        IDataBackup,
        IDataSaver,
        IDataSource,
        IScraper,
    )
    from framework.mods.base import BaseModParams, InputArtifact, InputPath, ModArtifacts, ModMetadata, OutputPath
    from framework.mods.result import ModResult
    from framework.mods.run import current_run
    from framework.provider import get_config_logger
    from framework.results import Outcome, Result
    from framework.scraping import Scraper
    from framework.sdk import (
        clear_global_config,
        get_global_config,
        get_params,
        global_config,
        run_mod,
        set_global_config,
        setup_logger,
    )
    from framework.settings import Settings, as_settings
    from framework.steps import Step
    from framework.steps.base_plugin import BasePlugin, InitialDataReader
    from framework.steps.context import Context
    from framework.steps.markers import DataSink, DataSource
    from framework.steps.plugin import plugin
    from framework.store import Store
    from framework.vault import Vault
    from framework.workspace import Workspace
    from framework.workspace.flows import How

_HOMES = {
    "framework.calculating": ("Calculator",),
    "framework.engine": ("Runner",),
    "framework.engine.alone": ("run_step",),
    "framework.engine.flow": ("Choice",),
    "framework.engine.hub": ("DataHub",),
    "framework.errors": (
        "BackupNotFoundError",
        "BaseFrameworkException",
        "BlockedError",
        "CaseError",
        "ColumnNotFoundError",
        "CompatibilityException",
        "ConfigurationException",
        "DataException",
        "DataQualityError",
        "DatasetExistsError",
        "DatasetNameError",
        "DatasetNotFoundError",
        "FetchError",
        "FidelityError",
        "FormatError",
        "FrameworkException",
        "IngestionException",
        "IntegrityError",
        "KeysError",
        "LockedError",
        "MissingExtraError",
        "ModError",
        "OptionError",
        "OutcomeUnknownError",
        "OutputPath",
        "PageError",
        "ParameterError",
        "PartialFailure",
        "PluginException",
        "ProcessingException",
        "SchemaError",
        "SettingError",
        "StepError",
        "StepTimeoutError",
        "StorageError",
        "UnavailableError",
        "UnknownNameError",
        "ValidationException",
    ),
    "framework.factory": ("DataFactory",),
    "framework.formats.handlers.handler": ("DataHandler", "handler"),
    "framework.interfaces": (
        "BackupRecord",
        "Description",
        "ICalculator",
        "IDataBackup",
        "IDataSaver",
        "IDataSource",
        "IScraper",
    ),
    "framework.mods.base": ("BaseModParams", "InputArtifact", "InputPath", "ModArtifacts", "ModMetadata", "OutputPath"),
    "framework.mods.result": ("ModResult",),
    "framework.mods.run": ("current_run",),
    "framework.provider": ("get_config_logger",),
    "framework.results": ("Outcome", "Result"),
    "framework.scraping": ("Scraper",),
    "framework.sdk": (
        "clear_global_config",
        "get_global_config",
        "get_params",
        "global_config",
        "run_mod",
        "set_global_config",
        "setup_logger",
    ),
    "framework.settings": ("Settings", "as_settings"),
    "framework.steps": ("Step",),
    "framework.steps.base_plugin": ("BasePlugin", "InitialDataReader"),
    "framework.steps.context": ("Context",),
    "framework.steps.markers": ("DataSink", "DataSource"),
    "framework.steps.plugin": ("plugin",),
    "framework.store": ("Store",),
    "framework.vault": ("Vault",),
    "framework.workspace": ("Workspace",),
    "framework.workspace.flows": ("How",),
}
_HOME_OF = {name: module for module, names in _HOMES.items() for name in names}

__all__ = [
    "BackupNotFoundError",
    "BackupRecord",
    "BaseFrameworkException",
    "BaseModParams",
    "BasePlugin",
    "BlockedError",
    "Calculator",
    "CaseError",
    "Choice",
    "ColumnNotFoundError",
    "CompatibilityException",
    "ConfigurationException",
    "Context",
    "DataException",
    "DataFactory",
    "DataHandler",
    "DataHub",
    "DataQualityError",
    "DataSink",
    "DataSource",
    "DatasetExistsError",
    "DatasetNameError",
    "DatasetNotFoundError",
    "Description",
    "FetchError",
    "FidelityError",
    "FormatError",
    "FrameworkException",
    "How",
    "ICalculator",
    "IDataBackup",
    "IDataSaver",
    "IDataSource",
    "IScraper",
    "IngestionException",
    "InitialDataReader",
    "InputArtifact",
    "InputPath",
    "IntegrityError",
    "KeysError",
    "LockedError",
    "MissingExtraError",
    "ModArtifacts",
    "ModError",
    "ModMetadata",
    "ModResult",
    "OptionError",
    "Outcome",
    "OutcomeUnknownError",
    "OutputPath",
    "PageError",
    "ParameterError",
    "PartialFailure",
    "PluginException",
    "ProcessingException",
    "Result",
    "Runner",
    "SchemaError",
    "Scraper",
    "SettingError",
    "Settings",
    "Step",
    "StepError",
    "StepTimeoutError",
    "StorageError",
    "Store",
    "UnavailableError",
    "UnknownNameError",
    "ValidationException",
    "Vault",
    "Workspace",
    "__version__",
    "as_settings",
    "clear_global_config",
    "current_run",
    "get_config_logger",
    "get_global_config",
    "get_params",
    "global_config",
    "handler",
    "plugin",
    "run_mod",
    "run_step",
    "set_global_config",
    "setup_logger",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'framework' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOME_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
