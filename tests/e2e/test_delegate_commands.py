"""The commands that let a sub-agent work in a session, and end that."""

import pytest

from buyer_agents import MarketClient, Refused, SubAgent
from market.cli.keyfile import load
from tests.e2e.test_commands import Shell, served, shell
from tests.processes import MarketProcess

__all__ = ["served", "shell"]


async def test_a_key_is_let_into_a_session_steered_and_put_out(
    served: MarketProcess, shell: Shell
) -> None:
    await shell.ok("identity", "new", "me.key", "--handle", "giver")
    await shell.ok("identity", "new", "sub.key")
    me, sub = load(shell.folder / "me.key"), load(shell.folder / "sub.key")
    async with MarketClient(served.url, me.key) as buyer:
        session_id = (await buyer.open_session("read a catalog")).id

    given = await shell.ok(
        "session", "delegate", session_id, "sub.key", "--run", "left", "--key", "me.key"
    )

    (shell.folder / "delegation.jws").write_text(given)
    verified = await shell.ok("verify", "delegation.jws", "--url", served.url)
    async with SubAgent(served.url, sub.key, given.strip()) as agent:
        run = await agent.run("left", "Read the left catalog")
        await run.step("page-1", "12 rows")
        steer = ("session", "steer", session_id, "last page first", "--run", "left")
        asked = await shell.ok(*steer, "--key", "me.key")
        cancelled = await shell.json(
            "session", "cancel", session_id, "--run", "left", "--key", "me.key", "--yes"
        )
        revoked = await shell.ok("session", "revoke", given.strip(), "--key", "me.key")
        with pytest.raises(Refused):
            await run.end("cancelled")
    shown = await shell.ok("session", "events", session_id, "--key", "me.key")

    assert "delegation" in verified
    assert "steer left: asked; the worker answers in the log" in asked
    assert [view["run"] for view in cancelled] == ["left"]
    assert "its sub-agent is out" in revoked
    for line in ("giver lets", "left / page-1: 12 rows", "run left: cancel", "says giver"):
        assert line in shown, shown


async def test_a_file_without_a_key_and_a_text_that_is_no_delegation_are_refused(
    served: MarketProcess, shell: Shell
) -> None:
    await shell.ok("identity", "new", "me.key", "--handle", "careless")
    (shell.folder / "empty.key").write_text("{}")

    no_key = await shell.run(
        "session", "delegate", "ses_01h455vb4pex5vsknk084sn02q", "empty.key", "--key", "me.key"
    )
    no_text = await shell.run("session", "revoke", "nonsense", "--key", "me.key")

    assert (no_key.returncode, no_text.returncode) == (2, 2)
    assert b"holds no key" in no_key.stderr
    assert b"no delegation" in no_text.stderr
