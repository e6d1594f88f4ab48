"""What follows a delivery over HTTP: explanations, refunds, disputes."""

from litestar import Controller
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody

from market import orders
from market.base.caller import Caller
from market.base.once import Once
from market.base.paging import Limit
from market.base.store import Store
from market.faces.http.binding import get, post
from market.protocol.ids import DisputeId, OrderId
from market.protocol.wire import (
    AnswerDispute,
    DisputeState,
    DisputeView,
    ExplainView,
    GiveRefund,
    OpenDispute,
    OrderView,
    Page,
    ResolveDispute,
)


class AftermathController(Controller):
    path = "/v1/orders"
    tags = ("orders",)

    @get("/{order_id:str}/explain", refuses=(404,), scopes=("read",))
    async def explain_order(
        self,
        order_id: FromPath[OrderId],
        caller: NamedDependency[Caller],
        store: NamedDependency[Store],
    ) -> ExplainView:
        """Say what became of an order and why: money, deadlines, policies, what may be done."""
        return await store.scan(orders.explain, caller=caller, order_id=order_id)

    @post(
        "/{order_id:str}/refund",
        status=200,
        refuses=(403, 404, 409),
        scopes=("order",),
        frees=True,
    )
    async def refund_order(
        self,
        order_id: FromPath[OrderId],
        request: JSONBody[GiveRefund],
        once: NamedDependency[Once],
        caller: NamedDependency[Caller],
        store: NamedDependency[Store],
    ) -> OrderView:
        """Give a payment back, or a part of it, as the order's seller."""
        return await store.write_once(
            once, orders.refund, caller=caller, order_id=order_id, request=request
        )

    @post(
        "/{order_id:str}/disputes",
        refuses=(403, 404, 409, 410),
        location="/v1/disputes/{id}",
        scopes=("order",),
    )
    async def open_dispute(
        self,
        order_id: FromPath[OrderId],
        request: JSONBody[OpenDispute],
        once: NamedDependency[Once],
        caller: NamedDependency[Caller],
        store: NamedDependency[Store],
    ) -> DisputeView:
        """Dispute a delivery as its buyer; where the log decides, it is resolved at once."""
        return await store.write_once(
            once, orders.open_dispute, caller=caller, order_id=order_id, request=request
        )


class DisputeController(Controller):
    path = "/v1/disputes"
    tags = ("disputes",)

    @get(scopes=("read",))
    async def list_disputes(
        self,
        caller: NamedDependency[Caller],
        store: NamedDependency[Store],
        state: FromQuery[DisputeState | None] = None,
        order_id: FromQuery[OrderId | None] = None,
        limit: FromQuery[Limit] = 50,
        cursor: FromQuery[str | None] = None,
    ) -> Page[DisputeView]:
        """List the disputes that the caller takes part in, or oversees, newest first."""
        return await store.scan(
            orders.disputes_of,
            caller=caller,
            state=state or "",
            order_id=order_id or "",
            cursor=cursor,
            limit=limit,
        )

    @get("/{dispute_id:str}", refuses=(404,), scopes=("read",))
    async def read_dispute(
        self,
        dispute_id: FromPath[DisputeId],
        caller: NamedDependency[Caller],
        store: NamedDependency[Store],
    ) -> DisputeView:
        """Say where a dispute stands."""
        return await store.read(orders.dispute, caller=caller, dispute_id=dispute_id)

    @post("/{dispute_id:str}/answer", status=200, refuses=(403, 404, 409), scopes=("order",))
    async def answer_dispute(
        self,
        dispute_id: FromPath[DisputeId],
        request: JSONBody[AnswerDispute],
        once: NamedDependency[Once],
        caller: NamedDependency[Caller],
        store: NamedDependency[Store],
    ) -> DisputeView:
        """Concede a claim, or a part of it, or contest it, as the order's seller."""
        return await store.write_once(
            once, orders.answer_dispute, caller=caller, dispute_id=dispute_id, request=request
        )

    @post(
        "/{dispute_id:str}/withdraw",
        status=200,
        refuses=(403, 404, 409),
        scopes=("order",),
        frees=True,
    )
    async def withdraw_dispute(
        self,
        dispute_id: FromPath[DisputeId],
        once: NamedDependency[Once],
        caller: NamedDependency[Caller],
        store: NamedDependency[Store],
    ) -> DisputeView:
        """Take a dispute back as its buyer: nothing goes back."""
        return await store.write_once(
            once, orders.withdraw_dispute, caller=caller, dispute_id=dispute_id
        )

    @post(
        "/{dispute_id:str}/resolve",
        status=200,
        refuses=(403, 404, 409),
        scopes=("oversee",),
        frees=True,
    )
    async def resolve_dispute(
        self,
        dispute_id: FromPath[DisputeId],
        request: JSONBody[ResolveDispute],
        once: NamedDependency[Once],
        caller: NamedDependency[Caller],
        store: NamedDependency[Store],
    ) -> DisputeView:
        """Decide a dispute as an overseer: what goes back to the buyer, and why."""
        return await store.write_once(
            once, orders.resolve_dispute, caller=caller, dispute_id=dispute_id, request=request
        )
