"""Rates, what is held, the line for heavy work, the disk's reserve: both sides of each edge."""

import asyncio
from pathlib import Path

import pytest

from market.base.errors import Overloaded, StorageFull
from market.base.settings import Settings
from market.faces.http import limits
from market.faces.http.disk import Disk
from market.faces.http.heavy import Heavy
from market.faces.http.held import Held
from market.faces.http.porch import Hosts
from market.faces.http.problems import TooManyRequests
from market.faces.http.rates import Buckets, Rates, neighbourhood


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
