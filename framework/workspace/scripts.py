"""Running a user's script as a process of its own, with parameters, within the session's log and on record."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from framework.errors import DatasetNotFoundError, StepError, StepTimeoutError
from framework.files import storage_errors
from framework.logs import current_session, log_context
from framework.results import Outcome, Result
from framework.steps.models import masked
from framework.workspace.flows import AS_USUAL, How
from framework.workspace.jobs import Jobs

PARAMS, SESSION = "MILLPOND_PARAMS", "MILLPOND_SESSION"  # what the script's process is told in its environment
GRACE = 10.0  # seconds between the word to end and the end
AT_ONCE = 1.0  # the same where we are told to end ourselves, and have not long
LOOK = 0.05  # seconds between two looks at what is left of a group
ERRORS = {20: Outcome.ERROR, 30: Outcome.ERROR, 40: Outcome.TIMEOUT, 50: Outcome.CANCELLED}
KNOWN = {0: Outcome.SUCCESS, 10: Outcome.WARNING, **ERRORS}


class Scripts(Jobs):
    """What a workspace does with scripts; see `Workspace` for the parameters."""

    def script_params(self, path: str | os.PathLike[str] | None) -> dict[str, Any]:
        """The parameters of a script, as a file says them, with what `${...}` in it stands for."""
        from framework.engine.faults import Faults
        from framework.engine.parameters import Layers, Value

        if path is None:
            return {}
        from framework.engine.case import as_document

        file, faults = Path(path).expanduser().absolute(), Faults()
        if not file.is_file():
            raise DatasetNotFoundError(f"File not found: {file}", cure="Name a YAML file.", resource=str(path))
        document = as_document(file, self.settings.workspace, faults)
        layers = Layers(self.project.files, document, (), {}, self.variables, faults, root=self.settings.workspace)
        values = {
            key: layers.references.resolved(Value(value, document.where((key,))))
            for key, value in document.value.items()
        }
        faults.check(file.name)
        return values

    def run_script(
        self,
        path: str | os.PathLike[str],
        params: Mapping[str, Any] | None = None,
        arguments: Sequence[str] = (),
        *,
        timeout: float | None = None,
        log_level: str | None = None,
        how: How = AS_USUAL,
    ) -> Result:
        """Run a Python script: its Result.

        Parameters
        ----------
        params : mapping, optional
            What `get_params()` answers in it.
        arguments : sequence of str
            Its `sys.argv`.
        timeout : float, optional
            Seconds, after which it and all that it started are told to end, and ten seconds later ended.
        log_level : str, optional
            From which on it logs, whatever it says itself.
        """
        from framework.engine.recording import finish, on_record, run_row

        script = Path(path).expanduser().absolute()
        if not script.is_file():
            raise DatasetNotFoundError(f"File not found: {script}", cure="Name a Python file.", resource=str(path))
        plan = {"arguments": len(arguments), "params": masked(params or {}, None)}
        row = run_row("script", script.stem, str(script), plan, log_file=how.log_file)
        began = time.perf_counter()
        with log_context(run_id=row.run_id), on_record(self.ledger, row):
            code = _child(script, params or {}, arguments, timeout, log_level or "")
            result = _result(script.stem, code, timeout)
            result.execution_time = time.perf_counter() - began
            finish(row, result)
        result.logs = {**result.logs, **self._logs}
        self._tell_of(result, script.stem, str(script), None)
        return result


def _child(
    script: Path, params: Mapping[str, Any], arguments: Sequence[str], timeout: float | None, level: str
) -> int | None:
    """The script's exit code, minus a signal's number; None where its time was up."""
    descriptor, told = tempfile.mkstemp(prefix="millpond-", suffix=".json")  # nobody else may read it
    try:
        with storage_errors(told), open(descriptor, "w", encoding="utf-8") as file:
            json.dump(params, file, default=str)
        environ = {**os.environ, PARAMS: told}
        session = current_session()
        if session is not None:
            environ[SESSION] = f"{session.session_id} {level.upper() or '-'} {session.path}"
        sys.stdout.flush()
        child = subprocess.Popen([sys.executable, str(script), *arguments], env=environ, start_new_session=True)
        try:
            return child.wait(timeout)
        except subprocess.TimeoutExpired:
            end_group(child)
            return None
        except BaseException:
            end_group(child, AT_ONCE)
            raise
    finally:
        with suppress(OSError):
            os.unlink(told)


def end_group(child: subprocess.Popen[Any], grace: float = GRACE) -> None:
    """Tell a process and all that it started to end, and end them when they do not."""
    ends = time.monotonic() + grace
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGTERM)
        while time.monotonic() < ends:
            child.poll()
            os.killpg(child.pid, 0)  # until nobody is left
            time.sleep(LOOK)
        os.killpg(child.pid, signal.SIGKILL)
    child.wait()


def _result(name: str, code: int | None, timeout: float | None) -> Result:
    result = Result(name)
    if code is None:
        return result.fail(StepTimeoutError(f"{name} was not done after {timeout:g} s.", cure="Raise --timeout."))
    outcome = KNOWN.get(code, Outcome.ERROR)
    if outcome.ok:
        result.outcome, result.exit_code = outcome, outcome.exit_code
        return result
    said = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with the exit code {code}"
    result.fail(StepError(f"The script {name} {said}.", resource=name))
    result.outcome, result.exit_code = outcome, code if code in KNOWN else Outcome.ERROR.exit_code
    return result
