"""Settings: what they are, where each value came from, and secrets that are never shown.

Lowest first: default < millpond.yaml < .env < environment < the object passed < the call's options. An attribute that
a passed object lacks comes from the layers below it.
"""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from framework.errors import SettingError, known_names
from framework.layers import (
    Layer,
    Names,
    Said,
    Stores,
    find_workspace,
    from_dotenv,
    from_environment,
    from_file,
    from_object,
    from_options,
    named_workspace,
    secrets_in,
    stores_in,
)
from framework.redact import MASK, redact, redacted, register_secret
from framework.setting_kinds import (
    Address,
    Count,
    Folder,
    Host,
    Options,
    Place,
    Port,
    Seconds,
    Secret,
    Site,
    Text,
)

__all__ = ["Database", "Settings", "as_settings", "redacted", "require"]


@dataclass(frozen=True, slots=True)
class Database:
    """A PostgreSQL server that the settings name.

    Attributes
    ----------
    url : SecretStr
        Its libpq address, with the password.
    schema : str
        Where its tables are.
    """

    url: SecretStr
    schema: str

    @property
    def shown(self) -> str:
        """The address without its password, for messages."""
        return redacted(self.url.get_secret_value())


class Settings(BaseModel):
    """The settings of this process, immutable; `Settings()` reads all layers.

    A secret (DB_PASSWORD, DB_URL, ARCTIC_URI, BACKUP_OPTIONS, LEDGER_URL, ON_FAILURE) is plain text as an attribute,
    and masked in everything that shows the settings: repr, dumps, `describe`, errors and Millpond's log.

    Parameters
    ----------
    config : object, optional
        The passed layer: Settings, a mapping, or any object, class or module with attributes of the settings' names.
    workspace : path, optional
        The folder where relative paths start; found by its `millpond.yaml` unless given.
    script : path, optional
        A script or job whose folder is searched for the workspace after the current one.
    **options
        Settings by name, and `stores`; they win over every layer.

    Raises
    ------
    SettingError
        A value that cannot be used or a name that is no setting; says which, where it is written, and what it must be.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    DB_SERVER: Host = Field(None, description="a host name or socket folder, or nothing for the embedded PostgreSQL")
    DB_NAME: Text = Field("millpond", description="text")
    DB_USER: Text = Field("postgres", description="text")
    secret_db_password: Secret = Field(None, alias="DB_PASSWORD", description="text")
    DB_PORT: Port = Field(5432, description="a whole number from 1 to 65535")
    secret_db_url: Address = Field(None, alias="DB_URL", description="an address, postgresql://user@host:port/name")
    DB_SCHEMA: Text = Field("public", description="text")
    FS_DATA: Folder = Field("./data", description="a folder")
    FS_TEMP: Folder = Field("./temp", description="a folder")
    FS_BACKUP: Place = Field(
        "./backup", description="a folder, or an address such as s3://bucket/folder without a password"
    )
    secret_backup_options: Options = Field(
        None, alias="BACKUP_OPTIONS", description="names and values for the address in FS_BACKUP, or such as JSON"
    )
    BACKUP_KEEP: Count = Field(30, description="a whole number, 1 or more")
    ARCTIC_HOST: Host = Field(None, description="a host name, or nothing for files under FS_DATA")
    ARCTIC_LIBRARY: Text = Field("millpond", description="text")
    secret_arctic_uri: Secret = Field(None, alias="ARCTIC_URI", description="text")
    secret_ledger_url: Secret = Field(None, alias="LEDGER_URL", description="text")
    LEDGER_KEEP: Count = Field(1000, description="a whole number, 1 or more")
    LEDGER_DAYS: Count = Field(365, description="a whole number, 1 or more")
    RUNS_DAYS: Count = Field(30, description="a whole number, 1 or more")
    PREPARED_DAYS: Count = Field(365, description="a whole number, 1 or more")
    secret_on_failure: Secret = Field(None, alias="ON_FAILURE", description="text")
    FINVIZ_BASE_URL: Site = Field("https://finviz.com", description="http:// or https:// and a host, without a user")
    LOCK_TIMEOUT: Seconds = Field(30.0, description="seconds, 0 or more")

    _found: _Found

    def __init__(
        self,
        config: object | None = None,
        /,
        *,
        workspace: str | os.PathLike[str] | None = None,
        script: str | os.PathLike[str] | None = None,
        **options: Any,
    ) -> None:
        found = _search(config, workspace, script, options)
        problem = None
        try:
            super().__init__(**{name: said.value for name, said in found.said.items()})
        except ValidationError as error:
            problem = _problem(error, found.said)
        if problem is not None:
            raise problem  # out here, so that no error with the values in it hangs on to this one
        self._found = found
        given = secrets_in(Stores({"backup": self.backup_options}))
        own = (self.DB_PASSWORD, self.DB_URL, self.ARCTIC_URI, self.LEDGER_URL)
        for value in (*own, *secrets_in(found.stores), *given):
            register_secret(value)

    @property
    def DB_PASSWORD(self) -> str | None:
        return _plain(self.secret_db_password)

    @property
    def DB_URL(self) -> str | None:
        return _plain(self.secret_db_url)

    @property
    def ARCTIC_URI(self) -> str | None:
        return _plain(self.secret_arctic_uri)

    @property
    def BACKUP_OPTIONS(self) -> str | None:
        return _plain(self.secret_backup_options)

    @property
    def LEDGER_URL(self) -> str | None:
        return _plain(self.secret_ledger_url)

    @property
    def ON_FAILURE(self) -> str | None:
        return _plain(self.secret_on_failure)

    @property
    def ledger_address(self) -> str:
        """Where runs are recorded: a SQLAlchemy address, or the path of a SQLite file."""
        return self.LEDGER_URL or str(self.own_folder / "ledger.sqlite")

    @property
    def workspace(self) -> Path:
        """The folder where relative paths start, absolute."""
        return self._found.workspace

    @property
    def stores(self) -> dict[str, dict[str, Any]]:
        """The configured instances, name to type and options; a copy."""
        return copy.deepcopy({name: dict(instance) for name, instance in self._found.stores.values.items()})

    @property
    def data_folder(self) -> Path:
        return self._folder(self.FS_DATA)

    @property
    def temp_folder(self) -> Path:
        return self._folder(self.FS_TEMP)

    @property
    def backup_place(self) -> Path | str:
        """Where backups lie: a folder, absolute, or an address."""
        scheme, there, rest = self.FS_BACKUP.partition("://")
        if there and scheme not in ("file", "local"):
            return self.FS_BACKUP
        return self._folder(rest if there else self.FS_BACKUP)

    @property
    def backup_folder(self) -> Path:
        """The folder of backups; when they lie behind an address, the one where they are made before they go there."""
        place = self.backup_place
        return place if isinstance(place, Path) else self.own_folder / "vault"

    @property
    def backup_options(self) -> dict[str, Any]:
        """What the file system behind the address in FS_BACKUP is given."""
        return dict(json.loads(self.BACKUP_OPTIONS or "{}"))

    @property
    def own_folder(self) -> Path:
        """What is Millpond's own beside the data: `FS_DATA/.millpond`."""
        return self.data_folder / ".millpond"

    def _folder(self, text: str) -> Path:
        return self.workspace / Path(text).expanduser() if text.startswith("~") else _joined(self.workspace, text)

    @property
    def database(self) -> Database | None:
        """The server that is set; None means the embedded one.

        DB_URL wins over DB_SERVER and the other parts, unless DB_SERVER is said by a higher layer.
        """
        if self.secret_db_url is not None and self._layer("DB_SERVER") <= self._layer("DB_URL"):
            return Database(self.secret_db_url, self.DB_SCHEMA)
        if self.DB_SERVER is None:
            return None
        return Database(SecretStr(self._address(self.DB_SERVER)), self.DB_SCHEMA)

    @property
    def database_url(self) -> SecretStr | None:
        """The address of `database`."""
        return self.database.url if self.database else None

    def _address(self, host: str) -> str:
        password = f":{quote(self.DB_PASSWORD, safe='')}" if self.DB_PASSWORD else ""
        user = f"{quote(self.DB_USER, safe='')}{password}"
        name = quote(self.DB_NAME, safe="")
        if host.startswith("/"):
            return f"postgresql://{user}@/{name}?host={quote(host, safe='')}&port={self.DB_PORT}"
        shown = f"[{host}]" if ":" in host else quote(host, safe="")
        return f"postgresql://{user}@{shown}:{self.DB_PORT}/{name}"

    def _layer(self, name: str) -> Layer:
        said = self._found.said.get(name)
        return said.layer if said else Layer.DEFAULT

    def origin(self, *route: str | int) -> str:
        """Where a value is said: `origin("FS_DATA")`, `origin("stores", "crm", "url")`, `origin("workspace")`."""
        if route == ("workspace",):
            return self._found.reason
        if route[:1] == ("stores",):
            inner = route[1:]
            while inner and inner not in self._found.stores.origins:
                inner = inner[:-1]
            return self._found.stores.origins.get(inner, "default")
        name = str(route[0]) if route else ""
        if name not in FIELDS:
            raise SettingError(f"There is no setting {name!r}.", cure=known_names(name, FIELDS, most=20))
        said = self._found.said.get(name)
        return said.origin if said else "default"

    def describe(self) -> list[tuple[str, str, str]]:
        """`(name, value, origin)` of everything that is set, with secrets as ***."""
        rows = [("workspace", str(self.workspace), self.origin("workspace"))]
        for name in FIELDS:
            value = getattr(self, name)
            shown = "" if value is None else MASK if name in SECRETS else redact(str(value))
            rows.append((name, shown, self.origin(name)))
        for name, instance in self.stores.items():
            rows.append((f"stores.{name}", redact(str(instance.get("type", ""))), self.origin("stores", name)))
        return rows

    @property
    def looked_in(self) -> tuple[str, ...]:
        """The places that were asked, highest first."""
        return self._found.looked

    def __setattr__(self, name: str, value: Any) -> None:
        if not name.startswith("_"):
            raise SettingError(f"{name} cannot be changed.", cure="Make others: as_settings(settings, NAME=value).")
        super().__setattr__(name, value)

    def __getstate__(self) -> NoReturn:
        raise SettingError(
            "Settings are not pickled: they hold secrets.",
            cure="Pass the workspace, and call as_settings(workspace=...) where they are needed.",
        )

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Settings:
        return self


FIELDS = {model_field.alias or name: model_field for name, model_field in Settings.model_fields.items()}
SECRETS = frozenset(model_field.alias for model_field in FIELDS.values() if model_field.alias)
_NAMES = Names(tuple(FIELDS), SECRETS)


def _plain(secret: SecretStr | None) -> str | None:
    return None if secret is None else secret.get_secret_value()


@dataclass(frozen=True, slots=True)
class _Found:
    """What all layers say together."""

    said: Mapping[str, Said]
    stores: Stores
    workspace: Path
    reason: str
    looked: tuple[str, ...]


Settings.model_rebuild()


def _search(
    config: object | None,
    workspace: str | os.PathLike[str] | None,
    script: str | os.PathLike[str] | None,
    options: dict[str, Any],
) -> _Found:
    stores = stores_in(options.pop("stores", None), "option")
    said = from_options(options, _NAMES)
    below = config._found if isinstance(config, Settings) else _read(config, workspace, script)
    folder, reason = below.workspace, below.reason
    if isinstance(config, Settings) and workspace is not None:
        folder, reason = named_workspace(workspace), "option"
    return _Found(_over(said, below.said), stores.over(below.stores), folder, reason, below.looked)


def _read(
    config: object | None, workspace: str | os.PathLike[str] | None, script: str | os.PathLike[str] | None
) -> _Found:
    if workspace is not None:
        folder, reason = named_workspace(workspace), "option"
    else:
        folder, reason = find_workspace(Path(script) if script is not None else None)
    dotenv, variables = from_dotenv(folder / ".env", _NAMES)
    in_file, stores = from_file(folder / "millpond.yaml", _NAMES, {**variables, **os.environ})
    said = _over(from_environment(_NAMES), _over(dotenv, in_file))
    looked = ["the environment", _place(folder / ".env"), _place(folder / "millpond.yaml")]
    if config is not None:
        passed, passed_stores = from_object(config, _NAMES)
        said, stores = _over(passed, said), passed_stores.over(stores)
        looked.insert(0, f"the passed {type(config).__name__}")
    return _Found(said, stores, folder, reason, ("the options of the call", *looked))


def _place(path: Path) -> str:
    return str(path) if os.path.isfile(path) else f"{path} (not there)"


def _over(upper: Mapping[str, Said], lower: Mapping[str, Said]) -> dict[str, Said]:
    """Both, the upper one winning; None says nothing, except where nothing is a value of the setting."""
    spoken = {name: said for name, said in upper.items() if said.value is not None or FIELDS[name].default is None}
    return {**lower, **spoken}


def _problem(error: ValidationError, said: Mapping[str, Said]) -> SettingError:
    names = dict.fromkeys(str(each["loc"][0]) for each in error.errors(include_input=False, include_url=False))
    problems, cure = [], None
    for name in names:
        expected, value = FIELDS[name].description, said[name].value
        shown = "" if name in SECRETS else f", not {redact(repr(value))[:80]}"
        problems.append(f"{name} ({said[name].origin}) must be {expected}{shown}.")
        if isinstance(value, (int, float)) and name not in ("DB_PORT", "LOCK_TIMEOUT", "BACKUP_KEEP"):
            cure = "Put the value in quotes."
    return SettingError(" ".join(problems), cure=cure, resource=next(iter(names)))


def as_settings(
    config: object | None = None,
    *,
    workspace: str | os.PathLike[str] | None = None,
    script: str | os.PathLike[str] | None = None,
    **options: Any,
) -> Settings:
    """Settings of whatever was given: a Settings as it is, all else as the passed layer of new ones.

    See `Settings` for the parameters and errors. A Settings with `options` or another `workspace` is a new one over it.
    """
    if isinstance(config, Settings) and workspace is None and not options:
        return config
    return Settings(config, workspace=workspace, script=script, **options)


def require(settings: Settings, name: str) -> Any:
    """The value of a setting that must be set; SettingError with every place that was looked in if it is not."""
    settings.origin(name)  # an unknown name is an error of its own
    value = getattr(settings, name)
    if value is None:
        looked = "; ".join(settings.looked_in)
        raise SettingError(
            f"{name} is not set. Looked in: {looked}.",
            cure=f"Set it in one of them; it is {FIELDS[name].description}.",
            resource=name,
        )
    return value


@lru_cache(maxsize=64)
def _joined(workspace: Path, text: str) -> Path:
    """A folder that is asked for often."""
    return workspace / text
