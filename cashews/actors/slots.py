"""The places of replies: one for each loop, given a reply at most once, and awaited by one task."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Generator
from typing import Any, Generic, Protocol, TypeVar

T = TypeVar("T")


class ReplySlot(ABC, Generic[T]):
    """The place for one reply: given at most once, awaited by one task."""

    __slots__ = ()

    @property
    @abstractmethod
    def given(self) -> bool:
        """Whether the reply is there, received or not."""

    @property
    @abstractmethod
    def answer(self) -> T:
        """The reply, once it is given."""

    @abstractmethod
    def give(self, value: T) -> None:
        """Put the reply in its place and wake who waits for it."""

    @abstractmethod
    def __await__(self) -> Generator[Any, Any, T]: ...


class BareSlot(Protocol[T]):
    """A reply slot in the form of asyncio's futures, with nothing around it: half the price of a `ReplySlot`.

    It may be `done` without a reply, once its asker is cancelled: then it takes none.
    """

    __slots__ = ()

    def done(self) -> bool:
        """Say whether the slot takes no reply any more."""
        ...

    def set_result(self, value: T, /) -> None:
        """Put a reply in the slot, which is not done, and wake the asker."""
        ...

    def __await__(self) -> Generator[Any, Any, T]: ...


class AsyncioReplySlot(ReplySlot[T]):
    """A reply slot on asyncio: a future.

    It keeps the reply by itself: a reply given between the cancellation of the future and the moment at which its task
    learns of it would be lost, and nobody would know.
    """

    __slots__ = ("_answer", "_future")
    _answer: T

    def __init__(self, future: BareSlot[T]) -> None:
        self._future = future

    @property
    def given(self) -> bool:
        return hasattr(self, "_answer")

    @property
    def answer(self) -> T:
        return self._answer

    def give(self, value: T) -> None:
        future = self._future
        if not future.done():
            self._answer = value
            future.set_result(value)
        elif not self.given:
            self._answer = value

    def __await__(self) -> Generator[Any, Any, T]:
        return self._future.__await__()


class TrioReplySlot(ReplySlot[T], BareSlot[T]):
    """A reply slot on trio, bare or not: the parked task. `lowlevel` is the module of that name."""

    __slots__ = ("_answer", "_is_left", "_lowlevel", "_task")
    _answer: T

    def __init__(self, lowlevel: Any) -> None:
        self._lowlevel = lowlevel
        self._task: object = None
        self._is_left = False

    @property
    def given(self) -> bool:
        return hasattr(self, "_answer")

    @property
    def answer(self) -> T:
        return self._answer

    def give(self, value: T) -> None:
        if not self.given:
            self.set_result(value)

    def done(self) -> bool:
        return self._is_left or hasattr(self, "_answer")

    def set_result(self, value: T, /) -> None:
        self._answer = value
        if self._task is not None:
            self._lowlevel.reschedule(self._task)
            self._task = None

    def __await__(self) -> Generator[Any, Any, T]:
        lowlevel = self._lowlevel
        if hasattr(self, "_answer"):
            yield from lowlevel.checkpoint().__await__()
        else:
            self._task = lowlevel.current_task()
            yield from lowlevel.wait_task_rescheduled(self._leave).__await__()
        return self._answer

    def _leave(self, _: object) -> Any:
        self._task = None
        self._is_left = True
        return self._lowlevel.Abort.SUCCEEDED
