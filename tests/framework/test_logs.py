from __future__ import annotations

import io
import logging
import sys
from collections.abc import Iterator
from urllib.parse import quote

import pytest

from framework.errors import ParameterError
from framework.logs import ConsoleFormatter, RedactingFilter, console_logging
from framework.redact import redact, register_secret

CANARY = "l0g-c4n@ry/é'\"x"
SHORT = "pq7z"


@pytest.fixture
def console() -> Iterator[io.StringIO]:
    """What the console shows of the logs of Millpond."""
    stream = io.StringIO()
    handler = console_logging("debug", stream=stream)
    yield stream
    logger = logging.getLogger("millpond")
    logger.removeHandler(handler)
    logger.setLevel(logging.NOTSET)


def test_a_registered_secret_is_in_no_line(console: io.StringIO) -> None:
    """Not in the message, its arguments, a traceback or the stack."""
    register_secret(CANARY)
    log = logging.getLogger("millpond.test")
    log.info("plain %s", CANARY)
    log.info("in %r and %s and %s", {"k": CANARY}, quote(CANARY, safe=""), quote(CANARY).lower())
    register_secret("c4n4ry-of\ntwo-lines")
    log.info("c4n4ry-of\ntwo-lines")
    log.info("address postgresql://u:unknown-c4n4ry@host/db and password=unknown-c4n4ry")
    try:
        raise ValueError(CANARY) from KeyError(CANARY)
    except ValueError:
        log.exception("failed with %s", CANARY)
    log.info("here", stack_info=True)
    text = console.getvalue()
    assert "c4n" not in text.replace("c4n = ", "")
    assert text.count("***") >= 8
    assert "postgresql://u:***@host/db" in text
    assert "Traceback" in text


def test_a_message_stays_one_line_and_a_traceback_is_indented(console: io.StringIO) -> None:
    """CR, LF, ESC and Unicode's line marks are written as escapes: no message forges a second one."""
    forged = "x\n2030-01-01 INFO millpond: forged\r\x1b[2J\x85\u2028\u202eend\ttab"
    log = logging.getLogger("millpond.test")
    log.info("%s", forged)
    log.info(forged)
    lines = console.getvalue().splitlines()
    assert len(lines) == 2
    assert lines[0].endswith("x\\n2030-01-01 INFO millpond: forged\\r\\x1b[2J\\x85\\u2028\\u202eend\ttab")
    try:
        raise ValueError(forged)
    except ValueError:
        log.exception("failed")
    after = console.getvalue().splitlines()[3:]
    assert after
    assert all(line.startswith("    ") for line in after)
    assert "\x1b" not in console.getvalue()


def test_a_message_that_does_not_fit_its_arguments_shows_no_secret() -> None:
    """It is still a line, with the arguments masked, and no report of the logging module's own."""
    register_secret(CANARY)
    record = logging.LogRecord("millpond", logging.INFO, "p", 1, "too few %s %s", (CANARY,), None)
    assert ConsoleFormatter("%(message)s").format(record) == "too few %s %s ('***',)"


def test_a_name_cannot_forge_a_line_either() -> None:
    """The whole line is escaped, not the message alone."""
    record = logging.LogRecord("millpond.a\nb", logging.INFO, "p", 1, "m", None, None)
    assert "\n" not in ConsoleFormatter().format(record)


def test_the_console_is_one_handler_on_millpond_alone(console: io.StringIO) -> None:
    """A second call replaces the first; the root logger and others stay as they were."""
    root = (list(logging.getLogger().handlers), logging.getLogger().level)
    second = io.StringIO()
    handler = console_logging(logging.WARNING, stream=second)
    try:
        log = logging.getLogger("millpond.test")
        log.info("quiet")
        log.warning("loud")
        assert second.getvalue().count("\n") == 1
        assert console.getvalue() == ""
        assert (list(logging.getLogger().handlers), logging.getLogger().level) == root
    finally:
        logging.getLogger("millpond").removeHandler(handler)
    with pytest.raises(ParameterError, match="Did you mean 'WARNING'"):
        console_logging("warnin")


def test_the_default_stream_is_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    """Standard output is for results."""
    handler = console_logging()
    try:
        logging.getLogger("millpond.test").info("hello")
    finally:
        logging.getLogger("millpond").removeHandler(handler)
    out, err = capsys.readouterr()
    assert out == ""
    assert "INFO    millpond.test: hello" in err


def test_the_filter_masks_for_a_handler_of_ones_own() -> None:
    """Message, traceback and text in `extra`, whatever formatter the handler has."""
    register_secret(CANARY)
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.addFilter(RedactingFilter())
    handler.setFormatter(logging.Formatter("%(message)s %(where)s"))
    log = logging.Logger("own")
    log.addHandler(handler)
    try:
        raise OSError(CANARY)
    except OSError:
        log.error("at %s", CANARY, exc_info=sys.exc_info(), extra={"where": CANARY}, stack_info=True)
    assert "c4n" not in stream.getvalue()
    assert "Traceback" in stream.getvalue()


def test_a_short_secret_is_masked_where_it_stands_alone() -> None:
    """A password such as `pq7z` does not blot out the words that contain it; three letters are not masked by value."""
    register_secret(SHORT)
    register_secret("abc")
    register_secret(None)
    register_secret("")
    assert redact(f"the word is {SHORT}, x{SHORT}x, '{SHORT}'") == f"the word is ***, x{SHORT}x, '***'"
    assert redact("abc") == "abc"
