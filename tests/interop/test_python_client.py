"""The client ``durable-streams`` from PyPI: its blocking half and its asynchronous half."""

import asyncio
import os
from concurrent.futures import ThreadPoolExecutor

import pytest
from durable_streams import (
    AsyncDurableStream,
    DurableStream,
    DurableStreamError,
    SeqConflictError,
    StreamExistsError,
    StreamNotFoundError,
    astream,
    stream,
)

from tests.interop.place import Place

LIMIT_SECONDS = 20.0
JSON = "application/json"


def created(place: Place, content_type: str, **members: object) -> DurableStream:
    return DurableStream.create(
        place.new(), content_type=content_type, headers=place.headers, **members
    )


def text_of(handle: DurableStream, offset: str | None = None) -> str:
    with handle.stream(live=False, offset=offset) as answer:
        return answer.read_text()


def test_a_stream_is_created_appended_to_and_read_back(place: Place):
    with created(place, "text/plain", ttl_seconds=3_600) as handle:
        first = handle.append("one ")
        last = handle.append("two")

        assert text_of(handle) == "one two"
        assert text_of(handle, first.next_offset) == "two"
        assert text_of(handle, last.next_offset) == ""
        assert handle.head().offset == last.next_offset
        assert first.next_offset < last.next_offset


def test_bytes_come_back_as_they_were(place: Place):
    with created(place, "application/octet-stream") as handle:
        sent = os.urandom(300_000)
        handle.append(sent)

        with handle.stream(live=False) as answer:
            assert answer.read_bytes() == sent


def test_a_list_is_one_message_and_values_keep_their_order(place: Place):
    with created(place, JSON) as handle:
        values = [{"text": "é"}, [1, 2], "three", None, 4.5]
        for value in values:
            handle.append(value)

        with handle.stream(live=False) as answer:
            assert answer.read_json() == values


def test_a_deleted_stream_is_gone(place: Place):
    with created(place, "text/plain") as handle:
        handle.append("soon gone")
        handle.delete()

        with pytest.raises(StreamNotFoundError):
            handle.head()
        with pytest.raises(StreamNotFoundError):
            text_of(handle)


def test_a_stream_of_another_kind_is_not_made_over(place: Place):
    with created(place, "text/plain") as handle, pytest.raises(StreamExistsError):
        DurableStream.create(handle.url, content_type=JSON, headers=place.headers)


def test_writes_that_come_out_of_sequence_are_refused(place: Place):
    with created(place, "text/plain") as handle:
        handle.append("b", seq="002")

        with pytest.raises(SeqConflictError):
            handle.append("a", seq="001")

        assert text_of(handle) == "b"


def test_nobody_reads_without_a_token(place: Place):
    with created(place, "text/plain") as handle, pytest.raises(DurableStreamError) as refusal:
        stream(handle.url, live=False)

    assert refusal.value.status == 401


@pytest.mark.parametrize("live", ["sse", "long-poll"])
def test_what_is_written_reaches_a_reader_that_waits(place: Place, live: str):
    with created(place, JSON) as handle, ThreadPoolExecutor(1) as pool:
        handle.append({"number": 0})
        reading = pool.submit(numbers, place, handle.url, live, "-1", 4)
        for number in range(1, 4):
            handle.append({"number": number})

        assert reading.result(LIMIT_SECONDS)[0] == [0, 1, 2, 3]


@pytest.mark.parametrize("live", ["sse", "long-poll"])
def test_a_reader_that_comes_back_goes_on_where_it_stopped(place: Place, live: str):
    with created(place, JSON) as handle:
        for number in range(3):
            handle.append({"number": number})
        first, offset = numbers(place, handle.url, live, "-1", 3)
        for number in range(3, 6):
            handle.append({"number": number})
        second, _ = numbers(place, handle.url, live, offset, 3)

        assert first + second == [0, 1, 2, 3, 4, 5]


def numbers(place: Place, url: str, live: str, offset: str, count: int) -> tuple[list[int], str]:
    """Read until there are ``count`` messages; return their numbers, and where reading stopped."""
    found: list[int] = []
    with stream(url, headers=place.headers, live=live, offset=offset) as answer:
        for event in answer.iter_events(mode="json"):
            found += [message["number"] for message in event.data]
            if len(found) >= count:
                return found, event.next_offset
    raise AssertionError(f"the stream ended after {found}")


async def test_fifty_appends_at_once_all_arrive_once(place: Place):
    handle = await AsyncDurableStream.create(
        place.new(), content_type=JSON, headers=place.headers, batching=False
    )
    async with handle, asyncio.timeout(LIMIT_SECONDS):
        answers = await asyncio.gather(*(handle.append({"number": n}) for n in range(50)))

        async with handle.stream(live=False) as answer:
            messages = await answer.read_json()

    assert sorted(message["number"] for message in messages) == list(range(50))
    assert len({answer.next_offset for answer in answers}) == 50


async def test_appends_that_the_client_batches_keep_their_order(place: Place):
    handle = await AsyncDurableStream.create(place.new(), content_type=JSON, headers=place.headers)
    async with handle, asyncio.timeout(LIMIT_SECONDS):
        await asyncio.gather(*(handle.append({"number": n}) for n in range(200)))

        async with handle.stream(live=False) as answer:
            messages = await answer.read_json()

    assert [message["number"] for message in messages] == list(range(200))


@pytest.mark.parametrize("live", ["sse", "long-poll"])
async def test_many_readers_at_once_see_the_same(place: Place, live: str):
    handle = await AsyncDurableStream.create(place.new(), content_type=JSON, headers=place.headers)

    async def read() -> list[int]:
        found: list[int] = []
        async with astream(handle.url, headers=place.headers, live=live, offset="-1") as answer:
            async for event in answer.iter_events(mode="json"):
                found += [message["number"] for message in event.data]
                if len(found) >= 10:
                    break
        return found

    async with handle, asyncio.timeout(LIMIT_SECONDS):
        readers = [asyncio.create_task(read()) for _ in range(10)]
        for number in range(10):
            await handle.append({"number": number})

        assert await asyncio.gather(*readers) == [list(range(10))] * 10
