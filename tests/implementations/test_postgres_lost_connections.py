"""Connections that are lost in the middle of a save: it happens once, or not at all, and the error says which."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pandas as pd
import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from framework import DataFactory, as_settings
from framework.errors import LockedError, OutcomeUnknownError, UnavailableError
from framework.testing import assert_same

PEOPLE = pd.DataFrame({"id": [1, 2, 3], "name": pd.Series(["a", "b", "c"], dtype=object)})
MORE = pd.DataFrame({"id": [4, 5], "name": pd.Series(["d", "e"], dtype=object)})
BOTH = pd.concat([PEOPLE, MORE], ignore_index=True)
WAYS: dict[str, dict[str, Any]] = {"append": {"mode": "append"}, "upsert": {"mode": "upsert", "keys": ["id"]}}


class Line:
    """A line to the server that can be cut at a COMMIT.

    Attributes
    ----------
    cut : str
        Where the next COMMIT ends it: `before` it gets to the server, or `after` it was carried out; empty for nowhere.
    closed : bool
        Whether nobody gets through afterwards.
    """

    def __init__(self, address: str) -> None:
        told = conninfo_to_dict(address)
        host, port = str(told.get("host") or "localhost"), int(told.get("port") or 5432)
        self._server: tuple[str, int] | str = f"{host}/.s.PGSQL.{port}" if host.startswith("/") else (host, port)
        self._door = socket.create_server(("127.0.0.1", 0))
        password = f":{told['password']}" if told.get("password") else ""
        mine = self._door.getsockname()[1]
        self.address = f"postgresql://{told['user']}{password}@127.0.0.1:{mine}/{told['dbname']}?sslmode=disable&gssencmode=disable"
        self.cut, self.closed, self.cuts = "", False, 0
        self.close_with_cut = False
        self._ends: list[socket.socket] = []
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._door.accept()
                if self.closed:
                    client.close()
                    continue
                server = socket.socket(socket.AF_UNIX if isinstance(self._server, str) else socket.AF_INET)
                server.connect(self._server)
                self._ends += [client, server]
                silent = threading.Event()
                for lead in (self._ask, self._answer):
                    threading.Thread(target=lead, args=(client, server, silent), daemon=True).start()

    def _ask(self, client: Any, server: Any, silent: threading.Event) -> None:
        with suppress(OSError):
            while data := client.recv(1 << 16):
                if self.cut and data.startswith(b"Q") and b"COMMIT" in data:
                    where, self.cut, self.closed = self.cut, "", self.close_with_cut
                    self.cuts += 1
                    silent.set()
                    if where == "after":
                        server.sendall(data)
                        time.sleep(0.2)
                    break
                server.sendall(data)
        self._shut(self._ends if self.closed else (server, client))

    def _shut(self, ends: Iterable[socket.socket]) -> None:
        for end in ends:
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def _answer(self, client: Any, server: Any, silent: threading.Event) -> None:
        with suppress(OSError):
            while data := server.recv(1 << 16):
                if not silent.is_set():
                    client.sendall(data)
        self._shut([client])

    def end(self) -> None:
        self._door.close()


@pytest.fixture
def line(postgres_url: str) -> Iterator[Line]:
    made = Line(postgres_url)
    yield made
    made.end()


@pytest.fixture
def make(postgres_schema: str, tmp_path: Path) -> Iterator[Callable[[str], Any]]:
    stores = []

    def made(url: str) -> Any:
        settings = as_settings({"DB_URL": url, "DB_SCHEMA": postgres_schema, "LOCK_TIMEOUT": 5}, workspace=tmp_path)
        stores.append(DataFactory(settings).create_store("postgres"))
        return stores[-1]

    yield made
    for store in stores:
        store.close()


def end_who_waits(raw: Any) -> None:
    """End the session that waits for a lock."""
    last = time.monotonic() + 10
    while time.monotonic() < last:
        ended = raw.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND pid IN"
            " (SELECT pid FROM pg_locks WHERE relation IN"
            " (SELECT oid FROM pg_class WHERE relnamespace = %s::regnamespace))",
            [raw.execute("SELECT current_schema()").fetchone()[0]],
        ).fetchall()
        if ended:
            return
        time.sleep(0.01)
    pytest.fail("no save waited for the lock")


# --------------------------------------------------------------------------- before the COMMIT


@pytest.mark.timeout(60)
@pytest.mark.parametrize("way", ["replace", *WAYS])
def test_a_save_whose_session_is_ended_is_made_again_once(raw: Any, make: Any, postgres_url: str, way: str) -> None:
    """An administrator ends the session in the middle: the save is made by another one, and its rows are there once."""
    store = make(postgres_url)
    store.save_data(PEOPLE, "d")
    with psycopg.connect(postgres_url) as blocker, ThreadPoolExecutor(1) as pool:
        blocker.execute(f'LOCK TABLE "{store.namespace}".d IN SHARE MODE')
        saving = pool.submit(store.save_data, BOTH if way == "replace" else MORE, "d", **WAYS.get(way, {}))
        end_who_waits(raw)
        blocker.rollback()
        assert saving.result(timeout=20) is True
    assert_same(BOTH, store.get_data("d"))
    assert store.describe("d").version == 2


@pytest.mark.timeout(60)
def test_a_session_that_is_ended_in_the_rows_is_replaced(raw: Any, make: Any, postgres_url: str) -> None:
    """A trigger ends the session of the first save among the rows that it sends; the second try gets them in."""
    store = make(postgres_url)
    store.save_data(PEOPLE, "d")
    raw.execute("CREATE TABLE public_once (n int); INSERT INTO public_once VALUES (1); CREATE SEQUENCE tries")
    raw.execute(
        "CREATE FUNCTION ending() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$ BEGIN"
        " IF nextval('tries') = 1 THEN PERFORM pg_terminate_backend(pg_backend_pid()); END IF; RETURN NEW; END $$"
    )
    raw.execute("CREATE TRIGGER ending BEFORE INSERT ON d FOR EACH ROW EXECUTE FUNCTION ending()")
    assert store.save_data(MORE, "d", mode="append") is True
    assert_same(BOTH, store.get_data("d"))
    assert raw.execute("SELECT last_value FROM tries").fetchone()[0] == 3


@pytest.mark.timeout(60)
def test_a_save_that_loses_each_connection_changes_nothing(raw: Any, make: Any, postgres_url: str) -> None:
    """When the second try is ended as well the error says that nothing was changed, and nothing is."""
    store = make(postgres_url)
    store.save_data(PEOPLE, "d")
    raw.execute(
        "CREATE FUNCTION ending() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NEW; END $$"
    )
    raw.execute("CREATE TRIGGER ending BEFORE INSERT ON d FOR EACH ROW EXECUTE FUNCTION ending()")
    with pytest.raises(UnavailableError, match="Nothing was changed") as caught:
        store.save_data(MORE, "d", mode="append")
    assert not isinstance(caught.value, OutcomeUnknownError)
    assert_same(PEOPLE, store.get_data("d"))
    raw.execute("DROP TRIGGER ending ON d")
    store.save_data(MORE, "d", mode="append")
    assert_same(BOTH, store.get_data("d"))


@pytest.mark.timeout(60)
def test_a_lock_that_was_relied_on_is_not_taken_anew(raw: Any, make: Any, postgres_url: str) -> None:
    """What was looked up under a lock that is lost may have changed since: the save is refused, and changes nothing."""
    store = make(postgres_url)
    store.save_data(PEOPLE, "d")
    with pytest.raises(UnavailableError, match="Nothing was changed"), store.locked("d"):  # noqa: PT012
        assert store.exists("d")
        raw.execute("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'")
        store.save_data(MORE, "d", mode="append")
    assert_same(PEOPLE, store.get_data("d"))


# --------------------------------------------------------------------------- with the COMMIT


@pytest.mark.timeout(60)
@pytest.mark.parametrize("where", ["before", "after"])
@pytest.mark.parametrize("way", WAYS)
def test_a_commit_whose_answer_is_lost_happens_once(raw: Any, make: Any, line: Line, where: str, way: str) -> None:
    """The server is asked whether the save is on record: it is not made twice, nor left out."""
    store = make(line.address)
    store.save_data(PEOPLE, "d")
    line.cut = where
    assert store.save_data(MORE, "d", **WAYS[way]) is True
    assert line.cuts == 1
    assert_same(BOTH, store.get_data("d"))
    assert store.describe("d").version == 2


@pytest.mark.timeout(120)
@pytest.mark.parametrize(("where", "given"), [("before", "nightly 7"), ("after", None)])
def test_an_outcome_that_nobody_can_tell_is_an_error_with_the_saves_id(
    raw: Any, make: Any, line: Line, postgres_url: str, where: str, given: str | None
) -> None:
    """The server is gone with the COMMIT: OutcomeUnknownError; the same save under its id makes it once."""
    store = make(line.address)
    store.save_data(PEOPLE, "d")
    line.close_with_cut, line.cut = True, where
    with pytest.raises(OutcomeUnknownError, match="save_id=") as caught:
        store.save_data(MORE, "d", mode="append", save_id=given)
    save_id = caught.value.save_id
    assert save_id
    assert given in (None, save_id)
    other = make(postgres_url)
    for _ in range(2):
        other.save_data(MORE, "d", mode="append", save_id=save_id)
        assert_same(BOTH, other.get_data("d"))


@pytest.mark.timeout(60)
@pytest.mark.parametrize("where", ["before", "after"])
def test_a_name_that_is_changed_while_the_line_is_cut_is_changed(raw: Any, make: Any, line: Line, where: str) -> None:
    """Renaming and deleting happen, whether the COMMIT or its answer was lost."""
    store = make(line.address)
    store.save_data(PEOPLE, "d")
    line.cut = where
    assert store.rename_data("d", "e") is True
    assert store.list_sources() == ["e"]
    assert_same(PEOPLE, store.get_data("e"))
    line.cut = where
    assert store.delete_data("e") is True
    assert store.list_sources() == []
    assert line.cuts == 2


@pytest.mark.timeout(60)
def test_a_name_whose_change_nobody_can_tell_is_an_error(raw: Any, make: Any, line: Line, postgres_url: str) -> None:
    """The server is gone with the COMMIT of a delete: OutcomeUnknownError, which holds no id."""
    store = make(line.address)
    store.save_data(PEOPLE, "d")
    line.close_with_cut, line.cut = True, "after"
    with pytest.raises(OutcomeUnknownError) as caught:
        store.delete_data("d")
    assert caught.value.save_id is None
    assert make(postgres_url).list_sources() == []


@pytest.mark.timeout(60)
def test_a_constraint_that_is_checked_at_the_commit_is_obeyed(raw: Any, make: Any, postgres_url: str) -> None:
    """A COMMIT that the server refuses is no lost one: an error, and nothing is changed."""
    store = make(postgres_url)
    store.save_data(PEOPLE, "d")
    raw.execute("ALTER TABLE d ADD UNIQUE (id) DEFERRABLE INITIALLY DEFERRED")
    with pytest.raises(Exception, match="duplicate") as caught:
        store.save_data(PEOPLE, "d", mode="append")
    assert not isinstance(caught.value, (UnavailableError, LockedError))
    assert_same(PEOPLE, store.get_data("d"))
    store.save_data(MORE, "d", mode="append")
    assert_same(BOTH, store.get_data("d"))
