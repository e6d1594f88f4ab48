"""Agents that are not in the market yet: they sign whatever a test is about, right or wrong.

``factories.Party`` is an agent that has entered, and signs what holds.
"""

import itertools
from datetime import datetime
from typing import Any

from market import identity
from market.base.caller import Caller, Signed
from market.base.clock import seconds_of
from market.base.settings import Settings
from market.protocol.commitments import (
    CLAIMS,
    KEY_PROOF,
    KEY_STATEMENT,
    REGISTRATION,
    AgentKind,
    RegistrationClaims,
)
from market.protocol.signing import SigningKey

_numbers = itertools.count(1)


class Outsider:
    """An agent outside the market, with its private key."""

    def __init__(
        self,
        settings: Settings,
        kind: AgentKind = "buyer",
        *,
        curve: str = "Ed25519",
        principal: "Outsider | None" = None,
    ) -> None:
        self.settings = settings
        self.kind: AgentKind = kind
        self.key = SigningKey.generate(curve)
        self.id = self.key.kid
        self.handle = f"{kind}-{next(_numbers)}"
        self.principal_id = principal.id if principal else None

    def sign(self, typ: str, now: datetime, *, by: SigningKey | None = None, **claims: Any) -> str:
        """Return a commitment of this agent; ``claims`` add to the usual ones, or change them."""
        usual = {"iss": self.id, "aud": self.settings.issuer, "iat": seconds_of(now)}
        return (by or self.key).sign(usual | claims, typ=typ)

    def registration(self, now: datetime, **claims: Any) -> str:
        """Return the proof by which this agent enters."""
        usual = {
            "exp": seconds_of(now) + 300,
            "jti": "registration",
            "jwk": self.key.public.jwk,
            "handle": self.handle,
            "kind": self.kind,
            "principal_id": self.principal_id,
        }
        return self.sign(REGISTRATION, now, **(usual | claims))

    def registered(self, now: datetime, **claims: Any) -> Signed[RegistrationClaims]:
        """Return the proof as the market reads it."""
        token = self.registration(now, **claims)
        return identity.read_registration(token, issuer=self.settings.issuer, now=now)

    def statement(self, now: datetime, *, by: SigningKey | None = None, **claims: Any) -> str:
        """Return a statement that adds or revokes a key."""
        usual = {"exp": seconds_of(now) + 300, "jti": f"statement-{next(_numbers)}"}
        return self.sign(KEY_STATEMENT, now, by=by, **(usual | claims))

    def addition(self, new: SigningKey, now: datetime, **claims: Any) -> str:
        """Return a statement that adds ``new``, which agrees."""
        proof = self.sign(KEY_PROOF, now, by=new)
        return self.statement(
            now, **({"action": "add", "jwk": new.public.jwk, "proof": proof} | claims)
        )

    def caller(self, *, scopes: str | None = None) -> Caller:
        """Return this agent as the market knows it once it is in."""
        return Caller(
            agent_id=self.id,
            handle=self.handle,
            kind=self.kind,
            principal_id=self.principal_id,
            scopes=identity.granted_scopes(self.kind, scopes),
            keys={self.id: self.key.public},
            issuer=self.settings.issuer,
        )

    def opened(self, token: str, typ: str, now: datetime) -> Signed[Any]:
        """Return what this agent signed, as the market reads it."""
        return self.caller().open(token, typ=typ, claims=CLAIMS[typ], now=now)
