"""The first words on a connection: protocol, credentials, name and database."""

from __future__ import annotations

from typing import Any

from anyio import EndOfStream
from anyio.abc import ByteStream
from redis.exceptions import AuthenticationError, ResponseError

from cashews.backends.redis.address import Address
from cashews.backends.redis.failures import failure_of
from cashews.backends.redis.options import RedisOptions
from cashews.backends.redis.wire import CHUNK, NOTHING, Parser, pack
from cashews.backends.redis.wire import parser as new_parser

RESP3 = 3


async def shake_hands(stream: ByteStream, address: Address, options: RedisOptions) -> tuple[Parser, bool]:
    """Introduce ourselves, in RESP3 if the server knows it; returns the stream's parser, and whether pushes come on it.

    :raises AuthenticationError: if the server does not accept the credentials
    :raises ResponseError: if it has no such database
    """
    parser = new_parser()
    credentials = await _credentials(address, options)
    greeted = options.protocol == RESP3 and await _hello(stream, parser, credentials)
    if not greeted and credentials:
        await _ask(stream, parser, "AUTH", *credentials)
    if options.client_name:
        await _ask(stream, parser, "CLIENT", "SETNAME", options.client_name)
    if address.db:
        await _ask(stream, parser, "SELECT", address.db)
    return parser, greeted


async def _credentials(address: Address, options: RedisOptions) -> tuple[str, ...]:
    if options.credential_provider is not None:
        given: Any = await options.credential_provider.get_credentials_async()
        return tuple(given)
    if address.password is None:
        return ()
    return (address.username, address.password) if address.username else (address.password,)


async def _hello(stream: ByteStream, parser: Parser, credentials: tuple[str, ...]) -> bool:
    """Ask for RESP3; says whether the server knows it."""
    named = credentials if len(credentials) != 1 else ("default", *credentials)
    try:
        await _ask(stream, parser, "HELLO", 3, *(("AUTH", *named) if named else ()))
    except AuthenticationError:
        raise
    except ResponseError as error:
        if "NOPROTO" in str(error) or "unknown command" in str(error):
            return False
        raise
    return True


async def _ask(stream: ByteStream, parser: Parser, *words: str | int) -> object:
    await stream.send(pack(words))
    while (reply := parser.gets()) is NOTHING:
        data = await stream.receive(CHUNK)
        if not data:
            raise EndOfStream
        parser.feed(data)
    if isinstance(reply, Exception):
        raise failure_of(reply)
    return reply
