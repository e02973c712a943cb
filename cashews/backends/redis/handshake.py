"""The first words on a connection: protocol, credentials, name and database."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Final, NamedTuple, cast

from redis.exceptions import (
    AuthenticationError,
    ConnectionError,  # noqa: A004  it is that one
    InvalidResponse,
    ResponseError,
)

from cashews.actors.line import Line
from cashews.backends.redis.address import Address
from cashews.backends.redis.failures import HIDDEN, failure_of
from cashews.backends.redis.options import RedisOptions
from cashews.backends.redis.patience import in_time
from cashews.backends.redis.wire import MALFORMED, NOTHING, Parser, array, pack
from cashews.backends.redis.wire import parser as new_parser
from cashews.clock import Clock

RESP3 = 3
FIRST_TO_TRACK: Final = 7
"""The first major version of the server whose pushes never stand in the midst of another reply."""
NONSENSE = "the reply to the greeting is none of a Redis server"


class Welcome(NamedTuple):
    """The result of a handshake."""

    parser: Parser
    """The parser of the line."""
    pushes: bool
    """Whether the server pushes: it does in RESP3."""
    untracked: str
    """Why the server does not tell of changes to the keys that are read; empty if it does."""


async def shake_hands(line: Line, address: Address, options: RedisOptions) -> Welcome:
    """Introduce ourselves, in RESP3 if the server knows it; with `client_side`, have it tell of changes.

    :raises AuthenticationError: if the provider of credentials fails
    :raises InvalidResponse: if the replies are none of a Redis server
    :raises ResponseError: if the server does not accept the credentials, or has no such database
    """
    parser = new_parser()
    credentials = await _credentials(address, options)
    greeting = await _hello(line, parser, credentials) if options.protocol == RESP3 else None
    greeted = greeting is not None
    if not greeted and credentials:
        await _order(line, parser, "AUTH", *credentials, secret=credentials[-1])
    if not address.is_node and await _is_clustered(line, parser, greeting):
        scheme = "redis" if address.tls is None else "rediss"
        message = f"it is a node of a cluster: the URL for that is {scheme}+cluster://{address}"
        raise ConnectionError(message)
    if options.client_name:
        await _order(line, parser, "CLIENT", "SETNAME", options.client_name)
    for word, value in (("LIB-NAME", options.lib_name), ("LIB-VER", options.lib_version)):
        if value:
            with suppress(ResponseError):  # servers before 7.2 do not know it
                await _order(line, parser, "CLIENT", "SETINFO", word, value)
    if address.db or not (greeted or credentials):  # at least one reply has to show that it is a Redis server
        await _order(line, parser, "SELECT", address.db)
    if address.is_master:
        await _require_master(line, parser, greeting)
    untracked = await _track(line, parser, greeting) if options.client_side else ""
    if parser.gets() is not NOTHING:
        raise InvalidResponse(NONSENSE)
    return Welcome(parser, greeted, untracked)


async def ask_for_slots(address: Address, options: RedisOptions, clock: Clock, patience: float) -> object:
    """Return the reply of a node of a cluster to `CLUSTER SLOTS`.

    :raises TimeoutError: if there is none within `patience` seconds
    """
    async with in_time(clock, patience, "no answer"):
        line = await address.connect()
        try:
            parser = (await shake_hands(line, address, options)).parser
            return await ask_once(line, parser, "CLUSTER", "SLOTS")
        finally:
            await line.aclose()


async def log_in(line: Line, parser: Parser, address: Address) -> None:
    """Give the credentials of an address, if it has any, in the protocol that every server speaks.

    :raises ResponseError: if the server does not accept them
    """
    if address.password is not None:
        names = (address.username,) if address.username else ()
        await _order(line, parser, "AUTH", *names, address.password, secret=address.password)


async def _is_clustered(line: Line, parser: Parser, greeting: Mapping[bytes, Any] | None) -> bool:
    """Say whether the server is a node of a cluster, as far as it tells."""
    if greeting is not None:
        return greeting.get(b"mode") == b"cluster"
    try:
        facts = await ask_once(line, parser, "INFO", "cluster")
    except ResponseError:  # its rules forbid us the question
        return False
    return isinstance(facts, bytes) and b"cluster_enabled:1" in facts


async def _require_master(line: Line, parser: Parser, greeting: Mapping[bytes, Any] | None) -> None:
    """Refuse a server that is no master.

    :raises ConnectionError: if it is none
    """
    if greeting is not None:
        role: object = greeting.get(b"role")
    else:
        role = array(await ask_once(line, parser, "ROLE"))[0]
    if role != b"master":
        message = "the server is no master"
        raise ConnectionError(message)


async def _track(line: Line, parser: Parser, greeting: Mapping[bytes, Any] | None) -> str:
    """Have the server tell of changes to keys; returns why it does not, or an empty text.

    A server that speaks RESP2 says that it does, and does not. One before 7.0 pushes in the midst of other replies.
    """
    if greeting is None:
        return "that takes RESP3"
    version: object = greeting.get(b"version")
    major = version.partition(b".")[0] if isinstance(version, bytes) else b""
    if not major.isdigit() or int(major) < FIRST_TO_TRACK:
        return f"that takes a server from version {FIRST_TO_TRACK} on"
    try:
        await _order(line, parser, "CLIENT", "TRACKING", "ON", "OPTIN")
    except ResponseError as error:
        return str(error)
    return ""


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


async def _hello(line: Line, parser: Parser, credentials: tuple[str, ...]) -> Mapping[bytes, Any] | None:
    """Ask for RESP3, and return the server's greeting; `None` if the server does not know it."""
    named = credentials if len(credentials) != 1 else ("default", *credentials)
    try:
        words = ("AUTH", *named) if named else ()
        greeting = await ask_once(line, parser, "HELLO", 3, *words, secret=named[-1] if named else "")
    except ResponseError as error:
        if "NOPROTO" in str(error) or "unknown command" in str(error):
            return None
        raise
    if not isinstance(greeting, dict):
        raise InvalidResponse(NONSENSE)
    return cast("Mapping[bytes, Any]", greeting)


async def _order(line: Line, parser: Parser, *words: str | int, secret: str = "") -> None:
    """Send a command whose only good reply is OK."""
    if await ask_once(line, parser, *words, secret=secret) != b"OK":
        raise InvalidResponse(NONSENSE)


async def ask_once(line: Line, parser: Parser, *words: str | int, secret: str = "") -> object:
    """Send a command and return its reply.

    :param secret: a text that no error shows, though the server may repeat it
    """
    await line.send(pack(words))
    try:
        while (reply := parser.gets()) is NOTHING:
            parser.feed(await line.receive())
    except MALFORMED as error:
        raise InvalidResponse(*error.args) from error
    if isinstance(reply, Exception):
        failure = failure_of(reply)
        raise type(failure)(str(failure).replace(secret, HIDDEN) if secret else str(failure))
    return reply
