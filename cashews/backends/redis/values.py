"""The commands about single values: `command(remote, message)`, each one round trip."""

from __future__ import annotations

import math
from collections.abc import Awaitable
from typing import Any, Final, cast

from redis.exceptions import ResponseError

from cashews import messages as m
from cashews._dataclass import dataclass
from cashews._typing import ABSENT
from cashews.backends.redis import scripts
from cashews.backends.redis.failures import AskError, failure_of, wrong_reply
from cashews.backends.redis.inbox import Request
from cashews.backends.redis.layout import HEAD, raw
from cashews.backends.redis.near import NearSlot
from cashews.backends.redis.remote import Remote
from cashews.backends.redis.tracking import tracked_read
from cashews.backends.redis.wire import (
    Word,
    array,
    blob,
    blob_or_none,
    encoded,
    integer,
    is_done,
    lifetime,
    milliseconds,
    pack,
)
from cashews.serialize import Pending
from cashews.strategies.entry import Entry
from cashews.structures.kinds import counter

UNTAGGED: Final = ("", "", 0)
"""The conditions of a value that carries no tags."""


@dataclass(slots=True)
class Fetch(m.Get):
    """Read a value that is going to be kept near; `name` is its key without the prefix."""

    name: str = ""


async def get(remote: Remote, message: m.Get) -> object:
    found = end_get(remote, message, await begin_get(remote, message))
    return await pending(remote, message, found) if type(found) is Pending else found


def begin_get(remote: Remote, message: m.Get) -> Awaitable[Any]:
    """Send a `Get` and return the reply, which `end_get` takes."""
    key = message.key
    return remote.at(key).send(pack(("GET", key)), reads=True)


def end_get(remote: Remote, message: Any, stored: Any) -> Any:
    """Return the value in the reply to a `Get`, the default for an absent one; it may be `Pending`: see `pending`.

    :raises redis.exceptions.RedisError: if the reply is an error
    """
    if stored.__class__ is not bytes:
        if stored is None:
            return message.default
        raise failure_of(stored) if isinstance(stored, Exception) else wrong_reply(stored, "bytes")
    if stored.startswith(HEAD):
        stored = remote.bare(stored)
    return remote.values.decode_plain(message.key, stored, message.default)


async def pending(remote: Remote, message: Any, found: Pending) -> Any:
    """Return a value that was pending, the default if it cannot be decoded."""
    return await remote.values.decode_pending(message.key, found, message.default)


async def fetch(remote: Remote, message: Fetch) -> object:
    """Read a value and keep it in the near table until the server tells of a change."""
    key = message.key
    place = remote.at(key)
    if not place.tracks:
        return await get(remote, message)
    packed, kind = tracked_read(encoded(key), message.name)
    try:
        slot = await place.ask(packed, reads=True, kind=kind)
    except AskError:
        return await get(remote, message)
    if slot.__class__ is not NearSlot:
        raise wrong_reply(slot, "bytes")
    found = value_in(remote, key, slot)
    if type(found) is Pending:
        found = await value_pending(remote, key, slot, found)
    return message.default if found is ABSENT else found


def value_in(remote: Remote, key: str, slot: NearSlot) -> object:
    """Return the value of a slot, `ABSENT` for an absent key; it may be `Pending`: see `value_pending`."""
    if not slot.is_stored_form:
        return slot.value
    stored = cast("bytes", slot.value)
    if stored.startswith(HEAD):
        stored = remote.bare(stored)
    found = remote.values.decode_plain(key, stored, ABSENT)
    if remote.keeps_decoded and type(found) is not Pending:
        slot.value, slot.is_stored_form = found, False
    return found


async def value_pending(remote: Remote, key: str, slot: NearSlot, pending: Pending) -> object:
    """Return the pending value of a slot, `ABSENT` if it cannot be decoded."""
    found = await remote.values.decode_pending(key, pending, ABSENT)
    if remote.keeps_decoded:
        slot.value, slot.is_stored_form = found, False
    return found


async def value_of(remote: Remote, message: m.Get, slot: NearSlot) -> object:
    """Return the value of a slot, the default for an absent key."""
    found = value_in(remote, message.key, slot)
    if type(found) is Pending:
        found = await value_pending(remote, message.key, slot, found)
    return message.default if found is ABSENT else found


async def get_hit(remote: Remote, message: m.GetHit) -> object:
    stored, hits = array(await scripts.GET_HIT.ask(remote.at(message.key), (message.key,)), 2)
    if blob_or_none(stored) is None:
        return message.default
    found = await remote.values.decode(message.key, remote.bare(stored), message.default)
    if type(found) is Entry:
        found.hits = integer(hits)
    return found


async def get_raw(remote: Remote, message: m.GetRaw) -> object:
    stored = blob_or_none(await remote.at(message.key).ask(pack(("GET", message.key)), reads=True))
    return message.default if stored is None else remote.bare(stored)


async def set_(remote: Remote, message: m.Set) -> bool:
    return end_set(remote, message, await begin_set(remote, message))


def begin_set(remote: Remote, message: m.Set) -> Awaitable[Any]:
    """Send a `Set` and return the reply, which `end_set` takes."""
    if message.expire is not None and message.expire <= 0:
        return _as_reply(remove_instead(remote, message))
    value = remote.values.encode_plain(message.key, message.value)
    return _encode_and_store(remote, message) if value is None else _store(remote, message, value)


async def _encode_and_store(remote: Remote, message: m.Set) -> Any:
    return await _store(remote, message, await remote.values.encode(message.key, message.value, message.expire))


def _store(remote: Remote, message: m.Set, value: bytes) -> Awaitable[Any]:
    key, expire, exist, permit = message.key, message.expire, message.exist, message.permit
    if not remote.fits(value):
        return _as_reply(remove_instead(remote, message))
    if remote.tags_met:
        return _as_reply(replace(remote, message, value))
    words: tuple[Word, ...] = ("SET", key, value)
    if expire is not None:
        words += ("PX", milliseconds(expire))
    if exist is not None:
        words += ("XX" if exist else "NX",)
    connection = remote.at(key)
    kind = Request if permit is None else connection.storing(key)
    return connection.send(pack(words), permit=permit, kind=kind)


async def _as_reply(stored: Awaitable[bool]) -> bytes | None:
    """Return the reply to a `Set` in the place of which something else was done."""
    return b"OK" if await stored else None


def end_set(_remote: Remote, _message: m.Set, reply: Any) -> bool:
    """Say whether a value was stored, by the reply to a `Set`.

    :raises redis.exceptions.RedisError: if the reply is an error
    """
    if isinstance(reply, Exception):
        raise failure_of(reply)
    return is_done(reply)


async def replace(remote: Remote, message: m.Set, stored: bytes, conditions: tuple[Word, ...] = UNTAGGED) -> bool:
    """Store a value in the place of one that may carry tags.

    :param stored: its bytes, behind a head if it carries tags itself
    :param conditions: the operands of the script about marks, the value before, and tags
    """
    exist = "" if message.exist is None else "XX" if message.exist else "NX"
    operands = (stored, lifetime(message.expire), exist, *conditions)
    connection = remote.at(message.key)
    kind = Request if message.permit is None else connection.storing(message.key)
    script = scripts.SET_TAGGED
    reply = await script.ask(connection, (message.key,), *operands, permit=message.permit, kind=kind)
    return reply is not None and integer(reply) == 1


async def remove_instead(remote: Remote, message: m.Set) -> bool:
    """Carry out a `Set` of a value that has no time to live, or is too large: the value before it is outdated."""
    if message.exist is not False and (message.permit is None or not message.permit.void):
        await delete(remote, m.Delete(message.key))
    return False


async def set_raw(remote: Remote, message: m.SetRaw) -> bool:
    key, value, expire = message.key, raw(message.value), message.expire
    if (expire is not None and expire <= 0) or not remote.fits(value):
        await delete(remote, m.Delete(key))
        return False
    if remote.tags_met:
        await scripts.SET_MANY_TAGGED.ask(remote.at(key), (key,), lifetime(expire), value)
        return True
    lasting = () if expire is None else ("PX", milliseconds(expire))
    return is_done(await remote.at(key).ask(pack(("SET", key, value, *lasting))))


async def incr(remote: Remote, message: m.Incr) -> int:
    counter(message.key, message.value)
    connection, key = remote.at(message.key), (message.key,)
    try:
        if message.expire is None:
            return integer(await connection.ask(pack(("INCRBY", message.key, message.value))))
        return _digits(await scripts.INCR.ask(connection, key, message.value, milliseconds(message.expire)))
    except ResponseError as error:
        if "not an integer" not in str(error):
            raise
        return _digits(await scripts.INCR_TAGGED.ask(connection, key, message.value))


def _digits(reply: object) -> int:
    """Return the integer in a reply of decimal digits.

    :raises WrongReplyError: if it is anything else
    """
    try:
        return int(blob(reply))
    except ValueError:
        raise wrong_reply(reply, "digits") from None


async def exists(remote: Remote, message: m.Exists) -> bool:
    return integer(await remote.at(message.key).ask(pack(("EXISTS", message.key)), reads=True)) > 0


async def delete(remote: Remote, message: m.Delete) -> bool:
    connection = remote.at(message.key)
    return integer(await scripts.DELETE.ask(connection, (message.key,), connection.tells)) > 0


async def expire(remote: Remote, message: m.Expire) -> bool:
    reply = await scripts.EXPIRE.ask(remote.at(message.key), (message.key,), lifetime(message.timeout))
    return integer(reply) == 1


async def get_expire(remote: Remote, message: m.GetExpire) -> int:
    left = integer(await remote.at(message.key).ask(pack(("PTTL", message.key)), reads=True))
    return left if left < 0 else max(1, math.ceil(left / 1000))


async def get_size(remote: Remote, message: m.GetSize) -> int:
    reply = await remote.at(message.key).ask(pack(("MEMORY", "USAGE", message.key)), reads=True)
    return 0 if reply is None else integer(reply)


async def kind_of(remote: Remote, key: str) -> str:
    """Return the kind of a key's value: the name of its type here, or of its type on the server."""
    kind = blob(await remote.at(key).ask(pack(("TYPE", key)), reads=True))
    return type(await get(remote, m.Get(key))).__name__ if kind == b"string" else kind.decode("utf-8", "replace")
