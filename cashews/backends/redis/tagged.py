"""Tags on a server: each value says itself which tags it carries, and a sorted set per tag knows where to look.

A value that carries tags begins with a head that names them, so that value and tags are written, overwritten, expired,
evicted and deleted as one. The sets are an index: a member may be stale, and nothing is deleted that does not carry the
tag. No live value is missing from the index of its tags; that is what every script here keeps.

::

    head     NUL "G", the size of the head (4 bytes), and each tag with its size before it (4 bytes)
    index    INDEX + tag: members are keys, scores are deadlines in milliseconds; it lives as long as its last member
    record   DELETED + tag: when the tag was deleted, in microseconds of the server, for `REMEMBERED` seconds
"""

from __future__ import annotations

from struct import Struct
from typing import Final

from cashews.backends.redis.script import Script

TAGS: Final = "cashews/tag/"
"""What the keys of the bookkeeping begin with; such a key is no value's."""
INDEX: Final = TAGS + "keys/"
DELETED: Final = TAGS + "deleted/"
REMEMBERED: Final = 3_600
"""Seconds for which a deletion is remembered; a load that takes longer is not stored under a tag."""
HEAD: Final = b"\0G"
CHUNK: Final = 500
"""How many keys one script deletes: about a millisecond of the server."""

_SIZE: Final = Struct(">I")
_START: Final = len(HEAD) + _SIZE.size


def headed(value: bytes, tags: tuple[str, ...]) -> bytes:
    """Return what is stored for a value that carries tags."""
    names = [tag.encode(errors="surrogateescape") for tag in tags]
    body = b"".join([_SIZE.pack(len(name)) + name for name in names])
    return b"".join((HEAD, _SIZE.pack(_START + len(body)), body, value))


def bare(stored: bytes) -> bytes:
    """Return what is stored without the tags that it carries, if it does."""
    if not stored.startswith(HEAD) or len(stored) < _START:
        return stored
    (size,) = _SIZE.unpack_from(stored, len(HEAD))
    return stored[size:] if _START <= size <= len(stored) else stored


COMMON: Final = (
    f"""
local INDEX, DELETED, REMEMBERED = '{INDEX}', '{DELETED}', {REMEMBERED}
"""
    r"""
local function tags_of(key)
  local head = redis.pcall('GETRANGE', key, 0, 255)
  if type(head) ~= 'string' or #head < 6 or string.sub(head, 1, 2) ~= '\0G' then return {}, 0 end
  local size = struct.unpack('>I4', head, 3)
  if size > #head then head = redis.call('GETRANGE', key, 0, size - 1) end
  if size > #head then return {}, 0 end
  local tags, at = {}, 7
  while at + 3 <= size do
    local length = struct.unpack('>I4', head, at)
    tags[#tags + 1] = string.sub(head, at + 4, at + 3 + length)
    at = at + 4 + length
  end
  return tags, size
end

local function has(tags, tag)
  for _, each in ipairs(tags) do if each == tag then return true end end
  return false
end

-- An index lives a second longer than its last member, for ever if that does.
local function settle(tag)
  local last = redis.call('ZRANGE', INDEX .. tag, -1, -1, 'WITHSCORES')[2]
  if last == 'inf' then
    redis.call('PERSIST', INDEX .. tag)
  elseif last then
    redis.call('PEXPIREAT', INDEX .. tag, string.format('%.0f', last + 1000))
  end
end

local function leave(key, tags, but)
  for _, tag in ipairs(tags) do
    if not has(but, tag) and redis.call('ZREM', INDEX .. tag, key) == 1 then settle(tag) end
  end
end

local function drop_stale(tag, keys)
  for _, key in ipairs(keys) do
    if has(tags_of(key), tag) then return end
    redis.call('ZREM', INDEX .. tag, key)
  end
end

-- Whoever joins takes a few of those along that have left: there are never many more members than live ones.
local function join(key, tags, deadline)
  for _, tag in ipairs(tags) do
    redis.call('ZADD', INDEX .. tag, deadline, key)
    drop_stale(tag, redis.call('ZRANGE', INDEX .. tag, 0, 3))
    if deadline == '+inf' then drop_stale(tag, redis.call('ZRANDMEMBER', INDEX .. tag, 2)) end
    settle(tag)
  end
end

local function microseconds()
  local time = redis.call('TIME')
  return time[1] * 1000000 + time[2]
end

local function deadline_in(milliseconds)
  if milliseconds == '' then return '+inf' end
  return string.format('%.0f', microseconds() / 1000 + milliseconds)
end

local function slice(from)
  local words = {}
  for i = from, #ARGV do words[#words + 1] = ARGV[i] end
  return words
end

local function overtaken(tags, since)
  if since == '' then return false end
  if microseconds() - since > REMEMBERED * 1000000 then return true end
  for _, tag in ipairs(tags) do
    local deleted = redis.call('GET', DELETED .. tag)
    if deleted and tonumber(deleted) >= tonumber(since) then return true end
  end
  return false
end

local function remember_deletion(tag)
  redis.call('SET', DELETED .. tag, string.format('%.0f', microseconds()), 'EX', REMEMBERED)
end

local function delete_carriers(tag, most)
  for _, key in ipairs(redis.call('ZRANGE', INDEX .. tag, 0, most - 1)) do
    local tags = tags_of(key)
    if has(tags, tag) then
      leave(key, tags, {tag})
      redis.call('UNLINK', key)
    end
  end
  redis.call('ZREMRANGEBYRANK', INDEX .. tag, 0, most - 1)
end

local function set(key, tags, milliseconds, ...)
  local before = tags_of(key)
  if not redis.call('SET', key, ...) then return false end
  leave(key, before, tags)
  if #tags > 0 then join(key, tags, deadline_in(milliseconds)) end
  return 1
end

local function delete(key)
  leave(key, tags_of(key), {})
  return redis.call('UNLINK', key)
end

local function expire(key, milliseconds)
  if redis.call('EXISTS', key) == 0 then return 0 end
  local tags = tags_of(key)
  if milliseconds == '' then redis.call('PERSIST', key) else redis.call('PEXPIRE', key, milliseconds) end
  if #tags > 0 then
    if redis.call('EXISTS', key) == 1 then
      join(key, tags, deadline_in(milliseconds))
    else
      leave(key, tags, {})
    end
  end
  return 1
end

-- A counter with tags stands bare while it is changed: integers of 64 bits are more than a script can count in.
local function incr(key, by)
  local _, size = tags_of(key)
  local before = redis.call('GET', key)
  if size > 0 then redis.call('SET', key, string.sub(before, size + 1), 'KEEPTTL') end
  local reply = redis.pcall('INCRBY', key, by)
  local failed = type(reply) == 'table'
  if not failed then reply = redis.call('GET', key) end
  if size > 0 then
    redis.call('SET', key, failed and before or string.sub(before, 1, size) .. reply, 'KEEPTTL')
  end
  return reply
end
"""
)

SET: Final = Script(
    COMMON
    + """
-- ARGV: value, ttl, 'NX', 'XX' or '', the mark of the load or '', tag...
local tags, words = slice(5), {ARGV[1]}
if overtaken(tags, ARGV[4]) then return false end
if ARGV[2] ~= '' then words[2], words[3] = 'PX', ARGV[2] end
if ARGV[3] ~= '' then words[#words + 1] = ARGV[3] end
return set(KEYS[1], tags, ARGV[2], unpack(words))
"""
)
"""Stores a value that carries tags, or one that carries none where one with tags may have been."""

SET_MANY: Final = Script(
    COMMON
    + """
-- ARGV: ttl, value...
for i, key in ipairs(KEYS) do
  if ARGV[1] == '' then set(key, {}, '', ARGV[i + 1]) else set(key, {}, '', ARGV[i + 1], 'PX', ARGV[1]) end
end
"""
)

EXPIRE: Final = Script(COMMON + "return expire(KEYS[1], ARGV[1])")

DELETE: Final = Script(
    COMMON
    + """
local deleted = 0
for _, key in ipairs(KEYS) do deleted = deleted + delete(key) end
return deleted
"""
)

INCR: Final = Script(COMMON + "return incr(KEYS[1], ARGV[1])")

TAGS_OF: Final = Script(COMMON + "return (tags_of(KEYS[1]))")

DELETE_TAG: Final = Script(
    COMMON
    + """
-- ARGV: tag, how many keys at most, '1' at the beginning. Answers how many members are left.
if ARGV[3] == '1' then remember_deletion(ARGV[1]) end
delete_carriers(ARGV[1], tonumber(ARGV[2]))
return redis.call('ZCARD', INDEX .. ARGV[1])
"""
)

PRUNE: Final = Script(
    COMMON
    + """
-- ARGV: tag, from which member on, how many. Answers where to go on, -1 at the end.
local tag, from, many = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local members = redis.call('ZRANGE', INDEX .. tag, from, from + many - 1)
for _, key in ipairs(members) do
  if has(tags_of(key), tag) then from = from + 1 else redis.call('ZREM', INDEX .. tag, key) end
end
settle(tag)
return #members < many and -1 or from
"""
)
"""Takes members out of an index that do not carry the tag."""
