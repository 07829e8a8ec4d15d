"""A blueprint: what a dataset for one kind of model needs, how it is checked, and which features are made of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, get_args

from framework.errors import OptionError, known_names

if TYPE_CHECKING:
    import pandas as pd

Kind = Literal["identifier", "datetime", "number", "integer", "category", "text", "flag"]
Learnt = dict[str, Any]  # JSON-able


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a blueprint.

    Attributes
    ----------
    name : str
    kind : {"identifier", "datetime", "number", "integer", "category", "text", "flag"}
    required : bool
        Without it the blueprint does not work.
    critical : bool
        Whether it must be complete: 95 % of its values there.
    minimum, maximum : float, optional
        What its values lie between.
    pattern : str, optional
        What its texts match, wholly.
    allowed : sequence of str, optional
        Its values, without regard to case and space around them.
    keep : bool
        Whether it is among the columns that come out.
    cost : str
        What is missing without it, in words, of a field that is not required.
    description : str
    unit : str
    """

    name: str
    kind: Kind
    required: bool = True
    critical: bool = False
    minimum: float | None = None
    maximum: float | None = None
    pattern: str | None = None
    allowed: tuple[str, ...] | None = None
    keep: bool = True
    cost: str = ""
    description: str = ""
    unit: str = ""


@dataclass(frozen=True, slots=True)
class Feature:
    """One feature that a blueprint makes.

    Attributes
    ----------
    name : str
    needs : tuple of str
        Fields; where one is missing the feature is absent, and listed as that.
    scaled : bool
        Whether it is scaled like other numbers: tiers, flags of the calendar and the like are not.
    formula, unit, source : str
        What is written of it in the report.
    """

    name: str
    needs: tuple[str, ...]
    scaled: bool = True
    formula: str = ""
    unit: str = ""
    source: str = ""


@dataclass(frozen=True, slots=True)
class Rule:
    """One business rule over a row.

    Attributes
    ----------
    name : str
    needs : tuple of str
        Fields that it looks at; it does not apply where one is missing.
    check : callable
        Of a frame: a boolean Series, True where the row keeps the rule. A missing value keeps it.
    severity : {"critical", "high", "medium", "low"}
    message : str
        What is wrong with a row that breaks it.
    """

    name: str
    needs: tuple[str, ...]
    check: Callable[[pd.DataFrame], pd.Series]
    severity: Literal["critical", "high", "medium", "low"] = "high"
    message: str = ""


@dataclass(frozen=True, slots=True)
class Plot:
    """One picture of the report.

    Attributes
    ----------
    title : str
    kind : {"histogram", "bar", "line", "scatter"}
    x, y : str
        Columns of the prepared frame, before scaling.
    """

    title: str
    kind: Literal["histogram", "bar", "line", "scatter"]
    x: str
    y: str | None = None


# learn(frame, as_of) -> what is learnt; make(frame, as_of, learnt) -> a frame of features, in the order of `features`
Learn = Callable[["pd.DataFrame", "pd.Timestamp"], Learnt]
Make = Callable[["pd.DataFrame", "pd.Timestamp", Learnt], "pd.DataFrame"]


@dataclass(frozen=True, slots=True)
class Blueprint:
    """What one kind of dataset is.

    Attributes
    ----------
    name, description : str
    fields : tuple of Field
        In the order in which they come out.
    features : tuple of Feature
    identifier : tuple of str
        What rows are told apart by: one field, or several.
    time : str, optional
        The field by which `as_of` is judged: no feature sees a row after it.
    learn : callable
        `learn(frame, as_of)`: what must be remembered to make the features of other rows alike, JSON-able.
    make : callable
        `make(frame, as_of, learnt)`: the features, one row for each row of what comes out, by the same index.
    rows : callable, optional
        `rows(frame, as_of)`: the rows that come out where they are not those that go in (a sum of each day), and what
        became of the others in words.
    rules : tuple of Rule
    target : str, optional
    thresholds : mapping
        completeness, uniqueness, validity, score; those that are not said are 0.95, 1.0, 0.98 and 80.
    plots : tuple of Plot
    """

    name: str
    description: str
    fields: tuple[Field, ...]
    features: tuple[Feature, ...]
    identifier: tuple[str, ...]
    make: Make
    learn: Learn = lambda frame, as_of: {}
    time: str | None = None
    rows: Callable[[pd.DataFrame, pd.Timestamp], tuple[pd.DataFrame, list[str]]] | None = None
    rules: tuple[Rule, ...] = ()
    target: str | None = None
    thresholds: Mapping[str, float] = field(default_factory=dict)
    plots: tuple[Plot, ...] = ()

    def __post_init__(self) -> None:
        """OptionError for what cannot be meant: a name that is no field's, one said twice, a kind that there is not."""
        names = [each.name for each in self.fields]
        made = [each.name for each in self.features]
        for said in (names, made, [each.name for each in self.rules]):
            twice = [name for name, count in Counter(said).items() if count > 1]
            if twice:
                raise OptionError(f"The blueprint {self.name!r} names {twice[0]!r} twice.", cure="Rename one of them.")
        for name in set(names) & set(made):
            raise OptionError(f"{name!r} is a field and a feature of {self.name!r}.", cure="Rename one of them.")
        for each in self.fields:
            if each.kind not in get_args(Kind):
                raise OptionError(
                    f"The field {each.name!r} has the kind {each.kind!r}.", cure=known_names(each.kind, get_args(Kind))
                )
        for what, needs in self._needs():
            for name in needs:
                if name not in names:
                    raise OptionError(f"{what} is of {name!r}, which is no field.", cure=known_names(name, names))

    def _needs(self) -> Iterator[tuple[str, tuple[str, ...]]]:
        yield "The identifier", self.identifier
        yield "The time", (self.time,) if self.time is not None else ()
        yield from ((repr(each.name), each.needs) for each in self.features)
        yield from ((repr(each.name), each.needs) for each in self.rules)

    def field(self, name: str) -> Field:
        """The field of that name."""
        return next(each for each in self.fields if each.name == name)

    @property
    def required(self) -> list[str]:
        """The fields without which it does not work."""
        return [each.name for each in self.fields if each.required]

    @property
    def optional(self) -> list[str]:
        """The fields that it can do without."""
        return [each.name for each in self.fields if not each.required]

    def makes(self, there: Sequence[str]) -> list[Feature]:
        """The features that can be made of these fields."""
        return [each for each in self.features if set(each.needs) <= set(there)]
