"""The ledger: double-entry accounts, on which nothing recorded ever changes.

A *transaction* is one balanced act; its *postings* are signed changes of accounts (+ holds more)
that sum to zero, append-only by trigger. A *leg* is a posting before it is recorded. An *account*
is an agent's ``wallet``, a seller's ``bond``, an order's ``escrow``, or belongs to the house:
``fees``, ``issuance``.

- *mint*: issuance to wallet (sandbox money). *fund*: the same, asked for by an overseer.
- *hold*: wallet to escrow. *capture*: escrow to seller, less the fee. *void*: escrow back to
  buyer. *refund*: back to the buyer, later: from the seller what it
  got, from the house its fee; in parts, which are numbered. Each at most once per order (and
  number): a repeat returns the first transaction, other amounts are refused.
- *fold*: no order updates a balance of the house (it would be a row that all orders fight for);
  its postings wait in ``unfolded_postings`` until ``fold_house`` takes them in.

No balance but the house's goes below zero: the change and the condition are one statement.
``check`` proves it all from the rows (``invariants``).
"""

from market.ledger.accounts import (
    open_escrow,
    open_wallet,
    spendable_minor,
    statement,
    wallet,
    wallet_id,
)
from market.ledger.bonds import (
    bond_minor,
    bond_of,
    draw_bond,
    earned_by,
    forfeit_bond,
    post_bond,
    release_bond,
    spendable_bond_minor,
    withhold_bond,
)
from market.ledger.errors import (
    BalanceTooLarge,
    CurrencyMismatch,
    EscrowExceeded,
    FaucetClosed,
    InsufficientFunds,
    RefundExceeded,
    RefundNotCovered,
    SelfTransfer,
    TransactionDiffers,
    UnknownCurrency,
)
from market.ledger.house import MAX_FOLD, fold_house, house_balance
from market.ledger.invariants import Escrow, check, escrows
from market.ledger.posting import Transaction, movements
from market.ledger.service import capture, fund, hold, mint, refund, void

__all__ = [
    "MAX_FOLD",
    "BalanceTooLarge",
    "CurrencyMismatch",
    "Escrow",
    "EscrowExceeded",
    "FaucetClosed",
    "InsufficientFunds",
    "RefundExceeded",
    "RefundNotCovered",
    "SelfTransfer",
    "Transaction",
    "TransactionDiffers",
    "UnknownCurrency",
    "bond_minor",
    "bond_of",
    "capture",
    "check",
    "draw_bond",
    "earned_by",
    "escrows",
    "fold_house",
    "forfeit_bond",
    "fund",
    "hold",
    "house_balance",
    "mint",
    "movements",
    "open_escrow",
    "open_wallet",
    "post_bond",
    "refund",
    "release_bond",
    "spendable_bond_minor",
    "spendable_minor",
    "statement",
    "void",
    "wallet",
    "wallet_id",
    "withhold_bond",
]
