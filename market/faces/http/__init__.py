"""The HTTP face: the API under ``/v1``, access tokens, live streams, published documents.

A handler's signature says what it reads (``binding``); it calls one verb and returns one view.
Refusals become problem documents in one place (``problems``), every limit stands in ``limits``,
and everything that requests share is the ``desk``.
"""

from collections.abc import Iterable
from typing import Any

from litestar import Controller, Request
from litestar.enums import ScopeType
from litestar.response.base import ASGIResponse
from litestar.routes import BaseRoute, HTTPRoute
from litestar.types import Scope

from market.base.settings import Settings
from market.faces.http.agents import AgentController, MeController
from market.faces.http.answers import Answer
from market.faces.http.ap2 import Ap2Controller
from market.faces.http.bargaining import BargainingController
from market.faces.http.bonds import BondController, FreezeController
from market.faces.http.call import Call
from market.faces.http.checkpoints import CheckpointController
from market.faces.http.delegations import DelegationController
from market.faces.http.desk import Desk
from market.faces.http.disk import Disk
from market.faces.http.disputes import AftermathController, DisputeController
from market.faces.http.documents import make_documents
from market.faces.http.doors import Doorkeeper
from market.faces.http.feed import FeedController
from market.faces.http.inbox import InboxController
from market.faces.http.mandates import MandateController
from market.faces.http.memory import MemoryController
from market.faces.http.oauth import OAuthController
from market.faces.http.openapi import Published
from market.faces.http.orders import ApprovalController, OrderController, ReceiptController
from market.faces.http.porch import Porch
from market.faces.http.presence import PresenceController
from market.faces.http.problems import problem_answer, report
from market.faces.http.published import PublishedController
from market.faces.http.quotas import Quotas
from market.faces.http.rates import Rates
from market.faces.http.recommendations import RecommendationController
from market.faces.http.reviews import ReviewController
from market.faces.http.services import QuoteController, ServiceController
from market.faces.http.sessions import SessionController
from market.faces.http.sockets import SocketController
from market.faces.http.trust import TrustController
from market.faces.http.wallet import FaucetController, WalletController
from market.faces.http.watching import keep_watch

__all__ = [
    "Call",
    "Desk",
    "Disk",
    "Doorkeeper",
    "Porch",
    "Quotas",
    "Rates",
    "answer_options",
    "answer_problem",
    "controllers",
    "freeing",
    "keep_watch",
    "make_documents",
    "note_failure",
    "published",
]

_CONTROLLERS: tuple[type[Controller], ...] = (
    AgentController,
    MeController,
    OAuthController,
    DelegationController,
    WalletController,
    BondController,
    FreezeController,
    MandateController,
    Ap2Controller,
    ServiceController,
    QuoteController,
    BargainingController,
    SessionController,
    CheckpointController,
    PresenceController,
    SocketController,
    FeedController,
    OrderController,
    ApprovalController,
    ReceiptController,
    AftermathController,
    DisputeController,
    ReviewController,
    TrustController,
    RecommendationController,
    InboxController,
    MemoryController,
    PublishedController,
)


def controllers(settings: Settings) -> list[type[Controller]]:
    """Return what is served: in production there is no faucet, not even a closed one."""
    return [*_CONTROLLERS, *([FaucetController] if settings.mode == "sandbox" else [])]


def published(routes: Iterable[BaseRoute]) -> list[Published]:
    """Return the operations of these routes, by path."""
    found = []
    for route in routes:
        for handler in route.route_handlers if isinstance(route, HTTPRoute) else ():
            if (operation := handler.opt.get("operation")) is not None:
                [method] = set(handler.http_methods) - {"HEAD"}
                tags = tuple(getattr(handler.owner, "tags", ()))
                found.append(Published(str(method), route.path_format, tags, operation))
    return sorted(found, key=lambda place: (place.path, place.method))


def freeing(routes: Iterable[BaseRoute]) -> frozenset[str]:
    """Return the last words of the paths where something is ended, cancelled or handed back."""
    places = published(routes)
    return frozenset(
        place.path.rpartition("/")[2] for place in places if place.operation.says.frees
    )


async def answer_options(request: Request[Any, Any, Any]) -> ASGIResponse | None:
    """Answer ``OPTIONS`` with every method of the path; Litestar knows those of one handler."""
    if request.method != "OPTIONS":
        return None
    template = request.scope["path_template"]
    methods = {"OPTIONS"}
    for route in request.app.routes:
        if isinstance(route, HTTPRoute) and route.path_format == template:
            methods |= {str(method) for method in route.methods}
    assert isinstance(request, Call)
    allow = (b"allow", ", ".join(sorted(methods)).encode())
    return Answer(b"", status=204, request_id=request.request_id, extra=(allow,))


async def note_failure(error: Exception, scope: Scope) -> None:
    """Report what ends a WebSocket: unlike a request, nothing else would tell of it."""
    if scope["type"] == ScopeType.WEBSOCKET:
        desk: Desk = scope["litestar_app"].state.desk
        report(error, request_id=desk.request_ids.new("req"), path=scope["path"])


def answer_problem(request: Request[Any, Any, Any], error: Exception) -> ASGIResponse:
    """Answer any exception with a problem document."""
    assert isinstance(request, Call)
    method, path = request.scope["method"], request.scope["path"]
    refusal = report(
        error,
        request_id=request.request_id,
        agent_id=request.agent_id,
        method=method,
        path=path,
    )
    issuer = request.desk.settings.issuer
    return problem_answer(refusal, request_id=request.request_id, issuer=issuer)
