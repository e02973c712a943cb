"""The commands of a backend by itself: what `setup()` returns, and what middlewares are given."""

import pytest

from cashews import Backend, Command
from cashews.exceptions import CounterOverflowError, WrongArgumentError, WrongTTLError, WrongTypeError
from tests.internals import inside

pytestmark = pytest.mark.no_transaction


async def test_a_backend_has_the_commands_of_the_cache(cache):
    backend = inside(cache).store()
    assert await backend.set("k", [1], expire=10)
    assert await cache.get("k") == [1]
    await cache.set_many({"a": 1, "b": 2})
    assert await backend.get_many("a", "b", "c") == (1, 2, None)
    assert {key async for key in backend.scan("*")} == {"k", "a", "b"}
    assert {pair async for pair in backend.get_match("a*")} == {("a", 1)}
    assert await backend.incr("a", 5) == 6
    assert await backend.get_expire("k") == 10
    assert await backend.expire("k", None)
    assert await backend.get_keys_count() == 3
    assert await backend.delete("k")
    assert not await backend.exists("k")
    await backend.delete_match("b*")
    assert await backend.set("tagged", 1, tags=["t"])
    assert await backend.get_key_tags("tagged") == ("t",)
    await backend.delete_tags("t")
    assert await cache.get_many("a", "b", "tagged") == (6, None, None)
    assert await backend.ping(b"there") == b"there"
    await backend.clear()
    assert await cache.get_keys_count() == 0


async def test_a_backend_has_locks(cache):
    backend = inside(cache).store()
    assert await backend.set_lock("k", "token", 10)
    assert await cache.is_locked("k")
    assert [key async for key, _ in backend.locks()] == ["k"]
    assert not await backend.unlock("k", "other")
    assert await backend.unlock("k", "token")
    assert not await backend.is_locked("k")
    assert await cache.set_lock("k", "token", 10)
    assert await backend.break_lock("k")
    assert not await cache.is_locked("k")


async def test_a_backend_checks_arguments_as_the_cache_does(cache):
    backend = inside(cache).store()
    with pytest.raises(WrongArgumentError, match="key is 5"):
        await backend.get(5)
    with pytest.raises(WrongTTLError):
        await backend.set("k", 1, expire="1h30")
    await backend.set("k", "text")
    with pytest.raises(WrongTypeError, match="'k'"):
        await backend.incr("k")
    with pytest.raises(CounterOverflowError):
        await backend.incr("n", 2**63)


async def test_a_middleware_asks_the_backend_past_the_chain(subject, clock):
    seen = []

    async def mirror(call, cmd, backend, *args, **kwargs):
        seen.append(cmd)
        result = await call(*args, **kwargs)
        if cmd is Command.SET:
            assert isinstance(backend, Backend)
            await backend.delete("stale")
            await backend.set("mirror:" + kwargs["key"], kwargs["value"])
        return result

    async with subject.open(clock, middlewares=[mirror]) as cache:
        await inside(cache).store().set("stale", 1)
        with cache.disabling(Command.DELETE):
            await cache.set("k", 5)
        assert seen == [Command.SET]
        assert await cache.get_many("k", "mirror:k", "stale") == (5, 5, None)


async def test_setup_returns_the_backend(subject, clock):
    cache = subject.open(clock)
    backend = cache.setup(subject.url, prefix="own:", **subject.options)
    async with cache:
        assert await backend.set("own:k", 1)
        assert await cache.get("own:k") == 1
        cache.disable()
        assert await backend.get("own:k") == 1
