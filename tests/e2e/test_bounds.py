"""Clients that ask for too much: the market's memory stays bounded, and others are served.

Small and short here; ``python -m bench bounds`` is the same in full size.
"""

import asyncio
from collections.abc import Awaitable, Iterator
from dataclasses import dataclass
from itertools import count

import pytest

from bench import abuse
from bench.abuse import MIB, Place, Told
from bench.harness import percentile
from bench.wire import request_of
from buyer_agents import MarketClient
from market.protocol.signing import SigningKey
from market.protocol.wire import WriteEvent, WriteEvents
from tests.processes import MarketProcess
from tests.readers import read_on, read_sse

LIMIT_SECONDS = 60.0
OTHERS_P99_SECONDS = 1.0
NOTE = WriteEvent(kind="note.written", body={"text": "z" * 50_000})
NUMBERS = count(1)
EVENTS = 64
"""Of 50 KB each, in the log that everybody reads: 3 MiB, more than lies in any socket."""


@dataclass
class Patient:
    """A market under abuse, with one client that only wants to be served."""

    process: MarketProcess
    place: Place
    other: bytes
    whole: list[bytes]

    async def bears(self, work: Awaitable[Told], *, growth: int) -> Told:
        """Let it happen; memory grows by no more than that, and others wait for no second."""
        borne = await abuse.meanwhile(
            work, self.place.port, self.other, self.process.resident_bytes
        )
        assert borne.grown_bytes < growth, f"{borne.grown_bytes / MIB:.1f} MiB"
        assert percentile(borne.waited, 0.99) < OTHERS_P99_SECONDS
        return borne.told

    async def goes_on(self) -> None:
        """A reader who behaves gets the whole log, to the byte."""
        bearer = f"Bearer {self.place.token}"
        copy = await read_on(read_sse, self.process.url, self.place.session_id, bearer)
        assert copy.events == self.whole


@pytest.fixture(scope="module")
def shared_market(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MarketProcess]:
    """One market for all of these: what one leaves behind shows in the next."""
    with MarketProcess(tmp_path_factory.mktemp("market")) as process:
        yield process


@pytest.fixture
async def patient(shared_market: MarketProcess) -> Patient:
    url = shared_market.url
    async with (
        MarketClient(url, SigningKey.generate()) as buyer,
        MarketClient(url, SigningKey.generate()) as other,
    ):
        await buyer.register(f"loud-{next(NUMBERS)}", "buyer")
        await other.register(f"calm-{next(NUMBERS)}", "buyer")
        session = await buyer.open_session("everything")
        for _ in range(EVENTS // 8):
            await buyer.write_events(session.id, [NOTE] * 8)
        await buyer.close_session(session.id)
        empty = await buyer.open_session("nothing yet")
        bearer = await buyer.authorization()
        place = Place(shared_market.port, bearer.removeprefix("Bearer "), session.id, empty.id)
        token = (await other.authorization()).removeprefix("Bearer ")
    copy = await read_on(read_sse, url, session.id, bearer)
    me = request_of("GET", "/v1/me", token=token)
    return Patient(shared_market, place, me, copy.events)


@pytest.fixture(autouse=True)
async def in_time() -> None:
    """No test here takes long."""
    asyncio.get_running_loop().call_later(LIMIT_SECONDS, pytest.fail, "it takes too long")


async def test_readers_of_a_byte_a_second_cost_a_page_each_and_nobody_waits_for_them(
    patient: Patient,
):
    told = await patient.bears(abuse.slow_readers(patient.place, 10, 2.0), growth=40 * MIB)

    assert told == {"open": 10}
    await patient.goes_on()


async def test_readers_that_never_read_cost_a_page_each(patient: Patient):
    told = await patient.bears(abuse.deaf_readers(patient.place, 10, 1.0), growth=40 * MIB)

    assert told == {"open": 10}
    await patient.goes_on()


async def test_a_stampede_of_readers_from_the_start_is_served_to_the_end(patient: Patient):
    told = await patient.bears(abuse.stampede(patient.place, 60), growth=200 * MIB)

    assert told["complete"] == 60
    assert set(told) <= {"complete", "429"}


@pytest.mark.parametrize("path", ["/v1/sessions/{}/events", "/v1/stream/big"])
async def test_a_body_of_ten_megabytes_is_refused(patient: Patient, path: str):
    where = path.format(patient.place.session_id)

    told = await patient.bears(abuse.big_bodies(patient.place, 4, 10 * MIB, where), growth=40 * MIB)

    assert told == {"413": 4}
    await patient.goes_on()


@pytest.mark.parametrize("path", ["/v1/sessions/{}/events", "/v1/stream/endless"])
async def test_a_body_without_an_end_is_refused(patient: Patient, path: str):
    where = path.format(patient.place.session_id)

    told = await patient.bears(abuse.endless_bodies(patient.place, 2, where), growth=40 * MIB)

    assert set(told) <= {"413", "cut"}
    await patient.goes_on()


async def test_a_producer_without_an_end_fills_the_disk_and_not_the_memory(patient: Patient):
    url, place = patient.process.url, patient.place
    async with MarketClient(url, SigningKey.generate()) as writer:
        await writer.register(f"busy-{next(NUMBERS)}", "buyer")
        session = await writer.open_session("endless")
        place = place._replace(token=(await writer.authorization()).removeprefix("Bearer "))
    path, body = f"/v1/sessions/{session.id}/events", WriteEvents(events=[NOTE] * 8)

    told = await patient.bears(abuse.endless_producers(place, 4, 2.0, path, body), growth=60 * MIB)

    assert told["201"] > 20
    assert set(told) == {"201", "open"}


async def test_a_flood_of_pings_is_answered_or_ended(patient: Patient):
    told = await patient.bears(abuse.ping_flood(patient.place, 4, 20_000), growth=40 * MIB)

    assert set(told) <= {"open", "cut"}
    await patient.goes_on()


async def test_a_frame_of_ten_megabytes_closes_its_socket(patient: Patient):
    told = await patient.bears(abuse.big_frames(patient.place, 4, 10 * MIB), growth=120 * MIB)

    assert set(told) <= {"1009", "cut"}
    await patient.goes_on()
