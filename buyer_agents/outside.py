"""A seat for somebody outside: a policy that asks a program, for instance one around an LLM.

It asks three questions in JSON (``outside_questions``): how to order offers, whether to trust a
seller, whether a delivery is good. Whatever the answers, the buyer stays within its need, its
mandate and its wallet: those are not asked. What was asked and answered can be recorded, and
played again without the program.
"""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Final

import anyio
import msgspec
from msgspec import Meta

from buyer_agents import making
from buyer_agents.needs import Candidate, Memory, Need, Outputs, Ranked
from buyer_agents.outside_lines import (
    Ask,
    Entry,
    NoAnswer,
    Transcript,
    TranscriptExists,
    endpoint,
    function_named,
    recorded,
)
from buyer_agents.outside_questions import (
    Asked,
    BadReply,
    Judged,
    Order,
    Question,
    Replied,
    Trusted,
    ask_judgement,
    ask_rank,
    ask_trust,
    read_reply,
)
from buyer_agents.weighing import Answer, Judgement, Judging, NoChoice
from market.protocol.canonical import digest
from market.protocol.text import one_line
from market.protocol.wire import TrustView

MAX_SHOWN: Final = 2_000
"""The most letters of an answer that did not fit, in what is asked again."""

Seconds = Annotated[float, Meta(gt=0, le=3_600)]
Tries = Annotated[int, Meta(ge=1, le=5)]


class Outside(Judging):
    """Asks ``ask``, a function ``package.module:function``, or ``url``, an HTTP endpoint.

    ``replay`` is a folder with a transcript to be played instead; ``record`` one to write it to,
    as ``<agent>.jsonl``, which must not be there yet. An answer that does not fit is asked for
    again, with what is wrong, up to ``tries`` in all; one takes at most ``timeout_seconds``. Who
    gets no answer leaves the market; a delivery is then judged as other policies do.
    """

    def __init__(
        self,
        agent: str,
        ask: Any = None,
        url: str | None = None,
        replay: str | None = None,
        record: str | None = None,
        timeout_seconds: Seconds = 60.0,
        tries: Tries = 2,
    ) -> None:
        if sum(one is not None for one in (ask, url, replay)) != 1:
            raise ValueError("say who is asked: ask, url or replay, and only one of them")
        self._ask: Ask | None = None
        if ask is not None:
            self._ask = function_named(ask) if isinstance(ask, str) else ask
        elif url is not None:
            self._ask = endpoint(url, timeout_seconds)
        self._recorded = None if replay is None else recorded(Path(replay), agent)
        self._transcript = None if record is None else _begun(record, agent)
        self._timeout_seconds = timeout_seconds
        self._tries = tries

    async def rank(
        self, candidates: Sequence[Candidate], need: Need, memory: Memory
    ) -> list[Ranked]:
        if not candidates:
            return []
        reply = await self._reply("rank", ask_rank(candidates, need, memory), len(candidates))
        assert isinstance(reply, Order), "it fits the question"
        return [
            Ranked(candidates[number - 1], {"choice": 1 / place})
            for place, number in enumerate(reply.order, start=1)
        ]

    async def trusts(self, report: TrustView, need: Need) -> Answer:  # type: ignore[override]
        if super().trusts(report, need) == "leave":
            return "leave"
        reply = await self._reply("trust", ask_trust(report, need))
        assert isinstance(reply, Trusted), "it fits the question"
        return reply.answer

    async def judge(self, outputs: Outputs, need: Need) -> Judgement:  # type: ignore[override]
        own = super().judge(outputs, need)
        if own.verdict == "bad":
            return own
        try:
            reply = await self._reply("judge", ask_judgement(outputs, need))
        except NoChoice:
            return own
        assert isinstance(reply, Judged), "it fits the question"
        return Judgement(reply.verdict, reply.comment or own.comment)

    async def _reply(self, asked: Asked, question: Question, offers: int = 0) -> Replied:
        """Return the answer to a question, and keep both.

        Raises:
            NoChoice: there is none.
        """
        entry = await self._entry(asked, question, offers)
        if self._transcript is not None:
            self._transcript.add(entry)
        if entry.answer is None:
            raise NoChoice(f"Nobody answered '{asked}' for this buyer: {entry.problem}.")
        return read_reply(asked, entry.answer, offers)

    async def _entry(self, asked: Asked, question: Question, offers: int) -> Entry:
        if self._recorded is not None:
            return self._recorded(question) or _entry(question, "it is not in the transcript")
        refused: list[dict[str, Any]] = []
        again = question
        for _ in range(self._tries):
            try:
                body = await self._asked(again)
            except NoAnswer as nobody:
                return _entry(question, str(nobody), refused=refused)
            try:
                reply = read_reply(asked, body, offers)
            except BadReply as bad:
                shown = one_line(str(body), MAX_SHOWN)
                refused.append({"answer": shown, "problem": str(bad)})
                again = {**question, "refused": refused[-1]}
            else:
                return _entry(question, refused=refused, reply=reply)
        return _entry(question, f"no answer fits: {refused[-1]['problem']}", refused=refused)

    async def _asked(self, question: Question) -> Any:
        assert self._ask is not None, "a transcript answers by itself"
        loop = asyncio.get_running_loop()
        try:
            with anyio.fail_after(self._timeout_seconds):
                # A copy, as it would arrive elsewhere: whatever becomes of it, ours stays.
                sent = msgspec.json.decode(msgspec.json.encode(question))
                return await loop.run_in_executor(None, self._ask, sent)
        except TimeoutError as late:
            raise NoAnswer(f"none within {self._timeout_seconds} s") from late
        except NoAnswer:
            raise
        except Exception as error:
            # The edge to somebody else's code: whatever it raises, the buyer has no answer.
            raise NoAnswer(f"{type(error).__name__}: {error}") from error


def _begun(record: str, agent: str) -> Transcript:
    try:
        return Transcript(Path(record), agent)
    except TranscriptExists as error:
        raise making.BadParams(f"record of outside: {error}", "record") from error


def _entry(
    question: Question,
    problem: str = "",
    *,
    refused: Sequence[dict[str, Any]] = (),
    reply: Replied | None = None,
) -> Entry:
    return Entry(
        digest=digest(dict(question)),
        question=dict(question),
        answer=None if reply is None else msgspec.to_builtins(reply),
        problem=problem,
        refused=list(refused),
    )
