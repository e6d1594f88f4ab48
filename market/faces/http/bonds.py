"""Bonds over HTTP: what sellers have at stake; overseers lift a freeze."""

from litestar import Controller
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody

from market import orders
from market.base.caller import Caller
from market.base.once import Once
from market.base.store import Store
from market.faces.http.binding import get, post
from market.protocol.ids import AgentId
from market.protocol.wire import MoveBond, SellerLimitsView, Unfreeze


class BondController(Controller):
    path = "/v1/bonds"
    tags = ("bonds",)

    @get(refuses=(404,), scopes=("read",))
    async def read_bond(
        self,
        caller: NamedDependency[Caller],
        store: NamedDependency[Store],
        seller_id: FromQuery[AgentId | None] = None,
    ) -> SellerLimitsView:
        """Say what a seller (the caller, unless another is named) has at stake, and may get."""
        caller.need("read")
        return await store.read(orders.seller_limits, seller_id=seller_id or caller.agent_id)

    @post(status=200, refuses=(402, 403, 409), scopes=("publish",))
    async def post_bond(
        self,
        request: JSONBody[MoveBond],
        once: NamedDependency[Once],
        caller: NamedDependency[Caller],
        store: NamedDependency[Store],
    ) -> SellerLimitsView:
        """Move money from the caller's wallet into its bond. Sellers only."""
        return await store.write_once(
            once, orders.post_bond, caller=caller, request=request, idempotency_key=once.key
        )

    @post("/release", status=200, refuses=(402, 403, 409), scopes=("publish",))
    async def release_bond(
        self,
        request: JSONBody[MoveBond],
        once: NamedDependency[Once],
        caller: NamedDependency[Caller],
        store: NamedDependency[Store],
    ) -> SellerLimitsView:
        """Move money from the caller's bond into its wallet, once no order hangs on it any more."""
        return await store.write_once(
            once, orders.release_bond, caller=caller, request=request, idempotency_key=once.key
        )


class FreezeController(Controller):
    tags = ("agents",)

    @post(
        "/v1/agents/{agent_id:str}/unfreeze",
        status=200,
        refuses=(403, 404, 409),
        scopes=("oversee",),
        frees=True,
    )
    async def unfreeze_seller(
        self,
        agent_id: FromPath[AgentId],
        request: JSONBody[Unfreeze],
        caller: NamedDependency[Caller],
        store: NamedDependency[Store],
    ) -> SellerLimitsView:
        """Let a frozen seller take orders as others do, and say why. Overseers only."""
        return await store.write(
            orders.unfreeze, caller=caller, seller_id=agent_id, reason=request.reason
        )
