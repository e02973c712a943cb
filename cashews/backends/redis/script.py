"""What a server carries out in one turn, by name."""

from __future__ import annotations

from hashlib import sha1
from typing import Any

from redis.exceptions import NoScriptError

from cashews.backends.redis.connection import Connection
from cashews.backends.redis.wire import Word, pack
from cashews.messages import LoadPermit


class Script:
    """A Lua script that the server is asked to run by its digest, and is given only if it does not know it."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._digest = sha1(source.encode()).hexdigest()  # noqa: S324  the name that the server knows it by

    async def ask(
        self, connection: Connection, keys: tuple[str, ...], *arguments: Word, permit: LoadPermit | None = None
    ) -> Any:
        """Run the script and return its reply; `None` if the permit is void when its turn comes."""
        operands = (len(keys), *keys, *arguments)
        try:
            return await connection.ask(pack(("EVALSHA", self._digest, *operands)), permit=permit)
        except NoScriptError:
            return await connection.ask(pack(("EVAL", self._source, *operands)), permit=permit)
