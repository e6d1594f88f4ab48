"""The token endpoint and the documents that lead to it (RFC 6749, 7523, 8414, 8707, 9728)."""

from typing import Any, Final
from urllib.parse import parse_qsl

import msgspec
from litestar import Controller
from litestar.di import NamedDependency

from market import identity
from market.base.errors import MarketError, Overloaded
from market.base.settings import Settings
from market.base.store import Store
from market.faces.http import acts, limits
from market.faces.http.answers import Answer, encode
from market.faces.http.binding import get, post
from market.faces.http.call import Call
from market.faces.http.desk import Desk
from market.protocol.wire import TokenView, View

_FORM: Final = "application/x-www-form-urlencoded"
_CLIENT_CREDENTIALS: Final = "client_credentials"
_TYPES: Final = {
    _CLIENT_CREDENTIALS: {"client_assertion_type": identity.CLIENT_ASSERTION_TYPE},
    identity.TOKEN_EXCHANGE: {
        "subject_token_type": identity.DELEGATION_TYPE,
        "actor_token_type": identity.JWT_TYPE,
    },
}
"""What each grant is asked for with: the fields that say of which type others are."""

_REFUSALS: Final = (identity.InvalidClient, identity.InvalidScope, identity.InvalidTarget)


class TokenRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The form of RFC 6749 section 4.4.2 with RFC 7523 section 2.2, or of RFC 8693 section 2.1.

    Other fields are ignored.
    """

    grant_type: str = ""
    client_assertion_type: str = ""
    client_assertion: str = ""
    subject_token: str = ""
    subject_token_type: str = ""
    actor_token: str = ""
    actor_token_type: str = ""
    client_id: str | None = None
    scope: str | None = None
    resource: str | None = None


class TokenErrorView(View, frozen=True, kw_only=True):
    """A refusal in the form of RFC 6749 section 5.2; ``error_uri`` explains it."""

    error: str
    error_description: str
    error_uri: str


class TokenRefused(Exception):
    """No token; the reason goes out as a ``TokenErrorView``."""

    def __init__(
        self, error: str, description: str, status: int = 400, page: str = "/agents"
    ) -> None:
        super().__init__(description)
        self.error = error
        self.description = description
        self.status = status
        self.page = page


class OAuthController(Controller):
    tags = ("access",)

    @post(
        "/oauth/token",
        status=200,
        refuses=(400, 401),
        answer=TokenView,
        form=TokenRequest,
        refusal=TokenErrorView,
        frees=True,
    )
    async def issue_token(self, call: NamedDependency[Call]) -> Answer:
        """Exchange a client assertion, signed by the agent's key, for an access token.

        ``resource`` names what the token is for (``.../v1`` if absent), ``scope`` narrows what it
        allows. An assertion is good for one use. Refusals have the form of RFC 6749 section 5.2.

        A sub-agent sends its delegation as ``subject_token`` and an assertion of its own as
        ``actor_token`` (RFC 8693). Its token opens the delegation's session, until that ends.
        """
        try:
            form = await _read_form(call)
            trade = _exchange if form.grant_type == _CLIENT_CREDENTIALS else _exchange_delegation
            token = await trade(call.desk, form, call.request_id)
        except TokenRefused as refusal:
            view = TokenErrorView(
                error=refusal.error,
                error_description=refusal.description,
                error_uri=call.desk.settings.issuer + refusal.page,
            )
            return Answer(encode(view), status=refusal.status, request_id=call.request_id)
        return Answer(encode(token), request_id=call.request_id)

    @get("/.well-known/oauth-authorization-server")
    async def read_authorization_server(
        self, settings: NamedDependency[Settings]
    ) -> dict[str, Any]:
        """Say where tokens come from (RFC 8414)."""
        return identity.authorization_server(settings.issuer)

    @get("/.well-known/oauth-protected-resource")
    async def read_protected_resource(self, settings: NamedDependency[Settings]) -> dict[str, Any]:
        """Say whose tokens the API takes (RFC 9728)."""
        return identity.protected_resource(settings.issuer)

    @get("/.well-known/oauth-protected-resource/v1")
    async def read_protected_api(self, settings: NamedDependency[Settings]) -> dict[str, Any]:
        """The same at the address that RFC 9728 section 3.1 gives a resource with a path."""
        return identity.protected_resource(settings.issuer)

    @get("/.well-known/jwks.json")
    async def read_market_keys(self, store: NamedDependency[Store]) -> dict[str, Any]:
        """List the market's own keys: they sign tokens, quotes, receipts and checkpoints.

        The P-256 key signs AP2's checkouts and receipts, and nothing else.
        """
        return identity.key_set([store.signer.public, store.merchant_key.public])


async def _read_form(call: Call) -> TokenRequest:
    await call.load(limits.BODY, _FORM)
    try:
        pairs = parse_qsl(
            call.content.decode("ascii"), errors="strict", max_num_fields=limits.QUERY_FIELDS
        )
    except ValueError as error:
        raise TokenRefused("invalid_request", "The form cannot be read.") from error
    if len({name for name, _ in pairs}) != len(pairs):
        raise TokenRefused("invalid_request", "A field stands twice.")
    form = msgspec.convert(dict(pairs), TokenRequest)
    if form.grant_type not in _TYPES:
        wanted = f"Use grant_type={_CLIENT_CREDENTIALS}, or {identity.TOKEN_EXCHANGE}."
        raise TokenRefused("unsupported_grant_type", wanted)
    for name, kind in _TYPES[form.grant_type].items():
        if getattr(form, name) != kind:
            raise TokenRefused("invalid_request", f"Use {name}={kind}.")
    return form


async def _exchange(desk: Desk, form: TokenRequest, token_id: str) -> TokenView:
    """Return a new token for the agent that signed the assertion, which is used up by this."""
    store, issuer, now = desk.store, desk.settings.issuer, desk.clock.now()
    try:
        audience = identity.audience_of(form.resource, issuer=issuer)
        agent_id = identity.claimed_agent(form.client_assertion)
        keys = await store.read(identity.client_keys, agent_id=agent_id)
        assertion = identity.read_assertion(
            form.client_assertion, keys=keys, issuer=issuer, now=now
        )
        if form.client_id not in (None, assertion.agent_id):
            raise identity.InvalidClient("The client_id is another than the assertion's.")
        kind = await store.write(
            identity.redeem_assertion,
            agent_id=agent_id,
            jti=assertion.jti,
            expires_at=assertion.expires_at,
        )
        scopes = identity.granted_scopes(kind, form.scope)
    except _REFUSALS as refusal:
        raise _token_refused(refusal) from refusal
    return identity.issue_access_token(
        signer=store.signer,
        issuer=issuer,
        audience=audience,
        agent_id=agent_id,
        key_id=assertion.key_id,
        scopes=scopes,
        jti=token_id,
        now=now,
        lasts=desk.settings.token_seconds,
    )


async def _exchange_delegation(desk: Desk, form: TokenRequest, token_id: str) -> TokenView:
    """Return a new token for the sub-agent that a delegation is for; its assertion is used up."""
    store, issuer, now = desk.store, desk.settings.issuer, desk.clock.now()
    try:
        if identity.audience_of(form.resource, issuer=issuer) != issuer + identity.REST:
            raise identity.InvalidTarget("A delegation is good at the HTTP API alone.")
        delegator_id = identity.claimed_delegator(form.subject_token)
        keys = await store.read(identity.delegators_keys, agent_id=delegator_id)
        handed = identity.read_delegation(
            form.subject_token, delegator_id=delegator_id, keys=keys, issuer=issuer, now=now
        )
        scopes = identity.delegated_scopes(handed.claims.actions, form.scope)
        actor = identity.read_actor(
            form.actor_token, delegate=handed.delegate, issuer=issuer, now=now
        )
        if form.client_id not in (None, actor.agent_id):
            raise identity.InvalidClient("The client_id is another than the assertion's.")
        await store.write(acts.admit_delegate, handed=handed, assertion=actor)
    except Overloaded:
        raise
    except MarketError as refusal:
        # RFC 8693 section 2.2.2 has one word for all that is wrong with either token.
        named = isinstance(refusal, identity.InvalidScope | identity.InvalidTarget)
        error = refusal.code if named else "invalid_request"
        page = f"/problems/{refusal.code}"
        raise TokenRefused(error, refusal.detail, page=page) from refusal
    return identity.issue_delegated_token(
        signer=store.signer,
        issuer=issuer,
        handed=handed,
        scopes=scopes,
        jti=token_id,
        now=now,
        lasts=desk.settings.token_seconds,
    )


def _token_refused(refusal: MarketError) -> TokenRefused:
    status = 401 if isinstance(refusal, identity.InvalidClient) else 400
    return TokenRefused(refusal.code, refusal.detail, status, f"/problems/{refusal.code}")
