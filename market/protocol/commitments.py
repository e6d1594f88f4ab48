"""What agents sign, and for which purpose: one ``typ`` and one struct each.

A signature made for one purpose is refused for every other, since ``typ`` stands in the signed
header. Each commitment is bound to something that can be used once (a quote, an order, a version),
so it needs no nonce of its own; the proofs that open a door (registration, token assertion) have
a ``jti``.
"""

from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from market.protocol.ids import (
    AgentId,
    CounterId,
    MandateId,
    OrderId,
    QuoteId,
    ReceiptId,
    ServiceId,
    SessionId,
)
from market.protocol.money import AmountMinor, Currency
from market.protocol.pricing import BasisPoints, Terms, Units
from market.protocol.text import Digest, Line, Paragraph, Seconds, Slug, Tag, Token, WorkName

REGISTRATION: Final = "registration+jwt"
KEY_STATEMENT: Final = "key+jwt"
KEY_PROOF: Final = "key-proof+jwt"
ASSERTION: Final = "JWT"
ACCESS_TOKEN: Final = "at+jwt"  # noqa: S105 - a type, not a password
DELEGATION: Final = "delegation+jwt"
MANIFEST: Final = "manifest+jwt"
QUOTE: Final = "quote+jwt"
OFFER: Final = "offer+jwt"
ORDER: Final = "order+jwt"
MANDATE: Final = "mandate+jwt"
DELIVERY: Final = "delivery+jwt"
REVIEW: Final = "review+jwt"
RECOMMENDATION: Final = "recommendation+jwt"
RECEIPT: Final = "receipt+jwt"
DECISION: Final = "decision+jwt"
CHECKPOINT: Final = "checkpoint+jwt"

AgentKind = Literal["buyer", "seller", "principal", "overseer"]
DelegatedAction = Literal["read", "write", "control"]
Verdict = Literal["good", "bad"]
ReceiptOutcome = Literal["settled", "cancelled", "failed", "refunded", "resolved"]
Nonce = Annotated[str, Meta(min_length=8, max_length=64, pattern=r"^[\w-]+\Z")]
Count = Annotated[int, Meta(ge=0, le=2**40)]


class Claims(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every commitment says: who makes it, for which market, and when."""

    iss: str
    aud: Annotated[str, Meta(max_length=200)]
    iat: Seconds


class RegistrationClaims(Claims, frozen=True, kw_only=True):
    """An agent enters: its public key, signed by that key. ``iss`` is the key's thumbprint."""

    exp: Seconds
    jti: Nonce
    jwk: dict[str, Any]
    handle: Slug
    kind: AgentKind
    principal_id: AgentId | None = None


class KeyStatementClaims(Claims, frozen=True, kw_only=True):
    """An agent adds or revokes one of its keys, signed with an active key.

    ``add`` names the new ``jwk`` and carries a ``proof`` made by it; ``revoke`` names a ``kid``.
    """

    exp: Seconds
    jti: Nonce
    action: Literal["add", "revoke"]
    jwk: dict[str, Any] | None = None
    kid: AgentId | None = None
    proof: Token | None = None


class KeyProofClaims(Claims, frozen=True, kw_only=True):
    """A new key agrees to speak for the agent ``iss``: nobody can add a key that is not theirs."""


class Confirmation(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The key that a delegation is for (RFC 7800 section 3.2)."""

    jwk: dict[str, Any]


class DelegationClaims(Claims, frozen=True, kw_only=True):
    """An agent lets a sub-agent's key ``sub`` work in one session until ``exp``, an hour at most.

    ``order_id`` and ``run`` narrow it to one order, or to one run. It cannot be passed on.
    """

    exp: Seconds
    jti: Nonce
    sub: AgentId
    cnf: Confirmation
    session_id: SessionId
    order_id: OrderId | None = None
    run: WorkName | None = None
    actions: Annotated[list[DelegatedAction], Meta(min_length=1, max_length=3)]


class ManifestClaims(Claims, frozen=True, kw_only=True):
    """A seller publishes a version of a service: ``manifest`` is the whole manifest."""

    manifest: dict[str, Any]


class QuoteClaims(Claims, frozen=True, kw_only=True):
    """The market's price for one request, computed from the seller's signed manifest.

    One that was bargained names the quote it came from, and carries the seller's ``offer+jwt``.
    """

    exp: Seconds
    quote_id: QuoteId
    service_id: ServiceId
    seller_id: AgentId
    buyer_id: AgentId
    manifest_digest: Digest
    input_digest: Digest
    units: Units
    amount_minor: AmountMinor
    currency: Currency
    terms: Terms | None = None
    referral_basis_points: BasisPoints = 0
    origin_quote_id: QuoteId | None = None
    offer: Token | None = None


class OfferClaims(Claims, frozen=True, kw_only=True):
    """A seller answers a counter-offer: the work of a quote for this amount, until ``exp``."""

    exp: Seconds
    counter_id: CounterId
    quote_id: QuoteId
    quote_digest: Digest
    amount_minor: AmountMinor
    currency: Currency


class OrderClaims(Claims, frozen=True, kw_only=True):
    """A buyer commits to a quote. ``quote_digest`` is the digest of the quote's claims."""

    quote_id: QuoteId
    quote_digest: Digest
    seller_id: AgentId
    amount_minor: AmountMinor
    currency: Currency
    mandate_id: MandateId | None = None


class Limits(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What an open mandate allows. An absent limit does not limit; an unknown one is refused."""

    min_price_minor: AmountMinor | None = None
    max_price_minor: AmountMinor | None = None
    budget_minor: AmountMinor | None = None
    period_budget_minor: AmountMinor | None = None
    period_seconds: Annotated[int, Meta(ge=1, le=31_536_000)] | None = None
    max_orders: Annotated[int, Meta(ge=1, le=1_000_000)] | None = None
    period_max_orders: Annotated[int, Meta(ge=1, le=1_000_000)] | None = None
    approval_over_minor: Annotated[int, Meta(ge=0, le=2**53 - 1)] | None = None
    sellers_allow: Annotated[list[AgentId], Meta(max_length=100)] | None = None
    sellers_deny: Annotated[list[AgentId], Meta(max_length=100)] | None = None
    tags_allow: Annotated[list[Tag], Meta(max_length=100)] | None = None
    tags_deny: Annotated[list[Tag], Meta(max_length=100)] | None = None


class MandateClaims(Claims, frozen=True, kw_only=True):
    """A principal lets a buyer spend, within limits, until ``exp``. ``iss`` is the principal."""

    exp: Seconds
    jti: Nonce
    buyer_id: AgentId
    currency: Currency
    limits: Limits


class DecisionClaims(Claims, frozen=True, kw_only=True):
    """A human approves or denies an order that waits for it, at this price. Good for one use."""

    exp: Seconds
    jti: Nonce
    order_id: OrderId
    decision: Literal["approve", "deny"]
    amount_minor: AmountMinor
    currency: Currency
    reason: Paragraph = ""


class DeliveryClaims(Claims, frozen=True, kw_only=True):
    """A seller declares its delivery complete. ``digest`` chains the digests of all chunks."""

    order_id: OrderId
    chunks: Count
    units: Count
    digest: Digest


class ReviewClaims(Claims, frozen=True, kw_only=True):
    """A buyer says how an order went; it must hold the receipt."""

    order_id: OrderId
    receipt_id: ReceiptId
    verdict: Verdict
    comment: Paragraph = ""
    tags: Annotated[list[Tag], Meta(max_length=8)] = []


class RecommendationClaims(Claims, frozen=True, kw_only=True):
    """A buyer recommends a service to other agents, on the strength of a receipt."""

    receipt_id: ReceiptId
    service_id: ServiceId
    recipient_ids: Annotated[list[AgentId], Meta(min_length=1, max_length=20)]
    comment: Paragraph = ""


class ReceiptClaims(Claims, frozen=True, kw_only=True):
    """The market's word on how an order ended, or on what came after: a refund, a dispute.

    held = captured + returned; the seller got captured - fee. ``refunded_minor`` is the part that
    this receipt is for, of which the house gave ``fee_returned_minor``; the parts of all receipts
    of an order together are at most what was captured.
    """

    receipt_id: ReceiptId
    order_id: OrderId
    session_id: str
    outcome: ReceiptOutcome
    reason: Line | None
    buyer_id: AgentId
    seller_id: AgentId
    service_id: ServiceId
    quote_digest: Digest
    input_digest: Digest
    delivery_digest: Digest | None
    units: Count
    currency: Currency
    held_minor: Count
    captured_minor: Count
    fee_minor: Count
    referrer_id: AgentId | None = None
    referral_minor: Count = 0
    returned_minor: Count
    refunded_minor: Count
    fee_returned_minor: Count = 0
    first_offset: Count
    last_offset: Count
    log_hash: Digest


class CheckpointClaims(Claims, frozen=True, kw_only=True):
    """The market's word on what a session's log held up to an offset."""

    session_id: str
    offset: Count
    hash: Digest


CLAIMS: Final[dict[str, type[Claims]]] = {
    REGISTRATION: RegistrationClaims,
    KEY_STATEMENT: KeyStatementClaims,
    KEY_PROOF: KeyProofClaims,
    DELEGATION: DelegationClaims,
    MANIFEST: ManifestClaims,
    QUOTE: QuoteClaims,
    OFFER: OfferClaims,
    ORDER: OrderClaims,
    MANDATE: MandateClaims,
    DECISION: DecisionClaims,
    DELIVERY: DeliveryClaims,
    REVIEW: ReviewClaims,
    RECOMMENDATION: RecommendationClaims,
    RECEIPT: ReceiptClaims,
    CHECKPOINT: CheckpointClaims,
}
"""The struct of each purpose."""
