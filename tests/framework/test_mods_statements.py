"""Whether a statement of SQL reads only, told without a server."""

from __future__ import annotations

import pytest

from framework.errors import ParameterError
from framework.mods.statements import check_reads, normalised


@pytest.mark.parametrize(
    ("backend", "text"),
    [
        ("mysql", r"SELECT 'a\'' ; DROP TABLE t; -- '"),
        ("mysql", "SELECT 1 INTO OUTFILE '/tmp/x'"),
        ("mysql", "SELECT 1 /*! ; DROP TABLE t */"),
        ("mssql", "SELECT * INTO [other] FROM t"),
        ("mssql", "WITH a AS (SELECT 1 AS b) UPDATE t SET c = 1"),
        ("postgresql", r"SELECT E'\'' ; COMMIT; --'"),
        ("postgresql", "SELECT $a$ $b$ $a$ ; COMMIT; SELECT $b$"),
        ("postgresql", "EXPLAIN ANALYZE DELETE FROM t"),
        ("oracle", "BEGIN DELETE FROM t; END;"),
        ("sqlite", "VACUUM INTO 'x.db'"),
        ("sqlite", ""),
    ],
    ids=["escape", "file", "run", "into", "with", "e-quote", "dollars", "explain", "block", "vacuum", "nothing"],
)
def test_what_writes_is_refused(backend: str, text: str) -> None:
    """Also where a quote that a server reads otherwise, or a comment that it runs, would hide it."""
    with pytest.raises(ParameterError):
        check_reads(text, backend)


@pytest.mark.parametrize(
    ("backend", "text"),
    [
        ("mysql", r"SELECT 'it\'s' AS a, `into` FROM t"),
        ("mysql", "SHOW TABLES"),
        ("mssql", "SELECT [insert; into] FROM t"),
        ("postgresql", "SELECT $$; DROP TABLE t$$, a[1], 'C:\\' AS p, ';' AS q FROM t;"),
        ("postgresql", "WITH a AS (SELECT 1) (SELECT * FROM a FOR UPDATE)"),
        ("sqlite", "((SELECT 1))"),
        ("sqlite", "-- one; two\nVALUES (1)"),
    ],
    ids=["escape", "show", "brackets", "dollars", "lock", "parentheses", "comment"],
)
def test_what_reads_is_let_through(backend: str, text: str) -> None:
    """Words and semicolons in texts, names and comments are none of the statement's."""
    check_reads(text, backend)


def test_the_same_statement_is_the_same_text() -> None:
    """Spaces and comments do not count, texts do."""
    assert normalised("SELECT  a -- one\n\tFROM t ; ", "sqlite") == normalised("SELECT a FROM t", "sqlite")
    assert normalised("SELECT 'a  b'", "sqlite") != normalised("SELECT 'a b'", "sqlite")
    assert normalised("SELECT '-- a'", "sqlite") == "SELECT '-- a'"
