"""Kept answers against their effects: what was told under an idempotency key is there."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec
from sqlalchemy import Table, bindparam, select, tuple_

from market.audit.findings import Finding
from market.base.once import answers
from market.base.sql import Sql, among
from market.base.work import Snapshot
from market.mandates.tables import mandates
from market.orders.tables import orders
from market.reviews.tables import reviews
from market.sessions.tables import sessions

PAGE: Final = 1_000

_NEXT: Final = Sql(
    select(answers.c.agent_id, answers.c.key, answers.c.answer)
    .where(
        answers.c.is_refusal == 0,
        tuple_(answers.c.agent_id, answers.c.key)
        > tuple_(bindparam("agent_id"), bindparam("after_key")),
    )
    .order_by(answers.c.agent_id, answers.c.key)
    .limit(PAGE)
)
_BOUND: Final = ("buyer_id", "seller_id", "session_id", "amount_minor", "currency", "mandate_id")
"""What an order never changes: its row must say what the answer said."""


class _Told(msgspec.Struct, frozen=True):
    """What an answer may tell of: the thing that was made, or the order it was about."""

    id: str = ""
    order_id: str | None = None


def _named(table: Table, *columns: str) -> Sql:
    """Return a query for the rows of ``table`` whose ids are in the JSON list ``ids``."""
    query = select(table.c.id, *(table.c[name] for name in columns))
    return Sql(among(query, table.c.id, "ids"))


_THINGS: Final[Mapping[str, Sql]] = {
    "ord": _named(orders, *_BOUND),
    "mdt": _named(mandates),
    "rev": _named(reviews),
    "ses": _named(sessions),
}
"""What is never forgotten, by the prefix of its id."""


def unfounded(snapshot: Snapshot) -> Iterator[list[Finding]]:
    """V8: answers that tell of something which is not there, or is not as it was told; by pages."""
    last = {"agent_id": "", "after_key": ""}
    while page := snapshot.all(_NEXT, **last):
        last = {"agent_id": page[-1].agent_id, "after_key": page[-1].key}
        yield _compare(snapshot, page)


def _compare(snapshot: Snapshot, page: list[Any]) -> list[Finding]:
    findings: list[Finding] = []
    told: dict[str, dict[str, list[Any]]] = {prefix: {} for prefix in _THINGS}
    for row in page:
        try:
            answer = msgspec.json.decode(row.answer)
            thing = msgspec.convert(answer if isinstance(answer, dict) else {}, _Told)
        except msgspec.MsgspecError as error:
            findings.append(_finding(row, f"expected the JSON of an answer, found: {error}"))
            continue
        for id_ in {thing.id, thing.order_id or ""}:
            prefix = id_.partition("_")[0]
            if prefix in told:
                told[prefix].setdefault(id_, []).append((row, answer))
    for prefix, by_id in told.items():
        there = {row.id: row for row in snapshot.all(_THINGS[prefix], ids=sorted(by_id))}
        for id_, tellings in by_id.items():
            for row, answer in tellings:
                findings += _differences(row, answer, id_, there.get(id_))
    return findings


def _differences(row: Any, answer: dict[str, Any], id_: str, there: Any) -> Iterator[Finding]:
    if there is None:
        yield _finding(row, f"expected {id_}, which it told of; found nothing")
    elif answer.get("id") == id_ and id_.startswith("ord"):
        for name in _BOUND:
            if name in answer and answer[name] != getattr(there, name):
                was, found = answer[name], getattr(there, name)
                yield _finding(row, f"expected {name} {was} in {id_}, found {found}")


def _finding(row: Any, detail: str) -> Finding:
    return Finding(rule="answers", where=f"answer {row.agent_id} {row.key}", detail=detail)
