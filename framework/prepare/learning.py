"""Learning a recipe of a frame, step by step: each step learns, writes it down, and applies what it learnt."""

from __future__ import annotations

import json
import platform
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from framework._version import __version__
from framework.errors import CompatibilityException, ParameterError, ProcessingException, known_names
from framework.prepare import capping, encoding, imputing, reducing, scaling
from framework.prepare.blueprint import Blueprint
from framework.prepare.columns import Between, Table, family, no_repeated_names, places, plain
from framework.prepare.recipe import Recipe
from framework.prepare.rows import (
    Input,
    admitted,
    asked,
    assembled,
    features_of,
    moment,
    needed,
    own,
    rows_of,
    taken,
    whole_rows,
    zones,
)

if TYPE_CHECKING:
    import pandas as pd

    from framework.prepare.preprocessing import PreprocessingResult
else:
    from framework.lazy import pd

KIND_OF_EXTRA = {"number": "number", "text": "category", "datetime": "datetime", "flag": "flag"}


class Learning:
    """One fit, step by step; each step learns, writes into the recipe, and applies what it learnt."""

    table: Table
    raw: pd.DataFrame
    when: pd.Timestamp

    def __init__(
        self,
        config: dict[str, Any],
        blueprint: Blueprint,
        result: PreprocessingResult,
        *,
        target: str | None,
        keep_dates: bool,
        check: Callable[[], None],
    ) -> None:
        self.blueprint = blueprint
        self.check = check
        self.result = result
        self.quarters: dict[str, list[Between]] = {}
        self.recipe = Recipe(blueprint, config, "", target or blueprint.target, bool(keep_dates), versions=_versions())
        if config["encoding_strategy"] == "target" and self.recipe.target is None:
            raise ParameterError("encoding_strategy is target, and there is no target.", cure="Give target=.")

    # ------------------------------------------------------------------------------------------ which columns

    def choose_inputs(self, frame: pd.DataFrame, *, keep_extra: bool) -> None:
        """Fields of the blueprint that are there, the target, and extras if asked for."""
        no_repeated_names(frame)
        target, there = self.recipe.target, [str(name) for name in frame.columns]
        wanted = [*self.blueprint.required, *([target] if target else [])]
        lacking = [name for name in wanted if name not in there]
        if lacking:
            raise CompatibilityException(
                f"The blueprint {self.blueprint.name} needs columns that are missing: {', '.join(lacking)}.",
                cure=known_names(lacking[0], there),
            )
        fields = {each.name: each.kind for each in self.blueprint.fields}
        for name, kind in fields.items():
            if name in there:
                role = "target" if name == target else "field"
                self.recipe.inputs.append(Input(name, kind, family(frame[name]), role))
        for name in there:
            if name not in fields:
                self._other(name, frame[name], keep_extra=keep_extra)

    def _other(self, name: str, column: pd.Series, *, keep_extra: bool) -> None:
        """A column that is no field: the target, an extra one, or one that is dropped."""
        if name == self.recipe.target:
            if self.blueprint.rows is not None:
                raise ParameterError(
                    f"{name} is no field of {self.blueprint.name}, which sums rows: it has no value of a sum.",
                    cure=f"Choose one of {', '.join(each.name for each in self.blueprint.fields)}.",
                )
            self.recipe.inputs.append(Input(name, "identifier", family(column), "target"))
            return
        found = family(column) if keep_extra else ""
        why = "the blueprint does not name it"
        if keep_extra:
            why = "it is empty" if found == "empty" else ""
            if self.blueprint.rows is not None:
                why = "the blueprint sums rows, and it has no sum"
            elif name in {each.name for each in self.blueprint.features}:
                why = "a feature has that name"
        if why:
            self.recipe.ignored.append(name)
            self.result.dropped.append({"column": name, "why": why})
        else:
            self.recipe.inputs.append(Input(name, KIND_OF_EXTRA[found], found, "extra"))

    # ------------------------------------------------------------------------------------------ which rows

    def admit(self, frame: pd.DataFrame, as_of: Any) -> None:
        """Types; the day as of which all holds; the rows up to it that have what they must."""
        inputs = self.recipe.inputs
        table = taken(frame, inputs, check=self.check)
        self.result.warnings += zones(frame, inputs)
        self.when = moment(as_of) if as_of is not None else self._latest(table)
        self.recipe.as_of = self.result.as_of = self.when.isoformat()
        must = needed(self.blueprint, inputs, also=(self.recipe.target,))
        table, self.result.refused = admitted(table, self.blueprint, self.when, must)
        self.table, self.result.notes = rows_of(table, self.blueprint, self.when)
        self.result.rows_in = len(frame)
        self._not_empty()

    def _latest(self, table: Table) -> pd.Timestamp:
        names = [each.name for each in self.blueprint.fields if each.kind == "datetime" and each.name in table.columns]
        known = [
            each.max() for each in (pd.DatetimeIndex(table.columns[name]) for name in names) if not each.isna().all()
        ]
        if not known:
            if names:
                raise ProcessingException(
                    f"No date at all in {', '.join(names)}.", cure="Correct them, or give as_of=."
                )
            return pd.Timestamp.now().normalize()
        latest = max(known)
        self.result.warnings.append(f"as_of was not given: it is the latest date in the data, {latest}")
        return latest

    def _not_empty(self) -> None:
        if not len(self.table):
            whys = "; ".join(f"{each['count']}: {each['why']}" for each in self.result.refused)
            raise ProcessingException(
                f"No row is left to learn of: {whys or 'the frame is empty'}.", cure="Give rows that can be prepared."
            )

    # ------------------------------------------------------------------------------------------ missing values

    def impute(self) -> None:
        """What stands in for missing values, and optional columns that are too empty."""
        recipe, strategy = self.recipe, self.recipe.config["missing_value_strategy"]
        names = set(recipe.fields("number", "text", "flag"))
        kinds = {each.name: each.kind for each in recipe.inputs if each.name in names}
        optional = names - set(self.blueprint.required)
        recipe.values, left, choices = imputing.learn(self.table, kinds, strategy=strategy, optional=optional)
        self.result.choices += choices
        for name in left:
            self._leave_out(name, "too much of it is missing")
        if strategy == "drop":
            self.table, refused = whole_rows(self.table, recipe.fields("number", "text", "flag"))
            self.result.refused += refused
            self._not_empty()
        self.table, self.result.imputed = imputing.fill(self.table, recipe.values)

    def _leave_out(self, name: str, why: str) -> None:
        self.recipe.inputs = [
            Input(each.name, each.kind, each.family, "left out") if each.name == name else each
            for each in self.recipe.inputs
        ]
        self.table = Table(self.table.index, {key: each for key, each in self.table.columns.items() if key != name})
        self.result.dropped.append({"column": name, "why": why})

    # ------------------------------------------------------------------------------------------ features

    def make_features(self) -> None:
        """What the blueprint learns, and its features."""
        self.check()
        there, target = (
            [each.name for each in self.blueprint.fields if each.name in self.table.columns],
            self.recipe.target,
        )
        learnt: dict[str, Any] = {}
        if self.blueprint.features:
            known = own(self.table, there)
            found = asked(self.blueprint, "learn", lambda: self.blueprint.learn(known, self.when))
            learnt = _as_json(found, self.blueprint.name)
        settings = self.recipe.config["feature_settings"]
        for name in settings:
            if name not in learnt:
                raise ParameterError(
                    f"{self.blueprint.name} has no feature setting {name!r}.", cure=known_names(name, learnt)
                )
            if not isinstance(settings[name], type(learnt[name])):
                raise ParameterError(
                    f"The feature setting {name} is {settings[name]!r}.",
                    cure=f"It takes what was learnt's place: a {type(learnt[name]).__name__}.",
                )
        self.recipe.learnt = learnt | _as_json(settings, "feature_settings")
        makes = {each.name for each in self.blueprint.makes([name for name in there if name != target])} - {target}
        self.recipe.features = [each.name for each in self.blueprint.features if each.name in makes]
        self.recipe.formulas = {each.name: each.formula for each in self.blueprint.features if each.name in makes}
        self._say_what_is_absent(there)
        self.raw = features_of(self.blueprint, self.table, self.when, self.recipe.learnt, self.recipe.features, target)
        self.result.features_created = list(self.recipe.features)
        self._say_what_is_missing()

    def _say_what_is_absent(self, there: list[str]) -> None:
        target, telling = self.recipe.target, []
        for each in self.blueprint.features:
            if each.name in self.recipe.features:
                continue
            lacking = [need for need in each.needs if need not in there]
            if not lacking and each.name != target:
                telling.append(each.name)
            why = lacking or ["it is the target" if each.name == target else f"it is made of the target, {target}"]
            self.result.features_absent.append({"feature": each.name, "lacking": why})
        if telling:
            self.result.warnings.append(f"not made, as they would tell the target {target}: {', '.join(telling)}")

    def _say_what_is_missing(self) -> None:
        reasons = self.recipe.learnt.get("why", {})
        for name in self.raw:
            count = int(self.raw[name].isna().sum())
            if count:
                whys = list(reasons.get(name, []))
                shown = "; ".join(whys[:5]) + (f"; and {len(whys) - 5} more" if len(whys) > 5 else "")
                self.result.features_missing.append({"feature": str(name), "rows": count, "why": shown})
                self.result.warnings.append(f"{name} is missing in {count} rows" + (f" ({shown})" if shown else ""))

    # ------------------------------------------------------------------------------------------ caps, codes, scales

    def finish(self, frame: pd.DataFrame) -> pd.DataFrame:
        """Learn caps, encodings and scales, one upon the other, and put the columns together."""
        raw = {str(name): self.raw[name].to_numpy() for name in self.raw}
        columns: dict[str, Any] = {**self.table.columns, **raw}
        self._cap(columns)
        made_of = self._encode(columns)
        self._scale(columns)
        for name in self.recipe.fields("flag"):
            columns[name] = reducing.reduced(columns[name], flag=True)
        names = self._order(made_of)
        target = [self.recipe.target] if self.recipe.target else []
        made = assembled(columns, [*names, *target], self.table.index)
        self.recipe.columns = {name: str(made[name].dtype) for name in names}
        self.result.columns = {str(name): str(made[name].dtype) for name in made}
        self.result.rows_out = len(made)
        self._weigh(frame, made, made_of)
        return made

    def _cap(self, columns: dict[str, Any]) -> None:
        method = self.recipe.config["outlier_method"]
        if method == "none":
            return
        for name in self.recipe.fields("number"):
            self.check()
            quarters = places(columns[name]) if method == "iqr" and len(columns[name]) else None
            fences, why = capping.learn(columns[name], method, quarters)
            self.result.choices.append({"column": name, "what": "capped" if fences else "not capped", "why": why})
            if fences:
                self.recipe.caps[name] = fences
                columns[name], below, above = capping.cap(columns[name], fences)
                quarters = [each.within(*fences) for each in quarters or ()]
                if below or above:
                    self.result.capped[name] = {"below": below, "above": above}
            if quarters and not np.isnan(columns[name]).any():
                self.quarters[name] = quarters

    def _encode(self, columns: dict[str, Any]) -> dict[str, list[str]]:
        """Texts by what they are encoded as; answers the columns made of each."""
        strategy = self.recipe.config["encoding_strategy"]
        target = None
        if strategy == "target" and self.recipe.target is not None:
            target = _as_numbers(columns[self.recipe.target], self.recipe.target)
        used = {each.name for each in self.recipe.inputs} | {each.name for each in self.blueprint.features}
        made_of = {}
        for name in self.recipe.fields("text"):
            self.check()
            if not self._comes_out(name):
                columns.pop(name)
                continue
            texts = columns.pop(name)
            learnt = encoding.learn(name, texts, strategy=strategy, target=target, taken=used)
            if learnt["method"] == "target" and not np.isfinite([learnt["mean"], *learnt["means"]]).all():
                raise ProcessingException(
                    f"The target {self.recipe.target} has values too great to be averaged.",
                    cure="Correct them, or choose encoding_strategy onehot or label.",
                    resource=self.recipe.target,
                )
            self.recipe.encodings[name] = learnt
            made, _ = encoding.encode(texts, learnt)
            if learnt["method"] == "target":
                made = {name: encoding.cross_fitted(texts, learnt, target)}
            columns |= made
            made_of[name] = list(made)
            self.result.encoded[name] = learnt["method"]
            self.result.choices.append({"column": name, "what": learnt["method"], "why": learnt["why"]})
        return made_of

    def _comes_out(self, name: str) -> bool:
        return next((each.keep for each in self.blueprint.fields if each.name == name), True)

    def _scale(self, columns: dict[str, Any]) -> None:
        method = self.recipe.config["scaling_method"]
        if method == "none":
            return
        coded = [name for name, each in self.recipe.encodings.items() if each["method"] == "target"]
        numbers = [name for name in self.recipe.fields("number") if self._comes_out(name)]
        features = [each.name for each in self.blueprint.features if each.scaled and each.name in self.raw]
        for name in [*numbers, *coded, *features]:
            self.check()
            values = np.asarray(columns[name], dtype="float64")
            self.recipe.scales[name] = scaling.learn(values, method, self.quarters.get(name))
            if not np.isfinite(self.recipe.scales[name]).all():
                raise ProcessingException(
                    f"{name} has values too great to be scaled by {method}.",
                    cure="Correct them, or choose scaling_method robust or none.",
                    resource=name,
                )
            columns[name] = scaling.scale(values, method, self.recipe.scales[name])
        self.result.scaled = list(self.recipe.scales)

    def _order(self, made_of: dict[str, list[str]]) -> list[str]:
        """Identifiers, kept fields in the blueprint's order, extras, features."""
        first = [each for each in self.recipe.inputs if each.role == "field" and self._identifies(each)]
        others = [each for each in self.recipe.inputs if each.role in ("field", "extra") and each not in first]
        names = [each.name for each in first]
        for each in others:
            if self._comes_out(each.name) and (each.kind != "datetime" or self.recipe.keep_dates):
                names += made_of.get(each.name, [each.name])
            else:
                why = "dates go into features" if each.kind == "datetime" else "the blueprint does not keep it"
                self.result.dropped.append({"column": each.name, "why": why})
        return [*names, *self.recipe.features]

    def _identifies(self, each: Input) -> bool:
        return each.kind == "identifier" or each.name in self.blueprint.identifier

    def _weigh(self, frame: pd.DataFrame, made: pd.DataFrame, made_of: dict[str, list[str]]) -> None:
        result = self.result
        features = set(self.recipe.features)
        result.bytes_features = sum(reducing.weigh(made[name]) for name in made if name in features)
        result.bytes_after = sum(reducing.weigh(made[name]) for name in made if name not in features)
        came = [each.name for each in self.recipe.inputs if each.name in made or each.name in made_of]
        result.bytes_before = sum(reducing.weigh(frame[name]) for name in came)


def _versions() -> dict[str, str]:
    return {
        "millpond": __version__,
        "python": platform.python_version(),
        "pandas": pd.__version__,
        "numpy": np.__version__,
    }


def _as_json(learnt: Mapping[str, Any], whose: str) -> dict[str, Any]:
    """As it will be read again, so that it is the same now and then."""
    try:
        return dict(json.loads(json.dumps(dict(learnt), allow_nan=False)))
    except (TypeError, ValueError) as error:
        raise ProcessingException(
            f"What {whose} learnt cannot be kept as JSON: {error}.", cure="Use lists, numbers, texts and None."
        ) from error


def _as_numbers(target: Any, name: str) -> Any:
    """The target as numbers: of two texts the second, by the alphabet, is 1."""
    values = pd.Series(plain(target))
    found = family(values)
    if found in ("number", "flag"):
        return values.to_numpy("float64")
    distinct = sorted(values.astype(str).unique())
    if len(distinct) != 2:
        raise ParameterError(
            f"Target encoding needs a target of numbers or of two texts; {name} has {len(distinct)}.",
            cure="Choose encoding_strategy onehot or label.",
        )
    return (values.astype(str) == distinct[1]).to_numpy("float64")
