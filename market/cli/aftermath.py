"""Lines of a timeline about support, refunds, disputes, and mandates that end."""

from collections.abc import Callable
from typing import Final, Protocol

from market.protocol.events import MARKET, Event


class Teller(Protocol):
    """Who says amounts and names as people read them."""

    def money(self, amount_minor: int) -> str: ...

    def name(self, agent_id: str) -> str: ...


def _owed(teller: Teller, event: Event) -> tuple[str, str]:
    return "● owed", f"{teller.money(event.body['owed_minor'])}: {event.body['reason']}"


def _rejected(teller: Teller, event: Event) -> tuple[str, str]:
    body = event.body
    return "✗ rejected", f"part {body['index']} ({body['reason']}): {body['detail']}"


def _opened(teller: Teller, event: Event) -> tuple[str, str]:
    body = event.body
    by = "the market" if event.actor_id == MARKET else teller.name(event.actor_id)
    said = f": {body['detail']}" if body["detail"] else ""
    return "disputed", f"{teller.money(body['claim_minor'])} by {by}, {body['reason']}{said}"


def _answered(teller: Teller, event: Event) -> tuple[str, str]:
    body = event.body
    part = f" {teller.money(body['conceded_minor'])}" if body["conceded_minor"] else ""
    said = f": {body['detail']}" if body["detail"] else ""
    return "answered", f"{teller.name(event.actor_id)}: {body['answer']}{part}{said}"


def _resolved(teller: Teller, event: Event) -> tuple[str, str]:
    body = event.body
    back = teller.money(body["refund_minor"])
    return "resolved", f"by {body['decided_by']}: {back} back; {body['decision']}"


def _revoked(teller: Teller, event: Event) -> tuple[str, str]:
    body = event.body
    return "revoked", f"{body['mandate_id']}, by {teller.name(event.actor_id)}: {body['reason']}"


def _supported(teller: Teller, event: Event) -> tuple[str, str]:
    answer = event.body.get("answer")
    return "support", event.body["action"] + (f": {answer}" if answer else "")


WORDS: Final[dict[str, Callable[[Teller, Event], tuple[str, str]]]] = {
    "refund.owed": _owed,
    "delivery.rejected": _rejected,
    "dispute.opened": _opened,
    "dispute.answered": _answered,
    "dispute.resolved": _resolved,
    "mandate.revoked": _revoked,
    "support.asked": _supported,
    "support.answered": _supported,
}
"""The first word and the rest of each line, by the kind of event."""
