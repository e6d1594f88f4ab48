"""Delegations as their maker signed them: read and judged. Pure.

An agent signs a delegation for a sub-agent's key; the sub-agent trades it, with an assertion of
its own, for an access token (RFC 8693). What the pair may do is decided here and in the rooms.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Final, NamedTuple

import msgspec

from market.base.caller import BadCommitment, DelegationTooWide, check_claims
from market.base.clock import EPOCH, seconds_of
from market.identity.errors import (
    DelegationExpired,
    DelegationRefused,
    InvalidScope,
    WrongDelegate,
)
from market.identity.proofs import Assertion, claimed_agent, read_assertion
from market.protocol.canonical import canonical, sha256_text
from market.protocol.commitments import DELEGATION, DelegationClaims
from market.protocol.ids import AgentId
from market.protocol.signing import (
    BadKey,
    BadSignature,
    VerifyingKey,
    read_header,
    read_payload,
)

MAX_DELEGATION_SECONDS: Final = 3_600
"""The longest life of a delegation, from ``iat`` to ``exp``."""

MAX_DELEGATION: Final = 8 * 1024
"""The longest delegation that is read, in characters."""

DELEGATED_SCOPES: Final = {
    "read": "session.read",
    "write": "session.write",
    "control": "session.control",
}
"""The scope of a delegated token for each action. No other route or room asks for one of them."""

_UNKNOWN: Final = "The delegation is not signed by an active key of the agent that it names (iss)."


class _Issuer(msgspec.Struct):
    iss: AgentId


class Handed(NamedTuple):
    """A delegation that holds: its claims, the text that proves it, and the key it is for."""

    claims: DelegationClaims
    token: str
    key_id: str
    delegate: VerifyingKey
    digest: str
    expires_at: datetime


def claimed_delegator(delegation: str) -> str:
    """Return whose keys must check a delegation. It proves nothing yet.

    Raises:
        DelegationRefused: it is no delegation at all.
    """
    try:
        return msgspec.convert(read_payload(_short(delegation)), _Issuer).iss
    except (BadSignature, msgspec.ValidationError) as error:
        raise DelegationRefused(_UNKNOWN) from error


def read_delegation(
    token: str, *, delegator_id: str, keys: Mapping[str, VerifyingKey], issuer: str, now: datetime
) -> Handed:
    """Return a delegation that its maker signed for this market, with one of its active ``keys``.

    Raises:
        DelegationRefused: key, form, market or time is wrong; the detail says which.
        DelegationExpired: its time is over.
        DelegationTooWide: it would live longer than an hour.
    """
    try:
        key = keys.get(read_header(_short(token))["kid"])
        if key is None:
            raise DelegationRefused(_UNKNOWN)
        claims = key.read(token, typ=DELEGATION, claims=DelegationClaims)
        delegate = VerifyingKey(claims.cnf.jwk)
        if claims.exp <= seconds_of(now):
            raise DelegationExpired("Ask for a new delegation: this one has expired (exp).")
        check_claims(claims, agent_id=delegator_id, issuer=issuer, now=now)
    except (BadSignature, BadKey) as error:
        raise DelegationRefused(f"The delegation is refused: {error}.") from error
    except BadCommitment as refusal:
        raise DelegationRefused(refusal.detail) from refusal
    if delegate.kid != claims.sub:
        raise DelegationRefused("The delegation's key (cnf) has another thumbprint than its 'sub'.")
    if claims.exp - claims.iat > MAX_DELEGATION_SECONDS:
        raise DelegationTooWide(
            f"A delegation lives at most {MAX_DELEGATION_SECONDS} s (exp - iat).",
            max_seconds=MAX_DELEGATION_SECONDS,
        )
    digest = sha256_text(canonical(msgspec.to_builtins(claims)))
    expires_at = EPOCH + timedelta(seconds=claims.exp)
    return Handed(claims, token, key.kid, delegate, digest, expires_at)


def read_actor(token: str, *, delegate: VerifyingKey, issuer: str, now: datetime) -> Assertion:
    """Return the assertion of the sub-agent that a delegation is for.

    Raises:
        WrongDelegate: another agent made it.
        InvalidClient: it does not hold; always in the same words.
    """
    if claimed_agent(token) != delegate.kid:
        raise WrongDelegate("The actor's assertion is of another key than the delegation's.")
    return read_assertion(token, keys={delegate.kid: delegate}, issuer=issuer, now=now)


def delegated_scopes(actions: Iterable[str], asked: str | None) -> frozenset[str]:
    """Return the scopes of a delegated token: all of the delegation's, or those ``asked`` for.

    Raises:
        InvalidScope: what is asked for is not within it.
    """
    given = frozenset(DELEGATED_SCOPES[action] for action in actions)
    scopes = frozenset(asked.split()) if asked else given
    if not scopes <= given:
        raise InvalidScope(f"This delegation gives: {' '.join(sorted(given))}.")
    return scopes


def _short(delegation: str) -> str:
    if len(delegation) > MAX_DELEGATION:
        raise BadSignature("it is too long")
    return delegation
