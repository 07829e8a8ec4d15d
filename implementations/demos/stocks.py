"""The first demo: scrape stocks, rate them within their sectors, keep that in PostgreSQL, back it up, check the copies."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any, cast

import pandas as pd

from framework import registry
from framework.factory import DataFactory
from framework.results import raise_if_any_failed
from framework.vault import Vault

PROVIDES = {
    "kind": "demo",
    "name": "stocks",
    "object": "StocksDemo",
    "extra": "embedded",
    "summary": "Finviz screener -> temp -> AAA rating -> postgres, with backup",
}

BEST = 2  # stocks shown per sector
TOGETHER = "all"  # what the scraper calls all of its sources together


@dataclass
class DemoReport:
    """What the demo did."""

    site: str
    rows: int = 0
    stages: list[dict[str, Any]] = field(default_factory=list)
    best: list[dict[str, Any]] = field(default_factory=list)
    tables: list[str] = field(default_factory=list)
    address: str = ""
    backup_id: str = ""
    backup_source: str = ""


class StocksDemo:
    """Scrape, rate, store, back up, verify.

    Parameters
    ----------
    factory : DataFactory
    live : bool
        Read the real site, one request a second, instead of the replica on this machine.
    tell : callable, optional
        Told of each stage as it begins.
    """

    def __init__(
        self,
        factory: DataFactory,
        *,
        live: bool = False,
        logger: logging.Logger | None = None,
        tell: Callable[[str], None] | None = None,
    ) -> None:
        self.factory = factory
        self.live = live
        self.logger = logger
        self.tell = tell or (lambda stage: None)

    def run(self) -> DemoReport:
        """All of it; raises what any stage raises.

        Raises
        ------
        BlockedError
            When the real site refuses.
        """
        with self._site() as site:
            report = DemoReport(site=site or self.factory.settings.FINVIZ_BASE_URL)
            postgres = self.factory.create_store("postgres", role="saver")
            vault = cast(Vault, postgres.vault)
            with self._stage(report, "make ready"):
                postgres.list_sources()  # starts the embedded server, which takes a second the first time
            with self._stage(report, "scrape"):
                self._scrape(site)
            with self._stage(report, "rate and store"):
                self._rate(postgres)
            with self._stage(report, "back up"):
                backups = vault.backup_all()
            with self._stage(report, "verify"):
                checked = [vault.verify_backup(backup_id) for _, backup_id in backups]
        report.backup_source, report.backup_id = next(
            (pair for pair in backups if pair[0] == f"AAA_{TOGETHER}"), backups[-1]
        )
        report.stages[-1]["what"] = f"{sum(checked)} backups, every byte read again"
        report.stages[-2]["what"] = f"{len(backups)} tables"
        report.tables = [name for name in postgres.list_sources() if name.startswith("AAA_")]
        report.rows = len(postgres.get_data(f"AAA_{TOGETHER}"))
        report.stages[1]["what"] = f"{report.rows} stocks into {len(report.tables)} tables"
        report.stages[2]["what"] = f"{len(report.tables)} tables rated"
        report.best = self._best(postgres)
        settings = self.factory.settings
        report.address = settings.database.shown if settings.database else "embedded"
        return report

    @contextmanager
    def _stage(self, report: DemoReport, name: str) -> Iterator[None]:
        self.tell(name)
        started = time.perf_counter()
        yield
        report.stages.append({"stage": name, "seconds": round(time.perf_counter() - started, 2), "what": ""})

    def _site(self) -> AbstractContextManager[str | None]:
        if self.live:
            return nullcontext(None)
        return _served(registry.find("site", "finviz_replica").load()(refusals=1))

    def _scrape(self, site: str | None) -> None:
        options = {} if site is None else {"base_url": site, "delay": 0.0}
        scraper = self.factory.create_scraper("finviz", **options)
        scraper.scrape_data(self.factory.create_data_saver("temp"))

    def _rate(self, postgres: Any) -> None:
        calculator = self.factory.create_calculator("aaa")
        results = calculator.run_complete_calculation(
            data_source=self.factory.create_data_source("temp"),
            data_saver=postgres,
            backup_service=postgres.vault,
        )
        raise_if_any_failed(results, "rating")

    def _best(self, postgres: Any) -> list[dict[str, Any]]:
        rated = pd.concat(
            [
                postgres.get_data(name).assign(table=name)
                for name in postgres.list_sources()
                if name.startswith("AAA_") and name.removeprefix("AAA_").islower() and name != f"AAA_{TOGETHER}"
            ],
            ignore_index=True,
        )
        best = (
            rated.sort_values("score - overall", ascending=False, kind="stable").groupby("Sector", sort=True).head(BEST)
        )
        best = best.sort_values(["Sector", "score - overall"], ascending=[True, False], kind="stable")
        return [
            {
                "sector": row["Sector"],
                "ticker": row["Ticker"],
                "company": row["Company"],
                "grade": row["AAA - overall"],
                "score": round(float(row["score - overall"]), 2),
                "valuation": row["AAA - valuation"],
                "profitability": row["AAA - profitability"],
                "growth": row["AAA - growth"],
                "performance": row["AAA - performance"],
            }
            for row in best.to_dict("records")
        ]


@contextmanager
def _served(replica: Any) -> Iterator[str]:
    with replica as site:
        yield site.base_url
