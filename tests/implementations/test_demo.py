"""What the demo reports is what is there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from psycopg import sql

from framework import BlockedError, DataFactory
from implementations.demos.stocks import BEST, DemoReport, StocksDemo
from scrapers.finviz_replica import SECTORS, FinvizReplica

SIZES = {"MegaCap": "cap_mega", "LargeCap": "cap_large", "MidCap": "cap_mid", "SmallCap": "cap_small"}


@pytest.fixture(scope="module")
def schema(postgres_url: str) -> Iterator[str]:
    """A schema in which somebody has a table already."""
    name = f"test_{uuid4().hex[:12]}"
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(name)))
        connection.execute(sql.SQL("CREATE TABLE {} AS SELECT 1 AS n").format(sql.Identifier(name, "AAA_mine")))
        yield name
        connection.execute("SET client_min_messages = warning")
        connection.execute(sql.SQL("DROP SCHEMA {} CASCADE").format(sql.Identifier(name)))


@pytest.fixture(scope="module")
def factory(tmp_path_factory: pytest.TempPathFactory, postgres_url: str, schema: str) -> DataFactory:
    return factory_in(tmp_path_factory.mktemp("demo"), DB_URL=postgres_url, DB_SCHEMA=schema)


def factory_in(folder: Path, **config: str) -> DataFactory:
    places = {"FS_DATA": "data", "FS_TEMP": "temp", "FS_BACKUP": "backup"}
    return DataFactory({**{name: str(folder / place) for name, place in places.items()}, **config})


@pytest.fixture(scope="module")
def stages() -> list[str]:
    """What the demo told while it ran."""
    return []


@pytest.fixture(scope="module")
def report(factory: DataFactory, stages: list[str]) -> DemoReport:
    return StocksDemo(factory, tell=stages.append).run()


@pytest.fixture
def connection(postgres_url: str, schema: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(postgres_url) as connection:
        connection.execute(sql.SQL("SET search_path TO {}").format(sql.Identifier(schema)))
        yield connection


def test_the_best_are_the_best(report: DemoReport, connection: psycopg.Connection) -> None:
    """For each sector the stocks with the highest score in its table, best first, with their grades."""
    assert [row["sector"] for row in report.best] == sorted([*SECTORS] * BEST)
    for sector in SECTORS:
        table = sql.Identifier("AAA_" + sector.lower().replace(" ", ""))
        best = connection.execute(
            sql.SQL(
                'SELECT "Ticker", "Company", "AAA - overall", round("score - overall"::numeric, 2)::float, '
                '"AAA - valuation", "AAA - profitability", "AAA - growth", "AAA - performance" FROM {} '
                'ORDER BY "score - overall" DESC NULLS LAST, "Ticker" COLLATE "C" LIMIT {}'
            ).format(table, sql.Literal(BEST))
        ).fetchall()
        shown = [tuple(row.values())[1:] for row in report.best if row["sector"] == sector]
        assert shown == best, sector


def test_the_tables_hold_what_the_site_had(report: DemoReport, connection: psycopg.Connection) -> None:
    """Each table has as many rows as the site has stocks of that sector or size, and the one of all has each once."""
    site = FinvizReplica()
    counts = {
        name: connection.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(name))).fetchone()[0]
        for name in report.tables
    }
    assert len(counts) == 18
    assert counts["AAA_all"] == report.rows == len(site.stocks)
    for sector in SECTORS:
        name = sector.lower().replace(" ", "")
        assert counts[f"AAA_{name}"] == len(site.matching(f"sec_{name}"))
    for name, code in SIZES.items():
        assert counts[f"AAA_{name}"] == len(site.matching(code))


def test_every_table_has_a_backup_that_can_be_verified(report: DemoReport, factory: DataFactory) -> None:
    """One backup for each of its tables, the reported one that of all; tables of others are left alone."""
    vault = factory.create_store("postgres").vault
    records = {record.source: record for record in vault.list_backups()}
    assert sorted(records) == sorted(report.tables)
    assert records[report.backup_source].backup_id == report.backup_id
    assert records[report.backup_source].rows == report.rows
    assert all(vault.verify_backup(record.backup_id) for record in records.values())


def test_its_backup_restores_the_table(
    report: DemoReport, factory: DataFactory, connection: psycopg.Connection
) -> None:
    """A table that was spoilt is as before once the reported backup is restored."""
    table = sql.Identifier(report.backup_source)
    look = sql.SQL("SELECT * FROM {} ORDER BY {}").format(table, sql.Identifier("Ticker"))
    before = connection.execute(look).fetchall()
    connection.execute(sql.SQL("DELETE FROM {} WHERE {} > 'M'").format(table, sql.Identifier("Ticker")))
    connection.commit()
    assert factory.create_store("postgres").vault.restore_data(report.backup_source, report.backup_id)
    assert connection.execute(look).fetchall() == before


def test_each_stage_is_told_and_timed(report: DemoReport, stages: list[str]) -> None:
    """The stages in their order, each with its seconds and what it did."""
    names = [stage["stage"] for stage in report.stages]
    assert names == ["make ready", "scrape", "rate and store", "back up", "verify"]
    assert [told.split(" (")[0] for told in stages] == names
    assert all(stage["seconds"] >= 0 and stage["what"] for stage in report.stages)
    assert report.stages[1]["seconds"] > 0


def test_a_site_that_refuses_ends_the_live_demo(tmp_path: Path, postgres_url: str, postgres_schema: str) -> None:
    """A BlockedError that says so, after one request; nothing is stored."""
    with FinvizReplica(blocked=True) as site:
        factory = factory_in(tmp_path, DB_URL=postgres_url, DB_SCHEMA=postgres_schema, FINVIZ_BASE_URL=site.base_url)
        with pytest.raises(BlockedError, match="refuses us"):
            StocksDemo(factory, live=True).run()
        assert len(site.requests) == 1
    assert factory.create_data_source("temp").list_sources() == []
    assert factory.create_data_source("postgres").list_sources() == []
