"""What the log decides of a dispute, and the moves of its life. Pure."""

import pytest

from market.orders.disputing import MOVES, REASONS, Known, Part, at_deadline, move, rule
from market.orders.errors import WrongDisputeState

KNOWN = Known(
    stake_minor=400,
    counted_minor=400,
    units=4,
    units_delivered=4,
    delivered_text="the last part came at noon",
)
MISSING = KNOWN._replace(units_delivered=3, counted_minor=300)
WHOLE = Part(offset=3, units=2, fits=True, is_as_digested=True)


@pytest.mark.parametrize("reason", REASONS)
def test_no_more_goes_back_than_is_claimed(reason):
    spoilt = KNOWN._replace(
        units_delivered=1, parts=(WHOLE._replace(fits=False, is_as_digested=False),)
    )

    ruling = rule(reason, 7, spoilt)

    assert ruling is None or ruling.refund_minor <= 7


@pytest.mark.parametrize("reason", ["not_as_described", "other"])
def test_what_only_people_can_see_the_log_does_not_decide(reason):
    assert rule(reason, 400, KNOWN) is None


def test_missing_units_go_back_in_proportion():
    assert rule("incomplete", 400, MISSING).refund_minor == 100
    assert rule("incomplete", 400, KNOWN) is None


def test_where_only_delivered_units_are_paid_nothing_is_at_stake_for_the_others():
    known = MISSING._replace(stake_minor=300)

    assert rule("incomplete", 300, known).refund_minor == 0


def test_of_spoilt_parts_their_share_goes_back_rounded_for_the_buyer():
    known = KNOWN._replace(
        stake_minor=100, units_delivered=3, parts=(WHOLE._replace(units=1, fits=False), WHOLE)
    )

    assert rule("schema", 100, known).refund_minor == 34
    assert rule("digest", 100, known).refund_minor == 0


def test_a_spoilt_part_that_counts_no_units_spoils_the_whole():
    known = KNOWN._replace(parts=(WHOLE._replace(units=0, is_as_digested=False),))

    assert rule("digest", 400, known).refund_minor == 400


def test_a_twin_is_for_people():
    assert rule("duplicate_charge", 400, KNOWN).refund_minor == 0
    assert rule("duplicate_charge", 400, KNOWN._replace(is_twin=True)) is None


def test_silence_concedes_and_an_open_question_does_not():
    assert at_deadline("open", 400, 0).refund_minor == 400
    assert at_deadline("answered", 400, 150).refund_minor == 150


@pytest.mark.parametrize("verb", MOVES)
def test_nothing_leaves_a_resolved_dispute(verb):
    with pytest.raises(WrongDisputeState):
        move("resolved", verb)
