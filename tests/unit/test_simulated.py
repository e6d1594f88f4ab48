"""Simulated time: what everybody waits for comes at once, in order, and nothing else moves it."""

import asyncio
import socket
import threading
import time
from collections.abc import Coroutine
from functools import partial
from typing import Any, TypeVar

import anyio

from scenarios.engine.simulated import BEGIN, SimulatedClock, SimulatedLoop

T = TypeVar("T")
DAY = 86_400.0


def simulate(main: Coroutine[Any, Any, T], speed: float | None = None) -> T:
    with asyncio.Runner(loop_factory=partial(SimulatedLoop, speed)) as runner:
        return runner.run(main)


def test_a_day_of_sleep_takes_no_time():
    async def sleep() -> float:
        await anyio.sleep(DAY)
        return anyio.current_time()

    began = time.monotonic()

    assert simulate(sleep()) == DAY
    assert time.monotonic() - began < 60


def test_sleepers_wake_in_the_order_of_their_moments():
    woken: list[tuple[str, float]] = []

    async def sleep(name: str, seconds: float) -> None:
        await anyio.sleep(seconds)
        woken.append((name, anyio.current_time()))

    async def sleep_all() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(sleep, "late", 3600.0)
            group.start_soon(sleep, "early", 0.5)
            group.start_soon(sleep, "middle", 60.0)

    simulate(sleep_all())

    assert woken == [("early", 0.5), ("middle", 60.0), ("late", 3600.0)]


def test_time_stands_while_bytes_are_on_their_way():
    async def talk() -> float:
        here, there = socket.socketpair()
        reader, back = await asyncio.open_connection(sock=there)
        _, writer = await asyncio.open_connection(sock=here)
        asleep = asyncio.create_task(asyncio.sleep(DAY))
        for _ in range(100):
            writer.write(b"x" * 1_000)
            assert len(await reader.readexactly(1_000)) == 1_000
        now = asyncio.get_running_loop().time()
        asleep.cancel()
        for end in (writer, back):
            end.close()
            await end.wait_closed()
        return now

    assert simulate(talk()) == 0.0


def test_what_can_be_read_is_found_in_the_order_of_who_waited_first():
    async def read_all() -> list[int]:
        loop, found = asyncio.get_running_loop(), list[int]()
        pairs = [socket.socketpair() for _ in range(5)]
        for number in (3, 0, 4, 1, 2):
            loop.add_reader(pairs[number][0], found.append, number)
        for _, there in pairs:
            there.send(b"x")
        for _ in range(2):  # they are found in the first turn, and called in the next
            await asyncio.sleep(0)
        for here, there in pairs:
            loop.remove_reader(here)
            here.close()
            there.close()
        return found

    assert simulate(read_all())[:5] == [3, 0, 4, 1, 2]


def test_what_would_compute_in_a_thread_is_called_and_takes_no_time():
    async def compute() -> tuple[int, float]:
        ident = await asyncio.to_thread(threading.get_ident)
        return ident, asyncio.get_running_loop().time()

    assert simulate(compute()) == (threading.get_ident(), 0.0)


def test_what_fails_there_fails_for_who_asked():
    def fail() -> None:
        raise ValueError("no")

    async def compute() -> str:
        try:
            await asyncio.to_thread(fail)
        except ValueError as error:
            return str(error)
        return "it went well"

    assert simulate(compute()) == "no"


def test_a_time_limit_is_one_of_simulated_time():
    async def wait() -> tuple[bool, float]:
        with anyio.move_on_after(30) as scope:
            await anyio.sleep_forever()
        return scope.cancelled_caught, anyio.current_time()

    assert simulate(wait()) == (True, 30.0)


def test_the_clock_tells_simulated_time():
    async def look() -> tuple[float, float]:
        clock = SimulatedClock(asyncio.get_running_loop())
        before = clock.now()
        await anyio.sleep(DAY)
        return (before - BEGIN).total_seconds(), (clock.now() - BEGIN).total_seconds()

    assert simulate(look()) == (0.0, DAY)


def test_at_a_speed_time_takes_its_share_of_real_time():
    async def sleep() -> None:
        await anyio.sleep(20)

    began = time.monotonic()
    simulate(sleep(), speed=100)

    assert time.monotonic() - began >= 0.2
