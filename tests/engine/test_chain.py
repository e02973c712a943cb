"""The way of a message: everything passes one chain, in one order; what nothing stands before is served in place."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest

from cashews import Cache, Command
from cashews import messages as m
from cashews.engine.engine import NOT_NOW
from tests.internals import inside

RULES = m.CircuitRules(errors_rate=10, period=60, ttl=60)
MADE_OF = {
    "key": "k",
    "many": ("k", "l"),
    "pattern": "k*",
    "pairs": {"k": 1},
    "value": "1",
    "timeout": 10.0,
    "indexes": (1,),
    "start": 0.0,
    "end": 1.0,
    "maxvalue": 5,
    "limit": 5,
    "period": 10.0,
    "values": ("a",),
    "rules": RULES,
    "entered": 1.0,
    "failed": False,
    "wake": list,
    "expire": 10.0,
    "locks": (),
    "writes": (m.Set("k", "1"),),
    "tags": ("t",),
}


def make(kind):
    required = [field.name for field in fields(kind) if field.name in MADE_OF]
    message = kind(**{name: MADE_OF[name] for name in required})
    return replace(message, value=1) if kind is m.Incr else message


MESSAGES = {kind.__name__: make(getattr(m, kind.__name__)) for kind in m.MESSAGES}


class Recorder:
    """A middleware that writes down what passes."""

    def __init__(self, name, diary):
        self.name = name
        self.diary = diary

    async def __call__(self, call, cmd, backend, *args, **kwargs):
        self.diary.append((self.name, cmd))
        try:
            return await call(*args, **kwargs)
        finally:
            self.diary.append((f"{self.name} after", cmd))


@pytest.fixture
def diary():
    return []


async def test_every_message_walks_the_same_chain_once(clock, diary):
    """Guarantee 20."""
    middlewares = [Recorder("first", diary), Recorder("second", diary)]
    async with Cache.open("mem://", middlewares=middlewares, clock=clock) as cache:
        for message in MESSAGES.values():
            await cache.clear()
            diary.clear()
            assert inside(cache).in_place(message) is NOT_NOW
            await inside(cache).ask(message)
            names = [name for name, _ in diary]
            assert (message, names) == (message, ["first", "second", "second after", "first after"])
            assert {command for _, command in diary} == {message.command}


@pytest.mark.parametrize("name", MESSAGES)
async def test_in_place_and_along_the_chain_the_replies_are_the_same(clock, diary, name):
    message, replies = MESSAGES[name], []
    for middlewares in ([], [Recorder("one", diary)]):
        async with Cache.open("mem://", middlewares=middlewares, clock=clock) as cache:
            for filling in (m.Set("k", 1), m.SetLock("k", "1", 10.0), message):
                try:
                    reply = await inside(cache).ask(filling)
                except TypeError as error:
                    reply = repr(error)
            replies.append(reply)
    if isinstance(replies[0], m.Page):
        replies = [reply.items for reply in replies]
    assert replies[0] == replies[1]


async def test_short_messages_are_served_in_place_when_nothing_stands_before(cache):
    await cache.ping()
    in_turns = {m.DeleteMatch, m.DeleteTags, m.Clear, m.GetKeysCount}
    for message in MESSAGES.values():
        if type(message) in in_turns:
            assert inside(cache).in_place(message) is NOT_NOW
    assert inside(cache).in_place(m.Set("k", 1)) is True
    assert inside(cache).in_place(m.Get("k")) == 1


async def test_only_the_commands_that_are_watched_leave_the_straight_way(cache):
    await cache.ping()
    with cache.callback(lambda *_: None, Command.GET):
        assert inside(cache).in_place(m.Get("k")) is NOT_NOW
        assert inside(cache).in_place(m.Set("k", 1)) is True
    assert inside(cache).in_place(m.Get("k")) == 1
    cache.disable(Command.SET)
    assert inside(cache).in_place(m.Set("k", 2)) is NOT_NOW
    assert inside(cache).in_place(m.Get("k")) == 1


# --- middlewares


async def test_the_first_middleware_is_the_outermost_and_an_added_one_the_innermost(clock, diary):
    """Guarantee 20."""
    middlewares = [Recorder("first", diary), Recorder("second", diary)]
    async with Cache.open("mem://", middlewares=middlewares, clock=clock) as cache:
        cache.add_middleware(Recorder("added", diary))
        await cache.get("k")
    assert [name for name, _ in diary][:3] == ["first", "second", "added"]


async def test_a_middleware_gets_the_arguments_of_the_public_command(clock):
    """Guarantee 20: the same for the same command, however it was called."""
    seen = []

    async def look(call, cmd, backend, *args, **kwargs):
        seen.append((cmd, args, kwargs))
        assert backend is inside(cache).backend()
        return await call(*args, **kwargs)

    async with Cache.open("mem://", middlewares=[look], clock=clock) as cache:
        await cache.get("k")
        await cache.get(key="k", default=None)
        await cache.set("k", 1, "10s")
        await cache.set(key="k", value=1, expire=10, exist=None)
        await cache.get_many("a", "b", default=0)
        await cache.get_bits("k2", 1, 2, size=3)
        await cache.delete_match("x*")
    assert seen[0] == seen[1] == (Command.GET, (), {"key": "k", "default": None})
    assert seen[2] == seen[3] == (Command.SET, (), {"key": "k", "value": 1, "expire": 10.0, "exist": None})
    assert seen[4] == (Command.GET_MANY, ("a", "b"), {"default": 0})
    assert seen[5] == (Command.GET_BITS, ("k2", 1, 2), {"size": 3})
    assert seen[6] == (Command.DELETE_MATCH, (), {"pattern": "x*"})


async def test_the_specifications_middleware_finds_a_key_or_pattern(clock):
    found = []

    async def logging_middleware(call, _cmd, _backend, *args, **kwargs):
        found.append(args[0] if args else kwargs.get("key", kwargs.get("pattern", "")))
        return await call(*args, **kwargs)

    async with Cache.open("mem://", middlewares=(logging_middleware,), clock=clock) as cache:
        for kind, message in MESSAGES.items():
            if kind not in {"SetMany", "Commit"}:  # have neither
                await inside(cache).ask(message)
                await cache.clear()
                expected = (message.keys or getattr(message, "tags", None) or (getattr(message, "pattern", ""),))[0]
                assert (kind, found[0]) == (kind, expected)
                found.clear()


async def test_a_middleware_may_change_arguments(clock):
    async def add_prefix(call, _cmd, _backend, *args, **kwargs):
        if "key" in kwargs:
            kwargs["key"] = "v2:" + kwargs["key"]
        elif args:
            args = tuple("v2:" + key for key in args)
        return await call(*args, **kwargs)

    async with Cache.open("mem://", middlewares=[add_prefix], clock=clock) as cache:
        await cache.set("k", 1)
        assert await cache.get("k") == 1
        assert await cache.get_many("k", "l") == (1, None)
        assert [key async for key in cache.scan("*")] == ["v2:k"]


class Unlike:
    """A value that nobody may compare."""

    __hash__ = None

    def __eq__(self, other):
        raise AssertionError


async def test_middlewares_in_a_row_see_what_the_one_before_passes_on(clock):
    """Plain ones and interceptors in turn: each gets the arguments of the one before, and one message arrives."""
    seen = []

    def adds(letter):
        async def middleware(call, _cmd, _backend, *args, **kwargs):
            seen.append(kwargs.get("key"))
            return await call(*args, **{**kwargs, "key": kwargs["key"] + letter})

        return middleware

    class Adds:
        def concerns(self, command):
            return True

        async def __call__(self, message, proceed):
            seen.append(message.key)
            return await proceed(message.rename(lambda key: key + "n"))

    value = Unlike()
    cache = Cache(clock=clock)
    cache.setup("mem://", middlewares=[adds("a"), adds("b"), Adds(), adds("c")])
    await cache.set("k", value)
    assert seen == ["k", "ka", "kab", "kabn"]
    seen.clear()
    assert await cache.get("k") is value
    assert seen == ["k", "ka", "kab", "kabn"]


async def test_values_that_pass_unchanged_are_not_compared(clock):
    async def through(call, _cmd, _backend, *args, **kwargs):
        return await call(*args, **kwargs)

    cache, value = Cache(clock=clock), Unlike()
    cache.setup("mem://", middlewares=[through, through])
    await cache.set("k", value)
    await cache.set_many({"l": value})
    assert await cache.get("k") is value
    assert (await cache.get_many("k", "l", default=value))[1] is value


async def test_a_middleware_may_answer_itself_change_the_answer_or_raise(clock):
    class BoomError(Exception):
        pass

    async def meddle(call, cmd, _backend, *args, **kwargs):
        if cmd is Command.GET:
            return "mine"
        if cmd is Command.DELETE:
            raise BoomError
        reply = await call(*args, **kwargs)
        return not reply if cmd is Command.EXISTS else reply

    async with Cache.open("mem://", middlewares=[meddle], clock=clock) as cache:
        await cache.set("k", 1)
        assert await cache.get("k") == "mine"
        assert await cache.exists("k") is False
        with pytest.raises(BoomError):
            await cache.delete("k")
        assert await cache.get_raw("k") == 1


async def test_a_middleware_may_call_more_than_once(clock):
    async def twice(call, _cmd, _backend, *args, **kwargs):
        await call(*args, **kwargs)
        return await call(*args, **kwargs)

    async with Cache.open("mem://", middlewares=[twice], clock=clock) as cache:
        assert await cache.incr("k") == 2


async def test_a_wrong_argument_of_a_middleware_is_one_error_of_ours(clock):
    async def wrong(call, _cmd, _backend, *args, **kwargs):
        return await call(*args, **kwargs, colour="red")

    async with Cache.open("mem://", middlewares=[wrong], clock=clock) as cache:
        with pytest.raises(ValueError, match=r"get\(colour=\) is 'red'; allowed: key, default"):
            await cache.get("k")


async def test_locks_and_loads_pass_the_middlewares_too(clock, diary):
    """Guarantee 20."""
    async with Cache.open("mem://", middlewares=[Recorder("one", diary)], clock=clock) as cache:
        async with cache.lock("k", 10):
            pass
        await cache.get_or_set("k", 1)
        assert [command for name, command in diary if name == "one"] == [
            Command.SET_LOCK,
            Command.UNLOCK,
            Command.GET,
            Command.SET,
        ]


async def test_middlewares_belong_to_one_backend(clock, diary):
    async with Cache.open("mem://", clock=clock) as cache:
        cache.setup("mem://", [Recorder("user", diary)], prefix="user:")
        await cache.get("k")
        assert diary == []
        await cache.get("user:1")
        await cache.get_many("k", "user:1")
        assert [name for name, _ in diary] == ["user", "user after"] * 2


# --- callbacks


async def test_a_callback_is_called_after_its_command_with_key_and_result(cache):
    """Reading d."""
    seen = []

    def callback(key, result):
        seen.append((key, result))

    async def async_callback(key, result):
        seen.append(("async", key, result, await cache.exists(key)))

    with cache.callback(callback, cmd=Command.SET), cache.callback(async_callback, cmd=Command.SET):
        await cache.set("k", 1)
        await cache.set("k", 2, exist=False)
        await cache.get("k")
    assert seen == [("k", True), ("async", "k", True, True), ("k", False), ("async", "k", False, True)]


async def test_a_callback_is_called_on_a_miss_too(cache):
    """Reading d."""
    seen = []
    with cache.callback(lambda key, result: seen.append((key, result)), cmd=Command.GET):
        await cache.get("k")
        await cache.get("k", default="default")
    await cache.get("k")
    assert seen == [("k", None), ("k", "default")]


async def test_a_callback_is_called_for_every_key(cache):
    seen = []

    def callback(key, result):
        seen.append((key, result))

    await cache.set("b", 2)
    with cache.callback(callback, Command.GET_MANY), cache.callback(callback, Command.SET_MANY):
        await cache.get_many("a", "b", "b", default=0)
        await cache.set_many({"x": 1, "y": 2})
    assert seen == [("a", 0), ("b", 2), ("b", 2), ("x", None), ("y", None)]


async def test_a_callback_of_a_pattern_gets_the_pattern(cache):
    seen = []
    with cache.callback(lambda key, result: seen.append((key, result)), cmd=Command.DELETE_MATCH):
        await cache.delete_match("k*")
    assert seen == [("k*", None)]


async def test_callbacks_may_come_and_go_while_another_task_is_calling_them(cache):
    """D28."""
    seen = []

    async def slow(*_):
        added = cache.callback(lambda *_: seen.append("added"), Command.SET)
        added.__enter__()
        entered.append(added)
        await cache.get("other")
        seen.append("slow")

    entered = []
    with cache.callback(slow, Command.SET), cache.callback(lambda *_: seen.append("last"), Command.SET):
        assert await cache.set("k", 1) is True
        assert seen == ["slow", "last"]
        entered.pop().__exit__(None, None, None)
        assert await cache.set("k", 1) is True
        entered.pop().__exit__(None, None, None)
    await cache.set("k", 1)
    assert seen == ["slow", "last"] * 2


async def test_the_same_callback_may_be_registered_twice(cache):
    seen = []

    def callback(*_):
        seen.append(1)

    with cache.callback(callback, Command.GET):
        with cache.callback(callback, Command.GET):
            await cache.get("k")
        await cache.get("k")
    await cache.get("k")
    assert len(seen) == 3


async def test_an_error_leaves_no_callback_behind(cache):
    seen = []
    with pytest.raises(LookupError), cache.callback(lambda *_: seen.append(1), Command.GET):
        raise LookupError
    await cache.get("k")
    assert seen == []
