"""Addresses of databases, their secrets hidden; and their JSON, of which nothing is rounded."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from framework.errors import ParameterError
from framework.mods.values import json_value
from framework.redact import redact, register_secret

if TYPE_CHECKING:
    from sqlalchemy import URL

SECRETS = re.compile(r"pass|pwd|secret|token|key|credential|odbc_connect", re.IGNORECASE)
IN_ODBC = re.compile(r"(?:PWD|PASSWORD|ACCESSTOKEN)\s*=\s*(\{(?:[^}]|\}\})*\}|[^;]*)", re.IGNORECASE)


def address(text: str) -> URL:
    """The address of a database; what is secret in it is masked from now on.

    Raises
    ------
    ParameterError
        It is none.
    """
    import sqlalchemy as sa

    try:
        url = sa.make_url(text)
        if url.port is not None and not 0 < url.port < 1 << 16:
            raise ValueError
    except (sa.exc.ArgumentError, ValueError):  # which shows what may be a part of the password
        raise ParameterError(
            "connection_string is no address of a database.",
            cure="It is written as postgresql://user:password@host:5432/name, or sqlite:///file.db; the port is a "
            "number up to 65535, and in a password / is written %2F, : %3A, @ %40 and # %23.",
        ) from None
    _hide(url)
    return url


def _hide(url: URL) -> None:
    register_secret(None if url.password is None else str(url.password))
    for name, told in url.query.items():
        for value in (told,) if isinstance(told, str) else told:
            if SECRETS.search(name):
                register_secret(value)
            for secret in IN_ODBC.findall(value):
                register_secret(secret.strip())
                register_secret(secret.strip().removeprefix("{").removesuffix("}"))


def shown(url: URL) -> str:
    """The address without its password, and without its query, in which anything may be."""
    return redact(url.set(query={}).render_as_string())


def exact_json(text: str | bytes) -> Any:
    """A value of JSON with all its digits."""
    return json_value(text if isinstance(text, str) else text.decode(), "a column of JSON")
