"""Delegations as signed text: which ones hold, for which key, for how long."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from market.base.caller import DelegationTooWide
from market.base.settings import Settings
from market.identity import (
    DelegationExpired,
    DelegationRefused,
    Handed,
    InvalidClient,
    InvalidScope,
    WrongDelegate,
    claimed_delegator,
    delegated_scopes,
    issue_delegated_token,
    read_access_token,
    read_actor,
    read_delegation,
)
from market.protocol.commitments import CLAIMS, DELEGATION, KEY_PROOF
from market.protocol.signing import SigningKey
from tests.outsiders import Outsider

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
SECONDS = int(NOW.timestamp())
SETTINGS = Settings()
ISSUER = SETTINGS.issuer
MAKER = Outsider(SETTINGS)
SUB_AGENT = SigningKey.generate("P-256")


def delegation(typ: str = DELEGATION, *, by: SigningKey | None = None, **changes: Any) -> str:
    claims = {
        "exp": SECONDS + 600,
        "jti": "a-nonce-of-its-own",
        "sub": SUB_AGENT.kid,
        "cnf": {"jwk": SUB_AGENT.public.jwk},
        "session_id": "ses_01h455vb4pex5vsknk084sn02q",
        "actions": ["read", "write"],
    } | changes
    return MAKER.sign(typ, NOW, by=by, **claims)


def read(token: str, now: datetime = NOW) -> Handed:
    keys = {MAKER.id: MAKER.key.public}
    return read_delegation(token, delegator_id=MAKER.id, keys=keys, issuer=ISSUER, now=now)


def actor(key: SigningKey = SUB_AGENT, **changes: Any) -> str:
    claims = {
        "iss": key.kid, "sub": key.kid, "aud": ISSUER, "iat": SECONDS, "exp": SECONDS + 60,
        "jti": "once",
    }  # fmt: skip
    return key.sign(claims | changes, typ="JWT")


def test_a_delegation_names_its_maker_and_the_key_that_it_is_for():
    token = delegation(run="search", order_id="ord_01h455vb4pex5vsknk084sn02q")

    handed = read(token)

    assert claimed_delegator(token) == handed.claims.iss == MAKER.id
    assert handed.delegate.kid == handed.claims.sub == SUB_AGENT.kid
    assert handed.expires_at == NOW + timedelta(seconds=600)
    assert type(handed.claims) is CLAIMS[DELEGATION]


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": SUB_AGENT.kid},
        {"aud": "https://elsewhere.test"},
        {"iat": SECONDS + 31},
        {"sub": "A" * 43},
        {"cnf": {"jwk": {**SUB_AGENT.public.jwk, "crv": "P-384"}}},
        {"cnf": {"jwk": SUB_AGENT.to_jwk()}},
        {"cnf": {"jkt": SUB_AGENT.kid}},
        {"jti": "short"},
        {"session_id": "ord_01h455vb4pex5vsknk084sn02q"},
        {"order_id": "ses_01h455vb4pex5vsknk084sn02q"},
        {"run": "two words"},
        {"actions": []},
        {"actions": ["order"]},
        {"actions": ["read", "write", "control", "read"]},
        {"exp": str(SECONDS + 60)},
        {"scope": "pay"},
    ],
    ids=lambda changes: "-".join(changes),
)
def test_a_delegation_that_says_something_else_does_not_hold(changes: dict[str, Any]):
    with pytest.raises(DelegationRefused):
        read(delegation(**changes))


@pytest.mark.parametrize(
    "token",
    [
        "nonsense",
        "",
        "x" * 9_000,
        delegation(by=SUB_AGENT),
        delegation(KEY_PROOF),
        actor(),
        ".".join([*delegation().split(".")[:2], "AAAA"]),
        ".".join([*delegation().split(".")[:2], ""]),
    ],
)
def test_a_text_that_its_maker_did_not_sign_as_a_delegation_does_not_hold(token: str):
    with pytest.raises(DelegationRefused):
        read(token)


@pytest.mark.parametrize(("token", "iss"), [("nonsense", None), (delegation(iss=5), 5)])
def test_what_names_no_maker_is_no_delegation(token: str, iss: Any):
    with pytest.raises(DelegationRefused):
        claimed_delegator(token)


def test_a_delegation_holds_until_its_last_second():
    token = delegation()

    assert read(token, NOW + timedelta(seconds=599)).claims.jti == "a-nonce-of-its-own"
    with pytest.raises(DelegationExpired):
        read(token, NOW + timedelta(seconds=600))


def test_a_delegation_is_for_an_hour_at_most():
    assert read(delegation(exp=SECONDS + 3_600))
    with pytest.raises(DelegationTooWide) as refusal:
        read(delegation(exp=SECONDS + 3_601))

    assert refusal.value.facts == {"max_seconds": 3_600}


def test_two_spellings_of_the_same_claims_are_one_delegation():
    assert read(delegation()).digest == read(delegation()).digest
    assert read(delegation()).digest != read(delegation(run="search")).digest


def test_the_sub_agent_itself_must_ask():
    delegate, other = SUB_AGENT.public, SigningKey.generate("P-256")

    asked = read_actor(actor(), delegate=delegate, issuer=ISSUER, now=NOW)

    assert (asked.agent_id, asked.key_id, asked.jti) == (delegate.kid, delegate.kid, "once")
    with pytest.raises(WrongDelegate):
        read_actor(actor(other), delegate=delegate, issuer=ISSUER, now=NOW)
    for bad in (actor(other, iss=delegate.kid, sub=delegate.kid), actor(exp=SECONDS - 31), "x"):
        with pytest.raises(InvalidClient):
            read_actor(bad, delegate=delegate, issuer=ISSUER, now=NOW)


@pytest.mark.parametrize(
    ("asked", "granted"),
    [
        (None, {"session.read", "session.write"}),
        ("", {"session.read", "session.write"}),
        ("session.read", {"session.read"}),
        ("session.write session.read", {"session.read", "session.write"}),
    ],
)
def test_the_scopes_are_those_of_the_actions(asked: str | None, granted: set[str]):
    assert delegated_scopes(["read", "write"], asked) == granted


@pytest.mark.parametrize("asked", ["session.control", "session.read read", "pay"])
def test_no_scope_is_granted_beyond_the_actions(asked: str):
    with pytest.raises(InvalidScope):
        delegated_scopes(["read", "write"], asked)


@pytest.mark.parametrize(("left", "life"), [(3_600, 300), (300, 300), (299, 299), (1, 1)])
def test_a_delegated_token_lives_no_longer_than_its_delegation(left: int, life: int):
    market = SigningKey.generate()
    handed = read(delegation(exp=SECONDS + left))

    view = issue_delegated_token(
        signer=market, issuer=ISSUER, handed=handed, scopes={"session.read"}, jti="t", now=NOW
    )
    claims = read_access_token(
        view.access_token, key=market.public, issuer=ISSUER, audience=f"{ISSUER}/v1", now=NOW
    )

    assert (view.expires_in, claims.exp) == (life, SECONDS + life)
    assert (claims.sub, claims.delegation) == (MAKER.id, "a-nonce-of-its-own")
    assert claims.act is not None
    assert claims.act.sub == claims.client_id == claims.key_id == SUB_AGENT.kid
