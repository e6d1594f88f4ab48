"""Who trades in a simulated market: agents with keys, sellers with a quality, buyers."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from market import catalog, identity, ledger, trust
from market.base.caller import Caller, Signed
from market.base.clock import seconds_of
from market.base.work import Snapshot, UnitOfWork
from market.protocol.commitments import (
    CLAIMS,
    AgentKind,
    Claims,
    ManifestClaims,
    RegistrationClaims,
)
from market.protocol.money import decimal_text
from market.protocol.signing import SigningKey

PURSE_MINOR: Final = 10**13
"""What each buyer starts with: more than it can spend."""

OVERSEERS: Final = ("overseer-1", "overseer-2")
"""The two who name the anchors."""

_PURPOSES: Final = {claims: typ for typ, claims in CLAIMS.items()}
_SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "required": ["answer"],
    "properties": {"answer": {"type": "string"}},
}


class Agent(NamedTuple):
    """An agent that has entered the market, with its key."""

    key: SigningKey
    caller: Caller

    @property
    def id(self) -> str:
        """The thumbprint of the key."""
        return self.key.kid

    def signs(self, uow: UnitOfWork, claims: type[Claims], **members: Any) -> Signed[Any]:
        """Return what this agent signs now. It is its own witness: the signature is not checked."""
        return _signed(uow, self.key, claims, **members)


@dataclass(eq=False, slots=True)
class Seller:
    """A seller: ``quality`` is the chance that a delivery is good, and may change."""

    agent: Agent
    name: str
    service_id: str
    quality: float
    joined_on: int
    is_attacker: bool = False

    @property
    def id(self) -> str:
        """The agent's id."""
        return self.agent.id


@dataclass(eq=False, slots=True, frozen=True)
class Buyer:
    """A buyer. ``activity`` is its weight when the day's orders are dealt out."""

    agent: Agent
    activity: float
    is_honest: bool = True
    is_anchor: bool = False

    @property
    def id(self) -> str:
        """The agent's id."""
        return self.agent.id


def key_of(seed: int, name: str) -> SigningKey:
    """Return the key that belongs to a name under this seed."""
    return SigningKey.from_seed(hashlib.sha256(f"lab:{seed}:{name}".encode()).digest())


def overseer_ids(seed: int) -> tuple[str, ...]:
    """Return who may enter as an overseer under this seed: a market's settings name them."""
    return tuple(key_of(seed, name).kid for name in OVERSEERS)


def enter(uow: UnitOfWork, *, seed: int, name: str, kind: AgentKind) -> Agent:
    """Register the agent whose key belongs to this name under this seed."""
    key = key_of(seed, name)
    signed = _signed(
        uow,
        key,
        RegistrationClaims,
        exp=seconds_of(uow.now) + 60,
        jti=f"enter-{name}",
        jwk=key.public.jwk,
        handle=name,
        kind=kind,
    )
    identity.register(uow, signed=signed)
    scopes = identity.SCOPES[kind]
    return Agent(key, identity.caller_of(uow, agent_id=key.kid, scopes=scopes))


def fund(uow: UnitOfWork, agent: Agent) -> None:
    """Fill an agent's purse."""
    ledger.mint(
        uow,
        agent_id=agent.id,
        amount_minor=PURSE_MINOR,
        currency=uow.settings.currency,
        idempotency_key="purse",
    )


def vouch_for(uow: UnitOfWork, buyer: Buyer, *, overseers: Sequence[Agent]) -> None:
    """Make an anchor of a buyer: one overseer proposes, the other confirms."""
    proposer, confirmer = (overseer.caller for overseer in overseers)
    trust.propose_anchor(
        uow, caller=proposer, agent_id=buyer.id, kind="buyer", reason="vetted by hand"
    )
    trust.confirm_anchor(uow, caller=confirmer, agent_id=buyer.id, reason="vetted by hand")


def wealth(snapshot: Snapshot, agents: Iterable[Agent]) -> int:
    """Return what these agents own, in minor units, whatever is held of it."""
    wallets = [ledger.wallet(snapshot, agent_id=agent.id) for agent in agents]
    return sum(
        balance.available_minor + balance.held_minor
        for wallet in wallets
        for balance in wallet.balances
    )


def list_service(uow: UnitOfWork, *, agent: Agent, name: str, price_minor: int) -> str:
    """Publish the one service of a seller, and return its id."""
    currency = uow.settings.currency
    manifest = {
        "manifest": 1,
        "id": name,
        "summary": "Answer a question.",
        "tags": ["answers"],
        "price": {
            "per": "call",
            "amount": decimal_text(price_minor, currency),
            "currency": currency,
        },
        "input": {"type": "object", "required": ["question"]},
        "output": _SCHEMA,
        "policies": {"refund": "within-window", "refund_window_seconds": 86_400},
    }
    signed = agent.signs(uow, ManifestClaims, manifest=manifest)
    return catalog.publish(uow, caller=agent.caller, signed=signed).id


def _signed(uow: UnitOfWork, key: SigningKey, claims: type[Claims], **members: Any) -> Signed[Any]:
    issuer = uow.settings.issuer
    made = claims(iss=key.kid, aud=issuer, iat=seconds_of(uow.now), **members)
    return Signed(made, key.sign(made, typ=_PURPOSES[claims]), key.kid)
