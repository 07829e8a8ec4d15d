"""A source that grows, jobs that read what is new of it into a table, and children that run them."""

from __future__ import annotations

import json
import random
import sqlite3
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import psycopg
from psycopg import sql

from framework import Workspace
from framework.errors import BaseFrameworkException
from framework.workspace.flows import How
from harness.deaths import KINDS, Fate, die
from harness.nursery import imports, scratch

Row = tuple[int, int, str]
Doom = tuple[str, int | str | None]  # what is counted, and at which of it to die (see Fate); "told", and of which mod
COLUMNS = ("id", "seq", "name")
JOB = "shop.yaml"
PAGE = 7
GATE = '''"""Where a job can be made to die or to wait: beside the mods on both of its sides."""

import os, signal, time
from pathlib import Path
from pydantic import Field
from framework import BaseModParams, ModMetadata, ModResult
from framework.mods.run import current_run

METADATA = ModMetadata(name="gate", version="1.0.0", description="Dies or waits where a file says so", author="Tests")

class Params(BaseModParams):
    _metadata: ModMetadata = METADATA
    called: str = Field(description="as which it is known")

def run(params):
    root = current_run(METADATA.name).root
    if (root / f"dies_at_{params.called}").exists():
        os.kill(os.getpid(), signal.SIGKILL)
    waits = root / f"waits_at_{params.called}"
    if waits.exists():
        (root / f"is_at_{params.called}").touch()
    while waits.exists():
        time.sleep(0.002)
    return ModResult(METADATA.name).success()
'''


@dataclass(frozen=True, slots=True)
class Way:
    """Which source, into which database, how."""

    source: str
    sink: str
    mode: str

    def __str__(self) -> str:
        return f"{self.source}, {self.sink}, {self.mode}"


WAYS = tuple(
    Way(source, sink, mode)
    for source in ("api_client", "database_reader")
    for sink in ("sqlite", "postgres")
    for mode in ("append", "upsert")
)


# --------------------------------------------------------------------------- the source


class Served:
    """The rows of an API: those of a number or above, page by page."""

    def __init__(self) -> None:
        self.rows: dict[int, Row] = {}
        served = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_GET(self) -> None:
                body = served._page(parse_qs(urlsplit(self.path).query))
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: Any) -> None:
                """Who asked was killed."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/rows"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def _page(self, query: dict[str, list[str]]) -> bytes:
        since, start = int(query.get("since", ["0"])[0]), int(query.get("offset", ["0"])[0])
        there = sorted((row for row in self.rows.values() if row[1] >= since), key=lambda row: (row[1], row[0]))
        return json.dumps([dict(zip(COLUMNS, row, strict=True)) for row in there[start : start + PAGE]]).encode()

    def put(self, rows: list[Row]) -> None:
        self.rows |= {row[0]: row for row in rows}

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


class Table:
    """The rows of a table, in SQLite or PostgreSQL."""

    def __init__(self, shop: Shop) -> None:
        self.shop = shop
        shop.execute("CREATE TABLE {source} (id INTEGER PRIMARY KEY, seq BIGINT, name TEXT)", [])

    def put(self, rows: list[Row]) -> None:
        put = (
            "INSERT INTO {source} VALUES (?, ?, ?) ON CONFLICT (id) DO UPDATE SET seq=excluded.seq, name=excluded.name"
        )
        self.shop.execute(put, [list(row) for row in rows])

    def close(self) -> None:
        """Nothing is open."""


# --------------------------------------------------------------------------- a workspace


@dataclass
class Shop:
    """A workspace with one job, its source, and the table that it fills.

    Attributes
    ----------
    there : dict
        What stands in the source, by id.
    """

    place: Path
    way: Way
    gates: bool
    url: str = ""
    schema: str = ""
    there: dict[int, Row] = field(default_factory=dict)
    source: Any = None

    def __post_init__(self) -> None:
        (self.place / "mods").mkdir(parents=True)
        (self.place / "mods" / "gate.py").write_text(GATE)
        (self.place / "millpond.yaml").write_text("{}\n")
        if self.way.sink == "postgres":
            self.execute("CREATE SCHEMA {schema}", [])
        self.source = Served() if self.way.source == "api_client" else Table(self)
        (self.place / JOB).write_text(json.dumps(self._job()))

    @property
    def address(self) -> str:
        return self.url if self.way.sink == "postgres" else "sqlite:///shop.db"

    def _job(self) -> dict[str, Any]:
        server = self.way.sink == "postgres"
        reads: dict[str, Any] = {"connection_string": self.address, "cursor_column": "seq", "batch_size": 5}
        reads["table"] = f"{self.schema}.origin" if server else "origin"
        if self.way.source == "api_client":
            reads = {"endpoint": self.source.url, "paging": "offset", "cursor_field": "seq", "cursor_param": "since"}
        writes = {"table_name": "target", "connection_string": self.address, "mode": self.way.mode, "batch_size": 2}
        writes |= {"keys": ["id"]} if self.way.mode == "upsert" else {}
        writes |= {"schema": self.schema} if server else {}
        mods: dict[str, Any] = {self.way.source: reads, "data_cleaner": {}, "database_writer": writes}
        if not self.gates:
            return {"mods": mods}
        made: dict[str, Any] = {}
        for number, (name, block) in enumerate(mods.items(), 1):
            made |= {name: block, f"gate_{number}": {"mod": "gate", "called": f"gate_{number}"}}
        made["data_cleaner"] = {"input_artifact": f"${{mods.{self.way.source}.artifacts.output_data}}"}
        made["database_writer"]["input_artifact"] = "${mods.data_cleaner.artifacts.output_data}"
        return {"mods": made}

    # ------------------------------------------------------------------ rows

    def grow(self, chance: random.Random) -> int:
        """New rows in the source, some with the number of the last ones; in an upsert's source some are changed."""
        last = max((row[1] for row in self.there.values()), default=0)
        rows: list[Row] = []
        for _ in range(chance.randrange(1, 14)):
            last += chance.randrange(3)
            rows.append((len(self.there) + len(rows) + 1, last, f" row {chance.random()} "))
        if self.way.mode == "upsert" and self.there:
            for each in chance.sample(sorted(self.there), min(3, len(self.there))):
                last += 1
                rows.append((each, last, f" changed {chance.random()} "))
        self.there |= {row[0]: row for row in rows}
        self.source.put(rows)
        return len(rows)

    def wanted(self) -> Counter[Row]:
        """What the table is to hold: each row of the source once, cleaned."""
        return Counter((number, seq, name.strip()) for number, seq, name in self.there.values())

    def found(self) -> Counter[Row]:
        """What the table holds."""
        return Counter(self.execute("SELECT id, seq, name FROM {target}", None))

    def execute(self, query: str, rows: list[list[Any]] | None) -> list[Any]:
        """Do this with each of the rows, in a transaction of its own; with None, what it answers."""
        if self.way.sink == "postgres":
            names = {name: sql.Identifier(self.schema, name) for name in ("origin", "target")}
            made = sql.SQL(query.replace("?", "%s").replace("{source}", "{origin}")).format(
                schema=sql.Identifier(self.schema), **names
            )
            with psycopg.connect(self.url) as server:
                if rows:
                    server.cursor().executemany(made, rows)
                    return []
                done = server.execute(made)
                return done.fetchall() if rows is None else []
        text = query.format(source="origin", target="target")
        file = sqlite3.connect(self.place / "shop.db", timeout=30)
        try:
            with file:
                if rows:
                    file.executemany(text, rows)
                    return []
                return file.execute(text).fetchall()
        finally:
            file.close()

    def close(self) -> None:
        """Let go of the source; a schema is dropped."""
        self.source.close()
        if self.way.sink == "postgres":
            self.execute("DROP SCHEMA {schema} CASCADE", [])


@contextmanager
def opened(shop: Shop) -> Iterator[Shop]:
    try:
        yield shop
    finally:
        shop.close()


# --------------------------------------------------------------------------- in a child


def run(pipe: Any, place: str, doom: Doom | None, options: dict[str, bool]) -> None:
    """Run the job, unless it dies before; tell the exit code, what was wrong, and how far the count came."""
    kind, at = doom or (None, None)
    fate = Fate(kind, at, pipe) if kind in KINDS else None
    how = How(on_done=lambda result: die(pipe) if (kind, at) == ("told", result.name) else None)
    pipe.send("begins")
    if fate is not None:
        fate.begin()
    try:
        result = Workspace(Path(place)).run_job(Path(place) / JOB, how=how, **options)
        told: tuple[Any, ...] = (result.exit_code, result.errors)
    except BaseFrameworkException as error:
        told = (error.exit_code, [f"{type(error).__name__}: {error}"])
    count = fate.end() if fate is not None else 0
    pipe.send(("over", *told, count))


def warm() -> None:
    """One run of a job, and what its other mods import."""
    imports("psycopg", "requests", "duckdb", "sqlalchemy.dialects.postgresql.psycopg", "framework.http.calling")
    imports("implementations.mods.sources.api_client", "implementations.mods.sinks.database.postgres")
    way = Way("database_reader", "sqlite", "upsert")
    with scratch() as place, opened(Shop(Path(place) / "shop", way, gates=True)) as shop:
        shop.grow(random.Random(1))
        Workspace(shop.place).run_job(shop.place / JOB).raise_if_failed()
