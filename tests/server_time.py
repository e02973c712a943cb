"""Time on a server that a test owns.

A server's time is real, and a test that waits for it is slow or fails by chance. So between two batches of requests
every key's time to live is *parked*: the key carries its deadline on the test's clock, counted from an instant so
far away that nothing expires meanwhile. Each batch that goes to the server is framed by two scripts in the same write:
the first works out again what is left of each life, from what the clock says now, and removes what is due; the second
parks again. The frame has no replies (`CLIENT REPLY SKIP`), so the connection under test does not notice. The requests
see what is truly left, for the moment that they take; however long the test takes in between, no time passes. Circuits
keep instants of the server in a hash: these are parked with the key.

What remains of real time is the moment between the two scripts. Deadlines are therefore brought to the next multiple of
10 ms on the clock: what tests use is a multiple already, and the moment is shorter.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from redis.exceptions import RedisError

from cashews import messages as m
from cashews.actors.line import Conversation, Line
from cashews.backends.redis import RedisStore
from cashews.backends.redis.address import Address
from cashews.backends.redis.wire import pack
from cashews.commands import Command
from cashews.testing.clock import VirtualClock
from tests.internals import inside

PING = pack(("PING",))
SKIP = pack(("CLIENT", "REPLY", "SKIP"))
COMMON = """
-- ARGV: the clock's now, in milliseconds
local clock, far = tonumber(ARGV[1]), 4e15
local time = redis.call('TIME')
local now = time[1] * 1000 + time[2] / 1000

local function up(instant) return math.ceil(instant / 10 - 1e-4) * 10 end

local function shift(key, by, round)
  for _, field in ipairs({'changed', 'until'}) do
    local instant = tonumber(redis.call('HGET', key, field) or 0)
    if instant > 0 then redis.call('HSET', key, field, string.format('%.3f', round(instant + by))) end
  end
end

local function volatile()
  local found = {}
  if not string.find(redis.call('INFO', 'keyspace'), 'expires=[1-9]') then return found end
  for _, key in ipairs(redis.call('KEYS', '*')) do
    local left = redis.call('PTTL', key)
    if left >= 0 then found[key] = left end
  end
  return found
end
"""
UNPARK = (
    COMMON
    + """
local function same(instant) return instant end
for key, left in pairs(volatile()) do
  if left > far / 2 then
    local rest = math.floor((left + now - far) / 10 + 0.5) * 10 - clock
    if rest <= 0 then
      redis.call('DEL', key)
    else
      redis.call('PEXPIRE', key, string.format('%.0f', rest))
      if redis.call('TYPE', key).ok == 'hash' then shift(key, now - clock, same) end
    end
  end
end
"""
)
PARK = (
    COMMON
    + """
for key, left in pairs(volatile()) do
  if left < far / 2 then
    redis.call('PEXPIREAT', key, string.format('%.0f', far + up(clock + left)))
    if redis.call('TYPE', key).ok == 'hash' then shift(key, clock - now, up) end
  end
end
"""
)


class ServerClock(VirtualClock):
    """A virtual clock for stores on a server: it waits for their replies too before it moves."""

    def __init__(self, start: float = 0.0) -> None:
        super().__init__(start)
        self.stores: list[RedisStore] = []
        self._quiet = 0, 0
        """The traffic after which nothing was on its way any more."""

    @property
    def milliseconds(self) -> int:
        """The current instant, rounded down: nothing is due before its time."""
        return int(self.now() * 1000 + 1e-6)

    async def settle(self) -> None:
        """Let all tasks run until each waits for something that is neither another task nor a reply."""
        await super().settle()
        before = self._traffic()
        while self._quiet != before:
            asked = 0
            for store in self.stores:
                asked += await answered(store)
            await super().settle()
            now = self._traffic()
            self._quiet, before = (before[0] + asked, 0), now

    def _traffic(self) -> tuple[int, int]:
        """How many requests were made, and how many wait to learn where."""
        figures = [store.statistics() for store in self.stores]
        return sum(each["commands"] + each["waiting"] for each in figures), sum(map(lost, self.stores))


def lost(store: RedisStore) -> int:
    """Return how many requests wait until the masters of a cluster are known."""
    servers = store._servers
    return len(servers._askers) + len(servers._early or ()) if servers.is_cluster else 0


async def answered(store: RedisStore) -> int:
    """Wait until everything is answered that was sent on each connection of a store, and every push has come.

    Returns how many requests of its own it took.
    """
    asked = 0
    if lost(store):
        with suppress(RedisError):
            await store._servers._refreshed(anew=False)
    for connection in store._servers.connections:
        figures = connection.statistics()
        if figures["connected"] or figures["waiting"]:
            with suppress(RedisError):  # then nothing is on its way any more either
                await connection.ask(PING)
                asked += 1
    return asked


class FramedLine(Line):
    """A line to a server that frames whatever is sent."""

    def __init__(self, line: Line, clock: ServerClock) -> None:
        self._line = line
        self._clock = clock

    def framed(self, data: bytes) -> bytes:
        before, after = (pack(("EVAL", script, 0, self._clock.milliseconds)) for script in (UNPARK, PARK))
        return b"".join((SKIP, before, data, SKIP, after))

    async def send(self, data: bytes) -> None:
        await self._line.send(self.framed(data))

    async def receive(self) -> bytes:
        return await self._line.receive()

    async def serve(self, conversation: Conversation) -> None:
        await self._line.serve(FramedConversation(conversation, self))

    @property
    def asleep(self) -> bool:
        return self._line.asleep

    def ring(self) -> None:
        self._line.ring()

    @property
    def socket(self) -> Any:
        return self._line.socket

    async def aclose(self) -> None:
        await self._line.aclose()


class FramedConversation(Conversation):
    """A conversation whose data is framed."""

    def __init__(self, conversation: Conversation, line: FramedLine) -> None:
        self._conversation = conversation
        self._line = line

    @property
    def has_data(self) -> bool:
        return self._conversation.has_data

    def data_to_send(self) -> bytes:
        data = self._conversation.data_to_send()
        return self._line.framed(data) if data else data

    def receive_data(self, data: bytes) -> bool:
        return self._conversation.receive_data(data)


def own_time(monkeypatch: Any, clock: ServerClock) -> None:
    """Have every connection that is opened from now on live in a clock's time."""
    connect = Address.connect

    async def connect_framed(address: Address, **options: Any) -> Line:
        return FramedLine(await connect(address, **options), clock)

    monkeypatch.setattr(Address, "connect", connect_framed)


@dataclass(frozen=True)
class OwnEntries:
    """An interceptor that keeps in the clock's time when a call has entered its circuit.

    That instant is the server's, and the caller brings it back after time was moved.
    """

    clock: ServerClock

    def concerns(self, command: Command) -> bool:
        return command is m.EnterCircuit.command

    async def __call__(self, message: Any, proceed: Any) -> Any:
        if isinstance(message, m.ReportCircuit):
            entered = time.time() * 1000 + message.entered - self.clock.milliseconds
            nearer = 5  # than the next instant of the clock, and more than it takes to get there
            return await proceed(m.ReportCircuit(message.key, message.rules, entered + nearer, message.failed))
        reply = await proceed(message)
        entered = isinstance(message, m.EnterCircuit) and not isinstance(reply, m.Refusal)
        return self.clock.milliseconds if entered else reply


def stores_of(cache: Any) -> Sequence[RedisStore]:
    """Return the stores on servers that a cache has."""
    backends = inside(cache).stores
    behind = [getattr(backend, "store", backend) for backend in backends]  # behind a near table
    return [backend for backend in behind if isinstance(backend, RedisStore)]
