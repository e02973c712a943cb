"""The topology of a cluster: an actor that knows the master of each slot, and has a connection to each master.

It asks a node for the table of slots before the first request, and again when a reply or a lost connection shows that
the table is outdated: at most five times in a second, however many requests meet that. A request that was redirected
was not carried out, so it is sent to the right master, a write too.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, Final, TypeVar

import anyio
from anyio.abc import TaskGroup
from redis import exceptions as redis

from cashews._dataclass import replace
from cashews.actors.actor import Actor, Life
from cashews.actors.later import start_soon
from cashews.actors.loop import Loop
from cashews.actors.mailbox import SlotBell
from cashews.actors.scope import Service
from cashews.actors.slots import ReplySlot
from cashews.backends.interface import Environment
from cashews.backends.redis.address import Address
from cashews.backends.redis.channels import Channels
from cashews.backends.redis.connection import Connection
from cashews.backends.redis.failures import OUTAGE, REDIRECTED, TROUBLE, AskError, MovedError, StayedError
from cashews.backends.redis.handshake import ask_for_slots
from cashews.backends.redis.inbox import ASKING, Asking, Request, RequestKind
from cashews.backends.redis.near import Near
from cashews.backends.redis.options import RedisOptions
from cashews.backends.redis.servers import Place, Servers
from cashews.backends.redis.slots import SLOTS, SLOTS_OF, anchors, ranges_in, slot_of
from cashews.backends.redis.survey import Survey
from cashews.backends.redis.tracking import Storing, Tracking, part_with
from cashews.backends.redis.views import survey_of
from cashews.exceptions import CacheClosedError, CrossSlotError
from cashews.messages import LoadPermit

K = TypeVar("K", str, bytes, "str | bytes")

MOST_MOVES: Final = 5
"""Redirections in a row after which there is a pause before the next."""
INTERVAL: Final = 0.2
"""The fewest seconds between two questions for the table."""
PAUSE: Final = 0.01, 0.05
"""The fewest and the most seconds until a request is tried again."""


class Slot(Place):
    """The place of the keys of one slot, at whichever master that has it."""

    __slots__ = ("_number", "_topology", "anchor")

    def __init__(self, topology: Topology, number: int) -> None:
        self._topology = topology
        self._number = number
        self.anchor = anchors()[number]

    @property
    def tracks(self) -> bool:
        topology = self._topology
        node = topology.table[self._number]
        return topology.near is not None and (node is None or node.tracks)

    def at(self, key: str | bytes) -> Place:
        return self._topology.at(key)

    async def ask(
        self,
        packed: bytes,
        *,
        reads: bool = False,
        permit: LoadPermit | None = None,
        surely: bool = False,
        kind: RequestKind = Request,
    ) -> Any:
        topology = self._topology
        node, moves = topology.table[self._number], 0
        trouble: redis.RedisError | None = None
        until = math.inf
        while True:
            asks = isinstance(trouble, AskError)
            if node is None or trouble is not None:
                until = min(until, topology.patient_until())
                pauses = moves >= MOST_MOVES or isinstance(trouble, redis.TryAgainError)
                node = await topology.lead(self._number, node, trouble, until, pauses=pauses)
            try:
                if asks:
                    return await node.ask(ASKING + packed, reads=reads, permit=permit, surely=surely, kind=Asking)
                return await node.ask(packed, reads=reads, permit=permit, surely=surely, kind=kind)
            except REDIRECTED as error:
                trouble, moves = error, moves + 1
                if kind is not Request and isinstance(error, (MovedError, AskError)):
                    part_with(error, permit)
            except StayedError as error:
                await self.ask(*error.args, surely=True)
                return None
            except CacheClosedError:  # a node that has left the cluster, before the request was sent
                if topology.table[self._number] is node:
                    raise
                node, trouble = topology.table[self._number], None
            except OUTAGE:
                topology.note_outdated()
                raise

    def storing(self, key: str) -> RequestKind:
        return Request if self._topology.near is None else partial(Storing, key=key)

    @property
    def tells(self) -> int:
        return int(self._topology.near is not None)

    async def listen(self, channel: bytes, heard: Callable[[], object]) -> bool:
        return await self._topology.listen(self._number, channel, heard)

    async def unlisten(self, channel: bytes, heard: Callable[[], object]) -> None:
        await self._topology.channels.unlisten(channel, heard)


class Topology(Servers, Actor):
    """The masters of a cluster, and the slots of each.

    :param near: the near table that the connections fill, if there is one
    """

    any_anchor = b"{*}"
    is_cluster = True

    def __init__(
        self, seeds: Sequence[Address], options: RedisOptions, environment: Environment, near: Near | None = None
    ) -> None:
        self._seeds = seeds
        self.near = near
        self._options = options
        self._environment, self._clock = environment, environment.clock
        self._life = Life(self, environment.ensure_scope)
        self._nodes: dict[Address, Connection] = {}
        self.table: list[Connection | None] = [None] * SLOTS
        """The connection to the master of each slot, `None` while it is not known."""
        self._slots: list[Slot | None] = [None] * SLOTS
        self.channels = Channels()
        self.refreshes = 0
        self._may_ask_at = -math.inf
        self.begin()

    def begin(self) -> None:
        self._bell = SlotBell()
        self._askers: list[ReplySlot[Exception | None]] = []
        self._early: list[ReplySlot[Exception | None]] | None = None
        """The askers of the question that is on its way, `None` if none is."""
        self._outdated = False
        self._tasks: TaskGroup | None = None

    def __str__(self) -> str:
        return f"the cluster of {', '.join(map(str, self._seeds))}"

    # --- places

    @property
    def connections(self) -> Sequence[Connection]:
        return tuple(self._nodes.values())

    @property
    def services(self) -> tuple[Service, ...]:
        return (self._life.run,)

    def address_of(self, keys: Sequence[str]) -> Address | None:
        nodes = {self.table[slot_of(key)] for key in keys}
        node = nodes.pop() if len(nodes) == 1 else None
        return None if node is None else node.address

    def attached(self, loop: Loop) -> None:
        self._life.attend(loop)
        for connection in self._nodes.values():
            connection.attached(loop)

    def _slot(self, number: int) -> Slot:
        slot = self._slots[number]
        if slot is None:
            slot = self._slots[number] = Slot(self, number)
        return slot

    @property
    def first(self) -> Place:
        return self._slot(0)

    def at(self, key: str | bytes) -> Place:
        return self._slot(slot_of(key))

    def shares(self, keys: Sequence[K]) -> dict[Place, Sequence[K]]:
        shares: dict[Place, list[K]] = {}
        for key in keys:
            shares.setdefault(self.at(key), []).append(key)
        return dict(shares)

    def together(self, keys: Iterable[str]) -> Place:
        first = ""
        place: Place | None = None
        for key in keys:
            other = self.at(key)
            if place is None:
                first, place = key, other
            elif other is not place:
                raise CrossSlotError(first, key)
        return self.first if place is None else place

    async def survey(self) -> Survey[Place]:
        try:  # on the connections that there are: each of them is going to be asked anyway
            for node in self._masters()[:1]:
                self._install(node.address or self._seeds[0], await node.ask(SLOTS_OF, reads=True))
            masters = self._masters()
        except redis.RedisError:
            masters = []
        if not masters:
            await self._refreshed(anew=False)
        return await survey_of(self._masters(), self._node)

    def _masters(self) -> list[Connection]:
        return list({id(node): node for node in self.table if node is not None}.values())

    async def flush(self) -> None:
        """Return at once: each master has one connection."""

    # --- redirections

    def patient_until(self) -> float:
        """Return the instant until which a request that is asked now is led to a master."""
        return self._clock.now() + self._options.socket_timeout

    async def lead(
        self,
        number: int,
        asked: Connection | None,
        trouble: redis.RedisError | None,
        until: float,
        *,
        pauses: bool,
    ) -> Connection:
        """Return the connection that a request is to be sent on next.

        :param asked: the connection that it was sent on, if it was
        :param trouble: the refusal there
        :param until: the instant from which on no further node is tried
        :raises redis.exceptions.RedisError: if no node has the slot
        """
        if pauses:
            await self._clock.sleep_until(self._clock.now() + self._environment.random.uniform(*PAUSE))
        while True:
            if trouble is not None and self._clock.now() >= until:
                message = f"{self} does not serve a slot: {trouble}"
                raise redis.ConnectionError(message)
            if isinstance(trouble, MovedError):
                node = self._node(trouble.host, trouble.port, asked)
                self._note_loss({self.table[number]} - {node})
                self.table[number] = node
                self.note_outdated()
                return node
            if isinstance(trouble, AskError):
                return self._node(trouble.host, trouble.port, asked)
            if not isinstance(trouble, redis.TryAgainError):
                await self._refreshed(anew=trouble is not None)
            found = self.table[number]
            if found is not None:
                return found
            trouble = redis.ClusterDownError("no master has it")

    def _node(self, host: str, port: int, asked: Connection | None = None) -> Connection:
        """Return the connection to a master, a new one if it was not known.

        :param host: empty for the host of the node that was asked
        """
        seed = (asked and asked.address) or self._seeds[0]
        address = replace(seed, host=host or seed.host, port=port)
        connection = self._nodes.get(address)
        if connection is None:
            tracking = None if self.near is None else Tracking(self.near, self._options, is_node=True)
            connection = self._nodes[address] = Connection(address, self._options, self._environment, tracking)
            if self._tasks is not None:
                start_soon(self._tasks, connection.run)
        return connection

    # --- the table

    def note_outdated(self) -> None:
        """Have the table asked for soon."""
        self._outdated = True
        if self._bell.asleep:
            self._bell.ring()

    async def _refreshed(self, *, anew: bool) -> None:
        """Wait for a table.

        :param anew: whether it has to be asked for from now on: else the one that is on its way will do
        :raises redis.exceptions.RedisError: if no node answers
        :raises CacheClosedError: if the topology is closed
        """
        self._life.enter()
        place: ReplySlot[Exception | None] = self._life.loop.reply_slot()
        askers = self._askers if anew or self._early is None else self._early
        askers.append(place)
        if askers is self._askers:
            self.note_outdated()
        try:
            error = await place
        except BaseException:
            for waiting in (self._askers, self._early or []):
                if place in waiting:
                    waiting.remove(place)
            raise
        if error is not None:
            raise type(error)(*error.args)

    async def work(self) -> None:
        async with anyio.create_task_group() as tasks:
            self._tasks = tasks
            try:
                for connection in self._nodes.values():
                    start_soon(tasks, connection.run)
                await self._keep_fresh()
            finally:
                self._tasks = None

    async def _keep_fresh(self) -> None:
        while True:
            if not self._outdated:
                await self._bell.wait(self._life.loop)
            await self._clock.sleep_until(self._may_ask_at)
            self._outdated = False
            self._early, self._askers = self._askers, []
            self._life.note(1)
            error = await self._refresh()
            self._may_ask_at = self._clock.now() + INTERVAL * self._environment.random.uniform(1.0, 1.5)
            waiting, self._early = self._early, None
            for place in waiting:
                place.give(error)

    async def _refresh(self) -> redis.RedisError | None:
        """Ask one node after the other for the table; returns why none has answered."""
        self.refreshes += 1
        addresses = list(dict.fromkeys((*self._nodes, *self._seeds)))
        self._environment.random.shuffle(addresses)
        patience, errors = self._options.patience / len(addresses), list[str]()
        for address in addresses:
            try:
                self._install(address, await ask_for_slots(address, self._options, self._clock, patience))
            except TROUBLE as error:
                errors.append(f"{address}: {error or type(error).__name__}")
            else:
                return None
        return redis.ConnectionError(f"{self} does not answer: {'; '.join(errors)}")

    def _install(self, asked: Address, reply: object) -> None:
        """Take a table over; connections to nodes that have no slot any more are closed.

        :raises redis.exceptions.RedisError: if the reply is no table, or an empty one
        """
        table: list[Connection | None] = [None] * SLOTS
        for slots, host, port in ranges_in(reply):
            table[slots.start : slots.stop] = [self._node(host or asked.host, port)] * len(slots)
        self._note_loss({old for old, new in zip(self.table, table, strict=True) if old is not new})
        self.table = table
        masters = {id(node) for node in table}
        for address, node in tuple(self._nodes.items()):
            if id(node) not in masters and self._tasks is not None:
                del self._nodes[address]
                start_soon(self._tasks, self._dismiss, node)

    async def _dismiss(self, node: Connection) -> None:
        """Close the connection to a node that has no slot any more."""
        await self.channels.leave(node, lambda channel: self.table[slot_of(channel)])
        await node.close()

    @staticmethod
    def _note_loss(nodes: Iterable[Connection | None]) -> None:
        """Serve nothing from memory any more that came from nodes which have lost slots."""
        for node in nodes:
            if node is not None and node.tracking is not None:
                node.tracking.lose_slots()

    # --- channels

    async def listen(self, number: int, channel: bytes, heard: Callable[[], object]) -> bool:
        """Listen to a channel, at the master of a slot."""
        node = self.table[number] or await self.lead(number, None, None, math.inf, pauses=False)
        return await self.channels.listen(node, channel, heard)

    # --- the end

    def end(self) -> None:
        waiting, self._askers, self._early = [*self._askers, *(self._early or [])], [], None
        for place in waiting:
            place.give(self._life.refusal())

    async def close(self) -> None:
        await super().close()
        await self._life.close()
