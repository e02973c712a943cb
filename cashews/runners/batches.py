"""Several messages asked at once, so that a store with a mailbox gets them as one batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import anyio

from cashews.actors.scope import start_soon
from cashews.backends.interface import NOT_NOW
from cashews.engine.engine import Engine
from cashews.messages import LoadPermit, OneKey


async def ask_all(engine: Engine, messages: Sequence[OneKey[Any]]) -> list[Exception]:
    """Ask several messages, and return the failures; one that fails keeps none of the others from being served."""
    failures: list[Exception] = []
    later: list[OneKey[Any]] = []
    for message in messages:
        try:
            if engine.in_place(message) is NOT_NOW:
                if type(message) in engine.routes.of(message.key).turns:  # the budget is spent: others run in between
                    await engine.ask(message)
                else:
                    later.append(message)
        except Exception as error:  # noqa: BLE001  it is the caller's to raise
            failures.append(error)
    if later:
        async with anyio.create_task_group() as tasks:
            for message in later:
                start_soon(tasks, _ask, engine, message, failures)
    return failures


async def _ask(engine: Engine, message: OneKey[Any], failures: list[Exception]) -> None:
    try:
        await engine.ask(message)
    except Exception as error:  # noqa: BLE001  likewise
        failures.append(error)


async def mark_all(engine: Engine, permits: Sequence[LoadPermit]) -> None:
    """Give each load the store's mark of its beginning.

    :raises Exception: the first failure, once all have been asked for
    """
    failures: list[Exception] = []
    if len(permits) > 1:
        async with anyio.create_task_group() as tasks:
            for permit in permits:
                start_soon(tasks, _mark, engine, permit, failures)
    else:
        for permit in permits:
            await _mark(engine, permit, failures)
    if failures:
        raise failures[0]


async def _mark(engine: Engine, permit: LoadPermit, failures: list[Exception]) -> None:
    try:
        permit.since = await engine.mark(permit.key)
    except Exception as error:  # noqa: BLE001  likewise
        failures.append(error)
