from __future__ import annotations

import copy
import logging
import os
import pickle
import subprocess
import sys
import traceback
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from framework.errors import SettingError
from framework.layers import find_workspace
from framework.redact import redact
from framework.settings import FIELDS, SECRETS, Settings, as_settings, redacted, require

ROOT = Path(__file__).resolve().parents[2]
CANARY = "c4n@ry/s%cret'7"
ENCODED = "c4n%40ry%2Fs%25cret%277"
SPEC_NAMES = {
    "DB_SERVER": None,
    "DB_NAME": "millpond",
    "DB_USER": "postgres",
    "DB_PASSWORD": None,
    "DB_PORT": 5432,
    "DB_URL": None,
    "DB_SCHEMA": "public",
    "FS_DATA": "./data",
    "FS_TEMP": "./temp",
    "FS_BACKUP": "./backup",
    "ARCTIC_HOST": None,
    "ARCTIC_LIBRARY": "millpond",
    "ARCTIC_URI": None,
    "FINVIZ_BASE_URL": "https://finviz.com",
    "LOCK_TIMEOUT": 30,
    "BACKUP_OPTIONS": None,
    "BACKUP_KEEP": 30,
    "LEDGER_URL": None,
    "LEDGER_KEEP": 1000,
    "LEDGER_DAYS": 365,
    "RUNS_DAYS": 30,
    "PREPARED_DAYS": 365,
    "ON_FAILURE": None,
}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder three levels down, and an environment that sets nothing."""
    for name in (*SPEC_NAMES, "PW"):
        monkeypatch.delenv(name, raising=False)
    inner = tmp_path / "a" / "b" / "ws"
    inner.mkdir(parents=True)
    monkeypatch.chdir(inner)
    return inner


def private_env(folder: Path, text: str) -> Path:
    path = folder / ".env"
    path.write_text(text)
    path.chmod(0o600)
    return path


def test_nothing_set_gives_the_defaults() -> None:
    """The names are the specification's and the additions; DB_SERVER None is the embedded server."""
    settings = as_settings()
    assert {name: getattr(settings, name) for name in SPEC_NAMES} == SPEC_NAMES
    assert set(FIELDS) == set(SPEC_NAMES)
    assert {settings.origin(name) for name in SPEC_NAMES} == {"default"}
    assert settings.database is None
    assert settings.database_url is None


def test_each_layer_wins_over_those_below_and_is_remembered(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """default < millpond.yaml < .env < environment < passed object < option."""
    (folder / "millpond.yaml").write_text(
        "# ours\nsettings:\n" + "".join(f"  {name}: yaml\n" for name in ("DB_NAME", "DB_USER", "DB_SCHEMA", "FS_TEMP"))
    )
    private_env(folder, "\n\n# theirs\nexport DB_USER=dotenv\nDB_SCHEMA='dotenv'\nFS_TEMP=dotenv\nOTHER=x\n")
    monkeypatch.setenv("DB_SCHEMA", "environment")
    monkeypatch.setenv("FS_TEMP", "environment")
    config = SimpleNamespace(FS_TEMP="passed", FS_BACKUP="passed", unrelated=1)
    settings = as_settings(config, FS_BACKUP="option")
    said = {name: (getattr(settings, name), settings.origin(name)) for name in SPEC_NAMES}
    assert said["ARCTIC_LIBRARY"] == ("millpond", "default")
    assert said["DB_NAME"] == ("yaml", f"{folder}/millpond.yaml:3")
    assert said["DB_USER"] == ("dotenv", f"{folder}/.env:4")
    assert said["DB_SCHEMA"] == ("environment", "environment")
    assert said["FS_TEMP"] == ("passed", "passed object (SimpleNamespace)")
    assert said["FS_BACKUP"] == ("option", "option")
    assert "OTHER" not in os.environ
    assert "DB_USER" not in os.environ


def test_any_object_class_module_or_mapping_can_be_passed() -> None:
    """Attributes of the settings' names are taken, properties too; what it lacks, or None, comes from below."""

    class Config:
        FS_DATA = "mine"
        FS_TEMP = None

        @property
        def DB_PORT(self) -> int:
            return 6000

    class Plain:
        FS_DATA = "mine"

    module = ModuleType("service_config")
    module.FS_DATA = Path("mine")  # type: ignore[attr-defined]
    assert as_settings(Plain).FS_DATA == as_settings({"FS_DATA": "mine"}).FS_DATA == as_settings(module).FS_DATA
    settings = as_settings(Config())
    assert (settings.DB_PORT, settings.FS_TEMP, settings.DB_NAME) == (6000, "./temp", "millpond")
    assert as_settings(module).origin("FS_DATA") == "passed object (service_config)"
    for wrong in ("text", b"x", 5, ["FS_DATA"]):
        with pytest.raises(SettingError, match="passed as the configuration"):
            as_settings(wrong)


def test_settings_pass_as_they_are_and_options_make_new_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Settings whose DB_SERVER is None stays embedded whatever the environment says later."""
    settings = Settings()
    monkeypatch.setenv("DB_SERVER", "elsewhere")
    assert as_settings(settings) is settings
    other = as_settings(settings, FS_DATA="/other")
    assert (other.FS_DATA, other.database, settings.FS_DATA) == ("/other", None, "./data")
    assert as_settings().DB_SERVER == "elsewhere"


def test_a_passed_localhost_is_a_server_there() -> None:
    """DB_SERVER said by an object names a server, with the parts beside it."""
    config = SimpleNamespace(DB_SERVER="localhost", DB_NAME="my project", DB_USER="me@x", DB_PASSWORD=CANARY)
    database = as_settings(config).database
    assert database is not None
    assert database.url.get_secret_value() == f"postgresql://me%40x:{ENCODED}@localhost:5432/my%20project"
    assert database.shown == "postgresql://me%40x:***@localhost:5432/my%20project"
    assert as_settings(DB_SERVER="::1").database_url.get_secret_value().startswith("postgresql://postgres@[::1]:5432/")  # type: ignore[union-attr]
    socket = as_settings(DB_SERVER="/run/postgresql").database_url.get_secret_value()  # type: ignore[union-attr]
    assert socket == "postgresql://postgres@/millpond?host=%2Frun%2Fpostgresql&port=5432"


def test_db_url_wins_over_the_parts_unless_a_higher_layer_says_db_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """An address in the environment does not redirect a service whose own configuration names its server."""
    monkeypatch.setenv("DB_URL", "postgresql+psycopg://u@far/db")
    monkeypatch.setenv("DB_SERVER", "near")
    assert as_settings().database_url.get_secret_value() == "postgresql://u@far/db"  # type: ignore[union-attr]
    passed = as_settings(SimpleNamespace(DB_SERVER="mine"))
    assert passed.database_url.get_secret_value() == "postgresql://postgres@mine:5432/millpond"  # type: ignore[union-attr]
    assert as_settings(DB_SERVER=None).database is None


def test_an_empty_text_unsets_what_may_be_unset(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`DB_SERVER=` in the environment means the embedded server again; an empty folder is an error."""
    (folder / "millpond.yaml").write_text("settings: {DB_SERVER: far}\n")
    monkeypatch.setenv("DB_SERVER", "")
    assert as_settings().DB_SERVER is None
    monkeypatch.setenv("FS_DATA", " ")
    with pytest.raises(SettingError, match=r"FS_DATA \(environment\) must be a folder"):
        as_settings()


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("DB_PORT", "fast", "a whole number from 1 to 65535, not 'fast'"),
        ("DB_PORT", 0, "a whole number"),
        ("DB_PORT", True, "a whole number"),
        ("DB_PORT", 1.5, "a whole number"),
        ("LOCK_TIMEOUT", "-1", "seconds, 0 or more"),
        ("LOCK_TIMEOUT", "nan", "seconds, 0 or more"),
        ("FS_DATA", 5, "a folder, not 5. Put the value in quotes"),
        ("FS_DATA", "a\0b", "a folder"),
        ("DB_NAME", ["x"], "text"),
        ("DB_SERVER", f"postgres://u:{CANARY}@h", "a host name"),
        ("DB_URL", f"mysql://u:{CANARY}@h/db", "an address, postgresql://"),
        ("DB_URL", f"host=h password={CANARY}", "an address, postgresql://"),
        ("DB_PASSWORD", 4111222233334444, "text"),
        ("FINVIZ_BASE_URL", "ftp://finviz.com", "https:// and a host"),
        ("FINVIZ_BASE_URL", f"https://u:{CANARY}@finviz.com", "without a user"),
        ("FINVIZ_BASE_URL", "http://[", "https:// and a host"),
    ],
)
def test_a_value_of_the_wrong_kind_says_what_is_expected_and_no_secret(name: str, value: object, said: str) -> None:
    """The error names setting, origin and expectation; a secret's value is in no part of it."""
    with pytest.raises(SettingError) as caught:
        as_settings({name: value})
    assert f"{name} (passed mapping) must be " in str(caught.value)
    assert said in str(caught.value)
    everything = "".join(traceback.format_exception(caught.value)) + repr(vars(caught.value))
    assert CANARY not in everything
    assert "4111222233334444" not in everything
    assert caught.value.__context__ is None


def test_a_wrong_value_in_a_file_is_told_with_its_line(folder: Path) -> None:
    """millpond.yaml and .env are named with the line at fault; every fault is told at once."""
    (folder / "millpond.yaml").write_text("settings:\n  FS_DATA: d\n  DB_PORT: high\n")
    private_env(folder, "\nLOCK_TIMEOUT=long\n")
    with pytest.raises(SettingError) as caught:
        as_settings()
    assert f"DB_PORT ({folder}/millpond.yaml:3)" in str(caught.value)
    assert f"LOCK_TIMEOUT ({folder}/.env:2)" in str(caught.value)
    assert caught.value.exit_code == 20


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\n\nsetings:\n  X: 1\n", "millpond.yaml:1: there is no key 'a'. Known: settings, stores."),
        ("\nsetings: {}\n", "millpond.yaml:2: there is no key 'setings'. Did you mean 'settings'?"),
        ("settings:\n  FS_DATE: x\n", "millpond.yaml:2: there is no setting 'FS_DATE'. Did you mean 'FS_DATA'?"),
        ("FS_DATA: x\n", "millpond.yaml:1: there is no key 'FS_DATA'. It belongs under `settings:`"),
        ("- x\n", "millpond.yaml:1: the file is not a mapping"),
        ("\nsettings: [x]\n", "millpond.yaml:2: settings is not a mapping"),
        ("stores:\n  crm: postgres\n", "millpond.yaml:2: stores.crm is not a mapping"),
        ("settings:\n  FS_DATA: ${NOWHERE}\n", "millpond.yaml:2: the variable NOWHERE is not set"),
        ("settings: {\n", "millpond.yaml:2:"),
        ("settings: !!python/object/apply:os.system [x]\n", "millpond.yaml:1: the tag"),
        ("settings: {FS_DATA: a, FS_DATA: b}\n", "millpond.yaml:1: 'FS_DATA' is set twice"),
    ],
)
def test_a_faulty_file_is_told_with_its_line_and_cure(folder: Path, text: str, said: str) -> None:
    """Unknown keys, wrong shapes, undefined variables and broken YAML are SettingErrors with file:line."""
    (folder / "millpond.yaml").write_text(text)
    with pytest.raises(SettingError) as caught:
        as_settings()
    assert f"{folder}/{said}" in str(caught.value)


def test_an_empty_file_or_section_says_nothing(folder: Path) -> None:
    """millpond.yaml may be empty: it then only marks the workspace."""
    for text in ("", "# only this\n", "settings:\nstores:\n"):
        (folder / "millpond.yaml").write_text(text)
        assert as_settings().FS_DATA == "./data"


def test_variables_come_from_the_environment_and_the_env_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`${NAME}` is put in once, as text, then typed; the environment wins over .env."""
    (folder / "millpond.yaml").write_text("settings: {FS_DATA: '${ROOM}/d', DB_PORT: '${env:P}'}\n")
    private_env(folder, "ROOM=dotenv\nP=6543\nQ=${P}\nDB_NAME=${P}\n")
    monkeypatch.setenv("ROOM", "${P}\nadmin: true")
    settings = as_settings()
    assert settings.FS_DATA == "${P}\nadmin: true/d"
    assert settings.DB_PORT == 6543
    assert settings.DB_NAME == "${P}"


def test_configured_stores_keep_their_lines_and_cannot_be_changed(folder: Path) -> None:
    """`settings.stores` is a copy; its values say where they are written."""
    (folder / "millpond.yaml").write_text("stores:\n  crm:\n    type: postgres\n    parts: [a, b]\n  x: {type: csv}\n")
    settings = as_settings()
    assert settings.stores == {"crm": {"type": "postgres", "parts": ["a", "b"]}, "x": {"type": "csv"}}
    assert settings.origin("stores", "crm", "parts", 1) == f"{folder}/millpond.yaml:4"
    settings.stores["crm"]["parts"].append("c")
    assert settings.stores["crm"]["parts"] == ["a", "b"]
    more = as_settings({"stores": {"crm": {"type": "csv"}, "y": {"type": "temp"}}})
    assert {name: store["type"] for name, store in more.stores.items()} == {"crm": "csv", "x": "csv", "y": "temp"}
    assert more.origin("stores", "crm", "type") == "passed mapping"
    with pytest.raises(SettingError, match="not a mapping"):
        as_settings(stores=["crm"])


def test_the_workspace_is_the_first_marked_folder_of_three(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The current folder and two above it, then the script's three, else the current folder."""
    deep = tmp_path / "p" / "jobs" / "sub"
    deep.mkdir(parents=True)
    script = tmp_path / "q" / "s" / "run.py"
    script.parent.mkdir(parents=True)
    (tmp_path / "q" / "config").mkdir()
    (tmp_path / "q" / "config" / "global.yaml").touch()
    monkeypatch.chdir(deep)
    assert find_workspace() == (deep, "current folder")
    assert find_workspace(script) == (tmp_path / "q", "has config/global.yaml")
    (tmp_path / "millpond.yaml").touch()
    assert find_workspace() == (deep, "current folder")  # a fourth level is not looked at
    (tmp_path / "p" / "project_defaults.yaml").touch()
    assert find_workspace(script) == (tmp_path / "p", "has project_defaults.yaml")
    (deep / "millpond.yaml").touch()
    assert find_workspace(script) == (deep, "has millpond.yaml")


def test_relative_paths_start_at_the_workspace(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever the command runs within it; absolute ones and `~` stay."""
    (folder / "millpond.yaml").write_text("settings: {FS_TEMP: /scratch, FS_BACKUP: ~/keep}\n")
    (folder / "sub").mkdir()
    monkeypatch.chdir(folder / "sub")
    settings = as_settings()
    assert settings.workspace == folder
    assert settings.data_folder == folder / "data"
    assert settings.own_folder == folder / "data" / ".millpond"
    assert settings.temp_folder == Path("/scratch")
    assert settings.backup_folder == Path.home() / "keep"
    named = as_settings(workspace=tmp_path)
    assert (named.data_folder, named.origin("workspace")) == (tmp_path / "data", "option")
    with pytest.raises(SettingError, match="is not a folder"):
        as_settings(workspace=tmp_path / "none")


def test_a_missing_setting_lists_every_place_that_was_looked_in(folder: Path) -> None:
    """`require` answers with the value, or with where it could be set."""
    settings = as_settings(SimpleNamespace(DB_NAME="x"))
    assert require(settings, "DB_NAME") == "x"
    with pytest.raises(SettingError) as caught:
        require(settings, "ARCTIC_URI")
    for place in ("options", "SimpleNamespace", "environment", f"{folder}/.env", f"{folder}/millpond.yaml (not there)"):
        assert place in str(caught.value)
    with pytest.raises(SettingError, match="Did you mean 'ARCTIC_URI'"):
        require(settings, "ARTIC_URI")


def test_settings_cannot_be_changed() -> None:
    """Assigning is an error that shows no value; a deep copy is the same object."""
    settings = as_settings(DB_PASSWORD=CANARY)
    for name in ("FS_DATA", "DB_PASSWORD", "anything"):
        with pytest.raises(SettingError) as caught:
            setattr(settings, name, CANARY)
        assert CANARY not in str(caught.value)
    assert copy.deepcopy(settings) is settings
    assert copy.copy(settings) == settings


def test_an_unknown_option_is_an_error_with_the_nearest_name() -> None:
    """A mistyped option is not ignored."""
    with pytest.raises(SettingError, match=r"There is no setting 'FS_DATTA'\. Did you mean 'FS_DATA'"):
        as_settings(FS_DATTA="x")


def hits(text: str) -> list[str]:
    return [form for form in (CANARY, ENCODED, ENCODED.lower(), repr(CANARY)[1:-1]) if form in text]


def test_a_secret_is_in_nothing_that_shows_the_settings(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Plain to code that reads the attribute, masked in repr, str, dumps and describe."""
    monkeypatch.setenv("PW", CANARY)
    (folder / "millpond.yaml").write_text(
        f"settings:\n  DB_PASSWORD: ${{PW}}\n  DB_URL: postgresql://u:{ENCODED}@h/d\n"
    )
    settings = as_settings(ARCTIC_URI=f"s3://h:b?secret={CANARY}", BACKUP_OPTIONS={"key": "k", "secret": CANARY})
    assert settings.DB_PASSWORD == CANARY
    assert settings.backup_options == {"key": "k", "secret": CANARY}
    assert settings.DB_URL.endswith(f":{ENCODED}@h/d")  # type: ignore[union-attr]
    assert settings.ARCTIC_URI.endswith(CANARY)  # type: ignore[union-attr]
    shown = [repr(settings), str(settings), f"{settings}", str(settings.model_dump()), settings.model_dump_json()]
    shown += [str(settings.describe()), repr(settings.database), settings.database.shown, str(vars(settings))]  # type: ignore[union-attr]
    shown += [repr(settings.__pydantic_private__), str([settings.origin(name) for name in SPEC_NAMES])]
    assert [hits(text) for text in shown] == [[]] * len(shown)
    assert ("DB_PASSWORD", "***", f"{folder}/millpond.yaml:2") in settings.describe()
    assert {"DB_PASSWORD", "DB_URL", "ARCTIC_URI", "BACKUP_OPTIONS", "LEDGER_URL", "ON_FAILURE"} == SECRETS


def test_a_traceback_that_shows_local_variables_shows_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    """A fault elsewhere does not drag the password along."""
    monkeypatch.setenv("DB_PASSWORD", CANARY)
    monkeypatch.setenv("DB_PORT", "high")
    with pytest.raises(SettingError) as caught:
        as_settings()
    shown = traceback.TracebackException.from_exception(caught.value, capture_locals=True)
    assert hits("".join(shown.format())) == []


def test_settings_are_not_pickled() -> None:
    """A pickle would hold the secret; the error says what to pass instead."""
    with pytest.raises(SettingError, match="workspace"):
        pickle.dumps(as_settings(DB_PASSWORD=CANARY))


def test_secrets_that_settings_hold_are_masked_in_foreign_text(folder: Path) -> None:
    """What a driver's error or a library's log quotes: as it is, percent-encoded, as repr, of configured stores too."""
    (folder / "millpond.yaml").write_text(
        "stores:\n  crm: {type: postgres, url: 'postgresql://u:Other-c4n4ry@h/d'}\n"
        "  s3: {type: x, api_key: k3y-c4n4ry}\n"
    )
    as_settings(DB_PASSWORD=CANARY)
    foreign = f"could not connect: {CANARY} {ENCODED} {CANARY!r} {ENCODED.lower()} Other-c4n4ry k3y-c4n4ry"
    assert hits(redact(foreign)) == []
    assert "c4n4ry" not in redact(foreign)
    assert redact("nothing to hide: a@b, x=1, http://host/p") == "nothing to hide: a@b, x=1, http://host/p"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgresql://u:pw@h:5432/d", "postgresql://u:***@h:5432/d"),
        ("postgresql://u:p%40w%2F@h/d", "postgresql://u:***@h/d"),
        ("postgresql://u:p@w/x y@h/d", "postgresql://u:***@h/d"),
        ("postgresql://u@h/d?password=pw&sslmode=require", "postgresql://u@h/d?password=***&sslmode=require"),
        ("redis://:pw@h", "redis://:***@h"),
        ("host=h password='a b' user=u", "host=h password=*** user=u"),
        ("https://finviz.com/x", "https://finviz.com/x"),
    ],
)
def test_an_address_is_shown_without_its_password(url: str, shown: str) -> None:
    """Whatever the password is made of, the rest stays readable."""
    assert redacted(url) == shown


def test_an_env_file_that_others_can_read_is_told_once(folder: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A warning, not a refusal; a private one is silent; a line that is none is an error with its number."""
    path = private_env(folder, f"DB_PASSWORD={CANARY}\n")
    with caplog.at_level(logging.WARNING, logger="millpond"):
        assert as_settings().DB_PASSWORD == CANARY
        assert caplog.text == ""
        path.chmod(0o644)
        as_settings()
        as_settings()
    assert caplog.text.count(str(path)) == 1
    assert CANARY not in caplog.text
    private_env(folder, f"A=1\n\n'{CANARY}\n")
    with pytest.raises(SettingError, match=r"\.env:3 is not NAME=value") as caught:
        as_settings()
    assert "c4n" not in str(caught.value)


def test_importing_settings_loads_neither_yaml_nor_dotenv_nor_pandas() -> None:
    """They are loaded when a file is there."""
    code = (
        "import sys; from framework.settings import as_settings; as_settings();"
        "print([n for n in ('yaml', 'dotenv', 'pandas', 'rich') if n in sys.modules])"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.strip() == "[]"
