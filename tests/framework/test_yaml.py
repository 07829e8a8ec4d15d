from __future__ import annotations

import contextlib
import math
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from framework.errors import FormatError, SettingError, StorageError
from framework.yaml import MAX_BYTES, MAX_DEPTH, MAX_NODES, parse_yaml, read_yaml, substituted

ROOT = Path(__file__).resolve().parents[2]

BAD_TAGS = [
    '!!python/object/apply:os.system ["touch pwned"]',
    "!!python/object/new:os.system [x]",
    "!!python/name:os.system",
    "!!python/module:os",
    "!!python/object:builtins.object {}",
    "!!python/tuple [1, 2]",
    "!!python/str x",
    "!!binary aGk=",
    "!!set {a}",
    "!!omap [a: 1]",
    "!!timestamp 2024-01-01",
    "!mine x",
    "!!map x",
    "!!seq {a: 1}",
    "!!str [a]",
    "!!int {}",
    "!<tag:example.com,2000:x> y",
]


def bomb(levels: int) -> str:
    lines = ["l0: &l0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]" for n in range(1, levels)]
    return "\n".join(lines)


def test_plain_values_keep_their_meaning_and_doubtful_spellings_stay_text() -> None:
    """Numbers, bools and null are typed; what would lose its spelling as a number or time is text."""
    document = parse_yaml(
        "[1, -2, 1_000, 0x1F, 0o17, 1.5, 2e-3, .inf, true, FALSE, ~, null, "
        "'', \"no\", 007, 1E5, 12:30:45, 2024-02-30, +]"
    )
    typed = [1, -2, 1000, 31, 15, 1.5, 0.002, math.inf, True, False, None, None]
    text = ["", "no", "007", "1E5", "12:30:45", "2024-02-30", "+"]
    assert document.value == typed + text
    assert [type(value) for value in document.value] == [type(value) for value in typed + text]


@pytest.mark.parametrize("word", ["yes", "No", "ON", "off"])
def test_a_word_that_some_read_as_a_bool_is_an_error_as_a_value_and_text_as_a_key(word: str) -> None:
    """`country: NO` becomes neither False nor text in silence."""
    with pytest.raises(FormatError, match="Write true or false"):
        parse_yaml(f"country: {word}")
    assert parse_yaml(f'{word}: "{word}"').value == {word: word}


def test_every_value_knows_its_line() -> None:
    """Mappings answer with the key's line, lists with the item's, an unknown route with its parent's."""
    document = parse_yaml("a:\n  b:\n    - 1\n    - c: |\n        text\n\nd: 2\n", name="x.yaml")
    assert document.line(("a", "b", 0)) == 3
    assert document.line(("a", "b", 1, "c")) == 4
    assert document.where(("d",)) == "x.yaml:7"
    assert document.line(("a", "b", 1, "nothing")) == 4


def test_merge_keys_give_way_to_what_is_written_beside_them() -> None:
    """`<<` takes a mapping or a list of them, the first winning, and its lines are those where it is written."""
    document = parse_yaml("b: &b {x: 1, y: 1}\nc: &c\n  y: 2\n  z: 2\nd:\n  <<: [*c, *b]\n  z: 3\n")
    assert document.value["d"] == {"x": 1, "y": 2, "z": 3}
    assert document.line(("d", "y")) == 3


def test_an_alias_is_a_copy() -> None:
    """Changing what an alias stands for leaves the anchor's value alone."""
    value = parse_yaml("a: &a [1]\nb: *a").value
    value["b"].append(2)
    assert value["a"] == [1]


@pytest.mark.parametrize("tag", BAD_TAGS)
@pytest.mark.parametrize("place", ["{}", "a: {}", "- {}", "? {}\n: 1"])
def test_a_tag_of_anything_but_plain_data_is_refused(tag: str, place: str, tmp_path: Path) -> None:
    """No tag makes an object, wherever it stands."""
    with pytest.raises(FormatError):
        parse_yaml(place.replace("{}", tag))


def test_standard_tags_say_the_type() -> None:
    """`!!str 5` is text, `!!float 5` a float."""
    assert parse_yaml("[!!str 5, !!float 5, !!int 5, !!bool true, !!null ~, ! 5]").value == [
        "5",
        5.0,
        5,
        True,
        None,
        "5",
    ]


@pytest.mark.parametrize(
    ("text", "line", "said"),
    [
        ("a: 1\nb: 2\na: 3", 3, "set twice, first in line 1"),
        ("a: 1\n2: b", 2, "not text"),
        ("a: 1\n? [x]\n: b", 2, "not text"),
        ("a: 1\n---\nb: 2", 2, "second document"),
        ("a: 1\nb: *x", 2, "anchor"),
        ("a: &a\n  - *a", 2, "inside the value"),
        ("a:\n\tb: 1", 2, "cannot start any token"),
        ("a: 1\nb: \x07", 2, "U+0007"),
        ("a: 1\nb: \x00", 2, "U+0000"),
        ("a: 1\nb: \ud800", 2, "surrogate"),
        ("%TAG !x! tag:example.com:\n---\na", 1, "%TAG"),
        ("<<: 3", 1, "mapping"),
        ("a: 1\nb: " + "9" * 5000, 2, "cannot be read"),
        ("a: !!int x", 1, "cannot be read as int"),
    ],
)
def test_a_fault_is_told_with_its_file_and_line(text: str, line: int, said: str) -> None:
    """Every refusal is a FormatError that names file, line and fault."""
    with pytest.raises(FormatError) as caught:
        parse_yaml(text, name="my.yaml")
    assert caught.value.line == line
    assert said in str(caught.value)
    assert f"my.yaml:{line}:" in str(caught.value)


def test_bytes_that_are_not_utf8_are_told_with_their_line() -> None:
    """No encoding is guessed; a byte order mark and CRLF are fine."""
    with pytest.raises(FormatError, match=":2: not UTF-8"):
        parse_yaml(b"a: 1\nb: \xff")
    assert parse_yaml(b"\xef\xbb\xbfa: 1\r\nb: 2\r\n").value == {"a": 1, "b": 2}


def test_limits_hold_at_their_edge() -> None:
    """What is just within a limit is read, one more is refused."""
    assert len(parse_yaml("[" + "x," * (MAX_NODES - 1) + "]").value) == MAX_NODES - 1
    assert parse_yaml("[" * (MAX_DEPTH - 1) + "x" + "]" * (MAX_DEPTH - 1)).value
    assert parse_yaml("x" * MAX_BYTES).value
    for text in ("[" + "x," * MAX_NODES + "]", "[" * MAX_DEPTH + "x" + "]" * MAX_DEPTH, "x" * (MAX_BYTES + 1)):
        with pytest.raises(FormatError):
            parse_yaml(text)


def test_an_alias_counts_as_what_it_stands_for_in_depth_too() -> None:
    """Depth is that of the expanded value."""
    nested = "\n".join(f"a{n}: &a{n} [{f'*a{n - 1}' if n else 'x'}]" for n in range(MAX_DEPTH))
    with pytest.raises(FormatError, match="nested deeper"):
        parse_yaml(nested)


@pytest.mark.timeout(20)
@pytest.mark.parametrize("levels", range(2, 21))
def test_a_bomb_is_read_or_refused_at_once(levels: int) -> None:
    """9^levels values are counted, never made."""
    if levels <= 4:  # some 8,300 values
        assert parse_yaml(bomb(levels)).value
    else:
        with pytest.raises(FormatError, match="more than"):
            parse_yaml(bomb(levels))


@pytest.mark.parametrize(
    "text",
    [
        "[" * 1_000_000,
        "- " * 500_000,
        "{a: " * 250_000,
        "? " * 500_000,
        "x" * 1_000_000 + ": 1",
        "!" * 1_000_000,
        "a: " + "1:" * 500_000 + "1",
        "".join(f"%TAG !a{n}! x\n" for n in range(60_000)) + "---\na",
        "\n".join(f"k{n}: v" for n in range(80_000)),
        "a: '" + "\\" * 1_000_000,
        "a: " + "1" * 1_000_000,
    ],
    ids=range(11),
)
@pytest.mark.timeout(5)  # each takes some hundredths of a second; what grows with the square takes minutes
def test_a_file_made_to_be_slow_is_not(text: str) -> None:
    """A megabyte of anything is read or refused."""
    with contextlib.suppress(FormatError):
        assert parse_yaml(text).value is not None


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the peak of one process is read from /proc")
def test_a_bomb_takes_little_memory() -> None:
    """A process that meets twenty levels stays within 100 MB."""
    code = f"""
from framework.yaml import parse_yaml
try:
    parse_yaml({bomb(20)!r})
except ValueError:
    print(open("/proc/self/status").read())
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    peak_kib = int(re.search(r"VmHWM:\s+(\d+) kB", done.stdout)[1])
    assert peak_kib < 100 * 1024


def test_a_file_is_read_and_what_is_no_file_is_a_typed_error(tmp_path: Path) -> None:
    """read_yaml names the file; a missing one, a folder and a device are StorageErrors."""
    path = tmp_path / "x.yaml"
    path.write_text("a: 1\n")
    assert read_yaml(path).value == {"a": 1}
    assert read_yaml(path).name == str(path)
    (tmp_path / "empty.yaml").write_text("# nothing\n")
    assert read_yaml(tmp_path / "empty.yaml").value is None
    for missing in (tmp_path / "none.yaml", tmp_path, Path("/dev/zero")):
        with pytest.raises(StorageError, match="is not a file"):
            read_yaml(missing)


def test_variables_are_put_in_once_and_as_text() -> None:
    """A variable's own `${...}`, line ends and colons are text; keys stay as they are; `$${` is a plain `${`."""
    document = parse_yaml("a: ${X}\nb: ['p-${env:X}-s', 5]\n'${X}': $${X}\nc: ${N}")
    answer = substituted(document, {"X": "${X}\nadmin: true", "N": "5"})
    assert answer.value == {"a": "${X}\nadmin: true", "b": ["p-${X}\nadmin: true-s", 5], "${X}": "${X}", "c": "5"}
    assert answer.line(("c",)) == 4


@pytest.mark.parametrize("text", ["${MISSING}", "${}", "${a b}", "${open", "${X:-default}", "${file:/etc/passwd}"])
def test_what_is_not_a_set_variable_is_told_with_its_place(text: str) -> None:
    """Nothing is left out or left standing in silence."""
    with pytest.raises(SettingError, match=r"my\.yaml:2"):
        substituted(parse_yaml(f"a: 1\nb: '{text}'", name="my.yaml"), {"X": "1"})


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=200) | st.text("[]{}:,-?&*!|>'\"%@`#\n\t ax1.~<", max_size=80) | st.binary(max_size=100))
def test_any_text_is_read_or_refused(text: str | bytes) -> None:
    """Nothing but FormatError comes out of the reader."""
    try:
        document = parse_yaml(text)
    except FormatError as error:
        line = error.line
    else:
        line = document.line()
    assert line is not None
    assert line >= 1


PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=20,
)


@settings(max_examples=200, deadline=None)
@given(PLAIN)
def test_what_a_yaml_writer_writes_is_read_back_the_same(value: object) -> None:
    """Plain data dumped by PyYAML comes back equal, types included."""
    assert repr(parse_yaml(yaml.safe_dump(value)).value) == repr(_keys_sorted(value))


def _keys_sorted(value: object) -> object:
    if isinstance(value, dict):
        return {key: _keys_sorted(value[key]) for key in sorted(value)}
    if isinstance(value, list):
        return [_keys_sorted(item) for item in value]
    return value
