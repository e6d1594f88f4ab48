"""Whatever is asked of the ledger, in whatever order: money is conserved, and every law holds."""

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from market import ledger
from market.base.errors import MarketError
from market.base.settings import Settings
from market.base.store import Store
from market.base.work import UnitOfWork

AGENTS = ("a" * 43, "b" * 43, "c" * 43)
ORDERS = tuple(f"ord_{number:026d}" for number in range(3))
AMOUNTS = st.integers(0, 120)
ACTS = st.one_of(
    st.tuples(st.just("mint"), st.sampled_from(AGENTS), AMOUNTS),
    st.tuples(
        st.just("hold"),
        st.sampled_from(ORDERS),
        st.sampled_from(AGENTS),
        st.sampled_from(AGENTS),
        AMOUNTS,
    ),
    st.tuples(st.just("capture"), st.sampled_from(ORDERS), AMOUNTS, st.integers(0, 10_000)),
    st.tuples(st.just("void"), st.sampled_from(ORDERS), AMOUNTS),
    st.tuples(st.just("refund"), st.sampled_from(ORDERS), AMOUNTS),
    st.tuples(st.just("fold")),
)


class Undo(Exception):
    """Ends an example, so that the next begins on an empty ledger."""


class Book:
    """What the acts of one example concern: the parties of each order."""

    def __init__(self, uow: UnitOfWork) -> None:
        self.uow = uow
        self.minted = 0
        self.parties: dict[str, tuple[str, str]] = {}
        self.wallets = {
            agent_id: ledger.open_wallet(uow, agent_id=agent_id, currency="XTS")
            for agent_id in AGENTS
        }
        self.escrows = {
            order_id: ledger.open_escrow(uow, order_id=order_id, currency="XTS")
            for order_id in ORDERS
        }

    def mint(self, agent_id: str, amount_minor: int) -> None:
        self.minted += amount_minor
        ledger.mint(
            self.uow,
            agent_id=agent_id,
            amount_minor=amount_minor,
            currency="XTS",
            idempotency_key=str(self.minted),
        )

    def hold(self, order_id: str, buyer_id: str, seller_id: str, amount_minor: int) -> None:
        if self.parties.setdefault(order_id, (buyer_id, seller_id)) == (buyer_id, seller_id):
            ledger.hold(
                self.uow,
                wallet_id=self.wallets[buyer_id],
                escrow_id=self.escrows[order_id],
                amount_minor=amount_minor,
                order_id=order_id,
            )

    def capture(self, order_id: str, captured_minor: int, basis_points: int) -> None:
        _, seller_id = self.parties.get(order_id, AGENTS[:2])
        ledger.capture(
            self.uow,
            escrow_id=self.escrows[order_id],
            seller_wallet_id=self.wallets[seller_id],
            captured_minor=captured_minor,
            fee_minor=captured_minor * basis_points // 10_000,
            order_id=order_id,
        )

    def void(self, order_id: str, amount_minor: int) -> None:
        buyer_id, _ = self.parties.get(order_id, AGENTS[:2])
        ledger.void(
            self.uow,
            escrow_id=self.escrows[order_id],
            wallet_id=self.wallets[buyer_id],
            amount_minor=amount_minor,
            order_id=order_id,
        )

    def refund(self, order_id: str, amount_minor: int) -> None:
        buyer_id, seller_id = self.parties.get(order_id, AGENTS[:2])
        ledger.refund(
            self.uow,
            seller_wallet_id=self.wallets[seller_id],
            wallet_id=self.wallets[buyer_id],
            amount_minor=amount_minor,
            order_id=order_id,
        )

    def fold(self) -> None:
        ledger.fold_house(self.uow)

    def do(self, name: str, *particulars: Any) -> None:
        """Do one act as a unit of its own: a refusal leaves nothing behind."""
        self.uow.connection.execute("SAVEPOINT act")
        minted = self.minted
        try:
            getattr(self, name)(*particulars)
        except MarketError:
            self.uow.connection.execute("ROLLBACK TO act")
            self.minted = minted
        self.uow.connection.execute("RELEASE act")

    def held(self) -> dict[str, int]:
        views = [ledger.wallet(self.uow, agent_id=agent_id).balances[0] for agent_id in AGENTS]
        return {
            "available": sum(view.available_minor for view in views),
            "held": sum(view.held_minor for view in views),
            "fees": ledger.house_balance(self.uow, kind="fees", currency="XTS"),
        }


@settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(acts=st.lists(ACTS, min_size=1, max_size=25))
def test_money_is_conserved_and_every_law_holds(
    sqlite_settings: Settings, acts: list[tuple[Any, ...]]
) -> None:
    def verb(uow: UnitOfWork) -> None:
        book = Book(uow)
        for act in acts:
            book.do(*act)
        assert ledger.check(uow) == []
        assert sum(book.held().values()) == book.minted
        for flow in ledger.escrows(uow):
            assert flow.balance_minor >= 0
            assert flow.held_minor == flow.balance_minor + flow.captured_minor + flow.voided_minor
        raise Undo

    store = Store.open(sqlite_settings)
    try:
        store.write_now(verb)
    except Undo:
        pass
    finally:
        store.close()
