"""Money on both databases: moved whole or not at all, and never below zero."""

from typing import Any

import pytest

from market import ledger
from market.base.caller import Caller
from market.base.errors import InsufficientScope, NotFound
from market.base.settings import Settings
from market.base.store import Store
from market.protocol.commitments import AgentKind
from market.protocol.money import MAX_MINOR
from market.protocol.wire import BalanceView, Fund
from tests.factories import race
from tests.money import (
    BUYER,
    ORDER,
    OTHER_ORDER,
    SELLER,
    balance,
    captured,
    fees,
    funded,
    held,
    refunded,
    voided,
)
from tests.outsiders import Outsider


@pytest.fixture(autouse=True)
async def _the_ledger_stays_whole(store: Store) -> Any:
    """Every test here ends with a proof."""
    yield
    assert await store.scan(ledger.check) == []


# Wallets


async def test_a_new_wallet_is_empty_and_opened_once(store: Store) -> None:
    wallet_id = await store.write(ledger.open_wallet, agent_id=BUYER, currency="XTS")

    assert wallet_id.startswith("acc_")
    assert await store.write(ledger.open_wallet, agent_id=BUYER, currency="XTS") == wallet_id
    assert await store.read(ledger.wallet_id, agent_id=BUYER, currency="XTS") == wallet_id
    assert await balance(store) == (0, 0)


async def test_an_agent_has_a_wallet_for_each_currency(store: Store) -> None:
    await funded(store, 5, currency="XTS")
    await funded(store, 7, currency="EUR")

    view = await store.read(ledger.wallet, agent_id=BUYER)

    assert view.balances == [
        BalanceView(currency="EUR", available_minor=7, held_minor=0),
        BalanceView(currency="XTS", available_minor=5, held_minor=0),
    ]


async def test_an_unknown_currency_has_no_wallet(store: Store) -> None:
    with pytest.raises(ledger.UnknownCurrency):
        await store.write(ledger.open_wallet, agent_id=BUYER, currency="XXX")
    with pytest.raises(NotFound):
        await store.read(ledger.wallet_id, agent_id=BUYER, currency="XTS")
    assert (await store.read(ledger.wallet, agent_id=BUYER)).balances == []


# Making money


async def test_minting_is_issued_and_owned(store: Store) -> None:
    await funded(store, 500)

    assert await balance(store) == (500, 0)
    assert await store.read(ledger.house_balance, kind="issuance", currency="XTS") == -500


async def test_minting_twice_with_one_key_is_minting_once(store: Store) -> None:
    mint = {"agent_id": BUYER, "amount_minor": 5, "currency": "XTS", "idempotency_key": "k"}
    first = await store.write(ledger.mint, **mint)

    again = await store.write(ledger.mint, **mint)

    assert (again.id, again.recorded_at, again.repeated) == (first.id, first.recorded_at, True)
    assert not first.repeated
    assert await balance(store) == (5, 0)
    with pytest.raises(ledger.TransactionDiffers):
        await store.write(ledger.mint, **{**mint, "amount_minor": 6})
    assert await store.write(ledger.mint, **{**mint, "agent_id": SELLER})


async def test_a_balance_stays_an_exact_number(store: Store) -> None:
    await funded(store, MAX_MINOR)

    with pytest.raises(ledger.BalanceTooLarge):
        await store.write(
            ledger.mint, agent_id=BUYER, amount_minor=1, currency="XTS", idempotency_key="more"
        )

    assert await balance(store) == (MAX_MINOR, 0)


def caller(settings: Settings, kind: AgentKind, scopes: str | None = None) -> Caller:
    return Outsider(settings, kind).caller(scopes=scopes)


async def test_an_overseer_funds_a_wallet_once_per_key(store: Store) -> None:
    overseer = caller(store.settings, "overseer")
    request = Fund(agent_id=BUYER, amount_minor=70, currency="XTS")

    for _ in range(2):
        view = await store.write(ledger.fund, caller=overseer, request=request, idempotency_key="k")

    assert view == await store.read(ledger.wallet, agent_id=BUYER)
    assert await balance(store) == (70, 0)
    other = caller(store.settings, "overseer")
    await store.write(ledger.fund, caller=other, request=request, idempotency_key="k")
    assert await balance(store) == (140, 0)


@pytest.mark.parametrize("kind", ["buyer", "seller", "principal"])
async def test_nobody_else_makes_money(store: Store, kind: AgentKind) -> None:
    request = Fund(agent_id=BUYER, amount_minor=70, currency="XTS")
    forged = caller(store.settings, kind)._replace(scopes=frozenset({"fund"}))

    with pytest.raises(InsufficientScope):
        await store.write(
            ledger.fund,
            caller=caller(store.settings, kind),
            request=request,
            idempotency_key="k",
        )
    with pytest.raises(ledger.FaucetClosed):
        await store.write(ledger.fund, caller=forged, request=request, idempotency_key="k")


async def test_there_is_no_faucet_in_production(store: Store) -> None:
    store.settings = store.settings.with_(mode="production")
    request = Fund(agent_id=BUYER, amount_minor=70, currency="XTS")

    with pytest.raises(ledger.FaucetClosed):
        await store.write(
            ledger.fund,
            caller=caller(store.settings, "overseer"),
            request=request,
            idempotency_key="k",
        )


# Holding


async def test_a_hold_lies_in_escrow(store: Store) -> None:
    await funded(store, 500)

    await held(store, 200)

    assert await balance(store) == (300, 200)


async def test_a_wallet_can_be_spent_to_the_last_unit_and_no_further(store: Store) -> None:
    await funded(store, 500)
    await held(store, 499)

    with pytest.raises(ledger.InsufficientFunds) as refusal:
        await held(store, 2, OTHER_ORDER)

    assert refusal.value.facts == {"amount_minor": 2, "available_minor": 1}
    assert await balance(store) == (1, 499)
    await held(store, 1, OTHER_ORDER)
    assert await balance(store) == (0, 500)


async def test_a_repeated_hold_moves_nothing(store: Store) -> None:
    await funded(store, 500)
    await held(store, 200)
    await held(store, 200)

    assert await balance(store) == (300, 200)
    with pytest.raises(ledger.TransactionDiffers):
        await held(store, 201)


async def test_only_one_of_four_racing_orders_gets_the_money(store: Store) -> None:
    await funded(store, 500)
    orders = iter(f"{ORDER[:-1]}{number}" for number in range(4))

    refusals = await race(
        4, lambda: held(store, 500, next(orders)), collect=ledger.InsufficientFunds
    )

    assert len(refusals) == 3
    assert await balance(store) == (0, 500)


async def test_fifty_holds_that_race_for_one_wallet_never_overdraw_it(store: Store) -> None:
    await funded(store, 70)
    orders = iter(f"ord_{number:026d}" for number in range(50))

    refusals = await race(
        50, lambda: held(store, 10, next(orders)), collect=ledger.InsufficientFunds
    )

    assert len(refusals) == 43
    assert await balance(store) == (0, 70)


async def test_an_account_that_is_not_there_moves_nothing(store: Store) -> None:
    wallet_id = await funded(store, 500)

    with pytest.raises(NotFound):
        await store.write(
            ledger.hold,
            wallet_id=wallet_id,
            escrow_id="acc_none",
            amount_minor=5,
            order_id=ORDER,
        )

    assert await balance(store) == (500, 0)


async def test_accounts_of_two_currencies_do_not_meet(store: Store) -> None:
    wallet_id = await funded(store, 500)
    escrow_id = await store.write(ledger.open_escrow, order_id=ORDER, currency="EUR")

    with pytest.raises(ledger.CurrencyMismatch):
        await store.write(
            ledger.hold,
            wallet_id=wallet_id,
            escrow_id=escrow_id,
            amount_minor=5,
            order_id=ORDER,
        )

    assert await balance(store) == (500, 0)


# Capturing and voiding


async def test_a_capture_pays_the_seller_and_the_fee(store: Store) -> None:
    await funded(store, 500)

    await captured(store, 200, 3, await held(store, 200))

    assert await balance(store) == (300, 0)
    assert await balance(store, SELLER) == (197, 0)
    assert await fees(store) == 3


@pytest.mark.parametrize(("fee_minor", "net_minor"), [(0, 200), (200, 0)])
async def test_a_capture_without_fee_or_without_net_has_no_empty_leg(
    store: Store, fee_minor: int, net_minor: int
) -> None:
    await funded(store, 500)

    await captured(store, 200, fee_minor, await held(store, 200))

    assert await balance(store, SELLER) == (net_minor, 0)
    assert await fees(store) == fee_minor


async def test_a_part_is_captured_and_the_rest_comes_back(store: Store) -> None:
    await funded(store, 500)
    escrow = await held(store, 200)

    await captured(store, 120, 2, escrow)
    await voided(store, 80, escrow)

    assert await balance(store) == (380, 0)
    assert await balance(store, SELLER) == (118, 0)


async def test_nothing_moves_for_nothing(store: Store) -> None:
    await funded(store, 500)
    escrow = await held(store, 200)

    assert await captured(store, 0, 0, escrow) is None
    assert await voided(store, 0, escrow) is None
    assert await balance(store) == (300, 200)


async def test_no_more_is_captured_or_voided_than_was_held(store: Store) -> None:
    await funded(store, 500)
    escrow = await held(store, 200)

    with pytest.raises(ledger.EscrowExceeded) as refusal:
        await captured(store, 201, 3, escrow)
    assert refusal.value.facts == {"amount_minor": 201, "available_minor": 200}
    with pytest.raises(ledger.EscrowExceeded):
        await voided(store, 201, escrow)

    await captured(store, 150, 3, escrow)
    with pytest.raises(ledger.EscrowExceeded):
        await voided(store, 51, escrow)
    assert await balance(store) == (300, 50)


async def test_after_a_void_nothing_is_left_to_capture(store: Store) -> None:
    await funded(store, 500)
    escrow = await held(store, 200)
    await voided(store, 200, escrow)

    with pytest.raises(ledger.EscrowExceeded):
        await captured(store, 1, 0, escrow)


async def test_of_fifty_captures_and_voids_at_once_one_wins(store: Store) -> None:
    await funded(store, 500)
    escrow = await held(store, 200)
    await funded(store, 0, SELLER)
    turns = iter(range(50))

    async def either() -> Any:
        if next(turns) % 2:
            return await captured(store, 200, 3, escrow)
        return await voided(store, 200, escrow)

    refusals = await race(50, either, collect=ledger.EscrowExceeded)

    assert len(refusals) == 25  # the winner's own repeats get its result
    buyer, seller = await balance(store), await balance(store, SELLER)
    assert (buyer, seller) in [((500, 0), (0, 0)), ((300, 0), (197, 0))]


async def test_a_repeated_capture_moves_nothing_and_another_amount_is_refused(
    store: Store,
) -> None:
    await funded(store, 500)
    escrow = await held(store, 200)
    first = await captured(store, 120, 2, escrow)

    assert (await captured(store, 120, 2, escrow)).id == first.id
    for minor, fee_minor in ((80, 2), (120, 3)):
        with pytest.raises(ledger.TransactionDiffers):
            await captured(store, minor, fee_minor, escrow)
    assert await balance(store, SELLER) == (118, 0)


# Refunding


async def test_a_refund_goes_back_to_the_buyer_once(store: Store) -> None:
    await funded(store, 500)
    await funded(store, 10, SELLER)
    await captured(store, 200, 3, await held(store, 200))

    first = await refunded(store, 200)

    assert (await refunded(store, 200)).id == first.id
    assert await balance(store) == (500, 0)
    assert await balance(store, SELLER) == (7, 0)
    assert await fees(store) == 3
    with pytest.raises(ledger.TransactionDiffers):
        await refunded(store, 100)


async def test_no_more_is_refunded_than_was_captured(store: Store) -> None:
    await funded(store, 500)
    await funded(store, 1_000, SELLER)
    with pytest.raises(ledger.RefundExceeded):
        await refunded(store, 1)
    await captured(store, 200, 3, await held(store, 200))

    with pytest.raises(ledger.RefundExceeded) as refusal:
        await refunded(store, 201)

    assert refusal.value.facts == {"amount_minor": 201, "captured_minor": 200}
    assert await balance(store) == (300, 0)


async def test_a_refund_that_the_seller_cannot_cover_tells_nothing_of_its_wallet(
    store: Store,
) -> None:
    await funded(store, 500)
    await captured(store, 200, 3, await held(store, 200))

    with pytest.raises(ledger.RefundNotCovered) as refusal:
        await refunded(store, 200)

    assert refusal.value.facts == {"amount_minor": 200}
    assert "197" not in refusal.value.detail
    assert await balance(store, SELLER) == (197, 0)


async def test_money_does_not_move_from_an_account_to_itself(store: Store) -> None:
    wallet_id = await funded(store, 500)
    await captured(store, 200, 3, await held(store, 200))

    with pytest.raises(ledger.SelfTransfer):
        await store.write(
            ledger.refund,
            seller_wallet_id=wallet_id,
            wallet_id=wallet_id,
            amount_minor=5,
            order_id=ORDER,
        )
