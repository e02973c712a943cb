"""Switching commands off: in every task of the process, or here."""

from __future__ import annotations

import anyio
import pytest

from cashews import Cache, Command
from cashews import messages as m
from cashews.exceptions import NotConfiguredError, WrongOptionError
from tests.internals import inside


async def listed(items):
    return [item async for item in items]


async def test_a_disabled_cache_answers_neutral_values_of_the_right_type(cache):
    """Guarantee 19; D29."""
    await cache.set("k", 1)
    cache.disable()
    assert await cache.get("k") is None
    assert await cache.get("k", "default") == "default"
    assert await cache.get_raw("k", 0) == 0
    assert await cache.get_many("k", "l", default=0) == (0, 0)
    assert await listed(cache.get_match("*")) == []
    assert await listed(cache.scan("*")) == []
    assert await cache.get_or_set("k", lambda: 5) == 5
    assert await cache.set("k", 2) is False
    assert await cache.set_raw("k", 2) is False
    assert await cache.set_many({"k": 2}) is None
    assert await cache.incr("k") == 0
    assert await cache.exists("k") is False
    assert await cache.delete("k") is False
    assert await cache.delete_many("k") is None
    assert await cache.delete_match("*") is None
    assert await cache.expire("k", 1) is False
    assert await cache.get_expire("k") == -2
    assert await cache.get_size("k") == 0
    assert await cache.get_keys_count() == 0
    assert await cache.get_bits("b", 1, 2) == (0, 0)
    assert await cache.incr_bits("b", 1, 2) == (0, 0)
    assert await cache.slice_incr("w", 0, 1, 5) == 0
    assert await cache.set_add("s", "a") is None
    assert await cache.set_remove("s", "a") is None
    assert await cache.set_pop("s") == []
    assert await cache.set_lock("l", "token", 1) is False
    assert await cache.unlock("l", "token") is False
    assert await cache.is_locked("l") is False
    assert await cache.is_locked("l", wait=10) is False
    assert await cache.ping() == b""
    assert await cache.clear() is None
    cache.enable()
    assert await cache.get("k") == 1
    assert await cache.get_keys_count() == 1


async def test_a_switch_holds_in_every_task_of_the_process(cache):
    """Guarantee 19; D30."""
    seen = []

    async def request():
        seen.append((cache.is_disable(), await cache.set("k", 1)))

    async def startup():
        cache.disable()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(startup)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(request)
    cache.enable()
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(request)
    assert seen == [(True, False), (False, True)]


async def test_commands_are_switched_one_by_one(cache):
    cache.disable(Command.DELETE, Command.GET)
    await cache.set("k", 1)
    assert await cache.delete("k") is False
    assert await cache.get("k") is None
    assert await cache.get_raw("k") == 1
    cache.enable(Command.GET)
    assert await cache.get("k") == 1
    assert await cache.delete("k") is False
    cache.disable()
    cache.enable(Command.GET, Command.SET)
    assert await cache.set("k", 2) is True
    assert await cache.get("k") == 2
    assert await cache.exists("k") is False


async def test_disabling_is_local_to_its_context(cache):
    """Guarantee 19."""
    seen = {}
    inside, looked = anyio.Event(), anyio.Event()

    async def here():
        with cache.disabling():
            seen["here"] = await cache.set("k", "here")
            inside.set()
            await looked.wait()

    async def there():
        await inside.wait()
        seen["there"] = await cache.set("k", "there")
        looked.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(here)
        tasks.start_soon(there)
    assert seen == {"here": False, "there": True}
    assert await cache.get("k") == "there"


async def test_a_task_started_inside_inherits_it(cache):
    seen = []

    async def child():
        seen.append(await cache.set("k", 1))

    with cache.disabling():
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(child)
    assert seen == [False]


async def test_disabling_nests_and_restores_what_it_found(cache):
    """Guarantee 19; D31."""
    with cache.disabling(Command.GET):
        with cache.disabling(Command.GET, Command.SET):
            assert not await cache.set("k", 1)
        assert await cache.set("k", 1)
        assert await cache.get("k") is None
    assert await cache.get("k") == 1
    cache.disable(Command.GET)
    with cache.disabling():
        pass
    assert await cache.get("k") is None
    cache.enable()
    with cache.disabling():
        cache.enable()
        assert await cache.get("k") is None
    assert await cache.get("k") == 1


async def test_an_error_restores_it_too(cache):
    """Guarantee 19; D31."""
    with pytest.raises(LookupError), cache.disabling():
        raise LookupError
    assert await cache.set("k", 1)


async def test_disabling_holds_for_one_cache_only(cache, clock):
    async with Cache.open("mem://", clock=clock) as other:
        with cache.disabling():
            assert await other.set("k", 1)
            assert not await cache.set("k", 1)


async def test_one_backend_may_be_switched_off(cache):
    cache.setup("mem://", prefix="user:")
    cache.disable(prefix="user:")
    assert await cache.set("k", 1)
    assert not await cache.set("user:1", 1)
    assert await cache.get_many("k", "user:1", default=0) == (1, 0)
    assert cache.is_disable(prefix="user:")
    assert cache.is_enable()
    cache.enable(prefix="user:")
    with cache.disabling(Command.SET, prefix=""):
        assert await cache.set("user:1", 1)
        assert not await cache.set("k", 2)


async def test_an_unknown_prefix_is_an_error_that_names_the_known_ones(cache):
    cache.setup("mem://", prefix="user:")
    for switch in (cache.disable, cache.enable):
        with pytest.raises(NotConfiguredError, match=r"'nothing:'.*'', 'user:'"):
            switch(prefix="nothing:")


async def test_a_question_is_about_the_backend_of_the_key(cache):
    """The prefix of a question is the beginning of a key; the longest prefix of a backend that fits decides."""
    cache.setup("mem://", prefix="user:")
    cache.disable(Command.GET, prefix="user:")
    assert [cache.is_enable(prefix=key) for key in ("", "use", "user", "user:", "user:1")] == [
        *[True] * 3,
        *[False] * 2,
    ]
    assert cache.is_disable(Command.GET, prefix="user:1:name")
    fresh = Cache()
    fresh.setup("mem://", prefix="user:")
    assert fresh.is_enable(prefix="user:1")
    with pytest.raises(NotConfiguredError, match=r"'group:1'.*'user:'"):
        fresh.is_enable(prefix="group:1")


async def test_what_is_switched_off_before_setup_stays_off(clock):
    cache = Cache(clock=clock)
    cache.disable()
    assert cache.is_full_disable
    assert cache.is_disable(Command.GET)
    cache.setup("mem://")
    assert not await cache.set("k", 1)
    cache.setup("mem://", prefix="user:")
    assert cache.is_full_disable
    cache.enable()
    assert await cache.set("k", 1)
    assert await cache.set("user:1", 1)
    await cache.close()


async def test_a_prefix_may_be_switched_before_its_backend_is_there(clock):
    cache = Cache(clock=clock)
    cache.disable(Command.SET, prefix="user:")
    assert cache.is_disable(prefix="user:")
    assert cache.is_enable()
    assert not cache.is_full_disable
    cache.setup("mem://")
    cache.setup("mem://", prefix="user:")
    assert await cache.set("k", 1)
    assert not await cache.set("user:1", 1)
    await cache.close()


async def test_a_backend_in_the_place_of_another_is_switched_as_that_was(cache):
    cache.setup("mem://", prefix="user:")
    cache.disable(prefix="user:")
    cache.disable(Command.INCR)
    cache.setup("mem://")
    cache.setup("mem://?size=5", prefix="user:")
    assert cache.is_disable(Command.INCR)
    assert cache.is_enable(Command.SET)
    assert not await cache.set("user:1", 1)
    cache.setup("mem://", prefix="group:")
    assert cache.is_disable(Command.INCR, prefix="group:1")
    cache.setup("mem://", prefix="user:", enable=True)
    assert await cache.set("user:1", 1)
    assert cache.is_disable(Command.INCR)
    cache.enable()
    assert await cache.incr("n") == 1


async def test_the_cache_says_what_is_switched_off(cache):
    assert cache.is_enable()
    assert not cache.is_disable()
    cache.disable(Command.GET)
    assert cache.is_disable()
    assert cache.is_disable(Command.GET)
    assert cache.is_disable(Command.SET, Command.GET)
    assert not cache.is_disable(Command.SET)
    assert cache.is_enable(Command.SET)
    assert not cache.is_full_disable
    with cache.disabling():
        assert cache.is_full_disable
        assert cache.is_disable(Command.SET)
    assert not cache.is_full_disable
    cache.disable()
    assert cache.is_full_disable


@pytest.mark.parametrize(
    ("url", "options"),
    [
        ("mem://", {"disable": True}),
        ("mem://", {"enable": False}),
        ("mem://?enable=0", {}),
        ("mem://?disable=1", {}),
        ("mem://?enable=false", {}),
        ("mem://?disable=yes&size=5", {}),
        ("mem://?enable=1", {"enable": False}),
        ("", {}),
        ("", {"disable": True, "client_side": True, "secret": "s"}),
    ],
)
async def test_a_cache_may_be_set_up_switched_off(clock, url, options):
    """D30, D51."""
    async with Cache.open(url, clock=clock, **options) as cache:
        assert cache.is_full_disable
        assert not await cache.set("k", 1)
        cache.enable()
        assert await cache.set("k", 1)


@pytest.mark.parametrize("url", ["mem://?enable=1", "mem://?disable=0", "mem://?disable=off"])
async def test_a_cache_may_be_set_up_switched_on_in_so_many_words(clock, url):
    async with Cache.open(url, clock=clock) as cache:
        assert await cache.set("k", 1)


def test_a_switch_that_is_neither_on_nor_off_is_an_error():
    with pytest.raises(WrongOptionError, match="option 'enable' is 'perhaps'; allowed: 0, 1, false"):
        Cache().setup("mem://?enable=perhaps")


@pytest.mark.parametrize(
    ("url", "options"),
    [
        ("mem://?enable=1&disable=1", {}),
        ("mem://?enable=on&disable=off", {}),
        ("mem://?enable=1", {"disable": True}),
        ("mem://", {"enable": False, "disable": True}),
        ("", {"enable": True}),
    ],
)
def test_a_cache_is_switched_by_one_option_alone(url, options):
    cache = Cache()
    with pytest.raises(
        WrongOptionError, match=r"option 'enable' is (True|False); allowed: either 'enable' or 'disable'"
    ):
        cache.setup(url, **options)
    assert not cache.is_setup()


async def test_every_message_is_declined_when_its_command_is_off(cache):
    """Guarantee 19."""
    await cache.set("k", 1)
    for message in (m.Get("k"), m.GetHit("k"), m.Admit("k", 0, 10.0), m.Set("k", 2), m.LockTimeLeft("k")):
        with cache.disabling(message.command):
            assert await inside(cache).ask(message) == message.declined()
    assert await cache.get("k") == 1
