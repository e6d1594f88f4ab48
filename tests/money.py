"""The smallest moves of money, for tests of the ledger: one buyer, one seller, one order."""

from typing import Any

from market import ledger
from market.base.store import Store
from market.protocol.wire import WalletView

BUYER = "b" * 43
SELLER = "s" * 43
ORDER = "ord_01h455vb4pex5vsknk084sn02q"
OTHER_ORDER = "ord_01h455vb4pex5vsknk084sn03q"


async def funded(store: Store, minor: int, agent_id: str = BUYER, currency: str = "XTS") -> str:
    """Return the id of a wallet that holds ``minor``."""
    if minor:
        await store.write(
            ledger.mint,
            agent_id=agent_id,
            amount_minor=minor,
            currency=currency,
            idempotency_key=f"start-{currency}",
        )
    return await store.write(ledger.open_wallet, agent_id=agent_id, currency=currency)


async def held(
    store: Store, minor: int, order_id: str = ORDER, currency: str = "XTS"
) -> dict[str, str]:
    """Put ``minor`` of the buyer's into escrow; return the accounts for the next move."""
    wallet_id = await store.read(ledger.wallet_id, agent_id=BUYER, currency=currency)
    escrow_id = await store.write(ledger.open_escrow, order_id=order_id, currency=currency)
    await store.write(
        ledger.hold,
        wallet_id=wallet_id,
        escrow_id=escrow_id,
        amount_minor=minor,
        order_id=order_id,
    )
    return {"escrow_id": escrow_id, "order_id": order_id}


async def captured(store: Store, minor: int, fee_minor: int, escrow: dict[str, str]) -> Any:
    seller_wallet_id = await store.write(ledger.open_wallet, agent_id=SELLER, currency="XTS")
    return await store.write(
        ledger.capture,
        **escrow,
        seller_wallet_id=seller_wallet_id,
        captured_minor=minor,
        fee_minor=fee_minor,
    )


async def voided(store: Store, minor: int, escrow: dict[str, str]) -> Any:
    wallet_id = await store.read(ledger.wallet_id, agent_id=BUYER, currency="XTS")
    return await store.write(ledger.void, **escrow, wallet_id=wallet_id, amount_minor=minor)


async def refunded(store: Store, minor: int) -> Any:
    return await store.write(
        ledger.refund,
        seller_wallet_id=await store.read(ledger.wallet_id, agent_id=SELLER, currency="XTS"),
        wallet_id=await store.read(ledger.wallet_id, agent_id=BUYER, currency="XTS"),
        amount_minor=minor,
        order_id=ORDER,
    )


async def balance(store: Store, agent_id: str = BUYER) -> tuple[int, int]:
    """Return what an agent can spend, and what is held, in XTS."""
    view: WalletView = await store.read(ledger.wallet, agent_id=agent_id)
    return next(
        (row.available_minor, row.held_minor) for row in view.balances if row.currency == "XTS"
    )


async def fees(store: Store) -> int:
    return await store.read(ledger.house_balance, kind="fees", currency="XTS")
