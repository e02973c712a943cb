"""A clock that the test owns, and an actor that does as little as an actor can."""

from __future__ import annotations

import asyncio
import gc

import pytest

from cashews.actors.actor import Actor, Life
from cashews.actors.loop import current_loop
from cashews.actors.mailbox import Letter, Mailbox, SlotBell
from cashews.testing.clock import VirtualClock


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


class Word(Letter):
    """A letter with a word in it."""

    __slots__ = ("word",)

    def __init__(self, word):
        super().__init__()
        self.word = word


class Echo(Actor):
    """Answers each word with itself, in batches of `most`; while `held`, its task waits before each batch."""

    def __init__(self, bound=100, most=100):
        self.bound, self.most = bound, most
        self.wanted = 0
        self.begun, self.served, self.drains = 0, [], 0
        self.held = None
        self.life = Life(self, self._want_scope)
        self.begin()

    def _want_scope(self):
        self.wanted += 1

    def begin(self):
        self.begun += 1
        self.bell = SlotBell()
        self.mailbox = Mailbox(self.bound, self.bell)

    async def work(self):
        mailbox, bell, loop = self.mailbox, self.bell, self.life.loop
        while self.mailbox is mailbox:
            if self.held is not None:
                await self.held.wait()
            batch = mailbox.take(self.most)
            mailbox.let_in()
            for letter in batch:
                self.served.append(letter.word)
                letter.answer(letter.word)
            if batch:
                self.life.note(len(batch))
            if not mailbox.waiting:
                await bell.wait(loop)

    async def drain(self):
        self.drains += 1
        await self._post("last")

    def end(self):
        self.mailbox.refuse(lambda: LookupError("never served"))

    async def ask(self, word):
        if not self.life.at_work or self.mailbox.full:
            self.life.enter()
            await self.mailbox.room(self.life.loop)
        return await self._post(word)

    async def _post(self, word):
        letter, slot = Word(word), self.life.loop.reply_slot()
        letter.replies.append(slot)
        self.mailbox.post(letter)
        try:
            reply = await slot
        except BaseException:
            letter.replies.remove(slot)
            raise
        if isinstance(reply, Exception):
            raise reply
        return reply


@pytest.fixture
def echo():
    return Echo()


@pytest.fixture
def by_hand():
    """``by_hand()``: an event loop that the test runs and closes; its pending tasks are left as they are."""
    loops = []

    def new():
        loop = asyncio.new_event_loop()
        loop.set_exception_handler(lambda *_: None)  # "Task was destroyed but it is pending!"
        loops.append(loop)
        return loop

    yield new
    for loop in loops:
        loop.close()
    gc.collect()


@pytest.fixture
def loop_here():
    return current_loop
