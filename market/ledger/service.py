"""Verbs of the ledger: make money, hold it, capture it, void the hold, refund."""

from collections.abc import Sequence

from market.base.caller import Caller
from market.base.work import UnitOfWork
from market.ledger.accounts import open_wallet, wallet
from market.ledger.bonds import draw_bond
from market.ledger.errors import (
    FaucetClosed,
    InsufficientFunds,
    RefundExceeded,
    RefundNotCovered,
)
from market.ledger.posting import (
    Leg,
    Transaction,
    capture_key,
    captured_minor,
    post,
    refund_key,
    refunded_minor,
)
from market.protocol.wire import Fund, WalletView


def fund(uow: UnitOfWork, *, caller: Caller, request: Fund, idempotency_key: str) -> WalletView:
    """Give an agent sandbox money. A repeat with the same key gives nothing more.

    Raises:
        FaucetClosed: the market is no sandbox, or the caller no overseer.
    """
    caller.need("fund")
    if uow.settings.mode != "sandbox" or caller.kind != "overseer":
        raise FaucetClosed("Ask an overseer of a sandbox market.")
    mint(
        uow,
        agent_id=request.agent_id,
        amount_minor=request.amount_minor,
        currency=request.currency,
        idempotency_key=f"{caller.agent_id}:{idempotency_key}",
    )
    return wallet(uow, agent_id=request.agent_id)


def mint(
    uow: UnitOfWork, *, agent_id: str, amount_minor: int, currency: str, idempotency_key: str
) -> Transaction | None:
    """Make money out of issuance, into an agent's wallet, which is opened if there is none."""
    account_id = open_wallet(uow, agent_id=agent_id, currency=currency)
    return post(
        uow,
        [Leg("issuance", -amount_minor), Leg(account_id, amount_minor)],
        reason="issuance.mint",
        idempotency_key=f"mint:{agent_id}:{idempotency_key}",
    )


def hold(
    uow: UnitOfWork, *, wallet_id: str, escrow_id: str, amount_minor: int, order_id: str
) -> Transaction | None:
    """Move ``amount_minor`` from a wallet into an order's escrow.

    Raises:
        InsufficientFunds: the wallet holds less; nothing moved.
    """
    assert amount_minor >= 0
    return post(
        uow,
        [Leg(wallet_id, -amount_minor), Leg(escrow_id, amount_minor, payer_id=wallet_id)],
        reason="escrow.hold",
        idempotency_key=f"{order_id}:hold",
        order_id=order_id,
    )


def capture(
    uow: UnitOfWork,
    *,
    escrow_id: str,
    seller_wallet_id: str,
    captured_minor: int,
    fee_minor: int,
    order_id: str,
    part: int = 1,
    others: Sequence[tuple[str, int]] = (),
) -> Transaction | None:
    """Move ``captured_minor`` out of escrow: the fee to the house, the rest to the seller.

    ``others`` (accounts) get what stands beside them out of the seller's. Each numbered ``part``
    moves once.

    Raises:
        EscrowExceeded: the escrow holds less; nothing moved.
        TransactionDiffers: this part was captured with another amount.
    """
    given_minor = fee_minor + sum(minor for _, minor in others)
    assert 0 <= fee_minor <= given_minor <= captured_minor
    return post(
        uow,
        [
            Leg(escrow_id, -captured_minor),
            Leg(seller_wallet_id, captured_minor - given_minor, is_earning=True),
            Leg("fees", fee_minor),
            *(Leg(account_id, minor) for account_id, minor in others),
        ],
        reason="escrow.capture",
        idempotency_key=capture_key(order_id, part),
        order_id=order_id,
    )


def void(
    uow: UnitOfWork, *, escrow_id: str, wallet_id: str, amount_minor: int, order_id: str
) -> Transaction | None:
    """Move ``amount_minor`` from escrow back to the buyer. Once.

    Raises:
        EscrowExceeded: the escrow holds less; nothing moved.
        TransactionDiffers: the order was voided with another amount.
    """
    assert amount_minor >= 0
    return post(
        uow,
        [Leg(escrow_id, -amount_minor), Leg(wallet_id, amount_minor)],
        reason="escrow.void",
        idempotency_key=f"{order_id}:void",
        order_id=order_id,
    )


def refund(
    uow: UnitOfWork,
    *,
    seller_wallet_id: str,
    wallet_id: str,
    amount_minor: int,
    order_id: str,
    fee_minor: int = 0,
    number: int = 1,
    others: Sequence[tuple[str, int]] = (),
    draws_bond: bool = False,
) -> Transaction | None:
    """Move ``amount_minor`` back to the buyer after a capture, as the order's refund ``number``.

    The house gives ``fee_minor`` of it back, ``others`` (accounts) what stands beside them, the
    seller the rest; if it ``draws_bond``, out of its bond where its wallet holds less. Each number
    is used once; all refunds together are at most what was captured.

    Raises:
        RefundExceeded: less was captured, or is left of it; nothing moved.
        RefundNotCovered: the seller's wallet (and bond) hold less; nothing moved.
        TransactionDiffers: this refund was made with another amount.
    """
    assert 0 <= fee_minor <= amount_minor
    captured = captured_minor(uow, order_id=order_id)
    left_minor = captured - refunded_minor(uow, order_id=order_id, before=number)
    if amount_minor > left_minor:
        raise RefundExceeded(
            f"{captured} minor units were captured; {left_minor} of them are left.",
            amount_minor=amount_minor,
            captured_minor=captured,
        )
    given_minor = fee_minor + sum(minor for _, minor in others)
    if draws_bond:
        draw_bond(
            uow,
            wallet_id=seller_wallet_id,
            needed_minor=amount_minor - given_minor,
            order_id=order_id,
            idempotency_key=refund_key(order_id, number),
        )
    try:
        return post(
            uow,
            [
                Leg(seller_wallet_id, given_minor - amount_minor, is_earning=True),
                *(Leg(account_id, -minor) for account_id, minor in others),
                Leg("fees", -fee_minor),
                Leg(wallet_id, amount_minor),
            ],
            reason="order.refund",
            idempotency_key=refund_key(order_id, number),
            order_id=order_id,
        )
    except InsufficientFunds as refusal:
        raise RefundNotCovered(
            "Ask again when the seller has been paid for other work.", amount_minor=amount_minor
        ) from refusal
