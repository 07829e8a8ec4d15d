"""The stages of preparation as mods: each alone, all in one job, as steps of a case; they give what services give."""

from __future__ import annotations

import gzip
import json
import logging
import os
import random
import subprocess
import sys
import zipfile
from datetime import date, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from framework import Workspace, registry
from framework.errors import (
    ColumnNotFoundError,
    CompatibilityException,
    DataQualityError,
    DatasetNotFoundError,
    FormatError,
    IngestionException,
    ParameterError,
    ProcessingException,
)
from framework.mods.artifacts import frame_schema, opened, read_frame, write_frame
from framework.mods.base import ModArtifacts
from framework.mods.catalog import Mods
from framework.mods.run import ModRun
from framework.prepare.compatibility import compatibility
from framework.prepare.ingestion import DataIngestionService
from framework.prepare.preprocessing import DataPreprocessingService
from framework.prepare.quality import final_quality
from framework.prepare.recipe import Recipe
from framework.prepare.validation import DataValidationService
from framework.results import exit_code_of

ROOT = Path(__file__).resolve().parents[2]
NUMBER = count()
AS_OF = "2024-06-30"
CHURN = "customer_churn"
MAPPING = {"total_value": "Spent"}
HEADER = "Customer ID,LAST_ACTIVITY_DATE,account_created_date,Spent,support_tickets,feature_usage_count,plan_type,note"


def lines(rows: int, *, seed: int = 7) -> list[str]:
    """Customers as somebody else's CSV has them, some values missing."""
    dice, made = random.Random(seed), [HEADER]
    for number in range(rows):
        seen = date(2024, 6, 29) - timedelta(days=dice.randrange(300))
        since = seen - timedelta(days=dice.randrange(1, 900))
        tickets = "" if number % 17 == 3 else dice.randrange(9)
        plan = dice.choice(["free", "basic", "premium", "enterprise", ""])
        spent = f"{dice.lognormvariate(4, 1):.2f}"
        made.append(f"{number:04d},{seen},{since},{spent},{tickets},{dice.randrange(500)},{plan},note {number}")
    return made


def csv(root: Path, rows: int = 120, *, name: str = "customers.csv", seed: int = 7) -> Path:
    path = root / name
    path.write_text("\n".join(lines(rows, seed=seed)) + "\n")
    return path


def call(root: Path, name: str, **values: Any) -> Any:
    """The mod, found in the catalogue and run on its own."""
    run = ModRun("r1", name, root / f"runs/{next(NUMBER)}", root, logging.getLogger("millpond.mods"))
    return Mods(root).load(name).call(values, run)


def artifact(made: Any, name: str = "output_data") -> Path:
    return Path(made.told.artifacts[name])


def told(made: Any, name: str) -> Any:
    return json.loads(artifact(made, name).read_text())


def ingested(root: Path, rows: int = 120, **more: Any) -> str:
    return str(artifact(call(root, "data_ingestion", input_path=str(csv(root, rows, **more)))))


def named(root: Path, rows: int = 120, **more: Any) -> str:
    """Ingested, with the names of the fields."""
    made = call(
        root, "blueprint_compatibility", input_artifact=ingested(root, rows, **more), blueprint=CHURN, mapping=MAPPING
    )
    return str(artifact(made))


def by_services(path: Path) -> tuple[pd.DataFrame, Any]:
    """What the services make of a file up to the names of the fields, and the blueprint."""
    blueprint = registry.find("blueprint", CHURN).load()
    frame, _ = DataIngestionService().ingest(path)
    found = compatibility(frame.columns, blueprint, mapping=MAPPING).raise_if_failed()
    return frame.rename(columns={column: name for name, column in found.fields.items()}), blueprint


# --------------------------------------------------------------------------- each alone


def test_ingestion_makes_the_table_that_the_service_reads(tmp_path: Path) -> None:
    """The same frame, types and all; what was found is told as metrics."""
    path = csv(tmp_path)
    made = call(tmp_path, "data_ingestion", input_path=str(path))
    frame, found = DataIngestionService().ingest(path)
    pd.testing.assert_frame_equal(read_frame(artifact(made)), frame)
    assert frame["Customer ID"].iloc[7] == "0007"
    assert frame["support_tickets"].dtype == "Int64"
    metrics = made.told.metrics
    assert (metrics["rows_processed"], metrics["rows_output"], metrics["rows_rejected"]) == (120, 120, 0)
    assert (metrics["columns"], metrics["encoding"], metrics["confidence"]) == (8, found.encoding, 1.0)
    assert metrics["nulls"]["support_tickets"] == sum(1 for number in range(120) if number % 17 == 3)
    assert (made.told.outcome, "rejected" in made.told.artifacts) == ("SUCCESS", False)


@pytest.mark.parametrize("packing", ["gz", "zip"])
def test_ingestion_unpacks(tmp_path: Path, packing: str) -> None:
    """A packed file gives the table of the plain one, and is refused where packing is not accepted."""
    plain = csv(tmp_path)
    packed = tmp_path / f"customers.{packing}"
    if packing == "gz":
        packed.write_bytes(gzip.compress(plain.read_bytes()))
    else:
        with zipfile.ZipFile(packed, "w") as archive:
            archive.write(plain, plain.name)
    made = call(tmp_path, "data_ingestion", input_path=str(packed))
    pd.testing.assert_frame_equal(
        read_frame(artifact(made)), read_frame(artifact(call(tmp_path, "data_ingestion", input_path=str(plain))))
    )
    assert made.told.metrics["compression"] is not None
    with pytest.raises(IngestionException):
        call(tmp_path, "data_ingestion", input_path=str(packed), enable_compression=False)


def test_ingestion_takes_the_options_of_the_service(tmp_path: Path) -> None:
    """Each that is given is heeded: encoding, delimiter, decimal sign, dates, header, limits."""
    (tmp_path / "odd.csv").write_bytes("1;Käse;01.02.2024;1,5\n2;Öl;03.04.2024;2,5\n".encode("cp1252"))
    values = {"input_path": "odd.csv", "encoding": "cp1252", "delimiter": ";", "decimal": ",", "header": False}
    values["date_format"] = "%d.%m.%Y"
    made = call(tmp_path, "data_ingestion", **values, chunk_size=4096)
    frame = read_frame(artifact(made))
    assert frame.iloc[0].tolist() == [1, "Käse", pd.Timestamp(2024, 2, 1), 1.5]
    for limit in ({"max_rows": 1}, {"max_columns": 2}, {"max_field": 2}, {"max_file_size": 10}):
        with pytest.raises(IngestionException):
            call(tmp_path, "data_ingestion", **values, **limit)


def test_ingestion_puts_bad_rows_aside_where_asked(tmp_path: Path) -> None:
    """With their line, and as a warning; else the file is refused with that line."""
    text = lines(5)
    text.insert(3, "0099,2024-01-01")
    (tmp_path / "bad.csv").write_text("\n".join(text) + "\n")
    made = call(tmp_path, "data_ingestion", input_path="bad.csv", on_bad_rows="quarantine")
    assert made.told.outcome == "WARNING"
    assert made.told.metrics["rows_rejected"] == 1
    assert read_frame(artifact(made, "rejected"))["_line"].tolist() == [4]
    assert len(read_frame(artifact(made))) == 5
    with pytest.raises(IngestionException) as refused:
        call(tmp_path, "data_ingestion", input_path="bad.csv")
    assert refused.value.line == 4


def test_validation_passes_the_rows_on_byte_by_byte(tmp_path: Path) -> None:
    """What is judged is not touched; the result is the service's, in JSON and as metrics."""
    source = ingested(tmp_path)
    made = call(tmp_path, "data_validation", input_artifact=source, blueprint=CHURN, mapping=MAPPING)
    frame, blueprint = by_services(tmp_path / "customers.csv")
    wanted = DataValidationService().validate(frame, blueprint)
    assert artifact(made).read_bytes() == Path(source).read_bytes()
    metrics = made.told.metrics
    assert (metrics["score"], metrics["passed"]) == (wanted.score.value if wanted.score else None, True)
    assert metrics["issues"] == {
        severity: sum(issue.severity == severity for issue in wanted.issues)
        for severity in ("critical", "high", "medium", "low")
    }
    for name in ("completeness", "uniqueness", "validity"):
        assert metrics[name] == getattr(wanted, name).overall
    report = told(made, "validation")
    assert (report["rows"], report["score"]["value"], report["passed"]) == (120, metrics["score"], True)
    assert [issue["rule"] for issue in report["issues"]] == [issue.rule for issue in wanted.issues]


def test_rows_that_are_not_good_enough_stop_or_warn(tmp_path: Path) -> None:
    """A repeated identifier is DataQualityError with its issues and exit code 20, or a warning where that is asked."""
    text = lines(30)
    (tmp_path / "twice.csv").write_text("\n".join([*text, text[-1]]) + "\n")
    source = str(artifact(call(tmp_path, "data_ingestion", input_path="twice.csv")))
    asked = {"input_artifact": source, "blueprint": CHURN, "mapping": MAPPING}
    with pytest.raises(DataQualityError) as refused:
        call(tmp_path, "data_validation", **asked)
    assert exit_code_of(refused.value) == 20
    assert refused.value.issues[0].severity == "critical"
    made = call(tmp_path, "data_validation", **asked, on_fail="warn")
    assert (made.told.outcome, made.told.metrics["passed"]) == ("WARNING", False)
    assert made.told.metrics["issues"]["critical"] == 1
    assert len(read_frame(artifact(made))) == 31
    assert any("critical" in words for words in made.warnings)


def test_thresholds_and_switches_of_a_validation_are_heeded(tmp_path: Path) -> None:
    """A score that is out of reach fails; without the quality checks there is none."""
    text = lines(30)
    text[1] = text[1].replace(text[1].split(",")[3], "", 1)
    (tmp_path / "gap.csv").write_text("\n".join(text) + "\n")
    source = str(artifact(call(tmp_path, "data_ingestion", input_path="gap.csv")))
    asked = {"input_artifact": source, "blueprint": CHURN, "mapping": MAPPING}
    assert call(tmp_path, "data_validation", **asked).told.metrics["passed"]
    with pytest.raises(DataQualityError):
        call(tmp_path, "data_validation", **asked, thresholds={"score": 100})
    made = call(tmp_path, "data_validation", **asked, validation_config={"quality_checks": False})
    assert (made.told.metrics["score"], made.told.metrics["passed"]) == (None, True)


def test_compatibility_gives_columns_the_names_of_the_fields(tmp_path: Path) -> None:
    """Names alone change: types, rows, order and columns that are no field stay."""
    source = ingested(tmp_path)
    made = call(tmp_path, "blueprint_compatibility", input_artifact=source, blueprint=CHURN, mapping=MAPPING)
    frame, _ = by_services(tmp_path / "customers.csv")
    pd.testing.assert_frame_equal(read_frame(artifact(made)), frame, check_column_type=False)  # pandas 3 renames anew
    assert frame.columns.tolist()[:4] == ["customer_id", "last_activity_date", "account_created_date", "total_value"]
    metrics = made.told.metrics
    assert metrics["renamed"]["Spent"] == "total_value"
    assert (metrics["rows_output"], metrics["fields"], metrics["unused"]) == (120, 7, ["note"])
    assert told(made, "compatibility")["how"]["total_value"] == "mapped"
    lean = call(
        tmp_path,
        "blueprint_compatibility",
        input_artifact=source,
        blueprint=CHURN,
        mapping=MAPPING,
        unused="drop",
    )
    pd.testing.assert_frame_equal(read_frame(artifact(lean)), frame.drop(columns="note"), check_column_type=False)


def test_compatibility_keeps_types_that_parquet_alone_does_not_know(tmp_path: Path) -> None:
    """Categories, an index with a name, whole numbers with gaps: what is on record of a frame stays on record."""
    frame = pd.DataFrame(
        {
            "Customer-Id": ["a", "b", "c"],
            "last_activity_date": pd.to_datetime(["2024-05-01", "2024-05-02", "2024-05-03"]),
            "account_created_date": pd.to_datetime(["2023-05-01", "2023-05-02", "2023-05-03"]),
            "total_value": [1.5, 2.5, 3.5],
            "plan_type": pd.Categorical(["free", None, "basic"], categories=["free", "basic", "premium"]),
            "support_tickets": pd.array([1, None, 3], dtype="Int8"),
        },
        index=pd.Index([5, 3, 9], name="row"),
    )
    write_frame(tmp_path / "typed.parquet", frame)
    mapping = {"customer_id": "Customer-Id"}
    made = call(tmp_path, "blueprint_compatibility", input_artifact="typed.parquet", blueprint=CHURN, mapping=mapping)
    wanted = frame.rename(columns={"Customer-Id": "customer_id"})
    pd.testing.assert_frame_equal(read_frame(artifact(made)), wanted)


def test_a_column_whose_name_a_field_takes_is_told_of(tmp_path: Path) -> None:
    """Two columns of one name there cannot be: the one that the mapping did not choose is left out, in words."""
    (tmp_path / "both.csv").write_text(
        "customer_id,last_activity_date,account_created_date,total_value,net\nc1,2024-05-01,2023-05-01,9,1.5\n"
    )
    made = call(
        tmp_path,
        "blueprint_compatibility",
        input_artifact="both.csv",
        blueprint=CHURN,
        mapping={"total_value": "net"},
    )
    assert read_frame(artifact(made))["total_value"].tolist() == [1.5]
    assert any("left out" in words for words in made.warnings)


def test_columns_that_do_not_fit_are_refused_with_the_nearest(tmp_path: Path) -> None:
    """CompatibilityException, exit code 20, with the fields that lack and what comes near them."""
    (tmp_path / "few.csv").write_text("customer_id,last_activity_date,value_total\nc1,2024-05-01,3\n")
    with pytest.raises(CompatibilityException) as refused:
        call(tmp_path, "blueprint_compatibility", input_artifact="few.csv", blueprint=CHURN)
    assert exit_code_of(refused.value) == 20
    assert refused.value.result.missing_required == ["account_created_date", "total_value"]
    assert refused.value.result.proposed["total_value"] == ["value_total"]


def test_preprocessing_makes_what_the_service_makes(tmp_path: Path) -> None:
    """The frame, the features before scaling, and the recipe, byte by byte."""
    config = {"missing_value_strategy": "median", "scaling_method": "minmax", "outlier_method": "zscore"}
    more = {"as_of": AS_OF, "keep_dates": True, "keep_extra": True}
    made = call(
        tmp_path,
        "data_preprocessing",
        input_artifact=named(tmp_path),
        blueprint=CHURN,
        feature_settings={"plans": {"free": 0, "basic": 5}},
        encoding_strategy="label",
        **config,
        **more,
    )
    frame, blueprint = by_services(tmp_path / "customers.csv")
    service = DataPreprocessingService(
        {**config, "encoding_strategy": "label", "feature_settings": {"plans": {"free": 0, "basic": 5}}}
    )
    wanted, raw, recipe, done = service.fit(frame, blueprint, **more)
    pd.testing.assert_frame_equal(read_frame(artifact(made)), wanted.reset_index(drop=True))
    pd.testing.assert_frame_equal(read_frame(artifact(made, "features_raw")), raw.reset_index(drop=True))
    assert artifact(made, "recipe").read_text() == recipe.dumps()
    metrics = made.told.metrics
    assert (metrics["rows_output"], metrics["features"]) == (120, 9)
    assert (metrics["imputed"], metrics["encoded"]) == (done.imputed, done.encoded)
    assert {"last_activity_date", "note"} <= set(wanted)
    assert told(made, "preprocessing")["choices"] == done.choices


def test_a_target_comes_along_from_the_file_to_the_end(tmp_path: Path) -> None:
    """A column that is no field passes compatibility, encodes the texts, and comes out last and as it was."""
    frame, blueprint = by_services(csv(tmp_path))
    frame["churned"] = [number % 3 == 0 for number in range(120)]
    write_frame(tmp_path / "told.parquet", frame)
    fitting = call(tmp_path, "blueprint_compatibility", input_artifact="told.parquet", blueprint=CHURN)
    asked = {"as_of": AS_OF, "target": "churned"}
    made = call(
        tmp_path,
        "data_preprocessing",
        input_artifact=str(artifact(fitting)),
        blueprint=CHURN,
        encoding_strategy="target",
        **asked,
    )
    wanted, *_ = DataPreprocessingService({"encoding_strategy": "target"}).fit(frame, blueprint, **asked)
    got = read_frame(artifact(made))
    pd.testing.assert_frame_equal(got, wanted.reset_index(drop=True))
    assert got.columns[-1] == "churned"
    assert got["churned"].tolist() == frame["churned"].tolist()


def test_a_recipe_gives_other_rows_the_same_columns(tmp_path: Path) -> None:
    """Named by its file or its folder: what it makes is what `transform` makes; unseen texts are counted."""
    learnt = call(
        tmp_path,
        "data_preprocessing",
        input_artifact=named(tmp_path),
        blueprint=CHURN,
        as_of=AS_OF,
        scaling_method="none",
    )
    other = named(tmp_path, 40, name="other.csv", seed=8)
    frame, _ = by_services(tmp_path / "other.csv")
    recipe = Recipe.loads(artifact(learnt, "recipe").read_text())
    for place in (artifact(learnt, "recipe"), artifact(learnt, "recipe").parent):
        made = call(tmp_path, "data_preprocessing", input_artifact=other, recipe=str(place))
        pd.testing.assert_frame_equal(read_frame(artifact(made)), recipe.transform(frame).reset_index(drop=True))
        assert artifact(made, "recipe") == artifact(learnt, "recipe")
    changed = read_frame(other)
    changed.loc[0, "plan_type"] = "golden"
    write_frame(tmp_path / "golden.parquet", changed)
    made = call(tmp_path, "data_preprocessing", input_artifact="golden.parquet", recipe=str(artifact(learnt, "recipe")))
    assert made.told.metrics["unseen"] == {"plan_type": {"golden": 1}}
    assert any("plan_type" in words for words in made.warnings)


def test_a_recipe_refuses_rows_of_other_columns_and_what_is_no_recipe(tmp_path: Path) -> None:
    """A column that lacks or is new is CompatibilityException; a file that is none FormatError."""
    source = named(tmp_path)
    recipe = str(artifact(call(tmp_path, "data_preprocessing", input_artifact=source, blueprint=CHURN), "recipe"))
    frame = read_frame(source)
    for changed in (frame.drop(columns="support_tickets"), frame.assign(more=1)):
        write_frame(tmp_path / "changed.parquet", changed)
        with pytest.raises(CompatibilityException):
            call(tmp_path, "data_preprocessing", input_artifact="changed.parquet", recipe=recipe)
    (tmp_path / "none.json").write_text("{}")
    with pytest.raises(FormatError):
        call(tmp_path, "data_preprocessing", input_artifact=source, recipe="none.json")


def test_rows_that_cannot_be_prepared_are_told_of(tmp_path: Path) -> None:
    """Rows after as_of are refused and counted; a negative age is ProcessingException, exit code 30."""
    source = named(tmp_path)
    frame = read_frame(source)
    late = int((frame["last_activity_date"] > "2024-03-31 23:59:59").sum())
    assert 0 < late < 120
    asked = {"input_artifact": source, "blueprint": CHURN, "as_of": "2024-03-31"}
    for name in ("data_preprocessing", "feature_engineering"):
        made = call(tmp_path, name, **asked)
        assert (made.told.metrics["rows_dropped"], made.told.metrics["rows_output"]) == (late, 120 - late)
        assert any(f"{late} rows were refused" in words for words in made.warnings)
    frame.loc[4, "account_created_date"] = pd.Timestamp(2025, 1, 1)
    write_frame(tmp_path / "late.parquet", frame)
    for name in ("data_preprocessing", "feature_engineering"):
        with pytest.raises(ProcessingException) as refused:
            call(tmp_path, name, input_artifact="late.parquet", blueprint=CHURN, as_of=AS_OF)
        assert exit_code_of(refused.value) == 30


def test_features_are_those_of_preprocessing_before_it_scales(tmp_path: Path) -> None:
    """Unscaled, beside the identifier, in the order of the rows; nothing else comes out."""
    source = named(tmp_path)
    made = call(tmp_path, "feature_engineering", input_artifact=source, blueprint=CHURN, as_of=AS_OF)
    frame, blueprint = by_services(tmp_path / "customers.csv")
    _, raw, _, _ = DataPreprocessingService().fit(frame, blueprint, as_of=AS_OF)
    got = read_frame(artifact(made))
    assert got.columns.tolist() == ["customer_id", *[each.name for each in blueprint.features]]
    pd.testing.assert_frame_equal(got.drop(columns="customer_id"), raw.reset_index(drop=True))
    assert got["customer_id"].tolist() == frame["customer_id"].tolist()
    age = pd.Timestamp(AS_OF) - frame["last_activity_date"]
    assert got["days_since_last_activity"].tolist() == age.dt.days.tolist()
    assert made.told.metrics["features_absent"] == []


@pytest.mark.parametrize("blueprint", ["revenue_projection", "price_optimization"])
def test_other_blueprints_have_their_features_too(tmp_path: Path, blueprint: str) -> None:
    """Also where the blueprint makes rows of those that go in, and where rows have two identifiers."""
    days = pd.date_range("2024-01-01", periods=60)
    dice = random.Random(3)
    found = registry.find("blueprint", blueprint).load()
    told_of = {
        "datetime": lambda n: days[n],
        "identifier": lambda n: f"p{n % 3}",
        "category": lambda n: f"c{n % 2}",
        "text": lambda n: f"t{n % 2}",
        "integer": lambda n: dice.randrange(1, 50),
        "number": lambda n: round(dice.uniform(1, 90), 2),
        "flag": lambda n: n % 2 == 0,
    }
    frame = pd.DataFrame({each.name: [told_of[each.kind](n) for n in range(60)] for each in found.fields})
    write_frame(tmp_path / "in.parquet", frame)
    asked = {"input_artifact": "in.parquet", "blueprint": blueprint, "as_of": "2024-03-31"}
    made = read_frame(artifact(call(tmp_path, "feature_engineering", **asked)))
    wanted, raw, _, _ = DataPreprocessingService().fit(frame, found, as_of="2024-03-31", keep_dates=True)
    tells = [name for name in ("date", "product_id") if name in frame and name in wanted]
    assert tells
    pd.testing.assert_frame_equal(made[raw.columns.tolist()], raw.reset_index(drop=True))
    pd.testing.assert_frame_equal(made[tells], wanted[tells].reset_index(drop=True))
    assert sorted(made) == sorted([*tells, *raw])


def test_quality_assurance_judges_what_came_out(tmp_path: Path) -> None:
    """As `final_quality` does; the rows pass byte by byte, and a repeated identifier does not."""
    prepared = call(tmp_path, "data_preprocessing", input_artifact=named(tmp_path), blueprint=CHURN, as_of=AS_OF)
    made = call(tmp_path, "quality_assurance", input_artifact=str(artifact(prepared)), blueprint=CHURN)
    frame = read_frame(artifact(prepared))
    blueprint = registry.find("blueprint", CHURN).load()
    wanted = final_quality(frame, blueprint, features=[each.name for each in blueprint.features])
    assert artifact(made).read_bytes() == artifact(prepared).read_bytes()
    assert told(made, "quality") == json.loads(json.dumps(wanted.as_dict()))
    assert (made.told.metrics["score"], made.told.metrics["passed"]) == (wanted.score.value, True)
    write_frame(tmp_path / "twice.parquet", pd.concat([frame, frame.tail(1)], ignore_index=True))
    asked = {"input_artifact": "twice.parquet", "blueprint": CHURN}
    with pytest.raises(DataQualityError) as refused:
        call(tmp_path, "quality_assurance", **asked)
    assert exit_code_of(refused.value) == 20
    write_frame(tmp_path / "gap.parquet", frame.assign(total_value=frame["total_value"].mask(frame.index < 30)))
    with pytest.raises(DataQualityError, match="below 99"):
        call(tmp_path, "quality_assurance", input_artifact="gap.parquet", blueprint=CHURN, thresholds={"score": 99})
    gaps = {"input_artifact": "gap.parquet", "blueprint": CHURN}
    assert call(tmp_path, "quality_assurance", **gaps).told.metrics["issues"]["high"] == 1
    made_of_it = call(tmp_path, "quality_assurance", **gaps, features=["total_value"])
    assert made_of_it.told.metrics["issues"]["high"] == 0
    with pytest.raises(ColumnNotFoundError):
        call(tmp_path, "quality_assurance", **gaps, target="churned")
    made = call(tmp_path, "quality_assurance", **asked, on_fail="warn")
    assert (made.told.outcome, made.told.metrics["issues"]["critical"]) == ("WARNING", 1)


# --------------------------------------------------------------------------- where its files lie


def in_place(root: Path, mod: str) -> tuple[Path, dict[str, Any]]:
    """A file that the mod reads, and what it is asked beside where its own goes."""
    if mod == "data_ingestion":
        path = csv(root)
        return path, {"input_path": path.name}
    path = root / "mine.parquet"
    path.write_bytes(Path(named(root)).read_bytes())
    as_of = {"as_of": AS_OF} if mod in ("data_preprocessing", "feature_engineering") else {}
    return path, {"input_artifact": path.name, "blueprint": CHURN, **as_of}


@pytest.mark.parametrize("way", ["same", "whole", "dots", "link", "folder", "hard"])
@pytest.mark.parametrize(
    "mod",
    [
        "data_ingestion", "blueprint_compatibility", "data_validation", "feature_engineering", "data_preprocessing",
        "quality_assurance",
    ],
)  # fmt: skip
def test_no_mod_writes_over_what_it_reads(tmp_path: Path, mod: str, way: str) -> None:
    """By whatever name its place is given: it is refused before anything runs, and the file is as it was."""
    path, asked = in_place(tmp_path, mod)
    (tmp_path / "elsewhere").symlink_to(tmp_path)
    (tmp_path / "link").symlink_to(path)
    os.link(path, tmp_path / "hard")
    place = {
        "same": path.name, "whole": str(path), "dots": f"x/../{path.name}", "link": "link",
        "folder": f"elsewhere/{path.name}", "hard": "hard",
    }[way]  # fmt: skip
    before, runs = path.read_bytes(), sorted((tmp_path / "runs").glob("*"))
    with pytest.raises(ParameterError, match=r"output_path and input_(path|artifact) are one file"):
        call(tmp_path, mod, **asked, output_path=place)
    assert path.read_bytes() == before
    assert sorted((tmp_path / "runs").glob("*")) == runs


@pytest.mark.parametrize("place", ["day_1.csv", "./day_2.csv"])
def test_a_pattern_that_is_read_stands_for_its_files(tmp_path: Path, place: str) -> None:
    """Any mod that reads several may write over none of them."""
    for day in ("day_1", "day_2"):
        csv(tmp_path, 3, name=f"{day}.csv")
    before = (tmp_path / place).read_bytes()
    with pytest.raises(ParameterError, match="are one file"):
        call(tmp_path, "csv_reader", input_path="day_*.csv", output_path=place)
    assert (tmp_path / place).read_bytes() == before
    assert call(tmp_path, "csv_reader", input_path="day_*.csv", output_path="days.parquet").told.outcome == "SUCCESS"


def test_rows_and_recipe_do_not_share_a_place(tmp_path: Path) -> None:
    """Two things that a mod makes lie apart; and a recipe that is applied is not written over, folder or file."""
    asked = {"input_artifact": named(tmp_path), "blueprint": CHURN, "as_of": AS_OF}
    with pytest.raises(ParameterError, match="recipe_path and output_path are one file"):
        call(
            tmp_path, "data_preprocessing", **asked, output_path="made", recipe_path=str(tmp_path / "x" / ".." / "made")
        )
    assert not (tmp_path / "made").exists()
    call(tmp_path, "data_preprocessing", **asked, output_path="made/rows.parquet", recipe_path="made/recipe.json")
    recipe = (tmp_path / "made" / "recipe.json").read_bytes()
    rows = {"input_artifact": asked["input_artifact"]}
    for said in ("made", "made/recipe.json"):
        with pytest.raises(ParameterError, match="output_path and recipe are one file"):
            call(tmp_path, "data_preprocessing", **rows, recipe=said, output_path="made/recipe.json")
    assert (tmp_path / "made" / "recipe.json").read_bytes() == recipe
    call(tmp_path, "data_preprocessing", **rows, recipe="made", output_path="made/again.parquet")


def test_rejected_rows_do_not_take_the_place_of_what_is_read(tmp_path: Path) -> None:
    """A file of somebody else's may be called as theirs would be."""
    path = csv(tmp_path, name="x.rejected.parquet")
    before = path.read_bytes()
    with pytest.raises(ParameterError, match="the place of rejected rows and input_path are one file"):
        call(tmp_path, "data_ingestion", input_path=path.name, output_path="x.parquet", on_bad_rows="quarantine")
    assert path.read_bytes() == before


def test_rows_rejected_of_an_older_file_go_with_it(tmp_path: Path) -> None:
    """Beside a table without bad rows lies no file of them, nor what was told of it."""
    text = lines(5)
    (tmp_path / "day.csv").write_text("\n".join([*text, "0099,2024-01-01"]) + "\n")
    asked = {"input_path": "day.csv", "output_path": "day.parquet", "on_bad_rows": "quarantine"}
    call(tmp_path, "data_ingestion", **asked)
    there = {"day.rejected.parquet", "day.rejected.metadata.json"}
    assert there <= {each.name for each in tmp_path.iterdir()}
    (tmp_path / "day.csv").write_text("\n".join(text) + "\n")
    made = call(tmp_path, "data_ingestion", **asked)
    assert (made.told.outcome, "rejected" in made.told.artifacts) == ("SUCCESS", False)
    assert not there & {each.name for each in tmp_path.iterdir()}


@pytest.mark.parametrize("theirs", [b"theirs", None])
def test_a_file_of_that_name_which_is_no_rejected_rows_stays(tmp_path: Path, theirs: bytes | None) -> None:
    """Only what an ingestion put there is removed."""
    place = tmp_path / "day.rejected.parquet"
    if theirs is None:
        write_frame(place, pd.DataFrame({"theirs": [1]}))
    else:
        place.write_bytes(theirs)
    before = place.read_bytes()
    csv(tmp_path, 5, name="day.csv")
    call(tmp_path, "data_ingestion", input_path="day.csv", output_path="day.parquet")
    assert place.read_bytes() == before


def test_a_threshold_that_is_none_is_as_usual_to_a_mod(tmp_path: Path) -> None:
    """As where it is not said; one that there is not is refused all the same."""
    asked = {"input_artifact": named(tmp_path), "blueprint": CHURN}
    made = call(tmp_path, "data_validation", **asked, thresholds={"score": None})
    assert made.told.outcome == "SUCCESS"
    prepared = str(artifact(call(tmp_path, "data_preprocessing", **asked, as_of=AS_OF)))
    made = call(tmp_path, "quality_assurance", input_artifact=prepared, blueprint=CHURN, thresholds={"score": None})
    assert made.told.metrics["passed"] is True
    with pytest.raises(ParameterError, match="scor"):
        call(tmp_path, "quality_assurance", input_artifact=prepared, blueprint=CHURN, thresholds={"scor": None})


# --------------------------------------------------------------------------- bad input, and none


def test_a_file_of_nothing_but_a_header_goes_as_far_as_it_can(tmp_path: Path) -> None:
    """It is a table without rows, of which nothing is learnt: each stage says so by its own error, and none crashes."""
    source = ingested(tmp_path, 0)
    assert len(read_frame(source)) == 0
    asked = {"input_artifact": source, "blueprint": CHURN, "mapping": MAPPING}
    made = call(tmp_path, "blueprint_compatibility", **asked)
    assert (made.told.metrics["rows_output"], len(read_frame(artifact(made)))) == (0, 0)
    assert "total_value" in read_frame(artifact(made)).columns
    with pytest.raises(DataQualityError, match="no rows"):
        call(tmp_path, "data_validation", **asked)
    for name in ("data_preprocessing", "feature_engineering"):
        with pytest.raises(ProcessingException, match="empty"):
            call(tmp_path, name, **asked, as_of=AS_OF)
    with pytest.raises(DataQualityError, match="no rows"):
        call(tmp_path, "quality_assurance", input_artifact=str(artifact(made)), blueprint=CHURN)


@pytest.mark.parametrize(
    ("mod", "values", "words"),
    [
        ("data_validation", {"blueprint": "customer_chrn"}, "customer_churn"),
        ("blueprint_compatibility", {"blueprint": "nothing like it"}, "price_optimization"),
        ("data_preprocessing", {"blueprint": "x"}, "revenue_projection"),
        ("data_preprocessing", {}, "blueprint to learn"),
        ("data_preprocessing", {"recipe": "r.json", "scaling_method": "none"}, "leave scaling_method out"),
        ("data_preprocessing", {"blueprint": CHURN, "outlier_method": "mad"}, "iqr"),
        ("data_preprocessing", {"blueprint": CHURN, "as_of": "one day"}, "no time"),
        ("feature_engineering", {"blueprint": CHURN, "as_of": "2024-13-01"}, "no time"),
        ("data_validation", {"blueprint": CHURN, "thresholds": {"completness": 1}}, "completeness"),
        ("data_validation", {"blueprint": CHURN, "thresholds": {"validity": 98}}, "from 0 to 1"),
        ("data_validation", {"blueprint": CHURN, "validation_config": {"outliers": True}}, "outlier_share"),
        ("quality_assurance", {"blueprint": CHURN, "on_fail": "go on"}, "warn"),
    ],
)
def test_parameters_are_checked_before_anything_runs(
    tmp_path: Path, mod: str, values: dict[str, Any], words: str
) -> None:
    """The message names what there is; no file is looked at, none is written."""
    with pytest.raises(ParameterError, match=words) as refused:
        call(tmp_path, mod, input_artifact="not_there.parquet", **values)
    assert exit_code_of(refused.value) == 20
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "values",
    [{"chunk_size": 0}, {"max_rows": True}, {"encoding": "klingon"}, {"delimiter": "||"}, {"decimal": "'"}],
    ids=lambda values: next(iter(values)),
)
def test_options_of_ingestion_are_checked_before_anything_runs(tmp_path: Path, values: dict[str, Any]) -> None:
    """As the service checks them, without the file."""
    with pytest.raises(ParameterError, match=next(iter(values))):
        call(tmp_path, "data_ingestion", input_path="not_there.csv", **values)


def test_a_blueprint_is_looked_for_without_importing_any(tmp_path: Path) -> None:
    """The check of its name costs no import of pandas, nor of a blueprint."""
    code = (
        "import sys; from pathlib import Path; from framework.mods.catalog import Mods;"
        "print(Mods(Path('/')).load('data_validation').faults({'input_artifact': 'x', 'blueprint': 'churn'}));"
        "print([name for name in sys.modules if name == 'pandas' or name.startswith('implementations.blueprints.')])"
    )
    shown = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert "customer_churn, price_optimization, revenue_projection" in shown
    assert shown.splitlines()[-1] == "[]"


def test_what_is_refused_ends_the_command_with_its_code(tmp_path: Path) -> None:
    """`run-mod` on a binary file, on columns that do not fit and on rows that are not good enough: 20 each time."""
    (tmp_path / "millpond.yaml").write_text("settings: {}\n")
    (tmp_path / "picture.csv").write_bytes(b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR" + bytes(range(256)))
    (tmp_path / "few.csv").write_text("a,b\n1,2\n")
    for mod, values, words in (
        ("data_ingestion", ["input_path=picture.csv"], "picture.csv"),
        ("data_ingestion", ["input_path=gone.csv"], "not found"),
        ("blueprint_compatibility", ["input_artifact=few.csv", f"blueprint={CHURN}"], "customer_id"),
        ("data_validation", ["input_artifact=few.csv", f"blueprint={CHURN}"], "not good enough"),
        ("data_validation", ["input_artifact=few.csv", "blueprint=churn"], "here is no blueprint"),
    ):
        done = command(tmp_path, "run-mod", mod, *[part for value in values for part in ("--set", value)])
        assert done.returncode == 20, done.stderr
        assert words in done.stderr


def test_a_missing_file_is_told_as_that(tmp_path: Path) -> None:
    """A recipe or artifact that is not there is known before anything runs."""
    csv(tmp_path)
    with pytest.raises(DatasetNotFoundError):
        call(tmp_path, "data_preprocessing", input_artifact="customers.csv", recipe="gone.json")


# --------------------------------------------------------------------------- in one job, in one case


def command(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("FS_", "DB_", "MILLPOND", "LEDGER", "ON_"))}
    return subprocess.run(
        [sys.executable, "-m", "framework", *arguments],
        cwd=folder,
        env={**kept, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=180,
    )


JOB = f"""
job_name: prepare customers
globals:
  blueprint: {CHURN}
  as_of: {AS_OF}
mods:
  data_ingestion: {{input_path: customers.csv}}
  blueprint_compatibility: {{mapping: {{total_value: Spent}}}}
  data_validation:
  feature_engineering: {{output_path: features.parquet}}
  data_preprocessing: {{input_artifact: "${{mods.data_validation.artifacts.output_data}}"}}
  quality_assurance:
  store_writer: {{dataset: "parquet:churn_train"}}
"""


def test_the_six_in_one_job_end_in_a_store(tmp_path: Path) -> None:
    """By the command; what is in the store and beside it is what the services make when they are called directly."""
    (tmp_path / "millpond.yaml").write_text("settings: {}\n")
    (tmp_path / "job.yaml").write_text(JOB)
    path = csv(tmp_path)
    done = command(tmp_path, "run-job", "job.yaml")
    assert done.returncode == 0, done.stderr
    frame, blueprint = by_services(path)
    DataValidationService().validate(frame, blueprint).raise_if_failed()
    wanted, raw, recipe, _ = DataPreprocessingService().fit(frame, blueprint, as_of=AS_OF)
    stored = Workspace(tmp_path).store("parquet").get_data("churn_train")
    pd.testing.assert_frame_equal(stored, wanted.reset_index(drop=True))
    features = read_frame(tmp_path / "features.parquet")
    pd.testing.assert_frame_equal(features.drop(columns="customer_id"), raw.reset_index(drop=True))
    (made,) = (tmp_path / "runs").glob("*/data_preprocessing/recipe.json")
    assert made.read_text() == recipe.dumps()


def test_a_job_that_fails_in_a_stage_says_in_which_and_keeps_nothing(tmp_path: Path) -> None:
    """The mod's own code is 20, nothing comes into the store, and what was found is there to look at."""
    text = lines(30)
    (tmp_path / "customers.csv").write_text("\n".join([*text, text[-1]]) + "\n")
    (tmp_path / "job.yaml").write_text(JOB)
    result = Workspace(tmp_path).run_job(tmp_path / "job.yaml")
    by_name = {child.name: child for child in result.children}
    assert not result.outcome.ok
    assert (by_name["data_validation"].exit_code, type(by_name["data_validation"].error)) == (20, DataQualityError)
    assert not Workspace(tmp_path).store("parquet").exists("churn_train")
    (found,) = (tmp_path / "runs").glob("*/data_validation/validation.json")
    assert json.loads(found.read_text())["passed"] is False


def steps(*, blueprint: str = CHURN) -> list[dict[str, Any]]:
    """The six as steps of a case."""

    def step(mod: str, read: list[str], made: list[str], **values: Any) -> dict[str, Any]:
        return {"plugin": "RunMod", "name": mod, "inputs": read, "outputs": made, "config": {"mod": mod, **values}}

    of_it = {"blueprint": blueprint}
    return [
        step("data_ingestion", ["upload"], ["raw"]),
        step("blueprint_compatibility", ["raw"], ["fitting"], **of_it, mapping=MAPPING),
        step("data_validation", ["fitting"], ["checked", "validation"], **of_it),
        step("feature_engineering", ["checked"], ["features"], **of_it, as_of=AS_OF),
        step("data_preprocessing", ["checked"], ["prepared", "raw_features", "recipe"], **of_it, as_of=AS_OF),
        step("quality_assurance", ["prepared"], ["dataset", "quality"], **of_it),
    ]


def case(folder: Path, pipeline: list[dict[str, Any]]) -> Path:
    place = folder / "cases" / "churn"
    place.mkdir(parents=True)
    (folder / "millpond.yaml").write_text("settings: {}\n")
    data = {
        "upload": {"path": "customers.csv", "handler": "bytes"},
        "dataset": {"path": "made/dataset.parquet"},
        "features": {"path": "made/features.parquet"},
        "recipe": {"path": "made/recipe.json"},
        "validation": {"path": "made/validation.json"},
    }
    (place / "case.yaml").write_text(yaml.safe_dump({"data_sources": data, "pipeline": pipeline}, sort_keys=False))
    return place


@pytest.mark.parametrize("executor", ["threads", "processes"])
def test_the_six_are_steps_of_a_case(tmp_path: Path, executor: str) -> None:
    """Data of the case go in and come out by name, and are what the services make; no file is left elsewhere."""
    place = case(tmp_path, steps())
    path = csv(place)
    done = command(tmp_path, "pipeline", "--case", "churn", "--executor", executor)
    assert done.returncode == 0, done.stderr
    frame, blueprint = by_services(path)
    wanted, raw, recipe, _ = DataPreprocessingService().fit(frame, blueprint, as_of=AS_OF)
    pd.testing.assert_frame_equal(read_frame(place / "made" / "dataset.parquet"), wanted.reset_index(drop=True))
    features = read_frame(place / "made" / "features.parquet")
    pd.testing.assert_frame_equal(features.drop(columns="customer_id"), raw.reset_index(drop=True))
    assert json.loads((place / "made" / "recipe.json").read_text()) == recipe.as_dict()
    assert json.loads((place / "made" / "validation.json").read_text())["passed"] is True
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"config": {"mod": "data_validation", "blueprint": "churn"}}, "There is no blueprint 'churn'"),
        ({"config": {"mod": "data_validation", "blueprint": CHURN, "threshold": 1}}, "no parameter 'threshold'"),
        ({"config": {"mod": "data_valid"}}, "here is no mod 'data_valid'"),
        ({"config": {"mod": "data_ingestion", "input_path": "customers.csv"}}, "name it under inputs"),
        ({"config": {}}, "mod"),
    ],
    ids=["blueprint", "parameter", "mod", "path", "nothing"],
)
def test_a_mod_in_a_case_is_checked_before_anything_runs(tmp_path: Path, change: dict[str, Any], words: str) -> None:
    """With its place in the file, and exit code 20."""
    pipeline = steps()
    pipeline[2] |= change
    place = case(tmp_path, pipeline)
    csv(place)
    done = command(tmp_path, "pipeline", "--case", "churn")
    assert done.returncode == 20, done.stderr
    assert words in done.stderr
    assert not (place / "made").exists()


def test_a_mod_in_a_case_that_refuses_its_input_fails_that_step(tmp_path: Path) -> None:
    """Its words are told, and nothing after it runs."""
    place = case(tmp_path, steps())
    text = lines(30)
    (place / "customers.csv").write_text("\n".join([*text, text[-1]]) + "\n")
    done = command(tmp_path, "pipeline", "--case", "churn")
    assert done.returncode == 30, done.stderr
    assert "not good enough" in done.stderr
    assert not (place / "made" / "dataset.parquet").exists()


@pytest.mark.parametrize(("key", "words"), [("inputs", "reads 1 data"), ("outputs", "makes 2 data")])
def test_a_mod_in_a_case_takes_and_makes_no_more_than_it_has(tmp_path: Path, key: str, words: str) -> None:
    """A name too many under inputs or outputs is refused, with those that there are."""
    pipeline = steps()[:2]
    pipeline[1][key] = [*pipeline[1][key], "recipe", "validation"][: 3 if key == "outputs" else 2]
    place = case(tmp_path, pipeline)
    csv(place)
    (place / "made").mkdir()
    (place / "made" / "recipe.json").write_text("{}")
    done = command(tmp_path, "pipeline", "--case", "churn")
    assert done.returncode == 30, done.stderr
    assert words in done.stderr


def test_a_case_that_is_resumed_sees_that_its_file_has_changed(tmp_path: Path) -> None:
    """What nothing has changed for stands; another file is read again, and all that builds on it."""
    place = case(tmp_path, steps())
    csv(place)
    assert command(tmp_path, "pipeline", "--case", "churn").returncode == 0
    before = (place / "made" / "dataset.parquet").read_bytes()
    again = command(tmp_path, "explain", "--case", "churn", "--json")
    assert {each["would"] for each in json.loads(again.stdout)} <= {"reuse", "not needed"}
    csv(place, 130)
    assert command(tmp_path, "pipeline", "--case", "churn", "--resume").returncode == 0
    assert (place / "made" / "dataset.parquet").read_bytes() != before
    assert len(read_frame(place / "made" / "dataset.parquet")) == 130


def test_a_recipe_is_data_of_a_case_too(tmp_path: Path) -> None:
    """Learnt by one step it is applied by another, which is given it after the rows."""
    pipeline = steps()[:5]
    applying = {"mod": "data_preprocessing"}
    pipeline.append(
        {
            "plugin": "RunMod",
            "name": "again",
            "inputs": ["checked", "recipe"],
            "outputs": ["dataset"],
            "config": applying,
        }
    )
    place = case(tmp_path, pipeline)
    path = csv(place)
    done = command(tmp_path, "pipeline", "--case", "churn")
    assert done.returncode == 0, done.stderr
    frame, _ = by_services(path)
    recipe = Recipe.loads((place / "made" / "recipe.json").read_text())
    wanted = recipe.transform(frame).reset_index(drop=True)
    pd.testing.assert_frame_equal(read_frame(place / "made" / "dataset.parquet"), wanted)


def test_any_other_mod_is_a_step_of_a_case_too(tmp_path: Path) -> None:
    """One that reads two data is given them in the order of its parameters."""
    values = {"left_on": ["customer"], "right_on": ["id"], "how": "left"}
    joining = {"plugin": "RunMod", "inputs": ["orders", "people"], "outputs": ["dataset"]}
    place = case(tmp_path, [{**joining, "config": {"mod": "joiner", **values}}])
    said = yaml.safe_load((place / "case.yaml").read_text())
    said["data_sources"] |= {"orders": {"path": "orders.csv"}, "people": {"path": "people.csv"}}
    (place / "case.yaml").write_text(yaml.safe_dump(said, sort_keys=False))
    (place / "orders.csv").write_text("customer,amount\n8,1.5\n7,2.5\n9,3.5\n")
    (place / "people.csv").write_text("id,name\n7,Ada\n8,Ben\n")
    done = command(tmp_path, "pipeline", "--case", "churn")
    assert done.returncode == 0, done.stderr
    made = read_frame(place / "made" / "dataset.parquet")
    assert made["amount"].tolist() == [1.5, 2.5, 3.5]
    assert made["name"].tolist()[:2] == ["Ben", "Ada"]


def joined(root: Path, sources: dict[str, Any]) -> pd.DataFrame:
    """What a case makes that joins its two data, which are called as alike as names can be."""
    config = {"mod": "joiner", "left_on": ["customer"], "right_on": ["id"], "how": "left"}
    place = case(root, [{"plugin": "RunMod", "inputs": list(sources), "outputs": ["dataset"], "config": config}])
    said = yaml.safe_load((place / "case.yaml").read_text())
    said["data_sources"] |= sources
    (place / "case.yaml").write_text(yaml.safe_dump(said, sort_keys=False))
    (place / "orders.csv").write_text("customer,amount\n8,1.5\n7,2.5\n")
    write_frame(place / "people.parquet", pd.DataFrame({"id": [7, 8], "name": ["Ada", "Ben"]}))
    done = command(root, "pipeline", "--case", "churn")
    assert done.returncode == 0, done.stderr
    return read_frame(place / "made" / "dataset.parquet")


@pytest.mark.parametrize(
    ("left", "right", "handler"),
    [("a/b", "a_b", {}), ("x", "x.parquet", {"handler": "bytes"})],
    ids=["marks", "endings"],
)
def test_data_of_like_names_do_not_take_each_others_place(
    tmp_path: Path, left: str, right: str, handler: dict[str, str]
) -> None:
    """Each lies in a folder of its own while a mod reads it, whatever it is and is called."""
    made = joined(tmp_path, {left: {"path": "orders.csv"}, right: {"path": "people.parquet", **handler}})
    assert made["amount"].tolist() == [1.5, 2.5]
    assert made["name"].tolist() == ["Ben", "Ada"]


def test_what_a_mod_may_leave_out_is_no_warning_in_a_case(tmp_path: Path) -> None:
    """Its METADATA says what is optional: a night without bad rows is a good one, and with them they are data."""
    config = {"mod": "data_ingestion", "on_bad_rows": "quarantine"}
    ingesting = {"plugin": "RunMod", "inputs": ["upload"], "outputs": ["dataset", "aside"], "config": config}
    place = case(tmp_path, [ingesting])
    said = yaml.safe_load((place / "case.yaml").read_text())
    said["data_sources"]["aside"] = {"path": "made/aside.parquet"}
    (place / "case.yaml").write_text(yaml.safe_dump(said, sort_keys=False))
    path = csv(place, 5)
    done = command(tmp_path, "pipeline", "--case", "churn")
    assert (done.returncode, "made none" in done.stderr) == (0, False), done.stderr
    assert not (place / "made" / "aside.parquet").exists()
    path.write_text(path.read_text() + "0099,2024-01-01\n")
    command(tmp_path, "pipeline", "--case", "churn")
    assert read_frame(place / "made" / "aside.parquet")["_line"].tolist() == [7]


def test_what_a_mod_left_out_is_not_read_for_it(tmp_path: Path) -> None:
    """A step that needs it says that nothing was made."""
    config = {"mod": "data_ingestion", "on_bad_rows": "quarantine"}
    after = {"plugin": "RunMod", "name": "after", "inputs": ["aside"], "outputs": ["dataset"]}
    after["config"] = {"mod": "filter", "expression": "_line > 0"}
    ingesting = {"plugin": "RunMod", "name": "ingesting", "inputs": ["upload"], "outputs": ["raw", "aside"]}
    place = case(tmp_path, [{**ingesting, "config": config}, after])
    csv(place, 5)
    done = command(tmp_path, "pipeline", "--case", "churn")
    assert done.returncode == 30
    assert "'ingesting' made nothing for 'aside'" in done.stderr


def test_what_a_mod_calls_optional_is_among_what_it_makes() -> None:
    """A name that is written otherwise would be optional to nobody."""
    assert ModArtifacts(makes=("output_data", "rejected"), optional=("rejected",)).optional == ("rejected",)
    with pytest.raises(ValueError, match="'reject' is optional"):
        ModArtifacts(makes=("output_data", "rejected"), optional=("reject",))


@pytest.mark.slow
def test_ingestion_takes_no_more_memory_for_a_larger_file(tmp_path: Path) -> None:
    """Ten times the rows, and the peak of the process stays within a half more."""
    peaks = []
    for rows in (60_000, 600_000):
        path = csv(tmp_path, rows, name=f"{rows}.csv")
        made = command(
            tmp_path,
            "run-mod",
            "data_ingestion",
            *("--set", f"input_path={path.name}", "--set", "max_file_size=1000000000"),
        )
        assert made.returncode == 0, made.stderr
        peaks.append(json.loads(made.stderr.splitlines()[-1])["metrics"]["memory_used_mb"])
    assert peaks[1] < 1.5 * peaks[0] + 50, peaks


def test_the_chain_keeps_types_on_record(tmp_path: Path) -> None:
    """From mod to mod the columns are on record as a frame's, not guessed anew: a text of digits stays text."""
    path = named(tmp_path, 20)
    with opened(path) as (arrow, _):
        kinds = {each.label: each.kind for each in frame_schema(path, arrow).fields}
    assert kinds["customer_id"] == "text"
    assert kinds["support_tickets"] == "integer"
    assert kinds["last_activity_date"] == "time"
