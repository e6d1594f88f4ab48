"""Sub-agents: keys that work for an agent in one session, for a while, under their own names.

::

    key = SigningKey.generate()                      # the sub-agent's, and only the sub-agent's
    delegation = await buyer.delegate(session_id, key.public.jwk, actions=["read", "write"])

    async with SubAgent("http://127.0.0.1:8700", key, delegation) as agent:
        run = await agent.run("search", "Search three catalogs")
"""

from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import Any, Final
from urllib.parse import quote as url_part

import msgspec

from buyer_agents.connection import Connection
from buyer_agents.runs import Run, begin_run
from buyer_agents.session_verbs import SessionVerbs
from buyer_agents.streams import follow_session
from market.protocol import commitments, wire
from market.protocol.chain import Entry
from market.protocol.commitments import DelegatedAction, DelegationClaims
from market.protocol.signing import SigningKey, VerifyingKey, read_payload

MAX_SECONDS: Final = 3_600
"""The longest life of a delegation."""

TOKEN_EXCHANGE: Final = "urn:ietf:params:oauth:grant-type:token-exchange"  # noqa: S105 - a name
DELEGATION_TYPE: Final = "urn:agent-market:token-type:delegation"
JWT_TYPE: Final = "urn:ietf:params:oauth:token-type:jwt"


class DelegationVerbs(Connection):
    async def delegate(
        self,
        session_id: str,
        jwk: Mapping[str, Any],
        *,
        actions: Sequence[DelegatedAction] = ("read", "write"),
        seconds: int = MAX_SECONDS,
        order_id: str | None = None,
        run: str | None = None,
    ) -> str:
        """Return a delegation for the sub-agent with this public key; hand it over as you like.

        It is worth nothing without the sub-agent's private key. ``order_id`` and ``run`` narrow
        it; a seller's is always for one of its orders. The market hears of it at its first use.
        """
        key = VerifyingKey(jwk)
        return await self.sign(
            commitments.DELEGATION,
            DelegationClaims,
            exp=self.moment() + seconds,
            jti=self.nonce(),
            sub=key.kid,
            cnf=commitments.Confirmation(jwk=key.jwk),
            session_id=session_id,
            order_id=order_id,
            run=run,
            actions=list(actions),
        )

    async def revoke_delegation(self, delegation: str, reason: str) -> wire.DelegationView:
        """Take a delegation back, used or not; the sub-agent is out at once. May be repeated."""
        jti = read_delegation(delegation).jti
        path = f"/v1/delegations/{url_part(jti)}/revoke"
        body = wire.RevokeDelegation(reason=reason)
        return await self.call("POST", path, wire.DelegationView, body=body, repeatable=True)


class SubAgent(SessionVerbs):
    """A sub-agent at work in the one session of its delegation. It need not be registered.

    Other options are those of ``Connection``. All verbs of a session are there, as far as the
    delegation's actions go; what they do stands in the log under the sub-agent's own id.
    """

    def __init__(self, url: str, key: SigningKey, delegation: str, **options: Any) -> None:
        super().__init__(url, key, **options)
        claims = read_delegation(delegation)
        self.session_id = claims.session_id
        self.order_id = claims.order_id
        self._delegation = delegation

    async def run(self, name: str, title: str, *, parent: str | None = None) -> Run:
        """Begin a run of this sub-agent's, or go on with one that its earlier life began.

        Raises:
            RunStopped: it was cancelled before it began.
        """
        return await begin_run(
            self, self.session_id, name, title, parent=parent, order_id=self.order_id
        )

    def follow(self, after: int = -1) -> AsyncGenerator[Entry, None]:
        """Yield the session's entries behind offset ``after``, live, as far as it may see them."""
        return follow_session(self, self.session_id, after)

    async def token_form(self) -> dict[str, str]:
        """Return what asks for a token: the delegation, and a fresh assertion (RFC 8693)."""
        return {
            "grant_type": TOKEN_EXCHANGE,
            "subject_token": self._delegation,
            "subject_token_type": DELEGATION_TYPE,
            "actor_token": await self.assertion(),
            "actor_token_type": JWT_TYPE,
        }


def read_delegation(delegation: str) -> DelegationClaims:
    """Return what a delegation says, without judging whether it holds.

    Raises:
        BadSignature, msgspec.ValidationError: it is none.
    """
    return msgspec.convert(read_payload(delegation), DelegationClaims)
