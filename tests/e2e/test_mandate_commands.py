"""``market mandate``: a principal's hand on the purse."""

from buyer_agents import MarketClient
from market.cli.keyfile import load
from tests.e2e.test_commands import Shell, served, shell
from tests.factories import manifest
from tests.processes import MarketProcess

__all__ = ["served", "shell"]


async def enter(shell: Shell, name: str, *more: str) -> str:
    await shell.ok("identity", "new", f"{name}.key", "--handle", name, *more)
    return load(shell.folder / f"{name}.key").agent_id


async def test_a_mandate_is_given_shown_listed_and_revoked(
    served: MarketProcess, shell: Shell
) -> None:
    firm = await enter(shell, "purse", "--kind", "principal")
    await enter(shell, "runner", "--principal", firm)
    shop = await enter(shell, "stall", "--kind", "seller")

    given = await shell.json(
        "mandate", "give", "runner", "--max-price", "1.00", "--min-price", "0.10",
        "--budget", "5.00", "--orders", "9", "--approve-over", "0.50", "--period", "1",
        "--period-budget", "2.00", "--period-orders", "3", "--seller", "stall",
        "--deny-tag", "games", "--days", "2", "--key", "purse.key",
    )  # fmt: skip
    endless = await shell.run("mandate", "give", "runner", "--period", "1", "--key", "purse.key")
    shown = await shell.ok("mandate", "show", given["id"], "--key", "runner.key")
    listed = await shell.ok("mandate", "list", "--key", "purse.key")
    ended = await shell.ok(
        "mandate", "revoke", given["id"], "--reason", "enough", "--yes", "--key", "purse.key"
    )
    after = await shell.ok("mandate", "list", "--key", "purse.key")

    assert {name: value for name, value in given["limits"].items() if value is not None} == {
        "max_price_minor": 1_000_000,
        "min_price_minor": 100_000,
        "budget_minor": 5_000_000,
        "max_orders": 9,
        "approval_over_minor": 500_000,
        "period_seconds": 86_400,
        "period_budget_minor": 2_000_000,
        "period_max_orders": 3,
        "sellers_allow": [shop],
        "tags_deny": ["games"],
    }
    assert endless.returncode == 2
    assert b"--period goes together with --period-budget, --period-orders" in endless.stderr
    assert "  max_price          1.00 XTS" in shown
    assert given["id"] in listed
    assert f"revoked {given['id']}: 0.00 XTS were spent" in ended
    assert "revoked" in after
    async with MarketClient(served.url, load(shell.folder / "runner.key").key) as runner:
        kinds = [message.kind for message in (await runner.inbox()).items]
    assert kinds == ["mandate.given", "mandate.revoked"]


async def test_an_ap2_mandate_is_given_with_p256_keys_alone(
    served: MarketProcess, shell: Shell
) -> None:
    firm = await enter(shell, "purse-two", "--kind", "principal", "--curve", "P-256")
    await enter(shell, "runner-two", "--principal", firm, "--curve", "P-256")
    other = await enter(shell, "purse-three", "--kind", "principal")
    await enter(shell, "runner-three", "--principal", other)
    terms = ("--ap2", "--max-price", "1.00", "--budget", "3.00", "--every", "DAILY")

    given = await shell.json("mandate", "give", "runner-two", *terms, "--key", "purse-two.key")
    wrong_curve = await shell.run(
        "mandate", "give", "runner-three", *terms, "--key", "purse-three.key"
    )
    no_such_rule = await shell.run(
        "mandate", "give", "runner-two", *terms, "--deny-tag", "x", "--key", "purse-two.key"
    )

    without_a_sum = await shell.run(
        "mandate", "give", "runner-two", "--ap2", "--every", "DAILY", "--key", "purse-two.key"
    )

    assert b"--every needs --max-price or --budget" in without_a_sum.stderr
    assert given["form"] == "ap2"
    assert (given["limits"]["period_max_orders"], given["limits"]["period_seconds"]) == (1, 86_400)
    assert b"P-256" in wrong_curve.stderr
    assert b"AP2 has no constraint for --deny-tag" in no_such_rule.stderr


async def test_what_waits_is_listed_approved_and_denied_with_its_mandate(
    served: MarketProcess, shell: Shell
) -> None:
    firm = await enter(shell, "purse-four", "--kind", "principal")
    await enter(shell, "runner-four", "--principal", firm)
    await enter(shell, "stall-four", "--kind", "seller")
    terms = ("--budget", "2.00", "--approve-over", "0.10")
    given = await shell.json("mandate", "give", "runner-four", *terms, "--key", "purse-four.key")
    mine = ("--key", "purse-four.key")
    nothing = await shell.ok("mandate", "waiting", *mine)
    async with MarketClient(served.url, load(shell.folder / "stall-four.key").key) as seller:
        service = await seller.publish(manifest(id="four-pdf"))
    async with MarketClient(served.url, load(shell.folder / "runner-four.key").key) as runner:
        quotes = [await runner.ask_quote(service.id, {"pages": ["1"]}) for _ in range(2)]
        first = await runner.place_order(quotes[0], mandate_id=given["id"])
        second = await runner.place_order(quotes[1], mandate_id=given["id"])

    listed = await shell.run("mandate", "waiting", *mine)
    page = await shell.json("mandate", "waiting", "--limit", "1", *mine)
    rest = await shell.json("mandate", "waiting", "--cursor", page["next"], *mine)
    strangers = await shell.ok("mandate", "waiting", "--key", "stall-four.key")
    sessions = await shell.run("session", "list", *mine)
    shown = await shell.run("session", "show", first.session_id, *mine)
    explained = await shell.ok("order", "explain", first.id, *mine)
    steps = (await shell.json("order", "explain", first.id, *mine))["may_do"]
    command = f"market session approve {first.session_id} --order {first.id}"
    await shell.ok(*command.split()[1:], *mine)
    left = await shell.json("mandate", "waiting", *mine)
    revoked = await shell.ok("mandate", "revoke", given["id"], "--yes", *mine)
    after = await shell.ok("mandate", "waiting", *mine)

    assert nothing == strangers == after == "Nothing waits for your approval.\n"
    heads, *rows = listed.stdout.decode().splitlines()
    assert heads.split()[:4] == ["Order", "Session", "Buyer", "Price"]
    assert [row.split()[:5] for row in rows] == [
        [order.id, order.session_id, "runner-four", "0.40", "XTS"] for order in (first, second)
    ]
    assert f"{command} --key purse-four.key" in listed.stderr.decode()
    assert [one["order_id"] for one in (*page["items"], *rest["items"])] == [first.id, second.id]
    assert rest["next"] is None
    assert [row.split()[5] for row in sessions.stdout.decode().splitlines()[1:]] == ["1", "1"]
    assert b"market mandate waiting --key purse-four.key" in sessions.stderr
    assert f"{first.id}   awaiting_approval" in shown.stdout.decode()
    assert f"{command} --key purse-four.key" in shown.stderr.decode()
    assert command in explained
    assert "/v1/" not in explained
    assert steps[0]["request"] == f"POST /v1/sessions/{first.session_id}/control"
    assert [one["order_id"] for one in left["items"]] == [second.id]
    assert f"revoked {given['id']}: 0.40 XTS were spent; 2 orders were placed" in revoked
