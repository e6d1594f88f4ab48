"""Orders: an accepted quote and its life, to the last unit.

An **order** is *placed* (its price held in escrow; above the mandate's limit it first *awaits
approval*), *started*, *delivered* in **chunks** that are entries of the session's log, and
*settled* when the buyer accepts or lets the time to inspect pass. It may be *cancelled* (units
delivered are paid pro rata) or *failed* (everything goes back). Every ending captures, returns,
issues a signed **receipt**, records a trust fact and says so in the log, in one unit of work.
A started order has a **lease** that its worker's signs of life renew; without them it is
*stalled*, and then fails. **Control** (cancel, pause, resume, steer, approve, deny) is an event
like any other, with exactly one answer. **Support** acts by the service's own policy: it tells,
explains, redoes, refunds. A **redo** is an order of its own, at no price, that delivers another
again. A delivery is **rejected** when it breaks the manifest's schema or its digest. A **dispute**
has evidence from the log, and is resolved by the log, the seller, an overseer or its deadline; a
**refund** is a part of a payment that goes back, and what a seller cannot cover of it is **owed**.
A seller's bond stays while an order **hangs** on it: until the last that a buyer may claim.
"""

from market.orders.attribution import refer
from market.orders.awaiting import awaiting_approval
from market.orders.bargaining import (
    BaitAndSwitch,
    answer_counter,
    counter_quote,
    decline_counter,
    expire_counter,
    unless_refused,
)
from market.orders.bonds import post_bond, release_bond, seller_limits
from market.orders.capturing import release
from market.orders.checks import check
from market.orders.control import (
    OrdersStillOpen,
    answer_control,
    close_session,
    control,
)
from market.orders.deciding import (
    answer_dispute,
    expire_dispute,
    resolve_dispute,
    withdraw_dispute,
)
from market.orders.delivery import complete, deliver, fail, start
from market.orders.dispute_rows import dispute, disputes_of, due_disputes
from market.orders.disputes import MAX_DISPUTES, open_dispute
from market.orders.due import answer_unanswered, due, expire
from market.orders.errors import (
    BadEvidence,
    BondNeeded,
    ChunkChanged,
    ChunkOutOfOrder,
    ClaimTooLarge,
    ControlNotFound,
    DeadlinePassed,
    DecisionMismatch,
    DecisionNeeded,
    DecisionUsed,
    DeliveryMismatch,
    DeliveryTooLarge,
    DisputeNotFound,
    DisputeOpen,
    DisputeTooLate,
    NotForThisCaller,
    NothingAtStake,
    OrderCancelled,
    OrderNotFound,
    OrderPaused,
    OutputDoesNotFit,
    QuoteMismatch,
    ReceiptNotFound,
    RedoUnderWay,
    ReleaseTooLarge,
    SelfDealing,
    TooManyDisputes,
    TooManyRefunds,
    WrongDisputeState,
    WrongState,
)
from market.orders.explaining import explain
from market.orders.gates import Typical, freeze_if_failing, typical_order, unfreeze
from market.orders.leases import follow_leases, heartbeat
from market.orders.placing import place
from market.orders.refunds import MAX_REFUNDS, owed, pay_owed, refund
from market.orders.rejecting import MAX_REJECTED
from market.orders.revoking import tell_revoked
from market.orders.rows import bought, locked, order, order_row, orders_of, receipt, receipts_of
from market.orders.settlement import accept
from market.orders.states import ENDED, MOVES
from market.orders.support import support
from market.orders.suspending import carry_through, shut_out

__all__ = [
    "ENDED",
    "MAX_DISPUTES",
    "MAX_REFUNDS",
    "MAX_REJECTED",
    "MOVES",
    "BadEvidence",
    "BaitAndSwitch",
    "BondNeeded",
    "ChunkChanged",
    "ChunkOutOfOrder",
    "ClaimTooLarge",
    "ControlNotFound",
    "DeadlinePassed",
    "DecisionMismatch",
    "DecisionNeeded",
    "DecisionUsed",
    "DeliveryMismatch",
    "DeliveryTooLarge",
    "DisputeNotFound",
    "DisputeOpen",
    "DisputeTooLate",
    "NotForThisCaller",
    "NothingAtStake",
    "OrderCancelled",
    "OrderNotFound",
    "OrderPaused",
    "OrdersStillOpen",
    "OutputDoesNotFit",
    "QuoteMismatch",
    "ReceiptNotFound",
    "RedoUnderWay",
    "ReleaseTooLarge",
    "SelfDealing",
    "TooManyDisputes",
    "TooManyRefunds",
    "Typical",
    "WrongDisputeState",
    "WrongState",
    "accept",
    "answer_control",
    "answer_counter",
    "answer_dispute",
    "answer_unanswered",
    "awaiting_approval",
    "bought",
    "carry_through",
    "check",
    "close_session",
    "complete",
    "control",
    "counter_quote",
    "decline_counter",
    "deliver",
    "dispute",
    "disputes_of",
    "due",
    "due_disputes",
    "expire",
    "expire_counter",
    "expire_dispute",
    "explain",
    "fail",
    "follow_leases",
    "freeze_if_failing",
    "heartbeat",
    "locked",
    "open_dispute",
    "order",
    "order_row",
    "orders_of",
    "owed",
    "pay_owed",
    "place",
    "post_bond",
    "receipt",
    "receipts_of",
    "refer",
    "refund",
    "release",
    "release_bond",
    "resolve_dispute",
    "seller_limits",
    "shut_out",
    "start",
    "support",
    "tell_revoked",
    "typical_order",
    "unfreeze",
    "unless_refused",
    "withdraw_dispute",
]
