"""What a session's log comes to, as a snapshot carries it; ``folding`` makes it."""

from typing import Any

import msgspec

from market.protocol.events import GENESIS
from market.protocol.wire import SessionView


class Part(msgspec.Struct, kw_only=True):
    """A part of what a log comes to."""


class FoldedOrder(Part):
    """An order. ``outputs`` are those of its chunks, in order; ``digest`` chains them.

    ``outputs`` is null for a delivery that is too long to be carried: the log has it between
    ``first_offset`` and ``last_offset``. ``is_stalled``: its worker's lease ended, and nothing
    came since. In a fork, an order of another ``session_id`` is history.
    """

    id: str
    session_id: str
    service_id: str
    slug: str
    seller_id: str
    state: str
    is_paused: bool
    is_stalled: bool
    amount_minor: int
    currency: str
    units: int
    units_delivered: int
    chunks_delivered: int
    outputs: list[Any] | None
    digest: str
    captured_minor: int
    fee_minor: int
    returned_minor: int
    refunded_minor: int
    receipt_id: str | None
    reason: str
    first_offset: int
    last_offset: int
    held_bytes: int


class FoldedStep(Part):
    """The latest attempt at a step of a run."""

    attempt: int
    actor_id: str
    detail: str
    output: Any
    offset: int


class FoldedRun(Part):
    """Work of a sub-agent, as part of that of ``parent``. ``steps`` are by their names.

    ``outcome`` is null while it goes on. In a fork, a run of another ``session_id`` is history.
    """

    session_id: str
    title: str
    parent: str | None
    actor_id: str
    order_id: str | None
    outcome: str | None
    detail: str
    steps: dict[str, FoldedStep]
    steps_left_out: int
    first_offset: int
    last_offset: int
    held_bytes: int


class FoldedControl(Part):
    """An intervention. ``answer`` is null while it waits for one."""

    order_id: str | None
    action: str
    scope: str
    run: str | None
    requested_by: str
    reason: str
    text: str
    answer_by: str | None
    answer: str | None
    detail: str


class FoldedApproval(Part):
    """What a human was asked. ``state``: waiting, granted, denied, expired, or cancelled."""

    amount_minor: int
    currency: str
    expires_at: str
    state: str
    decided_by: str | None
    reason: str
    offset: int


class FoldedPresence(Part):
    """A device of an agent that is there, and since when it is so."""

    agent_id: str
    device: str
    status: str
    changed_at: str
    offset: int


class FoldedDecision(Part):
    """How the buyer left a stage; the log has the alternatives at ``offset``."""

    stage: str
    outcome: str
    reason: str | None
    detail: str
    service_id: str | None
    order_id: str | None
    offset: int


class FoldedSource(Part):
    """Where a fork branched off."""

    session_id: str
    offset: int
    hash: str


class Folded(msgspec.Struct, kw_only=True):
    """What a log comes to before ``next_offset``.

    Orders and approvals are by order id, controls by the offset of the request, runs by run,
    presence by agent and device. ``left_out`` counts parts that did not fit.
    """

    next_offset: int = 0
    head_hash: str = GENESIS
    is_closed: bool = False
    forked_from: FoldedSource | None = None
    orders: dict[str, FoldedOrder] = {}
    runs: dict[str, FoldedRun] = {}
    controls: dict[int, FoldedControl] = {}
    approvals: dict[str, FoldedApproval] = {}
    presence: dict[str, FoldedPresence] = {}
    decisions: list[FoldedDecision] = []
    held_bytes: int = 0
    left_out: int = 0


class SnapshotView(Folded, kw_only=True):
    """A session, and what its log comes to for this reader; go on behind ``next_offset - 1``."""

    session: SessionView
