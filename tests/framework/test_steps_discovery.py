"""Which steps a workspace has: found by reading, imported when used, and told apart."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import pytest

from framework.errors import ConfigurationException, PluginException, UnknownNameError
from framework.steps.base_plugin import ClassPlugin
from framework.steps.discovery import Catalog
from framework.steps.plugin import Plugin

Write = Callable[[str, str], Path]
pytestmark = pytest.mark.usefixtures("modules_as_before")
STEP = "from framework import plugin\n\n@plugin(name={name!r})\ndef {function}():\n    return {value!r}\n"


def step(name: str, value: object = 1, function: str = "work") -> str:
    return STEP.format(name=name, value=value, function=function)


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write_file(name: str, text: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
        return path

    return write_file


def call(catalog: Catalog, name: str) -> object:
    what = catalog.load(catalog.find(name))
    assert isinstance(what, Plugin)
    return what.function()


def test_modules_and_plugins_are_looked_through_to_their_depth(tmp_path: Path, write: Write) -> None:
    """Functions under @plugin and classes under BasePlugin, in folders with and without an `__init__.py`."""
    write("modules/a.py", step("In modules"))
    write("plugins/deep/deeper/b.py", step("In plugins"))
    write("modules/pack/__init__.py", step("In a package"))
    write(
        "modules/c.py",
        """
        from framework import BasePlugin
        class Base(BasePlugin):
            '''The base.'''
        class Mine(Base):
            '''First line.

            More.'''
            version = "7"
        class Other:
            pass
        """,
    )
    write("elsewhere/d.py", step("Not looked at"))
    catalog = Catalog(tmp_path)
    assert catalog.names() == [
        "Base",
        "In a package",
        "In modules",
        "In plugins",
        "InitialDataReader",
        "Mine",
        "RunMod",
    ]
    mine = catalog.find("Mine")
    assert (mine.form, mine.where, mine.version, mine.summary) == ("class", "modules/c.py:5", "7", "First line.")
    assert isinstance(catalog.load(mine), ClassPlugin)
    assert [call(catalog, name) for name in ("In a package", "In modules", "In plugins")] == [1, 1, 1]


def test_what_the_decorator_says_is_read_without_running_the_file(tmp_path: Path, write: Write) -> None:
    """Name by word, by place, by a constant, or the function's own; also under another name and under a condition."""
    write(
        "modules/a.py",
        """
        import framework
        from framework import plugin, plugin as step
        NAME = "By a constant"
        TAGS = make_tags = None

        @plugin(name="By word", version="1.2", tags=["x", "y"])
        def one(): "Summary."

        @plugin("By place")
        def two(): pass

        @plugin(name=NAME, version=str(1), tags=TAGS)
        def three(): pass

        @plugin()
        def own_name(): pass

        @plugin
        def bare(): pass

        @framework.plugin(name="By its module")
        def four(): pass

        @step(name="Renamed")
        def five(): pass

        if TAGS is None:
            @plugin(name="Under a condition")
            def six(): pass
        """,
    )
    found = {each.name: each for each in Catalog(tmp_path).found}
    assert set(found) == {
        "InitialDataReader",
        "RunMod",
        "By word",
        "By place",
        "By a constant",
        "own_name",
        "bare",
        "By its module",
        "Renamed",
        "Under a condition",
    }
    assert (found["By word"].version, found["By word"].tags, found["By word"].summary) == (
        "1.2",
        ("x", "y"),
        "Summary.",
    )


def test_a_name_that_is_made_at_run_time_is_told(tmp_path: Path, write: Write) -> None:
    """It hides no other step, and whoever asks for it reads why it is not known."""
    write("modules/a.py", step("Plain") + "\n@plugin(name='a' + str(1))\ndef made(): pass\n")
    catalog = Catalog(tmp_path)
    assert call(catalog, "Plain") == 1
    with pytest.raises(UnknownNameError, match=r"modules/a\.py:8 cannot be read: the name of a step is read without"):
        catalog.find("a1")


def test_a_file_that_is_no_python_hides_no_other(
    tmp_path: Path, write: Write, caplog: pytest.LogCaptureFixture
) -> None:
    """It is told in the log, once, and in the message about a step that is not found."""
    write("modules/good.py", step("Good"))
    write("modules/broken.py", "def f(:\n    pass\n")
    write("modules/nul.py", "x = 1\0")
    write("modules/my-steps.py", step("Unreachable"))
    (tmp_path / "modules/gone.py").symlink_to(tmp_path / "nowhere.py")
    with caplog.at_level(logging.WARNING):
        catalog = Catalog(tmp_path)
        Catalog(tmp_path)
    assert call(catalog, "Good") == 1
    assert [message for message in caplog.messages if "broken.py:1" in message] == [
        "modules/broken.py:1: invalid syntax; its steps are not known"
    ]
    with pytest.raises(UnknownNameError) as caught:
        catalog.find("Goood")
    told = str(caught.value)
    assert "Did you mean 'Good'?" in told
    for name in ("broken.py:1", "nul.py:", "gone.py:1", "my-steps.py:1 cannot be read: no module can have that name"):
        assert f"modules/{name}" in told


def test_folders_that_are_no_packages_are_left_alone(tmp_path: Path, write: Write) -> None:
    """A virtual environment, a cache, a folder of some other tool."""
    for folder in (".venv/lib", "__pycache__", "node-modules"):
        write(f"modules/{folder}/x.py", "this is no python")
    assert Catalog(tmp_path).unreadable == []


def test_two_steps_of_one_name_are_an_error_that_names_both(tmp_path: Path, write: Write) -> None:
    """Never does the last one win; the dotted path tells them apart."""
    write("modules/a.py", step("Same", "a"))
    write("plugins/b.py", step("Same", "b"))
    catalog = Catalog(tmp_path)
    with pytest.raises(ConfigurationException) as caught:
        catalog.find("Same")
    assert "Two steps are called 'Same': modules/a.py:4 and plugins/b.py:4." in str(caught.value)
    assert "modules.a.work or plugins.b.work" in str(caught.value)
    assert (call(catalog, "modules.a.work"), call(catalog, "plugins.b.work")) == ("a", "b")


def test_two_steps_of_one_name_in_one_file_are_an_error(tmp_path: Path, write: Write) -> None:
    """A step that was copied and not renamed."""
    write("modules/a.py", step("Same") + "\n@plugin(name='Same')\ndef again(): pass\n")
    with pytest.raises(ConfigurationException, match=r"modules/a\.py:4 and modules/a\.py:8"):
        Catalog(tmp_path).find("Same")


def test_packages_import_as_packages(tmp_path: Path, write: Write) -> None:
    """`from .config import X`, `from ..shared import Y`, `from modules.x import Z`."""
    write("modules/demo/__init__.py", "")
    write("modules/demo/config.py", "VALUE = 1")
    write("modules/shared.py", "VALUE = 2")
    text = "from .config import VALUE as one\nfrom ..shared import VALUE as two\n"
    text += "from modules.shared import VALUE as three\n"
    write("modules/demo/steps.py", text + step("Sum").replace("return 1", "return one + two + three"))
    assert call(Catalog(tmp_path), "Sum") == 5


def test_configured_modules_are_names_or_folders(tmp_path: Path, write: Write) -> None:
    """A module, a package, a folder, a folder in a folder, and the same under `src/`."""
    write("top.py", step("A module"))
    write("pack/inner.py", step("A package"))
    write("some/where/x.py", step("A folder in a folder"))
    write("src/demo/__init__.py", "")
    write("src/demo/y.py", "from .z import V\n" + step("Under src").replace("return 1", "return V"))
    write("src/demo/z.py", "V = 9")
    catalog = Catalog(tmp_path, ["top", "pack", "some/where", "demo", "demo.y", "src/demo"])
    assert [call(catalog, name) for name in ("A module", "A package", "A folder in a folder", "Under src")] == [
        1,
        1,
        1,
        9,
    ]


@pytest.mark.parametrize("name", ["no_such_module", "no/such/folder", "../outside", "", "a b", "os.path.nope"])
def test_a_configured_module_that_there_is_not_is_an_error(tmp_path: Path, name: str) -> None:
    """It says where it looked."""
    (tmp_path.parent / "outside").mkdir(exist_ok=True)
    with pytest.raises(ConfigurationException, match="plugin_modules names"):
        Catalog(tmp_path, [name])


def test_an_installed_module_can_be_configured(tmp_path: Path) -> None:
    """By its dotted name; it is read, not imported."""
    assert "InitialDataReader" in Catalog(tmp_path, ["framework.steps.context"]).names()
    assert any(path.name == "scanner.py" for path in Catalog(tmp_path, ["json"]).files)


def test_an_entry_point_of_another_distribution_is_a_step(tmp_path: Path) -> None:
    """A small distribution, as pip lays it down in a folder: found by its metadata, imported when used."""
    target, root = tmp_path / "target", tmp_path / "workspace"
    root.mkdir()
    info = target / "other_steps-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: other-steps\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[millpond]\nshout = other_steps:shout\n")
    (target / "other_steps.py").write_text(
        'PROVIDES = {"kind": "plugin", "name": "Shout", "object": "shout", "summary": "Loud."}\n'
        "from framework import plugin\nprint('imported')\n"
        "@plugin(name='Shout')\ndef shout(word: str):\n    return word.upper()\n"
    )
    code = f"""
        from pathlib import Path
        from framework import run_step
        from framework.steps.discovery import Catalog
        catalog = Catalog(Path({str(root)!r}))
        print([each.summary for each in catalog.found if each.name == "Shout"])
        print(catalog.load(catalog.find("Shout")).function(word="hello"))
    """
    assert run(code, target) == ["['Loud.']", "imported", "HELLO"]


def run(code: str, *path: Path) -> list[str]:
    """The lines that a program of its own prints."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, [*path, Path(__file__).parents[2]]))}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_listing_imports_nothing_heavy(tmp_path: Path, write: Write) -> None:
    """Neither what the steps need, nor the steps, nor pydantic, pandas and the like."""
    write("modules/a.py", "import pandas, numpy, sqlalchemy\n" + step("Heavy"))
    code = f"""
        import sys
        from pathlib import Path
        from framework.steps.discovery import Catalog
        print(Catalog(Path({str(tmp_path)!r})).names())
        heavy = ["pandas", "numpy", "pyarrow", "pydantic", "sqlalchemy", "rich", "modules.a", "modules"]
        print([name for name in heavy if name in sys.modules])
    """
    assert run(code) == ["['Heavy', 'InitialDataReader', 'RunMod']", "[]"]


def test_two_workspaces_in_one_process_have_their_own_modules(tmp_path: Path, write: Write) -> None:
    """Each gets its own `modules.x`, in whatever order they are used."""
    for name in ("one", "two"):
        write(f"{name}/modules/__init__.py", "")
        write(f"{name}/modules/shared.py", f"VALUE = {name!r}")
        write(f"{name}/modules/a.py", "from .shared import VALUE\n" + step("Tell").replace("return 1", "return VALUE"))
    one, two = tmp_path / "one", tmp_path / "two"
    told = [call(Catalog(root), "Tell") for root in (one, two, one, two)]
    assert told == ["one", "two", "one", "two"]


def test_a_workspace_does_not_see_the_modules_of_another(tmp_path: Path, write: Write) -> None:
    """What it lacks is an error, also where folders without an `__init__.py` would be one package."""
    write("one/modules/shared.py", "VALUE = 1")
    write("one/modules/a.py", "from modules.shared import VALUE\n" + step("Tell"))
    write("two/modules/a.py", "from modules.shared import VALUE\n" + step("Tell"))
    assert call(Catalog(tmp_path / "one"), "Tell") == 1
    with pytest.raises(PluginException, match=r"No module named 'modules\.shared'"):
        call(Catalog(tmp_path / "two"), "Tell")


def test_an_installed_package_of_the_same_name_is_not_taken_for_the_workspaces(tmp_path: Path, write: Write) -> None:
    """Also where the workspace stands last on the path."""
    write("installed/plugins/__init__.py", "raise AssertionError('not this one')")
    write("workspace/plugins/a.py", step("Tell", "mine"))
    sys.path[:0] = [str(tmp_path / "installed")]
    sys.path.append(str(tmp_path / "workspace"))
    assert call(Catalog(tmp_path / "workspace"), "Tell") == "mine"


def test_a_file_that_has_changed_is_imported_again(tmp_path: Path, write: Write) -> None:
    """What runs is what the code's hash is taken of; also when another file, which the step imports, has changed."""
    write("modules/shared.py", "VALUE = 1")
    write("modules/a.py", "from modules.shared import VALUE\n" + step("Tell").replace("return 1", "return VALUE"))
    assert call(Catalog(tmp_path), "Tell") == 1
    write("modules/shared.py", "VALUE = 2")
    assert call(Catalog(tmp_path), "Tell") == 2
    kept = sys.modules["modules.shared"]
    assert call(Catalog(tmp_path), "Tell") == 2
    assert sys.modules["modules.shared"] is kept


def test_a_workspace_does_not_take_the_place_of_what_is_ours(tmp_path: Path, write: Write) -> None:
    """Its own `framework/` or `json.py` does not push ours out of the process."""
    write("framework/own.py", "")
    write("json.py", step("Shadow"))
    before = sys.modules["framework"], sys.modules["json"]
    catalog = Catalog(tmp_path, ["json"])
    catalog.load(catalog.find("InitialDataReader"))
    with pytest.raises(PluginException, match="is no step once its module is imported"):
        catalog.load(catalog.find("Shadow"))
    assert (sys.modules["framework"], sys.modules["json"]) == before


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("import no_such_package.inner", "ModuleNotFoundError.*Install what it needs: pip install no_such_package"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("{}['x']", "KeyError: 'x'"),
        ("open('/no/such/file')", "FileNotFoundError"),
        ("raise SystemExit(3)", "ends the program when it is imported.*__main__"),
        ("from modules.nope import x", r"ModuleNotFoundError: No module named 'modules\.nope'\.$"),
    ],
    ids=["a package", "arithmetic", "a key", "a file", "an exit", "its own"],
)
def test_a_module_that_cannot_be_imported_says_why(tmp_path: Path, write: Write, text: str, told: str) -> None:
    """A typed error with the file and the cause, whatever it is."""
    write("modules/a.py", f"{text}\n" + step("Bad"))
    catalog = Catalog(tmp_path)
    with pytest.raises(PluginException, match=f"modules/a.py:5 cannot be imported: .*{told}|{told}"):
        catalog.load(catalog.find("Bad"))


def test_an_async_step_is_found_and_refused(tmp_path: Path, write: Write) -> None:
    """Not found would be a riddle."""
    write("modules/a.py", step("Late").replace("def work", "async def work"))
    catalog = Catalog(tmp_path)
    with pytest.raises(PluginException, match="'Late' is an async function"):
        catalog.load(catalog.find("Late"))
