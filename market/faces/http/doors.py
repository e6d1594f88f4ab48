"""The door: a bearer token becomes a caller.

Checking a token costs a signature; a token that was checked is remembered until it expires
(``performance.md`` rule 12). What it rests on is looked up again every second, so that a
suspension, a revoked key or a revoked delegation ends it everywhere within that time, and at once
in this process. A sub-agent passes only where its session is: who does not ask for sub-agents
does not get them.
"""

import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from market import identity
from market.base.caller import CLOCK_SKEW_SECONDS, Caller
from market.base.clock import EPOCH, Clock
from market.base.errors import Forbidden, InsufficientScope, Unauthenticated
from market.base.store import Store
from market.faces.http import limits
from market.faces.http.rates import DELEGATES_DEPTH, OWN_DEPTH
from market.identity import AccessClaims

RECHECK: Final = timedelta(seconds=1)
_SKEW: Final = timedelta(seconds=CLOCK_SKEW_SECONDS)
_REFUSED: Final = "Send a valid access token: 'Authorization: Bearer ...', from POST /oauth/token."


class Visitor(NamedTuple):
    """A caller with the header that let it in, and until when it does."""

    caller: Caller
    authorization: bytes
    expires_at: datetime


class Payer(NamedTuple):
    """The agent for which a request with a known token counts, and how deep it may draw.

    After ``until``, in seconds of the rates' clock, the token is worth nothing: who has an old one
    can no longer use up what its agent may ask. ``frees``: the agent itself ends and cancels
    beyond its rate; its sub-agents do not.
    """

    agent_id: str
    until: float
    depth: float
    frees: bool


class _Pass(NamedTuple):
    visitor: Visitor
    claims: AccessClaims
    fresh_until: datetime


class Doorkeeper:
    """Lets callers in by their tokens. One event loop uses it.

    ``payers`` says for whom requests with a token that is remembered count. ``calm`` is how many
    times rarer than else live streams give signs of life.
    """

    def __init__(
        self,
        store: Store,
        clock: Clock,
        *,
        audience: str,
        seconds: Callable[[], float] = time.monotonic,
        calm: float = 1.0,
    ) -> None:
        self._store = store
        self._clock = clock
        self._audience = audience
        self._seconds = seconds
        self._calm = calm
        self._passes: dict[bytes, _Pass] = {}
        self._headers_of: dict[str, set[bytes]] = {}
        self.payers: dict[bytes | None, Payer] = {}

    @property
    def remembered(self) -> int:
        """How many tokens are remembered."""
        return len(self._passes)

    async def admit(self, authorization: bytes | None, *, delegates: bool = False) -> Visitor:
        """Return who sends this ``Authorization`` header; sub-agents only if they may come here.

        Raises:
            Unauthenticated: nobody known, always in the same words.
            InsufficientScope: a sub-agent, where only its delegator may go.
        """
        visitor = await self._admit(authorization)
        if visitor.caller.delegation is not None and not delegates:
            raise InsufficientScope("A delegated token opens its session alone.", scope="read")
        return visitor

    async def _admit(self, authorization: bytes | None) -> Visitor:
        now = self._clock.now()
        known = self._passes.get(authorization) if authorization is not None else None
        if known is not None and now < known.fresh_until:
            return known.visitor
        try:
            if authorization is None:
                raise Unauthenticated(_REFUSED)
            claims = self._read(authorization, now) if known is None else known.claims
            return await self._examine(authorization, claims, now)
        except Unauthenticated as refusal:
            if authorization is not None:
                self._drop(authorization)
            raise Unauthenticated(_REFUSED) from refusal

    async def recheck(self, visitor: Visitor) -> None:
        """Let pass a visitor that has waited here, if it may still be here.

        Raises:
            Unauthenticated, Forbidden: it may not.
        """
        await self._admit(visitor.authorization)

    async def reason_to_leave(self, visitor: Visitor) -> str | None:
        """Return why a visitor that is still here must go: ``expired``, ``revoked``, or None."""
        if self._clock.now() >= visitor.expires_at:
            return "expired"
        try:
            await self._admit(visitor.authorization)
        except (Unauthenticated, Forbidden):
            return "revoked"
        return None

    def forget(self, agent_id: str) -> None:
        """Have every token of this agent and its sub-agents examined anew at its next use."""
        for authorization in tuple(self._headers_of.get(agent_id, ())):
            self._drop(authorization)
        self._store.hub.wake_everyone()

    @property
    def heartbeat_seconds(self) -> float:
        """For how long a live stream is silent, at most."""
        return limits.HEARTBEAT_SECONDS * self._calm

    def patience(self, visitor: Visitor) -> float:
        """Return for how many seconds a visitor's live stream may be left alone."""
        left = (visitor.expires_at - self._clock.now()).total_seconds()
        return min(self.heartbeat_seconds, max(0.0, left))

    def _read(self, authorization: bytes, now: datetime) -> AccessClaims:
        scheme, _, token = authorization.decode("latin-1").partition(" ")
        if scheme.lower() != "bearer" or len(token) > limits.TOKEN:
            raise Unauthenticated(_REFUSED)
        return identity.read_access_token(
            token,
            key=self._store.signer.public,
            issuer=self._store.settings.issuer,
            audience=self._audience,
            now=now,
            longest=self._store.settings.token_seconds,
        )

    async def _examine(self, authorization: bytes, claims: AccessClaims, now: datetime) -> Visitor:
        expires_at = EPOCH + timedelta(seconds=claims.exp) + _SKEW
        if now >= expires_at:
            raise Unauthenticated(_REFUSED)
        caller = await self._store.read(identity.caller_behind, claims=claims)
        visitor = Visitor(caller, authorization, expires_at)
        self._drop(authorization)
        if len(self._passes) >= limits.CALLERS:
            self._drop(next(iter(self._passes)))
        self._passes[authorization] = _Pass(visitor, claims, min(expires_at, now + RECHECK))
        until, is_own = self._seconds() + (expires_at - now).total_seconds(), not caller.delegation
        depth = OWN_DEPTH if is_own else DELEGATES_DEPTH
        self.payers[authorization] = Payer(payer_of(caller), until, depth, is_own)
        # The subject of a sub-agent's token is its delegator, on whose standing it rests, too.
        for agent_id in {claims.sub, claims.client_id}:
            self._headers_of.setdefault(agent_id, set()).add(authorization)
        return visitor

    def _drop(self, authorization: bytes) -> None:
        dropped = self._passes.pop(authorization, None)
        self.payers.pop(authorization, None)
        if dropped is None:
            return
        for agent_id in {dropped.claims.sub, dropped.claims.client_id}:
            headers = self._headers_of.get(agent_id, set())
            headers.discard(authorization)
            if not headers:
                self._headers_of.pop(agent_id, None)


def payer_of(caller: Caller) -> str:
    """Return the agent whose limits a caller's requests count for: a sub-agent's delegator."""
    return caller.agent_id if caller.delegation is None else caller.delegation.delegator_id
