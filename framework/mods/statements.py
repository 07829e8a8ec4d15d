"""A statement of SQL that is to read only: what of it is no text and no comment, and whether that changes anything."""

from __future__ import annotations

import re
from collections.abc import Iterator

from framework.errors import ParameterError

READS = ("SELECT", "WITH", "VALUES", "TABLE", "SHOW", "DESCRIBE", "DESC")
# behind a WITH, or in the middle of it; a function such as REPLACE(...) or INSERT(...) is none
WRITES = re.compile(r"\b(INSERT|UPDATE|DELETE|MERGE)\b(?!\s*[(.,])", re.IGNORECASE)
INTO = re.compile(r"\bINTO\b", re.IGNORECASE)  # another table, or a file of the server
LOCKS = re.compile(r"\bFOR\s+(?:NO\s+KEY\s+)?UPDATE\b", re.IGNORECASE)
NAMED = re.compile(r"\bAS\s+\w+", re.IGNORECASE)
COMMENT = r"--[^\n]*|/\*(?!!).*?\*/"  # MySQL runs what is in /*! ... */
QUOTED = r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|`[^`]*`"
ESCAPED = r"'(?:[^'\\]|''|\\.)*'|\"(?:[^\"\\]|\"\"|\\.)*\"|`[^`]*`"
BRACKETS = r"\[[^\]]*\]"
DOLLARS = r"\b[eE]'(?:[^'\\]|''|\\.)*'|(?P<mark>\$(?:[A-Za-z_]\w*)?\$).*?(?P=mark)"
# what is a text to one mode of a server may be code to another, so all of them are tried
PATTERNS = {
    "postgresql": (f"{DOLLARS}|{QUOTED}",),
    "sqlite": (f"{QUOTED}|{BRACKETS}",),
    "mssql": (f"{QUOTED}|{BRACKETS}",),
    "oracle": (QUOTED,),
}


def _pieces(text: str, pattern: str) -> Iterator[tuple[str, str]]:
    """What is code, a text or quoted name, and a comment."""
    end = 0
    for match in re.finditer(rf"(?P<comment>{COMMENT})|(?P<quoted>{pattern})", text, re.DOTALL):
        yield "code", text[end : match.start()]
        yield ("comment" if match["comment"] is not None else "quoted"), match[0]
        end = match.end()
    yield "code", text[end:]


def _patterns(backend: str) -> tuple[str, ...]:
    return PATTERNS.get(backend, (QUOTED, ESCAPED))


def normalised(text: str, backend: str) -> str:
    """The statement without comments and with single spaces, its texts as they are: the same for the same query."""
    pattern = _patterns(backend)[0]
    bare = "".join(" " if kind == "comment" else piece for kind, piece in _pieces(text, pattern))
    said = (piece if kind == "quoted" else re.sub(r"\s+", " ", piece) for kind, piece in _pieces(bare, pattern))
    return "".join(said).strip().rstrip("; ")


def check_reads(text: str, backend: str) -> None:
    """See that it is one statement, and reads.

    Raises
    ------
    ParameterError
        It is several, or of another kind, or writes into a table or a file.
    """
    for quoted in _patterns(backend):
        fill = {"quoted": "''", "comment": " "}
        code = "".join(fill.get(kind, piece) for kind, piece in _pieces(text, quoted)).strip().rstrip("; \t\r\n")
        if ";" in code:
            raise ParameterError(
                "The query is more than one statement.",
                cure="Write one SELECT; a text with ; in it may come from params.",
                resource="query",
            )
        first = re.match(r"[\s(]*(\w*)", code)
        word = first[1].upper() if first else ""
        if word not in READS:
            raise ParameterError(
                f"The query begins with {word or code[:10]!r}: a reader changes nothing.",
                cure=f"Write a SELECT; it may begin with {', '.join(READS)}.",
                resource="query",
            )
        writes = WRITES.search(NAMED.sub("", LOCKS.sub("", code))) if word == "WITH" else None
        if writes or INTO.search(code):
            raise ParameterError(
                f"The query holds {(writes[0] if writes else 'INTO').upper()}: a reader changes nothing.",
                cure="Write a SELECT; a column of that name stands in quotes.",
                resource="query",
            )
