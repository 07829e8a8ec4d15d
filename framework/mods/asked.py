"""SQL that a user wrote, held to what it may be: one SELECT, or one expression over a row; it opens no file."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from framework.errors import ParameterError
from framework.mods import duck
from framework.mods.artifacts import check_columns

FORBIDDEN = {"SUBQUERY": "a query inside", "STAR": "*", "WINDOW": "OVER", "LAMBDA": "a lambda", "PARAMETER": "a ? or $"}
READING = {"SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE", "CTE_NODE"}  # what only reads
CLAUSES = ("where_clause", "having", "qualify", "sample", "group_expressions", "modifiers")


def locked(connection: Any, files: Iterable[str | Path] = ()) -> None:
    """From now on the connection reads these files and no other, writes none, and cannot be talked out of it."""
    paths = ", ".join(duck.literal(str(path)) for path in files)
    connection.execute(f"SET allowed_paths = [{paths}]")
    for name, value in (
        ("python_enable_replacements", "false"),  # else a table's name could be a variable of ours
        ("autoinstall_known_extensions", "false"),
        ("autoload_known_extensions", "false"),
        ("enable_external_access", "false"),
        ("lock_configuration", "true"),
    ):
        connection.execute(f"SET {name} = {value}")


def one_select(query: str) -> str:
    """The query, if it is one SELECT that changes nothing; ParameterError otherwise."""
    if not query.strip():
        raise ParameterError("The query is empty.", cure="Write a SELECT.")
    tree = _parsed(query, "The query")
    if len(tree["statements"]) != 1:
        raise ParameterError(
            f"The query is {len(tree['statements'])} statements, and may be one SELECT.",
            cure="Give each a step of its own.",
        )
    kinds = {str(each.get("type")) for each in _nodes(tree)}
    writing = sorted(kind for kind in kinds - READING if kind.endswith("_NODE"))
    if writing:
        verb = writing[0].removesuffix("_QUERY_NODE")
        raise ParameterError(f"The query holds {verb}, and may only read.", cure="Write a SELECT.")
    if any(each.get("class") == "PARAMETER" for each in _nodes(tree)):
        raise ParameterError("The query holds a ? or $, and nothing fills it.", cure="Write the value itself.")
    return query.strip().rstrip(";").rstrip()


def expression(text: str) -> str:
    """The expression in brackets, if it is one over the columns of a row; ParameterError otherwise."""
    names(text)
    return f"(\n{_bare(text)}\n)"


def _bare(text: str) -> str:
    return text.strip().rstrip(";").rstrip()


def names(text: str) -> list[str]:
    """The columns that an expression names, each as it writes it.

    Raises
    ------
    ParameterError
        It is more than an expression: it holds a query, a clause, another statement.
    """
    what = f"The expression {text!r}"
    statements = _parsed(f"SELECT {_bare(text)}", what)["statements"]
    node = statements[0]["node"]
    wrong = None
    if len(statements) != 1:
        wrong = "holds another statement"
    elif node["type"] != "SELECT_NODE" or node["from_table"]["type"] != "EMPTY" or node["cte_map"]["map"]:
        wrong = "is a query"
    elif len(node["select_list"]) != 1:
        wrong = f"is {len(node['select_list'])} expressions"
    elif any(node.get(clause) for clause in CLAUSES) or node["select_list"][0].get("alias"):
        wrong = "holds a clause"
    else:
        found = {str(each.get("class")) for each in _nodes(node["select_list"])} & FORBIDDEN.keys()
        wrong = f"holds {FORBIDDEN[min(found)]}" if found else None
    if wrong is not None:
        raise ParameterError(f"{what} {wrong}.", cure="Write one condition over a row: end_date >= start_date.")
    columns = (each["column_names"] for each in _nodes(node["select_list"]) if each.get("class") == "COLUMN_REF")
    return list(dict.fromkeys(".".join(parts) for parts in columns))


def check_names(text: str, known: Iterable[str], what: str) -> None:
    """ColumnNotFoundError for the first column of an expression that is not there.

    Raises
    ------
    ColumnNotFoundError
    ParameterError
        Two columns differ by case alone, which SQL cannot tell apart.
    """
    by_case = check_case(known, what)
    wanted = [name for name in names(text) if name.split(".")[0].casefold() not in by_case]
    check_columns([name for name in wanted if name.casefold() not in by_case], by_case.values(), what)


def check_case(known: Iterable[str], what: str) -> dict[str, str]:
    """The columns by their names without case; ParameterError for two that only case tells apart."""
    by_case: dict[str, str] = {}
    for name in known:
        other = by_case.setdefault(name.casefold(), name)
        if other != name:
            raise ParameterError(
                f"{what} has the columns {other!r} and {name!r}, which are one name in SQL.",
                cure="Rename one before.",
                resource=name,
            )
    return by_case


def _parsed(sql: str, what: str) -> dict[str, Any]:
    import duckdb

    with duckdb.connect(":memory:") as connection:
        answer = connection.execute("SELECT json_serialize_sql(?::VARCHAR)", [sql]).fetchone()
    tree: dict[str, Any] = json.loads(answer[0]) if answer else {}
    if tree.get("error"):
        if "Only SELECT" in str(tree.get("error_message")):
            raise ParameterError(f"{what} is no SELECT: it would change something.", cure="Write a SELECT.")
        raise ParameterError(f"{what} is no SQL: {tree.get('error_message')}.", cure="Correct it.")
    return tree


def _nodes(tree: Any) -> Iterator[dict[str, Any]]:
    if isinstance(tree, dict):
        yield tree
    for each in tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ():
        yield from _nodes(each)
