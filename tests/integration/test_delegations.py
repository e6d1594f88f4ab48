"""Delegations as the store knows them: used once by name, revoked, limited, forgotten."""

import asyncio
import itertools
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from msgspec import structs

from market import identity, orders, sessions
from market.audit import audit
from market.base.caller import Caller, Delegation, DelegationTooWide
from market.base.clock import ManualClock, seconds_of
from market.base.errors import InsufficientScope
from market.base.settings import Settings
from market.base.store import Store
from market.faces.http import acts
from market.identity import AccessClaims, Assertion, Handed
from market.identity.tokens import Actor
from market.protocol.commitments import DELEGATION
from market.protocol.signing import SigningKey
from market.protocol.wire import (
    Control,
    DelegationView,
    OpenSession,
    SessionView,
    WriteEvent,
    WriteEvents,
)
from tests.factories import Party, build_town, enter, race

_numbers = itertools.count(1)


@pytest.fixture
async def buyer(store: Store) -> Party:
    return await enter(store, "thrifty", "buyer")


@pytest.fixture
async def session(store: Store, buyer: Party) -> SessionView:
    return await store.write(
        sessions.open_session,
        buyer_id=buyer.id,
        principal_id=None,
        request=OpenSession(need="tables"),
    )


def hand(giver: Party, session_id: str, to: SigningKey | None = None, **changes: Any) -> Handed:
    """A delegation of ``giver``'s as the market reads it."""
    to, now = to or SigningKey.generate(), giver.store.clock.now()
    claims = {
        "iss": giver.id,
        "aud": giver.caller.issuer,
        "iat": seconds_of(now),
        "exp": seconds_of(now) + 600,
        "jti": f"delegation-{next(_numbers)}",
        "sub": to.kid,
        "cnf": {"jwk": to.public.jwk},
        "session_id": session_id,
        "actions": ["read"],
    } | changes
    token = giver.key.sign(claims, typ=DELEGATION)
    keys, issuer = {giver.id: giver.key.public}, giver.caller.issuer
    return identity.read_delegation(token, delegator_id=giver.id, keys=keys, issuer=issuer, now=now)


def assertion(handed: Handed, jti: str | None = None) -> Assertion:
    name = jti or f"assertion-{next(_numbers)}"
    return Assertion(handed.claims.sub, handed.claims.sub, name, handed.expires_at)


async def use(store: Store, handed: Handed, jti: str | None = None) -> None:
    await store.write(acts.admit_delegate, handed=handed, assertion=assertion(handed, jti))


async def revoke(store: Store, giver: Party, jti: str) -> DelegationView:
    return await store.write(
        acts.revoke_delegation, caller=giver.caller, jti=jti, reason="done with it"
    )


def claims_of(handed: Handed) -> AccessClaims:
    """What the token says that was given for a delegation."""
    claims = handed.claims
    return AccessClaims(
        iss=claims.aud,
        aud=f"{claims.aud}/v1",
        iat=claims.iat,
        exp=claims.exp,
        jti="token",
        sub=claims.iss,
        client_id=claims.sub,
        key_id=claims.sub,
        scope="session.read",
        act=Actor(sub=claims.sub),
        delegation=claims.jti,
    )


async def behind(store: Store, handed: Handed) -> Caller:
    return await store.read(identity.caller_behind, claims=claims_of(handed))


async def kinds(store: Store, buyer: Party, session: SessionView) -> list[str]:
    reading = await store.read(
        sessions.events, caller=buyer.caller, session_id=session.id, after=-1, limit=100
    )
    return [msgspec.json.decode(event.json)["kind"] for event in reading.events]


async def test_a_used_delegation_makes_a_caller_of_a_key(
    store: Store, buyer: Party, session: SessionView
):
    handed = hand(buyer, session.id, run="search")
    await use(store, handed)

    caller = await behind(store, handed)

    assert (caller.agent_id, caller.kind, caller.keys) == (handed.claims.sub, "delegate", {})
    assert caller.delegation == Delegation(handed.claims.jti, buyer.id, session.id, None, "search")
    assert not caller.is_overseer


async def test_a_delegation_that_was_never_used_lets_nobody_in(
    store: Store, buyer: Party, session: SessionView
):
    with pytest.raises(identity.InvalidToken):
        await behind(store, hand(buyer, session.id))


async def test_a_token_of_one_key_is_not_another_keys(
    store: Store, buyer: Party, session: SessionView
):
    handed, name = hand(buyer, session.id), "delegation-of-one-name"
    await use(store, hand(buyer, session.id, jti=name))

    with pytest.raises(identity.InvalidToken):
        await behind(store, handed._replace(claims=structs.replace(handed.claims, jti=name)))


async def test_racing_first_uses_tell_the_log_once(
    store: Store, buyer: Party, session: SessionView
):
    handed = hand(buyer, session.id)

    await asyncio.gather(*(use(store, handed) for _ in range(8)))

    assert await kinds(store, buyer, session) == ["session.opened", "delegation.given"]


async def test_of_racing_uses_of_one_assertion_one_passes(
    store: Store, buyer: Party, session: SessionView
):
    handed = hand(buyer, session.id)

    refusals = await race(4, lambda: use(store, handed, "the-same"), collect=identity.InvalidClient)

    assert len(refusals) == 3


async def test_a_refused_use_leaves_no_trace(store: Store, buyer: Party, session: SessionView):
    other = await enter(store, "nosy", "buyer")
    handed = hand(other, session.id)

    for _ in range(2):  # the second finds no row of the first, and no used assertion
        with pytest.raises(sessions.SessionNotFound):
            await use(store, handed, "the-same")

    assert await kinds(store, buyer, session) == ["session.opened"]


async def test_an_order_that_is_not_at_work_in_the_session_is_not_given(
    store: Store, buyer: Party, session: SessionView
):
    with pytest.raises(DelegationTooWide):
        await use(store, hand(buyer, session.id, order_id="ord_01h455vb4pex5vsknk084sn02q"))


async def test_use_and_revocation_race_to_the_same_end(
    store: Store, buyer: Party, session: SessionView
):
    handed = hand(buyer, session.id)

    results = await asyncio.gather(
        *(use(store, handed) for _ in range(3)),
        revoke(store, buyer, handed.claims.jti),
        *(use(store, handed) for _ in range(3)),
        return_exceptions=True,
    )

    with pytest.raises(identity.InvalidToken):
        await behind(store, handed)
    with pytest.raises(identity.DelegationRevoked):
        await use(store, handed)
    log = await kinds(store, buyer, session)
    was_used = any(result is None for result in results)
    assert log[1:] == (["delegation.given", "delegation.revoked"] if was_used else [])


async def test_racing_revocations_tell_the_log_once(
    store: Store, buyer: Party, session: SessionView
):
    handed = hand(buyer, session.id)
    await use(store, handed)

    views = await asyncio.gather(*(revoke(store, buyer, handed.claims.jti) for _ in range(4)))

    assert len(set(map(msgspec.json.encode, views))) == 1
    assert (await kinds(store, buyer, session)).count("delegation.revoked") == 1


async def test_a_revocation_before_the_first_use_is_kept_for_as_long_as_it_could_be_used(
    settings: Settings,
):
    clock = ManualClock(datetime(2026, 11, 22, 12, tzinfo=UTC))
    store = Store.open(settings, clock=clock)
    buyer = await enter(store, "thrifty", "buyer")
    await revoke(store, buyer, "delegation-of-one-name")

    clock.advance(timedelta(seconds=identity.MAX_DELEGATION_SECONDS + 30) + identity.KEEP_USED)
    early = await store.write(identity.forget_delegations)
    clock.advance(timedelta(microseconds=1))
    gone = await store.write(identity.forget_delegations)

    store.close()
    assert (early, gone) == (0, 1)


async def test_an_agents_delegations_are_limited_and_do_not_count_against_others(
    store: Store, buyer: Party, session: SessionView, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("market.identity.delegates.MAX_DELEGATIONS", 2)
    await use(store, hand(buyer, session.id))
    await revoke(store, buyer, "delegation-of-one-name")
    other = await enter(store, "nosy", "buyer")

    with pytest.raises(identity.TooManyDelegations):
        await use(store, hand(buyer, session.id))
    with pytest.raises(identity.TooManyDelegations):
        await revoke(store, buyer, "delegation-of-another")

    await revoke(store, buyer, "delegation-of-one-name")
    await revoke(store, other, "delegation-of-one-name")
    assert identity.MAX_DELEGATIONS == 1_000


async def test_a_sub_agent_revokes_nothing(store: Store, buyer: Party, session: SessionView):
    handed = hand(buyer, session.id)
    await use(store, handed)
    caller = await behind(store, handed)

    with pytest.raises(InsufficientScope):
        await store.write(
            acts.revoke_delegation, caller=caller, jti=handed.claims.jti, reason="tired"
        )


async def test_an_audit_finds_nothing_in_a_log_of_sub_agents_runs_and_their_controls(store: Store):
    town = await build_town(store)
    order = await town.place()
    for giver, run in ((town.seller, "sellers"), (town.buyer, "buyers")):
        handed = hand(giver, order.session_id, order_id=order.id, actions=["write"])
        await use(store, handed)
        agent = (await behind(store, handed))._replace(scopes=frozenset({"session.write"}))
        started = WriteEvent(
            kind="run.started", body={"run": run, "title": "work"}, order_id=order.id
        )
        await store.write(
            sessions.write,
            caller=agent,
            session_id=order.session_id,
            events=WriteEvents(events=[started]),
        )
        await store.write(
            orders.control,
            caller=town.buyer.caller,
            session_id=order.session_id,
            request=Control(action="cancel", scope="run", run=run),
        )
        await revoke(store, giver, handed.claims.jti)

    assert await store.scan(audit) == []
