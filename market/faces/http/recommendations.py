"""Recommendations over HTTP: a buyer tells others, on the strength of a receipt."""

from litestar import Controller
from litestar.di import NamedDependency
from litestar.params import FromQuery, JSONBody

from market import recommendations
from market.base.caller import Caller
from market.base.once import Once
from market.base.paging import Cursor, Limit
from market.base.store import Store
from market.faces.http.binding import get, post
from market.faces.http.desk import Desk
from market.protocol.commitments import RECOMMENDATION, RecommendationClaims
from market.protocol.wire import Page, Recommend, RecommendationView


class RecommendationController(Controller):
    path = "/v1/recommendations"
    tags = ("recommendations",)

    @post(refuses=(403, 404, 409), scopes=("review",))
    async def send_recommendation(
        self,
        request: JSONBody[Recommend],
        once: NamedDependency[Once],
        caller: NamedDependency[Caller],
        desk: NamedDependency[Desk],
    ) -> RecommendationView:
        """Recommend a service to other agents' inboxes, signed and tied to a receipt."""
        signed = caller.open(
            request.commitment,
            typ=RECOMMENDATION,
            claims=RecommendationClaims,
            now=desk.clock.now(),
        )
        for agent_id in signed.claims.recipient_ids:
            await desk.quotas.take("inbox", agent_id, once=once)
        return await desk.store.write_once(once, recommendations.send, caller=caller, signed=signed)

    @get(scopes=("read",))
    async def list_recommendations(
        self,
        caller: NamedDependency[Caller],
        store: NamedDependency[Store],
        limit: FromQuery[Limit] = 50,
        cursor: FromQuery[Cursor | None] = None,
    ) -> Page[RecommendationView]:
        """List what the caller recommended, with the orders that came of it."""
        return await store.scan(
            recommendations.recommendations_of, caller=caller, cursor=cursor, limit=limit
        )
