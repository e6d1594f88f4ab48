"""The form of a scenario: what a file declares, and the same structs as a Python API.

Optional members that have no default are ``UNSET``, not None, so that an editor with the
published JSON Schema names an unknown key instead of rejecting the whole table.
"""

import re
from decimal import Decimal
from typing import Annotated, Any, Final, Literal, get_args

import msgspec
from msgspec import UNSET, Meta, UnsetType

from market.protocol.events import Action
from market.protocol.manifest import Refund
from market.protocol.money import AmountText, Currency
from market.protocol.text import Line, Paragraph, Slug, Tag, WorkName

FORMAT: Final = 1
"""The format version that this engine reads."""

Duration = Annotated[
    str,
    Meta(
        pattern=r"^[0-9]{1,6}(\.[0-9]{1,3})?(ms|s|m|h)\Z",
        description='a time with its unit, such as "50ms", "2s", "10m"',
    ),
]
SignedDuration = Annotated[
    str,
    Meta(
        pattern=r"^-?[0-9]{1,6}(\.[0-9]{1,3})?(ms|s|m|h)\Z",
        description='a time ahead, or back, such as "10m", "-90s"',
    ),
]
Count = Annotated[int, Meta(ge=1, le=1_000)]
AgentPattern = Annotated[
    str,
    Meta(
        pattern=r"^[a-z0-9*?-]{1,48}\Z",
        description="the name of an agent; * and ? stand for letters of it",
    ),
]

StepName = Annotated[
    str,
    Meta(
        pattern=r"^[\w.:-]{1,64}/[\w.:-]{1,64}\Z",
        description='a step of a run, such as "search/page-3"',
    ),
]
FaultKind = Literal[
    "disconnect", "cut", "lost-acknowledgement", "latency", "double-submit", "clock-skew",
    "slow-chunks", "corrupt-chunk", "seller-crash", "market-crash",
]  # fmt: skip
FAULT_KINDS: Final[tuple[FaultKind, ...]] = get_args(FaultKind)
SELLERS_FAULTS: Final = frozenset({"slow-chunks", "corrupt-chunk", "seller-crash"})
"""Faults that happen to sellers alone."""

MOMENTS: Final = ("event", "offset", "chunk", "step", "action", "time")
"""The members of a trigger that name its moment."""

_UNITS: Final = {"ms": Decimal("0.001"), "s": Decimal(1), "m": Decimal(60), "h": Decimal(3600)}


class Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A table of the file. A key that it does not know is an error."""


class ClockPart(Part, frozen=True, kw_only=True):
    """The story's time: ``real``, or ``virtual``, which jumps whenever everybody waits.

    A virtual run repeats to the byte under its seed. ``speed``: as fast as its work can be done
    (``max``), or so many virtual seconds in a real one. ``until`` is the scenario's ``limit``.
    """

    mode: Literal["real", "virtual"] = "real"
    speed: Literal["max"] | Annotated[int, Meta(ge=1, le=100_000)] = "max"
    until: Duration | UnsetType = UNSET


class MarketPart(Part, frozen=True, kw_only=True):
    """How the market of this story is set up.

    ``approval_over`` is for every mandate without its own. ``typical_after`` is after how many
    settled orders there is a typical one, on which bonds and order caps rest. Without ``reviews``
    no buyer says in public what it thinks of a delivery; trust then rests on what was measured.
    """

    clock: ClockPart = ClockPart()
    currency: Currency = "XTS"
    fee_basis_points: Annotated[int, Meta(ge=0, le=10_000)] = 150
    approval_over: AmountText | UnsetType = UNSET
    quote_ttl: Duration = "5m"
    approval_ttl: Duration = "10m"
    accept_window: Duration = "1h"
    typical_after: Count = 20
    reviews: bool = True


class SellerPart(Part, frozen=True, kw_only=True):
    """A seller, or ``count`` of them (``name-1`` and on), each with one service.

    ``service`` is a sample, or a ``Seller`` of one's own: ``package.module:name``. ``price``
    replaces the manifest's amount, ``deliver_within`` its time to deliver, and ``refund`` when it
    gives money back on request. ``pace`` is how long it takes over each chunk. ``behaviour`` is how
    it goes about prices and orders, in the way that ``params`` say (docs/policies.md). ``wallet``
    is what it starts with, and ``bond`` what of that it puts at stake.
    """

    name: Slug
    service: Line
    count: Count = 1
    price: AmountText | UnsetType = UNSET
    deliver_within: Duration | UnsetType = UNSET
    refund: Refund | UnsetType = UNSET
    pace: Duration = "0ms"
    behaviour: Line = "honest"
    params: Annotated[dict[str, Any], Meta(extra_json_schema={"additionalProperties": True})] = {}
    wallet: AmountText = "0"
    bond: AmountText | UnsetType = UNSET


class NeedPart(Part, frozen=True, kw_only=True):
    """What a buyer is after: a search, the input of the job, and the limits of a fair offer.

    ``input``, or a member of it, may be ``{ file = "name" }``: the text of that file beside the
    story, or, if its name ends in .json, the value that it holds.
    """

    query: Line
    input: Annotated[dict[str, Any], Meta(extra_json_schema={"additionalProperties": True})]
    tag: Tag | UnsetType = UNSET
    max_price: AmountText | UnsetType = UNSET
    max_p95: Duration | UnsetType = UNSET
    min_trust: Annotated[float, Meta(ge=0, le=1)] = 0.0
    wants: tuple[Line, ...] = ()


class MandatePart(Part, frozen=True, kw_only=True):
    """What the buyer's principal lets it spend. Sellers are named as in this file."""

    max_price: AmountText | UnsetType = UNSET
    budget: AmountText | UnsetType = UNSET
    max_orders: Count | UnsetType = UNSET
    approval_over: AmountText | UnsetType = UNSET
    sellers_allow: list[AgentPattern] | UnsetType = UNSET
    sellers_deny: list[AgentPattern] | UnsetType = UNSET
    tags_allow: list[Tag] | UnsetType = UNSET
    tags_deny: list[Tag] | UnsetType = UNSET
    expires: Duration = "1h"


class ArrivePart(Part, frozen=True, kw_only=True):
    """When a buyer comes.

    It waits until the journeys of others are over (``after``) and for a message in its inbox
    (``on``), and then for the time ``at``; of several, one comes ``every`` so often, earlier or
    later by up to the share ``jitter`` of that. Or each comes at a moment ``within`` a time.
    """

    at: Duration = "0ms"
    every: Duration = "0ms"
    jitter: Annotated[float, Meta(ge=0, le=1)] = 0.0
    within: Duration = "0ms"
    after: AgentPattern | UnsetType = UNSET
    on: Literal["recommendation.received"] | UnsetType = UNSET


class BuyerPart(Part, frozen=True, kw_only=True):
    """A buyer, or ``count`` of them, who goes through the six stages, ``journeys`` times.

    ``policy`` is how it chooses, in the way that ``params`` say (docs/policies.md).
    Between two journeys it waits for ``rest``. ``wallet`` is what it starts with. With a
    ``mandate`` it acts for a principal of its own, the agent ``<name>-principal``.
    ``recommend_to`` are buyers that it tells of a good service. Before anybody comes, two overseers
    make an anchor of a buyer that is ``vouched`` for: its word is taken (docs/trust.md).
    """

    name: Slug
    need: NeedPart
    policy: Line = "best-value"
    params: Annotated[dict[str, Any], Meta(extra_json_schema={"additionalProperties": True})] = {}
    count: Count = 1
    wallet: AmountText = "0"
    mandate: MandatePart | UnsetType = UNSET
    recommend_to: tuple[AgentPattern, ...] = ()
    arrive: ArrivePart = ArrivePart()
    journeys: Count = 1
    rest: Duration = "0ms"
    vouched: bool = False


class Trigger(Part, frozen=True, kw_only=True):
    """The moment of an act, in a journey of the buyer ``agent``.

    It is when the log holds the ``event``, the ``offset``, the ``chunk`` (from 0), the ``step`` of
    a run ("run/step"), or the answer to an ``action`` of a human; or when so much ``time`` has
    passed since the market opened to buyers: exactly one of them is given. A fault at a time may
    name any agent.
    """

    agent: AgentPattern
    event: Line | UnsetType = UNSET
    offset: Annotated[int, Meta(ge=0)] | UnsetType = UNSET
    chunk: Annotated[int, Meta(ge=0)] | UnsetType = UNSET
    step: StepName | UnsetType = UNSET
    action: Action | UnsetType = UNSET
    time: Duration | UnsetType = UNSET

    def __str__(self) -> str:
        for name in MOMENTS:
            value = getattr(self, name)
            if value is not UNSET:
                return f"{name} {value} of {self.agent}"
        return self.agent


class WatcherPart(Part, frozen=True, kw_only=True):
    """A device on which somebody follows a journey live, from the trigger on, and is present.

    ``who`` is its owner: the buyer (if not said), its principal (``<buyer>-principal``), or
    ``overseer``. It reads ``over`` server-sent events, a WebSocket or long polls; it ``begins``
    at the first entry, or with a snapshot of all so far.
    """

    name: Slug
    at: Trigger
    who: Slug | UnsetType = UNSET
    over: Literal["sse", "socket", "poll"] = "sse"
    begins: Literal["start", "snapshot"] = "start"


class StepPart(Part, frozen=True, kw_only=True):
    """A step of a run; listed again, it is a new attempt, which replaces the earlier one."""

    step: WorkName
    detail: Paragraph = ""
    output: (
        Annotated[dict[str, Any], Meta(extra_json_schema={"additionalProperties": True})]
        | UnsetType
    ) = UNSET


class SubAgentPart(Part, frozen=True, kw_only=True):
    """A worker with a key of its own, whom a buyer lets into its session from the trigger on.

    It writes its ``run`` (if not said: of its own name) itself: the ``steps``, one after each
    ``pace``. To a steer it answers, and does the ``steered`` steps next. The buyer accepts no
    delivery and closes nothing before its sub-agents are through.
    """

    name: Slug
    at: Trigger
    title: Line
    run: WorkName | UnsetType = UNSET
    steps: Annotated[list[StepPart], Meta(min_length=1, max_length=1_000)]
    steered: Annotated[list[StepPart], Meta(max_length=1_000)] = []
    pace: Duration = "0ms"


class FaultPart(Part, frozen=True, kw_only=True):
    """Something goes wrong with the agent ``whose`` (if not said: the one of the trigger).

    Its line: ``disconnect`` cuts all its connections; ``cut`` cuts them when ``bytes`` more have
    come from the market, wherever in an entry that is; ``lost-acknowledgement`` lets the market do
    what is asked next, and loses the answer. Then the market cannot be reached from there until
    ``reconnect_after`` has passed. ``latency`` delays all that comes and goes by ``delay``.

    Its program: ``double-submit`` sends what it asks next twice; ``clock-skew`` sets its clock
    ahead, or back, by ``skew``; ``slow-chunks`` lets a seller take ``delay`` longer over each
    chunk; ``corrupt-chunk`` empties its next one; ``seller-crash`` ends it in the middle of
    whatever it does, ``market-crash`` the market, until ``restart_after`` has passed.

    ``lasts`` is for how long (if not said: to the end). ``times``: there, and at the next chunks,
    steps or events; each with a ``probability``. One that is ``optional`` need not happen.
    """

    kind: FaultKind
    at: Trigger
    whose: AgentPattern | UnsetType = UNSET
    bytes: Annotated[int, Meta(ge=1, le=1_000_000)] | UnsetType = UNSET
    times: Count = 1
    probability: Annotated[float, Meta(gt=0, le=1)] = 1.0
    optional: bool = False
    reconnect_after: Duration = "0ms"
    restart_after: Duration | UnsetType = UNSET
    delay: Duration | UnsetType = UNSET
    skew: SignedDuration | UnsetType = UNSET
    lasts: Duration | UnsetType = UNSET

    @property
    def target(self) -> str:
        """Whose line it is about: a name, or a pattern of names."""
        return self.at.agent if self.whose is UNSET else self.whose


class OverseerPart(Part, frozen=True, kw_only=True):
    """A human intervenes in the order of the journey that the trigger names, or in a ``run``.

    It is the overseer, or whoever watches on the device ``by``, when that has read so far. What is
    ``optional`` need not happen.
    """

    do: Action
    at: Trigger
    by: Slug | UnsetType = UNSET
    run: WorkName | UnsetType = UNSET
    after: Duration = "0ms"
    optional: bool = False
    reason: Paragraph = ""
    text: Paragraph = ""


class ExpectPart(Part, frozen=True, kw_only=True):
    """What must hold at the end: an expression over the documented metrics."""

    that: Annotated[str, Meta(min_length=1, max_length=500)]
    name: Line | UnsetType = UNSET
    severity: Literal["fail", "warn"] = "fail"

    @property
    def title(self) -> str:
        """Its name, or the expression itself."""
        return self.that if self.name is UNSET else self.name


class Scenario(Part, frozen=True, kw_only=True):
    """A story: the market, who comes to it, what happens to them, and what must hold then.

    A run that is not over after ``limit`` is ended; what is open then counts as open. ``replicas``
    are that many runs, each with a seed of its own that comes from this one.
    """

    scenario: Literal[1]
    name: Slug
    summary: Line | UnsetType = UNSET
    seed: Annotated[int, Meta(ge=0, le=2**63 - 1)] = 0
    replicas: Count = 1
    limit: Duration = "1m"
    market: MarketPart = MarketPart()
    sellers: Annotated[list[SellerPart], Meta(max_length=100)] = []
    buyers: Annotated[list[BuyerPart], Meta(min_length=1, max_length=100)]
    watchers: Annotated[list[WatcherPart], Meta(max_length=40)] = []
    sub_agents: Annotated[list[SubAgentPart], Meta(max_length=100)] = []
    faults: Annotated[list[FaultPart], Meta(max_length=100)] = []
    overseer: Annotated[list[OverseerPart], Meta(max_length=100)] = []
    expect: Annotated[list[ExpectPart], Meta(max_length=100)] = []


def seconds(duration: str) -> float:
    """Return a duration ("50ms", "2s", "10m", "-1h") in seconds."""
    match = re.fullmatch(r"(-?[0-9.]+)(ms|s|m|h)", duration)
    assert match is not None, "durations are checked when the file is read"
    return float(Decimal(match[1]) * _UNITS[match[2]])


def names_of(part: SellerPart | BuyerPart) -> list[str]:
    """Return the names of the agents that a table declares: its own, or numbered from 1."""
    if part.count == 1:
        return [part.name]
    return [f"{part.name}-{number}" for number in range(1, part.count + 1)]


def run_of(part: SubAgentPart) -> str:
    """Return the name of the run that a sub-agent writes."""
    return part.name if part.run is UNSET else part.run


def principal_of(buyer: str) -> str:
    """Return the name of the principal that a buyer with a mandate acts for."""
    return f"{buyer}-principal"


def schema() -> dict[str, Any]:
    """Return the JSON Schema (2020-12) of a scenario file."""
    return msgspec.json.schema(Scenario)
