"""Refusals of the ledger. None of them moves money."""

from market.base.errors import Conflict, Forbidden, Invalid, PaymentRequired


class InsufficientFunds(PaymentRequired):
    code = "insufficient_funds"
    title = "The wallet cannot cover the amount"


class EscrowExceeded(Conflict):
    code = "escrow_exceeded"
    title = "The escrow holds less than the amount"


class RefundExceeded(Conflict):
    code = "refund_exceeded"
    title = "The refund is above what was captured"


class RefundNotCovered(Conflict):
    """Says nothing about how much the seller has: the buyer may read this."""

    code = "refund_not_covered"
    title = "The seller's wallet cannot cover the refund"


class BalanceTooLarge(Conflict):
    code = "balance_too_large"
    title = "The account would hold more than an exact JSON number can say"


class CurrencyMismatch(Invalid):
    code = "currency_mismatch"
    title = "The accounts hold different currencies"


class UnknownCurrency(Invalid):
    code = "unknown_currency"
    title = "The market does not know the currency"


class SelfTransfer(Invalid):
    code = "self_transfer"
    title = "Money cannot move from an account to itself"


class TransactionDiffers(Conflict):
    code = "transaction_differs"
    title = "The act was recorded before, with other amounts or accounts"


class FaucetClosed(Forbidden):
    code = "faucet_closed"
    title = "Only an overseer of a sandbox market may make money"
