from collections.abc import AsyncGenerator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from seller_services.handling import CannotDeliver, Chunk, Yielded
from seller_services.measure import metered, share_of


async def units_of(outputs: list[Yielded], units: int) -> list[int]:
    async def made() -> AsyncGenerator[Yielded, None]:
        for output in outputs:
            yield output

    return [chunk.units async for chunk in metered(made(), units)]


def plain(count: int) -> list[Yielded]:
    return [{"number": number} for number in range(count)]


@pytest.mark.parametrize(
    ("chunks", "units", "expected"),
    [
        (1, 1, [1]),
        (3, 1, [0, 0, 1]),
        (1, 7, [7]),
        (3, 7, [1, 1, 5]),
        (3, 3, [1, 1, 1]),
        (5, 3, [1, 1, 0, 0, 1]),
        (0, 3, []),
    ],
)
async def test_plain_outputs_share_the_units_and_the_last_takes_the_rest(
    chunks: int, units: int, expected: list[int]
) -> None:
    assert await units_of(plain(chunks), units) == expected


async def test_a_handler_may_say_what_each_chunk_is_worth() -> None:
    outputs: list[Yielded] = [Chunk({}, 2), Chunk({}, 0), Chunk({}, 1)]

    assert await units_of(outputs, 5) == [2, 0, 1]


async def test_plain_outputs_after_declared_ones_share_what_is_left() -> None:
    assert await units_of([Chunk({}, 3), {}, {}], 5) == [3, 1, 1]


async def test_a_declared_chunk_is_not_held_back() -> None:
    asked = []

    async def made() -> AsyncGenerator[Yielded, None]:
        for number in range(2):
            asked.append(number)
            yield Chunk({"number": number}, 1)

    chunks = metered(made(), 2)
    await anext(chunks)

    assert asked == [0]
    await chunks.aclose()


@pytest.mark.parametrize("declared", [[4], [2, 2], [-1]])
async def test_more_units_than_were_paid_for_cannot_be_delivered(declared: list[int]) -> None:
    with pytest.raises(CannotDeliver):
        await units_of([Chunk({}, units) for units in declared], 3)


@given(units=st.integers(0, 500), parts=st.integers(1, 100))
def test_shares_add_up_and_differ_by_at_most_one(units: int, parts: int) -> None:
    shares = [share_of(units, part=part, parts=parts) for part in range(parts)]

    assert sum(shares) == units
    assert max(shares) - min(shares) <= 1
