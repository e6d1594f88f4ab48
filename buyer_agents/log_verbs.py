"""What a reader does to trust a log: fetch it as it is, have it signed, and keep both."""

from collections.abc import AsyncGenerator
from typing import Final
from urllib.parse import quote as url_part

import msgspec

from buyer_agents.connection import Connection
from market.protocol.commitments import CHECKPOINT, CheckpointClaims
from market.protocol.logfile import log_lines
from market.protocol.signing import BadSignature
from market.protocol.wire import CheckpointView, Page

PAGE: Final = 100


class _RawEntries(msgspec.Struct, frozen=True):
    items: list[msgspec.Raw]


class LogVerbs(Connection):
    async def raw_events(
        self, session_id: str, *, after: int = -1, limit: int = PAGE
    ) -> list[bytes]:
        """Return the entries behind offset ``after`` as the market sends them, byte by byte."""
        page = await self.call(
            "GET", f"/v1/sessions/{url_part(session_id)}/events", _RawEntries,
            query={"after": after, "limit": limit},
        )  # fmt: skip
        return [bytes(item) for item in page.items]

    async def checkpoints(
        self, session_id: str, *, cursor: str | None = None, limit: int = PAGE
    ) -> Page[CheckpointView]:
        """Return what the market signed of a log so far; the reader checks the signatures."""
        return await self.call(
            "GET", f"/v1/sessions/{url_part(session_id)}/checkpoints", Page[CheckpointView],
            query={"cursor": cursor, "limit": limit},
        )  # fmt: skip

    async def checkpoint(self, session_id: str) -> CheckpointView:
        """Have a log signed as it stands.

        Raises:
            BadSignature: what came back is not the market's word on this session.
        """
        path = f"/v1/sessions/{url_part(session_id)}/checkpoint"
        signed = await self.call("GET", path, CheckpointView)
        claims = await self.read_market(signed.token, typ=CHECKPOINT, claims=CheckpointClaims)
        said = (claims.session_id, claims.offset, claims.hash)
        if said != (session_id, signed.offset, signed.hash):
            raise BadSignature("the checkpoint is signed for another place")
        return signed

    async def every_checkpoint(self, session_id: str) -> list[CheckpointView]:
        """Return all that the market signed of a log, the present end included."""
        found: list[CheckpointView] = []
        cursor: str | None = None
        while True:
            page = await self.checkpoints(session_id, cursor=cursor)
            found += page.items
            cursor = page.next
            if cursor is None:
                break
        head = await self.checkpoint(session_id)
        return [one for one in found if one.offset < head.offset] + [head]

    async def kept_log(self, session_id: str) -> AsyncGenerator[bytes, None]:
        """Yield a log as the lines of a file that proves itself: entries, then checkpoints.

        It ends with the event that was the last when it began, and the market's signature over it.
        """
        checkpoints = await self.every_checkpoint(session_id)
        next_offset, end = 0, checkpoints[-1].offset + 1
        while next_offset < end:
            entries = await self.raw_events(
                session_id, after=next_offset - 1, limit=min(PAGE, end - next_offset)
            )
            if not entries:
                break
            for entry in entries:
                yield entry + b"\n"
            next_offset += len(entries)
        for line in log_lines([], [checkpoint.token for checkpoint in checkpoints]):
            yield line
