"""The way of messages into the transaction of their context."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Final, TypeVar

from cashews.commands import Command, Effect
from cashews.engine.chain import Interceptor, Proceed
from cashews.engine.context import AMBIENT
from cashews.engine.coordinator.serving import SERVE
from cashews.engine.coordinator.transaction import Transaction
from cashews.engine.routes import Route
from cashews.messages import Message

R = TypeVar("R")
GUARDED: Final = frozenset({Effect.READ, Effect.WRITE})
"""Messages that a transaction refuses after its end. Locks are not among them: they have to be given back."""


class Transactional(Interceptor):
    """The interceptor of one route: messages of a task in a transaction go to the transaction."""

    def __init__(self, engine: object, route: Route) -> None:
        self._engine = engine
        self._route = route

    def concerns(self, command: Command) -> bool:
        here = AMBIENT.get()
        return here is not None and bool(here.transactions)

    def __call__(self, message: Message[R], proceed: Proceed) -> Awaitable[R]:
        transaction = current(self._engine)
        if transaction is None or (message.effect not in GUARDED and message.__class__ not in SERVE):
            return proceed(message)
        return transaction.ask(message, self._route)


def current(engine: object) -> Transaction | None:
    """Return the transaction of an engine that the current context is in."""
    here = AMBIENT.get()
    if here is not None:
        for transaction in here.transactions:
            if isinstance(transaction, Transaction) and transaction.engine is engine:
                return transaction
    return None
