"""Every code block of README and docs runs, in the order of its page, in an empty folder."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
SHOWN_ONLY = {"mermaid", "text"}
MAKE = re.compile(r"^make \w+", re.MULTILINE)


@dataclass
class Block:
    page: Path
    line: int
    language: str
    code: str


def blocks(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    return [Block(page, text.count("\n", 0, found.start()) + 1, found[1], found[2]) for found in FENCE.finditer(text)]


NEEDS = {"use-arcticdb.md": "arcticdb"}  # a page about an extra that not every environment has
WITH_CODE = [page for page in PAGES if any(block.language not in SHOWN_ONLY for block in blocks(page))]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, with no setting but the defaults, whose server is stopped at the end."""
    home = tmp_path / "service"
    home.mkdir()
    monkeypatch.chdir(home)
    for name in list(os.environ):
        if name.startswith(("DB_", "FS_", "ARCTIC_", "FINVIZ_", "MILLPOND")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    yield home
    for data in home.rglob("data"):
        if (data / ".millpond" / "postgres").is_dir():
            subprocess.run(
                [sys.executable, "-m", "framework", "--workspace", str(data.parent), "db", "stop"], check=True
            )


def run_bash(code: str, cwd: Path, **env: str) -> str:
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", code], cwd=cwd, env={**os.environ, **env}, capture_output=True, text=True
    )
    assert done.returncode == 0, f"{code}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.mark.parametrize("page", WITH_CODE, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_code_block_of_a_page_runs(page: Path, folder: Path) -> None:
    """What a page shows works as it stands."""
    package = NEEDS.get(page.name)
    if package is not None and importlib.util.find_spec(package) is None:
        pytest.skip(f"the page is about {package}, which is not installed")
    namespace: dict[str, object] = {"__name__": "docs"}
    sys.path.insert(0, str(folder))
    try:
        for block in blocks(page):
            run_block(block, folder, namespace)
    finally:
        sys.path.remove(str(folder))


def run_block(block: Block, folder: Path, namespace: dict[str, object]) -> None:
    if block.language == "python" and (quoted := re.match(r"# (\S+\.py), in part\n", block.code)):
        whole = (ROOT / quoted[1]).read_text(encoding="utf-8")
        assert block.code[quoted.end() :] in whole, f"{block.page}:{block.line}: {quoted[1]} reads otherwise"
    elif block.language == "python":
        named = re.match(r"# (\S+/\S+\.py)\n", block.code)
        if named:  # a file of the reader's service: also found by the command that is run beside it
            path = folder / named[1]
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.code)
        exec(compile("\n" * block.line + block.code, str(block.page), "exec", dont_inherit=True), namespace)
    elif block.language == "bash" and not MAKE.search(block.code):
        run_bash(block.code, folder)
    elif block.language == "bash":
        assert block.code.split("\n")[:-1] == ["make demo", "make test"]  # run below, and by who runs this
    elif block.language == "yaml":
        named = re.match(r"# (\S+\.yaml)\n", block.code)
        path = folder / (named[1] if named else "millpond.yaml")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(block.code)
    elif block.language == "cron":
        run_cron(block.code, folder)
    else:
        assert block.language in SHOWN_ONLY, f"{block.page}:{block.line}: nothing runs {block.language!r}"


def run_cron(code: str, folder: Path) -> None:
    """The line as cron would run it, with its folder ours and the site a replica."""
    from scrapers.finviz_replica import FinvizReplica

    command = code.split(maxsplit=5)[5]
    assert "cd /srv/stocks && .venv/bin/millpond" in command
    (folder / ".venv").mkdir()
    (folder / ".venv" / "bin").symlink_to(Path(sys.executable).parent)
    with FinvizReplica(refusals=0) as site:
        run_bash(command.replace("/srv/stocks", str(folder)), Path("/"), FINVIZ_BASE_URL=site.base_url)
    assert "parquet" not in run_bash("millpond ls temp", folder)
    assert "postgres:AAA_energy" in run_bash("millpond ls postgres", folder)


def test_make_demo_runs_in_a_clone(folder: Path, tmp_path: Path) -> None:
    """The first command of the README, in a copy of the checkout that has its environment already."""
    clone = tmp_path / "clone"
    shutil.copytree(ROOT, clone, ignore=shutil.ignore_patterns(".*", "data", "temp", "backup", "__pycache__"))
    stamp = f"{sys.prefix}/.installed-embedded"
    make = ["make", "-o", stamp, "-o", f"{sys.prefix}/bin/python", f"VENV={sys.prefix}", "demo"]
    done = subprocess.run(make, cwd=clone, capture_output=True, text=True)
    subprocess.run([sys.executable, "-m", "framework", "--workspace", str(clone), "db", "stop"], check=False)
    assert done.returncode == 0, done.stderr
    assert "Try next:" in done.stdout


def test_pages_link_only_to_what_is_there() -> None:
    """No link of a page leads nowhere."""
    for page in [*PAGES, ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md"]:
        for target in re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            assert "://" in target or (page.parent / target).exists(), f"{page}: {target}"


def test_the_settings_page_lists_every_setting_with_its_default() -> None:
    """The reference is what the code says."""
    from framework.settings import FIELDS

    page = (ROOT / "docs" / "reference" / "settings.md").read_text(encoding="utf-8")
    rows = dict(re.findall(r"^\| `(\w+)` \| `?([^`|]+?)`? \|", page, re.MULTILINE))
    assert rows == {name: "none" if field.default is None else str(field.default) for name, field in FIELDS.items()}


def test_the_commands_page_lists_every_command() -> None:
    """The reference is what the command has."""
    page = (ROOT / "docs" / "reference" / "commands.md").read_text(encoding="utf-8")
    shown = run_bash(f"{sys.executable} -m framework --help", ROOT)
    for command in re.findall(r"^  ([a-z][a-z-]*)  ", shown, re.MULTILINE):
        assert re.search(rf"`[^`]*\b{command}\b", page), command


def test_the_architecture_page_draws_every_room() -> None:
    """The house as drawn is the house as built."""
    drawn = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rooms = [path for path in (ROOT / "framework").iterdir() if not path.name.startswith(("_", "."))]
    for room in rooms:
        name = f"{room.name}/" if room.is_dir() else room.name
        assert name in drawn or room.suffix == ".typed", name
