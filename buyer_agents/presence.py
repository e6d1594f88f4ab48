"""Being present in a session: what one does is shown to others for as long as a task runs."""

from contextlib import suppress
from datetime import datetime
from typing import Final, Literal

import anyio
from anyio.abc import TaskStatus

from buyer_agents.errors import MarketTrouble, MarketUnreachable, Refused
from buyer_agents.session_verbs import SessionVerbs

Status = Literal["thinking", "streaming", "idle"]

LEAVE_SECONDS: Final = 2.0
"""How long the word of farewell may take; without it the market notices by itself."""

_BEATS: Final = 3
"""Signs of life in the time after which the market counts a silent device as gone."""


class Presence:
    """One's presence on one device of a session.

    ``task_group.start_soon(presence.keep)`` shows it until cancelled; ``show`` changes it. A seller
    names the order that it works on, if it has several there.
    """

    def __init__(
        self,
        market: SessionVerbs,
        session_id: str,
        *,
        device: str,
        status: Status = "idle",
        order_id: str | None = None,
    ) -> None:
        self._market = market
        self._session_id = session_id
        self._device = device
        self._status: Status = status
        self._order_id = order_id
        self._interval_seconds = 0.0

    async def show(self, status: Status) -> None:
        """Say what one does from now on; the same again is a sign of life, and no event."""
        self._status = status
        view = await self._market.be_present(
            self._session_id, status, device=self._device, order_id=self._order_id
        )
        lasts = datetime.fromisoformat(view.lost_at) - datetime.fromisoformat(view.seen_at)
        self._interval_seconds = lasts.total_seconds() / _BEATS

    async def keep(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Be present until cancelled, or until the session closes; then leave.

        A market that stays away is waited for: being seen is not worth a failure.

        Raises:
            Refused: one takes no part in the session, or nobody more fits.
        """
        try:
            await self.show(self._status)
            task_status.started()
            while True:
                await anyio.sleep(self._interval_seconds)
                with suppress(MarketUnreachable):
                    await self.show(self._status)
        except Refused as refused:
            if refused.code != "session_closed":
                raise
        finally:
            with anyio.move_on_after(LEAVE_SECONDS, shield=True), suppress(MarketTrouble):
                await self._market.be_present(self._session_id, "left", device=self._device)
