"""Bargaining over HTTP: a buyer names a price, a seller answers with a signed one."""

from litestar import Controller
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody

from market import catalog, orders
from market.base.caller import Caller
from market.base.once import Once
from market.base.paging import Cursor, Limit
from market.base.store import Store
from market.faces.http.binding import get, post
from market.faces.http.desk import Desk
from market.protocol.commitments import OFFER, OfferClaims
from market.protocol.ids import CounterId, QuoteId
from market.protocol.wire import (
    AnswerCounter,
    CounterState,
    CounterView,
    DeclineCounter,
    MakeCounter,
    Page,
)


class BargainingController(Controller):
    path = "/v1"
    tags = ("quotes",)

    @post(
        "/quotes/{quote_id:str}/counter",
        refuses=(403, 404, 409, 410),
        location="/v1/counters/{id}",
        scopes=("order",),
    )
    async def counter_quote(
        self,
        quote_id: FromPath[QuoteId],
        request: JSONBody[MakeCounter],
        once: NamedDependency[Once],
        caller: NamedDependency[Caller],
        store: NamedDependency[Store],
    ) -> CounterView:
        """Name a lower price for a quote's work; the quote stays good at its own price."""
        return await store.write_once(
            once, orders.counter_quote, caller=caller, quote_id=quote_id, request=request
        )

    @get("/counters", scopes=("read",))
    async def list_counters(
        self,
        caller: NamedDependency[Caller],
        store: NamedDependency[Store],
        state: FromQuery[CounterState | None] = None,
        limit: FromQuery[Limit] = 50,
        cursor: FromQuery[Cursor | None] = None,
    ) -> Page[CounterView]:
        """List the counter-offers that the caller made or got, newest first."""
        return await store.scan(
            catalog.counter_offers, caller=caller, state=state or "", cursor=cursor, limit=limit
        )

    @get("/counters/{counter_id:str}", refuses=(404,), scopes=("read",))
    async def read_counter(
        self,
        counter_id: FromPath[CounterId],
        caller: NamedDependency[Caller],
        store: NamedDependency[Store],
    ) -> CounterView:
        """Say what became of a counter-offer."""
        return await store.read(catalog.counter_offer, caller=caller, counter_id=counter_id)

    @post(
        "/counters/{counter_id:str}/answer",
        status=200,
        refuses=(403, 404, 409, 410),
        scopes=("order",),
    )
    async def answer_counter(
        self,
        counter_id: FromPath[CounterId],
        request: JSONBody[AnswerCounter],
        caller: NamedDependency[Caller],
        desk: NamedDependency[Desk],
    ) -> CounterView:
        """Answer as its seller, with a signed amount; the buyer gets a new quote for it.

        An amount above the quoted one is refused, and counts against the seller.
        """
        signed = caller.open(
            request.commitment, typ=OFFER, claims=OfferClaims, now=desk.clock.now()
        )
        answered = await desk.store.write(
            orders.answer_counter, caller=caller, counter_id=counter_id, signed=signed
        )
        return orders.unless_refused(answered)

    @post(
        "/counters/{counter_id:str}/decline",
        status=200,
        refuses=(403, 404, 409),
        scopes=("order",),
    )
    async def decline_counter(
        self,
        counter_id: FromPath[CounterId],
        request: JSONBody[DeclineCounter],
        caller: NamedDependency[Caller],
        store: NamedDependency[Store],
    ) -> CounterView:
        """Say no as its seller; the quote stands. A repeat changes nothing."""
        return await store.write(
            orders.decline_counter, caller=caller, counter_id=counter_id, request=request
        )
