"""Who is told of a run that failed: a command, which gets the story as JSON on its standard input, or an address."""

from __future__ import annotations

import http.client
import json
import logging
import os
import shlex
import signal
import subprocess
import tempfile
import urllib.request
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from framework.engine.trying import bounded
from framework.errors import StepError, StepTimeoutError
from framework.logs import without_secrets
from framework.redact import redact

LONGEST = 30.0  # seconds that a command or an address may take
SHOWN = 500  # characters of what a command that failed says


def tell(
    hook: str, story: Mapping[str, Any], *, folder: Path, logger: logging.Logger, longest: float = LONGEST
) -> bool:
    """Tell of a failure; what goes wrong with that is a WARNING, for the run has an error of its own.

    Parameters
    ----------
    hook : str
        `https://...`, which gets a POST, or a command with its arguments, run in `folder` without a shell.
    longest : float
        Seconds that it may take.
    """
    told = without_secrets(story)
    body = json.dumps(told).encode()
    try:
        if hook.startswith(("http://", "https://")):
            bounded("the failure hook", lambda: _post(hook, body, longest), longest)
        else:
            _run(hook, body, told, folder, longest)
    except StepTimeoutError:
        logger.warning("the failure could not be told: that was not done after %g s", longest)
    except (OSError, ValueError, StepError, http.client.HTTPException, subprocess.SubprocessError) as error:
        logger.warning("the failure could not be told: %s: %s", type(error).__name__, redact(str(error)))
    else:
        return True
    return False


def _post(address: str, body: bytes, longest: float) -> None:
    request = urllib.request.Request(
        address, data=body, headers={"Content-Type": "application/json", "User-Agent": "millpond"}, method="POST"
    )
    with urllib.request.urlopen(request, timeout=longest):
        pass


def _run(command: str, body: bytes, story: Mapping[str, Any], folder: Path, longest: float) -> None:
    """The command in a session of its own, so that all that it starts can be ended with it."""
    words = shlex.split(command)
    if not words:
        raise ValueError("the failure hook is an empty command")
    environment = {**os.environ, "MILLPOND_RUN_ID": str(story["run_id"]), "MILLPOND_RUN": str(story["name"])}
    with tempfile.TemporaryFile() as said:  # no pipe, which what it leaves behind would hold open
        process = subprocess.Popen(
            words,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=said,
            cwd=folder,
            env=environment,
            start_new_session=True,
        )
        try:
            process.communicate(body, timeout=longest)
        except BaseException as error:
            with suppress(OSError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            if isinstance(error, subprocess.TimeoutExpired):
                raise StepTimeoutError(f"{command!r} was not done after {longest:g} s.") from None
            raise
        if process.returncode:
            said.seek(0)
            told = said.read().decode(errors="replace").strip()[-SHOWN:]
            raise subprocess.SubprocessError(f"the command ended with {process.returncode}: {told}")
