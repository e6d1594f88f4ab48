"""Bodies of HTTP requests and answers, shared by the market, the clients and the schemas.

Requests forbid unknown members. Answers have no defaults: every member is always present. Moments
are RFC 3339 texts in UTC; amounts are integers of minor units beside their ``currency``.
"""

from typing import Annotated, Any, Generic, Literal, TypeVar

import msgspec
from msgspec import Meta

from market.protocol.commitments import AgentKind, Count, ReceiptOutcome, Verdict
from market.protocol.events import Action, Answer, Outcome, Reason, Scope, Stage
from market.protocol.ids import AgentId, OrderId, QuoteId, ServiceId, SessionId
from market.protocol.money import AmountMinor, Currency
from market.protocol.pricing import PriceForm, Terms, Units, Whole
from market.protocol.text import Line, Paragraph, Tag, Token, WorkName

Item = TypeVar("Item")
OrderState = Literal[
    "awaiting_approval", "placed", "started", "delivered", "settled", "cancelled", "failed"
]
Device = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9._-]{0,39}\Z", description="a short name")]
Ap2Chain = Annotated[
    str,
    Meta(max_length=49_152, pattern=r"^[A-Za-z0-9_.~-]+\Z", description="SD-JWTs joined by ~~"),
]
Offset = Annotated[int, Meta(ge=0, le=2**53 - 1)]
Namespace = Annotated[str, Meta(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}\Z")]


class Request(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A body that a client sends."""


class View(msgspec.Struct, frozen=True, kw_only=True):
    """A body that the market answers."""


class Page(View, Generic[Item], frozen=True, kw_only=True):
    """Part of a list. ``next`` is the cursor of the following page, or null at the end."""

    items: list[Item]
    next: str | None


class Problem(msgspec.Struct, kw_only=True):
    """A refusal as RFC 9457 has it. Further members are facts about the case."""

    type: str
    title: str
    status: int
    detail: str
    instance: str | None = None


# Identity


class Register(Request, frozen=True, kw_only=True):
    """``proof`` is a ``registration+jwt`` signed by the new agent's key."""

    proof: Token


class ChangeKeys(Request, frozen=True, kw_only=True):
    """``statement`` is a ``key+jwt`` signed by an active key of the agent."""

    statement: Token


class Suspend(Request, frozen=True, kw_only=True):
    reason: Line


class KeyView(View, frozen=True, kw_only=True):
    kid: str
    jwk: dict[str, str]
    added_at: str
    revoked_at: str | None


class AgentView(View, frozen=True, kw_only=True):
    id: str
    handle: str
    kind: AgentKind
    principal_id: str | None
    registered_at: str
    suspended_at: str | None
    keys: list[KeyView]


class RevokeDelegation(Request, frozen=True, kw_only=True):
    reason: Line


class DelegationView(View, frozen=True, kw_only=True):
    """A delegation that was revoked. What is null was never told to the market: it was not used."""

    jti: str
    delegate_id: str | None
    session_id: str | None
    expires_at: str | None
    revoked_at: str


class TokenView(View, frozen=True, kw_only=True):
    """An OAuth 2 access token (RFC 6749 section 5.1)."""

    access_token: str
    issued_token_type: Literal["urn:ietf:params:oauth:token-type:access_token"]
    token_type: Literal["Bearer"]
    expires_in: int
    scope: str


class Registered(View, frozen=True, kw_only=True):
    """A new agent and its first access token, for the REST audience."""

    agent: AgentView
    token: TokenView


# Money


class Fund(Request, frozen=True, kw_only=True):
    """Sandbox money for an agent's wallet, from issuance. Overseers only."""

    agent_id: AgentId
    amount_minor: AmountMinor
    currency: Currency


class BalanceView(View, frozen=True, kw_only=True):
    """``available_minor`` can be spent; ``held_minor`` lies in the escrow of open orders."""

    currency: str
    available_minor: int
    held_minor: int


class WalletView(View, frozen=True, kw_only=True):
    agent_id: str
    balances: list[BalanceView]


class PostingView(View, frozen=True, kw_only=True):
    """One signed change of one account: + holds more, - holds less."""

    transaction_id: str
    reason: str
    order_id: str | None
    amount_minor: int
    currency: str
    balance_minor: int
    recorded_at: str


class MoveBond(Request, frozen=True, kw_only=True):
    """An amount into a seller's bond, or out of it."""

    amount_minor: AmountMinor
    currency: Currency


class Unfreeze(Request, frozen=True, kw_only=True):
    reason: Line


class SellerLimitsView(View, frozen=True, kw_only=True):
    """What a seller has at stake, and how large an order it may get now.

    While the market has no typical order, ``typical_minor`` and ``order_cap_minor`` are null and no
    bond is due. ``is_on_probation``: the bond holds less than is due, so what the seller earns is
    withheld for it first.
    """

    seller_id: str
    currency: str
    typical_minor: int | None
    bond_minor: int
    bond_due_minor: int
    is_on_probation: bool
    order_cap_minor: int | None
    frozen_since: str | None


class GiveMandate(Request, frozen=True, kw_only=True):
    """``mandate`` is a ``mandate+jwt`` signed by the principal."""

    mandate: Token


class GiveAp2Mandate(Request, frozen=True, kw_only=True):
    """Open mandates of AP2, signed with a P-256 key of the principal's, all of it disclosed.

    Both name the same P-256 key of the buyer's (``cnf.jwk``).
    """

    buyer_id: AgentId
    payment: Ap2Chain
    checkout: Ap2Chain | None = None


class Ap2Closed(Request, frozen=True, kw_only=True):
    """What closes an AP2 mandate for one quote: the chains of open and closed mandates.

    Where the principal gave no open checkout mandate, the bare ``checkout_jwt`` takes the place of
    ``checkout``.
    """

    payment: Ap2Chain
    checkout: Ap2Chain | None = None
    checkout_jwt: Token | None = None


class CheckoutView(View, frozen=True, kw_only=True):
    """A quote as a checkout of AP2: the market signs it for the merchant.

    ``aud``, ``nonce``, ``payee``, ``payment_amount``, ``payment_instrument`` and
    ``transaction_id`` belong in the closed mandates.
    """

    checkout_jwt: str
    transaction_id: str
    aud: str
    nonce: str
    payee: dict[str, str]
    payment_amount: dict[str, int | str]
    payment_instrument: dict[str, str]
    pisp: dict[str, str]
    expires_at: str


class Ap2ReceiptsView(View, frozen=True, kw_only=True):
    """AP2's receipts for an order that has ended, each a JWT by the market's P-256 key."""

    order_id: str
    checkout: str
    payment: str


class RevokeMandate(Request, frozen=True, kw_only=True):
    reason: Line


class MandateView(View, frozen=True, kw_only=True):
    """``mandate`` is what the principal signed; under AP2 perhaps with an open checkout mandate."""

    id: str
    principal_id: str
    buyer_id: str
    currency: str
    limits: dict[str, Any]
    spent_minor: int
    period_spent_minor: int
    orders: int
    period_orders: int
    created_at: str
    expires_at: str
    revoked_at: str | None
    form: Literal["market", "ap2"]
    mandate: str
    open_checkout: str | None


# Catalog


class Publish(Request, frozen=True, kw_only=True):
    """``manifest`` is a ``manifest+jwt`` signed by the seller."""

    manifest: Token


class ServiceView(View, frozen=True, kw_only=True):
    """A service as listed. ``manifest_jws`` proves that the seller published this version."""

    id: str
    slug: str
    seller_id: str
    seller_handle: str
    version: str
    manifest: dict[str, Any]
    manifest_digest: str
    manifest_jws: str
    published_at: str


class FoundView(View, frozen=True, kw_only=True):
    """One search result with the parts of its score, and what a buyer should notice (``flags``).

    ``amount_minor`` is the standing price: of a call or a unit; in tiers, of the dearest; of a flat
    price the flat amount, or what a unit beyond costs if that is more.
    """

    service_id: str
    slug: str
    seller_id: str
    seller_handle: str
    summary: str
    tags: list[str]
    price_per: PriceForm
    amount_minor: int
    currency: str
    unit: str | None
    p95_ms: int
    refund: str
    trust: float
    score: float
    parts: dict[str, float]
    flags: list[str]


class AskQuote(Request, frozen=True, kw_only=True):
    """A price for exactly this input. With a session, the quote is noted in its log.

    One that is above ``max_minor`` or ``max_units`` is refused; where the units are known only
    after the work, these are what the quote is capped at.
    """

    service_id: ServiceId
    input: dict[str, Any]
    max_minor: AmountMinor | None = None
    max_units: Units | None = None
    session_id: SessionId | None = None


class QuoteView(View, frozen=True, kw_only=True):
    """``digest`` is what the buyer's order commits to; ``quote`` is the market's signed form.

    ``amount_minor`` is what goes into escrow: the price, or the most that it can be where ``terms``
    are a cap. A bargained one names its ``origin_quote_id``, and the seller's signature stands in
    the signed form.
    """

    id: str
    service_id: str
    seller_id: str
    buyer_id: str
    manifest_digest: str
    input_digest: str
    units: int
    amount_minor: int
    currency: str
    expires_at: str
    digest: str
    quote: str
    terms: Terms
    referral_basis_points: int
    origin_quote_id: str | None


CounterState = Literal["open", "answered", "declined", "refused", "expired"]


class MakeCounter(Request, frozen=True, kw_only=True):
    """A lower price for the work of a quote. With a session, the bargaining is noted in its log."""

    amount_minor: AmountMinor
    note: Paragraph = ""
    session_id: SessionId | None = None


class AnswerCounter(Request, frozen=True, kw_only=True):
    """``commitment`` is an ``offer+jwt`` signed by the seller, for no more than was quoted."""

    commitment: Token


class DeclineCounter(Request, frozen=True, kw_only=True):
    reason: Line = "not for this price"


class CounterView(View, frozen=True, kw_only=True):
    """A buyer's counter-offer, and what became of it.

    ``answered``: ``answer_quote_id`` is a new quote of the buyer's, and ``offer`` the seller's
    signature on its amount. ``refused``: the seller asked for more than its signed price.
    ``session_id`` is shown to the buyer alone.
    """

    id: str
    quote_id: str
    service_id: str
    slug: str
    seller_id: str
    buyer_id: str
    session_id: str | None
    round: int
    units: int
    quoted_minor: int
    amount_minor: int
    currency: str
    note: str
    state: CounterState
    detail: str
    offer: str | None
    answer_quote_id: str | None
    quote_digest: str
    asked_at: str
    expires_at: str


class VoicesView(View, frozen=True, kw_only=True):
    """How many voices of a kind there are, and what they weigh together; a voice weighs up to 2."""

    voices: int
    weight: float


class TrustEventView(View, frozen=True, kw_only=True):
    """One of the last things that counted: no more of when than the day, and not who."""

    kind: str
    version: int
    amount_minor: int | None
    currency: str | None
    day: str


class TrustView(View, frozen=True, kw_only=True):
    """What the market knows of a seller, with every number that went into the score.

    ``score`` 0 to 1 is the lower of the ``long`` and the ``short`` memory; ``good`` and ``bad`` are
    the weighed voices of the long one, and ``confidence`` 0 to 1 grows with them. The voices are
    those of anchors, of buyers with money at vouched sellers, and of the crowd, whose weight is
    told as it is before it is cut to one voice. ``vouched`` 0 to 1 tells how far anchors vouch for
    the seller, ``calibration`` how far its buyers judge as others do. ``rule`` names the formula,
    ``batch`` and ``parameters`` what it was weighed under, at ``weighed_at`` (null before the first
    batch), where a typical order cost ``typical_minor``.
    """

    service_id: str
    slug: str
    seller_id: str
    registered_at: str
    score: float
    confidence: float
    long: float
    short: float
    good: float
    bad: float
    anchors: VoicesView
    vouched_buyers: VoicesView
    crowd: VoicesView
    vouched: float
    calibration: float
    orders_settled: int
    orders_cancelled: int
    orders_failed: int
    orders_refunded: int
    orders_disputed: int
    on_time: int
    reviews_good: int
    reviews_bad: int
    distinct_buyers: int
    price_changes: int
    price_raises: int
    events: list[TrustEventView]
    flags: list[str]
    rule: str
    parameters: int
    batch: int
    weighed_at: str | None
    typical_minor: int | None


class ProposeAnchor(Request, frozen=True, kw_only=True):
    """Name a buyer whose word is to be taken, and say why."""

    agent_id: AgentId
    reason: Line


class DecideAnchor(Request, frozen=True, kw_only=True):
    """Confirm or revoke, and say why."""

    reason: Line


class AnchorAct(View, frozen=True, kw_only=True):
    """``act``: proposed, confirmed or revoked."""

    act: str
    overseer_id: str
    reason: str
    at: str


class AnchorView(View, frozen=True, kw_only=True):
    """An agent is an anchor while ``state`` (its latest act) is confirmed."""

    agent_id: str
    state: str
    acts: list[AnchorAct]


class TrustBatchView(View, frozen=True, kw_only=True):
    """What the current batch fixed; number 0 before the first.

    Ages count in days from 1970 to ``reference_day``; facts up to ``last_fact`` made its weights.
    ``typical`` is the price of a typical order by currency; ``anchors`` are those it took.
    """

    number: int
    rule: str
    parameters: int
    weighed_at: str | None
    reference_day: int
    last_fact: int
    typical: dict[str, int]
    anchors: list[str]


class TrustFactView(View, frozen=True, kw_only=True):
    """One fact: for overseers, as it was recorded.

    For others ``order`` and ``buyer`` are names made for this batch and this seller alone, and
    ``recorded_at`` tells the day only; ``vouched_micro`` and ``crowd_micro`` are what the buyer's
    word weighs.
    """

    number: int
    order: str
    kind: str
    version: int
    seller_id: str
    buyer: str | None
    amount_minor: int | None
    currency: str | None
    is_on_time: bool | None
    is_own: bool
    recorded_at: str
    vouched_micro: int
    crowd_micro: int
    is_anchor: bool


class TrustFactsView(View, frozen=True, kw_only=True):
    """A page of facts, by number, all under one batch. Start again if that changes on the way."""

    batch: TrustBatchView
    is_plain: bool
    items: list[TrustFactView]
    next: str | None


class TrustStandingView(View, frozen=True, kw_only=True):
    """A seller's sums as they are kept, by name, in millionths; and the score they make."""

    seller_id: str
    score: float
    long: float
    short: float
    sums: dict[str, int]


class RingTieView(View, frozen=True, kw_only=True):
    """Two sellers, the closed buyers they share, and how many chance would have."""

    sellers: list[str]
    shared: int
    chance: float


class RingView(View, frozen=True, kw_only=True):
    """Sellers praised by buyers who buy nowhere else: a reason to look, not a proof.

    ``reviews`` are those by these buyers; ``inside`` is their part of all praise, ``money`` their
    part of the turnover, 0 to 1.
    """

    sellers: list[str]
    buyers: list[str]
    ties: list[RingTieView]
    reviews: int
    inside: float
    money: float


# Sessions


class OpenSession(Request, frozen=True, kw_only=True):
    """``need`` says in words what the buyer is after; ``labels`` are for the buyer's analysis."""

    need: Line
    labels: dict[Tag, Line] = {}


class SessionView(View, frozen=True, kw_only=True):
    """Nothing is spent in a session that one (of the kind ``paused_by``) has paused as a whole.

    A fork has its events up to ``source_offset`` from its source; both are null for others.
    """

    id: str
    buyer_id: str
    principal_id: str | None
    need: str
    labels: dict[str, str]
    state: Literal["open", "closed"]
    next_offset: int
    head_hash: str
    opened_at: str
    closed_at: str | None
    paused_by: AgentKind | None
    source_session_id: str | None
    source_offset: int | None
    orders: list[str]


class ForkSession(Request, frozen=True, kw_only=True):
    """A new session with the history of this one up to offset ``after``.

    ``need`` and ``labels`` are the source's unless given.
    """

    after: Offset
    need: Line | None = None
    labels: dict[Tag, Line] | None = None


class Alternative(Request, frozen=True, kw_only=True):
    """A service that a buyer weighed, with what it would cost and how it scored.

    ``reason`` says why it was out of the question; it is null for one that was only ranked.
    ``limit_minor`` is the most that the buyer would have paid for it, if it says so: with the
    reason ``price`` less than it cost.
    """

    service_id: ServiceId
    slug: Line
    amount_minor: Whole | None
    score: float
    parts: dict[Tag, float] = {}
    reason: Reason | None = None
    limit_minor: AmountMinor | None = None


class Decision(Request, frozen=True, kw_only=True):
    """How a buyer left a stage: onwards, or out of the market, and why."""

    stage: Stage
    outcome: Outcome
    reason: Reason | None = None
    detail: Paragraph = ""
    service_id: ServiceId | None = None
    order_id: OrderId | None = None
    alternatives: Annotated[list[Alternative], Meta(max_length=10)] = []


class WriteEvent(Request, frozen=True, kw_only=True):
    """An event that a participant writes itself. ``decision.made`` has the body of a Decision."""

    kind: Line
    body: dict[str, Any]
    order_id: OrderId | None = None


class StartRun(Request, frozen=True, kw_only=True):
    """The body of ``run.started``. ``parent`` is the run that this one is part of."""

    run: WorkName
    title: Line
    parent: WorkName | None = None


class StepRun(Request, frozen=True, kw_only=True):
    """The body of ``run.step``. The same ``step`` again is a new attempt, and replaces the first.

    The market adds ``attempt``, from 1.
    """

    run: WorkName
    step: WorkName
    detail: Paragraph = ""
    output: dict[str, Any] | None = None


class EndRun(Request, frozen=True, kw_only=True):
    """The body of ``run.ended``: nothing follows in this run."""

    run: WorkName
    outcome: Literal["done", "failed", "cancelled"]
    detail: Paragraph = ""


class WriteEvents(Request, frozen=True, kw_only=True):
    events: Annotated[list[WriteEvent], Meta(min_length=1, max_length=100)]


class CheckpointView(View, frozen=True, kw_only=True):
    """The market's signature (``token``) over the hash that a session's log has at an offset."""

    session_id: str
    offset: int
    hash: str
    signed_at: str
    token: str


class Appended(View, frozen=True, kw_only=True):
    """Where entries landed. ``repeated`` says that a producer sent them before."""

    first_offset: int
    next_offset: int
    repeated: bool


class ShowPresence(Request, frozen=True, kw_only=True):
    """What a participant does on one of its devices. A seller is present for one of its orders."""

    status: Literal["thinking", "streaming", "idle", "left"]
    device: Device
    order_id: OrderId | None = None


class PresenceView(View, frozen=True, kw_only=True):
    """A device that is present, until ``lost_at`` unless it gives another sign before."""

    session_id: str
    agent_id: str
    device: str
    order_id: str | None
    status: Literal["thinking", "streaming", "idle", "left"]
    joined_at: str
    seen_at: str
    lost_at: str


class Control(Request, frozen=True, kw_only=True):
    """An intervention in a live session: in one order, in all of one's own, or in everything.

    With the scope ``run`` it is for the sub-agent at work on ``run``. To approve an order takes a
    signed ``decision`` (a ``decision+jwt`` over it); with a denial one is kept if it is sent.
    """

    action: Action
    scope: Scope = "order"
    order_id: OrderId | None = None
    run: WorkName | None = None
    reason: Paragraph = ""
    text: Paragraph = ""
    decision: Token | None = None


class AnswerControl(Request, frozen=True, kw_only=True):
    """A worker's answer to a ``steer`` that it read in the log."""

    answer: Literal["consumed", "refused"]
    detail: Paragraph = ""


class ControlView(View, frozen=True, kw_only=True):
    """``answer`` is null while a worker may still answer.

    ``order_id`` is null where the session itself was meant, and not one of its orders; ``run`` is
    null unless a run was.
    """

    session_id: str
    order_id: str | None
    run: str | None
    offset: int
    action: Action
    answer: Answer | None
    detail: str


class Close(Request, frozen=True, kw_only=True):
    reason: Line = "done"


# Orders


class PlaceOrder(Request, frozen=True, kw_only=True):
    """``commitment`` is an ``order+jwt`` signed by the buyer over the quote's digest.

    Without a session the market opens one. An order under an AP2 mandate closes it (``ap2``).
    """

    quote_id: QuoteId
    commitment: Token
    session_id: SessionId | None = None
    ap2: Ap2Closed | None = None


class OrderView(View, frozen=True, kw_only=True):
    """``input`` is shown to the buyer and the seller of this order alone.

    ``redo_of``: the order that this one delivers again, at no price. ``redo_id`` and ``dispute_id``
    are what goes on about it now. ``owed_minor`` is what its seller still owes of refunds.
    """

    id: str
    session_id: str
    service_id: str
    slug: str
    manifest_digest: str
    buyer_id: str
    seller_id: str
    mandate_id: str | None
    state: OrderState
    is_paused: bool
    amount_minor: int
    currency: str
    units: int
    units_delivered: int
    chunks_delivered: int
    captured_minor: int
    fee_minor: int
    returned_minor: int
    refunded_minor: int
    terms: Terms
    referrer_id: str | None
    referral_minor: int
    input: dict[str, Any]
    delivery_digest: str | None
    placed_at: str
    deliver_by: str
    accept_by: str | None
    ended_at: str | None
    receipt_id: str | None
    redo_of: str | None
    redo_id: str | None
    dispute_id: str | None
    owed_minor: int


class ApprovalView(View, frozen=True, kw_only=True):
    """An order that waits for a human: it is cancelled at ``expires_at`` unless one approves it.

    To approve or deny it is an intervention in its session.
    """

    order_id: str
    session_id: str
    mandate_id: str
    principal_id: str
    buyer_id: str
    seller_id: str
    service_id: str
    slug: str
    units: int
    amount_minor: int
    currency: str
    placed_at: str
    expires_at: str


class Chunk(Request, frozen=True, kw_only=True):
    """A part of a delivery: ``index`` from 0 without gaps; a repeat of the last is harmless."""

    index: Annotated[int, Meta(ge=0, le=10_000)]
    units: Count
    output: dict[str, Any]


class ChunkView(View, frozen=True, kw_only=True):
    """``digest`` chains all chunks up to this one."""

    order_id: str
    index: int
    offset: int
    units_delivered: int
    digest: str
    repeated: bool


class LeaseView(View, frozen=True, kw_only=True):
    """How long the market waits for the worker's next sign of life."""

    order_id: str
    state: OrderState
    is_paused: bool
    lease_seconds: int
    lease_until: str


class ReleasePayment(Request, frozen=True, kw_only=True):
    """Pay for the first ``units``, or for all that are delivered so far."""

    units: Count | None = None


class CompleteDelivery(Request, frozen=True, kw_only=True):
    """``commitment`` is a ``delivery+jwt`` signed by the seller."""

    commitment: Token


class FailOrder(Request, frozen=True, kw_only=True):
    reason: Line


SupportAction = Literal["status", "explain", "redo", "refund"]


class AskSupport(Request, frozen=True, kw_only=True):
    """``amount_minor`` is for ``refund``: a part of what was captured, or else all that is left."""

    action: SupportAction
    reason: Paragraph = ""
    amount_minor: AmountMinor | None = None


class MovementView(View, frozen=True, kw_only=True):
    """Money that moved for an order, in one transaction. ``fee_minor``: + to the house, - from it.

    ``offset`` is the place of the event that says so in the session's log; null where the log was
    complete before.
    """

    transaction_id: str
    reason: str
    amount_minor: int
    fee_minor: int
    currency: str
    recorded_at: str
    offset: int | None
    sentence: str


class TermView(View, frozen=True, kw_only=True):
    """A deadline or a policy that holds for an order: until when, and what it means."""

    name: str
    until: str | None
    sentence: str


class StepView(View, frozen=True, kw_only=True):
    """Something that may be done now, by whom, until when, and how."""

    who: Literal["buyer", "seller", "principal", "overseer"]
    action: str
    until: str | None
    request: str
    sentence: str


class ExplainView(View, frozen=True, kw_only=True):
    """What became of an order and why, from its row, its quote, the log and the ledger.

    ``ordered``, ``held``, ``delivered``, ``paid``: one sentence each. What is left to refund is
    ``refundable_minor``; ``owed_minor`` is what the seller still owes of refunds.
    """

    order_id: str
    state: OrderState
    currency: str
    amount_minor: int
    captured_minor: int
    fee_minor: int
    returned_minor: int
    refunded_minor: int
    owed_minor: int
    refundable_minor: int
    units: int
    units_delivered: int
    ordered: str
    held: str
    delivered: str
    paid: str
    movements: list[MovementView]
    deadlines: list[TermView]
    policies: list[TermView]
    may_do: list[StepView]
    disputes: list[str]
    redos: list[str]
    receipts: list[str]


class SupportView(View, frozen=True, kw_only=True):
    """What support did: ``owed`` is a refund that the seller cannot cover now.

    ``redo_order_id``: the order under which a redo is delivered. ``explained`` is null but for
    ``explain``.
    """

    order_id: str
    action: SupportAction
    answer: Literal["done", "owed", "refused"]
    detail: str
    order: OrderView
    redo_order_id: str | None
    explained: ExplainView | None


class GiveRefund(Request, frozen=True, kw_only=True):
    """A seller gives back all that is left of a payment, or ``amount_minor`` of it."""

    amount_minor: AmountMinor | None = None
    reason: Line


# Disputes

DisputeReason = Literal[
    "not_as_described", "schema", "digest", "late", "incomplete", "duplicate_charge", "other"
]
DisputeState = Literal["open", "answered", "resolved"]
Evidence = Annotated[
    list[Offset],
    Meta(max_length=20, description="offsets in the session's log"),
]


class OpenDispute(Request, frozen=True, kw_only=True):
    """``evidence`` names events by their offsets; without ``claim_minor`` all is claimed."""

    reason: DisputeReason
    detail: Paragraph = ""
    claim_minor: AmountMinor | None = None
    evidence: Evidence = []


class AnswerDispute(Request, frozen=True, kw_only=True):
    """``concede`` all that is claimed, or ``concede_minor`` of it; ``contest`` concedes nothing."""

    answer: Literal["concede", "contest"]
    concede_minor: AmountMinor | None = None
    detail: Paragraph = ""
    evidence: Evidence = []


class ResolveDispute(Request, frozen=True, kw_only=True):
    """An overseer's decision: what goes back to the buyer, 0 for nothing, and why."""

    refund_minor: Whole
    reason: Line


class EvidenceView(View, frozen=True, kw_only=True):
    """An event that a party points to; its ``hash`` was taken by the market from the log."""

    offset: int
    hash: str


class DisputeView(View, frozen=True, kw_only=True):
    """A dispute about an order. ``opened_by`` is the buyer, or ``market``.

    ``refund_minor`` was decided, ``refunded_minor`` of it moved, and the seller owes the rest
    (``owed_minor``). ``due_at`` is when the present state ends by itself.
    """

    id: str
    order_id: str
    session_id: str
    buyer_id: str
    seller_id: str
    opened_by: str
    reason: DisputeReason
    detail: str
    currency: str
    claim_minor: int
    evidence: list[EvidenceView]
    state: DisputeState
    answer: Literal["concede", "contest"] | None
    answer_detail: str
    answer_evidence: list[EvidenceView]
    conceded_minor: int
    decided_by: Literal["policy", "seller", "overseer", "deadline", "buyer"] | None
    decision: str
    refund_minor: int
    refunded_minor: int
    owed_minor: int
    opened_at: str
    due_at: str | None
    answered_at: str | None
    resolved_at: str | None


class ReceiptView(View, frozen=True, kw_only=True):
    """``receipt`` is the market's ``receipt+jwt``; ``market verify`` checks it offline."""

    id: str
    order_id: str
    outcome: ReceiptOutcome
    issued_at: str
    receipt: str


# After settlement


class PostReview(Request, frozen=True, kw_only=True):
    """``commitment`` is a ``review+jwt`` signed by the buyer."""

    commitment: Token


class ReviewView(View, frozen=True, kw_only=True):
    id: str
    order_id: str
    service_id: str
    seller_id: str
    buyer_id: str
    verdict: Verdict
    comment: str
    tags: list[str]
    posted_at: str
    commitment: str
    version: int


class ReviewVersionView(View, frozen=True, kw_only=True):
    """What a review said from ``posted_at`` on."""

    version: int
    verdict: Verdict
    comment: str
    tags: list[str]
    posted_at: str
    commitment: str


class Recommend(Request, frozen=True, kw_only=True):
    """``commitment`` is a ``recommendation+jwt`` signed by the recommending buyer."""

    commitment: Token


class RecommendationView(View, frozen=True, kw_only=True):
    """``bought_order_ids``: orders of the recipients for this service after they were told."""

    id: str
    service_id: str
    slug: str
    from_id: str
    recipient_ids: list[str]
    comment: str
    sent_at: str
    bought_order_ids: list[str]


# Inbox and memory


class MessageView(View, frozen=True, kw_only=True):
    """One entry of an inbox. ``offset`` is its place; acknowledging moves past it."""

    offset: int
    kind: Literal[
        "order.placed", "order.cancelled", "approval.requested", "receipt.issued",
        "recommendation.received", "control.requested", "order.delivered",
        "mandate.given", "mandate.revoked",
        "payment.released", "referral.paid",
        "quote.countered", "quote.answered", "quote.declined", "quote.expired",
        "dispute.opened", "dispute.answered", "dispute.resolved", "refund.owed",
        "seller.frozen", "seller.unfrozen", "bond.forfeited",
    ]  # fmt: skip
    sent_at: str
    body: dict[str, Any]


class InboxView(View, frozen=True, kw_only=True):
    """``acknowledged`` is the offset up to which everything is handled, -1 for nothing."""

    items: list[MessageView]
    next_offset: int
    acknowledged: int


class Acknowledge(Request, frozen=True, kw_only=True):
    """Everything up to and including ``offset`` is handled."""

    offset: Offset


class WriteNote(Request, frozen=True, kw_only=True):
    """``if_version`` makes the write conditional: 0 for a note that must not exist yet."""

    value: dict[str, Any]
    session_id: SessionId | None = None
    offset: Offset | None = None
    ttl_seconds: Annotated[int, Meta(ge=1, le=31_536_000)] | None = None
    if_version: Annotated[int, Meta(ge=0, le=2**31)] | None = None


class NoteView(View, frozen=True, kw_only=True):
    """A memory note with where it was learnt."""

    namespace: str
    key: str
    value: dict[str, Any]
    version: int
    session_id: str | None
    offset: int | None
    written_at: str
    expires_at: str | None


class QuotaView(View, frozen=True, kw_only=True):
    """How much of something an agent has, and may have: a number of things, or of bytes."""

    name: str
    used: int
    limit: int
