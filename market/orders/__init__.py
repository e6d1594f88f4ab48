"""Orders: an accepted quote and its life, to the last unit.

An **order** is *placed* (its price held in escrow; above the mandate's limit it first *awaits
approval*), *started*, *delivered* in **chunks** that are entries of the session's log, and
*settled* when the buyer accepts or lets the time to inspect pass. It may be *cancelled* (units
delivered are paid pro rata) or *failed* (everything goes back). Every ending captures, returns,
issues a signed **receipt**, records a trust fact and says so in the log, in one unit of work.
A started order has a **lease** that its worker's signs of life renew; without them it is
*stalled*, and then fails. **Control** (cancel, pause, resume, steer, approve, deny) is an event
like any other, with exactly one answer. **Support** acts by the service's own policy.
"""

from market.orders.checks import check
from market.orders.control import (
    OrdersStillOpen,
    answer_control,
    close_session,
    control,
    pause_orders_of,
)
from market.orders.delivery import complete, deliver, fail, start
from market.orders.due import answer_unanswered, due, expire
from market.orders.errors import (
    ChunkChanged,
    ChunkOutOfOrder,
    ControlNotFound,
    DeadlinePassed,
    DeliveryMismatch,
    DeliveryTooLarge,
    NotForThisCaller,
    OrderCancelled,
    OrderNotFound,
    OrderPaused,
    OutputDoesNotFit,
    QuoteMismatch,
    ReceiptNotFound,
    SelfDealing,
    WrongState,
)
from market.orders.leases import follow_leases, heartbeat
from market.orders.placing import place
from market.orders.rows import bought, order, order_row, orders_of, receipt, receipts_of
from market.orders.settlement import accept, support
from market.orders.states import ENDED, MOVES

__all__ = [
    "ENDED",
    "MOVES",
    "ChunkChanged",
    "ChunkOutOfOrder",
    "ControlNotFound",
    "DeadlinePassed",
    "DeliveryMismatch",
    "DeliveryTooLarge",
    "NotForThisCaller",
    "OrderCancelled",
    "OrderNotFound",
    "OrderPaused",
    "OrdersStillOpen",
    "OutputDoesNotFit",
    "QuoteMismatch",
    "ReceiptNotFound",
    "SelfDealing",
    "WrongState",
    "accept",
    "answer_control",
    "answer_unanswered",
    "bought",
    "check",
    "close_session",
    "complete",
    "control",
    "deliver",
    "due",
    "expire",
    "fail",
    "follow_leases",
    "heartbeat",
    "order",
    "order_row",
    "orders_of",
    "pause_orders_of",
    "place",
    "receipt",
    "receipts_of",
    "start",
    "support",
]
