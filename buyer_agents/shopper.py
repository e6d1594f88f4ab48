"""The shopper: one buying journey through six stages, by a policy of its own.

Find, evaluate, trust-check, transact, use, recommend. Whatever it decides, and why, it writes into
the journey's session at the end of each stage, also when it leaves.
"""

from functools import partial
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
from buyer_agents.choosing import AskHuman, Choose, Trip, choose, nobody
from buyer_agents.client import MarketClient
from buyer_agents.deciding import policy_for_journey
from buyer_agents.errors import Refused
from buyer_agents.experience import recall
from buyer_agents.journey import Diary, Journey, Left
from buyer_agents.needs import Need
from buyer_agents.replaying import choose_again, read_history
from buyer_agents.resuming import Past, take_up, unfinished
from buyer_agents.streams import follow_session
from buyer_agents.weighing import NoChoice, Policy
from market.protocol.wire import SessionView

SHORTLIST: Final = 5
PATIENCE_SECONDS: Final = 120.0

_ENDED: Final = frozenset({"settled", "cancelled", "failed"})


class Shopper:
    """A buyer that turns needs into journeys; one may walk several at once.

    ``mandate_id`` is the authority it spends under; ``ask_human`` decides where the policy would
    rather ask; ``shortlist`` bounds how many services it evaluates; ``patience_seconds`` bounds
    the silence of a seller before the order is cancelled; ``follow`` is the live log's transport.
    Without ``reviews`` it publishes none: what it thinks of a delivery it still acts upon, tells
    to friends, and remembers.
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
        reviews: bool = True,
    ) -> None:
        self._market = market
        self._policy = policy
        self._mandate_id = mandate_id
        self._ask_human = ask_human
        self._shortlist = shortlist
        self._patience_seconds = patience_seconds
        self._follow = follow
        self._reviews = reviews
        self._walking: set[str] = set()

    async def run(self, need: Need) -> Journey:
        """Walk one journey to its end and return how it went.

        Raises:
            MarketUnreachable: the market stayed away; the session is still open.
        """
        session = await self._market.open_session(need.query, self._labels(need))
        diary = Diary(self._market, session.id, session.next_offset)
        return await self._journey(diary, need, None)

    async def resume(self, need: Need) -> Journey:
        """Go on with the journey for this need that was cut short, wherever it was; else begin it.

        A buyer that was killed finds its open session and its order by its key alone. What stands
        in the log is not done again: no second order, review or recommendation.

        Raises:
            MarketUnreachable: the market stayed away; the session is still open.
        """
        labels, walking = self._labels(need), frozenset(self._walking)
        past = await unfinished(self._market, need, labels, running=walking)
        if past is None:
            return await self.run(need)
        diary = Diary(self._market, past.session_id, past.next_offset, passed=past.decisions)
        return await self._journey(diary, need, past)

    async def replay(self, fork: SessionView, need: Need) -> Journey:
        """Shop on in a fork by this shopper's policy, from the stage where it branched off.

        What was found in the history is not searched again; what it decided before the fork is
        not decided again. Whatever follows is this shopper's own, and costs its own money.

        Raises:
            MarketUnreachable: the market stayed away; the session is still open.
        """
        history = await read_history(self._market, fork)
        diary = Diary(self._market, fork.id, fork.next_offset, passed=history.passed)
        return await self._journey(diary, need, None, partial(choose_again, history=history))

    def _labels(self, need: Need) -> dict[str, str]:
        return {"policy": type(self._policy).__name__, **need.labels}

    async def _journey(
        self, diary: Diary, need: Need, past: Past | None, choose: Choose = choose
    ) -> Journey:
        self._walking.add(diary.session_id)
        try:
            if past is not None and past.farewell is not None:
                diary.left_before(past.farewell)
            else:
                await self._walk(diary, need, past, choose)
        except Left as left:
            await diary.leave(left)
        except NoChoice as undecided:
            await diary.leave(Left("other", str(undecided)))
        except Refused as refused:
            await diary.leave(Left(reason_of(refused), str(refused)))
        finally:
            self._walking.discard(diary.session_id)
        await self._close(diary)
        return diary.journey()

    async def _walk(self, diary: Diary, need: Need, past: Past | None, choose: Choose) -> None:
        policy = policy_for_journey(self._policy)
        trip = Trip(
            market=self._market,
            policy=policy,
            need=need,
            diary=diary,
            memory=await recall(self._market),
            shortlist=self._shortlist,
            ask_human=self._ask_human,
            done=past.kinds if past is not None else frozenset(),
            reviews=self._reviews,
        )
        if past is not None and past.order is not None:
            order, after = past.order, -1
            chosen = await take_up(trip, past, order)
        else:
            chosen = await choose(trip)
            after = diary.last_offset
            order = await place(trip, chosen, mandate_id=self._mandate_id)
        watch = watch_order(
            trip, order, after=after, follow=self._follow, patience_seconds=self._patience_seconds
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
