"""Every error that Millpond raises, in one tree.

BaseFrameworkException
├── ConfigurationException      something was named or set wrongly; nothing was run       exit 20
│   ├── SettingError            a setting is missing or has a value that cannot be used
│   ├── UnknownNameError        no store, calculator, ... of that name          (KeyError)
│   ├── OptionError             an option that the component does not have      (TypeError)
│   ├── MissingExtraError       the component needs a package not installed     (ImportError)
│   └── CaseError               a case has faults; holds them all, each with its place
├── DataException               the data or the place where it lives                      exit 30
│   ├── DatasetNameError        a name that no store may hold                   (ValueError)   20
│   ├── DatasetNotFoundError    no dataset of that name   (KeyError, FileNotFoundError)        20
│   ├── ColumnNotFoundError     no column of that name                          (KeyError)     20
│   ├── DatasetExistsError      a dataset of that name is there already      (FileExistsError)  20
│   ├── BackupNotFoundError     no backup of that id or dataset                 (KeyError)     20
│   ├── FormatError             a file's content is not what its format demands (ValueError)
│   ├── IngestionException      a file to prepare is not a table, or not surely which   (ValueError)   20
│   ├── FidelityError           the store cannot hold these values exactly      (TypeError)
│   ├── SchemaError             the data does not fit the table that is there   (ValueError)
│   ├── KeysError               upsert keys are missing, null or repeated       (ValueError)
│   ├── IntegrityError          bytes or counts are not what was written
│   ├── LockedError             another writer holds the dataset                               50
│   ├── StorageError            the disk or the server refused                  (OSError)
│   │   └── UnavailableError    the server cannot be reached
│   │       └── OutcomeUnknownError  it went away while it committed; holds the save's id
│   ├── CompatibilityException  the columns are not those that a blueprint needs               20
│   └── FetchError              a site could not be read
│       ├── BlockedError        the site refuses us
│       └── PageError           the page is not the page that was asked for
├── PluginException             a step of the user's raised                               exit 30
│   ├── ProcessingException     preparing the data failed: a type, an age, a feature
│   └── StepError
│       ├── StepTimeoutError    it took longer than it may                    (TimeoutError)   40
│       └── ModError            a mod answered that it failed; holds what it told            its own
├── ValidationException         parameters or data broke a rule                           exit 20
│   ├── ParameterError          a value of the wrong type or range              (ValueError)
│   └── DataQualityError        data is not good enough for its blueprint; holds all issues
└── FrameworkException          the framework itself                                      exit 30
    └── PartialFailure          several things were tried, some failed; holds the report

A message names what was wrong and what exists; `cure` is what to do about it and is part of the text.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from difflib import get_close_matches
from typing import Any


class BaseFrameworkException(Exception):
    """Root of all errors that Millpond raises.

    Parameters
    ----------
    message : str
        What was wrong, in one sentence.
    cure : str, optional
        What the reader can do about it.
    resource : str, optional
        What it was about: a dataset, a setting, a file.
    operation : str, optional
        What was being done.
    """

    exit_code: int = 30

    def __init__(
        self, message: str = "", *, cure: str | None = None, resource: str | None = None, operation: str | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.cure = cure
        self.resource = resource
        self.operation = operation
        self.timestamp = datetime.now(UTC)

    def __str__(self) -> str:
        if not self.cure:
            return self.message
        stop = "" if self.message.endswith((".", "!", "?", ":", "\n")) else "."
        return f"{self.message}{stop} {self.cure}"

    def __reduce__(self) -> tuple[Any, ...]:
        return (_rebuild, (type(self), self.args, self.__dict__))

    @property
    def context(self) -> dict[str, Any]:
        """Time, resource and operation, JSON-able."""
        return {
            "error": type(self).__name__,
            "time": self.timestamp.isoformat(),
            "resource": self.resource,
            "operation": self.operation,
        }


def _rebuild(kind: type[BaseFrameworkException], args: tuple[Any, ...], state: dict[str, Any]) -> BaseException:
    error = kind(*args)
    error.__dict__.update(state)
    return error


class ConfigurationException(BaseFrameworkException):
    exit_code = 20


class SettingError(ConfigurationException):
    """A setting is missing or has a value that cannot be used."""


class UnknownNameError(ConfigurationException, KeyError):
    """No component of that name."""


class OptionError(ConfigurationException, TypeError):
    """An option that the component does not have, or of a wrong type."""


class MissingExtraError(ConfigurationException, ImportError):
    """The component needs a package that is not installed; the message holds the pip line."""


class CaseError(ConfigurationException):
    """A case, or what belongs to it, has faults; nothing was run.

    Attributes
    ----------
    faults : list of Fault
        All of them, in the order of their places.
    """

    def __init__(self, message: str = "", faults: Iterable[Any] = (), **context: Any) -> None:
        super().__init__(message, **context)
        self.faults = list(faults)


class DataException(BaseFrameworkException):
    pass


class DatasetNameError(DataException, ValueError):
    """A dataset name that no store may hold."""

    exit_code = 20


class DatasetNotFoundError(DataException, KeyError, FileNotFoundError):
    """No dataset of that name."""

    exit_code = 20


class ColumnNotFoundError(DataException, KeyError):
    """No column of that name."""

    exit_code = 20


class DatasetExistsError(DataException, FileExistsError):
    """A dataset of that name is there already; nothing was changed."""

    exit_code = 20


class BackupNotFoundError(DataException, KeyError):
    """No backup of that id, or none of that dataset."""

    exit_code = 20


class FormatError(DataException, ValueError):
    """A file's content is not what its format demands.

    Attributes
    ----------
    line : int or None
        The first line at fault, counted from 1.
    """

    def __init__(self, message: str = "", *, line: int | None = None, **context: Any) -> None:
        super().__init__(message, **context)
        self.line = line


class IngestionException(DataException, ValueError):
    """A file to prepare is refused: broken, beyond a limit, or to be read in more than one way.

    Attributes
    ----------
    line : int or None
        The first line at fault, counted from 1.
    """

    exit_code = 20

    def __init__(self, message: str = "", *, line: int | None = None, **context: Any) -> None:
        super().__init__(message, **context)
        self.line = line


class FidelityError(DataException, TypeError):
    """The store cannot hold these values exactly, so it holds nothing; `lossy=True` accepts the loss."""


class SchemaError(DataException, ValueError):
    """The data does not fit the table that is there; nothing was changed."""


class KeysError(DataException, ValueError):
    """Upsert keys are missing, null or repeated; nothing was changed."""

    exit_code = 20


class IntegrityError(DataException):
    """Bytes or counts are not what was written."""


class LockedError(DataException):
    """Another writer holds the dataset; nothing was changed."""

    exit_code = 50


class StorageError(DataException, OSError):
    """The disk or the server refused; the old data is untouched."""


class UnavailableError(StorageError):
    """The server cannot be reached."""


class OutcomeUnknownError(UnavailableError):
    """The server went away while it committed: the save is whole or has not happened.

    Attributes
    ----------
    save_id : str or None
        The same save with `save_id=` this one adds nothing if it has happened.
    """

    def __init__(self, message: str = "", *, save_id: str | None = None, **context: Any) -> None:
        super().__init__(message, **context)
        self.save_id = save_id


class CompatibilityException(DataException):
    """The columns of a dataset are not those that a blueprint needs.

    Attributes
    ----------
    result : CompatibilityResult or None
        Which fields are there, which lack, which columns come near.
    """

    exit_code = 20

    def __init__(self, message: str = "", *, result: Any = None, **context: Any) -> None:
        super().__init__(message, **context)
        self.result = result


class FetchError(DataException):
    """A site could not be read."""


class BlockedError(FetchError):
    """The site refuses us."""


class PageError(FetchError):
    """The page is not the page that was asked for."""


class PluginException(BaseFrameworkException):
    pass


class ProcessingException(PluginException):
    """Data that was good enough could not be prepared: a value of another type, a negative age, a lost feature."""


class StepError(PluginException):
    """A step raised; the cause is chained."""


class StepTimeoutError(StepError, TimeoutError):
    """A step took longer than it may; its outputs are as they were."""

    exit_code = 40


class ModError(StepError):
    """A mod answered that it failed.

    Attributes
    ----------
    errors : list of str
        What it told.
    made : Made or None
        What it had made by then: metrics, artifacts.
    """

    def __init__(
        self, message: str = "", errors: Iterable[str] = (), *, exit_code: int = 30, made: Any = None, **context: Any
    ) -> None:
        super().__init__(message, **context)
        self.errors = list(errors)
        self.exit_code = exit_code
        self.made = made


class ValidationException(BaseFrameworkException):
    exit_code = 20


class ParameterError(ValidationException, ValueError):
    """A parameter of the wrong type or range."""


class DataQualityError(ValidationException):
    """Data is not good enough for its blueprint.

    Attributes
    ----------
    issues : list of Issue
        All of them, the severest first.
    result : ValidationResult or None
        With the score and what cost it how many points.
    """

    def __init__(self, message: str = "", issues: Iterable[Any] = (), *, result: Any = None, **context: Any) -> None:
        super().__init__(message, **context)
        self.issues = list(issues)
        self.result = result


class FrameworkException(BaseFrameworkException):
    pass


class PartialFailure(FrameworkException):
    """Several things were tried, all of them; some failed.

    Attributes
    ----------
    report : list of Result
        One per thing tried, in the order in which they were given.
    """

    def __init__(self, message: str, report: Iterable[Any] = (), **context: Any) -> None:
        super().__init__(message, **context)
        self.report = list(report)


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that resembles `name` most, if any does."""
    names = list(known)
    folded = {n.casefold(): n for n in names}
    close = get_close_matches(name.casefold(), folded, n=1, cutoff=0.6)
    return folded[close[0]] if close else None


def known_names(name: str, known: Iterable[str], *, most: int = 12) -> str:
    """The sentence that follows "there is no X": the nearest name and what exists."""
    names = sorted(known)
    if not names:
        return "There are none yet."
    close = nearest(name, names)
    shown = ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")
    return (f"Did you mean {close!r}? " if close else "") + f"Known: {shown}."
