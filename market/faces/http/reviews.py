"""Reviews over HTTP: what a buyer says of an order that it holds the receipt of."""

from litestar import Controller
from litestar.di import NamedDependency
from litestar.params import FromPath, JSONBody

from market import reviews
from market.base.caller import Caller
from market.base.once import Once
from market.base.store import Store
from market.faces.http.binding import get, post
from market.faces.http.desk import Desk
from market.protocol.commitments import REVIEW, ReviewClaims
from market.protocol.ids import ReviewId
from market.protocol.wire import PostReview, ReviewVersionView, ReviewView


class ReviewController(Controller):
    path = "/v1/reviews"
    tags = ("reviews",)

    @post(refuses=(403, 404, 409), scopes=("review",))
    async def post_review(
        self,
        request: JSONBody[PostReview],
        once: NamedDependency[Once],
        caller: NamedDependency[Caller],
        desk: NamedDependency[Desk],
    ) -> ReviewView:
        """Review an order, good or bad, signed over its receipt; for a day it may be changed."""
        signed = caller.open(
            request.commitment, typ=REVIEW, claims=ReviewClaims, now=desk.clock.now()
        )
        return await desk.store.write_once(once, reviews.post, caller=caller, signed=signed)

    @get("/{review_id:str}/versions", refuses=(404,), scopes=("read",))
    async def list_review_versions(
        self,
        review_id: FromPath[ReviewId],
        caller: NamedDependency[Caller],
        store: NamedDependency[Store],
    ) -> list[ReviewVersionView]:
        """List everything that was said in a review, the first version first."""
        caller.need("read")
        return await store.read(reviews.versions_of, review_id=review_id)
