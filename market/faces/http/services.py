"""The catalog over HTTP: publish, find, read, trust, quote."""

from litestar import Controller
from litestar.di import NamedDependency
from litestar.params import FromPath, FromQuery, JSONBody

from market import catalog, reviews
from market.base.caller import Caller
from market.base.once import Once
from market.base.paging import Cursor, Limit
from market.base.store import Store
from market.catalog import SearchQuery
from market.faces.http import noting
from market.faces.http.binding import get, post
from market.faces.http.desk import Desk
from market.faces.http.limits import INPUT_BODY
from market.protocol.addresses import AddressRefused
from market.protocol.commitments import MANIFEST, ManifestClaims
from market.protocol.dialling import Dialler
from market.protocol.ids import QuoteId, ServiceId, SessionId
from market.protocol.wire import (
    AskQuote,
    FoundView,
    Page,
    Publish,
    QuoteView,
    ReviewView,
    ServiceView,
    TrustView,
)


class FindServices(SearchQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A search; with a session of the caller's, what it found is noted there."""

    session_id: SessionId | None = None


class ServiceController(Controller):
    path = "/v1/services"
    tags = ("services",)

    @post(refuses=(403, 409), location="/v1/services/{id}", scopes=("publish",))
    async def publish_service(
        self,
        request: JSONBody[Publish],
        once: NamedDependency[Once],
        caller: NamedDependency[Caller],
        desk: NamedDependency[Desk],
    ) -> ServiceView:
        """List a service, or a new version of one, by a signed manifest."""
        signed = caller.open(
            request.manifest, typ=MANIFEST, claims=ManifestClaims, now=desk.clock.now()
        )
        caller.need("publish")
        await _check_endpoint(desk, signed.claims.manifest.get("endpoint"))
        return await desk.store.write_once(once, catalog.publish, caller=caller, signed=signed)

    @get(refuses=(404, 409), scopes=("read",))
    async def find_services(
        self,
        query: FromQuery[FindServices],
        caller: NamedDependency[Caller],
        store: NamedDependency[Store],
    ) -> Page[FoundView]:
        """Search the listed services, best first, with the parts of each score.

        Filters that are not known are refused. With ``session_id`` the result is noted in that
        journey as ``finding.listed``.
        """
        caller.need("read")
        lot = query.session_id or caller.agent_id
        page = await store.read(catalog.quick_search, query=query, lot=lot)
        if page is None:
            page = await store.scan(catalog.search, query=query, lot=lot)
        if query.session_id is not None:
            await store.write(
                noting.note,
                caller=caller,
                session_id=query.session_id,
                kind="finding.listed",
                body=noting.found(query, page),
            )
        return page

    @get("/{service_id:str}", refuses=(404, 409), scopes=("read",))
    async def read_service(
        self,
        service_id: FromPath[ServiceId],
        caller: NamedDependency[Caller],
        store: NamedDependency[Store],
        session_id: FromQuery[SessionId | None] = None,
    ) -> ServiceView:
        """Read a service's manifest; with ``session_id`` noted as ``evaluating.read``."""
        caller.need("read")
        service = await store.read(catalog.service, service_id=service_id)
        if session_id is not None:
            await store.write(
                noting.note,
                caller=caller,
                session_id=session_id,
                kind="evaluating.read",
                body=noting.read(service),
            )
        return service

    @get("/{service_id:str}/trust", refuses=(404, 409), scopes=("read",))
    async def read_trust(
        self,
        service_id: FromPath[ServiceId],
        caller: NamedDependency[Caller],
        store: NamedDependency[Store],
        session_id: FromQuery[SessionId | None] = None,
    ) -> TrustView:
        """Report what the market knows of the seller; noted as ``trust.reported``."""
        caller.need("read")
        report = await store.read(catalog.trust_report, service_id=service_id)
        if session_id is not None:
            await store.write(
                noting.note,
                caller=caller,
                session_id=session_id,
                kind="trust.reported",
                body=noting.trusted(report),
            )
        return report

    @get("/{service_id:str}/reviews", refuses=(404,), scopes=("read",))
    async def list_reviews(
        self,
        service_id: FromPath[ServiceId],
        caller: NamedDependency[Caller],
        store: NamedDependency[Store],
        limit: FromQuery[Limit] = 50,
        cursor: FromQuery[Cursor | None] = None,
    ) -> Page[ReviewView]:
        """List what buyers said of a service, newest first."""
        caller.need("read")
        return await store.scan(
            reviews.reviews_of, service_id=service_id, cursor=cursor, limit=limit
        )


async def _check_endpoint(desk: Desk, endpoint: object) -> None:
    """Let pass what leads to no address inside, as names stand now; its form the verb judges."""
    if not isinstance(endpoint, str):
        return
    try:
        await Dialler(calls_loopback=desk.settings.loopback_endpoints).check(endpoint)
    except AddressRefused as refusal:
        raise catalog.BadManifestRefused(
            f"The manifest is refused: endpoint: {refusal}"
        ) from refusal


class QuoteController(Controller):
    path = "/v1/quotes"
    tags = ("quotes",)

    @post(
        max_body=INPUT_BODY,
        refuses=(403, 404, 409, 410),
        location="/v1/quotes/{id}",
        scopes=("order",),
    )
    async def ask_quote(
        self,
        ask: JSONBody[AskQuote],
        once: NamedDependency[Once | None],
        caller: NamedDependency[Caller],
        desk: NamedDependency[Desk],
    ) -> QuoteView:
        """Ask for a signed price for exactly this input, good for one order until it expires.

        With an Idempotency-Key a repeat gets the same quote, which its session notes once.
        """
        await desk.quotas.take("open_quotes", caller.agent_id, once=once)
        return await desk.store.write_once(once, noting.quote, caller=caller, ask=ask)

    @get("/{quote_id:str}", refuses=(404,), scopes=("read",))
    async def read_quote(
        self,
        quote_id: FromPath[QuoteId],
        caller: NamedDependency[Caller],
        store: NamedDependency[Store],
    ) -> QuoteView:
        """Read a quote that was made for the caller."""
        caller.need("read")
        return await store.read(catalog.read_quote, caller=caller, quote_id=quote_id)
