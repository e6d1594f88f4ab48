"""Anchors: the few buyers whose word is taken, by whom they were named, and why.

Two overseers make an anchor: one proposes, another confirms. One alone takes it away, at once.
Every act is kept for ever, and all of them are public.
"""

from typing import Any, Final

from sqlalchemy import bindparam, func, select

from market.base.caller import Caller
from market.base.clock import rfc3339
from market.base.paging import decode_cursor, page_of
from market.base.sql import Sql, insert
from market.base.work import Snapshot, UnitOfWork
from market.protocol.wire import AnchorAct, AnchorView, Page
from market.trust.errors import (
    AnchorNotFound,
    AnchorNotProposed,
    NotABuyer,
    SecondOverseerNeeded,
)
from market.trust.tables import anchors

_ADD: Final = Sql(insert(anchors, omit=("number",)))
_ACTS: Final = Sql(
    select(anchors).where(anchors.c.buyer_id == bindparam("agent_id")).order_by(anchors.c.number)
)
_latest = select(func.max(anchors.c.number)).group_by(anchors.c.buyer_id)
_CONFIRMED: Final = Sql(
    select(anchors.c.buyer_id)
    .where(anchors.c.number.in_(_latest), anchors.c.act == "confirmed")
    .order_by(anchors.c.buyer_id)
)
_NAMED: Final = Sql(
    select(anchors.c.buyer_id)
    .where(anchors.c.buyer_id > bindparam("after"))
    .group_by(anchors.c.buyer_id)
    .order_by(anchors.c.buyer_id)
    .limit(bindparam("limit"))
)
_LAST_ACT: Final = Sql(select(func.coalesce(func.max(anchors.c.number), 0).label("number")))


def propose_anchor(
    uow: UnitOfWork, *, caller: Caller, agent_id: str, kind: str, reason: str
) -> AnchorView:
    """Propose a buyer as an anchor. Of one that is proposed, or is one, nothing changes.

    ``kind`` is what the agent is registered as, which trust cannot know.

    Raises:
        NotABuyer: it is something else.
    """
    caller.need("oversee")
    if kind != "buyer":
        raise NotABuyer(f"The agent is registered as a {kind}.", kind=kind)
    acts = uow.all(_ACTS, agent_id=agent_id)
    if not acts or acts[-1].act == "revoked":
        _act(uow, caller, agent_id, "proposed", reason)
    return anchor(uow, agent_id=agent_id)


def confirm_anchor(uow: UnitOfWork, *, caller: Caller, agent_id: str, reason: str) -> AnchorView:
    """Make an anchor of a buyer that another overseer proposed. A repeat changes nothing.

    From the next batch on, which is due at once, its word is taken.

    Raises:
        AnchorNotFound: nobody ever proposed it.
        AnchorNotProposed: the proposal was revoked.
        SecondOverseerNeeded: the caller proposed it, and the settings do not let one do both.
    """
    caller.need("oversee")
    last = _acts(uow, agent_id)[-1]
    if last.act == "revoked":
        raise AnchorNotProposed("It was revoked: propose it again first.")
    if last.act == "proposed":
        if last.overseer_id == caller.agent_id and not uow.settings.anchors_by_one:
            raise SecondOverseerNeeded(
                "The overseer who proposed an anchor cannot confirm it. In a sandbox with one "
                "overseer, start the market with MARKET_ANCHORS_BY_ONE=true."
            )
        _act(uow, caller, agent_id, "confirmed", reason)
    return anchor(uow, agent_id=agent_id)


def revoke_anchor(uow: UnitOfWork, *, caller: Caller, agent_id: str, reason: str) -> AnchorView:
    """Take an anchor, or a proposal, away; one overseer is enough. A repeat changes nothing.

    Raises:
        AnchorNotFound: nobody ever proposed it.
    """
    caller.need("oversee")
    if _acts(uow, agent_id)[-1].act != "revoked":
        _act(uow, caller, agent_id, "revoked", reason)
    return anchor(uow, agent_id=agent_id)


def anchor(snapshot: Snapshot, *, agent_id: str) -> AnchorView:
    """Return whether an agent is an anchor, and everything that was done about it.

    Raises:
        AnchorNotFound: nobody ever proposed it.
    """
    acts = _acts(snapshot, agent_id)
    return AnchorView(
        agent_id=agent_id,
        state=acts[-1].act,
        acts=[
            AnchorAct(
                act=row.act,
                overseer_id=row.overseer_id,
                reason=row.reason,
                at=rfc3339(row.acted_at),
            )
            for row in acts
        ],
    )


def list_anchors(snapshot: Snapshot, *, cursor: str | None, limit: int) -> Page[AnchorView]:
    """Return everybody who is or was proposed as an anchor, by id. The list is public."""
    key = decode_cursor(cursor, (str,))
    rows = snapshot.all(_NAMED, after=key[0] if key else "", limit=limit + 1)
    return page_of(
        rows,
        limit=limit,
        view=lambda row: anchor(snapshot, agent_id=row.buyer_id),
        key=lambda row: (row.buyer_id,),
    )


def anchor_ids(snapshot: Snapshot) -> list[str]:
    """Return who is an anchor now, by id."""
    return [row.buyer_id for row in snapshot.all(_CONFIRMED)]


def last_act(snapshot: Snapshot) -> int:
    """Return the number of the latest act about any anchor; 0 before the first."""
    return int(snapshot.one(_LAST_ACT).number)


def _acts(snapshot: Snapshot, agent_id: str) -> list[Any]:
    """Everything that was done about an agent, the latest act last: at least one."""
    acts = snapshot.all(_ACTS, agent_id=agent_id)
    if not acts:
        raise AnchorNotFound("No overseer has proposed this agent as an anchor.")
    return acts


def _act(uow: UnitOfWork, caller: Caller, agent_id: str, act: str, reason: str) -> None:
    uow.run(
        _ADD,
        buyer_id=agent_id,
        act=act,
        overseer_id=caller.agent_id,
        reason=reason,
        acted_at=uow.now,
    )
