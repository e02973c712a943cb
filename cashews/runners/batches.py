"""Several messages asked at once, so that a store with a mailbox gets them as one batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import anyio

from cashews._typing import NOT_NOW
from cashews.actors.later import start_soon
from cashews.engine.engine import Engine
from cashews.messages import LoadPermit, OneKey

Reply = TypeVar("Reply")


async def ask_all(engine: Engine, messages: Sequence[OneKey[Reply]]) -> list[Reply | Exception]:
    """Ask several messages, and return their replies in order; one that fails has its exception in place of a reply."""
    replies: dict[int, Reply | Exception] = {}
    later: list[int] = []
    for place, message in enumerate(messages):
        try:
            found = engine.in_place(message)
            if found is not NOT_NOW:
                replies[place] = found
            elif type(message) in engine.routes.of(message.key).turns:  # the budget is spent: others run in between
                reply: Reply = await engine.ask(message)
                replies[place] = reply
            else:
                later.append(place)
        except Exception as error:  # noqa: BLE001  it is the caller's to raise
            replies[place] = error
    if later:
        async with anyio.create_task_group() as tasks:
            for place in later:
                start_soon(tasks, _ask, engine, messages[place], place, replies)
    return [replies[place] for place in range(len(messages))]


async def _ask(engine: Engine, message: OneKey[Reply], place: int, replies: dict[int, Reply | Exception]) -> None:
    try:
        reply: Reply = await engine.ask(message)
        replies[place] = reply
    except Exception as error:  # noqa: BLE001  likewise
        replies[place] = error


async def announce_all(engine: Engine, permits: Sequence[LoadPermit]) -> None:
    """Announce each load to its store before it begins.

    :raises Exception: the first failure, once all have been asked for
    """
    failures: list[Exception] = []
    if len(permits) > 1:
        async with anyio.create_task_group() as tasks:
            for permit in permits:
                start_soon(tasks, _announce, engine, permit, failures)
    else:
        for permit in permits:
            await _announce(engine, permit, failures)
    if failures:
        raise failures[0]


async def _announce(engine: Engine, permit: LoadPermit, failures: list[Exception]) -> None:
    try:
        await engine.announce(permit)
    except Exception as error:  # noqa: BLE001  likewise
        failures.append(error)
