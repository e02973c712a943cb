"""The Lua scripts of the folder `lua`: commands that read, decide and write in one turn of the server.

A script is one file. Its first line may name pieces of `lua/shared` that are put before it. Its comments describe KEYS,
ARGV and the reply. Instants inside scripts are the server's own; durations are milliseconds.
"""

from __future__ import annotations

from contextlib import suppress
from functools import cache, partial
from hashlib import sha1
from importlib.resources import files
from typing import Any, Final

from redis.exceptions import NoScriptError, RedisError

from cashews.backends.redis.inbox import Request, RequestKind
from cashews.backends.redis.layout import record_key, roster_keys
from cashews.backends.redis.remote import side_by_side
from cashews.backends.redis.servers import Place
from cashews.backends.redis.wire import Word, array, blob, packed
from cashews.messages import LoadPermit

FOLDER: Final = files("cashews.backends.redis") / "lua"
REQUIRES: Final = "-- Requires: "
MOST_KEYS: Final = 500
"""The most keys that one script deletes: about a millisecond of the server."""


class Script:
    """A script, asked for by its digest; its source is sent only to a server that does not know it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.source = assembled(name)
        self._digest = sha1(self.source.encode()).hexdigest()  # noqa: S324  the name that the server knows it by

    async def ask(
        self,
        connection: Place,
        keys: tuple[Word, ...],
        *arguments: Word,
        permit: LoadPermit | None = None,
        kind: RequestKind = Request,
    ) -> Any:
        """Run the script and return its reply; `None` if the permit is void when its turn comes."""
        operands = (len(keys), *keys, *arguments)
        try:
            words = await packed(("EVALSHA", self._digest, *operands))
            return await connection.ask(words, permit=permit, kind=kind)
        except NoScriptError:
            words = await packed(("EVAL", self.source, *operands))
            return await connection.ask(words, permit=permit, kind=kind)

    async def read(self, connection: Place, keys: tuple[Word, ...], before: bytes, kind: RequestKind) -> Any:
        """Run a script that only reads, behind another command, and return its reply.

        :param before: that command in the wire's form; the request is of a kind that takes both replies
        """
        operands = (len(keys), *keys)
        try:
            words = before + await packed(("EVALSHA", self._digest, *operands))
            return await connection.ask(words, reads=True, kind=kind)
        except NoScriptError:
            words = before + await packed(("EVAL", self.source, *operands))
            return await connection.ask(words, reads=True, kind=kind)


class TagScript(Script):
    """A script that touches the bookkeeping of tags: its last argument is the anchor, under which that lies.

    On a cluster its reply has three parts: the reply itself; memberships of the slot that have ended, to be taken out
    of the rosters of their tags; and the rosters that the slot has to join before anything is stored.
    """

    async def ask(
        self,
        connection: Place,
        keys: tuple[Word, ...],
        *arguments: Word,
        permit: LoadPermit | None = None,
        kind: RequestKind = Request,
    ) -> Any:
        anchor = connection.anchor
        while True:
            reply = await super().ask(connection, keys, *arguments, anchor, permit=permit, kind=kind)
            if not anchor or reply is None:
                return reply
            own, left, wanted = array(reply, 3)
            if left:
                ended = _groups(array(left), 2)
                await side_by_side([partial(leave, connection, tag, [anchor + number]) for tag, number in ended])
            if not wanted:
                return own
            await side_by_side([partial(_join, connection, *each) for each in _groups(array(wanted), 3)])


def _groups(words: list[object], size: int) -> list[list[bytes]]:
    return [list(map(blob, words[start : start + size])) for start in range(0, len(words), size)]


async def _join(slot: Place, tag: bytes, last: bytes, life: bytes) -> None:
    """Have a slot join the roster of a tag for some milliseconds, and tell it of that."""
    home = slot.at(tag)
    reply = await JOIN_ROSTER.ask(home, roster_keys(tag, home.anchor), slot.anchor, last, life)
    number, deleted = map(blob, array(reply, 2))
    await ENTER_SLOT.ask(slot, (record_key(tag, slot.anchor),), tag, number, deleted, life)


async def leave(place: Place, tag: bytes, members: list[bytes]) -> None:
    """Take memberships that have ended out of the roster of a tag, if its node can be asked.

    Else they end there by themselves, or with the next deletion of the tag.
    """
    home = place.at(tag)
    roster, _ = roster_keys(tag, home.anchor)
    with suppress(RedisError):
        await LEAVE_ROSTER.ask(home, (roster,), *members)


def assembled(name: str) -> str:
    """Return the source of a script: the shared pieces that its first line names, and its own file."""
    own = _read(f"{name}.lua")
    first = own.partition("\n")[0]
    pieces = first.removeprefix(REQUIRES).split(", ") if first.startswith(REQUIRES) else []
    return "\n".join([*(_read(f"shared/{piece}.lua") for piece in pieces), own])


@cache
def _read(path: str) -> str:
    return FOLDER.joinpath(path).read_text(encoding="utf-8")


# values
GET_HIT: Final = Script("get_hit")
SET_TAGGED: Final = TagScript("set_tagged")
INCR: Final = Script("incr")
INCR_TAGGED: Final = Script("incr_tagged")
EXPIRE: Final = TagScript("expire")
DELETE: Final = TagScript("delete")
# structures
BITS: Final = Script("bits")
SLICE_INCR: Final = Script("slice_incr")
ADMIT: Final = Script("admit")
ENTER_CIRCUIT: Final = Script("enter_circuit")
REPORT_CIRCUIT: Final = Script("report_circuit")
SET_ADD: Final = Script("set_add")
# locks
SET_LOCK: Final = Script("set_lock")
RENEW_LOCK: Final = Script("renew_lock")
UNLOCK: Final = Script("unlock")
BREAK_LOCK: Final = Script("break_lock")
LOCK_TIMES: Final = Script("lock_times")
# tags
GET_KEY_TAGS: Final = Script("get_key_tags")
DELETE_TAG: Final = TagScript("delete_tag")
PRUNE_TAG: Final = TagScript("prune_tag")
# tags on a cluster
TICK: Final = Script("tick")
JOIN_ROSTER: Final = Script("join_roster")
LEAVE_ROSTER: Final = Script("leave_roster")
ENTER_SLOT: Final = TagScript("enter_slot")
RAISE_TAG: Final = Script("raise_tag")
# keys
READ_MANY: Final = Script("read_many")
SET_MANY: Final = Script("set_many")
SET_MANY_TAGGED: Final = TagScript("set_many_tagged")
# transactions
PEEK: Final = Script("peek")
COMMIT: Final = TagScript("commit")
