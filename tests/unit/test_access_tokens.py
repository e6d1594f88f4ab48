"""Access tokens, scopes and the documents by which clients find the way to them."""

from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest

from market.identity import (
    ALL_SCOPES,
    SCOPES,
    TOKEN_SECONDS,
    AccessClaims,
    InvalidScope,
    InvalidTarget,
    InvalidToken,
    audience_of,
    authorization_server,
    granted_scopes,
    issue_access_token,
    key_set,
    protected_resource,
    read_access_token,
)
from market.protocol.commitments import ACCESS_TOKEN, MANDATE, RECEIPT
from market.protocol.signing import SigningKey
from market.protocol.wire import TokenView

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
SECONDS = int(NOW.timestamp())
ISSUER = "https://market.example"
MARKET = SigningKey.generate()
AGENT = "a" * 43


def issue(**change: Any) -> TokenView:
    return issue_access_token(
        **{
            "signer": MARKET,
            "issuer": ISSUER,
            "audience": ISSUER,
            "agent_id": AGENT,
            "key_id": AGENT,
            "scopes": {"read", "order"},
            "jti": "req_1",
            "now": NOW,
            **change,
        }
    )


def read(token: str, *, now: datetime = NOW, audience: str = ISSUER) -> AccessClaims:
    return read_access_token(token, key=MARKET.public, issuer=ISSUER, audience=audience, now=now)


def handmade(typ: str = ACCESS_TOKEN, by: SigningKey = MARKET, **change: Any) -> str:
    claims = {
        "iss": ISSUER,
        "aud": ISSUER,
        "iat": SECONDS,
        "exp": SECONDS + 300,
        "jti": "req_1",
        "sub": AGENT,
        "client_id": AGENT,
        "key_id": AGENT,
        "scope": "read",
    }
    return by.sign(claims | change, typ=typ)


def test_a_token_says_who_may_do_what_for_five_minutes() -> None:
    view = issue()

    claims = read(view.access_token)

    assert claims.sub == claims.client_id == AGENT
    assert claims.scopes == {"read", "order"}
    assert (view.token_type, view.expires_in, view.scope) == ("Bearer", 300, "order read")
    assert claims.exp - claims.iat == TOKEN_SECONDS == 300


def test_a_token_has_the_form_of_rfc_9068() -> None:
    token = issue().access_token

    assert jwt.get_unverified_header(token) == {
        "alg": "EdDSA",
        "kid": MARKET.kid,
        "typ": "at+jwt",
    }
    assert jwt.decode(
        token,
        jwt.PyJWK(MARKET.public.jwk),
        algorithms=["EdDSA"],
        audience=ISSUER,
        issuer=ISSUER,
        options={"verify_exp": False, "verify_iat": False},
    )


@pytest.mark.parametrize(
    "token",
    [
        "",
        "nonsense",
        "x" * 100_000,
        handmade(aud="https://other.example"),
        handmade(aud=[ISSUER]),
        handmade(iss="https://other.example"),
        handmade(by=SigningKey.generate()),
        handmade(typ=RECEIPT),
        handmade(typ=MANDATE),
        handmade(typ="JWT"),
        handmade(client_id="b" * 43),
        handmade(sub="someone"),
        handmade(exp=SECONDS + 301),
        handmade(exp=SECONDS),
        handmade(exp=str(SECONDS + 300)),
        handmade(exp=SECONDS + 300.5),
        handmade(iat=SECONDS + 31, exp=SECONDS + 100),
        handmade(admin=True),
        issue(now=NOW - timedelta(seconds=331)).access_token,
    ],
)
def test_a_token_that_does_not_hold_is_refused_in_the_same_words(token: str) -> None:
    with pytest.raises(InvalidToken) as refusal:
        read(token)

    assert refusal.value.detail == "Get a new access token at the token endpoint."
    assert refusal.value.facts == {}


def test_a_token_for_one_audience_is_refused_at_another() -> None:
    with pytest.raises(InvalidToken):
        read(issue().access_token, audience=f"{ISSUER}/mcp")


def test_a_token_ends_after_its_time_and_the_clock_skew() -> None:
    token = issue().access_token

    assert read(token, now=NOW + timedelta(seconds=330))
    with pytest.raises(InvalidToken):
        read(token, now=NOW + timedelta(seconds=331))


def test_a_token_from_a_clock_ahead_is_accepted_within_the_skew() -> None:
    assert read(issue(now=NOW + timedelta(seconds=30)).access_token)
    with pytest.raises(InvalidToken):
        read(issue(now=NOW + timedelta(seconds=31)).access_token)


def test_without_a_wish_an_agent_gets_every_scope_of_its_kind() -> None:
    for kind, scopes in SCOPES.items():
        assert granted_scopes(kind, None) == granted_scopes(kind, "") == set(scopes)


def test_a_wish_is_granted_as_far_as_the_kind_allows() -> None:
    assert granted_scopes("buyer", "read") == {"read"}
    assert granted_scopes("seller", " ".join(ALL_SCOPES)) == {"read", "publish", "order"}
    with pytest.raises(InvalidScope):
        granted_scopes("buyer", "fund oversee")
    with pytest.raises(InvalidScope):
        granted_scopes("buyer", "everything")


def test_no_kind_but_the_overseer_may_make_money() -> None:
    assert [kind for kind, scopes in SCOPES.items() if "fund" in scopes] == ["overseer"]


def test_a_token_is_for_one_resource_the_api_unless_asked() -> None:
    for resource in (None, ISSUER, f"{ISSUER}/", f"{ISSUER}/v1"):
        assert audience_of(resource, issuer=ISSUER) == f"{ISSUER}/v1"
    assert audience_of(f"{ISSUER}/mcp", issuer=ISSUER) == f"{ISSUER}/mcp"
    for resource in ("", "https://other.example", f"{ISSUER}.other.example"):
        with pytest.raises(InvalidTarget):
            audience_of(resource, issuer=ISSUER)


def test_the_metadata_lead_to_the_token_endpoint() -> None:
    server = authorization_server(ISSUER)

    assert server["issuer"] == ISSUER
    assert server["token_endpoint"] == f"{ISSUER}/oauth/token"
    assert server["grant_types_supported"] == [
        "client_credentials",
        "urn:ietf:params:oauth:grant-type:token-exchange",
    ]
    assert server["token_endpoint_auth_methods_supported"] == ["private_key_jwt"]
    assert protected_resource(ISSUER)["authorization_servers"] == [ISSUER]
    assert protected_resource(ISSUER)["resource"] == f"{ISSUER}/v1"


def test_a_key_set_is_read_by_other_libraries() -> None:
    other = SigningKey.generate("P-256")

    keys = jwt.PyJWKSet.from_dict(key_set([MARKET.public, other.public]))

    assert [key.key_id for key in keys.keys] == [MARKET.kid, other.kid]
    assert [key.algorithm_name for key in keys.keys] == ["EdDSA", "ES256"]
    assert "d" not in key_set([MARKET.public])["keys"][0]
