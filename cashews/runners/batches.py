"""Several messages asked at once, so that a store with a mailbox gets them as one batch."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar, cast

import anyio

from cashews._typing import NOT_NOW, NotNowType
from cashews.actors.later import start_soon
from cashews.engine.engine import Engine
from cashews.messages import LoadPermit, OneKey

Reply = TypeVar("Reply")


async def ask_all(engine: Engine, messages: Sequence[OneKey[Reply]]) -> list[Reply | Exception]:
    """Ask several messages, and return their replies in order; one that fails has its exception in place of a reply."""
    replies: list[Reply | Exception | NotNowType] = []
    in_place = engine.in_place
    for message in messages:
        try:
            reply: Reply | NotNowType = in_place(message, True)
        except Exception as error:  # noqa: BLE001  it is the caller's to raise
            replies.append(error)
        else:
            replies.append(reply)
    later = [place for place, reply in enumerate(replies) if reply is NOT_NOW]
    if len(later) == 1:
        await _ask(engine, messages[later[0]], later[0], replies)
    elif later:
        await _ask_later(engine, messages, later, replies)
    return cast("list[Reply | Exception]", replies)


async def _ask_later(
    engine: Engine,
    messages: Sequence[OneKey[Reply]],
    places: Iterable[int],
    replies: list[Reply | Exception | NotNowType],
) -> None:
    async with anyio.create_task_group() as tasks:
        for place in places:
            message = messages[place]
            if type(message) in engine.routes.of(message.key).turns:  # the budget was spent: others run in between
                await _ask(engine, message, place, replies)
            else:
                start_soon(tasks, _ask, engine, message, place, replies)


async def _ask(
    engine: Engine, message: OneKey[Reply], place: int, replies: list[Reply | Exception | NotNowType]
) -> None:
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
