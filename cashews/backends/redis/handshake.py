"""The first words on a connection: protocol, credentials, name and database."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from anyio import EndOfStream
from anyio.abc import ByteStream
from redis.exceptions import AuthenticationError, InvalidResponse, ResponseError

from cashews.backends.redis.address import Address
from cashews.backends.redis.failures import failure_of
from cashews.backends.redis.options import RedisOptions
from cashews.backends.redis.wire import CHUNK, MALFORMED, NOTHING, Parser, pack
from cashews.backends.redis.wire import parser as new_parser

RESP3 = 3
NONSENSE = "the reply to the greeting is none of a Redis server"


async def shake_hands(stream: ByteStream, address: Address, options: RedisOptions) -> tuple[Parser, bool]:
    """Introduce ourselves, in RESP3 if the server knows it; pushes come on such a stream.

    Returns the parser of the stream, and `True` for RESP3.

    :raises AuthenticationError: if the provider of credentials fails
    :raises InvalidResponse: if the replies are none of a Redis server
    :raises ResponseError: if the server does not accept the credentials, or has no such database
    """
    parser = new_parser()
    credentials = await _credentials(address, options)
    greeted = options.protocol == RESP3 and await _hello(stream, parser, credentials)
    if not greeted and credentials:
        await _order(stream, parser, "AUTH", *credentials)
    if options.client_name:
        await _order(stream, parser, "CLIENT", "SETNAME", options.client_name)
    for word, value in (("LIB-NAME", options.lib_name), ("LIB-VER", options.lib_version)):
        if value:
            with suppress(ResponseError):  # servers before 7.2 do not know it
                await _order(stream, parser, "CLIENT", "SETINFO", word, value)
    if address.db or not (greeted or credentials):  # at least one reply has to show that it is a Redis server
        await _order(stream, parser, "SELECT", address.db)
    if parser.gets() is not NOTHING:
        raise InvalidResponse(NONSENSE)
    return parser, greeted


async def _credentials(address: Address, options: RedisOptions) -> tuple[str, ...]:
    if options.credential_provider is not None:
        try:
            given: Any = await options.credential_provider.get_credentials_async()
            return tuple(given)
        except Exception as error:
            message = f"the provider of credentials failed: {error!r}"
            raise AuthenticationError(message) from error
    if address.password is None:
        return ()
    return (address.username, address.password) if address.username else (address.password,)


async def _hello(stream: ByteStream, parser: Parser, credentials: tuple[str, ...]) -> bool:
    """Ask for RESP3. Returns `False` if the server does not know it."""
    named = credentials if len(credentials) != 1 else ("default", *credentials)
    try:
        greeting = await _ask(stream, parser, "HELLO", 3, *(("AUTH", *named) if named else ()))
    except ResponseError as error:
        if "NOPROTO" in str(error) or "unknown command" in str(error):
            return False
        raise
    if not isinstance(greeting, dict):
        raise InvalidResponse(NONSENSE)
    return True


async def _order(stream: ByteStream, parser: Parser, *words: str | int) -> None:
    """Send a command whose only good reply is OK."""
    if await _ask(stream, parser, *words) != b"OK":
        raise InvalidResponse(NONSENSE)


async def _ask(stream: ByteStream, parser: Parser, *words: str | int) -> object:
    await stream.send(pack(words))
    try:
        while (reply := parser.gets()) is NOTHING:
            data = await stream.receive(CHUNK)
            if not data:
                raise EndOfStream
            parser.feed(data)
    except MALFORMED as error:
        raise InvalidResponse(*error.args) from error
    if isinstance(reply, Exception):
        raise failure_of(reply)
    return reply
