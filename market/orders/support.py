"""Support that acts: a buyer asks, and the service's own policy answers at once.

``status`` and ``explain`` are answered from the market's own records, whatever a manifest offers.
``redo`` and ``refund`` are done if the manifest that was bought under lists them and its policies
allow them. A refusal by policy is an answer, not an error.
"""

from typing import Any, NamedTuple

from market import catalog
from market.base.caller import Caller
from market.base.work import UnitOfWork
from market.orders.explaining import explained
from market.orders.issuing import note
from market.orders.prospects import refund_until
from market.orders.redoing import redo
from market.orders.refunds import Grounds, check_left, check_number, give_back, refundable_minor
from market.orders.rows import buyers, locked, view
from market.protocol.events import MARKET
from market.protocol.money import Money
from market.protocol.wire import AskSupport, ExplainView, SupportView
from market.sessions import NewEvent


class _Answer(NamedTuple):
    answer: str
    detail: str
    redo_order_id: str | None = None
    explained: ExplainView | None = None


def support(uow: UnitOfWork, *, caller: Caller, order_id: str, request: AskSupport) -> SupportView:
    """Answer a buyer's question by the service's own policy, at once.

    ``status`` tells where the order stands, ``explain`` why and what may be done; ``redo`` has it
    delivered again at no price; ``refund`` gives back what was captured, or a part of it.

    Raises:
        OrderNotFound: the caller has placed no such order.
        RefundExceeded: less than the amount that was asked for is left of the payment.
        TooManyRefunds: it went back in as many parts as may be.
    """
    caller.need("order")
    row = buyers(uow, caller=caller, order_id=order_id)
    note(uow, row, NewEvent("support.asked", caller.agent_id, {"action": request.action}, row.id))
    answer = _act(uow, row, request)
    body = {"action": request.action, "answer": answer.answer}
    note(uow, row, NewEvent("support.answered", MARKET, body, row.id))
    return SupportView(
        order_id=row.id,
        action=request.action,
        answer=answer.answer,  # type: ignore[arg-type]
        detail=answer.detail,
        order=view(uow, locked(uow, order_id=order_id)),
        redo_order_id=answer.redo_order_id,
        explained=answer.explained,
    )


def _act(uow: UnitOfWork, row: Any, request: AskSupport) -> _Answer:
    if request.action == "status":
        detail = f"The order is {row.state}; {row.chunks_delivered} chunks are in."
        return _Answer("done", detail)
    if request.action == "explain":
        made = explained(uow, row)
        return _Answer("done", made.paid, explained=made)
    manifest = catalog.manifest_of(uow, manifest_digest=row.manifest_digest)
    if request.action not in manifest.support:
        return _Answer("refused", f"The service does not offer '{request.action}'.")
    if request.action == "redo":
        return _Answer(*redo(uow, row, manifest.policies))
    return _refund(uow, row, request)


def _refund(uow: UnitOfWork, row: Any, request: AskSupport) -> _Answer:
    said = _without_moving(uow, row)
    if said is not None:
        return said
    check_number(row)
    amount_minor = request.amount_minor or refundable_minor(row)
    check_left(row, amount_minor)
    given = give_back(uow, row, amount_minor, Grounds("support", "refund policy"))
    if given.owed_minor:
        return _Answer("owed", "The seller cannot cover it now; it goes back as soon as it can.")
    if amount_minor < row.captured_minor:
        part, whole = (Money(minor, row.currency) for minor in (amount_minor, row.captured_minor))
        return _Answer("done", f"{part} of {whole} went back.")
    return _Answer("done", "What was captured went back to the buyer.")


def _without_moving(uow: UnitOfWork, row: Any) -> _Answer | None:
    """Return the answer where nothing is to be refunded, or the policy does not allow it."""
    if row.captured_minor and not refundable_minor(row):
        if row.owed_minor:
            return _Answer("owed", "The seller owes the rest, and pays it as soon as it can.")
        return _Answer("done", "The order was refunded before.")
    if row.state != "settled" or not row.captured_minor:
        return _Answer("refused", "Only a settled order is refunded; cancel one that still runs.")
    if row.refund_policy != "within-window" or uow.now > refund_until(row):
        return _Answer(
            "refused", f"The service's refund policy is '{row.refund_policy}'; its time is over."
        )
    return None
