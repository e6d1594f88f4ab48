"""What can go wrong between an agent and the market.

MarketTrouble
├── Refused             the market said no: a problem document with a code and facts
├── MarketUnreachable   no answer within the client's patience
└── BadAnswer           an answer that is not of the agreed form
    └── NotAMarket      nor is what every market publishes: something else answers there
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import msgspec

from market.protocol.wire import Problem


class MarketTrouble(Exception):
    """Anything that a client of the market may have to cope with."""


class Refused(MarketTrouble):
    """The market refused, and nothing changed. ``code`` is stable and public."""

    def __init__(self, problem: Problem, facts: Mapping[str, Any]) -> None:
        super().__init__(f"{problem.status} {problem.title}: {problem.detail}")
        self.problem = problem
        self.facts = dict(facts)
        self.retry_after_seconds: float | None = None

    @property
    def code(self) -> str:
        """The last part of the problem's type: "insufficient_funds"."""
        return self.problem.type.rpartition("/")[2]

    @property
    def status(self) -> int:
        return self.problem.status

    @property
    def detail(self) -> str:
        return self.problem.detail


class MarketUnreachable(MarketTrouble):
    """The market did not answer, and the request may or may not have been carried out."""


class BadAnswer(MarketTrouble):
    """The market answered something that is not of the agreed form."""


class NotAMarket(BadAnswer):
    """What answers under the address does not publish what every market does."""


def refusal(status: int, body: bytes, retry_after: str | None = None) -> Refused:
    """Return the refusal in an answer with an error status.

    What is no problem document gets a code all the same: that of the page, or else the ``error``,
    of an OAuth answer (RFC 6749 section 5.2), or ``http_<status>`` for what a proxy may say.
    """
    try:
        tree = msgspec.json.decode(body, type=dict[str, Any])
    except msgspec.DecodeError:
        tree = {"detail": body[:200].decode("utf-8", "replace")}
    try:
        problem = msgspec.convert(tree, Problem)
    except msgspec.ValidationError:
        page = str(tree.get("error_uri", "")).partition("/problems/")[2]
        problem = Problem(
            type=f"/problems/{page or tree.get('error', f'http_{status}')}",
            title=HTTPStatus(status).phrase,
            status=status,
            detail=str(tree.get("error_description", tree.get("detail", ""))),
        )
    facts = {name: fact for name, fact in tree.items() if name not in Problem.__struct_fields__}
    refused = Refused(problem, facts)
    if retry_after is not None and retry_after.isdecimal():
        refused.retry_after_seconds = float(retry_after)
    return refused
