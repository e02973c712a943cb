-- The tags of values. `cashews.backends.redis.layout` draws the head of a value, the indexes and the records.
-- The invariant of every script: no live value is missing from the index of one of its tags.

local INDEX, DELETED = '\255tag', '\255deleted' -- behind the tag
local REMEMBERED = 3600 -- seconds for which a deletion is remembered; a longer load is not stored under a tag

-- Returns the tags that a key's value carries, and the size of their head: 0 if there is none.
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
  for _, each in ipairs(tags) do
    if each == tag then return true end
  end
  return false
end

-- Has an index live a second longer than its last member, for ever if that one does.
local function extend_index(tag)
  local last = redis.call('ZRANGE', tag .. INDEX, -1, -1, 'WITHSCORES')[2]
  if last == 'inf' then
    redis.call('PERSIST', tag .. INDEX)
  elseif last then
    redis.call('PEXPIREAT', tag .. INDEX, string.format('%.0f', last + 1000))
  end
end

-- Takes a key out of the indexes of all `tags` that are not among the `kept` ones.
local function leave_indexes(key, tags, kept)
  for _, tag in ipairs(tags) do
    if not has(kept, tag) and redis.call('ZREM', tag .. INDEX, key) == 1 then extend_index(tag) end
  end
end

-- Takes keys out of an index up to the first one whose value carries the tag.
local function drop_stale(tag, keys)
  for _, key in ipairs(keys) do
    if has(tags_of(key), tag) then return end
    redis.call('ZREM', tag .. INDEX, key)
  end
end

-- Puts a key into the indexes of its tags. Each time a few stale members go: there are never many more than live ones.
local function join_indexes(key, tags, deadline)
  for _, tag in ipairs(tags) do
    redis.call('ZADD', tag .. INDEX, deadline, key)
    drop_stale(tag, redis.call('ZRANGE', tag .. INDEX, 0, 3))
    if deadline == '+inf' then drop_stale(tag, redis.call('ZRANDMEMBER', tag .. INDEX, 2)) end
    extend_index(tag)
  end
end

-- Returns the score of a key that lives for `ttl` milliseconds; '' means no expiry.
local function deadline_in(ttl)
  if ttl == '' then return '+inf' end
  return string.format('%.0f', microseconds() / 1000 + ttl)
end

-- Says whether one of the tags was deleted since a load's mark, or that cannot be told any more.
local function overtaken(tags, since)
  if since == '' then return false end
  if microseconds() - since > REMEMBERED * 1000000 then return true end
  for _, tag in ipairs(tags) do
    local deleted = redis.call('GET', tag .. DELETED)
    if deleted and tonumber(deleted) >= tonumber(since) then return true end
  end
  return false
end

local function remember_deletion(tag)
  redis.call('SET', tag .. DELETED, string.format('%.0f', microseconds()), 'EX', REMEMBERED)
end

-- Deletes the values that carry a tag among the first members of its index, `most` of them, and these members.
local function delete_carriers(tag, most)
  for _, key in ipairs(redis.call('ZRANGE', tag .. INDEX, 0, most - 1)) do
    local tags = tags_of(key)
    if has(tags, tag) then
      leave_indexes(key, tags, {tag})
      redis.call('UNLINK', key)
    end
  end
  redis.call('ZREMRANGEBYRANK', tag .. INDEX, 0, most - 1)
end

-- Stores a value under its tags by SET with the words given. Answers 1, or false if SET refuses.
local function store(key, tags, ttl, ...)
  local before = tags_of(key)
  if not redis.call('SET', key, ...) then return false end
  leave_indexes(key, before, tags)
  if #tags > 0 then join_indexes(key, tags, deadline_in(ttl)) end
  return 1
end

local function delete(key)
  leave_indexes(key, tags_of(key), {})
  return redis.call('UNLINK', key)
end

-- Has the server tell all who track an absent key of a change: its removal alone would be none. The server may refuse,
-- out of memory.
local function tell(key)
  redis.pcall('SET', key, '')
  redis.call('DEL', key)
end

-- Gives a key another life in milliseconds, '' for ever; 0 or less removes it. Answers 1, or 0 for an absent key.
local function expire(key, ttl)
  if redis.call('EXISTS', key) == 0 then return 0 end
  local tags = tags_of(key)
  if ttl == '' then redis.call('PERSIST', key) else redis.call('PEXPIRE', key, ttl) end
  if #tags > 0 then
    if redis.call('EXISTS', key) == 1 then
      join_indexes(key, tags, deadline_in(ttl))
    else
      leave_indexes(key, tags, {})
    end
  end
  return 1
end

-- Adds to a counter and answers its digits, or the error of INCRBY. A counter with a head stands without it meanwhile:
-- it may have 64 bits, and numbers of scripts have 53.
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
