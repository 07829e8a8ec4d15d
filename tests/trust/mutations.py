"""Take each protection out of a copy of the code, and see which experiment notices.

    python tests/trust/mutations.py [results.jsonl] [words of the mutations to run ...]

Each experiment is first run on an unchanged copy: one that fails there proves nothing about what is taken out. One that
no experiment notices, and one whose text is no longer there, end it with an error.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
COPIED = ("framework", "implementations", "scrapers", "calculators", "config.py", "pyproject.toml", "tests")
FILES, FOLDER = "framework/files.py", "framework/folder.py"
SIDECAR, PLACES = "framework/sidecar.py", "framework/vault/places.py"
MARK = "framework/formats/parquet_mark.py"
POWER = ("test_power_loss.py", "power_may and not full")
KILLS, CALLS = "test_kills.py", "test_syscalls.py"
CROWD, DISK, BITS = "test_neighbours.py", "test_full_disk.py", "test_bits.py"
JOBS = "framework/workspace/jobs.py"
RESUMING = "framework/engine/resuming.py"
BETWEEN = ("test_jobs_killed.py", "between_two_steps and sqlite-append")


@dataclass(frozen=True)
class Mutation:
    """A protection, how it is taken out, and the experiment that must notice."""

    what: str
    file: str
    old: str
    new: str
    test: str
    pick: str


MUTATIONS = [
    Mutation(
        "the sync of a file before it is renamed",
        FILES,
        "        os.fsync(descriptor)\n        check_bytes(path, written)\n        return",
        "        check_bytes(path, written)\n        return",
        *POWER,
    ),
    Mutation(
        "the sync of the folder after the rename",
        FILES,
        "        raise\n    sync_folder(folder)\n",
        "        raise\n",
        *POWER,
    ),
    Mutation(
        "the sync of a new folder's name",
        FILES,
        "folder.mkdir(exist_ok=True)\n    sync_folder(folder.parent)",
        "folder.mkdir(exist_ok=True)",
        *POWER,
    ),
    Mutation(
        "the sync after a deletion",
        FILES,
        "path.unlink()\n    sync_folder(path.parent)",
        "path.unlink()",
        *POWER,
    ),
    Mutation(
        "the rename: the file is copied over the old one",
        FILES,
        "        os.rename(beside, path)\n",
        "        path.write_bytes(Path(beside).read_bytes())\n        os.unlink(beside)\n",
        *POWER,
    ),
    Mutation(
        "the rename: the file is copied over the old one (a process dies)",
        FILES,
        "        os.rename(beside, path)\n",
        "        path.write_bytes(Path(beside).read_bytes())\n        os.unlink(beside)\n",
        CALLS,
        "each_system and SIGKILL and parquet",
    ),
    Mutation(
        "reading back what was written",
        FILES,
        "        os.fsync(descriptor)\n        check_bytes(path, written)\n",
        "        os.fsync(descriptor)\n",
        CALLS,
        "swallowed and not each",
    ),
    Mutation(
        "removing the temporary file after an error",
        FILES,
        "        with suppress(OSError):\n            os.unlink(beside)\n        raise",
        "        raise",
        DISK,
        "disk_leaves and not many",
    ),
    Mutation(
        "sweeping what dead writers left",
        FILES,
        "                (path.parent / name).unlink(missing_ok=True)\n",
        "                (path.parent / name).exists()\n",
        KILLS,
        "csv and not many",
    ),
    Mutation(
        "the system's errors as ours",
        FILES,
        "        raise wrapped from error",
        "        raise",
        CALLS,
        "EIO and not each",
    ),
    Mutation(
        "the writer's lock",
        FILES,
        "            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)\n",
        "            str(descriptor)\n",
        CROWD,
        "acknowledged_is_stored and parquet and not many",
    ),
    Mutation(
        "the record of the file that is being replaced",
        SIDECAR,
        "paths[1] if here is not None and here.path == paths[0] else paths[0]",
        "paths[0] if here is None else here.path",
        *POWER,
    ),
    Mutation(
        "the record of the file that is being replaced (a process dies)",
        SIDECAR,
        "paths[1] if here is not None and here.path == paths[0] else paths[0]",
        "paths[0] if here is None else here.path",
        CALLS,
        "each_system and SIGKILL and csv",
    ),
    Mutation(
        "the sync of a record that is written where it lies",
        SIDECAR,
        "        os.fdatasync(descriptor)\n",
        "",
        *POWER,
    ),
    Mutation(
        "the checksums of a CSV file's blocks",
        SIDECAR,
        "if zlib.crc32(block) != next(left, None):",
        "if False:",
        BITS,
        "changes_no_frame and csv",
    ),
    Mutation(
        "the checksums of a Parquet file's blocks",
        MARK,
        " or zlib.crc32(block) != self.blocks[number]:",
        ":",
        BITS,
        "changes_no_frame and parquet",
    ),
    Mutation(
        "the checksum of a Parquet file's footer",
        MARK,
        "whole = zlib.crc32(footer, zlib.crc32(table + fixed[:4])) == crc",
        "whole = True",
        BITS,
        "of_a_footer",
    ),
    Mutation(
        "the checksums of a backup's files",
        "framework/vault/manifest.py",
        " or sha256(path) != digest",
        "",
        BITS,
        "of_a_backup",
    ),
    Mutation(
        "the sync of a backup's bytes",
        FOLDER,
        "    with replacing(target, digest=False) as sink:\n        copy_into(sink, source)\n",
        '    with open(target, "wb") as sink:\n        copy_into(sink, source)\n',
        *POWER,
    ),
    Mutation(
        "the sync of the vault's folder after the rename",
        PLACES,
        "        os.rename(made, folder / backup_id)\n        sync_folder(folder)",
        "        os.rename(made, folder / backup_id)",
        *POWER,
    ),
    Mutation(
        "the rename of a backup that is removed",
        PLACES,
        "        os.rename(folder, gone)",
        "        gone = folder",
        CALLS,
        "each_system and SIGKILL and parquet",
    ),
    Mutation(
        "the backup before a save with backup",
        "framework/store/saving.py",
        "            elif not self.vault.backup_data(name)[0]:",
        "            elif False:",
        KILLS,
        "parquet and not many",
    ),
    Mutation(
        "the sync after a dataset is renamed",
        FOLDER,
        "        os.rename(source, target)\n        sync_folder(target.parent)",
        "        os.rename(source, target)",
        *POWER,
    ),
    Mutation(
        "the one transaction of a save in PostgreSQL: the old rows go in one of their own",
        "implementations/storage/postgres_store/replacing.py",
        '    place.run("TRUNCATE {}", place.target)\n',
        '    place.run("TRUNCATE {}; COMMIT; BEGIN", place.target)\n',
        KILLS,
        "many_killed and postgres",
    ),
    Mutation(
        "the lock of a dataset in PostgreSQL",
        "implementations/storage/postgres_store/holding.py",
        'f"SELECT pg_advisory_lock({self._key})"',
        '"SELECT 1"',
        CROWD,
        "dead_holders and postgres and not many",
    ),
    Mutation(
        "the lock of a symbol in ArcticDB",
        FILES,
        "            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)\n",
        "            str(descriptor)\n",
        CROWD,
        "acknowledged_is_stored and arctic and not many",
    ),
    Mutation(
        "reading other processes' versions in ArcticDB",
        "implementations/storage/arctic_store/handles.py",
        'set_config_int("VersionMap.ReloadInterval", 0)',
        'set_config_int("VersionMap.ReloadInterval", 10**10)',
        CROWD,
        "acknowledged_is_stored and arctic and not many",
    ),
    Mutation(
        "the cursor's wait for the sink: it moves when the source has been read",
        JOBS,
        "                run.note(result)\n",
        "                run.note(result)\n"
        "                told = [(_state_key(job, n), s, v) for n, m in run.moved.items() for s, v in m.items()]\n"
        "                with closing(self.ledger) as early:\n"
        "                    early.move_cursors(told, row.run_id)\n",
        *BETWEEN,
    ),
    Mutation(
        "the load id, by which an append knows what it has kept",
        "implementations/mods/sinks/database_writer.py",
        'load_id = here.load_id if params.mode == "append" else ""',
        'load_id = ""',
        *BETWEEN,
    ),
    Mutation(
        "going on, unasked, with a run that has read an incremental source",
        JOBS,
        "if before is None or not (resume or before.read):",
        "if before is None or not resume:",
        *BETWEEN,
    ),
    Mutation(
        "what an earlier run has read, where the one that went on with it died at once",
        RESUMING,
        "        rows = _of_all(row, runs[place:], steps, run)\n",
        "        rows = {each.name: each for each in steps(row.run_id)}\n"
        "        return Before(row, rows, [name for name, each in rows.items() if each.metrics.get('cursors')])\n",
        *BETWEEN,
    ),
    Mutation(
        "the refusal to read again what is gone and may be kept",
        RESUMING,
        "        if gone:\n",
        "        if False:\n",
        "test_jobs_killed.py",
        "what_is_gone",
    ),
    Mutation(
        "the one transaction of rows and load id in SQLite: each batch is committed by itself",
        "implementations/mods/sinks/database/rows.py",
        "        put(batch)\n",
        '        put(batch)\n        target.connection.exec_driver_sql("COMMIT")\n'
        '        target.connection.exec_driver_sql("BEGIN IMMEDIATE")\n',
        "test_jobs_killed.py",
        "none_twice and sqlite and not each",
    ),
]


def copied(to: Path) -> None:
    """The code and its tests, without what they made."""
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, to / name, ignore=shutil.ignore_patterns("__pycache__", ".*"))
        else:
            shutil.copy(source, to / name)


def ran(copy: Path, test: str, pick: str) -> subprocess.CompletedProcess[str]:
    """The experiment on the copy."""
    words = ["-x", "-p", "no:cacheprovider", "--tb=short", "-k", pick]
    environment = {name: value for name, value in os.environ.items() if name != "MILLPOND_TRUST_RESULTS"}
    environment |= {"PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
    return subprocess.run(
        [sys.executable, "-m", "pytest", f"tests/trust/{test}", *words],
        cwd=copy,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def first_words(output: str) -> str:
    """What the experiment said was wrong, in a line."""
    told = re.search(r"E +(?:\w+\.)*(?:AssertionError: )?((?:torn|lost|duplicated|stuck): .*)", output)
    told = told or re.search(r"^E +((?:\w+\.)*\w+(?:Error|Exception): (?!Traceback).+)", output, re.MULTILINE)
    told = told or re.search(r"^E +(.+)", output, re.MULTILINE)
    text = re.sub(r"(?<![\w.])/\S*/", "", told[1] if told else "it failed").replace("|", "/")
    return text[:140]


def last_words(done: subprocess.CompletedProcess[str]) -> str:
    """How an experiment ended that did not fail: it passed, was skipped, or did not run at all."""
    return ((done.stdout.strip() or done.stderr.strip()).splitlines() or ["nothing"])[-1][:140]


@cache
def sound(test: str, pick: str) -> bool:
    """Whether the experiment passes on a copy from which nothing was taken."""
    with tempfile.TemporaryDirectory(prefix="millpond-mutant-") as folder:
        copied(Path(folder))
        return ran(Path(folder), test, pick).returncode == 0


def tried(mutation: Mutation) -> dict[str, str | int]:
    """Take it out and run the experiment: what caught it."""
    if not sound(mutation.test, mutation.pick):
        return _line(mutation, "nothing", f"{mutation.test} -k '{mutation.pick}' fails with the protection in place")
    with tempfile.TemporaryDirectory(prefix="millpond-mutant-") as folder:
        copy = Path(folder)
        copied(copy)
        path = copy / mutation.file
        text = path.read_text(encoding="utf-8")
        if mutation.old not in text:
            return _line(mutation, "nothing", f"its text is no longer in {mutation.file}")
        path.write_text(text.replace(mutation.old, mutation.new), encoding="utf-8")
        done = ran(copy, mutation.test, mutation.pick)
    caught = done.returncode == 1 and "\nFAILED " in done.stdout
    if not caught:
        return _line(mutation, "nothing", f"{mutation.test} -k '{mutation.pick}' ends with: {last_words(done)}")
    return _line(mutation, f"`{mutation.test}`", first_words(done.stdout))


def _line(mutation: Mutation, caught: str, words: str) -> dict[str, str | int]:
    return {
        "experiment": "mutation",
        "store": mutation.what,
        "trials": 1,
        "file": mutation.file,
        "caught": caught,
        "words": words,
    }


def main(arguments: list[str]) -> int:
    """Run those whose words are given, or all; 1 if one was not noticed."""
    results = Path(arguments[0]) if arguments else None
    chosen = [each for each in MUTATIONS if not arguments[1:] or any(word in each.what for word in arguments[1:])]
    missed = 0
    for mutation in chosen:
        line = tried(mutation)
        missed += line["caught"] == "nothing"
        print(f"{line['caught']:30} {mutation.what}: {line['words']}", flush=True)
        if results:
            with results.open("a", encoding="utf-8") as sink:
                sink.write(json.dumps(line) + "\n")
    return min(missed, 1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
