"""The shopper: one buying journey through six stages, by a policy of its own.

Find, evaluate, trust-check, transact, use, recommend. Whatever it decides, and why, it writes into
the journey's session at the end of each stage, also when it leaves.
"""

from typing import Final

from buyer_agents.buying import (
    FollowSession,
    await_approval,
    place,
    reason_of,
    recommend,
    use,
    watch_order,
)
from buyer_agents.choosing import AskHuman, Trip, check_trust, evaluate, find, nobody
from buyer_agents.client import MarketClient
from buyer_agents.errors import Refused
from buyer_agents.experience import recall
from buyer_agents.journey import Diary, Journey, Left
from buyer_agents.needs import Need
from buyer_agents.policies import Policy
from buyer_agents.streams import follow_session

SHORTLIST: Final = 5
PATIENCE_SECONDS: Final = 120.0

_ENDED: Final = frozenset({"settled", "cancelled", "failed"})


class Shopper:
    """A buyer that turns needs into journeys; one may walk several at once.

    ``mandate_id`` is the authority it spends under; ``ask_human`` decides where the policy would
    rather ask; ``shortlist`` bounds how many services it evaluates; ``patience_seconds`` bounds
    the silence of a seller before the order is cancelled; ``follow`` is the live log's transport.
    """

    def __init__(
        self,
        market: MarketClient,
        policy: Policy,
        *,
        mandate_id: str | None = None,
        ask_human: AskHuman = nobody,
        shortlist: int = SHORTLIST,
        patience_seconds: float = PATIENCE_SECONDS,
        follow: FollowSession = follow_session,
    ) -> None:
        self._market = market
        self._policy = policy
        self._mandate_id = mandate_id
        self._ask_human = ask_human
        self._shortlist = shortlist
        self._patience_seconds = patience_seconds
        self._follow = follow

    async def run(self, need: Need) -> Journey:
        """Walk one journey to its end and return how it went.

        Raises:
            MarketUnreachable: the market stayed away; the session is still open.
        """
        labels = {"policy": type(self._policy).__name__, **need.labels}
        session = await self._market.open_session(need.query, labels)
        diary = Diary(self._market, session.id, session.next_offset)
        try:
            await self._walk(diary, need)
        except Left as left:
            await diary.leave(left)
        except Refused as refused:
            await diary.leave(Left(reason_of(refused), str(refused)))
        await self._close(diary)
        return diary.journey()

    async def _walk(self, diary: Diary, need: Need) -> None:
        trip = Trip(
            market=self._market,
            policy=self._policy,
            need=need,
            diary=diary,
            memory=await recall(self._market),
            shortlist=self._shortlist,
            ask_human=self._ask_human,
        )
        chosen = await check_trust(trip, await evaluate(trip, await find(trip)))
        order = await place(trip, chosen, mandate_id=self._mandate_id)
        watch = watch_order(
            trip, order, follow=self._follow, patience_seconds=self._patience_seconds
        )
        diary.outputs, diary.interventions = watch.outputs, watch.interventions
        await await_approval(trip, chosen, order, watch)
        judgement = await use(trip, chosen, order, watch)
        await recommend(trip, chosen, order, judgement)

    async def _close(self, diary: Diary) -> None:
        """Close the session, unless an order in it has still to end there; keep its receipt."""
        if diary.order_id is not None:
            order = await self._market.order(diary.order_id)
            if order.state not in _ENDED:
                return
            if diary.receipt is None and order.receipt_id is not None:
                diary.receipt = await self._market.receipt(order.receipt_id)
        await self._market.close_session(diary.session_id)
