"""Links that break, fall silent or cannot track: nothing old is served, and every command goes on."""

import logging

import anyio
import pytest

from cashews import Cache
from cashews.exceptions import WrongOptionError
from tests.faults.proxy import Proxy, until
from tests.faults.test_recovery import up_again
from tests.near.conftest import LAG, PREFIX
from tests.servers import Server

pytestmark = pytest.mark.redis
TIMEOUT = 5.0


@pytest.fixture
async def proxy(server):
    async with Proxy(server.port).serving() as proxy:
        yield proxy


@pytest.mark.parametrize("lag", [0.5, LAG])
async def test_a_silent_link_ends_the_service_from_memory_after_the_lag(opened, clock, proxy, server, lag):
    """Guarantees 22, 31."""
    async with opened(proxy.url, client_side_lag=lag, suppress=True, socket_timeout=TIMEOUT) as cache:
        await cache.set("k", "old")
        assert await cache.get("k") == "old"
        proxy.go_silent()
        server.command("SET", f"{PREFIX}k", 2)
        await clock.advance(lag * 0.99)
        assert await cache.get("k") == "old", "while the lag has not passed"
        await clock.advance(lag * 0.01)
        found = []

        async def read():
            found.append(await cache.get("k"))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(read)
            await clock.advance(TIMEOUT)
            await clock.advance(TIMEOUT)
        assert found == [None]
        proxy.recover()


async def test_nothing_that_came_before_a_cut_is_served_after_it(opened, clock, proxy, server, figures):
    """Guarantee 31."""
    async with opened(proxy.url, suppress=True) as cache:
        for number in range(20):
            await cache.set("k", number)
            assert await cache.get("k") == number
            await proxy.refuse()
            proxy.cut()
            await until(lambda: not figures(cache)["connected"])
            server.command("SET", f"{PREFIX}k", -number - 1)
            assert await cache.get("k") is None, "the server is out of reach"
            await proxy.listen()
            await up_again(cache, clock)
            assert await cache.get("k") == -number - 1


async def test_a_load_is_not_stored_if_the_link_broke_meanwhile(opened, proxy, server, figures):
    """Guarantee 10: a deletion may have been missed."""
    async with opened(proxy.url) as cache:

        @cache(ttl="1h", key="k")
        async def load():
            connects = figures(cache)["connects"]
            proxy.cut()
            await until(lambda: figures(cache)["connects"] > connects or not figures(cache)["connected"])
            return "old"

        assert await load() == "old"
        assert server.command("EXISTS", f"{PREFIX}k") == 0


OTHERS = {
    "no permission": ({}, {"username": "me", "password": "secret"}),
    "protocol": ({}, {"protocol": 2}),
    "no greeting": ({"rename_command": ("HELLO", "GREET")}, {}),
}


@pytest.mark.parametrize("kind", OTHERS)
async def test_a_server_that_does_not_tell_of_changes_is_asked_each_time(opened, caplog, kind):
    """Guarantee 31: never trusted is a server that says it does and does not."""
    config, options = OTHERS[kind]
    with Server(**config) as server:
        server.command("ACL", "SETUSER", "me", "on", ">secret", "~*", "&*", "+@all", "-client|tracking")
        async with opened(server.url, **options) as cache:
            for number in range(100):
                server.command("SET", f"{PREFIX}k", number)
                assert await cache.get("k") == number
                assert await cache.get_many("k") == (number,)
            await cache.delete_tags("t")
            await cache.clear()
            assert await cache.get("k") is None
            server.command("CLIENT", "KILL", "TYPE", "normal")
            await cache.get("k")
    said = [record for record in caplog.records if "client_side" in record.message]
    assert len(said) == 1
    assert said[0].levelno == logging.WARNING


def test_several_connections_are_refused():
    with pytest.raises(WrongOptionError, match="connections"):
        Cache.open("redis://", client_side=True, connections=2)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("client_side_size", 0),
        ("client_side_bytes", 0),
        ("client_side_lag", 0),
        ("client_side_copy", "deep"),
        ("client_side_prefix", "a*"),
    ],
)
def test_a_wrong_option_is_an_error_that_names_it(option, value):
    with pytest.raises(WrongOptionError, match=option):
        Cache.open("redis://", client_side=True, **{option: value})


def test_another_event_loop_begins_with_nothing_in_memory(server, anyio_backend):
    cache = Cache()
    cache.setup(server.patient_url, client_side=True, client_side_prefix=PREFIX)

    async def read_twice():
        return await cache.get("k"), await cache.get("k")

    server.command("SET", f"{PREFIX}k", 1)
    assert anyio.run(read_twice, backend=anyio_backend) == (1, 1)
    server.command("SET", f"{PREFIX}k", 2)
    assert anyio.run(read_twice, backend=anyio_backend) == (2, 2)


async def test_a_cache_that_is_opened_again_begins_with_nothing_in_memory(opened, server):
    cache = opened()
    for number in range(3):
        server.command("SET", f"{PREFIX}k", number)
        async with cache:
            assert await cache.get("k") == await cache.get("k") == number
            assert cache.statistics().tasks
        assert not cache.statistics().tasks
