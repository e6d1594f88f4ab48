"""Idempotency: the same request twice has one effect and one answer.

The answer, or the refusal, is kept under (agent, key) in the very commit that made it. A repeat
gets it again; the same key with another request is refused. A bug (500) keeps nothing, so its
retry runs anew.
"""

from collections.abc import Callable
from datetime import timedelta
from functools import cache
from typing import Any, Final, NamedTuple, get_type_hints

import msgspec
from sqlalchemy import Column, PrimaryKeyConstraint, String, Table, Text, bindparam, delete, select

from market.base.errors import Conflict, KeyReused, MarketError, every_refusal
from market.base.sql import Sql, insert
from market.base.tables import Flag, UtcDateTime, metadata
from market.base.work import Snapshot, UnitOfWork

KEEP: Final = timedelta(days=7)
"""How long an answer is kept for repeats."""


class Once(NamedTuple):
    """Who asks, under which key, and a fingerprint of what is asked."""

    agent_id: str
    key: str
    fingerprint: str


answers = Table(
    "idempotency_answers",
    metadata,
    Column("agent_id", String(64), nullable=False),
    Column("key", String(64), nullable=False),
    Column("fingerprint", String(64), nullable=False),
    Column("answer", Text, nullable=False),
    Column("is_refusal", Flag, nullable=False),
    Column("answered_at", UtcDateTime, nullable=False, index=True),
    PrimaryKeyConstraint("agent_id", "key"),
)

_FIND = Sql(
    select(answers.c.fingerprint, answers.c.answer, answers.c.is_refusal).where(
        answers.c.agent_id == bindparam("agent_id"), answers.c.key == bindparam("key")
    )
)
_KEEP = Sql(insert(answers))
_FORGET = Sql(
    delete(answers).where(answers.c.answered_at < bindparam("before", type_=UtcDateTime()))
)


class _Refusal(msgspec.Struct):
    code: str
    detail: str
    facts: dict[str, Any]


def recall(uow: UnitOfWork, once: Once, verb: Callable[..., Any]) -> Any:
    """Return the answer kept for this request; ``NOTHING`` if it is the first.

    Raises:
        KeyReused: the key stands for another request.
        MarketError: the kept answer is a refusal.
    """
    row = uow.one(_FIND, agent_id=once.agent_id, key=once.key)
    if row is None:
        return NOTHING
    if row.fingerprint != once.fingerprint:
        raise KeyReused("Use a new Idempotency-Key for each new request.", key=once.key)
    if row.is_refusal:
        kept = msgspec.json.decode(row.answer, type=_Refusal)
        # A code that an upgrade has taken away: still a refusal, and nothing is tried again.
        raise _refusals().get(kept.code, Conflict)(kept.detail, **kept.facts)
    return msgspec.json.decode(row.answer, type=_answer_type(verb))


def is_kept(snapshot: Snapshot, *, once: Once) -> bool:
    """Whether the first request under this key was answered: a repeat is answered alike."""
    return snapshot.one(_FIND, agent_id=once.agent_id, key=once.key) is not None


def keep_answer(uow: UnitOfWork, once: Once, answer: Any) -> None:
    """Keep what the verb returned."""
    _keep(uow, once, msgspec.json.encode(answer), is_refusal=False)


def keep_refusal(uow: UnitOfWork, once: Once, refusal: MarketError) -> None:
    """Keep the refusal, after the work itself was rolled back."""
    kept = _Refusal(refusal.code, refusal.detail, refusal.facts)
    _keep(uow, once, msgspec.json.encode(kept), is_refusal=True)


def forget_answers(uow: UnitOfWork) -> int:
    """Remove answers older than ``KEEP``; return how many."""
    return uow.run(_FORGET, before=uow.now - KEEP)


def _keep(uow: UnitOfWork, once: Once, answer: bytes, *, is_refusal: bool) -> None:
    uow.run(
        _KEEP,
        agent_id=once.agent_id,
        key=once.key,
        fingerprint=once.fingerprint,
        answer=answer.decode(),
        is_refusal=is_refusal,
        answered_at=uow.now,
    )


class _Nothing:
    """The mark that no answer is kept."""


NOTHING: Final = _Nothing()


@cache
def _answer_type(verb: Callable[..., Any]) -> Any:
    return get_type_hints(verb)["return"]


@cache
def _refusals() -> dict[str, type[MarketError]]:
    return {kind.code: kind for kind in every_refusal()}
