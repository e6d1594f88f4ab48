"""Pages of a search: who is shown where, by lot."""

from types import SimpleNamespace

import pytest

from market.catalog.exploring import EXPLORED, SHARE, Place, Shown, page_of_ranked
from market.catalog.ranking import Ranked

TODAY = "2026-01-01"


def found(number: int, *, score: float | None = None, seller: int | None = None) -> Ranked:
    """A service of a seller of its own; the lower its number, the better it is ranked."""
    seller_id = f"seller-{number if seller is None else seller}"
    row = SimpleNamespace(id=f"svc_{number:04}", seller_id=seller_id)
    return Ranked(row, 1 - number / 1_000 if score is None else score, {"text": 0.5})


def sellers(*numbers: int) -> frozenset[str]:
    return frozenset(f"seller-{number}" for number in numbers)


def page(
    ranked: list[Ranked],
    *,
    newcomers: frozenset[str] = frozenset(),
    place: Place | None = None,
    limit: int = 20,
    lot: str = "somebody",
    day: str = TODAY,
) -> Shown:
    return page_of_ranked(
        ranked, newcomers=newcomers, seed=[lot, "word"], day=day, place=place, limit=limit
    )


def all_pages(ranked: list[Ranked], *, newcomers: frozenset[str], limit: int) -> list[Shown]:
    pages = [page(ranked, newcomers=newcomers, limit=limit)]
    while pages[-1].next is not None:
        pages.append(page(ranked, newcomers=newcomers, place=pages[-1].next, limit=limit))
    return pages


def explored(shown: Shown) -> list[str]:
    return [found.row.id for found in shown.items if EXPLORED in found.parts]


@pytest.mark.parametrize("limit", [1, 4, 5, 7, 12, 20, 50, 100])
@pytest.mark.parametrize("newcomers", [(), (150,), (3, 90, 91, 150), range(60, 160), range(160)])
def test_all_pages_together_show_every_service_once(limit: int, newcomers):
    ranked = [found(number) for number in range(160)]

    pages = all_pages(ranked, newcomers=sellers(*newcomers), limit=limit)

    shown = [one.row.id for each in pages for one in each.items]
    assert sorted(shown) == [one.row.id for one in ranked]
    assert {len(each.items) for each in pages[:-1]} <= {limit}


def test_one_place_in_ten_to_twenty_goes_to_newcomers():
    ranked = [found(number) for number in range(160)]
    newcomers = sellers(*range(100, 160))

    shown = [page(ranked, newcomers=newcomers, lot=f"agent-{number}") for number in range(200)]

    shares = [len(explored(each)) / len(each.items) for each in shown]
    assert {1 / 20, 2 / 20} == set(shares)
    assert sum(shares) / len(shares) == pytest.approx(SHARE / 100, abs=0.01)


def test_every_newcomer_gets_its_turn_and_none_has_it_by_merit():
    ranked = [found(number) for number in range(160)]
    newcomers = sellers(*range(140, 160))

    turns = [
        service_id
        for number in range(400)
        for service_id in explored(page(ranked, newcomers=newcomers, lot=f"agent-{number}"))
    ]

    counts = [turns.count(f"svc_{number:04}") for number in range(140, 160)]
    assert min(counts) > 10
    assert max(counts) < 4 * min(counts)


def test_many_services_are_one_chance():
    """T4: a new name that lists sixty services is tried as often as one that lists a single one."""
    ranked = [found(number, seller=min(number, 100)) for number in range(160)]
    ranked += [found(number) for number in range(160, 164)]
    newcomers = sellers(100, *range(160, 164))

    turns = [
        service_id
        for number in range(400)
        for service_id in explored(page(ranked, newcomers=newcomers, lot=f"agent-{number}"))
    ]

    of_many = sum(service_id < "svc_0160" for service_id in turns)
    assert of_many / len(turns) == pytest.approx(1 / 5, abs=0.06)
    assert len({service_id for service_id in turns if service_id < "svc_0160"}) > 30


@pytest.mark.parametrize("limit", [5, 7, 20, 50])
def test_pages_show_every_service_of_a_newcomer_once(limit: int):
    ranked = [found(number, seller=number % 40) for number in range(160)]

    pages = all_pages(ranked, newcomers=sellers(*range(20, 40)), limit=limit)

    shown = [one.row.id for each in pages for one in each.items]
    assert sorted(shown) == [one.row.id for one in ranked]


def test_the_head_of_a_page_is_the_best_ranked():
    ranked = [found(number) for number in range(160)]

    heads = {
        page(ranked, newcomers=sellers(*range(20, 160)), lot=f"agent-{number}").items[0].row.id
        for number in range(50)
    }

    assert heads == {"svc_0000"}


def test_a_page_does_not_jump_within_a_day_and_does_from_day_to_day():
    ranked = [found(number) for number in range(160)]
    newcomers = sellers(*range(100, 160))

    first, again = (page(ranked, newcomers=newcomers) for _ in range(2))
    days = {
        tuple(explored(page(ranked, newcomers=newcomers, day=f"2026-01-{day:02}")))
        for day in range(1, 11)
    }

    assert first == again
    assert len(days) > 5


def test_a_list_that_is_turned_at_midnight_goes_on_as_it_began():
    ranked = [found(number) for number in range(60)]
    newcomers = sellers(*range(30, 60))
    first = page(ranked, newcomers=newcomers)

    assert first.next is not None
    rest = page(ranked, newcomers=newcomers, place=first.next, day=first.next.day, limit=100)

    shown = [one.row.id for one in (*first.items, *rest.items)]
    assert len(shown) == len(set(shown)) == 60


def test_where_everything_fits_nobody_is_moved_up():
    ranked = [found(number) for number in range(8)]

    shown = page(ranked, newcomers=sellers(*range(8)))

    assert [one.row.id for one in shown.items] == [one.row.id for one in ranked]
    assert not explored(shown)
    assert shown.next is None


def test_equal_scores_stand_in_an_order_drawn_by_lot():
    ranked = [found(number, score=0.5) for number in range(10)]

    orders = {
        tuple(one.row.id for one in page(ranked, lot=f"agent-{number}").items)
        for number in range(20)
    }

    assert len(orders) == 20


def test_pages_of_equal_scores_lose_and_double_nobody():
    ranked = [found(number, score=0.5) for number in range(47)]

    pages = all_pages(ranked, newcomers=sellers(*range(0, 47, 3)), limit=10)

    shown = [one.row.id for each in pages for one in each.items]
    assert sorted(shown) == [one.row.id for one in ranked]


def test_one_who_comes_up_between_two_pages_doubles_nobody():
    """A score that changes may hide its own service from a list, and no other."""
    ranked = [found(number) for number in range(60)]
    newcomers = sellers(*range(30, 60))
    first = page(ranked, newcomers=newcomers, limit=20)
    changed = [*ranked[:50], found(50, score=0.9995), *ranked[51:]]

    rest = page(changed, newcomers=newcomers, place=first.next, limit=100)

    shown = [one.row.id for one in (*first.items, *rest.items)]
    assert len(shown) == len(set(shown))
    assert {one.row.id for one in ranked} - set(shown) <= {"svc_0050"}
