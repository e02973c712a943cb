"""Nodes that answer as no node should: an outage at most, and never the end of a cache. Guarantees 22 and 32."""

from __future__ import annotations

from contextlib import asynccontextmanager
from time import monotonic

import anyio
import hiredis
import pytest

from cashews import Cache
from cashews.backends.redis.failures import MovedError, failure_of
from cashews.backends.redis.slots import SLOTS
from cashews.exceptions import CacheBackendInteractionError, CacheClosedError
from tests.cluster.test_commands import topology_of
from tests.faults.proxy import until
from tests.faults.replying import GREETING, Replying
from tests.servers import PATIENTLY

pytestmark = pytest.mark.redis
LAST = SLOTS - 1
HOST = "127.0.0.1"


def written(reply) -> bytes:
    """Return a reply of lists, integers, bytes and `None` in the wire's form."""
    if isinstance(reply, list):
        return b"*%d\r\n%b" % (len(reply), b"".join(map(written, reply)))
    if isinstance(reply, int):
        return b":%d\r\n" % reply
    return b"_\r\n" if reply is None else b"$%d\r\n%b\r\n" % (len(reply), reply)


class Node(Replying):
    """A node that keeps nothing: its table and its reply to any other command are the test's."""

    def __init__(self):
        self.asked = 0
        self.table = None
        self.reply = b"+OK\r\n"

    def _reply(self, words):
        if words[0] == b"HELLO":
            return GREETING
        if words[:2] == [b"CLUSTER", b"SLOTS"]:
            return written(self.whole() if self.table is None else self.table)
        self.asked += 1
        return self.reply

    def whole(self):
        return [[0, LAST, [HOST.encode(), self.port, b"id"]]]


@asynccontextmanager
async def nodes(count=1):
    made = [Node() for _ in range(count)]
    async with anyio.create_task_group() as tasks:
        for node in made:
            await tasks.start(node.serve)
        yield made
        tasks.cancel_scope.cancel()


def url_of(*made):
    return f"redis+cluster://{','.join(f'{HOST}:{node.port}' for node in made)}"


STRANGE = {
    "empty": [],
    "no list": b"OK",
    "no lists": [1],
    "too few parts": [[0]],
    "no master": [[0, LAST]],
    "a master without a port": [[0, LAST, [HOST.encode()]]],
    "a port of text": [[0, LAST, [HOST.encode(), b"6379", b"id"]]],
    "no port of TCP": [[0, LAST, [HOST.encode(), 99_999, b"id"]]],
    "slots that there are not": [[0, SLOTS, [HOST.encode(), 6379, b"id"]]],
    "slots before the first": [[-5, 5, [HOST.encode(), 6379, b"id"]]],
    "slots backwards": [[9, 5, [HOST.encode(), 6379, b"id"]]],
    "a host that is a number": [[0, LAST, [1, 6379, b"id"]]],
}


@pytest.mark.parametrize("table", STRANGE)
async def test_a_table_that_is_none_is_an_outage(table):
    """And one that another node has is used, as soon as there is one."""
    async with nodes(2) as (strange, good):
        strange.table = good.table = STRANGE[table]
        async with Cache.open(f"{url_of(strange, good)}?{PATIENTLY}", suppress=False) as cache:
            with pytest.raises(CacheBackendInteractionError, match="does not answer"):
                await cache.set_raw("key", b"1")
            good.table = None
            for number in range(5):
                assert await cache.set_raw(f"key{number}", b"1")
            assert good.asked == 5


@pytest.mark.parametrize("table", STRANGE)
async def test_a_table_that_is_none_takes_no_known_node_away(table):
    """A scan asks a master for the table: one that was reset has forgotten all others."""
    async with nodes(2) as (strange, good):
        strange.table = [[0, 9, [HOST.encode(), strange.port]], [10, LAST, [HOST.encode(), good.port]]]
        async with Cache.open(f"{url_of(strange)}?{PATIENTLY}", suppress=False) as cache:
            assert await cache.set_raw("key", b"1")
            strange.table = STRANGE[table]
            with pytest.raises(CacheBackendInteractionError):  # the list of nodes is none either
                await cache.get_keys_count()
            assert await cache.set_raw("key", b"1")
            assert {node.address.port for node in topology_of(cache).connections} >= {good.port}


async def test_a_node_that_sends_its_requests_to_itself_is_an_outage():
    """Within the time of a request, with pauses, and the next one is answered."""
    async with nodes() as (node,), Cache.open(f"{url_of(node)}?socket_timeout=1", suppress=False) as cache:
        node.reply = b"-MOVED 5 %b:%d\r\n" % (HOST.encode(), node.port)
        began = monotonic()
        with pytest.raises(CacheBackendInteractionError, match="does not serve a slot"):
            await cache.set_raw("key", b"1")
        assert 1 <= monotonic() - began < 3
        assert node.asked <= 5 + 1 / 0.01
        node.reply = b"+OK\r\n"
        assert await cache.set_raw("key", b"1")


@pytest.mark.parametrize("word", ["MOVED", "ASK"])
async def test_a_node_without_a_name_is_at_the_host_that_was_asked(word):
    """Not at that of the first node in the URL, which may be another."""
    async with nodes(2) as (first, second):
        first.table = [[0, LAST, [None, first.port]]]
        first.reply = f"-{word} 5 :{second.port}\r\n".encode()
        second.table = first.table
        async with Cache.open(f"redis+cluster://localhost:1,{HOST}:{first.port}?{PATIENTLY}", suppress=False) as cache:
            assert await cache.set_raw("key", b"1")
            assert second.asked == (1 if word == "MOVED" else 2)
            assert {str(node) for node in topology_of(cache)._nodes} <= {
                f"{HOST}:{each.port}" for each in (first, second)
            }


@pytest.mark.parametrize("text", ["MOVED", "MOVED 5", "MOVED 5 nowhere", "ASK 5 host:port", "MOVED x h:1", "ASK 5 h:0"])
def test_a_redirection_that_names_no_node_is_an_error_of_the_server(text):
    assert not isinstance(failure_of(hiredis.ReplyError(text)), MovedError)
    assert str(failure_of(hiredis.ReplyError(text))) == text


async def test_requests_that_are_cancelled_while_they_are_redirected_leave_nothing_behind():
    """Guarantee 23."""
    async with nodes() as (node,):
        node.table = []
        async with Cache.open(f"{url_of(node)}?{PATIENTLY}", suppress=False) as cache:
            topology = topology_of(cache)
            for _ in range(20):
                async with anyio.create_task_group() as tasks:
                    for number in range(10):
                        tasks.start_soon(cache.get_raw, f"key{number}")
                    await until(lambda: topology._askers or topology._early)
                    tasks.cancel_scope.cancel()
                assert not topology._askers
                assert not topology._early
            node.table, node.reply = None, b"$1\r\n1\r\n"
            assert await cache.get_raw("key") == b"1"
            assert cache.statistics().backends[""]["waiting"] == 0


async def test_a_cluster_that_is_closed_while_its_table_is_asked_for_comes_to_an_end():
    """Guarantee 28: its requests fail, no connection is opened any more, and it can be opened again."""
    async with nodes(2) as (node, other):
        cache = Cache.open(f"{url_of(node)}?{PATIENTLY}", suppress=False)
        failed = []

        async def ask(number):
            try:
                await cache.set_raw(f"key{number}", b"1")
            except (CacheBackendInteractionError, CacheClosedError) as error:
                failed.append(error)

        async with anyio.create_task_group() as tasks:
            async with cache:
                assert await cache.set_raw("key", b"1")
                node.reply = b"-MOVED 5 %b:%d\r\n" % (HOST.encode(), other.port)
                other.reply = b"-MOVED 5 %b:%d\r\n" % (HOST.encode(), node.port)
                for number in range(20):
                    tasks.start_soon(ask, number)
                await until(lambda: node.asked > 20)
                await cache.close()
            node.reply = other.reply = b"+OK\r\n"
        assert len(failed) == 20
        assert not any(each.statistics()["connected"] for each in topology_of(cache).connections)
        assert cache.statistics().tasks == 0


class Tracked(Node):
    """A node that tells of a change of each key that is stored, right before it says that it was stored."""

    def __init__(self):
        super().__init__()
        self.undone = []
        self.goes_to = None
        self.known = {
            b"HELLO": b"%2\r\n$5\r\nproto\r\n:3\r\n$7\r\nversion\r\n$5\r\n7.0.0\r\n",
            b"PTTL": b":-2\r\n",
            b"GET": b"_\r\n",
            b"UNLINK": b":1\r\n",
        }

    def _reply(self, words):
        verb = words[0].upper()
        if verb == b"SET":
            return b">2\r\n$10\r\ninvalidate\r\n" + written([words[1]]) + b"+OK\r\n"
        if verb == b"UNLINK" and self.goes_to is None:
            self.undone.append(words[1])
        return self.known.get(verb) or super()._reply(words)


@pytest.mark.parametrize("word", ["MOVED", "ASK"])
async def test_a_value_is_taken_back_where_its_slot_has_gone(word):
    """Guarantee 10: it was stored, and another process had deleted the key before; then the slot moves at once."""
    old, new = Tracked(), Tracked()
    async with anyio.create_task_group() as tasks:
        for node in (old, new):
            await tasks.start(node.serve)
        old.goes_to = old.known[b"UNLINK"] = f"-{word} 5 {HOST}:{new.port}\r\n".encode()
        url = f"{url_of(old)}?{PATIENTLY}"
        async with Cache.open(url, suppress=False, client_side=True, client_side_prefix="near:") as cache:

            @cache(ttl="1h", key="{number}")
            async def load(number):
                return number

            assert await load(5) == 5
            assert new.undone == [b"near:5"]
            assert old.undone == []
        tasks.cancel_scope.cancel()
