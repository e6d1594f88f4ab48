"""Receipts against the market's key, the order they are for, and the log they sum up."""

from collections.abc import Iterable, Mapping, Set
from typing import Any

from market.audit.findings import Finding
from market.protocol.commitments import RECEIPT, ReceiptClaims
from market.protocol.signing import BadSignature, VerifyingKey


def read_receipts(
    rows: Iterable[Any], key: VerifyingKey
) -> tuple[list[ReceiptClaims], list[Finding]]:
    """Return what the receipts say that ``key`` signed, and a finding for each other one."""
    claims: list[ReceiptClaims] = []
    findings: list[Finding] = []
    for row in rows:
        try:
            read = key.read(row.receipt, typ=RECEIPT, claims=ReceiptClaims)
        except BadSignature as error:
            findings.append(_finding(row.id, f"the market did not sign it: {error}"))
            continue
        if (read.receipt_id, read.order_id, read.outcome) != (row.id, row.order_id, row.outcome):
            findings.append(_finding(row.id, f"it was signed as {read.receipt_id}"))
        else:
            claims.append(read)
    return claims, findings


def check_receipts(
    claims: Iterable[ReceiptClaims],
    orders: Mapping[str, Any],
    hashes: Mapping[int, Set[str]],
    parts: Mapping[str, int],
) -> list[Finding]:
    """Return where receipts disagree with their order's row, or with the log's hashes.

    ``parts``: what went back by each refund, by its receipt.
    """
    findings: list[Finding] = []
    for receipt in claims:
        is_said = _said(receipt)
        is_so = _is_so(receipt, orders[receipt.order_id], parts.get(receipt.receipt_id, 0))
        findings += [
            _finding(receipt.receipt_id, f"it says {name} {is_said[name]}, the order {is_so[name]}")
            for name in is_said
            if is_said[name] != is_so[name]
        ]
        if receipt.log_hash not in hashes.get(receipt.last_offset, ()):
            detail = f"the log has another hash at offset {receipt.last_offset}"
            findings.append(_finding(receipt.receipt_id, detail))
    return findings


def _said(receipt: ReceiptClaims) -> dict[str, Any]:
    return {
        "outcome": receipt.outcome,
        "session_id": receipt.session_id,
        "buyer_id": receipt.buyer_id,
        "seller_id": receipt.seller_id,
        "service_id": receipt.service_id,
        "quote_digest": receipt.quote_digest,
        "input_digest": receipt.input_digest,
        "delivery_digest": receipt.delivery_digest or "",
        "units": receipt.units,
        "currency": receipt.currency,
        "held_minor": receipt.held_minor,
        "captured_minor": receipt.captured_minor,
        "fee_minor": receipt.fee_minor,
        "referral_minor": receipt.referral_minor,
        "returned_minor": receipt.returned_minor,
        "refunded_minor": receipt.refunded_minor,
        "first_offset": receipt.first_offset,
    }


def _is_so(receipt: ReceiptClaims, order: Any, refunded_minor: int) -> dict[str, Any]:
    # Refunds and disputes leave the state as it is.
    is_later = receipt.outcome in ("refunded", "resolved")
    return {
        "outcome": receipt.outcome if is_later else order.state,
        "session_id": order.session_id,
        "buyer_id": order.buyer_id,
        "seller_id": order.seller_id,
        "service_id": order.service_id,
        "quote_digest": order.quote_digest,
        "input_digest": order.input_digest,
        "delivery_digest": order.delivery_digest,
        "units": order.units_delivered,
        "currency": order.currency,
        "held_minor": order.amount_minor,
        "captured_minor": order.captured_minor,
        "fee_minor": order.fee_minor,
        "referral_minor": order.referral_minor,
        "returned_minor": order.returned_minor,
        # Each is for its own part; that of the settlement is older than any.
        "refunded_minor": refunded_minor,
        "first_offset": order.first_offset,
    }


def _finding(receipt_id: str, detail: str) -> Finding:
    return Finding(rule="receipts", where=f"receipt {receipt_id}", detail=detail)
