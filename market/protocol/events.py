"""What a session may hold: kinds of event, stages, reasons, controls, and who may see or write.

One buying journey is one session: an append-only log with gapless offsets. Every event carries
the hash of the one before, so that a change anywhere shows (``Event.hash`` is the SHA-256 of the
canonical JSON of the event without ``hash``).
"""

from typing import Any, Final, Literal, NamedTuple, get_args

import msgspec

VOCABULARY_VERSION: Final = 1

MARKET: Final = "market"
"""The actor of events that the market itself writes."""

GENESIS: Final = "0" * 43
"""``prev_hash`` of a session's first event."""

Stage = Literal["finding", "evaluating", "trust_checking", "transacting", "using", "recommending"]
STAGES: Final[tuple[Stage, ...]] = get_args(Stage)

Audience = Literal["owner", "order", "all"]
"""``owner``: buyer, principal, overseers. ``order``: these and that order's seller. ``all``: every
participant."""

Outcome = Literal["advance", "leave"]

Reason = Literal[
    "price", "budget", "mandate", "capability", "schema_mismatch", "latency", "policy",
    "identity", "reputation", "sybil_risk", "no_result", "quality", "timeout",
    "approval_denied", "delivery_failed", "other",
]  # fmt: skip
REASONS: Final[dict[Reason, str]] = {
    "price": "every fitting service costs more than the need is worth",
    "budget": "the wallet or the need's budget cannot cover it",
    "mandate": "the principal's mandate does not allow it",
    "capability": "no listed service does what is needed",
    "schema_mismatch": "the input or output schema does not fit the need",
    "latency": "the promised latency is above the limit",
    "policy": "the seller's terms (refund, retention, data use) are not acceptable",
    "identity": "the seller's identity is too new, suspended, or its signature fails",
    "reputation": "the trust score is below the limit",
    "sybil_risk": "its praise comes from a closed ring",
    "no_result": "the search found nothing",
    "quality": "the delivered result was not good enough",
    "timeout": "an answer or delivery came too late",
    "approval_denied": "a human denied the order, or did not answer in time",
    "delivery_failed": "the seller failed, or its delivery broke its own schema",
    "other": "said in the detail",
}
"""Why a buyer left a stage: the closed list, and what each means."""

Action = Literal["cancel", "pause", "resume", "steer", "approve", "deny"]
Scope = Literal["order", "run", "own", "all"]
Answer = Literal["accepted", "refused", "too_late", "consumed"]


class Kind(NamedTuple):
    """One kind of event: its stage, who sees it, who may write it, and what its body holds."""

    stage: Stage | None
    audience: Audience
    writer: Literal["market", "owner", "participant"]
    body: str


KINDS: Final[dict[str, Kind]] = {
    "session.opened": Kind(None, "owner", "market", "buyer_id, principal_id, need, labels"),
    "session.closed": Kind(None, "all", "market", "reason"),
    "session.forked": Kind(
        None, "owner", "market", "source_session_id, source_offset, source_hash, need, labels"
    ),
    "finding.listed": Kind(
        "finding", "owner", "market",
        "query, filters, services [{service_id, slug, seller_id, amount_minor, score, parts}]",
    ),
    "evaluating.read": Kind(
        "evaluating", "owner", "market", "service_id, slug, seller_id, manifest_digest"
    ),
    "evaluating.quoted": Kind(
        "evaluating", "owner", "market",
        "quote_id, service_id, slug, seller_id, amount_minor, currency, units, expires_at",
    ),
    "quote.countered": Kind(
        "evaluating", "order", "market",
        "counter_id, origin_quote_id, service_id, slug, seller_id, round, quoted_minor, "
        "amount_minor, currency, note, expires_at",
    ),
    "quote.answered": Kind(
        "evaluating", "order", "market",
        "counter_id, origin_quote_id, service_id, slug, seller_id, round, quoted_minor, "
        "amount_minor (asked), answered_minor, currency, quote_id (the new one), state, detail",
    ),
    "quote.declined": Kind(
        "evaluating", "order", "market",
        "counter_id, origin_quote_id, service_id, slug, seller_id, round, quoted_minor, "
        "amount_minor, currency, state (declined; refused: above the signed price), detail",
    ),
    "quote.expired": Kind(
        "evaluating", "order", "market",
        "counter_id, origin_quote_id, service_id, slug, seller_id, round, quoted_minor, "
        "amount_minor, currency, state, detail",
    ),
    "evaluating.tried": Kind("evaluating", "owner", "owner", "service_id, result"),
    "trust.reported": Kind(
        "trust_checking", "owner", "market",
        "service_id, slug, seller_id, score, confidence, good, bad, flags",
    ),
    "decision.made": Kind(
        None, "owner", "owner",
        "stage, outcome, reason, detail, service_id, order_id, alternatives "
        "[{service_id, slug, amount_minor, score, parts, reason, limit_minor}]",
    ),
    "order.placed": Kind(
        "transacting", "order", "market",
        "quote_id, service_id, slug, seller_id, amount_minor, currency, units, mandate_id, "
        "deliver_by",
    ),
    "order.started": Kind("using", "order", "market", "seller_id"),
    "order.stalled": Kind("using", "order", "market", "lease_until, fails_at"),
    "order.accepted": Kind("using", "order", "market", "by (buyer or deadline)"),
    "order.released": Kind(
        "using", "order", "market",
        "part, units, captured_minor, fee_minor, referral_minor (all so far), currency",
    ),
    "order.settled": Kind(
        "using", "order", "market",
        "captured_minor, fee_minor, referral_minor, returned_minor, currency, receipt_id",
    ),
    "order.cancelled": Kind(
        None, "order", "market",
        "captured_minor, fee_minor, referral_minor, returned_minor, currency, receipt_id, reason",
    ),
    "order.failed": Kind(
        "using", "order", "market",
        "captured_minor, fee_minor, referral_minor, returned_minor, currency, receipt_id, reason",
    ),
    "order.refunded": Kind(
        "using", "order", "market",
        "refunded_minor (this part), fee_returned_minor (of it, from the house), currency, "
        "receipt_id, reason",
    ),
    "refund.owed": Kind("using", "order", "market", "owed_minor, currency, reason"),
    "delivery.chunk": Kind("using", "order", "market", "index, units, output, digest"),
    "delivery.completed": Kind("using", "order", "market", "chunks, units, digest"),
    "delivery.rejected": Kind(
        "using", "order", "market", "rejected, reason (schema or digest), index, detail"
    ),
    "dispute.opened": Kind(
        "using", "order", "market",
        "dispute_id, reason, detail, claim_minor, currency, evidence [{offset, hash}], answer_by",
    ),
    "dispute.answered": Kind(
        "using", "order", "market",
        "dispute_id, answer, detail, conceded_minor, currency, evidence [{offset, hash}], "
        "decide_by",
    ),
    "dispute.resolved": Kind(
        "using", "order", "market",
        "dispute_id, decided_by, decision, refund_minor, refunded_minor, owed_minor, currency, "
        "receipt_id",
    ),
    "control.requested": Kind(
        None, "order", "market", "action, scope, reason, text, answer_by"
    ),
    "control.answered": Kind(None, "order", "market", "request_offset, action, answer, detail"),
    "approval.requested": Kind(
        "transacting", "owner", "market",
        "amount_minor, currency, approval_over_minor, expires_at",
    ),
    "approval.granted": Kind("transacting", "owner", "market", "reason, decision, digest"),
    "approval.denied": Kind("transacting", "owner", "market", "reason, decision, digest"),
    "approval.expired": Kind("transacting", "owner", "market", "reason"),
    "mandate.revoked": Kind(
        None, "owner", "market", "mandate_id, reason, currency, spent_minor, orders"
    ),
    "support.asked": Kind("using", "order", "market", "action"),
    "support.answered": Kind("using", "order", "market", "action, answer"),
    "review.posted": Kind(
        "recommending", "order", "market", "review_id, service_id, verdict, comment, tags"
    ),
    "recommendation.sent": Kind(
        "recommending", "owner", "market", "recommendation_id, service_id, slug, recipient_ids"
    ),
    "delegation.given": Kind(
        None, "owner", "market", "jti, delegate_id, actions, run, expires_at, delegation"
    ),
    "delegation.revoked": Kind(None, "owner", "market", "jti, delegate_id, reason"),
    "run.started": Kind(None, "owner", "participant", "run, title, parent"),
    "run.step": Kind(None, "owner", "participant", "run, step, attempt, detail, output"),
    "run.ended": Kind(None, "owner", "participant", "run, outcome, detail"),
    "presence.joined": Kind(None, "owner", "market", "agent_id, device, status"),
    "presence.changed": Kind(None, "owner", "market", "agent_id, device, status"),
    "presence.left": Kind(None, "owner", "market", "agent_id, device, reason (left or lost)"),
    "note.written": Kind(None, "owner", "participant", "text"),
}  # fmt: skip
"""The vocabulary. ``market`` kinds are stamped by the server and refused from anyone else."""


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of a session's log, as stored, sent and hashed."""

    id: str
    session_id: str
    offset: int
    kind: str
    stage: Stage | None
    actor_id: str
    order_id: str | None
    audience: Audience
    recorded_at: str
    body: dict[str, Any]
    prev_hash: str
    hash: str


class Withheld(msgspec.Struct, frozen=True, kw_only=True):
    """What stands for an event that is not for this reader: enough to check the chain."""

    offset: int
    withheld: Literal[True]
    hash: str
