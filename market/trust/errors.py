"""Refusals of trust."""

from market.base.errors import Conflict, Forbidden, Invalid, NotFound


class NotABuyer(Invalid):
    code = "not_a_buyer"
    title = "Only a buyer can be an anchor"


class AnchorNotFound(NotFound):
    code = "anchor_not_found"
    title = "Nobody proposed this agent as an anchor"


class AnchorNotProposed(Conflict):
    code = "anchor_not_proposed"
    title = "There is no proposal to confirm"


class SecondOverseerNeeded(Forbidden):
    code = "second_overseer_needed"
    title = "Another overseer must confirm"
