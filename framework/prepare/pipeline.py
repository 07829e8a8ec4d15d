"""The doors to preparing data: from async code without holding it up, and, ending in `_sync`, from scripts."""

from __future__ import annotations

import asyncio
import os
import tempfile
import threading
from collections.abc import Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AsyncExitStack, ExitStack
from contextvars import copy_context
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeVar, Unpack

from framework.attempt import Attempt, attempt
from framework.engine.trying import Stopped
from framework.errors import OptionError
from framework.prepare.blueprint import Blueprint
from framework.prepare.configuration import Asked, PipelineConfig, Request
from framework.prepare.ingestion import DataIngestionService
from framework.prepare.job import Job, Listener, nobody
from framework.prepare.orchestrator import PipelineOrchestrator
from framework.prepare.receiving import apart, is_async, received, whole
from framework.prepare.states import PipelineState, PipelineStatus
from framework.redact import redact

if TYPE_CHECKING:
    import pandas as pd

T = TypeVar("T")
Prepared = tuple["pd.DataFrame", PipelineState]
IN_MEMORY = 1 << 23  # bytes of an upload; what is larger waits in a file
WAIT = 0.02  # seconds between two looks for a free place


class DataPipeline:
    """Prepares datasets for models.

    Parameters
    ----------
    max_concurrent_pipelines : int
        How many run at once, however many are asked for; others wait, PENDING.
    enable_monitoring : bool
        Whether times, memory and rates of the stages are recorded; what ran is, in any case.
    config : PipelineConfig, optional
    ingestion : DataIngestionService, optional
        With other limits than 100 MiB a file.
    settings : object, optional
        Settings, or any object with attributes of their names; found from the current folder unless given.
    on_stage : callable, optional
        Told of each stage as it begins, with the state and the stage's name, by the thread that works.

    Examples
    --------
    >>> data, state = await DataPipeline().process_file(file_path="customers.csv", blueprint_name="customer_churn")
    >>> data, state = DataPipeline().process_file_sync("customers.csv", "customer_churn")
    """

    def __init__(
        self,
        max_concurrent_pipelines: int = 3,
        enable_monitoring: bool = True,
        config: PipelineConfig | None = None,
        *,
        ingestion: DataIngestionService | None = None,
        settings: object | None = None,
        on_stage: Listener = nobody,
    ) -> None:
        self.max_concurrent_pipelines = _count("max_concurrent_pipelines", max_concurrent_pipelines)
        if not isinstance(config, PipelineConfig | None):
            raise OptionError(f"config is a {type(config).__name__}.", cure="Pass a PipelineConfig.")
        if not isinstance(ingestion, DataIngestionService | None):
            raise OptionError(f"ingestion is a {type(ingestion).__name__}.", cure="Pass a DataIngestionService.")
        self.orchestrator = PipelineOrchestrator(
            settings,
            config=config,
            ingestion=ingestion,
            max_concurrent=self.max_concurrent_pipelines,
            monitoring=enable_monitoring,
        )
        self._on_stage, self._closed = on_stage, False
        self._uploads = threading.BoundedSemaphore(2 * self.max_concurrent_pipelines)
        self._threads = ThreadPoolExecutor(self.max_concurrent_pipelines, thread_name_prefix="millpond-prepare")

    # ------------------------------------------------------------------ from async code

    async def process_file(
        self,
        file_path: str | Path,
        blueprint_name: str | Blueprint | None = None,
        preprocessing_config: Mapping[str, Any] | None = None,
        **asked: Unpack[Asked],
    ) -> Prepared:
        """Prepare a file.

        Parameters
        ----------
        file_path : path
            Of a CSV file, plain or in gzip or zip.
        blueprint_name : str or Blueprint
        preprocessing_config : mapping, optional
            Over the pipeline's, key by key.
        **asked
            See `Asked`.

        Returns
        -------
        pandas.DataFrame, PipelineState
            One row for each customer, day or sale that was not refused; identifier, fields, features, target.

        Raises
        ------
        IngestionException, DataQualityError, CompatibilityException
            The input is refused. The error's `state` says how far it came, as it does of all of these.
        ProcessingException
            A stage failed.
        UnknownNameError, OptionError, ParameterError
            There is no such blueprint, option or value.
        asyncio.CancelledError
            It was cancelled, and is on record as that; where it came when all was saved, as COMPLETED. Work that
            stands in a read of a stream is waited for.
        """
        return await self._processed(_of_file(file_path, blueprint_name, preprocessing_config, asked))

    async def process_stream(
        self,
        file_stream: Any,
        filename: str,
        blueprint_name: str | Blueprint | None = None,
        content_length: int | None = None,
        preprocessing_config: Mapping[str, Any] | None = None,
        **asked: Unpack[Asked],
    ) -> Prepared:
        """Prepare what a stream gives; see `process_file`.

        Parameters
        ----------
        file_stream : binary file, async reader or async iterator
            With `read(n)` that answers bytes, at once or awaited (an upload of Starlette or FastAPI), or pieces of
            bytes. It is not closed.
        filename : str
            What messages and the dataset are called after.
        content_length : int, optional
            How many bytes there are; refused where there are others.
        """
        request = _of_stream(file_stream, filename, blueprint_name, preprocessing_config, asked, content_length)
        return await self._processed(request, receive=is_async(file_stream))

    async def process_batch(
        self,
        file_configs: Iterable[tuple[Any, ...] | Mapping[str, Any]],
        max_concurrent: int = 3,
        **asked: Unpack[Asked],
    ) -> list[tuple[pd.DataFrame | None, PipelineState]]:
        """Prepare several files; one that fails holds up no other.

        Parameters
        ----------
        file_configs : iterable of (file_path, blueprint_name), (…, preprocessing_config), or mapping
            A mapping has the arguments of `process_file`.
        max_concurrent : int
            How many at once, and never more than `max_concurrent_pipelines`.
        **asked
            For all of them.

        Returns
        -------
        list of (DataFrame or None, PipelineState)
            In the order of what was given; None where the state is FAILED, whose `errors` say why.
        """
        places = asyncio.Semaphore(_count("max_concurrent", max_concurrent))
        files = _list_of(file_configs)
        self._check_open()

        async def one(given: Any) -> tuple[pd.DataFrame | None, PipelineState]:
            asking = attempt("request", lambda: _request_of(given, asked))
            if asking.value is None:
                return None, _refused(given, asking.error)
            queued = await self._queued(asking.value)
            if queued.value is None:
                return None, _refused(given, queued.error)
            done = await self._ran(queued.value, places)
            return done.value if done.value is not None else (None, queued.value.job.state)

        tasks = [asyncio.ensure_future(one(given)) for given in files]
        try:
            return list(await asyncio.gather(*tasks))
        finally:  # where all are cancelled: until each of them is, on record
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _processed(self, request: Request, *, receive: bool = False) -> Prepared:
        self._check_open()
        queued = await self._queued(request)
        work = queued.value
        if work is None:
            raise queued.error or Stopped
        with ExitStack() as stack:
            if receive:
                held = stack.enter_context(tempfile.SpooledTemporaryFile(max_size=IN_MEMORY))
                request.source = await self._received(work, held)
            done = await self._ran(work)
        if done.value is None:
            raise done.error or Stopped
        return done.value

    async def _received(self, work: _Work, held: Any) -> Any:
        """What was sent, in a file; only so many are taken at once, for each takes memory."""
        service, request, stack = self.orchestrator.ingestion, work.job.request, ExitStack()
        try:
            with stack:
                while not self._uploads.acquire(blocking=False):
                    await asyncio.sleep(WAIT)
                stack.callback(self._uploads.release)
                return await received(
                    request.source, held, request.name, chunk=service.chunk_size, most=service.max_file_size
                )
        except BaseException:
            await whole(apart(self.orchestrator.cancel, work.job))
            raise

    async def _queued(self, request: Request) -> Attempt[_Work]:
        """What waits for its turn, on record; recorded as cancelled if that is what happens meanwhile."""
        begun = apart(attempt, "begin", lambda: self._work(request))
        try:
            return await asyncio.shield(begun)
        except asyncio.CancelledError:
            work = (await whole(begun)).value
            if work is not None:
                await whole(apart(self.orchestrator.cancel, work.job))
            raise

    async def _ran(self, work: _Work, places: asyncio.Semaphore | None = None) -> Attempt[Prepared]:
        """What became of it; cancelled, it is over and on record when this raises."""
        waiting: Future[Attempt[Prepared]] | None = None
        async with AsyncExitStack() as held:
            try:
                if places is not None:
                    await held.enter_async_context(places)
                waiting = self._threads.submit(copy_context().run, self._outcome, work)
                return await asyncio.shield(asyncio.wrap_future(waiting))
            except (asyncio.CancelledError, RuntimeError):  # the second: it was closed meanwhile
                work.stop.set()
                if waiting is None or waiting.cancel():
                    await whole(apart(self.orchestrator.cancel, work.job))
                else:
                    await whole(asyncio.wrap_future(waiting))
                raise

    # ------------------------------------------------------------------ from scripts

    def process_file_sync(
        self,
        file_path: str | Path,
        blueprint_name: str | Blueprint | None = None,
        preprocessing_config: Mapping[str, Any] | None = None,
        **asked: Unpack[Asked],
    ) -> Prepared:
        """As `process_file`, done when it returns; Ctrl-C cancels it."""
        return self._now(_of_file(file_path, blueprint_name, preprocessing_config, asked))

    def process_stream_sync(
        self,
        file_stream: IO[bytes],
        filename: str,
        blueprint_name: str | Blueprint | None = None,
        content_length: int | None = None,
        preprocessing_config: Mapping[str, Any] | None = None,
        **asked: Unpack[Asked],
    ) -> Prepared:
        """As `process_stream`, of a binary file."""
        if is_async(file_stream):
            raise OptionError("An async stream cannot be read here.", cure="Await process_stream().")
        return self._now(_of_stream(file_stream, filename, blueprint_name, preprocessing_config, asked, content_length))

    def process_batch_sync(
        self,
        file_configs: Iterable[tuple[Any, ...] | Mapping[str, Any]],
        max_concurrent: int = 3,
        **asked: Unpack[Asked],
    ) -> list[tuple[pd.DataFrame | None, PipelineState]]:
        """As `process_batch`; from async code await that."""
        batch = self.process_batch(_list_of(file_configs), max_concurrent, **asked)
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return asyncio.run(batch)
        with ThreadPoolExecutor(1) as apart_from_the_loop:  # in a notebook
            return apart_from_the_loop.submit(asyncio.run, batch).result()

    def close(self) -> None:
        """Wait for what runs, and let go of the threads."""
        self._closed = True
        self._threads.shutdown()

    def __enter__(self) -> DataPipeline:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _check_open(self) -> None:
        if self._closed:
            raise OptionError("This pipeline is closed.", cure="Make another one.")

    def _now(self, request: Request) -> Prepared:
        self._check_open()
        return self.orchestrator.run(self._work(request).job)

    def _work(self, request: Request) -> _Work:
        stop = threading.Event()

        def check() -> None:
            if stop.is_set():
                raise Stopped

        return _Work(self.orchestrator.begin(request, check=check, on_stage=self._on_stage), stop)

    def _outcome(self, work: _Work) -> Attempt[Prepared]:
        try:
            return attempt(work.job.state.id, lambda: self.orchestrator.run(work.job))
        except Stopped:
            return Attempt(work.job.state.id, None, None, 0.0)


@dataclass(slots=True)
class _Work:
    """A preparation, and the word to stop it."""

    job: Job
    stop: threading.Event


def _request_of(given: Any, asked: Asked) -> Request:
    """What one of a batch asks for."""
    if isinstance(given, Mapping):
        said = dict(given)
        path, blueprint = said.pop("file_path", None), said.pop("blueprint_name", None)
        config = said.pop("preprocessing_config", None)
    elif isinstance(given, (tuple, list)) and len(given) in (2, 3):
        (path, blueprint, *more), said = given, {}
        config = more[0] if more else None
    else:
        cure = "Write (file_path, blueprint_name), or a mapping of both."
        raise OptionError(f"A {type(given).__name__} is nothing to prepare.", cure=cure)
    merged: Any = {**asked, **said}
    return _of_file(path, blueprint, config, merged)


def _of_file(path: Any, blueprint: Any, config: Any, asked: Asked) -> Request:
    if not isinstance(path, str | os.PathLike):
        raise OptionError(f"A {type(path).__name__} is no path.", cure="Of a stream, call process_stream().")
    return Request(os.fspath(path), os.fspath(path), blueprint, config, asked)


def _of_stream(stream: Any, name: Any, blueprint: Any, config: Any, asked: Asked, length: int | None) -> Request:
    if isinstance(stream, str | bytes | os.PathLike):
        raise OptionError(f"A {type(stream).__name__} is no stream.", cure="Of a path, call process_file().")
    return Request(stream, name, blueprint, config, asked, length)


def _list_of(file_configs: Any) -> list[Any]:
    if isinstance(file_configs, str | bytes | Mapping) or not isinstance(file_configs, Iterable):
        raise OptionError(
            f"A {type(file_configs).__name__} is no list of files.", cure="Write [(file_path, blueprint_name), ...]."
        )
    return list(file_configs)


def _refused(given: Any, error: Exception | None) -> PipelineState:
    """The state of what could not begin, which is on no record."""
    said = [given.get("file_path"), given.get("blueprint_name")] if isinstance(given, Mapping) else given
    words = [redact(str(each)) for each in said[:2]] if isinstance(said, (tuple, list)) else []
    source, blueprint = [*words, "", ""][:2]
    state = PipelineState(source, blueprint)
    state.status = PipelineStatus.FAILED
    state.errors.append(f"{type(error).__name__}: {error}")
    return state


def _count(name: str, value: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise OptionError(f"{name}={value!r} is not a whole number above zero.", resource=name)
    return value
