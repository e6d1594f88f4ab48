"""Casting: keys, registration, mandates and money for everybody in a story."""

from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from fnmatch import fnmatchcase

from anyio.abc import TaskGroup
from msgspec import UNSET, UnsetType

from buyer_agents import MarketClient, Need
from market.protocol.commitments import Limits
from market.protocol.money import parse_amount
from scenarios.engine.agents import BuyersClient, BuyersView, SellersClient
from scenarios.engine.breaks import Breaks, give_up, is_own
from scenarios.engine.cable import Cable
from scenarios.engine.director import Director
from scenarios.engine.doubling import Doubler
from scenarios.engine.faults import LINE_FAULTS
from scenarios.engine.files import input_of
from scenarios.engine.form import (
    BuyerPart,
    MandatePart,
    SellerPart,
    SubAgentPart,
    WatcherPart,
    names_of,
    principal_of,
    seconds,
)
from scenarios.engine.helping import Helper
from scenarios.engine.seeds import key_of, nonces_of
from scenarios.engine.services import seller_for
from scenarios.engine.stalls import Stall
from scenarios.engine.story import Story
from scenarios.engine.telling import Broke, Resumed, Tell
from scenarios.engine.vouching import OVERSEER, overseers, vouch
from scenarios.engine.watchers import Watcher
from scenarios.engine.worlds import Options, World, is_simulated


@dataclass(frozen=True, kw_only=True)
class Buyer:
    """A buyer who is ready to go. ``number`` counts those of one table, from 0."""

    name: str
    number: int
    part: BuyerPart
    client: MarketClient
    view: BuyersView
    need: Need
    mandate_id: str | None


@dataclass(frozen=True, kw_only=True)
class Cast:
    """Everybody: ``names`` by agent id; those that have wallets, and the sellers, by name."""

    names: Mapping[str, str]
    buyers: list[Buyer]
    wallets: Mapping[str, MarketClient]
    sellers: Mapping[str, SellersClient]
    minted_minor: int


class Casting:
    """Brings a story's agents into a market, one after the other in the order of the file."""

    def __init__(
        self,
        story: Story,
        seed: int,
        world: World,
        *,
        overseer: MarketClient,
        director: Director,
        breaks: Breaks,
        tell: Tell,
    ) -> None:
        self._story = story
        self._seed = seed
        self._world = world
        self._breakables = director.breakables
        self._overseer = overseer
        self._director = director
        self._breaks = breaks
        self._tell = tell
        scenario = story.scenario
        self._sellers = [name for part in scenario.sellers for name in names_of(part)]
        self._buyers = [name for part in scenario.buyers for name in names_of(part)]
        workers = [part.name for part in scenario.sub_agents]
        everybody = (*overseers(scenario), *self._sellers, *self._buyers, *workers)
        self._ids = {name: key_of(seed, name).kid for name in everybody}
        self._wallets: dict[str, MarketClient] = {}
        self._sellers_clients: dict[str, SellersClient] = {}
        self._minted_minor = 0

    async def cast(self, stack: AsyncExitStack, group: TaskGroup) -> Cast:
        """Register everybody, list the services, fund the wallets.

        ``stack`` keeps the clients open, ``group`` the sellers at work.
        """
        scenario = self._story.scenario
        await self._overseer.register(OVERSEER, "overseer")
        for number, seller in enumerate(scenario.sellers):
            for name in names_of(seller):
                await self._seller(stack, group, seller, name, number)
        buyers = [
            await self._buyer(stack, group, part, name, number)
            for part in scenario.buyers
            for number, name in enumerate(names_of(part))
        ]
        trusted = [buyer.client.agent_id for buyer in buyers if buyer.part.vouched]
        await vouch(self._overseer, trusted, world=self._world, seed=self._seed)
        for watcher in scenario.watchers:
            await self._watcher(stack, watcher)
        for sub_agent in scenario.sub_agents:
            await self._sub_agent(stack, sub_agent)
        return Cast(
            names={agent_id: name for name, agent_id in self._ids.items()},
            buyers=buyers,
            wallets=self._wallets,
            sellers=self._sellers_clients,
            minted_minor=self._minted_minor,
        )

    async def _seller(
        self, stack: AsyncExitStack, group: TaskGroup, part: SellerPart, name: str, table: int
    ) -> None:
        client = SellersClient(
            await self._line(stack, name),
            key_of(self._seed, name),
            name=name,
            nonce=nonces_of(self._seed, name),
            pace_seconds=seconds(part.pace),
            reaches=self._director.reaches,
            options=self._options(name),
        )
        self._wallets[name] = await stack.enter_async_context(client)
        self._sellers_clients[name] = client
        self._breakables.sellers[name] = self._breakables.clients[name] = client
        has_threads = not is_simulated(self._story.scenario)
        seller = seller_for(part, name, self._seed, has_threads=has_threads)
        broke = self._when_broken(client, part, name, table)
        stall = self._breakables.stalls[name] = Stall(seller, client, broke)
        await group.start(stall.open)
        await self._fund(client.agent_id, part.wallet)
        if part.bond is not UNSET:
            currency = self._story.scenario.market.currency
            await client.post_bond(parse_amount(part.bond, currency), currency)

    def _when_broken(
        self, client: SellersClient, part: SellerPart, name: str, table: int
    ) -> Callable[[Exception], Awaitable[None]] | None:
        """Return what is to be done when the own code of a seller breaks, if it has any."""
        member = next((one for one in ("behaviour", "service") if is_own(getattr(part, one))), None)
        if member is None:
            return None
        where = self._story.where("sellers", table, member)

        async def broke(error: Exception) -> None:
            what = self._breaks.note(where, name, getattr(part, member), error)
            self._tell(Broke(name, what))
            await give_up(client, what)

        return broke

    async def _buyer(
        self, stack: AsyncExitStack, group: TaskGroup, part: BuyerPart, name: str, number: int
    ) -> Buyer:
        options = self._options(name)
        view = BuyersView(lambda after: self._tell(Resumed(name, after)), options["http"])
        self._director.views[name] = view
        client = BuyersClient(
            await self._line(stack, name, view.was_cut),
            key_of(self._seed, name),
            options={**options, "http": view.open_http},
            nonce=nonces_of(self._seed, name),
            opened=lambda session_id: self._director.watch(group, name, session_id),
            alone=lambda: self._director.alone(name),
        )
        self._director.buyers[name] = self._breakables.clients[name] = client
        self._wallets[name] = await stack.enter_async_context(client)
        mandate_id = await self._enter(part, name, client)
        await self._fund(client.agent_id, part.wallet)
        return Buyer(
            name=name,
            number=number,
            part=part,
            client=client,
            view=view,
            need=await self._need(part),
            mandate_id=mandate_id,
        )

    async def _watcher(self, stack: AsyncExitStack, part: WatcherPart) -> None:
        """Give somebody another device: the same key, and a line of its own."""
        who = part.at.agent if part.who is UNSET else part.who
        watchers = self._director.watchers
        url = await self._line(stack, part.name, lambda: watchers[part.name].was_cut())
        nonce = nonces_of(self._seed, part.name)
        options = self._options(part.name)
        client = MarketClient(url, key_of(self._seed, who), nonce=nonce, **options)
        self._breakables.clients[part.name] = client
        await stack.enter_async_context(client)
        watchers[part.name] = Watcher(part, who, client, self._tell)

    async def _sub_agent(self, stack: AsyncExitStack, part: SubAgentPart) -> None:
        self._director.helpers[part.name] = Helper(
            part,
            await self._line(stack, part.name),
            key_of(self._seed, part.name),
            nonce=nonces_of(self._seed, part.name),
            reaches=self._director.reaches,
            options=self._options(part.name),
        )

    def _options(self, name: str) -> Options:
        """Return how a client reaches the market: by a doubler, if that may have to do."""
        if not self._may_break(name, {"double-submit"}):
            return self._world.options()
        doubler = self._breakables.doublers[name] = Doubler()
        return self._world.options(doubler.wrap)

    def _may_break(self, name: str, kinds: Collection[str]) -> bool:
        return any(
            fault.kind in kinds and fnmatchcase(name, fault.target)
            for fault in self._story.scenario.faults
        )

    async def _line(
        self, stack: AsyncExitStack, name: str, was_cut: Callable[[], None] = lambda: None
    ) -> str:
        """Return the address of the market for one agent: of its own line, if that may break."""
        market_may_crash = any(
            fault.kind == "market-crash" for fault in self._story.scenario.faults
        )
        if not (market_may_crash or self._may_break(name, LINE_FAULTS)):
            return self._world.url
        cable = Cable(self._world, was_cut)
        self._breakables.lines[name] = cable
        return await stack.enter_async_context(cable.laid())

    async def _enter(self, part: BuyerPart, name: str, client: MarketClient) -> str | None:
        """Register a buyer, with its principal and mandate if it has one."""
        if part.mandate is UNSET:
            await client.register(name, "buyer")
            return None
        principal_name = principal_of(name)
        key = key_of(self._seed, principal_name)
        self._ids[principal_name] = key.kid
        nonce = nonces_of(self._seed, principal_name)
        options = self._world.options()
        async with MarketClient(self._world.url, key, nonce=nonce, **options) as principal:
            await principal.register(principal_name, "principal")
            await client.register(name, "buyer", principal.agent_id)
            mandate = await principal.give_mandate(
                client.agent_id,
                self._limits(part.mandate),
                currency=self._story.scenario.market.currency,
                seconds=int(seconds(part.mandate.expires)),
            )
        return mandate.id

    def _limits(self, mandate: MandatePart) -> Limits:
        """Return a mandate's limits in minor units and agent ids."""
        over = mandate.approval_over
        if over is UNSET:
            over = self._story.scenario.market.approval_over
        return Limits(
            max_price_minor=self._minor(mandate.max_price),
            budget_minor=self._minor(mandate.budget),
            max_orders=None if mandate.max_orders is UNSET else mandate.max_orders,
            approval_over_minor=self._minor(over),
            sellers_allow=self._sellers_like(mandate.sellers_allow),
            sellers_deny=self._sellers_like(mandate.sellers_deny),
            tags_allow=None if mandate.tags_allow is UNSET else mandate.tags_allow,
            tags_deny=None if mandate.tags_deny is UNSET else mandate.tags_deny,
        )

    def _minor(self, amount: str | UnsetType) -> int | None:
        if amount is UNSET:
            return None
        return parse_amount(amount, self._story.scenario.market.currency)

    def _sellers_like(self, patterns: list[str] | UnsetType) -> list[str] | None:
        return None if patterns is UNSET else self._like(patterns, self._sellers)

    def _like(self, patterns: list[str] | tuple[str, ...], known: list[str]) -> list[str]:
        """Return the ids of the agents whose names fit one of the patterns."""
        return [
            self._ids[name]
            for name in known
            if any(fnmatchcase(name, pattern) for pattern in patterns)
        ]

    async def _fund(self, agent_id: str, amount: str) -> None:
        amount_minor = self._minor(amount)
        if amount_minor:
            currency = self._story.scenario.market.currency
            await self._overseer.fund(agent_id, amount_minor, currency)
            self._minted_minor += amount_minor

    async def _need(self, part: BuyerPart) -> Need:
        need = part.need
        return Need(
            query=need.query,
            input=await input_of(need, self._story.folder),
            tag=None if need.tag is UNSET else need.tag,
            currency=self._story.scenario.market.currency,
            max_price_minor=self._minor(need.max_price),
            max_p95_ms=None if need.max_p95 is UNSET else int(1000 * seconds(need.max_p95)),
            min_trust=need.min_trust,
            wants=need.wants,
            recommend_to=tuple(self._like(part.recommend_to, self._buyers)),
        )
