"""A page of the sales pipeline, with one picture: how many deals reach each stage, and what is won in each month."""

from __future__ import annotations

import base64
import html
import io
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from pydantic import Field

from framework import BaseModParams, InputArtifact, ModMetadata, ModResult, current_run
from framework.files import make_folder, replace_bytes
from framework.mods.artifacts import check_columns, read_frame
from framework.registry import missing_extra

if TYPE_CHECKING:
    import pandas as pd

METADATA = ModMetadata(
    name="pipeline_report",
    version="1.0.0",
    description="Draws the sales pipeline: stages and months, as a picture and a page that holds it",
    author="Sales Analytics",
    tags=["sink", "report", "plot"],
    artifacts={"consumes": ["stages", "months"], "makes": ["report", "picture"]},
)
EXAMPLE = {"stages": "stages.parquet", "months": "months.parquet", "output_path": "pipeline.html"}
EXAMPLE_FILES = {
    "stages.parquet": "stage,deals,amount\nlead,40,90000.0\nqualified,22,61000.0\nwon,9,25000.0\n",
    "months.parquet": "month,region,amount\n2024-01-01,North,9000.0\n2024-02-01,North,4000\n2024-02-01,South,12000\n",
}
INK, FAINT, BARS = "#22313f", "#d5dade", "#2a78b8"
COLOURS = ("#2a78b8", "#e08a1e", "#3c9a63", "#8d5bb5", "#c2483d", "#7a8793")  # told apart, also by the colour-blind
PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>{title}</title>
<style>body {{ font: 15px/1.5 sans-serif; color: {ink}; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }}
img {{ max-width: 100% }} td, th {{ padding: .2rem .8rem; text-align: right; border-bottom: 1px solid {faint} }}
td:first-child, th:first-child {{ text-align: left }} table {{ border-collapse: collapse }}</style>
<h1>{title}</h1>
<img alt="Deals that reach each stage, and what is won in each month" src="data:image/png;base64,{picture}">
<table><tr><th>stage</th><th>deals</th><th>amount, {currency}</th></tr>
{rows}</table></html>
"""


class Params(BaseModParams):
    _metadata: ModMetadata = METADATA

    stages: InputArtifact = Field(description="stage, deals, amount: a row of each stage, the first one on top")
    months: InputArtifact = Field(description="month, region, amount")
    title: str = Field("Pipeline", min_length=1)
    currency: str = Field("EUR", min_length=1, description="of the amounts")
    output_path: str = Field("pipeline.html", pattern=r"\.html$", description="the page; the picture beside it, a .png")


def run(params: Params) -> dict[str, Any]:
    result, here = ModResult(METADATA.name), current_run(METADATA.name)
    stages, months = read_frame(params.stages), read_frame(params.months)
    check_columns(["stage", "deals", "amount"], stages.columns, "stages")
    check_columns(["month", "region", "amount"], months.columns, "months")
    page = here.output(params.output_path)
    picture = drawn(stages, months, params)
    make_folder(page.parent)
    replace_bytes(page.with_suffix(".png"), picture)
    replace_bytes(page, written(stages, picture, params).encode())
    result.add_metric("rows_processed", len(stages) + len(months))
    result.add_metric("amount_won", float(months["amount"].sum()))
    result.add_artifact("report", page)
    result.add_artifact("picture", page.with_suffix(".png"))
    return result.success()


def drawn(stages: pd.DataFrame, months: pd.DataFrame, params: Params) -> bytes:
    """The picture, as PNG."""
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise missing_extra("mod 'pipeline_report'", "plot", error.name) from error
    figure = Figure(figsize=(11, 4.2), layout="constrained")
    figure.suptitle(params.title, color=INK, fontsize=14)
    left, right = figure.subplots(1, 2, width_ratios=(4, 5))
    _draw_stages(left, stages)
    _draw_months(right, months, params.currency)
    for axes in (left, right):
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(colors=INK)
    made = io.BytesIO()
    figure.savefig(made, format="png", dpi=110, metadata={"Software": None})
    return made.getvalue()


def _draw_stages(axes: Any, stages: pd.DataFrame) -> None:
    """A bar of each stage, with how many of the one before went on."""
    deals = stages["deals"].tolist()
    bars = axes.barh(stages["stage"].tolist(), deals, color=BARS)
    went_on = [f", {now / before:.0%} of those above" if before else "" for before, now in pairwise(deals)]
    labels = [f" {count}{share}" for count, share in zip(deals, ["", *went_on], strict=False)]
    axes.bar_label(bars, labels, color=INK)
    axes.invert_yaxis()
    axes.set_xlim(0, max([*deals, 1]) * 1.45)  # room for what stands beside the bars
    axes.set_xticks([])
    axes.spines["bottom"].set_visible(False)
    axes.set_title("deals that reach a stage", loc="left", color=INK, fontsize=11)


def _draw_months(axes: Any, months: pd.DataFrame, currency: str) -> None:
    """What is won in each month, the regions on top of each other."""
    table = months.assign(month=months["month"].astype(str).str[:7]).pivot_table(
        index="month", columns="region", values="amount", aggfunc="sum", fill_value=0
    )
    below = [0.0] * len(table)
    for number, region in enumerate(table.columns):
        amounts = (table[region] / 1000).tolist()
        axes.bar(table.index.tolist(), amounts, bottom=below, label=region, color=COLOURS[number % len(COLOURS)])
        below = [under + amount for under, amount in zip(below, amounts, strict=True)]
    axes.set_title(f"won, thousands of {currency}", loc="left", color=INK, fontsize=11)
    axes.tick_params(axis="x", rotation=45)
    axes.grid(axis="y", color=FAINT)
    axes.set_axisbelow(True)
    if len(table.columns):
        axes.legend(frameon=False, labelcolor=INK, ncols=6, loc="lower right", bbox_to_anchor=(1, 0.99))


def written(stages: pd.DataFrame, picture: bytes, params: Params) -> str:
    """The page, which holds the picture and needs no other file."""
    rows = "".join(
        f"<tr><td>{html.escape(str(row.stage))}</td><td>{row.deals}</td><td>{row.amount:,.2f}</td></tr>\n"
        for row in stages.itertuples()
    )
    return PAGE.format(
        title=html.escape(params.title), currency=html.escape(params.currency), ink=INK, faint=FAINT,
        picture=base64.b64encode(picture).decode(), rows=rows,
    )  # fmt: skip
