"""The command that prepares a file for a model."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from framework.cli import complete, show
from framework.cli.command import Json, app, command, workspace

if TYPE_CHECKING:
    from framework.prepare.states import PipelineState

STAGES = 7  # with the store
UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "ki": 2**10, "mi": 2**20, "gi": 2**30}
SHOWN = 5  # reasons and warnings
IN_WORDS = {
    "mapping={field: column}": "--map FIELD=COLUMN", "mapping={blueprint: column}": "--map FIELD=COLUMN",
    "on_bad_rows='quarantine'": "--bad-rows quarantine", 'on_bad_rows="quarantine"': "--bad-rows quarantine",
    "date_format=": "--date-format ", "max_file_size=": "--max-size ", "allow_shrink: true": "--allow-shrink",
    "allow_shrink=True": "--allow-shrink", "decimal=": "--decimal ", "delimiter=": "--delimiter ",
    "encoding=": "--encoding ", "as_of=": "--as-of ", "target=": "--target ",
}  # fmt: skip
FIRST = ("as_of", "left out", "is not there", "missing in", "cannot be read")  # in warnings that come first

Texts = list[str] | None


def _option(flags: str, words: str, **more: Any) -> Any:
    return typer.Option(*flags.split(), help=words, **more)


Name = Annotated[str | None, _option("--blueprint -b", "What for.", autocompletion=complete.blueprints)]
Out = Annotated[str | None, _option("--out -o", "Where it is saved, store:name.", autocompletion=complete.datasets)]
RecipePath = Annotated[Path | None, _option("--recipe", "Apply this: a file, or a preparation's folder.")]
Mapped = Annotated[Texts, _option("--map", "FIELD=COLUMN: which column a field is; can be said several times.")]
Threshold = Annotated[Texts, _option("--threshold", "completeness=0.9, uniqueness, validity, score=70; several times.")]
Missing = Annotated[str | None, _option("--missing", "Missing values: auto, drop, mean, median or mode.")]
Outliers = Annotated[str | None, _option("--outliers", "Outliers are capped by iqr, zscore or none.")]
Encode = Annotated[str | None, _option("--encode", "Texts become numbers: auto, onehot, label or target.")]
Scale = Annotated[str | None, _option("--scale", "Numbers are scaled: robust, standard, minmax or none.")]
AsOf = Annotated[str | None, _option("--as-of", "The day of the features; the latest in the data unless given.")]
Target = Annotated[str | None, _option("--target", "The column that a model is to foretell.")]
Size = Annotated[str | None, _option("--max-size", "The largest file that is read: 500MB; 100MiB unless given.")]
Encoding = Annotated[str | None, _option("--encoding", "How the file is encoded; found unless given.")]
Delimiter = Annotated[str | None, _option("--delimiter", "What stands between cells; found unless given.")]
Decimal = Annotated[str | None, _option("--decimal", "The decimal sign; found unless given.")]
DateFormat = Annotated[str | None, _option("--date-format", "How dates are written, %d.%m.%Y; found unless given.")]
BadRows = Annotated[str | None, _option("--bad-rows", "A file with broken rows: refuse it, or quarantine them.")]


@command(app)
def prepare(
    file: Annotated[str, typer.Argument(help="A CSV file of others, plain, gz or zip.")],
    blueprint: Name = None,
    out: Out = None,
    recipe: RecipePath = None,
    as_of: AsOf = None,
    target: Target = None,
    mapping: Mapped = None,
    missing: Missing = None,
    outliers: Outliers = None,
    encode: Encode = None,
    scale: Scale = None,
    threshold: Threshold = None,
    keep_dates: Annotated[bool, typer.Option("--keep-dates", help="Dates come out too.")] = False,
    keep_extra: Annotated[bool, typer.Option("--keep-extra", help="Columns that are no fields come out too.")] = False,
    max_size: Size = None,
    encoding: Encoding = None,
    delimiter: Delimiter = None,
    decimal: Decimal = None,
    date_format: DateFormat = None,
    bad_rows: BadRows = None,
    no_report: Annotated[bool, typer.Option("--no-report", help="Write no HTML report.")] = False,
    allow_shrink: Annotated[bool, typer.Option("--allow-shrink", help="The saved dataset may lose half.")] = False,
    as_json: Json = False,
) -> None:
    """Check a file, make features of it and save it, ready for a model.

    Exit code 20 when the data is refused, and the reasons are told.
    """
    from framework.cli.progress import Steps
    from framework.errors import BaseFrameworkException, OptionError
    from framework.prepare.configuration import PipelineConfig
    from framework.results import Result

    if blueprint is None and recipe is None:
        from framework import registry

        raise OptionError(
            "It is not said for what.", cure=f"Write --blueprint {' | '.join(registry.named('blueprint'))}"
        )
    asked: dict[str, Any] = {
        "out": out, "recipe": recipe, "as_of": as_of, "target": target, "mapping": _pairs("--map", mapping or ()),
        "keep_dates": keep_dates, "keep_extra": keep_extra, "report": not no_report, "allow_shrink": allow_shrink,
        "encoding": encoding, "delimiter": delimiter, "decimal": decimal, "date_format": date_format,
        "on_bad_rows": bad_rows,
    }  # fmt: skip
    chosen = {
        "missing_value_strategy": missing,
        "outlier_method": outliers,
        "encoding_strategy": encode,
        "scaling_method": scale,
    }
    limits = {name: _number(name, text) for name, text in _pairs("--threshold", threshold or ()).items()}
    found, seen = workspace(), _Seen()
    config = PipelineConfig(quality_thresholds=limits)
    with Steps(0 if as_json else STAGES - (out is None)) as bars, found.session(Path(file).stem):
        seen.bars = bars
        try:
            _, state = found.prepare(
                file,
                blueprint,
                {name: value for name, value in chosen.items() if value is not None},
                config=config,
                max_size=None if max_size is None else _size(max_size),
                on_stage=seen.stage,
                **{name: value for name, value in asked.items() if value is not None},
            )
        except BaseFrameworkException as error:
            seen.over(Result(seen.name).fail(error))
            refused = getattr(error, "state", None)
            if refused is not None:
                _show(refused, as_json=as_json)
            error.message, error.cure = _as_options(error.message), error.cure and _as_options(error.cure)
            raise
        seen.over(Result(seen.name))
    _show(state, as_json=as_json)


class _Seen:
    """Tells the bars of each stage: one is over when the next begins."""

    bars: Any = None
    name = ""

    def stage(self, state: PipelineState, name: str) -> None:
        from framework.results import Result

        if self.name:
            self.over(Result(self.name))
        self.name = name
        self.bars.start(name)

    def over(self, result: Any) -> None:
        if self.name:
            self.bars.done(result)
            self.name = ""


def _as_options(text: str) -> str:
    """Words of the Python interface as this command has them."""
    for python, option in IN_WORDS.items():
        text = text.replace(python, option)
    return text


def _show(state: PipelineState, *, as_json: bool) -> None:
    if as_json:
        show.document(state.as_dict())
        return
    show.record(_told(state), as_json=False)
    score = state.validation.score if state.validation is not None else None
    for reason in score.reasons[:SHOWN] if score is not None else ():
        words = next(_broken_rules(state, reason.field), reason.why) if reason.part == "validity" else reason.why
        show.note(f"{reason.points:.2f} points lost by the {reason.part} of {reason.field}: {words}")
    told = sorted(state.warnings, key=lambda warning: not any(word in warning for word in FIRST))
    for warning in told[:SHOWN]:
        show.note(_as_options(warning))
    if len(told) > SHOWN:
        where = "see the report" if "report" in state.files else "--json has all of them"
        show.note(f"and {len(told) - SHOWN} more: {where}")


def _broken_rules(state: PipelineState, field: str) -> Iterator[str]:
    """What is wrong with the values of a field, in words."""
    column = state.compatibility.fields.get(field, field) if state.compatibility is not None else field
    for issue in state.validation.issues:
        if issue.column == column and issue.rule in ("type", "range", "pattern", "allowed"):
            yield issue.message


def _told(state: PipelineState) -> dict[str, Any]:
    told: dict[str, Any] = {"run": state.id, "state": state.status.lower()}
    if state.validation is not None and state.validation.score is not None:
        told["score"] = f"{state.validation.score.value:.2f} of 100"
    if state.quality is not None:
        told["rows"], told["columns"] = state.quality.rows, state.quality.columns
    if state.feature_engineering is not None:
        told["features"] = len(state.feature_engineering.features_created)
    return told | state.files


def _pairs(option: str, texts: Sequence[str]) -> dict[str, str]:
    from framework.errors import OptionError

    pairs = {}
    for text in texts:
        name, sign, value = text.partition("=")
        if not (name and sign and value):
            raise OptionError(f"{option} {text!r} is not NAME=VALUE.", cure=f"Write {option} NAME=VALUE.")
        if name.strip() in pairs:
            raise OptionError(f"{option} {name.strip()} is said twice.", cure="Say it once.")
        pairs[name.strip()] = value
    return pairs


def _number(name: str, text: str) -> float:
    from framework.errors import OptionError

    try:
        return float(text)
    except ValueError:
        raise OptionError(f"--threshold {name}={text} is no number.", cure=f"Write --threshold {name}=0.9") from None


def _size(text: str) -> int:
    """How many bytes `500MB`, `1.5 GiB` or `1000000` are."""
    from framework.errors import OptionError

    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([kmg]?i?)b?\s*", text.lower())
    if found is None or found[2] not in UNITS:
        raise OptionError(f"--max-size {text!r} is no size.", cure="Write such as 500MB or 2GiB.")
    size = float(found[1]) * UNITS[found[2]]
    if not 1 <= size < 2**63:
        raise OptionError(f"--max-size {text[:40]!r} is no size of a file.", cure="Write such as 500MB or 2GiB.")
    return int(size)
