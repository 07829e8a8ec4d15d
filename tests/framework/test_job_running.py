"""Jobs while they run: what runs after what, what stands, what is handed on, what a caller is told."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from framework.errors import (
    ConfigurationException,
    DatasetNotFoundError,
    LockedError,
    UnknownNameError,
)
from framework.results import Result
from framework.workspace.flows import How

if TYPE_CHECKING:
    from tests.framework.conftest import Shop

ROOT = Path(__file__).resolve().parents[2]
CHAIN = "mods: {source: {}, middle: {}, sink: {}}\n"
INCREMENTAL = "mods: {source: {incremental: true}, sink: {SINK}, plain: {PLAIN}}\nsteps: {plain: {needs: sink}}\n"


def outcomes(result: Result) -> dict[str, str]:
    return {child.name: child.outcome.name for child in result.children}


def again(shop: Shop) -> Shop:
    """As another process has it."""
    return type(shop)(shop.root)


def incremental(sink: str = "", plain: str = "") -> str:
    return INCREMENTAL.replace("SINK", sink).replace("PLAIN", plain)


# --------------------------------------------------------------------------- order


def test_a_sequence_runs_in_the_order_of_the_file_each_on_what_the_one_before_made(shop: Shop) -> None:
    """Exit code 0, and what was made is told of the job and of each mod."""
    result = shop.run(CHAIN)
    assert (result.exit_code, shop.log, shop.kept) == (0, ["source", "middle", "sink"], [0, 1])
    assert result.artifacts["middle.output_data"] == str(shop.root / "runs" / result.run_id / "middle/output_data.json")
    assert result.children[0].metrics["rows_output"] == 2
    assert result.children[0].metrics["memory_used_mb"] > 0


def test_mods_that_do_not_depend_on_one_another_run_side_by_side(shop: Shop) -> None:
    """Each waits until all three have begun; a chain stays a chain."""
    text = "mods: {source: {}, a: {mod: plain, meets: 4}, b: {mod: plain, meets: 4}, c: {mod: plain, meets: 4}}\n"
    result = shop.run(text + "steps: {a: {needs: source}, b: {needs: source}, c: {needs: source}}\n", parallel=3)
    assert result.exit_code == 0
    assert shop.log[0] == "source"


@pytest.mark.timeout(30)
def test_the_job_itself_may_say_how_many_run_at_once_and_the_caller_wins(shop: Shop) -> None:
    """With one at a time, the first would wait for the second until its own time was up."""
    text = "parallel: 2\nmods: {source: {}, a: {mod: plain, meets: 3}, b: {mod: plain, meets: 3}}\nsteps:\n"
    text += "  a: {needs: source, timeout: 2}\n  b: {needs: source, timeout: 20}\n"
    assert shop.run(text).exit_code == 0
    assert shop.log
    assert outcomes(shop.run(text, parallel=1)) == {"source": "SUCCESS", "a": "TIMEOUT", "b": "CANCELLED"}


# --------------------------------------------------------------------------- failures


def test_a_failure_stops_the_job_and_its_code_is_the_jobs(shop: Shop) -> None:
    """Bad input is 20 even where others had run before."""
    result = shop.run("mods: {source: {}, sink: {fails: true}, plain: {}}\n")
    assert (result.exit_code, outcomes(result)["plain"], shop.log) == (30, "CANCELLED", ["source", "sink"])
    assert result.errors[0].startswith("sink: ValueError: the server is away")
    result = shop.run("mods: {source: {}, sink: {input_artifact: no/such/file}}\n")
    assert (result.exit_code, shop.log) == (20, ["source"])


@pytest.mark.parametrize("parallel", [1, 2])
def test_with_on_error_continue_all_runs_that_does_not_build_on_it(shop: Shop, parallel: int) -> None:
    """Also what merely stands behind it in the file; the job ends with 30."""
    text = "mods: {a: {mod: plain, fails: true}, source: {}, middle: {}, sink: {}, b: {mod: plain}, c: {mod: plain}}\n"
    steps = "steps: {a: {on_error: continue}, c: {needs: a}}\n"
    result = shop.run(text + steps, parallel=parallel)
    done = dict.fromkeys(("source", "middle", "sink", "b"), "SUCCESS")
    assert outcomes(result) == {"a": "ERROR", **done, "c": "CANCELLED"}
    assert (result.exit_code, result.status) == (30, "error")


def test_a_mod_whose_condition_does_not_hold_is_skipped_and_so_is_what_builds_on_it(shop: Shop) -> None:
    """That is no failure; what stands beside it runs."""
    text = "globals: {dry: true}\nmods: {source: {}, middle: {}, sink: {}, plain: {}}\n"
    result = shop.run(text + "steps: {middle: {when: '${globals.dry} == false'}}\n")
    assert outcomes(result) == {"source": "SUCCESS", "middle": "SKIPPED", "sink": "SKIPPED", "plain": "SUCCESS"}
    assert (result.exit_code, shop.kept) == (0, [])
    assert result.children[1].warnings == ["skipped: ${globals.dry} == false does not hold"]


@pytest.mark.parametrize("on_error", ["stop", "continue"])
def test_a_mod_that_asks_how_another_ended_runs_when_it_failed(shop: Shop, on_error: str) -> None:
    """Also in a job that stops there; and is skipped when it did not fail."""
    text = "mods: {source: {}, sink: {fails: true}, after: {mod: plain}}\n"
    steps = f"steps: {{sink: {{on_error: {on_error}}}, after: {{when: '${{mods.sink.status}} == \"error\"'}}}}\n"
    result = shop.run(text + steps)
    assert (outcomes(result)["after"], result.exit_code) == ("SUCCESS", 30)
    result = shop.run(text.replace("true", "false") + steps)
    assert (outcomes(result)["after"], result.exit_code) == ("SKIPPED", 0)


def test_a_condition_on_what_a_failed_mod_did_not_tell_is_not_asked(shop: Shop) -> None:
    """What looks at its numbers builds on it."""
    text = "mods: {source: {fails: true}, plain: {}}\n"
    steps = "steps: {source: {on_error: continue}, plain: {when: '${mods.source.metrics.rows_output} > 1'}}\n"
    assert outcomes(shop.run(text + steps)) == {"source": "ERROR", "plain": "CANCELLED"}


def test_a_condition_that_cannot_be_told_is_a_failure_of_its_mod(shop: Shop) -> None:
    """It names the nearest thing that there is."""
    steps = "steps: {plain: {when: '${mods.source.metrics.rows_outputs} > 1'}}\n"
    result = shop.run("mods: {source: {}, plain: {}}\n" + steps)
    assert result.exit_code == 20
    assert "Did you mean 'rows_output'?" in result.errors[0]


def test_retries_run_a_mod_again_and_not_for_bad_input(shop: Shop) -> None:
    """The third try works; a file that is not there is not tried twice."""
    text = "mods: {source: {}, plain: {until: 4}}\nsteps: {plain: {retries: 2, needs: source}}\n"
    assert (shop.run(text).exit_code, shop.log) == (0, ["source", "plain", "plain", "plain"])
    text = "mods: {middle: {input_artifact: none}}\nsteps: {middle: {retries: 2}}\n"
    assert (shop.run(text).exit_code, shop.log) == (20, [])


@pytest.mark.timeout(30)
def test_a_mod_and_a_job_that_take_too_long_end_with_40(shop: Shop) -> None:
    """A mod's time is its own; the job's is that of all together, and its run is on record as failed, and told of."""
    result = shop.run("mods: {plain: {sleeps: 60}}\nsteps: {plain: {timeout: 0.2}}\n")
    assert (result.exit_code, outcomes(result)) == (40, {"plain": "TIMEOUT"})
    hook = f"{sys.executable} -c \"import sys; open('told','w').write(sys.stdin.read())\""
    text = "timeout: 0.3\nmods: {a: {mod: plain}, b: {mod: plain, sleeps: 60}}\n"
    result = shop.run(f"on_failure: {json.dumps(hook)}\n{text}")
    row, _ = shop.workspace.ran()
    assert (result.exit_code, result.run_id, row.state, row.exit_code) == (40, row.run_id, "FAILED", 40)
    assert json.loads((shop.root / "told").read_text())["exit_code"] == 40


# --------------------------------------------------------------------------- what is handed on


def test_globals_of_a_result_win_over_those_of_the_job_for_what_comes_after(shop: Shop) -> None:
    """Not for what comes beside it; in data `${` refers to nothing."""
    text = "globals: {batch: of the job}\nmods: {source: {tells: {batch: 'B$${HOME}'}}, after: {mod: plain},\n"
    text += "  said: {mod: plain, batch: 'own ${globals.batch}'}, source2: {mod: source}, beside: {mod: plain}}\n"
    text += "steps: {after: {needs: source}, said: {needs: after}, beside: {needs: source2}}\n"
    batch = {child.name: child.metrics.get("batch") for child in shop.run(text).children}
    assert (batch["after"], batch["said"], batch["beside"]) == ("B${HOME}", "own B${HOME}", "of the job")


def test_two_that_hand_on_different_values_to_a_third_are_an_error(shop: Shop) -> None:
    """Unless one comes before the other, and then the later one is heard."""
    text = "mods: {a: {mod: source, tells: {batch: A}}, b: {mod: source, tells: {batch: B}}, plain: {}}\nsteps: "
    result = shop.run(text + "{plain: {needs: [a, b]}}\n")
    assert (result.exit_code, outcomes(result)["plain"]) == (20, "ERROR")
    assert "'a' and 'b' hand on different values of 'batch' to 'plain'" in result.errors[0]
    result = shop.run(text + "{b: {needs: a}, plain: {needs: [a, b]}}\n")
    assert result.children[2].metrics["batch"] == "B"


# --------------------------------------------------------------------------- a part of a job


def test_selected_mods_take_what_the_last_run_that_succeeded_has_made(shop: Shop) -> None:
    """Not what a run made that failed later; without such a run it is bad input that names the mod."""
    with pytest.raises(DatasetNotFoundError, match="What 'source' makes is read"):
        shop.run(CHAIN, mods=["middle"])
    shop.run(CHAIN)
    shop.run("mods: {source: {rows: 5}, middle: {}, sink: {fails: true}}\n")
    assert shop.log
    assert shop.run(CHAIN, mods=["sink", "middle"]).exit_code == 0
    assert (shop.log, shop.kept) == (["middle", "sink"], [0, 1, 0, 1])
    shop.run("mods: {source: {rows: 4}, middle: {}, sink: {}}\n", mods=["source"])
    shop.run(CHAIN, mods=["middle", "sink"])
    assert shop.kept[4:] == [0, 1, 2, 3]


# --------------------------------------------------------------------------- alone


def test_one_run_of_a_job_goes_on_at_a_time(shop: Shop) -> None:
    """The second ends with 50, however its path is spelled; with `lock: false` both run."""
    path = shop.write("mods: {plain: {}}\n")
    job = shop.workspace.job(path)
    with shop.workspace._alone(job.key), pytest.raises(LockedError, match="nothing was run") as refused:
        shop.workspace.run_job(shop.root / "jobs" / ".." / "jobs" / "etl.yaml")
    assert (refused.value.exit_code, shop.log) == (50, [])
    with shop.workspace._alone(job.key):
        assert shop.run("lock: false\nmods: {plain: {}}\n").exit_code == 0


# --------------------------------------------------------------------------- resume


def test_resume_lets_stand_what_was_done_and_runs_the_rest(shop: Shop) -> None:
    """What stands says so, and is to those after it what it was; nothing is kept twice."""
    text = "mods: {source: {}, middle: {}, sink: {}, plain: {fails: ${env:FAILS}}}\n"
    text += "steps: {plain: {when: '${mods.sink.status} == \"success\"'}}\n"
    shop.workspace.run_job(shop.write(text.replace("${env:FAILS}", "true")))
    assert shop.log == ["source", "middle", "sink", "plain"]
    with pytest.raises(ConfigurationException, match=r"'fails' of 'plain' has changed since.*--fresh"):
        shop.run(text.replace("${env:FAILS}", "false"), resume=True)
    (shop.root / "mods/plain.py").write_text(
        (shop.root / "mods/plain.py").read_text().replace("if params.fails", "if 0")
    )
    result = again(shop).run(text.replace("${env:FAILS}", "true"), resume=True)
    assert (result.exit_code, shop.log, shop.kept) == (0, ["plain"], [0, 1])
    assert outcomes(result)["middle"] == "SKIPPED"


def test_resume_runs_again_what_made_something_that_is_gone_or_changed(shop: Shop) -> None:
    """And all that builds on it; a sink knows that it has kept it."""
    text = "mods: {source: {}, middle: {}, sink: {}, plain: {until: 6}}\nsteps: {plain: {needs: sink}}\n"
    first = shop.run(text)
    assert first.exit_code == 30
    (shop.root / "runs" / first.run_id / "middle/output_data.json").write_text("[7]")
    result = shop.run(text, resume=True)
    assert outcomes(result) == {"source": "SKIPPED", "middle": "SUCCESS", "sink": "SUCCESS", "plain": "SUCCESS"}
    assert shop.kept == [0, 1]


def test_resume_needs_a_run_and_does_nothing_to_one_that_succeeded(shop: Shop) -> None:
    """A job that has never run is an error; one that succeeded begins anew."""
    with pytest.raises(UnknownNameError, match="has not run yet"):
        shop.run(CHAIN, resume=True)
    shop.run(CHAIN)
    assert shop.log
    assert shop.run(CHAIN, resume=True).exit_code == 0
    assert shop.log == ["source", "middle", "sink"]
    shop.run("mods: {source: {}, middle: {}, sink: {fails: true}}\n")
    assert shop.log
    assert shop.run(CHAIN, fresh=True).exit_code == 0
    assert shop.log == ["source", "middle", "sink"]


def test_a_run_of_some_of_its_mods_does_not_hide_the_run_that_failed(shop: Shop) -> None:
    """It is gone on with all the same."""
    text = "mods: {source: {}, sink: {}, a: {mod: source}, plain: {until: 5}}\nsteps: {plain: {needs: sink}}\n"
    assert shop.run(text).exit_code == 30
    assert shop.run(text, mods=["a"]).exit_code == 0
    result = shop.run(text, resume=True)
    assert (result.exit_code, outcomes(result)["sink"], shop.log[-1]) == (0, "SKIPPED", "plain")


# --------------------------------------------------------------------------- incremental


def test_a_cursor_moves_once_all_that_depends_on_it_is_done(shop: Shop) -> None:
    """Then the next run reads on; what a condition skipped does not hold it up, and what only reads moves none."""
    text = "mods: {source: {incremental: true}, sink: {}, plain: {}}\n"
    text += "steps: {plain: {when: '${mods.sink.status} == \"error\"'}}\n"
    assert shop.workspace.run_mod("source", {"incremental": True}).exit_code == 0
    for _ in range(3):
        assert shop.run(text).exit_code == 0
    assert shop.kept == [0, 1, 2, 3, 4, 5]
    only = "mods: {source: {incremental: true}, middle: {}}\n"
    for _ in range(2):
        result = shop.run(only)
        assert json.loads(Path(result.artifacts["middle.output_data"]).read_text()) == [6, 7]


def test_a_job_that_failed_after_reading_goes_on_by_itself(shop: Shop) -> None:
    """Whatever was kept is kept once; the cursor moves though the source did not run again."""
    text = "mods: {source: {incremental: true}, sink: {}, plain: {until: 4}}\nsteps: {plain: {needs: sink}}\n"
    assert shop.run(text).exit_code == 30
    result = shop.run(text)
    assert (result.exit_code, outcomes(result)["source"], shop.kept) == (0, "SKIPPED", [0, 1])
    assert shop.run(text).exit_code == 0
    assert shop.kept == [0, 1, 2, 3]


def test_what_was_read_and_not_kept_is_not_forgotten_by_a_change_of_the_job(shop: Shop) -> None:
    """It is refused, and --fresh begins anew; a run of other mods of it is let through."""
    assert shop.run(incremental(plain="fails: true")).exit_code == 30
    with pytest.raises(ConfigurationException, match=r"It has read source.*--fresh"):
        shop.run(incremental())
    with pytest.raises(ConfigurationException, match="run of all its mods"):
        shop.run(incremental(plain="fails: true"), mods=["source", "sink"])
    assert shop.run(incremental(), mods=["plain"]).exit_code == 0
    assert shop.run(incremental(), fresh=True).exit_code == 0


def test_a_run_of_other_mods_that_failed_does_not_hide_what_was_read_before_it(shop: Shop) -> None:
    """All of the job goes on with what it had read, and keeps it once."""
    text = incremental(plain="until: 5")
    assert shop.run(text).exit_code == 30
    assert shop.run(text, mods=["plain"]).exit_code == 30
    result = shop.run(text)
    assert (result.exit_code, outcomes(result)["source"], shop.kept) == (0, "SKIPPED", [0, 1])


def test_a_run_that_was_broken_off_as_it_went_on_hides_nothing_of_the_one_before_it(shop: Shop) -> None:
    """Of two sources it had taken over one: the next run takes over both, and reads neither again."""
    text = "mods: {source: {incremental: true}, other: {mod: source, incremental: true}, sink: {}, plain: {until: 5}}\n"
    text += "steps: {plain: {needs: sink}}\n"
    assert shop.run(text).exit_code == 30

    def interrupted(result: Result) -> None:
        if result.name == "other":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        shop.run(text, how=How(on_done=interrupted))
    result = shop.run(text)
    assert (result.exit_code, shop.kept) == (0, [0, 1]), result.errors
    assert [outcomes(result)[name] for name in ("source", "other", "sink")] == ["SKIPPED"] * 3


@pytest.mark.parametrize("died", ["source", "sink"])
def test_a_job_whose_process_is_killed_neither_loses_nor_doubles_a_row(shop: Shop, died: str) -> None:
    """Right after the sink has kept its rows, or before they were read: the next run makes it whole."""
    text = "mods: {source: {incremental: true, dies: SOURCE}, sink: {dies: SINK}}\n"
    dying = text.replace(died.upper(), "'${DIES}'").replace("SOURCE", "false").replace("SINK", "false")
    path = shop.write(dying)
    code = f"from framework.workspace import Workspace; Workspace({str(shop.root)!r}).run_job({str(path)!r})"
    kept = {name: value for name, value in os.environ.items() if not name.startswith("MILLPOND")}
    env = {**kept, "PYTHONPATH": str(ROOT), "DIES": "true"}
    assert subprocess.run([sys.executable, "-c", code], env=env, check=False).returncode == -9
    assert shop.workspace.ran()[0].reason == "crashed"
    mod = shop.root / "mods" / f"{died}.py"
    mod.write_text(mod.read_text().replace("if params.dies", "if 0"))
    os.environ["DIES"] = "true"
    try:
        for _ in range(2):
            assert shop.workspace.run_job(path).exit_code == 0
    finally:
        del os.environ["DIES"]
    assert shop.kept == [0, 1, 2, 3]


# --------------------------------------------------------------------------- what it leaves


def test_folders_of_runs_are_removed_by_their_age(shop: Shop) -> None:
    """Those of runs alone, and not younger ones."""
    text = "mods: {source: {}}\n"
    old, young = shop.run(text).run_id, shop.run(text).run_id
    own = shop.root / "runs" / "mine"
    own.mkdir()
    for each in (shop.root / "runs" / old, own):
        os.utime(each, (time.time() - 31 * 86400,) * 2)
    new = shop.run(text).run_id
    assert {each.name for each in (shop.root / "runs").iterdir()} == {young, new, "mine"}


def test_a_parquet_artifact_has_its_metadata_beside_it(shop: Shop) -> None:
    """Rows, columns, who made it; told as the artifact `metadata`."""
    shop.write("id,name\n007,Ada\n", "in.csv")
    result = shop.run("mods: {csv_reader: {input_path: in.csv}}\n")
    made = Path(result.artifacts["csv_reader.output_data"])
    told: dict[str, Any] = json.loads(Path(result.artifacts["csv_reader.metadata"]).read_text())
    assert result.artifacts["csv_reader.metadata"] == str(made.with_name("output_data.metadata.json"))
    assert (told["rows"], [each["name"] for each in told["columns"]]) == (1, ["id", "name"])
    assert told["made_by"] == {"mod": "csv_reader", "version": "1.0.0", "run_id": result.run_id}
