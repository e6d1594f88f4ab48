"""Reviews over HTTP: what a buyer says of an order that it holds the receipt of."""

from litestar import Controller
from litestar.di import NamedDependency
from litestar.params import JSONBody

from market import reviews
from market.base.caller import Caller
from market.base.once import Once
from market.faces.http.binding import post
from market.faces.http.desk import Desk
from market.protocol.commitments import REVIEW, ReviewClaims
from market.protocol.wire import PostReview, ReviewView


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
        """Review a settled order, good or bad, signed over its receipt."""
        signed = caller.open(
            request.commitment, typ=REVIEW, claims=ReviewClaims, now=desk.clock.now()
        )
        return await desk.store.write_once(once, reviews.post, caller=caller, signed=signed)
