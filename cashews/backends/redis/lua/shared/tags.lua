-- The tags of values. `cashews.backends.redis.layout` draws the head of a value, the indexes and the records.
-- The invariant of every script: no live value is missing from the index of one of its tags.

-- Has an index live a second longer than its last member, for ever if that one does.
local function extend_index(tag)
  local last = redis.call('ZRANGE', ANCHOR .. tag .. INDEX, -1, -1, 'WITHSCORES')[2]
  if last == 'inf' then
    redis.call('PERSIST', ANCHOR .. tag .. INDEX)
  elseif last then
    redis.call('PEXPIREAT', ANCHOR .. tag .. INDEX, string.format('%.0f', last + 1000))
  else
    emptied[tag] = true
  end
end

-- Takes a key out of the indexes of all `tags` that are not among the `kept` ones.
local function leave_indexes(key, tags, kept)
  for _, tag in ipairs(tags) do
    if not has(kept, tag) and redis.call('ZREM', ANCHOR .. tag .. INDEX, key) == 1 then extend_index(tag) end
  end
end

-- Takes keys out of an index up to the first one whose value carries the tag, as that of `certain` does.
local function drop_stale(tag, keys, certain)
  for _, key in ipairs(keys) do
    if key == certain or has(tags_of(key), tag) then return end
    redis.call('ZREM', ANCHOR .. tag .. INDEX, key)
  end
end

-- Puts a key into the indexes of its tags. Each time a few stale members go: there are never many more than live ones.
local function join_indexes(key, tags, deadline)
  for _, tag in ipairs(tags) do
    redis.call('ZADD', ANCHOR .. tag .. INDEX, deadline, key)
    drop_stale(tag, redis.call('ZRANGE', ANCHOR .. tag .. INDEX, 0, 3), key)
    if deadline == '+inf' then drop_stale(tag, redis.call('ZRANDMEMBER', ANCHOR .. tag .. INDEX, 2), key) end
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
    if record_of(tag) >= tonumber(since) then return true end
  end
  return false
end

-- Remembers that a tag is deleted now. On a cluster the instant is given, and so is the number of the last membership
-- in the roster: a request to enter under it comes too late.
local function remember_deletion(tag, instant, last)
  if ANCHOR == '' then
    redis.call('SET', tag .. DELETED, string.format('%.0f', microseconds()), 'EX', REMEMBERED)
    return
  end
  local deleted, number, ends = record_of(tag)
  keep_record(tag, math.max(deleted, instant), math.max(number, last), ends)
end

-- Deletes the values that carry a tag among the first members of its index, `most` of them, and these members.
local function delete_carriers(tag, most)
  for _, key in ipairs(redis.call('ZRANGE', ANCHOR .. tag .. INDEX, 0, most - 1)) do
    local tags = tags_of(key)
    if has(tags, tag) then
      leave_indexes(key, tags, {tag})
      redis.call('UNLINK', key)
    end
  end
  redis.call('ZREMRANGEBYRANK', ANCHOR .. tag .. INDEX, 0, most - 1)
  extend_index(tag)
end

-- Stores a value under its tags, which are wanted, by SET with the words given. Answers 1, or false if SET refuses.
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
