"""The report of a preparation: one page that needs nothing else, says what was found, and lets nothing of data act."""

from __future__ import annotations

import io
import re
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pandas as pd
import pytest

from framework import registry
from framework.errors import CompatibilityException, DataQualityError
from framework.prepare.blueprint import Blueprint, Field, Plot
from framework.prepare.card import data_card
from framework.prepare.compatibility import compatibility
from framework.prepare.ingestion import DataIngestionService
from framework.prepare.learning import Learning
from framework.prepare.preprocessing import PreprocessingResult, checked_config
from framework.prepare.quality import final_quality
from framework.prepare.report import report_html
from framework.prepare.report_plots import drawn, spark
from framework.prepare.report_text import visible
from framework.prepare.states import PipelineState, PipelineStatus
from framework.prepare.validation import DataValidationService
from framework.redact import register_secret

VOID = {"meta", "br", "hr", "img", "link", "input"}
BIDI = "\u202e\u2066\u200f\u202a"


class Page(HTMLParser):
    """A page as a browser would take it: its tags, what they point to, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] != ["style"]:
            self.text += data


class Prepared:
    """A dataset that went through the real stages, as far as it came."""

    def __init__(self, frame: pd.DataFrame, blueprint: str | Blueprint, **asked: Any) -> None:
        own = isinstance(blueprint, Blueprint)
        self.plan: Blueprint = blueprint if own else registry.find("blueprint", blueprint).load()
        self.state = PipelineState(f"/home/ann-private/{self.plan.name}.csv", self.plan.name)
        self.frame = self.raw = self.fields = self.card = None
        self.asked = asked
        for stage in (self._read, self._judge, self._make):
            started = time.perf_counter()
            try:
                frame = stage(frame)
            except (CompatibilityException, DataQualityError) as error:
                self.state.status, self.state.stage = PipelineStatus.FAILED, "validation"
                self.state.errors.append(str(error))
                return
            self.state.seconds[stage.__name__.strip("_")] = time.perf_counter() - started
        self.state.status = PipelineStatus.COMPLETED

    def _read(self, frame: pd.DataFrame) -> pd.DataFrame:
        text = io.BytesIO(frame.to_csv(index=False).encode() + self.asked.pop("more", b""))
        read, self.state.ingestion = DataIngestionService().ingest(
            text, filename=self.state.source, on_bad_rows="quarantine"
        )
        return read

    def _judge(self, frame: pd.DataFrame) -> pd.DataFrame:
        self.state.compatibility = found = compatibility(frame.columns, self.plan)
        self.state.validation = DataValidationService().validate(frame, self.plan, found.fields)
        found.raise_if_failed()
        self.state.validation.raise_if_failed()
        return frame.rename(columns={column: name for name, column in found.fields.items()})

    def _make(self, frame: pd.DataFrame) -> pd.DataFrame:
        config, target = checked_config(self.asked.get("config")), self.asked.get("target")
        self.state.preprocessing = result = PreprocessingResult()
        work = Learning(config, self.plan, result, target=target, keep_dates=False, check=lambda: None)
        work.choose_inputs(frame, keep_extra=self.asked.get("keep_extra", False))
        work.admit(frame, None)
        work.impute()
        work.make_features()
        self.frame, self.raw = work.finish(frame), work.raw
        self.fields = work.table.frame(list(work.table.columns))
        self.state.quality = final_quality(self.frame, self.plan, features=work.recipe.features)
        self.card = data_card(self.state, work.recipe, self.frame, self.plan)
        return frame

    def html(self, **options: Any) -> str:
        given = {"fields": self.fields, **options}
        return report_html(self.state, self.card, self.frame, self.raw, self.plan, **given)


def customers(rows: int = 300) -> pd.DataFrame:
    chance = np.random.default_rng(5)
    last = pd.Timestamp("2026-06-30") - pd.to_timedelta(chance.integers(0, 90, rows), "D")
    frame = pd.DataFrame(
        {
            "Customer ID": [f"cust-{number:05d}" for number in range(rows)],
            "last_activity_date": last.strftime("%Y-%m-%d"),
            "account_created_date": (last - pd.to_timedelta(chance.integers(1, 900, rows), "D")).strftime("%Y-%m-%d"),
            "total_value": chance.lognormal(5, 1, rows).round(2),
            "feature_usage_count": chance.gamma(2, 60, rows).round(),
            "plan_type": chance.choice(["free", "basic", "premium"], rows),
        }
    )
    frame.loc[[7, 9], "total_value"] = np.nan
    frame.loc[[11], "total_value"] = -1.5
    frame.loc[[30], "last_activity_date"] = None
    return frame


def revenue() -> pd.DataFrame:
    days = pd.date_range("2025-01-01", periods=120)
    frame = pd.DataFrame({"date": days.strftime("%Y-%m-%d"), "revenue": np.linspace(100, 300, 120).round(2)})
    return pd.concat([frame.drop(index=[40, 41]), frame.iloc[[10, 11, 12]]])


def prices() -> pd.DataFrame:
    rows = [
        (f"SKU-{product}", 10 + product + (day % 4 if product > 1 else 0), 50 - 3 * (day % 4) + product, day)
        for product in range(5)
        for day in range(20)
    ]
    frame = pd.DataFrame(rows, columns=["product_id", "price", "quantity_sold", "date"])
    return frame.assign(date=(pd.Timestamp("2026-01-01") + pd.to_timedelta(frame["date"], "D")).dt.strftime("%Y-%m-%d"))


def repeated() -> Prepared:
    """Refused: identifiers repeat, and values are no numbers."""
    frame = customers()
    frame.loc[2:40, "Customer ID"] = "cust-00001"
    frame["total_value"] = frame["total_value"].astype(object)
    frame.loc[50:90, "total_value"] = "n/a?"
    return Prepared(frame, "customer_churn")


MADE: dict[str, Callable[[], Prepared]] = {
    "churn": lambda: Prepared(customers(), "customer_churn", more=b"only,two\n"),
    "failed": repeated,
    "prices": lambda: Prepared(prices(), "price_optimization"),
    "revenue": lambda: Prepared(revenue(), "revenue_projection"),
    "unfit": lambda: Prepared(revenue().rename(columns={"revenue": "revnue"}), "revenue_projection"),
}


def of_elsewhere(text: str) -> list[str]:
    """Whatever a page would fetch."""
    page = Page(text)
    named = {"src", "href", "srcset", "data", "action", "poster", "background", "xlink:href", "formaction"}
    found = [value for name, value in page.attributes if name in named]
    found += re.findall(r"url\(\s*['\"]?([^)'\"]*)", text) + re.findall(r"@import\s+([^;]+)", text)
    return [each for each in found if not each.startswith(("#", "data:"))]


# ------------------------------------------------------------------------------------------------ the page


@pytest.mark.parametrize("name", sorted(MADE))
def test_a_report_needs_nothing_but_itself(name: str) -> None:
    """No script, nothing from elsewhere, every tag closed; and it forbids what it does not need."""
    text = MADE[name]().html()
    page = Page(text)
    assert page.open == []
    assert of_elsewhere(text) == []
    assert not {"script", "link", "iframe", "object", "embed", "base", "form"} & set(page.tags)
    assert not [each for each, _ in page.attributes if each.startswith("on")]
    assert any(value.startswith("default-src 'none'") for _, value in page.attributes)


def test_what_would_be_fetched_is_seen_by_these_tests() -> None:
    """The test above can fail."""
    assert of_elsewhere("<img src='http://x/y.png'><style>a{background:url(z.png)}</style>") == [
        "http://x/y.png",
        "z.png",
    ]


@pytest.mark.parametrize("name", ["churn", "prices", "revenue"])
def test_a_report_shows_every_plot_feature_and_field(name: str) -> None:
    """Each of the blueprint's plots is drawn, with a distribution beside each feature."""
    prepared = MADE[name]()
    text, page = prepared.html(), Page(prepared.html())
    assert text.count('<svg class="plot"') == len(prepared.plan.plots) == 4
    assert text.count('<svg class="spark"') == len(prepared.raw.columns)
    assert "Not drawn" not in text
    for each in (*prepared.raw.columns, *(each.name for each in prepared.plan.fields)):
        assert each in page.text
    for each in prepared.plan.features:
        assert each.name not in prepared.raw or re.sub(r"\s+", " ", each.formula) in re.sub(r"\s+", " ", page.text)
    assert "COMPLETED" in page.text
    assert prepared.card["fingerprint"] in page.text


def test_a_report_tells_what_became_of_the_rows() -> None:
    """Those that came out, those without a date, and the line that could not be read."""
    words = Page(MADE["churn"]().html()).text
    assert "299came out" in words
    assert "1last_activity_date is missing" in words
    assert "1could not be read" in words
    assert "3were summed into another row" in Page(MADE["revenue"]().html()).text


def test_a_refused_preparation_has_a_report_with_its_reasons() -> None:
    """What was found and why it was refused; nothing is said to have come out."""
    prepared = repeated()
    assert prepared.state.status == PipelineStatus.FAILED
    words = Page(prepared.html()).text
    assert "Refused" in words
    assert "FAILED" in words
    assert "critical" in words
    assert "repeat an earlier one" in words
    assert "came out" not in words
    assert "n/a?" in words


def test_a_report_of_columns_that_do_not_fit_names_what_is_near() -> None:
    """The required field that is not there, and the column that it may be."""
    words = Page(MADE["unfit"]().html()).text
    assert "required, not there" in words
    assert "revnue" in words


def test_a_preparation_that_could_not_even_be_read_has_a_report() -> None:
    """With its error, without the folder of its file, and with the fields that were asked for."""
    state = PipelineState("/home/ann-private/x.csv", "customer_churn", status=PipelineStatus.FAILED, stage="ingestion")
    state.errors = ["/home/ann-private/x.csv, line 3: 2 fields, and the header has 9."]
    words = Page(report_html(state, None, None, None, registry.find("blueprint", "customer_churn").load())).text
    assert "x.csv, line 3" in words
    assert "ann-private" not in words
    assert "total_value" in words


def test_points_that_were_lost_have_their_reasons() -> None:
    """Each part of the score with what it gives, and each reason with its points."""
    prepared = repeated()
    words = Page(prepared.html()).text
    for reason in prepared.state.validation.score.reasons:
        assert reason.why in words


def test_no_identifier_is_in_a_report() -> None:
    """Neither of a row that shows an issue nor in a reason; a number that is wrong is shown."""
    for name in ("churn", "prices", "failed"):
        text = MADE[name]().html()
        assert "cust-" not in text
        assert "SKU-" not in text
    assert "-1.5" in MADE["churn"]().html()


def test_of_an_identifier_that_breaks_a_rule_only_the_row_is_shown() -> None:
    """Of a text too; of a category the value, which says what to mend."""
    plan = Blueprint(
        "guests",
        "Guests",
        (
            Field("guest", "identifier", pattern="g-[0-9]+"),
            Field("remark", "text", pattern="[a-z ]*"),
            Field("room", "category", allowed=("single", "double")),
        ),
        (),
        ("guest",),
        make=lambda frame, as_of, learnt: frame[[]],
    )
    frame = pd.DataFrame({"guest": [f"g-{number}" for number in range(90)], "remark": "none", "room": "single"})
    frame.loc[40] = ["Ms Miller", "Ms Miller came late", "suite"]
    prepared = Prepared(frame, plan)
    assert len(prepared.state.validation.issues) == 3
    words = Page(prepared.html()).text
    assert "Miller" not in words
    assert words.count("row 41") == 3
    assert "row 41: suite" in words


def test_a_report_that_its_run_writes_says_how_it_ended() -> None:
    """The run is not over while it writes: errors say that it failed, a card that all went well."""
    prepared = MADE["churn"]()
    prepared.state.status = PipelineStatus.IN_PROGRESS
    assert "COMPLETED" in Page(prepared.html()).text
    prepared.state.errors.append("StorageError: the disk is full")
    prepared.frame = None
    words = Page(prepared.html()).text
    assert "FAILED" in words
    assert "the disk is full" in words
    assert "were prepared and not given out" in words
    assert "Not drawn" not in words
    prepared.card, prepared.state.errors = None, []
    assert "IN PROGRESS" in Page(prepared.html()).text


def test_a_secret_is_masked_in_a_report() -> None:
    """As a column's name, and as the address of a file."""
    register_secret("tulip-garden-4712")
    prepared = Prepared(customers().assign(**{"tulip-garden-4712": 1}), "customer_churn")
    prepared.state.warnings.append("read from postgres://u:hunter23@h/db")
    text = prepared.html()
    assert "tulip-garden" not in text
    assert "hunter23" not in text
    assert "postgres://u:***@h/db" in text


# ------------------------------------------------------------------------------------------------ what data may try


HOSTILE = (
    "<script>alert(1)</script>", "\"><img src=x onerror=alert(1)>", "</style><style>*{display:none}", "{{ 7 * 7 }}",
    "=cmd|' /C calc'!A0", "a\u202eb\u2066c", "&lt;b&gt;", "javascript:alert(1)", "]]><svg onload=alert(1)>", "x" * 5000,
)  # fmt: skip


@pytest.mark.parametrize("keep_extra", [False, True], ids=["dropped", "kept"])
def test_names_of_columns_do_nothing_in_a_report(keep_extra: bool) -> None:
    """Tags and templates are text, marks of direction are written out, what is long is cut."""
    frame = customers()
    for number, name in enumerate(HOSTILE):
        frame[name] = [HOSTILE[(number + row) % 3] for row in range(len(frame))]
    prepared = Prepared(frame, "customer_churn", keep_extra=keep_extra)
    prepared.state.source = "<b>\u202ecsv.x</b>"
    text, plain = prepared.html(), MADE["churn"]().html()
    page = Page(text)
    assert {each for each in page.tags if each not in {"small"}} <= set(Page(plain).tags)
    assert not [each for each, _ in page.attributes if each.startswith("on")]
    assert not [char for char in BIDI if char in text]
    assert "a\\u202eb\\u2066c" in page.text
    assert "<script>alert(1)</script>" in page.text
    assert "{{ 7 * 7 }}" in page.text
    assert "x" * 1000 not in text
    assert of_elsewhere(text) == []


def test_words_of_a_blueprint_do_nothing_in_a_picture() -> None:
    """A title, an axis and the name of a bar are text in the picture too."""
    column = pd.Series(["<script>alert(1)</script>", "b\u202e", "b\u202e"])
    name = "<img onerror=x>"
    svg, _ = drawn(Plot("<script>", "bar", name), {name: column})
    page = Page(svg)
    assert not {"script", "img"} & set(page.tags)
    assert "\u202e" not in svg


@pytest.mark.parametrize(
    ("given", "seen"),
    [
        ("plain", "plain"),
        ("a\nb\tc", "a b c"),
        ("\x00\x1b[31m", "\\u0000\\u001b[31m"),
        ("\u202eevil", "\\u202eevil"),
        ("\ud800", "\\ud800"),
        ("żółć שלום 数据 🙂", "żółć שלום 数据 🙂"),
    ],
    ids=["plain", "spaces", "controls", "direction", "half", "languages"],
)
def test_what_cannot_be_seen_is_written_out(given: str, seen: str) -> None:
    """And all languages stay as they are; the page can be encoded."""
    assert visible(given) == seen
    visible(given).encode()


def wide(columns: int) -> pd.DataFrame:
    more = pd.DataFrame({f"column {number}": np.arange(60) % 7 for number in range(columns)})
    return pd.concat([customers(60), more], axis=1)


def test_ten_thousand_columns_are_a_page_that_opens() -> None:
    """What is not used is listed as far as it can be read, with how many more there are."""
    text = Prepared(wide(10_000), "customer_churn").html()
    assert len(text) < 200_000
    assert re.search(r"and 9,\d\d\d more\.", Page(text).text)


def test_tables_of_a_thousand_columns_are_bounded() -> None:
    """Where all of them come out; the card has each."""
    prepared = Prepared(wide(1000), "customer_churn", keep_extra=True)
    assert len(prepared.card["columns"]) > 1000
    text = prepared.html()
    assert len(text) < 300_000
    assert re.search(r"and 1,\d\d\d more choices", Page(text).text)
    assert re.search(r"and 9\d\d more fields", Page(text).text)


# ------------------------------------------------------------------------------------------------ how it is made


def test_a_report_is_the_same_from_every_thread() -> None:
    """Eight at once give what one gives: nothing is shared, no chance is in it."""
    made = [MADE[name]() for name in ("churn", "revenue", "prices")]
    alone = [each.html() for each in made]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda place: made[place % 3].html(), range(24)))
    assert together == [alone[place % 3] for place in range(24)]


def test_a_report_can_be_stopped() -> None:
    """`check` is called between pictures, and what it raises passes."""

    def stop() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        MADE["churn"]().html(check=stop)


def test_without_its_fields_a_report_draws_what_it_can() -> None:
    """A field is unscaled by the card; a date that did not come out is said to be lacking."""
    prepared = MADE["churn"]()
    text = prepared.html(fields=None)
    assert text.count('<svg class="plot"') == 4
    assert "Not drawn: date is not among the columns." in MADE["revenue"]().html(fields=None)


def test_without_jinja2_the_error_says_what_to_install() -> None:
    """The extra of the stage, as a pip line."""
    code = (
        "import sys; sys.modules['jinja2'] = None\n"
        "from framework.prepare.report import report_html\n"
        "from framework.prepare.states import PipelineState\n"
        "from framework.prepare.blueprint import Blueprint\n"
        "blueprint = Blueprint('b', '', (), (), (), make=lambda frame, as_of, learnt: frame)\n"
        "report_html(PipelineState('x', 'b'), None, None, None, blueprint)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert 'pip install "millpond[prepare]"' in done.stderr
    assert "MissingExtraError" in done.stderr


def test_a_blueprint_of_ones_own_has_its_plots() -> None:
    """Over its fields, though it makes no feature."""
    plan = Blueprint(
        "visits",
        "Visits",
        (Field("id", "identifier"), Field("day", "datetime"), Field("count", "number"), Field("page", "category")),
        (),
        ("id",),
        make=lambda frame, as_of, learnt: frame[[]],
        time="day",
        plots=(Plot("Pages", "bar", "page"), Plot("Visits", "line", "day", "count"), Plot("Days", "histogram", "day")),
    )
    days = pd.date_range("2026-01-01", periods=90).strftime("%Y-%m-%d")
    frame = pd.DataFrame({"id": range(90), "day": days, "count": range(90), "page": ["home", "shop", "blog"] * 30})
    text = Prepared(frame, plan).html()
    assert text.count('<svg class="plot"') == 3
    assert "shop" in text


# ------------------------------------------------------------------------------------------------ pictures


def bars_of(svg: str) -> list[int]:
    """How many rows each bar of a picture is said to have."""
    return [int(each.replace(",", "")) for each in re.findall(r": ([\d,]+)(?: rows)?</title>", svg)]


def test_the_bars_of_a_histogram_are_all_rows() -> None:
    """No value is left out silently: those far out are counted in words."""
    values = pd.Series(np.random.default_rng(1).normal(size=5000))
    svg, words = drawn(Plot("t", "histogram", "x"), {"x": values})
    assert sum(bars_of(svg)) == 5000
    assert words == ""
    far = pd.concat([values, pd.Series([1e6, np.nan])], ignore_index=True)
    svg, words = drawn(Plot("t", "histogram", "x"), {"x": far})
    assert sum(bars_of(svg)) + int(words.split()[0]) == 5001
    assert "further out" in words


def test_a_picture_of_many_rows_is_of_a_sample_that_is_always_the_same() -> None:
    """And says so."""
    values = pd.Series(np.random.default_rng(1).normal(size=400_000))
    plot = Plot("t", "histogram", "x")
    svg, words = drawn(plot, {"x": values})
    assert words == "A sample of 100,000 of 400,000 rows."
    assert sum(bars_of(svg)) == 100_000
    assert drawn(plot, {"x": values}) == (svg, words)
    svg, words = drawn(Plot("t", "scatter", "x", "y"), {"x": values, "y": values})
    assert svg.count("<circle") <= 1500
    assert "A sample of 1,500" in words


def test_bars_are_the_most_frequent_and_say_how_many_are_not_drawn() -> None:
    """Counts of all rows; of numbers in their order."""
    texts = pd.Series(["often"] * 50 + [f"rare {number}" for number in range(40)])
    svg, words = drawn(Plot("t", "bar", "x"), {"x": texts})
    assert bars_of(svg)[0] == 50
    assert words == "The 12 most frequent; 29 more are not drawn."
    svg, _ = drawn(Plot("t", "bar", "x"), {"x": pd.Series([3, 1, 2, 2])})
    assert bars_of(svg) == [1, 2, 1]
    svg, _ = drawn(Plot("t", "bar", "x", "y"), {"x": pd.Series([0, 0, 1]), "y": pd.Series([10.0, 20.0, np.nan])})
    assert bars_of(svg) == [15]
    assert "mean of y" in svg


def test_a_line_sums_what_stands_at_one_place_and_keeps_its_peaks() -> None:
    """The axis says that it is a sum; of a long line the highest point is drawn."""
    days = pd.Series(pd.to_datetime(["2026-01-01", "2026-01-01", "2026-01-02"]))
    svg, _ = drawn(Plot("t", "line", "day", "y"), {"day": days, "y": pd.Series([1.0, 2.0, 5.0])})
    assert "y, summed at each day" in svg
    heights = np.zeros(50_000)
    heights[31_337] = 9.0
    svg, words = drawn(Plot("t", "line", "x", "y"), {"x": pd.Series(np.arange(50_000)), "y": pd.Series(heights)})
    points = [float(each.split(",")[1]) for each in re.findall(r'points="([^"]*)"', svg)[0].split()]
    assert max(points) - min(points) > 150
    assert len(points) <= 1200
    assert words


def test_a_line_has_a_gap_where_a_value_is_missing() -> None:
    """Two runs, and nothing drawn between them."""
    heights = pd.Series([1.0, 2.0, np.nan, 3.0, 4.0])
    svg, _ = drawn(Plot("t", "line", "x", "y"), {"x": pd.Series(range(5)), "y": heights})
    assert svg.count("<polyline") == 2


COLUMNS = {
    "missing": pd.Series([np.nan] * 5),
    "constant": pd.Series([7.5] * 5),
    "zero": pd.Series([0] * 5),
    "huge": pd.Series([1e308, -1e308, 0, 1, 2]),
    "tiny": pd.Series([1e-300, 2e-300, 0, 1e-310, 5e-324]),
    "infinite": pd.Series([np.inf, -np.inf, 1.0, 2.0, np.nan]),
    "close": pd.Series([1e15, 1e15 + 0.125, 1e15 + 0.25, 1e15, 1e15]),
    "flags": pd.Series([True, False, True, True, False]),
    "dates": pd.Series(pd.to_datetime(["2026-01-01", None, "1700-01-01", "2026-01-02", "2200-01-01"])),
    "one day": pd.Series(pd.to_datetime(["2026-01-01"] * 5)),
    "zone": pd.Series(pd.to_datetime(["2026-01-01"] * 5, utc=True)),
    "texts": pd.Series(["a", "b", None, "a", ""]),
    "categories": pd.Series(["a", "b", None, "a", "b"], dtype="category"),
    "nullable": pd.Series([1, None, 3, 4, 5], dtype="Int64"),
    "nothing": pd.Series([], dtype="float64"),
}


@pytest.mark.parametrize("kind", ["bar", "histogram", "line", "scatter"])
@pytest.mark.parametrize("name", sorted(COLUMNS))
def test_any_column_can_be_drawn(kind: Any, name: str) -> None:
    """A picture of finite places, or words why there is none; never an error."""
    column = COLUMNS[name]
    others = [None] if kind in ("bar", "histogram") else [column, COLUMNS["nullable"].head(len(column))]
    for other in others:
        svg, words = drawn(Plot("t", kind, "x", None if other is None else "y"), {"x": column, "y": other})
        assert svg or words
        assert "nan" not in svg.lower().replace("nano", "")
        assert not re.search(r'="-?inf', svg)
        Page(svg)
    assert "nan" not in spark(column)


def test_a_plot_of_what_is_not_there_says_so() -> None:
    """The report goes on without it."""
    assert drawn(Plot("t", "scatter", "x", "gone"), {"x": COLUMNS["zero"]}) == (
        "",
        "Not drawn: gone is not among the columns.",
    )
