"""Acts that happen at once, in whatever mixture: every law of the market holds after each crowd."""

from pathlib import Path

from hypothesis import settings as example_settings
from hypothesis.stateful import run_state_machine_as_test

from tests.conftest import TEMPLATE
from tests.property.crowd import Crowd
from tests.property.fresh import fresh_databases, fresh_files


def test_every_law_holds_whatever_shares_a_commit(migrated_file: Path):
    with fresh_files(migrated_file) as fresh:
        run_state_machine_as_test(
            lambda: Crowd(fresh()),
            settings=example_settings(max_examples=15, stateful_step_count=30, deadline=None),
        )


def test_every_law_holds_whatever_two_workers_do_at_once(postgres_server: str):
    with fresh_databases(postgres_server, TEMPLATE) as fresh:
        run_state_machine_as_test(
            lambda: Crowd(fresh()),
            settings=example_settings(max_examples=4, stateful_step_count=20, deadline=None),
        )
