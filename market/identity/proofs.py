"""Proofs by which an agent enters: of registration, of a new key, and to the token endpoint.

Pure: signatures are checked here, before the writer is asked for anything.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Annotated, Any, Final, NamedTuple

import msgspec
from msgspec import Meta

from market.base.caller import CLOCK_SKEW_SECONDS, BadCommitment, Signed, check_claims
from market.base.clock import EPOCH, seconds_of
from market.identity.errors import BadKeyStatement, InvalidClient, ProofRefused
from market.protocol.commitments import (
    KEY_PROOF,
    REGISTRATION,
    KeyProofClaims,
    KeyStatementClaims,
    RegistrationClaims,
)
from market.protocol.ids import AgentId
from market.protocol.signing import (
    BadKey,
    BadSignature,
    VerifyingKey,
    read_header,
    read_json,
    read_payload,
)
from market.protocol.text import Seconds

MAX_PROOF_SECONDS: Final = 600
"""The longest life of a proof, from ``iat`` to ``exp``."""

MAX_ASSERTION: Final = 8 * 1024
"""The longest client assertion that is read, in characters."""

_ABSENT: Final = frozenset({"typ", "kid"})
_ASSERTION_TYPES: Final = frozenset({"jwt", "client-authentication+jwt"})
_REFUSED: Final = "Send a fresh private_key_jwt assertion, signed by an active key of the agent."


class AssertionClaims(msgspec.Struct, frozen=True, kw_only=True):
    """What a ``private_key_jwt`` must say (RFC 7523 section 3). Other claims are ignored."""

    iss: AgentId
    sub: AgentId
    aud: str
    exp: Seconds
    jti: Annotated[str, Meta(min_length=1, max_length=200)]
    iat: Seconds | None = None
    nbf: Seconds | None = None


class Assertion(NamedTuple):
    """A client assertion that holds: who made it, with which key. It may be redeemed once."""

    agent_id: str
    key_id: str
    jti: str
    expires_at: datetime


def read_registration(token: str, *, issuer: str, now: datetime) -> Signed[RegistrationClaims]:
    """Return a registration that is signed by the very key it brings.

    Raises:
        ProofRefused: key, signature, thumbprint, market or time is wrong; the detail says which.
    """
    try:
        key = VerifyingKey(_claimed_jwk(token))
        claims = key.read(token, typ=REGISTRATION, claims=RegistrationClaims)
        check_claims(claims, agent_id=key.kid, issuer=issuer, now=now)
    except (BadSignature, BadKey) as error:
        raise ProofRefused(f"The registration is refused: {error}.") from error
    except BadCommitment as refusal:
        raise ProofRefused(refusal.detail) from refusal
    if not 0 < claims.exp - claims.iat <= MAX_PROOF_SECONDS:
        raise ProofRefused(f"A registration lives at most {MAX_PROOF_SECONDS} s (exp - iat).")
    return Signed(claims, token, key.kid)


def read_new_key(claims: KeyStatementClaims, *, now: datetime) -> VerifyingKey:
    """Return the key that a statement adds, after checking the proof that its owner agrees.

    Raises:
        BadKeyStatement: the statement adds no key, or the key does not agree.
    """
    if claims.jwk is None or claims.proof is None or claims.kid is not None:
        raise BadKeyStatement(
            "To add a key, send its 'jwk' and a 'proof' made by it, and no 'kid'."
        )
    try:
        key = VerifyingKey(claims.jwk)
        proof = key.read(claims.proof, typ=KEY_PROOF, claims=KeyProofClaims)
        check_claims(proof, agent_id=claims.iss, issuer=claims.aud, now=now)
    except (BadSignature, BadKey) as error:
        raise BadKeyStatement(f"The new key's proof is refused: {error}.") from error
    except BadCommitment as refusal:
        raise BadKeyStatement(f"In the new key's proof: {refusal.detail}") from refusal
    return key


def claimed_agent(assertion: str) -> str:
    """Return whose keys must check a client assertion. It proves nothing yet.

    Raises:
        InvalidClient: it is no assertion at all.
    """
    try:
        payload = read_payload(_short(assertion), optional=_ABSENT)
        return msgspec.convert(payload, AssertionClaims, strict=True).sub
    except (BadSignature, msgspec.ValidationError) as error:
        raise InvalidClient(_REFUSED) from error


def read_assertion(
    token: str, *, keys: Mapping[str, VerifyingKey], issuer: str, now: datetime
) -> Assertion:
    """Return a client assertion that one of an agent's active ``keys`` signed for this market.

    Tolerant where stock OAuth clients differ: ``typ`` may be absent, ``kid`` too if only one key
    fits the algorithm, ``aud`` may be the token endpoint. Strict in all else (RFC 7523).

    Raises:
        InvalidClient: always in the same words.
    """
    try:
        key = _key_of(_short(token), keys)
        claims = msgspec.convert(read_json(key.payload_of(token)), AssertionClaims, strict=True)
        _check_assertion(claims, issuer=issuer, seconds=seconds_of(now))
    except (BadSignature, msgspec.ValidationError) as error:
        raise InvalidClient(_REFUSED) from error
    return Assertion(claims.sub, key.kid, claims.jti, EPOCH + timedelta(seconds=claims.exp))


def _check_assertion(claims: AssertionClaims, *, issuer: str, seconds: int) -> None:
    made = seconds if claims.iat is None else claims.iat
    latest = seconds + CLOCK_SKEW_SECONDS
    if claims.iss != claims.sub or claims.aud not in (issuer, f"{issuer}/oauth/token"):
        raise BadSignature("made by, or for, another")
    if made > latest or (claims.nbf is not None and claims.nbf > latest):
        raise BadSignature("made in the future")
    if claims.exp + CLOCK_SKEW_SECONDS < seconds or not 0 < claims.exp - made <= MAX_PROOF_SECONDS:
        raise BadSignature("expired, or living too long")


def _key_of(token: str, keys: Mapping[str, VerifyingKey]) -> VerifyingKey:
    header = read_header(token, optional=_ABSENT)
    if header.get("typ", "JWT").lower() not in _ASSERTION_TYPES:
        raise BadSignature("of another type")
    fitting = [key for key in keys.values() if key.goes_by(header["alg"])]
    if "kid" in header:
        fitting = [key for key in fitting if key.kid == header["kid"]]
    if len(fitting) != 1:
        raise BadSignature("names no active key")
    return fitting[0]


def _short(assertion: str) -> str:
    if len(assertion) > MAX_ASSERTION:
        raise BadSignature("too long")
    return assertion


def _claimed_jwk(token: str) -> dict[str, Any]:
    payload = read_payload(token)
    jwk = payload.get("jwk") if isinstance(payload, dict) else None
    if not isinstance(jwk, dict):
        raise BadSignature("the registration brings no key (jwk)")
    return jwk
