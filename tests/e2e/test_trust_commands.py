"""The commands of trust: against a market that is served, its store, and an export of it."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from market import analytics, trust
from market.base.settings import Settings
from market.base.store import Store
from market.trust import batches
from tests.e2e.test_commands import Shell, served, shell
from tests.integration.test_trust import fact, make_anchor
from tests.processes import MarketProcess

__all__ = ["served", "shell"]


@pytest.fixture
def home(sqlite_settings: Settings) -> Path:
    """The home of a market with four anchors, three sellers, and facts before and after a batch."""
    store = Store.open(sqlite_settings)
    buyers = [f"buyer {number}" for number in range(4)]
    for name in buyers:
        store.write_now(make_anchor, name, ["ada", "bob"])
    for number in range(24):
        order = {"buyer_id": buyers[number % 4], "seller_id": f"seller {number % 3}"}
        store.write_now(trust.record, **fact("order.settled", number, **order))
        store.write_now(trust.record, **fact("review.good", number, **order))
        if number == 20:
            store.write_now(batches.put, prepared=store.read_now(batches.prepare))
    analytics.export(store, sqlite_settings.home / "exported")
    store.close()
    return sqlite_settings.home


async def test_a_store_and_its_export_give_every_score_anew(shell: Shell, home: Path) -> None:
    """T9: the same number from a third party's recompute; exit 5 where it differs."""
    from_store = await shell.ok("trust", "recompute", "--store", str(home))
    from_export = await shell.json("trust", "recompute", "--export", str(home / "exported"))
    with closing(sqlite3.connect(home / "market.db")) as connection, connection:
        connection.execute("UPDATE trust_standings SET vouched_good = vouched_good + 1")

    broken = await shell.run("trust", "recompute", "--store", str(home))
    nowhere = await shell.run("trust", "recompute", "--export", str(home / "nowhere"))

    assert "48 facts give the standings of all 3 sellers, to the millionth" in from_store
    assert from_export == {
        "facts": 48, "sellers": 3, "weights": "recomputed", "differences": [],
    }  # fmt: skip
    assert nowhere.returncode == 2
    assert b"has neither facts" in nowhere.stderr
    assert broken.returncode == 5
    assert b"seller 0: vouched_good is" in broken.stderr


async def test_scores_without_an_anchor_come_from_one_command(shell: Shell, home: Path) -> None:
    """T8: recompute without them in one command."""
    place = ("--store", str(home))

    effects = await shell.json("trust", "recompute", *place, "--without-anchor", "buyer 0")
    unknown = await shell.run("trust", "recompute", *place, "--without-anchor", "nobody")
    both = await shell.run("trust", "recompute", *place, "--export", str(home / "exported"))

    assert sorted(effect["seller_id"] for effect in effects) == [
        "seller 0", "seller 1", "seller 2",
    ]  # fmt: skip
    assert any(effect["now"] != effect["then"] for effect in effects)
    assert unknown.returncode == both.returncode == 2


async def test_an_operator_names_an_anchor_and_weighs(served: MarketProcess, shell: Shell) -> None:
    await shell.ok("identity", "new", "me.key", "--handle", "vetted")

    proposed = await shell.ok("trust", "propose", "vetted", "--reason", "known in person")
    again = await shell.ok("trust", "propose", "vetted", "--reason", "known by letter")
    alone = await shell.run("trust", "confirm", "vetted", "--reason", "me too")
    revoked = await shell.ok("trust", "revoke", "vetted", "--reason", "a test")
    twice = await shell.json("trust", "revoke", "vetted", "--reason", "a second test")
    thrice = await shell.ok("trust", "revoke", "vetted", "--reason", "a third test")
    listed = await shell.ok("trust", "anchors", "--key", "me.key")
    made = await shell.ok("trust", "batch")
    rings = await shell.ok("trust", "rings")
    reckoned = await shell.ok("trust", "recompute", "--url", served.url, "--key", "me.key")
    unknown = await shell.run("trust", "show", "nobody")

    assert "Another overseer has to confirm it." in proposed
    assert (alone.returncode, b"MARKET_ANCHORS_BY_ONE" in alone.stderr) == (3, True)
    assert "✓" in proposed
    assert "✓" not in again
    assert "● " in again
    assert "was proposed already, at " in again
    assert again.splitlines()[0].endswith(" UTC: known in person")
    assert "is revoked: a test" in revoked
    assert [act["act"] for act in twice["acts"]] == ["proposed", "revoked"]
    assert "was revoked already, at " in thrice
    assert thrice.splitlines()[0].endswith(" UTC: a test")
    assert "known in person" in listed
    assert "✓ batch" in made
    assert "No group of sellers looks closed." in rings
    assert "weights given" in reckoned
    assert unknown.returncode == 2


async def test_a_score_is_explained_in_plain_words(served: MarketProcess, shell: Shell) -> None:
    """T9: each score opens into what it was made of."""
    await shell.ok("seller", "new", "counter")
    await shell.ok("seller", "register", "counter")
    listed = await shell.json("trust", "show", "counter")

    told = await shell.ok("trust", "show", "counter")

    assert listed["flags"] == ["new"]
    for words in ("score 0.35", "long memory", "short memory", "the crowd", "anchored-1"):
        assert words in told, told
