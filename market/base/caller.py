"""The caller: the agent whose token a request carries, and what it has signed."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final, Generic, Literal, NamedTuple, TypeVar

import msgspec

from market.base.clock import seconds_of
from market.base.errors import Forbidden, InsufficientScope, Invalid
from market.protocol.commitments import AgentKind, Claims
from market.protocol.signing import BadSignature, VerifyingKey, read_header

CLOCK_SKEW_SECONDS: Final = 30

Signable = TypeVar("Signable", bound=Claims)


class BadCommitment(Invalid):
    code = "bad_commitment"
    title = "The signed commitment does not hold"


class DelegationTooWide(Forbidden):
    code = "delegation_too_wide"
    title = "The delegation allows more than its maker may give"


class Signed(msgspec.Struct, Generic[Signable], frozen=True):
    """Claims whose signature has been checked, with the text that proves it.

    A verb that asks for ``Signed[OrderClaims]`` cannot be called with claims that nobody signed.
    """

    claims: Signable
    token: str
    kid: str


class Delegation(NamedTuple):
    """What a sub-agent works under: for whom, where, and on which order or run alone, if any."""

    jti: str
    delegator_id: str
    session_id: str
    order_id: str | None
    run: str | None


class Caller(NamedTuple):
    """An authenticated agent: who it is, what its token allows, and its active keys.

    A sub-agent has ``delegation``, the kind ``delegate``, scopes of its own and no keys: it commits
    nobody to anything.
    """

    agent_id: str
    handle: str
    kind: AgentKind | Literal["delegate"]
    principal_id: str | None
    scopes: frozenset[str]
    keys: Mapping[str, VerifyingKey]
    issuer: str
    delegation: Delegation | None = None

    @property
    def is_overseer(self) -> bool:
        """Whether this agent may watch and control every session."""
        return self.kind == "overseer" and "oversee" in self.scopes

    def need(self, scope: str) -> None:
        """Let pass a token that carries ``scope``.

        Raises:
            InsufficientScope: it does not.
        """
        if scope not in self.scopes:
            raise InsufficientScope(f"This needs a token with the scope '{scope}'.", scope=scope)

    def open(
        self, token: str, *, typ: str, claims: type[Signable], now: datetime
    ) -> Signed[Signable]:
        """Return what this caller signed for the purpose ``typ``, for this market.

        Raises:
            BadCommitment: another key, another agent's name, another market, or its time is over.
        """
        try:
            kid = read_header(token)["kid"]
            key = self.keys.get(kid)
            if key is None:
                raise BadSignature("it is not signed by an active key of the caller")
            opened = key.read(token, typ=typ, claims=claims)
        except BadSignature as error:
            raise BadCommitment(f"The commitment is refused: {error}.") from error
        check_claims(opened, agent_id=self.agent_id, issuer=self.issuer, now=now)
        return Signed(opened, token, kid)


def check_claims(claims: Claims, *, agent_id: str, issuer: str, now: datetime) -> None:
    """Check who made a commitment, for which market, and when.

    Raises:
        BadCommitment: it names another agent or market, or lies outside its time.
    """
    if claims.iss != agent_id:
        raise BadCommitment("The commitment names another agent as its maker (iss).")
    if claims.aud != issuer:
        raise BadCommitment(f"The commitment is for another market (aud); this one is {issuer}.")
    seconds = seconds_of(now)
    if claims.iat > seconds + CLOCK_SKEW_SECONDS:
        raise BadCommitment("The commitment was made in the future (iat).")
    expires = getattr(claims, "exp", None)
    if expires is not None and expires + CLOCK_SKEW_SECONDS < seconds:
        raise BadCommitment("The commitment has expired (exp).")
