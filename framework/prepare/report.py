"""The report of a preparation: one page that needs nothing but itself, for a screen, a phone and paper.

All that comes from data passes one door (`report_text.visible`, then the template's escaping); the page forbids itself
every other source, and holds no script.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from importlib import resources
from typing import TYPE_CHECKING, Any

from framework.prepare import report_sections as sections
from framework.prepare.blueprint import Blueprint
from framework.prepare.card import moment_told, rows_told, source_name
from framework.prepare.report_text import visible
from framework.registry import missing_extra

if TYPE_CHECKING:
    import pandas as pd
    from jinja2 import Template

    from framework.prepare.states import PipelineState


def report_html(
    state: PipelineState,
    card: Mapping[str, Any] | None,
    frame: pd.DataFrame | None,
    features_raw: pd.DataFrame | None,
    blueprint: Blueprint,
    *,
    fields: pd.DataFrame | None = None,
    check: Callable[[], None] = lambda: None,
) -> str:
    """The report as HTML, whole in itself; of a preparation that failed as far as it came.

    Parameters
    ----------
    state : PipelineState
    card : mapping, optional
        As `data_card` made it; None where there is no dataset.
    frame : pandas.DataFrame, optional
        As it came out.
    features_raw : pandas.DataFrame, optional
        The features before scaling, with the index of `frame`.
    blueprint : Blueprint
        Its plots are drawn.
    fields : pandas.DataFrame, optional
        The fields before they were capped and scaled, dates too, with the index of `frame`. Without it the plots take
        the columns of `frame`, unscaled by the card, and those of a date that did not come out are not drawn.
    check : callable
        Called between pictures; raises to stop.

    Raises
    ------
    MissingExtraError
        jinja2 is not installed.
    """
    template = _template()
    columns = sections.columns_before_scaling(blueprint, card, frame, features_raw, fields)
    rows, judged, ended = rows_told(state), state.validation, sections.outcome(state, card)
    told = {
        "state": state,
        "blueprint": blueprint,
        "card": card,
        "source": source_name(state.source),
        "status": ended.value,
        "ended": card["made"]["ended_at"] if card else moment_told(state.ended_at or state.started_at),
        "score": sections.score(state, card, blueprint),
        "failure": sections.failure(state, ended),
        "warnings": sections.to_know(state, card),
        "issues": None if judged is None else sections.issues(judged.issues, state, blueprint),
        "final": sections.final(state, blueprint),
        "rows": rows,
        "flow": sections.flow(rows, ended),
        "fields": sections.fields(state, card, blueprint),
        "features": sections.features(card, columns, check),
        "absent": [] if card is None else card["absent"],
        "plots": sections.plots(blueprint, columns, check) if columns else [],
        "choices": sections.bounded([] if card is None else card["choices"], sections.MOST),
        "facts": sections.facts(state, card),
        "stages": sections.stages(state, ended),
    }
    return template.render(told)


def _shown(value: Any) -> Any:
    """What an expression of the template becomes: marked HTML as it is, text made visible (and escaped after)."""
    if value is None:
        return ""
    return visible(value) if type(value) is str else value


@cache
def _template() -> Template:
    try:
        from jinja2 import Environment, StrictUndefined
    except ModuleNotFoundError as error:
        raise missing_extra("report of a preparation", "prepare", error.name) from error
    from markupsafe import Markup

    known = Environment(
        autoescape=True, undefined=StrictUndefined, finalize=_shown, trim_blocks=True, lstrip_blocks=True
    )
    known.filters |= {
        "count": lambda value: "–" if value is None else f"{value:,}",
        "share": sections.share,
        "number": sections.number,
        "seconds": sections.seconds,
        "drawn": Markup,  # of pictures alone, which escape their own words
    }
    text = resources.files("framework.prepare").joinpath("report.html.j2").read_text("utf-8")
    return known.from_string(text)
