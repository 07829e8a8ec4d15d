"""Blueprints as schemas of pandera: to read, to use on frames of one's own, and to add one's own checks to.

What a schema says of types, ranges, patterns and allowed values is judged by `checks`, a whole column at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

from framework import registry
from framework.errors import OptionError, UnknownNameError, known_names
from framework.prepare.blueprint import Blueprint, Field

if TYPE_CHECKING:
    import pandas as pd
    from pandera.pandas import DataFrameSchema
else:
    from framework.lazy import pd

RULES = ("type", "range", "pattern", "allowed")


def pandera() -> Any:
    """The module; MissingExtraError with the pip line where it is not installed."""
    try:
        import pandera.pandas as found
    except ModuleNotFoundError as error:
        raise registry.missing_extra("schema of a blueprint", "prepare", error.name) from error
    return found


class SchemaRegistry:
    """The schema of each blueprint, by name.

    Parameters
    ----------
    blueprints : iterable of Blueprint, optional
        Those that are installed, unless given.

    Examples
    --------
    >>> schemas = SchemaRegistry()
    >>> schemas.list_schemas()
    ['customer_churn', 'price_optimization', 'revenue_projection']
    >>> mine = pa.DataFrameSchema({"total_value": pa.Column(checks=pa.Check.lt(1e6))})
    >>> schemas.add("customer_churn", mine)
    """

    def __init__(self, blueprints: Iterable[Blueprint] | None = None) -> None:
        self._blueprints = None if blueprints is None else {each.name: each for each in blueprints}
        self._added: dict[str, DataFrameSchema] = {}

    def list_schemas(self) -> list[str]:
        """Names, sorted; nothing is imported to know them."""
        return sorted(registry.named("blueprint") if self._blueprints is None else self._blueprints)

    def blueprint(self, name: str) -> Blueprint:
        """The blueprint of that name; UnknownNameError names those that exist."""
        if self._blueprints is None:
            found: Blueprint = registry.find("blueprint", name).load()
            return found
        if name not in self._blueprints:
            cure = known_names(str(name), self._blueprints)
            raise UnknownNameError(f"There is no blueprint {name!r}.", cure=cure, resource=str(name))
        return self._blueprints[name]

    def get_schema(self, name: str) -> DataFrameSchema:
        """The schema of that blueprint, with what was added to it."""
        schema = schema_of(self.blueprint(name))
        added = self.added(name)
        return schema if added is None else _merged(schema, added)

    def add(self, name: str, schema: DataFrameSchema) -> None:
        """Judge data for that blueprint by this schema too; one that was added before is replaced.

        Its columns are the blueprint's fields; data is judged as it is, before types are made.
        """
        self.blueprint(name)
        if not isinstance(schema, pandera().DataFrameSchema):
            raise OptionError(f"A schema is a DataFrameSchema of pandera, not {type(schema).__name__}.")
        self._added[name] = schema

    def added(self, name: str) -> DataFrameSchema | None:
        """What was added to the schema of that blueprint."""
        return self._added.get(name)


def schema_of(blueprint: Blueprint) -> DataFrameSchema:
    """The fields of a blueprint as a schema, by the blueprint's names."""
    from framework.prepare.checks import blanks

    pa = pandera()
    named = {each.name for each in blueprint.fields if each.kind == "identifier" and each.required}
    named |= set(blueprint.identifier)
    there = pa.Check(lambda values: pd.Series(~blanks(values), index=values.index), name="identifier")
    columns = {
        each.name: pa.Column(
            checks=[
                *(pa.Check(_judge(each, rule), name=rule) for rule in RULES if _has(each, rule)),
                *([there] if each.name in named else []),
            ],
            nullable=each.name not in named,
            required=each.required,
            description=each.description or None,
        )
        for each in blueprint.fields
    }
    unique = list(blueprint.identifier) if blueprint.rows is None else None
    schema: DataFrameSchema = pa.DataFrameSchema(
        columns, name=blueprint.name, description=blueprint.description, unique=unique or None, strict=False
    )
    return schema


def _has(field: Field, rule: str) -> bool:
    if rule == "range":
        return field.minimum is not None or field.maximum is not None
    return rule == "type" or getattr(field, rule) is not None


def _judge(field: Field, rule: str) -> Callable[[pd.Series], pd.Series]:
    def keeps(values: pd.Series) -> pd.Series:
        from framework.prepare.checks import check_column

        broken = check_column(values, field, column=field.name).broken.get(rule)
        kept = True if broken is None else ~broken
        return pd.Series(kept, index=values.index, dtype=bool)

    return keeps


def _merged(schema: DataFrameSchema, added: DataFrameSchema) -> DataFrameSchema:
    """Both: checks of a column that both have are put together, and the addition's word on its type holds."""
    for name, column in added.columns.items():
        if name in schema.columns:
            checks = [*schema.columns[name].checks, *column.checks]
            schema = schema.update_column(name, checks=checks, dtype=column.dtype)
        else:
            schema = schema.add_columns({name: column})
    schema.checks = [*schema.checks, *added.checks]
    return schema
