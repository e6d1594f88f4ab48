"""Entering, keys, suspension, and who a caller is, on both databases."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from market import identity
from market.base.caller import BadCommitment, Caller
from market.base.clock import ManualClock
from market.base.errors import InsufficientScope, MarketError, NotFound
from market.base.settings import Settings
from market.base.store import Store
from market.protocol.commitments import (
    KEY_STATEMENT,
    ORDER,
    AgentKind,
    KeyStatementClaims,
    OrderClaims,
)
from market.protocol.signing import SigningKey
from market.protocol.wire import AgentView
from tests.factories import race
from tests.outsiders import Outsider

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(NOON)


@pytest.fixture
def overseer(settings: Settings) -> Outsider:
    return Outsider(settings, "overseer")


@pytest.fixture
def store(settings: Settings, clock: ManualClock, overseer: Outsider) -> Any:
    opened = Store.open(settings.with_(overseer_ids=(overseer.id,)), clock=clock)
    yield opened
    opened.close()


async def enter(store: Store, agent: Outsider, **claims: Any) -> AgentView:
    signed = agent.registered(store.clock.now(), **claims)
    return await store.write(identity.register, signed=signed)


async def newcomer(store: Store, kind: AgentKind = "buyer") -> Outsider:
    agent = Outsider(store.settings, kind)
    await enter(store, agent)
    return agent


async def caller_of(store: Store, agent: Outsider, key_id: str | None = None) -> Caller:
    return await store.read(identity.caller_of, agent_id=agent.id, scopes=["read"], key_id=key_id)


async def change(store: Store, agent: Outsider, statement: str) -> AgentView:
    """Change keys as a face does: open the statement with the active keys, then write."""
    caller = await caller_of(store, agent)
    signed = caller.open(
        statement,
        typ=KEY_STATEMENT,
        claims=KeyStatementClaims,
        now=store.clock.now(),
    )
    return await store.write(identity.change_keys, caller=caller, signed=signed)


# Entering


@pytest.mark.parametrize("kind", ["buyer", "seller", "principal"])
async def test_an_agent_enters_under_its_thumbprint(store: Store, kind: AgentKind) -> None:
    agent = Outsider(store.settings, kind)

    view = await enter(store, agent)

    assert (view.id, view.handle, view.kind) == (agent.key.kid, agent.handle, kind)
    assert view.registered_at == "2026-11-22T12:00:00.000000Z"
    assert view.suspended_at is None
    assert [(key.kid, key.jwk) for key in view.keys] == [(agent.id, agent.key.public.jwk)]
    assert await store.read(identity.agent, agent_id=agent.id) == view
    assert await store.read(identity.agent_by_handle, handle=agent.handle) == view


async def test_a_key_on_the_other_curve_enters_too(store: Store) -> None:
    agent = Outsider(store.settings, curve="P-256")

    assert (await enter(store, agent)).id == agent.id


async def test_entering_twice_is_entering_once(store: Store) -> None:
    agent = Outsider(store.settings)
    first = await enter(store, agent)

    assert await enter(store, agent) == first
    assert await enter(store, agent, jti="another-proof") == first


@pytest.mark.parametrize(
    "particulars", [{"handle": "other-name"}, {"kind": "seller"}, {"principal_id": "p" * 43}]
)
async def test_a_key_does_not_enter_again_as_something_else(
    store: Store, particulars: dict[str, Any]
) -> None:
    agent = await newcomer(store)

    with pytest.raises(identity.KeyTaken):
        await enter(store, agent, **particulars)


async def test_a_handle_belongs_to_one_agent(store: Store) -> None:
    first = await newcomer(store)
    second = Outsider(store.settings)

    with pytest.raises(identity.HandleTaken):
        await enter(store, second, handle=first.handle)

    with pytest.raises(NotFound):
        await store.read(identity.agent, agent_id=second.id)


async def test_of_many_that_race_for_a_handle_one_gets_it(store: Store) -> None:
    agents = iter([Outsider(store.settings) for _ in range(20)])

    refusals = await race(
        20,
        lambda: enter(store, next(agents), handle="the-one"),
        collect=identity.HandleTaken,
    )

    assert len(refusals) == 19


async def test_an_overseer_enters_only_if_the_settings_name_it(
    store: Store, overseer: Outsider
) -> None:
    assert (await enter(store, overseer)).kind == "overseer"

    with pytest.raises(identity.OverseerNotListed):
        await newcomer(store, "overseer")


async def test_an_agent_acts_for_a_registered_principal(store: Store) -> None:
    principal = await newcomer(store, "principal")

    buyer = await enter(store, Outsider(store.settings), principal_id=principal.id)

    assert buyer.principal_id == principal.id


@pytest.mark.parametrize("kind", ["buyer", "seller", "overseer", None])
async def test_nobody_acts_for_what_is_no_principal(
    store: Store, overseer: Outsider, kind: AgentKind | None
) -> None:
    other_id = "n" * 43
    if kind == "overseer":
        other_id = (await enter(store, overseer)).id
    elif kind is not None:
        other_id = (await newcomer(store, kind)).id

    with pytest.raises(identity.UnknownPrincipal):
        await enter(store, Outsider(store.settings), principal_id=other_id)


async def test_a_principal_acts_for_itself(store: Store) -> None:
    principal = await newcomer(store, "principal")

    with pytest.raises(identity.UnknownPrincipal):
        await enter(store, Outsider(store.settings, "principal"), principal_id=principal.id)


async def test_who_is_not_here_is_not_found(store: Store) -> None:
    with pytest.raises(NotFound):
        await store.read(identity.agent, agent_id="n" * 43)
    with pytest.raises(NotFound):
        await store.read(identity.agent_by_handle, handle="nobody")
    with pytest.raises(NotFound):
        await store.read(identity.active_keys, agent_id="n" * 43)


# Callers


async def test_a_caller_is_the_agent_with_its_scopes_and_keys(store: Store) -> None:
    agent = await newcomer(store)

    caller = await caller_of(store, agent)

    assert (caller.agent_id, caller.handle, caller.kind) == (agent.id, agent.handle, "buyer")
    assert caller.scopes == {"read"}
    assert list(caller.keys) == [agent.id]
    assert not caller.is_overseer
    with pytest.raises(InsufficientScope):
        caller.need("pay")


async def test_a_token_for_nobody_is_refused(store: Store) -> None:
    with pytest.raises(identity.InvalidToken):
        await caller_of(store, Outsider(store.settings))


async def test_a_caller_opens_what_it_signed_and_nothing_else(
    store: Store, clock: ManualClock
) -> None:
    agent, stranger = await newcomer(store), await newcomer(store)
    caller = await caller_of(store, agent)
    now = clock.now()
    order = {
        "quote_id": "qte_01h455vb4pex5vsknk084sn02q",
        "quote_digest": "d" * 43,
        "seller_id": "s" * 43,
        "amount_minor": 1,
        "currency": "XTS",
    }

    assert caller.open(agent.sign(ORDER, now, **order), typ=ORDER, claims=OrderClaims, now=now)
    for token in (
        stranger.sign(ORDER, now, **order),
        stranger.sign(ORDER, now, iss=agent.id, **order),
        agent.sign(ORDER, now, **order, iss=stranger.id),
        agent.sign(ORDER, now, **order, aud="http://other.market"),
        agent.sign(ORDER, now + timedelta(seconds=31), **order),
        agent.sign("quote+jwt", now, **order),
        agent.sign(ORDER, now, **order, discount=1),
        "nonsense",
    ):
        with pytest.raises(BadCommitment):
            caller.open(token, typ=ORDER, claims=OrderClaims, now=now)


# Keys


async def test_an_added_key_signs_for_the_agent_whose_id_stays(
    store: Store, clock: ManualClock
) -> None:
    agent, new = await newcomer(store), SigningKey.generate("P-256")

    view = await change(store, agent, agent.addition(new, clock.now()))

    assert view.id == agent.id
    assert {key.kid for key in view.keys} == {agent.id, new.kid}
    assert set((await caller_of(store, agent)).keys) == {agent.id, new.kid}
    another = agent.addition(SigningKey.generate(), clock.now(), jti="by-the-new-key")
    assert another
    by_new = agent.statement(clock.now(), by=new, action="revoke", kid=agent.id)
    view = await change(store, agent, by_new)
    assert [key.kid for key in view.keys if key.revoked_at is None] == [new.kid]


async def test_a_revoked_key_speaks_for_nobody(store: Store, clock: ManualClock) -> None:
    agent, new = await newcomer(store), SigningKey.generate()
    await change(store, agent, agent.addition(new, clock.now()))
    before = await caller_of(store, agent, key_id=agent.id)
    late = agent.statement(clock.now(), action="revoke", kid=new.kid)
    signed = before.open(late, typ=KEY_STATEMENT, claims=KeyStatementClaims, now=clock.now())

    await change(store, agent, agent.statement(clock.now(), action="revoke", kid=agent.id))

    with pytest.raises(identity.InvalidToken):
        await caller_of(store, agent, key_id=agent.id)
    with pytest.raises(BadCommitment):
        await change(store, agent, agent.statement(clock.now(), action="revoke", kid=new.kid))
    with pytest.raises(BadCommitment, match="no longer active"):
        await store.write(identity.change_keys, caller=before, signed=signed)
    with pytest.raises(identity.KeyTaken):
        await enter(store, agent)
    assert await caller_of(store, agent, key_id=new.kid)


async def test_a_revoked_key_never_comes_back(store: Store, clock: ManualClock) -> None:
    agent, new = await newcomer(store), SigningKey.generate()
    await change(store, agent, agent.addition(new, clock.now()))
    await change(store, agent, agent.statement(clock.now(), action="revoke", kid=new.kid))

    with pytest.raises(identity.KeyTaken):
        await change(store, agent, agent.addition(new, clock.now()))


async def test_the_last_key_stays(store: Store, clock: ManualClock) -> None:
    agent = await newcomer(store)

    with pytest.raises(identity.LastKey):
        await change(store, agent, agent.statement(clock.now(), action="revoke", kid=agent.id))

    assert await caller_of(store, agent, key_id=agent.id)


async def test_keys_that_revoke_each_other_at_once_leave_one(
    store: Store, clock: ManualClock
) -> None:
    agent, new = await newcomer(store), SigningKey.generate()
    await change(store, agent, agent.addition(new, clock.now()))
    statements = iter(
        [
            agent.statement(clock.now(), action="revoke", kid=new.kid),
            agent.statement(clock.now(), by=new, action="revoke", kid=agent.id),
        ]
    )
    caller = await caller_of(store, agent)
    signed = [
        caller.open(text, typ=KEY_STATEMENT, claims=KeyStatementClaims, now=clock.now())
        for text in statements
    ]

    refusals = await race(
        2,
        lambda: store.write(identity.change_keys, caller=caller, signed=signed.pop()),
        collect=MarketError,
    )

    assert len(refusals) == 1
    assert len((await caller_of(store, agent)).keys) == 1


async def test_a_statement_is_good_for_one_use(store: Store, clock: ManualClock) -> None:
    agent = await newcomer(store)
    statement = agent.addition(SigningKey.generate(), clock.now())
    await change(store, agent, statement)

    with pytest.raises(identity.StatementUsed):
        await change(store, agent, statement)


async def test_a_refused_statement_may_be_sent_again_when_it_can_hold(
    store: Store, clock: ManualClock
) -> None:
    agent = await newcomer(store)
    statement = agent.statement(clock.now(), action="revoke", kid=agent.id)
    with pytest.raises(identity.LastKey):
        await change(store, agent, statement)

    await change(store, agent, agent.addition(SigningKey.generate(), clock.now()))

    assert await change(store, agent, statement)


async def test_a_key_belongs_to_one_agent(store: Store, clock: ManualClock) -> None:
    first, second = await newcomer(store), await newcomer(store)
    shared = SigningKey.generate()
    await change(store, first, first.addition(shared, clock.now()))

    with pytest.raises(identity.KeyTaken):
        await change(store, second, second.addition(shared, clock.now()))
    with pytest.raises(identity.KeyTaken):
        await change(store, second, second.addition(first.key, clock.now()))
    outsider = Outsider(store.settings)
    outsider.key, outsider.id = shared, shared.kid
    with pytest.raises(identity.KeyTaken):
        await enter(store, outsider)
    with pytest.raises(NotFound):
        await store.read(identity.agent, agent_id=shared.kid)


async def test_a_statement_that_does_not_say_what_to_do_is_refused(
    store: Store, clock: ManualClock
) -> None:
    agent, other, new = await newcomer(store), await newcomer(store), SigningKey.generate()
    now = clock.now()
    for statement in (
        agent.statement(now, action="add"),
        agent.statement(now, action="add", jwk=new.public.jwk),
        agent.addition(new, now, kid=agent.id),
        agent.statement(now, action="revoke"),
        agent.statement(now, action="revoke", kid=other.id),
        agent.addition(new, now, action="revoke", kid=agent.id),
        agent.statement(now, action="revoke", kid=agent.id, exp=int(now.timestamp()) + 601),
    ):
        with pytest.raises(identity.BadKeyStatement):
            await change(store, agent, statement)


async def test_the_number_of_keys_is_limited(store: Store, clock: ManualClock) -> None:
    agent = await newcomer(store)
    for _ in range(identity.MAX_KEYS - 1):
        await change(store, agent, agent.addition(SigningKey.generate(), clock.now()))

    with pytest.raises(identity.TooManyKeys):
        await change(store, agent, agent.addition(SigningKey.generate(), clock.now()))


# Suspension


@pytest.fixture
async def judge(store: Store, overseer: Outsider) -> Caller:
    await enter(store, overseer)
    return overseer.caller()


async def test_a_suspended_agent_is_shut_out_at_once(
    store: Store, clock: ManualClock, judge: Caller
) -> None:
    agent = await newcomer(store)

    view = await store.write(identity.suspend, caller=judge, agent_id=agent.id, reason="fraud")

    assert view.suspended_at == "2026-11-22T12:00:00.000000Z"
    with pytest.raises(identity.Suspended):
        await caller_of(store, agent)
    with pytest.raises(identity.Suspended):
        await enter(store, agent)
    with pytest.raises(identity.InvalidClient):
        await store.read(identity.client_keys, agent_id=agent.id)
    with pytest.raises(identity.InvalidClient):
        await store.write(
            identity.redeem_assertion, agent_id=agent.id, jti="a", expires_at=clock.now()
        )


async def test_a_reinstated_agent_is_in_again(store: Store, judge: Caller) -> None:
    agent = await newcomer(store)
    await store.write(identity.suspend, caller=judge, agent_id=agent.id, reason="fraud")

    view = await store.write(identity.reinstate, caller=judge, agent_id=agent.id)

    assert view.suspended_at is None
    assert await caller_of(store, agent)


async def test_suspending_and_reinstating_may_be_repeated(
    store: Store, clock: ManualClock, judge: Caller
) -> None:
    agent = await newcomer(store)
    first = await store.write(identity.suspend, caller=judge, agent_id=agent.id, reason="fraud")
    clock.advance(timedelta(hours=1))

    again = await store.write(identity.suspend, caller=judge, agent_id=agent.id, reason="more")

    assert again == first
    once = await store.write(identity.reinstate, caller=judge, agent_id=agent.id)
    assert await store.write(identity.reinstate, caller=judge, agent_id=agent.id) == once


@pytest.mark.parametrize("kind", ["buyer", "seller", "principal"])
async def test_only_overseers_suspend(store: Store, kind: AgentKind) -> None:
    agent, other = await newcomer(store), await newcomer(store, kind)

    for verb in (identity.suspend, identity.reinstate):
        reason = {"reason": "rivalry"} if verb is identity.suspend else {}
        with pytest.raises((identity.OverseersOnly, InsufficientScope)):
            await store.write(verb, caller=other.caller(), agent_id=agent.id, **reason)

    assert await caller_of(store, agent)


async def test_an_overseer_with_a_lesser_token_suspends_nobody(
    store: Store, overseer: Outsider, judge: Caller
) -> None:
    agent = await newcomer(store)

    with pytest.raises(InsufficientScope):
        await store.write(
            identity.suspend,
            caller=overseer.caller(scopes="read"),
            agent_id=agent.id,
            reason="fraud",
        )


async def test_an_overseer_does_not_shut_itself_out(store: Store, judge: Caller) -> None:
    with pytest.raises(identity.OwnSuspension):
        await store.write(identity.suspend, caller=judge, agent_id=judge.agent_id, reason="x")


async def test_who_is_not_here_cannot_be_suspended(store: Store, judge: Caller) -> None:
    with pytest.raises(NotFound):
        await store.write(identity.suspend, caller=judge, agent_id="n" * 43, reason="x")
    with pytest.raises(NotFound):
        await store.write(identity.reinstate, caller=judge, agent_id="n" * 43)


# Client assertions


async def test_an_assertion_is_redeemed_once(store: Store, clock: ManualClock) -> None:
    agent, other = await newcomer(store), await newcomer(store, "seller")
    once = {"jti": "once", "expires_at": clock.now() + timedelta(seconds=60)}

    assert await store.write(identity.redeem_assertion, agent_id=agent.id, **once) == "buyer"

    with pytest.raises(identity.InvalidClient):
        await store.write(identity.redeem_assertion, agent_id=agent.id, **once)
    assert await store.write(identity.redeem_assertion, agent_id=other.id, **once) == "seller"


async def test_of_fifty_that_race_with_one_assertion_one_gets_in(
    store: Store, clock: ManualClock
) -> None:
    agent = await newcomer(store)

    refusals = await race(
        50,
        lambda: store.write(
            identity.redeem_assertion, agent_id=agent.id, jti="once", expires_at=clock.now()
        ),
        collect=identity.InvalidClient,
    )

    assert len(refusals) == 49


async def test_an_assertion_of_nobody_is_refused_in_the_same_words(
    store: Store, clock: ManualClock
) -> None:
    agent = await newcomer(store)
    once = {"jti": "once", "expires_at": clock.now()}
    await store.write(identity.redeem_assertion, agent_id=agent.id, **once)

    refusals = await asyncio.gather(
        store.write(identity.redeem_assertion, agent_id=agent.id, **once),
        store.write(identity.redeem_assertion, agent_id="n" * 43, **once),
        return_exceptions=True,
    )

    assert {str(refusal) for refusal in refusals} == {str(refusals[0])}
    with pytest.raises(identity.InvalidClient, match=str(refusals[0])):
        await store.read(identity.client_keys, agent_id="n" * 43)


async def test_a_used_assertion_is_remembered_until_it_cannot_be_tried_again(
    store: Store, clock: ManualClock
) -> None:
    agent = await newcomer(store)
    once = {"agent_id": agent.id, "jti": "once", "expires_at": clock.now()}
    await store.write(identity.redeem_assertion, **once)
    clock.advance(identity.KEEP_USED)

    assert await store.write(identity.forget_assertions) == 0
    with pytest.raises(identity.InvalidClient):
        await store.write(identity.redeem_assertion, **once)

    clock.advance(timedelta(seconds=1))
    assert await store.write(identity.forget_assertions) == 1
    assert await store.write(identity.forget_assertions) == 0


async def test_used_assertions_survive_a_restart(
    settings: Settings, clock: ManualClock, overseer: Outsider
) -> None:
    agent = Outsider(settings)
    once = {"agent_id": agent.id, "jti": "once", "expires_at": clock.now()}
    before = Store.open(settings, clock=clock)
    await before.write(identity.register, signed=agent.registered(clock.now()))
    await before.write(identity.redeem_assertion, **once)
    before.close()

    after = Store.open(settings, clock=clock)

    with pytest.raises(identity.InvalidClient):
        await after.write(identity.redeem_assertion, **once)
    after.close()
