-- The heads of values, which name their tags: `cashews.backends.redis.layout` draws them.

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

-- Returns the digest of a value without its head, false for a key without a value.
local function digest_of(key)
  local _, size = tags_of(key)
  local stored = redis.pcall('GET', key)
  return type(stored) == 'string' and redis.sha1hex(string.sub(stored, size + 1))
end

-- Returns the words from the `first` on; `unpack` fails with some thousands.
local function words_from(words, first)
  local rest = {}
  for i = first, #words do rest[#rest + 1] = words[i] end
  return rest
end

local function has(tags, tag)
  for _, each in ipairs(tags) do
    if each == tag then return true end
  end
  return false
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
