"""Orders over HTTP: place, deliver, accept, fail, ask for support; receipts."""

from litestar import Controller
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody

from market import orders
from market.base.caller import Caller
from market.base.once import Once
from market.base.paging import Cursor, Limit
from market.base.store import Store
from market.faces.http.ap2 import place
from market.faces.http.binding import get, post
from market.faces.http.desk import Desk
from market.faces.http.limits import INPUT_BODY
from market.protocol.commitments import DELIVERY, ORDER, DeliveryClaims, OrderClaims
from market.protocol.ids import OrderId, ReceiptId, SessionId
from market.protocol.wire import (
    ApprovalView,
    AskSupport,
    Chunk,
    ChunkView,
    CompleteDelivery,
    FailOrder,
    LeaseView,
    OrderState,
    OrderView,
    Page,
    PlaceOrder,
    ReceiptView,
    ReleasePayment,
    SupportView,
)


class OrderController(Controller):
    path = "/v1/orders"
    tags = ("orders",)

    @post(refuses=(402, 403, 404, 409, 410), location="/v1/orders/{id}", scopes=("pay",))
    async def place_order(
        self,
        request: JSONBody[PlaceOrder],
        once: NamedDependency[Once],
        caller: NamedDependency[Caller],
        desk: NamedDependency[Desk],
    ) -> OrderView:
        """Accept a quote by a signed order; its price goes into escrow."""
        signed = caller.open(
            request.commitment, typ=ORDER, claims=OrderClaims, now=desk.clock.now()
        )
        await desk.quotas.take("inbox", signed.claims.seller_id, once=once)
        if request.session_id is None:
            await desk.quotas.take("open_sessions", caller.agent_id, once=once)
        return await place(desk, once, caller, request, signed)

    @get(scopes=("read",))
    async def list_orders(
        self,
        caller: NamedDependency[Caller],
        store: NamedDependency[Store],
        state: FromQuery[OrderState | None] = None,
        session_id: FromQuery[SessionId | None] = None,
        limit: FromQuery[Limit] = 50,
        cursor: FromQuery[Cursor | None] = None,
    ) -> Page[OrderView]:
        """List the orders in which the caller takes part, newest first."""
        return await store.scan(
            orders.orders_of,
            caller=caller,
            state=state or "",
            session_id=session_id or "",
            cursor=cursor,
            limit=limit,
        )

    @get("/{order_id:str}", refuses=(404,), scopes=("read",))
    async def read_order(
        self,
        order_id: FromPath[OrderId],
        caller: NamedDependency[Caller],
        store: NamedDependency[Store],
    ) -> OrderView:
        """Say where an order stands."""
        return await store.read(orders.order, caller=caller, order_id=order_id)

    @post("/{order_id:str}/start", status=200, refuses=(403, 404, 409), scopes=("order",))
    async def start_order(
        self,
        order_id: FromPath[OrderId],
        caller: NamedDependency[Caller],
        store: NamedDependency[Store],
    ) -> OrderView:
        """Say, as its seller, that work has begun; a repeat changes nothing."""
        return await store.write(orders.start, caller=caller, order_id=order_id)

    @post("/{order_id:str}/heartbeat", status=200, refuses=(403, 404, 409), scopes=("order",))
    async def renew_lease(
        self,
        order_id: FromPath[OrderId],
        caller: NamedDependency[Caller],
        store: NamedDependency[Store],
    ) -> LeaseView:
        """Say, as its seller, that work goes on: without a sign of life an order stalls."""
        return await store.write(orders.heartbeat, caller=caller, order_id=order_id)

    @post(
        "/{order_id:str}/chunks",
        max_body=INPUT_BODY,
        refuses=(403, 404, 409, 410),
        scopes=("order",),
    )
    async def deliver_chunk(
        self,
        order_id: FromPath[OrderId],
        chunk: JSONBody[Chunk],
        caller: NamedDependency[Caller],
        store: NamedDependency[Store],
    ) -> ChunkView:
        """Append the next part of a delivery to the session; a repeat is answered again."""
        return await store.write(orders.deliver, caller=caller, order_id=order_id, chunk=chunk)

    @post("/{order_id:str}/complete", status=200, refuses=(403, 404, 409, 410), scopes=("order",))
    async def complete_order(
        self,
        order_id: FromPath[OrderId],
        request: JSONBody[CompleteDelivery],
        caller: NamedDependency[Caller],
        desk: NamedDependency[Desk],
    ) -> OrderView:
        """Declare a delivery complete, signed over the digest of its chunks."""
        signed = caller.open(
            request.commitment, typ=DELIVERY, claims=DeliveryClaims, now=desk.clock.now()
        )
        return await desk.store.write(
            orders.complete, caller=caller, order_id=order_id, signed=signed
        )

    @post("/{order_id:str}/release", status=200, refuses=(403, 404, 409), scopes=("order",))
    async def release_payment(
        self,
        order_id: FromPath[OrderId],
        request: JSONBody[ReleasePayment],
        once: NamedDependency[Once | None],
        caller: NamedDependency[Caller],
        store: NamedDependency[Store],
    ) -> OrderView:
        """Pay for what is delivered so far, while work goes on. A repeat moves nothing more."""
        return await store.write_once(
            once, orders.release, caller=caller, order_id=order_id, request=request
        )

    @post("/{order_id:str}/accept", status=200, refuses=(403, 404, 409), scopes=("order",))
    async def accept_order(
        self,
        order_id: FromPath[OrderId],
        caller: NamedDependency[Caller],
        store: NamedDependency[Store],
    ) -> OrderView:
        """Take a delivery as good: the seller is paid. A repeat changes nothing."""
        return await store.write(orders.accept, caller=caller, order_id=order_id)

    @post(
        "/{order_id:str}/fail", status=200, refuses=(403, 404, 409), scopes=("order",), frees=True
    )
    async def fail_order(
        self,
        order_id: FromPath[OrderId],
        request: JSONBody[FailOrder],
        caller: NamedDependency[Caller],
        store: NamedDependency[Store],
    ) -> OrderView:
        """Give an order up as its seller: all that is held goes back to the buyer."""
        return await store.write(
            orders.fail, caller=caller, order_id=order_id, reason=request.reason
        )

    @post("/{order_id:str}/support", status=200, refuses=(403, 404, 409), scopes=("order",))
    async def ask_support(
        self,
        order_id: FromPath[OrderId],
        request: JSONBody[AskSupport],
        once: NamedDependency[Once],
        caller: NamedDependency[Caller],
        store: NamedDependency[Store],
    ) -> SupportView:
        """Have the service's own policy answer at once: status, explain, redo or refund."""
        return await store.write_once(
            once, orders.support, caller=caller, order_id=order_id, request=request
        )

    @get("/{order_id:str}/receipts", refuses=(404,), scopes=("read",))
    async def list_receipts(
        self,
        order_id: FromPath[OrderId],
        caller: NamedDependency[Caller],
        store: NamedDependency[Store],
    ) -> list[ReceiptView]:
        """List an order's receipts, oldest first."""
        return await store.read(orders.receipts_of, caller=caller, order_id=order_id)


class ApprovalController(Controller):
    path = "/v1/approvals"
    tags = ("orders",)

    @get(scopes=("read",))
    async def list_approvals(
        self,
        caller: NamedDependency[Caller],
        store: NamedDependency[Store],
        limit: FromQuery[Limit] = 50,
        cursor: FromQuery[Cursor | None] = None,
    ) -> Page[ApprovalView]:
        """List the orders that wait for the caller to approve them, the oldest first.

        To a principal those of its buyers, to an overseer all; nobody else has any.
        """
        return await store.scan(orders.awaiting_approval, caller=caller, cursor=cursor, limit=limit)


class ReceiptController(Controller):
    path = "/v1/receipts"
    tags = ("orders",)

    @get("/{receipt_id:str}", refuses=(404,), scopes=("read",))
    async def read_receipt(
        self,
        receipt_id: FromPath[ReceiptId],
        caller: NamedDependency[Caller],
        store: NamedDependency[Store],
    ) -> ReceiptView:
        """Read a receipt of an order in which the caller takes part."""
        return await store.read(orders.receipt, caller=caller, receipt_id=receipt_id)
