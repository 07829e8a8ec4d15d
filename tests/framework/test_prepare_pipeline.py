"""Preparing by the doors: files, batches and streams; what is on record, and what becomes of it when it is stopped."""

from __future__ import annotations

import asyncio
import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from framework import DataFactory, as_settings
from framework.engine.trying import Stopped
from framework.errors import (
    BaseFrameworkException,
    CompatibilityException,
    DataException,
    DataQualityError,
    IngestionException,
    OptionError,
    ProcessingException,
    StorageError,
    UnavailableError,
)
from framework.prepare import (
    Blueprint,
    DataIngestionService,
    DataPipeline,
    Feature,
    Field,
    PipelineConfig,
    PipelineStatus,
    Recipe,
)
from framework.prepare.configuration import Request
from framework.testing import assert_same
from framework.workspace import Workspace

NINE = [
    "days_since_last_activity",
    "account_tenure_days",
    "daily_value_rate",
    "support_intensity",
    "feature_usage_rate",
    "activity_recency_score",
    "value_tier",
    "plan_value_score",
    "engagement_score",
]
STAGES = ["ingestion", "validation", "compatibility", "preprocessing", "feature_engineering", "quality"]
PLANS = ("free", "basic", "premium", "enterprise")


def customers(rows: int = 40) -> str:
    """A file of customers."""
    head = (
        "customer_id,last_activity_date,account_created_date,total_value,support_tickets,feature_usage_count,plan_type"
    )
    lines = [
        f"C{n:03d},2026-0{1 + n % 6}-{10 + n % 18},2024-{1 + n % 12:02d}-05,{10 + 7.5 * n},"
        f"{n % 5},{n * 3 % 101},{PLANS[n % 4]}"
        for n in range(rows)
    ]
    return "\n".join([head, *lines]) + "\n"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A workspace with a file of customers."""
    (tmp_path / "millpond.yaml").touch()
    (tmp_path / "customers.csv").write_text(customers())
    return tmp_path


def pipeline(place: Path, *args: Any, **options: Any) -> DataPipeline:
    return DataPipeline(*args, settings=as_settings(workspace=place), **options)


def only_run(place: Path) -> tuple[Any, list[Any]]:
    """The one run on record, and its steps."""
    found = Workspace(place)
    (row,) = found.runs()
    return found.ran(row.run_id)


# --------------------------------------------------------------------------- a file


def test_a_file_becomes_a_dataset_with_nine_features(place: Path) -> None:
    """The dataset, its state, its record and its files say the same."""
    data, state = asyncio.run(
        pipeline(place).process_file(file_path=str(place / "customers.csv"), blueprint_name="customer_churn")
    )
    assert state.status == PipelineStatus.COMPLETED == "COMPLETED"
    assert state.feature_engineering.features_created == NINE
    assert next(iter(data.columns)) == "customer_id"
    assert list(data.columns)[-9:] == NINE
    assert len(data) == 40
    assert state.quality.passed
    assert state.validation.score.value == 100.0
    row, steps = only_run(place)
    assert (row.run_id, row.kind, row.state, row.exit_code) == (state.id, "prepare", "COMPLETED", 0)
    assert [step.name for step in steps] == STAGES
    assert all(step.state == "COMPLETED" for step in steps)
    folder = place / "prepared" / "customers" / state.id
    assert row.plan["folder"] == str(folder)
    assert {path.name for path in folder.iterdir()} == {"recipe.json", "report.html", "card.json"}
    assert json.loads(json.dumps(state.as_dict()))["status"] == "COMPLETED"
    assert steps[0].inputs[0].fingerprint.startswith("file:")


def test_the_recipe_in_the_folder_gives_the_same_columns(place: Path) -> None:
    """Bit by bit, of the same rows, by the file or by its folder."""
    file = place / "customers.csv"
    data, state = pipeline(place).process_file_sync(file, "customer_churn")
    again, other = pipeline(place).process_file_sync(file, "", recipe=Path(state.files["recipe"]).parent)
    assert_same(data, again)
    assert other.feature_engineering.features_created == NINE
    recipe = Recipe.loads(Path(state.files["recipe"]).read_text())
    assert_same(data, recipe.transform(DataIngestionService().ingest(file)[0]))
    with pytest.raises(OptionError, match="customer_churn"):
        pipeline(place).process_file_sync(file, "revenue_projection", recipe=state.files["recipe"])


def test_the_dataset_is_saved_where_it_was_said(place: Path) -> None:
    """In a store, on record there, and not shrunk by mistake."""
    data, state = pipeline(place).process_file_sync(place / "customers.csv", "customer_churn", out="parquet:train")
    store = DataFactory(as_settings(workspace=place)).create_store("parquet")
    assert_same(data, store.get_data("train"))
    _, steps = only_run(place)
    assert steps[-1].name == "store"
    assert steps[-1].outputs[0].ref == "parquet:train"
    assert Path(state.files["recipe"]).parts[-3] == "train"
    (place / "few.csv").write_text(customers(5))
    with pytest.raises(DataException, match="allow_shrink"):
        pipeline(place).process_file_sync(place / "few.csv", "customer_churn", out="parquet:train")
    assert_same(data, store.get_data("train"))
    pipeline(place).process_file_sync(place / "few.csv", "customer_churn", out="parquet:train", allow_shrink=True)
    assert len(store.get_data("train")) == 5


BAD = {
    "no file": ("nix.csv", None, {}, BaseFrameworkException, 20),
    "not a table": ("b.csv", "a,b\n1\n2,3,4\n", {}, IngestionException, 20),
    "other columns": ("b.csv", "a,b\n1,2\n", {}, CompatibilityException, 20),
    "repeated": ("b.csv", customers(9) + customers(1).split("\n")[1] + "\n", {}, DataQualityError, 20),
    "only a header": ("b.csv", customers(0), {}, BaseFrameworkException, 20),
    "before all": ("b.csv", customers(9), {"as_of": "2001-01-01"}, ProcessingException, 30),
}  # fmt: skip


@pytest.mark.parametrize("what", BAD)
def test_what_is_refused_is_typed_and_has_its_state(place: Path, what: str) -> None:
    """The error says why and holds the state; the run is on record as failed for that reason."""
    name, content, asked, kind, code = BAD[what]
    if content is not None:
        (place / name).write_text(content)
    with pytest.raises(kind) as caught:
        pipeline(place).process_file_sync(place / name, "customer_churn", **asked)
    state = caught.value.state
    assert state.status == PipelineStatus.FAILED
    assert caught.value.exit_code == code
    assert str(caught.value) in state.errors[0]
    row, _ = only_run(place)
    assert (row.state, row.exit_code) == ("FAILED", code)
    assert row.reason


WRONG: list[dict[str, Any]] = [
    {"as_off": "2026-01-01"}, {"out": "train"}, {"out": "nix:train"}, {"out": 5}, {"out": "parquet:../x"},
    {"out": "postgresql://a:hunter2@db/x"}, {"dataset": "../x"}, {"dataset": 5}, {"keep_dates": "no"},
    {"allow_shrink": "no"}, {"report": 0}, {"mapping": "abc"}, {"mapping": {"total_value": 5}}, {"target": ""},
    {"target": ["a"]}, {"recipe": ""}, {"recipe": 5}, {"recipe": "nix.json"}, {"as_of": "some day"},
    {"preprocessing_config": 5}, {"preprocessing_config": {"scaling": "minmax"}},
    {"preprocessing_config": {"scaling_method": "robust|standard"}}, {"blueprint_name": "customer_chrun"},
    {"blueprint_name": ""}, {"blueprint_name": 5},
]  # fmt: skip


def test_what_cannot_be_meant_is_refused_before_anything_runs(place: Path) -> None:
    """Options and names that there are not; nothing is on record."""
    for asked in WRONG:
        with pytest.raises(BaseFrameworkException) as caught:
            pipeline(place).process_file_sync(place / "customers.csv", **{"blueprint_name": "customer_churn", **asked})
        assert caught.value.exit_code == 20, asked
    for config in (
        {"preprocessing_config": {"scaling": "robust"}},
        {"preprocessing_config": {"missing_value_strategy": "auto|drop|mean|median|mode"}},
        {"validation_config": {"schema": True}},
        {"quality_thresholds": {"completeness": 2}},
        {"quality_thresholds": {1: 2}},
        {"quality_thresholds": {"given": 2}},
        {"quality_thresholds": 5},
    ):
        with pytest.raises(BaseFrameworkException) as caught:
            PipelineConfig(**config)
        assert caught.value.exit_code == 20
    for source in (io.BytesIO(b""), 5, None):
        with pytest.raises(OptionError):
            pipeline(place).process_file_sync(source, "customer_churn")  # type: ignore[arg-type]
    for source, name in (("customers.csv", "c.csv"), (b"a", "c.csv"), (io.BytesIO(b"a"), None)):
        with pytest.raises(OptionError):
            asyncio.run(pipeline(place).process_stream(source, name, "customer_churn"))  # type: ignore[arg-type]
    with pytest.raises(OptionError):
        DataPipeline(ingestion=5)  # type: ignore[arg-type]
    assert Workspace(place).runs() == []
    assert not (place / "prepared").exists()


def test_a_recipe_says_itself_how(place: Path) -> None:
    """What it would not heed is refused, not ignored."""
    file = place / "customers.csv"
    _, state = pipeline(place).process_file_sync(file, "customer_churn")
    recipe = state.files["recipe"]
    for asked in (
        {"target": "total_value"},
        {"keep_dates": True},
        {"preprocessing_config": {"scaling_method": "none"}},
    ):
        with pytest.raises(OptionError, match="recipe"):
            pipeline(place).process_file_sync(file, recipe=recipe, **asked)
    (place / "cut.json").write_bytes(Path(recipe).read_bytes()[:100])
    (place / "late.csv").write_text(customers().replace("2026-", "2027-"))
    with pytest.raises(OptionError, match="not JSON"):
        pipeline(place).process_file_sync(file, recipe=place / "cut.json")
    with pytest.raises(ProcessingException, match=r"No row is left.*after as_of.*as_of="):
        pipeline(place).process_file_sync(place / "late.csv", recipe=recipe)


def test_a_call_is_merged_over_the_configuration_key_by_key(place: Path) -> None:
    """What a call does not say stays as the pipeline has it."""
    config = PipelineConfig(preprocessing_config={"scaling_method": "none", "outlier_method": "none"})
    data, state = pipeline(place, config=config).process_file_sync(
        place / "customers.csv", "customer_churn", {"outlier_method": "zscore"}
    )
    recipe = json.loads(Path(state.files["recipe"]).read_text())
    assert recipe["config"]["scaling_method"] == "none"
    assert recipe["config"]["outlier_method"] == "zscore"
    assert data["total_value"].max() > 300


def test_thresholds_are_those_of_the_configuration(place: Path) -> None:
    """A file that lacks values is refused, or passes where that is put up with."""
    text = customers(20).replace(",10.0,", ",,").replace(",17.5,", ",,").replace(",25.0,", ",,")
    (place / "gaps.csv").write_text(text)
    with pytest.raises(DataQualityError, match="total_value"):
        pipeline(place).process_file_sync(place / "gaps.csv", "customer_churn")
    config = PipelineConfig(quality_thresholds={"completeness": 0.8})
    _, state = pipeline(place, config=config).process_file_sync(place / "gaps.csv", "customer_churn")
    assert state.status == "COMPLETED"
    assert state.preprocessing.imputed["total_value"] == 3


def test_without_monitoring_there_are_no_metrics_but_there_is_a_record(place: Path) -> None:
    """The ledger is kept in any case."""
    pipeline(place, enable_monitoring=False).process_file_sync(place / "customers.csv", "customer_churn")
    _, steps = only_run(place)
    assert [step.name for step in steps] == STAGES
    assert not any(step.metrics.get("metrics") for step in steps)
    pipeline(place).process_file_sync(place / "customers.csv", "customer_churn")
    _, steps = Workspace(place).ran("last")
    assert all(step.metrics["metrics"]["peak_memory"] > 0 for step in steps)


def test_rows_put_aside_lie_beside_the_recipe(place: Path) -> None:
    """A quarantine keeps each broken row with its line."""
    (place / "broken.csv").write_text(customers() + "C900,2026-01-01\n")
    with pytest.raises(IngestionException):
        pipeline(place).process_file_sync(place / "broken.csv", "customer_churn")
    data, state = pipeline(place).process_file_sync(place / "broken.csv", "customer_churn", on_bad_rows="quarantine")
    aside = pd.read_parquet(state.files["rejected"])
    assert len(data) == 40
    assert list(aside["_line"]) == [42]
    assert Path(state.files["rejected"]).parent == Path(state.files["recipe"]).parent


def test_what_was_not_used_for_long_is_forgotten_and_nothing_else(place: Path) -> None:
    """By the setting: not a recipe that is in use, not what others put there, not behind a link."""
    _, state = pipeline(place).process_file_sync(place / "customers.csv", "customer_churn")
    mine = Path(state.files["recipe"]).parent
    elsewhere = place / "elsewhere"
    others = [mine.parent / "notes", mine.parent / "mixed_12345678", elsewhere / "old_12345678"]
    old = [place / "prepared" / "upload1" / "upload1_12345678", mine.parent / "customers_87654321"]
    for folder in (*others, *old):
        folder.mkdir(parents=True)
        (folder / "recipe.json").touch()
    (others[1] / "mine.txt").touch()
    (place / "prepared" / "linked").symlink_to(elsewhere)
    for path in sorted(place.rglob("*"), reverse=True):
        os.utime(path, (1e9, 1e9), follow_symlinks=False)
    data, _ = pipeline(place).process_file_sync(place / "customers.csv", recipe=mine)
    assert len(data) == 40
    assert mine.exists()
    assert all(folder.exists() for folder in others)
    assert not any(folder.exists() for folder in old)
    assert not old[0].parent.exists()


def test_names_that_are_alike_or_long_never_share_a_folder(place: Path) -> None:
    """Nor does a file's name break the ledger."""
    content = customers(5).encode()
    names = ["a b.csv", "a*b.csv", "a?b.csv", "\U00020000" * 80 + ".csv", "字" * 83 + ".csv", "-rf", "..", "x\ny.csv"]
    made = pipeline(place)
    folders = {
        Path(
            made.process_stream_sync(io.BytesIO(content), name, "customer_churn", report=False)[1].files["card"]
        ).parent
        for name in names
    }
    assert len({folder.parent for folder in folders}) == len(names)
    assert {row.state for row in Workspace(place).runs()} == {"COMPLETED"}
    with pytest.raises(OptionError, match="address"):
        made.process_stream_sync(io.BytesIO(content), "postgresql://bob:hunter2@db/x", "customer_churn")
    kept = b"".join(path.read_bytes() for path in place.rglob("*") if path.is_file())
    assert b"hunter2" not in kept


def test_what_was_left_out_and_what_lacks_is_told(place: Path) -> None:
    """Rows after as_of, and the features that an optional column would have made."""
    text = "\n".join(line.rpartition(",")[0] for line in customers().splitlines()) + "\n"
    (place / "less.csv").write_text(text)
    _, state = pipeline(place).process_file_sync(
        place / "less.csv", "customer_churn", as_of="2026-05-31", out="parquet:t"
    )
    words = "\n".join(state.warnings)
    assert "left out: last_activity_date is after as_of" in words
    assert "'plan_type' is not there: no plan_value_score" in words
    saved = DataFactory(as_settings(workspace=place)).create_store("parquet").get_data("t")
    assert list(saved.index) == list(range(len(saved)))


@pytest.mark.parametrize("what", ["a file is where the folder goes", "the report's place is taken"])
def test_a_place_that_cannot_be_written_is_a_typed_error_or_a_warning(place: Path, what: str) -> None:
    """The state and the record say FAILED, with the reason; a report that cannot be kept fails nothing."""
    made = pipeline(place)
    if what == "a file is where the folder goes":
        (place / "prepared").write_text("mine")
        with pytest.raises(StorageError) as caught:
            made.process_file_sync(place / "customers.csv", "customer_churn")
        assert caught.value.state.status == "FAILED"
        assert caught.value.state.ended_at is not None
        assert only_run(place)[0].state == "FAILED"
        return

    def look(state: Any, stage: str) -> None:
        if stage == "quality":
            (place / "prepared" / "customers" / state.id / "report.html").mkdir(parents=True)

    _, state = pipeline(place, on_stage=look).process_file_sync(place / "customers.csv", "customer_churn")
    assert state.status == "COMPLETED"
    assert any("no report" in warning for warning in state.warnings)


def test_who_is_told_of_stages_stops_no_work(place: Path) -> None:
    """A listener that fails is a warning in the log."""

    def look(state: Any, stage: str) -> None:
        raise RuntimeError("the websocket is closed")

    _, state = pipeline(place, on_stage=look).process_file_sync(place / "customers.csv", "customer_churn")
    assert state.status == "COMPLETED"


def test_no_value_of_a_row_is_in_the_ledger(place: Path) -> None:
    """Numbers and names of columns are; examples are not."""
    (place / "bad.csv").write_text(customers().replace("C007", "C008").replace("free", "zebra"))
    with pytest.raises(DataQualityError):
        pipeline(place).process_file_sync(place / "bad.csv", "customer_churn")
    kept = b"".join(path.read_bytes() for path in as_settings(workspace=place).own_folder.glob("ledger*"))
    assert b"customer_churn" in kept
    assert b"zebra" not in kept
    assert b"C008" not in kept


# --------------------------------------------------------------------------- several


def test_a_batch_answers_in_order_and_never_raises(place: Path) -> None:
    """One that is broken, one that is not there and one that is nonsense hold up no other."""
    (place / "broken.csv").write_text("a,b\n1\n")
    (place / "other.csv").write_text(customers(10))
    files = [
        (str(place / "customers.csv"), "customer_churn"),
        (place / "broken.csv", "customer_churn"),
        {"file_path": place / "other.csv", "blueprint_name": "customer_churn", "as_of": "2026-12-31"},
        (place / "nix.csv", "customer_churn"),
        7,
        (place / "other.csv", "customer_chrun"),
        (place / "other.csv", "customer_churn", {"scaling_method": "none"}),
    ]
    results = asyncio.run(pipeline(place).process_batch(files, max_concurrent=2))
    assert [len(frame) if frame is not None else None for frame, _ in results] == [40, None, 10, None, None, None, 10]
    assert [str(state.status) for _, state in results] == [
        "COMPLETED", "FAILED", "COMPLETED", "FAILED", "FAILED", "FAILED", "COMPLETED",
    ]  # fmt: skip
    assert all(state.errors for frame, state in results if frame is None)
    assert pipeline(place).process_batch_sync(files[:2])[0][1].status == "COMPLETED"


@pytest.mark.timeout(60)
def test_no_more_run_at_once_than_was_said_and_the_others_are_pending(place: Path) -> None:
    """Of six files two run; what waits is on record as PENDING."""
    running: set[str] = set()
    most, seen = [0], []
    guard = threading.Lock()

    def look(state: Any, stage: str) -> None:
        with guard:
            running.add(state.id)
            most[0] = max(most[0], len(running))
            while len(seen) < 6:  # all of them are queued while the first runs
                seen[:] = [row.state for row in Workspace(place).runs()]
        time.sleep(0.02)
        if stage == "quality":
            with guard:
                running.discard(state.id)

    made = pipeline(place, 2, on_stage=look)
    results = asyncio.run(made.process_batch([(place / "customers.csv", "customer_churn")] * 6, max_concurrent=5))
    assert len({state.id for _, state in results}) == 6
    assert most[0] == 2
    assert seen.count("PENDING") >= 3
    assert {row.state for row in Workspace(place).runs()} == {"COMPLETED"}


# --------------------------------------------------------------------------- streams


class Upload:
    """A file of a web framework: read() is awaited."""

    def __init__(self, content: Any, *, breaks: bool = False) -> None:
        self.file, self.breaks = io.BytesIO(content), breaks

    async def read(self, size: int = -1) -> bytes:
        await asyncio.sleep(0)
        found = self.file.read(size)
        if self.breaks and not found:
            raise ConnectionResetError("the client went away")
        return found


async def pieces(content: bytes) -> AsyncIterator[bytes]:
    for start in range(0, len(content), 100):
        yield content[start : start + 100]


class Odd(Upload):
    """A reader that once answers something else than bytes."""

    def __init__(self, content: bytes, answer: Any) -> None:
        super().__init__(content)
        self.answers = [content[:500], answer, content[500:], b""]

    async def read(self, size: int = -1) -> Any:
        return self.answers.pop(0)


@pytest.mark.parametrize("answer", [None, "", "text", 5])
def test_an_async_reader_that_answers_no_bytes_is_refused(place: Path, answer: Any) -> None:
    """It is not taken for its end: the rows after it are not lost in silence."""
    with pytest.raises(IngestionException, match="broke off"):
        asyncio.run(pipeline(place).process_stream(Odd(customers().encode(), answer), "u.csv", "customer_churn"))
    assert only_run(place)[0].state == "FAILED"


@pytest.mark.timeout(60)
def test_a_stream_that_gives_nothing_for_ever_can_be_cancelled(place: Path) -> None:
    """It holds up nobody else, and is on record as cancelled."""

    async def nothing() -> AsyncIterator[bytes]:
        while True:
            yield b""

    async def waits() -> None:
        await asyncio.wait_for(pipeline(place).process_stream(nothing(), "u.csv", "customer_churn"), 0.5)

    with pytest.raises(TimeoutError):
        asyncio.run(waits())
    assert only_run(place)[0].state == "CANCELLED"


@pytest.mark.parametrize("kind", ["bytes", "upload", "pieces"])
def test_a_stream_gives_what_its_file_gives(place: Path, kind: str) -> None:
    """A binary file, an upload and an async iterator; with the right length or none."""
    content = customers().encode()
    data, _ = pipeline(place).process_file_sync(place / "customers.csv", "customer_churn")
    for length in (None, len(content)):
        stream = {"bytes": io.BytesIO(content), "upload": Upload(content), "pieces": pieces(content)}[kind]
        found, state = asyncio.run(
            pipeline(place).process_stream(
                file_stream=stream, filename="up/load.csv", blueprint_name="customer_churn", content_length=length
            )
        )
        assert_same(data, found)
        assert state.source == "up/load.csv"
        assert Path(state.files["card"]).parts[-3] == "load"
    stream = {"bytes": io.BytesIO(content), "upload": Upload(content), "pieces": pieces(content)}[kind]
    with pytest.raises(IngestionException, match="bytes"):
        asyncio.run(pipeline(place).process_stream(stream, "u.csv", "customer_churn", len(content) - 1))


def test_an_upload_that_breaks_off_or_is_too_large_is_refused(place: Path) -> None:
    """On record, with the reason; no more is read than may be."""
    with pytest.raises(IngestionException, match="broke off") as caught:
        asyncio.run(pipeline(place).process_stream(Upload(b"a,b\n", breaks=True), "u.csv", "customer_churn"))
    assert caught.value.state.status == "FAILED"
    small = pipeline(place, ingestion=DataIngestionService(max_file_size=1000))
    upload = Upload(customers(100_0).encode())
    with pytest.raises(IngestionException, match=r"1,000"):
        asyncio.run(small.process_stream(upload, "u.csv", "customer_churn"))
    assert upload.file.tell() < 20_000
    with pytest.raises(OptionError, match="Await"):
        pipeline(place).process_stream_sync(upload, "u.csv", "customer_churn")


# --------------------------------------------------------------------------- stopped


@pytest.mark.parametrize("at", STAGES)
def test_cancelled_at_any_stage_it_is_on_record_as_that(place: Path, at: str) -> None:
    """The one who waits gets CancelledError once the work has ended; nothing is saved."""

    async def cancelled() -> None:
        loop = asyncio.get_running_loop()
        task: asyncio.Task[Any]

        def look(state: Any, stage: str) -> None:
            if stage == at:
                loop.call_soon_threadsafe(task.cancel)
                time.sleep(0.1)

        made = pipeline(place, on_stage=look)
        task = asyncio.ensure_future(
            made.process_file(place / "customers.csv", "customer_churn", out="parquet:t", report=False)
        )
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancelled())
    row, _ = only_run(place)
    assert row.state == "CANCELLED"
    assert not (place / "data" / "t.parquet").exists()


def test_a_batch_that_is_cancelled_records_each_of_its_files(place: Path) -> None:
    """Those that ran and those that waited: none stays PENDING, and none runs on."""
    begun = threading.Event()

    def look(state: Any, stage: str) -> None:
        begun.set()
        time.sleep(0.2)

    async def cancelled() -> None:
        made = pipeline(place, 2, on_stage=look)
        task = asyncio.ensure_future(made.process_batch([(place / "customers.csv", "customer_churn")] * 5))
        while not begun.is_set():
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancelled())
    assert {row.state for row in Workspace(place).runs()} == {"CANCELLED"}


@pytest.mark.parametrize("delay", [0, 0.001, 0.005, 0.02, 0.05, 0.2])
def test_a_loop_that_ends_early_leaves_nothing_pending(place: Path, delay: float) -> None:
    """Whatever the preparation was just at: it is over, and on record as that."""

    async def ends_early() -> None:
        made = pipeline(place)
        tasks = [
            asyncio.create_task(made.process_file(place / "customers.csv", "customer_churn", report=False))
            for _ in range(4)
        ]
        await asyncio.sleep(delay)
        assert tasks

    asyncio.run(ends_early())
    assert {row.state for row in Workspace(place).runs()} <= {"CANCELLED", "COMPLETED"}


def test_a_closed_pipeline_and_a_batch_that_is_none_are_refused(place: Path) -> None:
    """Before anything is on record, and with nothing left running."""
    made = pipeline(place)
    made.close()
    with pytest.raises(OptionError, match="closed"):
        made.process_file_sync(place / "customers.csv", "customer_churn")

    def breaks() -> Any:
        yield (place / "customers.csv", "customer_churn")
        raise ValueError("no more")

    for batch, kind in ((breaks(), ValueError), ("customers.csv", OptionError), (5, OptionError), ({}, OptionError)):
        with pytest.raises(kind):
            pipeline(place).process_batch_sync(batch)
    assert Workspace(place).runs() == []


def test_a_batch_can_be_prepared_in_a_notebook(place: Path) -> None:
    """Where a loop runs already."""

    async def cell() -> Any:
        return pipeline(place).process_batch_sync([(place / "customers.csv", "customer_churn")])

    assert asyncio.run(cell())[0][1].status == "COMPLETED"


SLOW = """
import sys, time
from framework import as_settings
from framework.prepare import DataPipeline
def look(state, stage):
    print(stage, flush=True)
    if stage == "preprocessing":
        time.sleep(60)
made = DataPipeline(settings=as_settings(workspace=sys.argv[1]), on_stage=look)
made.process_file_sync(sys.argv[1] + "/customers.csv", "customer_churn")
"""


@pytest.mark.parametrize(
    ("number", "state", "reason"), [(signal.SIGKILL, "FAILED", "crashed"), (signal.SIGINT, "CANCELLED", "broken off")]
)
@pytest.mark.timeout(60)
def test_a_process_that_is_ended_leaves_a_run_that_says_so(
    place: Path, number: signal.Signals, state: str, reason: str
) -> None:
    """A killed one reads FAILED, crashed, with the stages that were over; Ctrl-C reads CANCELLED."""
    child = subprocess.Popen(
        [sys.executable, "-c", SLOW, str(place)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert child.stdout is not None
    for line in child.stdout:
        if line.strip() == "preprocessing":
            break
    assert only_run(place)[0].state == "IN_PROGRESS"
    child.send_signal(number)
    child.wait()
    row, steps = only_run(place)
    assert (row.state, row.reason) == (state, reason)
    assert [step.name for step in steps][:3] == STAGES[:3]


# --------------------------------------------------------------------------- logs


def test_each_line_of_the_log_has_the_run_it_is_of(place: Path) -> None:
    """So that two that run at once can be told apart."""
    found = Workspace(place)
    with found.session("service") as log:
        files = [(place / "customers.csv", "customer_churn")] * 2
        results = DataPipeline(settings=found.settings).process_batch_sync(files)
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    stages = [line for line in lines if line.get("stage")]
    for _, state in results:
        mine = [line["stage"] for line in stages if line["run_id"] == state.id]
        assert mine == STAGES
        assert found.ran(state.id)[0].log_file == str(log)
    assert all("session_id" in line for line in stages)


# --------------------------------------------------------------------------- a blueprint of one's own


def test_a_blueprint_of_ones_own_and_what_it_raises(place: Path) -> None:
    """It is passed as it is; an error of its code names the stage and keeps the cause."""

    def make(frame: Any, as_of: Any, learnt: Any) -> Any:
        if frame["n"].max() > 5:
            raise ZeroDivisionError("too many")
        return pd.DataFrame({"double": frame["n"] * 2.0}, index=frame.index)

    mine = Blueprint(
        name="mine",
        description="of one's own",
        fields=(Field("id", "identifier"), Field("n", "number")),
        features=(Feature("double", ("n",)),),
        identifier=("id",),
        make=make,
    )
    (place / "n.csv").write_text("id,n\na,1\nb,2\nc,4\n")
    data, _ = pipeline(place).process_file_sync(place / "n.csv", mine, {"scaling_method": "none"})
    assert list(data["double"]) == [2.0, 4.0, 8.0]
    (place / "n.csv").write_text("id,n\na,1\nb,2\nc,9\n")
    with pytest.raises(ProcessingException, match=r"make\(\).*too many") as caught:
        pipeline(place).process_file_sync(place / "n.csv", mine)
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_a_mapped_column_takes_the_place_of_one_of_its_name(place: Path) -> None:
    """Never two columns of one name; what gave way is told."""
    text = customers().replace("plan_type", "plan_type,total_spent").replace("free", "free,7")
    text = text.replace("basic", "basic,8").replace("premium", "premium,9").replace("enterprise", "enterprise,7")
    (place / "two.csv").write_text(text)
    data, state = pipeline(place).process_file_sync(
        place / "two.csv", "customer_churn", {"scaling_method": "none"}, mapping={"total_value": "total_spent"}
    )
    assert set(data["total_value"]) == {7.0, 8.0, 9.0}
    assert any("left out" in warning for warning in state.warnings)


def test_a_few_cells_that_cannot_be_read_are_missing_and_told(place: Path) -> None:
    """As many as validity puts up with; a row that needs them is refused, and new rows are treated alike."""
    text = customers(200).replace("C007,2026-02-17", "C007,soon").replace(",85.0,", ",a lot,")
    (place / "odd.csv").write_text(text)
    data, state = pipeline(place).process_file_sync(place / "odd.csv", "customer_churn")
    assert len(data) == 199
    assert "C007" not in set(data["customer_id"])
    assert state.preprocessing.imputed["total_value"] == 1
    assert {warning.split(":")[0] for warning in state.warnings if "cannot be read" in warning} == {
        "last_activity_date",
        "total_value",
    }
    again, _ = pipeline(place).process_file_sync(place / "odd.csv", "", recipe=state.files["recipe"])
    assert_same(data, again)
    clean, _ = pipeline(place).process_file_sync(place / "customers.csv", "", recipe=state.files["recipe"])
    assert len(clean) == 40
    (place / "odd.csv").write_text(customers(200).replace("2026-03", "march"))
    with pytest.raises(ProcessingException, match="march"):
        pipeline(place).process_file_sync(place / "odd.csv", "customer_churn")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"identifier": ("idd",)}, "Did you mean 'id'"),
        ({"time": "day"}, "no field"),
        ({"features": (Feature("n", ()),)}, "a field and a feature"),
        ({"features": (Feature("a", ("m",)),)}, "'a' is of 'm'"),
        ({"fields": (Field("id", "identifier"), Field("id", "number"))}, "twice"),
        ({"fields": (Field("id", "identifyer"),)}, "identifier"),  # type: ignore[arg-type]
    ],
)
def test_a_blueprint_with_a_slip_is_refused_as_it_is_made(change: dict[str, Any], said: str) -> None:
    """Before any data is read, with the nearest right name."""
    plan: dict[str, Any] = {
        "name": "mine",
        "description": "",
        "fields": (Field("id", "identifier"), Field("n", "number")),
        "features": (),
        "identifier": ("id",),
        "make": lambda frame, as_of, learnt: frame,
    }
    with pytest.raises(OptionError, match=said):
        Blueprint(**{**plan, **change})


QUEUED = """
import os, sys
from framework import as_settings
from framework.prepare import DataPipeline
from framework.prepare.configuration import Request
made = DataPipeline(settings=as_settings(workspace=sys.argv[1]))
made.orchestrator.begin(Request("c.csv", "c.csv", "customer_churn"))
os._exit(9)
"""


def test_what_waited_in_a_process_that_is_gone_reads_crashed(place: Path) -> None:
    """It is not PENDING for ever."""
    assert subprocess.run([sys.executable, "-c", QUEUED, str(place)], check=False).returncode == 9
    row, steps = only_run(place)
    assert (row.state, row.reason, steps) == ("FAILED", "crashed", [])


def test_what_fails_for_a_passing_reason_is_tried_again(place: Path) -> None:
    """Three times at most, with a word in the log; another reason is raised at once, and a stop is heard meanwhile."""
    stop = threading.Event()

    def check() -> None:
        if stop.is_set():
            raise Stopped

    job = pipeline(place).orchestrator.begin(Request("c.csv", "c.csv", "customer_churn"), check=check)
    errors: list[Exception] = [UnavailableError("down"), ConnectionResetError("gone")]
    tries = []

    def work() -> str:
        tries.append(1)
        if errors:
            raise errors.pop(0)
        return "done"

    assert (job.retried(work), len(tries)) == ("done", 3)
    errors[:] = [UnavailableError("down")] * 4
    with pytest.raises(UnavailableError):
        job.retried(work)
    assert len(tries) == 6
    errors[:] = [IngestionException("no table")]
    with pytest.raises(IngestionException):
        job.retried(work)
    assert len(tries) == 7
    errors[:] = [UnavailableError("down")] * 4
    stop.set()
    with pytest.raises(Stopped):
        job.retried(work)
    assert len(tries) == 8
