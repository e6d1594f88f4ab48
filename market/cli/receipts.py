"""Receipts held against a log that somebody kept: what ``market verify --log`` does."""

import shlex
from collections.abc import Iterable, Sequence
from pathlib import Path

from market.cli.auditlog import lines_in, within
from market.cli.failures import BROKEN, Failure
from market.cli.output import marked, say
from market.protocol.commitments import Claims, ReceiptClaims
from market.protocol.receipt_proof import ReceiptProof, ReceiptReport


def prove_receipts(claims: Iterable[Claims | None], log: Path) -> list[ReceiptReport]:
    """Return what a kept log proves of every receipt whose signature holds.

    Raises:
        Failure: there is no such receipt, or the log is of another session.
    """
    proofs = [ReceiptProof(one) for one in claims if isinstance(one, ReceiptClaims)]
    if not proofs:
        raise Failure("there is no receipt to hold against the log", code="no_receipt")
    for line in lines_in(log):
        for proof in proofs:
            proof.take_bytes(line)
    for proof in proofs:
        if not proof.has_entries:
            wanted = proof.claims.session_id
            get_it = shlex.join(["market", "session", "events", wanted, "--out", str(log)])
            raise Failure(
                f"{log} has no event of {wanted}; get it with: {get_it}", code="not_this_log"
            )
    return [proof.report() for proof in proofs]


def print_proofs(proofs: Sequence[ReceiptReport]) -> None:
    """Print what a log proves of receipts."""
    for one in proofs:
        places = f"#{one.first_offset} to #{one.last_offset} of {one.session_id}"
        if not one.flaws:
            marked("✓", f"{one.receipt_id}: {places} hash to what it states")
        for flaw in one.flaws:
            marked("✗", f"{one.receipt_id}: #{within(flaw)}: {flaw.detail}")
            if flaw.expected is not None:
                say(f"      expected {flaw.expected}")
                say(f"      found    {flaw.found}")
        for what in one.disagreements:
            marked("✗", f"{one.receipt_id}: {what}")
        if not one.flaws and not one.disagreements:
            marked("✓", f"{one.receipt_id}: its amounts, units and digest follow from those events")
        for note in one.notes:
            marked("!", f"{one.receipt_id}: {note}")


def refuse_unproven(proofs: Sequence[ReceiptReport]) -> None:
    """Let pass receipts that the log proves.

    Raises:
        Failure: one is not proven; the first bad offset is named.
    """
    for one in proofs:
        wrong = [f"offset {within(flaw)}: {flaw.detail}" for flaw in one.flaws]
        wrong += one.disagreements
        if wrong:
            raise Failure(
                f"{one.receipt_id}: {wrong[0]}",
                code="receipt_unproven",
                title="The log does not prove the receipt",
                exit_code=BROKEN,
            )
