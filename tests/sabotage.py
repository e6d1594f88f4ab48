"""Attacks on the lab itself: what it must notice."""

from sqlalchemy import text

from market import catalog
from market.base.sql import Sql
from market.base.work import UnitOfWork
from market.lab.attacks import Attack

_SPOIL = Sql(text("UPDATE accounts SET balance_minor = balance_minor + 1 WHERE kind = 'wallet'"))


class Closing(Attack):
    """An attack whose victim withdraws its service and stays in the ranking."""

    def begin(self, uow: UnitOfWork) -> None:
        seller = self.town.sellers[0]
        catalog.withdraw(uow, caller=seller.agent.caller, service_id=seller.service_id)


class Spoiling(Attack):
    """An attack that reaches into the database."""

    def begin(self, uow: UnitOfWork) -> None:
        uow.run(_SPOIL)
