r"""Text that has broken programs before, of many kinds: as a cell, a label, a dataset's name.

Control characters, marks that turn the direction of writing, characters made of several, line ends, quotes, what looks
like a number, a date, nothing or a command.
"""

from __future__ import annotations

NOTHING_LIKE = [
    "",
    " ",
    "NULL",
    "null",
    "None",
    "nil",
    "undef",
    "undefined",
    "NaN",
    "nan",
    "NA",
    "N/A",
    "#N/A",
    "-",
    "\\N",
    "NaT",
]
NUMBER_LIKE = [
    *(
        "0",
        "007",
        "+1",
        "-0",
        "1.0",
        "1.10",
        "1e5",
        "1E400",
        "-1e-400",
        "0x1F",
        "0b11",
        "0o17",
        "1_000",
        "1,000",
        "1.000,50",
    ),
    *(
        "Infinity",
        "-inf",
        "1/0",
        "9" * 40,
        "0." + "1" * 40,
        "123456789012345678901234567890",
        "१२३",
        "٤٢",
        "²",
        "½",
        "Ⅷ",
    ),
]
TRUTH_LIKE = ["true", "TRUE", "False", "t", "f", "yes", "no", "on", "off"]
TIME_LIKE = ["2024-01-01", "2024-02-30", "01/02/03", "12:60", "2024-01-01T00:00:00Z", "1969-12-31 23:59:60", "10e2d"]
SPACES = [
    " a",
    "a ",
    "\ta\t",
    "\u00a0",
    "\u2003a",
    "\u200b",
    "\ufeff",
    "\ufeffa",
    "a\u2028b",
    "a\u2029b",
    "\u180e",
    "\u3000",
]
LINES = ["a\nb", "a\r\nb", "a\rb", "\n", "\r", "\r\n", "\n\n", "a\x0bb", "a\x0cb", "a\x85b", "a\\nb", "a\n,b"]
CONTROLS = [
    "\x01",
    "\x07",
    "\x08",
    "\x1b[31mred\x1b[0m",
    "\x1f",
    "\x7f",
    "\x80",
    "\x9f",
    "\x1a",
    "\x04",
    "".join(map(chr, range(1, 32))),
]
QUOTES = [
    '"',
    '""',
    '"""',
    "'",
    "''",
    "a,b",
    ";",
    "\t",
    "|",
    "`",
    'a"b',
    '"a',
    'a"',
    '",',
    ',"',
    '","',
    "\\",
    '\\"',
    "$$",
    "E'\\''",
]
DIRECTIONS = ["\u202eabc", "\u200fabc", "\u2066a\u2069", "שלום", "مرحبا", "abc שלום", "\u061c"]
COMBINED = [
    "e\u0301",
    "é",
    "Z͑ͫa̷l̢g̴o",
    "🦆",
    "👩‍👩‍👧‍👦",
    "🏳️‍🌈",
    "👍🏽",
    "🇩🇪🇫🇷",
    "नमस्ते",
    "각",
    "ﷺ",
    "ǆ",
    "İ",
    "ı",
    "ß",
    "ﬀ",
]
WIDE = ["田中さん", "𠜎𠜱", "𝔘𝔫𝔦", "\U0010ffff", "\ufffe", "\ufffd", "\ue000", "Ω≈ç√", "µ", "K", "¯\\_(ツ)_/¯"]
COMMANDS = [
    *(
        "'; DROP TABLE kept; --",
        '"; DELETE FROM kept; --',
        "1 OR 1=1",
        "x' || pg_sleep(1) || '",
        "%s",
        "%(a)s",
        "{}",
        "{0}",
        ":name",
        "?",
        "--",
        "/* */",
    ),
    *(
        "=1+1",
        "=cmd|'/C calc'!A0",
        "@SUM(1)",
        "+1+1",
        "-1+1",
        "\t=1",
        "<script>alert(1)</script>",
        "&lt;",
        "$(touch x)",
        "`id`",
        "a;b",
        "a\\",
    ),
]
PATHS = [
    "..",
    "../../etc/passwd",
    "/etc/passwd",
    "a/../b",
    "./a",
    "a//b",
    "~",
    "C:\\x",
    "\\\\host\\x",
    "CON",
    ".hidden",
    "a/",
    "*",
    "a\\b",
    "%2e%2e",
]
OWN = [
    "index",
    "level_0",
    "millpond",
    "millpond_row",
    "millpond_catalog",
    "ctid",
    "xmin",
    "oid",
    "__index_level_0__",
    "column",
    "x.csv",
]
LONG = ["x" * 300, "é" * 100, "a b " * 40]

NAUGHTY: tuple[str, ...] = tuple(
    dict.fromkeys(
        NOTHING_LIKE + NUMBER_LIKE + TRUTH_LIKE + TIME_LIKE + SPACES + LINES + CONTROLS + QUOTES + DIRECTIONS + COMBINED
        + WIDE + COMMANDS + PATHS + OWN + LONG
    )
)  # fmt: skip
"""Each of them once; none holds a NUL or half a character."""
