"""Refusals: what a caller did that cannot be done, in a form it can act on.

::

    MarketError
    ├── Invalid           the request makes no sense              422
    ├── Unauthenticated   nobody known is asking                  401
    ├── PaymentRequired   money or authority to spend is missing  402
    ├── Forbidden         known, but not allowed                  403
    ├── NotFound          not there, or not yours to see          404
    ├── Conflict          not in this state                       409
    ├── Gone              it was there, and its time is over      410
    ├── Limited           too much, or too often                  429
    └── Overloaded        not now; try again                      503

A room subclasses one kind and gives it a stable ``code`` and ``title``; the sentence about this
case and its facts are given when it is raised. Faces map kinds, never single errors.
"""

from collections.abc import Iterator
from typing import Any, ClassVar


class MarketError(Exception):
    """A refusal. ``detail`` is one sentence; ``facts`` are named values in the unit they carry."""

    code: ClassVar[str] = "refused"
    title: ClassVar[str] = "The market refuses"
    status: ClassVar[int] = 400

    def __init__(self, detail: str, **facts: Any) -> None:
        super().__init__(detail)
        self.detail = detail
        self.facts = facts

    def __reduce__(self) -> tuple[Any, ...]:
        return _remake, (type(self), self.detail, self.facts)


class Invalid(MarketError):
    code = "invalid"
    title = "The request is not valid"
    status = 422


class Unauthenticated(MarketError):
    code = "unauthenticated"
    title = "A valid access token is needed"
    status = 401


class PaymentRequired(MarketError):
    code = "payment_required"
    title = "The payment cannot be made"
    status = 402


class Forbidden(MarketError):
    code = "forbidden"
    title = "The caller may not do this"
    status = 403


class InsufficientScope(Forbidden):
    code = "insufficient_scope"
    title = "The access token lacks a scope"


class NotFound(MarketError):
    code = "not_found"
    title = "There is no such thing here"
    status = 404


class Conflict(MarketError):
    code = "conflict"
    title = "The present state does not allow it"
    status = 409


class KeyReused(Invalid):
    code = "idempotency_key_reused"
    title = "The idempotency key was used for another request"


class Gone(MarketError):
    code = "gone"
    title = "Its time is over"
    status = 410


class Limited(MarketError):
    """Where waiting alone helps, ``retry_after_seconds`` says for how long (HTTP: Retry-After).

    Where nothing says so, end, close or delete some of what is limited, or ask for less.
    """

    code = "limited"
    title = "A limit is reached"
    status = 429


class QuotaExceeded(Limited):
    """Waiting alone does not help: end, close, delete or acknowledge some of what there is.

    ``quota`` is the name under which ``GET /v1/quota`` shows it. Reading, cancelling and removing
    work all the same.
    """

    code = "quota_exceeded"
    title = "The agent has as much of this as it may"


class Overloaded(MarketError):
    code = "overloaded"
    title = "The market is busy; try again shortly"
    status = 503


class StorageFull(Overloaded):
    """Nothing was changed. What is there can be read; writing goes on as soon as there is room."""

    code = "storage_full"
    title = "The market's disk is full"


class QueryTimedOut(Overloaded):
    """Ask for less: fewer words, a smaller page, one namespace. Nothing was changed."""

    code = "query_timed_out"
    title = "The database took too long to look this up"


def every_refusal(kind: type[MarketError] = MarketError) -> Iterator[type[MarketError]]:
    """Yield every class of refusal that is loaded, for the published documents."""
    yield kind
    for child in kind.__subclasses__():
        yield from every_refusal(child)


def _remake(kind: type[MarketError], detail: str, facts: dict[str, Any]) -> MarketError:
    return kind(detail, **facts)
