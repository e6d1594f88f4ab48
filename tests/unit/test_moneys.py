"""What sellers earned and buyers spent, over a ledger planted by hand."""

from typing import Any

import pytest

from market.analytics import Facts, budgets, money
from tests.planted import NOON, after, planted

BUYER, SELLER = "buyer", "seller"


def posted(order: str, reason: str, *legs: tuple[str, str, int], number: int = 1) -> list[dict]:
    """A balanced act: (kind of account, owner, amount) of each leg."""
    assert sum(amount_minor for _, _, amount_minor in legs) == 0
    return [
        {
            "transaction_id": f"{order}-{reason}-{number}", "account_id": f"{kind}-{owner}",
            "account_kind": kind, "owner_id": owner, "reason": reason, "order_id": order or None,
            "amount_minor": amount_minor, "currency": "XTS",
        }
        for kind, owner, amount_minor in legs
    ]  # fmt: skip


def held(order: str, amount_minor: int) -> list[dict]:
    legs = [("wallet", BUYER, -amount_minor), ("escrow", order, amount_minor)]
    return posted(order, "escrow.hold", *legs)


def voided(order: str, amount_minor: int) -> list[dict]:
    legs = [("wallet", BUYER, amount_minor), ("escrow", order, -amount_minor)]
    return posted(order, "escrow.void", *legs)


def order(name: str, state: str, amount_minor: int, **more: Any) -> dict:
    nothing = dict.fromkeys(
        ["captured_minor", "fee_minor", "referral_minor", "returned_minor", "refunded_minor"], 0
    )
    return {
        "order_id": name, "session_id": f"ses-{name}", "buyer_id": BUYER, "seller_id": SELLER,
        "state": state, "amount_minor": amount_minor, "currency": "XTS", "deliver_by": after(60),
        "placed_at": NOON, **nothing, **more,
    }  # fmt: skip


ORDERS = [
    # 400 paid: 6 to the market, 40 to a referrer, 100 given back, of which the market gave 1.
    order("sold", "settled", 400, captured_minor=400, fee_minor=6, referral_minor=40,
          refunded_minor=100, ended_at=after(50)),
    order("late", "failed", 300, returned_minor=300, ended_at=after(60)),
    order("refused", "failed", 200, returned_minor=200, ended_at=after(10)),
    order("unanswered", "cancelled", 70, returned_minor=70, ended_at=after(30)),
    order("silent", "failed", 50, returned_minor=50, ended_at=after(20)),
    order("open", "started", 90, captured_minor=30, fee_minor=0),
]  # fmt: skip
POSTINGS = [
    *held("sold", 400),
    *posted("sold", "escrow.capture", ("escrow", "sold", -400), ("wallet", SELLER, 354),
            ("wallet", "friend", 40), ("fees", "market", 6)),
    *posted("sold", "order.refund", ("wallet", BUYER, 100), ("wallet", SELLER, -99),
            ("fees", "market", -1)),
    *held("late", 300), *voided("late", 300),
    *held("refused", 200), *voided("refused", 200),
    *held("unanswered", 70), *voided("unanswered", 70),
    *held("silent", 50), *voided("silent", 50),
    *held("open", 90),
    *posted("open", "escrow.capture", ("escrow", "open", -30), ("wallet", SELLER, 30)),
    *posted("", "issuance.mint", ("issuance", "market", -2_000), ("wallet", BUYER, 2_000)),
    # What it puts at stake is no earning, what it loses of that is a loss: 99 of the refund come
    # out of its bond, and 200 go to the market for the order that was late.
    *posted("", "bond.post", ("wallet", SELLER, -400), ("bond", SELLER, 400)),
    *posted("sold", "bond.draw", ("bond", SELLER, -99), ("wallet", SELLER, 99)),
    *posted("late", "bond.forfeit", ("bond", SELLER, -200), ("fees", "market", 200)),
]  # fmt: skip
EVENTS = [
    {"session_id": "ses-unanswered", "offset": 3, "kind": "approval.expired",
     "order_id": "unanswered"},
    {"session_id": "ses-silent", "offset": 3, "kind": "order.stalled", "order_id": "silent"},
    {"session_id": "ses-open", "offset": 3, "kind": "order.stalled", "order_id": "open"},
]  # fmt: skip
AGENTS = [
    {"agent_id": BUYER, "handle": "thrifty", "kind": "buyer"},
    {"agent_id": SELLER, "handle": "acme", "kind": "seller"},
]


def market(**frames: list[dict]) -> Facts:
    usual = {"orders": ORDERS, "postings": POSTINGS, "events": EVENTS, "agents": AGENTS}
    return planted(**(usual | frames))


def test_a_sellers_money_adds_up_and_the_ledger_says_the_same():
    assert money(market()).rows(named=True) == [
        {
            "seller_id": SELLER, "seller": "acme", "currency": "XTS", "orders": 6,
            "revenue_minor": 430, "fees_minor": 6, "referrals_minor": 40, "refunds_minor": 100,
            "drawn_minor": 99, "forfeited_minor": 200, "kept_minor": 354 - 99 + 30 - 200,
            "held_minor": 60, "returned_minor": 620,
            "expired_minor": 300 + 70 + 50, "difference_minor": 0,
        }
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("broken", "difference_minor"),
    [
        # A leg that is missing: the transaction is off by it, and so is the fee.
        (lambda one: one["account_id"] == "fees-market" and one["amount_minor"] == 6, 12),
        (lambda one: one["transaction_id"] == "late-escrow.void-1", 600),
        (lambda one: one["transaction_id"] == "open-escrow.hold-1", 90),
        # What the bond lost did not come to the market.
        (lambda one: one["account_id"] == "fees-market" and one["amount_minor"] == 200, 200),
    ],
    ids=["a fee", "a return", "a hold", "a forfeit"],
)
def test_what_the_ledger_lacks_is_a_difference(broken, difference_minor: int):
    found = money(market(postings=[one for one in POSTINGS if not broken(one)]))

    assert found["difference_minor"].to_list() == [difference_minor]


def test_a_buyers_spending_is_held_against_its_wallet_and_its_mandates():
    mandates = [
        {"mandate_id": name, "buyer_id": BUYER, "currency": "XTS", "budget_minor": budget_minor,
         "spent_minor": spent_minor}
        for name, budget_minor, spent_minor in [("one", 1_000, 360), ("two", 500, 0)]
    ]  # fmt: skip
    reasons = ["budget", "mandate", "mandate", "approval_denied", "price"]
    left = [
        {"session_id": f"left-{number}", "stage": "transacting", "buyer_id": BUYER,
         "outcome": "left", "reason": reason}
        for number, reason in enumerate(reasons)
    ]  # fmt: skip

    assert budgets(market(mandates=mandates, stages=left)).rows(named=True) == [
        {
            "buyer_id": BUYER, "buyer": "thrifty", "currency": "XTS", "funded_minor": 2_000,
            "orders": 6, "spent_minor": 330, "held_minor": 60, "spent_share": 0.165,
            "mandates": 2, "budget_minor": 1_500, "charged_minor": 360, "budget_share": 0.24,
            "refused_budget": 1, "refused_mandate": 2, "denied": 1,
        }
    ]  # fmt: skip


def test_a_mandate_without_a_budget_leaves_the_sum_open():
    mandates = [
        {"mandate_id": "one", "buyer_id": BUYER, "currency": "XTS", "budget_minor": 5,
         "spent_minor": 1},
        {"mandate_id": "two", "buyer_id": BUYER, "currency": "XTS", "spent_minor": 2},
    ]  # fmt: skip

    found = budgets(market(mandates=mandates)).row(0, named=True)

    assert (found["budget_minor"], found["charged_minor"], found["budget_share"]) == (None, 3, None)


def test_a_buyer_with_a_mandate_and_nothing_else_has_a_row():
    mandates = [{"mandate_id": "one", "buyer_id": "idle", "currency": "XTS", "spent_minor": 0}]

    found = budgets(planted(mandates=mandates)).row(0, named=True)

    assert (found["buyer_id"], found["orders"], found["funded_minor"]) == ("idle", 0, 0)
    assert found["spent_share"] is None
