"""What follows a delivery, for tests: disputes, refunds and redos in one line each."""

from typing import Any

from market import audit, inbox, ledger, orders
from market.base.store import Store
from market.protocol.commitments import RECEIPT, ReceiptClaims
from market.protocol.wire import (
    AnswerDispute,
    AskSupport,
    DisputeView,
    GiveRefund,
    OpenDispute,
    OrderView,
    ResolveDispute,
    SupportView,
)
from tests.factories import Party, Town, enter

PRICE = 400_000
FEE = 6_000


async def delivered(town: Town, *, units: int = 4, chunks: int = 2, **more: Any) -> OrderView:
    """An order whose delivery is complete, and waits for its buyer to inspect it."""
    order = await town.place(**more)
    for index in range(chunks):
        await town.deliver(order, index, units=units // chunks)
    return await town.complete(order)


async def open_dispute(town: Town, order: OrderView, reason: str = "other", **more: Any) -> Any:
    """The buyer disputes an order."""
    return await town.store.write(
        orders.open_dispute,
        caller=town.buyer.caller,
        order_id=order.id,
        request=OpenDispute(reason=reason, **more),  # type: ignore[arg-type]
    )


async def answer(town: Town, dispute: DisputeView, said: str, **more: Any) -> DisputeView:
    """The seller concedes or contests."""
    return await town.store.write(
        orders.answer_dispute,
        caller=town.seller.caller,
        dispute_id=dispute.id,
        request=AnswerDispute(answer=said, **more),  # type: ignore[arg-type]
    )


async def resolve(
    town: Town, warden: Party, dispute: DisputeView, refund_minor: int, reason: str = "seen it"
) -> DisputeView:
    """An overseer decides."""
    return await town.store.write(
        orders.resolve_dispute,
        caller=warden.caller,
        dispute_id=dispute.id,
        request=ResolveDispute(refund_minor=refund_minor, reason=reason),
    )


async def overseer(store: Store, handle: str = "warden") -> Party:
    """An overseer; the settings name those of a real market before it starts."""
    party = await enter(store, handle, "principal")
    scopes = frozenset({"read", "oversee", "fund"})
    return party._replace(caller=party.caller._replace(kind="overseer", scopes=scopes))


async def refund(
    town: Town, order: OrderView, amount_minor: int | None = None, reason: str = "sorry"
) -> OrderView:
    """The seller gives money back of its own free will."""
    return await town.store.write(
        orders.refund,
        caller=town.seller.caller,
        order_id=order.id,
        request=GiveRefund(amount_minor=amount_minor, reason=reason),
    )


async def support(town: Town, order: OrderView, action: str, **more: Any) -> SupportView:
    """The buyer asks for support."""
    return await town.store.write(
        orders.support,
        caller=town.buyer.caller,
        order_id=order.id,
        request=AskSupport(action=action, **more),  # type: ignore[arg-type]
    )


async def read(town: Town, dispute: DisputeView, by: Party | None = None) -> DisputeView:
    """The dispute as it now stands."""
    return await town.store.read(
        orders.dispute, caller=(by or town.buyer).caller, dispute_id=dispute.id
    )


async def sweep(store: Store) -> None:
    """One turn of the chores that end what is due."""
    await store.write(orders.follow_leases)
    for order_id in await store.scan(orders.due):
        await store.write(orders.expire, order_id=order_id)
    for dispute_id in await store.scan(orders.due_disputes):
        await store.write(orders.expire_dispute, dispute_id=dispute_id)


async def log_of(town: Town, order: OrderView, by: Party | None = None) -> list[dict[str, Any]]:
    """The events of an order's session, as one reads them."""
    return await town.log_of(order.session_id, by)


async def kinds(town: Town, order: OrderView) -> list[str]:
    """The kinds of these events."""
    return [event["kind"] for event in await log_of(town, order)]


async def receipts(town: Town, order: OrderView, by: Party | None = None) -> list[ReceiptClaims]:
    """What the market signed about an order, oldest first."""
    found = await town.store.read(
        orders.receipts_of, caller=(by or town.buyer).caller, order_id=order.id
    )
    key = town.store.signer.public
    return [key.read(one.receipt, typ=RECEIPT, claims=ReceiptClaims) for one in found]


async def messages(town: Town, party: Party) -> list[str]:
    """The kinds of what lies in an inbox."""
    box = await town.store.read(inbox.read, caller=party.caller, after=-1, limit=100)
    return [message.kind for message in box.items]


async def empty(town: Town, party: Party, *, but: int = 0) -> None:
    """Take the money out of a wallet, but for so much."""

    def spend(uow: Any, amount_minor: int) -> None:
        ledger.hold(
            uow,
            wallet_id=ledger.wallet_id(uow, agent_id=party.id, currency="XTS"),
            escrow_id=ledger.open_wallet(uow, agent_id="z" * 43, currency="XTS"),
            amount_minor=amount_minor,
            order_id=f"spent-{party.id[:8]}-{amount_minor}",
        )

    await town.store.write(spend, amount_minor=await town.available(party) - but)


async def nothing_is_wrong(store: Store) -> None:
    """The whole audit finds nothing."""
    found = await store.scan(audit.audit)
    assert found == [], "\n".join(f"{one.rule} {one.where}: {one.detail}" for one in found)
