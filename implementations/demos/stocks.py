"""The first demo: scrape stocks, rate them within their sectors, store that in PostgreSQL, back it up, verify."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, cast

import pandas as pd

from framework import registry
from framework.errors import BlockedError, PartialFailure
from framework.factory import DataFactory
from framework.results import raise_if_any_failed
from framework.scraping import Scraper
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
REPLICA = "a replica of the site on this machine"


@dataclass
class DemoReport:
    """What the demo did.

    Attributes
    ----------
    site : str
        What was scraped.
    address : str
        The server, without its password; "embedded" for ours.
    rows : int
        Stocks in the table of all.
    stages : list of dict
        `stage`, `seconds`, `what`.
    tables : list of str
        The rated tables, in the order in which they were saved.
    best : list of dict
        The best rated stocks of each sector: `sector`, `ticker`, `company`, `grade`, `score` (0 to 10) and the grades
        of the four pillars.
    backup_id, backup_source : str
        The backup of the table of all, verified.
    """

    site: str
    address: str
    rows: int = 0
    stages: list[dict[str, Any]] = field(default_factory=list)
    tables: list[str] = field(default_factory=list)
    best: list[dict[str, Any]] = field(default_factory=list)
    backup_id: str = ""
    backup_source: str = ""


class StocksDemo:
    """Scrape, rate, store, back up, verify.

    Parameters
    ----------
    factory : DataFactory
    live : bool
        Read the real site, one request a second, instead of the replica on this machine.
    logger : logging.Logger, optional
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
            When the site refuses.
        """
        settings = self.factory.settings
        report = DemoReport(
            site=settings.FINVIZ_BASE_URL if self.live else REPLICA,
            address=settings.database.shown if settings.database else "embedded",
            backup_source=f"AAA_{TOGETHER}",
        )
        postgres = self.factory.create_store("postgres", role="saver")
        vault = cast(Vault, postgres.vault)
        with self._stage(report, "make ready") as done:
            postgres.list_sources()  # starts the embedded server, which takes a second the first time
            done("PostgreSQL answers")
        with self._stage(report, "scrape", note="" if self.live else "one page is refused on purpose") as done:
            sources = self._scrape()
            done(f"{len(sources)} tables into temp")
        with self._stage(report, "rate and store") as done:
            report.tables = self._rate(sources, postgres)
            done(f"{len(report.tables)} tables into postgres, with backup")
        with self._stage(report, "back up") as done:
            backups = {name: str(vault.backup_data(name)[1]) for name in report.tables}
            done(f"{len(backups)} tables")
        with self._stage(report, "verify") as done:
            good = sum(vault.verify_backup(backup_id) for backup_id in backups.values())
            done(f"{good} backups, every byte read again")
        report.backup_id = backups[report.backup_source]
        report.rows = postgres.describe(report.backup_source).rows
        report.best = self._best(postgres, report.tables)
        return report

    @contextmanager
    def _stage(self, report: DemoReport, name: str, *, note: str = "") -> Iterator[Callable[[str], None]]:
        """Time it; what is yielded is told what it did."""
        self.tell(f"{name} ({note})" if note else name)
        stage = {"stage": name, "seconds": 0.0, "what": ""}
        started = time.perf_counter()
        yield lambda what: stage.update(what=what)
        stage["seconds"] = round(time.perf_counter() - started, 2)
        report.stages.append(stage)

    def _scrape(self) -> list[str]:
        """Scrape into temp; the names of what was saved, without prefix."""
        if self.live:
            cast(Scraper, self.factory.create_scraper("finviz")).probe()  # who refuses us is asked once, not 17 times
            return self._scrape_from()
        with registry.find("site", "finviz_replica").load()(refusals=1) as replica:
            return self._scrape_from(base_url=replica.base_url, delay=0.0)

    def _scrape_from(self, **options: Any) -> list[str]:
        scraper = self.factory.create_scraper("finviz", **options)
        try:
            scraper.scrape_data(self.factory.create_data_saver("temp"))
        except PartialFailure as partial:
            errors = [result.error for result in partial.report if not result]
            if errors and all(isinstance(error, BlockedError) for error in errors):
                raise errors[0] from partial
            raise
        return [*scraper.get_available_sources(), TOGETHER]

    def _rate(self, sources: list[str], postgres: Any) -> list[str]:
        """Rate each source and save it with backup; the names of the tables."""
        results = self.factory.create_calculator("aaa").run_complete_calculation(
            data_source=self.factory.create_data_source("temp"),
            data_saver=postgres,
            backup_service=postgres.vault,
            sources=sources,
        )
        raise_if_any_failed(results, "rating")
        return [name for result in results for name in result.artifacts]

    def _best(self, postgres: Any, tables: list[str]) -> list[dict[str, Any]]:
        """The best of each sector, by the grades within it; the sectors' names are in lower case, sizes' are not."""
        sectors = [name for name in tables if name[4:].islower() and name != f"AAA_{TOGETHER}"]
        rated = pd.concat([postgres.get_data(name) for name in sectors], ignore_index=True)
        ordered = rated.sort_values(
            ["Sector", "score - overall", "Ticker"], ascending=[True, False, True], na_position="last"
        )
        best = ordered.groupby("Sector", sort=True).head(BEST)
        return [
            {
                "sector": row["Sector"],
                "ticker": row["Ticker"],
                "company": row["Company"],
                "grade": row["AAA - overall"],
                "score": round(float(row["score - overall"]), 2),
                **{
                    pillar: row[f"AAA - {pillar}"] for pillar in ("valuation", "profitability", "growth", "performance")
                },
            }
            for row in best.to_dict("records")
        ]
