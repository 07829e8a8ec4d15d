"""The example projects: each job and script runs in a copy of its folder, and makes what its data says it must."""

from __future__ import annotations

import csv
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import uuid4

import pandas as pd
import psycopg
import pytest
from psycopg import sql

PROJECTS = Path(__file__).resolve().parents[2] / "examples" / "projects"
MADE = (
    "data", "made", "prepared", "recipe.json", "runs", "logs", "backup", "temp", "reports", "secrets", ".env",
    "__pycache__",
)  # fmt: skip
FIRST, SECOND = "2024-08-12", "2024-08-13"


@dataclass(frozen=True)
class Project:
    """A copy of a project, in which commands are typed."""

    folder: Path
    settings: dict[str, str] = field(default_factory=dict)

    @classmethod
    def copied(cls, name: str, into: Path, **settings: str) -> Project:
        shutil.copytree(PROJECTS / name, into / name, ignore=shutil.ignore_patterns(*MADE))
        return cls(into / name, settings)

    def typed(self, command: str, expected: int = 0) -> dict[str, Any]:
        """What a user types in its folder: the result that ends standard error, if one does, and what was printed."""
        ours = ("DB_", "FS_", "MILLPOND", "BANK_")
        environment = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
        environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
        environment["PYTHONPATH"] = str(PROJECTS.parents[1])
        done = subprocess.run(
            ["bash", "-euc", command],
            cwd=self.folder,
            env={**environment, **self.settings},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == expected, f"{command}\n{done.stdout}\n{done.stderr}"
        last = (done.stderr.strip().splitlines() or [""])[-1]
        return {"stdout": done.stdout, **(json.loads(last) if last.startswith("{") else {})}

    def rows(self, path: str) -> list[dict[str, str]]:
        """The rows of a CSV file that was made."""
        with open(self.folder / path, encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file))


def child(result: dict[str, Any], name: str) -> dict[str, Any]:
    return next(each for each in result["children"] if each["name"] == name)


# --------------------------------------------------------------------------- customer-analytics

DAILY = "millpond run-job jobs/daily-etl/daily_customer_etl.yaml"
BY_PLAN = "reports/by_plan.csv"


@pytest.fixture(scope="module")
def customers(tmp_path_factory: pytest.TempPathFactory, postgres_url: str) -> Iterator[Project]:
    """The project with the first day's file, on a schema of the tests' server, into which the day is loaded."""
    schema = f"test_{uuid4().hex[:12]}"
    into = tmp_path_factory.mktemp("customers")
    project = Project.copied("customer-analytics", into, DB_URL=postgres_url, DB_SCHEMA=schema)
    project.typed("python make_data.py")
    project.typed(DAILY, 10)
    yield project
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(schema)))


def in_database(project: Project) -> list[tuple[Any, ...]]:
    columns = "customer_id, name, email, country, signup_date::date, plan, monthly_spend"
    table = sql.Identifier(project.settings["DB_SCHEMA"], "customers")
    with psycopg.connect(project.settings["DB_URL"]) as connection:
        query = sql.SQL("SELECT " + columns + " FROM {} ORDER BY customer_id").format(table)
        return connection.execute(query).fetchall()


def good(project: Project, day: str) -> dict[str, tuple[Any, ...]]:
    """The rows of a day's file that are to be loaded, by their ids; found without the project's own rules."""
    kept: dict[str, tuple[Any, ...]] = {}
    with open(project.folder / "data" / day / "customers.csv", encoding="utf-8") as file:
        for row in csv.DictReader(file, delimiter="|"):
            name = row["name"].strip()
            known = row["plan"] in ("free", "basic", "premium", "enterprise")
            if row["customer_id"] not in kept and known and "@" in row["email"] and float(row["monthly_spend"]) >= 0:
                kept[row["customer_id"]] = (
                    row["customer_id"],
                    name if len(name) > 1 else None,
                    row["email"],
                    row["country"],
                    date.fromisoformat(row["signup_date"]),
                    row["plan"],
                    float(row["monthly_spend"]),
                )
    return kept


def planted(project: Project, day: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((project.folder / "data" / day / "planted.json").read_text())
    return found


def test_the_daily_load_refuses_what_was_planted_and_loads_the_rest(customers: Project) -> None:
    """Each fault is found by its rule and kept with its name; all other rows are in the database as in the file."""
    faults = planted(customers, FIRST)["rules"]
    rejected = pd.read_parquet(customers.folder / "data" / FIRST / "customers_good.rejected.parquet")
    assert Counter(rejected["_rule"]) == faults
    expected = good(customers, FIRST)
    assert len(expected) == planted(customers, FIRST)["customers"] - sum(faults.values()) + faults["id twice"]
    assert set(in_database(customers)) == {*expected.values()}


def test_the_next_day_changes_and_adds(customers: Project) -> None:
    """Who was there is as in the new file, who is new is there too, and a second run changes nothing."""
    customers.typed(f"python make_data.py --day {SECOND}")
    first = customers.typed(f"{DAILY} --set globals.day={SECOND}", 10)
    expected = {**good(customers, FIRST), **good(customers, SECOND)}
    assert in_database(customers) == [expected[name] for name in sorted(expected)]
    again = customers.typed(f"{DAILY} --set globals.day={SECOND}", 10)
    told = [child(each, "database_writer")["metrics"]["rows_after"] for each in (first, again)]
    assert told == [len(expected)] * 2
    assert in_database(customers) == [expected[name] for name in sorted(expected)]


def test_the_daily_script_does_as_the_job_and_prints_what_was_refused(customers: Project) -> None:
    """It ends with 10 for the rows that were refused, which it prints with their rule."""
    said = customers.typed("python jobs/daily-etl/daily_customer_etl.py", 10)
    faults = planted(customers, FIRST)["rules"]
    assert {name: said["stdout"].count(name) for name in faults} == faults
    assert (said["message"], said["refused"]) == ("loaded", sum(faults.values()))


def test_too_many_bad_rows_load_nothing(customers: Project, tmp_path: Path) -> None:
    """Beyond the share that the project allows, the job fails and the table is as it was."""
    before = in_database(customers)
    said = customers.typed(f"{DAILY} --fresh --set validator.max_rejected=0.01", 30)
    assert "more than max_rejected" in said["errors"][0]
    assert in_database(customers) == before


def test_the_weekly_reports_are_sums_of_the_table(customers: Project) -> None:
    """By plan and country from the job, by week from the script."""
    customers.typed("millpond run-job jobs/weekly-reports/weekly_reports.yaml")
    customers.typed("millpond run-script jobs/weekly-reports/weekly_reports.py")
    table = pd.DataFrame(in_database(customers), columns=["id", "name", "email", "country", "since", "plan", "spend"])
    plans = {row["plan"]: (int(row["customers"]), float(row["monthly_spend"])) for row in customers.rows(BY_PLAN)}
    assert plans == {p: (len(rows), round(rows["spend"].sum(), 2)) for p, rows in table.groupby("plan")}
    countries = {row["country"]: float(row["median_spend"]) for row in customers.rows("reports/by_country.csv")}
    assert countries == pytest.approx({c: rows["spend"].median() for c, rows in table.groupby("country")})
    weeks = customers.rows("reports/signups_by_week.csv")
    assert sum(int(row["customers"]) for row in weeks) == len(table)
    assert {date.fromisoformat(row["week"]).weekday() for row in weeks} == {0}


def test_the_quality_check_scores_the_table_and_says_what_is_wrong_with_a_file(customers: Project) -> None:
    """What was loaded is good; a file that has lost a column is an error, and the table is looked at all the same."""
    customers.typed("millpond run-job jobs/data-quality/data_quality_check.yaml")
    report = json.loads((customers.folder / "reports/quality.json").read_text())
    assert (report["passed"], report["repeated_keys"], report["rows"]) == (True, 0, len(in_database(customers)))
    (customers.folder / "data/2024-08-14").mkdir()
    (customers.folder / "data/2024-08-14/customers.csv").write_text("customer_id|name\nC1|Ada\n")
    check = "millpond run-job jobs/data-quality/data_quality_check.yaml --set globals.day=2024-08-14"
    said = customers.typed(check, 30)
    assert child(said, "incoming")["status"] == "error"
    assert child(said, "table")["status"] == "success"


def test_without_a_setting_the_database_is_the_embedded_one(tmp_path: Path) -> None:
    """With nothing said of a server, the project starts its own and loads into it."""
    project = Project.copied("customer-analytics", tmp_path)
    project.typed("python make_data.py --rows 330")
    try:
        said = project.typed(DAILY, 10)
        loaded = child(said, "database_writer")["metrics"]["rows_after"]
        shown = project.typed("millpond head postgres:customers --json --rows 1000")["stdout"]
    finally:
        project.typed("millpond db stop")
    assert loaded == len(good(project, FIRST))
    assert shown.count("@example.com") == loaded


# --------------------------------------------------------------------------- finance-reporting

RECON = "python bank.py millpond run-job jobs/daily-reconciliation/daily_recon.yaml"


@pytest.fixture(scope="module")
def finance(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The project with its books, and the bank's statements."""
    project = Project.copied("finance-reporting", tmp_path_factory.mktemp("finance"))
    project.typed("python make_data.py")
    return project


def test_the_reconciliation_reports_what_was_planted(finance: Project) -> None:
    """Every difference with its reference and its finding, none besides, to the cent; the job ends with 10."""
    said = finance.typed(RECON, 10)
    differing = json.loads((finance.folder / "data/planted.json").read_text())[FIRST]
    found: dict[str, list[str]] = {}
    for row in finance.rows(f"reports/differences_{FIRST}.csv"):
        found.setdefault(row["finding"], []).append(row["reference"])
        difference = Decimal(row["amount_bank"] or 0) - Decimal(row["amount_books"] or 0)
        assert Decimal(row["difference"]) == difference
        assert row["finding"] != "amounts differ" or difference == Decimal("0.01")
    assert found == {finding: sorted(references) for finding, references in differing.items()}
    assert child(said, "bank")["metrics"]["rows_output"] == 250 - len(differing["not at the bank"])
    assert child(said, "bank")["metrics"]["pages"] == 3


def test_an_account_keeps_its_zeros(finance: Project) -> None:
    """0042 is a name: in the books it is text, and in the report it is as in the books."""
    finance.typed("millpond run-job jobs/monthly-close/monthly_close.yaml")
    closed = {row["account"]: row for row in finance.rows("reports/close_2024-08.csv")}
    sums: dict[str, Decimal] = {}
    for book in sorted((finance.folder / "data/books").glob("*.csv")):
        for row in finance.rows(str(book.relative_to(finance.folder))):
            sums[row["account"]] = sums.get(row["account"], Decimal(0)) + Decimal(row["amount"])
    assert "0042" in closed
    assert {account: Decimal(row["balance"]) for account, row in closed.items()} == sums


def test_the_close_reconciles_every_day_first(finance: Project) -> None:
    """The script runs both jobs, counts the differences of all days, and ends with 10 for them."""
    said = finance.typed("python bank.py millpond run-script jobs/monthly-close/monthly_close.py", 10)
    assert said["stdout"].startswith("2024-08: 27 differences")
    reports = sorted(path.name for path in (finance.folder / "reports").glob("differences_*.csv"))
    assert reports == [f"differences_2024-08-{day}.csv" for day in (12, 13, 14)]


def test_when_all_agrees_the_job_ends_with_0(tmp_path: Path) -> None:
    """And the report of differences has no row."""
    project = Project.copied("finance-reporting", tmp_path)
    project.typed("python make_data.py --days 1")
    (project.folder / "data/bank.json").write_text(json.dumps(project.rows(f"data/books/{FIRST}.csv")))
    project.typed(RECON)
    assert project.rows(f"reports/differences_{FIRST}.csv") == []


def test_a_bank_that_does_not_know_us_is_an_error_without_the_token(finance: Project) -> None:
    """The job fails, no report of that day is made, and what is told of it does not show the token."""
    job = RECON.partition(" bank.py ")[2]
    other = "--fresh --set globals.day=2024-08-20 --set books.input_path=books/2024-08-14.csv"
    said = finance.typed(f"python bank.py env BANK_TOKEN=a-wrong-token {job} {other}", 30)
    assert "401" in said["errors"][0]
    assert not (finance.folder / "reports/differences_2024-08-20.csv").exists()
    logs = "".join(path.read_text() for path in (finance.folder / "logs").glob("*.log"))
    assert "a-wrong-token" not in json.dumps(said) + logs


# --------------------------------------------------------------------------- sales-analytics


@pytest.fixture(scope="module")
def sales(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The project with its data."""
    project = Project.copied("sales-analytics", tmp_path_factory.mktemp("sales"))
    project.typed("python make_data.py")
    return project


needs_matplotlib = pytest.mark.skipif(
    importlib.util.find_spec("matplotlib") is None, reason="the report is drawn by matplotlib, which is not installed"
)


@needs_matplotlib
def test_the_pipeline_is_asked_by_sql_and_drawn(sales: Project) -> None:
    """The stages and months are those of the deals, and the page holds the picture that lies beside it."""
    said = sales.typed("millpond run-job jobs/pipeline-analysis/pipeline_analysis.yaml")
    deals = sales.rows("data/deals.csv")
    stages = pd.read_parquet(said["artifacts"]["stages.output_data"])
    assert stages["deals"].tolist() == [sum(int(d["reached"]) >= rank for d in deals) for rank in range(1, 6)]
    months = pd.read_parquet(said["artifacts"]["months.output_data"])
    won = sum(float(each["amount"]) for each in deals if each["reached"] == "5")
    assert months["amount"].sum() == pytest.approx(won)
    assert child(said, "pipeline_report")["metrics"]["amount_won"] == pytest.approx(won)
    page = (sales.folder / "reports/pipeline.html").read_text()
    assert "<h1>Pipeline of 2024</h1>" in page
    assert all(
        f"<td>{stage}</td><td>{count}</td>" in page for stage, count in zip(stages.stage, stages.deals, strict=True)
    )


@needs_matplotlib
def test_the_picture_shows_every_region_as_large_as_it_is(sales: Project) -> None:
    """Of the bars each region's colour has the share that it has of what was won; the same data, the same bytes."""
    from PIL import Image

    said = sales.typed("millpond run-job jobs/pipeline-analysis/pipeline_analysis.yaml")
    path = sales.folder / "reports/pipeline.png"
    with Image.open(path) as picture:
        assert picture.size == (1210, 462)
        bars = picture.convert("RGB").crop((617, 70, 1205, 389))  # below the legend, right of the stages
        found = {colour: count for count, colour in bars.getcolors(1 << 24)}
    won = pd.read_parquet(said["artifacts"]["months.output_data"]).groupby("region")["amount"].sum()
    colours = {"North": (0x2A, 0x78, 0xB8), "Overseas": (0xE0, 0x8A, 0x1E), "South": (0x3C, 0x9A, 0x63)}
    pixels = pd.Series({region: found[colour] for region, colour in colours.items()})
    assert (pixels / pixels.sum()).to_dict() == pytest.approx((won / won.sum()).to_dict(), abs=0.02)
    before = path.read_bytes()
    sales.typed("millpond run-job jobs/pipeline-analysis/pipeline_analysis.yaml")
    assert path.read_bytes() == before


@needs_matplotlib
def test_a_year_without_deals_is_drawn_too(sales: Project) -> None:
    """Nothing reached a stage, nothing was won: the page says so, and is there."""
    said = sales.typed(
        "millpond run-job jobs/pipeline-analysis/pipeline_analysis.yaml --set globals.year=1999 "
        "--set pipeline_report.output_path=reports/none.html"
    )
    assert child(said, "pipeline_report")["metrics"]["amount_won"] == 0
    assert (sales.folder / "reports/none.png").stat().st_size > 0


def test_leads_are_scored_the_best_first(sales: Project) -> None:
    """The twenty with most points, by the points that the script says."""
    sales.typed("python jobs/lead-scoring/lead_scoring.py")
    called = sales.rows("reports/leads_to_call.csv")
    leads = sales.rows("data/leads.csv")
    newest = max(date.fromisoformat(lead["last_seen"]) for lead in leads)

    def score(lead: dict[str, str]) -> int:
        size = int(lead["employees"])
        points = 40 if size >= 500 else 25 if size >= 50 else 10
        points += min(int(lead["visits"]), 10) * 3 + {"referral": 20, "event": 10, "web": 0}[lead["source"]]
        return points - min((newest - date.fromisoformat(lead["last_seen"])).days, 30)

    expected = sorted(leads, key=lambda lead: (-score(lead), lead["lead"]))[:20]
    assert [(row["lead"], int(row["score"])) for row in called] == [(lead["lead"], score(lead)) for lead in expected]


def test_a_script_takes_its_parameters_from_a_file(sales: Project) -> None:
    """`calls: 5` in the file, and five are written."""
    (sales.folder / "few.yaml").write_text("calls: 5\n")
    sales.typed("millpond run-script jobs/lead-scoring/lead_scoring.py --params few.yaml")
    assert len(sales.rows("reports/leads_to_call.csv")) == 5


# --------------------------------------------------------------------------- customer-churn

OF_CASE = "cases/customers/made/customers.csv"
TRAIN, NOW = "data/churn_train.parquet", "data/churn_now.parquet"
OF_APRIL = "--target churned --as-of 2024-04-30 --out parquet:churn_train"
LEARN = f"millpond prepare {OF_CASE} --blueprint customer_churn {OF_APRIL} --json"
APPLY = f"millpond prepare {OF_CASE} --recipe recipe.json --as-of 2024-08-31 --out parquet:churn_now"
LEFT = "millpond pipeline --case customers --set customers.churn_days=92"


@pytest.fixture(scope="module")
def churn(tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, dict[str, Any]]:
    """The project, in which a recipe was learnt of the customers of April, and what was said of it."""
    project = Project.copied("customer-churn", tmp_path_factory.mktemp("churn"))
    project.typed("python make_data.py --until 2024-08-10")
    project.typed(f"{LEFT} --set customers.as_of=2024-04-30")
    said = json.loads(project.typed(LEARN)["stdout"])
    project.typed("cp prepared/churn_train/*/recipe.json .")
    return project, said


def bought(project: Project, until: date = date.max) -> tuple[dict[str, list[date]], dict[str, Decimal], list[str]]:
    """The days on which each customer bought by a good line, the dollars of each until a day, and all lines."""
    days: dict[str, list[date]] = {}
    dollars: dict[str, Decimal] = {}
    lines = (project.folder / "data/purchases.txt").read_text().splitlines()
    for words in (line.split() for line in lines[1:]):
        if len(words) == 4 and not words[1].endswith("0231") and words[2] != "one" and words[3] != "N/A":
            day = date.fromisoformat(words[1])
            days.setdefault(words[0], []).append(day)
            dollars[words[0]] = dollars.get(words[0], Decimal()) + Decimal(words[3] if day <= until else 0)
    return days, dollars, lines


def test_lines_that_are_no_purchases_are_kept_apart(churn: tuple[Project, dict[str, Any]]) -> None:
    """Each that was planted, for its reason, with its number and its text; no other."""
    project, _ = churn
    rejected, (days, _, lines) = project.rows("cases/customers/made/rejected.csv"), bought(project)
    faults = json.loads((project.folder / "data/planted.json").read_text())["lines"]
    assert Counter(row["why"] for row in rejected) == faults
    assert [lines[int(row["line"]) - 1] for row in rejected] == [row["text"] for row in rejected]
    assert len(lines) - 1 - len(rejected) == sum(len(each) for each in days.values())


def test_the_prepared_customers_are_those_of_the_day_with_who_left(churn: tuple[Project, dict[str, Any]]) -> None:
    """A customer has churned who bought until the day and not in the 92 days after it; later ones are not there."""
    project, _ = churn
    made = pd.read_parquet(project.folder / TRAIN)
    day, until = date(2024, 4, 30), date(2024, 7, 31)
    expected = {
        customer: not any(day < each <= until for each in days)
        for customer, days in bought(project)[0].items()
        if min(days) <= day
    }
    assert dict(zip(made["customer_id"], made["churned"], strict=True)) == expected
    assert 0.1 < sum(expected.values()) / len(expected) < 0.9


def test_validation_finds_who_returned_more_than_was_bought(churn: tuple[Project, dict[str, Any]]) -> None:
    """They cost points, and the report, which lies beside card and recipe, shows the value of each."""
    project, said = churn
    (found,) = (issue for issue in said["validation"]["issues"] if issue["rule"] == "range")
    below = [value for value in bought(project, date(2024, 4, 30))[1].values() if value < 0]
    planted_ones = json.loads((project.folder / "data/planted.json").read_text())["returned"]
    assert (found["column"], found["count"], len(below)) == ("total_value", planted_ones, planted_ones)
    assert said["validation"]["score"]["value"] < 100
    page = Path(said["files"]["report"]).read_text(encoding="utf-8")
    assert all(f"{value:.2f}" in page for value in below)
    assert (
        Path(said["files"]["card"]).parent
        == Path(said["files"]["recipe"]).parent
        == Path(said["files"]["report"]).parent
    )


def test_next_months_customers_get_the_columns_of_the_recipe(
    churn: tuple[Project, dict[str, Any]], tmp_path: Path
) -> None:
    """All of them as of their day, without the target; when the purchases are gone, the dataset is as it was."""
    project, before = Project(shutil.copytree(churn[0].folder, tmp_path / "next")), Counter(bought(churn[0])[2])
    project.typed("python make_data.py --until 2024-08-31")
    days, _, lines = bought(project)
    assert before < Counter(lines)
    project.typed("millpond pipeline --case customers")
    project.typed(APPLY)
    scored = project.folder / NOW
    made, kept = pd.read_parquet(scored), scored.read_bytes()
    assert sorted(made["customer_id"]) == sorted(days)
    assert [*made.columns, "churned"] == pd.read_parquet(project.folder / TRAIN).columns.tolist()
    (project.folder / "data/purchases.txt").write_text(lines[0] + "\n00001 20240101 1\n")
    project.typed("millpond pipeline --case customers")
    project.typed(APPLY, 20)
    assert scored.read_bytes() == kept


def test_who_left_is_not_guessed_before_it_is_known(churn: tuple[Project, dict[str, Any]]) -> None:
    """Where the purchases end before the days are over, the case fails and names the latest day that can be said."""
    project, _ = churn
    before = (project.folder / OF_CASE).read_bytes()
    said = project.typed(f"{LEFT} --set customers.as_of=2024-05-11 2>&1", 30)["stdout"]
    assert "Give an as_of, 2024-05-10 or before it" in said
    assert (project.folder / OF_CASE).read_bytes() == before


# --------------------------------------------------------------------------- what their READMEs say


JOBS = {
    "customer-analytics": {
        "jobs/daily-etl/daily_customer_etl.py",
        "jobs/daily-etl/daily_customer_etl.yaml",
        "jobs/weekly-reports/weekly_reports.py",
        "jobs/weekly-reports/weekly_reports.yaml",
        "jobs/data-quality/data_quality_check.yaml",
    },
    "finance-reporting": {
        "jobs/monthly-close/monthly_close.py",
        "jobs/monthly-close/monthly_close.yaml",
        "jobs/daily-reconciliation/daily_recon.yaml",
    },
    "sales-analytics": {"jobs/lead-scoring/lead_scoring.py", "jobs/pipeline-analysis/pipeline_analysis.yaml"},
    "customer-churn": set(),  # a case, and a preparation
}


@pytest.mark.parametrize("name", JOBS)
def test_a_project_has_its_jobs_and_its_readme_names_each(name: str) -> None:
    """Those of the specification and no others, under its names; beside them the defaults and the data's script."""
    folder = PROJECTS / name
    page = (folder / "README.md").read_text(encoding="utf-8")
    there = {str(path.relative_to(folder)) for path in folder.glob("jobs/*/*") if path.suffix in (".py", ".yaml")}
    assert there == JOBS[name]
    assert set(re.findall(r"jobs/[\w-]+/\w+\.\w+", page)) == JOBS[name]
    assert all((folder / each).is_file() for each in ("millpond.yaml", "project_defaults.yaml", "make_data.py"))


def copied_with_server(name: str, into: Path, request: pytest.FixtureRequest) -> Project:
    if name == "sales-analytics":
        pytest.importorskip("matplotlib", reason="the report is drawn by matplotlib, which is not installed")
    if name != "customer-analytics":
        return Project.copied(name, into)
    fixtures = {"DB_URL": "postgres_url", "DB_SCHEMA": "postgres_schema"}
    return Project.copied(name, into, **{key: request.getfixturevalue(each) for key, each in fixtures.items()})


@pytest.mark.parametrize("name", JOBS)
def test_the_line_for_cron_runs(name: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """As cron would run it, from elsewhere and with next to nothing in its environment; the folder and day are ours."""
    if name == "customer-churn":  # a recipe is there
        learnt, _ = request.getfixturevalue("churn")
        project = Project(shutil.copytree(learnt.folder, tmp_path / name, ignore=shutil.ignore_patterns("logs")))
    else:
        project = copied_with_server(name, tmp_path, request)
        project.typed("python make_data.py")
    (project.folder / ".venv").symlink_to(sys.prefix)
    page = (project.folder / "README.md").read_text(encoding="utf-8")
    (line,) = re.findall(r"^```cron\n(.+)\n```$", page, re.MULTILINE)
    command = line.split(maxsplit=5)[5].replace(f"/srv/{name}", str(project.folder))
    command = command.replace(r"$(date +\%F)", FIRST).replace(r"$(date +\%Y)", "2024")
    assert "%" not in command
    bare = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "PYTHONPATH": str(PROJECTS.parents[1])}
    done = subprocess.run(["sh", "-c", command], cwd="/", env={**bare, **project.settings}, capture_output=True)
    assert done.returncode == (0 if name in ("sales-analytics", "customer-churn") else 10)
    assert (done.stdout, done.stderr) == (b"", b"")
    logs = {re.sub(r"_\d{8}_\d{6}\.log$", "", log.name) for log in (project.folder / "logs").iterdir()}
    assert logs == {*re.findall(r"(\w+)\.yaml", command), *re.findall(r"--case (\w+)", command)}


@pytest.mark.slow
@pytest.mark.parametrize("name", JOBS)
def test_the_commands_of_a_readme_run(name: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """All that the first block of its page shows, one after the other."""
    project = copied_with_server(name, tmp_path, request)
    page = (project.folder / "README.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"^```bash\n(.+?)^```$", page, re.MULTILINE | re.DOTALL)
    commands = [line for line in block.splitlines() if not line.startswith("pip ")]
    assert len(commands) > 3
    for command in commands:
        project.typed(f"{command.split('  #')[0]} || test $? = 10")
