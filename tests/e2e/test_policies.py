"""Policies at work in a live market: who is asked, what is bargained, who is let in."""

import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from buyer_agents import Journey, MarketClient, Shopper, policy_named
from buyer_agents.policies import POLICIES
from market.base.settings import Settings
from market.protocol.events import Event
from market.protocol.money import parse_amount
from market.protocol.signing import SigningKey
from market.protocol.wire import ServiceView
from scenarios.engine import Story
from scenarios.engine.play import run
from scenarios.engine.reading import load
from scenarios.engine.telling import Logged, News
from seller_services import Chunk, Order, down_to
from seller_services.repricing import priced
from tests.town import Tickets, Town, need, open_town, reader

PRICE = 600_000


async def log_of(market: MarketClient, journey: Journey) -> list[Event]:
    page = await market.events(journey.session_id)
    return [entry for entry in page.items if isinstance(entry, Event)]


async def asked(market: MarketClient, journey: Journey) -> list[str]:
    """The slugs of those that were asked for a quote, in order."""
    log = await log_of(market, journey)
    return [event.body["slug"] for event in log if event.kind == "evaluating.quoted"]


async def open_three(town: Town) -> dict[str, int]:
    """Three sellers of the same work; the dearest carries the words of the search in its name."""
    prices = {"read-pages-aloud": "0.12", "middle": "0.11", "plain": "0.10"}
    for slug, price in prices.items():
        await town.open(town.seller(reader(Tickets(100)), slug=slug, price=price))
    return {slug: 6 * parse_amount(price, "XTS") for slug, price in prices.items()}


def policy(name: str, **params: Any) -> Any:
    return policy_named(name, chance=random.Random(4), agent="thrifty", **params)


async def test_the_first_proposal_is_bought_and_no_other_is_read(sqlite_settings: Settings):
    async with open_town(sqlite_settings) as town:
        prices = await open_three(town)
        buyer = await town.client("thrifty")

        first = await Shopper(buyer, policy("first-proposal")).run(need())
        best = await Shopper(buyer, policy("cheapest")).run(need())

        assert await asked(buyer, first) == ["read-pages-aloud"]
        assert len(await asked(buyer, best)) == 3
        paid = [(await buyer.order(one.order_id or "")).captured_minor for one in (first, best)]
        assert paid == [prices["read-pages-aloud"], prices["plain"]]


async def test_a_satisficer_reads_until_a_price_is_good_enough(sqlite_settings: Settings):
    async with open_town(sqlite_settings) as town:
        await open_three(town)
        buyer = await town.client("thrifty")

        journey = await Shopper(buyer, policy("satisficer", price="0.65")).run(need())

        *_, last = read = await asked(buyer, journey)
        assert read[0] == "read-pages-aloud"
        assert last != "read-pages-aloud"
        order = await buyer.order(journey.order_id or "")
        assert (order.slug, order.captured_minor <= 650_000) == (last, True)


@pytest.mark.parametrize(("opening", "paid"), [(0.9, 540_000), (0.5, 480_000)])
async def test_a_haggler_pays_what_it_could_bargain_for(
    sqlite_settings: Settings, opening: float, paid: int
):
    async with open_town(sqlite_settings) as town:
        seller = town.seller(reader(Tickets(6)))
        seller.bargain(down_to(80))
        await town.open(seller)
        buyer = await town.client("thrifty")

        journey = await Shopper(buyer, policy("haggler", opening=opening)).run(need())

        assert journey.receipt is not None
        assert (await buyer.read_receipt(journey.receipt)).captured_minor == paid
        log = await log_of(buyer, journey)
        kinds = [event.kind for event in log]
        assert kinds.count("quote.countered") == (1 if opening == 0.9 else 3)
        [answered] = [event for event in log if event.kind == "quote.answered"]
        assert answered.body["answered_minor"] == paid
        evaluated = next(event for event in log if event.body.get("stage") == "evaluating")
        assert evaluated.body["alternatives"][0]["amount_minor"] == paid


async def test_a_bargain_brings_an_offer_below_the_limit_of_the_need(sqlite_settings: Settings):
    async with open_town(sqlite_settings) as town:
        seller = town.seller(reader(Tickets(6)))
        seller.bargain(down_to(80))
        await town.open(seller)
        buyer = await town.client("thrifty")
        wanted = need(max_price_minor=500_000)

        left = await Shopper(buyer, policy("best-value")).run(wanted)
        bought = await Shopper(buyer, policy("haggler")).run(wanted)

        assert (left.outcome, left.reason) == ("leave", "price")
        assert bought.outcome == "advance"


async def test_an_offer_whose_version_changed_meanwhile_is_read_again(
    sqlite_settings: Settings, monkeypatch: pytest.MonkeyPatch
):
    async with open_town(sqlite_settings) as town:
        key = SigningKey.generate()
        service = await town.open(town.seller(reader(Tickets(6)), key=key))
        seller = await town.client("reader", "seller", key=key)
        buyer = await town.client("thrifty")
        read, versions = buyer.service, iter(["1.0.1"])

        async def read_just_before_it_changes(*args: Any, **more: Any) -> ServiceView:
            seen = await read(*args, **more)
            for version in versions:
                await seller.publish({**priced(service.manifest, 90), "version": version})
            return seen

        monkeypatch.setattr(buyer, "service", read_just_before_it_changes)

        journey = await Shopper(buyer, policy("cheapest")).run(need())

        assert journey.receipt is not None
        assert (await buyer.read_receipt(journey.receipt)).captured_minor == PRICE * 9 // 10


async def test_who_meets_a_firm_seller_pays_its_price(sqlite_settings: Settings):
    async with open_town(sqlite_settings) as town:
        await town.open(town.seller(reader(Tickets(6))))
        buyer = await town.client("thrifty")

        journey = await Shopper(buyer, policy("haggler")).run(need())

        assert journey.receipt is not None
        assert (await buyer.read_receipt(journey.receipt)).captured_minor == PRICE
        kinds = [event.kind for event in await log_of(buyer, journey)]
        assert kinds.count("quote.declined") == 3


async def test_sub_agents_check_every_chunk_under_their_own_keys(sqlite_settings: Settings):
    async with open_town(sqlite_settings) as town:
        await town.open(town.seller(reader(Tickets(6))))
        buyer = await town.client("thrifty")

        journey = await Shopper(buyer, policy("delegating", workers=2)).run(need())

        assert journey.outcome == "advance"
        log = await log_of(buyer, journey)
        steps = [event for event in log if event.kind == "run.step"]
        by = {event.body["run"]: event.actor_id for event in steps}
        assert sorted((event.body["run"], event.body["step"]) for event in steps) == [
            *(("check-1", f"chunk-{index}") for index in (0, 2, 4)),
            *(("check-2", f"chunk-{index}") for index in (1, 3, 5)),
        ]
        assert len({*by.values(), buyer.agent_id}) == 3
        ended = [event.body["outcome"] for event in log if event.kind == "run.ended"]
        assert ended == ["done", "done"]


class Strict:
    """Mixed into a policy: the third page must not be empty."""

    def complaint(self, index: int, output: Any, need: Any) -> str:
        return f"Chunk {index} is empty." if not output["page"] else ""


async def test_one_complaint_of_a_sub_agent_makes_the_delivery_bad(sqlite_settings: Settings):
    async def careless(order: Order) -> AsyncIterator[Chunk]:
        for page in order.input["pages"]:
            yield Chunk({"page": "" if page == "c" else page}, units=1)

    async with open_town(sqlite_settings) as town:
        await town.open(town.seller(careless))
        buyer = await town.client("thrifty")
        delegating = policy("delegating")
        strict = type("StrictDelegating", (Strict, type(delegating)), {})(random.Random(1))

        journey = await Shopper(buyer, strict).run(need())

        assert (journey.outcome, journey.reason) == ("leave", "quality")
        assert journey.detail.startswith("Chunk 2 is empty.")
        log = await log_of(buyer, journey)
        [told] = [event for event in log if event.body.get("step") == "chunk-2"]
        assert told.body["detail"] == "Chunk 2 is empty."
        assert told.actor_id != buyer.agent_id


async def test_the_runs_of_checkers_end_with_an_order_that_fails(sqlite_settings: Settings):
    async def gives_up(order: Order) -> AsyncIterator[Chunk]:
        yield Chunk({"page": "a"}, units=1)
        raise RuntimeError("out of paper")

    async with open_town(sqlite_settings) as town:
        await town.open(town.seller(gives_up))
        buyer = await town.client("thrifty")

        journey = await Shopper(buyer, policy("delegating", workers=1)).run(need())

        assert (journey.outcome, journey.reason) == ("leave", "delivery_failed")
        ended = [event for event in await log_of(buyer, journey) if event.kind == "run.ended"]
        assert [event.body["outcome"] for event in ended] == ["cancelled"]


@pytest.mark.parametrize("name", POLICIES)
async def test_every_policy_walks_the_whole_journey(sqlite_settings: Settings, name: str):
    needed = {"satisficer": {"price": "1.00"}, "outside": {"ask": "tests.stand_in:answer"}}
    params: Any = needed.get(name, {})
    async with open_town(sqlite_settings) as town:
        await town.open(town.seller(reader(Tickets(6))))
        buyer = await town.client("thrifty")

        journey = await Shopper(buyer, policy(name, **params)).run(need())

        assert journey.outcome == "advance", journey.detail


async def test_a_policy_that_likes_nothing_leaves(sqlite_settings: Settings):
    async with open_town(sqlite_settings) as town:
        await town.open(town.seller(reader(Tickets())))
        buyer = await town.client("thrifty")

        journey = await Shopper(buyer, policy("wash-trader", target="another")).run(need())

        assert (journey.outcome, journey.stage, journey.reason) == ("leave", "finding", "no_result")


STORY = """
scenario = 1
name = "seats"
seed = 6
[market]
clock = { mode = "virtual" }
[[sellers]]
name = "dear"
service = "convert-units"
price = "0.004"
[[sellers]]
name = "cheap"
service = "convert-units"
[[sellers]]
name = "unsteady"
service = "convert-units"
behaviour = "flaky"
params = { fails = 0.5 }
[[buyers]]
name = "seat"
count = 2
policy = "outside"
wallet = "1.00"
need = { query = "convert units", input = { items = [
  { value = "1", from = "mile", to = "metre" },
  { value = "2", from = "mile", to = "metre" },
] } }
"""


def seated(path: Path, params: dict[str, str]) -> Story:
    lines = "\n".join(f"{name} = {value!r}" for name, value in params.items())
    path.write_text(f"{STORY}[buyers.params]\n{lines}\n")
    return load(path)


def names_in(folder: str) -> list[str]:
    return sorted(one.name for one in Path(folder).iterdir())


async def decisions(path: Path, **params: str) -> list[Any]:
    """Play the story with params of its seats; return every event, without signatures and times."""
    story = seated(path, params)
    seen: list[Any] = []

    def note(news: News) -> None:
        if isinstance(news, Logged):
            seen.append((news.buyer, news.event.offset, news.event.kind, news.event.body))

    result = await run(story, tell=note)

    assert result.findings == []
    return seen


async def test_a_seat_is_played_again_without_who_sat_there(tmp_path: Path):
    path, kept = tmp_path / "seats.toml", str(tmp_path / "kept")

    asked = await decisions(path, ask="tests.stand_in:answer", record=kept)
    played = await decisions(path, replay=kept)

    assert names_in(kept) == ["seat-1.jsonl", "seat-2.jsonl"]
    assert played == asked
    assert any(kind == "order.settled" for _, _, kind, _ in played)


async def test_a_seat_that_nobody_takes_leaves_the_market(tmp_path: Path):
    asked = await decisions(tmp_path / "seats.toml", url="http://127.0.0.1:9/decide")

    left = [body for _, _, kind, body in asked if kind == "decision.made"]
    assert {(body["outcome"], body["stage"], body["reason"]) for body in left} == {
        ("leave", "finding", "other")
    }
    assert all("Nobody answered 'rank'" in body["detail"] for body in left)
