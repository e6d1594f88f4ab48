"""Orders live at random, and money is conserved after every step.

Whatever anybody does, in whatever order, everything in wallets, escrows and fees is what was
issued; the audit finds nothing; and a refusal leaves every row as it was.
"""

from pathlib import Path

from hypothesis import settings as example_settings
from hypothesis.stateful import run_state_machine_as_test

from tests.property.fresh import fresh_files
from tests.property.lives import Lives


def test_money_is_conserved_whatever_happens_to_orders(migrated_file: Path):
    with fresh_files(migrated_file) as fresh:
        run_state_machine_as_test(
            lambda: Lives(fresh()),
            settings=example_settings(max_examples=30, stateful_step_count=30, deadline=None),
        )
