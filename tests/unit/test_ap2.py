"""AP2's documents and constraints, on both sides of each edge."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from market.protocol import ap2
from market.protocol import ap2_constraints as rules
from market.protocol.ap2 import Ap2Error
from market.protocol.sdjwt import split_chain
from market.protocol.signing import SigningKey, VerifyingKey
from tests import ap2_by_hand as hand

NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
USER, AGENT = hand.key(1), hand.key(2)
HASH = "h" * 43
NOTHING = rules.Spent(0, 0)


def open_payment(*constraints: dict[str, Any], **members: Any) -> ap2.OpenPayment:
    return ap2.OpenPayment(
        constraints=list(constraints), cnf=ap2.Holder(jwk=hand.public(AGENT)), **members
    )


def closed(**changes: Any) -> ap2.ClosedPayment:
    tree = hand.closed_payment(transaction_id=HASH, **changes)
    return msgspec.convert(tree, ap2.ClosedPayment)


def check(
    *constraints: dict[str, Any],
    spent: rules.Spent = NOTHING,
    members: dict[str, Any] | None = None,
    open_checkout: Any = None,
    now: datetime = NOW,
    **changes: Any,
) -> None:
    rules.check_payment(
        open_payment(*constraints, **(members or {})),
        closed(**changes),
        open_checkout=open_checkout,
        spent=spent,
        now=now,
    )


def refusal(act: Callable[[], Any]) -> ap2.Ap2Error:
    with pytest.raises(Ap2Error) as found:
        act()
    return found.value


RANGE = {"type": "payment.amount_range", "currency": "XTS", "max": 400_000, "min": 400_000}
BUDGET = {"type": "payment.budget", "currency": "XTS", "max": 800_000}
MONTHLY = {"type": "payment.agent_recurrence", "frequency": "MONTHLY", "max_occurrences": 2}
PAYEES = {"type": "payment.allowed_payees", "allowed": [{"id": "m-1", "name": "M"}]}
WALLET = {
    "type": "payment.allowed_payment_instruments",
    "allowed": [{"id": "w", "type": "anything"}],
}
OURS = {"legal_name": "L", "brand_name": "B", "domain_name": "D"}
PISPS = {"type": "payment.allowed_pisps", "allowed": [OURS]}
PERIOD = {
    "type": "payment.execution_date", "not_before": "2026-11-22T12:00:00Z",
    "not_after": "2026-11-22",
}  # fmt: skip


@pytest.mark.parametrize("rule", [RANGE, BUDGET, PAYEES, WALLET, PERIOD], ids=lambda r: r["type"])
def test_a_payment_inside_of_a_rule_passes(rule: dict[str, Any]):
    check(rule)


def test_a_payment_inside_of_all_rules_passes():
    check(RANGE, BUDGET, MONTHLY, PAYEES, WALLET, PISPS, PERIOD, pisp=OURS,
          spent=rules.Spent(400_000, 1))  # fmt: skip


@pytest.mark.parametrize(
    ("rule", "more"),
    [
        ({**RANGE, "max": 399_999, "min": 0}, {}),
        ({**RANGE, "min": 400_001, "max": 500_000}, {}),
        ({**RANGE, "currency": "USD"}, {}),
        (BUDGET, {"spent": rules.Spent(400_001, 0)}),
        ({**BUDGET, "currency": "EUR"}, {}),
        (MONTHLY, {"spent": rules.Spent(0, 2)}),
        (RANGE, {"spent": rules.Spent(0, 1)}),
        (PAYEES, {"payee": {"id": "m-2", "name": "M"}}),
        ({**PAYEES, "allowed": []}, {}),
        (WALLET, {"payment_instrument": {"id": "card", "type": "wallet"}}),
        (PISPS, {}),
        (PISPS, {"pisp": {**OURS, "legal_name": "other"}}),
        (PERIOD, {"now": datetime(2026, 11, 22, 11, 59, 59, tzinfo=UTC)}),
        (PERIOD, {"now": datetime(2026, 11, 23, tzinfo=UTC)}),
        ({"type": "payment.execution_date", "not_after": "soon"}, {}),
        ({"type": "payment.reference", "conditional_transaction_id": HASH}, {}),
        (RANGE, {"execution_date": "2026-11-23"}),
    ],
)
def test_a_payment_outside_of_a_rule_is_refused(rule: dict[str, Any], more: dict[str, Any]):
    assert refusal(lambda: check(rule, **more)).code == "invalid_mandate"


@pytest.mark.parametrize(
    "rule",
    [
        {"type": "payment.weather"},
        {"type": 7},
        {},
        {**RANGE, "step": 10},
        {**RANGE, "max": 1.5},
        {**RANGE, "max": True},
        {**RANGE, "max": 2**53},
        {**RANGE, "max": -1},
        {**RANGE, "currency": "xts"},
        {**BUDGET, "max": 50.0},
        {**MONTHLY, "frequency": "HOURLY"},
        {**MONTHLY, "max_occurrences": 0},
        {**PAYEES, "allowed": [{"name": "without an id"}]},
        {**PAYEES, "allowed": [{"id": "", "name": "M"}]},
    ],
)
def test_a_rule_that_is_not_known_fails(rule: dict[str, Any]):
    """M4, M5."""
    assert refusal(lambda: check(rule)).code == "unresolved_constraint"


@pytest.mark.parametrize(
    "members",
    [
        {"payee": ap2.Merchant(id="m-2", name="M-1")},
        {"payment_amount": ap2.Amount(amount=399_999, currency="XTS")},
        {"payment_instrument": ap2.Instrument(id="card", type="wallet")},
        {"pisp": ap2.Pisp(**OURS)},
        {"execution_date": "2026-11-22"},
    ],
)
def test_a_member_that_the_principal_set_binds(members: dict[str, Any]):
    """M3."""
    assert refusal(lambda: check(members=members)).code == "invalid_mandate"


def test_a_reference_binds_to_its_open_checkout_mandate():
    key = SigningKey.generate("P-256")
    cnf = ap2.Holder(jwk=hand.public(AGENT))
    mine, other = (
        split_chain(ap2.sign_open(ap2.OpenCheckout(constraints=[], cnf=cnf), key=key, issuer="u"))[
            0
        ]
        for _ in range(2)
    )

    for named in rules.hashes_of(mine):
        rule = {"type": "payment.reference", "conditional_transaction_id": named}
        check(rule, open_checkout=mine)
        assert refusal(lambda: check(rule, open_checkout=other)).code == "invalid_mandate"  # noqa: B023


# Checkouts


def checkout(*lines: tuple[str, int], merchant: str = "m-1") -> ap2.Checkout:
    totals = [ap2.Total(type="subtotal", amount=5), ap2.Total(type="total", amount=5)]
    return ap2.Checkout(
        iss="u", iat=0, exp=9, id="q", merchant=ap2.Merchant(id=merchant, name="M"),
        line_items=[
            ap2.LineItem(id=str(at), item=ap2.Item(id=item, title=item), quantity=count)
            for at, (item, count) in enumerate(lines)
        ],
        status="ready_for_complete", currency="XTS", totals=totals, links=[], expires_at="",
    )  # fmt: skip


def items(*requirements: tuple[list[str], int]) -> dict[str, Any]:
    return {
        "type": "checkout.line_items",
        "items": [
            {
                "id": str(at),
                "acceptable_items": [{"id": item, "title": item} for item in acceptable],
                "quantity": quantity,
            }
            for at, (acceptable, quantity) in enumerate(requirements)
        ],
    }


def allows(rule: dict[str, Any], offered: ap2.Checkout) -> bool:
    cnf = ap2.Holder(jwk=hand.public(AGENT))
    try:
        rules.check_checkout(ap2.OpenCheckout(constraints=[rule], cnf=cnf), offered)
    except Ap2Error:
        return False
    return True


@pytest.mark.parametrize(
    ("rule", "lines", "is_allowed"),
    [
        (items((["A"], 3)), [("A", 3)], True),
        (items((["A"], 3)), [("A", 1), ("A", 2)], True),
        (items((["A"], 3)), [("A", 4)], False),
        (items((["A"], 3)), [("Z", 1)], False),
        (items((["A"], 1), (["B", "C"], 1)), [("B", 1), ("C", 1)], False),
        (items((["A"], 1), (["B", "C"], 1)), [("A", 1), ("C", 1)], True),
        (items((["A", "B"], 2), (["A", "C"], 3)), [("A", 4), ("C", 1)], True),
        (items((["A", "B"], 1), (["B", "C"], 1)), [("B", 1), ("A", 1)], True),
        (items((["A", "B"], 2**40), (["A"], 2**40)), [("A", 2**40), ("B", 2**40)], True),
        (items((["A"], 1)), [], False),
        (items(([], 9)), [("A", 1)], False),
    ],
)
def test_line_items_are_matched(rule: Any, lines: list[tuple[str, int]], is_allowed: bool):
    assert allows(rule, checkout(*lines)) == is_allowed


def test_a_merchant_is_known_by_its_id_alone():
    rule = {"type": "checkout.allowed_merchants", "allowed": [{"id": "m-1", "name": "Other"}]}

    assert allows(rule, checkout(("A", 1)))
    assert not allows(rule, checkout(("A", 1), merchant="m-2"))
    assert not allows({**rule, "allowed": []}, checkout(("A", 1)))


def test_a_checkout_rule_that_is_not_known_fails():
    cnf = ap2.Holder(jwk=hand.public(AGENT))
    for tree in ({"type": "checkout.colour"}, RANGE, {**items((["A"], 1)), "all": True}):
        mandate = ap2.OpenCheckout(constraints=[tree], cnf=cnf)
        found = refusal(lambda: rules.check_checkout(mandate, checkout()))  # noqa: B023
        assert found.code == "unresolved_constraint"


# Documents


def test_an_open_mandate_is_read_only_whole():
    whole = hand.open_payment(USER, AGENT)
    first, _, second, mandate = whole.split("~")[:4]
    key = VerifyingKey(hand.public(USER))

    opened, payment = ap2.read_open(whole, key=key, now=hand.NOW, form=ap2.OpenPayment)
    found = refusal(
        lambda: ap2.read_open(
            f"{first}~{second}~{mandate}~", key=key, now=hand.NOW, form=ap2.OpenPayment
        )
    )

    assert (opened.withheld, len(payment.constraints)) == (0, 2)
    assert found.code == "invalid_mandate"


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"vct": "mandate.payment.open.2"}, "mandates_not_supported"),
        ({"vct": "mandate.payment.1"}, "mandates_not_supported"),
        ({"only_on": "sundays"}, "invalid_mandate"),
        ({"constraints": "all"}, "invalid_mandate"),
        ({"constraints": [{}] * 51}, "invalid_mandate"),
        ({"payment_amount": {"amount": 1.0, "currency": "XTS"}}, "invalid_mandate"),
        ({"payment_amount": {"amount": -1, "currency": "XTS"}}, "invalid_mandate"),
        ({"exp": hand.NOW - 31}, "invalid_credential"),
    ],
)
def test_an_open_mandate_that_is_not_of_its_form_is_refused(changes: dict[str, Any], code: str):
    """M4, M5, Z8."""
    text = hand.open_payment(USER, AGENT, payees=(), **changes)
    key = VerifyingKey(hand.public(USER))

    found = refusal(lambda: ap2.read_open(text, key=key, now=hand.NOW, form=ap2.OpenPayment))

    assert found.code == code


def test_a_chain_that_was_passed_on_is_not_taken():
    """Z6: there are no sub-mandates, so none can be wider than its parent."""
    middle = hand.hop(
        hand.open_payment(USER, AGENT),
        {"vct": "mandate.payment.open.1", "constraints": [], "cnf": {"jwk": hand.public(USER)}},
        AGENT, typ="kb+sd-jwt+kb",
    )  # fmt: skip
    chain = hand.hop(middle, hand.closed_payment(), USER)

    found = refusal(
        lambda: ap2.read_closed(
            chain, key=VerifyingKey(hand.public(USER)), aud=hand.AUDIENCE, nonce=hand.NONCE,
            now=hand.NOW, form=ap2.ClosedPayment,
        )
    )  # fmt: skip

    assert found.code == "mandates_not_supported"


def test_a_checkout_is_the_markets_own_and_in_time():
    """I10."""
    key, other = SigningKey.generate("P-256"), SigningKey.generate("P-256")
    token = key.sign(checkout(("A", 1)), typ=ap2.CHECKOUT)

    def code(text: str = token, by: SigningKey = key, issuer: str = "u", now: int = 8) -> str:
        return refusal(lambda: ap2.read_checkout(text, key=by.public, issuer=issuer, now=now)).code

    assert ap2.read_checkout(token, key=key.public, issuer="u", now=8).amount == 5
    assert code(by=other) == "invalid_credential"
    assert code(issuer="v") == "invalid_credential"
    assert code(now=9) == "invalid_mandate"
    assert code(text=key.sign(checkout(("A", 1)), typ="quote+jwt")) == "invalid_credential"
    assert code(text=key.sign({"id": "q"}, typ=ap2.CHECKOUT)) == "invalid_credential"
