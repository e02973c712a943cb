"""The Lua scripts of the folder `lua`: commands that read, decide and write in one turn of the server.

A script is one file. Its first line may name pieces of `lua/shared` that are put before it. Its comments describe KEYS,
ARGV and the reply. Instants inside scripts are the server's own; durations are milliseconds.
"""

from __future__ import annotations

from functools import cache
from hashlib import sha1
from importlib.resources import files
from typing import Any, Final

from redis.exceptions import NoScriptError

from cashews.backends.redis.inbox import Request, RequestKind
from cashews.backends.redis.servers import Place
from cashews.backends.redis.wire import Word, packed
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
SET_TAGGED: Final = Script("set_tagged")
INCR: Final = Script("incr")
INCR_TAGGED: Final = Script("incr_tagged")
EXPIRE: Final = Script("expire")
DELETE: Final = Script("delete")
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
DELETE_TAG: Final = Script("delete_tag")
PRUNE_TAG: Final = Script("prune_tag")
# keys
READ_MANY: Final = Script("read_many")
SET_MANY: Final = Script("set_many")
SET_MANY_TAGGED: Final = Script("set_many_tagged")
# transactions
PEEK: Final = Script("peek")
COMMIT: Final = Script("commit")
