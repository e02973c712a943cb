"""The commands about tags: `command(remote, message)`. The page of `layout` draws heads, indexes and records."""

from __future__ import annotations

from cashews import messages as m
from cashews.backends.redis import scripts
from cashews.backends.redis.layout import headed
from cashews.backends.redis.remote import Remote
from cashews.backends.redis.scripts import MOST_KEYS
from cashews.backends.redis.values import remove_instead, replace
from cashews.backends.redis.wire import array, integer, number, pack
from cashews.exceptions import NotSupportedError


def require_tags(remote: Remote) -> None:
    """Refuse tags on a cluster: an index lies in one slot, and the values of a tag in many.

    :raises NotSupportedError: if it is one
    """
    if remote.servers.is_cluster:
        feature = "tags on a cluster"
        raise NotSupportedError("redis", feature)


async def set_tagged(remote: Remote, message: m.SetTagged) -> bool:
    require_tags(remote)
    remote.tags_met = True
    if message.expire is not None and message.expire <= 0:
        return await remove_instead(remote, message)
    value = await remote.values.encode(message.key, message.value, message.expire)
    if not remote.fits(value):
        return await remove_instead(remote, message)
    return await replace(remote, message, headed(value, message.tags), message.since, message.tags)


async def get_key_tags(remote: Remote, message: m.GetKeyTags) -> tuple[str, ...]:
    return tuple(remote.texts(array(await scripts.GET_KEY_TAGS.ask(remote.at(message.key), (message.key,)))))


async def mark_load(remote: Remote, message: m.MarkLoad) -> int:
    """Answer the server's time in microseconds."""
    require_tags(remote)
    seconds, microseconds = array(await remote.at(message.key).ask(pack(("TIME",)), reads=True), 2)
    return int(number(seconds)) * 1_000_000 + int(number(microseconds))


async def delete_tags(remote: Remote, message: m.DeleteTags) -> None:
    require_tags(remote)
    remote.tags_met = True
    for tag in message.tags:
        left, begins = 1, 1
        while left:
            left = integer(await scripts.DELETE_TAG.ask(remote.at(tag), (), tag, MOST_KEYS, begins))
            begins = 0


async def prune(remote: Remote, tag: bytes) -> None:
    """Take the keys out of a tag's index that do not carry the tag."""
    place = 0
    while place >= 0:
        place = integer(await scripts.PRUNE_TAG.ask(remote.servers.first, (), tag, place, MOST_KEYS))
