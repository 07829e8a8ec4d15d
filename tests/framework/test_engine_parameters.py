"""What a step is set to: every layer over the one below it, with its place, and what references stand for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from framework.engine.faults import Faults
from framework.engine.parameters import Layers, Value, in_capitals, parse_value, read_settings
from framework.yaml import Document, parse_yaml

STEP = "My step"


def document(text: str, name: str) -> Document:
    read = parse_yaml(text, name=name)
    return Document(read.value or {}, name, read.lines)


def layers(
    *files: str,
    case: str = "",
    own: Mapping[str, Any] | None = None,
    environ: Mapping[str, str] | None = None,
    variables: Mapping[str, str] | None = None,
    settings: tuple[Any, ...] = (),
) -> tuple[Layers, Faults]:
    faults = Faults()
    names = ("config/global.yaml", "project_defaults.yaml")
    said = [document(text, name) for text, name in zip(files, names, strict=False)]
    given = read_settings(settings, faults)
    return Layers(said, document(case, "case.yaml"), given, environ or {}, variables or {}, faults), faults


def of(
    *files: str, known: tuple[str, ...] = ("rate",), names: tuple[str, ...] = (STEP,), **rest: Any
) -> dict[str, Value]:
    own = {name: Value(value, "case.yaml:9") for name, value in rest.pop("own", {}).items()}
    made, faults = layers(*files, **rest)
    found = made.of(names, known, own)
    assert not faults.found, faults.found
    return found


GLOBAL = f"plugins: {{{STEP}: {{rate: 1}}}}"
DEFAULTS = f"\nplugins: {{{STEP}: {{rate: 2}}}}"
CASE = "\n\nglobals: {rate: 3}"
SPOKEN: list[tuple[Callable[[], dict[str, Value]], Any, str]] = [
    (lambda: of(GLOBAL), 1, "config/global.yaml:1"),
    (lambda: of(GLOBAL, DEFAULTS), 2, "project_defaults.yaml:2"),
    (lambda: of(GLOBAL, DEFAULTS, case=CASE), 3, "case.yaml:3"),
    (lambda: of(GLOBAL, DEFAULTS, case=CASE, own={"rate": 4}), 4, "case.yaml:9"),
    (
        lambda: of(GLOBAL, DEFAULTS, case=CASE, own={"rate": 4}, environ={"MILLPOND__MY_STEP__RATE": "5"}),
        5,
        "environment MILLPOND__MY_STEP__RATE",
    ),
    (
        lambda: of(
            GLOBAL,
            DEFAULTS,
            case=CASE,
            own={"rate": 4},
            environ={"MILLPOND__MY_STEP__RATE": "5"},
            settings=(f"{STEP}.rate=6",),
        ),
        6,
        f"--set {STEP}.rate",
    ),
]


@pytest.mark.parametrize(("said", "value", "origin"), SPOKEN, ids=["global", "project", "case", "own", "env", "set"])
def test_each_layer_wins_over_those_below(said: Callable[[], dict[str, Value]], value: Any, origin: str) -> None:
    """And the value remembers the file and the line, or whatever else said it."""
    assert said() == {"rate": Value(value, origin)}


def test_globals_of_a_file_stand_in_that_files_layer() -> None:
    """They fill declared parameters, below what the same file says for the step, and below the files above."""
    assert of("globals: {rate: 1}")["rate"].value == 1
    assert of("globals: {rate: 1, other: 2}").keys() == {"rate"}
    assert of(f"globals: {{rate: 9}}\n{GLOBAL}")["rate"] == Value(1, "config/global.yaml:2")
    assert of("globals: {rate: 9}", DEFAULTS)["rate"].value == 2
    assert of(GLOBAL, "globals: {rate: 9}")["rate"].value == 9


def test_what_is_said_for_one_use_wins_over_what_is_said_for_the_step() -> None:
    """In each layer, in whatever order it stands there."""
    names = ("My step #2", STEP)
    both = "plugins: {'My step #2': {rate: 2}, My step: {rate: 1, more: 1}}"
    assert {name: said.value for name, said in of(both, names=names).items()} == {"rate": 2, "more": 1}
    assert of(settings=("My step #2.rate=2", "My step.rate=1"), names=names)["rate"].value == 2
    environ = {"MILLPOND__MY_STEP_2__RATE": "2", "MILLPOND__MY_STEP__RATE": "1"}
    assert of(environ=environ, names=names)["rate"].value == 2


def test_the_last_on_the_command_line_wins() -> None:
    """As with any option."""
    assert of(settings=("My step.rate=1", "My step.rate=2"))["rate"].value == 2


def test_an_alias_and_the_name_are_one_parameter() -> None:
    """The higher layer wins, however each spells it."""
    made, _ = layers("plugins: {My step: {Rate: 1}}", environ={"MILLPOND__MY_STEP__RATE": "2"})
    assert made.of((STEP,), ("rate",), {}, spellings={"Rate": "rate"}) == {
        "rate": Value(2, "environment MILLPOND__MY_STEP__RATE")
    }


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0.3", 0.3),
        ("5", 5),
        ("true", True),
        ("", None),
        ("null", None),
        ("text", "text"),
        ("two words", "two words"),
        ("5 6", "5 6"),
        ("a=b=c", "a=b=c"),
        ("a: b", "a: b"),
        ("- a", "- a"),
        ("#fff", "#fff"),
        ("a #b", "a #b"),
        ("*x", "*x"),
        ("&x", "&x"),
        ("!tag x", "!tag x"),
        ("%x", "%x"),
        ("007", "007"),
        ("2020-01-01", "2020-01-01"),
        ("yes", "yes"),
        ('"5"', "5"),
        ("'a #b'", "a #b"),
        ("[1, 2.5, a]", [1, 2.5, "a"]),
        ("{a: 1, b: [2]}", {"a": 1, "b": [2]}),
        ("ä€", "ä€"),
        ("{{7*7}}", None),
        ("x{{7*7}}", "x{{7*7}}"),
    ],
)
def test_a_value_from_outside_a_file_is_read_as_yaml_reads_a_value(text: str, value: Any) -> None:
    """Numbers, lists and quotes as in a file; what would be a comment, an alias or a mapping there is plain text."""
    faults = Faults()
    found = read_settings([f"{STEP}.rate={text}"], faults)
    if text == "{{7*7}}":  # no mapping can be a key: an error, and nothing is worked out
        assert "--set My step.rate" in str(faults.found[0])
    else:
        assert [each.value for each in found] == [value]


def test_a_name_with_points_and_a_value_within_a_value() -> None:
    """A step's name may hold points; what follows it is the way to the parameter."""
    found = of(own={"db": {"host": "a", "port": 1}}, settings=("A.b c.db.host=z",), names=("A.b c",))
    assert found["db"] == Value({"host": "z", "port": 1}, "--set A.b c.db.host")
    assert of(settings=("My step.a.b.c=1",))["a"].value == {"b": {"c": 1}}


def test_a_pair_is_taken_as_it_is() -> None:
    """From Python a value needs no reading."""
    assert of(settings=(("My step.rate", "007"),))["rate"].value == "007"


@pytest.mark.parametrize("text", ["rate=1", "My step.rate", "=1", ".=1", "", "..=1"])
def test_what_is_no_setting_is_a_fault(text: str) -> None:
    """With the form that it should have."""
    _, faults = layers(settings=(text,))
    assert "is not STEP.PARAM=VALUE" in str(faults.found[0])


def test_names_in_the_environment_are_in_capitals() -> None:
    """`Frame Renderer` is FRAME_RENDERER; a parameter's own spelling is found again; an unknown one is small."""
    assert in_capitals("Frame  Renderer-2.x") == "FRAME_RENDERER_2_X"
    environ = {"MILLPOND__MY_STEP__MAXROWS": "5", "MILLPOND__MY_STEP__NOPE": "[1", "MILLPOND__OTHER__RATE": "9"}
    made, faults = layers(environ=environ)
    assert made.of((STEP,), ("maxRows",), {}) == {"maxRows": Value(5, "environment MILLPOND__MY_STEP__MAXROWS")}
    assert "environment MILLPOND__MY_STEP__NOPE" in str(faults.found[0])


# --------------------------------------------------------------------------- references


def resolved(value: Any, case: str = "", variables: Mapping[str, str] | None = None) -> Any:
    made, faults = layers(case=case, variables=variables)
    answer = made.references.resolved(Value(value, "case.yaml:5"))
    assert not faults.found, faults.found
    return answer


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("${rate}", 1.5),
        ("${globals.rate}", 1.5),
        ("${flag}", True),
        ("${nothing}", None),
        ("a${rate}b${flag}${nothing}", "a1.5btrue"),
        ("${HOME}", "/home/me"),
        ("${env:HOME}", "/home/me"),
        ("${env:rate}", "of the environment"),
        ("$${rate}", "${rate}"),
        ("a$${rate}${rate}", "a${rate}1.5"),
        ("${plain}", "${rate}"),
        ("${through}", 1.5),
        ("$rate {{7*7}} %(x)s {rate}", "$rate {{7*7}} %(x)s {rate}"),
        ({"a": ["${rate}", {"b": "${flag}"}]}, {"a": [1.5, {"b": True}]}),
        (7, 7),
    ],
)
def test_references_stand_for_globals_and_variables(text: Any, value: Any) -> None:
    """A whole value keeps its type; a part of a text is text; nothing is looked at twice, and nothing is worked out."""
    case = "globals: {rate: 1.5, flag: true, nothing: null, plain: '$${rate}', through: '${rate}'}"
    assert resolved(text, case, {"HOME": "/home/me", "rate": "of the environment"}) == value


@pytest.mark.parametrize(
    ("text", "case", "told"),
    [
        ("${nope}", "globals: {hope: 1}", "there is no nope among the globals, in the environment or in .env. Did you"),
        ("${globals.HOME}", "", "there is no HOME among the globals"),
        ("${env:x}", "globals: {x: 1}", "there is no x in the environment or in .env"),
        ("${7*7}", "", "'${7*7}' is no reference. Write ${globals.NAME}"),
        ("${a b}", "", "is no reference"),
        ("${", "", "is no reference"),
        ("${}", "", "is no reference"),
        ("${__class__.x}", "", "is no reference"),
        ("${list}", "globals: {list: [1]}", "is a list; only a single value can be referred to"),
    ],
)
def test_a_reference_that_stands_for_nothing_is_a_fault(text: str, case: str, told: str) -> None:
    """With the place that holds it, and what there is."""
    made, faults = layers(case=case)
    made.references.resolved(Value(text, "case.yaml:5"))
    assert str(faults.found[0]).startswith("case.yaml:5: ")
    assert told in str(faults.found[0])


@pytest.mark.parametrize(
    "case",
    ["globals: {a: '${a}'}", "globals: {a: '${b}', b: 'x${c}', c: '${globals.a}'}"],
    ids=["itself", "around"],
)
def test_a_global_that_stands_for_itself_is_one_fault(case: str) -> None:
    """Told once, with the way around, where it is written."""
    _, faults = layers(case=case)
    assert len(faults.found) == 1
    assert "stands for itself" in str(faults.found[0])
    assert faults.found[0].where == "case.yaml:1"


@pytest.mark.timeout(20)
def test_globals_cannot_grow_without_end() -> None:
    """Forty texts, each twice the one before, and a thousand that stand for the next: an error, in no time."""
    doubling = "\n".join(f"  g{n}: '${{g{n + 1}}}${{g{n + 1}}}'" for n in range(40))
    _, faults = layers(case=f"globals:\n{doubling}\n  g40: xxxxxxxxxxxxxxxx")
    assert "over 1,048,576 characters" in str(faults.found[0])
    chain = "\n".join(f"  g{n}: '${{g{n + 1}}}'" for n in range(1000))
    _, faults = layers(case=f"globals:\n{chain}\n  g1000: 1")
    assert "without end" in str(faults.found[0])


def test_a_layer_of_another_shape_is_a_fault() -> None:
    """`globals:` and `plugins:` are mappings, and so is what stands under a step."""
    for text in ("globals: [1]", "plugins: 5", "plugins: {My step: [1]}"):
        made, faults = layers(text)
        made.of((STEP,), (), {})
        assert "is not a mapping" in str(faults.found[0])


def test_a_bracket_that_stays_open_is_a_fault() -> None:
    """Half a list is no text."""
    _, faults = layers(settings=("My step.rate=[1, 2",))
    assert faults.found[0].where.startswith("--set My step.rate")
    with pytest.raises(ValueError, match=r"name:1: "):
        parse_value('"open', "name")


def test_origins_name_the_file_relative_to_the_workspace(tmp_path: Path) -> None:
    """See `config show`: the same on every machine."""
    from framework.engine.case import Project

    (tmp_path / "config").mkdir()
    (tmp_path / "config/global.yaml").write_text("globals:\n  rate: 1\n")
    assert Project.read(tmp_path).files[0].where(("globals", "rate")) == "config/global.yaml:2"
