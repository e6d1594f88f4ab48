"""Serving: run an application on granian (default) or uvicorn, and stop it with open streams.

Neither server ends while a live stream is open, or it cuts the stream. So to stop is first to
drain: every stream ends itself with a last frame from which its reader resumes elsewhere, and
then the server is asked to end.
"""

import asyncio
import contextlib
import resource
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Final, Literal

import h11
import uvicorn
from granian.constants import HTTPModes, Interfaces
from granian.http import HTTP1Settings
from granian.server.embed import Server as Granian
from litestar import Litestar
from uvicorn.protocols.http.h11_impl import H11Protocol

from market.faces.http import limits
from market.faces.http.desk import Desk

START_SECONDS: Final = 30.0
DRAIN_SECONDS: Final = 5.0
_BACKLOG: Final = 1024
_FOR_EVER: Final = 2**31


class CannotServe(RuntimeError):
    """The server did not come up, or its address is taken."""


@contextlib.asynccontextmanager
async def serving(
    app: Litestar, *, server: Literal["granian", "uvicorn"], host: str, port: int
) -> AsyncIterator["asyncio.Task[None]"]:
    """Serve within the block, which begins when requests are answered; yield the server's task.

    At its end streams are drained and the server stops. The application's own lifespan is the
    caller's to begin before and to end after, so that the store closes behind the last answer.

    Raises:
        CannotServe: it did not come up.
    """
    _check_free(host, port)
    running = _granian(app, host, port) if server == "granian" else _uvicorn(app, host, port)
    task: asyncio.Task[None] = asyncio.create_task(running.serve())
    try:
        await _until_up(task, host, port)
        yield task
        await drain(app.state.desk)
    finally:
        await _end(running, task)


@contextlib.asynccontextmanager
async def serving_locally(app: Litestar, path: Path) -> AsyncIterator[None]:
    """Serve on a local socket, within the block, in an event loop whose time is simulated.

    Nothing happens there only because time passes: no idle connection is closed.

    Raises:
        CannotServe: nobody can listen on the socket.
    """
    running = _StillUvicorn(_uvicorn_config(app, uds=str(path), timeout_keep_alive=_FOR_EVER))
    task = asyncio.create_task(running.serve())
    task.add_done_callback(lambda _: running.is_up.set())
    try:
        await running.is_up.wait()
        if task.done():
            await task
        yield
        await drain(app.state.desk)
    finally:
        await _end(running, task)


def raise_file_limit() -> None:
    """Let this process hold every connection that it would accept, as far as the system allows."""
    now, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = limits.CONNECTIONS + _BACKLOG
    allowed = wanted if most == resource.RLIM_INFINITY else min(wanted, most)
    if now != resource.RLIM_INFINITY and now < allowed:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, most))


async def drain(desk: Desk) -> None:
    """End every live stream with a resumable last frame; wait for the readers that take it."""
    desk.gate.shut()
    desk.store.hub.drain()
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(DRAIN_SECONDS):
            await desk.gate.until(0)


class _Uvicorn(uvicorn.Server):
    """Uvicorn as a part of a program that has its own signal handlers."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    def stop(self) -> None:
        self.should_exit = True


class _StillUvicorn(_Uvicorn):
    """Uvicorn without its ten turns a second: a simulated day has 864,000 of them."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.is_up = asyncio.Event()
        self._is_asked = asyncio.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        try:
            await super().startup(sockets)
        except OSError as error:
            raise CannotServe(f"{self.config.uds} cannot be listened on: {error}.") from error

    async def main_loop(self) -> None:
        self.is_up.set()
        await self._is_asked.wait()

    def stop(self) -> None:
        super().stop()
        self._is_asked.set()


class _Hurried(H11Protocol):
    """Uvicorn's reader of requests, with an end to waiting for a header block."""

    _alarm: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._begin()

    def data_received(self, data: bytes) -> None:
        # More bytes of the same block do not give it more time.
        if self._alarm is None and self.conn.their_state is h11.IDLE:
            self._begin()
        super().data_received(data)
        if self.conn.their_state is not h11.IDLE:
            self._end()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end()
        super().connection_lost(exc)

    def _begin(self) -> None:
        self._alarm = self.loop.call_later(limits.HEADER_SECONDS, self.transport.close)

    def _end(self) -> None:
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None


def _uvicorn(app: Litestar, host: str, port: int) -> _Uvicorn:
    return _Uvicorn(_uvicorn_config(app, host=host, port=port))


def _uvicorn_config(
    app: Litestar, *, timeout_keep_alive: int | None = None, **place: Any
) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        **place,
        http=_Hurried,
        log_config=None,
        access_log=False,
        server_header=False,
        lifespan="off",
        backlog=_BACKLOG,
        limit_concurrency=limits.CONNECTIONS,
        timeout_keep_alive=timeout_keep_alive or limits.IDLE_SECONDS,
        ws_max_size=2 * limits.FRAME,
        ws_max_queue=4,
        h11_max_incomplete_event_size=limits.HEADER_BYTES,
        timeout_graceful_shutdown=int(DRAIN_SECONDS),
    )


def _granian(app: Litestar, host: str, port: int) -> Granian:
    return Granian(
        app,
        address=host,
        port=port,
        interface=Interfaces.ASGINL,
        http=HTTPModes.http1,
        http1_settings=HTTP1Settings(
            max_buffer_size=limits.HEADER_BYTES,
            header_read_timeout=1_000 * limits.HEADER_SECONDS,
        ),
        backlog=_BACKLOG,
        backpressure=limits.CONNECTIONS,
        log_enabled=False,
        log_access=False,
    )


def _check_free(host: str, port: int) -> None:
    """Refuse a port that somebody listens on: granian would share it without a word."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise CannotServe(f"{host}:{port} cannot be listened on: {error.strerror}.") from error


async def _until_up(task: "asyncio.Task[Any]", host: str, port: int) -> None:
    try:
        async with asyncio.timeout(START_SECONDS):
            while not await _answers(host, port):
                if task.done():
                    raise CannotServe(f"The server on {host}:{port} ended at once.")
                await asyncio.sleep(0.01)
    except TimeoutError as error:
        raise CannotServe(f"Nothing answers on {host}:{port}.") from error


async def _answers(host: str, port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection(host, port)
    except OSError:
        return False
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return True


async def _end(running: Granian | _Uvicorn, task: "asyncio.Task[Any]") -> None:
    running.stop()
    try:
        async with asyncio.timeout(DRAIN_SECONDS):
            await asyncio.shield(task)
    except TimeoutError:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
