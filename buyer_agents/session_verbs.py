"""What participants do with a session: open, append, read, intervene, close."""

from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal, NamedTuple
from urllib.parse import quote as url_part

import msgspec

from buyer_agents.connection import Connection
from buyer_agents.errors import BadAnswer
from market.protocol import commitments as signed
from market.protocol import wire
from market.protocol.chain import Entry, read_entry
from market.protocol.events import Action, Scope
from market.protocol.folded import SnapshotView
from market.protocol.wire import Page

DECISION_SECONDS: Final = 300


class Entries(NamedTuple):
    """Part of a session's log. ``is_closed`` says that nothing will ever follow."""

    items: list[Entry]
    next_offset: int
    is_closed: bool


class Producer(NamedTuple):
    """Who appends and how many batches came before: makes a repeated append harmless."""

    id: str
    epoch: int
    sequence: int


class _RawEntries(msgspec.Struct, frozen=True):
    items: list[dict[str, Any]]
    next_offset: int
    closed: bool


class SessionVerbs(Connection):
    async def open_session(
        self,
        need: str,
        labels: Mapping[str, str] | None = None,
        *,
        idempotency_key: str | None = None,
    ) -> wire.SessionView:
        body = wire.OpenSession(need=need, labels=dict(labels or {}))
        return await self.create("/v1/sessions", wire.SessionView, body, idempotency_key)

    async def sessions(
        self, *, state: str | None = None, cursor: str | None = None, limit: int = 100
    ) -> Page[wire.SessionView]:
        return await self.call(
            "GET", "/v1/sessions", Page[wire.SessionView],
            query={"state": state, "cursor": cursor, "limit": limit},
        )  # fmt: skip

    async def session(self, session_id: str) -> wire.SessionView:
        return await self.call("GET", f"/v1/sessions/{url_part(session_id)}", wire.SessionView)

    async def fork_session(
        self,
        session_id: str,
        after: int,
        *,
        need: str | None = None,
        labels: Mapping[str, str] | None = None,
        idempotency_key: str | None = None,
    ) -> wire.SessionView:
        """Open a session with the history of this one up to offset ``after``.

        ``need`` and ``labels`` are the source's unless given.
        """
        kept = None if labels is None else dict(labels)
        body = wire.ForkSession(after=after, need=need, labels=kept)
        path = f"/v1/sessions/{url_part(session_id)}/fork"
        return await self.create(path, wire.SessionView, body, idempotency_key)

    async def snapshot(self, session_id: str) -> SnapshotView:
        """Return what a session's log comes to now, as this agent may see it."""
        path = f"/v1/sessions/{url_part(session_id)}/snapshot"
        return await self.call("GET", path, SnapshotView)

    async def write_events(
        self,
        session_id: str,
        events: Sequence[wire.WriteEvent],
        *,
        producer: Producer | None = None,
    ) -> wire.Appended:
        """Append own events; with a ``producer`` a repeat lands once."""
        headers = {} if producer is None else {
            "Producer-Id": producer.id,
            "Producer-Epoch": str(producer.epoch),
            "Producer-Seq": str(producer.sequence),
        }  # fmt: skip
        return await self.call(
            "POST", f"/v1/sessions/{url_part(session_id)}/events", wire.Appended,
            body=wire.WriteEvents(events=list(events)), headers=headers,
            repeatable=producer is not None,
        )  # fmt: skip

    async def events(
        self, session_id: str, *, after: int = -1, limit: int = 100, wait_seconds: int = 0
    ) -> Entries:
        """Read the log behind offset ``after``, waiting up to ``wait_seconds`` for news."""
        page = await self.call(
            "GET", f"/v1/sessions/{url_part(session_id)}/events", _RawEntries,
            query={"after": after, "limit": limit, "wait_seconds": wait_seconds},
        )  # fmt: skip
        try:
            items = [read_entry(item) for item in page.items]
        except msgspec.ValidationError as error:
            raise BadAnswer(f"an entry of {session_id}: {error}") from error
        return Entries(items, page.next_offset, page.closed)

    async def control(
        self,
        session_id: str,
        action: Action,
        *,
        order_id: str | None = None,
        run: str | None = None,
        scope: Scope = "order",
        reason: str = "",
        text: str = "",
        idempotency_key: str | None = None,
    ) -> list[wire.ControlView]:
        """Intervene in one order, in all of one's own, in a whole session, or in one ``run``.

        What approves or denies one order is signed: a decision over its price as it is now.
        """
        is_run = run is not None
        decision = None
        if action in ("approve", "deny") and scope == "order" and not is_run:
            decision = await self._decide(session_id, order_id, action, reason)
        body = wire.Control(
            action=action,
            scope="run" if is_run else scope,
            order_id=order_id,
            run=run,
            reason=reason,
            text=text,
            decision=decision,
        )
        path = f"/v1/sessions/{url_part(session_id)}/controls"
        return await self.create(path, list[wire.ControlView], body, idempotency_key)

    async def _decide(
        self, session_id: str, order_id: str | None, action: Action, reason: str
    ) -> str | None:
        """Return a signed decision over the order that is meant, or None if none is seen.

        The market then says itself what is missing.
        """
        if order_id is None:
            found = await self.call(
                "GET", "/v1/orders", Page[wire.OrderView],
                query={"session_id": session_id, "limit": 2},
            )  # fmt: skip
            orders = found.items
        else:
            path = f"/v1/orders/{url_part(order_id)}"
            orders = [await self.call("GET", path, wire.OrderView)]
        if len(orders) != 1:
            return None
        [order] = orders
        return await self.sign(
            signed.DECISION, signed.DecisionClaims,
            exp=self.moment() + DECISION_SECONDS, jti=self.nonce(), order_id=order.id,
            decision=action, amount_minor=order.amount_minor, currency=order.currency,
            reason=reason,
        )  # fmt: skip

    async def be_present(
        self,
        session_id: str,
        status: Literal["thinking", "streaming", "idle", "left"],
        *,
        device: str,
        order_id: str | None = None,
    ) -> wire.PresenceView:
        """Say what one does on a device; again before the answer's ``lost_at``, or it has left."""
        body = wire.ShowPresence(status=status, device=device, order_id=order_id)
        path = f"/v1/sessions/{url_part(session_id)}/presence"
        return await self.call("POST", path, wire.PresenceView, body=body, repeatable=True)

    async def presence(self, session_id: str) -> list[wire.PresenceView]:
        """Return who is present in a session, as far as one may see."""
        path = f"/v1/sessions/{url_part(session_id)}/presence"
        return await self.call("GET", path, list[wire.PresenceView])

    async def answer_control(
        self, session_id: str, offset: int, answer: str, detail: str = ""
    ) -> wire.ControlView:
        """Say what became of a ``steer``: consumed or refused."""
        body = msgspec.convert({"answer": answer, "detail": detail}, wire.AnswerControl)
        path = f"/v1/sessions/{url_part(session_id)}/controls/{offset}/answer"
        return await self.create(path, wire.ControlView, body)

    async def close_session(self, session_id: str, reason: str = "done") -> wire.SessionView:
        """Close a session for good; a repeat changes nothing."""
        path = f"/v1/sessions/{url_part(session_id)}/close"
        body = wire.Close(reason=reason)
        return await self.call("POST", path, wire.SessionView, body=body, repeatable=True)
