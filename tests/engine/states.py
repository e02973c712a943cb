"""The states of an engine in which something may be in the way of a command: blocks around a use of a cache."""

from __future__ import annotations

from contextlib import nullcontext

from cashews import Command, invalidate_further


async def pass_through(call, _cmd, _backend, *args, **kwargs):
    return await call(*args, **kwargs)


STATES = {
    "plain": lambda _cache: nullcontext(),
    "callback on get": lambda cache: cache.callback(lambda *_: None, Command.GET),
    "callback on set": lambda cache: cache.callback(lambda *_: None, Command.SET),
    "callback on set_lock": lambda cache: cache.callback(lambda *_: None, Command.SET_LOCK),
    "callback on unlock": lambda cache: cache.callback(lambda *_: None, Command.UNLOCK),
    "get is off in this context": lambda cache: cache.disabling(Command.GET),
    "set_lock is off in this context": lambda cache: cache.disabling(Command.SET_LOCK),
    "invalidating": lambda _cache: invalidate_further(),
    "detecting": lambda cache: cache.detect,
    "middleware": lambda cache: nullcontext(cache.add_middleware(pass_through)),
    "get is off": lambda cache: nullcontext(cache.disable(Command.GET)),
    "set is off": lambda cache: nullcontext(cache.disable(Command.SET)),
    "set_lock is off": lambda cache: nullcontext(cache.disable(Command.SET_LOCK)),
    "unlock is off": lambda cache: nullcontext(cache.disable(Command.UNLOCK)),
    "all is off": lambda cache: nullcontext(cache.disable()),
    "listener of removals": lambda cache: nullcontext(cache.on_remove(lambda *_: None)),
    "two stores": lambda cache: nullcontext(cache.setup("mem://", prefix="other:")),
}
