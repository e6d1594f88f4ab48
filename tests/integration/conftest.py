"""What integration tests begin with."""

import pytest

from market.base.store import Store
from tests.factories import Town, build_town


@pytest.fixture
async def town(store: Store) -> Town:
    """A seller with a service, and a buyer with money."""
    return await build_town(store)
