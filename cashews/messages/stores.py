"""Messages about everything that a store holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from cashews.commands import Command, Effect
from cashews.messages.message import Message, WholeStore


@dataclass(slots=True)
class GetKeysCount(WholeStore[int]):
    """Count the live keys."""

    command: ClassVar[Command] = Command.GET_KEYS_COUNT
    effect: ClassVar[Effect] = Effect.READ

    def declined(self) -> int:
        return 0

    def merge(self, parts: Sequence[tuple[Message[int], int]]) -> int:
        return sum(count for _, count in parts)


@dataclass(slots=True)
class Ping(WholeStore[bytes]):
    """Ask whether a store answers; it echoes the message, or answers ``PONG``."""

    message: bytes | None = None
    command: ClassVar[Command] = Command.PING
    effect: ClassVar[Effect] = Effect.ADMIN

    def declined(self) -> bytes:
        return b""


@dataclass(slots=True)
class Clear(WholeStore[None]):
    """Remove everything."""

    command: ClassVar[Command] = Command.CLEAR
    effect: ClassVar[Effect] = Effect.ADMIN

    def declined(self) -> None:
        return None
