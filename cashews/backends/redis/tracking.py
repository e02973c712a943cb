"""The requests of a connection whose server tells of changes: reads that are tracked, writes that may be undone."""

from __future__ import annotations

import math
from collections.abc import Callable, Container
from functools import partial
from itertools import repeat
from typing import Any, Final

from cashews.actors.slots import BareSlot
from cashews.backends.redis.failures import AskError, MovedError, RedirectError, StayedError, failure_of
from cashews.backends.redis.inbox import Request, RequestKind
from cashews.backends.redis.near import TICK, Feed, Near, NearSlot
from cashews.backends.redis.options import RedisOptions
from cashews.backends.redis.wire import PING, encoded, pack, text_of
from cashews.messages import LoadPermit

TRACK: Final = pack(("CLIENT", "CACHING", "YES"))
"""Has the server tell of changes of the keys that the next command reads, whichever command that is."""
READ: Final = TRACK + b"*2\r\n$4\r\nPTTL\r\n$%d\r\n%b\r\n*2\r\n$3\r\nGET\r\n$%d\r\n%b\r\n"
"""A tracked read in the wire's form: the size and the bytes of its key, twice."""
OVERTAKEN: Final = None
"""In the place of the promise to tell of the next change, once it has been told."""
STORED: Final = (b"OK", 1)
"""The replies that mean that a value was stored."""


class TrackedRead(Request):
    """A read of three commands: tell of changes from now on, the time to live of a key, its value.

    Its reply is a slot. That is kept, unless the server has told of a change since the second reply.
    """

    __slots__ = ("_key", "_moves", "_tracking")
    ahead = 2

    def __init__(  # every miss makes one: no call of the base, and nothing by name that `partial` would have to merge
        self, key: str, packed: bytes, permit: LoadPermit | None, *, reads: bool, tracking: Tracking
    ) -> None:
        self.replies = []
        self.packed = packed
        self.permit = permit
        self.reads = reads
        self.again = False
        self.deadline = math.inf
        self.weight = len(packed)
        self.early = []
        self._key = key
        self._tracking = tracking
        self._moves = tracking.moves

    def overtake(self, keys: Container[str] | None) -> None:
        if len(self.early) == self.ahead and (keys is None or self._key in keys):
            self.early[0] = OVERTAKEN

    def answer(self, reply: Any) -> None:
        if reply.__class__ is bytes or reply is None:
            promise, left = self.early
            bound = left if promise == b"OK" and left.__class__ is int else None
            reply = self._tracking.slot_of(self, self._moves, self._key, bound, reply)
        super().answer(reply)


class TrackedReads(Request):
    """A read of two commands: tell of changes from now on, the times to live and the values of keys, by a script.

    Its reply is a list of slots. Whatever changes a key after the script is told after its reply.
    """

    __slots__ = ("_keys", "_moves", "_tracking")
    ahead = 1

    def __init__(
        self, keys: tuple[str, ...], packed: bytes, permit: LoadPermit | None, *, reads: bool, tracking: Tracking
    ) -> None:
        super().__init__(packed, permit, reads=reads)
        self.early = []
        self._keys = keys
        self._tracking = tracking
        self._moves = tracking.moves

    def answer(self, reply: Any) -> None:
        is_whole = reply.__class__ is list and len(reply) == 2 * len(self._keys)
        super().answer(self._slots(reply) if is_whole else reply)

    def _slots(self, found: list[Any]) -> list[NearSlot]:
        (promise,) = self.early
        triples = zip(self._keys, found[::2] if promise == b"OK" else repeat(None), found[1::2], strict=False)
        return [self._tracking.slot_of(self, self._moves, key, left, stored) for key, left, stored in triples]


class Following(Request):
    """A request of two commands: tell of changes from now on, the time to live of a key, which is not looked at.

    From its reply on, the next change voids the permit of a load.
    """

    __slots__ = ("_key", "_load", "_moves", "_tracking")
    ahead = 1

    def __init__(
        self,
        key: str,
        load: LoadPermit,
        packed: bytes,
        permit: LoadPermit | None,
        *,
        reads: bool,
        tracking: Tracking,
    ) -> None:
        super().__init__(packed, permit, reads=reads)
        self.early = []
        self._key = key
        self._load = load
        self._tracking = tracking
        self._moves = tracking.moves

    def answer(self, reply: object) -> None:
        tracking = self._tracking
        is_bound = reply.__class__ is int and self.early == [b"OK"] and tracking.has_kept(self._moves)
        if is_bound:
            tracking.near.follow(self._key, self._load)
        super().answer(reply if isinstance(reply, Exception) else is_bound)


class Storing(Request):
    """A write under a permit; if the server has told of a change before the reply, the outdated value is removed."""

    __slots__ = ("_key", "_tracking")

    def __init__(self, packed: bytes, permit: LoadPermit | None, *, reads: bool, tracking: Tracking, key: str) -> None:
        super().__init__(packed, permit, reads=reads)
        self._tracking = tracking
        self._key = key

    def answer(self, reply: object) -> None:
        if self.permit is not None and self.permit.void and reply in STORED:
            self._tracking.send(Undoing(pack(("UNLINK", self._key)), None, reads=False, replies=self.replies))
        else:
            if self.permit is not None:  # the server is about to tell of this very write
                self._tracking.stop_following(self._key, self.permit)
            super().answer(reply)


class Undoing(Request):
    """The removal of a value that should not have been stored; the askers of the write wait for it."""

    __slots__ = ()

    def __init__(self, packed: bytes, permit: LoadPermit | None, *, reads: bool, replies: list[BareSlot[Any]]) -> None:
        super().__init__(packed, permit, reads=reads)
        self.replies = replies

    @property
    def is_abandoned(self) -> bool:
        return False  # the value is outdated for others, too

    def answer(self, reply: object) -> None:
        if isinstance(reply, Exception) and isinstance(failure_of(reply), RedirectError):
            reply = StayedError(self.packed)
        super().answer(reply if isinstance(reply, Exception) else None)


class Confirming(Request):
    """The question for a key that was served: a node of a cluster answers it as long as it has the key's slot."""

    __slots__ = ("_tracking",)

    def __init__(self, packed: bytes, permit: LoadPermit | None, *, reads: bool, tracking: Tracking) -> None:
        super().__init__(packed, permit, reads=reads)
        self._tracking = tracking

    def answer(self, reply: object) -> None:
        if isinstance(reply, Exception):
            self._tracking.lose_slots()
        else:
            self._tracking.note_proof(self)
        super().answer(reply)


class Tracking:
    """The near table and the feed of the link there is now, as the requests and the reader of a connection see them.

    A node of a cluster may lose a slot to another node, and then tells of no change in it: a node that has become a
    replica even answers a `PING`. So there its silence is trusted after the answer to a question about a key alone.

    :param near: the table, which the connections to all nodes of a cluster share
    :param options: the prefix of every key of ours, the lag, and the timeout of a request
    :param is_node: whether the server is a node of a cluster
    """

    def __init__(self, near: Near, options: RedisOptions, *, is_node: bool = False) -> None:
        self.near = near
        self.timeout = options.socket_timeout
        self._lag = options.client_side_lag
        self._prefix = options.client_side_prefix
        self._is_node = is_node
        self.moves = 0
        """How often the node has lost slots: a value that was asked for before that is not kept."""
        self.feed: Feed | None = None
        """The feed of the link; `None` without a link that tracks."""
        self.nothing = Feed(self._lag, bool)
        """The feed of slots that are not kept."""
        self.post: Callable[..., object] = bool
        """Sends a command of our own."""
        self.send: Callable[[Request], object] = bool
        """Sends a request, whether or not there is room."""

    def begin(self) -> None:
        """Take note of a link that tracks."""
        self.feed = Feed(self._lag, self._confirm if self._is_node else self._ping)

    def _ping(self, _: str) -> None:
        self.post(PING)

    def _confirm(self, key: str) -> None:
        self.post(pack(("EXISTS", encoded(self._prefix + key))), Confirming)

    def end(self) -> None:
        """Take note of the end of the link: nothing that came on it is served any more, and no load may rely on it."""
        if self.feed is not None:
            self.near.flush(self.feed)
            self.feed = None

    def lose_slots(self) -> None:
        """Take note of slots that the node has lost: nothing that came from it is served any more."""
        self.moves += 1
        if self.feed is not None:
            self.end()
            self.begin()

    def hear(self, stored: list[bytes] | None, oldest: Request | None) -> None:
        """Take note of a push.

        :param stored: the keys that have changed, as the server knows them, or `None` for all
        :param oldest: the request in flight that was sent first; some of its replies may have come
        """
        keys = None if stored is None else self._named(stored)
        if oldest is not None:
            oldest.overtake(keys)
        if keys is not None:
            self.near.invalidate(keys)
        elif self.feed is not None:
            self.end()
            self.begin()

    def _named(self, stored: list[bytes]) -> list[str]:
        prefix = self._prefix
        texts = [text for key in stored if (text := text_of(key)) is not None and text.startswith(prefix)]
        return [text[len(prefix) :] for text in texts]

    def stop_following(self, key: str, permit: LoadPermit) -> None:
        """Let later changes of a key, named as at the server, void a permit no more."""
        self.near.stop_following(key[len(self._prefix) :], permit)

    def note_reply(self, request: Request) -> None:
        """Take note of the last of some replies: every change before its request was sent has been told."""
        if self.feed is not None and not self._is_node:
            self.feed.hear(request.deadline - self.timeout)

    def note_proof(self, request: Request) -> None:
        """Take note of a reply about a key: its server had the key, and has told of every change before."""
        if self.feed is not None:
            self.feed.hear(request.deadline - self.timeout)

    def has_kept(self, moves: int) -> bool:
        """Say whether there is a link that tracks, to a server that has lost no slots since it had lost so many."""
        return self.feed is not None and moves == self.moves

    def slot_of(self, request: Request, moves: int, key: str, left: int | None, stored: bytes | None) -> NearSlot:
        """Return the slot of a key that was read; it is kept if the server is bound to tell of the next change.

        A key that is absent at a node may be created at another one to which its slot has gone: nobody tells of that.

        :param request: the request whose reply has brought the value
        :param moves: how often the node had lost slots when the request was made
        :param left: the time to live in milliseconds, negative without one; `None` if the server is bound to nothing
        """
        feed, sent = self.feed, request.deadline - self.timeout
        if feed is None or left is None or moves != self.moves:
            return NearSlot(key, self.nothing, stored, math.inf)
        if left >= 0:
            deadline = sent + left / 1000 - TICK
        else:
            deadline = sent + self._lag if stored is None and self._is_node else math.inf
        slot = NearSlot(key, feed, stored, deadline)
        self.near.keep(slot)
        if sent > feed.heard:
            feed.hear(sent)
        return slot


def part_with(error: MovedError | AskError, permit: LoadPermit | None) -> None:
    """Void a permit, since another node was not asked to tell of changes that overtake the load.

    :raises AskError: for a read of a slot that is on its way: nodes forget either `ASKING` or `CACHING` at the other
    """
    if permit is not None:
        permit.refuse()
    elif isinstance(error, AskError):
        raise error


def followed_read(stored: bytes, key: str, load: LoadPermit) -> tuple[bytes, RequestKind]:
    """Return the request from whose reply on a load is followed, and its kind.

    :param stored: the key as the server knows it
    """
    return TRACK + pack(("PTTL", stored)), partial(Following, key, load)


def tracked_read(stored: bytes, key: str) -> tuple[bytes, RequestKind]:
    """Return the request that reads a key, and its kind.

    :param stored: the key as the server knows it
    """
    size = len(stored)
    return READ % (size, stored, size, stored), partial(TrackedRead, key)
