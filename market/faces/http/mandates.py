"""Mandates over HTTP: a principal gives, looks at and revokes authority to spend."""

from litestar import Controller
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody

from market import mandates
from market.base.caller import Caller
from market.base.once import Once
from market.base.paging import Cursor, Limit
from market.base.store import Store
from market.faces.http import acts
from market.faces.http.binding import get, post
from market.faces.http.desk import Desk
from market.protocol.commitments import MANDATE, MandateClaims
from market.protocol.ids import MandateId
from market.protocol.wire import GiveMandate, MandateView, Page, RevokeMandate


class MandateController(Controller):
    path = "/v1/mandates"
    tags = ("mandates",)

    @post(refuses=(403, 409), location="/v1/mandates/{id}", scopes=("pay",))
    async def give_mandate(
        self,
        request: JSONBody[GiveMandate],
        once: NamedDependency[Once],
        caller: NamedDependency[Caller],
        desk: NamedDependency[Desk],
    ) -> MandateView:
        """Let a buyer spend, within the limits that the principal has signed."""
        signed = caller.open(
            request.mandate, typ=MANDATE, claims=MandateClaims, now=desk.clock.now()
        )
        return await desk.store.write_once(once, acts.give_mandate, caller=caller, signed=signed)

    @get(scopes=("read",))
    async def list_mandates(
        self,
        caller: NamedDependency[Caller],
        store: NamedDependency[Store],
        limit: FromQuery[Limit] = 50,
        cursor: FromQuery[Cursor | None] = None,
    ) -> Page[MandateView]:
        """List the mandates that the caller gave or got, newest first."""
        caller.need("read")
        return await store.scan(mandates.list_mandates, caller=caller, cursor=cursor, limit=limit)

    @get("/{mandate_id:str}", refuses=(404,), scopes=("read",))
    async def read_mandate(
        self,
        mandate_id: FromPath[MandateId],
        caller: NamedDependency[Caller],
        store: NamedDependency[Store],
    ) -> MandateView:
        """Read a mandate with what was spent under it."""
        caller.need("read")
        return await store.read(mandates.mandate, caller=caller, mandate_id=mandate_id)

    @post(
        "/{mandate_id:str}/revoke", status=200, refuses=(403, 404), scopes=("oversee",), frees=True
    )
    async def revoke_mandate(
        self,
        mandate_id: FromPath[MandateId],
        request: JSONBody[RevokeMandate],
        caller: NamedDependency[Caller],
        store: NamedDependency[Store],
    ) -> MandateView:
        """End a mandate: nothing more is spent under it. A repeat changes nothing.

        What is held stays held; orders that wait for an approval are denied. The journeys that
        spent under it get a ``mandate.revoked``, and the buyer a message.
        """
        return await store.write(
            acts.revoke_mandate, caller=caller, mandate_id=mandate_id, reason=request.reason
        )
