"""Refusals of the mandates room. ``limit`` always names the limit that stands in the way."""

from market.base.errors import Forbidden, Gone, Invalid, PaymentRequired


class MandateExceeded(PaymentRequired):
    """``available_minor`` is the most that one order may cost under this limit now."""

    code = "mandate_exceeded"
    title = "The order would exceed the mandate"


class MandateForbids(Forbidden):
    code = "mandate_forbids"
    title = "The mandate does not allow this purchase"


class MandateEnded(Gone):
    code = "mandate_ended"
    title = "The mandate has expired or was revoked"


class MandateCurrency(Invalid):
    code = "mandate_currency"
    title = "The mandate is for another currency"


class MandateRequired(Forbidden):
    code = "mandate_required"
    title = "An agent with a principal spends under a mandate"


class BadMandate(Invalid):
    code = "bad_mandate"
    title = "The mandate cannot be given"


class BuyerNotYours(Forbidden):
    code = "buyer_not_yours"
    title = "A principal gives mandates to its own buyers alone"


class Ap2Refused(Invalid):
    """``ap2_error`` is AP2's own name for it.

    That is invalid_credential, unresolved_constraint, invalid_mandate or mandates_not_supported.
    """

    code = "ap2_refused"
    title = "The AP2 mandate is refused"


class MandateReused(Invalid):
    code = "mandate_reused"
    title = "The mandate's jti was used for another mandate"


class PrincipalsOnly(Forbidden):
    code = "principals_only"
    title = "Only the principal of the mandate, or an overseer, may do this"
