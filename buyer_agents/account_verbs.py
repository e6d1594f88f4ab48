"""What an agent does with its own things: identity, money, inbox and memory."""

from typing import Any, Final
from urllib.parse import quote as url_part

from buyer_agents.connection import IDEMPOTENCY_KEY, Connection, JwkSet
from market.protocol import commitments as signed
from market.protocol import wire
from market.protocol.signing import SigningKey
from market.protocol.wire import Page

PROOF_SECONDS: Final = 300


class AccountVerbs(Connection):
    async def register(
        self, handle: str, kind: signed.AgentKind, principal_id: str | None = None
    ) -> wire.AgentView:
        """Enter the market under this key; a repeat with the same handle changes nothing."""
        proof = await self.sign(
            signed.REGISTRATION,
            signed.RegistrationClaims,
            exp=self.moment() + PROOF_SECONDS,
            jti=self.nonce(),
            jwk=self.key.public.jwk,
            handle=handle,
            kind=kind,
            principal_id=principal_id,
        )
        registered = await self.call(
            "POST", "/v1/agents", wire.Registered, body=wire.Register(proof=proof),
            repeatable=True, authenticated=False,
        )  # fmt: skip
        self.enter(registered.token)
        return registered.agent

    async def me(self) -> wire.AgentView:
        return await self.call("GET", "/v1/me", wire.AgentView)

    async def agent(self, agent_id: str) -> wire.AgentView:
        return await self.call("GET", f"/v1/agents/{url_part(agent_id)}", wire.AgentView)

    async def agent_by_handle(self, handle: str) -> wire.AgentView | None:
        found = await self.call("GET", "/v1/agents", Page[wire.AgentView], query={"handle": handle})
        return found.items[0] if found.items else None

    async def keys(self, agent_id: str) -> JwkSet:
        """Return the published keys of an agent."""
        path = f"/v1/agents/{url_part(agent_id)}/keys"
        return await self.call("GET", path, JwkSet, authenticated=False)

    async def add_key(self, new: SigningKey) -> wire.AgentView:
        """Let ``new`` speak for this agent too; the present key and the new one both sign."""
        proof = new.sign(
            signed.KeyProofClaims(iss=self.agent_id, aud=await self.issuer(), iat=self.moment()),
            typ=signed.KEY_PROOF,
        )
        return await self._change_keys(action="add", jwk=new.public.jwk, proof=proof)

    async def revoke_key(self, kid: str) -> wire.AgentView:
        """Let one of this agent's keys speak for it no more."""
        return await self._change_keys(action="revoke", kid=kid)

    async def suspend(self, agent_id: str, reason: str) -> wire.AgentView:
        path = f"/v1/agents/{url_part(agent_id)}/suspend"
        return await self.call("POST", path, wire.AgentView, body=wire.Suspend(reason=reason))

    async def reinstate(self, agent_id: str, reason: str) -> wire.AgentView:
        path = f"/v1/agents/{url_part(agent_id)}/reinstate"
        return await self.call("POST", path, wire.AgentView, body=wire.Suspend(reason=reason))

    # Money

    async def wallet(self) -> wire.WalletView:
        return await self.call("GET", "/v1/wallet", wire.WalletView)

    async def statement(
        self, *, cursor: str | None = None, limit: int = 100
    ) -> Page[wire.PostingView]:
        return await self.call(
            "GET", "/v1/wallet/statement", Page[wire.PostingView],
            query={"cursor": cursor, "limit": limit},
        )  # fmt: skip

    async def fund(
        self, agent_id: str, amount_minor: int, currency: str, *, idempotency_key: str | None = None
    ) -> wire.WalletView:
        """Give an agent sandbox money (overseers)."""
        body = wire.Fund(agent_id=agent_id, amount_minor=amount_minor, currency=currency)
        return await self.create("/v1/faucet", wire.WalletView, body, idempotency_key)

    async def bond(self, seller_id: str | None = None) -> wire.SellerLimitsView:
        """Return what a seller (this agent, unless another is named) has at stake."""
        query = {"seller_id": seller_id}
        return await self.call("GET", "/v1/bonds", wire.SellerLimitsView, query=query)

    async def post_bond(
        self, amount_minor: int, currency: str, *, idempotency_key: str | None = None
    ) -> wire.SellerLimitsView:
        """Move money from this seller's wallet into its bond."""
        body = wire.MoveBond(amount_minor=amount_minor, currency=currency)
        return await self.create("/v1/bonds", wire.SellerLimitsView, body, idempotency_key)

    async def release_bond(
        self, amount_minor: int, currency: str, *, idempotency_key: str | None = None
    ) -> wire.SellerLimitsView:
        """Move money from this seller's bond back into its wallet."""
        body = wire.MoveBond(amount_minor=amount_minor, currency=currency)
        return await self.create("/v1/bonds/release", wire.SellerLimitsView, body, idempotency_key)

    async def unfreeze(self, agent_id: str, reason: str) -> wire.SellerLimitsView:
        """Let a frozen seller take orders as others do (overseers)."""
        path = f"/v1/agents/{url_part(agent_id)}/unfreeze"
        body = wire.Unfreeze(reason=reason)
        return await self.call("POST", path, wire.SellerLimitsView, body=body)

    async def give_mandate(
        self,
        buyer_id: str,
        limits: signed.Limits,
        *,
        currency: str,
        seconds: int,
        idempotency_key: str | None = None,
    ) -> wire.MandateView:
        """Let a buyer spend for this principal within ``limits``, for ``seconds`` from now."""
        mandate = await self.sign(
            signed.MANDATE, signed.MandateClaims, exp=self.moment() + seconds, jti=self.nonce(),
            buyer_id=buyer_id, currency=currency, limits=limits,
        )  # fmt: skip
        body = wire.GiveMandate(mandate=mandate)
        return await self.create("/v1/mandates", wire.MandateView, body, idempotency_key)

    async def mandates(
        self, *, cursor: str | None = None, limit: int = 100
    ) -> Page[wire.MandateView]:
        return await self.call(
            "GET", "/v1/mandates", Page[wire.MandateView], query={"cursor": cursor, "limit": limit}
        )

    async def mandate(self, mandate_id: str) -> wire.MandateView:
        return await self.call("GET", f"/v1/mandates/{url_part(mandate_id)}", wire.MandateView)

    async def revoke_mandate(self, mandate_id: str, reason: str) -> wire.MandateView:
        path = f"/v1/mandates/{url_part(mandate_id)}/revoke"
        body = wire.RevokeMandate(reason=reason)
        return await self.call("POST", path, wire.MandateView, body=body)

    # Inbox and memory

    async def inbox(
        self, *, after: int = -1, limit: int = 100, wait_seconds: int = 0
    ) -> wire.InboxView:
        """Read messages behind offset ``after``, waiting up to ``wait_seconds`` for one."""
        return await self.call(
            "GET", "/v1/inbox", wire.InboxView,
            query={"after": after, "limit": limit, "wait_seconds": wait_seconds},
        )  # fmt: skip

    async def acknowledge(self, offset: int) -> wire.InboxView:
        """Mark every message up to and including ``offset`` as handled."""
        body = wire.Acknowledge(offset=offset)
        return await self.call(
            "POST", "/v1/inbox/acknowledge", wire.InboxView, body=body, repeatable=True
        )

    async def write_note(self, namespace: str, key: str, note: wire.WriteNote) -> wire.NoteView:
        """Keep a note; with ``if_version`` only if nobody wrote in between."""
        return await self.call(
            "PUT", note_path(namespace, key), wire.NoteView, body=note,
            headers={IDEMPOTENCY_KEY: self.nonce()},
        )  # fmt: skip

    async def note(self, namespace: str, key: str) -> wire.NoteView:
        return await self.call("GET", note_path(namespace, key), wire.NoteView)

    async def forget(self, namespace: str, key: str) -> None:
        headers = {IDEMPOTENCY_KEY: self.nonce()}
        await self.call("DELETE", note_path(namespace, key), type(None), headers=headers)

    async def notes(
        self,
        namespace: str | None = None,
        *,
        q: str | None = None,
        cursor: str | None = None,
        limit: int = 100,
    ) -> Page[wire.NoteView]:
        return await self.call(
            "GET", "/v1/memory", Page[wire.NoteView],
            query={"namespace": namespace, "q": q, "cursor": cursor, "limit": limit},
        )  # fmt: skip

    async def _change_keys(self, **members: Any) -> wire.AgentView:
        statement = await self.sign(
            signed.KEY_STATEMENT,
            signed.KeyStatementClaims,
            exp=self.moment() + PROOF_SECONDS,
            jti=self.nonce(),
            **members,
        )
        path = f"/v1/agents/{self.agent_id}/keys"
        body = wire.ChangeKeys(statement=statement)
        return await self.call("POST", path, wire.AgentView, body=body)


def note_path(namespace: str, key: str) -> str:
    return f"/v1/memory/{url_part(namespace, safe='')}/{url_part(key, safe='')}"
