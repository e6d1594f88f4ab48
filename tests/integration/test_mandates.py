"""Spending under a mandate, on both databases: never more than was allowed, by whatever road."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from market import mandates
from market.base.caller import BadCommitment, Caller
from market.base.clock import ManualClock, seconds_of
from market.base.errors import InsufficientScope, MarketError, NotFound
from market.base.settings import Settings
from market.base.store import Store
from market.protocol.commitments import MANDATE, AgentKind, MandateClaims
from market.protocol.wire import MandateView
from tests.factories import Party, enter, mandate, race

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
SELLER = "s" * 43


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOON)


@pytest.fixture
async def principal(store: Store) -> Party:
    return await enter(store, "firm", "principal")


@pytest.fixture
async def buyer(store: Store, principal: Party) -> Party:
    return await enter(store, "thrifty", "buyer", principal.id)


async def spend(store: Store, allowed: MandateView, amount_minor: int, **change: Any) -> int | None:
    return await store.write(
        mandates.spend,
        **{
            "mandate_id": allowed.id,
            "buyer_id": allowed.buyer_id,
            "seller_id": SELLER,
            "tags": ["csv"],
            "amount_minor": amount_minor,
            "currency": "XTS",
            **change,
        },
    )


async def now_of(buyer: Party, allowed: MandateView) -> MandateView:
    return await buyer.store.read(mandates.mandate, caller=buyer.caller, mandate_id=allowed.id)


async def give(principal: Party, buyer: Party, **claims: Any) -> MandateView:
    """Give a mandate whose claims are what the test says, however odd."""
    now = principal.store.clock.now()
    usual = {
        "iss": principal.id,
        "aud": principal.caller.issuer,
        "iat": seconds_of(now),
        "exp": seconds_of(now) + 3_600,
        "jti": "mandate-1",
        "buyer_id": buyer.id,
        "currency": "XTS",
        "limits": {},
    }
    token = principal.key.sign(usual | claims, typ=MANDATE)
    signed = principal.caller.open(token, typ=MANDATE, claims=MandateClaims, now=now)
    return await principal.store.write(mandates.give, caller=principal.caller, signed=signed)


def overseer(settings: Settings) -> Caller:
    scopes = frozenset({"read", "oversee"})
    return Caller("o" * 43, "judge", "overseer", None, scopes, {}, settings.issuer)


# Giving


async def test_a_mandate_says_what_was_signed(principal: Party, buyer: Party) -> None:
    given = await mandate(principal, buyer, budget_minor=500, sellers_deny=[SELLER])

    assert (given.principal_id, given.buyer_id, given.currency) == (principal.id, buyer.id, "XTS")
    assert given.limits["budget_minor"] == 500
    assert given.limits["sellers_deny"] == [SELLER]
    assert given.limits["max_orders"] is None
    assert (given.spent_minor, given.period_spent_minor, given.orders) == (0, 0, 0)
    assert given.created_at == "2026-11-22T12:00:00.000000Z"
    assert given.expires_at == "2026-11-23T12:00:00.000000Z"
    assert given.revoked_at is None
    assert principal.key.public.read(given.mandate, typ=MANDATE, claims=MandateClaims)
    assert await now_of(buyer, given) == await now_of(principal, given) == given


async def test_the_same_mandate_again_is_the_same(principal: Party, buyer: Party) -> None:
    first = await give(principal, buyer)

    assert await give(principal, buyer) == first
    with pytest.raises(mandates.MandateReused):
        await give(principal, buyer, limits={"budget_minor": 1})


async def test_a_mandate_is_for_a_buyer_of_the_principal_alone(
    store: Store, principal: Party
) -> None:
    rival = await enter(store, "rival", "principal")
    others = [
        await enter(store, "free", "buyer"),
        await enter(store, "theirs", "buyer", rival.id),
        await enter(store, "our-shop", "seller", principal.id),
        principal,
    ]

    for other in others:
        with pytest.raises(mandates.BuyerNotYours):
            await give(principal, other)
    with pytest.raises(mandates.BuyerNotYours):
        await give(principal, others[0], buyer_id="n" * 43)


async def test_a_buyer_gives_itself_nothing(buyer: Party) -> None:
    with pytest.raises(mandates.BuyerNotYours):
        await give(buyer, buyer)


async def test_a_mandate_signed_by_the_buyer_in_its_principals_name_is_refused(
    principal: Party, buyer: Party
) -> None:
    forger = principal._replace(key=buyer.key)

    with pytest.raises(BadCommitment):
        await give(forger, buyer)


async def test_giving_needs_the_scope_to_pay(principal: Party, buyer: Party) -> None:
    reader = principal._replace(caller=principal.caller._replace(scopes=frozenset({"read"})))

    with pytest.raises(InsufficientScope):
        await give(reader, buyer)


@pytest.mark.parametrize(
    "claims",
    [
        {"currency": "XXX"},
        {"exp": seconds_of(NOON + mandates.MAX_LIFE) + 1},
        {"exp": 2**40},
        {"limits": {"period_budget_minor": 5}},
        {"limits": {"period_seconds": 5}},
    ],
)
async def test_a_mandate_that_cannot_be_is_refused(
    principal: Party, buyer: Party, claims: dict[str, Any]
) -> None:
    with pytest.raises(mandates.BadMandate):
        await give(principal, buyer, **claims)


@pytest.mark.parametrize(
    "claims",
    [
        {"limits": {"max_price": 5}},
        {"limits": {"countries_allow": ["NZ"]}},
        {"limits": {"budget_minor": -1}},
        {"limits": {"budget_minor": 0}},
        {"limits": {"budget_minor": 1.5}},
        {"limits": {"sellers_allow": ["x"]}},
        {"exp": seconds_of(NOON) - 31},
        {"depth": 2},
    ],
)
async def test_a_constraint_that_the_market_does_not_know_is_refused(
    principal: Party, buyer: Party, claims: dict[str, Any]
) -> None:
    with pytest.raises(BadCommitment):
        await give(principal, buyer, **claims)


async def test_the_longest_mandate_is_accepted(principal: Party, buyer: Party) -> None:
    given = await give(principal, buyer, exp=seconds_of(NOON + mandates.MAX_LIFE))

    assert given.expires_at == "2027-11-23T12:00:00.000000Z"


# Spending


async def test_each_order_is_counted(principal: Party, buyer: Party) -> None:
    allowed = await mandate(principal, buyer, budget_minor=500, period_budget_minor=400,
                            period_seconds=60)  # fmt: skip

    assert await spend(buyer.store, allowed, 150) is None
    assert await spend(buyer.store, allowed, 250) is None

    view = await now_of(buyer, allowed)
    assert (view.spent_minor, view.period_spent_minor, view.orders) == (400, 400, 2)


@pytest.mark.parametrize(
    ("limits", "limit", "available_minor"),
    [
        ({"max_price_minor": 99}, "max_price_minor", 99),
        ({"budget_minor": 199}, "budget_minor", 99),
        ({"period_budget_minor": 150, "period_seconds": 60}, "period_budget_minor", 50),
        ({"max_orders": 1}, "max_orders", 0),
    ],
)
async def test_the_first_order_that_exceeds_is_refused_and_not_counted(
    principal: Party, buyer: Party, limits: dict[str, int], limit: str, available_minor: int
) -> None:
    allowed = await mandate(principal, buyer, **limits)
    if "max_price_minor" not in limits:
        await spend(buyer.store, allowed, 100)
    before = await now_of(buyer, allowed)

    with pytest.raises(mandates.MandateExceeded) as refusal:
        await spend(buyer.store, allowed, 100)

    assert refusal.value.facts == {"limit": limit, "available_minor": available_minor}
    assert refusal.value.status == 402
    assert await now_of(buyer, allowed) == before
    if available_minor:
        assert await spend(buyer.store, allowed, available_minor) is None


@pytest.mark.parametrize(
    ("limits", "limit"),
    [
        ({"sellers_allow": ["t" * 43]}, "sellers_allow"),
        ({"sellers_deny": [SELLER]}, "sellers_deny"),
        ({"tags_allow": ["pdf"]}, "tags_allow"),
        ({"tags_deny": ["csv"]}, "tags_deny"),
    ],
)
async def test_a_purchase_of_another_kind_is_refused(
    principal: Party, buyer: Party, limits: dict[str, list[str]], limit: str
) -> None:
    allowed = await mandate(principal, buyer, **limits)

    with pytest.raises(mandates.MandateForbids) as refusal:
        await spend(buyer.store, allowed, 1)

    assert refusal.value.facts == {"limit": limit}


async def test_another_currency_is_refused(principal: Party, buyer: Party) -> None:
    allowed = await mandate(principal, buyer)

    with pytest.raises(mandates.MandateCurrency):
        await spend(buyer.store, allowed, 1, currency="EUR")


async def test_another_buyers_mandate_is_not_there(
    store: Store, principal: Party, buyer: Party
) -> None:
    allowed = await mandate(principal, buyer)
    sister = await enter(store, "sister", "buyer", principal.id)

    refusals = [
        await refused(spend(store, allowed, 1, buyer_id=sister.id)),
        await refused(spend(store, allowed, 1, mandate_id="mdt_none")),
    ]

    assert [type(refusal) for refusal in refusals] == [NotFound, NotFound]
    assert str(refusals[0]) == str(refusals[1])


async def refused(attempt: Any) -> MarketError:
    with pytest.raises(MarketError) as refusal:
        await attempt
    return refusal.value


async def test_an_expired_mandate_is_spent_no_more(
    principal: Party, buyer: Party, clock: ManualClock
) -> None:
    allowed = await give(principal, buyer)
    clock.advance(timedelta(seconds=3_600, microseconds=-1))
    assert await spend(buyer.store, allowed, 1) is None

    clock.advance(timedelta(microseconds=1))

    with pytest.raises(mandates.MandateEnded) as refusal:
        await spend(buyer.store, allowed, 1)
    assert refusal.value.facts["limit"] == "expires_at"


async def test_a_price_above_the_approval_limit_is_counted_and_waits(
    principal: Party, buyer: Party
) -> None:
    allowed = await mandate(principal, buyer, approval_over_minor=100)

    assert await spend(buyer.store, allowed, 100) is None
    assert await spend(buyer.store, allowed, 101) == 100

    assert (await now_of(buyer, allowed)).spent_minor == 201


async def test_of_64_orders_at_once_exactly_those_that_are_affordable_pass(
    principal: Party, buyer: Party
) -> None:
    allowed = await mandate(principal, buyer, budget_minor=7 * 30 + 29)

    refusals = await race(
        64, lambda: spend(buyer.store, allowed, 30), collect=mandates.MandateExceeded
    )

    assert len(refusals) == 64 - 7
    assert all(refusal.facts["limit"] == "budget_minor" for refusal in refusals)
    view = await now_of(buyer, allowed)
    assert (view.spent_minor, view.orders) == (210, 7)


@pytest.mark.parametrize(
    "limits",
    [{"max_orders": 7}, {"period_budget_minor": 7 * 30 + 29, "period_seconds": 3_600}],
)
async def test_the_other_counters_hold_at_once_too(
    principal: Party, buyer: Party, limits: dict[str, int]
) -> None:
    allowed = await mandate(principal, buyer, **limits)

    refusals = await race(
        64, lambda: spend(buyer.store, allowed, 30), collect=mandates.MandateExceeded
    )

    assert len(refusals) == 64 - 7


async def test_the_counters_hold_over_two_workers(postgres_settings: Settings) -> None:
    stores = [Store.open(postgres_settings) for _ in range(2)]
    principal = await enter(stores[0], "firm", "principal")
    buyer = await enter(stores[0], "thrifty", "buyer", principal.id)
    allowed = await mandate(principal, buyer, budget_minor=7 * 30 + 29)

    results = await asyncio.gather(
        *(spend(stores[place % 2], allowed, 30) for place in range(64)), return_exceptions=True
    )

    assert results.count(None) == 7
    assert sum(isinstance(result, mandates.MandateExceeded) for result in results) == 57
    for store in stores:
        store.close()


# Periods


async def test_a_new_window_has_its_whole_budget(
    principal: Party, buyer: Party, clock: ManualClock
) -> None:
    allowed = await mandate(principal, buyer, period_budget_minor=100, period_seconds=60)
    await spend(buyer.store, allowed, 100)
    clock.advance(timedelta(seconds=59))
    with pytest.raises(mandates.MandateExceeded):
        await spend(buyer.store, allowed, 1)

    clock.advance(timedelta(seconds=1))

    view = await now_of(buyer, allowed)
    assert (view.spent_minor, view.period_spent_minor) == (100, 0)
    await spend(buyer.store, allowed, 60)
    clock.advance(timedelta(seconds=150))
    await spend(buyer.store, allowed, 100)
    view = await now_of(buyer, allowed)
    assert (view.spent_minor, view.period_spent_minor) == (260, 100)


# Giving back


async def test_what_was_not_used_can_be_spent_again(principal: Party, buyer: Party) -> None:
    allowed = await mandate(principal, buyer, budget_minor=100)
    await spend(buyer.store, allowed, 100)

    await buyer.store.write(mandates.give_back, mandate_id=allowed.id, amount_minor=40)

    view = await now_of(buyer, allowed)
    assert (view.spent_minor, view.orders) == (60, 1)
    await spend(buyer.store, allowed, 40)


async def test_the_present_window_gets_back_what_was_spent_in_it_alone(
    principal: Party, buyer: Party, clock: ManualClock
) -> None:
    allowed = await mandate(principal, buyer, period_budget_minor=100, period_seconds=60)
    give_back = {"mandate_id": allowed.id, "amount_minor": 30}
    first_at = clock.now()
    await spend(buyer.store, allowed, 100)

    await buyer.store.write(mandates.give_back, **give_back, spent_at=first_at)

    assert (await now_of(buyer, allowed)).period_spent_minor == 70
    clock.advance(timedelta(seconds=60))
    await spend(buyer.store, allowed, 100)
    await buyer.store.write(mandates.give_back, **give_back, spent_at=first_at)
    await buyer.store.write(mandates.give_back, **give_back)
    view = await now_of(buyer, allowed)
    assert (view.spent_minor, view.period_spent_minor) == (110, 100)
    with pytest.raises(mandates.MandateExceeded):
        await spend(buyer.store, allowed, 1)


async def test_a_window_that_has_passed_unused_stays_unused(
    principal: Party, buyer: Party, clock: ManualClock
) -> None:
    allowed = await mandate(principal, buyer, period_budget_minor=100, period_seconds=60)
    await spend(buyer.store, allowed, 100)
    clock.advance(timedelta(seconds=60))

    await buyer.store.write(
        mandates.give_back, mandate_id=allowed.id, amount_minor=100, spent_at=clock.now()
    )

    await spend(buyer.store, allowed, 100)
    with pytest.raises(mandates.MandateExceeded):
        await spend(buyer.store, allowed, 1)


# Revoking


async def test_a_revoked_mandate_is_spent_no_more(
    principal: Party, buyer: Party, clock: ManualClock
) -> None:
    allowed = await mandate(principal, buyer)
    revoke = {"caller": principal.caller, "mandate_id": allowed.id}

    view = await buyer.store.write(mandates.revoke, **revoke, reason="enough")

    assert view.revoked_at == "2026-11-22T12:00:00.000000Z"
    with pytest.raises(mandates.MandateEnded) as refusal:
        await spend(buyer.store, allowed, 1)
    assert refusal.value.facts["limit"] == "revoked"
    clock.advance(timedelta(hours=1))
    assert await buyer.store.write(mandates.revoke, **revoke, reason="again") == view


async def test_an_overseer_may_revoke(principal: Party, buyer: Party) -> None:
    allowed = await mandate(principal, buyer)
    judge = overseer(buyer.store.settings)

    view = await buyer.store.write(
        mandates.revoke, caller=judge, mandate_id=allowed.id, reason="fraud"
    )

    assert view.revoked_at


async def test_the_buyer_may_not_revoke_and_strangers_see_nothing(
    store: Store, principal: Party, buyer: Party
) -> None:
    allowed = await mandate(principal, buyer)
    stranger = await enter(store, "stranger", "principal")

    with pytest.raises(mandates.PrincipalsOnly):
        await store.write(
            mandates.revoke, caller=buyer.caller, mandate_id=allowed.id, reason="mine"
        )
    for mandate_id in (allowed.id, "mdt_none"):
        with pytest.raises(NotFound, match="There is no such mandate"):
            await store.write(
                mandates.revoke, caller=stranger.caller, mandate_id=mandate_id, reason="x"
            )
        with pytest.raises(NotFound, match="There is no such mandate"):
            await store.read(mandates.mandate, caller=stranger.caller, mandate_id=mandate_id)
    assert await spend(store, allowed, 1) is None


# Looking


async def test_each_sees_the_mandates_it_gave_or_got(
    store: Store, principal: Party, buyer: Party
) -> None:
    given = [await give(principal, buyer, jti=f"mandate-{number}") for number in range(5)]
    stranger = await enter(store, "stranger", "buyer")
    newest_first = [view.id for view in reversed(given)]

    async def listed(caller: Caller) -> list[str]:
        seen: list[str] = []
        cursor = None
        while True:
            page = await store.read(mandates.list_mandates, caller=caller, cursor=cursor, limit=2)
            seen += [view.id for view in page.items]
            if (cursor := page.next) is None:
                return seen

    assert await listed(principal.caller) == newest_first
    assert await listed(buyer.caller) == newest_first
    assert await listed(overseer(store.settings)) == newest_first
    assert await listed(stranger.caller) == []


@pytest.mark.parametrize("kind", ["buyer", "seller"])
async def test_who_acts_for_itself_needs_no_mandate(store: Store, kind: AgentKind) -> None:
    free = await enter(store, "free", kind)

    assert await store.read(mandates.require_for, free.caller) is None


async def test_who_acts_for_a_principal_is_told_which_mandates_it_has(
    principal: Party, buyer: Party, clock: ManualClock
) -> None:
    await give(principal, buyer, jti="mandate-short", exp=seconds_of(NOON) + 60)
    ended = await give(principal, buyer, jti="mandate-ended")
    usable = await give(principal, buyer, jti="mandate-usable")
    await buyer.store.write(
        mandates.revoke, caller=principal.caller, mandate_id=ended.id, reason="enough"
    )
    clock.advance(timedelta(seconds=60))

    with pytest.raises(mandates.MandateRequired) as refusal:
        await buyer.store.read(mandates.require_for, buyer.caller)

    assert refusal.value.facts == {"mandate_ids": [usable.id]}
