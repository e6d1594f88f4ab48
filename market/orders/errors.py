"""Refusals of the orders room."""

from market.base.errors import Conflict, Forbidden, Gone, Invalid, NotFound


class OrderNotFound(NotFound):
    code = "order_not_found"
    title = "There is no such order here"


class ReceiptNotFound(NotFound):
    code = "receipt_not_found"
    title = "There is no such receipt here"


class QuoteMismatch(Invalid):
    code = "quote_mismatch"
    title = "The signed order does not match the quote"


class SelfDealing(Forbidden):
    code = "self_dealing"
    title = "An agent cannot buy from itself"


class WrongState(Conflict):
    code = "wrong_order_state"
    title = "The order's state does not allow this move"


class OrderCancelled(WrongState):
    code = "order_cancelled"
    title = "The order was cancelled: nobody works on it any more"


class OrderPaused(Conflict):
    code = "order_paused"
    title = "The order is paused: nothing may be delivered until it is resumed"


class ChunkOutOfOrder(Conflict):
    code = "chunk_out_of_order"
    title = "The chunk is not the next one"


class ChunkChanged(Conflict):
    code = "chunk_changed"
    title = "Another chunk was already delivered under this index"


class OutputDoesNotFit(Invalid):
    code = "output_does_not_fit"
    title = "The output breaks the service's own schema"


class DeliveryTooLarge(Invalid):
    code = "delivery_too_large"
    title = "The delivery is larger than was quoted"


class DeliveryMismatch(Invalid):
    code = "delivery_mismatch"
    title = "The signed delivery does not match the delivered chunks"


class DeadlinePassed(Gone):
    code = "deadline_passed"
    title = "The order's deadline has passed"


class NotForThisCaller(Forbidden):
    code = "control_not_allowed"
    title = "This intervention is not the caller's to make"


class ControlNotFound(NotFound):
    code = "control_not_found"
    title = "There is no open steer at this offset"
