"""How the command line puts a journey, a run and a signature into words."""

from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest

from market.audit import Money, Summary
from market.catalog.freezing import FROZEN
from market.cli.progress import Progress, clock, line_text
from market.cli.report import print_report
from market.cli.timeline import Line, Teller, ticks
from market.cli.trust import FLAGS
from market.protocol.commitments import RECEIPT, REVIEW, ReceiptClaims, ReviewClaims
from market.protocol.events import KINDS, Event, Withheld
from market.protocol.folded import Folded
from market.protocol.folding import fold
from market.protocol.signing import SigningKey
from market.trust.scoring import Flag
from scenarios.engine import BuyerPart, NeedPart, Scenario
from scenarios.engine.result import (
    ExpectationResult,
    FaultResult,
    FunnelRow,
    JourneyResult,
    OrderResult,
    RunResult,
    SellerResult,
    StageResult,
    WatcherResult,
    WorkResult,
)
from scenarios.engine.telling import Acted, Joined, JourneyOver, Logged, Opened, Resumed
from tests.shell import Market

BUYER, SELLER, OVERSEER = "B" * 43, "S" * 43, "O" * 43
NAMES = {BUYER: "walker", SELLER: "clerk", OVERSEER: "overseer", "market": "market"}
SPLIT = {
    "captured_minor": 60_000,
    "fee_minor": 900,
    "returned_minor": 40_000,
    "currency": "XTS",
    "receipt_id": "rcp_1",
}


@pytest.fixture(autouse=True)
def plain(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("NO_COLOR", "1")


def event(kind: str, body: dict[str, Any], actor_id: str = BUYER) -> Event:
    return Event(
        id="ses_1:3",
        session_id="ses_1",
        offset=3,
        kind=kind,
        stage=KINDS[kind].stage,
        actor_id=actor_id,
        order_id=None,
        audience="owner",
        recorded_at="2026-11-22T12:00:00.000000Z",
        body=body,
        prev_hash="",
        hash="",
    )


@pytest.mark.parametrize(
    ("kind", "body", "expected"),
    [
        (
            "session.opened",
            {"buyer_id": BUYER, "principal_id": None, "need": "units"},
            ("", "opened", "walker needs: units"),
        ),
        (
            "finding.listed",
            {"services": [{"slug": "clerk", "amount_minor": 2_000}]},
            ("Find", "listed", "1 found: clerk 0.002 XTS"),
        ),
        ("finding.listed", {"services": []}, ("Find", "listed", "nothing found")),
        (
            "evaluating.quoted",
            {"slug": "clerk", "amount_minor": 52_000, "units": 26, "currency": "XTS"},
            ("Evaluate", "quoted", "clerk: 0.052 XTS for 26 units"),
        ),
        (
            "trust.reported",
            {"slug": "clerk", "score": 0.2137, "confidence": 0.0, "flags": ["new"]},
            ("Trust", "reported", "clerk: score 0.21, confidence 0.00; new"),
        ),
        (
            "decision.made",
            {"outcome": "leave", "reason": "price", "detail": f"{SELLER} is dear"},
            ("", "✗ left", "price: clerk is dear"),
        ),
        (
            "decision.made",
            {"outcome": "advance", "reason": None, "detail": "fits"},
            ("", "✓ passed", "fits"),
        ),
        (
            "order.placed",
            {"slug": "clerk", "amount_minor": 100_000, "units": 1, "currency": "XTS"},
            ("Pay", "ordered", "clerk: 0.10 XTS held for 1 unit"),
        ),
        (
            "delivery.chunk",
            {"index": 2, "output": {"words": ["a", "b"], "item": 1}},
            ("Use", "chunk 2", "item: 1, words: a, b"),
        ),
        (
            "order.cancelled",
            {**SPLIT, "reason": "enough"},
            ("", "cancelled", "enough: 0.06 XTS paid (fee 0.0009 XTS), 0.04 XTS returned"),
        ),
        (
            "approval.requested",
            {"amount_minor": 180_000, "approval_over_minor": 100_000, "currency": "XTS"},
            ("Pay", "● waiting", "0.18 XTS is above 0.10 XTS: a human must approve"),
        ),
        ("approval.denied", {"reason": "no"}, ("Pay", "denied", "by walker: no")),
        (
            "control.requested",
            {"action": "steer", "text": "shorter", "reason": ""},
            ("ctrl", "steer", "asked by walker: shorter"),
        ),
        (
            "control.answered",
            {"action": "pause", "answer": "accepted", "detail": "It waits."},
            ("ctrl", "accepted", "pause. It waits."),
        ),
        (
            "recommendation.sent",
            {"slug": "clerk", "recipient_ids": [BUYER]},
            ("Recommend", "told", "recommends clerk to walker"),
        ),
        (
            "order.stalled",
            {"lease_until": "2026-11-22T12:00:30.000000Z", "fails_at": "2026-11-22T12:01:00.000Z"},
            ("Use", "● stalled", "no sign of life of the seller; fails at 12:01:00"),
        ),
        (
            "presence.joined",
            {"agent_id": BUYER, "device": "phone", "status": "idle"},
            ("", "joined", "walker on phone: idle"),
        ),
        (
            "presence.changed",
            {"agent_id": BUYER, "device": "phone", "status": "thinking"},
            ("", "present", "walker on phone: thinking"),
        ),
        (
            "presence.left",
            {"agent_id": BUYER, "device": "phone", "reason": "lost"},
            ("", "gone", "walker on phone: no sign any more"),
        ),
        (
            "delegation.given",
            {
                "delegate_id": SELLER,
                "actions": ["read", "write"],
                "run": "search",
                "expires_at": "2026-11-22T13:00:00.000000Z",
            },
            (
                "",
                "delegated",
                "walker lets clerk read, write, in the run search alone, until 13:00:00",
            ),
        ),
        (
            "delegation.revoked",
            {"delegate_id": SELLER, "reason": "done"},
            ("", "revoked", "clerk is out, says walker: done"),
        ),
        (
            "run.started",
            {"run": "left", "title": "Read it", "parent": "both"},
            ("", "run", "left by walker: Read it, part of both"),
        ),
        (
            "run.step",
            {"run": "left", "step": "page-1", "attempt": 1, "detail": "", "output": {"rows": 3}},
            ("", "step", "left / page-1: rows: 3"),
        ),
        (
            "run.step",
            {"run": "left", "step": "page-1", "attempt": 2, "detail": "again", "output": None},
            ("", "step", "left / page-1 (attempt 2): again"),
        ),
        (
            "run.ended",
            {"run": "left", "outcome": "cancelled", "detail": "as asked"},
            ("", "✗ cancelled", "left: as asked"),
        ),
        ("run.ended", {"run": "left", "outcome": "done", "detail": ""}, ("", "✓ done", "left")),
        (
            "control.requested",
            {"action": "cancel", "run": "left", "text": "", "reason": "enough"},
            ("ctrl", "cancel", "run left: asked by walker: enough"),
        ),
        (
            "control.answered",
            {"action": "cancel", "run": "left", "answer": "accepted", "detail": "No more."},
            ("ctrl", "accepted", "run left: cancel. No more."),
        ),
        (
            "mandate.revoked",
            {"mandate_id": "mdt_1", "reason": "enough", "currency": "XTS", "spent_minor": 0},
            ("", "revoked", "mdt_1, by walker: enough"),
        ),
        ("note.written", {"text": "a\nb"}, ("", "note.written", "text: a b")),
    ],
)
def test_an_event_is_told_in_words(
    kind: str, body: dict[str, Any], expected: tuple[str, str, str]
) -> None:
    assert Teller(NAMES).line(event(kind, body)) == Line(*expected)


def test_what_is_withheld_is_told_as_such() -> None:
    stub = Withheld(offset=3, withheld=True, hash="x")

    assert Teller({}).line(stub).word == "withheld"


def test_a_line_is_aligned_and_cut_to_the_terminal() -> None:
    line = Line("Use", "chunk 1", "a long output " * 10)

    whole = line_text(line, seconds=61.5, offset="#7", agent="walker  ")
    cut = line_text(line, seconds=61.5, offset="#7", agent="walker  ", width=60)

    assert whole.plain.startswith("01:01.50  walker  #7   Use        chunk 1     a long output")
    assert len(cut.plain) == 60
    assert cut.plain.endswith("…")


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (0.0, "00:00.00"),
        (61.5, "01:01.50"),
        (3_599.99, "59:59.99"),
        (3_599.999, "1:00:00"),
        (3_600.0, "1:00:00"),
        (11_260.09, "3:07:40"),
        (86_400.0, "24:00:00"),
    ],
)
def test_from_an_hour_on_hours_are_told(seconds: float, told: str) -> None:
    assert clock(seconds) == told


def test_stages_stand_in_one_line() -> None:
    told = ticks([("finding", "passed", 0.0416), ("evaluating", "left", 1.26)])

    assert told == ("Find ✓ 42ms  Evaluate ✗ 1.3s  Trust ·  Pay ·  Use ·  Recommend ·")


def test_a_run_is_told_while_it_happens(capsys: pytest.CaptureFixture[str]) -> None:
    buyer = BuyerPart(name="walker", need=NeedPart(query="units", input={}))
    scenario = Scenario(scenario=1, name="short", buyers=[buyer])

    with Progress(scenario, is_quiet=False, now=lambda: 0.0) as progress:
        progress(Opened("http://127.0.0.1:1", NAMES))
        progress(Logged("walker", event("order.started", {"seller_id": SELLER})))
        progress(Acted("walker", 3, "disconnect", True, "the connection is cut"))
        progress(Acted("walker", 3, "approve", True, "told by the log itself"))
        progress(Resumed("walker", 3))
        progress(JourneyOver("walker", 1, 1))

    lines = [line[10:] for line in capsys.readouterr().err.splitlines()]
    assert lines == [
        "",
        "                open        a market at http://127.0.0.1:1: walker, clerk,"
        " overseer, market",
        "#3   Use        started     clerk is at work",
        "#3   fault      disconnect  the connection is cut",
        "#3   fault      resumed     the stream goes on behind #3: nothing lost, nothing twice",
    ]


def result(**changes: Any) -> RunResult:
    order = OrderResult(
        id="ord_1", seller="clerk", slug="clerk", state="cancelled", held_minor=100_000,
        captured_minor=60_000, fee_minor=900, returned_minor=40_000, refunded_minor=0, units=5,
        units_delivered=3, chunks=3, receipt_ids=["rcp_1"],
    )  # fmt: skip
    stages = [
        StageResult(stage="finding", outcome="passed", reason="", detail="", seconds=0.01),
        StageResult(stage="evaluating", outcome="left", reason="other", detail="no", seconds=2),
    ]
    journey = JourneyResult(
        buyer="walker", session_id="ses_1", outcome="cancelled", events=9, cut=1, resumed=1,
        stages=stages, orders=[order],
    )  # fmt: skip
    money = Money(
        currency="XTS",
        minted_minor=1,
        wallets_minor=1,
        bonds_minor=0,
        escrows_minor=0,
        fees_minor=0,
    )
    proven = Summary(sessions=1, events=9, orders={}, receipts=1, postings=7, money=[money])
    funnel = [
        FunnelRow(stage="finding", reached=2, passed=2, left=0, open=0, reasons={}),
        FunnelRow(stage="evaluating", reached=2, passed=1, left=1, open=0, reasons={"price": 1}),
    ]
    given: dict[str, Any] = {
        "name": "short", "seed": 7, "currency": "XTS", "seconds": 1.25, "events": 9,
        "is_over": True, "is_interrupted": False,
        "expectations": [
            ExpectationResult(
                title="all well", that="x == 1", status="passed", observed={"x": "1"}
            ),
            ExpectationResult(title="y == 2", that="y == 2", status="failed", observed={"y": "1"}),
            ExpectationResult(
                title="two", that="z == 2", status="failed", observed={"z": "1"}, where="s.toml:9"
            ),
        ],
        "funnel": funnel, "journeys": [journey], "watchers": [], "runs": [], "wallets": {},
        "proven": proven, "findings": [], "folder": "runs/short-1",
    }  # fmt: skip
    return RunResult(**(given | changes))


def test_of_many_journeys_a_table_is_told_and_what_went_wrong(
    capsys: pytest.CaptureFixture[str],
) -> None:
    [journey] = result().journeys
    change = msgspec.structs.replace
    [order] = journey.orders
    order = change(order, refunded_minor=10_000, state="failed")
    bees = [
        change(journey, buyer=f"bee-{n}", table="bee", outcome="failed", orders=[order])
        for n in range(1, 6)
    ]
    bees[4] = change(bees[4], outcome="open", orders=[])
    wasps = [
        change(journey, buyer=f"wasp-{n}", table="wasp", outcome="bought") for n in range(1, 9)
    ]
    run = result(journeys=[*bees, *wasps])

    print_report(run)
    told = capsys.readouterr().out
    print_report(run, every_journey=True)
    every = capsys.readouterr().out
    print_report(result(journeys=[*bees, *wasps][:12]))
    few = capsys.readouterr().out

    assert told.splitlines()[2:8] == [
        "13 journeys",
        "Buyers  Journeys  Bought  Left  Failed  Cancelled  Open  Spent XTS  Most left because of",
        "bee            5       0     0       4          0     1       0.20  other (5)",
        "wasp           8       8     0       0          0     0       0.48",
        "",
        "5 not through, or failed, the first 3 of them (--journeys: all)",
    ]
    assert [one for one in ("bee-5", "bee-1", "bee-2", "bee-3") if f" {one} " in told] == [
        "bee-5",
        "bee-1",
        "bee-2",
    ]
    assert "wasp-8" not in told
    assert all(f"wasp-{n}" in every for n in range(1, 9))
    assert "Buyers" not in every
    assert "Journeys\n" in few
    assert "Buyers" not in few


def test_who_earned_and_who_is_trusted_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    def seller(number: int, paid_minor: int) -> SellerResult:
        return SellerResult(
            name=f"clerk-{number}", table="clerk", orders=4, sold=2, failed=1, refunded=1,
            captured_minor=paid_minor, wallet_minor=1_500_000, bond_minor=250_000, trust="0.4125",
            is_frozen=number == 1,
        )  # fmt: skip

    few = [seller(1, 400_000), seller(2, 500_000)]
    print_report(result(sellers=few))
    told = capsys.readouterr().out
    print_report(result(sellers=[seller(number, number) for number in range(1, 43)]))
    many = capsys.readouterr().out

    begin = told.splitlines().index("Sellers")
    assert told.splitlines()[begin : begin + 4] == [
        "Sellers",
        "Name     Orders  Sold  Failed  Refunded  Captured XTS  Wallet  Bond   Trust",
        "clerk-1       4     2       1         1          0.40    1.50  0.25  0.4125  frozen",
        "clerk-2       4     2       1         1          0.50    1.50  0.25  0.4125",
    ]
    assert "clerk-2 " not in many
    assert many.index("clerk-42 ") < many.index("clerk-3 ")
    assert "2 more, who were paid no more than the last of these (--journeys: all)" in many


def test_what_need_not_happen_and_did_not_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    print_report(result(notes=["s.toml:9: disconnect at chunk 3 of bee never happened"]))

    told = capsys.readouterr().out
    assert "Faults\n● s.toml:9: disconnect at chunk 3 of bee never happened\n" in told


def test_a_run_is_reported_when_it_is_over(capsys: pytest.CaptureFixture[str]) -> None:
    [journey] = result().journeys
    other = msgspec.structs.replace(journey, session_id="ses_2", outcome="open", orders=[])

    print_report(result(journeys=[journey, other]))

    told = capsys.readouterr().out.splitlines()
    assert told == [
        "short   seed 7   9 events in 1.2 s",
        "",
        "Journeys",
        "■ walker had its order at clerk cancelled",
        "    Find ✓ 10ms  Evaluate ✗ 2.0s  Trust ·  Pay ·  Use ·  Recommend ·",
        "    0.10 XTS held = 0.06 paid (fee 0.0009) + 0.04 returned; 3 of 5 units in 3 chunks",
        "    other: no",
        "    ses_1, 9 events; its stream was cut once and went on once",
        "● walker is not through",
        "    Find ✓ 10ms  Evaluate ✗ 2.0s  Trust ·  Pay ·  Use ·  Recommend ·",
        "    other: no",
        "    ses_2, 9 events; its stream was cut once and went on once",
        "",
        "Funnel",
        "Stage     Reached  Passed  Left  Open  Step" + " " * 28 + "Top reason to leave",
        "Find            2       2     0     0  100%  ████████████████████████",
        "Evaluate        2       1     1     0   50%  ████████████░░░░░░░░░░░░  price (1)",
        "",
        "Expectations",
        "✓ all well",
        "    x = 1",
        "✗ y == 2",
        "    y = 1",
        "✗ two",
        "    z == 2   (s.toml:9)",
        "    z = 1",
        "1 passed, 2 failed",
        "",
        "✓ proven from the store: 7 postings sum to zero, 9 log entries chain, 1 receipt holds,"
        " 0.00 XTS still in escrow",
    ]


def test_devices_and_sub_agents_are_reported(capsys: pytest.CaptureFixture[str]) -> None:
    watcher = WatcherResult(
        name="phone", who="walker", session_id="ses_1", over="sse", first=5, entries=4,
        differences=0, cut=2, resumed=2,
    )  # fmt: skip
    other = msgspec.structs.replace(watcher, name="tab", over="poll", first=0, differences=1, cut=0)
    work = WorkResult(
        run="facts", title="Check them", by="checker", session_id="ses_1", steps=3, attempts=4,
        outcome="cancelled", detail="told to stop at #7",
    )  # fmt: skip

    print_report(result(watchers=[watcher, other], runs=[work]))

    told = capsys.readouterr().out.splitlines()
    assert "Funnel" not in told  # of one journey it would say nothing new
    first = told.index("Devices")
    assert told[first : first + 8] == [
        "Devices",
        "Device  Whose   Over       Got                 As the log",
        "phone   walker  SSE        snapshot, #5 to #8  ✓ same bytes  cut twice, went on twice",
        "tab     walker  long poll  #0 to #3            ✗ 1 differ",
        "",
        "Sub-agents",
        "■ facts, written by checker: Check them",
        "    3 steps, 1 of them done again; cancelled: told to stop at #7",
    ]


def test_every_flag_of_a_trust_report_is_told_in_words() -> None:
    assert list(FLAGS) == [*get_args(Flag), FROZEN]
    assert all(" " in words for words in FLAGS.values())


def test_faults_are_counted_by_their_kind(capsys: pytest.CaptureFixture[str]) -> None:
    doubled = [
        FaultResult(kind="double-submit", who=f"bee-{number}", times=1 + (number == 2))
        for number in range(1, 7)
    ]
    crash = FaultResult(kind="market-crash", who="the market", times=1)

    print_report(result(faults=[*doubled, crash]))

    told = capsys.readouterr().out.splitlines()
    first = told.index("Faults")
    assert told[first : first + 5] == [
        "Faults",
        "Fault          Happened  To",
        "double-submit         7  bee-1, bee-2 (2), bee-3, bee-4 and 2 more",
        "market-crash          1  the market",
        "",
    ]


def test_a_device_that_joins_says_what_it_knows(capsys: pytest.CaptureFixture[str]) -> None:
    buyer = BuyerPart(name="walker", need=NeedPart(query="units", input={}))
    scenario = Scenario(scenario=1, name="short", buyers=[buyer])
    decided = {"stage": "finding", "outcome": "advance", "detail": f"{SELLER} is listed."}
    placed = {
        "service_id": "svc_1", "slug": "clerk", "seller_id": SELLER, "amount_minor": 100_000,
        "currency": "XTS", "units": 5,
    }  # fmt: skip
    log = [event("decision.made", decided), event("order.placed", placed)]
    started = event("run.started", {"run": "facts", "title": "Check", "parent": None})
    folded = Folded()
    for offset, one in enumerate([*log, started]):
        fold(folded, msgspec.structs.replace(one, offset=offset, order_id="ord_1"))

    with Progress(scenario, is_quiet=False, now=lambda: 0.0) as progress:
        progress(Opened("http://127.0.0.1:1", NAMES))
        progress(Joined("walker", "tab", "poll", 1, None))
        progress(Joined("walker", "phone", "socket", 2, folded))
        progress(Acted("walker", 2, "lost-acknowledgement", True, "its answer is lost"))
        progress(Resumed("walker", 2, "phone"))

    lines = [line[10:] for line in capsys.readouterr().err.splitlines()[2:]]
    assert lines == [
        "#1   device     reads       tab by long poll: the past from #0 on, then live",
        "#2   device     snapshot    phone by WebSocket: what #0 to #2 come to, then live",
        "                Find        clerk is listed.",
        "                order       clerk: placed, 0.10 XTS held, 0 of 5 units",
        "                run         facts: at work, 0 steps",
        "#2   fault      no answer   its answer is lost",
        "#2   fault      resumed     phone's stream goes on behind #2: nothing lost, nothing twice",
    ]


def test_a_broken_law_outranks_all_else(capsys: pytest.CaptureFixture[str]) -> None:
    broken = result(findings=["ledger: it does not balance"])

    print_report(broken)

    assert broken.exit_code == 5
    assert "✗ broken: ledger: it does not balance" in capsys.readouterr().out


# market verify

MARKET_KEY, BUYER_KEY = SigningKey.generate(), SigningKey.generate()
ISSUER = "http://127.0.0.1:8700"


def receipt() -> str:
    claims = ReceiptClaims(
        iss=ISSUER, aud=ISSUER, iat=1_795_000_000, receipt_id="rcp_" + "0" * 26,
        order_id="ord_" + "0" * 26, session_id="ses_1", outcome="settled", reason=None,
        buyer_id=BUYER_KEY.kid, seller_id="S" * 43, service_id="svc_" + "0" * 26,
        quote_digest="q" * 43, input_digest="i" * 43, delivery_digest=None, units=3,
        currency="XTS", held_minor=180_000, captured_minor=180_000, fee_minor=2_700,
        returned_minor=0, refunded_minor=0, first_offset=1, last_offset=9, log_hash="h" * 43,
    )  # fmt: skip
    return MARKET_KEY.sign(claims, typ=RECEIPT)


def review() -> str:
    claims = ReviewClaims(
        iss=BUYER_KEY.kid, aud=ISSUER, iat=1_795_000_000, order_id="ord_" + "0" * 26,
        receipt_id="rcp_" + "0" * 26, verdict="good",
    )  # fmt: skip
    return BUYER_KEY.sign(claims, typ=REVIEW)


def write_keys(path: str, **keys: SigningKey) -> None:
    jwks = [{**key.public.jwk, "name": name} for name, key in keys.items()]
    Path(path).write_bytes(msgspec.json.encode({"keys": jwks}))


def test_a_signature_is_checked_offline_with_the_keys_beside_it(market: Market) -> None:
    write_keys("keys.json", shop=MARKET_KEY, walker=BUYER_KEY)
    Path("receipt.jws").write_text(receipt())

    said = market("verify", "receipt.jws")

    assert said.exit_code == 0
    lines = said.out.splitlines()
    assert lines[0] == "✓ receipt, signed by shop, 2026-11-18 11:06:40 UTC"
    assert "  buyer_id            " + f"{BUYER_KEY.kid} (walker)" in lines
    assert "  held_minor          0.18 XTS" in lines
    assert said.err == "Next: market audit .\n"


def test_every_commitment_in_a_document_is_checked(market: Market) -> None:
    write_keys("keys.json", shop=MARKET_KEY, walker=BUYER_KEY)
    document = {"receipt": receipt(), "reviews": [{"commitment": review()}]}
    Path("page.json").write_bytes(msgspec.json.encode(document))

    said = market("verify", "page.json", "--json")

    checked = msgspec.json.decode(said.out)
    assert [(one["typ"], one["signer"], one["problem"]) for one in checked] == [
        ("receipt+jwt", "shop", ""),
        ("review+jwt", "walker", ""),
    ]


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: receipt()[:-6] + "AAAAAA", "the signature does not match"),
        (
            lambda: BUYER_KEY.sign({"iss": "x"}, typ=RECEIPT),
            "the signed payload is not of its form",
        ),
        (lambda: BUYER_KEY.sign({"iss": "x"}, typ="other+jwt"), "is no commitment that is known"),
        (lambda: SigningKey.generate().sign({}, typ=RECEIPT), "nothing here vouches for the key"),
    ],
)
def test_what_does_not_hold_ends_with_3(market: Market, make: Any, said: str) -> None:
    write_keys("keys.json", shop=MARKET_KEY, walker=BUYER_KEY)
    Path("x.jws").write_text(make())

    told = market("verify", "x.jws")

    assert told.exit_code == 3
    assert said in told.out
    assert said in told.err


def test_a_private_key_file_vouches_for_its_own_signatures(market: Market) -> None:
    BUYER_KEY.save(Path("walker.key"))
    Path("review.jws").write_text(review())

    assert market("verify", "review.jws", "--keys", "walker.key").exit_code == 0


def test_a_file_without_signatures_is_said_to_be_one(market: Market) -> None:
    Path("x.txt").write_text("a.b.c and 1.2.3 and www.example.com/path")

    said = market("verify", "x.txt")

    assert said.exit_code == 2
    assert said.err == "market: there is no signed commitment in x.txt\n"
