"""Whether the columns of a dataset are the fields of a blueprint, under which names, and what each lack costs."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from difflib import SequenceMatcher
from typing import Any, Literal

from framework.errors import CompatibilityException, known_names
from framework.prepare.blueprint import Blueprint

How = Literal["exact", "loose", "mapped"]
CLOSE = 0.7  # from which two names resemble each other; 1 is the same
LONGEST = 100  # characters of a name that is compared
MOST = 3  # columns that are proposed for one field
SHOWN = 12  # columns that a message names


@dataclass(frozen=True, slots=True)
class Lacking:
    """An optional field that is not there.

    Attributes
    ----------
    field : str
    cost : str
        What is missing without it, in words.
    features : list of str
        That cannot be made.
    """

    field: str
    cost: str
    features: list[str]


@dataclass(frozen=True, slots=True)
class CompatibilityResult:
    """How the columns of a dataset fit the fields of a blueprint.

    Attributes
    ----------
    blueprint : str
    fields : dict
        The column of each field that is there, in the blueprint's order.
    how : dict
        By what its column was found: its very name, its name but for case, spaces and underscores, or the mapping.
    proposed : dict
        Columns whose names come near those of fields that lack; none is taken unless a mapping says so.
    missing_required : list of str
    missing_optional : list of Lacking
    unused : list of str
        Columns that are no field.
    faults : list of str
        What forbids to go on, in sentences.
    warnings : list of str
        What was taken for what without its very name.
    """

    blueprint: str
    fields: dict[str, str]
    how: dict[str, How]
    proposed: dict[str, list[str]] = field(default_factory=dict)
    missing_required: list[str] = field(default_factory=list)
    missing_optional: list[Lacking] = field(default_factory=list)
    unused: list[str] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)

    @property
    def passed(self) -> bool:
        """Whether every required field is there, once."""
        return not self.faults

    def as_dict(self) -> dict[str, Any]:
        """JSON-able."""
        return {**asdict(self), "passed": self.passed}

    def raise_if_failed(self) -> CompatibilityResult:
        """Itself, if it passed.

        Raises
        ------
        CompatibilityException
            With all faults, and the mapping that would cure what lacks.
        """
        if self.passed:
            return self
        near = {name: self.proposed[name][0] for name in self.missing_required if name in self.proposed}
        raise CompatibilityException(
            f"The columns do not fit the blueprint {self.blueprint!r}: {' '.join(self.faults)}",
            cure=f"If that is what they mean, pass mapping={near}." if near else "Pass mapping={field: column}.",
            resource=self.blueprint,
            operation="compatibility",
            result=self,
        )


def compatibility(
    columns: Iterable[Any], blueprint: Blueprint, *, mapping: Mapping[str, str] | None = None
) -> CompatibilityResult:
    """Find the column of each field: by the mapping, by its very name, then without case, spaces and underscores.

    Parameters
    ----------
    columns : iterable
        Labels of the columns; those that are not text are no field's.
    blueprint : Blueprint
    mapping : mapping, optional
        `{field: column}`: what is said here is not looked for.
    """
    labels = list(columns)
    names = [name for name in dict.fromkeys(labels) if isinstance(name, str)]
    found = _Found(blueprint, names)
    found.by_mapping(mapping or {})
    found.by_name()
    found.by_loose_name()
    used = set(found.fields.values())
    for name, count in Counter(labels).items():
        if count > 1 and name in used:
            found.faults.append(f"{count} columns are called {name!r}.")
    return found.result([label for label in dict.fromkeys(labels) if label not in used])


class _Found:
    """What has been found so far."""

    def __init__(self, blueprint: Blueprint, names: list[str]) -> None:
        self.blueprint = blueprint
        self.names = names
        self.fields: dict[str, str] = {}
        self.how: dict[str, How] = {}
        self.faults: list[str] = []
        self.warnings: list[str] = []
        self.disputed: set[str] = set()

    def take(self, name: str, column: str, how: How) -> None:
        self.fields[name] = column
        self.how[name] = how

    def by_mapping(self, mapping: Mapping[str, str]) -> None:
        known = [each.name for each in self.blueprint.fields]
        for name, column in mapping.items():
            if name not in known:
                self.faults.append(f"The mapping names no field: {name!r}. {known_names(str(name), known)}")
            elif column not in self.names:
                there = known_names(str(column), self.names, most=SHOWN)
                self.faults.append(f"The mapping gives {name!r} a column that is not there: {column!r}. {there}")
            elif column in self.fields.values():
                other = next(each for each, taken in self.fields.items() if taken == column)
                self.faults.append(f"The mapping gives the column {column!r} to both {other!r} and {name!r}.")
            else:
                self.take(name, column, "mapped")

    def by_name(self) -> None:
        there = set(self.names) - set(self.fields.values())
        for each in self.blueprint.fields:
            if each.name not in self.fields and each.name in there:
                self.take(each.name, each.name, "exact")

    def by_loose_name(self) -> None:
        """A column that two fields could claim, and a field that two columns could be, are no match but a fault."""
        taken = set(self.fields.values())
        loose: dict[str, list[str]] = {}
        for column in self.names:
            if column not in taken:
                loose.setdefault(fold(column), []).append(column)
        claims = Counter(fold(each.name) for each in self.blueprint.fields if each.name not in self.fields)
        for each in self.blueprint.fields:
            columns = loose.get(fold(each.name), [])
            if each.name in self.fields:
                self.warnings += [f"{column!r} also reads as {each.name!r} and is not used." for column in columns]
            elif len(columns) > 1 or (columns and claims[fold(each.name)] > 1):
                self.disputed.add(each.name)
                said = " and ".join(map(repr, columns))
                self.faults.append(f"{each.name!r} could be {said}: say which by a mapping.")
            elif columns:
                self.take(each.name, columns[0], "loose")
                self.warnings.append(f"{columns[0]!r} was taken for {each.name!r}.")

    def result(self, unused: list[Any]) -> CompatibilityResult:
        lacking = [each for each in self.blueprint.fields if each.name not in self.fields]
        required = [each.name for each in lacking if each.required and each.name not in self.disputed]
        free = [label for label in unused if isinstance(label, str)]
        proposed = {each.name: near(each.name, free) for each in lacking}
        if required:
            self.faults.append(f"Required and not there: {', '.join(required)}.")
        order = [each.name for each in self.blueprint.fields if each.name in self.fields]
        return CompatibilityResult(
            blueprint=self.blueprint.name,
            fields={name: self.fields[name] for name in order},
            how={name: self.how[name] for name in order},
            proposed={name: columns for name, columns in proposed.items() if columns},
            missing_required=required,
            missing_optional=[self.lack(each.name, each.cost) for each in lacking if not each.required],
            unused=[str(label) for label in unused],
            faults=self.faults,
            warnings=self.warnings,
        )

    def lack(self, name: str, cost: str) -> Lacking:
        return Lacking(name, cost, [each.name for each in self.blueprint.features if name in each.needs])


def fold(name: str) -> str:
    """A name without case, spaces and underscores."""
    return re.sub(r"[\s_]+", "", name).casefold()


def near(name: str, columns: Iterable[str], *, most: int = MOST) -> list[str]:
    """The columns whose names come near, the nearest first: by their letters, or by the words that they share."""
    ranked = [(_likeness(name, column), column) for column in columns if len(column) <= LONGEST]
    close = sorted((-rank, column) for rank, column in ranked if rank >= CLOSE)
    return [column for _, column in close[:most]]


def _likeness(name: str, column: str) -> float:
    """Of letters: the ratio of difflib. Of words: twice those that both have by all that they have."""
    one, other = _words(name), _words(column)
    shared = 2 * len(one & other) / max(len(one) + len(other), 1)
    matcher = SequenceMatcher(None, fold(name), fold(column), autojunk=False)
    if min(matcher.real_quick_ratio(), matcher.quick_ratio()) < CLOSE:  # never less than the ratio, and much quicker
        return shared
    return max(matcher.ratio(), shared)


def _words(name: str) -> set[str]:
    spaced = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name)
    return set(re.findall(r"[^\W_]+", spaced.casefold()))
