"""Access tokens: five-minute passes, signed by the market (RFC 9068), for one audience.

A token lets its agent in and commits it to nothing. It names the key whose assertion it was given
for, so that revoking the key ends the token.
"""

from collections.abc import Iterable
from datetime import datetime
from typing import Final

import msgspec

from market.base.caller import CLOCK_SKEW_SECONDS
from market.base.clock import seconds_of
from market.base.settings import Settings
from market.identity.delegation import Handed
from market.identity.errors import InvalidToken
from market.identity.scopes import REST
from market.protocol.commitments import ACCESS_TOKEN, Claims, Nonce
from market.protocol.ids import AgentId
from market.protocol.signing import BadSignature, SigningKey, VerifyingKey
from market.protocol.text import Seconds
from market.protocol.wire import TokenView

TOKEN_SECONDS: Final = Settings.token_seconds
"""How long an access token is good for, unless a market's settings say otherwise."""

MAX_ACCESS_TOKEN: Final = 2 * 1024
"""The longest access token that is read, in characters; ours have about 700."""

_REFUSED: Final = "Get a new access token at the token endpoint."


class Actor(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Who acts for the token's subject (RFC 8693 section 4.1)."""

    sub: AgentId


class AccessClaims(Claims, frozen=True, kw_only=True, omit_defaults=True):
    """What an access token says. ``sub`` and ``client_id`` are the agent, ``key_id`` its key.

    In a delegated one ``sub`` is who gave ``delegation`` (its ``jti``); ``act``, ``client_id`` and
    ``key_id`` are the sub-agent's.
    """

    exp: Seconds
    jti: str
    sub: AgentId
    client_id: AgentId
    key_id: AgentId
    scope: str
    act: Actor | None = None
    delegation: Nonce | None = None

    @property
    def scopes(self) -> frozenset[str]:
        """The scopes as a set."""
        return frozenset(self.scope.split())


def issue_access_token(
    *,
    signer: SigningKey,
    issuer: str,
    audience: str,
    agent_id: str,
    key_id: str,
    scopes: Iterable[str],
    jti: str,
    now: datetime,
    lasts: int = TOKEN_SECONDS,
) -> TokenView:
    """Return a new access token for ``agent_id``, as the token endpoint answers it.

    It is good for so many seconds as it ``lasts``.
    """
    seconds = seconds_of(now)
    claims = AccessClaims(
        iss=issuer,
        aud=audience,
        iat=seconds,
        exp=seconds + lasts,
        jti=jti,
        sub=agent_id,
        client_id=agent_id,
        key_id=key_id,
        scope=" ".join(sorted(scopes)),
    )
    return _signed(signer, claims)


def issue_delegated_token(
    *,
    signer: SigningKey,
    issuer: str,
    handed: Handed,
    scopes: Iterable[str],
    jti: str,
    now: datetime,
    lasts: int = TOKEN_SECONDS,
) -> TokenView:
    """Return a new access token for a sub-agent, which ends with its delegation at the latest."""
    seconds, delegate_id = seconds_of(now), handed.delegate.kid
    claims = AccessClaims(
        iss=issuer,
        aud=issuer + REST,
        iat=seconds,
        exp=min(seconds + lasts, handed.claims.exp),
        jti=jti,
        sub=handed.claims.iss,
        client_id=delegate_id,
        key_id=delegate_id,
        scope=" ".join(sorted(scopes)),
        act=Actor(sub=delegate_id),
        delegation=handed.claims.jti,
    )
    return _signed(signer, claims)


def _signed(signer: SigningKey, claims: AccessClaims) -> TokenView:
    return TokenView(
        access_token=signer.sign(claims, typ=ACCESS_TOKEN),
        issued_token_type="urn:ietf:params:oauth:token-type:access_token",  # noqa: S106
        token_type="Bearer",  # noqa: S106 - a type, not a password
        expires_in=claims.exp - claims.iat,
        scope=claims.scope,
    )


def read_access_token(
    token: str,
    *,
    key: VerifyingKey,
    issuer: str,
    audience: str,
    now: datetime,
    longest: int = TOKEN_SECONDS,
) -> AccessClaims:
    """Return what an access token says, if the market's ``key`` signed it for this ``audience``.

    One that was made for more than the ``longest`` time in seconds is none of this market's.

    Raises:
        InvalidToken: always in the same words.
    """
    seconds = seconds_of(now)
    try:
        if len(token) > MAX_ACCESS_TOKEN:
            raise BadSignature("too long")
        claims = key.read(token, typ=ACCESS_TOKEN, claims=AccessClaims)
    except BadSignature as error:
        raise InvalidToken(_REFUSED) from error
    agent_id = claims.sub if claims.act is None else claims.act.sub
    is_ours = claims.iss == issuer and claims.aud == audience and agent_id == claims.client_id
    is_timely = (
        claims.iat <= seconds + CLOCK_SKEW_SECONDS
        and seconds <= claims.exp + CLOCK_SKEW_SECONDS
        and 0 < claims.exp - claims.iat <= longest
    )
    if not (is_ours and is_timely):
        raise InvalidToken(_REFUSED)
    return claims
