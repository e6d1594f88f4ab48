"""The seat for somebody outside: what is asked, what counts as an answer, and the transcript."""

import time
from pathlib import Path
from typing import Any

import jsonschema_rs
import msgspec
import pytest

from buyer_agents import BadParams, Experience, NoChoice, policy_named
from buyer_agents.outside_lines import TranscriptExists
from buyer_agents.outside_questions import (
    CHUNK,
    CHUNKS,
    BadReply,
    ask_judgement,
    ask_rank,
    ask_trust,
    read_reply,
)
from market.protocol.canonical import digest
from tests.stand_in import INJECTION, answer, answering
from tests.unit.test_policies import NEED, candidate, report

TWO = [candidate("dear", price=300_000), candidate("cheap", price=100_000)]


def seat(**params: Any) -> Any:
    return policy_named("outside", agent="walker", **params)


async def ranked(policy: Any) -> list[str]:
    return [one.candidate.slug for one in await policy.rank(TWO, NEED, {})]


# Questions


def test_offers_go_by_numbers_and_say_who_says_what() -> None:
    question = ask_rank(TWO, NEED, {"id-of-cheap": Experience(good=2)})

    _, cheap = question["material"]["offers"]
    assert (cheap["offer"], cheap["price"], cheap["own_orders"]["good"]) == (2, "0.10 XTS", 2)
    assert cheap["seller_says"]["name"] == "cheap"
    assert cheap["market_says"]["trust"] == 0.5


def test_no_seller_writes_into_the_instructions() -> None:
    loud = candidate("loud")
    found = msgspec.structs.replace(
        loud.found, summary=f"\u202e\u200b{INJECTION}\n\n" + "x" * 999, tags=[INJECTION]
    )
    shouting = type(loud)(found=found, amount_minor=1)

    question: dict[str, Any] = {**ask_rank([shouting], NEED, {})}

    material = question.pop("material")
    assert INJECTION not in str(question)
    [offer] = material["offers"]
    assert offer["seller_says"]["summary"].startswith(INJECTION)
    assert len(offer["seller_says"]["summary"]) == 300
    quiet = dict(ask_rank(TWO, NEED, {}))
    del quiet["material"]
    assert question == quiet


def test_a_long_delivery_is_cut_short() -> None:
    question = ask_judgement([{"text": "y" * 5 * CHUNK}] * 3 * CHUNKS, NEED)

    material = question["material"]
    assert material["chunks"] == 3 * CHUNKS
    assert [len(chunk) for chunk in material["delivered_as_json"]] == [CHUNK] * CHUNKS


@pytest.mark.parametrize(
    "question", [ask_rank(TWO, NEED, {}), ask_trust(report(), NEED), ask_judgement([{}], NEED)]
)
def test_a_question_tells_the_schema_of_its_answer(question: Any) -> None:
    reply = answer(question)

    jsonschema_rs.validator_for(question["answer_schema"]).validate(reply)
    assert msgspec.to_builtins(read_reply(question["ask"], reply, len(TWO))) == reply


@pytest.mark.parametrize(
    ("asked", "body", "what"),
    [
        ("rank", b"the second one, please", "malformed"),
        ("rank", {"order": [3]}, "no offer 3"),
        ("rank", {"order": [0]}, ">= 1"),
        ("rank", {"order": [1, 1]}, "twice"),
        ("rank", {"order": ["cheap"]}, "Expected `int`"),
        ("rank", {"order": [1], "pay": 5}, "unknown field `pay`"),
        ("trust", {"answer": "yes"}, "Invalid enum value 'yes'"),
        ("judge", {"comment": "fine"}, "missing required field `verdict`"),
        ("judge", "[]", "Expected `object`"),
    ],
)
def test_what_does_not_fit_is_no_answer(asked: Any, body: Any, what: str) -> None:
    with pytest.raises(BadReply, match=what):
        read_reply(asked, body, 2)


# Asking


async def test_a_function_decides() -> None:
    policy = seat(ask="tests.stand_in:answer")

    assert await ranked(policy) == ["cheap", "dear"]
    assert await policy.trusts(report(), NEED) == "allow"
    assert await policy.judge([{"column": "a"}], NEED) == ("good", "All 1 chunks are there.")


async def test_what_the_need_rules_out_is_not_asked() -> None:
    policy = seat(ask=lambda question: pytest.fail("it was asked"))
    need = type(NEED)(query="x", input={}, min_trust=0.9, wants=("column",))

    assert await policy.trusts(report(score=0.8), need) == "leave"
    assert (await policy.judge([{"row": 1}], need)).verdict == "bad"
    assert await policy.rank([], need, {}) == []


async def test_who_answers_badly_is_told_why_and_asked_again() -> None:
    seen: list[Any] = []

    def learns(question: dict[str, Any]) -> dict[str, Any]:
        seen.append(question.get("refused"))
        question["material"].clear()
        return {"order": [2]} if question.get("refused") else {"order": [7]}

    assert await ranked(seat(ask=learns)) == ["cheap"]
    assert seen[0] is None
    assert "no offer 7" in seen[1]["problem"]


@pytest.mark.parametrize(("tries", "asked"), [(1, 1), (3, 3)])
async def test_who_never_answers_well_is_asked_no_more(tries: int, asked: int) -> None:
    times: list[int] = []

    def never(question: Any) -> str:
        times.append(1)
        return "no idea"

    with pytest.raises(NoChoice, match="no answer fits"):
        await ranked(seat(ask=never, tries=tries))
    assert len(times) == asked


async def test_a_delivery_is_judged_even_if_nobody_answers() -> None:
    def broken(question: Any) -> Any:
        raise RuntimeError("out of tokens")

    policy = seat(ask=broken)

    assert (await policy.judge([{"column": 1}], NEED)).verdict == "good"
    with pytest.raises(NoChoice, match="RuntimeError: out of tokens"):
        await ranked(policy)


async def test_one_who_takes_too_long_has_not_answered() -> None:
    policy = seat(ask=lambda question: time.sleep(0.3), timeout_seconds=0.02)

    with pytest.raises(NoChoice, match=r"none within 0.02 s"):
        await ranked(policy)


async def test_an_endpoint_decides() -> None:
    with answering(lambda question: (200, answer(question))) as url:
        assert await ranked(seat(url=url)) == ["cheap", "dear"]


@pytest.mark.parametrize(
    ("status", "tree", "what"),
    [
        (500, {}, "answered 500"),
        (302, {}, "answered 302"),
        (200, b"x" * 70_000, "more than 65536 bytes"),
    ],
)
async def test_an_endpoint_that_fails_has_not_answered(status: int, tree: Any, what: str) -> None:
    with (
        answering(lambda question: (status, tree)) as url,
        pytest.raises(NoChoice, match=what),
    ):
        await ranked(seat(url=url))


async def test_an_endpoint_that_is_not_there_has_not_answered() -> None:
    with answering(lambda question: (200, {})) as url:
        pass

    with pytest.raises(NoChoice, match="ConnectError"):
        await ranked(seat(url=url))


# Transcripts


async def test_a_transcript_is_played_without_whoever_answered(tmp_path: Path) -> None:
    turns = iter([{"order": [1]}, {"order": [9]}, {"order": [2, 1]}])
    first = seat(ask=lambda question: next(turns), record=str(tmp_path))
    said = [await ranked(first), await ranked(first)]

    again = seat(replay=str(tmp_path))

    assert [await ranked(again), await ranked(again)] == said == [["dear"], ["cheap", "dear"]]
    with pytest.raises(NoChoice, match="not in the transcript"):
        await ranked(again)


async def test_what_was_not_answered_is_not_answered_again(tmp_path: Path) -> None:
    def broken(question: Any) -> Any:
        raise RuntimeError("out of tokens")

    with pytest.raises(NoChoice, match="out of tokens"):
        await ranked(seat(ask=broken, record=str(tmp_path)))
    with pytest.raises(NoChoice, match="out of tokens"):
        await ranked(seat(replay=str(tmp_path)))


async def test_a_transcript_is_never_written_over(tmp_path: Path) -> None:
    """A good one was lost when the model's server was down and the story was run again."""
    keeping = seat(ask=lambda question: {"order": [1]}, record=str(tmp_path))
    late = seat(ask=lambda question: {"order": [2]}, record=str(tmp_path))
    await ranked(keeping)
    kept = (tmp_path / "walker.jsonl").read_bytes()

    with pytest.raises(BadParams, match="name another folder, or move it away") as refusal:
        seat(url="http://127.0.0.1:9/decide", record=str(tmp_path))
    with pytest.raises(TranscriptExists, match=r"walker\.jsonl is a transcript already"):
        await ranked(late)

    assert refusal.value.param == "record"
    assert (tmp_path / "walker.jsonl").read_bytes() == kept
    await ranked(keeping)
    assert (tmp_path / "walker.jsonl").read_bytes() == kept * 2


async def test_a_transcript_holds_questions_answers_and_what_did_not_fit(tmp_path: Path) -> None:
    turns = iter(["hm", {"order": [2]}])
    await ranked(seat(ask=lambda question: next(turns), record=str(tmp_path)))

    [line] = (tmp_path / "walker.jsonl").read_bytes().splitlines()

    entry = msgspec.json.decode(line)
    assert entry["digest"] == digest(dict(ask_rank(TWO, NEED, {})))
    assert entry["answer"]["order"] == [2]
    assert entry["refused"][0]["answer"] == "hm"


@pytest.mark.parametrize(
    ("params", "what"),
    [
        ({}, "ask, url or replay"),
        ({"ask": "tests.stand_in:answer", "url": "http://localhost"}, "only one"),
        ({"ask": "tests.stand_in:nobody"}, "no attribute 'nobody'"),
        ({"ask": "tests.stand_in:INJECTION"}, "cannot be called"),
        ({"ask": "answer"}, "package.module:Function"),
        ({"url": "ftp://x"}, "no address"),
        ({"replay": "nowhere"}, "cannot be read"),
        ({"ask": "tests.stand_in:answer", "tries": 0}, "tries of outside"),
        ({"ask": "tests.stand_in:answer", "timeout": 3}, "did you mean 'timeout_seconds'"),
    ],
)
def test_a_seat_that_cannot_be_taken_is_refused(params: Any, what: str) -> None:
    with pytest.raises(BadParams, match=what):
        seat(**params)


def test_an_agent_that_cannot_name_a_file_has_no_transcript(tmp_path: Path) -> None:
    with pytest.raises(BadParams, match="cannot name a file"):
        policy_named("outside", agent="../x", ask=answer, record=str(tmp_path))
