"""Commitments that are really signed, over claims that may be anything: what no generator of
random texts finds behind a signature check.
"""

import random
import time
from collections.abc import Callable
from typing import Any, Final

from market.protocol import commitments
from market.protocol.signing import SigningKey
from tests.factories import manifest

Claims = dict[str, Any]

EDGES: Final[tuple[Any, ...]] = (
    0, 1, -1, 2**53 - 1, 2**53, 2**63, 2**70, 1.0, 0.5, 1e308, True, None, "", "1", "\x00",
    "a" * 5_000, "\ud800", [], {}, [[[]]], "💥", "=cmd()", "../../etc/passwd", "ses_" + "0" * 26,
)  # fmt: skip
"""Values that break what does not look."""

FIELDS: Final = {
    "place_order": "commitment",
    "complete_order": "commitment",
    "post_review": "commitment",
    "send_recommendation": "commitment",
    "give_mandate": "mandate",
    "publish_service": "manifest",
    "change_agent_keys": "statement",
}
"""The member of each operation's body that holds a commitment."""


class Signer:
    """Signs, as one agent, what fits the town's ids, with one member changed now and then."""

    def __init__(self, key: SigningKey, issuer: str, ids: dict[str, list[str]]) -> None:
        self._key = key
        self._issuer = issuer
        self._ids = ids
        self._makers: dict[str, tuple[str, Callable[[random.Random], Claims]]] = {
            "place_order": (commitments.ORDER, self._order),
            "complete_order": (commitments.DELIVERY, self._delivery),
            "post_review": (commitments.REVIEW, self._review),
            "send_recommendation": (commitments.RECOMMENDATION, self._recommendation),
            "give_mandate": (commitments.MANDATE, self._mandate),
            "publish_service": (commitments.MANIFEST, self._manifest),
            "change_agent_keys": (commitments.KEY_STATEMENT, self._statement),
        }

    def sign(self, operation: str, seed: str) -> str:
        """Return a signed commitment for an operation; the same seed gives the same claims."""
        chance = random.Random(seed)
        typ, make = self._makers[operation]
        now = int(time.time())
        claims = {"iss": self._key.kid, "aud": self._issuer, "iat": now, **make(chance)}
        if chance.random() < 0.7:
            claims[chance.choice(sorted(claims))] = chance.choice(EDGES)
        if chance.random() < 0.1:
            claims["more"] = chance.choice(EDGES)
        try:
            return self._key.sign(claims, typ=typ)
        except (ValueError, UnicodeEncodeError):
            return self._key.sign({"iss": self._key.kid}, typ=typ)

    def _any(self, chance: random.Random, name: str) -> str:
        return chance.choice(self._ids[name])

    def _order(self, chance: random.Random) -> Claims:
        return {
            "quote_id": self._any(chance, "quote_id"),
            "quote_digest": "0" * 43,
            "seller_id": self._any(chance, "agent_id"),
            "amount_minor": chance.choice((1, 400_000, 2**53 - 1)),
            "currency": chance.choice(("XTS", "EUR")),
            "mandate_id": chance.choice((None, *self._ids["mandate_id"])),
        }

    def _delivery(self, chance: random.Random) -> Claims:
        return {
            "order_id": self._any(chance, "order_id"),
            "chunks": chance.choice((0, 1, 2**40)),
            "units": chance.choice((0, 4, 2**40)),
            "digest": "0" * 43,
        }

    def _review(self, chance: random.Random) -> Claims:
        return {
            "order_id": self._any(chance, "order_id"),
            "receipt_id": self._any(chance, "receipt_id"),
            "verdict": chance.choice(("good", "bad")),
            "comment": chance.choice(("", "fine", "<script>alert(1)</script>")),
        }

    def _recommendation(self, chance: random.Random) -> Claims:
        return {
            "receipt_id": self._any(chance, "receipt_id"),
            "service_id": self._any(chance, "service_id"),
            "recipient_ids": [self._any(chance, "agent_id")],
        }

    def _mandate(self, chance: random.Random) -> Claims:
        limits: Claims = {"max_price_minor": 1_000_000, "max_orders": 3}
        limits[chance.choice(("budget_minor", "sellers_allow", "tags_deny"))] = chance.choice(EDGES)
        return {
            "exp": int(time.time()) + chance.choice((-60, 60, 10**6, 10**12)),
            "jti": f"mandate-{chance.randrange(10**9)}",
            "buyer_id": self._any(chance, "agent_id"),
            "currency": "XTS",
            "limits": limits,
        }

    def _manifest(self, chance: random.Random) -> Claims:
        tree = manifest(id=f"service-{chance.randrange(50)}")
        where = chance.choice(sorted(tree))
        return {"manifest": {**tree, where: chance.choice((tree[where], *EDGES))}}

    def _statement(self, chance: random.Random) -> Claims:
        return {
            "exp": int(time.time()) + 60,
            "jti": f"statement-{chance.randrange(10**9)}",
            "action": chance.choice(("add", "revoke")),
            "jwk": chance.choice((None, {}, {"kty": "OKP", "crv": "Ed25519", "x": "A" * 43})),
            "kid": chance.choice((None, "0" * 43)),
        }
