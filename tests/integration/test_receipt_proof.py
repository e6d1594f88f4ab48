"""Every receipt that the market issues follows from the log that it names."""

import json
from typing import Any

import pytest
from sqlalchemy import bindparam

from market import orders
from market.base.sql import Sql
from market.base.store import Store
from market.orders.tables import receipts
from market.protocol.commitments import RECEIPT, ReceiptClaims
from market.protocol.logfile import log_lines, read_entry
from market.protocol.receipt_proof import ReceiptProof, ReceiptReport
from market.protocol.wire import OrderView
from tests.factories import Town, build_town
from tests.integration.test_audit import REFUNDABLE, cancel, close, log_of, refund


@pytest.fixture
async def town(store: Store) -> Town:
    return await build_town(store, policies=REFUNDABLE)


async def receipts_of(town: Town, order: OrderView) -> list[ReceiptClaims]:
    asked = Sql(receipts.select().where(receipts.c.order_id == bindparam("order_id")))

    def query(snapshot: Any) -> Any:
        return snapshot.all(asked, order_id=order.id)

    key = town.store.signer.public
    rows = await town.store.scan(query)
    found = [key.read(row.receipt, typ=RECEIPT, claims=ReceiptClaims) for row in rows]
    return sorted(found, key=lambda one: one.last_offset)


async def proofs_of(town: Town, order: OrderView) -> list[ReceiptReport]:
    log = await log_of(town.store, order.session_id)
    proofs = [ReceiptProof(claims) for claims in await receipts_of(town, order)]
    for line in log_lines((read_entry(_json(event)) for event in log), []):
        for proof in proofs:
            proof.take_bytes(line.rstrip())
    return [proof.report() for proof in proofs]


def _json(event: dict[str, Any]) -> bytes:
    return json.dumps(event).encode()


async def test_a_settlement_and_its_refund_are_both_proven(town: Town):
    order = await town.settled()
    await refund(town, order)

    settled, refunded = await proofs_of(town, order)

    for proof in (settled, refunded):
        assert (proof.flaws, proof.disagreements, proof.notes) == ([], [], [])
    assert refunded.last_offset > settled.last_offset


async def test_a_refund_behind_the_close_is_proven_as_far_as_the_log_goes(town: Town):
    order = await town.settled()
    await close(town, order)
    await refund(town, order)

    *_, refunded = await proofs_of(town, order)

    assert (refunded.flaws, refunded.disagreements) == ([], [])
    assert len(refunded.notes) == 1


async def test_a_cancelled_and_a_failed_order_have_receipts_that_are_proven(town: Town):
    cancelled, failed = await town.place(), await town.place()
    await town.deliver(cancelled)
    await cancel(town, cancelled)
    await town.store.write(
        orders.fail, caller=town.seller.caller, order_id=failed.id, reason="cannot"
    )

    for order in (cancelled, failed):
        [proof] = await proofs_of(town, order)
        assert (proof.flaws, proof.disagreements, proof.notes) == ([], [], [])


async def test_an_order_of_another_session_proves_nothing(town: Town):
    first, second = await town.settled(), await town.settled()
    [claims] = await receipts_of(town, first)
    proof = ReceiptProof(claims)
    for line in log_lines(
        (read_entry(_json(event)) for event in await log_of(town.store, second.session_id)), []
    ):
        proof.take_bytes(line.rstrip())

    [flaw] = proof.report().flaws
    assert flaw.offset == claims.first_offset
