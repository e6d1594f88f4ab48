"""Noting: what a buyer looks at in the course of a journey goes into its log, as one event.

A ``GET`` with ``session_id`` reads first, and notes in a unit of work of its own; a quote is made
and noted in one.
"""

from typing import Any, Final

from market import catalog, sessions
from market.base.caller import Caller
from market.base.work import UnitOfWork
from market.catalog import SearchQuery
from market.protocol.wire import (
    Appended,
    AskQuote,
    FoundView,
    Page,
    QuoteView,
    ServiceView,
    TrustView,
)
from market.sessions import NewEvent

MAX_NOTED: Final = 20
"""Search results that are noted: the best ones."""

_FILTERS: Final = ("tag", "max_price_minor", "min_trust", "max_p95_ms", "refund")


def note(
    uow: UnitOfWork, *, caller: Caller, session_id: str, kind: str, body: dict[str, Any]
) -> Appended:
    """Append what the caller did to an open session of its own.

    Raises:
        SessionNotFound: it has none under this id.
        SessionClosed: the log is complete.
    """
    sessions.buyers_open_session(uow, buyer_id=caller.agent_id, session_id=session_id)
    event = NewEvent(kind, caller.agent_id, body)
    return sessions.append(uow, session_id=session_id, events=[event])


def quote(uow: UnitOfWork, *, caller: Caller, ask: AskQuote) -> QuoteView:
    """Price a request; if it belongs to a session, which must be the caller's, note the quote."""
    view = catalog.quote(uow, caller=caller, ask=ask)
    if ask.session_id is not None:
        body = {
            "quote_id": view.id,
            "service_id": view.service_id,
            "slug": catalog.service(uow, service_id=view.service_id).slug,
            "seller_id": view.seller_id,
            "amount_minor": view.amount_minor,
            "currency": view.currency,
            "units": view.units,
            "expires_at": view.expires_at,
        }
        note(uow, caller=caller, session_id=ask.session_id, kind="evaluating.quoted", body=body)
    return view


def found(query: SearchQuery, page: Page[FoundView]) -> dict[str, Any]:
    """Return the body of ``finding.listed``."""
    filters = {name: getattr(query, name) for name in _FILTERS}
    return {
        "query": query.q,
        "filters": {name: value for name, value in filters.items() if value is not None},
        "services": [
            {
                "service_id": item.service_id,
                "slug": item.slug,
                "seller_id": item.seller_id,
                "amount_minor": item.amount_minor,
                "score": item.score,
                "parts": item.parts,
            }
            for item in page.items[:MAX_NOTED]
        ],
    }


def read(service: ServiceView) -> dict[str, Any]:
    """Return the body of ``evaluating.read``."""
    return {
        "service_id": service.id,
        "slug": service.slug,
        "seller_id": service.seller_id,
        "manifest_digest": service.manifest_digest,
    }


def trusted(report: TrustView) -> dict[str, Any]:
    """Return the body of ``trust.reported``."""
    return {
        "service_id": report.service_id,
        "slug": report.slug,
        "seller_id": report.seller_id,
        "score": report.score,
        "confidence": report.confidence,
        "good": report.good,
        "bad": report.bad,
        "flags": report.flags,
    }
