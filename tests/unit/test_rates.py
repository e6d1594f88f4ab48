"""Rates, what is held, the line for heavy work, the disk's reserve: both sides of each edge."""

import asyncio
import tracemalloc
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from market.base.errors import Overloaded, StorageFull
from market.base.settings import Settings
from market.faces.http import limits
from market.faces.http.call import read_body
from market.faces.http.desk import StreamGate
from market.faces.http.disk import Disk
from market.faces.http.heavy import Heavy
from market.faces.http.held import Held
from market.faces.http.patrol import Patrol
from market.faces.http.porch import Hosts
from market.faces.http.problems import TooManyRequests, TooManyStreams
from market.faces.http.rates import DELEGATES_DEPTH, Buckets, Rates, neighbourhood

LIMIT_SECONDS = 10.0


def test_a_bucket_gives_its_burst_and_then_its_rate():
    """D1: two seconds' worth at once, and then one for each tenth of a second that passes."""
    buckets = Buckets(10)

    assert [buckets.take("a", 0.0) for _ in range(20)] == [0.0] * 20
    assert buckets.take("a", 0.0) == pytest.approx(0.1)
    assert buckets.take("a", 0.05) == pytest.approx(0.05)
    assert buckets.take("a", 0.1) == 0.0
    assert buckets.take("a", 0.1) > 0


def test_what_is_refused_costs_nothing():
    buckets = Buckets(1)
    for _ in range(2):
        buckets.take("a", 0.0)

    for _ in range(100):
        assert buckets.take("a", 0.0) == pytest.approx(1.0)

    assert buckets.take("a", 1.0) == 0.0


def test_one_bucket_is_nobody_elses():
    buckets = Buckets(1)
    for _ in range(2):
        buckets.take("a", 0.0)

    assert buckets.take("a", 0.0) > 0
    assert buckets.take("b", 0.0) == 0.0


def test_full_buckets_are_forgotten_and_busy_ones_bounded(monkeypatch: pytest.MonkeyPatch):
    """D1: a flood of names fills no memory."""
    monkeypatch.setattr(limits, "BUCKETS", 100)
    buckets = Buckets(1)

    for number in range(1_000):
        buckets.take(f"busy-{number}", 0.0)
    assert len(buckets) <= 100

    for number in range(101):
        buckets.take(f"late-{number}", 1_000.0)
    assert len(buckets) <= 101


def test_writes_are_counted_beside_requests():
    now = 0.0
    settings = Settings(requests_per_second=100, writes_per_second=1)
    rates = Rates(settings)
    for _ in range(2):
        rates.count("a", now, is_write=True)

    with pytest.raises(TooManyRequests) as refused:
        rates.count("a", now, is_write=True)

    assert refused.value.facts == {"limit": 1, "retry_after_seconds": 1}
    rates.count("a", now, is_write=False)


@pytest.mark.parametrize(
    ("address", "whose"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::1", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("not:an:address", "not:an:address"),
        ("", ""),
    ],
)
def test_an_address_counts_for_its_neighbourhood(address: str, whose: str):
    assert neighbourhood(address) == whose


def test_what_is_held_is_bounded_in_all_and_for_each(monkeypatch: pytest.MonkeyPatch):
    """D2: bodies under way, together."""
    monkeypatch.setattr(limits, "HELD", 100)
    monkeypatch.setattr(limits, "HELD_PER_SENDER", 60)
    held = Held()
    mine, other = held.lease("a"), held.lease("b")

    mine.take(60)
    with pytest.raises(TooManyRequests):
        held.lease("a").take(1)
    other.take(40)
    with pytest.raises(Overloaded):
        held.lease("c").take(1)
    handed = mine.hand_over()
    mine.end()
    assert held.total == 100
    handed.end()
    handed.end()
    other.end()

    assert held.total == 0
    held.lease("c").take(60)


async def test_heavy_work_of_one_agent_is_done_one_at_a_time(monkeypatch: pytest.MonkeyPatch):
    """D7: one at a time, queued, and the queue is bounded."""
    monkeypatch.setattr(limits, "HEAVY_WAITING", 3)
    heavy, go, busy, most = Heavy(), asyncio.Event(), 0, 0

    async def work() -> None:
        nonlocal busy, most
        async with heavy.turn("a"):
            busy += 1
            most = max(most, busy)
            await go.wait()
            busy -= 1

    async with asyncio.TaskGroup() as tasks:
        for _ in range(3):
            tasks.create_task(work())
        await asyncio.sleep(0)
        with pytest.raises(TooManyRequests):
            async with heavy.turn("a"):
                pass
        async with heavy.turn("b"):
            go.set()

    assert most == 1
    async with heavy.turn("a"):
        pass


def test_the_disks_reserve_is_kept_and_given_back(tmp_path: Path):
    """D8: below the reserve nothing is added; above it everything goes on by itself."""
    room, now = 100, 0.0
    settings = Settings(home=tmp_path, disk_reserve_bytes=100)
    disk = Disk(settings, lambda _: room, lambda: now)

    disk.need_room()
    room, now = 99, 10.0
    with pytest.raises(StorageFull):
        disk.need_room()
    room, now = 100, 20.0
    disk.need_room()


def test_a_market_on_a_server_leaves_the_disk_to_it(tmp_path: Path):
    settings = Settings(home=tmp_path, store="postgresql://elsewhere/market")

    Disk(settings, lambda _: 0, lambda: 1.0).need_room()


@pytest.mark.parametrize(
    ("host", "is_ours"),
    [
        (b"market.test", True), (b"market.test:8700", True), (b"MARKET.test", True),
        (b"localhost:1", True), (b"localhost.", True), (b"127.0.0.1:8700", True),
        (b"[::1]:8700", True), (b"[2001:db8::1]", True), (b"192.168.1.4", True),
        (b"shop.test", True), (b"evil.test", False), (b"market.test.evil.test", False),
        (b"evil.test:8700", False), (b"127.0.0.1.evil.test", False), (b"", False),
        (b"[evil.test]", False), (b"0x7f.1", False), (b"\xff", False),
    ],
)  # fmt: skip
def test_a_market_is_asked_for_by_its_names_or_an_address(host: bytes, is_ours: bool):
    hosts = Hosts(Settings(issuer="https://market.test", allowed_hosts=("Shop.test",)))

    assert hosts.know(host) is is_ours
    assert hosts.know(host) is is_ours


@pytest.mark.parametrize("written", ["::ffff:192.0.2.7", "::FFFF:c000:207"])
def test_an_address_of_the_old_family_on_a_socket_of_both_is_itself(written: str):
    """D1: or one stranger would use up what all of them may ask."""
    assert neighbourhood(written) == "192.0.2.7"


def test_sub_agents_leave_half_and_what_ends_something_goes_beyond():
    """D1: neither a sub-agent nor its own loop keeps an agent from cancelling."""
    rates = Rates(Settings(requests_per_second=10, writes_per_second=10, visits_per_second=10))

    def count_of(ask: Callable[[], None]) -> int:
        for count in range(100):
            try:
                ask()
            except TooManyRequests:
                return count
        raise AssertionError("never refused")

    assert count_of(lambda: rates.count("a", 0.0, True, DELEGATES_DEPTH)) == 10
    assert count_of(lambda: rates.count("a", 0.0, True)) == 10
    assert count_of(lambda: rates.count_ending("a", 0.0)) == limits.SPARE
    assert count_of(lambda: rates.count_visit("b", 0.0)) == 20
    assert count_of(lambda: rates.count_visit("b", 0.0, gets_token=True)) == limits.SPARE


def test_a_sender_of_empty_bodies_is_not_remembered():
    held = Held()
    for number in range(100):
        lease = held.lease(f"stranger-{number}")
        lease.take(0)
        lease.end()

    assert len(held) == 0


def test_long_bodies_leave_room_for_a_cancel(monkeypatch: pytest.MonkeyPatch):
    """D2: two agents with many long bodies under way do not keep others from cancelling."""
    monkeypatch.setattr(limits, "HELD", 4 * limits.BODY)
    monkeypatch.setattr(limits, "HELD_FOR_SMALL", limits.BODY)
    held = Held()
    long = held.lease("a")
    for _ in range(3):
        long.take(limits.BODY)

    with pytest.raises(Overloaded):
        long.take(1)
    held.lease("b").take(limits.BODY)


async def test_a_body_in_very_many_parts_is_whole_and_no_list_of_parts():
    """D2: four megabytes in parts of two bytes took ninety."""
    parts = 100_000

    async def receive() -> Any:
        nonlocal parts
        parts -= 1
        return {"type": "http.request", "body": b"%02d" % (parts % 100), "more_body": parts > 0}

    held = Held()
    tracemalloc.start()
    body = await read_body(receive, 400_000, held.lease("a"))
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert (len(body), body[:4], body[-2:]) == (200_000, b"9998", b"00")
    assert most < 1_000_000


def test_a_host_that_is_no_name_is_not_remembered():
    hosts = Hosts(Settings())

    assert not hosts.know(b"localhost:" + b"1" * 30_000)
    assert not hosts.know(b"127.0.0.1:" + b"1" * 30_000)
    assert hosts.known == set()
    assert Hosts(Settings(allowed_hosts=("shop.test.:443",))).know(b"shop.test")


async def test_what_was_told_to_stop_and_ended_all_the_same_leaves_no_trace():
    patrol = Patrol(lambda: -1.0)

    async def stubborn() -> str:
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(LIMIT_SECONDS)
        return "done"

    task = asyncio.current_task()
    assert task is not None
    assert await patrol.within(stubborn()) == "done"
    assert task.cancelling() == 0
    with pytest.raises(TimeoutError):
        await patrol.within(asyncio.sleep(LIMIT_SECONDS))


def test_an_agents_sub_agents_open_its_streams_and_leave_it_some(monkeypatch: pytest.MonkeyPatch):
    """D6: a thousand sub-agents are no thousand agents."""
    monkeypatch.setattr(limits, "STREAMS_PER_AGENT", 5)
    monkeypatch.setattr(limits, "STREAMS_KEPT", 2)
    gate = StreamGate()

    for _ in range(3):
        gate.enter("a", is_delegate=True)
    with pytest.raises(TooManyStreams):
        gate.enter("a", is_delegate=True)
    for _ in range(2):
        gate.enter("a")
    with pytest.raises(TooManyStreams):
        gate.enter("a")

    assert gate.open_streams == 5
