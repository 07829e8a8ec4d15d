"""Bad cases: all that is wrong with one is told together, with its place and the nearest right name; nothing is run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from framework import CaseError, ConfigurationException
from framework.engine.flow import Loom

pytestmark = pytest.mark.usefixtures("modules_as_before")
STEPS = """
from typing import Annotated
from pydantic import BaseModel, Field
from framework import BasePlugin, DataSink, DataSource, plugin

class Config(BaseModel):
    numbers: Annotated[list, DataSource(name="numbers")]
    total: Annotated[dict, DataSink(name="total")] | None = None
    plus: float = 0
    rows: int = Field(1, ge=1)

@plugin(name="Add", default_config=Config)
def add(config):
    raise AssertionError("it was run")

@plugin(name="Plain")
def plain():
    raise AssertionError("it was run")

@plugin(name="Takes")
def takes(nubers, case_pth=None):
    raise AssertionError("it was run")

@plugin(name="Late")
async def late():
    raise AssertionError("it was run")

class Kind(BasePlugin):
    class Params(BaseModel):
        size: int = 1
"""
DATA = "io_mapping:\n  numbers: numbers.json\n  total: total.json\n"
Root = Callable[..., Path]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A workspace with steps and a number of files."""
    for name, text in {
        "millpond.yaml": "",
        "modules/steps.py": STEPS,
        "cases/demo/numbers.json": "[1]",
        "secret.json": "{}",
        "cases/demo-2/x.json": "{}",
    }.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (tmp_path / "cases/demo/link").symlink_to(tmp_path)
    (tmp_path / "cases/demo/round").symlink_to(tmp_path / "cases/demo/round")
    return tmp_path


def faults(root: Path, case: str | bytes, settings: tuple[Any, ...] = (), **files: str) -> list[str]:
    """What is told of the case, without the names of what there is."""
    (root / "cases/demo/case.yaml").write_bytes(case if isinstance(case, bytes) else case.encode())
    for name, text in files.items():
        path = root / {"project": "project_defaults.yaml", "world": "config/global.yaml"}[name]
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    before = sorted(path for path in root.rglob("*") if "__pycache__" not in path.parts)
    with pytest.raises(CaseError) as caught:
        Loom(root).flow("demo", settings=settings)
    assert caught.value.exit_code == 20
    assert sorted(path for path in root.rglob("*") if "__pycache__" not in path.parts) == before
    told = [str(fault).split(" Known:")[0].removeprefix("cases/demo/") for fault in caught.value.faults]
    assert all(fault in str(caught.value) for fault in told)
    return told


def test_all_faults_are_told_together_in_the_order_of_their_places(root: Path) -> None:
    """Of the project's files, of every part of the case, of the plan, of the environment and the options."""
    case = """\
case_nme: x
replayable: maybe
io_mapping:
  numbers: {path: numbers.jsn, handlr: json}
  total: {path: ../total.json}
  odd: {path: odd.json, handler: jsn}
  more: {path: more.csv, handler_args: {delimeter: ";"}}
pipeline:
  - plugin: Ad
  - plugin: Add
    enabled: 1
    retry: 3
    retries: -1
    timeout: soon
    inputs: {a: b}
    config:
      plus: many
      rows: 0
      rwos: 5
      numbers: 3
  - Late
  - {plugin: Kind, config: {size: big}}
  - Takes
  - 5
"""
    world = "plugins:\n  Addd: {plus: 1}\n"
    assert faults(root, case, ("Add.plsu=1", "Nope.x=1", "what"), world=world) == [
        "--set Add.plsu: 'Add' has no parameter 'plsu'. Did you mean 'plus'?",
        "--set Nope.x: the case has no step 'Nope' that is switched on.",
        '--set what: this is not STEP.PARAM=VALUE. As in --set "My step.rate=0.3".',
        "case.yaml:1: there is no key 'case_nme' in a case. Did you mean 'case_name'?",
        "case.yaml:2: replayable is 'maybe'. Write true or false.",
        "case.yaml:4: 'numbers' has no key 'handlr'. Did you mean 'handler'?",
        "case.yaml:4: No handler is known for the extension '.jsn' of numbers.jsn. Name one with handler:, 'dir' for a"
        " folder. Did you mean '.json'?",
        "case.yaml:5: The path of 'total' leaves the case's folder: ../total.json. Write `outside: true` beside it if"
        " that is meant.",
        "case.yaml:6: There is no handler 'jsn'. Did you mean 'json'?",
        "case.yaml:7: The handler 'csv' has no option 'delimeter'. Did you mean 'delimiter'?",
        "case.yaml:9: There is no step 'Ad'. Did you mean 'Add'?",
        "case.yaml:11: enabled is 1. Write true or false.",
        "case.yaml:12: a step has no key 'retry'. Did you mean 'retries'?",
        "case.yaml:13: retries is -1. Write a whole number from 0 to 100.",
        "case.yaml:14: timeout is 'soon'. Write seconds, more than 0.",
        "case.yaml:15: inputs is not a list of names. inputs: [first, second]",
        "case.yaml:17: 'Add': plus: input should be a valid number, unable to parse string as a number.",
        "case.yaml:18: 'Add': rows: input should be greater than or equal to 1.",
        "case.yaml:19: 'Add' has no parameter 'rwos'. Did you mean 'rows'?",
        "case.yaml:20: 'Add': numbers: is data, which the case names, not a parameter.",
        "case.yaml:21: The step 'Late' is an async function, and a step is done when it returns. Write it with `def`,"
        " and call what is async inside by asyncio.run(...).",
        "case.yaml:22: 'Kind': size: input should be a valid integer, unable to parse string as an integer.",
        "case.yaml:23: 'Takes' takes 'nubers', which is neither a service, nor a parameter, nor data. Did you mean"
        " 'numbers'?",
        "case.yaml:24: a step says no plugin. Write `- plugin: NAME`.",
        "config/global.yaml:2: there is no step 'Addd'. Did you mean 'Add'?",
    ]


NO_YAML = {
    "empty": ("", "case.yaml:1: pipeline is not a list of steps. Write `- plugin: NAME` lines under it."),
    "a list": ("- a\n- b", "case.yaml:1: the file is not a mapping. Write lines of `name: value`."),
    "a word": ("word", "case.yaml:1: the file is not a mapping"),
    "tabs": ("pipeline:\n\t- Add", "case.yaml:2: "),
    "duplicate keys": ("pipeline: [Add]\npipeline: [Add]", "case.yaml:2: "),
    "a duplicate entry": ("io_mapping:\n  a: x.json\n  a: y.json\npipeline: [Plain]", "case.yaml:3: "),
    "a tag": ("pipeline: !!python/object/apply:os.system ['touch /tmp/x']", "case.yaml:1: the tag '!!python/object"),
    "a doubtful word": ("pipeline:\n  - {plugin: Add, enabled: no}", "case.yaml:2: no is a bool to some readers"),
    "two documents": ("pipeline: [Plain]\n---\npipeline: [Plain]", "case.yaml:2: "),
    "not UTF-8": (b"pipeline: [Plain]\ncase_name: \xff", "case.yaml:2: not UTF-8"),
    "no pipeline": ("case_name: x", "case.yaml:1: pipeline is not a list of steps"),
    "a pipeline of another shape": ("pipeline: {a: b}", "case.yaml:1: pipeline is not a list of steps"),
    "an empty pipeline": ("pipeline: []", "case.yaml:1: pipeline is not a list of steps"),
    "2 MB": ("pipeline: [Plain]\ncase_name: " + "x" * (2 << 20), "case.yaml:1: more than 1,048,576 bytes"),
    "a bomb": (
        "a: &a [x, x, x, x, x, x, x, x, x, x]\n"
        + "".join(f"{b}: &{b} [{', '.join([f'*{a}'] * 10)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)),
        "case.yaml:",
    ),
}


@pytest.mark.parametrize("name", NO_YAML)
@pytest.mark.timeout(20)
def test_a_file_that_is_no_case_is_told_with_its_line(root: Path, name: str) -> None:
    """A CaseError as any other: exit 20, `file:line`."""
    text, told = NO_YAML[name]
    found = faults(root, text)
    assert found[0].startswith(told)
    assert len(found) == 1


def test_project_files_are_checked_as_cases_are(root: Path) -> None:
    """Both of them; what is wrong with them is told before the case is read."""
    case = DATA + "pipeline: [Add]"
    assert faults(root, case, world="case_root: x", project="a: [") == [
        "config/global.yaml:1: there is no key 'case_root' here. Did you mean 'cases_root'?",
        "project_defaults.yaml:2: while parsing a flow node did not find expected node content.",
    ]
    assert faults(root, case, world="cases_root: [1]\nplugin_modules: modules", project="- a") == [
        "config/global.yaml:1: cases_root is not text. cases_root: a/folder",
        "config/global.yaml:2: plugin_modules is not a list of names. plugin_modules: [my_steps]",
        "project_defaults.yaml:1: the file is not a mapping. Write lines of `name: value`.",
    ]
    for name in ("config/global.yaml", "project_defaults.yaml"):
        (root / name).unlink()
    (root / "config/global.yaml").write_text("\nplugin_modules: [modlues]")
    with pytest.raises(ConfigurationException, match=r"config/global\.yaml:2: plugin_modules names 'modlues'"):
        Loom(root).flow("demo")


def test_layers_of_another_shape_are_faults(root: Path) -> None:
    """Wherever a mapping should stand."""
    assert faults(root, DATA + "globals: 5\npipeline:\n  - {plugin: Add, config: [1]}", world="plugins: [{a: b}]") == [
        "case.yaml:4: globals is not a mapping. Write `name: value` under it.",
        "case.yaml:6: config is not a mapping. Write `name: value` under it.",
        "config/global.yaml:1: plugins is not a mapping. Write `name: value` under it.",
    ]


ENTRIES = {
    "number": ("5", "'x' is not a mapping. Write `path:`, or `store:` and `dataset:`, under it."),
    "nothing": ("{}", "'x' says no place. Write `path: folder/file.csv`, or `store:` and `dataset:`."),
    "path and store": ("{path: a.csv, store: csv}", "'x' has a path and a store."),
    "a dataset without a store": ("{dataset: a}", "'x' has a dataset and no store. Write `store:` beside it."),
    "a handler in a store": ("{store: csv, handler: json}", "'x' lies in a store, where handler means nothing."),
    "an unknown store": ("{store: nostore}", "There is no store 'nostore'"),
    "path of a number": ("{path: 5}", "path of 'x' is 5. Write text."),
    "blank path": ("{path: ' '}", "path of 'x' is ' '. Write text."),
    "handler of a list": ("{path: a.csv, handler: [csv]}", "handler of 'x' is ['csv']. Write text."),
    "handler_args of a list": ("{path: a.csv, handler_args: [1]}", "handler_args of 'x' is not a mapping."),
    "must_exist of a word": ("{path: a.csv, must_exist: maybe}", "must_exist of 'x' is 'maybe'. Write true or false."),
    "must_exist of a number": ("{path: a.csv, must_exist: 1}", "must_exist of 'x' is 1. Write true or false."),
    "no extension": ("{path: abc}", "'abc' has no extension that says how to read it."),
    "up": ("{path: ../demo-2/x.json}", "The path of 'x' leaves the case's folder: ../demo-2/x.json."),
    "up and down": ("{path: a/../../x.json}", "leaves the case's folder"),
    "absolute": ("{path: /etc/passwd, handler: text}", "leaves the case's folder: /etc/passwd."),
    "home": ("{path: ~/x.json}", "leaves the case's folder: ~/x.json."),
    "a link": ("{path: link/secret.json}", "leaves the case's folder: link/secret.json."),
    "NUL": ('{path: "a\\0.json"}', "The path of 'x' holds a NUL."),
    "its own folder": ("{path: ., handler: dir}", "The path of 'x' is the case's own folder: .."),
    "above its own folder": ("{path: .., handler: dir, outside: true}", "is the case's own folder: ..."),
    "its own file": ("{path: case.yaml}", "The path of 'x' is the case's own file."),
}


@pytest.mark.parametrize("name", ENTRIES)
def test_an_entry_that_cannot_be_is_a_fault(root: Path, name: str) -> None:
    """Read or not: at its line, with what to write."""
    said, told = ENTRIES[name]
    (root / "cases/demo/case.yaml").write_text(f"\nio_mapping:\n  x: {said}\npipeline: [Plain]")
    with pytest.raises(CaseError) as caught:
        Loom(root, open_store=_stores).flow("demo")
    assert len(caught.value.faults) == 1
    assert f"cases/demo/case.yaml:3: {told}" in str(caught.value) or told in str(caught.value)
    assert caught.value.faults[0].where == "cases/demo/case.yaml:3"


def _stores(name: str) -> Any:
    from framework import DataFactory

    return DataFactory().create_store(name)


def test_a_dataset_that_is_not_there_is_a_fault(root: Path, tmp_path: Path) -> None:
    """Looked for in its store before the first step."""
    from framework import DataFactory

    case = "io_mapping:\n  numbers: {store: csv, dataset: nope}\npipeline: [Add]"
    (root / "cases/demo/case.yaml").write_text(case)
    settings = {"FS_DATA": str(tmp_path / "data"), "FS_BACKUP": str(tmp_path / "backup")}
    factory = DataFactory(config=type("Config", (), settings)())
    with pytest.raises(CaseError, match="nope") as caught:
        Loom(root, open_store=factory.create_store).flow("demo")
    assert caught.value.faults[0].where == "cases/demo/case.yaml:2"


def test_a_path_may_leave_with_leave(root: Path) -> None:
    """`outside: true`, said beside it."""
    case = "io_mapping:\n  numbers: {path: ../../secret.json, outside: true}\n  round: round/x.json\npipeline: [Add]"
    (root / "cases/demo/case.yaml").write_text(case)
    flow = Loom(root).flow("demo")
    assert flow.case.entries["numbers"].path is not None
    assert flow.case.entries["numbers"].path.resolve() == root / "secret.json"


def test_one_name_in_both_tables_is_a_fault(root: Path) -> None:
    """They are two spellings of one table."""
    assert faults(root, "data_sources:\n  a: a.json\nio_mapping:\n  a: b.json\npipeline: [Plain]") == [
        "case.yaml:4: 'a' is in data_sources and in io_mapping. They are one table: take out one; the other is at"
        " cases/demo/case.yaml:2."
    ]


def test_two_pieces_of_data_in_one_place_are_a_fault_if_one_is_written(root: Path) -> None:
    """Else a step would read, or lose, what another wrote under another name; reading one file twice is fine."""
    written = "io_mapping:\n  numbers: numbers.json\n  total: t.json\n  other: {}\npipeline: [Add]"
    assert faults(root, written.format("./t.json")) == [
        "case.yaml:4: 'other' lies where 'total' (cases/demo/case.yaml:3) lies, which 'Add' writes. Give it another"
        " place, or call both by one name."
    ]
    inside = "io_mapping:\n  numbers: d/numbers.json\n  total: {path: d, handler: dir}\npipeline: [Add]"
    (root / "cases/demo/d").mkdir()
    (root / "cases/demo/d/numbers.json").write_text("[1]")
    assert faults(root, inside)[0].startswith(
        "case.yaml:2: 'numbers' lies in the folder 'total', which 'Add' replaces."
    )
    (root / "cases/demo/case.yaml").write_text(written.format("numbers.json"))
    assert Loom(root).flow("demo")


def test_what_a_reference_should_have_been_is_told_once(root: Path) -> None:
    """Not again as a value of a wrong type."""
    case = DATA + "globals: {a: '${a}'}\npipeline:\n  - plugin: Add\n    config: {plus: '${nope}', rows: '${a}'}"
    assert faults(root, case) == [
        "case.yaml:4: ${a} stands for itself: a -> a. Write the value itself into one of them.",
        "case.yaml:7: ${nope} stands for nothing: there is no nope among the globals, in the environment or in .env.",
    ]


def test_a_template_is_plain_text(root: Path) -> None:
    """Nothing in braces is worked out."""
    (root / "cases/demo/case.yaml").write_text("case_name: '{{7*7}}'\npipeline: [Plain]")
    assert Loom(root).flow("demo").case.name == "{{7*7}}"


def test_variables_for_steps_that_there_are_not_are_faults(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A misspelt one would silently do nothing."""
    monkeypatch.setenv("MILLPOND__PLIAN__X", "1")
    monkeypatch.setenv("MILLPOND__PLAIN__X", "1")
    monkeypatch.setenv("MILLPOND__WORD", "1")
    assert faults(root, "pipeline: [Plain]") == [
        "environment MILLPOND__PLAIN__X: 'Plain' has no parameter 'x'. There are none yet.",
        "environment MILLPOND__PLIAN__X: there is no step PLIAN. Did you mean 'PLAIN'?",
        "environment MILLPOND__WORD: this is not MILLPOND__<STEP>__<PARAM>.",
    ]


def test_settings_of_steps_that_do_not_run_are_faults(root: Path) -> None:
    """Of a step that is switched off, or that there is not."""
    case = "pipeline: [Plain, {plugin: Add, enabled: false}]"
    assert faults(root, case, ("Add.plus=1",)) == ["--set Add.plus: the case has no step 'Add' that is switched on."]
    assert faults(root, case, ("Plan.x=1",)) == [
        "--set Plan.x: the case has no step 'Plan' that is switched on. Did you mean 'Plain'?"
    ]


def test_a_broken_file_of_steps_is_told_where_its_step_is_missed(root: Path) -> None:
    """With the line that cannot be read."""
    (root / "modules/broken.py").write_text("x = 1\ndef f(:\n")
    assert "modules/broken.py:2 cannot be read: invalid syntax" in faults(root, "pipeline: [Mine]")[0]


@pytest.mark.timeout(60)
def test_a_thousand_faults_are_told_in_good_time(root: Path) -> None:
    """A nearest name is looked for only so many times."""
    told = faults(root, "pipeline:\n" + "".join(f"  - Step number {number}\n" for number in range(3000)))
    assert len(told) == 3000
