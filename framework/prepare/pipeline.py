"""The doors to preparing data: from async code without holding it up, and, ending in `_sync`, from scripts."""

from __future__ import annotations

import asyncio
import inspect
import tempfile
import threading
from collections.abc import AsyncIterator, Coroutine, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AsyncExitStack, suppress
from contextvars import copy_context
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TypeVar, Unpack

from framework.attempt import Attempt, attempt
from framework.engine.trying import Stopped
from framework.errors import IngestionException, OptionError
from framework.prepare.blueprint import Blueprint
from framework.prepare.configuration import Asked, PipelineConfig, Request
from framework.prepare.ingestion import DataIngestionService
from framework.prepare.job import Job, Listener, nobody
from framework.prepare.orchestrator import PipelineOrchestrator
from framework.prepare.states import PipelineState, PipelineStatus

if TYPE_CHECKING:
    import pandas as pd

T = TypeVar("T")
Prepared = tuple["pd.DataFrame", PipelineState]
IN_MEMORY = 1 << 23  # bytes of an upload; what is larger waits in a file


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
        self.orchestrator = PipelineOrchestrator(
            settings,
            config=config,
            ingestion=ingestion,
            max_concurrent=self.max_concurrent_pipelines,
            monitoring=enable_monitoring,
        )
        self._on_stage = on_stage
        self._threads = ThreadPoolExecutor(self.max_concurrent_pipelines, thread_name_prefix="millpond-prepare")

    # ------------------------------------------------------------------ from async code

    async def process_file(
        self,
        file_path: str | Path,
        blueprint_name: str | Blueprint,
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
            It was cancelled, and is on record as that.
        """
        request = Request(file_path, str(file_path), blueprint_name, preprocessing_config, asked)
        return await self._processed(request)

    async def process_stream(
        self,
        file_stream: Any,
        filename: str,
        blueprint_name: str | Blueprint,
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
        request = Request(file_stream, filename, blueprint_name, preprocessing_config, asked, content_length)
        if not _is_async(file_stream):
            return await self._processed(request)
        with tempfile.SpooledTemporaryFile(max_size=IN_MEMORY) as held:
            request.source = held
            service = self.orchestrator.ingestion
            return await self._processed(request, _received(file_stream, held, request, service))

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

        async def one(given: Any) -> tuple[pd.DataFrame | None, PipelineState]:
            begun = attempt("request", lambda: _request_of(given, asked))
            if begun.value is None:
                return None, _refused(given, begun.error)
            queued = await self._queued(begun.value)
            if queued.value is None:
                return None, _refused(given, queued.error)
            done = await self._ran(queued.value, places)
            return (done.value[0], done.value[1]) if done.value is not None else (None, queued.value.job.state)

        tasks = [asyncio.ensure_future(one(given)) for given in file_configs]
        try:
            return list(await asyncio.gather(*tasks))
        finally:  # where all are cancelled: until each of them is, on record
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _processed(self, request: Request, before: Coroutine[Any, Any, None] | None = None) -> Prepared:
        queued = await self._queued(request)
        work = queued.value
        if work is None:
            raise queued.error or Stopped
        if before is not None:
            try:
                await before
            except asyncio.CancelledError:
                await _whole(asyncio.to_thread(self.orchestrator.cancel, work.job))
                raise
        done = await self._ran(work)
        if done.value is None:
            raise done.error or Stopped
        return done.value

    async def _queued(self, request: Request) -> Attempt[_Work]:
        """What waits for its turn, on record; recorded as cancelled if that is what happens meanwhile."""
        begun = asyncio.ensure_future(asyncio.to_thread(attempt, "begin", lambda: self._work(request)))
        try:
            return await asyncio.shield(begun)
        except asyncio.CancelledError:
            work = (await _whole(begun)).value
            if work is not None:
                await _whole(asyncio.to_thread(self.orchestrator.cancel, work.job))
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
            except asyncio.CancelledError:
                work.stop.set()
                if waiting is None or waiting.cancel():
                    await _whole(asyncio.to_thread(self.orchestrator.cancel, work.job))
                else:
                    await _whole(asyncio.wrap_future(waiting))
                raise

    # ------------------------------------------------------------------ from scripts

    def process_file_sync(
        self,
        file_path: str | Path,
        blueprint_name: str | Blueprint,
        preprocessing_config: Mapping[str, Any] | None = None,
        **asked: Unpack[Asked],
    ) -> Prepared:
        """As `process_file`, done when it returns; Ctrl-C cancels it."""
        return self._now(Request(file_path, str(file_path), blueprint_name, preprocessing_config, asked))

    def process_stream_sync(
        self,
        file_stream: IO[bytes],
        filename: str,
        blueprint_name: str | Blueprint,
        content_length: int | None = None,
        preprocessing_config: Mapping[str, Any] | None = None,
        **asked: Unpack[Asked],
    ) -> Prepared:
        """As `process_stream`, of a binary file."""
        if _is_async(file_stream):
            raise OptionError("An async stream cannot be read here.", cure="Await process_stream().")
        return self._now(Request(file_stream, filename, blueprint_name, preprocessing_config, asked, content_length))

    def process_batch_sync(
        self,
        file_configs: Iterable[tuple[Any, ...] | Mapping[str, Any]],
        max_concurrent: int = 3,
        **asked: Unpack[Asked],
    ) -> list[tuple[pd.DataFrame | None, PipelineState]]:
        """As `process_batch`; from async code await that."""
        return asyncio.run(self.process_batch(file_configs, max_concurrent, **asked))

    def close(self) -> None:
        """Wait for what runs, and let go of the threads."""
        self._threads.shutdown()

    def __enter__(self) -> DataPipeline:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _now(self, request: Request) -> Prepared:
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


async def _whole(work: Coroutine[Any, Any, T] | asyncio.Future[T]) -> T:
    """What it answers, however often the one who waits is cancelled."""
    task = asyncio.ensure_future(work)
    while not task.done():
        with suppress(asyncio.CancelledError):
            await asyncio.shield(task)
    return task.result()


async def _received(stream: Any, held: IO[bytes], request: Request, service: DataIngestionService) -> None:
    """Put what an async stream gives into a file; one that breaks off is found when that is read."""
    size = 0
    pieces = _pieces(stream, service.chunk_size)
    while size <= service.max_file_size:
        piece = (await asyncio.gather(anext(pieces, b""), return_exceptions=True))[0]
        if isinstance(piece, asyncio.CancelledError):
            raise piece
        if not isinstance(piece, bytes | bytearray | memoryview):
            request.source = _Broken(held, piece, request.name)
            break
        if not piece:
            break
        size += len(piece)
        held.write(piece)
    held.seek(0)


async def _pieces(stream: Any, size: int) -> AsyncIterator[Any]:
    if hasattr(stream, "read"):
        while piece := await stream.read(size):
            yield piece
    else:
        async for piece in stream:
            if len(piece):
                yield piece


class _Broken:
    """A stream that broke off: what came of it, and then why."""

    def __init__(self, held: IO[bytes], why: object, name: str) -> None:
        self._held, self._why, self._name = held, why, name

    def read(self, size: int = -1) -> bytes:
        found = self._held.read(size)
        if found:
            return found
        words = f"{type(self._why).__name__}: {self._why}" if isinstance(self._why, Exception) else "it gave no bytes"
        raise IngestionException(f"{self._name} broke off: {words}.", cure="Send it again.", resource=self._name) from (
            self._why if isinstance(self._why, Exception) else None
        )


def _is_async(stream: Any) -> bool:
    return inspect.iscoroutinefunction(getattr(stream, "read", None)) or hasattr(stream, "__aiter__")


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
        path = blueprint = config = None
        said = {}
    if not isinstance(path, (str, Path)) or not isinstance(blueprint, (str, Blueprint)):
        raise OptionError(
            f"{given!r} is nothing to prepare.", cure="Write (file_path, blueprint_name), or a mapping of both."
        )
    merged: Any = {**asked, **said}
    return Request(path, str(path), blueprint, config, merged)


def _refused(given: Any, error: Exception | None) -> PipelineState:
    """The state of what could not begin."""
    words = [str(each) for each in given[:2]] if isinstance(given, (tuple, list)) else [str(given)]
    state = PipelineState(words[0] if words else "", words[1] if len(words) > 1 else "")
    state.status = PipelineStatus.FAILED
    state.errors.append(f"{type(error).__name__}: {error}")
    return state


def _count(name: str, value: int) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise OptionError(f"{name}={value!r} is not a whole number above zero.", resource=name)
    return value
