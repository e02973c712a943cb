"""Replies of a type that a request cannot have: an outage, never an error of Python in a user's code."""

from __future__ import annotations

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cashews import messages as m
from cashews.backends.redis import wire
from cashews.backends.redis.failures import WrongReplyError
from cashews.exceptions import CacheBackendInteractionError
from tests.engine.test_message_laws import EXAMPLES
from tests.faults.proxy import PATIENCE
from tests.faults.replying import GREETING, Replying
from tests.internals import inside

pytestmark = pytest.mark.redis
REPLIES = {
    "integer": b":1\r\n",
    "negative": b":-5\r\n",
    "bytes": b"$3\r\n\xffab\r\n",
    "status": b"+QUEUED\r\n",
    "nothing": b"_\r\n",
    "empty": b"*0\r\n",
    "list": b"*3\r\n:1\r\n$1\r\na\r\n_\r\n",
    "nested": b"*2\r\n*1\r\n:1\r\n*1\r\n$1\r\na\r\n",
    "map": b"%1\r\n$1\r\na\r\n:1\r\n",
    "set": b"~2\r\n$1\r\na\r\n:1\r\n",
    "true": b"#t\r\n",
    "double": b",1.5\r\n",
    "big": b"(3492890328409238509324850943850943825024385\r\n",
    "verbatim": b"=7\r\ntxt:abc\r\n",
    "list as a key": b"%1\r\n*1\r\n:1\r\n:1\r\n",
    "empty push": b">0\r\n",
}
ANYTHING = (m.Get, m.GetHit, m.GetRaw, m.LockTimeLeft, m.EnterCircuit)
"""The messages whose replies may be of several types."""
COUNTED = (m.DeleteTags, m.Clear)
"""The messages that are carried out in steps, until an integer says that nothing is left."""


class Answering(Replying):
    """A server that greets as it should, and answers everything else with the same reply."""

    def __init__(self, reply):
        self.reply = reply

    def _reply(self, words):
        return GREETING if words[0] == b"HELLO" else self.reply


@pytest.mark.parametrize("reply", REPLIES)
@pytest.mark.parametrize("suppress", [True, False], ids=["suppressed", "raised"])
async def test_no_reply_raises_anything_but_an_outage(opened, reply, suppress):
    """Whatever each command is answered, it has a reply of its own type, or an error of ours."""
    server = Answering(REPLIES[reply])
    async with anyio.create_task_group() as tasks:
        await tasks.start(server.serve)
        async with opened(f"redis://127.0.0.1:{server.port}", suppress=suppress) as cache:
            for message in EXAMPLES:
                if not (REPLIES[reply].startswith(b":") and isinstance(message, COUNTED)):
                    await assert_answered(cache, message, suppress=suppress)
        tasks.cancel_scope.cancel()


async def assert_answered(cache, message, *, suppress):
    try:
        with anyio.fail_after(PATIENCE):
            answer = await inside(cache).ask(message)
    except CacheBackendInteractionError:
        assert not suppress or isinstance(message, m.Ping), message
    else:
        assert_fits(message, answer)


def assert_fits(message, answer):
    """Compare the type of a reply with that of the neutral one."""
    neutral = message.declined()
    if neutral is not None and not isinstance(message, ANYTHING):
        assert isinstance(answer, type(neutral)), (message, answer)
    if isinstance(message, (m.GetMany, m.GetBits, m.IncrBits)):
        assert len(answer) == len(neutral), (message, answer)


@pytest.mark.parametrize("suppress", [True, False], ids=["suppressed", "raised"])
async def test_a_wrong_reply_ends_its_connection_and_is_said_once(proxy, opened, caplog, suppress):
    async with opened(proxy.url, suppress=suppress) as cache:
        await cache.ping()
        proxy.mangle = lambda _: REPLIES["integer"]
        if suppress:
            assert await cache.get("k", default="neutral") == "neutral"
        else:
            with pytest.raises(CacheBackendInteractionError, match="of type int, and not bytes"):
                await cache.get("k")
        proxy.recover()
        assert await cache.set("k", 1) is True
        assert await cache.get("k") == 1
        assert cache.statistics().backends[""]["connects"] == 2
    assert ["of type int" in record.getMessage() for record in caplog.records] == [True]


async def test_wrong_replies_are_said_once_for_each_kind_of_message(opened, caplog):
    server = Answering(REPLIES["integer"])
    async with anyio.create_task_group() as tasks:
        await tasks.start(server.serve)
        async with opened(f"redis://127.0.0.1:{server.port}") as cache:
            for _ in range(3):
                await cache.get("k")
                await cache.get_raw("k")
        tasks.cancel_scope.cancel()
    said = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert [text.partition(":")[0] for text in said] == ["redis, get", "redis, get_raw"]


async def test_a_write_with_a_wrong_reply_is_no_success(proxy, opened):
    """Guarantee 22: it may have been carried out, or not."""
    async with opened(proxy.url, suppress=False) as cache:
        await cache.ping()
        proxy.mangle = lambda _: b"+QUEUED\r\n"
        with pytest.raises(CacheBackendInteractionError) as refused:
            await cache.set("k", 1)
        assert refused.value.unknown is True


ANY = st.recursive(
    st.none() | st.integers() | st.binary() | st.booleans() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.sets(st.integers()) | st.dictionaries(st.integers(), inner),
)


@settings(max_examples=50)
@given(ANY)
def test_a_reader_of_replies_returns_its_type_or_refuses(reply):
    readers = [(wire.integer, int), (wire.blob, bytes), (wire.number, float), (wire.array, list), (wire.is_done, bool)]
    for reader, kind in readers:
        try:
            found = reader(reply)
        except WrongReplyError:
            continue
        assert type(found) is kind
