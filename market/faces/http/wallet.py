"""Money over HTTP: the caller's wallet and statement; the sandbox's faucet."""

from litestar import Controller
from litestar.di import NamedDependency
from litestar.params import FromQuery, JSONBody

from market import ledger
from market.base.caller import Caller
from market.base.once import Once
from market.base.paging import Cursor, Limit
from market.base.store import Store
from market.faces.http import acts
from market.faces.http.binding import get, post
from market.protocol.wire import Fund, Page, PostingView, WalletView


class WalletController(Controller):
    path = "/v1/wallet"
    tags = ("wallet",)

    @get(scopes=("read",))
    async def read_wallet(
        self, caller: NamedDependency[Caller], store: NamedDependency[Store]
    ) -> WalletView:
        """Say what the caller can spend, and what lies in escrow."""
        caller.need("read")
        return await store.read(ledger.wallet, agent_id=caller.agent_id)

    @get("/statement", scopes=("read",))
    async def read_statement(
        self,
        caller: NamedDependency[Caller],
        store: NamedDependency[Store],
        limit: FromQuery[Limit] = 50,
        cursor: FromQuery[Cursor | None] = None,
    ) -> Page[PostingView]:
        """List every change of the caller's wallet, newest first."""
        caller.need("read")
        return await store.scan(
            ledger.statement, agent_id=caller.agent_id, cursor=cursor, limit=limit
        )


class FaucetController(Controller):
    tags = ("wallet",)

    @post("/v1/faucet", status=200, refuses=(403, 404, 409), scopes=("fund",))
    async def fund_agent(
        self,
        request: JSONBody[Fund],
        once: NamedDependency[Once],
        caller: NamedDependency[Caller],
        store: NamedDependency[Store],
    ) -> WalletView:
        """Give an agent sandbox money. Overseers only, and only in sandbox mode."""
        return await store.write_once(
            once, acts.fund, caller=caller, request=request, idempotency_key=once.key
        )
