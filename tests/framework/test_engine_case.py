"""Cases: both dialects, both forms of a pipeline, and what each step is given of them."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from framework import CaseError, Choice, Result, UnknownNameError, Workspace
from framework.engine.flow import HIDDEN, Flow, Loom

Make = Callable[..., Path]

pytestmark = pytest.mark.usefixtures("modules_as_before")
STEPS = """
    from typing import Annotated, Any, Optional
    from pydantic import BaseModel, Field, SecretStr
    from framework import BasePlugin, DataSink, DataSource, plugin

    class AddConfig(BaseModel):
        numbers: Annotated[list, DataSource(name="numbers")]
        total: Optional[Annotated[dict, DataSink(name="total")]] = None
        plus: float = 0
        maxRows: int = Field(10, alias="most")
        key: SecretStr = SecretStr("inner-secret")
        options: dict[str, int] = {}

    @plugin(name="Add", default_config=AddConfig)
    def add(config):
        "Adds."
        return {"sum": sum(config.numbers) + config.plus}

    class ShowConfig(BaseModel):
        total: Annotated[dict, DataSource(name="total")]
        text: Optional[Annotated[str, DataSink(name="text")]] = None

    @plugin(name="Show", default_config=ShowConfig)
    def show(total):
        return f"sum: {total['sum']}"

    @plugin(name="Note")
    def note(case_path, word="nothing"):
        with open(case_path / "notes.txt", "a") as notes:
            notes.write(f"{word}\\n")

    class Count(BasePlugin):
        def run(self, data_hub):
            super().run(data_hub)
            for name in self.config["outputs"]:
                data_hub.register(name, {"count": len(data_hub.get(self.config["inputs"][0])), **self.config})
"""


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """Writes a case of a workspace with four steps and a list of numbers; answers with the workspace's folder."""

    def made(case: str, files: Mapping[str, str] | None = None) -> Path:
        every = {"millpond.yaml": "", "modules/steps.py": STEPS, "cases/demo/case.yaml": case}
        for name, text in {**every, "cases/demo/numbers.json": "[1, 2, 3]", **(files or {})}.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(textwrap.dedent(text))
        return tmp_path

    return made


def flow(root: Path, settings: tuple[Any, ...] = (), **rest: Any) -> Flow:
    return Loom(root, variables={"HOME": "/home/me"}).flow("demo", settings=settings, **rest)


def params(made: Flow, step: str) -> dict[str, Any]:
    return dict(next(node.step.params for node in made.plan.nodes if node.step.name == step))


MAPPED = """
    case_name: A case
    description: what it is for
    io_mapping:
      numbers: {path: numbers.json, handler: json}
      total: {path: out/total.json}
      text: out/text.txt
"""
PLAIN = (
    MAPPED
    + """
    pipeline:
      - Add
      - plugin: Show
"""
)


def test_a_case_in_one_dialect_runs(make: Make) -> None:
    """`io_mapping`, markers in the steps, bare names and mappings as steps."""
    root = make(PLAIN)
    result = Workspace(root).run("demo")
    assert result.raise_if_failed()
    assert (root / "cases/demo/out/text.txt").read_text() == "sum: 6"
    assert flow(root).case.name == "A case"


def test_a_case_in_the_other_dialect_runs(make: Make) -> None:
    """`data_sources`, classes, inputs and outputs in the case; sources are only read, the rest is kept."""
    root = make(
        """
        data_sources:
          numbers: {path: numbers.json, handler_args: {name: json}}
          counted: {path: counted.json}
        pipeline:
          - plugin: InitialDataReader
            outputs: [numbers]
          - plugin: Count
            inputs: [numbers]
            outputs: [counted]
            config: {my_param: 42}
        """
    )
    before = (root / "cases/demo/numbers.json").stat()
    result = Workspace(root).run("demo")
    assert result.raise_if_failed()
    counted = json.loads((root / "cases/demo/counted.json").read_text())
    assert counted == {"count": 3, "my_param": 42, "inputs": ["numbers"], "outputs": ["counted"]}
    assert (root / "cases/demo/numbers.json").stat() == before


def test_both_dialects_may_stand_in_one_case(make: Make) -> None:
    """They are two spellings of one table."""
    made = flow(make("data_sources: {numbers: numbers.json}\nio_mapping: {total: t.json}\npipeline: [Add]"))
    assert sorted(made.case.entries) == ["numbers", "total"]


def test_steps_are_switched_off_and_repeated(make: Make) -> None:
    """A step that is used again has a number, which it keeps while another is switched off."""
    case = """
    pipeline:
      - {plugin: Note, config: {word: one}}
      - {plugin: Note, enabled: false}
      - {plugin: Note, enabled: true, config: {word: three}}
      - {plugin: Note, name: Mine}
      - {plugin: Note, name: "Note #2"}
    """
    root = make(case)
    assert [node.step.name for node in flow(root).plan.nodes] == ["Note", "Note #3", "Mine", "Note #2 #2"]
    made = flow(root, ("Note.word=all", "Note #3.word=this"))
    assert [node.step.params.get("word") for node in made.plan.nodes] == ["all", "this", "all", "all"]


def test_retries_and_timeout_are_the_steps_own(make: Make) -> None:
    """What a case says of them reaches the step."""
    made = flow(make("pipeline: [{plugin: Note, retries: 2, timeout: 1.5}, Note]"))
    assert [(node.step.retries, node.step.timeout) for node in made.plan.nodes] == [(2, 1.5), (0, None)]


def test_a_case_is_named_or_is_a_folder(make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Under `cases_root`, by its path from where one stands, from the workspace, or absolute."""
    root = make(PLAIN, {"elsewhere/other/case.yaml": "pipeline: [Note]", "config/global.yaml": "cases_root: elsewhere"})
    project = Loom(root).project
    assert project.cases() == ["other"]
    other = root / "elsewhere/other"
    monkeypatch.chdir(root / "cases")
    assert [project.case_folder(name) for name in ("other", "elsewhere/other", other)] == [other] * 3
    assert project.case_folder("demo") == root / "cases/demo"
    for name in ("othr", "", "\0", "x" * 5000):
        with pytest.raises(UnknownNameError, match="There is no case"):
            project.case_folder(name)


def test_references_stand_anywhere_in_a_case(make: Make) -> None:
    """In paths, in parameters with their types, in what steps a case has; never in `globals` twice."""
    root = make(
        """
        globals: {folder: out, plus: 2.5, which: Add, off: false}
        io_mapping:
          numbers: numbers.json
          total: "${folder}/total.json"
        pipeline:
          - {plugin: "${which}", config: {key: "${env:HOME}", options: {a: 1}}}
          - {plugin: Show, enabled: "${off}"}
        """
    )
    made = flow(root)
    assert made.case.entries["total"].ref == "out/total.json"
    assert params(made, "Add") == {"plus": 2.5, "maxRows": 10, "key": HIDDEN, "options": {"a": 1}}
    assert made.origins[0]["plus"] == "cases/demo/case.yaml:2"


def test_every_value_says_where_it_comes_from(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """File and line, variable, or option; the rest is the step's default."""
    root = make(
        PLAIN.replace("- Add", "- plugin: Add\n        config:\n          most: 5"),
        {"config/global.yaml": "\nplugins:\n  Add:\n    plus: 1\n"},
    )
    monkeypatch.setenv("MILLPOND__ADD__KEY", "from-outside")
    rows = Workspace(root).parameters("demo", ["Add.options.b=2"])
    assert {row["parameter"]: (row["value"], row["from"]) for row in rows} == {
        "plus": (1, "config/global.yaml:4"),
        "maxRows": (5, "cases/demo/case.yaml:12"),
        "key": (HIDDEN, "environment MILLPOND__ADD__KEY"),
        "options": ({"b": 2}, "--set Add.options.b"),
    }


def test_secrets_reach_no_record(make: Make) -> None:
    """Neither the ledger nor its log nor the answer; the step itself is given the secret."""
    root = make(PLAIN.replace("- Add", "- {plugin: Add, config: {key: hidden-in-case}}"))
    workspace = Workspace(root)
    with workspace.session("demo"):
        result = workspace.run("demo")
    assert result.raise_if_failed()
    mine = [path for path in root.rglob("*") if path.is_file() and path.name != "case.yaml"]
    assert [path for path in mine if b"hidden-in-case" in path.read_bytes()] == []
    assert [path for path in mine if b"inner-secret" in path.read_bytes()] == [root / "modules/steps.py"]
    assert workspace.ran()[1][0].params.count(HIDDEN) == 1


def test_a_default_that_is_made_anew_is_recorded_as_it_was_used(make: Make) -> None:
    """What a factory made for the record is what the step is given."""
    root = make(
        "io_mapping: {made: made.json}\npipeline: [Mark]",
        {
            "modules/mark.py": """
            import uuid
            from typing import Annotated
            from pydantic import BaseModel, Field
            from framework import DataSink, plugin
            class Config(BaseModel):
                made: Annotated[dict, DataSink(name="made")] | None = None
                id: str = Field(default_factory=lambda: uuid.uuid4().hex)
            @plugin(name="Mark", default_config=Config)
            def mark(id):
                return {"id": id}
            """
        },
    )
    workspace = Workspace(root)
    assert workspace.run("demo").raise_if_failed()
    made = json.loads((root / "cases/demo/made.json").read_text())
    assert made["id"] in workspace.ran()[1][0].params


# --------------------------------------------------------------------------- a part of a case


CHAIN = MAPPED + "\n    pipeline: [Add, Note, Show, Note]\n"


def chosen(root: Path, choice: Choice) -> list[str]:
    return [node.step.name for node in flow(root, choice=choice).plan.nodes]


def test_a_part_of_a_case_is_chosen(make: Make) -> None:
    """By names, from one on, up to and with one; a step that is used twice is meant both times."""
    root = make(CHAIN, {"cases/demo/out/total.json": "{}"})
    assert chosen(root, Choice(("Note",))) == ["Note", "Note #2"]
    assert chosen(root, Choice(("Note #2", "Add"))) == ["Add", "Note #2"]
    assert chosen(root, Choice(first="Show")) == ["Show", "Note #2"]
    assert chosen(root, Choice(last="Show")) == ["Add", "Note", "Show"]
    assert chosen(root, Choice(first="Note", last="Show")) == ["Note", "Show"]


@pytest.mark.parametrize(
    ("choice", "told"),
    [
        (Choice(("Shw",)), "has no step 'Shw' that is switched on. Did you mean 'Show'?"),
        (Choice(first="Nope"), "has no step 'Nope'"),
        (Choice(first="Show", last="Add"), "'Add' comes before 'Show'"),
    ],
)
def test_a_choice_that_fits_no_step_is_an_error(make: Make, choice: Choice, told: str) -> None:
    """With exit code 20 and the nearest name."""
    with pytest.raises((UnknownNameError, TypeError)) as caught:
        chosen(make(CHAIN), choice)
    assert told in str(caught.value)


def test_one_step_before_its_input_is_made_names_who_makes_it(make: Make) -> None:
    """Exit 20; the same for data that no file keeps."""
    with pytest.raises(CaseError) as caught:
        flow(make(PLAIN), choice=Choice(("Show",)))
    assert "'total' is not there yet: no out/total.json. 'Add' makes it: millpond pipeline --case demo" in str(
        caught.value
    )
    assert "millpond plugin 'Add' --case demo" in str(caught.value)
    root = make(PLAIN.replace("total: {path: out/total.json}", "unused: {path: out/unused.json}"))
    with pytest.raises(CaseError, match=r"'Show' reads 'total', which 'Add' makes and no file keeps\. .*--from 'Add'"):
        flow(root, choice=Choice(("Show",)))


def test_a_source_that_is_not_there_names_what_is(make: Make) -> None:
    """The nearest file, and the command that makes data up, if the case has it."""
    root = make(PLAIN.replace("path: numbers.json", "path: nunbers.json") + "\n    generate_data: [Note]\n")
    with pytest.raises(CaseError) as caught:
        flow(root)
    told = str(caught.value)
    assert "cases/demo/case.yaml:5: 'numbers' is not there: no nunbers.json. Did you mean 'numbers.json'?" in told
    assert "millpond generate-data --case demo" in told


def test_who_checks_that_data_is_there_does_not_make_it(make: Make) -> None:
    """What an InitialDataReader calls its outputs is a source, which may be read under two names."""
    case = """
    data_sources: {{numbers: {0}, again: {0}}}
    pipeline:
      - {{plugin: InitialDataReader, outputs: [numbers, again]}}
    """
    assert Workspace(make(case.format("numbers.json"))).run("demo").raise_if_failed()
    with pytest.raises(CaseError) as caught:
        flow(make(case.format("gone.json")))
    assert "makes it" not in str(caught.value)
    assert len(caught.value.faults) == 1 + 1


def test_a_marker_says_how_its_data_is_read_unless_the_case_does(make: Make) -> None:
    """Handler and options of the marker hold where the mapping is silent, one by one."""
    more = {
        "modules/more.py": """
        from typing import Annotated, Any
        from pydantic import BaseModel
        from framework import DataSink, DataSource, plugin
        HOW = {"name": "csv", "delimiter": ";", "decimal": ","}
        class Config(BaseModel):
            read: Annotated[Any, DataSource(name="read", handler_args=HOW)]
            made: Annotated[dict, DataSink(name="made", handler_args={"name": "json"})] | None = None
        @plugin(name="Read", default_config=Config)
        def read(config):
            return config.read.to_dict("list")
        """,
        "cases/demo/a.txt": "x;y\n1,5;2\n",
        "cases/demo/b.txt": "x|y\n1,5|2\n",
    }
    silent = "io_mapping: {read: a.txt, made: {path: made.x, handler: json}}\npipeline: [Read]"
    root = make(silent, more)
    assert Workspace(root).run("demo").raise_if_failed()
    assert json.loads((root / "cases/demo/made.x").read_text()) == {"x": [1.5], "y": [2]}
    spoken = "io_mapping: {read: {path: b.txt, handler_args: {delimiter: '|'}}, made: made.json}\npipeline: [Read]"
    assert Workspace(make(spoken, more)).run("demo").raise_if_failed()
    assert json.loads((root / "cases/demo/made.json").read_text()) == {"x": [1.5], "y": [2]}


def test_must_exist_is_false_only_where_no_reader_needs_it(make: Make) -> None:
    """Two steps that read one piece of data: the stricter wins, and the case over both."""
    more = {
        "modules/more.py": """
        from typing import Annotated
        from pydantic import BaseModel
        from framework import DataSource, plugin
        class Loose(BaseModel):
            numbers: Annotated[list, DataSource(name="numbers", must_exist=False)] | None = None
        @plugin(name="Loose", default_config=Loose)
        def loose(config):
            assert config.numbers is None
        """
    }
    case = "io_mapping: {{numbers: {{path: gone.json{}}}}}\npipeline: [{}]"
    assert Workspace(make(case.format("", "Loose"), more)).run("demo").raise_if_failed()
    with pytest.raises(CaseError, match="'numbers' is not there"):
        flow(make(case.format("", "Loose, Add"), more))
    with pytest.raises(CaseError, match="'numbers' is not there"):
        flow(make(case.format(", must_exist: true", "Loose"), more))
    assert flow(make(case.format(", must_exist: false", "Loose, Add"), more))
    assert flow(make("pipeline: [Loose]", more))


def test_a_step_that_reads_what_another_made_nothing_of_does_not_read_what_is_old(make: Make) -> None:
    """None for a sink leaves the file, and is an error for a later step that reads it."""
    none = {
        "modules/none.py": """
        from typing import Annotated
        from pydantic import BaseModel
        from framework import DataSink, plugin
        class Config(BaseModel):
            total: Annotated[dict, DataSink(name="total")] | None = None
        @plugin(name="Nothing", default_config=Config)
        def nothing(config):
            return None
        """
    }
    root = make(MAPPED + "\n    pipeline: [Nothing, Show]\n", {**none, "cases/demo/out/total.json": '{"sum": 1}'})
    result = Workspace(root).run("demo")
    assert result.children[0].outcome.name == "WARNING"
    assert not result
    assert not (root / "cases/demo/out/text.txt").exists()


# --------------------------------------------------------------------------- from the command line


def millpond(root: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "framework", "--workspace", str(root), *words]
    home = str(Path(__file__).parents[2])
    return subprocess.run(command, capture_output=True, text=True, cwd=home, check=False)


def test_check_prints_all_faults_and_runs_nothing(make: Make) -> None:
    """Exit 20, one line for each with its place, and no file is made."""
    root = make(PLAIN.replace("- Add", "- {plugin: Add, config: {pluss: 1}}") + "\n    pipelines: []\n")
    before = sorted(path for path in (root / "cases").rglob("*"))
    done = millpond(root, "check", "--case", "demo")
    assert done.returncode == 20
    assert [line.split(" Known:")[0] for line in done.stderr.splitlines()] == [
        "millpond: the case A case has 2 faults; nothing was run:",
        "  cases/demo/case.yaml:10: 'Add' has no parameter 'pluss'. Did you mean 'plus'?",
        "  cases/demo/case.yaml:13: there is no key 'pipelines' in a case. Did you mean 'pipeline'?",
    ]
    told = json.loads(millpond(root, "check", "--case", "demo", "--json").stderr)
    assert [fault["where"] for fault in told["faults"]] == ["cases/demo/case.yaml:10", "cases/demo/case.yaml:13"]
    for command in ("pipeline", "plan", "explain"):
        assert millpond(root, command, "--case", "demo").returncode == 20
    assert sorted(path for path in (root / "cases").rglob("*")) == before


def test_settings_from_the_command_line_reach_the_step(make: Make) -> None:
    """With an equals sign, a quote and a list."""
    root = make("pipeline: [Note]")
    done = millpond(root, "pipeline", "--case", "demo", "--set", 'Note.word="a=b #1"')
    assert done.returncode == 0, done.stderr
    assert (root / "cases/demo/notes.txt").read_text() == "a=b #1\n"


def test_a_result_is_the_one_result(make: Make) -> None:
    """From Python: parameters by step, and one child for each step."""
    result: Result = Workspace(make(PLAIN)).run("demo", {"Add": {"plus": 1}, "Add.most": 3})
    assert [child.name for child in result.children] == ["Add", "Show"]
