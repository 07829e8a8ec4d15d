"""What kinds of values settings have: what is taken for one, and how it is kept."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr


def _nothing_if_blank(value: Any) -> Any:
    text = value.get_secret_value() if isinstance(value, SecretStr) else value
    return None if isinstance(text, str) and not text.strip() else value


def _path_text(value: Any) -> Any:
    return os.fspath(value) if isinstance(value, os.PathLike) else value


def _not_a_bool(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError
    return value


def _text(value: str) -> str:
    if not value.strip() or "\0" in value:
        raise ValueError
    return value


def _host(value: str | None) -> str | None:
    if value is not None and any(bad in value for bad in ("://", "@", " ", "\0", "\n")):
        raise ValueError
    return value


def _postgres_address(value: SecretStr | None) -> SecretStr | None:
    if value is None:
        return None
    scheme, there, rest = value.get_secret_value().strip().partition("://")
    if not there or scheme.partition("+")[0] not in ("postgresql", "postgres"):
        raise ValueError
    return SecretStr(f"postgresql://{rest}")  # libpq knows nothing of a driver such as `postgresql+psycopg`


def _web_address(value: str) -> str:
    parts = urlsplit(value.strip())
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc or parts.query:
        raise ValueError
    return value.strip().rstrip("/")


def _backup_place(value: str) -> str:
    """A folder, or an address as fsspec has them; a password does not belong into it, for addresses are shown."""
    scheme, there, rest = value.partition("://")
    if not there:
        return value
    if "::" in scheme or any(mark in value for mark in "*?[]{}#\n") or ":" in urlsplit(value).netloc.rpartition("@")[0]:
        raise ValueError
    if scheme.lower() in ("file", "local") and not rest.startswith("/"):
        raise ValueError
    return f"{scheme.lower()}://{rest}"


def _as_json(value: Any) -> Any:
    if not isinstance(value, Mapping):
        return value
    try:
        return SecretStr(json.dumps(value))
    except TypeError:
        raise ValueError from None


def _json_mapping(value: SecretStr | None) -> SecretStr | None:
    if value is not None and not isinstance(json.loads(value.get_secret_value()), dict):
        raise ValueError
    return value


Text = Annotated[str, AfterValidator(_text)]
Folder = Annotated[str, BeforeValidator(_path_text), AfterValidator(_text)]
Host = Annotated[str | None, BeforeValidator(_nothing_if_blank), AfterValidator(_host)]
Secret = Annotated[SecretStr | None, BeforeValidator(_nothing_if_blank)]
Address = Annotated[SecretStr | None, BeforeValidator(_nothing_if_blank), AfterValidator(_postgres_address)]
Place = Annotated[Folder, AfterValidator(_backup_place)]
Options = Annotated[
    SecretStr | None, BeforeValidator(_as_json), BeforeValidator(_nothing_if_blank), AfterValidator(_json_mapping)
]
Count = Annotated[int, BeforeValidator(_not_a_bool), Field(ge=1)]
Site = Annotated[str, AfterValidator(_web_address)]
Port = Annotated[int, BeforeValidator(_not_a_bool), Field(ge=1, le=65535)]
Seconds = Annotated[float, BeforeValidator(_not_a_bool), Field(ge=0, allow_inf_nan=False)]
