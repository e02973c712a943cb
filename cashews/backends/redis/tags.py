"""The commands about tags: `command(remote, message)`. The page of `layout` draws heads, indexes and records."""

from __future__ import annotations

from functools import partial
from hashlib import sha1
from typing import Final

from cashews import messages as m
from cashews._typing import ABSENT
from cashews.backends.redis import scripts
from cashews.backends.redis.layout import CLOCK, INDEX, headed, index_key, roster_keys
from cashews.backends.redis.remote import Remote, side_by_side
from cashews.backends.redis.scripts import MOST_KEYS
from cashews.backends.redis.servers import Place
from cashews.backends.redis.values import remove_instead, replace
from cashews.backends.redis.wire import Word, array, blob, encoded, integer, number, pack

AT_ONCE: Final = 100
"""The most slots in which a tag is deleted at a time."""


async def set_tagged(remote: Remote, message: m.SetTagged) -> bool:
    if message.tags:
        remote.tags_met = True
    if message.expire is not None and message.expire <= 0:
        return await remove_instead(remote, message)
    value = await remote.values.encode(message.key, message.value, message.expire)
    if not remote.fits(value):
        return await remove_instead(remote, message)
    stored = headed(value, message.tags) if message.tags else value
    mark = "" if message.since is None else message.since
    conditions = (mark, _digest(message.instead_of), len(message.tags), *message.overtaking)
    return await replace(remote, message, stored, conditions)


def _digest(raw: object) -> str:
    """Return the name by which the server knows a raw value again, nothing for none."""
    if raw is ABSENT:
        return ""
    assert isinstance(raw, bytes)
    return sha1(raw, usedforsecurity=False).hexdigest()


async def get_key_tags(remote: Remote, message: m.GetKeyTags) -> tuple[str, ...]:
    return tuple(remote.texts(array(await scripts.GET_KEY_TAGS.ask(remote.at(message.key), (message.key,)))))


async def mark_load(remote: Remote, message: m.MarkLoad) -> int:
    """Answer the server's time in microseconds; on a cluster that of the clock of all deletions."""
    if remote.servers.is_cluster:
        return await _tick(remote)
    seconds, microseconds = array(await remote.at(message.key).ask(pack(("TIME",)), reads=True), 2)
    return int(number(seconds)) * 1_000_000 + int(number(microseconds))


async def _tick(remote: Remote) -> int:
    clock = encoded(remote.prefix) + CLOCK
    return integer(await scripts.TICK.ask(remote.at(clock), (clock,)))


async def delete_tags(remote: Remote, message: m.DeleteTags) -> None:
    remote.tags_met = True
    for tag in message.tags:
        name = encoded(tag)
        await (_delete_in_slots(remote, name) if remote.servers.is_cluster else _delete(remote.at(tag), name))


async def _delete_in_slots(remote: Remote, tag: bytes) -> None:
    """Delete the values that carry a tag in every slot of its roster.

    The instant is noted before the roster is read. So a load that began earlier learns of the deletion if its slot
    joins the roster later, and is met in its slot if that has joined before.
    """
    instant, home = await _tick(remote), remote.at(tag)
    keys = roster_keys(tag, home.anchor)
    last: dict[bytes, int] = {}
    memberships: dict[bytes, list[bytes]] = {}
    for each in array(await scripts.RAISE_TAG.ask(home, keys, instant)):
        membership = blob(each)
        anchor, brace, count = membership.rpartition(b"}")
        memberships.setdefault(anchor + brace, []).append(membership)
        last[anchor + brace] = max(last.get(anchor + brace, 0), int(count))
    slots = list(last.items())
    for start in range(0, len(slots), AT_ONCE):
        some = slots[start : start + AT_ONCE]
        await side_by_side([partial(_delete, remote.at(anchor), tag, instant, number) for anchor, number in some])
        await scripts.leave(home, tag, [each for anchor, _ in some for each in memberships[anchor]])


async def _delete(place: Place, tag: bytes, *deletion: Word) -> None:
    """Delete the values that carry a tag at one place; in a slot `deletion` is its instant and the last membership."""
    index, left, begins = index_key(tag, place.anchor), 1, 1
    while left:
        left = integer(await scripts.DELETE_TAG.ask(place, (index,), tag, MOST_KEYS, begins, *deletion))
        begins = 0


async def prune(remote: Remote, index: bytes) -> None:
    """Take the keys out of a tag's index that do not carry the tag."""
    place, at = remote.at(index), 0
    tag = index.removesuffix(INDEX)[len(place.anchor) :]
    while at >= 0:
        at = integer(await scripts.PRUNE_TAG.ask(place, (index,), tag, at, MOST_KEYS))
