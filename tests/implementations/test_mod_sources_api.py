"""The mod that reads an HTTP API, against a server that does what APIs do, and what they should not."""

from __future__ import annotations

import base64
import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from framework.errors import BlockedError, DataException, FetchError, FormatError, PageError, ParameterError
from framework.mods.artifacts import read_table
from framework.mods.catalog import Mods
from framework.mods.run import ModRun
from framework.redact import redact
from framework.steps import Made

Asked = dict[str, Any]
Answer = tuple[int, Any] | tuple[int, Any, dict[str, str]]
SECRET = "s3cr3t-of-the-api"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        sent = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        asked = {"query": dict(parse_qsl(parts.query)), "headers": dict(self.headers), "body": sent, "at": time.time()}
        self.server.asked.append({**asked, "path": parts.path, "method": self.command})
        status, body, *more = self.server.answers[parts.path](asked)
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        for name, value in (more[0] if more else {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        for at in range(len(content)):
            self.wfile.write(content[at : at + 1] if self.server.pause else content[at:])
            if not self.server.pause:
                return
            time.sleep(self.server.pause)

    do_POST = do_GET

    def log_message(self, format: str, *args: Any) -> None:
        pass


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.answers: dict[str, Callable[[Asked], Answer]] = {}
        self.asked: list[Asked] = []
        self.pause = 0.0  # seconds between two bytes of an answer

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hangs up is what these tests are about."""


def _running() -> Iterator[_Server]:
    server = _Server()
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def api() -> Iterator[_Server]:
    yield from _running()


@pytest.fixture
def other() -> Iterator[_Server]:
    yield from _running()


class Reader:
    """Runs the mod again and again, its cursors kept between the runs as a job keeps them."""

    def __init__(self, root: Path, url: str) -> None:
        self.root, self.url = root, url
        self.cursors: dict[str, Any] = {}

    def made(self, **params: Any) -> Made:
        run = ModRun(
            "r1",
            "api_client",
            self.root / "runs" / "r1" / "api_client",
            self.root,
            logging.getLogger("millpond.mods"),
            cursors=json.loads(json.dumps(self.cursors)),
        )
        given = {"endpoint": f"{self.url}/r", "backoff": 0.0, **params}
        made = Mods(self.root).load("api_client").call(given, run)
        self.cursors.update(run.moved)
        return made

    def __call__(self, **params: Any) -> list[dict[str, Any]]:
        """The records of the artifact."""
        rows: list[dict[str, Any]] = read_table(self.made(**params).told.artifacts["output_data"]).to_pylist()
        return rows


@pytest.fixture
def read(tmp_path: Path, api: _Server) -> Reader:
    return Reader(tmp_path, api.url)


def numbered(count: int) -> list[dict[str, int]]:
    return [{"id": number} for number in range(count)]


def pages_of(rows: list[Any], size: int) -> Callable[[int], list[Any]]:
    return lambda number: rows[number * size : (number + 1) * size]


# --------------------------------------------------------------------------- paging


def test_pages_are_read_up_to_the_first_empty_one(api: _Server, read: Reader) -> None:
    """A server that gives fewer records a page than were asked for loses none."""
    page = pages_of(numbered(7), 3)
    api.answers["/r"] = lambda asked: (200, page(int(asked["query"]["page"]) - 1))
    assert read(paging="page", size_param="limit", page_size=100) == numbered(7)
    assert [asked["query"] for asked in api.asked][-1] == {"limit": "100", "page": "4"}


def test_offsets_grow_by_the_records_that_came(api: _Server, read: Reader) -> None:
    """An offset counts what was given, not what was asked for."""
    rows = numbered(7)
    api.answers["/r"] = lambda asked: (200, {"d": rows[int(asked["query"]["offset"]) :][:2]})
    assert read(paging="offset", records_path="d", size_param="n", page_size=50) == rows


def test_cursors_lead_from_page_to_page_also_in_a_body(api: _Server, read: Reader) -> None:
    """The mark of the next page is sent where paging_in says, beside what the body holds."""
    page = pages_of(numbered(5), 2)

    def answer(asked: Asked) -> Answer:
        sent = json.loads(asked["body"])
        assert sent["filter"] == "x"
        number = int(sent.get("after", 0))
        return 200, {"items": page(number), "meta": {"next": str(number + 1) if number < 2 else None}}

    api.answers["/r"] = answer
    asked = {"method": "POST", "body": {"filter": "x"}, "paging_in": "body"}
    assert read(paging="cursor", next_param="after", next_path="meta.next", records_path="items", **asked) == numbered(
        5
    )


def test_a_link_header_and_a_url_in_the_answer_lead_on(api: _Server, read: Reader) -> None:
    """Both are followed as they are, relative or whole, their query in place of ours."""
    api.answers["/r"] = lambda asked: (
        200,
        {"v": [{"id": 0}], "next": "/r2?after=1"},
        {"Link": f'<{api.url}/r2?after=1>; rel="next", <{api.url}/r>; rel="first"'},
    )
    api.answers["/r2"] = lambda asked: (200, {"v": [{"id": int(asked["query"]["after"])}], "next": None})
    for paging in ("link", "next_url"):
        assert read(paging=paging, records_path="v", params={"q": "x"}) == numbered(2)
    assert [asked["query"] for asked in api.asked] == 2 * [{"q": "x"}, {"after": "1"}]


def test_a_page_that_repeats_itself_is_an_error(api: _Server, read: Reader) -> None:
    """An API that does not know the page's parameter gives the same page for ever, which is seen at the second."""
    api.answers["/r"] = lambda asked: (200, numbered(3))
    with pytest.raises(FetchError, match="same records on two pages"):
        read(paging="page")
    assert len(api.asked) == 2


def test_a_cursor_that_comes_back_is_an_error(api: _Server, read: Reader) -> None:
    """A ring of pages ends with an error, not never."""
    api.answers["/r"] = lambda asked: (200, {"v": numbered(1), "next": "ab"[asked["query"].get("cursor") == "a"]})
    with pytest.raises(FetchError, match="read already"):
        read(paging="cursor", records_path="v")


def test_paging_without_end_is_an_error_and_leaves_nothing(api: _Server, read: Reader) -> None:
    """More than max_pages are refused, and no artifact of a part is made."""
    api.answers["/r"] = lambda asked: (200, [{"id": int(asked["query"]["page"])}])
    with pytest.raises(FetchError, match="more than 5 pages"):
        read(paging="page", max_pages=5)
    assert not list(read.root.rglob("output_data.parquet"))


def test_a_status_beyond_the_last_page_is_its_end_where_that_is_said(api: _Server, read: Reader) -> None:
    """404 is an error, and the end of the pages only with end_status, and never at the first one."""
    api.answers["/r"] = lambda asked: (200, numbered(2)) if asked["query"]["page"] == "1" else (404, "no such page")
    with pytest.raises(PageError, match="404"):
        read(paging="page")
    assert read(paging="page", end_status=[404]) == numbered(2)
    with pytest.raises(PageError, match="404"):
        read(paging="page", first_page=2, end_status=[404])


def test_an_object_around_the_records_is_not_taken_for_one(api: _Server, read: Reader) -> None:
    """With paging, an answer that is no list names the keys that hold lists."""
    api.answers["/r"] = lambda asked: (200, {"items": [], "next": None})
    with pytest.raises(FormatError, match="Known: items"):
        read(paging="next_url")


@pytest.mark.parametrize(
    "trouble",
    [{"ok": False, "error": "ratelimited"}, b"", b"null", {"data": {"other": []}}, []],
    ids=["error", "empty", "null", "other", "list"],
)
@pytest.mark.parametrize("paging", ["page", "cursor"])
def test_an_answer_without_its_records_is_not_the_end(api: _Server, read: Reader, paging: str, trouble: Any) -> None:
    """A server in trouble may say 200: the run ends with an error, and the cursor stays where it was."""

    def answer(asked: Asked) -> Answer:
        number = int(asked["query"].get("p", 1))
        return (200, {"data": {"items": [{"id": number}]}, "next": number + 1}) if number < 3 else (200, trouble)

    api.answers["/r"] = answer
    asked = {"paging": paging, "page_param": "p", "next_param": "p", "records_path": "data.items"}
    with pytest.raises(FetchError, match="page 3"):
        read(**asked, cursor_field="id", cursor_param="since")
    assert not read.cursors
    assert not list(read.root.rglob("output_data.parquet"))


@pytest.mark.parametrize(
    ("last", "more"),
    [
        ((200, {"items": []}), {}),
        ((200, {"items": None}), {}),
        ((204, b""), {}),
        ((200, {"done": True}), {"empty_is_end": True}),
        ((200, b""), {"empty_is_end": True}),
    ],
    ids=["list", "null", "no-content", "object", "body"],
)
def test_pages_end_where_that_is_said(api: _Server, read: Reader, last: Answer, more: dict[str, Any]) -> None:
    """An empty list, null in its place and 204 are an end; what else an API may mean by it is to be allowed."""
    api.answers["/r"] = lambda asked: (200, {"items": [{"id": 1}]}) if asked["query"]["page"] == "1" else last
    assert read(paging="page", records_path="items", **more) == [{"id": 1}]


# --------------------------------------------------------------------------- who asks


@pytest.mark.parametrize(
    ("params", "header", "value"),
    [
        ({"auth_method": "bearer", "token": SECRET}, "Authorization", f"Bearer {SECRET}"),
        (
            {"auth_method": "basic", "username": "u", "password": SECRET},
            "Authorization",
            f"Basic {base64.b64encode(f'u:{SECRET}'.encode()).decode()}",
        ),
        ({"auth_method": "api_key", "api_key": SECRET, "api_key_header": "X-Own"}, "X-Own", SECRET),
        ({"headers": {"X-Auth-Own": SECRET}}, "X-Auth-Own", SECRET),
    ],
    ids=["bearer", "basic", "api_key", "header"],
)
def test_credentials_are_sent_and_never_shown(
    api: _Server, read: Reader, params: dict[str, Any], header: str, value: str
) -> None:
    """Each kind of credentials arrives; a refusal that repeats them is shown without."""
    api.answers["/r"] = lambda asked: (200, []) if asked["query"] else (401, {"error": asked["headers"].get(header)})
    assert read(params={"ok": 1}, **params) == []
    assert api.asked[0]["headers"][header] == value
    with pytest.raises(BlockedError, match="401") as raised:
        read(**params)
    assert SECRET not in redact(str(raised.value))
    assert value not in str(raised.value)


@pytest.mark.parametrize("where", ["basic", "body"])
def test_oauth2_gets_a_token_and_another_when_it_is_refused(api: _Server, read: Reader, where: str) -> None:
    """Client credentials give a token; one that ended early is replaced once, in the middle of the pages."""
    tokens = iter(["first-token", "second-token", "third-token"])
    used: list[str] = []

    def token(asked: Asked) -> Answer:
        form = dict(parse_qsl(asked["body"]))
        assert form["grant_type"] == "client_credentials"
        assert form["scope"] == "read"
        assert (form.get("client_secret") == SECRET) == (where == "body")
        assert ("Authorization" in asked["headers"]) == (where == "basic")
        return 200, {"access_token": next(tokens), "expires_in": 3600}

    def answer(asked: Asked) -> Answer:
        used.append(asked["headers"]["Authorization"])
        if asked["query"]["page"] == "2" and used[-1] == "Bearer first-token":
            return 401, {"error": "expired"}
        return 200, numbered(2) if asked["query"]["page"] == "1" else []

    api.answers |= {"/token": token, "/r": answer}
    oauth = {"token_url": f"{api.url}/token", "client_id": "me", "client_secret": SECRET, "scope": "read"}
    assert read(paging="page", auth_method="oauth2", client_auth=where, **oauth) == numbered(2)
    assert used == ["Bearer first-token", "Bearer first-token", "Bearer second-token"]
    assert "second-token" not in redact("Bearer second-token")


def test_credentials_go_to_no_other_address(api: _Server, other: _Server, read: Reader) -> None:
    """A next page or a redirect at another address is an error, unless the address is named."""
    other.answers["/r"] = lambda asked: (200, {"v": [{"id": 1}]})
    api.answers["/r"] = lambda asked: (200, {"v": [{"id": 0}], "next": f"{other.url}/r"})
    api.answers["/moved"] = lambda asked: (302, "", {"Location": f"{other.url}/r"})
    auth = {"auth_method": "bearer", "token": SECRET, "records_path": "v"}
    with pytest.raises(FetchError, match="other_hosts"):
        read(paging="next_url", **auth)
    with pytest.raises(FetchError, match="other_hosts"):
        read(endpoint=f"{api.url}/moved", **auth)
    assert not other.asked
    assert read(paging="next_url", other_hosts=[other.url], **auth) == numbered(2)


# --------------------------------------------------------------------------- a server in trouble


def test_trouble_that_passes_is_tried_again(api: _Server, read: Reader) -> None:
    """500, 429 and 503 are tried again; what came before is not lost."""
    troubles = iter([(500, "oops"), (429, "slow"), (503, "busy"), (200, numbered(2))])
    api.answers["/r"] = lambda asked: next(troubles)
    made = read.made()
    assert made.told.metrics["requests"] == 4
    assert made.told.metrics["rows_output"] == 2


def test_retry_after_is_honoured_and_bounded(api: _Server, read: Reader) -> None:
    """The wait that the server asks for is kept, as a number or a date; one beyond longest_wait is an error at once."""
    when = format_datetime(datetime.now(UTC) + timedelta(seconds=3), usegmt=True)
    troubles = iter([(429, "", {"Retry-After": "1"}), (503, "", {"Retry-After": when}), (200, [])])
    api.answers["/r"] = lambda asked: next(troubles)
    read()
    assert api.asked[1]["at"] - api.asked[0]["at"] >= 1
    assert api.asked[2]["at"] - api.asked[1]["at"] >= 0.5
    api.answers["/r"] = lambda asked: (429, "", {"Retry-After": "3600"})
    with pytest.raises(BlockedError, match="3600 s"):
        read(longest_wait=10)
    assert len(api.asked) == 4


def test_what_does_not_pass_is_not_tried_again(api: _Server, read: Reader) -> None:
    """400 ends at once, with what the API says of it; 500 after the last try."""
    api.answers["/r"] = lambda asked: (400, {"error": "unknown filter 'x'"})
    with pytest.raises(FetchError, match="unknown filter 'x'"):
        read()
    assert len(api.asked) == 1
    api.answers["/r"] = lambda asked: (500, "oops")
    with pytest.raises(FetchError, match=r"oops.*Tried 3 times"):
        read(retries=2)
    assert len(api.asked) == 4


def test_requests_keep_the_rate(api: _Server, read: Reader) -> None:
    """With ten requests a second three take 0.2 s at least."""
    page = pages_of(numbered(2), 1)
    api.answers["/r"] = lambda asked: (200, page(int(asked["query"]["page"]) - 1))
    began = time.monotonic()
    read(paging="page", rate_limit=10)
    assert time.monotonic() - began >= 0.2
    assert len(api.asked) == 3


@pytest.mark.timeout(60)
def test_a_server_that_dawdles_is_given_up(api: _Server, read: Reader) -> None:
    """The timeout is for the whole answer, not for each byte."""
    api.pause = 0.1
    api.answers["/r"] = lambda asked: (200, numbered(100))
    with pytest.raises(FetchError, match="no answer in time"):
        read(timeout=0.3, retries=1)
    assert len(api.asked) == 2


def test_an_answer_larger_than_the_bound_is_refused(api: _Server, read: Reader) -> None:
    """No more than max_bytes of an answer are read."""
    api.answers["/r"] = lambda asked: (200, ["x" * 100_000])
    with pytest.raises(FetchError, match="more than 1,000 bytes"):
        read(max_bytes=1000)


@pytest.mark.parametrize("body", [b"<html>", b'[{"a": 1}', b"\xff\xfe", b"[1]"], ids=["html", "cut", "bytes", "number"])
def test_an_answer_that_is_no_records_is_an_error(api: _Server, read: Reader, body: bytes) -> None:
    """What is no JSON, or no list of records, is never taken for an empty one."""
    api.answers["/r"] = lambda asked: (200, body)
    with pytest.raises(FormatError):
        read()


def test_nothing_listens(read: Reader, api: _Server) -> None:
    """A refused connection is an error that names the place, without the query."""
    with pytest.raises(FetchError, match="no connection") as raised:
        read(endpoint="http://127.0.0.1:9/r", params={"apikey": SECRET}, retries=0)
    assert SECRET not in str(raised.value)


# --------------------------------------------------------------------------- only what is new


def test_only_new_records_are_read_the_next_time(api: _Server, read: Reader) -> None:
    """Whether the API takes its parameter as from or after, no record comes twice and none is left out."""
    rows = [{"id": 1, "at": "2024-01-01T10:00:00Z"}, {"id": 2, "at": "2024-01-01T10:00:00.5Z"}]

    def answer(asked: Asked) -> Answer:
        since = asked["query"].get("since", "")
        return 200, [row for row in rows if row["id"] >= 2] if since else rows  # from here on, this one too

    api.answers["/r"] = answer
    new = {"cursor_field": "at", "cursor_param": "since"}
    assert [row["id"] for row in read(**new)] == [1, 2]
    assert read(**new) == []
    assert api.asked[-1]["query"] == {"since": "2024-01-01T10:00:00.5Z"}
    rows += [{"id": 3, "at": "2024-01-01T10:00:00.5Z"}, {"id": 4, "at": "2024-01-02T00:00:00Z"}]
    assert [row["id"] for row in read(**new)] == [3, 4]
    assert read(**new) == []


def test_an_api_that_ignores_the_cursor_gives_nothing_twice(api: _Server, read: Reader) -> None:
    """Old records that come nevertheless are left out and counted; the cursor never goes back."""
    rows = [{"id": 9}, {"id": 10}]
    api.answers["/r"] = lambda asked: (200, rows)
    new = {"cursor_field": "id", "cursor_param": "since_id"}
    assert len(read(**new)) == 2
    rows[:] = [{"id": 3}, {"id": 10}, {"id": 11}]
    made = read.made(**new)
    assert made.told.metrics["rows_known"] == 2
    rows[:] = [{"id": 1}]
    assert read(**new) == []
    assert [kept["value"] for kept in read.cursors.values()] == [11]


@pytest.mark.parametrize(
    "ids",
    [
        ["ORD-8", "ORD-9", "ORD-10", "ORD-11", "ORD-12"],
        ["8.75", "9.5", "10.25", "11.0", "100.5"],
        ["-12", "-9", "-1", "0", "7"],
        ["b", "C", "a", "zz", "B"],
        ["2024-05-01T10:00:00Z", "2024-05-01T10:30:00+00:00", "2024-05-01T13:00:00+02:00", "2024-05-02", "2024-06-01"],
        ["9", "x1", "10", "2024-05-01", "-"],
    ],
    ids=["codes", "decimals", "negatives", "letters", "moments", "mixed"],
)
@pytest.mark.parametrize("whole", [False, True], ids=["since", "whole"])
def test_text_that_grows_loses_no_record(api: _Server, read: Reader, ids: list[str], whole: bool) -> None:
    """What is behind the last value in the API's own order comes once, also where its letters are less."""
    there: list[str] = []

    def answer(asked: Asked) -> Answer:
        since = asked["query"].get("since")
        return 200, [{"id": each} for each in there[there.index(since) if since and not whole else 0 :]]

    api.answers["/r"] = answer
    came = []
    for count in (2, 2, 4, 5, 5):
        there[:] = ids[:count]
        came.append([row["id"] for row in read(cursor_field="id", cursor_param="since")])
    assert came == [ids[:2], [], ids[2:4], ids[4:], []]


def test_text_that_is_too_much_to_remember_comes_again_rather_than_never(api: _Server, read: Reader) -> None:
    """Where an API gives all of it each time, some records come twice, and the reader is told."""
    there = [{"id": f"k{number}"} for number in range(10_100)]
    api.answers["/r"] = lambda asked: (200, there)
    made = read.made(cursor_field="id", cursor_param="since")
    assert any("some come twice" in each for each in made.warnings)
    there.append({"id": "a-new-one"})
    again = [row["id"] for row in read(cursor_field="id", cursor_param="since")]
    assert again[-1] == "a-new-one"
    assert len(again) < 200


def test_a_record_without_the_cursors_field_is_an_error(api: _Server, read: Reader) -> None:
    """It would be read each time or never, so it is said."""
    api.answers["/r"] = lambda asked: (200, [{"id": 1}, {"name": "x"}])
    with pytest.raises(DataException, match="no value in the cursor's column 'id'"):
        read(cursor_field="id", cursor_param="since")
    assert not read.cursors


@pytest.mark.parametrize(
    ("params", "says"),
    [
        ({"auth_method": "oauth2", "token_url": "https://a.b/c"}, "client_id and client_secret"),
        ({"auth_method": "bearer"}, "needs token"),
        ({"endpoint": "api.example.org/x"}, "https://"),
        ({"endpoint": "https://u:p@api.example.org/x"}, "auth_method: basic"),
        ({"cursor_field": "id"}, "belong together"),
        ({"body": {}}, "method: POST"),
        ({"paging": "pages"}, "page"),
    ],
    ids=["oauth2", "bearer", "scheme", "password", "cursor", "body", "paging"],
)
def test_parameters_that_do_not_fit_are_seen_before_anything_is_asked(
    read: Reader, params: dict[str, Any], says: str
) -> None:
    """What lacks or contradicts is named."""
    with pytest.raises(ParameterError, match=says):
        read(**params)
