"""SD-JWT chains: what an outsider makes by hand holds here, and what is altered does not."""

from typing import Any

import jwt
import pytest

from market.protocol import sdjwt
from market.protocol.disclosing import BadChain
from market.protocol.signing import SigningKey, VerifyingKey
from tests import ap2_by_hand as hand

USER, AGENT, OTHER = hand.key(1), hand.key(2), hand.key(3)


def read(chain: str, *, key: Any = USER, **changes: Any) -> list[sdjwt.Opened]:
    usual = {"aud": hand.AUDIENCE, "nonce": hand.NONCE, "now": hand.NOW}
    return sdjwt.read_chain(chain, key=VerifyingKey(hand.public(key)), **(usual | changes))


def payment_chain(**changes: Any) -> str:
    return hand.hop(hand.open_payment(USER, AGENT), hand.closed_payment(), AGENT, **changes)


def open_checkout() -> str:
    inner = (hand.disclosure("s", {"id": "m-1", "name": "M"}),)
    mandate = {
        "vct": "mandate.checkout.open.1",
        "constraints": [
            {
                "type": "checkout.allowed_merchants",
                "allowed": [{"...": hand.hash_of(inner[0])}],
            }
        ],
        "cnf": {"jwk": hand.public(AGENT)},
    }
    return hand.token(mandate, USER, inner=inner)


def refused(chain: str, **changes: Any) -> str:
    with pytest.raises(BadChain) as refusal:
        read(chain, **changes)
    return str(refusal.value)


# What others make


def test_a_payment_chain_made_by_hand_holds():
    opened, closed = read(payment_chain())

    assert opened.mandate["constraints"][1]["allowed"] == [
        {"id": "m-1", "name": "M-1"},
        {"id": "m-2", "name": "M-2"},
    ]
    assert (opened.withheld, closed.withheld) == (0, 0)
    assert closed.mandate == hand.closed_payment()


def test_a_checkout_chain_with_a_disclosed_member_made_by_hand_holds():
    jwt_text = hand.disclosure("s2", "checkout_jwt", "a.b.c")
    closed = {
        "vct": "mandate.checkout.1",
        "_sd": [hand.hash_of(jwt_text)],
        "checkout_hash": hand.hash_of("a.b.c"),
    }

    chain = hand.hop(open_checkout(), closed, AGENT, inner=(jwt_text,))

    assert read(chain)[1].mandate == {
        "vct": "mandate.checkout.1",
        "checkout_jwt": "a.b.c",
        "checkout_hash": hand.hash_of("a.b.c"),
    }


def test_a_chain_of_three_made_by_hand_holds():
    passed_on = {
        "vct": "mandate.payment.open.1",
        "constraints": [],
        "cnf": {"jwk": hand.public(OTHER)},
    }
    middle = hand.hop(
        hand.open_payment(USER, AGENT), passed_on, AGENT,
        typ="kb+sd-jwt+kb", aud="provider", nonce="n", binding="issuer_jwt_hash",
    )  # fmt: skip

    tokens = read(hand.hop(middle, hand.closed_payment(), OTHER))

    assert [token.mandate["vct"] for token in tokens] == [
        "mandate.payment.open.1", "mandate.payment.open.1", "mandate.payment.1",
    ]  # fmt: skip


def test_what_the_agent_withholds_is_counted_and_gone():
    whole = hand.open_payment(USER, AGENT)
    first, shown, _, mandate = whole.split("~")[:4]
    narrowed = f"{first}~{shown}~{mandate}~"

    opened, _ = read(hand.hop(narrowed, hand.closed_payment(), AGENT))

    assert opened.withheld == 1
    assert [each["id"] for each in opened.mandate["constraints"][1]["allowed"]] == ["m-1"]


# What we make


def test_what_is_made_here_is_read_with_bare_pyjwt():
    user, agent = SigningKey.generate("P-256"), SigningKey.generate("P-256")
    mandate = {
        "vct": "v",
        "allowed": [{"id": "a"}, {"id": "b"}],
        "cnf": {"jwk": agent.public.jwk},
    }
    opened = sdjwt.issue(mandate, key=user, claims={"iss": "me"}, elements=("allowed",))
    chain = sdjwt.delegate(
        opened, {"vct": "w", "secret": 1}, key=agent, aud="a", nonce="n", iat=hand.NOW,
        members=("secret",),
    )  # fmt: skip

    root, leaf = chain[:-1].split("~~")
    signed, *disclosures = root.split("~")
    payload = jwt.decode(signed, jwt.PyJWK(user.public.jwk).key, algorithms=["ES256"])
    bound = jwt.decode(
        leaf.split("~")[0], jwt.PyJWK(agent.public.jwk).key, algorithms=["ES256"], audience="a"
    )

    assert payload["delegate_payload"] == [{"...": hand.hash_of(disclosures[-1])}]
    assert len(disclosures) == 3
    assert bound["sd_hash"] == hand.hash_of(root + "~")
    assert jwt.get_unverified_header(leaf.split("~")[0])["typ"] == "kb+sd-jwt"
    tokens = sdjwt.read_chain(chain, key=user.public, aud="a", nonce="n", now=hand.NOW)
    assert [token.mandate for token in tokens] == [mandate, {"vct": "w", "secret": 1}]


# What is refused


def test_another_audience_nonce_or_key_is_refused():
    chain = payment_chain()

    assert "audience" in refused(chain, aud="http://other.test")
    assert "nonce" in refused(chain, nonce="another")
    assert "signature" in refused(chain, key=OTHER)
    stolen = hand.hop(hand.open_payment(USER, AGENT), hand.closed_payment(), OTHER)
    assert "signature" in refused(stolen)


@pytest.mark.parametrize(
    ("seconds", "word"), [(-31, "future"), (3_631, "expired")], ids=["early", "late"]
)
def test_time_outside_of_the_mandate_is_refused(seconds: int, word: str):
    assert word in refused(payment_chain(), now=hand.NOW + seconds)


def test_thirty_seconds_of_skew_are_allowed():
    chain = payment_chain()

    read(chain, now=hand.NOW - 30)
    read(chain, now=hand.NOW + 3_630)


@pytest.mark.parametrize(
    "header",
    [{"jku": "https://evil.test"}, {"jwk": {}}, {"x5u": "https://evil.test"}, {"x5c": []},
     {"crit": ["b64"]}, {"b64": False}],
    ids=lambda header: next(iter(header)),
)  # fmt: skip
def test_a_header_with_more_than_is_known_is_refused(header: dict[str, Any]):
    """I5, I6."""
    root = hand.open_payment(USER, AGENT, header={"kid": "k", **header})

    refused(hand.hop(root, hand.closed_payment(), AGENT))


@pytest.mark.parametrize(
    ("chain", "word"),
    [
        (payment_chain(typ="JWT"), "type"),
        (payment_chain(typ="kb+sd-jwt+kb"), "type"),
        (payment_chain(sd_hash="x" * 43), "bound"),
        (payment_chain(sd_hash=None), "bound"),
        (payment_chain(issuer_jwt_hash="x" * 43), "bound"),
        (payment_chain(aud=None), "'aud'"),
        (payment_chain(aud=[hand.AUDIENCE]), "'aud'"),
        (payment_chain(nonce=""), "'nonce'"),
        (payment_chain(iat=None), "iat"),
        (payment_chain(iat="now"), "whole seconds"),
        (payment_chain(iat=1e308), "whole seconds"),
        (payment_chain(exp=True), "whole seconds"),
        (payment_chain(_sd_alg="sha-512"), "SHA-256"),
        (payment_chain(cnf={"jwk": hand.public(OTHER)}), "the last none"),
        (payment_chain(delegate_payload=[]), "no digest"),
        (payment_chain(delegate_payload="x"), "no digest"),
    ],
)
def test_a_closing_token_that_says_something_else_is_refused(chain: str, word: str):
    """I8, I9, I10."""
    assert word in refused(chain)


def test_a_root_that_passes_as_a_last_token_is_refused():
    """I10: one type per purpose."""
    root = hand.token({"vct": "x", "cnf": {"jwk": hand.public(AGENT)}}, USER, typ="kb+sd-jwt")

    assert "type" in refused(hand.hop(root, hand.closed_payment(), AGENT))


@pytest.mark.parametrize("alg", ["none", "HS256"])
def test_only_es256_is_taken(alg: str):
    """I1, I2."""
    payload = {"delegate_payload": [{"vct": "x", "cnf": {"jwk": hand.public(AGENT)}}]}
    secret = "".join(hand.public(USER).values()) if alg == "HS256" else None
    root = jwt.encode(payload, secret, algorithm=alg, headers={"typ": "a+sd-jwt", "kid": "k"})

    refused(hand.hop(f"{root}~", hand.closed_payment(), AGENT))


def test_a_chain_of_one_is_no_closed_mandate_and_a_chain_of_two_no_root():
    with pytest.raises(BadChain):
        read(hand.open_payment(USER, AGENT))
    with pytest.raises(BadChain):
        sdjwt.read_root(payment_chain(), key=VerifyingKey(hand.public(USER)), now=hand.NOW)


@pytest.mark.parametrize("text", ["", "~", "~~", "a", "a~~", "~a~", "a~~b", "ä~", "a~" * 200])
def test_text_that_is_no_chain_is_refused(text: str):
    refused(text)


def test_bounds_hold():
    """I14."""
    refused("a" * (sdjwt.MAX_CHAIN + 1))
    refused("~~".join(["a.b.c"] * (sdjwt.MAX_TOKENS + 1)) + "~")
    deep: Any = {"leaf": 1}
    inner: tuple[str, ...] = ()
    for depth in range(60):
        inner = (*inner, hand.disclosure(str(depth), "m", deep))
        deep = {"_sd": [hand.hash_of(inner[-1])]}
    root = hand.token({"vct": "x", **deep}, USER, inner=inner)
    assert "deeper" in refused(hand.hop(root, hand.closed_payment(), AGENT))


# Disclosures


def with_disclosures(*inner: str, **mandate: Any) -> str:
    root = hand.token(
        {"vct": "x", "cnf": {"jwk": hand.public(AGENT)}, **mandate}, USER, inner=inner
    )
    return hand.hop(root, hand.closed_payment(), AGENT)


ELEMENT = hand.disclosure("s", {"id": "a"})
MEMBER = hand.disclosure("s", "more", 1)


@pytest.mark.parametrize(
    ("chain", "word"),
    [
        (with_disclosures(ELEMENT), "no digest"),
        (with_disclosures(ELEMENT, ELEMENT, a=[{"...": hand.hash_of(ELEMENT)}]), "twice"),
        (with_disclosures(ELEMENT, a=[{"...": hand.hash_of(ELEMENT)}] * 2), "twice"),
        (with_disclosures(MEMBER, a=[{"...": hand.hash_of(MEMBER)}]), "form"),
        (with_disclosures(ELEMENT, _sd=[hand.hash_of(ELEMENT)]), "form"),
        (with_disclosures(MEMBER, _sd=[hand.hash_of(MEMBER)], more=2), "twice"),
        (with_disclosures(_sd="x"), "list"),
        (with_disclosures(_sd=[1]), "digest"),
        (with_disclosures(**{"...": "x"}), "outside"),
        (with_disclosures(a=[{"...": "x", "b": 1}]), "form"),
        (with_disclosures(hand.disclosure("s"), a=1), "list of salt"),
        (with_disclosures(hand.disclosure(1, 2), a=1), "text"),
        (with_disclosures(hand.disclosure("s", "_sd", 2), a=1), "called"),
        (with_disclosures(hand.b64(b"[1, 2"), a=1), "JSON"),
        (with_disclosures(hand.b64(b'["s", {"a": 1, "a": 2}]'), a=1), "twice"),
        (with_disclosures("AB", a=1), "spelling"),
    ],
)
def test_a_disclosure_that_is_not_of_its_form_is_refused(chain: str, word: str):
    """I14, I16."""
    assert word in refused(chain)
