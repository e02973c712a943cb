"""Ready-made middlewares and conditions: keys under a prefix, keys in lower case, a limit on sizes, known values.

The middlewares are interceptors: they change messages, not arguments, and so serve all commands alike.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from sys import getsizeof
from typing import Any, Final, TypeVar

from anyio.lowlevel import checkpoint

from cashews._arguments import is_awaitable
from cashews._dataclass import dataclass, replace
from cashews._steps import STEP, slices_of
from cashews.actors.slices import in_steps
from cashews.commands import Command
from cashews.engine.chain import Interceptor, Proceed
from cashews.exceptions import WrongArgumentError
from cashews.keys.pattern import Pattern, pieces_of
from cashews.messages import (
    Clear,
    DeleteMatch,
    GetKeysCount,
    GetKeyTags,
    GetMatch,
    ListLocks,
    Matching,
    Message,
    Page,
    Scan,
    Set,
    SetMany,
    SetRaw,
)
from cashews.strategies.conditions import content_of
from cashews.strategies.entry import Entry, Raised

R = TypeVar("R")
_SIZED: Final = frozenset({Command.SET, Command.SET_RAW, Command.SET_MANY})


@dataclass(frozen=True, slots=True)
class AddPrefix(Interceptor):
    """Puts a prefix before every key, pattern and tag, and removes it from the keys and tags in replies."""

    prefix: str

    def concerns(self, command: Command) -> bool:
        return True

    async def __call__(self, message: Message[Any], proceed: Proceed) -> Any:
        if isinstance(message, Clear):
            return await proceed(DeleteMatch(self._pattern("*")))
        if isinstance(message, GetKeysCount):
            return await self._count(proceed)
        length = len(self.prefix)
        if not isinstance(message, Matching):
            reply = await renamed(message, self.prefix.__add__, proceed)
            return tuple([tag[length:] for tag in reply]) if isinstance(message, GetKeyTags) else reply
        reply = await proceed(message.rename(self._pattern))
        if isinstance(message, Scan):
            return Page([key[length:] for key in reply.items], reply.cursor)
        if isinstance(message, (GetMatch, ListLocks)):
            return Page([(key[length:], value) for key, value in reply.items], reply.cursor)
        return reply

    async def _count(self, proceed: Proceed) -> int:
        scan = Scan(self._pattern("*"))
        page = await proceed(scan)
        count = len(page.items)
        while page.cursor is not None:
            await checkpoint()
            page = await proceed(replace(scan, cursor=page.cursor))
            count += len(page.items)
        return count

    def _pattern(self, pattern: str) -> Pattern:
        head, *rest = pieces_of(pattern)
        return Pattern.of((self.prefix + head, *rest))  # a `*` in the prefix is only that character


@dataclass(frozen=True, slots=True)
class AllKeysLower(Interceptor):
    """Turns every key and pattern into lower case."""

    def concerns(self, command: Command) -> bool:
        return True

    async def __call__(self, message: Message[R], proceed: Proceed) -> R:
        return await renamed(message, _lower, proceed)


async def renamed(message: Message[R], name: Callable[[str], str], proceed: Proceed) -> R:
    """Pass a message on under other names, which may be very many: they are made and freed in steps."""
    other = await in_steps(message.renaming(name))
    reply: R = await proceed(other)
    names = other.keys
    if len(names) > STEP:
        slices = list(slices_of(names))
        del other, names
        while slices:
            slices.pop()
            await checkpoint()
    return reply


def _lower(key: str) -> str:
    return key.lower()  # not `str.lower`: a pattern has its own


@dataclass(frozen=True, slots=True)
class MemoryLimit(Interceptor):
    """Lets only values of certain sizes pass to the store; a refused one leaves its key as it is."""

    min_bytes: int
    max_bytes: int | None

    def concerns(self, command: Command) -> bool:
        return command in _SIZED

    async def __call__(self, message: Message[Any], proceed: Proceed) -> Any:
        if isinstance(message, SetMany):
            pairs = {key: value for key, value in message.pairs.items() if self.allows(value)}
            return await proceed(replace(message, pairs=pairs)) if pairs else message.declined()
        if isinstance(message, (Set, SetRaw)) and not self.allows(message.value):
            return message.declined()
        return await proceed(message)

    def allows(self, value: object) -> bool:
        """Say whether a value may be stored."""
        size = getsizeof(_bare(value))
        return self.min_bytes <= size and (self.max_bytes is None or size <= self.max_bytes)


def _bare(value: object) -> object:
    """Return the result or exception inside the form of a strategy, and any other value as it is."""
    if type(value) is Raised:
        return value.error
    return content_of(value.outcome) if type(value) is Entry else value


def add_prefix(prefix: str) -> AddPrefix:
    """Return a middleware: the keys, patterns and tags of every command get a prefix, which replies do not show.

    `clear` and `get_keys_count` then concern the keys with this prefix; locks are not cleared.
    """
    return AddPrefix(prefix)


def all_keys_lower() -> AllKeysLower:
    """Return a middleware: the keys and patterns of every command are turned into lower case."""
    return AllKeysLower()


def memory_limit(min_bytes: int = 0, max_bytes: int | None = None) -> MemoryLimit:
    """Return a middleware: `set`, `set_raw` and `set_many` store only values whose size is within limits.

    The size is that of the object by itself, as `sys.getsizeof` tells it, without the objects that it refers to. If a
    value is refused, its key stays as it was, and `set` answers `False`.

    :raises WrongArgumentError: if no size is within the limits
    """
    if min_bytes < 0:
        raise WrongArgumentError("min_bytes", min_bytes, "an integer from 0")
    if max_bytes is not None and max_bytes < min_bytes:
        raise WrongArgumentError("max_bytes", max_bytes, f"an integer from min_bytes, which is {min_bytes}")
    return MemoryLimit(min_bytes, max_bytes)


@dataclass(frozen=True, slots=True)
class FastCondition:
    """A condition: a result is stored only if the getter does not know its key; the setter is told of it then."""

    getter: Callable[[str], object]
    setter: Callable[[str, Any], object] | None

    def __call__(self, result: object, args: object = (), kwargs: object = None, key: str = "") -> object:
        known = self.getter(key)
        if is_awaitable(known):
            return self._later(known, key, result)
        if known:
            return False
        told = self.setter(key, result) if self.setter is not None else None
        return _after(told) if is_awaitable(told) else True

    async def _later(self, known: Awaitable[object], key: str, result: object) -> bool:
        if await known:
            return False
        told = self.setter(key, result) if self.setter is not None else None
        if is_awaitable(told):
            await told
        return True


async def _after(told: Awaitable[object]) -> bool:
    await told
    return True


def fast_condition(
    getter: Callable[[str], object], setter: Callable[[str, Any], object] | None = None
) -> FastCondition:
    """Return a condition for caching decorators: store a result only if ``getter(key)`` is falsy.

    The getter is asked after the function has run; a true answer says that the key is known, and nothing is stored.

    :param getter: plain or async
    :param setter: ``setter(key, result)``, plain or async, is called before a result is stored
    """
    return FastCondition(getter, setter)
