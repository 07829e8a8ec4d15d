"""What several tests of the PostgreSQL store share; a test of another store has a `store` of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from framework import DataFactory, as_settings


@pytest.fixture
def raw(postgres_url: str, postgres_schema: str) -> Iterator[psycopg.Connection[Any]]:
    """A connection past the store, in the schema that the test has for itself."""
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(f'CREATE SCHEMA "{postgres_schema}"; SET search_path = "{postgres_schema}"')
        yield connection


@pytest.fixture
def store(raw: Any, postgres_url: str, postgres_schema: str, tmp_path: Path) -> Iterator[Any]:
    """A PostgreSQL store over that schema."""
    settings = as_settings({"DB_URL": postgres_url, "DB_SCHEMA": postgres_schema}, workspace=tmp_path)
    made = DataFactory(settings).create_store("postgres")
    yield made
    made.close()
