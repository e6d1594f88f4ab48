"""The life of an order: its states, and the moves between them. Pure."""

from typing import Final

from market.orders.errors import WrongState
from market.protocol.wire import OrderState

MOVES: Final[dict[str, dict[OrderState, OrderState]]] = {
    "approve": {"awaiting_approval": "placed"},
    "deny": {"awaiting_approval": "cancelled"},
    "start": {"placed": "started", "started": "started"},
    "pause": {"placed": "placed", "started": "started"},
    "resume": {"placed": "placed", "started": "started"},
    "heartbeat": {"started": "started"},
    "deliver": {"placed": "started", "started": "started"},
    "complete": {"started": "delivered"},
    "release": {"started": "started", "delivered": "delivered"},
    "accept": {"delivered": "settled"},
    "cancel": {
        "awaiting_approval": "cancelled",
        "placed": "cancelled",
        "started": "cancelled",
    },
    "fail": {"placed": "failed", "started": "failed"},
    "dispute": {"delivered": "delivered", "settled": "settled"},
    "reject": {"placed": "failed", "started": "failed", "delivered": "failed"},
}
"""What each move makes of each state that it may start from."""

ENDED: Final[frozenset[OrderState]] = frozenset({"settled", "cancelled", "failed"})
"""States without a way out."""


def move(state: OrderState, verb: str) -> OrderState:
    """Return the state after ``verb``.

    Raises:
        WrongState: the order cannot make this move from where it is.
    """
    after = MOVES[verb].get(state)
    if after is None:
        allowed = ", ".join(MOVES[verb])
        raise WrongState(
            f"The order is {state}; '{verb}' needs one that is {allowed}.", state=state
        )
    return after
