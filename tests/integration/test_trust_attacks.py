"""What attackers try, in facts: each is answered by the rule as it runs in the store."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from market import trust
from market.base.clock import Clock, ManualClock
from market.base.store import Store
from market.base.work import Snapshot, UnitOfWork
from market.trust import batches
from market.trust.comparing import without_anchor
from tests.integration.test_trust import make_anchor, reference, weigh

ANCHORS = [f"anchor {number}" for number in range(5)]
HONEST = [f"buyer {number}" for number in range(20)]
GOOD = [f"good {number}" for number in range(6)]
PRICE = 1_000


@pytest.fixture
def clock() -> Clock:
    return ManualClock(datetime(2026, 11, 1, 8, tzinfo=UTC))


@pytest.fixture
def settings(sqlite_settings: Any) -> Any:
    """One database: what is tested is the rule."""
    return sqlite_settings


class Street:
    """A market with history: five anchors and twenty honest buyers at six good sellers."""

    def __init__(self, store: Store) -> None:
        self.store = store
        self.orders = 0

    def buy(
        self,
        buyer: str,
        seller: str,
        ending: str = "settled",
        verdict: str = "",
        price: int = PRICE,
    ) -> None:
        self.orders += 1
        self.store.write_now(self._tell, buyer, seller, ending, verdict, price)

    def _tell(
        self, uow: UnitOfWork, buyer: str, seller: str, ending: str, verdict: str, price: int
    ) -> None:
        kinds = [f"order.{ending}", *([f"review.{verdict}"] if verdict else [])]
        for kind in kinds:
            trust.record(
                uow,
                kind=kind,  # type: ignore[arg-type]
                order_id=f"ord_{self.orders}",
                service_id="svc_1",
                seller_id=seller,
                buyer_id=buyer,
                amount_minor=price,
                is_on_time=ending == "settled",
            )

    def scores(self, sellers: Iterable[str]) -> dict[str, float]:
        return self.store.read_now(trust.scores, seller_ids=list(sellers))

    def score(self, seller: str) -> float:
        return self.scores([seller])[seller]

    def place(self, seller: str) -> float:
        """Where a seller stands among the good ones: 0 is best, 1 below all of them."""
        others = [score for name, score in self.scores(GOOD).items() if name != seller]
        return sum(score > self.score(seller) for score in others) / len(others)


@pytest.fixture
def street(store: Store) -> Street:
    street = Street(store)
    for name in ANCHORS:
        store.write_now(make_anchor, name, ["ada", "bob"])
    for turn in range(6):
        for number, buyer in enumerate(ANCHORS + HONEST):
            seller = GOOD[(number + turn) % len(GOOD)]
            is_bad = (number + turn * 7) % 11 == 0
            street.buy(buyer, seller, verdict="bad" if is_bad else "good")
            street.buy(buyer, GOOD[(number * 5 + turn) % len(GOOD)])
    weigh(store)
    return street


def test_money_at_vouched_sellers_makes_a_word_weigh(street: Street):
    def weights(snapshot: Snapshot) -> dict[str, int]:
        rows = batches.kept_frame(snapshot, batches.BUYERS).iter_rows(named=True)
        return {row["buyer_id"]: row["vouched_micro"] for row in rows}

    found = street.store.read_now(weights)

    assert min(found[name] for name in HONEST) >= 200_000
    assert found["anchor 0"] > found["buyer 0"]


def typical(street: Street) -> int | None:
    weigh(street.store)
    return street.store.read_now(trust.typical_minor, currency="XTS")


def test_new_names_do_not_say_what_is_typical(street: Street):
    """T1: a hundred sellers that sell one trifle each make nobody's purchase a large one."""
    for number in range(100):
        street.buy(f"fake {number}", f"trifle {number}", price=1)

    assert typical(street) == PRICE


def test_what_was_refunded_is_not_typical(store: Store):
    """T1: or it would cost nothing to move what is, in a market where nobody is an anchor yet."""
    street = Street(store)
    street.buy("buyer", "seller")
    for number in range(10):
        street.buy("fake", f"dear {number}", price=1_000 * PRICE)
        store.write_now(
            trust.record,
            kind="order.refunded",
            order_id=f"ord_{street.orders}",
            service_id="svc_1",
            seller_id=f"dear {number}",
            buyer_id="fake",
            amount_minor=1,
        )

    assert typical(street) == PRICE


def test_a_hundred_fakes_are_one_voice(street: Street):
    """T1: sybil reviews by wash trades: all unvouched reviewers together count as one voice."""
    for number in range(100):
        for _ in range(3):
            street.buy(f"fake {number}", "sybil", verdict="good")
    weigh(street.store)

    standing = street.store.read_now(trust.standing, seller_id="sybil")
    found = trust.score_of(trust.memory_of(standing))

    assert standing.vouched_good == 0
    assert found.good <= 2.0
    assert street.place("sybil") == 1.0


def test_a_ring_with_real_side_purchases_gains_less_than_it_pays_and_is_seen(street: Street):
    """T2: real orders elsewhere buy weight slowly; the overlap of reviewers shows the ring."""
    ring = [f"ring {number}" for number in range(4)]
    fakes = [f"fake {number}" for number in range(12)]
    for turn in range(3):
        for number, fake in enumerate(fakes):
            for seller in ring:
                street.buy(fake, seller, verdict="good")
            if turn == 0:
                street.buy(fake, GOOD[number % len(GOOD)], verdict="good")
    weigh(street.store)

    assert all(street.place(seller) == 1.0 for seller in ring)
    quiet = [f"loner {number}" for number in range(12)]
    for fake in quiet:
        for seller in ("closed 0", "closed 1", "closed 2"):
            street.buy(fake, seller, verdict="good")
    weigh(street.store)
    report = street.store.read_now(
        trust.report, service_id="svc_1", slug="closed", seller_id="closed 0", registered_at=""
    )
    assert "closed_ring" in report.flags
    honest = street.store.read_now(
        trust.report, service_id="svc_1", slug="good", seller_id="good 0", registered_at=""
    )
    assert "closed_ring" not in honest.flags


def test_bad_mouthing_is_cut_by_the_consensus(street: Street):
    """T3: forty fakes buy from the best seller and blame it: it hardly moves."""
    best = max(GOOD, key=street.score)
    before = street.score(best)
    for number in range(40):
        street.buy(f"mouth {number}", best, verdict="bad")
    weigh(street.store)

    assert street.score(best) >= before - 0.12
    assert street.score(best) > street.score("nobody")


def test_the_ledger_outranks_the_text(street: Street):
    """T3: praise does not make a failed or refunded order good."""
    for number in range(5):
        street.buy(HONEST[number], "failing", ending="failed", verdict="good")
    standing = street.store.read_now(trust.standing, seller_id="failing")

    assert (standing.vouched_good, standing.crowd_good) == (0, 0)
    assert street.score("failing") < street.score("nobody")


def test_a_new_name_stands_at_the_bottom(street: Street):
    """T4: whoever comes back under a new name is below every seller that served well."""
    assert street.place("fresh start") == 1.0


@pytest.mark.parametrize("price", [PRICE, 20 * PRICE], ids=["as ever", "one big order"])
def test_an_exit_scam_is_out_of_the_upper_half_within_twenty_failed_orders(
    street: Street, price: int
):
    """T5: the short memory sees it; waiting heals nothing."""
    best = max(GOOD, key=street.score)
    assert street.place(best) == 0.0
    failed = 0
    while street.place(best) <= 0.5:
        street.buy(HONEST[failed % len(HONEST)], best, ending="failed", price=price)
        failed += 1

    assert failed <= 20
    for number in range(5):
        street.buy(HONEST[number], best, ending="failed", price=price)
    clock = street.store.clock
    assert isinstance(clock, ManualClock)
    clock.advance(timedelta(days=20))
    weigh(street.store)
    assert street.place(best) > 0.5


def test_buying_from_oneself_makes_no_name_good(street: Street):
    """M18: orders between two of one principal are kept and count for nothing."""

    def tell(uow: UnitOfWork) -> None:
        for number in range(10):
            trust.record(
                uow,
                kind="order.settled",
                order_id=f"own {number}",
                service_id="svc_1",
                seller_id="own",
                buyer_id="self",
                amount_minor=PRICE,
                is_own=True,
            )

    street.store.write_now(tell)

    assert street.score("own") == street.score("nobody")


def test_the_word_of_a_stolen_anchor_alone_vouches_for_nobody(street: Street):
    """T8: the two most generous anchors of a seller are left out."""
    for _ in range(10):
        street.buy("anchor 0", "bribing", verdict="good")
        street.buy("anchor 1", "bribing", verdict="good")
    weigh(street.store)

    def vouched(snapshot: Snapshot) -> dict[str, int]:
        rows = batches.kept_frame(snapshot, batches.SELLERS).iter_rows(named=True)
        return {row["seller_id"]: row["vouched_micro"] for row in rows}

    found = street.store.read_now(vouched)
    assert found["bribing"] == 0
    assert min(found[name] for name in GOOD) > 0


def test_scores_without_an_anchor_are_one_question(street: Street):
    """T8: recompute without them in one command."""
    found = street.store.read_now(batches.gathered)

    effects = without_anchor(found, "anchor 0")

    assert {effect.seller_id for effect in effects} == set(GOOD)
    assert any(effect.now != effect.then for effect in effects)
    assert street.scores(GOOD) == {effect.seller_id: effect.now.score for effect in effects}


def test_the_plain_rule_finds_the_same_for_the_whole_street(street: Street):
    """T9: the same number from a third party's recompute, buyers' weights included."""

    def kept(snapshot: Snapshot) -> dict[str, tuple[int, int, int]]:
        rows = batches.kept_frame(snapshot, batches.BUYERS).iter_rows(named=True)
        return {
            row["buyer_id"]: (row["vouched_micro"], row["crowd_micro"], row["calibration_micro"])
            for row in rows
        }

    assert street.store.read_now(kept) == reference(street.store).buyers
    assert street.store.read_now(batches.check) == []
