"""The commands for late joiners and for forks, against a market that is served."""

import json

from buyer_agents import MarketClient, Producer
from market.protocol.signing import SigningKey
from market.protocol.wire import WriteEvent
from tests.e2e.test_commands import Shell, served, shell
from tests.processes import MarketProcess

__all__ = ["served", "shell"]


async def test_a_late_joiner_looks_forks_and_watches_both(
    served: MarketProcess, shell: Shell
) -> None:
    async with MarketClient(served.url, SigningKey.generate()) as buyer:
        await buyer.register("late-joiner", "buyer")
        session = await buyer.open_session("tables")
        acts = [
            ("run.started", {"run": "compare", "title": "Compare offers"}),
            ("run.step", {"run": "compare", "step": "read", "output": {"rows": 1}}),
            ("run.step", {"run": "compare", "step": "read", "output": {"rows": 2}}),
        ]
        events = [WriteEvent(kind=kind, body=body) for kind, body in acts]
        await buyer.write_events(session.id, events, producer=Producer("test", 0, 0))

        seen = await shell.json("session", "snapshot", session.id)
        told = await shell.ok("session", "snapshot", session.id)
        fork = await shell.json("session", "fork", session.id, "--at", "1", "--label", "way=other")
        made = await shell.ok("session", "fork", fork["id"], "--at", "1")
        wrong = await shell.run("session", "fork", session.id, "--at", "99")
        for one in (session.id, fork["id"]):
            await buyer.close_session(one)
        tail = await shell.ok("watch", session.id, "--snapshot", "--json")
        both = await shell.ok("watch", session.id, fork["id"], "--json")
        lines = await shell.ok("watch", session.id, fork["id"])

    step = seen["runs"]["compare"]["steps"]["read"]
    assert (step["attempt"], step["output"]) == (2, {"rows": 2})
    assert "late-joiner: Compare offers   1 steps" in told
    assert (fork["source_session_id"], fork["source_offset"]) == (session.id, 1)
    assert fork["labels"] == {"way": "other"}
    assert f"{fork['id']}, up to #1" in made
    assert (wrong.returncode, b"events up to offset" in wrong.stderr) == (2, True)
    assert json.loads(tail.splitlines()[0])["snapshot"]["is_closed"] is True
    assert len(tail.splitlines()) == 1
    heard = [json.loads(line) for line in both.splitlines()]
    assert [one["event"]["offset"] for one in heard if one["session_id"] == fork["id"]] == [
        0, 1, 2, 3,
    ]  # fmt: skip
    assert f"{fork['id'][-4:]}#2" in lines
    assert len(lines.splitlines()) == 9
