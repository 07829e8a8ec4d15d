"""What each section of a report holds, bounded and ready to be set; how it looks is the template's business."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from framework.prepare.blueprint import Blueprint
from framework.prepare.card import parts_told, source_name, warnings_told
from framework.prepare.card_columns import unscaled
from framework.prepare.issues import Issue
from framework.prepare.report_plots import drawn, spark
from framework.prepare.scoring import percent
from framework.prepare.states import STAGES, PipelineStatus
from framework.prepare.validation_config import ValidationConfig

if TYPE_CHECKING:
    import pandas as pd

    from framework.prepare.states import PipelineState

MOST = 60  # rows of a table
MOST_ISSUES = 100
MOST_PLOTS = 12
MOST_NOTES = 20
LOST = 5  # reasons under each part of the score
SPOKEN = {
    "ingestion": "Reading", "validation": "Validation", "compatibility": "Fit with the blueprint",
    "preprocessing": "Preprocessing", "feature_engineering": "Features", "quality": "Final quality",
}  # fmt: skip
ENCODED = {
    "onehot": "a column for each of {:,} values",
    "label": "a number for each of {:,} values",
    "target": "the mean of the target for each of {:,} values, cross-fitted",
}
UNDONE = (PipelineStatus.FAILED, PipelineStatus.CANCELLED)
HOW = {"exact": "by its name", "loose": "but for case and spaces", "mapped": "by the mapping"}


def bounded(items: Sequence[Any], most: int) -> dict[str, Any]:
    """The first of them, and how many more there are."""
    return {"shown": list(items[:most]), "left": max(len(items) - most, 0)}


def number(value: Any) -> str:
    """A number with what digits matter."""
    if value is None:
        return "–"
    if isinstance(value, (bool, str)):
        return str(value)
    if isinstance(value, int) or (abs(value) < 1e15 and value == int(value)):
        return f"{int(value):,}".replace("-", "−")
    told = f"{value:,.2f}" if 1000 <= abs(value) < 1e15 else f"{value:.4g}"
    return told.replace("-", "−", 1)


def share(value: float | None) -> str:
    """A share as percent, never rounded to nothing or all."""
    return "–" if value is None else percent(value)


def seconds(value: float) -> str:
    """A duration in its unit."""
    if value < 0.0995:
        return f"{value * 1000:.0f} ms" if value >= 0.001 else "under 1 ms"
    return f"{value:.2f} s" if value < 10 else f"{value:,.0f} s"


def without_folder(text: str, state: PipelineState) -> str:
    """A message with the source's name for its path."""
    return text.replace(state.source, source_name(state.source)) if state.source else text


# ---------------------------------------------------------------------------------------------- what was found


def outcome(state: PipelineState, card: Mapping[str, Any] | None) -> PipelineStatus:
    """How it ended, also where the run that writes the report is not over: by its errors, or by its card."""
    if state.status != PipelineStatus.IN_PROGRESS:
        return state.status
    if state.errors:
        return PipelineStatus.FAILED
    return state.status if card is None else PipelineStatus.COMPLETED


def score(state: PipelineState, card: Mapping[str, Any] | None, blueprint: Blueprint) -> dict[str, Any] | None:
    """The score, whether it is enough, and what each part lost."""
    judged = state.validation
    if judged is None or judged.score is None:
        return None
    asked = card["quality"]["thresholds"] if card else ValidationConfig().thresholds(blueprint)
    value, least = judged.score.value, asked["score"]
    parts = [_part(each, asked.get(each["part"])) for each in parts_told(judged)]
    grade = "bad" if value < least else "good" if value >= (100 + least) / 2 and judged.passed else "fair"
    told = {"value": value, "text": points(value), "least": least, "grade": grade}
    return {**told, "parts": parts, "formula": judged.score.formula}


def _part(part: Mapping[str, Any], asked: float | None) -> dict[str, Any]:
    lost = [{**each, "text": points(each["points"])} for each in part["lost"]]
    is_low = asked is not None and part["share"] is not None and part["share"] < asked
    return {**part, "lost": bounded(lost, LOST), "asked": asked, "is_low": is_low}


def points(value: float) -> str:
    """Points of a score, never rounded up to the full hundred nor down to nothing."""
    if 99.9 <= value < 100:
        return "99.9"
    return "<0.01" if 0 < value < 0.01 else f"{value:.2f}" if value < 10 else f"{value:.1f}".removesuffix(".0")


def to_know(state: PipelineState, card: Mapping[str, Any] | None) -> dict[str, Any]:
    """Warnings that no other section tells of, and what is to be known of the dataset."""
    told = set() if state.validation is None else {each.message for each in state.validation.issues}
    found = [without_folder(each, state) for each in warnings_told(state) if each not in told]
    return bounded([*found, *([] if card is None else card["notes"])], MOST_NOTES)


def failure(state: PipelineState, ended: PipelineStatus) -> dict[str, Any] | None:
    """Why it did not end well, where it did not."""
    if ended not in UNDONE:
        return None
    found, judged = state.compatibility, state.validation
    return {
        "stage": SPOKEN.get(state.stage or "", state.stage or ""),
        "errors": bounded([without_folder(each, state) for each in dict.fromkeys(state.errors)], MOST),
        "failures": [] if judged is None or state.errors else judged.failures,
        "faults": [] if found is None else found.faults,
        "proposed": {} if found is None else {name: found.proposed.get(name, []) for name in found.missing_required},
    }


def issues(found: Sequence[Issue], state: PipelineState, blueprint: Blueprint) -> dict[str, Any]:
    """What is wrong, the severest first, with the rows that show it."""
    columns = {} if state.compatibility is None else {each: name for name, each in state.compatibility.fields.items()}
    private = {each.name for each in blueprint.fields if each.kind in ("identifier", "text")} | set(
        blueprint.identifier
    )
    told = [_issue(each, is_private=columns.get(each.column, each.column) in private) for each in found]
    counts: dict[str, int] = {}
    for each in told:
        counts[each["severity"]] = counts.get(each["severity"], 0) + 1
    return {**bounded(told, MOST_ISSUES), "counts": counts}


def final(state: PipelineState, blueprint: Blueprint) -> dict[str, Any] | None:
    """What the last look found, in what came out."""
    judged = state.quality
    if judged is None:
        return None
    told = {"text": points(judged.score.value), "issues": issues(judged.issues, state, blueprint)}
    return {**told, **{name: getattr(judged, name).overall for name in ("completeness", "uniqueness", "validity")}}


def _issue(issue: Issue, *, is_private: bool) -> dict[str, Any]:
    """Of a column that may tell of somebody, only where in the data it is."""
    shown = [
        {"row": each["row"] + 1, "value": None if is_private else each.get("value")} for each in issue.examples[:3]
    ]
    words = issue.message.removeprefix(f"{issue.column}: ")
    return {
        "severity": issue.severity, "rule": issue.rule, "column": issue.column, "count": issue.count,
        "share": issue.share, "message": words[:1].upper() + words[1:], "examples": shown,
    }  # fmt: skip


def flow(rows: Mapping[str, Any], ended: PipelineStatus) -> list[dict[str, Any]]:
    """What became of the rows: those that came out, and the others by why they did not."""
    total = (rows["read"] or 0) + rows["refused_in_file"]
    if not total:
        return []
    parts = []
    if rows["out"] is not None and rows["out"]:
        kind, what = ("unused", "were prepared and not given out") if ended in UNDONE else ("out", "came out")
        parts.append({"kind": kind, "what": what, "count": rows["out"]})
    if rows["brought_together"]:
        parts.append({"kind": "joined", "what": "were summed into another row", "count": rows["brought_together"]})
    parts += [{"kind": "refused", "what": each["why"], "count": each["count"]} for each in rows["refused"]]
    if rows["refused_in_file"]:
        whys = ", ".join(each["why"].rstrip(".") for each in rows["refused_in_file_why"][:3])
        what = "could not be read" + (f": {whys}" if whys else "")
        parts.append({"kind": "broken", "what": what, "count": rows["refused_in_file"]})
    if not rows["out"]:
        gone = total - sum(each["count"] for each in parts)
        parts += [{"kind": "unused", "what": "were read and not prepared", "count": gone}] if gone else []
    return [{**each, "share": each["count"] / total} for each in parts if each["count"] > 0]


# ---------------------------------------------------------------------------------------------- columns


def fields(state: PipelineState, card: Mapping[str, Any] | None, blueprint: Blueprint) -> dict[str, Any]:
    """Each field of the blueprint and what it became, then the columns that are no field."""
    found, read = state.compatibility, state.ingestion
    taken = {} if found is None else found.fields
    types = {} if read is None else {each["name"]: each for each in read.columns}
    made = {} if card is None else _made_of(card)
    dropped = {} if card is None else {each["column"]: each["why"] for each in card["dropped"]}
    known = {each.name for each in blueprint.fields}
    rows = []
    for each in blueprint.fields:
        column = taken.get(each.name)
        found_in = types.get(column, {})
        rows.append(
            {
                "name": each.name, "column": column, "description": each.description, "kind": each.kind,
                "is_required": each.required, "cost": each.cost,
                "type": found_in.get("type"), "nulls": found_in.get("nulls"),
                "how": None if found is None or column is None else HOW[found.how[each.name]],
                "became": _became(made.get(each.name, []), dropped.get(each.name)), "rows": read.rows if read else None,
            }
        )  # fmt: skip
    rows += [
        _other(name, columns, types.get(name, {}), rows=read) for name, columns in made.items() if name not in known
    ]
    unused = [] if found is None else [name for name in found.unused if name not in made]
    return {"is_matched": found is not None, **bounded(rows, MOST), "unused": bounded(unused, MOST)}


def _other(name: str, columns: Sequence[Mapping[str, Any]], read: Mapping[str, Any], *, rows: Any) -> dict[str, Any]:
    """A column that is no field and came out: the target, or an extra one."""
    return {
        "name": name, "column": name, "description": "", "kind": columns[0]["role"], "is_required": False, "cost": "",
        "type": read.get("type"), "nulls": read.get("nulls"), "how": "as asked", "became": _became(columns, None),
        "rows": rows.rows if rows else None,
    }  # fmt: skip


def _made_of(card: Mapping[str, Any]) -> dict[str, list[Mapping[str, Any]]]:
    made: dict[str, list[Mapping[str, Any]]] = {}
    for each in card["columns"]:
        if each["role"] != "feature":
            made.setdefault(each.get("made_of", each["name"]), []).append(each)
    return made


def _became(columns: Sequence[Mapping[str, Any]], dropped: str | None) -> list[str]:
    """In words, what was done to a field."""
    if not columns:
        return [] if dropped is None else [f"not kept: {dropped}"]
    first, said = columns[0], []
    if first["role"] in ("identifier", "target"):
        said.append(f"the {first['role']}, as it is")
    filled, capped = first.get("imputed"), first.get("capped")
    if filled and filled["count"]:
        value = f" ({number(filled['value'])})" if "value" in filled else ""
        said.append(f"{filled['count']:,} missing filled by the {filled['how']}{value}")
    if capped and capped["below"] + capped["above"]:
        span = f"{number(capped['lowest'])} to {number(capped['highest'])}"
        said.append(f"{capped['below'] + capped['above']:,} capped to {span}")
    if "encoded" in first:
        said.append(ENCODED[first["encoded"]["method"]].format(first["encoded"]["levels"]))
    if "scaled" in first:
        said.append(f"{first['scaled']['method']} scale")
    return said


def features(
    card: Mapping[str, Any] | None, columns: Mapping[str, pd.Series], check: Callable[[], None]
) -> dict[str, Any]:
    """Each feature with its formula, its numbers before scaling, and a small distribution."""
    if card is None:
        return bounded([], MOST)
    made = bounded([each for each in card["columns"] if each["role"] == "feature"], MOST)
    whys = {each["feature"]: each["why"] for each in card["incomplete"]}
    shown = []
    for each in made["shown"]:
        check()
        values = each.get("values", {})
        picture = spark(columns[each["name"]]) if each["name"] in columns else ""
        shown.append(
            {
                **each,
                "values": values.get("before_scaling", values),
                "why": whys.get(each["name"], []),
                "spark": picture,
            }
        )
    return {**made, "shown": shown}


def columns_before_scaling(
    blueprint: Blueprint,
    card: Mapping[str, Any] | None,
    frame: pd.DataFrame | None,
    features_raw: pd.DataFrame | None,
    fields: pd.DataFrame | None,
) -> dict[str, pd.Series]:
    """What pictures are made of, by name: features and fields as they were, else columns of the frame, unscaled."""
    if card is None or frame is None:
        return {}
    told = {each["name"]: each for each in card["columns"]}
    drawn_ones = {name for plot in blueprint.plots for name in (plot.x, plot.y) if name is not None}
    found: dict[str, pd.Series] = {}
    for name in drawn_ones | {each for each, column in told.items() if column["role"] == "feature"}:
        given = next((one for one in (features_raw, fields) if one is not None and name in one.columns), None)
        if given is not None:
            found[name] = given[name]
        elif name in frame.columns and name in told:
            scaled = told[name].get("scaled")
            found[name] = unscaled(frame[name], scaled["method"], scaled["numbers"]) if scaled else frame[name]
    return found


def plots(blueprint: Blueprint, columns: Mapping[str, pd.Series], check: Callable[[], None]) -> list[dict[str, str]]:
    """The blueprint's pictures."""
    made = []
    for each in blueprint.plots[:MOST_PLOTS]:
        check()
        svg, words = drawn(each, columns)
        made.append({"title": each.title, "svg": svg, "words": words})
    return made


# ---------------------------------------------------------------------------------------------- how it was made


def facts(state: PipelineState, card: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    """What is to be known of the recipe and of the file, name and value."""
    told = [("Run", state.id)]
    read = state.ingestion
    if read is not None:
        sign = read.dialect.get("delimiter", "")
        packed = f", {read.compression}" if read.compression else ""
        told.append(("File", f"{size(read.bytes)}, {read.encoding} ({percent(read.encoding_confidence)} sure){packed}"))
        told.append(
            ("Written with", f"{NAMED.get(sign, repr(sign))}, decimal {NAMED.get(read.dialect.get('decimal'), '')}")
        )
    if card is None:
        return told
    settings, made, weight = card["settings"], card["made"], card["dataset"]["bytes"]
    told += [(name.replace("_", " ").capitalize(), _said(value)) for name, value in settings.items() if _is_told(value)]
    if weight["after"]:
        told.append(("Size of the columns", f"{size(weight['before'])} before, {size(weight['after'])} after"))
        told.append(("Size of the features", size(weight["features"])))
    told.append(("Made by", made["by"]))
    told.append(("Made with", ", ".join(f"{name} {version}" for name, version in made["versions"].items())))
    told.append(("Fingerprint", card["fingerprint"]))
    return [(name, value) for name, value in told if value]


NAMED = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars", ".": "points", " ": "spaces"}


def _is_told(value: Any) -> bool:
    return value is not None and value != {} and value != []


def _said(value: Any) -> str:
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


def size(count: float) -> str:
    """Bytes in their unit."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000 or unit == "GB":
            break
        count /= 1000
    return f"{count:,.0f} {unit}" if unit == "bytes" or count >= 100 else f"{count:,.1f} {unit}"


def stages(state: PipelineState, ended: PipelineStatus) -> list[dict[str, Any]]:
    """Each stage that ran, what share of the time it took, and where it ended."""
    total = sum(state.seconds.values())
    names = [
        *[name for name in STAGES if name in state.seconds],
        *[name for name in state.seconds if name not in STAGES],
    ]
    return [
        {
            "name": SPOKEN.get(name, name.replace("_", " ").capitalize()),
            "seconds": state.seconds[name],
            "share": state.seconds[name] / total if total else 0.0,
            "is_failed": ended == PipelineStatus.FAILED and name == state.stage,
        }
        for name in names
    ]
