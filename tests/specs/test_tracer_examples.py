"""The tracer specification's listings, names and numbers, as they stand there: only the import line differs."""

from __future__ import annotations

import asyncio
import csv
import gzip
import inspect
import io
import json
import os
import re
from collections.abc import Callable
from dataclasses import replace
from itertools import product
from pathlib import Path
from textwrap import indent
from typing import Any

import numpy as np
import pandas as pd
import pytest

import framework.prepare
from framework import registry
from framework.errors import (
    CompatibilityException,
    DataException,
    DataQualityError,
    IngestionException,
    ParameterError,
    PluginException,
    ProcessingException,
    ValidationException,
)
from framework.prepare import (
    Blueprint,
    DataIngestionService,
    DataPipeline,
    DataValidationService,
    Field,
    PipelineConfig,
    PipelineStatus,
    SchemaRegistry,
)

BASIC = """
from tracer.core import DataPipeline

# Initialize pipeline
pipeline = DataPipeline()

# Process a dataset
processed_data, state = await pipeline.process_file(
    file_path="customer_data.csv",
    blueprint_name="customer_churn"
)

# Check results
print(f"Processing status: {state.status}")
print(f"Data shape: {processed_data.shape}")
print(f"Features created: {len(state.feature_engineering.features_created)}")
"""

ADVANCED = """
# Custom preprocessing configuration
config = {
    'missing_value_strategy': 'auto',
    'outlier_method': 'iqr',
    'encoding_strategy': 'auto',
    'scaling_method': 'robust'
}

processed_data, state = await pipeline.process_file(
    file_path="data.csv",
    blueprint_name="customer_churn",
    preprocessing_config=config
)
"""

BATCH = """
# Process multiple files concurrently
file_configs = [
    ("customers_jan.csv", "customer_churn"),
    ("customers_feb.csv", "customer_churn"),
    ("revenue_data.csv", "revenue_projection")
]

results = await pipeline.process_batch(file_configs, max_concurrent=3)
"""

STREAM = """
# Process file streams from web uploads
processed_data, state = await pipeline.process_stream(
    file_stream=uploaded_file,
    filename="uploaded_data.csv",
    blueprint_name="customer_churn",
    content_length=file_size
)
"""

CONFIGURATION = """
PipelineConfig(
    # Validation settings
    validation_config={
        'schema_validation': True,
        'quality_checks': True,
        'statistical_validation': True
    },

    # Preprocessing settings
    preprocessing_config={
        'missing_value_strategy': 'auto|drop|mean|median|mode',
        'outlier_method': 'iqr|zscore|none',
        'encoding_strategy': 'auto|onehot|label|target',
        'scaling_method': 'robust|standard|minmax|none'
    },

    # Quality thresholds
    quality_thresholds={
        'completeness': 0.95,
        'uniqueness': 1.0,
        'validity': 0.98
    }
)
"""

SERVICE = """
DataPipeline(
    max_concurrent_pipelines=3,
    enable_monitoring=True
)

DataIngestionService(
    max_file_size=100 * 1024 * 1024,  # 100MB
    chunk_size=8192,
    enable_compression=True
)
"""

FIELDS = {
    "customer_churn": (
        ["customer_id", "last_activity_date", "account_created_date", "total_value"],
        ["support_tickets", "feature_usage_count", "plan_type"],
    ),
    "revenue_projection": (["date", "revenue"], ["customer_count"]),
    "price_optimization": (["product_id", "price", "quantity_sold", "date"], []),
}
FEATURES = {
    "customer_churn": [
        "days_since_last_activity", "account_tenure_days", "daily_value_rate", "support_intensity",
        "feature_usage_rate", "activity_recency_score", "value_tier", "plan_value_score", "engagement_score",
    ],
    "revenue_projection": [
        "revenue_ma_7", "revenue_ma_30", "revenue_ma_90", "revenue_growth_1d", "revenue_growth_7d",
        "revenue_growth_30d", "day_of_week", "week", "month", "quarter",
        "revenue_volatility_7", "revenue_volatility_30", "revenue_volatility_90",
    ],
    "price_optimization": ["revenue", "price_elasticity", "price_elasticity_se", "demand_trend", "price_position"],
}  # fmt: skip
OPTIONS = {name: said.split("|") for name, said in re.findall(r"'(\w+)': '(\w+\|[\w|]+)'", CONFIGURATION)}
PLANS = ("free", "basic", "premium", "enterprise")


# --------------------------------------------------------------------------- what is supplied around them


def with_our_imports(code: str) -> str:
    """The listing with its import line changed, and nothing else."""
    return code.replace("from tracer.core import", "from framework.prepare import")


def typed(listing: str, **names: Any) -> dict[str, Any]:
    """What a listing makes, typed where `await` may stand."""
    space: dict[str, Any] = dict(names)
    exec(f"async def typed():\n{indent(with_our_imports(listing), '    ')}\n    return locals()", space)
    found: dict[str, Any] = asyncio.run(space["typed"]())
    return found


def customers(rows: int = 60) -> pd.DataFrame:
    """Customers, a plan and a few tickets missing, some of great value."""
    n = np.arange(rows)
    seen = pd.Timestamp("2026-06-30") - pd.to_timedelta(n * 3 % 150, unit="D")
    return pd.DataFrame(
        {
            "customer_id": [f"C{place:03d}" for place in n],
            "last_activity_date": seen.strftime("%Y-%m-%d"),
            "account_created_date": (seen - pd.to_timedelta(30 + n * 7, unit="D")).strftime("%Y-%m-%d"),
            "total_value": np.where(n % 20 == 19, 5000.0, 10.0 + n * 2.5),
            "support_tickets": pd.array(n % 5, dtype="Int64"),
            "feature_usage_count": n * 3 % 101,
            "plan_type": [PLANS[place % 4] for place in n],
            "churned": n % 3 == 0,
        }
    )


def written(path: str, frame: pd.DataFrame) -> str:
    frame.to_csv(path, index=False, quoting=csv.QUOTE_MINIMAL)
    return path


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workspace with the files that the listings name, and no setting but the defaults."""
    for name in list(os.environ):
        if name.startswith(("DB_", "FS_", "LEDGER_", "MILLPOND")):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    Path("millpond.yaml").touch()
    for name in ("customer_data", "data", "customers_jan", "customers_feb"):
        written(f"{name}.csv", customers())
    days = pd.date_range("2026-01-01", periods=120).strftime("%Y-%m-%d")
    written("revenue_data.csv", pd.DataFrame({"date": days, "revenue": np.arange(120) + 100.5}))
    return tmp_path


# --------------------------------------------------------------------------- usage examples


def test_the_basic_usage_prints_completed_and_nine_features(capsys: pytest.CaptureFixture[str]) -> None:
    """As it stands there, in a coroutine."""
    typed(BASIC)
    assert capsys.readouterr().out.splitlines() == [
        "Processing status: COMPLETED", "Data shape: (60, 17)", "Features created: 9",
    ]  # fmt: skip


def test_the_advanced_configuration_is_what_is_usual() -> None:
    """Said or not, the columns are the same bits."""
    plain, _ = DataPipeline().process_file_sync("data.csv", "customer_churn")
    found = typed(ADVANCED, pipeline=DataPipeline())
    assert found["state"].status == "COMPLETED"
    pd.testing.assert_frame_equal(found["processed_data"], plain, check_exact=True)
    assert recipe_of(found["state"])["config"].items() >= found["config"].items()


@pytest.mark.parametrize("broken", [False, True], ids=["as-it-stands", "second-broken"])
def test_the_batch_succeeds_in_order_whatever_becomes_of_the_second(broken: bool) -> None:
    """One result for each file; a broken one has no data, and a state that says why."""
    if broken:
        Path("customers_feb.csv").write_text("customer_id,total_value\nC1\nC2,3,4\n")
    results = typed(BATCH, pipeline=DataPipeline())["results"]
    assert [state.source for _, state in results] == ["customers_jan.csv", "customers_feb.csv", "revenue_data.csv"]
    assert [len(data) if data is not None else None for data, _ in results] == [60, None if broken else 60, 120]
    assert [state.status == "COMPLETED" for _, state in results] == [True, not broken, True]
    assert bool(results[1][1].errors) is broken


class Upload:
    """A file of Starlette or FastAPI, as far as the listing asks: `read` is awaited."""

    def __init__(self, content: bytes) -> None:
        self._file = io.BytesIO(content)

    async def read(self, size: int = -1) -> bytes:
        await asyncio.sleep(0)
        return self._file.read(size)


@pytest.mark.parametrize("kind", [io.BytesIO, Upload])
def test_the_stream_gives_what_the_file_gives(kind: Callable[[bytes], Any]) -> None:
    """Of bytes in memory and of an upload; a wrong size is refused."""
    content = Path("data.csv").read_bytes()
    plain, _ = DataPipeline().process_file_sync("data.csv", "customer_churn")
    found = typed(STREAM, pipeline=DataPipeline(), uploaded_file=kind(content), file_size=len(content))
    pd.testing.assert_frame_equal(found["processed_data"], plain, check_exact=True)
    assert (found["state"].source, found["state"].status) == ("uploaded_data.csv", "COMPLETED")
    with pytest.raises(IngestionException, match="bytes"):
        typed(STREAM, pipeline=DataPipeline(), uploaded_file=kind(content), file_size=len(content) + 1)


# --------------------------------------------------------------------------- configuration options


def recipe_of(state: Any) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(Path(state.files["recipe"]).read_text())
    return found


def configured(**chosen: str) -> PipelineConfig:
    """The listing with one alternative of each option: those that are chosen, else the first."""
    listing = CONFIGURATION
    for name, alternatives in OPTIONS.items():
        listing = listing.replace(f"'{'|'.join(alternatives)}'", repr(chosen.get(name, alternatives[0])))
    found: PipelineConfig = eval(listing.strip(), {"PipelineConfig": PipelineConfig})
    return found


def test_the_configuration_as_it_stands_names_the_choices() -> None:
    """Alternatives between bars are a way of writing, and no value: refused, with the choices."""
    assert list(OPTIONS) == ["missing_value_strategy", "outlier_method", "encoding_strategy", "scaling_method"]
    with pytest.raises(ParameterError, match="Choose one of auto, drop, mean, median, mode"):
        eval(CONFIGURATION.strip(), {"PipelineConfig": PipelineConfig})
    for name, alternatives in OPTIONS.items():
        with pytest.raises(ParameterError, match=f"{name} is .*Choose one of {', '.join(alternatives)}"):
            configured(**{name: "|".join(alternatives)})


def tickets(made: dict[str, Any]) -> Any:
    return made["recipe"]["values"].get("support_tickets")


def spread(made: dict[str, Any]) -> list[float]:
    return [round(number, 9) for number in made["recipe"]["caps"]["total_value"]]


def usage(made: dict[str, Any]) -> Any:
    return made["data"]["feature_usage_count"].to_numpy()


KNOWN = customers()["support_tickets"].astype(float)[2:]
VALUE, USES = customers()["total_value"], customers()["feature_usage_count"].to_numpy(float)
LOW, MIDDLE, HIGH = np.quantile(USES, [0.25, 0.5, 0.75])
Q1, Q3 = np.quantile(VALUE, [0.25, 0.75])
EFFECTS: dict[tuple[str, str], Callable[[dict[str, Any]], bool]] = {
    ("missing_value_strategy", "auto"): lambda made: tickets(made) == pytest.approx(KNOWN.mean()),
    ("missing_value_strategy", "drop"): lambda made: tickets(made) is None and len(made["data"]) == 58,
    ("missing_value_strategy", "mean"): lambda made: tickets(made) == pytest.approx(KNOWN.mean()),
    ("missing_value_strategy", "median"): lambda made: tickets(made) == KNOWN.median(),
    ("missing_value_strategy", "mode"): lambda made: tickets(made) == KNOWN.mode()[0],
    ("outlier_method", "iqr"): lambda made: spread(made) == [2.5 * Q1 - 1.5 * Q3, 2.5 * Q3 - 1.5 * Q1],
    ("outlier_method", "zscore"): lambda made: np.allclose(
        spread(made), [VALUE.mean() - 3 * VALUE.std(ddof=0), VALUE.mean() + 3 * VALUE.std(ddof=0)]
    ),
    ("outlier_method", "none"): lambda made: made["recipe"]["caps"] == {},
    ("encoding_strategy", "auto"): lambda made: {f"plan_type_{plan}" for plan in PLANS} <= set(made["data"]),
    ("encoding_strategy", "onehot"): lambda made: {f"plan_type_{plan}" for plan in PLANS} <= set(made["data"]),
    ("encoding_strategy", "label"): lambda made: sorted(set(made["data"]["plan_type"])) == [0, 1, 2, 3],
    ("encoding_strategy", "target"): lambda made: made["recipe"]["encodings"]["plan_type"]["method"] == "target",
    ("scaling_method", "robust"): lambda made: np.allclose(usage(made), (USES - MIDDLE) / (HIGH - LOW)),
    ("scaling_method", "standard"): lambda made: np.allclose(usage(made), (USES - USES.mean()) / USES.std()),
    ("scaling_method", "minmax"): lambda made: np.allclose(
        usage(made), (USES - USES.min()) / (USES.max() - USES.min())
    ),
    ("scaling_method", "none"): lambda made: np.array_equal(usage(made), USES),
}


@pytest.mark.parametrize(
    ("name", "choice"), [(name, choice) for name, choices in OPTIONS.items() for choice in choices]
)
def test_each_alternative_of_each_option_does_what_it_says(name: str, choice: str) -> None:
    """The listing with that alternative, on data of which two customers' tickets are missing."""
    frame = customers()
    frame.loc[:1, "support_tickets"] = pd.NA
    asked = {"target": "churned"} if choice == "target" else {}
    data, state = DataPipeline(config=configured(**{name: choice})).process_file_sync(
        written("gaps.csv", frame), "customer_churn", report=False, **asked
    )
    made = {"data": data, "recipe": recipe_of(state)}
    assert made["recipe"]["config"][name] == choice
    assert EFFECTS[name, choice](made)


@pytest.mark.parametrize("switch", ["schema_validation", "quality_checks", "statistical_validation"])
def test_each_validation_setting_turns_something_off(switch: str) -> None:
    """What it judges is not judged where it is False, and the rest is."""
    frame = customers(40).drop(columns="account_created_date")
    frame["total_value"] = np.where(np.arange(40) < 38, 10.0, 1e6)
    frame.loc[1, "customer_id"] = "C000"
    rules = {
        "schema_validation": "missing_field",
        "quality_checks": "unique",
        "statistical_validation": "outliers_zscore",
    }
    for value in (True, False):
        issues = DataValidationService({switch: value}).validate(frame, "customer_churn").issues
        found = {issue.rule for issue in issues}
        assert {rule for name, rule in rules.items() if name != switch or value} == found & set(rules.values())


def test_the_services_take_what_the_specification_gives_them() -> None:
    """Its two calls, and their values are what is usual."""
    for call in re.findall(r"^\w+\(.*?^\)$", SERVICE, re.MULTILINE | re.DOTALL):
        made = eval(call, {"DataPipeline": DataPipeline, "DataIngestionService": DataIngestionService})
        usual = {name: each.default for name, each in inspect.signature(type(made)).parameters.items()}
        given = dict(re.findall(r"(\w+)=([^,\n]+?),?(?:\s+#.*)?$", call, re.MULTILINE))
        assert given
        for name, value in given.items():
            assert usual[name] == eval(value), name


# --------------------------------------------------------------------------- limits and thresholds


def refusal(frame: pd.DataFrame) -> str:
    """Why the customers are refused; empty where they are prepared."""
    try:
        DataPipeline().process_file_sync(written("judged.csv", frame), "customer_churn", report=False)
    except DataQualityError as error:
        return str(error)
    return ""


def test_a_critical_field_is_95_percent_complete() -> None:
    """Five of a hundred values may be missing, six may not."""
    frame = customers(100)
    frame.loc[:4, "total_value"] = np.nan
    assert refusal(frame) == ""
    frame.loc[5, "total_value"] = np.nan
    assert "1 critical issue" in refusal(frame)


def test_an_identifier_is_100_percent_unique() -> None:
    """A single repeated one is critical."""
    frame = customers(100)
    frame.loc[7, "customer_id"] = "C008"
    assert "customer_id: 1 row of 100" in refusal(frame)


def test_98_percent_are_valid_and_five_high_issues_are_put_up_with() -> None:
    """Below it there is a high issue, with a warning; a sixth is one too many."""
    names = [f"n{place}" for place in range(6)]
    plan = Blueprint(
        "p", "p", (Field("id", "identifier"), *(Field(n, "number", minimum=0) for n in names)), (), ("id",),
        make=lambda frame, as_of, learnt: frame[[]],
    )  # fmt: skip
    frame = pd.DataFrame({"id": range(100), **dict.fromkeys(names, 1.0)})
    frame.loc[:1, "n0"] = -1.0
    service = DataValidationService({"statistical_validation": False})
    assert [issue.severity for issue in service.validate(frame, plan).issues] == ["low"]
    for place, name in enumerate(names, start=1):
        frame.loc[:2, name] = -1.0
        result = service.validate(frame, plan)
        assert [issue.severity for issue in result.issues] == ["high"] * place
        assert len(result.warnings) == place
        assert result.passed is (place <= 5)


@pytest.mark.parametrize("own", [True, False], ids=["of-the-blueprint", "usual"])
def test_a_score_of_80_is_required(own: bool) -> None:
    """Half of the identifiers repeated and half of one field in four missing is 80.00; less is refused."""
    frame = customers(8)
    frame["customer_id"] = ["a", "b", "c", "d"] * 2
    frame.loc[:3, "total_value"] = np.nan
    plan = SchemaRegistry().blueprint("customer_churn")
    plan = plan if own else replace(plan, thresholds={})
    service = DataValidationService(thresholds={"uniqueness": 0, "completeness": 0})
    result = service.validate(frame, plan)
    assert result.score is not None
    assert (result.score.value, result.passed) == (80.0, True)
    frame.loc[4, "total_value"] = np.nan
    result = service.validate(frame, plan)
    assert result.failures == ["a score of 78.75, below 80"]


def test_outliers_lie_beyond_the_fences_and_beyond_three_deviations() -> None:
    """Q1 - 1.5 IQR, Q3 + 1.5 IQR and |Z| > 3: a value on the fence is none, one beyond it is."""

    def counts(values: list[float]) -> dict[str, int]:
        frame = customers(len(values)).assign(total_value=values)
        issues = DataValidationService().validate(frame, "customer_churn").issues
        return {issue.rule: issue.count for issue in issues if issue.rule.startswith("outliers")}

    assert counts([10.0, 20.0, 20.0, 30.0, 30.0, 40.0, 40.0, 60.0, 20.0]) == {}
    assert counts([10.0, 20.0, 20.0, 30.0, 30.0, 40.0, 40.0, 70.5, 20.0]) == {"outliers_iqr": 1}
    assert counts([0.0] * 9 + [1.0]).get("outliers_zscore") is None
    assert counts([0.0] * 10 + [1.0])["outliers_zscore"] == 1


def test_ranges_and_patterns_are_judged() -> None:
    """A value out of its range and a text that does not match are issues of their columns."""
    plan = Blueprint(
        "p", "p", (Field("code", "text", pattern="[A-Z]{2}[0-9]+"), Field("share", "number", minimum=0, maximum=1)),
        (), (), make=lambda frame, as_of, learnt: frame[[]],
    )  # fmt: skip
    frame = pd.DataFrame({"code": ["AB1", "AB", "XY22"], "share": [0.5, 1.0, 1.5]})
    found = {(issue.rule, issue.column, issue.count) for issue in DataValidationService().validate(frame, plan).issues}
    assert found == {("pattern", "code", 1), ("range", "share", 1)}


def test_a_file_of_100_mb_is_the_largest() -> None:
    """More is refused at every door unless it is said; the limit can be less."""
    with open("huge.csv", "wb") as file:
        file.truncate(100 * 1024 * 1024 + 1)
    with pytest.raises(IngestionException, match="104,857,600 are the most"):
        DataPipeline().process_file_sync("huge.csv", "customer_churn")
    small = DataPipeline(ingestion=DataIngestionService(max_file_size=1000))
    with pytest.raises(IngestionException, match="1,000 are the most"):
        small.process_file_sync("data.csv", "customer_churn")


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "cp1252"])
def test_encodings_are_detected(encoding: str) -> None:
    """UTF-8, Latin-1 and CP1252; in the last two, what only each of them can mean."""
    sign = {"utf-8": "→", "latin-1": "\x81", "cp1252": "€"}[encoding]
    Path("e.csv").write_bytes(f"name,note\nZoë,{sign}\n".encode(encoding))
    frame, result = DataIngestionService().ingest("e.csv")
    assert frame["note"].tolist() == [sign]
    assert result.encoding.replace("iso8859-1", "latin-1") == encoding


def test_compression_is_read_where_it_is_enabled() -> None:
    """gzip is the table in it, or refused."""
    Path("data.csv.gz").write_bytes(gzip.compress(Path("data.csv").read_bytes()))
    assert len(DataIngestionService(enable_compression=True).ingest("data.csv.gz")[0]) == 60
    with pytest.raises(IngestionException, match="enable_compression"):
        DataIngestionService(enable_compression=False).ingest("data.csv.gz")


# --------------------------------------------------------------------------- states, errors, names


def test_the_states_are_the_five() -> None:
    """In their order, and each is its own text."""
    assert [str(each) for each in PipelineStatus] == ["PENDING", "IN_PROGRESS", "COMPLETED", "FAILED", "CANCELLED"]


CATEGORIES = {
    "ingestion": (IngestionException, DataException, lambda frame: "a,b\n1\n", {}),
    "validation": (
        DataQualityError, ValidationException, lambda frame: pd.concat([frame, frame]).to_csv(index=False), {},
    ),
    "compatibility": (
        CompatibilityException, DataException, lambda frame: frame.drop(columns="total_value").to_csv(index=False), {},
    ),
    "processing": (
        ProcessingException, PluginException, lambda frame: frame.to_csv(index=False), {"as_of": "2001-01-01"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("category", CATEGORIES)
def test_each_category_of_errors_has_its_type(category: str) -> None:
    """With its root, its state and its exit code: 20 where the input is refused, 30 where a stage failed."""
    kind, root, content, asked = CATEGORIES[category]
    Path("wrong.csv").write_text(content(customers()))
    with pytest.raises(kind) as caught:
        DataPipeline().process_file_sync("wrong.csv", "customer_churn", report=False, **asked)
    assert isinstance(caught.value, root)
    assert caught.value.state.status == "FAILED"
    assert caught.value.exit_code == (30 if category == "processing" else 20)


@pytest.mark.parametrize("name", FIELDS)
def test_each_blueprint_has_the_fields_and_features_that_are_listed(name: str) -> None:
    """By their names, in their order."""
    plan = SchemaRegistry().blueprint(name)
    required, optional = FIELDS[name]
    assert (plan.required, plan.optional) == (required, optional)
    assert [each.name for each in plan.features] == FEATURES[name]
    assert set(FIELDS) <= set(registry.named("blueprint"))


def test_each_blueprint_makes_the_features_that_are_listed() -> None:
    """Out of a file; of revenue also without the customers."""
    sold = pd.DataFrame(
        [
            (item, 10.0 + day % 4, 50 - 3 * (day % 4), f"2026-05-{day + 1:02d}")
            for item, day in product("AB", range(20))
        ],
        columns=["product_id", "price", "quantity_sold", "date"],
    )
    files = [
        ("data.csv", "customer_churn"),
        ("revenue_data.csv", "revenue_projection"),
        (written("sold.csv", sold), "price_optimization"),
    ]
    for (_, name), (data, state) in zip(files, DataPipeline().process_batch_sync(files, report=False), strict=True):
        assert state.errors == []
        assert state.feature_engineering.features_created == FEATURES[name]
        assert data is not None
        assert set(FEATURES[name]) <= set(data)


def test_the_names_of_the_api_reference_are_there() -> None:
    """Each can be imported from where the listing imports DataPipeline."""
    names = (
        "DataPipeline", "DataIngestionService", "DataValidationService", "DataPreprocessingService",
        "PipelineOrchestrator", "SchemaRegistry",
    )  # fmt: skip
    for name in names:
        assert inspect.isclass(getattr(framework.prepare, name))
